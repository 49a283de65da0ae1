//! The HTTP port: for whoever runs the gateway, whether it is alive, takes queries, and what it has counted; and, where the
//! configuration has it, a page for people who need a token.
//!
//! - **In:** a [`Gateway`], a listening socket of the platform's own network, `GET` requests.
//! - **Out:** `/healthz`, `/readyz`, `/metrics`: no data, no name of a principal or of anything in the mesh. `/token` and what belongs to it: to who
//!   has logged in at the identity provider, the token that it made for them.
//! - **Must never know:** SQL, Flight, policies. Nobody is logged in here, so nothing is here that one had to be logged in for.

mod page;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use portcullis_gateway::{Gateway, Ready};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// All routes there are; each has its case in the test of doors.
pub const ROUTES: [&str; 3] = ["/healthz", "/metrics", "/readyz"];

/// The routes of the page for tokens; there is nothing there without it.
pub const PAGE_ROUTES: [&str; 3] = [page::PAGE, page::BACK, page::LOGIN];

/// Connections at the same time; more wait in the system's queue.
const CONNECTIONS: usize = 64;
/// How long a client may take to send the head of its request.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may last.
const LONGEST: Duration = Duration::from_secs(60);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Serves until the future is dropped.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, client)) => {
                let gateway = Arc::clone(&gateway);
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(LONGEST, connection(gateway, stream, client)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the HTTP port failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(gateway: Arc<Gateway>, stream: TcpStream, client: SocketAddr) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (gateway, request) = (Arc::clone(&gateway), request.map(drop));
        async move { Ok::<_, Infallible>(answer(&gateway, &request, client).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection to the HTTP port ended");
    }
}

async fn answer(gateway: &Gateway, request: &Request<()>, client: SocketAddr) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if let Some(page) = gateway.page().filter(|_| PAGE_ROUTES.contains(&path)) {
        if *request.method() != Method::GET {
            return only("GET");
        }
        return page::answer(gateway, page, request, client).await;
    }
    if !ROUTES.contains(&path) {
        return text(StatusCode::NOT_FOUND, "there is nothing here\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return only("GET, HEAD");
    }
    match path {
        "/readyz" => match gateway.ready() {
            Ready::Yes => text(StatusCode::OK, "ready\n"),
            Ready::ShuttingDown => text(StatusCode::SERVICE_UNAVAILABLE, "shutting down\n"),
            Ready::NoJournal => text(StatusCode::SERVICE_UNAVAILABLE, "the audit journal cannot be written\n"),
        },
        "/metrics" => respond(StatusCode::OK, gateway.metrics_text(), PROMETHEUS),
        _ => text(StatusCode::OK, "alive\n"),
    }
}

fn only(methods: &'static str) -> Response<Full<Bytes>> {
    let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    refused
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    respond(status, body, TEXT)
}

fn respond(status: StatusCode, body: impl Into<Bytes>, kind: HeaderValue) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
