use super::*;

/// Connections by name and the findings, one on each line.
fn check(text: &str, expected: &str) {
    let (entries, findings) = read(&SourceFile::new("c.yaml", text));
    let name = |entry: &Entry| match entry {
        Entry::Good(connection) => connection.name.clone(),
        Entry::Bad(name) => format!("bad {name}"),
    };
    let mut shown: Vec<String> = entries.iter().map(name).collect();
    shown.extend(findings.iter().map(ToString::to_string));
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(shown, expected, "{text}");
}

#[test]
fn all_keys() {
    let text = "connections:
  lake: {type: directory, url: .portcullis/lake/}
  gold:
    type: directory
    url: s3a://gold/tables/
    store: {endpoint: 'http://localhost:9000', region: eu, access_key_id: {env: ID}, secret_access_key: {file: key},
            session_token: {env: T}, allow_http: true, virtual_hosted: true}
  rest:
    type: iceberg-rest
    uri: https://catalog.example.com/api/
    warehouse: w
    prefix: p
    auth: {type: client-credentials, client_id: me, client_secret: {env: S}, scope: ALL, token_uri: 'https://x/token'}
  token: {type: iceberg-rest, uri: 'http://127.0.0.1:8181', auth: {type: bearer, token: {env: T}}}
  open: {type: iceberg-rest, uri: 'http://catalog:8181', auth: {type: none}}
  sql: {type: iceberg-sql, uri: 'sqlite:/srv/catalog.db', catalog: gold, warehouse: s3a://gold/tables/, store: {region: eu}}
";
    check(text, "lake\ngold\nrest\ntoken\nopen\nsql");
    let (entries, _) = read(&SourceFile::new("c.yaml", text));
    let Some(Entry::Good(gold)) = entries.get(1) else { panic!() };
    let ConnectionKind::Directory { url, store } = &gold.kind else { panic!() };
    assert_eq!(url, "s3://gold/tables");
    assert_eq!(store.secret_access_key, Some(SecretRef::File("key".to_owned())));
    assert!(store.allow_http && store.virtual_hosted);
    let Some(Entry::Good(rest)) = entries.get(2) else { panic!() };
    let ConnectionKind::IcebergRest { uri, auth, .. } = &rest.kind else { panic!() };
    assert_eq!(uri, "https://catalog.example.com/api");
    let client_secret = SecretRef::Env("S".to_owned());
    let (scope, token_uri) = (Some("ALL".to_owned()), Some("https://x/token".to_owned()));
    assert_eq!(*auth, RestAuth::ClientCredentials { client_id: "me".to_owned(), client_secret, scope, token_uri });
    let Some(Entry::Good(sql)) = entries.get(5) else { panic!() };
    let ConnectionKind::IcebergSql { database, catalog, warehouse, store } = &sql.kind else { panic!() };
    assert_eq!(*database, SqlDatabase::Sqlite { file: "/srv/catalog.db".to_owned() });
    assert_eq!((catalog.as_str(), warehouse.as_str()), ("gold", "s3://gold/tables"));
    assert_eq!(store.region.as_deref(), Some("eu"));
}

#[test]
fn an_sql_catalogue_is_a_database_and_a_directory_of_tables() {
    let wrong = ["sqlite:", "sqlite:///catalog.db", "catalog.db", "postgresql://db", "mysql://db/x", "postgresql:///x"];
    for uri in wrong.into_iter().chain(["postgresql://db/x?password=hunter2", "postgresql://db/x/y"]) {
        check(
            &format!("connections:\n  a: {{type: iceberg-sql, user: u, uri: '{uri}', catalog: c, warehouse: lake}}"),
            "bad a\nc.yaml:2:40: error[connections-bad-value]: `uri` is neither `sqlite:` and a file (relative to the mesh directory, or with one leading `/`) nor `postgresql://host:port/database`",
        );
    }
    check(
        "connections:\n  a: {type: iceberg-sql, uri: 'postgresql://me:hunter2@db/x', catalog: c, warehouse: lake}",
        "bad a\nc.yaml:2:31: error[connections-plain-secret]: `uri` holds a user name or a password in plain text (hint: write `user`, and `password` by reference, and change the password)",
    );
    check(
        "connections:\n  a: {type: iceberg-sql, uri: 'postgresql://db/x', catalog: c, warehouse: lake}",
        "bad a\nc.yaml:2:6: error[connections-missing-key]: a PostgreSQL catalogue needs the `user` to come as",
    );
    check(
        "connections:\n  a: {type: iceberg-sql, uri: 'sqlite:c.db', user: u, catalog: c, warehouse: lake}",
        "bad a\nc.yaml:2:52: error[connections-bad-value]: `user` is for PostgreSQL; a file of SQLite has none",
    );
    check(
        "connections:\n  a: {type: iceberg-sql, uri: 'sqlite:c.db', catalog: c, warehouse: lake/../x}",
        "bad a\nc.yaml:2:69: error[connections-bad-value]: a location must not leave its directory with `..`",
    );
    check(
        "connections:\n  a: {type: iceberg-sql, uri: 'sqlite:c.db'}",
        "bad a
         c.yaml:2:6: error[connections-missing-key]: connection `a` has no `catalog`
         c.yaml:2:6: error[connections-missing-key]: connection `a` has no `warehouse`",
    );
    check(
        "connections:\n  a: {type: iceberg-sql, uri: 'sqlite:c.db', catalog: c, warehouse: lake, domains: {o: lake/o, h: hr}}",
        "bad a\nc.yaml:2:99: error[connections-bad-value]: `hr` is not below the connection's `warehouse`",
    );
}

#[test]
fn a_secret_in_plain_text_is_refused_and_not_repeated() {
    let hint = "(hint: write `{env: NAME}` or `{file: path}`, and change the secret)";
    let text = "connections:
  a: {type: directory, url: 's3://b/x', store: {access_key_id: {env: I}, secret_access_key: hunter2}}
  b: {type: iceberg-rest, uri: 'https://me:hunter2@x'}
  c: {type: directory, url: 's3://me:hunter2@b'}
  d: {type: directory, url: lake}
";
    check(
        text,
        &format!(
            "bad a\nbad b\nbad c\nd
             c.yaml:2:93: error[connections-plain-secret]: secret `secret_access_key` is written in plain text {hint}
             c.yaml:3:32: error[connections-plain-secret]: `uri` holds a user name or a password in plain text (hint: give credentials by reference, and change the password)
             c.yaml:4:29: error[connections-bad-value]: a location must not hold user names, passwords or keys: credentials belong to the connection"
        ),
    );
    let (_, findings) = read(&SourceFile::new("c.yaml", text));
    assert!(!format!("{findings:?}").contains("hunter2"));
}

#[test]
fn what_is_wrong() {
    check(
        "connections:\n  a: {type: directory, url: x, store: {access_key_id: {env: I}}}",
        "bad a\nc.yaml:2:39: error[connections-missing-key]: `access_key_id` and `secret_access_key` belong together",
    );
    check(
        "connections:\n  a: {type: driectory}",
        "bad a\nc.yaml:2:13: error[connections-bad-value]: unknown `type`: `driectory` (hint: did you mean `directory`?)",
    );
    check(
        "connections:\n  a: {type: directory}",
        "bad a\nc.yaml:2:6: error[connections-missing-key]: connection `a` has no `url`",
    );
    check(
        "connections:\n  a: {type: directory, url: x, ulr: y}",
        "bad a\nc.yaml:2:32: error[connections-unknown-key]: unknown key `ulr` in connection `a` (hint: did you mean `url`?)",
    );
    check("conections: {}", "c.yaml:1:1: error[connections-missing-key]: connections file has no `connections`
        c.yaml:1:1: error[connections-unknown-key]: unknown key `conections` in connections file (hint: did you mean `connections`?)");
    check(
        "connections: [",
        "c.yaml:2:1: error[connections-syntax]: this is not YAML: while parsing a node, did not find expected node content",
    );
    check(
        "connections:\n  a: {type: iceberg-rest, uri: 'ftp://x'}",
        "bad a\nc.yaml:2:32: error[connections-bad-value]: `uri` is not an `http://` or `https://` URL",
    );
    check(
        "connections:\n  a: {type: iceberg-rest, uri: 'http://x', auth: {type: bearer, token: {env: T}}}",
        "a\nc.yaml:2:32: warning[connections-clear-text]: credentials for this catalogue go over the network unencrypted (hint: use `https://`)",
    );
    check(
        "connections:\n  a: {type: iceberg-rest, uri: 'https://x', auth: {type: bearer, token: {env: T, file: F}}}",
        "bad a\nc.yaml:2:73: error[connections-bad-value]: secret `token` needs either `env` or `file`",
    );
    check(
        "connections:\n  a: {type: directory, url: 's3://b', store: {endpoint: 'http://x'}}",
        "bad a\nc.yaml:2:57: error[connections-bad-value]: `endpoint` is not encrypted (hint: use `https://`, or say `allow_http: true`)",
    );
}

#[test]
fn a_connection_may_be_divided_among_domains() {
    let text = "connections:
  lake: {type: directory, url: lake, domains: {orders: lake/orders/, hr: [lake/hr, lake/shared/hr]}}
  rest: {type: iceberg-rest, uri: 'https://x', domains: {orders: ['s3a://warehouse//orders']}}
  closed: {type: directory, url: lake, domains: {}}
";
    check(text, "lake\nrest\nclosed");
    let (entries, _) = read(&SourceFile::new("c.yaml", text));
    let of = |entry: &Entry| match entry {
        Entry::Good(connection) => connection.domains.clone().unwrap(),
        Entry::Bad(name) => panic!("{name}"),
    };
    let domains: Vec<_> = entries.iter().map(of).collect();
    assert_eq!(domains[0]["orders"], ["lake/orders"]);
    assert_eq!(domains[0]["hr"], ["lake/hr", "lake/shared/hr"]);
    assert_eq!(domains[1]["orders"], ["s3://warehouse/orders"]);
    assert!(domains[2].is_empty());
    check(
        "connections:\n  a: {type: directory, url: lake, domains: {orders: [other/orders, 'lake/../x']}}",
        "bad a
         c.yaml:2:53: error[connections-bad-value]: `other/orders` is not below the connection's `url`
         c.yaml:2:53: error[connections-bad-value]: a location must not leave its directory with `..`",
    );
}

#[test]
fn an_sql_catalogue_on_a_server_has_a_user_and_is_encrypted_unless_told() {
    let text = "connections:
  a: {type: iceberg-sql, uri: 'postgresql://db.example.com/x', user: u, password: {env: P}, catalog: c, warehouse: lake}
  b: {type: iceberg-sql, uri: 'postgres://[::1]:5433/x', user: u, tls: false, catalog: c, warehouse: lake}
";
    check(text, "a\nb");
    let (entries, _) = read(&SourceFile::new("c.yaml", text));
    let shown: Vec<String> = entries
        .iter()
        .map(|entry| match entry {
            Entry::Good(connection) => match &connection.kind {
                ConnectionKind::IcebergSql {
                    database: SqlDatabase::Postgres { host, port, password, tls, .. },
                    ..
                } => {
                    format!("{host} {port} {password:?} {tls}")
                }
                other => panic!("{other:?}"),
            },
            Entry::Bad(name) => panic!("{name}"),
        })
        .collect();
    assert_eq!(shown, ["db.example.com 5432 Some(Env(\"P\")) true", "::1 5433 None false"]);
}
