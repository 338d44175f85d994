//! Jobs: what was decided now and takes effect later, by itself. A job carries ids and listed codes, never personal
//! data.

use crate::{
    ids::{AccountId, PremiseId},
    named_enum,
    status::StatusReason,
    time::Instant,
};

named_enum! {
    /// What is to be done, as the job's row names it.
    JobKind {
        /// An account ends.
        DeactivateAccount = "deactivate-account",
        /// Service begins at a premise.
        StartService = "start-service",
        /// Service ends at a premise.
        EndService = "end-service",
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// An account ends.
    DeactivateAccount(AccountId, StatusReason),
    /// Service begins at a premise.
    StartService(PremiseId),
    /// Service ends at a premise.
    EndService(PremiseId),
}

/// Something to be done at an instant, scheduled in the transaction that decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewJob {
    /// What.
    pub task: Task,
    /// Not before this instant.
    pub due: Instant,
}
