//! Which features of the two formats are read as their writers read them: each table here is compared with what its
//! writer's own reader finds, row for row and in its types, and docs/tables.md tells of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::support::{Columns, beside_expected, declared, declared_in, expected_schema, same, skip, tables};
use super::{delta, iceberg, java, metadata, postgres, spark, travel};
use crate::ErrorKind;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use portcullis_contract::TableFormat::{self, Delta, Iceberg};
use portcullis_contract::{ConnectionKind, SourcePath, SqlDatabase, StoreOptions, Table};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Pyiceberg,
    Java,
    Deltalake,
    Spark,
}
use Writer::{Deltalake, Java, Pyiceberg, Spark};

impl Writer {
    fn lake(self) -> Option<PathBuf> {
        let lake = match self {
            Pyiceberg => iceberg::lake(),
            Java => java::lake(),
            Deltalake => delta::lake(),
            Spark => return spark::lake(),
        };
        lake.map(|lake| lake.path().to_owned())
    }
}

/// What is shown of a writer's table.
#[derive(Debug, Clone, Copy)]
enum Shown {
    /// All rows of these are what the writer reads.
    Equal(&'static [&'static str]),
    /// The same, of tables that are found through the lake's SQL catalogue.
    Catalogued(&'static [&'static str]),
    /// The same, of a table that is found through the same writer's catalogue on a PostgreSQL server.
    Served,
    /// Of these, the columns of metadata are what the writer reads, too.
    Metadata(&'static [&'static str]),
    /// Each version of it is what the writer reads of that version.
    Versions(&'static str),
    /// A contract that declares this column of this type is refused with these words.
    Refused(&'static str, &'static str, &'static str),
}
use Shown::{Catalogued, Equal, Metadata, Refused, Served, Versions};

type Feature = (&'static str, &'static [(Writer, Shown)]);

const ICEBERG: &[Feature] = &[
    (
        "every primitive type, with nulls, NaN, both zeros, times before 1970",
        &[(Pyiceberg, Equal(&["types"])), (Java, Equal(&["java_types"])), (Spark, Equal(&["i_types"]))],
    ),
    (
        "structs, lists and maps, within each other",
        &[(Pyiceberg, Equal(&["types"])), (Java, Equal(&["defaults"])), (Spark, Equal(&["i_types", "i_evolved"]))],
    ),
    (
        "columns added, dropped, added again under the same name, renamed, moved, promoted",
        &[(Pyiceberg, Equal(&["evolved"])), (Java, Equal(&["equality_everywhere"])), (Spark, Equal(&["i_evolved"]))],
    ),
    (
        "the same within structs, lists and maps",
        &[(Pyiceberg, Equal(&["types"])), (Java, Equal(&["defaults"])), (Spark, Equal(&["i_evolved"]))],
    ),
    ("initial defaults, at the top and within structs, lists and maps (version 3)", &[(Java, Equal(&["defaults"]))]),
    ("times in nanoseconds (version 3), in nested types and as partitions, too", &[(Java, Equal(&["nanos"]))]),
    ("files without field ids, by name mapping", &[(Pyiceberg, Equal(&["named"]))]),
    (
        "a partitioning that changes; `identity`, `bucket`, `truncate`, `year`, `month`, `day`, `hour`",
        &[
            (Pyiceberg, Equal(&["events", "respecced", "transformed"])),
            (Java, Equal(&["positions"])),
            (Spark, Equal(&["i_transformed"])),
        ],
    ),
    ("`void`: partition fields dropped in version 1", &[(Spark, Equal(&["i_version_1"]))]),
    ("partition values of columns that the files lack", &[(Java, Equal(&["lacking"]))]),
    ("position deletes", &[(Java, Equal(&["positions"])), (Spark, Equal(&["i_deleted_v2"]))]),
    (
        "equality deletes: by sequence number, of one partition or all, of nulls, of renamed columns and defaults",
        &[(Java, Equal(&["equality", "equality_everywhere", "defaults"]))],
    ),
    ("deletion vectors (version 3)", &[(Java, Equal(&["vectors"])), (Spark, Equal(&["i_deleted_v3"]))]),
    (
        "rows rewritten: overwritten, compacted, manifests rewritten; metadata in gzip",
        &[(Pyiceberg, Equal(&["respecced"])), (Spark, Equal(&["i_rewritten"]))],
    ),
    ("tables without a snapshot, or without rows", &[(Pyiceberg, Equal(&["empty", "emptied"]))]),
    ("tables of an SQL catalogue in SQLite", &[(Pyiceberg, Catalogued(&["events", "evolved", "types", "emptied"]))]),
    ("tables of an SQL catalogue in PostgreSQL", &[(Pyiceberg, Served)]),
    (
        "`_file` and `_pos`, in files with position deletes, deletion vectors and several row groups",
        &[(Spark, Metadata(&["m_version_2", "m_changed", "m_compacted"]))],
    ),
    (
        "`_row_id` and `_last_updated_sequence_number` (version 3): inherited, written down, compacted, of before the upgrade",
        &[(Spark, Metadata(&["m_changed", "m_compacted", "m_upgraded", "m_not_yet"]))],
    ),
    ("earlier snapshots by id, time, branch and tag", &[(Pyiceberg, Versions("evolving"))]),
    ("other columns of tables with `unknown`, `variant`, `geometry` (version 3)", &[(Java, Equal(&["opaque"]))]),
    (
        "`variant`",
        &[(
            Java,
            Refused(
                "opaque",
                "anything",
                "its column `anything` has the type `variant`, which the gateway cannot read",
            ),
        )],
    ),
    (
        "`geometry`, `geography`",
        &[(
            Java,
            Refused("opaque", "place", "its column `place` has the type `geometry`, which the gateway cannot read"),
        )],
    ),
];

const DELTA: &[Feature] = &[
    (
        "every primitive type, with nulls, NaN, both zeros, times before 1970; `timestampNtz`",
        &[(Deltalake, Equal(&["types"])), (Spark, Equal(&["d_types"]))],
    ),
    ("times in INT96, as Spark writes them at first, of the years 1 to 9999", &[(Spark, Equal(&["d_int96"]))]),
    ("structs, arrays and maps, within each other", &[(Deltalake, Equal(&["types"])), (Spark, Equal(&["d_types"]))]),
    ("columns added, within structs too", &[(Deltalake, Equal(&["widened"])), (Spark, Equal(&["d_evolved"]))]),
    (
        "partition values with escapes and nulls, of every kind of type",
        &[(Deltalake, Equal(&["events"])), (Spark, Equal(&["d_partitioned"]))],
    ),
    ("column mapping by name: renamed, dropped, added again", &[(Spark, Equal(&["d_mapped_name"]))]),
    ("column mapping by id", &[(Spark, Equal(&["d_mapped_id"]))]),
    ("deletion vectors; rows deleted, updated, merged", &[(Spark, Equal(&["d_vectors"]))]),
    ("type widening, within structs too", &[(Spark, Equal(&["d_widened"]))]),
    (
        "checkpoints, of one part and of several",
        &[(Deltalake, Equal(&["events"])), (Spark, Equal(&["d_checkpoint_parts"]))],
    ),
    ("checkpoints of version 2, with sidecars", &[(Spark, Equal(&["d_checkpoint_v2"]))]),
    (
        "rows rewritten: optimised, overwritten, restored; change data feed, row tracking, in-commit timestamps",
        &[(Spark, Equal(&["d_rewritten"]))],
    ),
    ("liquid clustering", &[(Spark, Equal(&["d_clustered"]))]),
    ("earlier versions by number and time", &[(Deltalake, Versions("history"))]),
    ("other columns of tables with `variant`", &[(Spark, Equal(&["d_variant"]))]),
    (
        "`variant`",
        &[(Spark, Refused("d_variant", "v", "its column `v` has the type `variant`, which the gateway cannot read"))],
    ),
];

/// How a contract declares a column that a writer reads as this.
fn declaration(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => "int".into(),
        DataType::Int64 => "long".into(),
        DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Date32 => "date".into(),
        DataType::Time64(TimeUnit::Microsecond) => "time".into(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp".into(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamptz".into(),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => "timestamp_ns".into(),
        DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => "timestamptz_ns".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".into(),
        DataType::FixedSizeBinary(16) => "uuid".into(),
        DataType::FixedSizeBinary(width) => format!("fixed({width})"),
        DataType::List(element) | DataType::LargeList(element) => format!("list<{}>", declaration(element.data_type())),
        DataType::Struct(fields) => {
            let one = |name: &str, of: &DataType| format!("{name}: {}", declaration(of));
            let fields: Vec<String> = fields.iter().map(|field| one(field.name(), field.data_type())).collect();
            format!("struct<{}>", fields.join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => {
                format!("map<{},{}>", declaration(pair[0].data_type()), declaration(pair[1].data_type()))
            }
            other => panic!("{other}"),
        },
        other => panic!("no type of contracts for {other}"),
    }
}

/// The columns of a table as its writer reads them, with their types in the words of contracts.
pub(super) fn columns_of(lake: &Path, name: &str) -> Vec<(String, String)> {
    let schema = expected_schema(lake, name);
    schema.fields().iter().map(|field| (field.name().clone(), declaration(field.data_type()))).collect()
}

/// A table by its place, or by its name in the lake's catalogue.
async fn is_equal(lake: &Path, format: TableFormat, name: &str, catalogued: bool) {
    let url = lake.display().to_string();
    let columns = columns_of(lake, name);
    let columns: Vec<(&str, &str)> = columns.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
    let table = match catalogued {
        true => in_catalogue(&url, name, &columns),
        false => declared(&url, name, format, &columns),
    };
    let ctx = beside_expected(lake, &table).await;
    same(&ctx, "select * from {}").await;
    same(&ctx, &format!("select count(*), count(\"{}\") from {{}}", columns[0].0)).await;
    if columns.iter().any(|(name, _)| *name == "id") {
        same(&ctx, "select count(*), min(\"id\"), max(\"id\") from {}").await;
        same(&ctx, "select * from {} where \"id\" between 15 and 40 or \"id\" is null").await;
    }
}

/// A table of the catalogue that make_iceberg.py keeps.
fn in_catalogue(lake: &str, name: &str, columns: Columns<'_>) -> Table {
    let kind = ConnectionKind::IcebergSql {
        database: SqlDatabase::Sqlite { file: format!("{lake}/catalog.db") },
        catalog: "fixtures".into(),
        warehouse: lake.into(),
        store: StoreOptions::default(),
    };
    declared_in(kind, SourcePath::Table(format!("t.{name}")), name, Iceberg, columns)
}

async fn check(writer: Writer, shown: Shown, format: TableFormat, lake: &Path) -> &'static str {
    match shown {
        Equal(names) => {
            for name in names {
                is_equal(lake, format, name, false).await;
            }
            "equal"
        }
        Catalogued(names) => {
            for name in names {
                is_equal(lake, format, name, true).await;
            }
            "equal"
        }
        Served => {
            postgres::is_equal().await;
            "equal"
        }
        Metadata(names) => {
            let lake = metadata::lake().unwrap();
            for name in names {
                metadata::are_equal(&lake, name).await;
            }
            "equal"
        }
        Versions(name) => {
            travel::versions_are_what_the_writer_reads(name, format).await;
            "equal"
        }
        Refused(name, column, words) => {
            let url = lake.display().to_string();
            let table = declared(&url, name, format, &[("id", "long"), (column, "string")]);
            let error = tables().pin(&table).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Withheld, "{writer:?}");
            assert_eq!(error.to_string(), format!("table `test.{name}` is withheld: {words}"));
            "refused by name"
        }
    }
}

