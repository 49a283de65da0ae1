//! Logins from a terminal.

use serde_json::{Value, json};

use super::StandIn;
use crate::DeviceLogin;

const PENDING: &str = "authorization_pending";

/// An issuer at which people can log in so, with these answers to who asks for the token.
async fn stand_in(answers: &[Value]) -> StandIn {
    let idp = StandIn::start().await;
    let place = |path: &str| format!("{}{path}", idp.url);
    let metadata = json!({"issuer": idp.url, "jwks_uri": place("/keys"), "token_endpoint": place("/token"),
        "device_authorization_endpoint": place("/device")});
    idp.answer("/.well-known/openid-configuration", "200 OK", &metadata.to_string());
    let asked = json!({"device_code": "secret", "user_code": "ABCD-EFGH", "verification_uri": place("/page"),
        "verification_uri_complete": place("/page?code=ABCD-EFGH"), "expires_in": 600, "interval": 1});
    idp.answer("/device", "200 OK", &asked.to_string());
    for answer in answers {
        let status = if answer["error"].is_null() { "200 OK" } else { "400 Bad Request" };
        idp.then("/token", status, &answer.to_string());
    }
    idp
}

async fn log_in(idp: &StandIn) -> Result<String, String> {
    let login = DeviceLogin::begin(&idp.url, "notebook", "openid").await.map_err(|error| error.to_string())?;
    login.token().await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_person_logs_in_refuses_or_does_nothing() {
    let token = json!({"access_token": "eyJ", "token_type": "Bearer"});
    let error = |error: &str| json!({"error": error});
    let did_not = |what: &str| Err(format!("the login did not succeed: {what}"));
    let ends = async |answers: &[Value]| log_in(&stand_in(answers).await).await;
    let began = std::time::Instant::now();
    let slow = async {
        assert_eq!(ends(&[error("slow_down"), token.clone()]).await, Ok("eyJ".to_owned()));
        assert!(began.elapsed().as_secs() >= 7, "it was asked to ask less often");
    };
    let others = async {
        assert_eq!(ends(&[error(PENDING), token.clone()]).await, Ok("eyJ".to_owned()));
        assert_eq!(ends(&[error("access_denied")]).await, did_not("it was refused"));
        assert_eq!(ends(&[error("expired_token")]).await, did_not("nobody entered the code in time"));
        let no_token = did_not("the identity provider answered with no token");
        for odd in [
            error("invalid_grant"),
            json!({"access_token": "x", "token_type": "mac"}),
            json!({"access_token": "x"}),
            json!({}),
        ] {
            assert_eq!(ends(std::slice::from_ref(&odd)).await, no_token, "{odd}");
        }
    };
    tokio::join!(slow, others);
}

#[tokio::test]
async fn what_the_person_is_shown_is_the_issuers_and_trusted() {
    let idp = stand_in(&[]).await;
    let login = DeviceLogin::begin(&idp.url, "notebook", "openid").await.unwrap();
    assert_eq!((login.user_code(), login.page()), ("ABCD-EFGH", format!("{}/page?code=ABCD-EFGH", idp.url).as_str()));

    let begin = async |idp: &StandIn| DeviceLogin::begin(&idp.url, "notebook", "openid").await.unwrap_err().to_string();
    let unavailable = |what: &str| format!("the identity provider `{}` is not available: {what}", idp.url);
    for page in ["http://id.example.com/page", "javascript:alert(1)", "page"] {
        let asked = json!({"device_code": "d", "user_code": "u", "verification_uri": page, "expires_in": 1});
        idp.answer("/device", "200 OK", &asked.to_string());
        assert_eq!(begin(&idp).await, unavailable("its page for the code is not reached over https"), "{page}");
    }
    idp.answer("/device", "401 Unauthorized", "{\"error\": \"invalid_client\"}");
    let refused = "the login did not succeed: the identity provider does not let the client `notebook` ask";
    assert_eq!(begin(&idp).await, refused);
    let place = format!("{}/token", idp.url);
    for (metadata, what) in [
        (json!({"token_endpoint": place}), "it names no place for logins from a terminal"),
        (json!({"device_authorization_endpoint": place}), "it names no place for tokens"),
        (
            json!({"token_endpoint": "http://id.example.com/token", "device_authorization_endpoint": place}),
            "its place for tokens is not reached over https",
        ),
    ] {
        let mut document = json!({"issuer": idp.url, "jwks_uri": place});
        document.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        idp.answer("/.well-known/openid-configuration", "200 OK", &document.to_string());
        assert_eq!(begin(&idp).await, unavailable(what));
    }
    let error = DeviceLogin::begin("http://id.example.com", "notebook", "openid").await.unwrap_err();
    assert!(error.to_string().contains("must be reached over https"), "{error}");
}
