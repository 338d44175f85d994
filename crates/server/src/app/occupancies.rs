//! Occupancies: service begins at a place, and ends. Where one leaves and another comes, both happen in one change, at
//! one instant.

use std::collections::BTreeMap;

use domain::{
    events::{Event, EventType, Subject, Transition},
    ids::{AccountId, CustomerId, PremiseId},
    input::FieldError,
    premises::{Address, Premise},
    status::{Status, StatusReason},
    time::{Instant, LocalDate},
    values::EsiId,
};
use store::{Act, Change, DbError, Scope, StoreError, Transaction, occupancies, premises};

use super::{App, Failure, moves, premises::updated, resource};

/// Where somebody wants to live, and since when.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The account that is to pay for it.
    pub account: AccountId,
    /// Where it is, in the customer's words; without them it is where the market says.
    pub address: Option<&'a Address>,
    /// The market's ids of the place, as far as they are known.
    pub esi_ids: &'a [EsiId],
    /// The first date of service.
    pub date: LocalDate,
}

/// Makes a pending premise of an account. It is promised nothing yet.
///
/// # Errors
/// Fields at `/address` and `/esiIds`: one of them must say where it is.
pub async fn add(app: &App, change: &mut Change<'_>, wanted: Wanted<'_>) -> Result<PremiseId, Failure> {
    let Wanted { account, address, esi_ids, date } = wanted;
    let (mut points, mut markets) = (Vec::with_capacity(esi_ids.len()), None);
    for (index, esi_id) in esi_ids.iter().enumerate() {
        let point = occupancies::named(change, esi_id).await?;
        if address.is_none() {
            let unknown =
                || wrong(&format!("/esiIds/{index}"), "unknown-place", "We do not know this place: write its address.");
            let words = occupancies::market_address(change, point).await?.ok_or_else(unknown)?;
            markets.get_or_insert(words);
        }
        points.push(point);
    }
    let nowhere = || wrong("/address", "missing", "Write an address, or the ESI ID of the place.");
    let address = address.or(markets.as_ref()).ok_or_else(nowhere)?;
    let new = occupancies::New { account, address, points: &points, start: date, start_at: app.zone.start(date) };
    Ok(occupancies::add(change, new).await?)
}

fn wrong(pointer: &str, code: &'static str, message: &str) -> Failure {
    Failure::Fields(vec![FieldError { pointer: pointer.into(), ..FieldError::new(code, message) }])
}

/// The event of a premise that was added.
pub fn added(account: AccountId, premise: PremiseId) -> Event {
    Event::new(EventType::PremiseAdded, Subject::Premise(account, premise)).version(1)
}

/// Promises its places to a pending premise.
///
/// # Errors
/// `place-taken` when one of them is promised to another newcomer.
pub async fn promise(change: &mut Change<'_>, premise: PremiseId) -> Result<(), Failure> {
    if occupancies::promise(change, premise).await? { Ok(()) } else { Err(taken()) }
}

fn taken() -> Failure {
    Failure::refused("place-taken", &[])
}

/// The customers who live at the places of a premise: whoever starts its service locks them, too.
pub async fn others(app: &App, scope: &Scope, premise: PremiseId) -> Result<Vec<CustomerId>, Failure> {
    let found = occupancies::occupants(&mut app.store.session(scope), premise).await?;
    Ok(found.into_iter().map(|(customer, _)| customer).collect())
}

/// Whether somebody lives at a place of a premise that is yet to come.
pub async fn is_occupied(change: &mut Change<'_>, premise: PremiseId) -> Result<bool, Failure> {
    Ok(!occupancies::occupants(change, premise).await?.is_empty())
}

/// When an occupancy begins or ends, and why.
#[derive(Debug, Clone, Copy)]
pub struct Boundary {
    /// The first local date with the new state.
    pub date: LocalDate,
    /// The instant.
    pub at: Instant,
    /// Why: a listed code.
    pub reason: Option<StatusReason>,
}

