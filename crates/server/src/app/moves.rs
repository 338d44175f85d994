//! Moves: planned, told to the market, and taking effect on their date by themselves.

use domain::{
    accounts::Account,
    events::{Event, Events},
    ids::{AccountId, CustomerId, MoveId, PremiseId},
    input::FieldError,
    jobs::{NewJob, Task},
    market::{Answer, Cause, RequestKind},
    moves::{
        CancelMove, DAYS_AHEAD, DAYS_BACK, ForwardingAddress, Move, MoveIn, MoveKind, MoveOut, MoveStatus, Redate,
    },
    preferences::{MailingAddress, Preferences},
    premises::Premise,
    status::{Status, StatusReason},
    tasks::TaskKind,
    time::LocalDate,
};
use store::{Change, Guarded, Scope, Session, StoreError, Transaction, moves, preferences};

use super::{
    App, Edits, Effect, Failure, Operation, Thing, market,
    occupancies::{self, Boundary, Wanted},
    resource,
};

impl Thing for Move {
    type Id = MoveId;
    async fn find(session: &mut Session<'_>, id: MoveId) -> Result<Option<Guarded<Self>>, StoreError> {
        moves::find(session, id).await
    }
    fn resource(id: MoveId) -> Option<String> {
        resource("move", id)
    }
    fn version(&self) -> i64 {
        self.version
    }
}

/// A page of the customer's moves, after one.
pub async fn list(app: &App, scope: &Scope, after: Option<MoveId>, limit: i64) -> Result<Guarded<Vec<Move>>, Failure> {
    Ok(moves::list(&mut app.store.session(scope), after, limit).await?)
}

/// Whether a move may be on a date; of a move-out, service must have begun before.
///
/// # Errors
/// `out-of-range`, at `pointer`.
pub(super) fn possible(
    app: &App,
    tx: &Transaction<'_>,
    date: LocalDate,
    leaves: Option<&Premise>,
    pointer: &str,
) -> Result<(), Failure> {
    let today = app.zone.date(tx.now());
    let near = (today.plus_days(-DAYS_BACK)..=today.plus_days(DAYS_AHEAD)).contains(&date);
    let message = if !near {
        format!("Write a date from {DAYS_BACK} days ago to {DAYS_AHEAD} days ahead.")
    } else if leaves.is_some_and(|premise| date <= premise.service_start) {
        "Service ends after the date on which it began.".to_owned()
    } else {
        return Ok(());
    };
    Err(Failure::Fields(vec![FieldError { pointer: pointer.into(), ..FieldError::new("out-of-range", message) }]))
}

async fn found<T: Thing>(tx: &mut Transaction<'_>, id: T::Id) -> Result<T, Failure> {
    let found = T::find(&mut tx.own(), id).await?.ok_or(Failure::NotFound)?;
    Ok(tx.peek(&found).clone())
}

fn task(moved: &Move) -> Task {
    match moved.kind {
        MoveKind::MoveIn => Task::StartService(moved.premise),
        MoveKind::MoveOut => Task::EndService(moved.premise),
    }
}

/// Does a move whose date has come; another is done by its job.
async fn settle(app: &App, tx: &mut Transaction<'_>, moved: &Move) -> Result<Vec<Event>, Failure> {
    if moved.date > app.zone.date(tx.now()) {
        tx.own().schedule(NewJob { task: task(moved), due: app.zone.start(moved.date) }).await?;
        return Ok(Vec::new());
    }
    take_effect(app, tx, moved).await
}

/// A move takes effect: its events. Nobody has to leave for a newcomer whom neither staff nor the market has confirmed:
/// such a move waits.
pub(super) async fn take_effect(app: &App, tx: &mut Transaction<'_>, moved: &Move) -> Result<Vec<Event>, Failure> {
    let premise: Premise = found(tx, moved.premise).await?;
    let mut events = match moved.kind {
        MoveKind::MoveIn => {
            if !moved.confirmed && occupancies::is_occupied(&mut tx.own(), premise.id).await? {
                return Ok(Vec::new());
            }
            occupancies::start(app, tx, &premise, moved.date).await?
        }
        MoveKind::MoveOut => {
            let mut change = tx.own();
            let reason = Some(StatusReason::Moved);
            let boundary = occupancies::boundary(app, &mut change, premise.id, moved.date, reason).await?;
            let mut events = occupancies::end(&mut change, &premise, &boundary).await?;
            if let Some(address) = &moved.forwarding {
                events.extend(forward(&mut change, address).await?);
            }
            events
        }
    };
    let done = Move { status: MoveStatus::Done, ..moved.clone() };
    moves::update(&mut tx.own(), &done).await?;
    events.extend(market::finish(&mut tx.own(), Cause::Move(moved.id)).await?);
    Ok(events)
}

