//! The messages of OTLP 1 that are sent, with the fields that are used: `opentelemetry/proto/trace/v1/trace.proto` and what it
//! includes.

use std::time::{Duration, SystemTime};

use portcullis_gateway::{Trace, TracedOperator, TracedStage};
use prost::{Message, Oneof};

/// What the gateway calls itself.
const SERVICE: &str = "portcullis";

/// Spans of queries.
#[derive(Clone, PartialEq, Message)]
pub struct ExportRequest {
    /// From this process.
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// The answer, of which nothing is read.
#[derive(Clone, PartialEq, Message)]
pub struct ExportResponse {}

/// Spans of one process.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceSpans {
    /// Which process.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// By library; here, one.
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
}

/// A process.
#[derive(Clone, PartialEq, Message)]
pub struct Resource {
    /// `service.name`, `service.version`.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// Spans of one library.
#[derive(Clone, PartialEq, Message)]
pub struct ScopeSpans {
    /// The spans.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
}

/// A query, a stage of one, or an operator.
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    /// 16 bytes: the caller's trace, else the query's id.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// Of an operator, that of the one which it hands its rows to, or of the stage; of a stage, the query's; of a query, the caller's, if it
    /// has said so.
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    /// `query`, or the name of the stage or the operator.
    #[prost(string, tag = "5")]
    pub name: String,
    /// 1: internal; 2: server.
    #[prost(int32, tag = "6")]
    pub kind: i32,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "7")]
    pub start_time_unix_nano: u64,
    /// Nanoseconds since 1970.
    #[prost(fixed64, tag = "8")]
    pub end_time_unix_nano: u64,
    /// Numbers and words.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// Whether it failed.
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
}

/// How a span ended.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// 1: well; 2: with an error.
    #[prost(int32, tag = "3")]
    pub code: i32,
}

/// An attribute.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// An attribute's value.
#[derive(Clone, PartialEq, Message)]
pub struct AnyValue {
    /// One of these.
    #[prost(oneof = "Value", tags = "1, 3")]
    pub value: Option<Value>,
}

/// A word or a number.
#[derive(Clone, PartialEq, Oneof)]
pub enum Value {
    /// A word.
    #[prost(string, tag = "1")]
    Text(String),
    /// A number.
    #[prost(int64, tag = "3")]
    Number(i64),
}

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const OK: i32 = 1;
const ERROR: i32 = 2;

impl ExportRequest {
    /// The spans of these traces.
    pub fn of(traces: &[Trace]) -> ExportRequest {
        let resource = Resource {
            attributes: vec![text("service.name", SERVICE), text("service.version", env!("CARGO_PKG_VERSION"))],
        };
        let scope_spans = vec![ScopeSpans { spans: traces.iter().flat_map(spans).collect() }];
        ExportRequest { resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans }] }
    }
}

/// The stage in which operators run.
const EXECUTE: &str = "execute";

/// The query's span, then one for each stage, and one for each operator.
fn spans(trace: &Trace) -> Vec<Span> {
    let own = Own::of(trace);
    let stages = trace.stages.iter().enumerate().map(|(at, stage)| {
        let TracedStage { name, after, took } = *stage;
        own.span(1 + at, 0, name, (after, took), Vec::new())
    });
    let execute = trace.stages.iter().position(|stage| stage.name == EXECUTE).map_or(0, |at| 1 + at);
    let first = 1 + trace.stages.len();
    let operators = trace.operators.iter().enumerate().map(|(at, operator)| {
        let TracedOperator { name, parent, after, took, busy, rows } = operator;
        let busy = busy.map(|busy| number("portcullis.busy_us", u64::try_from(busy.as_micros()).unwrap_or(u64::MAX)));
        let attributes = busy.into_iter().chain(rows.map(|rows| number("portcullis.rows", rows))).collect();
        own.span(first + at, parent.map_or(execute, |parent| first + parent), name, (*after, *took), attributes)
    });
    std::iter::once(query(trace, &own)).chain(stages).chain(operators).collect()
}

/// What all spans of a query are made with.
struct Own {
    query: Vec<u8>,
    trace_id: Vec<u8>,
    begin: u64,
}

impl Own {
    fn of(trace: &Trace) -> Own {
        let query = trace_id(&trace.query_id);
        let trace_id = trace.parent.map_or_else(|| query.clone(), |parent| parent.trace_id.to_be_bytes().to_vec());
        Own { query, trace_id, begin: nanos(trace.began) }
    }

    /// Unlike each other, those of other queries of the trace too, and never zero.
    fn id(&self, number: usize) -> Vec<u8> {
        self.query.iter().take(6).copied().chain((number as u16 + 1).to_be_bytes()).collect()
    }

    fn span(
        &self,
        number: usize,
        parent: usize,
        name: &str,
        (after, took): (Duration, Duration),
        attributes: Vec<KeyValue>,
    ) -> Span {
        let start = self.begin.saturating_add(length(after));
        Span {
            trace_id: self.trace_id.clone(),
            span_id: self.id(number),
            parent_span_id: self.id(parent),
            name: name.to_owned(),
            kind: INTERNAL,
            start_time_unix_nano: start,
            end_time_unix_nano: start.saturating_add(length(took)),
            attributes,
            status: None,
        }
    }
}

fn query(trace: &Trace, own: &Own) -> Span {
    let mut attributes = vec![
        text("portcullis.query_id", &trace.query_id),
        text("portcullis.outcome", trace.outcome),
        number("portcullis.rows", trace.rows),
        number("portcullis.bytes", trace.bytes),
    ];
    attributes.extend(trace.error.map(|kind| text("error.type", kind)));
    let caller = trace.parent.map(|parent| parent.span_id.to_be_bytes().to_vec()).unwrap_or_default();
    let code = if trace.error.is_some() { ERROR } else { OK };
    Span {
        parent_span_id: caller,
        kind: SERVER,
        status: Some(Status { code }),
        ..own.span(0, 0, "query", (Duration::ZERO, trace.took), attributes)
    }
}

/// A query's id has 32 hexadecimal digits, as many as a trace's.
fn trace_id(query_id: &str) -> Vec<u8> {
    u128::from_str_radix(query_id, 16).unwrap_or(1).max(1).to_be_bytes().to_vec()
}

fn nanos(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, length)
}

fn length(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::Text(value.to_owned()))
}

fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::Number(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
