//! A real identity provider: Keycloak's tokens are principals' credentials, for the clients that people use, as they are
//! with a password. What Keycloak would never sign is tested in the crate that verifies.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_audit::{Query, search};
use portcullis_gateway::config::{Page, Span, TrustedIssuer};
use portcullis_gateway::{Config, ErrorKind, Gateway};
use serde_json::{Value, json};

use crate::support::{self, block_on, copy_of_mesh};
use crate::{token_exchange, token_page};

const ADMIN: &str = "a throw-away password";
const SQL: &str =
    "SELECT region, count(*) AS n, min(customer_id) AS least FROM orders.order_events GROUP BY region ORDER BY region";

#[test]
fn external_keycloak_tokens_are_credentials() {
    let (Some(archive), Some(python)) = (support::keycloak(), support::python()) else { return };
    let home = tempfile::tempdir().unwrap();
    let keycloak = Keycloak::start(&archive, home.path());
    let mesh = copy_of_mesh();
    let gateway = open(mesh.path(), &keycloak);
    let served = support::serve(Arc::clone(&gateway), None);
    let ask = |token: &str, purpose: Option<&str>| bearer(&python, &served.address.to_string(), token, SQL, purpose);

    // People of the provider's groups see what people of those groups see, group by group.
    let anna = keycloak.token("mesh", &[("client_id", "notebook"), ("username", "anna"), ("password", "anna")]);
    let same_as = |user: &str, purpose: Option<&str>| texts(&gateway, user, purpose);
    let facts = ask(&anna, None);
    assert_eq!(facts["pyarrow"], same_as("ana", None), "{facts}");
    assert_eq!(facts["adbc"], facts["pyarrow"], "{facts}");
    let nightly = keycloak.token(
        "mesh",
        &[("client_id", "nightly"), ("client_secret", "a throw-away secret"), ("grant_type", "client_credentials")],
    );
    let facts = ask(&nightly, Some("fraud"));
    assert_eq!(facts["pyarrow"], same_as("frida", Some("fraud")), "{facts}");
    assert_ne!(facts["pyarrow"], same_as("frida", None));
    // Whoever is in no group that means anything here finds nothing.
    let zoe = keycloak.token("mesh", &[("client_id", "notebook"), ("username", "zoe"), ("password", "zoe")]);
    let hidden = ask(&zoe, None)["pyarrow_error"].to_string();
    assert!(hidden.contains("table `orders.order_events` not found"), "{hidden}");

    refuses_what_is_not_meant_for_it(&keycloak, &ask, &anna);
    let annas = facts_of(&ask, &anna);
    people_log_in_from_a_terminal(&keycloak, &python, &ask, &annas);
    let at = |token: &str, address: SocketAddr| bearer(&python, &address.to_string(), token, SQL, None);
    token_exchange::services_act_with_exchanged_tokens(&keycloak, &at, &annas);
    token_page::people_get_a_token_with_a_browser(&keycloak, &at, &annas);
    follows_the_rotation_of_keys(&keycloak, &gateway, &anna);

    // The provider is gone: its keys are known for a while, and a gateway that never had them says so.
    let last = keycloak.token("mesh", &[("client_id", "notebook"), ("username", "anna"), ("password", "anna")]);
    block_on(gateway.bearer_session(&last, None)).unwrap();
    let other = open(copy_of_mesh().path(), &keycloak);
    drop(keycloak);
    block_on(gateway.bearer_session(&last, None)).unwrap();
    let error = block_on(other.bearer_session(&last, None)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.message.contains("is not available: it cannot be reached"), "{error}");
    assert!(block_on(other.login("ana", "ana", None)).is_ok(), "passwords go on");

    block_on(gateway.shutdown());
    audit_names_the_principals(mesh.path());
}

fn refuses_what_is_not_meant_for_it(keycloak: &Keycloak, ask: &dyn Fn(&str, Option<&str>) -> Value, anna: &str) {
    let refused = |token: &str, reason: &str| {
        let facts = ask(token, None);
        for client in ["pyarrow_error", "adbc_error"] {
            let error = facts[client].to_string();
            assert!(error.contains(reason), "{client}: {error}");
        }
    };
    let as_anna = |realm: &str, client: &str| {
        keycloak.token(realm, &[("client_id", client), ("username", "anna"), ("password", "anna")])
    };
    refused(&as_anna("mesh", "elsewhere"), "it was made for another audience");
    refused(&as_anna("other", "notebook"), "its issuer is not trusted");
    let brief = as_anna("mesh", "brief");
    std::thread::sleep(Duration::from_millis(2_500));
    refused(&brief, "the token has expired");
    let (header, rest) = anna.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    // {"alg":"none","typ":"JWT"}
    refused(&format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}."), "it is not signed in a way that is accepted");
    let other = as_anna("mesh", "elsewhere");
    let foreign = other.rsplit_once('.').unwrap().1;
    assert_ne!(foreign, signature);
    refused(&format!("{header}.{claims}.{foreign}"), "its signature is wrong");
}

