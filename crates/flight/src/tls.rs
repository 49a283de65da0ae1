//! TLS of the Flight SQL port: handshakes, client certificates, and files that are taken up anew while it runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use portcullis_gateway::{ClientCertificate, Marks, Vouched};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::Status;

use crate::server::FlightError;

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A client's certificate is verified again, for another call, when the last time was longer ago.
const VERIFIED_FOR: Duration = Duration::from_secs(1);
const ALPN: &[u8] = b"h2";

/// Where the certificates for TLS are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// Certificate chain (PEM), the server's own certificate first.
    pub certificate: PathBuf,
    /// Private key of the certificate (PEM).
    pub key: PathBuf,
    /// Authorities (PEM) whose client certificates are accepted; without it, none are asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether a connection without a client certificate is refused.
    pub client_required: bool,
}

impl TlsConfig {
    /// A server that asks for no client certificates.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> TlsConfig {
        TlsConfig { certificate: certificate.into(), key: key.into(), client_ca: None, client_required: false }
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca).cloned()
    }
}

/// What handshakes are made with.
pub(crate) struct Tls {
    config: TlsConfig,
    current: RwLock<Arc<Loaded>>,
    /// Counts what was taken up anew.
    changes: watch::Sender<u64>,
}

struct Loaded {
    server: Arc<ServerConfig>,
    /// What client certificates are verified with, where they are asked for.
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl Tls {
    /// Reads the files, and goes on looking at them at this age: changed ones hold for the next handshake, and authorities
    /// for the next call.
    pub(crate) async fn open(config: TlsConfig, age: Duration) -> Result<Arc<Tls>, FlightError> {
        let mut marks = Marks::of(config.files());
        let loaded = Loaded::read(&config).await?;
        let changes = watch::Sender::new(0);
        let tls = Arc::new(Tls { config, current: RwLock::new(Arc::new(loaded)), changes });
        let watched = Arc::downgrade(&tls);
        tokio::spawn(async move {
            let mut stale = false;
            loop {
                tokio::time::sleep(age).await;
                let Some(tls) = watched.upgrade() else { return };
                let changed = marks.changed();
                if !(changed || stale) {
                    continue;
                }
                match Loaded::read(&tls.config).await {
                    Ok(loaded) => {
                        stale = false;
                        *tls.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                        tls.changes.send_modify(|changes| *changes += 1);
                        tracing::info!("the certificates for TLS were taken up anew");
                    }
                    Err(error) => {
                        // Certificate and key come one after the other: it is tried again until they fit.
                        stale = true;
                        if changed {
                            tracing::error!(%error, "the certificates for TLS were not taken up: those of before stay");
                        }
                    }
                }
            }
        });
        Ok(tls)
    }

    fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The handshake of a new connection.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current().server));
        let accepted = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
        accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Loaded {
    async fn read(config: &TlsConfig) -> Result<Loaded, FlightError> {
        let unusable = |error: rustls::Error| FlightError::Tls(error.to_string());
        let provider = Arc::new(default_provider());
        let chain = certificates(&config.certificate).await?;
        let key =
            PrivateKeyDer::from_pem_slice(&read(&config.key).await?).map_err(|error| broken(&config.key, &error))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let clients = match &config.client_ca {
            None => None,
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path).await? {
                    roots.add(authority).map_err(unusable)?;
                }
                let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let clients = if config.client_required { clients } else { clients.allow_unauthenticated() };
                Some(clients.build().map_err(|error| broken(path, &error))?)
            }
        };
        let builder = match &clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients)),
        };
        let mut server = builder.with_single_cert(chain, key).map_err(unusable)?;
        server.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Loaded { server: Arc::new(server), clients })
    }
}

impl Loaded {
    /// Whether the authorities accept a client's certificates at this time.
    fn accepts(&self, chain: &[CertificateDer<'static>], at: UnixTime) -> bool {
        let (Some((end, others)), Some(clients)) = (chain.split_first(), &self.clients) else { return false };
        let verified = clients.verify_client_cert(end, others, at);
        if let Err(error) = &verified {
            tracing::warn!(%error, "a client certificate is not accepted any more");
        }
        verified.is_ok()
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, FlightError> {
    tokio::fs::read(path).await.map_err(|error| FlightError::TlsFile { path: path.to_owned(), error })
}

/// The certificates of a file, of which there must be one at least.
async fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FlightError> {
    let text = read(path).await?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| broken(path, &error))?;
    if found.is_empty() {
        return Err(broken(path, &"it has no certificate"));
    }
    Ok(found)
}

fn broken(path: &Path, reason: &dyn std::fmt::Display) -> FlightError {
    FlightError::Tls(format!("`{}`: {reason}", path.display()))
}

/// The certificate that a client has shown on its connection.
pub(crate) struct Presented {
    tls: Arc<Tls>,
    chain: Arc<[CertificateDer<'static>]>,
    /// When it was last verified, and with what.
    verified: Mutex<(Instant, Arc<Loaded>)>,
}

impl Presented {
    /// What was shown in a handshake that has just ended.
    pub(crate) fn of(tls: &Arc<Tls>, stream: &TlsStream<TcpStream>) -> Option<Presented> {
        let chain = stream.get_ref().1.peer_certificates()?.iter().map(|one| one.clone().into_owned()).collect();
        // The next call finds out whether authorities have changed since.
        let long_ago = Instant::now().checked_sub(VERIFIED_FOR).unwrap_or_else(Instant::now);
        Some(Presented { tls: Arc::clone(tls), chain, verified: Mutex::new((long_ago, tls.current())) })
    }

    /// The certificate, if it is good now: connections last longer than certificates and authorities. What runs with it
    /// is looked at again when authorities have changed.
    pub(crate) fn certificate(&self) -> Result<ClientCertificate, Status> {
        let refused =
            || Status::unauthenticated("the client certificate is not accepted, or not any more: connect with another");
        let end = self.chain.first().ok_or_else(refused)?;
        // Before the authorities are taken: no change falls between.
        let (changes, now) = (self.tls.changes.subscribe(), UnixTime::now());
        let loaded = self.tls.current();
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.0.elapsed() >= VERIFIED_FOR || !Arc::ptr_eq(&verified.1, &loaded) {
            if !loaded.accepts(&self.chain, now) {
                return Err(refused());
            }
            *verified = (Instant::now(), loaded);
        }
        let (tls, chain) = (Arc::clone(&self.tls), Arc::clone(&self.chain));
        let vouched = Vouched::new(move || tls.current().accepts(&chain, now), changes);
        let certificate = ClientCertificate::read(end).map_err(crate::status::from_gateway)?;
        Ok(certificate.vouched_by(vouched))
    }
}
