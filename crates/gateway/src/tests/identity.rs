//! Who gets in, with what, and for how long.

use std::time::Instant;

use super::fixture::{config, fixture, fixture_with, users};
use crate::config::Span;
use crate::error::ErrorKind;
use crate::options::{BrokenGlass, SessionOptions};
use crate::users::{hash_password, hash_with, verify};

#[tokio::test]
async fn a_password_becomes_a_session_becomes_a_token_becomes_the_session() {
    let f = fixture().await;
    let session = f.gateway.login("ana", "ana", None).await.unwrap().with_purpose(Some("fraud".to_owned()));
    assert_eq!((session.user(), session.authentication()), ("ana", "password"));
    let token = f.gateway.issue_token(&session).unwrap();
    let resumed = f.gateway.bearer_session(&token, None).await.unwrap();
    assert_eq!((resumed.user(), resumed.purpose(), resumed.keeps_options()), ("ana", Some("fraud"), false));
    assert_eq!(resumed.authentication(), "token");
    assert!(resumed.expires_ms().is_some());
    let forged = f.gateway.bearer_session(&token[..token.len() - 2], None).await.unwrap_err();
    assert_eq!(
        (forged.kind, forged.message.as_str()),
        (ErrorKind::Unauthenticated, "the token is not valid: log in again")
    );
}

