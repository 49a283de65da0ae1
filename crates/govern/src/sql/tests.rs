use std::time::{Duration, Instant};

use super::*;

/// What becomes of a statement: `kind | redacted`, or the error's text.
fn check(sql: &str, expect: &str) {
    let shown = match parse(sql, &ParseLimits::default()) {
        Ok(statement) => format!("{} | {}", statement.kind().as_str(), statement.redacted()),
        Err(error) => error.to_string(),
    };
    assert_eq!(shown, expect, "{sql}");
}

fn parsed(sql: &str) -> Statement {
    parse(sql, &ParseLimits::default()).unwrap()
}

fn refused(sql: &str) -> GovernError {
    parse(sql, &ParseLimits::default()).unwrap_err()
}

#[test]
fn statements_that_are_served() {
    check("SELECT 1", "query | SELECT ?");
    check("select a from orders.t;", "query | SELECT a FROM orders.t");
    check("VALUES (1, 'x'), (2, 'y')", "query | VALUES (?, ?), (?, ?)");
    check("WITH x AS (SELECT 1 AS a) SELECT a FROM x", "query | WITH x AS (SELECT ? AS a) SELECT a FROM x");
    check("SELECT 1 UNION ALL SELECT 2", "query | SELECT ? UNION ALL SELECT ?");
    check("EXPLAIN SELECT 'x'", "explain | EXPLAIN SELECT ?");
    check("EXPLAIN VERBOSE SELECT 1", "explain | EXPLAIN SELECT ?");
    check("EXPLAIN ACCESS SELECT 'x'", "explain-access | EXPLAIN ACCESS SELECT ?");
    check(" explain -- why\n access (SELECT a FROM t)", "explain-access | EXPLAIN ACCESS (SELECT a FROM t)");
    check(
        "EXPLAIN ACCESS WITH x AS (SELECT ?) SELECT * FROM x",
        "explain-access | EXPLAIN ACCESS WITH x AS (SELECT $1) SELECT * FROM x",
    );
    check("SHOW TABLES", "show-tables | SHOW TABLES");
    check("SHOW TABLES FROM orders LIKE 'a%'", "show-tables | SHOW TABLES FROM orders LIKE ?");
    check("SHOW SCHEMAS", "show-schemas | SHOW SCHEMAS");
    check("SHOW COLUMNS FROM orders.t", "show-columns | SHOW COLUMNS FROM orders.t");
    check("DESCRIBE orders.t", "describe | DESCRIBE orders.t");
    check("SELECT * FROM generate_series(1, 3)", "query | SELECT * FROM generate_series(?, ?)");
    check("SELECT * FROM unnest([1, 2])", "query | SELECT * FROM UNNEST([?, ?])");
    check("SELECT a FROM t CROSS JOIN LATERAL (SELECT 1)", "query | SELECT a FROM t CROSS JOIN LATERAL (SELECT ?)");
}

