//! Transactions: changes of one customer's rows or of several customers', which commit with their audit records and
//! their events or not at all.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    events::Events,
    ids::{CustomerId, Id},
    status::Status,
    time::Instant,
};

use crate::{
    Crowd, Founder, Guarded, Scope, Store, StoreError,
    audit::{self, Outcome},
    customers,
    db::{DbError, Param, Row, Sql, Tx, params, statements},
    idempotency::{Claim, IdempotencyKey},
    outbox,
    session::{Change, Session},
};

statements! {
    LOCK_CUSTOMER = {
        sqlite "SELECT event_sequence, status FROM customer WHERE customer_id = $1",
        postgres "SELECT event_sequence, status FROM customer WHERE customer_id = $1 FOR UPDATE"
    };
    SET_SEQUENCE = {"UPDATE customer SET event_sequence = $2 WHERE customer_id = $1"};
}

/// What a change did to one of its customers: their audit record, and the events that tell of it.
#[derive(Debug)]
pub struct Act {
    outcome: Outcome,
    resource: Option<String>,
    version: i64,
    events: Events,
}

impl Act {
    /// Something changed; `version` is that of the resource afterwards.
    pub fn changed(resource: Option<String>, version: i64, events: Events) -> Self {
        Self { outcome: Outcome::Changed, resource, version, events }
    }

    /// Nothing had to change, for the reason given; what is there is given out.
    pub fn unchanged(resource: Option<String>, why: &'static str) -> Self {
        Self { outcome: Outcome::Read, resource, version: 0, events: Events::None(why) }
    }
}

/// A customer whom the change concerns, locked.
#[derive(Debug)]
struct Party {
    scope: Scope,
    sequence: i64,
}

/// A change under the locks of its customers' rows, which were taken in the order of their ids: changes of one
/// customer go in turn, and their events have an order.
#[derive(Debug)]
pub struct Transaction<'a> {
    pub(crate) store: &'a Store,
    pub(crate) tx: Tx,
    now: Instant,
    lead: Party,
    others: BTreeMap<CustomerId, Party>,
    /// What became of the others, until the commit.
    noted: BTreeMap<CustomerId, Act>,
    // Held to the end: a duplicate of this request is refused meanwhile.
    claim: Option<Claim>,
}

impl<'a> Transaction<'a> {
    pub(crate) async fn begin(
        store: &'a Store,
        lead: &Scope,
        others: &[Scope],
        key: Option<&IdempotencyKey>,
    ) -> Result<Self, StoreError> {
        let claim = key.map(|key| store.at_work.claim(key)).transpose()?;
        let mut tx = store.db.begin().await?;
        if let Some(key) = key {
            key.try_lock(&mut tx).await?;
        }
        let mut parties = BTreeMap::new();
        let scopes: BTreeMap<CustomerId, &Scope> =
            others.iter().chain([lead]).map(|scope| (scope.customer(), scope)).collect();
        for (customer, scope) in scopes {
            let sequence = lock(&mut tx, scope).await?;
            parties.insert(customer, Party { scope: scope.clone(), sequence });
        }
        let lead = parties.remove(&lead.customer()).ok_or_else(missing)?;
        // Behind the locks: later than whatever was changed before.
        Ok(Self { store, tx, now: store.clock.now(), lead, others: parties, noted: BTreeMap::new(), claim })
    }

    pub(crate) async fn found(
        store: &'a Store,
        founder: &Founder,
        new: &customers::New<'_>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Self, StoreError> {
        let claim = key.map(|key| store.at_work.claim(key)).transpose()?;
        let mut tx = store.db.begin().await?;
        let now = store.clock.now();
        let mut before = None;
        if let Some(key) = key {
            key.try_lock(&mut tx).await?;
            before = key.used_for(&mut tx, now).await?;
        }
        let lead = match before {
            Some(customer) => {
                let scope = customers::founded(store, founder, customer).await?;
                Party { sequence: lock(&mut tx, &scope).await?, scope }
            }
            None => Party { scope: customers::insert(store, &mut tx, founder, new, now).await?, sequence: 0 },
        };
        Ok(Self { store, tx, now, lead, others: BTreeMap::new(), noted: BTreeMap::new(), claim })
    }

    /// Notes what became of another customer whom the change concerns: the commit writes it.
    pub fn note(&mut self, customer: CustomerId, act: Act) {
        self.noted.insert(customer, act);
    }

