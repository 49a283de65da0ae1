//! Watches the mesh directory and reloads when its files have been quiet for a moment.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::error::GatewayError;
use crate::gateway::Gateway;

/// How long changes may keep coming before they are taken up all the same.
const LONGEST_DELAY: u32 = 20;

/// Starts to watch. The watch ends with the gateway.
pub(crate) fn start(gateway: &Arc<Gateway>, dirs: &[PathBuf], users: &Path) -> Result<(), GatewayError> {
    let (changed, changes) = unbounded_channel();
    // When nobody listens any more, the gateway is gone.
    let notify = move || changed.send(()).unwrap_or(());
    let notice = move |event: notify::Result<notify::Event>| match event {
        // Reading the files is an event too; only changes count.
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
        Ok(_) => notify(),
        Err(error) => {
            tracing::warn!(%error, "watching the mesh directory");
            notify();
        }
    };
    let mut watcher = notify::recommended_watcher(notice).map_err(|error| failed(&error))?;
    for dir in dirs {
        watch(&mut watcher, dir, RecursiveMode::Recursive);
        // The directory itself may be replaced or removed: seen from the one above.
        if let Some(parent) = dir.parent() {
            watch(&mut watcher, parent, RecursiveMode::NonRecursive);
        }
    }
    if let Some(parent) = users.parent() {
        watch(&mut watcher, parent, RecursiveMode::NonRecursive);
    }
    let delay = gateway.config().catalogue.watch_delay.duration();
    let watched = Watched { gateway: Arc::downgrade(gateway), watcher, dirs: dirs.to_vec(), delay };
    tokio::spawn(watched.run(changes));
    Ok(())
}

struct Watched {
    gateway: Weak<Gateway>,
    watcher: RecommendedWatcher,
    dirs: Vec<PathBuf>,
    delay: Duration,
}

impl Watched {
    async fn run(mut self, mut changes: UnboundedReceiver<()>) {
        loop {
            tokio::select! {
                changed = changes.recv() => if changed.is_none() { return },
                () = gone(&self.gateway) => return,
            }
            self.settle(&mut changes).await;
            // A directory that came back is a new one to the system.
            for dir in &self.dirs {
                watch(&mut self.watcher, dir, RecursiveMode::Recursive);
            }
            let Some(gateway) = self.gateway.upgrade() else { return };
            gateway.reload().await;
        }
    }

    /// Waits until nothing has changed for the delay, but not for ever.
    async fn settle(&self, changes: &mut UnboundedReceiver<()>) {
        let settled = async { while let Ok(Some(())) = tokio::time::timeout(self.delay, changes.recv()).await {} };
        let _ = tokio::time::timeout(self.delay * LONGEST_DELAY, settled).await;
    }
}

/// How some files look from outside.
pub struct Marks {
    files: Vec<PathBuf>,
    seen: Vec<Option<Mark>>,
}

/// When a file was changed, its length, and which file it is: one that replaces it is another.
type Mark = (SystemTime, u64, u64);

impl Marks {
    /// The files as they are now.
    pub fn of(files: impl IntoIterator<Item = PathBuf>) -> Marks {
        let files: Vec<PathBuf> = files.into_iter().collect();
        let seen = files.iter().map(|file| mark(file)).collect();
        Marks { files, seen }
    }

    /// Whether they are others than they were when they were last looked at.
    pub fn changed(&mut self) -> bool {
        let now: Vec<_> = self.files.iter().map(|file| mark(file)).collect();
        std::mem::replace(&mut self.seen, now) != self.seen
    }
}

fn mark(file: &Path) -> Option<Mark> {
    let found = file.metadata().ok()?;
    #[cfg(unix)]
    let which = std::os::unix::fs::MetadataExt::ino(&found);
    #[cfg(not(unix))]
    let which = 0;
    Some((found.modified().ok()?, found.len(), which))
}

/// Looks at the files that say who may come in, at the age that is configured: a file system over a network tells of no
/// changes, and what is revoked there counts here all the same.
pub(crate) fn look_again(gateway: &Arc<Gateway>, mut marks: Marks) {
    let (age, gateway) = (gateway.config().identity.revocation_age.duration(), Arc::downgrade(gateway));
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(age).await;
            let looked = tokio::task::spawn_blocking(move || (marks.changed(), marks)).await;
            let (Some(gateway), Ok((changed, now))) = (gateway.upgrade(), looked) else { return };
            marks = now;
            if changed {
                gateway.reload().await;
            }
        }
    });
}

/// Returns when nobody holds the gateway any more.
async fn gone(gateway: &Weak<Gateway>) {
    while gateway.strong_count() > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn watch(watcher: &mut RecommendedWatcher, path: &Path, mode: RecursiveMode) {
    // What is not there now is seen when it comes, through the directory above.
    if path.exists()
        && let Err(error) = watcher.watch(path, mode)
    {
        tracing::warn!(path = %path.display(), %error, "cannot watch for changes");
    }
}

fn failed(error: &notify::Error) -> GatewayError {
    GatewayError::internal(format!("cannot watch the mesh directory: {error}; set `catalogue.watch = false`"))
}
