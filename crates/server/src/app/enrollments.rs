//! Enrolments: what becomes of one when the market answers and when its service begins.

use domain::{events::Event, ids::EnrollmentId, market::Answer, premises::Premise, time::LocalDate};
use store::Transaction;

use super::{App, Failure};

/// The market answered what was asked of it for an enrolment: the events that follow.
pub(super) async fn answered(
    _: &App,
    _: &mut Transaction<'_>,
    _: EnrollmentId,
    _: &Answer,
) -> Result<Vec<Event>, Failure> {
    Ok(Vec::new())
}

/// Service began at a premise; where an enrolment asked for it, it has become active: the events that follow.
pub(super) async fn started(
    _: &App,
    _: &mut Transaction<'_>,
    _: &Premise,
    _: LocalDate,
) -> Result<Vec<Event>, Failure> {
    Ok(Vec::new())
}
