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
    assert_eq!(records.lines().count(), 6, "{records}");
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
    let (code, text, _) =
        portcullis(support::mesh(), &["explain", "--as", "petra", "SELECT 1 FROM orders.order_events"]);
    assert_eq!(code, portcullis::FAILED);
    assert!(text.contains("petra: denied"), "{text}");
}

#[test]
fn the_demo_mesh_is_clean() {
    let text = done(support::mesh(), &["check"]);
    assert!(text.ends_with("0 errors, 0 warnings, 2 findings in all\n"), "{text}");
    assert!(done(support::mesh(), &["policy", "test"]).ends_with(" passed, 0 failed\n"));
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
