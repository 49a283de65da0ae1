//! What is told to who runs the gateway: metrics, the dashboard made of them, traces, logs. None of it tells what was asked, or by whom.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use portcullis_gateway::Gateway;
use portcullis_otlp::{EXPORT, ExportRequest, ExportResponse, Value};
use prost::Message;
use regex::Regex;
use tonic::body::Body;
use tonic::codegen::http::{Request as Http, Response as Answer};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::support::{self, block_on};

const DENIED: &str = "SELECT name FROM customers.customer_profiles WHERE customer_id = 'literal-of-petra'";
const ANSWERED: &str =
    "SELECT customer_id, region FROM orders.order_events WHERE region <> 'literal-of-ana' ORDER BY order_id LIMIT 7";
/// What must not be told: literals, values, names of people, tables and columns. Long enough not to be met in random bytes.
const UNTOLD: [&str; 8] =
    ["literal", "SELECT", "petra", "fraud", "order_events", "customer_profiles", "region", "127.0.0.1"];

/// A gateway with a configuration of its own that has answered, refused and failed.
fn asked(telemetry: &str, before: impl FnOnce(&Arc<Gateway>)) -> (tempfile::TempDir, Arc<Gateway>) {
    let mesh = support::copy_of_mesh();
    std::fs::write(mesh.path().join("portcullis.toml"), telemetry).unwrap();
    let gateway = block_on(support::open(mesh.path())).unwrap();
    before(&gateway);
    let ana = support::session(&gateway, "ana", None);
    assert_eq!(
        block_on(support::rows(&gateway, &ana, ANSWERED)).unwrap().1.iter().map(|b| b.num_rows()).sum::<usize>(),
        7
    );
    block_on(support::rows(&gateway, &support::session(&gateway, "petra", None), DENIED)).unwrap_err();
    block_on(support::rows(&gateway, &ana, "SELECT 'literal' FROM nowhere.at_all")).unwrap_err();
    (mesh, gateway)
}

/// Names as Prometheus has them: of a histogram, three.
fn exported(metrics: &str) -> BTreeSet<String> {
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let names = |(name, kind): (&str, &str)| match kind {
        "histogram" => ["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")).to_vec(),
        _ => vec![name.to_owned()],
    };
    types.flat_map(names).collect()
}

fn named(text: &str) -> BTreeSet<String> {
    Regex::new("portcullis_[a-z_]*[a-z]").unwrap().find_iter(text).map(|name| name.as_str().to_owned()).collect()
}

#[test]
fn the_dashboard_and_the_documentation_name_the_metrics_that_there_are() {
    let exported = exported(&support::gateway().metrics_text());
    let read = |file: &str| std::fs::read_to_string(support::root().join(file)).unwrap();
    let dashboard = read("docs/grafana/portcullis.json");
    let panels: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(panels["panels"].as_array().unwrap().len() > 20);
    let shown = named(&dashboard);
    assert_eq!(shown.difference(&exported).collect::<Vec<_>>(), Vec::<&String>::new(), "metrics that there are not");
    assert_eq!(exported.difference(&shown).collect::<Vec<_>>(), Vec::<&String>::new(), "metrics that no panel shows");
    let lines = read("docs/operations.md");
    let table: String = lines.lines().filter(|line| line.starts_with("| `portcullis_")).collect();
    let family = |name: &String| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    };
    assert_eq!(named(&table), exported.iter().map(family).collect());
}

#[test]
fn stages_decisions_and_usage_are_counted() {
    let count = |metrics: &str, line: &str| -> f64 {
        let found = metrics.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("{line}: {metrics}")).parse().unwrap()
    };
    let metrics = asked("", |_| ()).1.metrics_text();
    assert_eq!(count(&metrics, "portcullis_decisions_total{decision=\"permitted\"}"), 1.0);
    // Of a name that is unknown, or may not be known, the decision is the same.
    assert_eq!(count(&metrics, "portcullis_decisions_total{decision=\"denied\"}"), 2.0);
    for (stage, times) in [("queue", 3.0), ("parse", 3.0), ("govern", 3.0), ("physical_plan", 1.0), ("execute", 1.0)] {
        assert_eq!(count(&metrics, &format!("portcullis_stage_seconds_count{{stage=\"{stage}\"}}")), times, "{stage}");
    }
    assert!(!metrics.contains("{domain="), "usage by domain is told only where it is asked for");
    let metrics = asked("[telemetry]\ndomains = true\n", |_| ()).1.metrics_text();
    assert_eq!(count(&metrics, "portcullis_domain_queries_total{domain=\"orders\"}"), 1.0);
    assert_eq!(count(&metrics, "portcullis_domain_rows_total{domain=\"orders\"}"), 7.0);
    assert!(count(&metrics, "portcullis_domain_seconds_total{domain=\"orders\"}") > 0.0);
    assert!(!metrics.contains("customers"), "what was denied is nobody's usage: {metrics}");
}

