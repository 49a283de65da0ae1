//! Room to recurse: parsers and planners of others recurse as deep as a statement's bounds allow, with frames of many
//! kilobytes, and the threads that we are called on may have two megabytes.
//!
//! A thread has one stack more at most, while it is in here, and only pages that are used take memory: however many statements come at
//! once, there are as many stacks as threads that parse and plan. Threads with [`ROOM`] left need none.

/// Bytes for the deepest statement within [`crate::ParseLimits`], generously, without optimisation.
const STACK: usize = 32 << 20;

/// What has to be left of a thread's own stack.
const ROOM: usize = STACK / 2;

/// Runs `work` with at least [`ROOM`] left.
pub(crate) fn deep<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(ROOM, STACK, work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left() -> usize {
        stacker::remaining_stack().unwrap()
    }

    /// What is left of the stack outside, in `deep`, and in `deep` within that, on a thread of this size.
    fn on(size: usize) -> (usize, usize, usize) {
        let measured = || (left(), deep(|| (left(), deep(left))));
        let thread = std::thread::Builder::new().stack_size(size).spawn(measured).unwrap();
        let (outside, (within, deeper)) = thread.join().unwrap();
        (outside, within, deeper)
    }

    #[test]
    fn a_small_thread_has_one_stack_more_at_most() {
        let (outside, within, deeper) = on(2 << 20);
        assert!(outside < ROOM && within > ROOM, "{outside} {within}");
        // On the same stack: a little less of it is left.
        assert!(deeper < within && within - deeper < ROOM, "{within} {deeper}");
    }

    #[test]
    fn a_thread_with_room_stays_on_its_own() {
        let (outside, within, deeper) = on(24 << 20);
        assert!(outside > ROOM && within < outside && deeper < within, "{outside} {within} {deeper}");
        assert!(outside - deeper < ROOM, "{outside} {deeper}");
    }
}
