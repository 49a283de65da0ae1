//! The time by which decisions and expiries are judged. It never goes back: a system clock that is set back must not
//! make expired tokens valid again, nor reopen what a policy has closed.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A step back of less than this is a correction like any other.
const NOTED_MS: i64 = 1_000;

type Wall = Box<dyn Fn() -> i64 + Send + Sync>;

/// Milliseconds since 1970: the system's, or what has passed since the latest that was seen of it.
pub(crate) struct Clock {
    wall: Wall,
    latest: Mutex<(i64, Instant)>,
    #[cfg(test)]
    shift_ms: std::sync::atomic::AtomicI64,
}

impl Clock {
    pub(crate) fn system() -> Clock {
        Clock::new(Box::new(|| jiff::Timestamp::now().as_millisecond()))
    }

    pub(crate) fn new(wall: Wall) -> Clock {
        let latest = Mutex::new((wall(), Instant::now()));
        Clock {
            wall,
            latest,
            #[cfg(test)]
            shift_ms: 0.into(),
        }
    }

    /// As if somebody had set the system clock.
    #[cfg(test)]
    pub(crate) fn shift(&self, ms: i64) {
        self.shift_ms.fetch_add(ms, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn now_ms(&self) -> i64 {
        let wall = (self.wall)();
        #[cfg(test)]
        let wall = wall + self.shift_ms.load(std::sync::atomic::Ordering::Relaxed);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let (seen, at) = *latest;
        let due = seen.saturating_add(i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX));
        if wall < due {
            if due - wall > NOTED_MS {
                tracing::warn!(
                    behind_ms = due - wall,
                    "the system clock was set back; the time goes on from where it was"
                );
            }
            return due;
        }
        *latest = (wall, Instant::now());
        wall
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn it_goes_on_where_the_system_goes_back() {
        let wall = Arc::new(AtomicI64::new(1_000_000));
        let read = Arc::clone(&wall);
        let clock = Clock::new(Box::new(move || read.load(Ordering::Relaxed)));
        // A wall clock that stands still is left behind by what passes meanwhile: well below a minute.
        let is_about = |ms: i64| {
            let now = clock.now_ms();
            assert!((ms..ms + 60_000).contains(&now), "{now} for {ms}");
            now
        };
        is_about(1_000_000);
        wall.store(2_000_000, Ordering::Relaxed);
        is_about(2_000_000);
        wall.store(1_000_000, Ordering::Relaxed);
        let first = is_about(2_000_000);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(clock.now_ms() >= first + 20, "it does not stand still");
        wall.store(3_000_000, Ordering::Relaxed);
        is_about(3_000_000);
    }
}
