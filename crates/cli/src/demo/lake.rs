//! The demo's lake: written once beside its final place, renamed into it, and recognised at the next start.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};

pub use super::iceberg::snapshot_id;
pub use super::tables::{Format, Rows};

use super::tables::TABLES;
use super::world::World;
use super::{delta, iceberg};

/// Raised whenever the same number of rows would give other data.
pub const GENERATOR: u32 = 1;
/// The lake below a mesh directory: what `catalogs/connections.yaml` of the demo mesh points its `lake` at.
pub const LAKE: &str = ".portcullis/lake";
const MARKER: &str = ".demo.json";
const BATCH_ROWS: u64 = 32_768;
/// When tables of tests were written: 2026-07-01, in milliseconds since 1970.
const LATER_MS: i64 = 1_782_864_000_000;

/// What a lake was made from; equal means nothing is to do.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Marker {
    generator: u32,
    rows: u64,
    /// Iceberg's metadata holds absolute addresses: a lake that was moved is written again.
    location: String,
}

/// Makes sure that the mesh directory has a lake with `rows` order events. Returns whether it had to be written.
pub async fn ensure(mesh: &Path, rows: u64, quiet: bool) -> Result<bool> {
    let mesh = mesh.canonicalize().with_context(|| format!("no mesh directory `{}`", mesh.display()))?;
    let lake = mesh.join(LAKE);
    let location = url::Url::from_file_path(&lake).map_err(|()| anyhow!("`{}` is no path", lake.display()))?;
    let wanted = Marker { generator: GENERATOR, rows, location: location.to_string() };
    let found = read_marker(&lake);
    if found.as_ref() == Some(&wanted) {
        return Ok(false);
    }
    if found.is_none() && lake.exists() {
        bail!("`{}` exists and was not written by the demo: move it away first", lake.display());
    }
    let fresh = mesh.join(format!("{LAKE}.new-{}", std::process::id()));
    let written = write_all(&fresh, &wanted, rows, quiet).await.and_then(|()| replace(&lake, &fresh));
    if written.is_err() {
        std::fs::remove_dir_all(&fresh).ok();
    }
    written.map(|()| true)
}

fn read_marker(lake: &Path) -> Option<Marker> {
    serde_json::from_slice(&std::fs::read(lake.join(MARKER)).ok()?).ok()
}

async fn write_all(fresh: &Path, marker: &Marker, rows: u64, quiet: bool) -> Result<()> {
    let world = World { events: rows };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let now_ms = i64::try_from(now)?;
    let progress = Progress::new(TABLES.iter().map(|table| (table.rows)(world)).sum(), quiet);
    for table in TABLES {
        let directory: PathBuf = fresh.join(table.domain).join(table.name);
        let done = match table.format {
            Format::Iceberg => {
                let address = format!("{}/{}/{}", marker.location, table.domain, table.name);
                let place = iceberg::Place { written: &directory, address: &address };
                iceberg::write(&(table, world), place, now_ms, &progress).await
            }
            Format::Delta => delta::write(&(table, world), &directory, &progress).await,
        };
        done.with_context(|| format!("cannot write the demo's table `{}.{}`", table.domain, table.name))?;
    }
    progress.finish();
    std::fs::write(fresh.join(MARKER), serde_json::to_vec_pretty(marker)?)?;
    Ok(())
}

/// Writes one table into an absolute directory, by the writers of the demo: for tests that need a lake of their own.
pub async fn write_table(rows: &dyn Rows, format: Format, directory: &Path) -> Result<()> {
    let progress = Progress::new(rows.count(), true);
    match format {
        Format::Iceberg => {
            let address = url::Url::from_file_path(directory);
            let address = address.map_err(|()| anyhow!("`{}` is no path", directory.display()))?.to_string();
            let place = iceberg::Place { written: directory, address: &address };
            iceberg::write(rows, place, LATER_MS, &progress).await
        }
        Format::Delta => delta::write(rows, directory, &progress).await,
    }
}

/// Puts the fresh lake into the old one's place; the old one is set aside first, never half deleted under a reader's eyes.
fn replace(lake: &Path, fresh: &Path) -> Result<()> {
    let aside = fresh.with_extension("old");
    if lake.exists() {
        std::fs::rename(lake, &aside)?;
    }
    std::fs::rename(fresh, lake).with_context(|| format!("cannot move the new lake to `{}`", lake.display()))?;
    if aside.exists() {
        std::fs::remove_dir_all(&aside)?;
    }
    Ok(())
}

/// `total` rows in `parts` ranges of nearly equal length.
pub fn chunks(total: u64, parts: u64) -> impl Iterator<Item = Range<u64>> {
    let parts = parts.max(1);
    (0..parts).map(move |part| (total * part / parts)..(total * (part + 1) / parts))
}

/// A range cut into what is built in memory at once.
pub fn batches(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range.step_by(BATCH_ROWS as usize).map(move |start| start..(start + BATCH_ROWS).min(end))
}

/// A line on stderr that grows with the work; silent where nobody looks.
pub struct Progress {
    total: u64,
    done: Cell<u64>,
    shown: Cell<Option<Instant>>,
    quiet: bool,
}

impl Progress {
    fn new(total: u64, quiet: bool) -> Self {
        Self { total, done: Cell::new(0), shown: Cell::new(None), quiet: quiet || !std::io::stderr().is_terminal() }
    }

    /// `rows` more are written.
    pub fn add(&self, rows: u64) {
        self.done.set(self.done.get() + rows);
        let due = self.shown.get().is_none_or(|at| at.elapsed() > Duration::from_millis(200));
        if !self.quiet && due {
            self.shown.set(Some(Instant::now()));
            let percent = self.done.get() * 100 / self.total.max(1);
            write!(std::io::stderr(), "\rwriting the demo's tables: {percent} % of {} rows ", self.total).ok();
        }
    }

    fn finish(&self) {
        if !self.quiet {
            writeln!(std::io::stderr(), "\rwrote the demo's tables: {} rows            ", self.total).ok();
        }
    }
}
