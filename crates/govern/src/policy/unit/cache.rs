use super::*;

#[test]
fn a_decision_is_kept_for_everything_that_it_depends_on() {
    let snapshot = compile(&(QUERY.to_owned() + &row_policy("p", "permit", "context has purpose")));
    let orders = mesh().remove(0);
    let first = snapshot.decide(&ana(), &orders);
    assert!(Arc::ptr_eq(&first, &snapshot.decide(&ana(), &orders)));
    let mut later = ana();
    later.context.now_ms += 1;
    assert!(Arc::ptr_eq(&first, &snapshot.decide(&later, &orders)), "nothing reads the time");
    let changes: [fn(&mut Subject); 9] = [
        |s| s.principal.id = "eve".into(),
        |s| s.principal.groups.extend(["fraud".to_owned()]),
        |s| drop(s.principal.attributes.remove("clearance")),
        |s| s.context.purpose = Some("fraud".into()),
        |s| s.context.authentication = "token".into(),
        |s| s.context.client_address = Some([10, 0, 0, 1].into()),
        |s| s.context.domains = Some(["shop".to_owned()].into()),
        |s| s.context.domains = Some([].into()),
        |s| s.context.actor = Some("bi".into()),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let mut other = ana();
        change(&mut other);
        assert!(!Arc::ptr_eq(&first, &snapshot.decide(&other, &orders)));
        assert_eq!(snapshot.decisions().entries, n as u64 + 2);
    }
}

#[test]
fn what_reads_the_time_is_not_kept() {
    for condition in [
        "context.now < datetime(\"2026-01-01T00:00:01Z\")",
        "context has purpose || context.now < datetime(\"2026-01-01T00:00:01Z\")",
        "(if context has purpose then context else context).now < datetime(\"2026-01-01T00:00:01Z\")",
        "{circumstances: context}.circumstances.now < datetime(\"2026-01-01T00:00:01Z\")",
        "context[\"now\"] < datetime(\"2026-01-01T00:00:01Z\")",
    ] {
        let snapshot = compile(&(QUERY.to_owned() + &row_policy("p", "permit", condition)));
        assert_eq!(filter(&snapshot, &ana()).text(), "all rows");
        let mut later = ana();
        later.context.now_ms += 1000;
        assert_eq!(filter(&snapshot, &later).text(), "no rows");
        assert_eq!(snapshot.decisions().entries, 0);
        // Another table's policies do not read it.
        snapshot.decide(&ana(), &mesh()[1]);
        assert_eq!(snapshot.decisions().entries, 1);
    }
}
