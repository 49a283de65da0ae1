//! Runs tests/slt/*.slt: SQL as a user over the demo mesh (`masks_by_type` over that of `every_type`), and what comes back.
//!
//! ```text
//! # a comment
//! mesh kinds                tests/meshes/kinds instead of the demo, for the whole script
//!
//! as frida fraud            the user, and the purpose if there is one; holds until the next `as`
//!
//! query                     the statement up to `----`, then the column names and the rows, up to an empty line
//! SELECT 1 AS one
//! ----
//! one
//! 1
//!
//! query sorted              the same, in any order: rows are sorted as text
//! query shape               the same, but only column names and types, and the number of rows
//! statement error may not   the statement fails, and its message has this in it
//! DROP TABLE orders.order_events
//! ```
//!
//! `PORTCULLIS_SLT_COMPLETE=1` writes what comes back into the files: read the difference before you commit it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use portcullis_gateway::{Gateway, Session};

use crate::{every_type, support};

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { run(stringify!($name)); })*

        #[test]
        fn every_script_is_run() {
            let mut found: Vec<String> = std::fs::read_dir(directory())
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
                .collect();
            found.sort();
            let mut listed: Vec<&str> = vec![$(stringify!($name)),*];
            listed.sort_unstable();
            assert_eq!(found, listed);
        }
    };
}

scripts!(
    aggregates,
    break_glass,
    explain_access,
    hidden,
    join_only,
    joins,
    masks,
    masks_by_type,
    metadata_columns,
    purpose,
    queries,
    refused,
    row_filters,
    system_tables,
    time_travel
);

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("slt")
}

/// One step of a script, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Comment(String),
    Mesh(String),
    As { user: String, purpose: Option<String> },
    Query { line: usize, order: Order, sql: String, expected: String },
    Error { line: usize, sql: String, expected: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    AsIs,
    Sorted,
    Shape,
}

impl Order {
    fn word(self) -> &'static str {
        match self {
            Order::AsIs => "query",
            Order::Sorted => "query sorted",
            Order::Shape => "query shape",
        }
    }
}

fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut blocks: Vec<(usize, Vec<&str>)> = Vec::new();
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            open = false;
        } else if open {
            blocks.last_mut().unwrap().1.push(line);
        } else {
            blocks.push((number, vec![line]));
            open = true;
        }
    }
    for (line, block) in blocks {
        let comments = block.iter().take_while(|line| line.starts_with('#')).count();
        if comments > 0 {
            steps.push(Step::Comment(block[..comments].join("\n")));
        }
        let Some((head, body)) = block[comments..].split_first() else { continue };
        let sql_and_rows = || {
            let cut = body.iter().position(|line| *line == "----").unwrap_or(body.len());
            let expected =
                body.get(cut + 1..).unwrap_or_default().iter().fold(String::new(), |all, row| all + row + "\n");
            (body[..cut].join("\n"), expected)
        };
        let line = line + comments;
        let order = match *head {
            "query" => Some(Order::AsIs),
            "query sorted" => Some(Order::Sorted),
            "query shape" => Some(Order::Shape),
            _ => None,
        };
        if let Some(order) = order {
            let (sql, expected) = sql_and_rows();
            steps.push(Step::Query { line, order, sql, expected });
        } else if let Some(expected) = head.strip_prefix("statement error") {
            steps.push(Step::Error { line, sql: body.join("\n"), expected: expected.trim().to_string() });
        } else if let Some(mesh) = head.strip_prefix("mesh ") {
            steps.push(Step::Mesh(mesh.trim().to_string()));
        } else if let Some(who) = head.strip_prefix("as ") {
            let mut words = who.split_whitespace().map(str::to_string);
            let user = words.next().unwrap_or_default();
            steps.push(Step::As { user, purpose: words.next() });
            if !body.is_empty() {
                return Err(format!("line {line}: `as` stands alone"));
            }
        } else {
            return Err(format!("line {line}: `{head}` is no step"));
        }
    }
    Ok(steps)
}

