//! Encrypted connections to a server of this test.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use tempfile::TempDir;

use super::{Login, open};
use crate::tables::tests::{PostgresServer, postgres_programs, skip};

/// An authority, and a certificate of it for this name, with its key.
fn certificate(name: &str) -> (RootCertStore, String, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&key).unwrap();
    let mut trusted = RootCertStore::empty();
    trusted.add(root.der().clone()).unwrap();
    let own = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&own, &Issuer::new(authority, key)).unwrap();
    (trusted, certificate.pem(), own.serialize_pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn external_postgres_is_who_it_says_or_is_told_nothing() {
    let Some(programs) = postgres_programs() else {
        skip("no PostgreSQL server (Debian's package `postgresql`)");
        return;
    };
    let directory = TempDir::new().unwrap();
    let home = directory.path();
    let (trusted, certificate, key) = certificate("localhost");
    let server = PostgresServer::start_encrypted(&programs, home, &certificate, &key);
    let login = |host, trusted| Login {
        connection: "lake",
        host,
        port: server.port,
        database: "postgres",
        user: "mesh",
        password: Some(PostgresServer::PASSWORD.to_owned()),
        trusted,
    };
    let patience = Duration::from_secs(20);
    let client = open(login("localhost", Some(trusted.clone())), patience).await.unwrap();
    let is_encrypted =
        "SELECT ssl, current_setting('transaction_read_only') FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = client.query_one(is_encrypted, &[]).await.unwrap();
    assert!(row.get::<_, bool>(0), "what is sent can be read");
    assert_eq!(row.get::<_, String>(1), "on");
    // Another name than the certificate's, and one whom nobody trusts.
    for (host, trusted) in [("127.0.0.1", trusted), ("localhost", super::trusted())] {
        let told = format!("{:?}", open(login(host, Some(trusted)), patience).await.unwrap_err());
        assert_eq!(told, "Unavailable(\"the database of connection `lake` did not answer\")", "{host}");
    }
}