/// The boundary of a date at the places of a premise: the instant of the date's first actual reading, or its beginning.
pub async fn boundary(
    app: &App,
    change: &mut Change<'_>,
    premise: PremiseId,
    date: LocalDate,
    reason: Option<StatusReason>,
) -> Result<Boundary, Failure> {
    let day = (app.zone.start(date), app.zone.start(date.plus_days(1)));
    Ok(Boundary { date, at: occupancies::boundary(change, premise, day).await?, reason })
}

fn told(kind: EventType, premise: &Premise, steps: (Status, Status), boundary: &Boundary) -> Event {
    let transition = Transition::new(steps.0, steps.1).on(boundary.date);
    let transition = boundary.reason.map_or(transition, |reason| transition.because(reason));
    Event::new(kind, Subject::Premise(premise.account, premise.id)).transition(transition)
}

/// Starts the service of a pending premise: its events. Whoever still lives there leaves at the same instant, and every
/// other customer of the transaction is noted.
///
/// # Errors
/// `place-taken` when its places are not promised to it, or somebody came there later than that; a conflict, which is
/// tried again, when somebody came there who is not locked.
pub async fn start(
    app: &App,
    tx: &mut Transaction<'_>,
    premise: &Premise,
    date: LocalDate,
) -> Result<Vec<Event>, Failure> {
    let boundary = boundary(app, &mut tx.own(), premise.id, date, None).await?;
    let lead = tx.own().customer();
    let mut events: BTreeMap<CustomerId, (PremiseId, Vec<Event>)> = BTreeMap::new();
    for (customer, there) in occupancies::occupants(&mut tx.own(), premise.id).await? {
        let mut change = tx.of(customer).map_err(|_| StoreError::Db(DbError::Conflict))?;
        let found = premises::find(&mut change, there).await?.ok_or(Failure::NotFound)?;
        let leaving = change.peek(&found).clone();
        if leaving.occupancy.0 >= boundary.at {
            return Err(taken());
        }
        let boundary = Boundary { reason: Some(StatusReason::Market), ..boundary };
        let mut left = end(&mut change, &leaving, &boundary).await?;
        left.extend(moves::overtaken(&mut change, &leaving, &boundary).await?);
        events.entry(customer).or_insert((there, Vec::new())).1.extend(left);
    }
    let mut own = events.remove(&lead).map(|(_, events)| events).unwrap_or_default();
    for (customer, (there, events)) in events {
        tx.note(customer, Act::changed(resource("premise", there), 0, domain::events::Events::Of(events)));
    }
    tx.pass_over();
    let ids = (premise.account, premise.id);
    let started = occupancies::start(&mut tx.own(), ids, (date, boundary.at)).await?;
    let (version, _) = started.ok_or_else(taken)?;
    own.push(told(EventType::OccupancyStarted, premise, (Status::Pending, Status::Active), &boundary).version(version));
    Ok(own)
}

/// Ends the service of a premise, or what never came to service: its events.
pub async fn end(change: &mut Change<'_>, premise: &Premise, boundary: &Boundary) -> Result<Vec<Event>, Failure> {
    let ids = (premise.account, premise.id);
    let (ended, kind) = match premise.status {
        Status::Pending => {
            let start = (premise.service_start, premise.occupancy.0);
            (occupancies::abandon(change, ids, start, premise.is_primary).await?, EventType::PremiseUpdated)
        }
        Status::Active => {
            let end = (boundary.date, boundary.at);
            (occupancies::end(change, ids, end, premise.is_primary).await?, EventType::OccupancyEnded)
        }
        Status::Inactive => (None, EventType::OccupancyEnded),
    };
    let Some(ended) = ended else { return Ok(Vec::new()) };
    let mut events = vec![told(kind, premise, (premise.status, Status::Inactive), boundary).version(ended.version)];
    let promoted =
        ended.promoted.map(|(id, version)| updated(premise.account, id).changed(vec!["isPrimary"]).version(version));
    events.extend(promoted);
    Ok(events)
}
