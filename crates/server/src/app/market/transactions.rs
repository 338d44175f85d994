//! What the market reports, line by line: each is a change of one customer's, with its record and its events, and once
//! in effect by its id.

use domain::{
    events::{Event, Events},
    ids::{CustomerId, PremiseId, RequestId},
    input::FieldError,
    jobs::{NewJob, Task},
    market::{Answer, MarketRequest, MarketTransaction, TransactionKind},
    moves::{MoveKind, MoveStatus},
    premises::{Address, Premise, PremiseEdit},
    status::Status,
    time::LocalDate,
    values::EsiId,
};
use store::{Crowd, DbError, StoreError, Transaction, market, moves, occupancies, premises};

use super::{
    super::{
        App, Ask, Effect, Failure, Operation, Thing, change, moves as moving, occupancies as living, premises::updated,
    },
    answered,
};

/// How often a line is tried that meets another change.
const TRIES: usize = 3;

/// Takes what the market reports: whether it was new, or why it was not taken.
///
/// # Errors
/// What is not the line's fault: the batch ends there, and what was taken stays.
pub async fn take(app: &App, crowd: &Crowd, line: &MarketTransaction) -> Result<Result<bool, FieldError>, Failure> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        return match once(app, crowd, line).await {
            Ok(new) => Ok(Ok(new)),
            Err(Failure::Store(StoreError::Db(DbError::Conflict))) if tries > 0 => continue,
            Err(Failure::Fields(errors)) => Ok(Err(errors.into_iter().next().unwrap_or_else(unknown))),
            Err(Failure::NotFound) => Ok(Err(unknown())),
            Err(Failure::Refused { code, .. }) => Ok(Err(FieldError::new(code, "Its state does not allow that."))),
            Err(Failure::Store(StoreError::Inactive)) => Ok(Err(FieldError::new("inactive", "This is closed."))),
            Err(failure) => Err(failure),
        };
    }
}

fn unknown() -> FieldError {
    FieldError::new("unknown-place", "Nobody of ours is, or will be, at this place.")
}

fn wrong(pointer: &str, code: &'static str, message: &str) -> Failure {
    Failure::Fields(vec![FieldError { pointer: pointer.into(), ..FieldError::new(code, message) }])
}

fn needed<T: Clone>(value: Option<&T>, pointer: &str) -> Result<T, Failure> {
    value.cloned().ok_or_else(|| wrong(pointer, "missing", "Write this member."))
}

async fn once(app: &App, crowd: &Crowd, line: &MarketTransaction) -> Result<bool, Failure> {
    if line.occurred_at > app.clock.now() {
        return Err(wrong("/occurredAt", "in-the-future", "It happened at an instant that has not come."));
    }
    match app.store.received(line).await? {
        Some(true) => return Ok(false),
        Some(false) => {
            return Err(wrong("/transactionId", "contradiction", "Something else was reported under this id."));
        }
        None => {}
    }
    match line.kind {
        TransactionKind::Accepted => {
            let id = needed(line.request_id.as_ref(), "/requestId")?;
            answer(app, crowd, line, id, Answer::Accepted(line.effective_date)).await
        }
        TransactionKind::Rejected => {
            let (id, rejection) =
                (needed(line.request_id.as_ref(), "/requestId")?, needed(line.rejection.as_ref(), "/rejection")?);
            answer(app, crowd, line, id, Answer::Rejected(rejection)).await
        }
        TransactionKind::MoveIn => {
            let date = needed(line.effective_date.as_ref(), "/effectiveDate")?;
            let esi_id = needed(line.esi_id.as_ref(), "/esiId")?;
            match app.store.request_at(&esi_id).await? {
                Some((customer, id)) => {
                    let answering = Answering { line, answer: Answer::Accepted(Some(date)) };
                    run::<MarketRequest>(app, crowd, customer, id, &answering).await
                }
                // Somebody else's customer: whoever of ours is there leaves.
                None => leave(app, crowd, line, &esi_id, date).await,
            }
        }
        TransactionKind::MoveOut | TransactionKind::Drop => {
            let date = needed(line.effective_date.as_ref(), "/effectiveDate")?;
            let esi_id = needed(line.esi_id.as_ref(), "/esiId")?;
            leave(app, crowd, line, &esi_id, date).await
        }
        TransactionKind::AddressCorrection => {
            let (esi_id, address) =
                (needed(line.esi_id.as_ref(), "/esiId")?, needed(line.address.as_ref(), "/address")?);
            let (customer, premise) = app.store.occupant_at(&esi_id).await?.ok_or(Failure::NotFound)?;
            run::<Premise>(app, crowd, customer, premise, &Readdressing { line, esi_id, address }).await
        }
        TransactionKind::EsiIdCorrection => {
            let (id, esi_id) =
                (needed(line.request_id.as_ref(), "/requestId")?, needed(line.esi_id.as_ref(), "/esiId")?);
            let customer = owner(app, id).await?;
            run::<MarketRequest>(app, crowd, customer, id, &Renaming { line, esi_id }).await
        }
    }
}