    /// Notes of every other customer of whom nothing was noted that the change did not concern them after all.
    pub fn pass_over(&mut self) {
        for other in self.others.keys() {
            let untouched = || Act::unchanged(None, "it did not concern them");
            self.noted.entry(*other).or_insert_with(untouched);
        }
    }

    /// The customers whose rows are locked beside the one whose change it is.
    pub fn others(&self) -> impl Iterator<Item = CustomerId> {
        self.others.keys().copied()
    }

    /// The instant of this change.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The rows of the customer whose change it is.
    pub fn own(&mut self) -> Change<'_> {
        Change::new(Session::new(self.store, &self.lead.scope, Some(&mut self.tx)), self.now)
    }

    /// The rows of another customer whom it concerns.
    ///
    /// # Errors
    /// [`StoreError::Unlocked`] when the transaction did not begin with them.
    pub fn of(&mut self, customer: CustomerId) -> Result<Change<'_>, StoreError> {
        let Party { scope, .. } = match self.others.get(&customer) {
            Some(other) => other,
            None if customer == self.lead.scope.customer() => &self.lead,
            None => return Err(StoreError::Unlocked),
        };
        Ok(Change::new(Session::new(self.store, scope, Some(&mut self.tx)), self.now))
    }

    /// Looks into a guarded value for the change's own logic. What goes into the answer opens with the
    /// receipt of [`Transaction::commit`].
    pub fn peek<'g, T>(&self, guarded: &'g Guarded<T>) -> &'g T {
        guarded.inside()
    }

    /// Commits the change with an audit record and the events of each of its customers: all of them, or none. The
    /// answer opens with the record of whose it is; what became of others was [noted](Transaction::note).
    ///
    /// # Errors
    /// [`StoreError::OutcomeUnknown`] when the connection was lost during the commit and the record could
    /// not be looked up afterwards; every other error means that nothing was changed. Before anything is durable it
    /// is checked that every party has its act, and that the answer reveals no more than the rule says.
    pub async fn commit<T>(self, act: Act, answer: Guarded<T>) -> Result<T, StoreError> {
        let Self { store, mut tx, now, mut lead, mut others, noted: mut acts, claim } = self;
        let (customer, categories) = (lead.scope.customer(), lead.scope.rule().categories);
        acts.insert(customer, act);
        if answer.customer() != customer || !categories.contains(answer.categories()) {
            return Err(StoreError::Unreceipted);
        }
        let mut last = None;
        for party in others.values_mut().chain([&mut lead]) {
            let of = party.scope.customer();
            let Act { outcome, resource, version, events } = acts.remove(&of).ok_or(StoreError::Unlocked)?;
            if let Events::Of(events) = &events {
                write_events(store, &mut tx, party, now, version, events).await?;
            }
            let record = store.record(party.scope.actor(), party.scope.rule(), Some(of), outcome)?;
            let id = store.random_id()?;
            audit::intake::insert(&mut tx, store.keyring.audit(), id, audit::Record { resource, ..record }).await?;
            last = Some(id);
        }
        if !acts.is_empty() {
            return Err(StoreError::Unlocked);
        }
        finish(store, tx, customer, last.ok_or(StoreError::Unlocked)?).await?;
        // Held until it is durable.
        drop(claim);
        answer.open(&crate::Receipt::new(customer, categories))
    }
}

fn missing() -> StoreError {
    StoreError::NoCustomer
}

/// Locks a customer's row and gives its event sequence.
async fn lock(tx: &mut Tx, scope: &Scope) -> Result<i64, StoreError> {
    let locked = tx.rows(&LOCK_CUSTOMER, params![scope.customer()]).await?;
    let mut row = locked.into_iter().next().ok_or_else(missing)?.read();
    let (sequence, status): (i64, Status) = (row.get()?, row.get()?);
    // The link may be some seconds old; the row under its lock is not.
    if status == Status::Inactive && !scope.rule().while_inactive {
        return Err(StoreError::Inactive);
    }
    Ok(sequence)
}

async fn write_events(
    store: &Store,
    tx: &mut Tx,
    party: &mut Party,
    now: Instant,
    version: i64,
    events: &[domain::events::Event],
) -> Result<(), StoreError> {
    let customer = party.scope.customer();
    let actor = party.scope.actor().by();
    for event in events {
        party.sequence += 1;
        let data = event.data(customer, version).map_err(|e| DbError::Engine(e.to_string()))?;
        let kind = domain::input::Named::name(event.kind());
        let row = params![customer, party.sequence, store.random_id()?, kind, now, data, actor];
        tx.execute_one(outbox::insert(), row).await?;
    }
    if !events.is_empty() {
        tx.execute_one(&SET_SEQUENCE, params![customer, party.sequence]).await?;
    }
    Ok(())
}

