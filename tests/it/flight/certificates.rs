//! Client certificates: real handshakes, with certificates made here, which are revoked and replaced while the gateway
//! runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::Empty;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use portcullis_audit::Query;
use portcullis_flight::TlsConfig;
use portcullis_gateway::config::{CertificateName, Span};
use portcullis_gateway::{Config, Gateway};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

use super::{descriptor, number, query, statement, with};
use crate::support::{self, Served, block_on};

const ORDERS: &str = "SELECT count(*) AS n FROM orders.order_events";

/// An authority of the tests.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM; and the certificate's fingerprint.
struct Made {
    pem: String,
    key: String,
    der: Vec<u8>,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, params: &CertificateParams) -> Made {
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        Made { pem: made.pem(), key: key.serialize_pem(), der: made.der().to_vec() }
    }

    fn server(&self) -> Made {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    fn client(&self, name: &str) -> Made {
        self.sign(&client(name))
    }
}

fn client(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

impl Made {
    fn write(&self, dir: &Path) {
        std::fs::write(dir.join("server.pem"), &self.pem).unwrap();
        std::fs::write(dir.join("server.key"), &self.key).unwrap();
    }

    /// `AB:CD:…`, as openssl prints it.
    fn fingerprint(&self) -> String {
        let print = portcullis_gateway::ClientCertificate::read(&self.der).unwrap().fingerprint().to_uppercase();
        let pairs: Vec<_> = print.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
        pairs.join(":")
    }
}

/// A gateway with TLS, and the directory of its files.
struct Lab {
    mesh: TempDir,
    gateway: Arc<Gateway>,
    served: Served,
    ours: Authority,
    clients: Authority,
}

impl Lab {
    fn new(required: bool) -> Lab {
        Lab::revoking(required, Span::minutes(5))
    }

    /// Whose running queries are stopped within this time.
    fn revoking(required: bool, within: Span) -> Lab {
        let (ours, clients) = (Authority::new("the gateway's authority"), Authority::new("the clients' authority"));
        let mesh = support::copy_of_mesh();
        ours.server().write(mesh.path());
        std::fs::write(mesh.path().join("clients.pem"), &clients.pem).unwrap();
        std::fs::write(mesh.path().join("revoked.txt"), "# nobody yet\n").unwrap();
        let mut config = Config::load(mesh.path()).unwrap();
        config.identity.revocation_age = Span::millis(100);
        config.limits.revoke_within = within;
        config.identity.certificates.name = CertificateName::CommonName;
        config.identity.certificates.users =
            [("nightly report".to_owned(), "ana".to_owned()), ("ghost".to_owned(), "ghost".to_owned())].into();
        config.identity.certificates.revoked = Some("revoked.txt".into());
        let gateway = block_on(Gateway::open(mesh.path(), config)).unwrap();
        let file = |name: &str| -> PathBuf { mesh.path().join(name) };
        let tls = TlsConfig {
            client_ca: Some(file("clients.pem")),
            client_required: required,
            ..TlsConfig::new(file("server.pem"), file("server.key"))
        };
        let served = support::serve(Arc::clone(&gateway), Some(tls));
        Lab { mesh, gateway, served, ours, clients }
    }

    /// A connection that trusts this authority, and shows this certificate.
    async fn connect(&self, trusted: &Authority, shown: Option<&Made>) -> Result<Channel, tonic::transport::Error> {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&trusted.pem)).domain_name("localhost");
        let tls = shown.into_iter().fold(tls, |tls, made| tls.identity(Identity::from_pem(&made.pem, &made.key)));
        let endpoint = Endpoint::from_shared(format!("https://{}", self.served.address)).unwrap();
        endpoint.tls_config(tls).unwrap().connect().await
    }

    /// What asking over a new connection comes to. With TLS 1.3 a client hears of its refusal with its first call.
    async fn ask(&self, shown: Option<&Made>) -> Result<i64, Status> {
        let refused = |error: tonic::transport::Error| Status::unavailable(error.to_string());
        ask(&self.connect(&self.ours, shown).await.map_err(refused)?).await
    }

    /// Waits until something holds: the gateway looks at its files when it wants to.
    async fn until<T>(&self, mut holds: impl AsyncFnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = holds().await {
                return found;
            }
            assert!(began.elapsed() < Duration::from_secs(60));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Asks without any header.
async fn ask(channel: &Channel) -> Result<i64, Status> {
    let mut raw = FlightServiceClient::new(channel.clone());
    let info = raw.get_flight_info(descriptor(&statement(ORDERS))).await?.into_inner();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let messages: Vec<_> = raw.do_get(ticket).await?.into_inner().try_collect().await?;
    let batches = arrow_flight::decode::FlightRecordBatchStream::new_from_flight_data(futures::stream::iter(
        messages.into_iter().map(Ok),
    ));
    Ok(number(&batches.try_collect::<Vec<_>>().await.unwrap()))
}

#[test]
fn a_certificate_is_a_credential_and_a_header_goes_before_it() {
    let lab = Lab::new(false);
    block_on(async {
        let nightly = lab.clients.client("nightly report");
        let wanted = {
            let session = support::session(&lab.gateway, "ana", None);
            number(&support::rows(&lab.gateway, &session, ORDERS).await.unwrap().1)
        };
        assert_eq!(lab.ask(Some(&nightly)).await.unwrap(), wanted, "ana's rows");
        let everybody = {
            let channel = lab.connect(&lab.ours, Some(&nightly)).await.unwrap();
            let mut client = FlightSqlServiceClient::new(channel.clone());
            client.handshake("dev", "dev").await.unwrap();
            let token = client.token().unwrap().clone();
            assert!(FlightServiceClient::new(channel).list_actions(with(&token, Empty {})).await.is_ok());
            number(&query(&mut client, ORDERS).await)
        };
        assert_ne!(everybody, wanted, "dev's rows: a password goes before the certificate");
        // A wrong header is not made good by a certificate.
        let channel = lab.connect(&lab.ours, Some(&nightly)).await.unwrap();
        let status = FlightServiceClient::new(channel.clone()).list_actions(with("pcl_x", Empty {})).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        // A handshake says who it is, and hands out no token: that would outlive the certificate.
        let hello = futures::stream::iter([arrow_flight::HandshakeRequest::default()]);
        let answer = FlightServiceClient::new(channel).handshake(Request::new(hello)).await.unwrap();
        assert!(answer.metadata().get("authorization").is_none());
        let messages: Vec<_> = answer.into_inner().try_collect().await.unwrap();
        assert!(messages[0].payload.is_empty());

        for (who, made) in [
            ("nobody of ours", lab.clients.client("somebody")),
            ("a user who is not there", lab.clients.client("ghost")),
        ] {
            let status = lab.ask(Some(&made)).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{who}: {status}");
            assert!(status.message().contains("stands for no user"), "{status}");
        }
        let status = lab.ask(None).await.unwrap_err();
        assert!(status.message().starts_with("no credentials:"), "{status}");
    });
    block_on(lab.gateway.shutdown());
    let journal = lab.mesh.path().join(&lab.gateway.config().audit.dir);
    let entries: Vec<_> = portcullis_audit::search(&journal, &Query::default()).unwrap().map(Result::unwrap).collect();
    let by = |statement: &str| entries.iter().find(|entry| entry.begin.statement.contains(statement)).unwrap();
    let refused = by("(certificate)");
    assert_eq!(refused.begin.authentication, "certificate");
    assert!(entries.iter().any(|entry| entry.begin.authentication == "certificate"
        && entry.begin.principal == "ana"
        && entry.begin.credential.as_ref().is_some_and(|print| print.len() == 64)));
}

#[test]
fn what_is_not_of_the_authority_or_not_of_this_time_does_not_connect() {
    let lab = Lab::new(false);
    block_on(async {
        let mut late = client("nightly report");
        late.not_before = rcgen::date_time_ymd(2020, 1, 1);
        late.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let mut early = client("nightly report");
        early.not_before = rcgen::date_time_ymd(2095, 1, 1);
        early.not_after = rcgen::date_time_ymd(2096, 1, 1);
        let mut server = client("nightly report");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let same_name = Authority::new("the clients' authority");
        for (what, made) in [
            ("expired", lab.clients.sign(&late)),
            ("not yet valid", lab.clients.sign(&early)),
            ("made for servers", lab.clients.sign(&server)),
            ("of another authority", lab.ours.client("nightly report")),
            ("of another authority of the same name", same_name.client("nightly report")),
            ("signed by a client", {
                let mut params = client("nightly report");
                params.is_ca = IsCa::ExplicitNoCa;
                let key = KeyPair::generate().unwrap();
                let middle = params.signed_by(&key, &lab.clients.issuer).unwrap().pem();
                let inner = Authority { pem: middle.clone(), issuer: Issuer::new(params, key) };
                let made = inner.client("nightly report");
                Made { pem: made.pem + &middle, ..made }
            }),
        ] {
            let status = lab.ask(Some(&made)).await.unwrap_err();
            assert_ne!(status.code(), Code::Unauthenticated, "{what}: it does not come to a call: {status}");
        }
        assert!(lab.ask(Some(&lab.clients.client("nightly report"))).await.is_ok());
    });
}

#[test]
fn where_certificates_are_required_nobody_connects_without() {
    let lab = Lab::new(true);
    block_on(async {
        assert!(lab.ask(Some(&lab.clients.client("nightly report"))).await.is_ok());
        let status = lab.ask(None).await.unwrap_err();
        assert_ne!(status.code(), Code::Unauthenticated, "it does not come to a call: {status}");
    });
}

#[test]
fn a_revoked_certificate_is_refused_on_the_connection_that_it_has() {
    let lab = Lab::new(false);
    block_on(async {
        let (nightly, other) = (lab.clients.client("nightly report"), lab.clients.client("nightly report"));
        let (open, spared) = (
            lab.connect(&lab.ours, Some(&nightly)).await.unwrap(),
            lab.connect(&lab.ours, Some(&other)).await.unwrap(),
        );
        assert!(ask(&open).await.is_ok() && ask(&spared).await.is_ok());
        let list = lab.mesh.path().join("revoked.txt");
        std::fs::write(&list, format!("{}  # stolen\n", nightly.fingerprint())).unwrap();
        let status = lab.until(async || ask(&open).await.err()).await;
        assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "the client certificate is revoked"));
        assert_eq!(lab.ask(Some(&nightly)).await.unwrap_err().code(), Code::Unauthenticated, "a new one, too");
        assert!(ask(&spared).await.is_ok() && lab.ask(Some(&other)).await.is_ok());
        // A list that says nothing that is understood revokes all.
        std::fs::write(&list, "the one that was stolen\n").unwrap();
        let status = lab.until(async || ask(&spared).await.err()).await;
        assert!(status.message().contains("it cannot be known whether"), "{status}");
        std::fs::write(&list, "").unwrap();
        lab.until(async || ask(&open).await.ok()).await;
    });
}

