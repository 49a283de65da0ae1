//! The page on which people get a token, with a real browser and a real identity provider; and by hand, what a browser would not send.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use portcullis_audit::{Query, search};
use portcullis_gateway::Gateway;
use portcullis_gateway::config::{KeyRef, Page};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::browser::Browser;
use crate::keycloak::{Keycloak, open_with};
use crate::support::{self, block_on, copy_of_mesh};

const COOKIE: &str = "portcullis-login";
/// All that a browser may do with a page of ours is to show it.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A gateway with the page, as a client of Keycloak's with a secret.
struct Lab {
    mesh: tempfile::TempDir,
    gateway: Arc<Gateway>,
    url: String,
}

impl Lab {
    fn new(keycloak: &Keycloak) -> Lab {
        let listener = block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mapper = |name: &str, kind: &str, config: Value| json!({"name": name, "protocol": "openid-connect", "protocolMapper": kind, "config": config});
        let groups = json!({"full.path": "false", "claim.name": "groups", "access.token.claim": "true"});
        let audience = json!({"included.custom.audience": "portcullis", "access.token.claim": "true"});
        keycloak.create_client(
            "mesh",
            &json!({"clientId": "page", "secret": "a short secret", "publicClient": false, "standardFlowEnabled": true,
                "redirectUris": [format!("{url}/token/callback")], "attributes": {"pkce.code.challenge.method": "S256"},
                "protocolMappers": [mapper("groups", "oidc-group-membership-mapper", groups),
                    mapper("audience", "oidc-audience-mapper", audience)]}),
        );
        let mesh = copy_of_mesh();
        std::fs::write(mesh.path().join("client.secret"), "a short secret\n").unwrap();
        let page = Page {
            url: Some(format!("{url}/")),
            client_id: "page".to_owned(),
            client_secret: Some(KeyRef::File("client.secret".into())),
            ..Page::default()
        };
        let gateway = open_with(mesh.path(), keycloak, page);
        support::runtime().spawn(portcullis_http::serve(Arc::clone(&gateway), listener));
        Lab { mesh, gateway, url }
    }
}

/// What comes back from a request that follows no redirection: status, headers, body.
fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, String) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut request = client.request(method.parse().unwrap(), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    block_on(async {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap())
    })
}

/// What every page of ours says to browsers.
fn is_closed(headers: &HeaderMap) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(headers.get(name).unwrap(), value);
    }
}

/// Begins a login by hand: the state that the provider is told, and the cookie that is to come back.
fn begin(lab: &Lab) -> (String, String) {
    let (status, headers, body) = ask("GET", &format!("{}/token/login", lab.url), &[]);
    assert_eq!(status, 303, "{body}");
    is_closed(&headers);
    let location = reqwest::Url::parse(headers["location"].to_str().unwrap()).unwrap();
    let state = location.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let cookie = headers["set-cookie"].to_str().unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=600; HttpOnly; SameSite=Lax", "on this machine without TLS");
    (state, pair.to_owned())
}

pub fn people_get_a_token_with_a_browser(
    keycloak: &Keycloak,
    ask_with: &dyn Fn(&str, SocketAddr) -> Value,
    expected: &Value,
) {
    let lab = Lab::new(keycloak);
    let served = support::serve(Arc::clone(&lab.gateway), None);
    only_who_began_a_login_ends_it(&lab);
    let home = tempfile::tempdir().unwrap();
    if let Some(browser) = Browser::start(home.path()) {
        let token = a_person_logs_in(&browser, &lab, keycloak);
        assert_eq!(&ask_with(&token, served.address)["pyarrow"], expected, "as with the password");
        drop(browser);
        nothing_of_it_is_kept(home.path(), &token);
    }
    block_on(lab.gateway.shutdown());
    let journal = lab.mesh.path().join(".portcullis/audit");
    let refused = search(&journal, &Query::default())
        .unwrap()
        .map(Result::unwrap)
        .any(|entry| entry.begin.statement.contains("login") && entry.begin.authentication == "oidc");
    assert!(refused, "a login that does not succeed has its record");
}

