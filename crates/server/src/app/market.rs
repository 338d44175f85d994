//! The market: what is asked of it, and what it reports.

use domain::{
    events::{Event, EventType, Events, Subject, Transition},
    ids::{AccountId, PremiseId, RequestId},
    jobs::{NewJob, Task},
    market::{Acknowledge, Answer, Cause, MarketRequest, RequestKind, RequestStatus},
    time::LocalDate,
};
use store::{Change, Guarded, Session, StoreError, Transaction, market};

use super::{App, Effect, Failure, Operation, Thing, enrollments, moves, resource};

mod transactions;

pub use transactions::take;

impl Thing for MarketRequest {
    type Id = RequestId;
    async fn find(session: &mut Session<'_>, id: RequestId) -> Result<Option<Guarded<Self>>, StoreError> {
        market::find(session, id).await
    }
    fn resource(id: RequestId) -> Option<String> {
        resource("request", id)
    }
    fn version(&self) -> i64 {
        self.version
    }
}

/// Asks the market for something: the event of it.
pub(super) async fn open(
    change: &mut Change<'_>,
    cause: Cause,
    kind: RequestKind,
    (account, premise): (AccountId, PremiseId),
    date: LocalDate,
) -> Result<Event, Failure> {
    let id = market::open(change, cause, kind, (account, premise), date).await?;
    Ok(Event::new(EventType::MarketRequestOpened, Subject::MarketRequest(account, premise, id)).version(1))
}

/// A request takes a step, or gets another date: the event of it.
async fn set(
    change: &mut Change<'_>,
    current: &MarketRequest,
    (status, date): (RequestStatus, LocalDate),
    answer: Option<&Answer>,
) -> Result<Event, Failure> {
    let code = match answer {
        Some(Answer::Rejected(rejection)) => Some(&rejection.code),
        _ => None,
    };
    market::set(change, current.id, status, date, code).await?;
    let kind = match status {
        RequestStatus::Cancelled => EventType::MarketRequestCancelled,
        _ => EventType::MarketRequestChanged,
    };
    let event = Event::new(kind, Subject::MarketRequest(current.account, current.premise, current.id));
    let event = event.version(current.version + 1);
    let changed = if date == current.requested_date { Vec::new() } else { vec!["requestedDate"] };
    Ok(match status == current.status {
        true => event.changed(changed),
        false => {
            let changed = std::iter::once("status").chain(changed).collect();
            event.transition(Transition::new(current.status, status)).changed(changed)
        }
    })
}

/// The market need not do any more what follows from something; what it has already, it is asked to cancel.
pub(super) async fn cancel(change: &mut Change<'_>, cause: Cause) -> Result<Vec<Event>, Failure> {
    let mut events = Vec::new();
    for request in market::live(change, cause).await? {
        let date = request.requested_date;
        events.push(set(change, &request, (RequestStatus::Cancelled, date), None).await?);
        if request.status != RequestStatus::Open {
            let ids = (request.account, request.premise);
            events.push(open(change, cause, RequestKind::Cancel, ids, date).await?);
        }
    }
    Ok(events)
}

/// What was asked for is to happen on another date: the market fetches it anew.
pub(super) async fn redate(change: &mut Change<'_>, cause: Cause, date: LocalDate) -> Result<Vec<Event>, Failure> {
    let mut events = Vec::new();
    for request in market::live(change, cause).await? {
        events.push(set(change, &request, (RequestStatus::Open, date), None).await?);
    }
    Ok(events)
}

/// What was asked for has taken effect: what the market accepted is done, and the rest waits for its answer.
pub(super) async fn finish(change: &mut Change<'_>, cause: Cause) -> Result<Vec<Event>, Failure> {
    let mut events = Vec::new();
    for request in market::live(change, cause).await? {
        if request.status == RequestStatus::Accepted {
            events.push(set(change, &request, (RequestStatus::Done, request.requested_date), None).await?);
        }
    }
    Ok(events)
}

/// What the market says to a request, with all that follows for the enrolment or the move.
async fn answered(
    app: &App,
    tx: &mut Transaction<'_>,
    current: &MarketRequest,
    answer: &Answer,
) -> Result<Vec<Event>, Failure> {
    let cancels = current.kind == RequestKind::Cancel;
    let status = match answer {
        Answer::Sent => RequestStatus::Sent,
        Answer::Accepted(_) => RequestStatus::Accepted,
        Answer::Rejected(_) => RequestStatus::Rejected,
    };
    if !current.status.may_become(status) {
        return Err(Failure::refused("invalid-transition", &[]));
    }
    let date = match answer {
        Answer::Accepted(Some(date)) => *date,
        _ => current.requested_date,
    };
    let mut events = vec![set(&mut tx.own(), current, (status, date), Some(answer)).await?];
    if cancels {
        return Ok(events);
    }
    match current.cause {
        Cause::Move(id) => events.extend(moves::answered(app, tx, id, answer).await?),
        Cause::Enrollment(id) => {
            events.extend(enrollments::answered(app, tx, id, answer).await?);
            if matches!(answer, Answer::Accepted(_)) {
                let task = Task::StartService(current.premise);
                tx.own().unschedule(task).await?;
                tx.own().schedule(NewJob { task, due: app.zone.start(date) }).await?;
            }
        }
    }
    Ok(events)
}

impl Operation<MarketRequest> for Acknowledge {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: RequestId,
        current: &MarketRequest,
    ) -> Result<Effect<RequestId>, Failure> {
        match current.status {
            RequestStatus::Open => {
                let events = answered(app, tx, current, &Answer::Sent).await?;
                Ok(Effect::Done(id, Events::Of(events)))
            }
            RequestStatus::Sent | RequestStatus::Accepted => Ok(Effect::Nothing(id)),
            RequestStatus::Rejected | RequestStatus::Cancelled | RequestStatus::Done => {
                Err(Failure::refused("invalid-transition", &[]))
            }
        }
    }
}
