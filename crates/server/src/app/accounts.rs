//! Accounts.

use domain::{
    accounts::{Account, AccountEdit, Balance},
    events::{Event, EventType, Events, Subject},
    ids::AccountId,
};
use store::{Guarded, Scope, accounts, customers};

use super::{App, Failure, NOTHING_CHANGED, changed, commit, resource, unchanged, usage};

/// An account with its premises and meters.
pub async fn find(app: &App, scope: &Scope, id: AccountId) -> Result<Account, Failure> {
    let found = accounts::find(&mut app.store.session(scope), id).await?;
    app.disclose(scope, found, resource("account", id)).await
}

/// A page of the customer's accounts, after an account.
pub async fn list(app: &App, scope: &Scope, after: Option<AccountId>, limit: i64) -> Result<Vec<Account>, Failure> {
    let found = accounts::list(&mut app.store.session(scope), after, limit).await?;
    app.disclose(scope, Some(found), None).await
}

/// Changes what an owner may change of an account; `edit` sees the present state under its lock.
pub async fn update(
    app: &App,
    scope: &Scope,
    id: AccountId,
    edit: impl FnOnce(&Account) -> Result<AccountEdit, Failure> + Send,
) -> Result<Account, Failure> {
    let mut tx = app.store.begin(scope).await?;
    let found: Guarded<Account> = accounts::find(&mut tx, id).await?.ok_or(Failure::NotFound)?;
    let (edit, changes) = {
        let current = tx.peek(&found);
        let edit = edit(current)?;
        let changes = edit.changes(current);
        (edit, changes)
    };
    if changes.is_empty() {
        return commit(tx, unchanged(resource("account", id)), NOTHING_CHANGED, found).await;
    }
    accounts::update(&mut tx, id, &edit).await?;
    let answer = accounts::find(&mut tx, id).await?.ok_or(Failure::NotFound)?;
    let version = tx.peek(&answer).version;
    // The spec has no event of its own for what a customer calls an account.
    let event = Event { kind: EventType::CustomerUpdated, subject: Subject::Account(id), version, changed: changes };
    commit(tx, changed(resource("account", id)), Events::Of(vec![event]), answer).await
}

/// What an account has, owes and used.
#[derive(Debug)]
pub struct Summary {
    /// The account, with its balance.
    pub account: Account,
    /// Premises in service.
    pub premises: i64,
    /// Meters in service.
    pub meters: i64,
    /// Usage in the window.
    pub usage: usage::ByType,
}

/// The summary of an account, with the usage of a window.
pub async fn summary(app: &App, scope: &Scope, id: AccountId, window: usage::Window) -> Result<Summary, Failure> {
    let mut session = app.store.session(scope);
    let account = accounts::find(&mut session, id).await?.ok_or(Failure::NotFound)?;
    let totals = customers::account_totals(&mut session, id).await?.ok_or(Failure::NotFound)?;
    let usage = usage::by_type(&mut session, Some(id), window).await?;
    let found = account.and(totals)?.and(usage)?;
    let ((account, (balance, premises, meters)), usage) =
        app.disclose(scope, Some(found), resource("account", id)).await?;
    let balance: Balance = balance;
    Ok(Summary { account: Account { balance, ..account }, premises, meters, usage })
}
