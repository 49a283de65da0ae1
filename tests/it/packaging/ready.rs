//! `portcullis ready`, which the image's health check asks.

use std::sync::Arc;

use crate::support::{self, block_on};

/// The exit code, what is printed, and the error.
fn ready(arguments: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut streams = portcullis::Streams { out: &mut out, err: &mut err, interactive: false };
    let words = ["portcullis", "ready"].iter().chain(arguments).map(Into::into);
    let code = block_on(portcullis::run(words.collect::<Vec<_>>(), &mut streams));
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn ready_is_what_the_gateway_says() {
    let mesh = support::copy_of_mesh();
    let gateway = block_on(support::open(mesh.path())).unwrap();
    let listener = block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    support::runtime().spawn(portcullis_http::serve(Arc::clone(&gateway), listener));
    let address = format!("127.0.0.1:{port}");
    assert_eq!(ready(&["--http", &address]), (0, "ready\n".to_owned(), String::new()));
    // As the configuration of a container has it: listening everywhere.
    std::fs::write(mesh.path().join("portcullis.toml"), format!("[listen]\nhttp = \"0.0.0.0:{port}\"\n")).unwrap();
    let configured = ["--mesh", mesh.path().to_str().unwrap()];
    assert_eq!(ready(&configured), (0, "ready\n".to_owned(), String::new()));
    gateway.close();
    assert_eq!(ready(&configured), (1, "shutting down\n".to_owned(), String::new()));
}

#[test]
fn nobody_is_not_ready() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let (code, out, error) = ready(&["--http", &address]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.starts_with(&format!("error: nobody answers on `{address}`: ")), "{error}");
    let mesh = support::copy_of_mesh();
    let (code, _, error) = ready(&["--mesh", mesh.path().to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(error.contains("`listen.http` is not set"), "{error}");
}
