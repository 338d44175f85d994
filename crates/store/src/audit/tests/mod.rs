//! The audit log on both engines: chains, tampering, the move from the intake, lost connections, floods.

mod index;
mod intake;
mod retention;
mod show;
mod support;
mod tampering;
mod tasks;
mod writing;

use domain::{ids::CustomerId, ids::Id, policy::Categories, time::Instant};

use super::{ActorKind, Outcome, Record};

/// A record like any other.
pub(crate) fn record(n: i64) -> Record {
    Record {
        customer: CustomerId::new(1),
        status: 200,
        resource: Some(format!("account/{n}")),
        categories: Categories::ACCOUNT,
        request_id: format!("request-{n}"),
        who: Some(vec![1, 2, 3]),
        ..Record::new(Instant::from_micros(1_736_964_000_000_000 + n), ActorKind::Customer, "getAccount", Outcome::Read)
    }
}