async fn owner(app: &App, id: RequestId) -> Result<CustomerId, Failure> {
    let owner = app.store.owner(store::Resource::Request(id)).await?;
    owner.ok_or_else(|| wrong("/requestId", "unknown-request", "There is no such request."))
}

async fn answer(
    app: &App,
    crowd: &Crowd,
    line: &MarketTransaction,
    id: RequestId,
    answer: Answer,
) -> Result<bool, Failure> {
    let customer = owner(app, id).await?;
    run::<MarketRequest>(app, crowd, customer, id, &Answering { line, answer }).await
}

async fn leave(
    app: &App,
    crowd: &Crowd,
    line: &MarketTransaction,
    esi_id: &EsiId,
    date: LocalDate,
) -> Result<bool, Failure> {
    let (customer, premise) = app.store.occupant_at(esi_id).await?.ok_or(Failure::NotFound)?;
    run::<Premise>(app, crowd, customer, premise, &Leaving { line, date }).await
}

async fn run<T: Thing>(
    app: &App,
    crowd: &Crowd,
    customer: CustomerId,
    id: T::Id,
    operation: &impl Operation<T>,
) -> Result<bool, Failure> {
    let scope = crowd.member(customer);
    change(app, Ask { scope: &scope, check: &|_: &T| Ok(()), once: None }, id, operation).await.map(|_| true)
}

/// Notes the line in the change that follows from it.
async fn receive(tx: &mut Transaction<'_>, line: &MarketTransaction) -> Result<(), Failure> {
    // Somebody reported it meanwhile: tried again, it is known.
    let new = market::receive(&mut tx.own(), line).await?;
    if new { Ok(()) } else { Err(StoreError::Db(DbError::Conflict).into()) }
}

/// The market answers a request.
struct Answering<'l> {
    line: &'l MarketTransaction,
    answer: Answer,
}

impl Operation<MarketRequest> for Answering<'_> {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: RequestId,
        current: &MarketRequest,
    ) -> Result<Effect<RequestId>, Failure> {
        receive(tx, self.line).await?;
        let mut events = Vec::new();
        if let (Some(esi_id), true) = (&self.line.esi_id, current.esi_ids.is_empty()) {
            locate(tx, current, esi_id).await?;
            events.push(elsewhere(tx, current).await?);
        }
        events.extend(answered(app, tx, current, &self.answer).await?);
        Ok(Effect::Done(id, Events::Of(events)))
    }
}

/// The place of a request whose premise had none is known now, or is another one.
async fn locate(tx: &mut Transaction<'_>, current: &MarketRequest, esi_id: &EsiId) -> Result<(), Failure> {
    let mut change = tx.own();
    let found = premises::find(&mut change, current.premise).await?.ok_or(Failure::NotFound)?;
    if change.peek(&found).status != Status::Pending {
        return Err(Failure::refused("invalid-transition", &[]));
    }
    let point = occupancies::named(&mut change, esi_id).await?;
    occupancies::relocate(&mut change, current.premise, point).await?;
    living::promise(&mut change, current.premise).await?;
    Ok(market::relocate(&mut change, current.id, current.premise).await?)
}

/// The place of a request's premise is another one: the event of it.
async fn elsewhere(tx: &mut Transaction<'_>, current: &MarketRequest) -> Result<Event, Failure> {
    occupancies::touch(&mut tx.own(), current.premise).await?;
    let found = premises::find(&mut tx.own(), current.premise).await?.ok_or(Failure::NotFound)?;
    let event = updated(current.account, current.premise).changed(vec!["servicePoints"]);
    Ok(event.version(tx.peek(&found).version))
}

