//! Enrolments: submitted, approved or rejected, and what becomes of one when the market answers and its service begins.

use domain::{
    accounts::Account,
    customers::Customer,
    enrollments::{Application, Approve, Enrollment, EnrollmentKind, EnrollmentStatus, Reject, Withdraw},
    events::{Event, EventType, Events, Subject, Transition},
    ids::{AccountId, EnrollmentId, PremiseId},
    input::{FieldError, Named},
    jobs::Task,
    market::{Answer, Cause, Rejection, RequestKind},
    preferences::Preferences,
    premises::Premise,
    status::{Status, StatusReason},
    tasks::TaskKind,
    time::LocalDate,
    values::RejectionCode,
};
use store::{Crowd, Founder, Guarded, Session, StoreError, Transaction, accounts, customers, enrollments};

use super::{
    App, Done, Edits, Effect, Failure, Founding, Once, Operation, Thing, identities, market, moves,
    occupancies::{self, Boundary, Wanted},
    resource,
};
use crate::config::ApprovedBy;

/// Which enrolment of a customer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The newest one.
    Newest,
    /// The one with this id.
    One(EnrollmentId),
}

impl Thing for Enrollment {
    type Id = Which;
    async fn find(session: &mut Session<'_>, id: Which) -> Result<Option<Guarded<Self>>, StoreError> {
        match id {
            Which::Newest => enrollments::newest(session).await,
            Which::One(id) => enrollments::find(session, id).await,
        }
    }
    fn resource(id: Which) -> Option<String> {
        match id {
            Which::Newest => None,
            Which::One(id) => resource("enrollment", id),
        }
    }
    fn version(&self) -> i64 {
        self.version
    }
}

/// A page of everybody's enrolments, behind one, the oldest first.
pub async fn list(
    app: &App,
    crowd: &Crowd,
    status: Option<EnrollmentStatus>,
    after: Option<EnrollmentId>,
    limit: i64,
) -> Result<Vec<Enrollment>, Failure> {
    let found = enrollments::list(&app.store, crowd, status, after, limit).await?;
    Ok(app.store.disclose(crowd, found).await?)
}

/// An application on its way to be an enrolment: of a person who is no customer yet, or of one who was.
#[derive(Debug)]
pub struct Submission {
    application: Application,
    preferences: Preferences,
}

impl Submission {
    /// Makes it.
    pub fn new(application: Application) -> Self {
        let preferences = application.preferences(&Preferences::of_newcomer());
        Self { application, preferences }
    }
}

impl Founding<Enrollment> for Submission {
    fn customer(&self) -> customers::New<'_> {
        let Self { application, preferences } = self;
        customers::New { profile: &application.profile, status: Status::Pending, preferences }
    }
    async fn perform(&self, app: &App, tx: &mut Transaction<'_>) -> Result<Effect<Which>, Failure> {
        submit(app, tx, &self.application, Vec::new()).await
    }
}

impl Operation<Customer, Enrollment> for Submission {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        (): (),
        current: &Customer,
    ) -> Result<Effect<Which>, Failure> {
        let newest = enrollments::newest(&mut tx.own()).await?;
        if newest.is_some_and(|newest| tx.peek(&newest).status.is_open()) {
            return Err(Failure::refused("already-enrolled", &["withdraw"]));
        }
        if current.status == Status::Active {
            return Err(Failure::refused("already-enrolled", &["move-in"]));
        }
        if self.application.profile.name.kind() != current.name.kind() {
            let message = format!("You are known as: {}.", current.name.kind().name());
            return Err(Failure::Fields(vec![FieldError {
                pointer: "/type".into(),
                ..FieldError::new("read-only", message)
            }]));
        }
        let events = come_back(tx, &self.application, current).await?;
        submit(app, tx, &self.application, events).await
    }
}

/// Makes a customer of who is none yet, once for each idempotency key. Of two submissions of one log-in at once, the
/// second finds that it leads to a customer already.
pub async fn first(
    app: &App,
    founder: &Founder,
    once: Option<Once<'_, Enrollment>>,
    submission: &Submission,
) -> Result<Done<Enrollment>, Failure> {
    super::found(app, founder, once, submission).await.map_err(|failure| match failure {
        Failure::Store(error) => identities::taken(error, "already-enrolled", &["withdraw"]),
        failure => failure,
    })
}

