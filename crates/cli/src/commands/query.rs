//! `portcullis query`: one statement, in this process, through the same pipeline as a client's.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use portcullis_gateway::QueryStream;

use crate::args::{Asking, QueryArgs, RowFormat};
use crate::mesh::{Failure, asking, open_mesh};
use crate::output::RowWriter;
use crate::{OK, Streams};

/// A query that takes longer than this shows its progress.
const PATIENCE: Duration = Duration::from_secs(1);

pub async fn run(mesh: &Path, args: &QueryArgs, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let binary = matches!(args.format, RowFormat::Arrow | RowFormat::Parquet);
    if binary && args.output.is_none() && streams.interactive {
        return Err(Failure::usage("this format is not for a terminal", "write it to a file with -o FILE"));
    }
    let sql = statement(&args.asking)?;
    let gateway = open_mesh(mesh).await?;
    let session = asking(&gateway, &args.asking).await?;
    let result = match gateway.query(&session, &sql, None).await {
        Ok(rows) => {
            for notice in rows.notices() {
                writeln!(streams.err, "notice: {}", crate::output::printable(notice))?;
            }
            write_rows(rows, args, streams).await
        }
        Err(error) => Err(error.into()),
    };
    gateway.shutdown().await;
    result.map(|()| OK)
}

/// The statement of the command line, or of standard input.
pub fn statement(asking: &Asking) -> Result<String, Failure> {
    if asking.sql != "-" {
        return Ok(asking.sql.clone());
    }
    let mut sql = String::new();
    std::io::stdin().read_to_string(&mut sql)?;
    Ok(sql)
}

async fn write_rows(rows: QueryStream, args: &QueryArgs, streams: &mut Streams<'_>) -> Result<(), Failure> {
    let Streams { out, err, interactive } = streams;
    let progress = Progress { err: *err, shown: *interactive, since: Instant::now(), last: None };
    let Some(path) = &args.output else {
        return copy(rows, args.format, &mut **out, progress).await;
    };
    // Written beside its place and renamed: a failed query leaves no half file, and no good one is lost.
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".part-{}", std::process::id()));
    let part = Path::new(&name);
    let file =
        File::create(part).map_err(|error| Failure::failed(format!("cannot write `{}`: {error}", path.display())))?;
    let copied = copy(rows, args.format, BufWriter::new(file), progress).await;
    let done = copied.and_then(|()| Ok(std::fs::rename(part, path)?));
    if done.is_err() {
        std::fs::remove_file(part).ok();
    }
    done
}

async fn copy<W: Write + Send>(
    mut rows: QueryStream,
    format: RowFormat,
    to: W,
    mut progress: Progress<'_>,
) -> Result<(), Failure> {
    let mut writer = RowWriter::new(format, to, rows.schema())?;
    while let Some(batch) = rows.next().await {
        writer.write(&batch?)?;
        progress.show(writer.rows());
    }
    progress.clear();
    writer.finish()
}

/// The number of rows so far, on one line of standard error.
struct Progress<'a> {
    err: &'a mut (dyn Write + Send),
    shown: bool,
    since: Instant,
    last: Option<Instant>,
}

impl Progress<'_> {
    fn show(&mut self, rows: usize) {
        let due = self.last.map_or(self.since.elapsed() > PATIENCE, |last| last.elapsed() > PATIENCE / 5);
        if self.shown && due {
            write!(self.err, "\r{rows} rows, {:.0} s ", self.since.elapsed().as_secs_f32()).ok();
            self.last = Some(Instant::now());
        }
    }

    fn clear(&mut self) {
        if self.last.is_some() {
            write!(self.err, "\r{:40}\r", "").ok();
        }
    }
}
