//! Acting for a user: with a right to, with the user's rights, and with both names in the journal.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_govern::Principal;

use super::fixture::{Fixture, POLICIES, fixture, users};
use crate::config::Span;
use crate::error::ErrorKind;
use crate::{NewToken, Session};

const COUNT: &str = "SELECT count(*) AS n FROM orders.order_events";
/// bob, who is in no group, may act for readers.
const BOB: &str = "@id(\"bob-acts\") permit (principal == User::\"bob\", action == Action::\"impersonate\", resource in Group::\"readers\");\n";

async fn allowed() -> Fixture {
    let f = fixture().await;
    f.write("policies/acts.cedar", BOB);
    assert!(f.gateway.reload().await, "{:?}", f.gateway.findings());
    f
}

async fn bob(f: &Fixture) -> Session {
    f.gateway.login("bob", "bob", None).await.unwrap()
}

#[tokio::test]
async fn it_is_refused_unless_a_policy_names_it_and_says_the_same_of_users_that_are_not_there() {
    let f = fixture().await;
    for user in ["ana", "nina", "petra", "bob", "nobody"] {
        let error = f.gateway.act_for(bob(&f).await, user).await.unwrap_err();
        let wanted = format!("no policy lets `bob` act for a user `{user}`: that takes the action `impersonate`");
        assert_eq!((error.kind, error.message), (ErrorKind::PermissionDenied, wanted));
    }
    // Whoever may do all else may not do this.
    f.write("policies/all.cedar", &format!("{POLICIES}\n@id(\"any\") permit (principal, action, resource);"));
    assert!(f.gateway.reload().await, "{:?}", f.gateway.findings());
    assert!(f.gateway.act_for(bob(&f).await, "ana").await.is_err());
    let journal = f.journal().await;
    let refused: Vec<_> = journal.iter().filter(|entry| entry.begin.statement == "(impersonation)").collect();
    assert!(refused.iter().all(|entry| entry.begin.principal == "bob"), "{refused:?}");
    assert!(!refused.is_empty());
}

#[tokio::test]
async fn the_user_asks_and_the_journal_has_both() {
    let f = allowed().await;
    let as_ana = f.gateway.act_for(bob(&f).await, "ana").await.unwrap();
    assert_eq!((as_ana.user(), as_ana.actor(), as_ana.authentication()), ("ana", Some("bob"), "password"));
    assert!(f.text(&as_ana, COUNT).await.contains("| 2 |"), "ana's rows");
    assert_eq!(f.error(&bob(&f).await, COUNT).await.kind, ErrorKind::NotFound, "bob's own");
    for user in ["petra", "bob", "nobody"] {
        assert!(f.gateway.act_for(bob(&f).await, user).await.is_err(), "{user} is no reader");
    }
    // Nobody else, and nobody by way of bob.
    let nina = f.gateway.login("nina", "nina", None).await.unwrap();
    assert!(f.gateway.act_for(nina, "ana").await.is_err());
    let twice = f.gateway.act_for(as_ana, "nina").await.unwrap_err();
    assert_eq!(twice.kind, ErrorKind::PermissionDenied);
    assert!(twice.message.starts_with("who acts for a user already"), "{twice}");
    let journal = f.journal().await;
    let begin = &journal[0].begin;
    assert_eq!((begin.principal.as_str(), begin.actor.as_deref()), ("ana", Some("bob")));
    assert_eq!(begin.groups, ["readers"]);
}

/// Not even where the user might act for others, too: the journal would not have who began it.
#[tokio::test]
async fn nobody_acts_by_way_of_who_is_acted_for() {
    let f = fixture().await;
    f.write("policies/acts.cedar", &format!("{BOB}{}", BOB.replace("bob", "ana")));
    assert!(f.gateway.reload().await, "{:?}", f.gateway.findings());
    let ana = f.gateway.login("ana", "ana", None).await.unwrap();
    assert!(f.gateway.act_for(ana, "nina").await.is_ok());
    let as_ana = f.gateway.act_for(bob(&f).await, "ana").await.unwrap();
    assert_eq!(f.gateway.act_for(as_ana, "nina").await.unwrap_err().kind, ErrorKind::PermissionDenied);
}

/// The session of a token that was exchanged: its principal, and who acts.
fn exchanged(user: &str, groups: &[&str]) -> Session {
    let of = |id: &str, groups: &[&str]| {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Session::claimed(Principal { id: id.to_owned(), groups, attributes: BTreeMap::new() }, i64::MAX)
    };
    of(user, groups).acted_by(of("sso:bi", &[]))
}

