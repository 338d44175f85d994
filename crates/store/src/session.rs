//! Sessions and transactions: how slices reach the database, always within a scope.
//!
//! A [`Session`] reads, outside a transaction or inside one, with the same statements; a [`Transaction`]
//! changes, and refuses to commit without its audit record and its events.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use crypto::DataKey;
use domain::{
    accounts::Status,
    events::{Event, Events},
    ids::{CustomerId, Id},
    input::Named,
    time::Instant,
};

use crate::{
    Guarded, Receipt, Scope, Store, StoreError,
    audit::{self, Outcome},
    db::{DbError, Param, Row, Sql, Tx, params, statements},
    idempotency::Claim,
    outbox,
};

/// Reading within a scope.
#[derive(Debug)]
pub struct Session<'a> {
    pub(crate) store: &'a Store,
    pub(crate) scope: &'a Scope,
    tx: Option<Tx>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(store: &'a Store, scope: &'a Scope) -> Self {
        Self { store, scope, tx: None }
    }

    /// Whose rows.
    pub fn customer(&self) -> CustomerId {
        self.scope.customer()
    }

    /// Runs a reading statement whose `$1` is the scope's customer; `more` are the parameters after it.
    pub(crate) async fn own(&mut self, sql: &'static Sql, more: Vec<Param>) -> Result<Vec<Row>, DbError> {
        let params = self.own_params(more);
        match &mut self.tx {
            Some(tx) => tx.rows(sql, params).await,
            None => self.store.db.read(sql, params).await,
        }
    }

    fn own_params(&self, more: Vec<Param>) -> Vec<Param> {
        let mut params = Vec::with_capacity(more.len() + 1);
        params.push(Param::Int(self.scope.customer().get()));
        params.extend(more);
        params
    }

    /// Opens the customer's wrapped data key, which the statement itself fetched: after an erasure no
    /// statement finds one.
    pub(crate) fn key(&self, wrapped: &[u8]) -> Result<Arc<DataKey>, StoreError> {
        Ok(self.store.keyring.data_key(self.scope.customer(), wrapped)?)
    }
}

/// How a change ended, for its audit record.
#[derive(Debug, Clone)]
pub struct Entry {
    /// [`Outcome::Changed`], or [`Outcome::Read`] when nothing had to change.
    pub outcome: Outcome,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Which resource, as `account/1001`.
    pub resource: Option<String>,
}

/// A change within a scope, under the lock of its customer's row.
#[derive(Debug)]
pub struct Transaction<'a> {
    session: Session<'a>,
    sequence: i64,
    now: Instant,
    // Held to the end: a duplicate of this request is refused meanwhile.
    claim: Option<Claim>,
}

impl<'a> Deref for Transaction<'a> {
    type Target = Session<'a>;
    fn deref(&self) -> &Self::Target {
        &self.session
    }
}
impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.session
    }
}

statements! {
    OWN_KEY = {"SELECT wrapped FROM customer_key WHERE customer_id = $1"};
    LOCK_CUSTOMER = {
        sqlite "SELECT event_sequence, status FROM customer WHERE customer_id = $1",
        postgres "SELECT event_sequence, status FROM customer WHERE customer_id = $1 FOR UPDATE"
    };
    SET_SEQUENCE = {"UPDATE customer SET event_sequence = $2 WHERE customer_id = $1"};
}

impl<'a> Transaction<'a> {
    /// Begins a change and locks the customer's row: first in every change, so that changes of one
    /// customer go in turn and their events have an order.
    pub(crate) async fn begin(store: &'a Store, scope: &'a Scope) -> Result<Self, StoreError> {
        Self::begin_claimed(store, scope, None).await
    }

    /// Begins a change which holds the claim of an idempotency key, locked before the customer's row.
    pub(crate) async fn begin_claimed(
        store: &'a Store,
        scope: &'a Scope,
        claim: Option<(Claim, i64)>,
    ) -> Result<Self, StoreError> {
        let session = Session { store, scope, tx: Some(store.db.begin().await?) };
        let mut tx = Self { session, sequence: 0, now: store.clock.now(), claim: None };
        if let Some((claim, number)) = claim {
            tx.claim = Some(claim);
            tx.try_lock(number).await?;
        }
        tx.lock_customer().await?;
        Ok(tx)
    }

