//! Which file of a table cannot be read: errors of scans, with the file's name.
//!
//! Names are shown as far as they are the format's own. Directories of data files, and names that their writer did not draw
//! at random, may hold values of rows: of those, the gateway's log has the name, and the error has not.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use datafusion::arrow::array::RecordBatch;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::{DataFusionError, Result};
use datafusion::parquet::errors::ParquetError;
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};

/// Directories whose files are metadata: their names are shown with what is before them.
const METADATA: &[&str] = &["metadata", "_delta_log"];
/// What the names of data files have beside numbers and a random part.
const WORDS: &[&str] = &[
    "part",
    "c",
    "parquet",
    "snappy",
    "zstd",
    "gz",
    "gzip",
    "lz4",
    "deletion",
    "vector",
    "deletes",
    "delete",
    "data",
    "bin",
    "puffin",
    "avro",
    "pos",
    "eq",
    "s",
    "t",
    "uncompressed",
];

/// A file's name as an error may tell it.
pub(crate) fn shown(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    if let Some(at) = parts.iter().rposition(|part| METADATA.contains(part)) {
        return Some(parts.get(at..)?.join("/"));
    }
    let name = parts.last()?;
    is_generated(name).then(|| (*name).to_owned())
}

/// Whether a name is a random part, and otherwise numbers and words of the formats.
fn is_generated(name: &str) -> bool {
    let is_random = |at: &usize| {
        let part = name.as_bytes().get(*at..*at + 36).unwrap_or_default();
        let fits = |(at, byte): (usize, &u8)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        };
        part.len() == 36 && part.iter().enumerate().all(fits)
    };
    let Some((before, after)) =
        (0..name.len()).find(is_random).and_then(|at| Some((name.get(..at)?, name.get(at + 36..)?)))
    else {
        return false;
    };
    let mut rest = before.split(['-', '_', '.']).chain(after.split(['-', '_', '.']));
    rest.all(|part| {
        let word = part.trim_end_matches(|character: char| character.is_ascii_digit());
        part.len() - word.len() <= 6 && (word.is_empty() || WORDS.contains(&word))
    })
}

/// An error, and the file that it is of.
#[derive(Debug)]
pub(crate) struct OfFile {
    /// Its name, where that may be told.
    pub(crate) name: Option<String>,
    source: DataFusionError,
}

impl fmt::Display for OfFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "file `{name}`: {}", self.source),
            None => write!(f, "a file: {}", self.source),
        }
    }
}

impl Error for OfFile {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

fn of_file(path: &str, source: DataFusionError) -> DataFusionError {
    if matches!(source.find_root(), DataFusionError::ResourcesExhausted(_)) {
        return source;
    }
    tracing::warn!(file = path, "a file of a table cannot be read");
    DataFusionError::External(Box::new(OfFile { name: shown(path), source }))
}

/// Of a file at which a parser of Parquet panicked, as they do at lengths and pages that lie.
fn damaged() -> DataFusionError {
    DataFusionError::ParquetError(Box::new(ParquetError::General("the file is damaged".into())))
}

/// What is done with a file, where a panic is an error.
fn calm<T>(done: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(done)).unwrap_or_else(|_| Err(damaged()))
}

/// The same scan, whose errors name their files.
#[derive(Debug)]
pub(super) struct Naming(pub(super) Box<dyn Morselizer>);

impl Morselizer for Naming {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let path = file.object_meta.location.to_string();
        match calm(|| self.0.plan_file(file)) {
            Ok(inner) => Ok(Box::new(NamingPlanner { inner, path })),
            Err(error) => Err(of_file(&path, error)),
        }
    }
}

#[derive(Debug)]
struct NamingPlanner {
    inner: Box<dyn MorselPlanner>,
    path: String,
}

impl MorselPlanner for NamingPlanner {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { inner, path } = *self;
        let Some(mut plan) = calm(|| inner.plan()).map_err(|error| of_file(&path, error))? else { return Ok(None) };
        let planner = |inner, path: &str| Box::new(Self { inner, path: path.to_owned() }) as Box<dyn MorselPlanner>;
        let morsels = plan.take_morsels().into_iter();
        let morsels = morsels.map(|inner| Box::new(NamingMorsel { inner, path: path.clone() }) as Box<dyn Morsel>);
        let planners = plan.take_ready_planners().into_iter().map(|inner| planner(inner, &path));
        let mut named = MorselPlan::new().with_morsels(morsels.collect()).with_planners(planners.collect());
        if let Some(pending) = plan.take_pending_planner() {
            let pending = AssertUnwindSafe(pending.into_future()).catch_unwind();
            named.set_pending_planner(pending.map(move |answer| match answer.unwrap_or_else(|_| Err(damaged())) {
                Ok(inner) => Ok(planner(inner, &path)),
                Err(error) => Err(of_file(&path, error)),
            }));
        }
        Ok(Some(named))
    }
}

#[derive(Debug)]
struct NamingMorsel {
    inner: Box<dyn Morsel>,
    path: String,
}

impl Morsel for NamingMorsel {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { inner, path } = *self;
        let batches = AssertUnwindSafe(inner.into_stream()).catch_unwind();
        let batches = batches.map(|batch| batch.unwrap_or_else(|_| Err(damaged())));
        batches.map(move |batch| batch.map_err(|error| of_file(&path, error))).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Panicking;

    impl Morsel for Panicking {
        fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
            futures::stream::poll_fn(|_| panic!("a page that lies")).boxed()
        }
    }

    #[tokio::test]
    async fn a_parser_that_panics_is_an_error_of_its_file() {
        let morsel = Box::new(NamingMorsel { inner: Box::new(Panicking), path: "t/metadata/x.parquet".to_owned() });
        let mut batches = morsel.into_stream();
        let error = batches.next().await.unwrap().unwrap_err();
        let DataFusionError::External(error) = error else { panic!("{error}") };
        assert_eq!(error.downcast_ref::<OfFile>().unwrap().name.as_deref(), Some("metadata/x.parquet"));
        assert!(batches.next().await.is_none());
        assert!(calm::<()>(|| panic!("a length that lies")).is_err());
    }

    #[test]
    fn names_are_shown_where_no_value_can_be_in_them() {
        let random = "d2c639aa-8816-431a-aaf6-d3fe2512ff61";
        for (path, expected) in [
            ("lake/t/metadata/v3.metadata.json", Some("metadata/v3.metadata.json".to_owned())),
            ("lake/t/_delta_log/_sidecars/x.parquet", Some("_delta_log/_sidecars/x.parquet".to_owned())),
            (&format!("t/data/name=Ada/00000-0-{random}.parquet"), Some(format!("00000-0-{random}.parquet"))),
            (
                &format!("t/part-00000-{random}.c000.snappy.parquet"),
                Some(format!("part-00000-{random}.c000.snappy.parquet")),
            ),
            (&format!("t/00000-0-{random}-00001.parquet"), Some(format!("00000-0-{random}-00001.parquet"))),
            (&format!("t/ab/deletion_vector_{random}.bin"), Some(format!("deletion_vector_{random}.bin"))),
            (&format!("t/Ada-{random}.parquet"), None),
            (&format!("t/4929123412341234-{random}.parquet"), None),
            ("t/ada.parquet", None),
            ("t/name=Ada/", None),
            ("", None),
        ] {
            assert_eq!(shown(path), expected, "{path}");
        }
    }
}
