//! The command over the demo mesh, run in this process.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::support::{self, block_on, copy_of_mesh};

fn portcullis(mesh: &Path, arguments: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let front = ["portcullis", "--mesh", mesh.to_str().unwrap()];
    let arguments = front.iter().chain(arguments).map(OsString::from);
    let mut streams = portcullis::Streams { out: &mut out, err: &mut err, interactive: false };
    let code = block_on(portcullis::run(arguments, &mut streams));
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn done(mesh: &Path, arguments: &[&str]) -> String {
    let (code, out, err) = portcullis(mesh, arguments);
    assert_eq!((code, err.as_str()), (portcullis::OK, ""), "{arguments:?}");
    out
}

#[test]
fn queries_are_answered_and_recorded() {
    const SQL: &str = "SELECT region, count(*) AS n FROM orders.order_events WHERE channel <> 'fax' GROUP BY region";
    let mesh = copy_of_mesh();
    let ask = |more: &[&str]| done(mesh.path(), &[&["query", "--as", "ana", SQL], more].concat());
    assert_eq!(
        ask(&[]),
        "+--------+-----+\n| region | n   |\n+--------+-----+\n| EU     | 856 |\n+--------+-----+\n1 row\n"
    );
    assert_eq!(ask(&["-f", "csv"]), "region,n\nEU,856\n");
    assert_eq!(ask(&["-f", "json"]), "{\"region\":\"EU\",\"n\":856}\n");
    assert_eq!(ask(&["-f", "csv", "--as-of", "2100-01-01"]), "region,n\nEU,856\n");
    let (code, _, err) = portcullis(mesh.path(), &["query", "--as", "ana", SQL, "--as-of", "1999-12-31 12:00:00"]);
    assert!(code == portcullis::FAILED && err.starts_with("error: table `orders.order_events`"), "{err}");
    let (code, _, err) = portcullis(mesh.path(), &["query", "--as", "ana", SQL, "--as-of", "then"]);
    assert!(code == portcullis::FAILED && err.starts_with("error: that is no time for `SET as_of`"), "{err}");
    let file = mesh.path().join("out.parquet");
    assert_eq!(ask(&["-f", "parquet", "-o", file.to_str().unwrap()]), "");
    let read = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(std::fs::File::open(&file).unwrap(), 9);
    assert_eq!(read.unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 1);

    let purpose = ["query", "--as", "frida", "--purpose", "fraud", "-f", "csv"];
    let sql = "SELECT customer_id FROM customers.customer_profiles ORDER BY 1 LIMIT 1";
    assert_eq!(done(mesh.path(), &[&purpose[..], &[sql]].concat()), "customer_id\nC00000000\n");

    let (code, out, err) = portcullis(mesh.path(), &["query", "--as", "petra", "SELECT * FROM orders.order_events"]);
    assert_eq!((code, out.as_str()), (portcullis::FAILED, ""));
    assert_eq!(err, "error: permission denied on table `orders.order_events`: no policy lets you query it\n");
    let (code, _, err) = portcullis(mesh.path(), &["query", "--as", "nobody", "SELECT 1"]);
    assert_eq!((code, err.as_str()), (portcullis::FAILED, "error: there is no user `nobody` in `users.yaml`\n"));

    let records = done(mesh.path(), &["audit", "-f", "json"]);
    let of_options = records.lines().filter(|line| line.contains("as_of")).count();
    assert_eq!((records.lines().count() - of_options, of_options), (9, 2), "{records}");
    assert!(!records.contains("fax"), "literals are not recorded: {records}");
    let frida = done(mesh.path(), &["audit", "--user", "frida", "--table", "customers"]);
    assert!(frida.contains("| frida | fraud   | success |") && frida.ends_with("1 entries\n"), "{frida}");
    assert!(done(mesh.path(), &["audit", "--status", "denied"]).contains("petra"));
    assert!(done(mesh.path(), &["audit", "--until", "2020-01-01"]).ends_with("0 entries\n"));
}

#[test]
fn explain_names_filters_masks_policies_and_no_value() {
    let sql = "SELECT * FROM customers.customer_profiles WHERE email = 'lena.petrov66@example.com'";
    let text = done(support::mesh(), &["explain", "--as", "ana", sql]);
    for part in [
        "ana: permitted",
        "region = 'EU'",
        "eu-analysts-rows",
        "no-partner-customers",
        "hash",
        "redact",
        "readers-hashed",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("catalogs/customers/customer_profiles.yaml:16:9"), "the contract's lines: {text}");
    assert!(!text.contains("lena"), "no literal of the statement: {text}");
    assert!(text.contains("more with action `viewClear` by its name, as the contract's masking is redact\n"), "{text}");
    let (code, text, _) =
        portcullis(support::mesh(), &["explain", "--as", "petra", "SELECT 1 FROM orders.order_events"]);
    assert_eq!(code, portcullis::FAILED);
    assert!(text.contains("petra: denied"), "{text}");
    assert!(text.contains("more with action `query`: group `readers`\n"), "{text}");
}

#[test]
fn the_demo_mesh_is_clean() {
    let text = done(support::mesh(), &["check"]);
    assert!(text.ends_with("0 errors, 0 warnings, 2 findings in all\n"), "{text}");
    assert!(done(support::mesh(), &["policy", "test"]).ends_with(" passed, 0 failed\n"));
}

#[test]
fn policies_without_effect_are_found() {
    let mesh = copy_of_mesh();
    let clean = done(mesh.path(), &["policy", "check"]);
    // Nobody of the demo has regions of her own.
    assert!(
        clean.contains("policies/analysts.cedar:13:1: info[policy-idle]: policy `analysts-own-regions`"),
        "{clean}"
    );
    assert!(clean.ends_with("0 errors, 0 warnings, 1 findings in all\n"), "{clean}");
    let more = "@id(\"again\") permit (principal in Group::\"fraud\", action == Action::\"viewHash\", resource);\n\
                @id(\"bad\") permit (principal, action == Action::\"query\", resource in Domain::\"ordrs\");";
    std::fs::write(mesh.path().join("policies/more.cedar"), more).unwrap();
    let (code, found, _) = portcullis(mesh.path(), &["policy", "check", "-f", "json"]);
    assert_eq!(code, portcullis::FAILED);
    let found: serde_json::Value = serde_json::from_str(found.trim()).unwrap();
    assert_eq!((&found["code"], &found["line"]), (&"policy-unsupported".into(), &2.into()), "{found}");
    std::fs::write(mesh.path().join("policies/more.cedar"), more.lines().next().unwrap()).unwrap();
    let (code, found, _) = portcullis(mesh.path(), &["policy", "check"]);
    assert_eq!(code, portcullis::OK, "a warning is no failure");
    let wanted = "policies/more.cedar:1:1: warning[policy-shadowed]: policy `again` changes no decision for the users \
                  of users.yaml";
    assert!(found.contains(wanted) && found.contains("`readers-hashed` grant as much"), "{found}");
}

#[test]
fn policy_tests_are_chosen_and_reported() {
    let mesh = copy_of_mesh();
    let report = mesh.path().join("report.xml");
    let junit = ["policy", "test", "--junit", report.to_str().unwrap()];
    let all = done(mesh.path(), &junit);
    let xml = std::fs::read_to_string(&report).unwrap();
    let count = all.split(' ').next().unwrap().to_string();
    assert!(
        xml.contains(&format!("<testsuite name=\"policies/tests/demo.yaml\" tests=\"{count}\" failures=\"0\"")),
        "{xml}"
    );
    assert_eq!(xml.matches("<testcase ").count().to_string(), count);
    let some = done(mesh.path(), &["policy", "test", "--filter", "system.ACCESS_LOG"]);
    assert!(some.starts_with("2 passed, 0 failed, ") && some.ends_with(" left out\n"), "{some}");
    let (code, _, err) = portcullis(mesh.path(), &["policy", "test", "--filter", "no such test"]);
    assert_eq!(code, portcullis::FAILED);
    assert!(err.contains("policy tests has `no such test` in its name, user or table"), "{err}");

    let tests = mesh.path().join("policies/tests/demo.yaml");
    let wrong = std::fs::read_to_string(&tests).unwrap().replacen("filter: region = 'EU'", "filter: region = 'US'", 1);
    std::fs::write(&tests, wrong.replacen("{customer_id: hash, amount", "{customer_id: clear, amount", 1)).unwrap();
    let (code, text, _) = portcullis(mesh.path(), &junit);
    assert_eq!(code, portcullis::FAILED);
    let failure = "policies/tests/demo.yaml:4:5: failed: ana sees European orders, customers hashed (ana on \
                   orders.order_events)\n  filter\n    expected  region = 'US'\n    got       region = 'EU'  \
                   (permitted by eu-analysts-rows)\n  column `customer_id`\n    expected  clear\n    got       hash  \
                   (granted by readers-hashed";
    assert!(text.starts_with(failure), "{text}");
    assert!(
        std::fs::read_to_string(&report).unwrap().contains("<failure type=\"policy-test\" message=\"filter: expected")
    );
}

/// A copy of the mesh in which data scientists see one region more, and analysts nothing of customers.
fn proposal() -> tempfile::TempDir {
    let proposal = copy_of_mesh();
    let change = |file: &str, from: &str, to: &str| {
        let path = proposal.path().join("policies").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    };
    change("data_scientists.cedar", "\"APAC\"]", "\"APAC\", \"MEA\"]");
    change("readers.cedar", "[Action::\"viewHash\", Action", "[Action");
    proposal
}

#[test]
fn a_diff_says_for_whom_what_changes_in_which_direction() {
    let (mesh, proposal) = (copy_of_mesh(), proposal());
    let (old, new) = (mesh.path().to_str().unwrap(), proposal.path().to_str().unwrap());
    let policies = proposal.path().join("policies");
    assert_eq!(
        done(mesh.path(), &["policy", "diff", old, old, "--fail-on", "any"]),
        "0 changes: 0 tightened, 0 loosened, 0 changed\n"
    );
    let text = done(mesh.path(), &["policy", "diff", old, new]);
    for part in [
        "orders.order_events\n",
        "  tightened  columns customer_id: hash → redact\n             for ana, dev, frida",
        "  loosened   rows: region IN ('APAC', 'EU', 'US') → region IN ('APAC', 'EU', 'MEA', 'US')\n             for dev, \
         group data_scientists\n             shown only then, synthetic row: region = 'MEA'\n",
    ] {
        assert!(text.contains(part), "{part} in:\n{text}");
    }
    assert_eq!(
        done(mesh.path(), &["policy", "diff", old, policies.to_str().unwrap()]),
        text,
        "a directory of policies"
    );
    let fails = |arguments: &[&str]| portcullis(mesh.path(), &[&["policy", "diff"], arguments].concat()).0;
    assert_eq!(fails(&[old, new, "--fail-on", "loosened"]), portcullis::FAILED);
    let json = done(mesh.path(), &["policy", "diff", old, new, "-f", "json"]);
    let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|change| change["direction"] == "loosened" && change["gained"] == "region = 'MEA'"));
    let (code, _, err) = portcullis(mesh.path(), &["policy", "diff", old, "nowhere"]);
    assert_eq!(
        (code, err.contains("name a mesh directory, a directory of policies, or git:REVISION")),
        (portcullis::USAGE, true)
    );

    std::fs::copy(mesh.path().join("policies/data_scientists.cedar"), policies.join("data_scientists.cedar")).unwrap();
    assert_eq!(fails(&[old, new, "--fail-on", "loosened"]), portcullis::OK, "only tightened");
    assert_eq!(fails(&[old, new, "--fail-on", "any"]), portcullis::FAILED);
    std::fs::write(policies.join("broken.cedar"), "permit").unwrap();
    assert_eq!(fails(&[old, new]), portcullis::FAILED);
}

