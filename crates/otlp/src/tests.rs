#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, SystemTime};

use portcullis_gateway::{Trace, TraceParent, TracedOperator, TracedStage};

use crate::message::ExportRequest;

fn trace() -> Trace {
    let stage = |name, after, took| TracedStage {
        name,
        after: Duration::from_micros(after),
        took: Duration::from_micros(took),
    };
    Trace {
        query_id: "0123456789abcdef0123456789abcdef".to_owned(),
        parent: None,
        began: SystemTime::UNIX_EPOCH + Duration::from_secs(1),
        took: Duration::from_millis(5),
        outcome: "error",
        error: Some("internal"),
        rows: 7,
        bytes: 512,
        stages: vec![stage("parse", 0, 100), stage("govern", 100, 900)],
        operators: Vec::new(),
    }
}

#[test]
fn a_span_for_the_query_and_one_for_each_stage_below_it() {
    let request = ExportRequest::of(&[trace()]);
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["query", "parse", "govern"]);
    let id = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef_u128.to_be_bytes();
    assert!(spans.iter().all(|span| span.trace_id == id && span.span_id.len() == 8));
    assert!(spans[1..].iter().all(|span| span.parent_span_id == spans[0].span_id));
    assert!(spans[0].parent_span_id.is_empty());
    assert_ne!(spans[1].span_id, spans[2].span_id);
    let times = |at: usize| (spans[at].start_time_unix_nano, spans[at].end_time_unix_nano);
    assert_eq!(times(0), (1_000_000_000, 1_005_000_000));
    assert_eq!(times(2), (1_000_100_000, 1_001_000_000));
    assert_eq!(spans[0].status.as_ref().unwrap().code, 2);
}

#[test]
fn a_query_is_a_part_of_its_callers_trace() {
    let parent = Some(TraceParent { trace_id: 7, span_id: 9 });
    let other = Trace { query_id: "fedcba9876543210fedcba9876543210".to_owned(), ..trace() };
    let request = ExportRequest::of(&[Trace { parent, ..trace() }, Trace { parent, ..other }]);
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    assert!(spans.iter().all(|span| span.trace_id == 7u128.to_be_bytes()));
    let queries: Vec<_> = spans.iter().filter(|span| span.name == "query").collect();
    assert!(queries.iter().all(|span| span.parent_span_id == 9u64.to_be_bytes()));
    assert_eq!(spans[1].parent_span_id, spans[0].span_id);
    let ids: std::collections::BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), 6, "each its own, of both queries");
}

#[tokio::test]
async fn only_addresses_of_collectors_are_taken() {
    crate::collector("http://127.0.0.1:4317").unwrap();
    for address in ["https://collector:4317", "127.0.0.1:4317", "http://", "unix:/run/x"] {
        let error = crate::collector(address).map(drop).unwrap_err().to_string();
        assert_eq!(error, format!("`{address}` is no address of a collector: write `http://host:port`"));
    }
}

#[test]
fn operators_hang_below_the_stage_that_they_run_in() {
    let micros = Duration::from_micros;
    let operator = |name: &str, parent, rows: Option<u64>| TracedOperator {
        name: name.to_owned(),
        parent,
        after: micros(1_100),
        took: micros(2_000),
        busy: rows.map(|_| micros(1_500)),
        rows,
    };
    let stages = vec![TracedStage { name: "execute", after: micros(1_000), took: micros(4_000) }];
    let operators = vec![
        operator("UnionExec", None, None),
        operator("GovernedScan", Some(0), Some(7)),
        operator("GovernedScan", Some(0), None),
    ];
    let request = ExportRequest::of(&[Trace { stages, operators, ..trace() }]);
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    let parents: Vec<_> = spans.iter().map(|span| (span.name.as_str(), &span.parent_span_id)).collect();
    let ids: Vec<_> = spans.iter().map(|span| &span.span_id).collect();
    let below = |name, parent: usize| (name, ids[parent]);
    assert_eq!(
        parents[1..],
        [below("execute", 0), below("UnionExec", 1), below("GovernedScan", 2), below("GovernedScan", 2)]
    );
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
    assert_eq!((spans[3].start_time_unix_nano, spans[3].end_time_unix_nano), (1_001_100_000, 1_003_100_000));
    let named = |at: usize| spans[at].attributes.iter().map(|attribute| attribute.key.as_str()).collect::<Vec<_>>();
    assert_eq!(named(3), ["portcullis.busy_us", "portcullis.rows"]);
    assert!(named(2).is_empty() && named(4).is_empty(), "what is not known, or not to be known, is not there");
}
