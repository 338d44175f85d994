//! Idempotency keys of POSTs (draft-ietf-httpapi-idempotency-key-header): a request that is sent again gets the
//! first one's answer, and changes nothing.
//!
//! The key belongs to its caller, operation and content. Its row and the sealed answer commit with the change;
//! refusals are not kept. A duplicate at the same time is found by a try-lock, before it could wait for the
//! first one's locks, and refused.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use domain::time::HOUR;
use serde::{Deserialize, Serialize};

use crate::{
    Guarded, Scope, Store, StoreError, Transaction,
    db::{EngineKind, params, statements},
    sealed::{self, SealedRow},
};

/// Keys are kept for a day.
const LIFETIME: i64 = 24 * HOUR;

statements! {
    FIND = {"SELECT k.wrapped, i.row_id, i.content_hash, i.sealed
        FROM idempotency i JOIN customer_key k ON k.customer_id = i.customer_id
        WHERE i.customer_id = $1 AND i.key_hash = $2 AND i.created_at > $3"};
    FORGET = {"DELETE FROM idempotency WHERE customer_id = $1 AND created_at <= $2"};
    KEEP = {"INSERT INTO idempotency (customer_id, key_hash, row_id, content_hash, status, created_at, sealed)
        VALUES ($1, $2, $3, $4, 200, $5, $6)"};
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
    pub fn new(store: &Store, scope: &Scope, key: &str, content: &[&[u8]]) -> Self {
        let tags = store.keyring.lookup();
        let customer = domain::ids::Id::get(scope.customer()).to_be_bytes();
        let action = scope.caller().rule.action.as_bytes();
        Self {
            key: tags.tag("idempotency-key", &[&customer, action, key.as_bytes()]),
            content: tags.tag("idempotency-content", content),
        }
    }

    /// A number for locks and the sealed row.
    fn number(self) -> i64 {
        self.key.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes) & i64::MAX)
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
    fn claim(&self, key: [u8; 32]) -> Option<Claim> {
        let claimed = self.0.lock().is_ok_and(|mut keys| keys.insert(key));
        claimed.then(|| Claim { at_work: self.clone(), key })
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

impl Store {
    /// Starts a change like [`Store::begin`], once for each key: the kept answer comes along when there is one.
    ///
    /// # Errors
    /// As [`Store::begin`]; [`StoreError::KeyBusy`] and [`StoreError::KeyReused`].
    pub async fn begin_once<'a>(
        &'a self,
        scope: &'a Scope,
        key: Option<IdempotencyKey>,
    ) -> Result<(Transaction<'a>, Option<Guarded<String>>), StoreError> {
        let Some(key) = key else { return Ok((self.begin(scope).await?, None)) };
        let claim = self.at_work.claim(key.key).ok_or(StoreError::KeyBusy)?;
        let mut tx = Transaction::begin_claimed(self, scope, Some((claim, key.number()))).await?;
        let since = tx.now().plus(-LIFETIME);
        let kept = tx.own(&FIND, params![key.key, since]).await?;
        let Some(row) = kept.into_iter().next() else { return Ok((tx, None)) };
        let mut row = row.read();
        let wrapped: Vec<u8> = row.get()?;
        let (row_id, content, record): (i64, Vec<u8>, Vec<u8>) = (row.get()?, row.get()?, row.get()?);
        if content != key.content {
            return Err(StoreError::KeyReused);
        }
        let opened = sealed::open(&*tx.key(&wrapped)?, scope.customer(), row_id, &record)?;
        let IdempotencySealedV1 { answer } = opened;
        Ok((tx, Some(Guarded::new(answer, scope.customer(), scope.caller().rule.categories))))
    }
}

impl Transaction<'_> {
    /// Takes the lock that replicas share; on SQLite the process is alone.
    pub(crate) async fn try_lock(&mut self, number: i64) -> Result<(), StoreError> {
        if self.store.db.kind() == EngineKind::Sqlite {
            return Ok(());
        }
        let locked = self.rows(&TRY_LOCK, params![number]).await?;
        let locked: bool = locked.into_iter().next().map(|row| row.read().get()).transpose()?.unwrap_or(false);
        if locked { Ok(()) } else { Err(StoreError::KeyBusy) }
    }

    /// Keeps the answer for whoever sends the request again.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn keep(&mut self, key: Option<IdempotencyKey>, answer: &Guarded<String>) -> Result<(), StoreError> {
        let Some(key) = key else { return Ok(()) };
        let data_key = self.own_key().await?;
        let (now, number) = (self.now(), key.number());
        let row = IdempotencySealedV1 { answer: self.peek(answer).clone() };
        let sealed = sealed::seal(&data_key, self.customer(), number, &row)?;
        self.change(&FORGET, params![now.plus(-LIFETIME)]).await?;
        Ok(self.change_one(&KEEP, params![key.key, number, key.content, now, sealed]).await?)
    }
}