/// The solver's own library, started as its program is.
#[test]
fn external_a_proof_is_about_everybody() {
    let Some(python) = support::python() else { return };
    let (mesh, proposal) = (copy_of_mesh(), proposal());
    let program = mesh.path().join("cvc5");
    let driver = support::root().join("tests/fixtures/solver.py");
    std::fs::write(&program, format!("#!/bin/sh\nexec {} {} \"$@\"\n", python.display(), driver.display())).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let run = |solver: &Path, new: &Path, arguments: &[&str]| {
        let (old, new) = (mesh.path().to_str().unwrap(), new.to_str().unwrap());
        let prove = format!("--prove={}", solver.display());
        portcullis(mesh.path(), &[&["policy", "diff", old, new, &prove], arguments].concat())
    };
    let (code, text, error) = run(&program, proposal.path(), &[]);
    assert_eq!((code, error.as_str()), (portcullis::OK, ""), "{text}");
    let kind = |text: &str, name: &str| {
        let lines = text.lines().skip_while(|line| *line != name).skip(1);
        lines.take_while(|line| line.starts_with("    ")).collect::<Vec<_>>().join("\n")
    };
    // One region more: some row of it is seen by some data scientist, and nobody loses one.
    let rows = kind(&text, "  readRow on Row::orders_order_events");
    assert!(rows.contains("allowed only then: User::") && rows.contains("MEA") && !rows.contains("only now"), "{text}");
    let hashes = kind(&text, "  viewHash on Column");
    assert!(hashes.contains("allowed only now") && !hashes.contains("only then"), "{text}");
    assert!(!text.contains("not proved:"), "{text}");

    let (code, text, _) = run(&program, mesh.path(), &["--fail-on", "any"]);
    assert_eq!(code, portcullis::OK, "{text}");
    let lines = run(&program, proposal.path(), &["-f", "json", "--fail-on", "loosened"]);
    assert_eq!(lines.0, portcullis::FAILED);
    let lines: Vec<serde_json::Value> = lines.1.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["action"] == "readRow" && line["gained"].is_string()), "{lines:?}");

    // An attribute that nobody has today: asking the people there are tells nothing, the proof does.
    let later = copy_of_mesh();
    let policy = "@id(\"later\") permit (principal, action == Action::\"readRow\", resource is Row::orders_order_events)\n\
                  when { principal in Group::\"data_scientists\" && principal in Group::\"analysts\" };\n";
    std::fs::write(later.path().join("policies/later.cedar"), policy).unwrap();
    let (_, text, error) = run(&program, later.path(), &[]);
    assert!(
        kind(&text, "  readRow on Row::orders_order_events").contains("allowed only then: User::"),
        "{text}{error}"
    );

    let (code, text, error) = run(Path::new("/nowhere/cvc5"), proposal.path(), &[]);
    assert_eq!((code, text.as_str()), (portcullis::FAILED, ""));
    assert!(error.contains("the solver `/nowhere/cvc5` cannot be started"), "{error}");
}

