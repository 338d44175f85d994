//! What all changes have in common: the lock, the precondition of the surface, idempotency, the audit record and the
//! events, all in one transaction.

use domain::events::{Event, Events};
use store::{Act, Change, Guarded, Scope, Session, StoreError, Transaction, idempotency::IdempotencyKey};

use super::{App, Failure};

/// One noun of a customer's that use cases find and change.
pub trait Thing: Clone + Send + Sync + Sized + 'static {
    /// What names it within its customer.
    type Id: Copy + Send + Sync + 'static;
    /// Finds it, within a scope.
    fn find(
        session: &mut Session<'_>,
        id: Self::Id,
    ) -> impl Future<Output = Result<Option<Guarded<Self>>, StoreError>> + Send;
    /// Its name in the audit log.
    fn resource(id: Self::Id) -> Option<String>;
    /// Counts the changes of its row.
    fn version(&self) -> i64;
}

/// A change of a thing. It sees the present state under its lock.
pub trait Operation<T: Thing>: Send + Sync {
    /// Does it; `None` when there is nothing to do.
    fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: T::Id,
        current: &T,
    ) -> impl Future<Output = Result<Option<Events>, Failure>> + Send;
}

/// What the surface brings to a change: whose right it is, its precondition, and whether it was asked for before.
pub struct Ask<'a, T> {
    /// The right.
    pub scope: &'a Scope,
    /// The precondition; it sees the present state under its lock, before anything is done.
    pub check: &'a (dyn Fn(&T) -> Result<(), Failure> + Send + Sync),
    /// The idempotency key, where there is one.
    pub once: Option<Once<'a, T>>,
}

impl<T> std::fmt::Debug for Ask<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// An idempotency key, and how the surface writes the answer that is kept for it.
pub struct Once<'a, T> {
    /// The key.
    pub key: IdempotencyKey,
    /// Writes the answer down.
    pub write: &'a (dyn Fn(&T) -> Result<String, Failure> + Send + Sync),
}

/// What became of a change.
#[derive(Debug)]
pub enum Done<T> {
    /// It is done: the state afterwards.
    Now(T),
    /// It was done when it was first asked for: the answer as it was written down then.
    Before(String),
}

/// Changes a thing, once for each idempotency key.
pub async fn change<T: Thing>(
    app: &App,
    ask: Ask<'_, T>,
    id: T::Id,
    operation: &impl Operation<T>,
) -> Result<Done<T>, Failure> {
    let Ask { scope, check, once } = ask;
    let mut tx = app.store.begin(scope, once.as_ref().map(|once| &once.key)).await?;
    // A repetition is authorized anew: what is not the caller's any more is not answered either.
    let found = T::find(&mut tx.own(), id).await?.ok_or(Failure::NotFound)?;
    if let Some(once) = &once
        && let Some(kept) = tx.kept(&once.key).await?
    {
        let act = Act::unchanged(T::resource(id), "it was done before");
        return Ok(Done::Before(tx.commit(act, kept).await?));
    }
    let current = tx.peek(&found);
    check(current)?;
    let (act, answer) = match operation.perform(app, &mut tx, id, current).await? {
        None => (Act::unchanged(T::resource(id), "nothing changed"), found),
        Some(events) => {
            let answer = T::find(&mut tx.own(), id).await?.ok_or(Failure::NotFound)?;
            let version = tx.peek(&answer).version();
            (Act::changed(T::resource(id), version, events), answer)
        }
    };
    if let Some(once) = once {
        let written = (once.write)(tx.peek(&answer))?;
        tx.keep(&once.key, written).await?;
    }
    Ok(Done::Now(tx.commit(act, answer).await?))
}

/// A thing whose members its owner edits.
pub trait Edits: Thing {
    /// What may be edited, all of it.
    type Edit: Send + Sync;
    /// The names of the members in which the edit differs from this state.
    fn changes(&self, edit: &Self::Edit) -> Vec<&'static str>;
    /// Whether this state lets itself be edited.
    fn editable(&self) -> Result<(), Failure> {
        Ok(())
    }
    /// Stores the edit; `changes` are not none.
    fn store(
        &self,
        change: &mut Change<'_>,
        edit: &Self::Edit,
        changes: &[&'static str],
    ) -> impl Future<Output = Result<(), Failure>> + Send;
    /// The event that tells of it, without its fields.
    fn event(&self) -> Event;
}

/// An edit, made from the present state by the surface.
struct Editing<F>(F);

impl<T: Edits, F: Fn(&T) -> Result<T::Edit, Failure> + Send + Sync> Operation<T> for Editing<F> {
    async fn perform(
        &self,
        _: &App,
        tx: &mut Transaction<'_>,
        _: T::Id,
        current: &T,
    ) -> Result<Option<Events>, Failure> {
        let edit = (self.0)(current)?;
        let changes = current.changes(&edit);
        if changes.is_empty() {
            return Ok(None);
        }
        current.editable()?;
        current.store(&mut tx.own(), &edit, &changes).await?;
        Ok(Some(Events::Of(vec![current.event().changed(changes)])))
    }
}

/// Edits a thing; `read` makes the edit from the present state under its lock.
pub async fn edit<T: Edits>(
    app: &App,
    scope: &Scope,
    id: T::Id,
    read: impl Fn(&T) -> Result<T::Edit, Failure> + Send + Sync,
) -> Result<T, Failure> {
    let ask = Ask { scope, check: &|_: &T| Ok(()), once: None };
    match change(app, ask, id, &Editing(read)).await? {
        Done::Now(thing) => Ok(thing),
        Done::Before(_) => Err(Failure::NotFound),
    }
}