/// What is known of somebody who enrols again becomes what they write now. From now on they may read again, and for as
/// long as any customer may who left.
async fn come_back(
    tx: &mut Transaction<'_>,
    application: &Application,
    current: &Customer,
) -> Result<Vec<Event>, Failure> {
    let told = enrollments::is_told(&mut tx.own()).await?;
    let mut events = Vec::new();
    events.extend(correct(tx, current, &application.profile).await?);
    let stored: Preferences = present(tx, ()).await?;
    let mut wanted = stored.clone();
    wanted.mailing_address = application.mailing_address.clone();
    wanted.communication.language = application.language;
    events.extend(correct(tx, &stored, &wanted).await?);
    if current.status == Status::Inactive {
        let now = tx.now();
        customers::set_status(&mut tx.own(), Status::Inactive, Some(now)).await?;
    }
    Ok(if told { events } else { Vec::new() })
}

/// A thing as it is now.
async fn present<T: Thing>(tx: &mut Transaction<'_>, id: T::Id) -> Result<T, Failure> {
    let found = T::find(&mut tx.own(), id).await?.ok_or(Failure::NotFound)?;
    Ok(tx.peek(&found).clone())
}

/// Makes an edit, where it differs from what is stored; the event that tells of it.
async fn correct<T: Edits>(tx: &mut Transaction<'_>, current: &T, edit: &T::Edit) -> Result<Option<Event>, Failure> {
    let changes = current.changes(edit);
    if changes.is_empty() {
        return Ok(None);
    }
    current.store(&mut tx.own(), edit, &changes).await?;
    Ok(Some(current.event().changed(changes).version(current.version() + 1)))
}

/// Makes account, premise and enrolment; nobody but the staff hears of them before it is approved.
async fn submit(
    app: &App,
    tx: &mut Transaction<'_>,
    application: &Application,
    mut events: Vec<Event>,
) -> Result<Effect<Which>, Failure> {
    application.check(app.zone.date(tx.now())).map_err(|error| Failure::Fields(vec![error]))?;
    let account = accounts::open(&mut tx.own(), Status::Pending, None).await?;
    let (address, esi_ids, date) = (application.address.as_ref(), &*application.esi_ids, application.requested_start);
    let premise = occupancies::add(app, &mut tx.own(), Wanted { account, address, esi_ids, date }).await?;
    let id = enrollments::submit(&mut tx.own(), application, (account, premise)).await?;
    let submitted = Event::new(EventType::EnrollmentSubmitted, Subject::Enrollment(account, premise, id));
    events.push(submitted.version(1));
    tx.own().open_task(TaskKind::Enrollment, id).await?;
    if app.approval == ApprovedBy::Automatic && enrollments::is_free(&mut tx.own(), premise).await? {
        let current = present(tx, Which::One(id)).await?;
        events.extend(approve(app, tx, &current).await?);
    }
    Ok(Effect::Done(Which::One(id), Events::Of(events)))
}

/// What may be done with an enrolment in its present status, where something else was asked for.
fn refused(current: &Enrollment) -> Failure {
    let allowed: &[&str] = match current.status {
        EnrollmentStatus::Submitted => &["approve", "reject", "withdraw"],
        EnrollmentStatus::Approved | EnrollmentStatus::Sent | EnrollmentStatus::Accepted => &["withdraw"],
        EnrollmentStatus::Active => &["move-out"],
        EnrollmentStatus::Rejected | EnrollmentStatus::Withdrawn => &["enroll"],
    };
    Failure::refused("invalid-transition", allowed)
}

impl Operation<Enrollment> for Approve {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        _: Which,
        current: &Enrollment,
    ) -> Result<Effect<Which>, Failure> {
        if !current.status.may_become(EnrollmentStatus::Approved) {
            return Err(refused(current));
        }
        let events = approve(app, tx, current).await?;
        Ok(Effect::Done(Which::One(current.id), Events::Of(events)))
    }
}

