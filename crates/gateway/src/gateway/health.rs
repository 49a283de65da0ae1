//! What is told of a gateway to who runs it: whether it takes queries, and the numbers of this moment.

use super::Gateway;

impl Gateway {
    /// All that is counted, in Prometheus' text format: no principal, no name of the mesh, no value.
    pub fn metrics_text(&self) -> String {
        let (running, waiting) = self.turns.counts();
        let state = self.state();
        let findings = state.findings.iter().filter(|finding| finding.is_error()).count();
        let products = state.snapshot.catalogue().tables().count();
        let mut caches = vec![self.statements.usage(), state.snapshot.decisions(), state.planner.plans()];
        caches.extend(self.engine.caches());
        let now = [
            ("queries_running", "Queries that run.", running.into()),
            ("queries_waiting", "Queries that wait for their turn.", waiting as u64),
            (
                "memory_reserved_bytes",
                "Memory that running queries hold for sorts, joins and aggregations.",
                self.engine.memory_reserved() as u64,
            ),
            ("memory_resident_bytes", "Memory of the process.", self.turns.memory().resident().unwrap_or(0)),
            (
                "memory_limit_bytes",
                "What that is held against before queries are let in; 0: nothing.",
                self.turns.memory().limit().unwrap_or(0),
            ),
            ("products", "Tables of contracts that are served.", products as u64),
            ("findings_errors", "Findings of level error in the mesh as it is loaded.", findings as u64),
            ("ready", "Whether new queries are taken.", u64::from(self.ready() == Ready::Yes)),
        ];
        self.metrics.text(&now, &caches)
    }

    /// Whether new queries are taken.
    pub fn ready(&self) -> Ready {
        match (self.turns.is_open(), self.journal.is_sound()) {
            (false, _) => Ready::ShuttingDown,
            (_, false) => Ready::NoJournal,
            _ => Ready::Yes,
        }
    }
}

/// Whether a gateway takes new queries, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// It does.
    Yes,
    /// It is shutting down.
    ShuttingDown,
    /// Its audit journal cannot be written.
    NoJournal,
}
