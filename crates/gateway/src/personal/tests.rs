use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::Value;

use super::*;
use crate::config::Span;
use crate::error::ErrorKind;
use crate::tests::fixture::{Fixture, config, fixture, fixture_with, users};
use crate::{Config, Gateway};

const COUNT: &str = "SELECT count(*) AS n FROM orders.order_events";

fn new(domains: &[&str]) -> NewToken {
    NewToken {
        user: "ana".to_owned(),
        name: "nightly report".to_owned(),
        domains: domains.iter().map(ToString::to_string).collect(),
        lifetime: Span::hours(1),
    }
}

fn path(f: &Fixture) -> PathBuf {
    f.dir.path().join(&f.gateway.config().identity.tokens)
}

/// What is secret of a token, which may have the separator in it.
fn secret(token: &str) -> &str {
    token.splitn(3, '_').nth(2).unwrap()
}

impl Fixture {
    async fn make(&self, new: NewToken) -> (PersonalToken, String) {
        let made = create_personal_token(self.dir.path(), self.gateway.config(), new).unwrap();
        assert!(self.gateway.reload().await, "a new token is a change");
        made
    }

    async fn refusal(&self, token: &str) -> String {
        let error = self.gateway.bearer_session(token, None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
        error.message
    }

    async fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut file: Value = serde_json::from_str(&std::fs::read_to_string(path(self)).unwrap()).unwrap();
        change(&mut file);
        std::fs::write(path(self), file.to_string()).unwrap();
        self.gateway.reload().await;
    }
}

#[tokio::test]
async fn a_token_opens_its_domains_and_no_others_and_the_journal_names_it() {
    let f = fixture().await;
    let (made, orders) = f.make(new(&["orders"])).await;
    let (_, all) = f.make(new(&["*"])).await;
    let (_, elsewhere) = f.make(new(&["system"])).await;
    for token in [&orders, &all] {
        let session = f.gateway.bearer_session(token, None).await.unwrap();
        assert_eq!((session.user(), session.authentication()), ("ana", "personal_token"));
        assert!(f.text(&session, COUNT).await.contains("| 2 |"), "the rows of ana, and hers only");
    }
    let session = f.gateway.bearer_session(&elsewhere, None).await.unwrap();
    assert!(f.gateway.visible_tables(&session).unwrap().is_empty());
    let (outside, missing) =
        (f.error(&session, COUNT).await, f.error(&session, &COUNT.replace("order_events", "nothing")).await);
    assert_eq!(outside.kind, ErrorKind::NotFound, "{outside}");
    assert_eq!(outside.message, missing.message.replace("nothing", "order_events"), "as if it were not there");
    for sql in ["SET schema = 'orders'", "DESCRIBE orders.order_events", "EXPLAIN SELECT * FROM orders.order_events"] {
        let session = session.clone().with_options(Default::default(), true);
        assert!(f.rows(&session, sql).await.is_err(), "{sql}");
    }
    let journal = f.journal().await;
    let scopes: Vec<_> =
        journal.iter().take(3).map(|entry| (entry.begin.credential.clone(), entry.begin.domains.clone())).collect();
    let scope = |domain: &str| Some(BTreeSet::from([domain.to_owned()]));
    assert_eq!(scopes[0], (Some(made.id), scope("orders")));
    assert_eq!((scopes[1].1.as_ref(), &scopes[2].1), (None, &scope("system")));
    let text = format!("{journal:?}");
    assert!([&orders, &all, &elsewhere].iter().all(|token| !text.contains(secret(token))));
}

/// Its user's rights are all that there is to be narrowed: a scope grants nothing.
#[tokio::test]
async fn a_token_opens_nothing_that_is_closed_to_its_user() {
    let f = fixture().await;
    for user in ["bob", "petra"] {
        let (_, token) = f.make(NewToken { user: user.to_owned(), ..new(&["*"]) }).await;
        let session = f.gateway.bearer_session(&token, None).await.unwrap();
        assert_eq!(f.error(&session, COUNT).await.kind, f.error(&f.session(user), COUNT).await.kind, "{user}");
    }
}