    async fn lock_customer(&mut self) -> Result<(), StoreError> {
        let locked = self.own(&LOCK_CUSTOMER, Vec::new()).await?;
        let row =
            locked.into_iter().next().ok_or_else(|| DbError::Corrupt("customer: a linked row is missing".into()))?;
        let mut row = row.read();
        let (sequence, status): (i64, Status) = (row.get()?, row.named()?);
        // The link may be some seconds old; the row under its lock is not.
        if status == Status::Inactive && !self.scope.caller().rule.while_inactive {
            return Err(StoreError::Inactive);
        }
        (self.sequence, self.now) = (sequence, self.store.clock.now());
        Ok(())
    }

    /// Runs a statement that is bound to no customer.
    pub(crate) async fn rows(&mut self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        self.tx()?.rows(sql, params).await
    }

    /// The instant of this change.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Looks into a guarded value for the change's own logic. What goes into the answer opens with the
    /// receipt of [`Transaction::commit`].
    pub fn peek<'g, T>(&self, guarded: &'g Guarded<T>) -> &'g T {
        guarded.inside()
    }

    /// Runs a changing statement whose `$1` is the scope's customer, and which must touch one row.
    pub(crate) async fn change_one(&mut self, sql: &'static Sql, more: Vec<Param>) -> Result<(), DbError> {
        let params = self.session.own_params(more);
        self.tx()?.execute_one(sql, params).await
    }

    /// Runs a changing statement whose `$1` is the scope's customer.
    pub(crate) async fn change(&mut self, sql: &'static Sql, more: Vec<Param>) -> Result<u64, DbError> {
        let params = self.session.own_params(more);
        self.tx()?.execute(sql, params).await
    }

    fn tx(&mut self) -> Result<&mut Tx, DbError> {
        self.session.tx.as_mut().ok_or_else(|| DbError::Engine("the transaction has ended".into()))
    }

    /// The customer's data key, read inside this transaction.
    pub(crate) async fn own_key(&mut self) -> Result<Arc<DataKey>, StoreError> {
        let rows = self.own(&OWN_KEY, Vec::new()).await?;
        let row = rows.into_iter().next().ok_or_else(|| DbError::Corrupt("customer_key: no row".into()))?;
        let wrapped: Vec<u8> = row.read().get()?;
        self.key(&wrapped)
    }

    async fn write_events(&mut self, events: &[Event]) -> Result<(), StoreError> {
        let (customer, now) = (self.customer(), self.now);
        for event in events {
            self.sequence += 1;
            let id = self.store.random_id()?;
            let sequence = self.sequence;
            let row = params![sequence, id, event.kind.name(), now, event.data(customer)];
            self.change_one(outbox::insert(), row).await?;
        }
        if !events.is_empty() {
            let sequence = self.sequence;
            self.change_one(&SET_SEQUENCE, params![sequence]).await?;
        }
        Ok(())
    }

    /// Commits the change with its audit record and its events: all of them, or none.
    ///
    /// # Errors
    /// [`StoreError::OutcomeUnknown`] when the connection was lost during the commit and the record could
    /// not be looked up afterwards; every other error means that nothing was changed.
    pub async fn commit(mut self, entry: Entry, events: Events) -> Result<Receipt, StoreError> {
        if let Events::Of(events) = &events {
            self.write_events(events).await?;
        }
        let store = self.store;
        let scope = self.scope;
        let record_id = store.random_id()?;
        let record = store.record_of(scope, entry)?;
        audit::intake::insert(self.tx()?, store.keyring.audit(), record_id, record).await?;
        let tx = self.session.tx.take().ok_or_else(|| DbError::Engine("the transaction has ended".into()))?;
        match tx.commit().await {
            Ok(()) => {}
            Err(DbError::OutcomeUnknown) => {
                if !committed_after_all(store, scope.customer(), record_id).await? {
                    return Err(DbError::Unavailable("the connection was lost before the commit".into()).into());
                }
            }
            Err(refused) => return Err(refused.into()),
        }
        store.audit.notify_intake();
        Ok(Receipt::new(scope.customer(), scope.caller().rule.categories))
    }
}

/// Whether a change whose commit was interrupted happened: its record went with it. The server may still be at
/// it, holding the lock of the customer's row: only behind that lock absence means that it did not.
async fn committed_after_all(store: &Store, customer: CustomerId, record_id: [u8; 16]) -> Result<bool, StoreError> {
    const LOOKS: u32 = 5;
    for look in 0..LOOKS {
        let looked = async {
            let mut tx = store.db.begin().await?;
            tx.rows(&LOCK_CUSTOMER, params![customer.get()]).await?;
            audit::intake::find(&store.db, record_id).await
        };
        match looked.await {
            Ok(found) => return Ok(found),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100 << look)).await,
        }
    }
    Err(StoreError::OutcomeUnknown)
}