/// Letters go to another address from now on.
async fn forward(change: &mut Change<'_>, address: &ForwardingAddress) -> Result<Option<Event>, Failure> {
    let found = preferences::find(change).await?.ok_or(Failure::NotFound)?;
    let current: Preferences = change.peek(&found).clone();
    let ForwardingAddress { street, city, state, zip } = address.clone();
    let mailing_address = MailingAddress::Own { street, city, state, zip };
    if mailing_address == current.mailing_address {
        return Ok(None);
    }
    let version = current.version + 1;
    let event = current.event().changed(vec!["mailingAddress"]).version(version);
    preferences::update(change, &Preferences { mailing_address, ..current }).await?;
    Ok(Some(event))
}

/// The service of a premise ended because somebody else's began there: what was planned for it has happened, and what
/// was not is written down.
pub(super) async fn overtaken(
    change: &mut Change<'_>,
    premise: &Premise,
    boundary: &Boundary,
) -> Result<Vec<Event>, Failure> {
    change.unschedule(Task::EndService(premise.id)).await?;
    let (status, date) = (MoveStatus::Done, boundary.date);
    let mut events = Vec::new();
    match moves::live(change, premise.id).await? {
        Some(moved) => {
            let moved = Move { status, date, ..moved };
            moves::update(change, &moved).await?;
            if let Some(address) = &moved.forwarding {
                events.extend(forward(change, address).await?);
            }
            events.extend(market::finish(change, Cause::Move(moved.id)).await?);
        }
        None => {
            let (kind, account, premise) = (MoveKind::MoveOut, premise.account, premise.id);
            let (confirmed, by_market, forwarding) = (true, true, None);
            let new = moves::New { account, premise, kind, status, date, confirmed, by_market, forwarding };
            moves::insert(change, new).await?;
        }
    }
    Ok(events)
}

/// The market said something to a move: the events that follow.
pub(super) async fn answered(
    app: &App,
    tx: &mut Transaction<'_>,
    id: MoveId,
    answer: &Answer,
) -> Result<Vec<Event>, Failure> {
    let current: Move = found(tx, id).await?;
    let next = match answer {
        Answer::Sent => Move { status: MoveStatus::Sent, ..current.clone() },
        Answer::Accepted(date) => {
            let date = date.unwrap_or(current.date);
            Move { status: MoveStatus::Accepted, date, confirmed: true, ..current.clone() }
        }
        Answer::Rejected(rejection) => {
            // What has happened already is somebody's to look at.
            tx.own().open_task(TaskKind::RejectedMove, id).await?;
            Move { status: MoveStatus::Rejected, rejection: Some(rejection.clone()), ..current.clone() }
        }
    };
    if !current.status.may_become(next.status) {
        return if current.status == MoveStatus::Done {
            market::finish(&mut tx.own(), Cause::Move(id)).await
        } else {
            Ok(Vec::new())
        };
    }
    moves::update(&mut tx.own(), &next).await?;
    match answer {
        Answer::Sent => Ok(Vec::new()),
        Answer::Accepted(_) => {
            reschedule(app, tx, &next, "/effectiveDate").await?;
            Ok(Vec::new())
        }
        Answer::Rejected(_) => give_up(app, tx, &next, StatusReason::Market).await,
    }
}

/// What is to happen, and to its premise, has another date.
async fn reschedule(app: &App, tx: &mut Transaction<'_>, moved: &Move, pointer: &str) -> Result<(), Failure> {
    let at = app.zone.start(moved.date);
    let premise: Premise = found(tx, moved.premise).await?;
    possible(app, tx, moved.date, (moved.kind == MoveKind::MoveOut).then_some(&premise), pointer)?;
    let mut change = tx.own();
    if moved.kind == MoveKind::MoveIn && premise.service_start != moved.date {
        store::occupancies::redate(&mut change, moved.premise, (moved.date, at)).await?;
    }
    change.unschedule(task(moved)).await?;
    Ok(change.schedule(NewJob { task: task(moved), due: at }).await?)
}

/// What was to happen does not: a premise that was to come ends before it began.
async fn give_up(
    app: &App,
    tx: &mut Transaction<'_>,
    moved: &Move,
    reason: StatusReason,
) -> Result<Vec<Event>, Failure> {
    tx.own().unschedule(task(moved)).await?;
    if moved.kind == MoveKind::MoveOut {
        return Ok(Vec::new());
    }
    let premise: Premise = found(tx, moved.premise).await?;
    let boundary = Boundary { date: app.zone.date(tx.now()), at: tx.now(), reason: Some(reason) };
    occupancies::end(&mut tx.own(), &premise, &boundary).await
}

