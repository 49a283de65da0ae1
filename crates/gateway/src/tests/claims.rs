//! From the claims of a token to a principal.

use std::collections::BTreeSet;

use portcullis_govern::{AttributeValue, Principal};
use serde_json::{Value, json};

use super::fixture::{Fixture, config, fixture, fixture_with};
use crate::config::TrustedIssuer;
use crate::error::ErrorKind;
use crate::identity::{actor, principal, unknown_names};
use crate::{Config, Gateway};

fn rules() -> TrustedIssuer {
    let pairs =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(one, two)| ((*one).to_owned(), (*two).to_owned())).collect();
    TrustedIssuer {
        issuer: "https://id.example.com".to_owned(),
        audience: vec!["portcullis".to_owned()],
        attributes: pairs(&[("level", "clearance.level"), ("team", "team")]),
        ..TrustedIssuer::default()
    }
}

fn read(f: &Fixture, rules: &TrustedIssuer, claims: Value) -> Result<Principal, String> {
    let claims = claims.as_object().unwrap();
    principal(rules, claims, &f.gateway.state().snapshot).map_err(|error| {
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
        error.message
    })
}

fn groups(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn claims_become_a_principal_in_the_words_of_the_vocabulary() {
    let f = fixture().await;
    let claims = json!({"sub": "anna", "groups": ["readers", "cooks"], "clearance": {"level": 3}, "team": "blue"});
    let anna = read(&f, &rules(), claims.clone()).unwrap();
    assert_eq!((anna.id.as_str(), anna.groups), ("anna", groups(&["readers"])));
    assert_eq!(anna.attributes["level"], AttributeValue::Long(3));
    assert_eq!(anna.attributes["team"], AttributeValue::String("blue".to_owned()));

    // With a table of groups, only what it names counts: not even a group of the same name.
    let mut mapped = rules();
    mapped.groups.insert("cooks".to_owned(), "admins".to_owned());
    mapped.principal_prefix = "sso:".to_owned();
    let anna = read(&f, &mapped, claims).unwrap();
    assert_eq!((anna.id.as_str(), anna.groups), ("sso:anna", groups(&["admins"])));

    let nested = TrustedIssuer { groups_claim: "realm_access.roles".to_owned(), ..rules() };
    let anna = read(&f, &nested, json!({"sub": "anna", "realm_access": {"roles": "readers"}})).unwrap();
    assert_eq!((anna.groups, anna.attributes.len()), (groups(&["readers"]), 0));
    // A claim whose name has dots itself comes before the path.
    let dotted = TrustedIssuer { groups_claim: "https://example.com/groups".to_owned(), ..rules() };
    let claims = json!({"sub": "anna", "https://example.com/groups": ["readers"], "https://example": {"com/groups": ["admins"]}});
    assert_eq!(read(&f, &dotted, claims).unwrap().groups, groups(&["readers"]));
}

#[tokio::test]
async fn claims_that_do_not_fit_are_refused_and_not_left_out() {
    let f = fixture().await;
    for (claims, expected) in [
        (json!({}), "its claim `sub` names no principal"),
        (json!({"sub": ""}), "its claim `sub` names no principal"),
        (json!({"sub": 7}), "its claim `sub` names no principal"),
        (json!({"sub": "a\nb"}), "its claim `sub` is no id of a principal"),
        (json!({"sub": "a".repeat(300)}), "its claim `sub` is no id of a principal"),
        (json!({"sub": "anna", "groups": {"readers": true}}), "its claim `groups` is not a list of groups"),
        (json!({"sub": "anna", "groups": ["readers", 7]}), "its claim `groups` is not a list of groups"),
        (json!({"sub": "anna", "team": ["blue"]}), "its claim `team` does not fit the attribute `team`"),
        (
            json!({"sub": "anna", "clearance": {"level": "3"}}),
            "its claim `clearance.level` does not fit the attribute `level`",
        ),
        (
            json!({"sub": "anna", "clearance": {"level": 3.5}}),
            "its claim `clearance.level` does not fit the attribute `level`",
        ),
    ] {
        assert_eq!(read(&f, &rules(), claims).unwrap_err(), format!("the token is refused: {expected}"));
    }
    let mut unknown = rules();
    unknown.groups.insert("cooks".to_owned(), "chefs".to_owned());
    let expected = "the token's principal is refused: group `chefs` is not in policies/vocabulary.yaml";
    assert_eq!(read(&f, &unknown, json!({"sub": "anna", "groups": ["cooks"]})).unwrap_err(), expected);
}

#[test]
fn who_acts_is_named_as_principals_are() {
    let rules = TrustedIssuer { principal_prefix: "sso:".to_owned(), ..rules() };
    let read = |claims: Value| {
        let found = actor(&rules, claims.as_object().unwrap());
        found.map(|actor| actor.map(|actor| actor.id)).map_err(|error| {
            assert_eq!(error.kind, ErrorKind::Unauthenticated);
            error.message
        })
    };
    assert_eq!(read(json!({"sub": "anna", "may_act": {"sub": "bi"}})), Ok(None), "what may be done is not done");
    for act in [
        json!({"sub": "bi"}),
        json!({"sub": "bi", "iss": "https://id.example.com"}),
        json!({"sub": "bi", "act": {"sub": "portal"}}),
    ] {
        assert_eq!(read(json!({"sub": "anna", "act": act})), Ok(Some("sso:bi".to_owned())));
    }
    for (act, expected) in [
        (json!("bi"), "`act` names no principal"),
        (Value::Null, "`act` names no principal"),
        (json!({}), "`act.sub` names no principal"),
        (json!({"client_id": "bi"}), "`act.sub` names no principal"),
        (json!({"sub": "bi\nana"}), "`act.sub` is no id of a principal"),
        (json!({"sub": "bi", "iss": "https://elsewhere.example"}), "`act` names a principal of another issuer"),
    ] {
        let expected = format!("the token is refused: its claim {expected}");
        assert_eq!(read(json!({"sub": "anna", "act": act})), Err(expected));
    }
}

#[tokio::test]
async fn check_finds_names_that_the_vocabulary_does_not_have() {
    let f = fixture().await;
    let mut wrong = rules();
    wrong.groups.insert("cooks".to_owned(), "chefs".to_owned());
    wrong.attributes.insert("shoe_size".to_owned(), "shoes".to_owned());
    let found = unknown_names(&wrong, &f.gateway.state().snapshot);
    let expected = ["the group `chefs`", "the attribute `shoe_size`"]
        .map(|what| format!("issuer `https://id.example.com`: {what} is not in policies/vocabulary.yaml"));
    assert_eq!(found, expected);
    assert!(unknown_names(&rules(), &f.gateway.state().snapshot).is_empty());
    let mut config = Config { identity: identity(wrong), ..config() };
    config.limits.groups = [("readers".to_owned(), 1), ("chefs".to_owned(), 1)].into();
    f.write("portcullis.toml", &toml::to_string(&config).unwrap());
    let findings = crate::check(f.dir.path());
    assert_eq!(findings.iter().filter(|finding| finding.code == "identity-unknown-name").count(), 2, "{findings:?}");
    let limits: Vec<_> = findings.iter().filter(|finding| finding.code == "limits-unknown-name").collect();
    assert_eq!(limits.len(), 1, "{findings:?}");
    assert_eq!(limits[0].message, "`limits.groups`: the group `chefs` is not in policies/vocabulary.yaml");
}

fn identity(issuer: TrustedIssuer) -> crate::config::Identity {
    crate::config::Identity { issuers: vec![issuer], ..crate::config::Identity::default() }
}

#[tokio::test]
async fn an_issuer_that_cannot_be_trusted_keeps_the_gateway_from_opening() {
    let dir = super::fixture::mesh();
    let open = |issuer| Gateway::open(dir.path(), Config { identity: identity(issuer), ..config() });
    let wrong = |change: fn(&mut TrustedIssuer)| {
        let mut issuer = rules();
        change(&mut issuer);
        issuer
    };
    for (issuer, expected) in [
        (wrong(|issuer| issuer.issuer.clear()), "is not a URL"),
        (wrong(|issuer| issuer.audience.clear()), "needs an audience"),
        (wrong(|issuer| issuer.algorithms = vec!["none".to_owned()]), "there is no algorithm `none`"),
        (wrong(|issuer| issuer.algorithms = vec!["HS256".to_owned()]), "there is no algorithm `HS256`"),
    ] {
        let error = open(issuer).await.map(|_| ()).unwrap_err();
        assert!(error.message.starts_with("`identity.issuers`: ") && error.message.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_text_that_is_no_token_gets_nowhere() {
    let f = fixture_with(Config { identity: identity(rules()), ..config() }).await;
    for text in ["", "x", "a.b.c", "pcl_", "pcl_x", "eyJhbGciOiJub25lIn0.e30."] {
        let error = f.gateway.bearer_session(text, None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unauthenticated, "{text}: {error}");
    }
    let session = f.gateway.login("ana", "ana", None).await.unwrap();
    let token = f.gateway.issue_token(&session).unwrap();
    assert_eq!(f.gateway.bearer_session(&token, None).await.unwrap().user(), "ana", "tokens of our own go on");
}