#[test]
fn what_caches_had_is_counted_by_names_that_are_documented() {
    let (mesh, gateway) = asked("[catalogue]\nrefresh_age = \"1h\"\n", |_| ());
    let uses = |gateway: &Arc<Gateway>| -> BTreeMap<(String, String), f64> {
        let line = Regex::new("(?m)^portcullis_cache_([a-z_]+)\\{cache=\"([^\"]*)\"\\} (.+)$").unwrap();
        let text = gateway.metrics_text();
        let found = line.captures_iter(&text).map(|line| line.extract().1);
        found.map(|[what, cache, value]| ((cache.to_owned(), what.to_owned()), value.parse().unwrap())).collect()
    };
    let before = uses(&gateway);
    let documented = std::fs::read_to_string(support::root().join("docs/security-model.md")).unwrap();
    for (cache, _) in before.keys() {
        assert!(documented.contains(&format!("`{cache}`")), "{cache} is in no row of the documentation");
    }
    let ana = support::session(&gateway, "ana", None);
    block_on(support::rows(&gateway, &ana, ANSWERED)).unwrap();
    let after = uses(&gateway);
    let more = |cache: &str, what: &str| {
        let of = (cache.to_owned(), what.to_owned());
        after[&of] - before[&of]
    };
    for cache in ["decisions", "tables", "file_plans", "footers"] {
        assert!(before[&(cache.to_owned(), "misses_total".to_owned())] > 0.0, "{cache}: {before:?}");
        assert!(more(cache, "hits_total") > 0.0, "{cache}: {before:?} {after:?}");
        assert_eq!(more(cache, "misses_total"), 0.0, "{cache}: what was asked for again was there");
    }
    // A new set of policies knows no decision, and what was counted is not forgotten.
    let policy =
        "@id(\"another\")\npermit (principal == User::\"nobody\", action == Action::\"discover\", resource);\n";
    std::fs::write(mesh.path().join("policies/another.cedar"), policy).unwrap();
    assert!(block_on(gateway.reload()));
    let reloaded = uses(&gateway);
    assert_eq!(reloaded[&("decisions".to_owned(), "entries".to_owned())], 0.0);
    let hits = ("decisions".to_owned(), "hits_total".to_owned());
    assert_eq!(reloaded[&hits], after[&hits]);
}

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportRequest>>>);

impl NamedService for Collector {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl UnaryService<ExportRequest> for Collector {
    type Response = ExportResponse;
    type Future = BoxFuture<Response<ExportResponse>, Status>;

    fn call(&mut self, request: Request<ExportRequest>) -> Self::Future {
        self.0.lock().unwrap().push(request.into_inner());
        Box::pin(async { Ok(Response::new(ExportResponse {})) })
    }
}

impl Service<Http<Body>> for Collector {
    type Response = Answer<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Answer<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Http<Body>) -> Self::Future {
        assert_eq!(request.uri().path(), EXPORT);
        let service = self.clone();
        let codec: ProstCodec<ExportResponse, ExportRequest> = ProstCodec::default();
        Box::pin(async move { Ok(Grpc::new(codec).unary(service, request).await) })
    }
}

/// Collects what is sent to an address.
fn collect(listener: tokio::net::TcpListener) -> Collector {
    let collector = Collector::default();
    let serving = tonic::transport::Server::builder().add_service(collector.clone());
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    support::runtime().spawn(async move { serving.serve_with_incoming(incoming).await.unwrap() });
    collector
}

fn export(gateway: &Arc<Gateway>, address: std::net::SocketAddr) -> tokio::task::JoinHandle<()> {
    let metrics = Arc::clone(gateway.metrics());
    let _within = support::runtime().enter();
    let collector = portcullis_otlp::collector(&format!("http://{address}")).unwrap();
    let traces = metrics.traces(portcullis_otlp::WAITING);
    support::runtime().spawn(portcullis_otlp::export(collector, traces, metrics))
}

