//! The demo mesh's own policies, over the columns that they are about.

use super::*;
use crate::policy::SYSTEM_TABLES;

pub(super) fn sources() -> PolicySources {
    macro_rules! policies {
        ($($file:literal),*) => { vec![$(SourceFile::new(
            concat!("policies/", $file), include_str!(concat!("../../../../../policies/", $file)))),*] };
    }
    PolicySources {
        policies: policies!(
            "analysts.cedar",
            "data_scientists.cedar",
            "fraud.cedar",
            "platform.cedar",
            "readers.cedar"
        ),
        vocabulary: Some(SourceFile::new(
            "policies/vocabulary.yaml",
            include_str!("../../../../../policies/vocabulary.yaml"),
        )),
    }
}

fn catalogue() -> Arc<Catalogue> {
    macro_rules! contracts {
        ($($file:literal),*) => { [$(SourceFile::new(
            concat!("catalogs/", $file), include_str!(concat!("../../../../../catalogs/", $file)))),*] };
    }
    let contracts = contracts!(
        "customers/customer_profiles.yaml",
        "fintech_core/payment_transactions_enriched.yaml",
        "inventory/product_catalog.yaml",
        "orders/customer_orders_v1.yaml",
        "orders/order_events.yaml"
    );
    let connections =
        SourceFile::new("catalogs/connections.yaml", include_str!("../../../../../catalogs/connections.yaml"));
    let catalogue = Catalogue::build(&contracts, Some(&connections));
    assert!(!catalogue.findings().iter().any(Finding::is_error), "{}", lines(catalogue.findings()));
    Arc::new(catalogue)
}

fn people() -> BTreeMap<String, Principal> {
    let groups = [
        ("ana", "eu_analysts"),
        ("dev", "data_scientists"),
        ("frida", "fraud"),
        ("petra", "platform_admins"),
        ("audrey", "auditors"),
    ];
    groups.into_iter().map(|(id, group)| (id.to_owned(), subject(id, &[group]).principal)).collect()
}

fn snapshot() -> PolicySnapshot {
    let compiled = PolicySnapshot::compile(catalogue(), &sources()).unwrap_or_else(|f| panic!("{}", lines(&f)));
    assert_eq!(lines(&compiled.warnings), "");
    compiled.snapshot
}

#[test]
fn the_demo_people_see_their_rows_and_masks() {
    let file = SourceFile::new("policies/tests/demo.yaml", include_str!("../../../../../policies/tests/demo.yaml"));
    let outcome = crate::policy::tests::run(&snapshot(), &people(), &[file]);
    assert_eq!(lines(&outcome.all_findings()), "");
    assert!(outcome.results.len() >= 15);
}

#[test]
fn a_failing_policy_test_says_why() {
    let text = "tests:\n  - {name: t, as: ana, table: orders.order_events, expect: {filter: all rows, columns: \
                {\"*\": clear}}}\n  - {name: u, as: ana, table: orders.order_events, expect: {columns: {x: clear}}}";
    let outcome = crate::policy::tests::run(&snapshot(), &people(), &[SourceFile::new("t.yaml", text)]);
    assert_eq!(
        lines(&outcome.all_findings()),
        "t.yaml:3:5: error[policy-test-value]: table `orders.order_events` has no column `x`\n\
         t.yaml:2:5: error[policy-test]: `t`: filter: expected `all rows`, got `region = 'EU'` (permitted by eu-analysts-rows)\n\
         t.yaml:2:5: error[policy-test]: `t`: column `customer_id`: expected `clear`, got `hash` (granted by \
         readers-hashed)"
    );
}

#[test]
fn the_matrix_has_users_and_groups() {
    let users: Vec<Principal> = people().into_values().collect();
    let text = crate::policy::matrix::matrix(&snapshot(), &users, 0);
    let of = |who: &str, line: &str| {
        let section = text.split("\n\n").find(|section| section.lines().next() == Some(who)).unwrap();
        assert!(section.lines().any(|found| found.trim() == line), "{section}");
    };
    let columns = "event_ts event_type region channel product_id quantity amount currency coupon";
    of("ana", &format!("orders.order_events: rows where region = 'EU' | clear order_id {columns} | hash customer_id"));
    of("group readers", &format!("orders.order_events: no rows | clear order_id {columns} | hash customer_id"));
    of("petra", "orders.order_events: may be discovered, no rows");
    of("group auditors", "system.access_log: may be queried");
    let clear = columns.replace("event_type", "event_type customer_id");
    of("frida", &format!("orders.order_events for fraud: all rows | clear order_id {clear}"));
    assert!(!text.contains("for analytics"), "a purpose that changes nothing has no line");
    assert_eq!(text, crate::policy::matrix::matrix(&snapshot(), &users, 0));
}

#[test]
fn system_tables_by_person() {
    use crate::policy::TableAction::Query;
    let snapshot = snapshot();
    let queries = |group: &str| {
        let who = subject("x", &[group]);
        let may = |table: &&str| snapshot.may(&who, Query, &format!("system.{table}")).allowed;
        SYSTEM_TABLES.into_iter().filter(may).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(queries("eu_analysts"), "columns products");
    assert_eq!(queries("platform_admins"), "columns findings policies products");
    assert_eq!(queries("auditors"), "access_log columns findings policies products");
}