/// What a token gets, before its keys are changed.
fn facts_of(ask: &dyn Fn(&str, Option<&str>) -> Value, token: &str) -> Value {
    ask(token, None)["pyarrow"].clone()
}

/// Text that one thread writes, and another reads meanwhile.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// `portcullis login`, with a person at Keycloak's pages, who agrees or does not.
fn people_log_in_from_a_terminal(
    keycloak: &Keycloak,
    python: &Path,
    ask: &dyn Fn(&str, Option<&str>) -> Value,
    expected: &Value,
) {
    let log_in = |does: &str| {
        let (out, err) = (Shared::default(), Shared::default());
        let (mut to_out, mut to_err) = (out.clone(), err.clone());
        let issuer = keycloak.issuer("mesh");
        let terminal = std::thread::spawn(move || {
            let arguments = ["portcullis", "login", "--issuer", &issuer, "--client-id", "terminal"];
            let mut streams = portcullis::Streams { out: &mut to_out, err: &mut to_err, interactive: false };
            block_on(portcullis::run(arguments.map(std::ffi::OsString::from), &mut streams))
        });
        let began = Instant::now();
        let page = loop {
            if let Some(page) = err.text().lines().find_map(|line| line.strip_prefix("open ").map(str::to_owned)) {
                break page;
            }
            assert!(began.elapsed() < Duration::from_secs(60) && !terminal.is_finished(), "{}", err.text());
            std::thread::sleep(Duration::from_millis(50));
        };
        let person = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python/keycloak_person.py");
        support::output_of(Command::new(python).arg(person).args([&page, "anna", "anna", does]));
        (terminal.join().unwrap(), out.text(), err.text())
    };
    let (code, token, err) = log_in("agree");
    assert_eq!(code, portcullis::OK, "{err}");
    assert!(!err.contains(token.trim()), "standard output has the token, and nothing else has");
    assert_eq!(&ask(token.trim(), None)["pyarrow"], expected, "as with her password");
    let (code, out, err) = log_in("refuse");
    assert_eq!((code, out.as_str()), (portcullis::FAILED, ""));
    assert!(err.ends_with("error: the login did not succeed: it was refused\n"), "{err}");
}

fn follows_the_rotation_of_keys(keycloak: &Keycloak, gateway: &Arc<Gateway>, anna: &str) {
    let old = keycloak.rotate("mesh");
    let renewed = keycloak.token("mesh", &[("client_id", "notebook"), ("username", "anna"), ("password", "anna")]);
    assert_ne!(renewed.split('.').next(), anna.split('.').next(), "signed with another key");
    // The issuer is asked for an unknown key at most every two seconds.
    std::thread::sleep(Duration::from_millis(2_100));
    block_on(gateway.bearer_session(&renewed, None)).unwrap();
    block_on(gateway.bearer_session(anna, None)).unwrap();
    keycloak.remove_key("mesh", &old);
    let started = Instant::now();
    let error = loop {
        match block_on(gateway.bearer_session(anna, None)) {
            Err(error) => break error,
            Ok(_) => assert!(started.elapsed() < Duration::from_secs(30), "a removed key is used for ever"),
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(error.message.contains("a key that its issuer does not publish"), "{error}");
    block_on(gateway.bearer_session(&renewed, None)).unwrap();
}

fn audit_names_the_principals(mesh: &Path) {
    let entries: Vec<_> =
        search(&mesh.join(".portcullis/audit"), &Query::default()).unwrap().map(Result::unwrap).collect();
    let seen = |principal: &str, group: &str| {
        entries.iter().any(|entry| {
            let begin = &entry.begin;
            begin.principal == principal && begin.authentication == "oidc" && begin.groups == [group.to_owned()]
        })
    };
    assert!(seen("sso:anna", "eu_analysts"), "{entries:?}");
    assert!(seen("sso:service-account-nightly", "fraud"), "{entries:?}");
}

fn open(mesh: &Path, keycloak: &Keycloak) -> Arc<Gateway> {
    open_with(mesh, keycloak, Page::default())
}

/// A gateway that trusts Keycloak's tokens, with this page for tokens.
pub fn open_with(mesh: &Path, keycloak: &Keycloak, page: Page) -> Arc<Gateway> {
    let mut config = Config::load(mesh).unwrap();
    config.catalogue.watch = false;
    config.identity.page = page;
    let groups = [("eu-analysts", "eu_analysts"), ("fraud-desk", "fraud")];
    config.identity.issuers = vec![TrustedIssuer {
        issuer: keycloak.issuer("mesh"),
        audience: vec!["portcullis".to_owned()],
        principal_claim: "preferred_username".to_owned(),
        principal_prefix: "sso:".to_owned(),
        groups: groups.map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned())).into(),
        clock_skew: Span::seconds(1),
        keys_age: Span::seconds(1),
        ..TrustedIssuer::default()
    }];
    block_on(Gateway::open(mesh, config)).unwrap()
}