#[test]
fn traces_have_a_span_for_each_stage_and_nothing_of_what_was_asked() {
    let listener = block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let collector = collect(listener);
    let mut exporting = None;
    let (mesh, gateway) = asked("", |gateway| exporting = Some(export(gateway, address)));
    gateway.metrics().end_traces();
    block_on(exporting.unwrap()).unwrap();

    let requests = collector.0.lock().unwrap();
    let spans: Vec<_> = requests
        .iter()
        .flat_map(|request| &request.resource_spans)
        .flat_map(|r| &r.scope_spans)
        .flat_map(|s| &s.spans)
        .collect();
    let queries: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    assert_eq!(queries.len(), 3);
    assert_eq!(queries.iter().map(|span| span.status.as_ref().unwrap().code).collect::<Vec<_>>(), [1, 2, 2]);
    let below: Vec<&str> = spans
        .iter()
        .filter(|span| span.trace_id == queries[0].trace_id && span.parent_span_id == queries[0].span_id)
        .map(|span| span.name.as_str())
        .collect();
    for stage in [
        "queue",
        "parse",
        "govern",
        "pin",
        "bind",
        "optimise",
        "physical plan",
        "verify physical plan",
        "record",
        "execute",
    ] {
        assert!(below.contains(&stage), "{stage}: {below:?}");
    }
    // Below the last stage, what ran: as far down as the barrier, with visible rows.
    let named = |name: &str| spans.iter().copied().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}"));
    let scan = named("GovernedScan");
    let mut above = vec![scan];
    while let Some(parent) = spans.iter().find(|span| span.span_id == above[above.len() - 1].parent_span_id) {
        above.push(parent);
    }
    let road: Vec<&str> = above.iter().map(|span| span.name.as_str()).collect();
    assert!(road.len() > 3 && road.ends_with(&["execute", "query"]), "{road:?}");
    assert!(spans.iter().all(|span| span.parent_span_id != scan.span_id), "nothing is told of what is below a barrier");
    let rows = |span: &portcullis_otlp::Span| {
        let value = span.attributes.iter().find(|attribute| attribute.key == "portcullis.rows")?.value.clone()?.value?;
        if let Value::Number(rows) = value { Some(rows) } else { None }
    };
    assert_eq!(rows(above[above.len() - 3]), Some(7), "the last operator hands on the answer");
    let of_a_query = |span: &&&portcullis_otlp::Span| span.trace_id == queries[0].trace_id;
    for span in spans.iter().filter(of_a_query) {
        assert!(span.start_time_unix_nano >= queries[0].start_time_unix_nano, "{}", span.name);
        assert!(span.end_time_unix_nano <= queries[0].end_time_unix_nano, "{}", span.name);
    }
    // The trace's id is the query's, as the client and the journal have it.
    let journal = mesh.path().join(".portcullis/audit");
    let entries = portcullis_audit::search(&journal, &portcullis_audit::Query::default()).unwrap();
    let recorded: BTreeSet<String> = entries.map(|entry| entry.unwrap().begin.query_id).collect();
    let hex = |id: &Vec<u8>| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(queries.iter().map(|span| hex(&span.trace_id)).collect::<BTreeSet<_>>(), recorded);
    let visible = "SELECT count(*) FROM orders.order_events";
    let visible = block_on(support::rows(&gateway, &support::session(&gateway, "ana", None), visible)).unwrap().1;
    let visible = visible[0].column(0).as_primitive::<Int64Type>().value(0);
    assert!(rows(scan).is_some_and(|rows| (7..=visible).contains(&rows)), "{:?} of {visible}", rows(scan));
    for request in requests.iter() {
        let bytes = request.encode_to_vec();
        let text = String::from_utf8_lossy(&bytes);
        // Ids are random: only whole words count.
        let words: BTreeSet<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').collect();
        for untold in UNTOLD {
            assert!(!words.contains(untold), "`{untold}` is told: {text}");
        }
        assert!(!text.contains("literal"), "{text}");
    }
}