fn git(directory: &Path, arguments: &[&str]) {
    let who = ["-c", "user.name=ana", "-c", "user.email=ana@example.com", "-c", "commit.gpgsign=false"];
    support::output_of(Command::new("git").arg("-C").arg(directory).args(who).args(arguments));
}

#[test]
fn a_diff_reads_revisions_of_the_local_repository() {
    let proposal = proposal();
    let repository = tempfile::tempdir().unwrap();
    // The mesh need not be the repository's root.
    let mesh = repository.path().join("mesh");
    support::copy(proposal.path(), &mesh);
    std::os::unix::fs::symlink("/etc/hostname", mesh.join("policies/link.cedar")).unwrap();
    git(repository.path(), &["init", "-q", "-b", "main"]);
    git(repository.path(), &["add", "."]);
    git(repository.path(), &["commit", "-q", "-m", "the proposal"]);
    std::fs::remove_file(mesh.join("policies/link.cedar")).unwrap();
    support::copy(&support::root().join("policies"), &mesh.join("policies"));
    let here = mesh.to_str().unwrap();
    let text = done(&mesh, &["policy", "diff", "git:main", here]);
    assert!(text.contains("  loosened   columns customer_id: redact → hash"), "{text}");
    assert!(text.contains("shown only now, synthetic row: region = 'MEA'"), "{text}");
    assert!(done(&mesh, &["policy", "diff", "git:HEAD", "git:main"]).starts_with("0 changes"));
    for revision in ["git:nothing", "git:--all", "git:"] {
        let (code, out, err) = portcullis(&mesh, &["policy", "diff", revision, here]);
        assert_eq!((code, out.as_str()), (portcullis::FAILED, ""));
        assert!(err.starts_with("error: git cannot read `"), "{err}");
    }
}

