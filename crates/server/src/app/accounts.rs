//! Accounts.

use domain::{
    accounts::{Account, AccountEdit, AccountOpening, AccountTotals, Deactivation, Reopening},
    customers::Customer,
    events::{Event, EventType, Events, Subject, Transition},
    ids::AccountId,
    input::FieldError,
    jobs::{NewJob, Task},
    status::{Activation, Status, StatusReason},
};
use store::{Change, Guarded, Scope, Session, StoreError, Transaction, accounts, customers, premises};

use super::{
    App, Edits, Effect, Failure, Operation, Thing,
    customers::{DAYS_BACK, step},
    resource, usage,
};

impl Thing for Account {
    type Id = AccountId;
    async fn find(session: &mut Session<'_>, id: AccountId) -> Result<Option<Guarded<Self>>, StoreError> {
        accounts::find(session, id).await
    }
    fn resource(id: AccountId) -> Option<String> {
        resource("account", id)
    }
    fn version(&self) -> i64 {
        self.version
    }
}

impl Edits for Account {
    type Edit = AccountEdit;
    fn changes(&self, edit: &AccountEdit) -> Vec<&'static str> {
        edit.changes(self)
    }
    async fn store(&self, change: &mut Change<'_>, edit: &AccountEdit, _: &[&'static str]) -> Result<(), Failure> {
        Ok(accounts::update(change, self.id, edit).await?)
    }
    fn event(&self) -> Event {
        // The spec has no event of its own for what a customer calls an account.
        Event::new(EventType::CustomerUpdated, Subject::Account(self.id))
    }
}

/// A page of the customer's accounts, after an account.
pub async fn list(
    app: &App,
    scope: &Scope,
    after: Option<AccountId>,
    limit: i64,
) -> Result<Guarded<Vec<Account>>, Failure> {
    Ok(accounts::list(&mut app.store.session(scope), after, limit).await?)
}

/// A page of a customer's accounts for staff, who may name a customer that does not exist.
pub async fn list_for_staff(
    app: &App,
    scope: &Scope,
    after: Option<AccountId>,
    limit: i64,
) -> Result<Guarded<Vec<Account>>, Failure> {
    let mut snapshot = app.store.snapshot(scope).await?;
    let mut session = snapshot.session();
    customers::status(&mut session).await?;
    Ok(accounts::list(&mut session, after, limit).await?)
}

/// What an account is, has, owes and used.
pub type Summary = ((Account, AccountTotals), usage::ByType);

/// The summary of an account, with the usage of a window, all of one state.
pub async fn summary(
    app: &App,
    scope: &Scope,
    id: AccountId,
    window: usage::Window,
) -> Result<Guarded<Summary>, Failure> {
    let mut snapshot = app.store.snapshot(scope).await?;
    let mut session = snapshot.session();
    let account = accounts::find(&mut session, id).await?.ok_or(Failure::NotFound)?;
    let totals = accounts::totals(&mut session, id).await?.ok_or(Failure::NotFound)?;
    let usage = usage::by_type(&mut session, Some(id), window).await?;
    Ok(account.and(totals)?.and(usage)?)
}

/// Ends an account, unless places of it are or will be in service.
pub(super) async fn deactivate(
    tx: &mut Transaction<'_>,
    current: &Account,
    deactivation: &Deactivation,
) -> Result<Effect<AccountId>, Failure> {
    let Deactivation { effective_date, reason } = *deactivation;
    possible(tx, current, deactivation).await?;
    accounts::set_status(&mut tx.own(), current.id, Status::Inactive).await?;
    Ok(told(current.id, step(current.status, Status::Inactive, effective_date, Some(reason))))
}

fn told(id: AccountId, transition: Transition) -> Effect<AccountId> {
    let event = Event::new(EventType::AccountStatusChanged, Subject::Account(id)).transition(transition);
    Effect::Done(id, Events::Of(vec![event]))
}

async fn possible(tx: &mut Transaction<'_>, current: &Account, deactivation: &Deactivation) -> Result<(), Failure> {
    let in_service = premises::in_service(&mut tx.own(), current.id, deactivation.effective_date).await?;
    if in_service > 0 { Err(Failure::refused("in-service", &["move-out"])) } else { Ok(()) }
}

impl Operation<Customer, Account> for AccountOpening {
    async fn perform(
        &self,
        _: &App,
        tx: &mut Transaction<'_>,
        (): (),
        current: &Customer,
    ) -> Result<Effect<AccountId>, Failure> {
        may_be_active(current.status)?;
        let id = accounts::open(&mut tx.own(), Status::Active, self.nickname.as_ref()).await?;
        let event = Event::new(EventType::AccountCreated, Subject::Account(id));
        Ok(Effect::Done(id, Events::Of(vec![event])))
    }
}

/// No account is active while its customer is not.
fn may_be_active(customer: Status) -> Result<(), Failure> {
    match customer {
        Status::Active => Ok(()),
        Status::Pending | Status::Inactive => Err(Failure::refused("invalid-transition", &["activate-customer"])),
    }
}

/// Begins an account, for the first time or once more.
async fn begin(
    app: &App,
    tx: &mut Transaction<'_>,
    current: &Account,
    reason: Option<StatusReason>,
) -> Result<Effect<AccountId>, Failure> {
    may_be_active(customers::status(&mut tx.own()).await?)?;
    accounts::set_status(&mut tx.own(), current.id, Status::Active).await?;
    Ok(told(current.id, step(current.status, Status::Active, app.zone.date(tx.now()), reason)))
}

impl Operation<Account> for Activation {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: AccountId,
        current: &Account,
    ) -> Result<Effect<AccountId>, Failure> {
        match current.status {
            Status::Pending => begin(app, tx, current, self.reason).await,
            Status::Active => Ok(Effect::Nothing(id)),
            Status::Inactive => Err(Failure::refused("invalid-transition", &["reopen"])),
        }
    }
}

impl Operation<Account> for Reopening {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        _: AccountId,
        current: &Account,
    ) -> Result<Effect<AccountId>, Failure> {
        match current.status {
            Status::Inactive => begin(app, tx, current, self.reason).await,
            Status::Active => Err(Failure::refused("invalid-transition", &["deactivate"])),
            Status::Pending => Err(Failure::refused("invalid-transition", &["activate", "deactivate"])),
        }
    }
}

impl Operation<Account> for Deactivation {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: AccountId,
        current: &Account,
    ) -> Result<Effect<AccountId>, Failure> {
        let Self { effective_date, reason } = *self;
        if effective_date < app.zone.date(tx.now()).plus_days(-DAYS_BACK) {
            let message = format!("Write a date of the last {DAYS_BACK} days, or a later one.");
            let error = FieldError { pointer: "/effectiveDate".into(), ..FieldError::new("out-of-range", message) };
            return Err(Failure::Fields(vec![error]));
        }
        if !current.status.may_become(Status::Inactive) {
            return Err(Failure::refused("invalid-transition", &["reopen"]));
        }
        // What was decided before is decided anew.
        let task = Task::DeactivateAccount(id, reason);
        tx.own().unschedule(task).await?;
        // By the real clock: a job has no other.
        if effective_date <= app.zone.date(tx.now()) {
            return deactivate(tx, current, self).await;
        }
        possible(tx, current, self).await?;
        tx.own().schedule(NewJob { task, due: app.zone.start(effective_date) }).await?;
        Ok(Effect::Done(id, Events::None("it is scheduled, and told when it takes effect")))
    }
}
