//! What the log counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Figures for metrics, counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditStats {
    /// Records written.
    pub records: u64,
    /// Commits of batches.
    pub commits: u64,
    /// Chains given up because the outcome of a commit was unknown.
    pub lanes_lost: u64,
    /// Records for which nobody waited and which could not be written singly; the log says how many.
    pub lost: u64,
    /// Records in the queue now.
    pub waiting: u64,
    /// Checkpoints made.
    pub checkpoints: u64,
    /// Background tasks of the log that ended or panicked, and were started again.
    pub restarts: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) records: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) lanes_lost: AtomicU64,
    pub(super) checkpoints: AtomicU64,
    pub(super) lost: AtomicU64,
    /// Lost records that no record of the log speaks of yet.
    pub(super) unreported: AtomicU64,
}

impl Counters {
    /// What was counted, beside what the queue holds and how often tasks were started again.
    pub(super) fn figures(&self, waiting: u64, restarts: u64) -> AuditStats {
        let Self { records, commits, lanes_lost, checkpoints, lost, unreported: _ } = self;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AuditStats {
            records: of(records),
            commits: of(commits),
            lanes_lost: of(lanes_lost),
            lost: of(lost),
            waiting,
            checkpoints: of(checkpoints),
            restarts,
        }
    }
}
