use std::ffi::OsString;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};

use crate::args::RowFormat;
use crate::output::{RowWriter, printable, table};
use crate::{FAILED, OK, Streams, USAGE, reference, run};

struct Answer {
    code: u8,
    out: String,
    err: String,
}

async fn portcullis(arguments: &[&str]) -> Answer {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = std::iter::once("portcullis").chain(arguments.iter().copied()).map(OsString::from);
    let code = run(arguments, &mut Streams { out: &mut out, err: &mut err, interactive: false }).await;
    Answer { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

#[tokio::test]
async fn a_directory_without_configuration_is_no_mesh() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    for command in [
        &["check"][..],
        &["serve"],
        &["demo", "--once"],
        &["query", "--as", "ana", "SELECT 1"],
        &["explain", "--as", "ana", "SELECT 1"],
        &["policy", "check"],
        &["policy", "diff", ".", "."],
        &["policy", "simulate", "--all", "--policies", "."],
        &["policy", "test"],
        &["policy", "fmt"],
        &["policy", "matrix"],
        &["audit"],
    ] {
        let answer = portcullis(&[&["--mesh", path], command].concat()).await;
        let message = format!(
            "error: `{path}` is not a mesh directory: it has no portcullis.toml (hint: give one with --mesh DIR)\n"
        );
        assert_eq!((answer.code, answer.err), (USAGE, message), "{command:?}");
        assert_eq!(answer.out, "");
    }
}

#[tokio::test]
async fn wrong_usage_is_told_apart_from_help() {
    assert_eq!(portcullis(&["query", "SELECT 1"]).await.code, USAGE);
    assert_eq!(portcullis(&["demo", "--rows", "5"]).await.code, USAGE);
    let help = portcullis(&["--help"]).await;
    assert_eq!(help.code, OK);
    assert!(help.out.contains("Exit codes:"), "{}", help.out);
    let answer = portcullis(&["audit", "--since", "yesterday"]).await;
    assert_eq!(answer.code, USAGE);
    assert!(answer.err.contains("write 2026-11-01 or 2026-11-01T12:00:00Z, not `yesterday`"), "{}", answer.err);
}

#[tokio::test]
async fn completions_are_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let answer = portcullis(&["completions", shell]).await;
        assert_eq!(answer.code, OK);
        assert!(answer.out.contains("portcullis") && answer.out.contains("explain"), "{shell}");
    }
}

#[tokio::test]
async fn a_hashed_password_is_a_phc_string() {
    let answer = portcullis(&["user", "hash", "--password", "correct horse"]).await;
    assert_eq!(answer.code, OK);
    assert!(answer.out.starts_with("$argon2id$") && answer.out.ends_with('\n'), "{}", answer.out);
    assert_eq!(answer.out.lines().count(), 1);
    assert_eq!(portcullis(&["user", "hash", "--password", ""]).await.code, USAGE);
}

#[tokio::test]
async fn policies_are_formatted_in_place_once() {
    let mesh = tempfile::tempdir().unwrap();
    std::fs::write(mesh.path().join("portcullis.toml"), "").unwrap();
    std::fs::create_dir_all(mesh.path().join("policies/a")).unwrap();
    let file = mesh.path().join("policies/a/x.cedar");
    std::fs::write(&file, "@id(\"x\") permit(principal,action,resource);").unwrap();
    let path = mesh.path().to_str().unwrap();
    let answer = portcullis(&["--mesh", path, "policy", "fmt", "--check"]).await;
    assert_eq!((answer.code, answer.out.as_str()), (FAILED, "policies/a/x.cedar: not formatted\n"));
    let answer = portcullis(&["--mesh", path, "policy", "fmt"]).await;
    assert_eq!((answer.code, answer.out.as_str()), (OK, "policies/a/x.cedar: formatted\n"));
    let answer = portcullis(&["--mesh", path, "policy", "fmt", "--check"]).await;
    assert_eq!((answer.code, answer.out.as_str()), (OK, ""));
    std::fs::write(&file, "permit(").unwrap();
    assert_eq!(portcullis(&["--mesh", path, "policy", "fmt"]).await.code, FAILED);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "permit(", "what cannot be read is left alone");
}

