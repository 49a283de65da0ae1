//! Tokens that a service has exchanged at a real identity provider, to ask for a person.

use std::net::SocketAddr;

use portcullis_audit::{Query, search};
use portcullis_gateway::ErrorKind;
use portcullis_gateway::config::Page;
use serde_json::{Value, json};

use crate::keycloak::{Keycloak, open_with};
use crate::support::{self, block_on, copy_of_mesh};

const RIGHT: &str = "@id(\"bi-acts\")\npermit (principal == User::\"sso:service-account-bi\", action == Action::\"impersonate\", resource in Group::\"eu_analysts\");\n";

/// A client whose tokens have what ours need; those of `bi` say that it acts.
fn clients(keycloak: &Keycloak) {
    let mapper = |name: &str, kind: &str, config: Value| json!({"name": name, "protocol": "openid-connect", "protocolMapper": kind, "config": config});
    let audience = |of: &str| {
        let config = json!({"included.custom.audience": of, "access.token.claim": "true"});
        mapper(of, "oidc-audience-mapper", config)
    };
    let groups = json!({"full.path": "false", "claim.name": "groups", "access.token.claim": "true"});
    let groups = mapper("groups", "oidc-group-membership-mapper", groups);
    let act = json!({"claim.name": "act", "claim.value": "{\"preferred_username\": \"service-account-bi\"}",
        "jsonType.label": "JSON", "access.token.claim": "true"});
    let act = mapper("act", "oidc-hardcoded-claim-mapper", act);
    keycloak.create_client(
        "mesh",
        &json!({"clientId": "portal", "publicClient": true, "directAccessGrantsEnabled": true,
            "protocolMappers": [audience("bi")]}),
    );
    keycloak.create_client(
        "mesh",
        &json!({"clientId": "bi", "secret": "a secret of its own", "publicClient": false,
            "attributes": {"standard.token.exchange.enabled": "true"},
            "protocolMappers": [audience("portcullis"), groups, act]}),
    );
}

fn exchanged(keycloak: &Keycloak, user: &str) -> String {
    let own = keycloak.token("mesh", &[("client_id", "portal"), ("username", user), ("password", user)]);
    keycloak.token(
        "mesh",
        &[
            ("client_id", "bi"),
            ("client_secret", "a secret of its own"),
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", &own),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ],
    )
}

pub fn services_act_with_exchanged_tokens(
    keycloak: &Keycloak,
    ask_with: &dyn Fn(&str, SocketAddr) -> Value,
    expected: &Value,
) {
    clients(keycloak);
    let anna = exchanged(keycloak, "anna");
    let mesh = copy_of_mesh();
    let without = open_with(mesh.path(), keycloak, Page::default());
    let error = block_on(without.bearer_session(&anna, None)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied, "{error}");
    assert!(error.message.starts_with("no policy lets `sso:service-account-bi` act for a user `sso:anna`"), "{error}");
    block_on(without.shutdown());

    std::fs::write(mesh.path().join("policies/bi.cedar"), RIGHT).unwrap();
    let gateway = open_with(mesh.path(), keycloak, Page::default());
    let served = support::serve(gateway.clone(), None);
    assert_eq!(&ask_with(&anna, served.address)["pyarrow"], expected, "as anna herself");
    let zoe = block_on(gateway.bearer_session(&exchanged(keycloak, "zoe"), None)).unwrap_err();
    assert_eq!(zoe.kind, ErrorKind::PermissionDenied, "she is no analyst: {zoe}");
    block_on(gateway.shutdown());
    let entries = search(&mesh.path().join(".portcullis/audit"), &Query::default()).unwrap().map(Result::unwrap);
    let entries: Vec<_> = entries.map(|entry| entry.begin).collect();
    let both = |begin: &portcullis_audit::Begin| {
        begin.principal == "sso:anna" && begin.actor.as_deref() == Some("sso:service-account-bi")
    };
    assert!(entries.iter().any(both), "{entries:?}");
    let refused = |begin: &portcullis_audit::Begin| {
        begin.statement == "(impersonation)" && begin.principal == "sso:service-account-bi"
    };
    assert!(entries.iter().any(refused), "{entries:?}");
}
