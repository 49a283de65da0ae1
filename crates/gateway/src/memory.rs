//! The memory of the whole process. Queries hold more than the pool of sorts, joins and aggregations counts (batches on their
//! way, what decoders unpack, plans), and what the system takes a process down for is the sum.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Limits;

/// How old a reading may be.
const AGE: Duration = Duration::from_millis(20);

/// The process' resident memory, and what it is held against.
pub(crate) struct Memory {
    limit: Option<u64>,
    read: Box<dyn Fn() -> Option<u64> + Send + Sync>,
    last: Mutex<Option<(Instant, Option<u64>)>>,
}

impl Memory {
    /// As configured, else four fifths of what the process may have. Where the system does not tell, there is no limit.
    pub(crate) fn of_process(limits: &Limits) -> Memory {
        let four_fifths = |bytes: u64| bytes / 5 * 4;
        let limit =
            limits.process_memory.map(|size| size.bytes()).or_else(|| available(Path::new("/")).map(four_fifths));
        if limit.is_none() {
            tracing::warn!("the system does not tell how much memory there is: set `limits.process_memory`");
        }
        Memory::new(limit, || status(&std::fs::read_to_string("/proc/self/status").ok()?))
    }

    pub(crate) fn new(limit: Option<u64>, read: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Memory {
        Memory { limit, read: Box::new(read), last: Mutex::default() }
    }

    /// Bytes beyond which no query is let in while others run.
    pub(crate) fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Bytes that the process has in memory, a moment ago at most; None where the system does not tell.
    pub(crate) fn resident(&self) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, bytes)) if at.elapsed() < AGE => bytes,
            _ => {
                let bytes = (self.read)();
                *last = Some((Instant::now(), bytes));
                bytes
            }
        }
    }

    /// Whether there is too little left for one query more.
    pub(crate) fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.resident().is_some_and(|resident| resident > limit))
    }
}

/// The resident memory in the text of `/proc/self/status`.
fn status(text: &str) -> Option<u64> {
    kilobytes(text, "VmRSS:")
}

/// What this process may have at most: of the machine's memory, what its control groups leave it.
fn available(root: &Path) -> Option<u64> {
    let machine = read(&root.join("proc/meminfo")).and_then(|text| kilobytes(&text, "MemTotal:"));
    let groups = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    let bounds = groups.lines().filter_map(|line| limits_of(&root.join("sys/fs/cgroup"), line)).flatten();
    bounds.chain(machine).min()
}

/// The limits of a line of `/proc/self/cgroup` (`0::/path`, or `7:memory:/path` of version 1) and of all groups above.
fn limits_of(mounted: &Path, line: &str) -> Option<Vec<u64>> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    let (base, file) = match controllers {
        "" => (mounted.to_owned(), "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => (mounted.join("memory"), "memory.limit_in_bytes"),
        _ => return None,
    };
    let group: PathBuf = path.trim_start_matches('/').into();
    let limits = group.ancestors().filter_map(|group| read(&base.join(group).join(file))?.trim().parse().ok());
    Some(limits.collect())
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The number after a word at the beginning of a line, in kilobytes.
fn kilobytes(text: &str, word: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;

    /// A system with these files.
    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_least_of_machine_and_groups_is_what_there_is() {
        let meminfo = ("proc/meminfo", "MemTotal:       24000000 kB\nMemFree:  1 kB\n");
        let of = |files: &[(&str, &str)]| available(system(&[&[meminfo], files].concat()).path());
        assert_eq!(of(&[]), Some(24_000_000 * KIB));
        let own = ("proc/self/cgroup", "0::/pods/one\n");
        let max = |path, text| (path, text);
        assert_eq!(of(&[own, max("sys/fs/cgroup/pods/one/memory.max", "4096\n")]), Some(4096));
        let above = max("sys/fs/cgroup/pods/memory.max", "2048\n");
        assert_eq!(of(&[own, max("sys/fs/cgroup/pods/one/memory.max", "max\n"), above]), Some(2048));
        // In a container, the own group may be mounted as the root, whatever its path is.
        assert_eq!(of(&[own, max("sys/fs/cgroup/memory.max", "1024\n")]), Some(1024));
        let before = ("proc/self/cgroup", "9:cpu,cpuacct:/x\n7:memory:/docker/abc\n");
        let unbounded = max("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(of(&[before, unbounded]), Some(24_000_000 * KIB));
        assert_eq!(of(&[before, max("sys/fs/cgroup/memory/memory.limit_in_bytes", "512\n")]), Some(512));
        assert_eq!(available(system(&[own]).path()), None);
        assert_eq!(of(&[("proc/self/cgroup", "nonsense\n::\n0::/../..\n")]), Some(24_000_000 * KIB));
    }

    #[test]
    fn resident_memory_is_read_from_the_status() {
        assert_eq!(status("Name:\tportcullis\nVmRSS:\t  123456 kB\nRssAnon:\t 9 kB\n"), Some(123_456 * KIB));
        assert_eq!(status("Name:\tportcullis\n"), None);
        assert_eq!(status("VmRSS: 99999999999999999999 kB\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_some_and_less_than_there_is() {
        let memory = Memory::of_process(&Limits::default());
        let (resident, limit) = (memory.resident().unwrap(), memory.limit().unwrap());
        assert!(resident > KIB * KIB && resident < limit, "{resident} of {limit}");
        assert!(!memory.is_full());
        let little = Limits { process_memory: Some(crate::config::Size::mib(1)), ..Limits::default() };
        assert!(Memory::of_process(&little).is_full());
    }
}
