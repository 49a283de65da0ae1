//! The directory of spill files: one for each process, private, gone with it or after it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use crate::barrier::BarrierExec;

/// In the configuration of a query whose operators retain rows: they may write them down before they leave, and do their work one
/// way or another by the memory that the rows occupy.
#[derive(Debug)]
pub(crate) struct Retains;

/// Whether an operator above the barriers does. Those that hand on what they get, row by row, do not.
pub(super) fn retains(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if plan.downcast_ref::<BarrierExec>().is_some() {
        return false;
    }
    let children = plan.children();
    let passes = matches!(
        plan.name(),
        "ProjectionExec"
            | "FilterExec"
            | "CoalescePartitionsExec"
            | "CoalesceBatchesExec"
            | "GlobalLimitExec"
            | "LocalLimitExec"
            | "UnionExec"
            | "InterleaveExec"
            | "CooperativeExec"
            | "UnnestExec"
    );
    !children.is_empty() && (!passes || children.into_iter().any(retains))
}

/// A directory that lives as long as this value. Its lock tells other processes that somebody lives in it.
#[derive(Debug)]
pub(super) struct SpillDir {
    path: PathBuf,
    _lock: File,
}

const LOCK: &str = "lock";

impl SpillDir {
    /// A fresh directory below `root`. What processes that are no more left there is removed first.
    pub fn create(root: &Path) -> io::Result<Self> {
        make_private(root)?;
        remove_abandoned(root)?;
        for attempt in 0..1000 {
            let path = root.join(format!("{}-{attempt}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {
                    make_private(&path)?;
                    let lock = File::create(path.join(LOCK))?;
                    lock.lock()?;
                    return Ok(Self { path, _lock: lock });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "no name is left for a spill directory"))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SpillDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn make_private(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn remove_abandoned(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        // Somebody else may be just as busy with it: whoever comes second finds nothing.
        if let Ok(lock) = File::open(path.join(LOCK))
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}
