//! Sessions: how slices reach a customer's rows, always within a scope.
//!
//! A [`Session`] reads, outside a transaction or inside one, with the same statements; a [`Change`] is a session
//! inside a [`Transaction`](crate::Transaction) that may write, too.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use crypto::DataKey;
use domain::{
    ids::{CustomerId, Id},
    status::READABLE_DAYS,
    time::{HOUR, Instant},
};

use crate::{
    Guarded, Scope, Store, StoreError,
    db::{DbError, Param, Row, Sql, Tx, params, statements},
};

/// Reading within a scope.
#[derive(Debug)]
pub struct Session<'a> {
    pub(crate) store: &'a Store,
    pub(crate) scope: &'a Scope,
    tx: Option<&'a mut Tx>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(store: &'a Store, scope: &'a Scope, tx: Option<&'a mut Tx>) -> Self {
        Self { store, scope, tx }
    }

    /// Whose rows.
    pub fn customer(&self) -> CustomerId {
        self.scope.customer()
    }

    /// Whether they are the caller's own.
    pub fn is_owner(&self) -> bool {
        self.scope.is_owner()
    }

    /// What a slice has read, guarded until a receipt names its customer and `categories`.
    pub(crate) fn guard<T>(&self, value: T, categories: domain::policy::Categories) -> Guarded<T> {
        Guarded::new(value, self.customer(), categories)
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

    /// Since when an ended occupancy must have lasted to be readable: for its owner, 24 months; for staff and
    /// services, always.
    pub(crate) fn readable_since(&self) -> Instant {
        if !self.scope.is_owner() {
            return Instant::EARLIEST;
        }
        self.store.clock.now().plus(-READABLE_DAYS * 24 * HOUR)
    }
}

/// Reading within a scope in several statements which see one state of the database.
#[derive(Debug)]
pub struct Snapshot<'a> {
    store: &'a Store,
    scope: &'a Scope,
    tx: Tx,
}

impl<'a> Snapshot<'a> {
    pub(crate) async fn take(store: &'a Store, scope: &'a Scope) -> Result<Self, StoreError> {
        Ok(Self { store, scope, tx: store.db.snapshot().await? })
    }

    /// Reads in it.
    pub fn session(&mut self) -> Session<'_> {
        Session::new(self.store, self.scope, Some(&mut self.tx))
    }
}

/// Changing one customer's rows, inside a transaction.
#[derive(Debug)]
pub struct Change<'a> {
    session: Session<'a>,
    now: Instant,
}

impl<'a> Deref for Change<'a> {
    type Target = Session<'a>;
    fn deref(&self) -> &Self::Target {
        &self.session
    }
}
impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.session
    }
}

statements! {
    OWN_KEY = {"SELECT wrapped FROM customer_key WHERE customer_id = $1"};
}

impl<'a> Change<'a> {
    pub(crate) fn new(session: Session<'a>, now: Instant) -> Self {
        Self { session, now }
    }

    /// Looks into a guarded value for the change's own logic.
    pub fn peek<'g, T>(&self, guarded: &'g Guarded<T>) -> &'g T {
        guarded.inside()
    }

    /// The instant of this change.
    pub fn now(&self) -> Instant {
        self.now
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

    pub(crate) fn tx(&mut self) -> Result<&mut Tx, DbError> {
        self.session.tx.as_deref_mut().ok_or_else(|| DbError::Engine("a change outside a transaction".into()))
    }

    /// The customer's data key, read inside this transaction.
    pub(crate) async fn own_key(&mut self) -> Result<Arc<DataKey>, StoreError> {
        let rows = self.own(&OWN_KEY, params![]).await?;
        let row = rows.into_iter().next().ok_or_else(|| DbError::Corrupt("customer_key: no row".into()))?;
        let wrapped: Vec<u8> = row.read().get()?;
        self.key(&wrapped)
    }
}