impl Operation<Account, Move> for MoveIn {
    async fn others(&self, app: &App, scope: &Scope, _: AccountId) -> Result<Vec<CustomerId>, Failure> {
        // Nobody leaves for what its own mover asks, or for what is to come.
        if scope.is_owner() || self.date > app.zone.date(app.clock.now()) {
            return Ok(Vec::new());
        }
        let esi_ids = self.esi_ids.as_ref().map_or(&[][..], |ids| &ids.0);
        Ok(app.store.occupants(esi_ids).await?)
    }

    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        account: AccountId,
        current: &Account,
    ) -> Result<Effect<MoveId>, Failure> {
        if current.status != Status::Active {
            return Err(Failure::refused("inactive", &[]));
        }
        // Neither decision may silently undo the other one.
        if tx.own().is_scheduled(Task::DeactivateAccount(account, StatusReason::Closed)).await? {
            return Err(Failure::refused("account-ends", &["deactivate"]));
        }
        possible(app, tx, self.date, None, "/date")?;
        let (date, kind, status) = (self.date, MoveKind::MoveIn, MoveStatus::Planned);
        let esi_ids = self.esi_ids.as_ref().map_or(&[][..], |ids| &ids.0);
        let mut change = tx.own();
        let wanted = Wanted { account, address: self.address.as_ref(), esi_ids, date };
        let premise = occupancies::add(app, &mut change, wanted).await?;
        occupancies::promise(&mut change, premise).await?;
        let (confirmed, by_market, forwarding) = (!change.is_owner(), false, None);
        let new = moves::New { account, premise, kind, status, date, confirmed, by_market, forwarding };
        let moved = moves::insert(&mut change, new).await?;
        let mut events = vec![
            occupancies::added(account, premise),
            market::open(&mut change, Cause::Move(moved.id), RequestKind::MoveIn, (account, premise), date).await?,
        ];
        events.extend(settle(app, tx, &moved).await?);
        tx.pass_over();
        Ok(Effect::Done(moved.id, Events::Of(events)))
    }
}

impl Operation<Premise, Move> for MoveOut {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        premise: PremiseId,
        current: &Premise,
    ) -> Result<Effect<MoveId>, Failure> {
        current.editable()?;
        let planned = moves::live(&mut tx.own(), premise).await?;
        if let Some(planned) = &planned {
            changeable(tx, planned)?;
        }
        if current.status == Status::Pending || planned.is_some() {
            return Err(Failure::refused("invalid-transition", &["re-date", "cancel"]));
        }
        possible(app, tx, self.date, Some(current), "/date")?;
        let (date, kind, status, account) = (self.date, MoveKind::MoveOut, MoveStatus::Planned, current.account);
        let mut change = tx.own();
        let (confirmed, by_market) = (!change.is_owner(), false);
        let forwarding = self.forwarding_address.as_ref();
        let new = moves::New { account, premise, kind, status, date, confirmed, by_market, forwarding };
        let moved = moves::insert(&mut change, new).await?;
        let ids = (account, premise);
        let mut events = vec![market::open(&mut change, Cause::Move(moved.id), RequestKind::MoveOut, ids, date).await?];
        events.extend(settle(app, tx, &moved).await?);
        Ok(Effect::Done(moved.id, Events::Of(events)))
    }
}

/// Whether a move may be changed by who asks: it has not taken effect, and what the market made is not the customer's.
fn changeable(tx: &mut Transaction<'_>, current: &Move) -> Result<(), Failure> {
    let theirs = !current.by_market || !tx.own().is_owner();
    if current.status.is_live() && theirs { Ok(()) } else { Err(Failure::refused("invalid-transition", &[])) }
}

impl Operation<Move> for Redate {
    async fn others(&self, app: &App, scope: &Scope, id: MoveId) -> Result<Vec<CustomerId>, Failure> {
        // Nobody leaves for what its own mover asks, or for what is to come.
        if scope.is_owner() || self.date > app.zone.date(app.clock.now()) {
            return Ok(Vec::new());
        }
        Ok(moves::occupants(&mut app.store.session(scope), id).await?)
    }

    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: MoveId,
        current: &Move,
    ) -> Result<Effect<MoveId>, Failure> {
        let date = self.date;
        if date == current.date {
            tx.pass_over();
            return Ok(Effect::Nothing(id));
        }
        changeable(tx, current)?;
        // The market has not confirmed the date that the mover chooses now.
        let confirmed = !tx.own().is_owner();
        let next = Move { date, confirmed, status: MoveStatus::Planned, ..current.clone() };
        moves::update(&mut tx.own(), &next).await?;
        let mut events = market::redate(&mut tx.own(), Cause::Move(id), date).await?;
        reschedule(app, tx, &next, "/date").await?;
        if date <= app.zone.date(tx.now()) {
            tx.own().unschedule(task(&next)).await?;
            events.extend(take_effect(app, tx, &next).await?);
        }
        tx.pass_over();
        Ok(Effect::Done(id, Events::Of(events)))
    }
}

impl Operation<Move> for CancelMove {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: MoveId,
        current: &Move,
    ) -> Result<Effect<MoveId>, Failure> {
        changeable(tx, current)?;
        let next = Move { status: MoveStatus::Cancelled, ..current.clone() };
        moves::update(&mut tx.own(), &next).await?;
        let mut events = give_up(app, tx, &next, StatusReason::CustomerRequest).await?;
        events.extend(market::cancel(&mut tx.own(), Cause::Move(id)).await?);
        Ok(Effect::Done(id, if events.is_empty() { Events::None("nobody was told of it") } else { Events::Of(events) }))
    }
}
