//! Traces to a collector of OpenTelemetry, over its protocol OTLP on gRPC: a span for each query, below it one
//! for each stage, and below the last of them one for each operator.
//!
//! - **In:** [`Trace`]s of queries that have ended, the collector's address.
//! - **Out:** `Export` calls of OTLP's trace service. A collector that is away costs nothing but its traces, which are counted as lost.
//! - **Must never know:** statements, principals, policies, rows. What it gets has no place for them.

mod message;

use std::sync::Arc;
use std::time::Duration;

use portcullis_gateway::{Metrics, Trace};
use tokio::sync::mpsc;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

pub use message::{ExportRequest, ExportResponse, Span, Value};

/// The method that is called.
pub const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Traces that wait to be sent; more are lost.
pub const WAITING: usize = 2_048;
/// Traces in one call.
const AT_ONCE: usize = 256;
/// How long traces wait for others to be sent with.
const GATHER: Duration = Duration::from_millis(500);
/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why no traces can be sent.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no address of a collector: write `http://host:port`")]
pub struct BadAddress(String);

/// The collector at `http://host:port`. Nothing is connected yet. Within a Tokio runtime only.
///
/// # Errors
/// When that is no such address.
pub fn collector(address: &str) -> Result<Channel, BadAddress> {
    let bad = || BadAddress(address.to_owned());
    if !address.starts_with("http://") {
        return Err(bad());
    }
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|_| bad())?;
    Ok(endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).connect_lazy())
}

/// Sends traces until there will be no more.
pub async fn export(collector: Channel, mut traces: mpsc::Receiver<Trace>, metrics: Arc<Metrics>) {
    let mut client = Grpc::new(collector);
    let mut reachable = true;
    let mut ready = Vec::with_capacity(AT_ONCE);
    while traces.recv_many(&mut ready, AT_ONCE).await > 0 {
        if ready.len() < AT_ONCE {
            tokio::time::sleep(GATHER).await;
            while ready.len() < AT_ONCE
                && let Ok(trace) = traces.try_recv()
            {
                ready.push(trace);
            }
        }
        let sent = send(&mut client, &ready).await;
        if let Err(status) = &sent {
            metrics.lost(ready.len() as u64);
            if reachable {
                tracing::warn!(code = ?status.code(), "traces cannot be sent to the collector; they are lost until they can");
            }
        } else if !reachable {
            tracing::info!("traces are sent to the collector again");
        }
        reachable = sent.is_ok();
        ready.clear();
    }
}

async fn send(client: &mut Grpc<Channel>, traces: &[Trace]) -> Result<(), Status> {
    client.ready().await.map_err(|_| Status::unavailable("the collector is not there"))?;
    let codec: ProstCodec<ExportRequest, ExportResponse> = ProstCodec::default();
    let request = Request::new(ExportRequest::of(traces));
    client.unary(request, PathAndQuery::from_static(EXPORT), codec).await.map(drop)
}

#[cfg(test)]
mod tests;