#[test]
fn changed_policies_are_tried_on_the_journal() {
    let (mesh, proposal) = (copy_of_mesh(), proposal());
    let ask = |user: &str, sql: &str| portcullis(mesh.path(), &["query", "--as", user, sql]).0;
    ask("dev", "SELECT count(*) FROM orders.order_events WHERE quantity > 3");
    ask("ana", "SELECT count(DISTINCT customer_id) FROM orders.order_events");
    ask("ana", "SELECT sum(quantity) FROM orders.order_events");
    let policies = proposal.path().join("policies");
    let simulate = ["policy", "simulate", "--policies", policies.to_str().unwrap()];
    let text = done(mesh.path(), &[&simulate[..], &["--all"]].concat());
    assert!(text.ends_with("3 statements: 0 refused, 0 permitted, 2 different, 1 same, 0 not decided\n"), "{text}");
    assert!(text.contains(" ana: different\n  SELECT count(DISTINCT customer_id) FROM orders.order_events\n  orders.order_events.customer_id: hash → redact\n"), "{text}");
    assert!(
        text.contains(
            "  SELECT count(*) FROM orders.order_events WHERE quantity > ?\n  orders.order_events: more rows: "
        ),
        "{text}"
    );
    let text = done(mesh.path(), &[&simulate[..], &["--as", "ana", "--last", "1", "-f", "json"]].concat());
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["effect"], &line["basis"]), (&"same".into(), &"plan".into()));
    assert_eq!(portcullis(mesh.path(), &simulate).0, portcullis::USAGE, "whose statements?");
    assert!(
        done(mesh.path(), &[&simulate[..], &["--all", "--since", "2100-01-01"]].concat()).starts_with("0 statements")
    );
}

