//! The journal under crashes, full disks, torn lines and many callers at once.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::record::{Line, now_ms};
use crate::*;

fn begin(query_id: &str, principal: &str, table: &str) -> Begin {
    Begin {
        query_id: query_id.to_owned(),
        principal: principal.to_owned(),
        actor: None,
        groups: vec!["analysts".to_owned()],
        client: Some("127.0.0.1:4711".to_owned()),
        authentication: "token".to_owned(),
        credential: None,
        domains: None,
        break_glass: None,
        purpose: Some("analytics".to_owned()),
        statement: "SELECT a FROM t WHERE b = '?'".to_owned(),
        tables: vec![TableAccess {
            name: table.to_owned(),
            contract_version: Some("1.0.0".to_owned()),
            snapshot: Some("42".to_owned()),
            filtered: true,
            aggregates_of: None,
            break_glass: false,
            columns: vec![ColumnAccess { name: "a".to_owned(), mask: "hash".to_owned() }],
            policies: vec!["analysts-read".to_owned()],
        }],
        policy_version: "p1".to_owned(),
        decision: Decision::Permitted,
        reason: None,
    }
}

fn found(dir: &Path, query: &Query) -> Vec<Entry> {
    search(dir, query).unwrap().collect::<Result<_, _>>().unwrap()
}

fn ids(dir: &Path, query: &Query) -> Vec<String> {
    found(dir, query).into_iter().map(|entry| entry.begin.query_id).collect()
}

fn oldest_first() -> Query {
    Query { order: Order::OldestFirst, ..Query::default() }
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let strands = crate::segment::strands(dir).unwrap();
    strands.iter().flat_map(|strand| crate::segment::list(strand).unwrap()).map(|segment| segment.path).collect()
}

fn open(dir: &Path) -> Journal {
    Journal::open(dir, JournalOptions::default()).unwrap()
}

#[tokio::test]
async fn an_entry_is_on_the_disk_before_begin_returns_and_is_found_with_its_end() {
    let dir = TempDir::new().unwrap();
    let journal = open(dir.path());
    let entry = journal.begin(begin("q1", "ana", "orders.order_events")).await.unwrap();
    let raw = fs::read_to_string(&segments(dir.path())[0]).unwrap();
    assert!(raw.contains("\"query_id\":\"q1\""), "{raw}");
    assert_eq!(found(dir.path(), &Query::default())[0].status, EntryStatus::Running);
    entry.complete(Outcome { status: Status::Success, rows: 7, bytes: 99, error_kind: None });
    journal.close().await;
    for query in [Query::default(), oldest_first()] {
        let entries = found(dir.path(), &query);
        assert_eq!(entries.len(), 1);
        let Entry { begin: record, status, rows, bytes, duration_ms, .. } = entries[0].clone();
        assert_eq!((status, rows, bytes), (EntryStatus::Success, Some(7), Some(99)));
        assert!(duration_ms.is_some());
        assert_eq!(record, begin("q1", "ana", "orders.order_events"));
    }
}

#[tokio::test]
async fn a_dropped_entry_is_cancelled_and_errors_keep_their_kind() {
    let dir = TempDir::new().unwrap();
    let journal = open(dir.path());
    drop(journal.begin(begin("q1", "ana", "a.b")).await.unwrap());
    journal.begin(begin("q2", "ana", "a.b")).await.unwrap().complete(Outcome::error("unavailable"));
    journal.begin(begin("q3", "ana", "a.b")).await.unwrap().cancel(3, 4);
    journal.close().await;
    let entries = found(dir.path(), &oldest_first());
    assert_eq!(entries[0].status, EntryStatus::Cancelled);
    assert_eq!((entries[1].status, entries[1].error_kind.as_deref()), (EntryStatus::Error, Some("unavailable")));
    assert_eq!((entries[2].status, entries[2].rows), (EntryStatus::Cancelled, Some(3)));
}

