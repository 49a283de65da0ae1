//! Against a stand-in that answers what the catalogues which run here do not: types that the library does not know,
//! restrictions on reading, tokens that expire, credentials for each table.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use object_store::CredentialProvider;
use portcullis_contract::{ConnectionKind, RestAuth, SecretRef, SourcePath, StoreOptions, Table, TableFormat};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Loaded, read, restricts, unrestricted, vended};
use crate::tables::tests::{declared_in, fuzz};
use crate::tables::{Tables, TablesOptions};

/// A request: its first line, its headers in small letters, its body.
struct Asked {
    line: String,
    headers: HashMap<String, String>,
    body: String,
}

type Answer = dyn Fn(&Asked) -> (u16, Value) + Send + Sync;

/// In an answer's JSON: the tag that goes into its header.
const TAG: &str = "the test's tag";

/// A catalogue of this test: its address, and the first lines of what it was asked.
struct StandIn {
    uri: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    async fn start(answer: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/api", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, log): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&log)));
            }
        });
        Self { uri, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn table(&self, auth: RestAuth, column: (&str, &str)) -> Table {
        let kind = ConnectionKind::IcebergRest {
            uri: self.uri.clone(),
            warehouse: Some("w h".into()),
            prefix: None,
            auth,
            store: StoreOptions { endpoint: Some("https://s3.invalid".into()), ..StoreOptions::default() },
        };
        let path = SourcePath::Table("a.b.t é".into());
        declared_in(kind, path, "t", TableFormat::Iceberg, &[("id", "long"), column])
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<Answer>, log: Arc<Mutex<Vec<String>>>) {
    let mut text = Vec::new();
    let end = loop {
        if let Some(end) = text.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut text).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8(text[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: HashMap<_, _> = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while text.len() < end + length {
        stream.read_buf(&mut text).await.unwrap();
    }
    let asked = Asked { line, headers, body: String::from_utf8(text[end..].to_vec()).unwrap() };
    log.lock().unwrap().push(asked.line.clone());
    let (status, mut value) = answer(&asked);
    let tag = value.as_object_mut().and_then(|value| value.remove(TAG));
    let tag = tag.map(|tag| format!("etag: {}\r\n", tag.as_str().unwrap())).unwrap_or_default();
    let body = if status == 304 { String::new() } else { value.to_string() };
    let moved = if status == 307 { "location: http://127.0.0.1:1/\r\n" } else { "" };
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{moved}{tag}connection: close\r\n\r\n");
    let _ = stream.write_all((head + &body).as_bytes()).await;
}

/// A table with a column `v` of this type.
fn loaded(of: &str) -> Value {
    let field = |id: i32, name: &str, of: &str| json!({"id": id, "name": name, "required": false, "type": of});
    json!({"metadata-location": "s3://b/t/metadata/1.metadata.json", "metadata": {
        "format-version": 3, "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1", "location": "s3://b/t",
        "last-sequence-number": 0, "last-updated-ms": 1, "last-column-id": 2, "next-row-id": 0, "current-schema-id": 0,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": [field(1, "id", "long"), field(2, "v", of)]}],
        "default-spec-id": 0, "partition-specs": [{"spec-id": 0, "fields": []}], "last-partition-id": 999,
        "default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}]}})
}

fn tables(directory: &std::path::Path) -> Tables {
    let mut options = TablesOptions::new(directory);
    options.refresh_age = Duration::ZERO;
    Tables::new(options)
}

async fn told(stand_in: &StandIn, auth: RestAuth, column: (&str, &str)) -> String {
    let directory = tempfile::TempDir::new().unwrap();
    std::fs::write(directory.path().join("secret"), "s3cr3t&\n").unwrap();
    match tables(directory.path()).pin(&stand_in.table(auth, column)).await {
        Ok(pinned) => pinned.snapshot().to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_the_library_does_not_know_are_known_by_name() {
    for (of, column, expected) in [
        ("string", ("v", "string"), "empty"),
        ("unknown", ("v", "string"), "empty"),
        ("variant", ("id", "long"), "empty"),
        ("variant", ("v", "string"), "its column `v` has the type `variant`, which the gateway cannot read"),
        ("geometry(srid:4326)", ("v", "binary"), "has the type `geometry(srid:4326)`, which the gateway cannot read"),
        ("decimal(x)", ("id", "long"), "its Iceberg metadata is invalid"),
    ] {
        let answer = loaded(of);
        let stand_in = StandIn::start(move |asked| match asked.line.contains("/config") {
            true => (200, json!({"defaults": {"prefix": "no"}, "overrides": {"prefix": "p/q"}})),
            false => (200, answer.clone()),
        });
        let stand_in = stand_in.await;
        let error = told(&stand_in, RestAuth::None, column).await;
        assert!(error.ends_with(expected), "{of}: {error}");
        let asked = stand_in.asked();
        let wanted = ["GET /api/v1/config?warehouse=w+h", "GET /api/v1/p/q/namespaces/a%1Fb/tables/t%20%C3%A9"];
        assert_eq!(asked, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_its_catalogue_restricts_is_withheld() {
    let filter = json!({"required-row-filter": {"type": "eq", "term": "id", "value": 1}});
    for (restrictions, withheld) in [
        (filter, true),
        (json!({"required-column-projections": []}), true),
        (json!({"something-new": 1}), true),
        (json!(["x"]), true),
        (json!({"required-row-filter": null}), false),
        (json!({}), false),
        (Value::Null, false),
    ] {
        assert_eq!(restricts(Some(&restrictions)), withheld, "{restrictions}");
        let mut answer = loaded("string");
        answer["read-restrictions"] = restrictions.clone();
        let stand_in = StandIn::start(move |asked| match asked.line.contains("/config") {
            true => (200, json!({})),
            false => (200, answer.clone()),
        });
        let error = told(&stand_in.await, RestAuth::None, ("v", "string")).await;
        let expected = "table `test.t` is withheld: the catalogue of connection `lake` restricts how it may be read \
                        (`read-restrictions`), which the gateway does not apply";
        assert_eq!(error == expected, withheld, "{restrictions}: {error}");
        assert!(withheld || error == "empty", "{error}");
    }
}

fn credentials() -> RestAuth {
    RestAuth::ClientCredentials {
        client_id: "me".into(),
        client_secret: SecretRef::File("secret".into()),
        scope: None,
        token_uri: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_kept_and_renewed() {
    let granted = Arc::new(Mutex::new(0));
    let good = Arc::clone(&granted);
    let stand_in = StandIn::start(move |asked| {
        let mut number = good.lock().unwrap();
        if asked.line == "POST /api/v1/oauth/tokens" {
            assert!(asked.body.contains("client_secret=s3cr3t%26&scope=catalog"), "{}", asked.body);
            *number += 1;
            return (200, json!({"access_token": format!("t{number}"), "token_type": "bearer", "expires_in": 3600}));
        }
        // The second token is the first that is good for tables.
        let wanted = format!("Bearer t{}", if asked.line.contains("/config") { 1 } else { 2 });
        match asked.headers.get("authorization") == Some(&wanted) {
            true if asked.line.contains("/config") => (200, json!({})),
            true => {
                assert_eq!(asked.headers.get("x-iceberg-access-delegation").unwrap(), "vended-credentials");
                (200, loaded("string"))
            }
            false => (
                419,
                json!({"error": {"message": "t1 is over", "type": "AuthenticationTimeoutException", "code": 419}}),
            ),
        }
    })
    .await;
    let directory = tempfile::TempDir::new().unwrap();
    std::fs::write(directory.path().join("secret"), "s3cr3t&").unwrap();
    let tables = tables(directory.path());
    let table = stand_in.table(credentials(), ("v", "string"));
    tables.pin(&table).await.unwrap();
    assert_eq!(stand_in.asked().len(), 5, "a token, the configuration, a refusal, another token, the table");
    tables.pin(&table).await.unwrap();
    assert_eq!(stand_in.asked().len(), 1, "the token is kept");
    // One that is never good is not asked for without end.
    *granted.lock().unwrap() = 7;
    std::fs::write(directory.path().join("secret"), "s3cr3t&").unwrap();
    let error = told(&stand_in, credentials(), ("v", "string")).await;
    assert!(
        error.contains("refused the gateway's credentials") || error.contains("takes the gateway's token"),
        "{error}"
    );
    assert!(!error.contains("s3cr3t") && stand_in.asked().len() <= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_go_nowhere_else() {
    for (at, answer) in [
        ("/config", (307, json!({}))),
        ("/tables/", (307, json!({}))),
        ("/oauth/", (307, json!({}))),
        ("/config", (200, json!({"overrides": {"uri": "http://127.0.0.1:1/"}}))),
        ("/config", (200, json!({"overrides": {"uri": null}}))),
    ] {
        let stand_in = StandIn::start(move |asked| match &asked.line {
            line if line.contains(at) => answer.clone(),
            line if line.contains("/oauth/") => (200, json!({"access_token": "t"})),
            line if line.contains("/config") => (200, json!({})),
            _ => (200, loaded("string")),
        });
        let error = told(&stand_in.await, credentials(), ("v", "string")).await;
        assert!(error.contains("sends its clients to another address"), "{at}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_that_is_not_ready_is_asked_again() {
    for (times, expected) in [(3, "empty"), (4, "did not answer as it should; try again later")] {
        let count = Mutex::new(0);
        let stand_in = StandIn::start(move |asked| {
            let mut count = count.lock().unwrap();
            *count += 1;
            match asked.line.contains("/config") {
                true if *count <= times => (503, json!({})),
                true => (200, json!({})),
                false => (200, loaded("string")),
            }
        });
        let error = told(&stand_in.await, RestAuth::None, ("v", "string")).await;
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn credentials_of_the_longest_prefix_are_taken() {
    let said: Loaded<Value> = serde_json::from_value(json!({
        "metadata": {}, "config": {"s3.region": "of the table", "s3.endpoint": null}, "storage-credentials": [
            {"prefix": "s3://b/", "config": {"s3.access-key-id": "wide"}},
            {"prefix": "s3://b/t", "config": {"s3.access-key-id": "close", "s3.session-token": "x"}},
            {"prefix": "s3://b/other", "config": {"s3.access-key-id": "other"}}]}))
    .unwrap();
    let all =
        HashMap::from([("s3.endpoint".to_owned(), "of all".to_owned()), ("s3.region".to_owned(), "of all".to_owned())]);
    let mut found: Vec<_> = vended(&all, &said, "s3://b/t").into_iter().collect();
    found.sort();
    let found: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(found, ["s3.access-key-id=close", "s3.endpoint=of all", "s3.region=of the table", "s3.session-token=x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_renewed_while_a_query_runs() {
    let number = Arc::new(Mutex::new((0, "s3://b/t", Value::Null)));
    let lends = Arc::clone(&number);
    let stand_in = StandIn::start(move |asked| {
        if asked.line.contains("/config") {
            return (200, json!({}));
        }
        let mut state = lends.lock().unwrap();
        state.0 += 1;
        let mut answer = loaded("string");
        answer["config"] = json!({"s3.access-key-id": format!("key {}", state.0), "s3.secret-access-key": "s"});
        answer["metadata"]["location"] = json!(state.1);
        answer["read-restrictions"] = state.2.clone();
        (200, answer)
    })
    .await;
    let directory = tempfile::TempDir::new().unwrap();
    let tables = tables(directory.path());
    let pinned = tables.pin(&stand_in.table(RestAuth::None, ("v", "string"))).await.unwrap();
    let lent = Arc::clone(pinned.provider.root().root.lent.as_ref().unwrap());
    let key = async || lent.get_credential().await.unwrap().key_id.clone();
    assert_eq!(key().await, "key 1");
    lent.age();
    assert_eq!(key().await, "key 2");
    // Neither those of a table that was moved, nor of one that is restricted now.
    number.lock().unwrap().1 = "s3://b/elsewhere";
    lent.age();
    assert_eq!(key().await, "key 2");
    *number.lock().unwrap() = (3, "s3://b/t", json!({"required-row-filter": {}}));
    lent.age();
    assert_eq!(key().await, "key 2");
    number.lock().unwrap().2 = Value::Null;
    lent.age();
    assert_eq!(key().await, "key 5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_a_path_and_a_catalogue_may_say_its_own_address() {
    for (prefix, path) in [("main|gold", "main%7Cgold"), ("main%7Cgold", "main%7Cgold"), ("/a/ü?#", "a/%C3%BC%3F%23")]
    {
        let uri = Arc::new(Mutex::new(String::new()));
        let own = Arc::clone(&uri);
        let stand_in = StandIn::start(move |asked| match asked.line.contains("/config") {
            true => {
                (200, json!({"defaults": {"prefix": "no"}, "overrides": {"uri": format!("{}/", own.lock().unwrap())}}))
            }
            false => (200, loaded("string")),
        });
        let stand_in = stand_in.await;
        uri.lock().unwrap().clone_from(&stand_in.uri);
        let mut table = stand_in.table(RestAuth::None, ("v", "string"));
        let connection = Arc::get_mut(&mut table.source.connection).unwrap();
        let ConnectionKind::IcebergRest { prefix: of, .. } = &mut connection.kind else { panic!("another kind") };
        *of = Some(prefix.to_owned());
        tables(tempfile::TempDir::new().unwrap().path()).pin(&table).await.unwrap();
        assert!(stand_in.asked()[1].contains(&format!("/api/v1/{path}/namespaces/")), "{prefix}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_did_not_move_costs_a_conditional_request() {
    // What it says of the table now, and how often it said everything.
    let state = Arc::new(Mutex::new((1, Value::Null, 0)));
    let says = Arc::clone(&state);
    let stand_in = StandIn::start(move |asked| {
        if asked.line.contains("/config") {
            return (200, json!({}));
        }
        let mut state = says.lock().unwrap();
        let tag = format!("W/\"v{}\"", state.0);
        if asked.headers.get("if-none-match") == Some(&tag) {
            return (304, json!({TAG: tag}));
        }
        state.2 += 1;
        let mut answer = loaded("string");
        answer["metadata-location"] = json!(format!("s3://b/t/metadata/{}.metadata.json", state.0));
        answer["metadata"]["last-updated-ms"] = json!(state.0);
        answer["read-restrictions"] = state.1.clone();
        answer[TAG] = json!(tag);
        (200, answer)
    })
    .await;
    let directory = tempfile::TempDir::new().unwrap();
    let mut tables = tables(directory.path());
    let table = stand_in.table(RestAuth::None, ("v", "string"));
    let pin = async |tables: &Tables| tables.pin(&table).await.map_err(|error| error.to_string());
    let whole = || state.lock().unwrap().2;
    for _ in 0..3 {
        pin(&tables).await.unwrap();
    }
    assert_eq!((whole(), stand_in.asked().len()), (1, 4), "the configuration, and one request for each look");
    state.lock().unwrap().0 = 2;
    for _ in 0..3 {
        pin(&tables).await.unwrap();
    }
    assert_eq!(whole(), 2, "it moved once");
    // A store that was closed meanwhile is opened with what the catalogue says.
    tables.opener.stores.forget("lake");
    pin(&tables).await.unwrap();
    assert_eq!(whole(), 3);
    // The tag says nothing of restrictions: before long everything is asked for.
    state.lock().unwrap().1 = json!({"required-row-filter": {}});
    pin(&tables).await.unwrap();
    Arc::get_mut(&mut tables.opener).unwrap().catalogues.whole_after = Duration::ZERO;
    for _ in 0..2 {
        let error = pin(&tables).await.unwrap_err();
        assert!(error.contains("restricts how it may be read"), "{error}");
    }
    assert_eq!(whole(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_unchanged_of_which_nothing_is_known() {
    let stand_in = StandIn::start(|asked| match asked.line.contains("/config") {
        true => (200, json!({})),
        false => (304, json!({})),
    });
    let error = told(&stand_in.await, RestAuth::None, ("v", "string")).await;
    assert!(error.contains("did not answer as it should"), "{error}");
}

/// Whatever an answer is: a restriction that is in it is never overlooked.
#[test]
fn fuzz_catalogue_answers() {
    let mut answer = loaded("variant");
    answer["config"] = json!({"s3.access-key-id": "key", "expiry": null});
    answer["storage-credentials"] = json!([{"prefix": "s3://b/t", "config": {"s3.session-token": "token"}}]);
    answer["read-restrictions"] = json!({"required-column-projections": [{"field-id": 2, "action": {"type": "mask"}}], "required-row-filter": null});
    let whole = answer.to_string();
    fuzz::cases("catalogue_answers", 500, |rng| {
        let changed = fuzz::text(rng, whole.as_bytes());
        let _ = read(&changed);
        let Ok(said) = serde_json::from_slice::<Loaded<serde::de::IgnoredAny>>(&changed) else { return };
        let _ = vended(&HashMap::new(), &said, "s3://b/t");
        let Ok(value) = serde_json::from_slice::<Value>(&changed) else { return };
        let is_restricted = match value.get("read-restrictions") {
            None | Some(Value::Null) => false,
            Some(Value::Object(members)) => members.values().any(|member| !member.is_null()),
            Some(_) => true,
        };
        assert_eq!(unrestricted(&said, "c").is_err(), is_restricted, "{value}");
    });
}