/// Who sees what: a change of contracts or policies shows here. `PORTCULLIS_SLT_COMPLETE=1` writes it.
#[test]
fn the_matrix_is_as_reviewed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("expected/matrix.txt");
    let found = done(support::mesh(), &["policy", "matrix"]);
    if std::env::var_os("PORTCULLIS_SLT_COMPLETE").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(&path).unwrap_or_default(), "tests/expected/matrix.txt differs");
}

#[test]
fn the_demo_shows_the_same_question_to_two_people() {
    let rows = support::EVENTS.to_string();
    let text = done(support::mesh(), &["demo", "--once", "--rows", &rows]);
    assert!(!text.contains("wrote five tables"), "a second start writes nothing: {text}");
    let head = text.lines().find(|line| line.starts_with("as ana")).unwrap();
    assert!(head.contains("as frida, for purpose fraud"), "side by side: {text}");
    assert!(text.contains("| C00000000") && text.contains("| [redacted]"), "{text}");
}

#[test]
fn external_the_lines_to_paste_work() {
    let Some(python) = support::python() else { return };
    let text = portcullis::ways_in(support::served().address);
    let programs: Vec<&str> = text.split("python3 -c '").skip(1).map(|rest| rest.split('\'').next().unwrap()).collect();
    assert_eq!(programs.len(), 2);
    let by_pyarrow = support::output_of(Command::new(&python).args(["-c", programs[0]]));
    assert!(by_pyarrow.contains("856") && by_pyarrow.contains("EU"), "{by_pyarrow}");
    let by_adbc = support::output_of(Command::new(&python).args(["-c", programs[1]]));
    assert!(by_adbc.contains("customer_id: string"), "{by_adbc}");
}
