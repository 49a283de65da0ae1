//! A credential that is good for some domains only.

use super::*;
use crate::Unmet;
use crate::policy::decision::{Disclosure, TableAction, TableDecision};

const ALL: &str = "@id(\"all\") permit (principal, action, resource);";

fn in_scope_of(domains: &[&str]) -> Subject {
    let mut ana = ana();
    ana.context.domains = Some(domains.iter().map(ToString::to_string).collect());
    ana
}

fn shows_nothing(decision: &TableDecision) -> bool {
    let TableDecision { discover, query, filter, break_glass, notice, columns, .. } = decision;
    let allowed = [discover, query, notice].into_iter().chain(break_glass).any(|access| access.allowed);
    !allowed && filter.text() == "no rows" && columns.iter().all(|column| column.disclosure == Disclosure::Denied)
}

#[test]
fn what_is_out_of_scope_is_closed_whatever_policies_say() {
    let snapshot = compile(ALL);
    let orders = mesh().remove(0);
    let open = snapshot.decide(&ana(), &orders);
    assert!(open.query.allowed && open.filter.text() == "all rows");
    let (inside, also) = (snapshot.decide(&in_scope_of(&["shop"]), &orders), in_scope_of(&["other", "shop"]));
    assert_eq!((inside.as_ref(), snapshot.decide(&also, &orders).as_ref()), (open.as_ref(), open.as_ref()));

    for domains in [&["other"][..], &["sho"], &["shop.orders"], &["SHOP"], &["system"], &["*"], &[]] {
        let mut outside = in_scope_of(domains);
        for glass in [None, Some("an emergency".to_owned())] {
            outside.context.break_glass = glass;
            let decision = snapshot.decide(&outside, &orders);
            assert!(shows_nothing(&decision), "{domains:?}: {decision:?}");
            assert_eq!((&decision.query.unmet, &decision.undecided), (&Some(Unmet::Scope), &None));
            let named = snapshot.decide_named(&outside, "shop.orders").unwrap();
            assert_eq!(named.as_ref(), decision.as_ref());
            for action in TableAction::ALL {
                assert!(!snapshot.may(&outside, action, "shop.orders").allowed, "{domains:?} {action:?}");
            }
        }
    }
}

#[test]
fn tables_of_the_gateway_are_a_domain_like_others() {
    let snapshot = compile(ALL);
    for (domains, open) in [(&["system"][..], true), (&["shop"], false), (&[], false)] {
        let subject = in_scope_of(domains);
        let decision = snapshot.decide_named(&subject, "system.access_log").unwrap();
        assert_eq!((decision.query.allowed, shows_nothing(&decision)), (open, !open), "{domains:?}");
        for action in [TableAction::Discover, TableAction::Query] {
            assert_eq!(snapshot.may(&subject, action, "system.access_log").allowed, open, "{domains:?}");
        }
    }
}
