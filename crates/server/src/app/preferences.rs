//! Preferences, notifications, communication and payment methods.

use domain::{
    events::{Event, EventType, Events, Subject},
    input::FieldError,
    preferences::{CommunicationEdit, Notifications, PaymentMethod, Preferences, PreferencesEdit},
};
use store::{Scope, preferences};

use super::{App, Failure, NOTHING_CHANGED, changed, commit, unchanged};

/// What of the preferences one endpoint changes.
#[derive(Debug, Clone)]
pub enum Edit {
    /// All but language and consents.
    All(PreferencesEdit),
    /// The notifications alone.
    Notifications(Notifications),
    /// Language and consents.
    Communication(CommunicationEdit),
}

/// A customer's preferences.
pub async fn find(app: &App, scope: &Scope) -> Result<Preferences, Failure> {
    let found = preferences::find(&mut app.store.session(scope)).await?;
    app.disclose(scope, found, None).await
}

/// The payment methods that Billing reported.
pub async fn payment_methods(app: &App, scope: &Scope) -> Result<Vec<PaymentMethod>, Failure> {
    let found = preferences::payment_methods(&mut app.store.session(scope)).await?;
    app.disclose(scope, Some(found), None).await
}

/// Changes preferences; `edit` sees the present state under its lock.
pub async fn update(
    app: &App,
    scope: &Scope,
    edit: impl FnOnce(&Preferences) -> Result<Edit, Failure> + Send,
) -> Result<Preferences, Failure> {
    let mut tx = app.store.begin(scope).await?;
    let found = preferences::find(&mut tx).await?.ok_or(Failure::NotFound)?;
    let edit = edit(tx.peek(&found))?;
    if let Edit::All(edit) = &edit
        && edit.auto_pay != tx.peek(&found).auto_pay
    {
        let known = preferences::payment_methods(&mut tx).await?;
        let known: &Vec<PaymentMethod> = tx.peek(&known);
        edit.auto_pay.check(known).map_err(|error| {
            Failure::Fields(vec![FieldError { pointer: "/autoPay/paymentMethodId".into(), ..error }])
        })?;
    }
    let mut next = tx.peek(&found).clone();
    let changes = match edit {
        Edit::All(edit) => {
            let changes = edit.changes(&next);
            let PreferencesEdit { bill_delivery, notifications, auto_pay, mailing_address } = edit;
            next = Preferences { bill_delivery, notifications, auto_pay, mailing_address, ..next };
            changes
        }
        Edit::Notifications(notifications) => {
            let changes = notifications.changes(&next.notifications);
            next.notifications = notifications;
            changes
        }
        Edit::Communication(edit) => {
            let changes = edit.changes(&next.communication);
            next.communication = edit.apply(&next.communication, tx.now());
            changes
        }
    };
    if changes.is_empty() {
        return commit(tx, unchanged(None), NOTHING_CHANGED, found).await;
    }
    preferences::update(&mut tx, &next).await?;
    let answer = preferences::find(&mut tx).await?.ok_or(Failure::NotFound)?;
    let version = tx.peek(&answer).version;
    let event = Event { kind: EventType::PreferencesUpdated, subject: Subject::Customer, version, changed: changes };
    commit(tx, changed(None), Events::Of(vec![event]), answer).await
}
