//! Idempotency keys of POSTs (draft-ietf-httpapi-idempotency-key-header): a request that is sent again gets the
//! first one's answer, and changes nothing.
//!
//! A key belongs to its caller (issuer and subject), operation and content, whoever's data the request changes. Its
//! row and the sealed answer commit with the change; refusals are not kept. A duplicate at the same time is found by
//! a try-lock, before it could wait for the first one's locks, and refused. What an answer looks like is the
//! caller's: the store keeps its bytes.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use domain::{
    ids::CustomerId,
    policy::Identity,
    time::{HOUR, Instant},
};
use serde::{Deserialize, Serialize};

use crate::{
    Guarded, Store, StoreError, Transaction,
    db::{EngineKind, Tx, params, statements},
    sealed::{self, SealedRow},
};

/// Keys are kept for a day.
const LIFETIME: i64 = 24 * HOUR;

statements! {
    FIND = {"SELECT i.customer_id, k.wrapped, i.row_id, i.content_hash, i.sealed
        FROM idempotency i JOIN customer_key k ON k.customer_id = i.customer_id
        WHERE i.key_hash = $1 AND i.created_at > $2"};
    FORGET = {"DELETE FROM idempotency WHERE (customer_id = $1 OR key_hash = $3) AND created_at <= $2"};
    KEEP = {"INSERT INTO idempotency (customer_id, key_hash, row_id, content_hash, created_at, sealed)
        VALUES ($1, $2, $3, $4, $5, $6)"};
    TRY_LOCK = {
        sqlite "SELECT $1 IS NOT NULL",
        postgres "SELECT pg_try_advisory_xact_lock($1)"
    };
}

/// A key with the request that it belongs to, both as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey {
    key: [u8; 32],
    content: [u8; 32],
}

impl IdempotencyKey {
    /// Binds a key to its caller and operation; `content` is everything that the answer depends on.
    pub fn new(store: &Store, caller: &Identity, action: &str, key: &str, content: &[&[u8]]) -> Self {
        let tags = store.keyring.lookup();
        let parts = [caller.issuer(), caller.subject(), action, key].map(str::as_bytes);
        Self { key: tags.tag("idempotency-key", &parts), content: tags.tag("idempotency-content", content) }
    }

    /// A number for locks and the sealed row.
    fn number(&self) -> i64 {
        self.key.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes) & i64::MAX)
    }

    /// The customer whom the answer shows that was kept for the key.
    pub(crate) async fn used_for(&self, tx: &mut Tx, now: Instant) -> Result<Option<CustomerId>, StoreError> {
        let kept = tx.rows(&FIND, params![self.key, now.plus(-LIFETIME)]).await?;
        Ok(kept.into_iter().next().map(|row| row.read().get()).transpose()?)
    }

    /// Takes the lock that replicas share; on SQLite the process is alone.
    pub(crate) async fn try_lock(&self, tx: &mut Tx) -> Result<(), StoreError> {
        if tx.kind() == EngineKind::Sqlite {
            return Ok(());
        }
        let locked = tx.rows(&TRY_LOCK, params![self.number()]).await?;
        let locked: bool = locked.into_iter().next().map(|row| row.read().get()).transpose()?.unwrap_or(false);
        if locked { Ok(()) } else { Err(StoreError::KeyBusy) }
    }
}

/// The keys whose requests are at work in this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct AtWork(Arc<Mutex<HashSet<[u8; 32]>>>);

/// Takes a key back when its request ends, however it ends.
#[derive(Debug)]
pub(crate) struct Claim {
    at_work: AtWork,
    key: [u8; 32],
}

impl AtWork {
    pub(crate) fn claim(&self, key: &IdempotencyKey) -> Result<Claim, StoreError> {
        let claimed = self.0.lock().is_ok_and(|mut keys| keys.insert(key.key));
        if claimed { Ok(Claim { at_work: self.clone(), key: key.key }) } else { Err(StoreError::KeyBusy) }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Ok(mut keys) = self.at_work.0.lock() {
            keys.remove(&self.key);
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct IdempotencySealedV1 {
    answer: String,
}

impl SealedRow for IdempotencySealedV1 {
    const TABLE: &'static str = "idempotency";
    const VERSION: u8 = 1;
}

impl Transaction<'_> {
    /// The answer that was kept for a request which is sent again.
    ///
    /// # Errors
    /// [`StoreError::KeyReused`] when the key came with another request, or the answer shows another customer.
    pub async fn kept(&mut self, key: &IdempotencyKey) -> Result<Option<Guarded<String>>, StoreError> {
        let since = self.now().plus(-LIFETIME);
        let kept = self.tx.rows(&FIND, params![key.key, since]).await?;
        let Some(row) = kept.into_iter().next() else { return Ok(None) };
        let mut row = row.read();
        let (customer, wrapped): (CustomerId, Vec<u8>) = (row.get()?, row.get()?);
        let (row_id, content, record): (i64, Vec<u8>, Vec<u8>) = (row.get()?, row.get()?, row.get()?);
        let change = self.own();
        if content != key.content || customer != change.customer() {
            return Err(StoreError::KeyReused);
        }
        let IdempotencySealedV1 { answer } = sealed::open(&*change.key(&wrapped)?, customer, row_id, &record)?;
        let categories = change.scope.rule().categories;
        Ok(Some(change.guard(answer, categories)))
    }

    /// Keeps the answer, written down, for whoever sends the request again: sealed under the key of the customer
    /// whom it shows, so that an erasure finds it.
    pub async fn keep(&mut self, key: &IdempotencyKey, answer: String) -> Result<(), StoreError> {
        let mut change = self.own();
        let data_key = change.own_key().await?;
        let (now, number) = (change.now(), key.number());
        let sealed = sealed::seal(&data_key, change.customer(), number, &IdempotencySealedV1 { answer })?;
        change.change(&FORGET, params![now.plus(-LIFETIME), key.key]).await?;
        Ok(change.change_one(&KEEP, params![key.key, number, key.content, now, sealed]).await?)
    }
}
