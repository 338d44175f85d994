//! The customer's profile and summary.

use domain::{
    customers::{Customer, CustomerEdit, Totals},
    events::{Event, EventType, Subject},
};
use store::{Change, Guarded, Scope, Session, StoreError, customers, preferences};

use super::{App, Edits, Failure, Thing, usage};

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
