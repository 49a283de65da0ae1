//! Room to recurse: parsers and planners of others recurse as deep as a statement's bounds allow, with frames of many
//! kilobytes, and the threads that we are called on have two megabytes.

/// Bytes for the deepest statement within [`crate::ParseLimits`], generously, without optimisation.
const STACK: usize = 32 << 20;

/// Runs `work` with at least half of [`STACK`] left.
pub(crate) fn deep<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK / 2, STACK, work)
}
