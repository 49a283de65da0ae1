//! `portcullis serve`: Flight SQL until somebody asks to stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use portcullis_contract::Level;
use portcullis_flight::TlsConfig;
use portcullis_gateway::{Config, Gateway};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::args::ServeArgs;
use crate::mesh::{Failure, configuration};
use crate::{OK, Streams};

/// How long the traces that are left at the end may take.
const LAST_TRACES: Duration = Duration::from_secs(3);

pub async fn run(mesh: &Path, args: ServeArgs, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let mut config = configuration(mesh)?;
    if let Some(address) = args.listen {
        config.listen.flight = address;
    }
    if let (Some(certificate), Some(key)) = (args.tls_certificate, args.tls_key) {
        // Paths of the command line start where the command was given, those of the file at the mesh directory.
        config.listen.tls_certificate = Some(std::path::absolute(certificate)?);
        config.listen.tls_key = Some(std::path::absolute(key)?);
    }
    let tls = tls(mesh, &config);
    let listener = listen(config.listen.flight).await?;
    let http = match config.listen.http {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let gateway = Gateway::open(mesh, config).await?;
    for finding in gateway.findings().iter().filter(|finding| finding.level != Level::Info) {
        writeln!(streams.err, "{finding}")?;
    }
    let scheme = if tls.is_some() { "grpc+tls" } else { "grpc+tcp" };
    writeln!(streams.err, "serving Flight SQL on {scheme}://{}", listener.local_addr()?)?;
    if let Some(http) = http {
        writeln!(streams.err, "serving health and metrics on http://{}", http.local_addr()?)?;
        // Until the process ends: that it drains is to be seen.
        tokio::spawn(portcullis_http::serve(Arc::clone(&gateway), http));
    }
    let traces = traces(&gateway)?;
    tokio::spawn(reload_on_signal(Arc::downgrade(&gateway)));
    let stopped = until_stopped(Arc::clone(&gateway), listener, tls).await;
    gateway.metrics().end_traces();
    if let Some(traces) = traces {
        tokio::time::timeout(LAST_TRACES, traces).await.ok();
    }
    stopped
}

/// Sends traces, if there is a collector.
fn traces(gateway: &Gateway) -> Result<Option<JoinHandle<()>>, Failure> {
    let Some(address) = &gateway.config().telemetry.otlp else { return Ok(None) };
    let collector =
        portcullis_otlp::collector(address).map_err(|error| Failure::failed(format!("`telemetry.otlp`: {error}")))?;
    let metrics = Arc::clone(gateway.metrics());
    let traces = metrics.traces(portcullis_otlp::WAITING);
    Ok(Some(tokio::spawn(portcullis_otlp::export(collector, traces, metrics))))
}

/// Takes the address before anything else is done with it.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::failed(format!("cannot listen on `{address}`: {error} (hint: choose another with --listen)"))
    })
}

/// Serves until SIGTERM or ctrl-c, then lets running queries end.
pub async fn until_stopped(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    tls: Option<TlsConfig>,
) -> Result<u8, Failure> {
    let (stop, stopped) = oneshot::channel();
    let served = portcullis_flight::serve(Arc::clone(&gateway), listener, tls, async {
        stopped.await.unwrap_or_default();
    });
    let drained = async {
        stop_signal().await;
        gateway.close();
        // Nobody listens any more if serving has failed.
        stop.send(()).ok();
        gateway.shutdown().await;
    };
    tokio::pin!(served);
    let served = tokio::select! {
        served = &mut served => {
            gateway.shutdown().await;
            served
        }
        () = drained => served.await,
    };
    served.map_err(|error| Failure::failed(error.to_string()))?;
    Ok(OK)
}

fn tls(mesh: &Path, config: &Config) -> Option<TlsConfig> {
    let (certificate, key) = (config.listen.tls_certificate.as_ref()?, config.listen.tls_key.as_ref()?);
    Some(TlsConfig {
        client_ca: config.listen.tls_client_ca.as_ref().map(|file| mesh.join(file)),
        client_required: config.identity.certificates.required,
        ..TlsConfig::new(mesh.join(certificate), mesh.join(key))
    })
}

/// Takes up the mesh directory at each SIGHUP, whether or not it is watched.
#[cfg(unix)]
async fn reload_on_signal(gateway: Weak<Gateway>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        let Some(gateway) = gateway.upgrade() else { return };
        gateway.reload().await;
    }
}

#[cfg(not(unix))]
async fn reload_on_signal(_: Weak<Gateway>) {}

#[cfg(unix)]
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(interrupt.await),
    }
}

#[cfg(not(unix))]
async fn stop_signal() {
    drop(tokio::signal::ctrl_c().await);
}