fn write(steps: &[Step]) -> String {
    let mut text = String::new();
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Comment(comment) => {
                writeln!(text, "{comment}").unwrap();
                let heads_next =
                    matches!(steps.get(at + 1), Some(step) if !matches!(step, Step::Comment(_) | Step::Mesh(_)));
                if at == 0 || !heads_next {
                    text.push('\n');
                }
                continue;
            }
            Step::Mesh(mesh) => writeln!(text, "mesh {mesh}").unwrap(),
            Step::As { user, purpose } => {
                let purpose = purpose.as_ref().map(|purpose| format!(" {purpose}")).unwrap_or_default();
                writeln!(text, "as {user}{purpose}").unwrap();
            }
            Step::Query { order, sql, expected, .. } => {
                write!(text, "{}\n{sql}\n----\n{expected}", order.word()).unwrap();
            }
            Step::Error { sql, expected, .. } => writeln!(text, "statement error {expected}\n{sql}").unwrap(),
        }
        text.push('\n');
    }
    text.trim_end().to_string() + "\n"
}

fn run(name: &str) {
    let path = directory().join(format!("{name}.slt"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut steps = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let complete = std::env::var_os("PORTCULLIS_SLT_COMPLETE").is_some();
    let mesh = steps.iter().find_map(|step| if let Step::Mesh(mesh) = step { Some(mesh.as_str()) } else { None });
    let gateway = match mesh {
        _ if name == "masks_by_type" => every_type::gateway(),
        Some(mesh) => support::gateway_of(mesh),
        None => support::gateway(),
    };
    let (mut who, mut wrong) = (None, Vec::new());
    for step in &mut steps {
        match step {
            Step::Comment(_) | Step::Mesh(_) => {}
            Step::As { user, purpose } => who = Some(support::session(&gateway, user, purpose.as_deref())),
            Step::Query { line, order, sql, expected } => match answer(&gateway, who.as_ref(), sql, *order) {
                Ok(found) if found == *expected => {}
                Ok(found) if complete => *expected = found,
                Ok(found) => wrong.push(format!("line {line}: {sql}\nexpected:\n{expected}found:\n{found}")),
                Err(error) => wrong.push(format!("line {line}: {sql}\nfailed: {error}")),
            },
            Step::Error { line, sql, expected } => match answer(&gateway, who.as_ref(), sql, Order::AsIs) {
                Ok(found) => wrong.push(format!("line {line}: {sql}\nexpected an error, found:\n{found}")),
                Err(error) if !expected.is_empty() && error.contains(expected.as_str()) => {}
                Err(error) if complete => *expected = error.lines().next().unwrap_or_default().to_string(),
                Err(error) => {
                    wrong.push(format!("line {line}: {sql}\nexpected the error: {expected}\nfound:  {error}"))
                }
            },
        }
    }
    if complete {
        std::fs::write(&path, write(&steps)).unwrap();
    }
    assert!(wrong.is_empty(), "{}:\n{}", path.display(), wrong.join("\n\n"));
}

fn answer(gateway: &Gateway, who: Option<&Session>, sql: &str, order: Order) -> Result<String, String> {
    let session = who.expect("a script begins with `as <user>`");
    let (schema, batches) =
        support::block_on(support::rows(gateway, session, sql)).map_err(|error| error.message.replace('\n', " "))?;
    if order == Order::Shape {
        let columns = schema.fields().iter().map(|field| format!("{}: {}\n", field.name(), field.data_type()));
        let rows: usize = batches.iter().map(arrow::array::RecordBatch::num_rows).sum();
        return Ok(columns.collect::<String>() + &format!("{rows} rows\n"));
    }
    let options = FormatOptions::default().with_null("NULL");
    let mut lines = Vec::new();
    for batch in &batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| match column.value(row).to_string() {
                empty if empty.is_empty() => "(empty)".to_string(),
                text => text.replace('\n', "\\n"),
            });
            lines.push(cells.collect::<Vec<_>>().join(" | "));
        }
    }
    if order == Order::Sorted {
        lines.sort();
    }
    let header = schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(" | ");
    lines.insert(0, header);
    Ok(lines.join("\n") + "\n")
}

#[test]
fn scripts_are_read_and_written_the_same() {
    let text = "# head\n\nas ana\n\n# one\nquery sorted\nSELECT 1\n----\na\n1\n\nas frida fraud\n\nstatement error no\nDROP\nTABLE x\n";
    let steps = parse(text).unwrap();
    assert_eq!(steps.len(), 6);
    assert_eq!(write(&steps), text);
    assert_eq!(
        steps[3],
        Step::Query { line: 6, order: Order::Sorted, sql: "SELECT 1".into(), expected: "a\n1\n".into() }
    );
    assert!(parse("quary\nSELECT 1\n").unwrap_err().starts_with("line 1"));
}
