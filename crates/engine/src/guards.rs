//! What stands between hidden data and an answer, so that tests can take one guard away and see that its absence is noticed.
//!
//! Everybody but a test gets [`Guards::default`]: all of them. A weakened set can be made in builds with debug assertions only; in
//! a release build its constructor does not exist, and every question below is answered by a constant.

/// One guard.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// The row filter and the masks are an operator that nothing looks into. Without it they are a filter and a projection.
    Barrier,
    /// Batches are rebuilt before they leave.
    Scrubber,
    /// Errors carry no text of DataFusion's.
    Redaction,
    /// The mask on columns of this name.
    Mask(String),
    /// Statistics of the files end at the barrier.
    Statistics,
}

/// The guards of an engine: all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guards {
    #[cfg(debug_assertions)]
    off: Option<Guard>,
}

impl Guards {
    /// All but one.
    #[doc(hidden)]
    #[cfg(debug_assertions)]
    pub fn without(guard: Guard) -> Self {
        Self { off: Some(guard) }
    }

    #[cfg(debug_assertions)]
    fn has(&self, guard: &Guard) -> bool {
        self.off.as_ref() != Some(guard)
    }

    #[cfg(not(debug_assertions))]
    #[expect(clippy::unused_self, reason = "the signature of the other build")]
    fn has(&self, _: &Guard) -> bool {
        true
    }

    pub(crate) fn barrier(&self) -> bool {
        self.has(&Guard::Barrier)
    }

    pub(crate) fn scrubber(&self) -> bool {
        self.has(&Guard::Scrubber)
    }

    pub(crate) fn redaction(&self) -> bool {
        self.has(&Guard::Redaction)
    }

    pub(crate) fn statistics(&self) -> bool {
        self.has(&Guard::Statistics)
    }

    pub(crate) fn mask(&self, column: &str) -> bool {
        self.has(&Guard::Mask(column.to_owned()))
    }
}