/// The place of a request has another ESI ID.
struct Renaming<'l> {
    line: &'l MarketTransaction,
    esi_id: EsiId,
}

impl Operation<MarketRequest> for Renaming<'_> {
    async fn perform(
        &self,
        _: &App,
        tx: &mut Transaction<'_>,
        id: RequestId,
        current: &MarketRequest,
    ) -> Result<Effect<RequestId>, Failure> {
        receive(tx, self.line).await?;
        let known = occupancies::point(&mut tx.own(), &self.esi_id).await?;
        let points = occupancies::places(&mut tx.own(), current.premise).await?;
        match (known, points.as_slice()) {
            // The place stays; only its name was wrong.
            (None, [point]) if occupancies::is_alone(&mut tx.own(), current.premise, *point).await? => {
                let address = occupancies::market_address(&mut tx.own(), *point).await?;
                occupancies::correct(&mut tx.own(), *point, &self.esi_id, address.as_ref()).await?;
            }
            (Some(known), [point]) if known == *point => return Ok(Effect::Nothing(id)),
            // A place of somebody else's was named by mistake: it stays theirs.
            _ => locate(tx, current, &self.esi_id).await?,
        }
        Ok(Effect::Done(id, Events::Of(vec![elsewhere(tx, current).await?])))
    }
}

/// The address of a place is another one.
struct Readdressing<'l> {
    line: &'l MarketTransaction,
    esi_id: EsiId,
    address: Address,
}

impl Operation<Premise> for Readdressing<'_> {
    async fn perform(
        &self,
        _: &App,
        tx: &mut Transaction<'_>,
        id: PremiseId,
        current: &Premise,
    ) -> Result<Effect<PremiseId>, Failure> {
        receive(tx, self.line).await?;
        let point = occupancies::point(&mut tx.own(), &self.esi_id).await?.ok_or(Failure::NotFound)?;
        occupancies::correct(&mut tx.own(), point, &self.esi_id, Some(&self.address)).await?;
        // Street and unit are as the customer writes them.
        let Address { city, state, zip, .. } = self.address.clone();
        let Address { street, unit, .. } = current.address.clone();
        let edit = PremiseEdit { nickname: current.nickname.clone(), street, unit, city, state, zip };
        let changes = edit.changes(current);
        if changes.is_empty() {
            return Ok(Effect::Done(id, Events::None("the customer's own words for it stay as they are")));
        }
        premises::update(&mut tx.own(), id, &edit).await?;
        Ok(Effect::Done(id, Events::Of(vec![updated(current.account, id).changed(changes)])))
    }
}

/// Whoever lives at a place leaves it.
struct Leaving<'l> {
    line: &'l MarketTransaction,
    date: LocalDate,
}

impl Operation<Premise> for Leaving<'_> {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: PremiseId,
        current: &Premise,
    ) -> Result<Effect<PremiseId>, Failure> {
        receive(tx, self.line).await?;
        if current.status != Status::Active {
            return Err(Failure::refused("inactive", &[]));
        }
        moving::possible(app, tx, self.date, Some(current), "/effectiveDate")?;
        let mut change = tx.own();
        let task = Task::EndService(id);
        change.unschedule(task).await?;
        change.schedule(NewJob { task, due: app.zone.start(self.date) }).await?;
        match moves::live(&mut change, id).await? {
            Some(moved) => {
                let moved =
                    domain::moves::Move { status: MoveStatus::Accepted, date: self.date, by_market: true, ..moved };
                moves::update(&mut change, &moved).await?;
            }
            None => {
                let (kind, status) = (MoveKind::MoveOut, MoveStatus::Accepted);
                let (account, premise, date) = (current.account, id, self.date);
                let (confirmed, by_market, forwarding) = (true, true, None);
                let new = moves::New { account, premise, kind, status, date, confirmed, by_market, forwarding };
                moves::insert(&mut change, new).await?;
            }
        }
        Ok(Effect::Done(id, Events::None("it is told when it takes effect")))
    }
}
