//! The audit log: who did what to whose data, durable before anything is given out, chained under a key.
//!
//! Reads, refusals and failed log-ins go straight to `audit_log` through a [`AuditLog`] lane, by group
//! commit. A change writes its record into `audit_intake` in its own transaction, and the mover takes it to the
//! lane. No transaction spans the two: on SQLite they are different files, and a commit over attached WAL files is
//! atomic for each file only.
//!
//! The invariant: a record that was acknowledged is in a chain, and stays where it was written, or
//! [`verify`](crate::audit::Report) says so. The case that would break it is a chain continued after a
//! commit whose outcome nobody knows; `lane` therefore never does.

mod chain;
mod checkpoint;
mod filter;
mod finding;
mod flood;
mod index;
pub(crate) mod intake;
mod lane;
mod log;
mod looks;
mod mark;
mod mover;
mod record;
mod retention;
mod show;
mod stats;
mod upkeep;
mod verify;
pub mod who;

#[cfg(test)]
pub(crate) mod tests;

pub use filter::{Filter, Place};
pub use finding::Finding;
pub use log::{AuditError, AuditLog, AuditOptions, Submitted};
pub(crate) use looks::by;
pub(crate) use mark::{forget, missing};
pub use record::{ActorKind, Outcome, Record};
pub use retention::{Dropped, Plan};
pub(crate) use show::show;
pub use show::{Shown, ShownWho};
pub use stats::AuditStats;
pub use verify::{Report, VerifyError};
pub(crate) use verify::{examine, verify};

/// Every statement of the audit log and of the partitions it shares with readings.
pub(crate) static LISTS: &[&[&crate::db::Sql]] = &[
    checkpoint::STATEMENTS,
    index::STATEMENTS,
    intake::STATEMENTS,
    lane::STATEMENTS,
    mark::STATEMENTS,
    mover::STATEMENTS,
    retention::STATEMENTS,
    show::STATEMENTS,
    verify::STATEMENTS,
    crate::partitions::STATEMENTS,
];
