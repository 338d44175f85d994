//! Preferences, notifications, communication and payment methods.

use std::sync::OnceLock;

use domain::{
    events::{Event, EventType, Events, Subject},
    ids::CustomerId,
    input::FieldError,
    preferences::{
        AutoPay, Bounce, BounceKind, Channel, EmailStatus, PaymentMethod, PaymentMethods, PaymentMethodsReport,
        Preferences,
    },
    tasks::TaskKind,
    time::{HOUR, Instant},
};
use store::{Change, Crowd, Guarded, Scope, Session, StoreError, Transaction, accounts::Booked, preferences};

use super::{App, Ask, Done, Edits, Effect, Failure, Operation, Thing, change};

impl Thing for Preferences {
    type Id = ();
    async fn find(session: &mut Session<'_>, (): ()) -> Result<Option<Guarded<Self>>, StoreError> {
        preferences::find(session).await
    }
    fn resource((): ()) -> Option<String> {
        None
    }
    fn version(&self) -> i64 {
        self.version
    }
}

impl Edits for Preferences {
    /// All of them, as they shall be.
    type Edit = Self;
    fn changes(&self, edit: &Self) -> Vec<&'static str> {
        edit.changes(self)
    }
    async fn store(&self, change: &mut Change<'_>, edit: &Self, changes: &[&'static str]) -> Result<(), Failure> {
        if changes.contains(&"autoPay") {
            let known = preferences::payment_methods(change).await?;
            let known: &Vec<PaymentMethod> = change.peek(&known);
            edit.auto_pay.check(known).map_err(|error| {
                Failure::Fields(vec![FieldError { pointer: "/autoPay/paymentMethodId".into(), ..error }])
            })?;
        }
        Ok(preferences::update(change, edit).await?)
    }
    fn event(&self) -> Event {
        Event::new(EventType::PreferencesUpdated, Subject::Customer)
    }
}

/// The payment methods that Billing reported.
pub async fn payment_methods(app: &App, scope: &Scope) -> Result<Guarded<Vec<PaymentMethod>>, Failure> {
    Ok(preferences::payment_methods(&mut app.store.session(scope)).await?)
}

/// What a service reports of one customer's preferences: one line of a batch.
pub trait Report: Send + Sync {
    /// Of whom.
    fn customer(&self) -> CustomerId;
    /// When it was so.
    fn at(&self) -> Instant;
    /// Stores it, where it is news; the events tell of what was accepted.
    fn store(
        &self,
        change: &mut Change<'_>,
        current: &Preferences,
    ) -> impl Future<Output = Result<(Booked, Events), Failure>> + Send;
}

impl Report for PaymentMethodsReport {
    fn customer(&self) -> CustomerId {
        self.customer_id
    }
    fn at(&self) -> Instant {
        self.as_of
    }
    async fn store(&self, change: &mut Change<'_>, current: &Preferences) -> Result<(Booked, Events), Failure> {
        let (PaymentMethods(methods), quiet) = (&self.payment_methods, Events::None("Billing told us"));
        let last = preferences::payment_methods_as_of(change).await?;
        if last.is_some_and(|last| last > self.as_of) {
            return Ok((Booked::Unchanged, quiet));
        }
        if last == Some(self.as_of) {
            let known = preferences::payment_methods(change).await?;
            let booked = if change.peek(&known) == methods { Booked::Unchanged } else { Booked::Contradicts };
            return Ok((booked, quiet));
        }
        preferences::set_payment_methods(change, methods, self.as_of).await?;
        if current.auto_pay.check(methods).is_ok() {
            return Ok((Booked::Accepted, quiet));
        }
        // What would pay is gone: better no auto-pay than one that fails on the due date.
        let next = Preferences { auto_pay: AutoPay { enabled: false, payment_method: None }, ..current.clone() };
        preferences::update(change, &next).await?;
        Ok((Booked::Accepted, Events::Of(vec![current.event().changed(vec!["autoPay"])])))
    }
}

impl Report for Bounce {
    fn customer(&self) -> CustomerId {
        self.customer_id
    }
    fn at(&self) -> Instant {
        self.at
    }
    async fn store(&self, change: &mut Change<'_>, current: &Preferences) -> Result<(Booked, Events), Failure> {
        let quiet = (Booked::Unchanged, Events::None("the address is as it was"));
        let for_good = (self.channel, self.kind) == (Channel::Email, BounceKind::Hard);
        if !for_good || current.communication.email_status == EmailStatus::Bounced {
            return Ok(quiet);
        }
        if preferences::email_since(change).await?.is_some_and(|since| self.at < since) {
            // It went to an address that the customer has replaced since.
            return Ok(quiet);
        }
        preferences::set_email_status(change, EmailStatus::Bounced).await?;
        change.open_task(TaskKind::BouncedAddress, self.customer_id).await?;
        Ok((Booked::Accepted, Events::Of(vec![current.event().changed(vec!["communication.emailStatus"])])))
    }
}

/// How far a report may lie ahead of our clock: a clock that is wrong must not silence every later report.
const AHEAD: i64 = 24 * HOUR;

/// A line on its way through its change.
struct Line<'a, R> {
    report: &'a R,
    became: OnceLock<Booked>,
}

impl<R: Report> Operation<Preferences> for Line<'_, R> {
    async fn perform(
        &self,
        _: &App,
        tx: &mut Transaction<'_>,
        (): (),
        current: &Preferences,
    ) -> Result<Effect<()>, Failure> {
        let late = self.report.at() > tx.now().plus(AHEAD);
        let (booked, events) = match late {
            true => (Booked::TooLate, Events::None("it has not come yet")),
            false => self.report.store(&mut tx.own(), current).await?,
        };
        self.became.get_or_init(|| booked);
        Ok(if booked == Booked::Accepted { Effect::Done((), events) } else { Effect::Nothing(()) })
    }
}

/// Stores what a service reports, line by line, each a change of its customer with a record of its own: what became of
/// each. Reporting it again changes nothing.
pub async fn report<R: Report>(app: &App, crowd: &Crowd, reports: &[R]) -> Result<Vec<Booked>, Failure> {
    let mut all = Vec::with_capacity(reports.len());
    for report in reports {
        let (scope, line) = (crowd.member(report.customer()), Line { report, became: OnceLock::new() });
        let ask = Ask { scope: &scope, check: &|_: &Preferences| Ok(()), once: None };
        all.push(match change(app, ask, (), &line).await {
            Ok(Done::Now(_) | Done::Before(_)) => line.became.get().copied().unwrap_or(Booked::Unchanged),
            Err(Failure::NotFound) => Booked::Unknown,
            Err(failure) => return Err(failure),
        });
    }
    if all.iter().all(|booked| *booked == Booked::Unknown) {
        // It touched nobody: a record of its own tells of it.
        app.store.batch(crowd).await?.commit(format!("lines={}", reports.len())).await?;
    }
    Ok(all)
}