/// The table of one format; without the columns of writers that are not here.
async fn conformance(format: TableFormat, writers: &[(Writer, &str)], features: &[Feature]) -> (String, bool) {
    let lakes: Vec<(Writer, Option<PathBuf>)> = writers.iter().map(|(writer, _)| (*writer, writer.lake())).collect();
    let complete = lakes.iter().all(|(_, lake)| lake.is_some());
    let mut text = String::from("| feature |");
    for (_, name) in writers {
        write!(text, " {name} |").unwrap();
    }
    writeln!(text, "\n|---|{}", "---|".repeat(writers.len())).unwrap();
    for (feature, cells) in features {
        write!(text, "| {feature} |").unwrap();
        for (writer, lake) in &lakes {
            let cell = cells.iter().find(|(of, _)| of == writer);
            let cell = match (cell, lake) {
                (Some((_, shown)), Some(lake)) => check(*writer, *shown, format, lake).await,
                _ => "—",
            };
            write!(text, " {cell} |").unwrap();
        }
        text.push('\n');
    }
    (text, complete)
}

fn documentation() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tables.md")
}

/// The part of docs/tables.md that is between the marks of this name is `text`; with `UPDATE_DOCS=1` it becomes so.
fn told_in_the_documentation(mark: &str, text: &str) {
    let path = documentation();
    let whole = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {mark}: generated -->\n"), format!("<!-- {mark}: end -->\n"));
    let (before, rest) = whole.split_once(&begin).unwrap();
    let (told, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{begin}{text}{end}{after}")).unwrap();
    } else {
        assert!(told == text, "docs/tables.md does not tell what was found: run this test with UPDATE_DOCS=1\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn external_conformance_is_what_the_documentation_tells() {
    let writers = [(Pyiceberg, "pyiceberg"), (Java, "Iceberg Java"), (Spark, "Spark")];
    let (of_iceberg, complete) = conformance(Iceberg, &writers, ICEBERG).await;
    let (of_delta, also) = conformance(Delta, &[(Deltalake, "deltalake"), (Spark, "Spark")], DELTA).await;
    if !complete || !also || !postgres::is_here() {
        skip("not all writers are here, so docs/tables.md is not compared");
        return;
    }
    told_in_the_documentation("conformance of Iceberg", &of_iceberg);
    told_in_the_documentation("conformance of Delta", &of_delta);
}
