//! Logins with a browser.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Key, NOW, StandIn, encode};
use crate::code::{Client, CodeLogin, Pending};

const BACK: &str = "https://gateway.example.com/token/callback";

fn client() -> Client {
    let (id, secret) = ("page".to_owned(), Some("a secret".to_owned()));
    Client { id, secret, redirect_uri: BACK.to_owned(), scope: "openid groups".to_owned() }
}

/// An issuer at which people can log in so, with its key.
async fn stand_in() -> (StandIn, Key) {
    let (idp, key) = (StandIn::start().await, Key::p256());
    idp.publish(&[key.public("one")]);
    let place = |path: &str| format!("{}{path}", idp.url);
    let metadata = json!({"issuer": idp.url, "jwks_uri": place("/keys"), "token_endpoint": place("/token"),
        "authorization_endpoint": place("/authorize?kept=1")});
    idp.answer("/.well-known/openid-configuration", "200 OK", &metadata.to_string());
    (idp, key)
}

fn pairs(query: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// A login that was begun, with what the person is sent to the issuer with.
async fn begun(idp: &StandIn) -> (CodeLogin, Pending, BTreeMap<String, String>) {
    let login = CodeLogin::new(idp.issuer(), client()).unwrap();
    let (url, pending) = login.begin().await.unwrap();
    let asked = pairs(url.query().unwrap());
    (login, pending, asked)
}

/// What the issuer says of who has logged in.
fn identity(idp: &StandIn, nonce: &str) -> Value {
    json!({"iss": idp.url, "aud": "page", "azp": "page", "sub": "anna", "exp": NOW / 1000 + 60, "nonce": nonce})
}

fn answer(idp: &StandIn, identity: &str) {
    let body = json!({"access_token": "eyJ", "id_token": identity, "token_type": "Bearer"});
    idp.answer("/token", "200 OK", &body.to_string());
}

#[tokio::test]
async fn who_comes_back_to_the_browser_with_the_code_gets_the_token() {
    let (idp, key) = stand_in().await;
    let (login, pending, asked) = begun(&idp).await;
    let fixed = ["kept", "response_type", "client_id", "redirect_uri", "scope", "code_challenge_method"];
    let said: Vec<&str> = fixed.iter().map(|name| asked[*name].as_str()).collect();
    assert_eq!(said, ["1", "code", "page", BACK, "openid groups", "S256"]);
    assert!(!asked.values().any(|value| value == "a secret"), "{asked:?}");
    let (other_url, other) = login.begin().await.unwrap();
    let others = pairs(other_url.query().unwrap());
    for secret in ["state", "nonce", "code_challenge"] {
        assert!(asked[secret].len() >= 43 && asked[secret] != others[secret], "{secret}: each login has its own");
    }
    assert_ne!(pending, other);

    answer(&idp, &key.token("one", &identity(&idp, &asked["nonce"])));
    let back = format!("code=c%30de&state={}&iss={}&session_state=x", asked["state"], idp.url);
    assert_eq!(login.finish(&pending, &back, NOW).await.unwrap(), "eyJ");
    let sent = pairs(&idp.sent());
    let challenge = encode(ring::digest::digest(&ring::digest::SHA256, sent["code_verifier"].as_bytes()).as_ref());
    assert_eq!(challenge, asked["code_challenge"]);
    let fixed = ["grant_type", "code", "redirect_uri", "client_id", "client_secret"];
    let said: Vec<&str> = fixed.iter().map(|name| sent[*name].as_str()).collect();
    assert_eq!(said, ["authorization_code", "c0de", BACK, "page", "a secret"]);
}

#[tokio::test]
async fn what_is_not_of_this_login_is_no_token() {
    let (idp, key) = stand_in().await;
    let (login, pending, asked) = begun(&idp).await;
    let (_, _, others) = begun(&idp).await;
    let state = &asked["state"];
    answer(&idp, &key.token("one", &identity(&idp, &asked["nonce"])));
    let did_not = |what: &str| format!("the login did not succeed: {what}");
    let before = idp.requests();
    for (back, expect) in [
        (format!("code=c&state={}", others["state"]), "it was not begun in this browser"),
        (format!("code=c&state={state}x"), "it was not begun in this browser"),
        ("code=c".to_owned(), "it was not begun in this browser"),
        (format!("code=c&state={state}&iss=https://elsewhere.example"), "it came back from another identity provider"),
        (format!("error=access_denied&error_description=<b>&state={state}"), "it was refused"),
        (format!("error=x&code=c&state={state}"), "it was refused"),
        (format!("state={state}"), "it came back with no code"),
        (format!("code=c&state={state}&state={state}"), "it came back with something twice"),
        (format!("code=c&code=d&state={state}"), "it came back with something twice"),
    ] {
        let error = login.finish(&pending, &back, NOW).await.unwrap_err();
        assert_eq!(error.to_string(), did_not(expect), "{back}");
    }
    assert_eq!(idp.requests(), before, "the issuer is not asked for any of these");

    let back = format!("code=c&state={state}");
    let with = |name: &str, value: Value| {
        let mut claims = identity(&idp, &asked["nonce"]);
        claims[name] = value;
        key.token("one", &claims)
    };
    for (identity, expect) in [
        (with("nonce", json!(others["nonce"])), "the token is refused: it was made for another login"),
        (with("nonce", Value::Null), "the token is refused: it was made for another login"),
        (with("aud", json!("notebook")), "the token is refused: it was made for another audience"),
        (with("aud", json!("portcullis")), "the token is refused: it was made for another audience"),
        (with("azp", json!("notebook")), "the token is refused: it was made for another client"),
        (with("iss", json!("https://elsewhere.example")), "the token is refused: its issuer is not trusted"),
        (with("exp", json!(NOW / 1000 - 60)), "the token has expired: get a new one from the identity provider"),
        (Key::p256().token("one", &identity(&idp, &asked["nonce"])), "the token is refused: its signature is wrong"),
    ] {
        answer(&idp, &identity);
        assert_eq!(login.finish(&pending, &back, NOW).await.unwrap_err().to_string(), expect);
    }
    let good = key.token("one", &identity(&idp, &asked["nonce"]));
    for odd in [
        json!({"access_token": "eyJ", "token_type": "Bearer"}),
        json!({"id_token": good, "token_type": "Bearer"}),
        json!({"access_token": "eyJ", "id_token": good, "token_type": "mac"}),
        json!({}),
    ] {
        idp.answer("/token", "200 OK", &odd.to_string());
        let error = login.finish(&pending, &back, NOW).await.unwrap_err().to_string();
        assert_eq!(error, did_not("the identity provider answered with no token"), "{odd}");
    }
    idp.answer("/token", "400 Bad Request", "{\"error\": \"invalid_grant\"}");
    let error = login.finish(&pending, &back, NOW).await.unwrap_err().to_string();
    assert_eq!(error, did_not("the identity provider did not take the code: begin again"));
}

#[tokio::test]
async fn the_person_is_sent_to_no_page_that_is_not_trusted() {
    let idp = StandIn::start().await;
    let login = CodeLogin::new(idp.issuer(), client()).unwrap();
    for (place, what) in [
        (Value::Null, "it names no page to log in"),
        (json!("http://id.example.com/authorize"), "its page to log in is not reached over https"),
        (json!("javascript:alert(1)"), "its page to log in is not reached over https"),
    ] {
        let metadata = json!({"issuer": idp.url, "jwks_uri": idp.url, "authorization_endpoint": place});
        idp.answer("/.well-known/openid-configuration", "200 OK", &metadata.to_string());
        let error = login.begin().await.unwrap_err().to_string();
        assert_eq!(error, format!("the identity provider `{}` is not available: {what}", idp.url));
    }
    for wrong in [Client { id: String::new(), ..client() }, Client { scope: "profile".to_owned(), ..client() }] {
        assert!(CodeLogin::new(idp.issuer(), wrong).is_err());
    }
    assert!(!format!("{:?}", client()).contains("secret"));
}