#[tokio::test]
async fn who_acts_by_an_exchanged_token_needs_the_same_right() {
    let f = fixture().await;
    let anna = exchanged("sso:anna", &["readers"]);
    let refused = f.error(&anna, COUNT).await;
    let wanted = "no policy lets `sso:bi` act for a user `sso:anna`: that takes the action `impersonate`";
    assert_eq!((refused.kind, refused.message.as_str()), (ErrorKind::PermissionDenied, wanted));
    let right = BOB.replace("User::\"bob\"", "User::\"sso:bi\"");
    f.write("policies/acts.cedar", &right);
    assert!(f.gateway.reload().await, "{:?}", f.gateway.findings());
    assert!(f.text(&anna, COUNT).await.contains("| 2 |"), "a reader's rows");
    assert_eq!(f.error(&exchanged("sso:zoe", &[]), COUNT).await.kind, ErrorKind::PermissionDenied, "not for her");
    assert!(f.gateway.act_for(anna.clone(), "ana").await.is_err(), "nobody by way of her");
    assert_eq!(anna.audience(), "sso:anna\nsso:bi", "what is handed out is for both together");
    f.write("policies/acts.cedar", "");
    assert!(f.gateway.reload().await);
    assert_eq!(f.error(&anna, COUNT).await.kind, ErrorKind::PermissionDenied);
    let journal = f.journal().await;
    let begin =
        &journal.iter().find(|entry| entry.begin.principal == "sso:anna" && entry.rows == Some(1)).unwrap().begin;
    assert_eq!((begin.actor.as_deref(), begin.groups.as_slice()), (Some("sso:bi"), ["readers".to_owned()].as_slice()));
}

#[tokio::test]
async fn what_is_handed_out_is_for_both_together() {
    let f = allowed().await;
    let (ana, bob) = (f.gateway.login("ana", "ana", None).await.unwrap(), bob(&f).await);
    let as_ana = f.gateway.act_for(bob.clone(), "ana").await.unwrap();
    let as_nina = f.gateway.act_for(bob.clone(), "nina").await.unwrap();
    let sessions = [&ana, &bob, &as_ana, &as_nina];
    for (made, of) in sessions.iter().enumerate() {
        let ticket = f.gateway.seal_for(of, "ticket", b"SELECT 1");
        let kept = f.gateway.seal_options(of).unwrap();
        for (used, by) in sessions.iter().enumerate() {
            assert_eq!(f.gateway.unseal_for(by, "ticket", &ticket).is_ok(), made == used, "{made} by {used}");
            assert_eq!(f.gateway.resume((*by).clone(), &kept).await.is_ok(), made == used, "{made} by {used}");
        }
    }
    assert_eq!(sessions.map(Session::audience).into_iter().collect::<BTreeSet<_>>().len(), 4);
}

#[tokio::test]
async fn the_right_the_credential_and_the_user_are_looked_at_with_each_statement() {
    let f = allowed().await;
    let new = NewToken {
        user: "bob".to_owned(),
        name: String::new(),
        domains: ["orders".to_owned()].into(),
        lifetime: Span::hours(1),
    };
    let (_, token) = crate::create_personal_token(f.dir.path(), f.gateway.config(), new.clone()).unwrap();
    let narrow = NewToken { domains: ["system".to_owned()].into(), ..new };
    let (_, narrow) = crate::create_personal_token(f.dir.path(), f.gateway.config(), narrow).unwrap();
    f.gateway.reload().await;
    let acting = async |token: &str| {
        let bob = f.gateway.bearer_session(token, None).await.unwrap();
        f.gateway.act_for(bob, "ana").await.unwrap()
    };
    let as_ana = acting(&token).await;
    assert!(f.rows(&as_ana, COUNT).await.is_ok());
    assert_eq!(
        f.error(&acting(&narrow).await, COUNT).await.kind,
        ErrorKind::NotFound,
        "the scope of bob's token holds"
    );

    let changes = [
        ("policies/acts.cedar", "".to_owned(), BOB.to_owned()),
        ("users.yaml", users().replacen("  ana:", "  anna:", 1), users().to_owned()),
        ("users.yaml", users().replacen("  bob:", "  rob:", 1), users().to_owned()),
    ];
    for (file, changed, back) in changes {
        f.write(file, &changed);
        f.gateway.reload().await;
        assert!(f.rows(&as_ana, COUNT).await.is_err(), "{file}");
        f.write(file, &back);
        f.gateway.reload().await;
        assert!(f.rows(&as_ana, COUNT).await.is_ok(), "{file}");
    }
    crate::revoke_personal_tokens(f.dir.path(), f.gateway.config(), |_| true).unwrap();
    f.gateway.reload().await;
    assert_eq!(f.error(&as_ana, COUNT).await.kind, ErrorKind::Unauthenticated);
}