#[tokio::test]
async fn a_cancelled_begin_leaves_an_entry_that_has_ended() {
    let dir = TempDir::new().unwrap();
    let journal = open(dir.path());
    {
        let pending = journal.begin(begin("q1", "ana", "a.b"));
        let mut pending = std::pin::pin!(pending);
        // One poll hands the record to the writer; then the caller goes away.
        let _ = tokio::time::timeout(Duration::ZERO, pending.as_mut()).await;
    }
    journal.close().await;
    assert_eq!(found(dir.path(), &Query::default())[0].status, EntryStatus::Cancelled);
}

#[tokio::test]
async fn writers_keep_apart_and_are_read_as_one() {
    let dir = TempDir::new().unwrap();
    let (first, second) = (open(dir.path()), open(dir.path()));
    for round in 0..3 {
        for (journal, name) in [(&first, "a"), (&second, "b")] {
            let entry = journal.begin(begin(&format!("{name}{round}"), "ana", "a.b")).await.unwrap();
            entry.complete(Outcome::of(Status::Success));
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    assert_eq!(segments(dir.path()).len(), 2);
    assert_eq!(ids(dir.path(), &oldest_first()), ["a0", "b0", "a1", "b1", "a2", "b2"]);
    assert_eq!(ids(dir.path(), &Query { limit: Some(3), ..Query::default() }), ["b2", "a2", "b1"]);
    first.close().await;
    let error = first.begin(begin("late", "ana", "a.b")).await.unwrap_err();
    assert!(matches!(error, AuditError::Closed), "{error}");
    // The place of the one that went is taken by the next one that comes.
    open(dir.path()).close().await;
    second.close().await;
    assert_eq!(segments(dir.path()).len(), 2);
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let base = TempDir::new().unwrap();
    let dir = base.path().join("a/b");
    open(&dir).close().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let strand = dir.join("writer-1");
    assert_eq!((mode(&dir), mode(&strand)), (0o700, 0o700));
    let files: Vec<_> = fs::read_dir(&strand).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 2);
    files.iter().for_each(|file| assert_eq!(mode(file), 0o600));
}

#[tokio::test]
async fn a_torn_line_is_cut_off_and_noted() {
    let dir = TempDir::new().unwrap();
    let journal = open(dir.path());
    journal.begin(begin("whole", "ana", "a.b")).await.unwrap().complete(Outcome::of(Status::Success));
    journal.close().await;
    let segment = segments(dir.path()).pop().unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&segment).unwrap();
    file.write_all(b"{\"kind\":\"begin\",\"at\":\"2026").unwrap();
    drop(file);
    assert_eq!(ids(dir.path(), &Query::default()), ["whole"]);

    let journal = open(dir.path());
    journal.begin(begin("after", "ana", "a.b")).await.unwrap().complete(Outcome::of(Status::Success));
    journal.close().await;
    assert_eq!(ids(dir.path(), &Query::default()), ["after", "whole"]);
    let raw = fs::read_to_string(&segment).unwrap();
    assert!(raw.contains("a line torn by a crash was cut off here (26 bytes)"), "{raw}");
    for line in raw.lines() {
        serde_json::from_str::<Line>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
}

#[tokio::test]
async fn a_damaged_line_is_reported_and_kept() {
    let dir = TempDir::new().unwrap();
    let journal = open(dir.path());
    journal.begin(begin("one", "ana", "a.b")).await.unwrap().complete(Outcome::of(Status::Success));
    journal.close().await;
    let segment = segments(dir.path()).pop().unwrap();
    fs::OpenOptions::new().append(true).open(&segment).unwrap().write_all(b"no json\n").unwrap();
    let journal = open(dir.path());
    journal.begin(begin("two", "ana", "a.b")).await.unwrap().complete(Outcome::of(Status::Success));
    journal.close().await;
    let results: Vec<_> = search(dir.path(), &oldest_first()).unwrap().collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
    let error = results.into_iter().find_map(Result::err).unwrap();
    assert!(matches!(error, AuditError::Damaged { line: 5, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_one_sync_and_each_gets_its_record() {
    let dir = TempDir::new().unwrap();
    // Every write begins a segment, so segments count writes.
    let journal = Journal::open(dir.path(), JournalOptions { segment_bytes: 1, ..JournalOptions::default() }).unwrap();
    for wave in 0..4 {
        let start = |number: u64| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let entry = journal.begin(begin(&format!("q{number}"), "ana", "a.b")).await.unwrap();
                entry.complete(Outcome { rows: number, ..Outcome::of(Status::Success) });
            })
        };
        let tasks: Vec<_> = (wave * 50..(wave + 1) * 50).map(start).collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
    journal.close().await;
    let writes = segments(dir.path()).len();
    assert!((5..200).contains(&writes), "{writes} writes for 400 records");
    for query in [Query::default(), oldest_first()] {
        let entries = found(dir.path(), &query);
        assert_eq!(entries.len(), 200);
        for entry in entries {
            assert_eq!(format!("q{}", entry.rows.unwrap()), entry.begin.query_id);
            assert_eq!(entry.status, EntryStatus::Success);
        }
    }
    let mut forward = ids(dir.path(), &oldest_first());
    forward.reverse();
    assert_eq!(forward, ids(dir.path(), &Query::default()));
}

#[tokio::test]
async fn searches_by_every_condition() {
    let dir = TempDir::new().unwrap();
    let journal = open(dir.path());
    let ended = [
        ("q1", "ana", "orders.order_events", Status::Success),
        ("q2", "dev", "orders.order_events", Status::Error),
        ("q3", "ana", "customers.customer_profiles", Status::Denied),
        ("q4", "ana", "orders_archive.old", Status::Success),
    ];
    for (id, principal, table, status) in ended {
        journal.begin(begin(id, principal, table)).await.unwrap().complete(Outcome::of(status));
    }
    journal.close().await;
    let check = |query: Query, expected: &[&str]| {
        assert_eq!(ids(dir.path(), &Query { order: Order::OldestFirst, ..query }), expected);
    };
    let text = |text: &str| Some(text.to_owned());
    check(Query { principal: text("dev"), ..Query::default() }, &["q2"]);
    check(Query { table: text("orders"), ..Query::default() }, &["q1", "q2"]);
    check(Query { table: text("customers.customer_profiles"), ..Query::default() }, &["q3"]);
    check(Query { status: Some(EntryStatus::Denied), ..Query::default() }, &["q3"]);
    check(Query { text: text("ANALYSTS-read"), limit: Some(2), ..Query::default() }, &["q1", "q2"]);
    check(Query { text: text("nowhere"), ..Query::default() }, &[]);
    check(Query { since_ms: Some(now_ms() + 1000), ..Query::default() }, &[]);
    check(Query { until_ms: Some(now_ms() - 60_000), ..Query::default() }, &[]);
    check(Query { since_ms: Some(now_ms() - 60_000), limit: Some(1), ..Query::default() }, &["q1"]);
    assert_eq!(ids(dir.path(), &Query { limit: Some(1), ..Query::default() }), ["q4"]);
}

#[test]
fn a_directory_without_a_journal_has_no_entries() {
    assert!(ids(Path::new("/nonexistent/journal"), &Query::default()).is_empty());
}

#[tokio::test]
async fn begin_fails_while_the_disk_refuses_and_recovers_afterwards() {
    let base = TempDir::new().unwrap();
    let (dir, away) = (base.path().join("audit"), base.path().join("away"));
    // Every batch begins a new segment, which cannot be made while the directory is away.
    let journal = Journal::open(&dir, JournalOptions { segment_bytes: 1, ..JournalOptions::default() }).unwrap();
    let running = journal.begin(begin("before", "ana", "a.b")).await.unwrap();
    assert!(journal.is_sound());
    fs::rename(&dir, &away).unwrap();
    let error = journal.begin(begin("refused", "ana", "a.b")).await.unwrap_err();
    assert!(matches!(error, AuditError::NotWritten { .. }), "{error}");
    assert!(!journal.is_sound());
    running.complete(Outcome { rows: 5, ..Outcome::of(Status::Success) });
    assert!(journal.begin(begin("refused too", "ana", "a.b")).await.is_err());
    fs::rename(&away, &dir).unwrap();
    journal.begin(begin("after", "ana", "a.b")).await.unwrap().complete(Outcome::of(Status::Success));
    assert!(journal.is_sound());
    journal.close().await;
    let entries = found(&dir, &oldest_first());
    let seen: Vec<_> = entries.iter().map(|entry| (entry.begin.query_id.as_str(), entry.rows)).collect();
    assert_eq!(seen, [("before", Some(5)), ("after", Some(0))]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_met_at_the_start() {
    let dir = TempDir::new().unwrap();
    let strand = dir.path().join("writer-1");
    fs::create_dir(&strand).unwrap();
    let segment = crate::segment::Segment::new(&strand, 1, now_ms());
    std::os::unix::fs::symlink("/dev/full", segment.path).unwrap();
    let error = Journal::open(dir.path(), JournalOptions::default()).unwrap_err().to_string();
    assert!(error.contains("No space left on device"), "{error}");
}

/// Runs one of the tests below in a process of its own, which may die.
fn child(test: &str, dir: &Path, prelude: &str) -> (bool, String) {
    let script = format!("{prelude} exec \"$0\" --exact tests::{test} --nocapture");
    let output = Command::new("bash")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env("JOURNAL_TEST_DIR", dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn child_dir() -> Option<std::path::PathBuf> {
    std::env::var_os("JOURNAL_TEST_DIR").map(Into::into)
}

#[tokio::test]
async fn child_that_crashes() {
    let Some(dir) = child_dir() else { return };
    let journal = open(&dir);
    journal.begin(begin("ended", "ana", "a.b")).await.unwrap().complete(Outcome::of(Status::Success));
    let _running = journal.begin(begin("running", "ana", "a.b")).await.unwrap();
    std::process::abort();
}

#[cfg(unix)]
#[tokio::test]
async fn what_ran_when_the_gateway_died_is_interrupted() {
    let dir = TempDir::new().unwrap();
    let (ended_well, text) = child("child_that_crashes", dir.path(), "ulimit -c 0;");
    assert!(!ended_well, "{text}");
    let expected = [("ended".to_owned(), EntryStatus::Success), ("running".to_owned(), EntryStatus::Interrupted)];
    let seen = |query: &Query| -> Vec<_> {
        found(dir.path(), query).into_iter().map(|entry| (entry.begin.query_id, entry.status)).collect()
    };
    assert_eq!(seen(&oldest_first()), expected);
    // A new writer on the same journal changes nothing about that, and its own entries are told apart.
    let journal = open(dir.path());
    let running = journal.begin(begin("now", "ana", "a.b")).await.unwrap();
    assert_eq!(seen(&oldest_first())[..2], expected);
    assert_eq!(seen(&Query::default())[0], ("now".to_owned(), EntryStatus::Running));
    assert_eq!(seen(&Query::default())[1], expected[1]);
    drop(running);
    journal.close().await;
}

#[tokio::test]
async fn child_that_meets_a_file_size_limit() {
    let Some(dir) = child_dir() else { return };
    let journal = open(&dir);
    let mut written = 0;
    let error = loop {
        match journal.begin(begin(&format!("q{written}"), "ana", "a.b")).await {
            Ok(entry) => entry.complete(Outcome::of(Status::Success)),
            Err(error) => break error,
        }
        written += 1;
        assert!(written < 1000, "the limit was never met");
    };
    assert!(matches!(error, AuditError::NotWritten { .. }), "{error}");
    println!("written before the limit: {written}");
    journal.close().await;
}

/// A limit on the size of files refuses a write half way, as a full disk does, and holds for root too.
#[cfg(unix)]
#[test]
fn a_write_refused_half_way_leaves_whole_lines() {
    let dir = TempDir::new().unwrap();
    let (ended_well, text) = child("child_that_meets_a_file_size_limit", dir.path(), "trap '' XFSZ; ulimit -f 8;");
    assert!(ended_well, "{text}");
    let written: usize =
        text.lines().find_map(|line| line.strip_prefix("written before the limit: ")).unwrap().parse().unwrap();
    let entries = found(dir.path(), &oldest_first());
    assert_eq!(entries.len(), written);
    assert!(entries.iter().all(|entry| entry.status == EntryStatus::Success), "{entries:?}");
    for segment in segments(dir.path()) {
        let raw = fs::read_to_string(segment).unwrap();
        assert!(raw.is_empty() || raw.ends_with('\n'), "{raw}");
    }
}