#[test]
fn settings() {
    let setting = |sql: &str| match parsed(sql).kind() {
        StatementKind::Set(setting) => setting.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(setting("SET TIME ZONE 'Europe/Vienna'"), Setting::TimeZone(Some("Europe/Vienna".into())));
    assert_eq!(setting("SET TIME ZONE DEFAULT"), Setting::TimeZone(None));
    assert_eq!(setting("SET schema = 'orders'"), Setting::Schema(Some("orders".into())));
    assert_eq!(setting("SET schema TO DEFAULT"), Setting::Schema(None));
    assert_eq!(setting("SET purpose = 'fraud'"), Setting::Purpose(Some("fraud".into())));
    assert_eq!(setting("SET purpose TO fraud"), Setting::Purpose(Some("fraud".into())));
    assert_eq!(setting("SET purpose = DEFAULT"), Setting::Purpose(None));
    assert_eq!(setting("SET break_glass = 'it burns'"), Setting::BreakGlass(Some("it burns".into())));
    assert_eq!(setting("SET break_glass = DEFAULT"), Setting::BreakGlass(None));
    assert_eq!(setting("SET on_behalf_of = 'ana'"), Setting::OnBehalfOf(Some("ana".into())));
    assert_eq!(setting("SET on_behalf_of = DEFAULT"), Setting::OnBehalfOf(None));
    check("SET break_glass = 'it burns'", "set | SET break_glass = ?");
    let midnight = 1_767_225_600_000_000;
    for (value, time) in [
        ("'2026-01-01'", Some(midnight)),
        ("TIMESTAMP '2026-01-01 00:00:00.000001'", Some(midnight + 1)),
        ("TIMESTAMP WITH TIME ZONE '2026-01-01 01:00:00+01:00'", Some(midnight)),
        ("DATE '2026-01-01'", Some(midnight)),
        ("DEFAULT", None),
        ("default", None),
    ] {
        assert_eq!(setting(&format!("SET as_of = {value}")), Setting::AsOf(time), "{value}");
        assert_eq!(setting(&format!("SET AS_OF TO {value}")), Setting::AsOf(time), "{value}");
    }
    check("SET as_of = TIMESTAMP '2026-01-01'", "set | SET as_of = TIMESTAMP ?");
    for value in
        ["'yesterday'", "yesterday", "now()", "1767225600", "NULL", "TIME '10:00:00'", "LOCAL", "''", "\"DEFAULT\""]
    {
        let error = parse(&format!("SET as_of = {value}"), &ParseLimits::default()).unwrap_err();
        assert_eq!(error.code(), "statement-value", "{value}: {error}");
        assert!(error.to_string().starts_with("that is no time for `SET as_of`: write a text such as"), "{error}");
    }
    check("SET purpose = 'fraud'", "set | SET purpose = ?");
    let hint = "is not supported: the settings are `SET TIME ZONE '…'`, `SET schema = '…'`, `SET purpose = '…'`, `SET as_of = '…'`, `SET break_glass = '…'` and `SET on_behalf_of = '…'`";
    check("SET datafusion.execution.batch_size = 1", &format!("SET `datafusion.execution.batch_size` {hint}"));
    check("SET ROLE admin", &format!("this SET {hint}"));
    check("RESET datafusion.execution.batch_size", &format!("RESET {hint}"));
}

#[test]
fn statements_that_are_refused() {
    let reads = "is not supported: the gateway only reads; change data where its domain keeps it";
    for (sql, what) in [
        ("INSERT INTO t VALUES (1)", "INSERT"),
        ("UPDATE t SET a = 1", "UPDATE"),
        ("DELETE FROM t", "DELETE"),
        ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE", "MERGE"),
        ("TRUNCATE TABLE t", "TRUNCATE"),
        ("CREATE TABLE t AS SELECT 1", "CREATE TABLE"),
        ("CREATE VIEW v AS SELECT 1", "CREATE VIEW"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "CREATE EXTERNAL TABLE"),
        ("COPY (SELECT 1) TO 'x.csv'", "COPY"),
        ("DROP TABLE t", "DROP"),
        ("ALTER TABLE t ADD COLUMN a INT", "ALTER TABLE"),
        ("GRANT SELECT ON t TO ana", "GRANT"),
    ] {
        check(sql, &format!("{what} {reads}"));
    }
    let served = "is not supported: the gateway serves queries, EXPLAIN, SHOW and DESCRIBE";
    for (sql, what) in [("CALL f()", "CALL"), ("ANALYZE TABLE t", "ANALYZE"), ("KILL 1", "KILL")] {
        check(sql, &format!("{what} {served}"));
    }
    check("USE orders", "USE is not supported: write `domain.table`, or `SET schema = 'domain'`");
    check("PREPARE p AS SELECT 1", "PREPARE in SQL is not supported: use your client's prepared statements");
    check("BEGIN", "a transaction is not supported: every query reads one snapshot of each table; just query");
    let query = "EXPLAIN of anything but a query is not supported: explain a SELECT, VALUES or WITH query";
    check("EXPLAIN INSERT INTO t VALUES (1)", query);
    check("EXPLAIN EXPLAIN SELECT 1", query);
    check("EXPLAIN COPY (SELECT 1) TO 'x'", query);
    let access = query.replacen("EXPLAIN", "EXPLAIN ACCESS", 1);
    check("EXPLAIN ACCESS INSERT INTO t VALUES (1)", &access);
    check("EXPLAIN ACCESS EXPLAIN SELECT 1", &access);
    check("EXPLAIN ACCESS SHOW TABLES", &access);
    check("EXPLAIN ACCESS COPY (SELECT 1) TO 'x'", &access);
    check("EXPLAIN ACCESS SET purpose = 'fraud'", &access);
    check(
        "EXPLAIN ACCESS EXPLAIN ACCESS SELECT 1",
        "cannot parse the statement: Expected: an SQL statement, found: ACCESS at Line: 1, Column: 24",
    );
    check("EXPLAIN ACCESS", "statement is empty");
    check(
        "EXPLAIN ACCESS SELECT a FROM o.t FOR VERSION AS OF 3",
        "EXPLAIN ACCESS of a version of a table is not supported: leave the version out: access is that of now, whatever \
         version is read",
    );
    check("EXPLAIN ACCESS SELECT 1; SELECT 2", "2 statements in one text; send them one at a time");
    check(
        "EXPLAIN ACCESS SELECT a FROM t FOR UPDATE",
        "FOR UPDATE and FOR SHARE is not supported: the gateway only reads, and locks nothing",
    );
    check("SELECT 1; SELECT 2", "2 statements in one text; send them one at a time");
    check(" -- nothing\n;", "statement is empty");
}

#[test]
fn clauses_that_are_refused() {
    let only = "the gateway only reads";
    check("SELECT 1 INTO t", &format!("SELECT INTO is not supported: {only}"));
    check("WITH x AS (SELECT 1 INTO t) SELECT 2", &format!("SELECT INTO is not supported: {only}"));
    let locks = "FOR UPDATE and FOR SHARE is not supported: the gateway only reads, and locks nothing";
    check("SELECT a FROM t FOR UPDATE", locks);
    check("SELECT (SELECT a FROM t FOR SHARE)", locks);
    check("WITH x AS (INSERT INTO t VALUES (1)) SELECT 2", &format!("INSERT is not supported: {only}"));
    check(
        "SELECT * FROM '/etc/passwd'",
        "a text in place of a table is not supported: tables are named `domain.table`; files cannot be read",
    );
    check(
        "SELECT * FROM read_csv('/etc/passwd')",
        "table function `read_csv` is not supported: the table functions are generate_series, range and unnest",
    );
    check("SELECT * FROM a.t TABLESAMPLE (10 ROWS)", "TABLESAMPLE is not supported: leave the clause out");
    check("SELECT TOP 3 a FROM t", "TOP is not supported: leave the clause out");
}

#[test]
fn no_literal_survives_redaction() {
    let secret = "s3cr3t";
    for sql in [
        "SELECT 's3cr3t'",
        "SELECT N's3cr3t', X'53', E's3cr3t\\'', U&'s3cr3t'",
        "SELECT $$s3cr3t$$, $t$s3cr3t$t$",
        "SELECT 'a''s3cr3t'",
        "SELECT a AS b FROM t WHERE c LIKE 's3cr3t%' ESCAPE '\\'",
        "SELECT DATE 's3cr3t', TIMESTAMP 's3cr3t', INTERVAL 's3cr3t' DAY",
        "SELECT CAST('s3cr3t' AS VARCHAR(7)), 's3cr3t'::text",
        "SELECT a FROM t WHERE b IN ('x', 's3cr3t') ORDER BY 's3cr3t'",
        "SELECT a FROM t /* s3cr3t */ -- s3cr3t",
        "SELECT /*+ s3cr3t */ a FROM t",
        "SELECT 1 AS 's3cr3t'",
        "SELECT {'s3cr3t': 's3cr3t'}, ['s3cr3t'], MAP {'s3cr3t': 1}",
        "SELECT f(x => 's3cr3t'), substring('s3cr3t' FROM 1 FOR 2), trim('s3cr3t' FROM a)",
        "SELECT CASE 's3cr3t' WHEN 's3cr3t' THEN 's3cr3t' ELSE 's3cr3t' END",
        "SELECT a SIMILAR TO 's3cr3t', a ~ 's3cr3t', a AT TIME ZONE 's3cr3t'",
        "SELECT string_agg(a, 's3cr3t') FILTER (WHERE b = 's3cr3t') OVER (PARTITION BY 's3cr3t') FROM t",
        "SHOW TABLES LIKE 's3cr3t'",
        "SET purpose = 's3cr3t'",
        "SET TIME ZONE 's3cr3t'",
        "EXPLAIN SELECT 's3cr3t'",
        "EXPLAIN ACCESS SELECT 's3cr3t'",
    ] {
        let statement = parsed(sql);
        let shown = statement.redacted();
        assert!(!shown.contains(secret), "{sql} → {shown}");
    }
    check("SELECT a FROM t LIMIT 4711 OFFSET 42", "query | SELECT a FROM t LIMIT ? OFFSET ?");
    check("SELECT -1.5e3, true, NULL, $1", "query | SELECT -?, ?, NULL, $1");
    check("SELECT CAST(a AS DECIMAL(10, 2)) FROM t", "query | SELECT CAST(a AS DECIMAL(?,?)) FROM t");
    check("SELECT \"Quoted Name\" FROM \"O\".\"T\"", "query | SELECT \"Quoted Name\" FROM \"O\".\"T\"");
}

#[test]
fn names_in_quotes_may_be_values_in_a_statement_that_is_wrong() {
    let hidden = |sql: &str| without_quoted_names(&parsed(sql).redacted());
    assert_eq!(
        hidden("SELECT a FROM t WHERE b = \"s3cr3t\" AND c = 's3cr3t'"),
        "SELECT a FROM t WHERE b = ? AND c = ?"
    );
    assert_eq!(hidden("SELECT \"s3cr3t\".x FROM \"s3cr3t\".t AS \"s3cr3t\""), "SELECT ?.x FROM ?.t AS ?");
    assert!(!hidden("SELECT \"s3c\"\"r3t\".x FROM t AS \"s3c\"\"r3t\"").contains("r3t"));
    assert_eq!(without_quoted_names(REDACTED), REDACTED);
}

#[test]
fn parameters_are_numbered_in_the_order_of_the_text() {
    check("SELECT ? FROM t WHERE a = ? LIMIT ?", "query | SELECT $1 FROM t WHERE a = $2 LIMIT $3");
    check("FROM t SELECT ?", "query | FROM t SELECT $1");
    check("SELECT $2, $1", "query | SELECT $2, $1");
    check("SELECT ?, $1", "cannot parse the statement: both `?` and numbered parameters are used; use one kind");
    check("SELECT '?', \"?\" -- ?", "query | SELECT ?, \"?\"");
}

#[test]
fn tables_are_named_once() {
    let sql = "WITH x AS (SELECT * FROM b.t) SELECT * FROM x, A.T WHERE EXISTS (SELECT 1 FROM a.t)";
    assert_eq!(parsed(sql).tables(), ["A.T", "a.t", "b.t", "x"]);
    assert_eq!(parsed(sql).relations(), [vec!["a", "t"], vec!["b", "t"], vec!["x"]]);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test of how long it takes")]
fn bombs_are_refused_at_once() {
    let deep = |open: &str, close: &str, n: usize| format!("SELECT {}1{}", open.repeat(n), close.repeat(n));
    let chain = |part: &str, n: usize| format!("SELECT 1 {}", part.repeat(n));
    let mut cte = "WITH c0 AS (SELECT 1 AS a)".to_string();
    for n in 0..40 {
        cte.push_str(&format!(", c{} AS (SELECT x.a FROM c{n} x, c{n} y)", n + 1));
    }
    cte.push_str(" SELECT * FROM c40");
    for sql in [
        "x".repeat(10 << 20),
        deep("(", ")", 10_000),
        deep("[", "]", 10_000),
        deep("(SELECT ", ")", 10_000),
        deep("CASE WHEN true THEN ", " END", 5_000),
        deep("NOT ", "", 10_000),
        deep("- ", "", 10_000),
        deep("f(", ")", 10_000),
        deep("INTERVAL ", "", 10_000),
        chain("+ 1 ", 10_000),
        chain("OR a = 1 ", 10_000),
        chain("UNION SELECT 1, 2 ", 5_000),
        chain("FROM t JOIN t ", 5_000),
        format!("SELECT 1 FROM {}t", "t, ".repeat(20_000)),
        format!("{}SELECT 1", "EXPLAIN ".repeat(10_000)),
        format!("SELECT a::{}int{}", "array<".repeat(10_000), ">".repeat(10_000)),
        cte,
    ] {
        let started = Instant::now();
        let error = refused(&sql);
        let shown: String = sql.chars().take(40).collect();
        // Milliseconds, or for ever: a machine that is busy otherwise is no matter.
        assert!(started.elapsed() < Duration::from_secs(20), "{shown}: {:?}", started.elapsed());
        let known =
            matches!(error, GovernError::TooLarge { .. } | GovernError::TooDeep { .. } | GovernError::Refused { .. });
        assert!(known || matches!(error, GovernError::Syntax { .. }), "{shown}: {error}");
    }
}

#[test]
fn what_the_bounds_allow_does_not_overflow_the_stack() {
    let limits = ParseLimits::default();
    let nested = format!("SELECT {}1{}", "(".repeat(limits.max_depth - 1), ")".repeat(limits.max_depth - 1));
    parsed(&nested).redacted();
    let long = format!("SELECT 1 {}", "+ 1 ".repeat(limits.max_chain - 1));
    parsed(&long).clone().redacted();
    parsed(&format!("SELECT 1 {}", "UNION SELECT 1 ".repeat(limits.max_chain))).redacted();
    let many = format!("SELECT a FROM t WHERE a IN ({}1)", "1, ".repeat(20_000));
    parsed(&many).redacted();
}
