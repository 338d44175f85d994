//! Preferences, notifications, communication and payment methods.

use domain::{
    events::{Event, EventType, Subject},
    input::FieldError,
    preferences::{Edit, PaymentMethod, Preferences},
};
use store::{Change, Guarded, Scope, Session, StoreError, preferences};

use super::{App, Edits, Failure, Thing};

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
    type Edit = Edit;
    fn changes(&self, edit: &Edit) -> Vec<&'static str> {
        edit.changes(self)
    }
    async fn store(&self, change: &mut Change<'_>, edit: &Edit, changes: &[&'static str]) -> Result<(), Failure> {
        if let Edit::All(edit) = edit
            && changes.contains(&"autoPay")
        {
            let known = preferences::payment_methods(change).await?;
            let known: &Vec<PaymentMethod> = change.peek(&known);
            edit.auto_pay.check(known).map_err(|error| {
                Failure::Fields(vec![FieldError { pointer: "/autoPay/paymentMethodId".into(), ..error }])
            })?;
        }
        let now = change.now();
        Ok(preferences::update(change, &edit.apply(self, now)).await?)
    }
    fn event(&self) -> Event {
        Event::new(EventType::PreferencesUpdated, Subject::Customer)
    }
}

/// The payment methods that Billing reported.
pub async fn payment_methods(app: &App, scope: &Scope) -> Result<Guarded<Vec<PaymentMethod>>, Failure> {
    Ok(preferences::payment_methods(&mut app.store.session(scope)).await?)
}
