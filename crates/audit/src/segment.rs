//! The files of the journal: names, modes, the lock, and the repair of a torn end.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::AuditError;

const SUFFIX: &str = ".jsonl";
const LOCK: &str = "writer.lock";
const LOCK_ATTEMPTS: u32 = 4;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
const STRAND: &str = "writer-";
/// Processes that may write to one journal at the same time.
const STRANDS: u32 = 64;

/// One segment: its number counts up from 1, and its name says when it was begun.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Segment {
    pub number: u64,
    pub begun_ms: i64,
    pub path: PathBuf,
}

impl Segment {
    pub(crate) fn new(dir: &Path, number: u64, begun_ms: i64) -> Segment {
        Segment { number, begun_ms, path: dir.join(format!("{number:010}-{begun_ms}{SUFFIX}")) }
    }

    fn from_path(path: PathBuf) -> Option<Segment> {
        let (number, begun) = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?.split_once('-')?;
        Some(Segment { number: number.parse().ok()?, begun_ms: begun.parse().ok()?, path })
    }
}

/// The segments of a journal, oldest first. Other files are left alone. A directory that is not there has none.
pub(crate) fn list(dir: &Path) -> Result<Vec<Segment>, AuditError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(AuditError::io("list", dir)(error)),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry.map_err(AuditError::io("list", dir))?.path();
        segments.extend(Segment::from_path(path));
    }
    segments.sort();
    Ok(segments)
}

pub(crate) fn make_dir(dir: &Path) -> Result<(), AuditError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(AuditError::io("make the audit directory", dir))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .map_err(AuditError::io("restrict the audit directory", dir))?;
    }
    Ok(())
}

/// The strands of a journal: one directory for each writer there was at the same time.
pub(crate) fn strands(dir: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(AuditError::io("list", dir)(error)),
    };
    let mut strands = Vec::new();
    for entry in entries {
        let path = entry.map_err(AuditError::io("list", dir))?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_prefix(STRAND)?.parse::<u32>().ok());
        strands.extend(number.filter(|_| path.is_dir()).map(|number| (number, path)));
    }
    strands.sort();
    Ok(strands.into_iter().map(|(_, path)| path).collect())
}

/// The first strand that no other process writes, and its lock.
pub(crate) fn take_strand(dir: &Path) -> Result<(PathBuf, File), AuditError> {
    for number in 1..=STRANDS {
        let strand = dir.join(format!("{STRAND}{number}"));
        make_dir(&strand)?;
        if let Some(lock) = lock(&strand)? {
            return Ok((strand, lock));
        }
    }
    Err(AuditError::Locked { dir: dir.to_owned() })
}

/// Takes a writer's lock. It is held as long as the file is open, so a crash releases it.
fn lock(dir: &Path) -> Result<Option<File>, AuditError> {
    let path = dir.join(LOCK);
    let file = private().create(true).truncate(false).write(true).open(&path).map_err(AuditError::io("open", &path))?;
    // A search that looks whether the journal is in use holds the lock for a moment.
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(AuditError::io("lock", &path)(source)),
        }
    }
    Ok(None)
}

/// Whether a process has the journal open for writing now.
pub(crate) fn is_locked(dir: &Path) -> bool {
    match File::open(dir.join(LOCK)) {
        Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    }
}

/// Begins a new segment; its name must be new.
pub(crate) fn create(segment: &Segment) -> std::io::Result<File> {
    let file = private().create_new(true).append(true).open(&segment.path)?;
    // The name must survive a crash as well as the content.
    if let Some(dir) = segment.path.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(file)
}

/// Opens the last segment to go on writing. Bytes after the last line end were torn by a crash: they are cut off, and
/// their number returned.
pub(crate) fn reopen(segment: &Segment) -> std::io::Result<(File, u64, u64)> {
    let mut file = OpenOptions::new().read(true).append(true).open(&segment.path)?;
    let length = file.metadata()?.len();
    let whole = end_of_last_line(&mut file, length)?;
    if whole < length {
        file.set_len(whole)?;
        file.sync_data()?;
    }
    Ok((file, whole, length - whole))
}

fn end_of_last_line(file: &mut File, length: u64) -> std::io::Result<u64> {
    const CHUNK: u64 = 64 << 10;
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        let mut chunk = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        Read::by_ref(file).take(end - start).read_to_end(&mut chunk)?;
        if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