#[tokio::test]
async fn what_is_not_that_token_is_refused_alike() {
    let f = fixture().await;
    let (made, token) = f.make(new(&["orders"])).await;
    let (_, other) = f.make(new(&["orders"])).await;
    let (head, own) = (format!("pcp_{}", made.id), secret(&token));
    let swapped = format!("{head}_{}", secret(&other));
    let flipped = format!("{head}_{}{}", if own.starts_with('A') { 'B' } else { 'A' }, &own[1..]);
    let unknown = token.replacen(&made.id, "000000000000", 1);
    let cut = &token[..token.len() - 1];
    for bad in [
        &swapped,
        &flipped,
        &unknown,
        cut,
        &head,
        "pcp_",
        "pcp__",
        &format!("{token}A"),
        &token.to_uppercase().replace("PCP", "pcp"),
    ] {
        assert_eq!(f.refusal(bad).await, "the personal access token is not valid", "{bad}");
    }
    assert!(f.gateway.bearer_session(&token, None).await.is_ok());
    assert!(f.gateway.bearer_session(&token.replacen("pcp_", "pcl_", 1), None).await.is_err());
}

/// Whoever can write the file, and has a token, cannot make it reach further.
#[tokio::test]
async fn a_token_whose_entry_was_changed_is_good_for_nothing() {
    let f = fixture().await;
    let (_, token) = f.make(new(&["orders"])).await;
    let session = f.gateway.bearer_session(&token, None).await.unwrap();
    let first = std::fs::read_to_string(path(&f)).unwrap();
    let changes: [(&str, Value); 4] = [
        ("domains", serde_json::json!(["*"])),
        ("user", "petra".into()),
        ("expires", "2999-01-01T00:00:00Z".into()),
        ("created", "2000-01-01T00:00:00Z".into()),
    ];
    for (key, value) in changes {
        f.edit(|file| file["tokens"][0][key] = value).await;
        assert_eq!(f.refusal(&token).await, "the personal access token is not valid", "{key}");
        if key == "domains" {
            assert_eq!(f.error(&session, COUNT).await.kind, ErrorKind::Unauthenticated, "an old session, too");
        }
        std::fs::write(path(&f), &first).unwrap();
        f.gateway.reload().await;
        assert!(f.gateway.bearer_session(&token, None).await.is_ok());
    }
    f.edit(|file| file["tokens"][0]["name"] = "its name is nobody's business".into()).await;
    assert!(f.gateway.bearer_session(&token, None).await.is_ok());
}

#[tokio::test]
async fn tokens_expire_and_live_no_longer_than_is_allowed() {
    let f = fixture().await;
    let (made, token) = f.make(new(&["orders"])).await;
    let session = f.gateway.bearer_session(&token, None).await.unwrap();
    f.gateway.clock.shift(2 * 3_600_000);
    let expired = format!("the personal access token `{}` has expired: ask for a new one", made.id);
    assert_eq!(f.refusal(&token).await, expired);
    assert_eq!(f.error(&session, COUNT).await.kind, ErrorKind::Unauthenticated);

    let longer = NewToken { lifetime: Span::hours(24 * 366), ..new(&["orders"]) };
    let error = create_personal_token(f.dir.path(), f.gateway.config(), longer.clone()).unwrap_err();
    assert!(error.message.contains("365d at most"), "{error}");
    // The bound came down after the token was made.
    let mut generous = Config::default();
    generous.identity.personal_token_lifetime = Span::hours(24 * 1_000);
    let f = fixture().await;
    let (_, token) = create_personal_token(f.dir.path(), &generous, longer).unwrap();
    f.gateway.reload().await;
    assert!(f.refusal(&token).await.contains("lives longer than `identity.personal_token_lifetime` allows"));
}

#[tokio::test]
async fn what_is_revoked_is_refused_and_so_is_what_it_had_begun() {
    let f = fixture().await;
    let (made, token) = f.make(new(&["orders"])).await;
    let (_, other) = f.make(new(&["orders"])).await;
    let session = f.gateway.bearer_session(&token, None).await.unwrap();
    assert!(f.rows(&session, COUNT).await.is_ok());
    let revoked = revoke_personal_tokens(f.dir.path(), f.gateway.config(), |token| token.id == made.id).unwrap();
    assert_eq!(revoked.len(), 1);
    assert!(f.gateway.reload().await, "running streams are judged again");
    let wanted = format!("the personal access token `{}` was revoked, or changed: ask for a new one", made.id);
    assert_eq!(f.refusal(&token).await, wanted);
    assert_eq!(f.error(&session, COUNT).await.message, wanted, "a session of before");
    assert!(f.gateway.bearer_session(&other, None).await.is_ok());
    assert!(revoke_personal_tokens(f.dir.path(), f.gateway.config(), |_| true).unwrap().len() == 1, "once is enough");
    // A user who is gone has no tokens.
    let (_, token) = f.make(NewToken { user: "nina".to_owned(), ..new(&["orders"]) }).await;
    f.write("users.yaml", &users().replacen("  nina:", "  ninja:", 1));
    f.gateway.reload().await;
    assert_eq!(f.refusal(&token).await, "there is no such user any more: log in again");
}

