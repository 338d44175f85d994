//! The customer's profile and summary; customers whom staff make, activate and end.

use domain::{
    customers::{Customer, CustomerDeactivation, CustomerEdit, Registration, Totals},
    events::{Event, EventType, Events, Subject, Transition},
    input::FieldError,
    preferences::Preferences,
    status::{Activation, Status, StatusReason},
    time::LocalDate,
};
use store::{Change, Founder, Guarded, Scope, Session, StoreError, Transaction, customers, preferences};

use super::{App, Done, Edits, Effect, Failure, Founding, Once, Operation, Thing, found, usage};

impl Thing for Customer {
    type Id = ();
    async fn find(session: &mut Session<'_>, (): ()) -> Result<Option<Guarded<Self>>, StoreError> {
        customers::find(session).await
    }
    fn resource((): ()) -> Option<String> {
        None
    }
    fn version(&self) -> i64 {
        self.version
    }
}

impl Edits for Customer {
    type Edit = CustomerEdit;
    fn changes(&self, edit: &CustomerEdit) -> Vec<&'static str> {
        edit.changes(self)
    }
    async fn store(
        &self,
        change: &mut Change<'_>,
        edit: &CustomerEdit,
        changes: &[&'static str],
    ) -> Result<(), Failure> {
        customers::update(change, edit).await?;
        if changes.contains(&"email") {
            preferences::email_changed(change).await?;
        }
        Ok(())
    }
    fn event(&self) -> Event {
        Event::new(EventType::CustomerUpdated, Subject::Customer)
    }
}

/// A customer whom staff make.
struct Registering {
    profile: CustomerEdit,
    preferences: Preferences,
}

impl Founding<Customer> for Registering {
    fn customer(&self) -> customers::New<'_> {
        // Whom staff make is a customer at once; who enrols waits for an approval.
        customers::New { profile: &self.profile, status: Status::Active, preferences: &self.preferences }
    }
    async fn perform(&self, _: &App, _: &mut Transaction<'_>) -> Result<Effect<()>, Failure> {
        Ok(Effect::Done((), Events::Of(vec![Event::new(EventType::CustomerCreated, Subject::Customer)])))
    }
}

/// Makes a customer.
pub async fn register(
    app: &App,
    founder: &Founder,
    once: Option<Once<'_, Customer>>,
    registration: &Registration,
) -> Result<Done<Customer>, Failure> {
    let mut preferences = Preferences::of_newcomer();
    if let Some(language) = registration.language {
        preferences.communication.language = language;
    }
    let profile = registration.profile().map_err(Failure::Fields)?;
    found(app, founder, once, &Registering { profile, preferences }).await
}

/// How far back a customer or an account may have ended.
pub(super) const DAYS_BACK: i64 = 270;

/// A step of a status, as its event tells it.
pub(super) fn step(from: Status, to: Status, on: LocalDate, reason: Option<StatusReason>) -> Transition {
    let transition = Transition::new(from, to).on(on);
    match reason {
        Some(reason) => transition.because(reason),
        None => transition,
    }
}

fn told(transition: Transition) -> Effect<()> {
    let event = Event::new(EventType::CustomerUpdated, Subject::Customer).transition(transition);
    Effect::Done((), Events::Of(vec![event]))
}

impl Operation<Customer> for Activation {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        (): (),
        current: &Customer,
    ) -> Result<Effect<()>, Failure> {
        if current.status == Status::Active {
            return Ok(Effect::Nothing(()));
        }
        customers::set_status(&mut tx.own(), Status::Active, None).await?;
        Ok(told(step(current.status, Status::Active, app.zone.date(tx.now()), self.reason)))
    }
}

impl Operation<Customer> for CustomerDeactivation {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        (): (),
        current: &Customer,
    ) -> Result<Effect<()>, Failure> {
        let Self { effective_date, reason } = *self;
        let today = app.zone.date(tx.now());
        let date = effective_date.unwrap_or(today);
        if !(today.plus_days(-DAYS_BACK)..=today).contains(&date) {
            let message = format!("Write a date of the last {DAYS_BACK} days, or none for today.");
            let error = FieldError { pointer: "/effectiveDate".into(), ..FieldError::new("out-of-range", message) };
            return Err(Failure::Fields(vec![error]));
        }
        if !current.status.may_become(Status::Inactive) {
            return Err(Failure::refused("invalid-transition", &["activate"]));
        }
        if current.accounts.iter().any(|account| account.status != Status::Inactive) {
            return Err(Failure::refused("accounts-open", &["deactivate-account"]));
        }
        let since = if date == today { tx.now() } else { app.zone.start(date) };
        customers::set_status(&mut tx.own(), Status::Inactive, Some(since)).await?;
        Ok(told(step(current.status, Status::Inactive, date, Some(reason))))
    }
}

/// What a customer has and owes over all accounts, with the usage of a window, all of one state.
pub async fn summary(
    app: &App,
    scope: &Scope,
    window: usage::Window,
) -> Result<Guarded<(Totals, usage::ByType)>, Failure> {
    let mut snapshot = app.store.snapshot(scope).await?;
    let mut session = snapshot.session();
    let totals = customers::totals(&mut session).await?.ok_or(Failure::NotFound)?;
    Ok(totals.and(usage::by_type(&mut session, None, window).await?)?)
}