/// A session that keeps what it sets.
async fn keeping(f: &Fixture) -> Session {
    bob(f).await.with_options(crate::SessionOptions::default(), true)
}

#[tokio::test]
async fn a_session_may_choose_for_whom_it_asks() {
    let f = allowed().await;
    let bob = keeping(&f).await;
    f.gateway.set_option(&bob, "purpose", Some("fraud")).await.unwrap();
    f.gateway.set_option(&bob, "on_behalf_of", Some("ana")).await.unwrap();
    assert_eq!(bob.options().purpose, None, "what bob has set for himself is not ana's");
    assert!(f.error(&bob, COUNT).await.message.contains("holds from the next call on"), "not as bob by mistake");
    let kept = f.gateway.seal_options(&bob).unwrap();
    let (as_ana, _) = f.gateway.resume(keeping(&f).await, &kept).await.unwrap();
    assert_eq!((as_ana.user(), as_ana.actor()), ("ana", Some("bob")));
    assert!(f.text(&as_ana, COUNT).await.contains("| 2 |"), "ana's rows");
    assert_eq!(as_ana.audience(), "ana\nbob", "what is handed out is for both together");
    // It is bob's to go on with, and to change.
    let again = f.gateway.seal_options(&as_ana).unwrap();
    assert!(f.gateway.resume(keeping(&f).await, &again).await.is_ok());
    let ana = f.gateway.login("ana", "ana", None).await.unwrap();
    let by_header = f.gateway.act_for(keeping(&f).await, "ana").await.unwrap();
    for other in [ana, by_header.clone()] {
        assert_eq!(f.gateway.resume(other, &again).await.unwrap_err().kind, ErrorKind::Unauthenticated);
    }
    f.gateway.set_option(&as_ana, "schema", Some("orders")).await.unwrap();
    f.gateway.set_option(&as_ana, "on_behalf_of", Some("nina")).await.unwrap();
    let as_nina = f.gateway.going_on(as_ana.clone()).await.unwrap();
    assert_eq!((as_nina.user(), as_nina.actor(), as_nina.options().schema), ("nina", Some("bob"), None));
    f.gateway.set_option(&as_nina, "on_behalf_of", None).await.unwrap();
    let alone = f.gateway.going_on(as_nina).await.unwrap();
    assert_eq!((alone.user(), alone.actor()), ("bob", None));
    assert_eq!(f.error(&alone, COUNT).await.kind, ErrorKind::NotFound, "bob's own");
    // Who acts already, by a header or a token, goes no further by way of that.
    let error = f.gateway.set_option(&by_header, "on_behalf_of", Some("nina")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    let local = f.gateway.local_session("bob").unwrap();
    assert!(f.gateway.set_option(&local, "on_behalf_of", Some("ana")).await.is_err());
    let journal = f.journal().await;
    let both = |entry: &&portcullis_audit::Entry| {
        entry.begin.principal == "ana" && entry.begin.actor.as_deref() == Some("bob") && entry.rows == Some(1)
    };
    assert_eq!(journal.iter().filter(both).count(), 1, "{journal:?}");
}

#[tokio::test]
async fn a_choice_needs_the_right_when_it_is_made_and_with_each_call() {
    let f = allowed().await;
    let bob = keeping(&f).await;
    for user in ["petra", "bob", "nobody"] {
        let error = f.gateway.set_option(&bob, "on_behalf_of", Some(user)).await.unwrap_err();
        let wanted = format!("no policy lets `bob` act for a user `{user}`: that takes the action `impersonate`");
        assert_eq!((error.kind, error.message), (ErrorKind::PermissionDenied, wanted));
        assert_eq!(bob.options().on_behalf_of, None);
    }
    let nina = f.gateway.login("nina", "nina", None).await.unwrap();
    let nina = nina.with_options(crate::SessionOptions::default(), true);
    assert!(f.gateway.set_option(&nina, "on_behalf_of", Some("ana")).await.is_err());
    f.gateway.set_option(&bob, "on_behalf_of", Some("ana")).await.unwrap();
    let kept = f.gateway.seal_options(&bob).unwrap();
    f.write("policies/acts.cedar", "");
    assert!(f.gateway.reload().await);
    let error = f.gateway.resume(keeping(&f).await, &kept).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    let journal = f.journal().await;
    assert!(journal.iter().any(|entry| entry.begin.statement == "(impersonation)"), "{journal:?}");
    let set = "SET on_behalf_of = ?";
    let denied = journal.iter().filter(|entry| entry.begin.statement == set && entry.error_kind.is_some());
    assert_eq!(denied.count(), 4, "{journal:?}");
}
