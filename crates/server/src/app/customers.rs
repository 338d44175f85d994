//! The customer's profile and summary.

use domain::{
    customers::{Customer, CustomerEdit, Totals},
    events::{Event, EventType, Events, Subject},
    time::LocalDate,
};
use store::{Scope, customers, preferences};

use super::{App, Failure, NOTHING_CHANGED, changed, commit, unchanged, usage};

/// The customer's profile.
pub async fn find(app: &App, scope: &Scope) -> Result<Customer, Failure> {
    let found = customers::find(&mut app.store.session(scope)).await?;
    app.disclose(scope, found, None).await
}

/// Changes the profile; `edit` sees the present state under its lock.
pub async fn update(
    app: &App,
    scope: &Scope,
    edit: impl FnOnce(&Customer) -> Result<CustomerEdit, Failure> + Send,
) -> Result<Customer, Failure> {
    let mut tx = app.store.begin(scope).await?;
    let found = customers::find(&mut tx).await?.ok_or(Failure::NotFound)?;
    let (edit, changes) = {
        let current = tx.peek(&found);
        let edit = edit(current)?;
        let changes = edit.changes(current);
        (edit, changes)
    };
    if changes.is_empty() {
        return commit(tx, unchanged(None), NOTHING_CHANGED, found).await;
    }
    customers::update(&mut tx, &edit).await?;
    if changes.contains(&"email") {
        preferences::email_changed(&mut tx).await?;
    }
    let answer = customers::find(&mut tx).await?.ok_or(Failure::NotFound)?;
    let version = tx.peek(&answer).version;
    let event = Event { kind: EventType::CustomerUpdated, subject: Subject::Customer, version, changed: changes };
    commit(tx, changed(None), Events::Of(vec![event]), answer).await
}

/// What a customer has, owes and used.
#[derive(Debug)]
pub struct Summary {
    /// Counts and sums.
    pub totals: Totals,
    /// The earliest date on which something is due.
    pub next_due_date: Option<LocalDate>,
    /// Usage in the window.
    pub usage: usage::ByType,
}

/// The summary over all accounts, with the usage of a window.
pub async fn summary(app: &App, scope: &Scope, window: usage::Window) -> Result<Summary, Failure> {
    let mut session = app.store.session(scope);
    let totals = customers::totals(&mut session).await?;
    let usage = usage::by_type(&mut session, None, window).await?;
    let ((totals, next_due_date), usage) = app.disclose(scope, Some(totals.and(usage)?), None).await?;
    Ok(Summary { totals, next_due_date, usage })
}
