//! Whatever is parsed of others' files, changed at random: an answer or an error, and never a panic, a wait without end, or
//! memory by a length that lies.
//!
//! Each run draws a seed, and each case has the next: `PORTCULLIS_FUZZ_SEED=N PORTCULLIS_FUZZ_CASES=1` repeats one.
//! `cargo xtask fuzz --target …` tries as many as wanted, alone in its process, and looks at the memory then
//! (`PORTCULLIS_FUZZ_MEMORY`, in MiB).

mod avro;
mod contracts;
mod lakes;
mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(in crate::tables) use mutate::{Rng, bytes, text};

/// A case that takes longer never ends: the longest take a second on a busy machine.
const ENDLESS: Duration = Duration::from_secs(300);

/// Tries cases of a target, `few` where nobody says how many.
pub(in crate::tables) fn cases(target: &str, few: u64, mut one: impl FnMut(&mut Rng)) {
    let drawn = || u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos());
    let seed = setting("PORTCULLIS_FUZZ_SEED").unwrap_or_else(drawn);
    let count = setting("PORTCULLIS_FUZZ_CASES").unwrap_or(few);
    let memory = setting("PORTCULLIS_FUZZ_MEMORY");
    println!("fuzz {target}: PORTCULLIS_FUZZ_SEED={seed} PORTCULLIS_FUZZ_CASES={count}");
    let (beat, beats) = channel();
    let name = target.to_owned();
    let watch = std::thread::spawn(move || {
        let mut at = seed;
        loop {
            match beats.recv_timeout(ENDLESS) {
                Ok(next) => at = next,
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    eprintln!(
                        "fuzz {name}: the case of PORTCULLIS_FUZZ_SEED={at} PORTCULLIS_FUZZ_CASES=1 does not end"
                    );
                    std::process::abort();
                }
            }
        }
    });
    for case in seed..seed + count {
        beat.send(case).unwrap();
        let before = peak();
        let repeat = format!("repeat it with PORTCULLIS_FUZZ_SEED={case} PORTCULLIS_FUZZ_CASES=1");
        let done = catch_unwind(AssertUnwindSafe(|| one(&mut Rng::new(case))));
        assert!(done.is_ok(), "fuzz {target}: a case failed: {repeat}");
        let grown = peak().saturating_sub(before);
        // The first ones load what all need.
        let counts = case > seed + 20 || count == 1;
        assert!(!counts || memory.is_none_or(|most| grown <= most), "fuzz {target}: {grown} MiB for a case: {repeat}");
    }
    drop(beat);
    watch.join().unwrap();
    println!("fuzz {target}: {count} cases");
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The most memory that this process ever asked for, used or not, in MiB; 0 where that is not told.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1024
}
