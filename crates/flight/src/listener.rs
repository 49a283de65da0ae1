//! Connections of the Flight SQL port: counted, so that there are not too many, with or without TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::{Stream, StreamExt, TryStreamExt};
use portcullis_gateway::Metrics;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::{Connected, TcpIncoming};
use tonic::{Request, Status};

use crate::auth::Credential;
use crate::rate::Rate;
use crate::tls::{Presented, Tls};

/// Counts a connection for as long as it is there.
struct Counted(Arc<Metrics>);

/// Who is at the other end of a connection.
#[derive(Clone, Default)]
pub(crate) struct Peer {
    pub(crate) address: Option<SocketAddr>,
    /// The client certificate, if one was shown.
    pub(crate) presented: Option<Arc<Presented>>,
}

impl Peer {
    /// What the connection itself proves, if anything.
    pub(crate) fn credential(&self) -> Result<Option<Credential>, Status> {
        let certificate = self.presented.as_ref().map(|presented| presented.certificate()).transpose()?;
        Ok(certificate.map(Credential::Certificate))
    }
}

/// Who is at the other end of a call's connection.
pub(crate) fn peer<T>(request: &Request<T>) -> Peer {
    request.extensions().get().cloned().unwrap_or_default()
}

/// The connections that come in, ready to be read from; those beyond `most` at the same time, or `rate` from one address, are
/// closed at once.
pub(crate) fn bounded(
    incoming: TcpIncoming,
    most: u32,
    rate: Rate,
    metrics: Arc<Metrics>,
    tls: Option<Arc<Tls>>,
) -> impl Stream<Item = io::Result<Io>> {
    let admitted = incoming.filter_map(move |stream| {
        let hasty =
            |stream: &TcpStream| stream.peer_addr().is_ok_and(|address| !rate.admits(address.ip(), Instant::now()));
        let admitted = match stream {
            Ok(stream) if hasty(&stream) => {
                metrics.connections_refused.add(1);
                metrics.limited("handshakes");
                None
            }
            Ok(_) if metrics.connections.get() >= u64::from(most) => {
                metrics.connections_refused.add(1);
                metrics.limited("connections");
                None
            }
            Ok(stream) => {
                metrics.connections.up();
                Some(Ok((stream, Counted(Arc::clone(&metrics)))))
            }
            Err(error) => Some(Err(error)),
        };
        std::future::ready(admitted)
    });
    let opened = admitted.map_ok(move |(stream, counted)| open(stream, counted, tls.clone()));
    // As many handshakes at the same time as there may be connections: a slow one keeps nobody waiting.
    opened.try_buffer_unordered(most as usize).filter_map(|opened| std::future::ready(opened.transpose()))
}

/// The connection, or none where the handshake failed.
async fn open(stream: TcpStream, counted: Counted, tls: Option<Arc<Tls>>) -> io::Result<Option<Io>> {
    let address = stream.peer_addr().ok();
    let Some(tls) = tls else {
        let peer = Peer { address, presented: None };
        return Ok(Some(Io { stream: Either::Plain(stream), peer, _counted: counted }));
    };
    match tls.accept(stream).await {
        Ok(stream) => {
            let peer = Peer { address, presented: Presented::of(&tls, &stream).map(Arc::new) };
            Ok(Some(Io { stream: Either::Tls(Box::new(stream)), peer, _counted: counted }))
        }
        Err(error) => {
            tracing::info!(?address, %error, "a TLS handshake failed");
            Ok(None)
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.down();
    }
}

/// A connection, with TLS or without.
pub(crate) struct Io {
    stream: Either,
    peer: Peer,
    _counted: Counted,
}

enum Either {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connected for Io {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

/// Calls the same of what is inside.
macro_rules! inside {
    ($self:ident, $inner:ident => $call:expr) => {
        match &mut $self.get_mut().stream {
            Either::Plain(stream) => {
                let $inner = Pin::new(stream);
                $call
            }
            Either::Tls(stream) => {
                let $inner = Pin::new(stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        inside!(self, inner => inner.poll_read(context, buffer))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        inside!(self, inner => inner.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        inside!(self, inner => inner.poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Either::Plain(stream) => stream.is_write_vectored(),
            Either::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        inside!(self, inner => inner.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        inside!(self, inner => inner.poll_shutdown(context))
    }
}