/// Who reads the log, the journal, traces or metrics cannot ask as somebody else: no credential is in them, good or not, nor a
/// session's cookie.
#[test]
#[cfg(unix)]
fn no_credential_is_told_to_who_runs_the_gateway() {
    let listener = block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let collector = collect(listener);
    let mesh = support::copy_of_mesh();
    let settings = "[listen]\nhttp = \"127.0.0.1:0\"\n[log]\nvalues = true\n[telemetry]\ndomains = true\n";
    std::fs::write(mesh.path().join("portcullis.toml"), format!("{settings}otlp = \"http://{address}\"\n")).unwrap();
    let personal = crate::flight::personal::create(mesh.path(), &["--all-domains"]);
    let mut serving = crate::shutdown::Serving::start(mesh.path(), "trace");
    let served = support::Served::elsewhere(serving.flight.parse().unwrap());
    let mut secrets = block_on(credentials_of(&served, &personal));
    let metrics = serving.get("/metrics").unwrap();
    serving.terminate();
    assert_eq!(serving.ended(), Some(0));
    secrets.push(personal);
    let log = serving.log.lock().unwrap().clone();
    let journal: Vec<_> = portcullis_audit::search(&mesh.path().join(".portcullis/audit"), &Default::default())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let traces: Vec<u8> = collector.0.lock().unwrap().iter().flat_map(Message::encode_to_vec).collect();
    // There is something to be read.
    assert!(log.contains("query began") && log.contains("stage"), "{log}");
    assert!(journal.iter().any(|entry| entry.begin.authentication == "personal_token"), "{journal:?}");
    assert!(journal.iter().any(|entry| entry.begin.statement == "(login)"), "{journal:?}");
    assert!(metrics.contains("portcullis_queries_total{outcome=\"success\"}") && traces.len() > 100, "{metrics}");
    let texts = [("log", log), ("journal", format!("{journal:?}")), ("metrics", metrics)];
    let traces = ("traces", String::from_utf8_lossy(&traces).into_owned());
    for (place, text) in texts.into_iter().chain([traces]) {
        for secret in &secrets {
            // Part of it is too much.
            let part = &secret[secret.len() / 3..secret.len() * 2 / 3];
            assert!(part.len() >= 8 && !text.contains(part), "`{part}` of `{secret}` is in the {place}: {text}");
        }
    }
}

/// Credentials of all kinds that were shown to a server: taken, refused, of a session, and what was sealed for them.
#[cfg(unix)]
async fn credentials_of(served: &support::Served, personal: &str) -> Vec<String> {
    use crate::flight::{Kept, descriptor, login, statement, with};
    const PASSWORD: &str = "not-the-password-of-ana";
    let mut raw = arrow_flight::flight_service_client::FlightServiceClient::new(crate::flight::channel(served).await);
    let mut wrong = arrow_flight::sql::client::FlightSqlServiceClient::new(crate::flight::channel(served).await);
    wrong.handshake("ana", PASSWORD).await.unwrap_err();
    let mut ana = login(served, "ana").await;
    let token = ana.token().unwrap().clone();
    crate::flight::query(&mut ana, ANSWERED).await;
    let info = ana.execute("SELECT 1".to_owned(), None).await.unwrap();
    ana.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    let asked = |token: &str| with(token, descriptor(&statement("SELECT 1")));
    let made = raw.get_flight_info(asked(personal)).await.unwrap().into_inner();
    raw.do_get(with(personal, made.endpoint[0].ticket.clone().unwrap())).await.unwrap();
    raw.get_flight_info(with(personal, descriptor(&statement("SELECT nothing")))).await.unwrap_err();
    // One letter of a token is another: refused, and nearly as good.
    let forged = |token: &str| {
        let mut forged = token.to_owned();
        let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
        forged.push(last);
        forged
    };
    for token in [token.as_str(), personal] {
        raw.get_flight_info(asked(&forged(token))).await.unwrap_err();
    }
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEiLCJpc3MiOiJodHRwczovL2Vsc2V3aGVyZSJ9.c2lnbmF0dXJlLW9mLW5vYm9keQ";
    raw.get_flight_info(asked(jwt)).await.unwrap_err();
    let mut kept = Kept::login(served, "frida").await;
    kept.query("SET purpose = 'fraud'").await;
    let cookie = kept.cookie();
    vec![PASSWORD.to_owned(), token, jwt.to_owned(), cookie]
}