#[tokio::test]
async fn wrong_passwords_and_unknown_users_get_the_same_answer() {
    let f = fixture().await;
    for (user, password) in [("ana", "wrong"), ("ana", ""), ("nobody", "nobody"), ("nobody", "ana"), ("", "")] {
        let error = f.gateway.login(user, password, None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
        assert_eq!(error.message, "unknown user or wrong password", "{user}");
    }
    let long = "x".repeat(10_000);
    assert_eq!(f.gateway.login("ana", &long, None).await.unwrap_err().kind, ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn an_unknown_user_costs_as_much_as_a_known_one() {
    let f = fixture().await;
    // Dear enough that the check of the password is nearly all there is.
    f.write("users.yaml", &format!("users: {{ana: {{password: \"{}\"}}}}", hash_with("ana", 1024, 1).unwrap()));
    assert!(f.gateway.reload().await);
    let mut best = [f64::MAX; 2];
    for _ in 0..4 {
        for (at, user) in ["ana", "nobody"].into_iter().enumerate() {
            let began = Instant::now();
            f.gateway.login(user, "wrong", None).await.unwrap_err();
            best[at] = best[at].min(began.elapsed().as_secs_f64());
        }
    }
    let [known, unknown] = best;
    assert!(unknown > known / 3.0, "known {known}, unknown {unknown}");
}

#[tokio::test]
async fn too_many_failures_close_the_door_for_a_while() {
    let mut config = config();
    config.identity.login_attempts = 2;
    let f = fixture_with(config).await;
    for _ in 0..2 {
        assert_eq!(f.gateway.login("ana", "no", None).await.unwrap_err().kind, ErrorKind::Unauthenticated);
    }
    let error = f.gateway.login("ana", "ana", None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::ResourceExhausted);
    assert!(f.gateway.login("nina", "nina", None).await.is_ok());
}

#[tokio::test]
async fn tokens_and_handles_expire() {
    let mut config = config();
    config.identity.token_lifetime = Span::millis(40);
    config.identity.handle_lifetime = Span::millis(40);
    let f = fixture_with(config).await;
    let session = f.session("ana");
    let token = f.gateway.issue_token(&session).unwrap();
    let resumed = f.gateway.bearer_session(&token, None).await.unwrap();
    let handle = f.gateway.seal("handle", b"x");
    assert_eq!(f.gateway.unseal("handle", &handle).unwrap(), b"x");
    tokio::time::sleep(Span::millis(60).duration()).await;
    let error = f.gateway.bearer_session(&token, None).await.unwrap_err();
    assert_eq!(error.message, "the token has expired: log in again");
    assert_eq!(f.error(&resumed, "SELECT 1").await.kind, ErrorKind::Unauthenticated);
    let error = f.gateway.unseal("handle", &handle).unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::InvalidArgument, "the handle has expired: ask for a new one")
    );
}

/// A clock that is set back must not bring back what has expired, in this process or in one that starts afterwards.
#[tokio::test]
async fn a_clock_that_is_set_back_opens_nothing() {
    let hour = 3_600_000;
    let mut config = config();
    config.identity.token_lifetime = Span::hours(1);
    config.identity.handle_lifetime = Span::hours(1);
    let f = fixture_with(config).await;
    let session = f.session("ana");
    let (token, handle) = (f.gateway.issue_token(&session).unwrap(), f.gateway.seal("handle", b"x"));
    let resumed = f.gateway.bearer_session(&token, None).await.unwrap();
    f.gateway.clock.shift(2 * hour);
    assert!(f.gateway.bearer_session(&token, None).await.is_err());
    f.gateway.clock.shift(-2 * hour);
    assert_eq!(
        f.gateway.bearer_session(&token, None).await.unwrap_err().message,
        "the token has expired: log in again"
    );
    assert_eq!(f.error(&resumed, "SELECT 1").await.kind, ErrorKind::Unauthenticated);
    assert!(f.gateway.unseal("handle", &handle).is_err());

    // What was made before the step is of the future to a gateway that starts after it.
    let f = fixture().await;
    f.gateway.clock.shift(48 * hour);
    let (token, handle) = (f.gateway.issue_token(&f.session("ana")).unwrap(), f.gateway.seal("handle", b"x"));
    let mut config = super::fixture::config();
    config.secrets.keys_dir = f.dir.path().join(".portcullis/keys");
    config.audit.dir = "second".into();
    let later = crate::Gateway::open(f.dir.path(), config).await.unwrap();
    let error = later.bearer_session(&token, None).await.unwrap_err();
    assert_eq!(error.message, "the token is of a time that has not come: log in again");
    let error = later.unseal("handle", &handle).unwrap_err();
    assert_eq!(error.message, "the handle is of a time that has not come: ask for a new one");
}

#[tokio::test]
async fn a_sealed_ticket_is_for_one_principal_and_one_kind() {
    let f = fixture().await;
    let (ana, nina) = (f.session("ana"), f.session("nina"));
    let ticket = f.gateway.seal_for(&ana, "ticket", b"SELECT 1");
    assert_eq!(f.gateway.unseal_for(&ana, "ticket", &ticket).unwrap(), b"SELECT 1");
    for stolen in [
        f.gateway.unseal_for(&nina, "ticket", &ticket),
        f.gateway.unseal_for(&ana, "handle", &ticket),
        f.gateway.unseal("ticket", &ticket),
        f.gateway.unseal("ticket", b""),
    ] {
        assert_eq!(stolen.unwrap_err().kind, ErrorKind::InvalidArgument);
    }
    // Another gateway with the same keys takes it: replicas share them.
    let keys = f.dir.path().join(".portcullis/keys");
    let mut config = config();
    config.secrets.keys_dir = keys;
    let replica = fixture_with(config).await;
    assert_eq!(replica.gateway.unseal_for(&ana, "ticket", &ticket).unwrap(), b"SELECT 1");
    let stranger = fixture().await;
    assert!(stranger.gateway.unseal_for(&ana, "ticket", &ticket).is_err());
}

#[tokio::test]
async fn removing_a_user_or_changing_the_password_ends_tokens_and_sessions() {
    let f = fixture().await;
    let session = f.gateway.login("ana", "ana", None).await.unwrap();
    let token = f.gateway.issue_token(&session).unwrap();
    f.write("users.yaml", &users().replacen("  ana:", "  anna:", 1));
    assert!(f.gateway.reload().await);
    assert_eq!(f.gateway.bearer_session(&token, None).await.unwrap_err().kind, ErrorKind::Unauthenticated);
    assert_eq!(f.error(&session, "SELECT 1").await.kind, ErrorKind::Unauthenticated);
    let error = f.gateway.local_session("ana").unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::NotFound, "there is no user `ana` in `users.yaml`"));
    let changed = format!("users: {{ana: {{password: \"{}\", groups: [readers]}}}}", hash_with("new", 64, 1).unwrap());
    f.write("users.yaml", &changed);
    assert!(f.gateway.reload().await);
    let error = f.gateway.bearer_session(&token, None).await.unwrap_err();
    assert_eq!(error.message, "the token is of before a change of password: log in again");
    f.write("users.yaml", users());
    f.gateway.reload().await;
    assert!(f.gateway.bearer_session(&token, None).await.is_ok());
}

#[test]
fn hashes_of_passwords_are_salted_and_verified() {
    let hash = hash_password("secret").unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert_ne!(hash, hash_password("secret").unwrap());
    assert!(verify("secret", &hash));
    assert!(!verify("Secret", &hash));
    assert!(!verify("secret", "plain"));
}