/// Promises the places, tells of what is to come, and asks the market for it.
async fn approve(app: &App, tx: &mut Transaction<'_>, current: &Enrollment) -> Result<Vec<Event>, Failure> {
    let (account, premise, now) = (current.account, current.premise, tx.now());
    occupancies::promise(&mut tx.own(), premise).await?;
    let mut events = Vec::new();
    if !enrollments::is_told(&mut tx.own()).await? {
        let customer: Customer = present(tx, ()).await?;
        events.push(Event::new(EventType::CustomerCreated, Subject::Customer).version(customer.version));
    }
    let (made, place): (Account, Premise) = (present(tx, account).await?, present(tx, premise).await?);
    events.push(Event::new(EventType::AccountCreated, Subject::Account(account)).version(made.version));
    events.push(Event::new(EventType::PremiseAdded, Subject::Premise(account, premise)).version(place.version));
    let kind = match current.kind {
        EnrollmentKind::Switch => RequestKind::Switch,
        EnrollmentKind::MoveIn => RequestKind::MoveIn,
    };
    // The day that was asked for may have passed while it waited.
    let date = current.requested_start.max(app.zone.date(now));
    let cause = Cause::Enrollment(current.id);
    events.push(market::open(&mut tx.own(), cause, kind, (account, premise), date).await?);
    tx.own().close_tasks(TaskKind::Enrollment, current.id).await?;
    let next = Enrollment { status: EnrollmentStatus::Approved, approved_at: Some(now), ..current.clone() };
    enrollments::update(&mut tx.own(), &next).await?;
    Ok(events)
}

impl Operation<Enrollment> for Reject {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        _: Which,
        current: &Enrollment,
    ) -> Result<Effect<Which>, Failure> {
        // What was approved is the market's to reject.
        if current.status != EnrollmentStatus::Submitted {
            return Err(refused(current));
        }
        let next =
            Enrollment { status: EnrollmentStatus::Rejected, rejection: Some(self.rejection()), ..current.clone() };
        let events = end(app, tx, current, &next, self.reason).await?;
        Ok(Effect::Done(Which::One(current.id), events))
    }
}

impl Operation<Enrollment> for Withdraw {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        _: Which,
        current: &Enrollment,
    ) -> Result<Effect<Which>, Failure> {
        if !current.status.may_become(EnrollmentStatus::Withdrawn) {
            return Err(refused(current));
        }
        let next = Enrollment { status: EnrollmentStatus::Withdrawn, ..current.clone() };
        let events = end(app, tx, current, &next, StatusReason::CustomerRequest).await?;
        Ok(Effect::Done(Which::One(current.id), events))
    }
}

/// Ends what is not to come any more: account, premise and, where nothing else is left, the customer.
async fn end(
    app: &App,
    tx: &mut Transaction<'_>,
    current: &Enrollment,
    next: &Enrollment,
    reason: StatusReason,
) -> Result<Events, Failure> {
    let (now, today) = (tx.now(), app.zone.date(tx.now()));
    enrollments::update(&mut tx.own(), next).await?;
    tx.own().close_tasks(TaskKind::Enrollment, current.id).await?;
    tx.own().unschedule(Task::StartService(current.premise)).await?;
    // What the market has already, it is asked to cancel.
    let mut events = market::cancel(&mut tx.own(), Cause::Enrollment(current.id)).await?;
    let premise: Premise = present(tx, current.premise).await?;
    let boundary = Boundary { date: today, at: now, reason: Some(reason) };
    events.extend(occupancies::end(&mut tx.own(), &premise, &boundary).await?);
    events.extend(step(tx, current.account, Status::Inactive, |t| t.on(today).because(reason)).await?);
    if !enrollments::has_accounts(&mut tx.own()).await? {
        events.extend(customer_step(tx, Status::Inactive, |t| t.on(today).because(reason)).await?);
    }
    if current.approved_at.is_none() {
        return Ok(Events::None("neighbours have not heard of the account yet"));
    }
    Ok(Events::Of(events))
}

/// An account takes a step, unless it is there already; the event that tells of it.
async fn step(
    tx: &mut Transaction<'_>,
    account: AccountId,
    to: Status,
    because: impl FnOnce(Transition) -> Transition,
) -> Result<Option<Event>, Failure> {
    let current: Account = present(tx, account).await?;
    if !current.status.may_become(to) {
        return Ok(None);
    }
    accounts::set_status(&mut tx.own(), account, to).await?;
    let transition = because(Transition::new(current.status, to));
    let event = Event::new(EventType::AccountStatusChanged, Subject::Account(account)).transition(transition);
    Ok(Some(event.version(current.version + 1)))
}

