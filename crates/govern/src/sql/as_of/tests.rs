use crate::GovernError;
use crate::sql::{Defaults, ParseLimits, Statement, parse, parse_in};

fn parsed(sql: &str) -> Statement {
    parse(sql, &ParseLimits::default()).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The versioned tables of a statement: `name @ version`.
fn versions(sql: &str) -> Vec<String> {
    parsed(sql).versions().iter().map(|(name, as_of)| format!("{name} @ {as_of}")).collect()
}

fn refused(sql: &str) -> String {
    match parse(sql, &ParseLimits::default()) {
        Ok(statement) => panic!("{sql}: {}", statement.redacted()),
        Err(error @ (GovernError::Refused { .. } | GovernError::Syntax { .. })) => error.to_string(),
        Err(error) => panic!("{sql}: {error}"),
    }
}

const MISPLACED: &str = "AS OF in this place is not supported: write it right after the name of a table in FROM or JOIN, \
                         before its alias";

#[test]
fn every_spelling_gives_the_version() {
    for (clause, expect) in [
        ("VERSION AS OF 7", "version 7"),
        ("FOR VERSION AS OF 7", "version 7"),
        ("FOR SYSTEM_VERSION AS OF 9223372036854775807", "version 9223372036854775807"),
        ("for version\nas /* so */ of 'audit'", "branch or tag `audit`"),
        ("VERSION AS OF '7'", "branch or tag `7`"),
        ("TIMESTAMP AS OF '2026-01-02 03:04:05.678'", "2026-01-02 03:04:05.678Z"),
        ("FOR TIMESTAMP AS OF '2026-01-02T03:04:05+02:00'", "2026-01-02 01:04:05Z"),
        ("FOR SYSTEM_TIME AS OF TIMESTAMP '2026-01-02 03:04:05'", "2026-01-02 03:04:05Z"),
        ("TIMESTAMP AS OF DATE '2026-01-02'", "2026-01-02 00:00:00Z"),
        ("TIMESTAMP AS OF '1969-12-31 23:59:59.5Z'", "1969-12-31 23:59:59.500Z"),
    ] {
        for (before, after) in [("", ""), ("", " AS x"), ("", " x"), ("", " x (a, b)"), ("(SELECT 1) y, ", "")] {
            let sql = format!("SELECT 1 FROM {before}a.t {clause}{after} WHERE 1 = 1");
            assert_eq!(versions(&sql), [format!("a.t @ {expect}")], "{sql}");
        }
    }
}

#[test]
fn a_clause_belongs_to_the_table_before_it_and_to_no_other() {
    assert_eq!(
        versions(
            "WITH c AS (SELECT * FROM a.t VERSION AS OF 1), d AS (SELECT * FROM a.t) \
             SELECT (SELECT max(x) FROM b.u VERSION AS OF 2) FROM c JOIN a.t VERSION AS OF 3 t3 ON true \
             LEFT JOIN (a.t VERSION AS OF 'four' AS t4 CROSS JOIN a.t) ON EXISTS (SELECT 1 FROM \"A\".\"t\" VERSION AS OF 5) \
             UNION SELECT 1 FROM mesh.a.t FOR TIMESTAMP AS OF '2026-01-01', a.t"
        ),
        [
            "a.t @ version 1",
            "b.u @ version 2",
            "a.t @ version 3",
            "a.t @ branch or tag `four`",
            "\"A\".\"t\" @ version 5",
            "mesh.a.t @ 2026-01-01 00:00:00Z",
        ]
    );
    assert_eq!(versions("EXPLAIN SELECT 1 FROM a.t VERSION AS OF 1"), ["a.t @ version 1"]);
    assert_eq!(versions("FROM a.t VERSION AS OF 1 SELECT 1"), ["a.t @ version 1"]);
}

#[test]
fn what_only_looks_like_a_clause_is_left_alone() {
    for sql in [
        "SELECT version AS of FROM a.t",
        "SELECT timestamp AS of, 1 FROM a.t",
        "SELECT 1 FROM version AS of",
        "SELECT 1 FROM version AS of (a, b) WHERE a = 1",
        "SELECT 'a.t VERSION AS OF 1', \"a.t VERSION AS OF 1\" FROM a.t -- VERSION AS OF 1",
        "SELECT 1 FROM a.t /* VERSION AS OF 1 */",
        "SELECT 1 FROM a.version",
        "SELECT 1 FROM \"a.t VERSION AS OF 1\".t",
        "SELECT TIMESTAMP '2026-01-01' AS of FROM a.t",
    ] {
        assert_eq!(versions(sql), Vec::<String>::new(), "{sql}");
    }
}

#[test]
fn a_clause_that_no_table_takes_is_refused() {
    for sql in [
        "SELECT 1 FROM a.t AS x VERSION AS OF 1",
        "SELECT 1 FROM a.t x VERSION AS OF 1",
        "SELECT 1 FROM a VERSION AS OF 1 .t",
        "SELECT 1 FROM a. VERSION AS OF 1 t",
        "SELECT 1 FROM (SELECT 1) VERSION AS OF 1",
        "SELECT 1 FROM (SELECT 1) x VERSION AS OF 1",
        "SELECT 1 FROM (a.t JOIN a.t) VERSION AS OF 1",
        "SELECT 1 VERSION AS OF 1",
        "SELECT x VERSION AS OF 1 FROM a.t",
        "SELECT 1 FROM a.t WHERE x VERSION AS OF 1",
        "SELECT 1 FROM a.t WHERE x = 1 VERSION AS OF 1",
        "SELECT 1 FROM a.t ORDER BY x VERSION AS OF 1",
        "VERSION AS OF 1",
        "VERSION AS OF 1 SELECT 1 FROM a.t",
        "WITH c AS (SELECT 1) VERSION AS OF 1 SELECT 1 FROM c",
        "WITH c VERSION AS OF 1 AS (SELECT 1) SELECT 1 FROM c",
        "SELECT 1 FROM a.t VERSION AS OF 1 VERSION AS OF 2",
        "SELECT 1 FROM a.t VERSION AS OF 1 TIMESTAMP AS OF '2026-01-01'",
        "SELECT 1 FROM generate_series(1, 2) VERSION AS OF 1",
        "SELECT 1 FROM unnest([1]) VERSION AS OF 1",
        "SELECT 1 FROM unnest VERSION AS OF 1 ([1])",
        "SELECT 1 FROM a.t CROSS JOIN LATERAL generate_series VERSION AS OF 1 (1, 2)",
        "DESCRIBE a.t VERSION AS OF 1",
        "SHOW COLUMNS FROM a.t VERSION AS OF 1",
        "SHOW TABLES FROM a VERSION AS OF 1",
        "SET purpose VERSION AS OF 1 = 'fraud'",
        "SELECT 1 FROM a.t WITH VERSION AS OF 1 (nolock)",
        "INSERT INTO a.t VERSION AS OF 1 SELECT 1",
        "COPY a.t VERSION AS OF 1 TO 'x.csv'",
    ] {
        let error = refused(sql);
        assert!(error == MISPLACED || error.starts_with("cannot parse the statement: "), "{sql}: {error}");
    }
    assert_eq!(refused("SELECT 1 FROM a.t x VERSION AS OF 1"), MISPLACED);
    assert_eq!(refused("SELECT 1 FROM a VERSION AS OF 1 .t"), MISPLACED);
    assert_eq!(
        refused("SELECT 1 FROM generate_series VERSION AS OF 1 (1, 2)"),
        "AS OF after a table function is not supported: only tables have versions"
    );
    assert!(refused("SELECT 1 FROM a.t AT (VERSION => 1)").starts_with("cannot parse"));
}

#[test]
fn only_literals_choose_a_version() {
    for sql in [
        "SELECT 1 FROM a.t VERSION AS OF ?",
        "SELECT 1 FROM a.t VERSION AS OF $1",
        "SELECT 1 FROM a.t VERSION AS OF -1",
        "SELECT 1 FROM a.t FOR VERSION AS OF (1)",
        "SELECT 1 FROM a.t FOR TIMESTAMP AS OF now()",
        "SELECT 1 FROM a.t FOR SYSTEM_TIME AS OF current_timestamp",
    ] {
        let error = refused(sql);
        assert!(error.starts_with("AS OF anything but a literal is not supported: write a literal there"), "{error}");
    }
    for sql in [
        "SELECT 1 FROM a.t VERSION AS OF 1.5",
        "SELECT 1 FROM a.t VERSION AS OF 1e3",
        "SELECT 1 FROM a.t VERSION AS OF 99999999999999999999",
        "SELECT 1 FROM a.t VERSION AS OF ''",
        "SELECT 1 FROM a.t VERSION AS OF DATE '2026-01-01'",
    ] {
        assert!(refused(sql).starts_with("this VERSION AS OF is not supported: write the number"), "{sql}");
    }
    for sql in [
        "SELECT 1 FROM a.t TIMESTAMP AS OF 1700000000",
        "SELECT 1 FROM a.t TIMESTAMP AS OF 'yesterday'",
        "SELECT 1 FROM a.t TIMESTAMP AS OF TIMESTAMP ''",
        "SELECT 1 FROM a.t TIMESTAMP AS OF '2026-13-01'",
    ] {
        assert!(refused(sql).starts_with("this TIMESTAMP AS OF is not supported: write a time"), "{sql}");
    }
    for sql in [
        "SELECT 1 FROM a.t VERSION AS OF 1 + 1",
        "SELECT 1 FROM a.t VERSION AS OF 1::bigint",
        "SELECT 1 FROM a.t VERSION AS OF N'x'",
        "SELECT 1 FROM a.t VERSION AS OF now()",
        "SELECT 1 FROM a.t VERSION AS OF (1)",
        "SELECT 1 FROM a.t TIMESTAMP AS OF '2026-01-01' - INTERVAL '1' DAY",
    ] {
        assert!(refused(sql).starts_with("cannot parse the statement: "), "{sql}");
    }
    let many = (0..65).map(|at| format!("a.t VERSION AS OF {at} t{at}")).collect::<Vec<_>>().join(", ");
    assert!(refused(&format!("SELECT 1 FROM {many}")).starts_with("a statement with more than 64 versions of tables"));
}

#[test]
fn times_without_a_zone_are_in_the_sessions() {
    let at = |literal: &str, zone: &str| {
        let defaults = Defaults { time_zone: zone.into(), ..Defaults::default() };
        let sql = format!("SELECT 1 FROM a.t TIMESTAMP AS OF {literal}");
        parse_in(&sql, &ParseLimits::default(), &defaults).map(|statement| statement.versions()[0].1.to_string())
    };
    for (literal, zone, expect) in [
        ("'2026-07-01 12:00:00'", "Europe/Vienna", "2026-07-01 10:00:00Z"),
        ("TIMESTAMP '2026-01-01 12:00:00'", "Europe/Vienna", "2026-01-01 11:00:00Z"),
        ("DATE '2026-07-01'", "-11:00", "2026-07-01 11:00:00Z"),
        ("'2026-07-01T12:00:00Z'", "Asia/Tokyo", "2026-07-01 12:00:00Z"),
        ("'2026-07-01 12:00:00+02:00'", "Asia/Tokyo", "2026-07-01 10:00:00Z"),
    ] {
        assert_eq!(at(literal, zone).unwrap(), expect, "{literal} in {zone}");
    }
    // An hour that clocks there never showed.
    assert!(at("'2026-03-29 02:30:00'", "UTC").is_ok());
    assert!(matches!(at("'2026-03-29 02:30:00'", "Europe/Vienna"), Err(GovernError::Refused { .. })));
}

#[test]
fn versions_are_literals_to_the_log() {
    for clause in ["VERSION AS OF 4711", "VERSION AS OF 's3cr3t'", "TIMESTAMP AS OF '2026-01-01'"] {
        let shown = parsed(&format!("SELECT x FROM a.t {clause} y")).redacted();
        assert!(shown.contains("AS OF ?") && !shown.contains("4711") && !shown.contains("s3cr3t"), "{shown}");
    }
    assert!(parsed("SELECT x FROM a.t TIMESTAMP AS OF DATE '2026-01-01'").redacted().ends_with("AS OF DATE ?"));
    assert_eq!(parsed("SELECT 1 FROM a.t VERSION AS OF 1, a.t").tables(), ["a.t"]);
    assert!(parsed("SELECT 1 FROM a.t").versions().is_empty());
}