/// What a session sets goes with its client, in a cookie.
#[tokio::test]
async fn options_travel_with_the_client_and_open_nothing_to_others() {
    let mut config = config();
    config.identity.token_lifetime = Span::hours(1);
    config.identity.break_glass = Span::minutes(15);
    let f = fixture_with(config).await;
    let token = f.gateway.issue_token(&f.session("ana")).unwrap();
    let ana = || f.gateway.bearer_session(&token, None);
    let keeps_none = ana().await.unwrap();
    let error = f.error(&keeps_none, "SET purpose = 'fraud'").await;
    assert_eq!(error.kind, ErrorKind::Unimplemented);
    assert!(error.message.contains("this client keeps none"), "{error}");
    assert_eq!(keeps_none.options(), SessionOptions::default(), "refused is not set");

    // What one call sets, the next has.
    let again = async |session: &crate::Session| {
        let kept = f.gateway.seal_options(session).unwrap();
        f.gateway.resume(ana().await.unwrap(), &kept).await.unwrap().0
    };
    let session = again(&keeps_none).await;
    f.text(&session, "SET purpose = 'fraud'").await;
    let session = again(&session).await;
    f.text(&session, "SET schema = 'orders'").await;
    let session = again(&session).await;
    assert!(f.text(&session, "SELECT customer_id FROM order_events").await.contains("carl"));
    let error = f.error(&session, "SET schema = 'nowhere'").await;
    assert_eq!(
        (error.kind, error.message.contains("there is no schema `nowhere`")),
        (ErrorKind::InvalidArgument, true)
    );
    assert!(!ana().await.unwrap().keeps_options(), "a token alone keeps nothing");

    // It is for this principal, in its time, and only whole.
    let kept = f.gateway.seal_options(&session).unwrap();
    let (session, renew) = f.gateway.resume(ana().await.unwrap(), &kept).await.unwrap();
    assert_eq!((session.options().purpose.as_deref(), session.keeps_options(), renew), (Some("fraud"), true, false));
    let nina = f.gateway.login("nina", "nina", None).await.unwrap();
    for (who, cookie) in [(nina, kept.as_str()), (ana().await.unwrap(), &kept[1..]), (ana().await.unwrap(), "")] {
        let error = f.gateway.resume(who, cookie).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
        assert!(error.message.contains("are not those of this principal"), "{error}");
    }
    let minute = 60_000;
    f.gateway.clock.shift(40 * minute);
    assert!(f.gateway.resume(ana().await.unwrap(), &kept).await.unwrap().1, "soon to be sealed anew");
    f.gateway.clock.shift(21 * minute);
    let error = f.gateway.resume(f.session("ana"), &kept).await.unwrap_err();
    assert!(error.message.starts_with("the options that this session has kept have expired"), "{error}");
}

#[tokio::test]
async fn a_broken_glass_is_broken_for_its_time_only() {
    let f = fixture().await;
    let ana = f.session("ana");
    let now = f.gateway.clock.now_ms();
    let broken = |until_ms| SessionOptions {
        break_glass: Some(BrokenGlass { reason: "the payment system is down".to_owned(), until_ms }),
        ..SessionOptions::default()
    };
    let minute = 60_000;
    for (until, holds) in [(now + minute, true), (now, false), (now - 1, false), (now + 60 * minute, false)] {
        let session = ana.clone().with_options(broken(until), true);
        assert_eq!(f.gateway.break_glass(&session).is_some(), holds, "{}", until - now);
    }
}

/// A new key takes over on one replica after the other, and nobody has to log in again.
#[tokio::test]
async fn signing_keys_rotate_while_replicas_run() {
    use crate::config::KeyRef;
    let with = |signing: &str, accepted: &[&str]| {
        let mut config = config();
        config.secrets.signing_key = Some(KeyRef::File(signing.into()));
        config.secrets.accepted_keys = accepted.iter().map(|name| KeyRef::File(name.into())).collect();
        config
    };
    let dir = super::fixture::mesh();
    for name in ["one", "two"] {
        std::fs::write(dir.path().join(name), name.repeat(20)).unwrap();
    }
    let open = async |signing: &str, accepted: &[&str], audit: &str| {
        let mut config = with(signing, accepted);
        config.audit.dir = audit.into();
        crate::Gateway::open(dir.path(), config).await.unwrap()
    };
    let before = open("one", &["two"], "a").await;
    let turned = open("two", &["one"], "b").await;
    let after = open("two", &[], "c").await;
    let session = before.login("ana", "ana", None).await.unwrap();
    let token = before.issue_token(&session).unwrap();
    let ticket = before.seal_for(&session, "ticket", b"SELECT 1");
    let again = turned.bearer_session(&token, None).await.unwrap();
    assert_eq!(turned.unseal_for(&again, "ticket", &ticket).unwrap(), b"SELECT 1");
    let new = turned.issue_token(&again).unwrap();
    for replica in [&before, &turned, &after] {
        assert_eq!(replica.bearer_session(&new, None).await.unwrap().user(), "ana");
    }
    assert!(after.bearer_session(&token, None).await.is_err(), "the first key is gone");
    assert!(after.unseal_for(&again, "ticket", &ticket).is_err());
}