/// What a user of the users file gets for the same question.
fn texts(gateway: &Gateway, user: &str, purpose: Option<&str>) -> Value {
    let session = support::session(gateway, user, purpose);
    let (_, batches) = block_on(support::rows(gateway, &session, SQL)).unwrap();
    batches.iter().flat_map(support::texts).collect()
}

/// What pyarrow and ADBC get for a statement with a bearer token.
pub fn bearer(python: &Path, address: &str, token: &str, sql: &str, purpose: Option<&str>) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python/bearer.py");
    let mut command = Command::new(python);
    command.arg(script).args([address, sql]).args(purpose);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A Keycloak of this test's own with two realms, stopped when it is dropped.
pub struct Keycloak {
    process: Child,
    url: String,
    client: reqwest::Client,
}

impl Keycloak {
    fn start(archive: &Path, home: &Path) -> Keycloak {
        support::output_of(Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(home));
        let root = std::fs::read_dir(home).unwrap().next().unwrap().unwrap().path();
        let realms = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/keycloak");
        support::copy(&realms, &root.join("data/import"));
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(root.join("keycloak.log")).unwrap();
        let process = Command::new(root.join("bin/kc.sh"))
            .args(["start-dev", "--db=dev-mem", "--http-host=127.0.0.1", "--import-realm"])
            .arg(format!("--http-port={port}"))
            .envs([("KC_BOOTSTRAP_ADMIN_USERNAME", "admin"), ("KC_BOOTSTRAP_ADMIN_PASSWORD", ADMIN)])
            .env("JAVA_OPTS_KC_HEAP", "-Xms128m -Xmx512m")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let keycloak = Keycloak { process, url: format!("http://127.0.0.1:{port}"), client: reqwest::Client::new() };
        let started = Instant::now();
        let answers =
            |path: String| block_on(keycloak.client.get(path).send()).is_ok_and(|got| got.status().is_success());
        let discovery = |realm| format!("{}/.well-known/openid-configuration", keycloak.issuer(realm));
        while !(answers(discovery("mesh")) && answers(discovery("other"))) {
            let log = || std::fs::read_to_string(root.join("keycloak.log")).unwrap_or_default();
            assert!(started.elapsed() < Duration::from_secs(300), "Keycloak does not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(500));
        }
        keycloak
    }

    pub fn issuer(&self, realm: &str) -> String {
        format!("{}/realms/{realm}", self.url)
    }

    /// A token for these credentials; with a password, unless another grant is among them.
    pub fn token(&self, realm: &str, credentials: &[(&str, &str)]) -> String {
        let mut form = vec![("grant_type", "password")];
        form.retain(|(name, _)| !credentials.iter().any(|(given, _)| given == name));
        form.extend(credentials);
        let url = format!("{}/protocol/openid-connect/token", self.issuer(realm));
        let answer = self.send(self.client.post(url).form(&form));
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    pub fn create_client(&self, realm: &str, client: &Value) {
        let clients = self.client.post(format!("{}/admin/realms/{realm}/clients", self.url));
        self.send(self.admin(clients).header("content-type", "application/json").body(client.to_string()));
    }

    /// Lets a new key sign from now on. Returns the id of the provider of the old one.
    fn rotate(&self, realm: &str) -> String {
        let components = format!("{}/admin/realms/{realm}/components", self.url);
        let found = self.send(self.admin(self.client.get(format!("{components}?type=org.keycloak.keys.KeyProvider"))));
        let old = found.as_array().unwrap().iter().find(|key| key["providerId"] == "rsa-generated").unwrap();
        let new = json!({"name": "next", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": old["parentId"], "config": {"priority": ["1000"], "algorithm": ["RS256"]}});
        self.send(
            self.admin(self.client.post(components)).header("content-type", "application/json").body(new.to_string()),
        );
        old["id"].as_str().unwrap().to_owned()
    }

    fn remove_key(&self, realm: &str, id: &str) {
        self.send(self.admin(self.client.delete(format!("{}/admin/realms/{realm}/components/{id}", self.url))));
    }

    fn admin(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let credentials = [("client_id", "admin-cli"), ("username", "admin"), ("password", ADMIN)];
        request.bearer_auth(self.token("master", &credentials))
    }

    /// The answer's JSON; null if it has none.
    fn send(&self, request: reqwest::RequestBuilder) -> Value {
        block_on(async {
            let answer = request.send().await.unwrap();
            let status = answer.status();
            let body = answer.bytes().await.unwrap();
            assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
            serde_json::from_slice(&body).unwrap_or_default()
        })
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        // The script's own process, and the Java that it may be waiting for.
        Command::new("kill").args(["-KILL", "--", &format!("-{}", self.process.id())]).status().ok();
        self.process.wait().ok();
    }
}
