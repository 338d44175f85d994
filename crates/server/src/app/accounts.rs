//! Accounts.

use domain::{
    accounts::{Account, AccountEdit, AccountTotals, Deactivation},
    events::{Event, EventType, Events, Subject, Transition},
    ids::AccountId,
    input::FieldError,
    jobs::{NewJob, Task},
    status::Status,
};
use store::{Change, Guarded, Scope, Session, StoreError, Transaction, accounts, premises};

use super::{App, Edits, Effect, Failure, Operation, Thing, resource, usage};

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
    let transition = Transition::new(current.status, Status::Inactive).on(effective_date).because(reason);
    let event = Event::new(EventType::AccountStatusChanged, Subject::Account(current.id)).transition(transition);
    Ok(Effect::Done(current.id, Events::Of(vec![event])))
}

async fn possible(tx: &mut Transaction<'_>, current: &Account, deactivation: &Deactivation) -> Result<(), Failure> {
    let in_service = premises::in_service(&mut tx.own(), current.id, deactivation.effective_date).await?;
    if in_service > 0 { Err(Failure::refused("in-service", &["move-out"])) } else { Ok(()) }
}

/// How far back an account may have ended.
const DAYS_BACK: i64 = 270;

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
