//! Premises.

use domain::{
    accounts::Status,
    events::{Event, EventType, Events, Subject},
    ids::{AccountId, PremiseId},
    premises::{Premise, PremiseEdit},
};
use store::{Scope, idempotency::IdempotencyKey, premises};

use super::{App, Failure, NOTHING_CHANGED, changed, commit, resource, unchanged};

/// A premise with its service points and meters.
pub async fn find(app: &App, scope: &Scope, id: PremiseId) -> Result<Premise, Failure> {
    let found = premises::find(&mut app.store.session(scope), id).await?;
    app.disclose(scope, found, resource("premise", id)).await
}

/// A page of an account's premises, after a premise.
pub async fn of_account(
    app: &App,
    scope: &Scope,
    account: AccountId,
    after: Option<PremiseId>,
    limit: i64,
) -> Result<Vec<Premise>, Failure> {
    let found = premises::of_account(&mut app.store.session(scope), account, after, limit).await?;
    app.disclose(scope, found, resource("account", account)).await
}

/// An inactive premise is history: nothing of it changes any more.
fn in_service(premise: &Premise) -> Result<(), Failure> {
    let ended = Failure::Refused { code: "inactive", allowed: &["pending", "active"] };
    if premise.status == Status::Inactive { Err(ended) } else { Ok(()) }
}

/// Changes what an owner may change of a premise; `edit` sees the present state under its lock.
pub async fn update(
    app: &App,
    scope: &Scope,
    id: PremiseId,
    edit: impl FnOnce(&Premise) -> Result<PremiseEdit, Failure> + Send,
) -> Result<Premise, Failure> {
    let mut tx = app.store.begin(scope).await?;
    let found = premises::find(&mut tx, id).await?.ok_or(Failure::NotFound)?;
    let (edit, changes, account) = {
        let current = tx.peek(&found);
        let edit = edit(current)?;
        let changes = edit.changes(current);
        if !changes.is_empty() {
            in_service(current)?;
        }
        (edit, changes, current.account)
    };
    if changes.is_empty() {
        return commit(tx, unchanged(resource("premise", id)), NOTHING_CHANGED, found).await;
    }
    premises::update(&mut tx, id, &edit).await?;
    let answer = premises::find(&mut tx, id).await?.ok_or(Failure::NotFound)?;
    let events = updated(account, id, tx.peek(&answer).version, changes);
    commit(tx, changed(resource("premise", id)), events, answer).await
}

/// Makes a premise the primary one of its account; done again it changes nothing. `check` sees the present
/// state under its lock, `render` writes the answer that is kept for the idempotency key.
pub async fn make_primary(
    app: &App,
    scope: &Scope,
    id: PremiseId,
    key: Option<IdempotencyKey>,
    check: impl FnOnce(&Premise) -> Result<(), Failure> + Send,
    render: impl Fn(&Premise) -> Result<String, Failure> + Send,
) -> Result<String, Failure> {
    let (mut tx, kept) = app.store.begin_once(scope, key).await?;
    // A repetition is authorized anew: what is not the caller's any more is not answered either.
    let found = premises::find(&mut tx, id).await?.ok_or(Failure::NotFound)?;
    if let Some(answer) = kept {
        return commit(tx, unchanged(resource("premise", id)), NOTHING_CHANGED, answer).await;
    }
    let (account, already) = {
        let current = tx.peek(&found);
        check(current)?;
        in_service(current)?;
        (current.account, current.is_primary)
    };
    let demoted = if already { Vec::new() } else { premises::make_primary(&mut tx, account, id).await? };
    let answer = premises::find(&mut tx, id).await?.ok_or(Failure::NotFound)?;
    let version = tx.peek(&answer).version;
    let answer = answer.try_map(|premise| render(&premise))?;
    tx.keep(key, &answer).await?;
    if already {
        return commit(tx, unchanged(resource("premise", id)), NOTHING_CHANGED, answer).await;
    }
    let mut events = Vec::new();
    for (premise, version) in demoted.into_iter().chain([(id, version)]) {
        let (kind, subject) = (EventType::PremiseUpdated, Subject::Premise(account, premise));
        events.push(Event { kind, subject, version, changed: vec!["isPrimary"] });
    }
    commit(tx, changed(resource("premise", id)), Events::Of(events), answer).await
}

fn updated(account: AccountId, premise: PremiseId, version: i64, changed: Vec<&'static str>) -> Events {
    let subject = Subject::Premise(account, premise);
    Events::Of(vec![Event { kind: EventType::PremiseUpdated, subject, version, changed }])
}
