//! Tokens that a well-behaved identity provider does not make, against a stand-in that does: a real one is in the
//! integration tests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

mod code;
mod device;

const NOW: i64 = 1_800_000_000_000;

/// A key of the stand-in's.
enum Key {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    fn p256() -> Key {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Key::P256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap())
    }

    fn ed25519() -> Key {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Key::Ed25519(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Key::P256(_) => "ES256",
            Key::Ed25519(_) => "EdDSA",
        }
    }

    fn public(&self, id: &str) -> Value {
        match self {
            Key::P256(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = (encode(&point[..32]), encode(&point[32..]));
                json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "x": x, "y": y})
            }
            Key::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": encode(pair.public_key().as_ref())})
            }
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = match self {
            Key::P256(pair) => pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
            Key::Ed25519(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", encode(&signature))
    }

    fn token(&self, id: &str, claims: &Value) -> String {
        self.sign(&json!({"alg": self.algorithm(), "typ": "JWT", "kid": id}), claims)
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a stand-in answers: (path, status line with further headers, body).
type Answers = Arc<Mutex<Vec<(String, String, String)>>>;

struct StandIn {
    url: String,
    answers: Answers,
    requests: Arc<AtomicUsize>,
    /// The body of the latest request that had one.
    sent: Arc<Mutex<String>>,
    serving: tokio::task::JoinHandle<()>,
}

impl StandIn {
    async fn start() -> StandIn {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (answers, requests) = (Answers::default(), Arc::new(AtomicUsize::new(0)));
        let sent = Arc::<Mutex<String>>::default();
        let serving = tokio::spawn(serve(listener, Arc::clone(&answers), Arc::clone(&requests), Arc::clone(&sent)));
        let stand_in = StandIn { url, answers, requests, sent, serving };
        stand_in.discovery(&stand_in.url, &format!("{}/keys", stand_in.url));
        stand_in
    }

    fn answer(&self, path: &str, status: &str, body: &str) {
        let mut answers = self.answers.lock().unwrap();
        answers.retain(|(known, ..)| known != path);
        answers.push((path.to_owned(), status.to_owned(), body.to_owned()));
    }

    /// What it answers after what it answers now.
    fn then(&self, path: &str, status: &str, body: &str) {
        self.answers.lock().unwrap().push((path.to_owned(), status.to_owned(), body.to_owned()));
    }

    fn discovery(&self, issuer: &str, keys: &str) {
        let document = json!({"issuer": issuer, "jwks_uri": keys});
        self.answer("/.well-known/openid-configuration", "200 OK", &document.to_string());
    }

    fn publish(&self, keys: &[Value]) {
        self.answer("/keys", "200 OK", &json!({"keys": keys}).to_string());
    }

    fn claims(&self) -> Value {
        json!({"iss": self.url, "aud": ["portcullis", "account"], "sub": "anna", "exp": NOW / 1000 + 60,
            "iat": NOW / 1000 - 60, "groups": ["analysts"]})
    }

    fn issuer(&self) -> Issuer {
        let algorithms = vec![Algorithm::Es256, Algorithm::EdDsa];
        Issuer { algorithms, ..Issuer::new(self.url.as_str(), vec!["portcullis".to_owned()]) }
    }

    fn trusted(&self) -> Issuers {
        Issuers::new(vec![self.issuer()]).unwrap()
    }

    fn sent(&self) -> String {
        self.sent.lock().unwrap().clone()
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, answers: Answers, requests: Arc<AtomicUsize>, sent: Arc<Mutex<String>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        requests.fetch_add(1, Ordering::SeqCst);
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).await.unwrap() == 0 {
                break;
            }
            request.push(byte[0]);
        }
        let request = String::from_utf8(request).unwrap();
        let path = request.split_whitespace().nth(1).unwrap();
        let length =
            request.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if let Some(length) = length {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            *sent.lock().unwrap() = String::from_utf8(body).unwrap();
        }
        let found = {
            let mut answers = answers.lock().unwrap();
            let first = answers.iter().position(|(known, ..)| known == path);
            let another = answers.iter().filter(|(known, ..)| known == path).count() > 1;
            first.map(|at| if another { answers.remove(at) } else { answers[at].clone() })
        };
        let (_, status, body) = found.unwrap_or_else(|| (String::new(), "404 Not Found".to_owned(), String::new()));
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

async fn refusal(issuers: &Issuers, token: &str) -> String {
    issuers.verify(token, NOW).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_token_of_a_trusted_issuer_is_accepted_with_its_claims() {
    let idp = StandIn::start().await;
    for key in [Key::p256(), Key::ed25519()] {
        idp.publish(&[key.public("one")]);
        let issuers = idp.trusted();
        let verified = issuers.verify(&key.token("one", &idp.claims()), NOW).await.unwrap();
        assert_eq!(verified.issuer, idp.url);
        assert_eq!(verified.claims["groups"], json!(["analysts"]));
        assert_eq!(verified.expires_ms, NOW + 60_000 + 30_000, "with the clocks' skew");
    }
}

#[tokio::test]
async fn claims_that_are_not_for_us_or_for_now_are_refused() {
    let idp = StandIn::start().await;
    let key = Key::p256();
    idp.publish(&[key.public("one")]);
    let issuers = idp.trusted();
    let seconds = NOW / 1000;
    let cases = [
        ("iss", json!("https://elsewhere.example"), "the token is refused: its issuer is not trusted"),
        ("iss", json!(format!("{}/", idp.url)), "the token is refused: its issuer is not trusted"),
        ("iss", json!(7), "the token is refused: it names no issuer"),
        ("aud", json!("account"), "the token is refused: it was made for another audience"),
        ("aud", json!(["portcullis2"]), "the token is refused: it was made for another audience"),
        ("aud", Value::Null, "the token is refused: it was made for another audience"),
        ("exp", json!(seconds - 30), "the token has expired: get a new one from the identity provider"),
        ("exp", json!((seconds + 60).to_string()), "the token is refused: a time in it is not one"),
        ("exp", json!(1e300), "the token is refused: a time in it is not one"),
        ("exp", json!(-1), "the token is refused: a time in it is not one"),
        ("nbf", json!(seconds + 31), "the token is refused: it is not valid yet"),
        ("nbf", json!("tomorrow"), "the token is refused: a time in it is not one"),
        ("iat", json!(seconds + 31), "the token is refused: it is not valid yet"),
    ];
    for (claim, value, expected) in cases {
        let mut claims = idp.claims();
        claims[claim] = value.clone();
        assert_eq!(refusal(&issuers, &key.token("one", &claims)).await, expected, "{claim}: {value}");
    }
    let mut eternal = idp.claims();
    eternal.as_object_mut().unwrap().remove("exp");
    assert_eq!(refusal(&issuers, &key.token("one", &eternal)).await, "the token is refused: it never expires");
    assert_eq!(idp.requests(), 0, "none of these is worth a request");
    let mut close = idp.claims();
    close["exp"] = json!(seconds - 29);
    close["nbf"] = json!(seconds + 30);
    issuers.verify(&key.token("one", &close), NOW).await.unwrap();
}

#[tokio::test]
async fn what_is_not_signed_by_the_issuer_in_an_accepted_way_is_refused() {
    let idp = StandIn::start().await;
    let (key, other, narrow) = (Key::p256(), Key::p256(), Key::ed25519());
    let mut encrypting = other.public("enc");
    encrypting["use"] = json!("enc");
    idp.publish(&[key.public("one"), encrypting, narrow.public("narrow")]);
    let issuers = idp.trusted();
    let claims = idp.claims();
    let good = key.token("one", &claims);
    issuers.verify(&good, NOW).await.unwrap();

    let (signed, signature) = good.rsplit_once('.').unwrap();
    let way = "the token is refused: it is not signed in a way that is accepted from its issuer";
    let wrong = "the token is refused: its signature is wrong";
    let unsigned = |alg: &str| {
        let header = encode(json!({"alg": alg, "kid": "one"}).to_string().as_bytes());
        format!("{header}.{}.", encode(claims.to_string().as_bytes()))
    };
    for alg in ["none", "None", "", "ES512", "HS256"] {
        assert_eq!(refusal(&issuers, &unsigned(alg)).await, way, "{alg}");
    }
    assert_eq!(refusal(&issuers, &unsigned("ES256")).await, wrong);
    // The published key as the secret of a symmetric signature.
    let header = encode(json!({"alg": "HS256", "kid": "one"}).to_string().as_bytes());
    let message = format!("{header}.{}", encode(claims.to_string().as_bytes()));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, key.public("one").to_string().as_bytes());
    let forged = format!("{message}.{}", encode(hmac::sign(&secret, message.as_bytes()).as_ref()));
    assert_eq!(refusal(&issuers, &forged).await, way);

    assert_eq!(refusal(&issuers, &other.token("one", &claims)).await, wrong, "another's key under this name");
    let mut changed = claims.clone();
    changed["sub"] = json!("root");
    let (_, stolen) = signed.split_once('.').unwrap();
    let swapped = good.replace(stolen, &encode(changed.to_string().as_bytes()));
    assert_eq!(refusal(&issuers, &swapped).await, wrong, "claims changed under a genuine signature");
    let unknown = "the token is refused: it is signed with a key that its issuer does not publish";
    assert_eq!(refusal(&issuers, &other.token("enc", &claims)).await, unknown, "a key that is not for signatures");
    let critical = key.sign(&json!({"alg": "ES256", "kid": "one", "crit": ["b64"]}), &claims);
    assert_eq!(
        refusal(&issuers, &critical).await,
        "the token is refused: its header demands what this gateway does not know"
    );
    for malformed in ["", ".", "..", "a.b.c", signed, &format!("{good}.{signature}"), &format!("{good}=")] {
        assert_eq!(refusal(&issuers, malformed).await, "the token is refused: it is not a signed JWT", "{malformed}");
    }
    assert_eq!(refusal(&issuers, &"x".repeat(20_000)).await, "the token is refused: it is too long");

    let strict = Issuers::new(vec![Issuer { algorithms: vec![Algorithm::Es256], ..idp.issuer() }]).unwrap();
    assert_eq!(refusal(&strict, &narrow.token("narrow", &claims)).await, way, "an algorithm that is not allowed");
}

#[tokio::test]
async fn without_a_name_the_key_must_be_the_only_one_that_fits() {
    let idp = StandIn::start().await;
    let (key, other) = (Key::p256(), Key::p256());
    let token = key.sign(&json!({"alg": "ES256"}), &idp.claims());
    idp.publish(&[key.public("one"), Key::ed25519().public("two")]);
    idp.trusted().verify(&token, NOW).await.unwrap();
    idp.publish(&[key.public("one"), other.public("two")]);
    let refused = refusal(&idp.trusted(), &token).await;
    assert_eq!(refused, "the token is refused: it is signed with a key that its issuer does not publish");
}

#[tokio::test]
async fn new_keys_are_found_and_made_up_ones_do_not_flood_the_issuer() {
    let idp = StandIn::start().await;
    let (old, new) = (Key::p256(), Key::p256());
    idp.publish(&[old.public("old")]);
    let issuers = idp.trusted();
    issuers.verify(&old.token("old", &idp.claims()), NOW).await.unwrap();
    assert_eq!(idp.requests(), 2, "discovery and keys");
    for made_up in 0..50 {
        refusal(&issuers, &new.token(&format!("made-up-{made_up}"), &idp.claims())).await;
    }
    assert_eq!(idp.requests(), 2, "too soon to ask again");
    idp.publish(&[new.public("new")]);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    issuers.verify(&new.token("new", &idp.claims()), NOW).await.unwrap();
    assert_eq!(idp.requests(), 4);
    let gone = refusal(&issuers, &old.token("old", &idp.claims())).await;
    assert_eq!(gone, "the token is refused: it is signed with a key that its issuer does not publish");
}

#[tokio::test]
async fn without_the_issuer_known_keys_are_good_for_their_lifetime_only() {
    let idp = StandIn::start().await;
    let key = Key::p256();
    idp.publish(&[key.public("one")]);
    let ages = |lifetime| Issuer { keys_age: Duration::ZERO, keys_lifetime: lifetime, ..idp.issuer() };
    let patient = Issuers::new(vec![ages(Duration::from_secs(60))]).unwrap();
    let hasty = Issuers::new(vec![ages(Duration::ZERO)]).unwrap();
    let token = key.token("one", &idp.claims());
    patient.verify(&token, NOW).await.unwrap();
    idp.serving.abort();
    while !idp.serving.is_finished() {
        tokio::task::yield_now().await;
    }
    patient.verify(&token, NOW).await.unwrap();
    let expected = format!("the identity provider `{}` is not available: it cannot be reached", idp.url);
    assert_eq!(refusal(&hasty, &token).await, expected);
}

#[tokio::test]
async fn answers_that_are_not_the_issuers_are_not_believed() {
    let idp = StandIn::start().await;
    let key = Key::p256();
    idp.publish(&[key.public("one")]);
    let token = key.token("one", &idp.claims());
    let said = |reason: &str| format!("the identity provider `{}` is not available: {reason}", idp.url);
    let keys = format!("{}/keys", idp.url);
    idp.discovery("https://elsewhere.example", &keys);
    assert_eq!(refusal(&idp.trusted(), &token).await, said("its discovery document is another issuer's"));
    idp.discovery(&idp.url, "http://elsewhere.example/keys");
    assert_eq!(refusal(&idp.trusted(), &token).await, said("its place for keys is not reached over https"));
    idp.discovery(&idp.url, &format!("{}/moved", idp.url));
    idp.answer("/moved", &format!("302 Found\r\nlocation: {keys}"), "");
    assert_eq!(refusal(&idp.trusted(), &token).await, said("it answered with status 302"));
    idp.discovery(&idp.url, &keys);
    idp.answer("/keys", "200 OK", "{}");
    assert_eq!(refusal(&idp.trusted(), &token).await, said("its keys cannot be read"));
    idp.answer("/keys", "200 OK", &" ".repeat((1 << 20) + 1));
    assert_eq!(refusal(&idp.trusted(), &token).await, said("its answer is too long"));
    idp.answer("/.well-known/openid-configuration", "200 OK", "<html>");
    assert_eq!(refusal(&idp.trusted(), &token).await, said("its discovery document cannot be read"));
}

#[test]
fn issuers_that_cannot_be_trusted_are_not_configured() {
    let audience = || vec!["portcullis".to_owned()];
    let error = |issuers: Vec<Issuer>| Issuers::new(issuers).unwrap_err().to_string();
    for (url, what) in [
        ("id.example.com", "is not a URL"),
        ("http://id.example.com", "must be reached over https (plain http is accepted on this machine only)"),
        ("http://localhost.example.com", "must be reached over https (plain http is accepted on this machine only)"),
        ("file:///etc/passwd", "must be reached over https (plain http is accepted on this machine only)"),
        ("https://id.example.com/?a=b", "must have neither query nor fragment nor credentials"),
        ("https://me:secret@id.example.com/", "must have neither query nor fragment nor credentials"),
    ] {
        assert_eq!(error(vec![Issuer::new(url, audience())]), format!("the issuer `{url}` {what}"));
    }
    let url = "https://id.example.com/realms/mesh";
    assert!(Issuers::new(vec![Issuer::new(url, audience()), Issuer::new("http://localhost:8080", audience())]).is_ok());
    assert!(error(vec![Issuer::new(url, Vec::new())]).contains("needs an audience"));
    assert!(error(vec![Issuer { algorithms: Vec::new(), ..Issuer::new(url, audience()) }]).contains("an algorithm"));
    let twice = || Issuer::new(url, audience());
    assert_eq!(error(vec![twice(), twice()]), format!("the issuer `{url}` is there twice"));
}
