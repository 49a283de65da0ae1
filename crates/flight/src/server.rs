//! The transport: HTTP/2 over TCP, with TLS on request.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use portcullis_gateway::Gateway;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::health::Health;
use crate::listener;
use crate::rate::Rate;
use crate::service::FlightSql;
use crate::tls::{Tls, TlsConfig};

/// Largest block of headers accepted. URL parameters that the JDBC driver does not know arrive as headers, and the
/// usual 8 or 16 KiB are soon used up.
const MAX_HEADERS: u32 = 64 << 10;
/// Largest message accepted: statements and parameters. Results have no bound here.
const MAX_REQUEST: usize = 16 << 20;
/// A silent connection is asked for a sign of life after this time, and closed if none comes in as much again.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How much longer than queries connections last at the end, so that clients are told why.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why the server could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum FlightError {
    /// A file of the TLS configuration cannot be read.
    #[error("cannot read `{path}` for TLS: {error}", path = path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Certificate and key do not make a TLS server.
    #[error("the certificate or key for TLS cannot be used: {0}; both must be PEM and belong together")]
    Tls(String),
    /// The connections cannot be served any longer.
    #[error("the Flight SQL server stopped: {0}")]
    Transport(tonic::transport::Error),
    /// The server's own answers could not be made.
    #[error("the server's metadata cannot be made: {0}")]
    Metadata(String),
}

/// Serves Flight SQL on a listening socket until `shutdown` completes. Then no new call is taken, and running ones have
/// the time of `limits.drain` to end, and a little more for their clients to hear of it.
///
/// # Errors
/// If the TLS files cannot be used, or the socket fails.
pub async fn serve(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    tls: Option<TlsConfig>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), FlightError> {
    let grace = gateway.config().limits.drain.duration();
    let limits = &gateway.config().limits;
    let (most, rate, metrics) = (limits.connections, Rate::new(limits.handshakes), Arc::clone(gateway.metrics()));
    let age = gateway.config().identity.revocation_age.duration();
    let health = Health::new(Arc::clone(&gateway));
    let service = FlightSql::new(gateway).map_err(|error| FlightError::Metadata(error.to_string()))?;
    let tls = match tls {
        Some(tls) => Some(Tls::open(tls, age).await?),
        None => None,
    };
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .http2_max_header_list_size(MAX_HEADERS);
    let (stop, stopped) = oneshot::channel::<()>();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE));
    let serving = server
        .add_service(health)
        .add_service(FlightServiceServer::new(service).max_decoding_message_size(MAX_REQUEST))
        .serve_with_incoming_shutdown(listener::bounded(incoming, most, rate, metrics, tls), async move {
            stopped.await.unwrap_or_default()
        });
    let deadline = async move {
        shutdown.await;
        let _ = stop.send(());
        tokio::time::sleep(grace + LAST_WORDS).await;
    };
    tokio::select! {
        ended = serving => ended.map_err(FlightError::Transport),
        () = deadline => {
            tracing::warn!(?grace, "connections were still open after the time of `limits.drain`; they are cut off");
            Ok(())
        }
    }
}