fn rows() -> RecordBatch {
    let numbers: ArrayRef = std::sync::Arc::new(Int32Array::from(vec![Some(1), None]));
    let texts: ArrayRef = std::sync::Arc::new(StringArray::from(vec![Some("a,\"b\""), Some("\u{1b}[31mred")]));
    RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("t", texts, true)]).unwrap()
}

fn written(format: RowFormat, batches: &[RecordBatch]) -> Vec<u8> {
    let mut to = Vec::new();
    let mut writer = RowWriter::new(format, &mut to, rows().schema()).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    to
}

#[test]
fn rows_are_written_in_every_format() {
    let text = |format, batches: &[_]| String::from_utf8(written(format, batches)).unwrap();
    assert_eq!(text(RowFormat::Csv, &[rows()]), "n,t\n1,\"a,\"\"b\"\"\"\n,\u{1b}[31mred\n");
    assert_eq!(text(RowFormat::Csv, &[]), "n,t\n", "the header stands without rows too");
    let json = text(RowFormat::Json, &[rows()]);
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first, serde_json::json!({"n": 1, "t": "a,\"b\""}));
    let arrow = written(RowFormat::Arrow, &[rows(), rows()]);
    let read = arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(arrow), None).unwrap();
    assert_eq!(read.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 4);
    let parquet = bytes::Bytes::from(written(RowFormat::Parquet, &[rows()]));
    let read = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(parquet, 10).unwrap();
    assert_eq!(read.map(|batch| batch.unwrap()).collect::<Vec<_>>(), [rows()]);
}

#[test]
fn a_table_shows_a_thousand_rows_and_counts_them_all() {
    let batches: Vec<_> = std::iter::repeat_n(rows(), 600).collect();
    let text = String::from_utf8(written(RowFormat::Table, &batches)).unwrap();
    assert!(text.ends_with("1200 rows, of which 1000 are shown (all: -f csv, -o FILE)\n"), "{}", text.len());
    assert_eq!(text.lines().count(), 1_000 + 4 + 1);
    assert!(!text.contains('\u{1b}'), "a value may not steer the terminal");
}

#[test]
fn a_table_without_rows_has_its_columns() {
    let text = table(&rows().schema(), &[]).unwrap();
    assert!(text.contains("| n | t |"), "{text}");
    assert_eq!(printable("a\u{7}b\nc"), "a\\u{7}b\nc");
}

/// docs/cli.md is the command's own help. `cargo xtask docs` writes it.
#[test]
fn the_reference_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let wanted = format!("{CLI_HEAD}{}", reference()).trim_end().to_string() + "\n";
    if std::env::var_os("PORTCULLIS_WRITE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "docs/cli.md is not the command's help: run `cargo xtask docs`");
}

const CLI_HEAD: &str = "\
# The command line

Written by `cargo xtask docs` from the command's own help; a test compares them.

`portcullis` works on a mesh directory: the current one, or `--mesh DIR`, or `PORTCULLIS_MESH`. Rows and findings go to
standard output, errors and progress to standard error. An error is one line that says what to do. `PORTCULLIS_LOG` sets
what is logged to standard error (`warn` unless set; `info`, `portcullis_gateway=debug`, …; `debug` has the time of each
stage of a query).

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | refused or failed: findings of level error, failed policy tests, a denied or failed query, no such user |
| 2 | wrong usage: unknown options, no mesh directory |

Without a client, `query` and `explain` take the same path through the gateway as a client's statement, with the rights of
the user named by `--as`; whoever may read the mesh directory and its keys may name any user, so keep that directory to the
platform team. Each `query` is in the audit journal, as authenticated `local`.

";