/// Whoever says with a call which span it belongs to finds the query there: one that was refused, too.
#[test]
fn a_query_is_a_part_of_its_callers_trace() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let listener = block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let collector = collect(listener);
    let mesh = support::copy_of_mesh();
    let gateway = block_on(support::open(mesh.path())).unwrap();
    let exporting = export(&gateway, address);
    let served = support::serve(Arc::clone(&gateway), None);
    block_on(async {
        let mut ana = crate::flight::login(&served, "ana").await;
        for parent in [PARENT, "00-00000000000000000000000000000000-b7ad6b7169203331-01", "literal"] {
            ana.set_header("traceparent", parent);
            crate::flight::query(&mut ana, "SELECT 1").await;
        }
        ana.set_header("traceparent", PARENT);
        let info = ana.execute("SELECT $1".to_owned(), None).await.unwrap();
        ana.do_get(info.endpoint[0].ticket.clone().unwrap()).await.map(drop).unwrap_err();
    });
    gateway.metrics().end_traces();
    block_on(exporting).unwrap();
    let requests = collector.0.lock().unwrap();
    let resources = requests.iter().flat_map(|request| &request.resource_spans);
    let spans: Vec<_> = resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans).collect();
    let queries = spans.iter().copied().filter(|span| span.name == "query");
    let (theirs, own): (Vec<&portcullis_otlp::Span>, Vec<_>) =
        queries.partition(|span| !span.parent_span_id.is_empty());
    assert_eq!((theirs.len(), own.len()), (2, 2));
    let (trace, parent) = (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128, 0xb7ad_6b71_6920_3331_u64);
    for query in &theirs {
        assert_eq!(
            (&query.trace_id[..], &query.parent_span_id[..]),
            (&trace.to_be_bytes()[..], &parent.to_be_bytes()[..])
        );
        assert!(spans.iter().any(|span| span.name == "parse" && span.parent_span_id == query.span_id));
    }
    assert_ne!(theirs[0].span_id, theirs[1].span_id);
    assert_eq!(theirs.iter().map(|span| span.status.as_ref().unwrap().code).collect::<Vec<_>>(), [1, 2]);
    assert!(own.iter().all(|query| query.trace_id != trace.to_be_bytes()));
}

#[test]
fn a_collector_that_is_away_costs_traces_only() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut exporting = None;
    let (_mesh, gateway) = asked("", |gateway| exporting = Some(export(gateway, address)));
    gateway.metrics().end_traces();
    block_on(async { tokio::time::timeout(Duration::from_secs(120), exporting.unwrap()).await.unwrap().unwrap() });
    assert!(gateway.metrics_text().contains("portcullis_traces_lost_total 3\n"), "{}", gateway.metrics_text());
    // Nobody takes them: one waits, the others are lost.
    let mut waiting = None;
    let (_mesh, gateway) = asked("", |gateway| waiting = Some(gateway.metrics().traces(1)));
    assert!(gateway.metrics_text().contains("portcullis_traces_lost_total 2\n"), "{}", gateway.metrics_text());
}

/// What a log writes to.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_log_is_structured_and_has_the_id_that_the_client_has() {
    use tracing_subscriber::layer::SubscriberExt;
    let lines = Lines::default();
    let writer = lines.clone();
    let filter = tracing_subscriber::EnvFilter::new("trace");
    // Where something logs for the first time, whether anybody listens is asked in the thread that comes there first, which may be
    // another test's. What has logged before asks all who listen, so this goes all the way once.
    let gateway = support::gateway();
    let ana = support::session(&gateway, "ana", None);
    drop(block_on(gateway.query(&ana, ANSWERED, None)).unwrap());
    let layer = portcullis::log::layer(portcullis::log::Format::Json, filter, move || writer.clone());
    let id = tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!(target: "sqlparser", "a line of another library with a 'literal'");
        let stream = block_on(gateway.query(&ana, ANSWERED, None)).unwrap();
        stream.query_id().to_owned()
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let objects: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_it: Vec<&str> =
        objects.iter().filter(|line| line["query"] == id).map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(of_it, ["query began", "query ended"], "{text}");
    assert!(objects.iter().any(|line| line["stage"] == "parse" && line["us"].is_u64()), "{text}");
    assert!(!text.contains("literal") && !text.contains("SELECT"), "{text}");
}