fn a_person_logs_in(browser: &Browser, lab: &Lab, keycloak: &Keycloak) -> String {
    browser.open(&format!("{}/token", lab.url));
    browser.click("#login");
    browser.write("#username", "anna");
    assert!(browser.url().starts_with(&keycloak.issuer("mesh")), "at the provider's page: {}", browser.url());
    browser.write("#password", "anna");
    browser.click("#kc-login");
    let token = browser.value("#token");
    assert!(token.starts_with("eyJ") && token.split('.').count() == 3, "{token}");
    let page = browser.page();
    assert!(page.contains("<b>sso:anna</b>"), "{page}");
    assert!(browser.url().starts_with(&lab.url) && !browser.url().contains("eyJ"), "{}", browser.url());
    assert_eq!(browser.cookies(), Vec::<String>::new(), "it is over");
    // The code is used, and the browser has nothing that it could be used with.
    browser.reload();
    assert!(browser.page().contains("There is no token: the login did not succeed: it was not begun in this browser"));
    assert!(!browser.page().contains("eyJ"));
    // Who is logged in at the provider already gets another one, if they ask for it.
    browser.click("#login");
    assert_ne!(browser.value("#token"), token);
    token
}

/// The token is shown, and written nowhere: not in the history, not in a cache.
fn nothing_of_it_is_kept(directory: &Path, token: &str) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            nothing_of_it_is_kept(&path, token);
        } else if let Ok(bytes) = std::fs::read(&path) {
            let signature = token.rsplit('.').next().unwrap().as_bytes();
            assert!(!bytes.windows(signature.len()).any(|window| window == signature), "{}", path.display());
        }
    }
}

fn only_who_began_a_login_ends_it(lab: &Lab) {
    let (status, headers, body) = ask("GET", &format!("{}/token", lab.url), &[]);
    assert_eq!(status, 200);
    is_closed(&headers);
    assert!(body.contains("href=\"/token/login\"") && !body.contains("<script") && !body.contains("<style"), "{body}");
    assert!(!headers.contains_key("set-cookie"));

    let ((state, cookie), (other_state, other_cookie)) = (begin(lab), begin(lab));
    let mut forged = cookie.clone();
    forged.pop();
    for (query, cookie, why) in [
        (format!("code=x&state={state}"), None, "it was not begun in this browser, or took too long"),
        (format!("code=x&state={state}"), Some(forged.as_str()), "it was not begun in this browser, or took too long"),
        (format!("code=x&state={state}"), Some(other_cookie.as_str()), "it was not begun in this browser"),
        (format!("code=x&state={other_state}"), Some(cookie.as_str()), "it was not begun in this browser"),
        ("code=x".to_owned(), Some(cookie.as_str()), "it was not begun in this browser"),
        (
            format!("error=access_denied&error_description=<script>&state={state}"),
            Some(cookie.as_str()),
            "it was refused",
        ),
        (format!("code=x&state={state}"), Some(cookie.as_str()), "the identity provider did not take the code"),
        (String::new(), None, "it was not begun in this browser, or took too long"),
    ] {
        let headers: Vec<_> = cookie.into_iter().map(|cookie| ("cookie", cookie)).collect();
        let (status, headers, body) = ask("GET", &format!("{}/token/callback?{query}", lab.url), &headers);
        assert_eq!(status, 401, "{query}: {body}");
        is_closed(&headers);
        assert!(body.contains(&format!("There is no token: the login did not succeed: {why}")), "{query}: {body}");
        assert!(!body.contains("<script") && !body.contains("textarea"), "{body}");
        assert_eq!(headers["set-cookie"], format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"));
    }
    for path in portcullis_http::PAGE_ROUTES {
        for method in ["POST", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            assert_eq!(ask(method, &format!("{}{path}", lab.url), &[]).0, 405, "{method} {path}");
        }
    }
    let elsewhere = ask("GET", &format!("{}/token/login", lab.url), &[("sec-fetch-site", "cross-site")]);
    assert_eq!(elsewhere.0, 403, "another site begins no login");
    assert!(!elsewhere.1.contains_key("set-cookie"));
}