/// What runs does not outlive the authority of who asked for it; what others run does.
#[test]
fn a_running_query_ends_when_the_authority_is_gone() {
    const LONG: &str = "SELECT g.value, e.* FROM generate_series(1, 1000000) g CROSS JOIN orders.order_events e";
    let lab = Lab::revoking(false, Span::millis(100));
    block_on(async {
        let nightly = lab.clients.client("nightly report");
        let mut runs = FlightServiceClient::new(lab.connect(&lab.ours, Some(&nightly)).await.unwrap());
        let info = runs.get_flight_info(descriptor(&statement(LONG))).await.unwrap().into_inner();
        let mut rows = runs.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap().into_inner();
        let mut other = FlightSqlServiceClient::new(lab.connect(&lab.ours, Some(&nightly)).await.unwrap());
        other.handshake("dev", "dev").await.unwrap();
        let token = other.token().unwrap().clone();
        let info = other.execute(LONG.to_owned(), None).await.unwrap();
        let request = with(&token, info.endpoint[0].ticket.clone().unwrap());
        let mut others = other.inner_mut().do_get(request).await.unwrap().into_inner();
        for _ in 0..3 {
            rows.try_next().await.unwrap().unwrap();
            others.try_next().await.unwrap().unwrap();
        }
        // Another authority beside it is no reason to stop.
        let authorities = lab.mesh.path().join("clients.pem");
        let next = Authority::new("the clients', the next");
        std::fs::write(&authorities, format!("{}{}", lab.clients.pem, next.pem)).unwrap();
        let after = next.client("nightly report");
        lab.until(async || lab.ask(Some(&after)).await.ok()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        for _ in 0..20 {
            rows.try_next().await.unwrap().unwrap();
        }
        std::fs::write(&authorities, next.pem).unwrap();
        let began = Instant::now();
        let ended = loop {
            match rows.try_next().await {
                Ok(Some(_)) => assert!(began.elapsed() < Duration::from_secs(60), "it goes on for ever"),
                Ok(None) => panic!("the stream ended as if it were whole"),
                Err(status) => break status,
            }
        };
        assert_eq!(ended.code(), Code::PermissionDenied, "{ended}");
        assert!(ended.message().starts_with("the query was stopped:"), "{ended}");
        for _ in 0..20 {
            others.try_next().await.unwrap().unwrap();
        }
    });
}

#[test]
fn certificates_and_authorities_are_replaced_while_the_gateway_runs() {
    let lab = Lab::new(false);
    block_on(async {
        let (new_ours, new_clients) = (Authority::new("ours, the next"), Authority::new("the clients', the next"));
        let (before, after) = (lab.clients.client("nightly report"), new_clients.client("nightly report"));
        let open = lab.connect(&lab.ours, Some(&before)).await.unwrap();
        assert!(ask(&open).await.is_ok());
        assert!(lab.ask(Some(&after)).await.is_err());

        // Both for a while, then the next one alone: who came with the first has to come again.
        let authorities = lab.mesh.path().join("clients.pem");
        std::fs::write(&authorities, format!("{}{}", lab.clients.pem, new_clients.pem)).unwrap();
        lab.until(async || lab.ask(Some(&after)).await.ok()).await;
        assert!(ask(&open).await.is_ok());
        std::fs::write(&authorities, &new_clients.pem).unwrap();
        let status = lab.until(async || ask(&open).await.err()).await;
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(status.message().contains("not accepted, or not any more"), "{status}");
        assert!(lab.ask(Some(&before)).await.is_err());

        // A certificate without its key is no reason to stop; with it, it is taken up.
        let fresh = new_ours.server();
        std::fs::write(lab.mesh.path().join("server.pem"), &fresh.pem).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(lab.connect(&lab.ours, Some(&after)).await.is_ok(), "the one of before stays");
        fresh.write(lab.mesh.path());
        lab.until(async || lab.connect(&new_ours, Some(&after)).await.ok()).await;
        assert!(lab.connect(&lab.ours, Some(&after)).await.is_err());
    });
}