/// Commits; when the connection is lost meanwhile, looks the record up, which went with the change.
async fn finish(store: &Store, tx: Tx, customer: CustomerId, record: [u8; 16]) -> Result<(), StoreError> {
    match tx.commit().await {
        Ok(()) => {}
        Err(DbError::OutcomeUnknown) => {
            if !committed_after_all(store, customer, record).await? {
                return Err(DbError::Unavailable("the connection was lost before the commit".into()).into());
            }
        }
        Err(refused) => return Err(refused.into()),
    }
    store.audit.notify_intake();
    Ok(())
}

/// Whether a change whose commit was interrupted happened: its record went with it. The server may still be at
/// it, holding the lock of the customer's row: only behind that lock absence means that it did not.
async fn committed_after_all(store: &Store, customer: CustomerId, record_id: [u8; 16]) -> Result<bool, StoreError> {
    const LOOKS: u32 = 5;
    for look in 0..LOOKS {
        let looked = async {
            let mut tx = store.db.begin().await?;
            tx.rows(&LOCK_CUSTOMER, params![customer]).await?;
            audit::intake::find(&store.db, record_id).await
        };
        match looked.await {
            Ok(found) => return Ok(found),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100 << look)).await,
        }
    }
    Err(StoreError::OutcomeUnknown)
}

/// A chunk of a batch over many customers: it touches rows of accounts or meters, locks no customer and writes no
/// event. It leaves one audit record, which names every customer whose rows it touched or compared.
#[derive(Debug)]
pub struct Batch<'a> {
    store: &'a Store,
    crowd: &'a Crowd,
    tx: Tx,
    now: Instant,
    touched: BTreeSet<CustomerId>,
    changed: bool,
}

impl<'a> Batch<'a> {
    pub(crate) async fn begin(store: &'a Store, crowd: &'a Crowd) -> Result<Self, StoreError> {
        Ok(Self {
            store,
            crowd,
            tx: store.db.begin().await?,
            now: store.clock.now(),
            touched: BTreeSet::new(),
            changed: false,
        })
    }

    /// The instant of this batch.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The transaction underneath, for what the change of a customer does in the same way. What it writes counts as a
    /// change of the batch.
    pub(crate) fn tx(&mut self) -> &mut Tx {
        self.changed = true;
        &mut self.tx
    }

    /// The transaction underneath with its store, for what may turn out to change nothing.
    pub(crate) fn parts(&mut self) -> (&'a Store, &mut Tx) {
        (self.store, &mut self.tx)
    }

    /// Runs a statement that finds rows, each with its customer.
    pub(crate) async fn rows(&mut self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        self.tx.rows(sql, params).await
    }

    /// Runs a changing statement whose `$1` is a customer.
    pub(crate) async fn change(
        &mut self,
        customer: CustomerId,
        sql: &'static Sql,
        more: Vec<Param>,
    ) -> Result<u64, DbError> {
        self.compared(customer);
        self.changed = true;
        let params = std::iter::once(Param::Int(customer.get())).chain(more).collect();
        self.tx.execute(sql, params).await
    }

    /// Notes that what was sent was compared with a customer's rows: the answer tells something of them.
    pub fn compared(&mut self, customer: CustomerId) {
        self.touched.insert(customer);
    }

    /// Notes that something was changed.
    pub(crate) fn changed(&mut self) {
        self.changed = true;
    }

    /// Commits the chunk with its record; `detail` holds its counts.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub async fn commit(mut self, detail: String) -> Result<(), StoreError> {
        let outcome = if self.changed { Outcome::Changed } else { Outcome::Read };
        let record = self.store.record(self.crowd.actor(), self.crowd.rule(), None, outcome)?;
        let id = self.store.random_id()?;
        let any = self.touched.first().copied();
        let record = audit::Record { detail: Some(detail), customers: self.touched.into_iter().collect(), ..record };
        audit::intake::insert(&mut self.tx, self.store.keyring.audit(), id, record).await?;
        match any {
            Some(customer) => finish(self.store, self.tx, customer, id).await,
            None => Ok(self.tx.commit().await?),
        }
    }
}

#[cfg(test)]
mod tests;
