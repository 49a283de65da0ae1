//! What is refused before there is a query is in the journal, and does not flood it.

use std::net::SocketAddr;

use super::fixture::{Fixture, config, fixture, fixture_with};
use crate::config::Span;
use crate::error::ErrorKind;

fn from(address: &str) -> Option<SocketAddr> {
    Some(address.parse().unwrap())
}

/// What the journal has: principal, address, what was asked for, why it was refused.
async fn records(f: &Fixture) -> Vec<String> {
    let line = |entry: portcullis_audit::Entry| {
        let (begin, client) = (entry.begin, |c: Option<String>| c.unwrap_or_default());
        let reason = begin.reason.unwrap_or_default();
        format!("{} {} {} {}: {reason}", begin.principal, client(begin.client), begin.statement, entry.status)
    };
    f.journal().await.into_iter().map(line).collect()
}

#[tokio::test]
async fn refused_logins_tokens_and_queries_are_recorded_once_and_counted() {
    let mut config = config();
    config.limits.concurrent_queries = 1;
    config.limits.queued_queries = 0;
    let f = fixture_with(config).await;
    let token = f.gateway.issue_token(&f.session("ana")).unwrap();
    for _ in 0..3 {
        f.gateway.login("ana", "wrong", from("192.0.2.7:1000")).await.unwrap_err();
    }
    f.gateway.login("ana", "wrong", from("192.0.2.8:1000")).await.unwrap_err();
    f.gateway.login(&format!("\n{}", "x".repeat(1000)), "", from("[::ffff:192.0.2.7]:1000")).await.unwrap_err();
    for port in 0..5 {
        let client = SocketAddr::from(([192, 0, 2, 9], port));
        f.gateway.bearer_session(&token[..token.len() - 2], Some(client)).await.unwrap_err();
    }
    let running = f.gateway.query(&f.session("ana"), "SELECT * FROM orders.order_events", None).await.unwrap();
    for _ in 0..2 {
        let error = f.error(&f.session("nina"), "SELECT 's3cret'").await;
        assert_eq!(error.kind, ErrorKind::ResourceExhausted);
    }
    drop(running);
    let long = format!("\u{fffd}{}", "x".repeat(63));
    assert_eq!(
        records(&f).await,
        [
            "ana 192.0.2.7 (login) denied: unauthenticated",
            "ana 192.0.2.8 (login) denied: unauthenticated",
            &format!("{long} 192.0.2.7 (login) denied: unauthenticated"),
            "? 192.0.2.9 (token) denied: unauthenticated",
            "ana  SELECT * FROM orders.order_events cancelled: ",
            "nina  (not parsed) error: resource_exhausted",
            "? 192.0.2.9 (token) denied: unauthenticated, 4 times more within 60 s",
            "ana 192.0.2.7 (login) denied: unauthenticated, 2 times more within 60 s",
            "nina  (not parsed) error: resource_exhausted, 1 times more within 60 s",
        ]
    );
}

#[tokio::test]
async fn an_attacker_does_not_flood_the_journal() {
    let f = fixture().await;
    for n in 0..1_000_u32 {
        let client = SocketAddr::from((n.to_be_bytes(), 1));
        f.gateway.bearer_session("pcl_forged", Some(client)).await.unwrap_err();
        f.gateway.bearer_session("pcl_forged", Some(client)).await.unwrap_err();
    }
    let records = records(&f).await;
    assert_eq!(records.len(), 201);
    assert_eq!(records[200], "?  (several) denied: resource_exhausted, 1800 times more within 60 s");
}

#[tokio::test]
async fn a_token_that_expired_with_its_session_is_a_refusal_too() {
    let mut config = config();
    config.identity.token_lifetime = Span::millis(40);
    let f = fixture_with(config).await;
    let token = f.gateway.issue_token(&f.session("ana")).unwrap();
    let session = f.gateway.bearer_session(&token, from("192.0.2.7:1")).await.unwrap();
    tokio::time::sleep(Span::millis(60).duration()).await;
    assert_eq!(f.error(&session, "SELECT 1").await.kind, ErrorKind::Unauthenticated);
    f.gateway.bearer_session(&token, from("192.0.2.7:1")).await.unwrap_err();
    let records = records(&f).await;
    assert_eq!(
        records,
        ["ana 192.0.2.7 (token) denied: unauthenticated", "? 192.0.2.7 (token) denied: unauthenticated"]
    );
}

#[tokio::test]
async fn failures_from_one_address_close_the_door_whichever_user_is_tried() {
    let mut config = config();
    config.identity.address_attempts = 3;
    let f = fixture_with(config).await;
    let there = from("[2001:db8::1]:1000");
    for user in ["a", "b", "c"] {
        assert_eq!(f.gateway.login(user, "x", there).await.unwrap_err().kind, ErrorKind::Unauthenticated);
    }
    for (user, client) in [("ana", there), ("nina", from("[2001:db8::ffff:1]:2000"))] {
        let error = f.gateway.login(user, user, client).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ResourceExhausted);
        assert!(error.message.starts_with("too many failed logins from this address: try again in "), "{error}");
    }
    for elsewhere in ["[2001:db8:0:1::1]:1000", "192.0.2.7:1000"] {
        assert!(f.gateway.login("ana", "ana", from(elsewhere)).await.is_ok(), "{elsewhere}");
    }
    assert!(f.gateway.login("ana", "ana", None).await.is_ok());
}
