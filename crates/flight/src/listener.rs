//! Connections of the Flight SQL port: counted, so that there are not too many.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};
use portcullis_gateway::Metrics;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::transport::server::{Connected, TcpConnectInfo, TcpIncoming};

/// An open connection.
pub(crate) struct Connection {
    stream: TcpStream,
    metrics: Arc<Metrics>,
}

/// The connections that come in; those beyond `most` at the same time are closed at once.
pub(crate) fn bounded(
    incoming: TcpIncoming,
    most: u32,
    metrics: Arc<Metrics>,
) -> impl Stream<Item = io::Result<Connection>> {
    incoming.filter_map(move |stream| {
        let admitted = match stream {
            Ok(_) if metrics.connections.get() >= u64::from(most) => {
                metrics.connections_refused.add(1);
                metrics.limited("connections");
                None
            }
            Ok(stream) => {
                metrics.connections.up();
                Some(Ok(Connection { stream, metrics: Arc::clone(&metrics) }))
            }
            Err(error) => Some(Err(error)),
        };
        std::future::ready(admitted)
    })
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.metrics.connections.down();
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