/// Nobody tells the gateway that the file has changed.
#[tokio::test(flavor = "multi_thread")]
async fn revocation_is_noticed_within_its_age_though_the_system_is_silent() {
    let dir = crate::tests::fixture::mesh();
    let mut config = Config::default();
    config.identity.revocation_age = Span::millis(50);
    // Notices of the watch come too late to count here.
    config.catalogue.watch_delay = Span::hours(1);
    let gateway = Gateway::open(dir.path(), config.clone()).await.unwrap();
    let (made, token) = create_personal_token(dir.path(), &config, new(&["orders"])).unwrap();
    let until = async |wanted: bool| {
        let began = Instant::now();
        while gateway.bearer_session(&token, None).await.is_ok() != wanted {
            assert!(began.elapsed().as_secs() < 60, "{wanted}");
            tokio::time::sleep(Span::millis(20).duration()).await;
        }
    };
    until(true).await;
    revoke_personal_tokens(dir.path(), &config, |token| token.id == made.id).unwrap();
    until(false).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_trusted_closes() {
    let f = fixture().await;
    let (_, token) = f.make(new(&["orders"])).await;
    let good = std::fs::read_to_string(path(&f)).unwrap();
    let mut twice: Value = serde_json::from_str(&good).unwrap();
    let again = twice["tokens"][0].clone();
    twice["tokens"].as_array_mut().unwrap().push(again);
    let twice = twice.to_string();
    for bad in ["", "{", "{\"tokens\": 1}", "{\"tokens\": [{}]}", &good.replacen("domains", "domain", 1), &twice] {
        std::fs::write(path(&f), bad).unwrap();
        f.gateway.reload().await;
        assert_eq!(f.refusal(&token).await, "the personal access token is not valid", "{bad}");
        let findings = f.gateway.findings();
        assert!(findings.iter().any(|finding| finding.code == UNREADABLE && finding.is_error()), "{bad}: {findings:?}");
        let error = create_personal_token(f.dir.path(), f.gateway.config(), new(&["orders"])).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidArgument, "nothing is written over what is not understood");
        assert_eq!(std::fs::read_to_string(path(&f)).unwrap(), bad);
    }
    std::fs::write(path(&f), &good).unwrap();
    f.gateway.reload().await;
    assert!(f.gateway.bearer_session(&token, None).await.is_ok());
    std::fs::remove_file(path(&f)).unwrap();
    f.gateway.reload().await;
    assert_eq!(f.refusal(&token).await, "the personal access token is not valid");
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private_and_is_not_read_where_others_may_write_it() {
    use std::os::unix::fs::PermissionsExt;
    let f = fixture().await;
    let (_, token) = f.make(new(&["orders"])).await;
    let mode = |mode: u32| std::fs::set_permissions(path(&f), std::fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(std::fs::metadata(path(&f)).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(path(&f)).unwrap();
    let secret = secret(&token);
    assert!(!text.contains(secret));
    for (bits, trusted) in [(0o620, false), (0o602, false), (0o600, true)] {
        mode(bits);
        f.gateway.reload().await;
        assert_eq!(f.gateway.bearer_session(&token, None).await.is_ok(), trusted, "{bits:o}");
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_not_made() {
    let f = fixture_with(config()).await;
    let refused = |new: NewToken| {
        let error = create_personal_token(f.dir.path(), f.gateway.config(), new).unwrap_err();
        (error.kind, error.message)
    };
    let (kind, message) = refused(NewToken { user: "nobody".to_owned(), ..new(&["orders"]) });
    assert_eq!((kind, message.as_str()), (ErrorKind::NotFound, "there is no user `nobody` in `users.yaml`"));
    let (kind, message) = refused(new(&["orders", "nowhere"]));
    let wanted = "there is no domain `nowhere`: there are orders, system";
    assert_eq!((kind, message.as_str()), (ErrorKind::NotFound, wanted));
    for bad in [
        new(&[]),
        NewToken { lifetime: Span::seconds(0), ..new(&["orders"]) },
        NewToken { name: "a\nb".to_owned(), ..new(&["orders"]) },
        NewToken { name: "x".repeat(101), ..new(&["orders"]) },
    ] {
        assert_eq!(refused(bad).0, ErrorKind::InvalidArgument);
    }
    assert!(!path(&f).exists());
}

#[test]
fn many_may_make_tokens_at_the_same_time() {
    let dir = crate::tests::fixture::mesh();
    let config = Config::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| create_personal_token(dir.path(), &config, new(&["orders"])).unwrap());
        }
    });
    assert_eq!(personal_tokens(dir.path(), &config).unwrap().len(), 4);
}