/// The customer takes a step, unless they are there already; the event that tells of it.
async fn customer_step(
    tx: &mut Transaction<'_>,
    to: Status,
    because: impl FnOnce(Transition) -> Transition,
) -> Result<Option<Event>, Failure> {
    let current: Customer = present(tx, ()).await?;
    if !current.status.may_become(to) {
        return Ok(None);
    }
    let since = (to == Status::Inactive).then_some(tx.now());
    customers::set_status(&mut tx.own(), to, since).await?;
    let transition = because(Transition::new(current.status, to));
    let event = Event::new(EventType::CustomerUpdated, Subject::Customer).transition(transition);
    Ok(Some(event.version(current.version + 1)))
}

/// The market answered what was asked of it for an enrolment: the events that follow.
pub(super) async fn answered(
    app: &App,
    tx: &mut Transaction<'_>,
    id: EnrollmentId,
    answer: &Answer,
) -> Result<Vec<Event>, Failure> {
    let current: Enrollment = present(tx, Which::One(id)).await?;
    let to = match answer {
        Answer::Sent => EnrollmentStatus::Sent,
        Answer::Accepted(_) => EnrollmentStatus::Accepted,
        Answer::Rejected(_) => EnrollmentStatus::Rejected,
    };
    if !current.status.may_become(to) {
        return Ok(Vec::new());
    }
    let next = Enrollment { status: to, ..current.clone() };
    match answer {
        Answer::Sent => {
            enrollments::update(&mut tx.own(), &next).await?;
            Ok(Vec::new())
        }
        Answer::Accepted(date) => {
            if let Some(date) = *date {
                moves::possible(app, tx, date, None, "/effectiveDate")?;
            }
            let date = date.unwrap_or(current.requested_start);
            let next = Enrollment { confirmed_start: Some(date), ..next };
            enrollments::update(&mut tx.own(), &next).await?;
            Ok(redate(app, tx, &current, date).await?.into_iter().collect())
        }
        Answer::Rejected(rejection) => {
            let next = Enrollment { rejection: Some(rejection.clone()), ..next };
            match end(app, tx, &current, &next, StatusReason::Market).await? {
                Events::Of(events) => Ok(events),
                Events::None(_) => Ok(Vec::new()),
            }
        }
    }
}

/// The premise begins on the day that the market confirmed.
async fn redate(
    app: &App,
    tx: &mut Transaction<'_>,
    current: &Enrollment,
    date: LocalDate,
) -> Result<Option<Event>, Failure> {
    let premise: Premise = present(tx, current.premise).await?;
    if premise.service_start == date {
        return Ok(None);
    }
    store::occupancies::redate(&mut tx.own(), premise.id, (date, app.zone.start(date))).await?;
    let event = Event::new(EventType::PremiseUpdated, Subject::Premise(premise.account, premise.id));
    Ok(Some(event.changed(vec!["serviceStartDate"]).version(premise.version + 1)))
}

/// Service cannot begin: somebody is, or was, at the place later than the day that the market confirmed.
pub(super) async fn overtaken(app: &App, tx: &mut Transaction<'_>, premise: PremiseId) -> Result<Vec<Event>, Failure> {
    let Some(asked) = enrollments::of_premise(&mut tx.own(), premise).await? else { return Ok(Vec::new()) };
    let id = tx.peek(&asked).id;
    let code = RejectionCode::from_record("place-taken".to_owned());
    answered(app, tx, id, &Answer::Rejected(Rejection { code, message: None })).await
}

/// Service began at a premise; where an enrolment asked for it, it has become active: the events that follow.
pub(super) async fn started(
    _: &App,
    tx: &mut Transaction<'_>,
    premise: &Premise,
    date: LocalDate,
) -> Result<Vec<Event>, Failure> {
    let Some(asked) = enrollments::of_premise(&mut tx.own(), premise.id).await? else { return Ok(Vec::new()) };
    let current = tx.peek(&asked).clone();
    if !current.status.may_become(EnrollmentStatus::Active) {
        return Ok(Vec::new());
    }
    let (confirmed_start, kind) = (Some(date), current.kind);
    let next = Enrollment { status: EnrollmentStatus::Active, confirmed_start, ..current };
    enrollments::update(&mut tx.own(), &next).await?;
    let mut events = Vec::new();
    events.extend(customer_step(tx, Status::Active, |t| t.on(date).because(kind)).await?);
    events.extend(step(tx, premise.account, Status::Active, |t| t.on(date).because(kind)).await?);
    events.extend(market::finish(&mut tx.own(), Cause::Enrollment(next.id)).await?);
    Ok(events)
}
