//! What all changes have in common: the lock, the precondition of the surface, idempotency, the audit record and the
//! events, all in one transaction.

use domain::{
    events::{Event, Events},
    ids::CustomerId,
    time::Instant,
};
use store::{Act, Change, Founder, Guarded, Scope, Session, StoreError, Transaction, idempotency::IdempotencyKey};

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

/// What an operation did; the answer is the thing with this id.
#[derive(Debug)]
pub enum Effect<I> {
    /// Something changed, and the events tell of it.
    Done(I, Events),
    /// There was nothing to do.
    Nothing(I),
}

/// A change of a thing, which sees the present state under its lock. Its answer is the thing afterwards, or another
/// one that it makes of it.
pub trait Operation<T: Thing, A: Thing = T>: Send + Sync {
    /// The other customers whom it concerns, as far as can be seen before anything is locked: their rows are locked,
    /// too, and [`Operation::perform`] notes what became of each.
    fn others(
        &self,
        app: &App,
        scope: &Scope,
        id: T::Id,
    ) -> impl Future<Output = Result<Vec<CustomerId>, Failure>> + Send {
        let _ = (app, scope, id);
        async { Ok(Vec::new()) }
    }
    /// Does it.
    fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: T::Id,
        current: &T,
    ) -> impl Future<Output = Result<Effect<A::Id>, Failure>> + Send;
}

/// What the surface brings to a change: whose right it is, its precondition, and whether it was asked for before.
pub struct Ask<'a, T, A = T> {
    /// The right.
    pub scope: &'a Scope,
    /// The precondition; it sees the present state under its lock, before anything is done.
    pub check: &'a (dyn Fn(&T) -> Result<(), Failure> + Send + Sync),
    /// The idempotency key, where there is one.
    pub once: Option<Once<'a, A>>,
}

impl<T, A> std::fmt::Debug for Ask<'_, T, A> {
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
pub async fn change<T: Thing, A: Thing>(
    app: &App,
    ask: Ask<'_, T, A>,
    id: T::Id,
    operation: &impl Operation<T, A>,
) -> Result<Done<A>, Failure> {
    let Ask { scope, check, once } = ask;
    let others = operation.others(app, scope, id).await?;
    let others: Vec<Scope> = others.into_iter().map(|other| scope.counterpart(other)).collect();
    let mut tx = app.store.begin_with(scope, &others, once.as_ref().map(|once| &once.key)).await?;
    // A repetition is authorized anew: what is not the caller's any more is not answered either.
    let found = T::find(&mut tx.own(), id).await?.ok_or(Failure::NotFound)?;
    if let Some(done) = kept(&mut tx, once.as_ref(), T::resource(id)).await? {
        return Ok(Done::Before(tx.commit(done.0, done.1).await?));
    }
    let current = tx.peek(&found);
    check(current)?;
    let effect = operation.perform(app, &mut tx, id, current).await?;
    finish(tx, effect, once).await
}

/// The answer of a request that was sent before, with the record of giving it out again.
async fn kept<A>(
    tx: &mut Transaction<'_>,
    once: Option<&Once<'_, A>>,
    resource: Option<String>,
) -> Result<Option<(Act, Guarded<String>)>, Failure> {
    let Some(once) = once else { return Ok(None) };
    let Some(kept) = tx.kept(&once.key).await? else { return Ok(None) };
    for other in tx.others().collect::<Vec<_>>() {
        tx.note(other, Act::unchanged(None, "it was done before"));
    }
    Ok(Some((Act::unchanged(resource, "it was done before"), kept)))
}

/// Keeps the answer for whoever asks again, and commits.
async fn finish<A: Thing>(
    mut tx: Transaction<'_>,
    effect: Effect<A::Id>,
    once: Option<Once<'_, A>>,
) -> Result<Done<A>, Failure> {
    let (Effect::Done(id, _) | Effect::Nothing(id)) = &effect;
    let answer = A::find(&mut tx.own(), *id).await?.ok_or(Failure::NotFound)?;
    let act = match effect {
        Effect::Done(id, events) => Act::changed(A::resource(id), tx.peek(&answer).version(), events),
        Effect::Nothing(id) => Act::unchanged(A::resource(id), "nothing changed"),
    };
    if let Some(once) = once {
        let written = (once.write)(tx.peek(&answer))?;
        tx.keep(&once.key, written).await?;
    }
    Ok(Done::Now(tx.commit(act, answer).await?))
}

/// What makes a customer; its answer is the customer, or what else it makes.
pub trait Founding<A: Thing>: Send + Sync {
    /// The customer to be made.
    fn customer(&self) -> store::customers::New<'_>;
    /// Does the rest.
    fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
    ) -> impl Future<Output = Result<Effect<A::Id>, Failure>> + Send;
}

/// Makes a customer, once for each idempotency key.
pub async fn found<A: Thing>(
    app: &App,
    founder: &Founder,
    once: Option<Once<'_, A>>,
    founding: &impl Founding<A>,
) -> Result<Done<A>, Failure> {
    let new = founding.customer();
    let mut tx = app.store.found(founder, &new, once.as_ref().map(|once| &once.key)).await?;
    if let Some(done) = kept(&mut tx, once.as_ref(), None).await? {
        return Ok(Done::Before(tx.commit(done.0, done.1).await?));
    }
    let effect = founding.perform(app, &mut tx).await?;
    finish(tx, effect, once).await
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

impl<T: Edits, F: Fn(&T, Instant) -> Result<T::Edit, Failure> + Send + Sync> Operation<T> for Editing<F> {
    async fn perform(
        &self,
        _: &App,
        tx: &mut Transaction<'_>,
        id: T::Id,
        current: &T,
    ) -> Result<Effect<T::Id>, Failure> {
        let edit = (self.0)(current, tx.now())?;
        let changes = current.changes(&edit);
        if changes.is_empty() {
            return Ok(Effect::Nothing(id));
        }
        current.editable()?;
        current.store(&mut tx.own(), &edit, &changes).await?;
        Ok(Effect::Done(id, Events::Of(vec![current.event().changed(changes)])))
    }
}

/// Edits a thing; `read` makes the edit from the present state under its lock, and the present time.
pub async fn edit<T: Edits>(
    app: &App,
    scope: &Scope,
    id: T::Id,
    read: impl Fn(&T, Instant) -> Result<T::Edit, Failure> + Send + Sync,
) -> Result<T, Failure> {
    let ask = Ask { scope, check: &|_: &T| Ok(()), once: None };
    match change(app, ask, id, &Editing(read)).await? {
        Done::Now(thing) => Ok(thing),
        Done::Before(_) => Err(Failure::NotFound),
    }
}
