//! Which records are shown.

use domain::{
    ids::CustomerId,
    policy::Role,
    time::{Instant, SECOND},
};

use super::{Outcome, Record};
use crate::db::{Param, params};

/// Records read at once, at least and at most.
pub(super) const PAGE: std::ops::RangeInclusive<usize> = 200..=5000;
/// A refusal comes later than what was asked for by this at most: a request takes some seconds.
pub(super) const APART: i64 = 60 * SECOND;
/// The instants that both engines hold.
pub(super) const EARLIEST: Instant = Instant::from_micros(0);
pub(super) const LATEST: Instant = Instant::from_micros(253_402_300_799_000_000);

/// A place in the order in which records are shown; what waits stands behind the log's of its instant.
pub type Place = (Instant, Option<(i64, i64)>);

/// Which records.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this customer's data.
    pub customer: Option<CustomerId>,
    /// By this member of staff, operator or service: see [`super::who::actor_hash`].
    pub actor_hash: Option<[u8; 32]>,
    /// In this role.
    pub role: Option<Role>,
    /// With this reason of staff.
    pub reason: Option<String>,
    /// From this instant on.
    pub from: Option<Instant>,
    /// Before this instant.
    pub to: Option<Instant>,
    /// Of this action.
    pub action: Option<String>,
    /// That ended so; a read that was asked for and failed is refused.
    pub outcome: Option<Outcome>,
    /// Of this request.
    pub request_id: Option<String>,
    /// Only what was given out or changed: no refusals, and each answer once.
    pub given: bool,
    /// Only what is shown behind this place.
    pub before: Option<Place>,
    /// Every record by itself, as it stands in the log.
    pub raw: bool,
    /// At most so many, the newest.
    pub limit: usize,
}

impl Filter {
    pub(super) fn params(&self) -> Vec<Param> {
        let Self { actor_hash, role, reason, from, action, request_id, .. } = self;
        let from = from.unwrap_or(EARLIEST).max(EARLIEST);
        params![from, self.end(), action.clone(), request_id.clone(), *role, reason.clone(), *actor_hash]
    }

    /// Before which instant records are read. A refusal that was shown before this page tells what was asked for.
    pub(super) fn end(&self) -> Instant {
        let before = self.before.map_or(LATEST, |(at, _)| at.plus(APART));
        self.to.unwrap_or(LATEST).min(LATEST).min(before)
    }

    pub(super) fn passes(&self, place: Place, outcome: Outcome) -> bool {
        let given = matches!(outcome, Outcome::Asked | Outcome::Read | Outcome::Changed);
        self.outcome.is_none_or(|wanted| outcome == wanted)
            && self.before.is_none_or(|before| place < before)
            && (given || !self.given)
    }

    pub(super) fn page(&self) -> usize {
        self.limit.saturating_add(*PAGE.start()).min(*PAGE.end())
    }

    pub(super) fn names(&self, record: &Record) -> bool {
        self.customer.is_none_or(|id| record.customer == Some(id) || record.customers.binary_search(&id).is_ok())
    }
}
