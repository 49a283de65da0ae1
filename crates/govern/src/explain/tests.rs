use super::*;
use crate::policy::unit::{compile, mesh, subject};

const POLICIES: &str = r#"
@id("find") permit (principal, action == Action::"discover", resource) unless { resource in Domain::"system" };
@id("read") permit (principal in Group::"fraud", action in [Action::"query", Action::"readRow"], resource);
@id("hash") permit (principal, action == Action::"viewHash", resource);
@id("clear") permit (principal in Group::"fraud", action == Action::"viewClear", resource)
when { context has purpose && context.purpose == Purpose::"fraud" };
"#;

fn grants(groups: &[&str], purpose: Option<&str>, audience: Audience) -> (WouldGrant, Option<String>) {
    let snapshot = compile(POLICIES);
    let mut who = subject("dev", groups);
    who.context.purpose = purpose.map(str::to_owned);
    let people = mesh().remove(1);
    let grants = would_grant(&snapshot, &who, &snapshot.decide(&who, &people), audience);
    let customer = grants.columns[1].clone();
    (grants, customer)
}

#[test]
fn what_would_grant_more_is_named_as_far_as_it_may_be_known() {
    let by_name = "action `viewClear` by its name, as the contract's masking is hash";
    let clear = Some(by_name.to_owned());
    let (stranger, customer) = grants(&[], None, Audience::Operator);
    assert_eq!(stranger.query.as_deref(), Some("action `query`: group `fraud`"));
    assert_eq!((stranger.rows, &customer), (None, &clear), "neither the group nor the purpose alone shows more");
    let (stranger, _) = grants(&[], None, Audience::Subject);
    assert_eq!(stranger.query.as_deref(), Some("action `query`"), "groups are not everybody's to know");
    let (fraud, customer) = grants(&["fraud"], None, Audience::Subject);
    assert_eq!((fraud.query, fraud.rows), (None, None), "there is no more");
    assert_eq!(customer.as_deref(), Some(format!("{by_name}: purpose `fraud` shows it clear").as_str()));
    let (_, customer) = grants(&["fraud"], Some("fraud"), Audience::Subject);
    assert_eq!(customer, None);
}

#[test]
fn a_group_stands_for_those_that_belong_to_it() {
    let policies = POLICIES.replace("@id(\"read\")", "@id(\"wide\") permit (principal in Group::\"analysts\", action == Action::\"query\", resource);\n@id(\"read\")");
    let policies = policies
        + "@id(\"eu\") permit (principal in Group::\"eu_analysts\", action == Action::\"viewClear\", resource);";
    let snapshot = compile(&policies);
    let who = subject("dev", &[]);
    let grants = would_grant(&snapshot, &who, &snapshot.decide(&who, &mesh().remove(1)), Audience::Operator);
    assert_eq!(grants.query.as_deref(), Some("action `query`: group `analysts`, group `fraud`"));
    assert_eq!(grants.columns[0].as_deref(), Some("action `viewClear`: group `eu_analysts` shows it clear"));
}

#[test]
fn a_report_costs_only_so_much() {
    let snapshot = compile(POLICIES);
    let who = subject("dev", &[]);
    let decision = snapshot.decide(&who, &mesh().remove(1));
    let grants = Grants::new(&snapshot, &who, true);
    let first = grants.of(&decision);
    let last = (0..200).map(|_| grants.of(&decision)).last().unwrap();
    assert_eq!(first.query.as_deref(), Some("action `query`: group `fraud`"));
    assert_eq!(last.query.as_deref(), Some("action `query`"));
}
