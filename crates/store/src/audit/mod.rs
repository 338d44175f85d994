//! The audit log.

mod record;

pub use record::{ActorKind, Outcome, Record};
