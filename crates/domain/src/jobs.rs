//! Jobs: what was decided now and takes effect later, by itself. A job carries ids and listed codes, never personal
//! data.

use crate::{ids::AccountId, named_enum, status::StatusReason, time::Instant};

named_enum! {
    /// What is to be done, as the job's row names it.
    JobKind {
        /// An account ends.
        DeactivateAccount = "deactivate-account",
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// An account ends.
    DeactivateAccount(AccountId, StatusReason),
}

/// Something to be done at an instant, scheduled in the transaction that decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewJob {
    /// What.
    pub task: Task,
    /// Not before this instant.
    pub due: Instant,
}
