//! The links from (issuer, subject) to a customer. A subject is personal data: only its keyed hash is
//! stored.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use domain::{
    policy::Identity,
    time::{Instant, SECOND},
};

use crate::{
    Store, StoreError,
    db::{params, statements},
    scope::Link,
};

/// A cached link lives this long at most; then a re-made or erased one counts.
const LIFETIME: i64 = 5 * SECOND;
const CACHED: usize = 10_000;

statements! {
    FIND = {"SELECT l.customer_id, k.wrapped, c.status, c.inactive_since
        FROM identity_link l
        JOIN customer c ON c.customer_id = l.customer_id
        JOIN customer_key k ON k.customer_id = l.customer_id
        WHERE l.issuer = $1 AND l.subject_hash = $2"};
}

#[derive(Clone)]
struct Key(Arc<Identity>);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.subject() == other.0.subject() && self.0.issuer() == other.0.issuer()
    }
}
impl Eq for Key {}
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.subject().hash(state);
    }
}

type Cached = (Instant, Option<Arc<Link>>);

/// The cache of links.
pub(crate) struct Links(quick_cache::sync::Cache<Key, Cached>);

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}

impl Links {
    pub(crate) fn new() -> Self {
        Self(quick_cache::sync::Cache::new(CACHED))
    }

    pub(crate) async fn find(&self, store: &Store, identity: &Arc<Identity>) -> Result<Option<Arc<Link>>, StoreError> {
        let (key, now) = (Key(Arc::clone(identity)), store.clock.now());
        if let Some((read, link)) = self.0.get(&key)
            && (0..LIFETIME).contains(&now.since(read))
        {
            return Ok(link);
        }
        let hash = subject_hash(store, identity.issuer(), identity.subject());
        let rows = store.db.read(&FIND, params![identity.issuer(), hash]).await?;
        let link = match rows.into_iter().next() {
            None => None,
            Some(row) => {
                let mut row = row.read();
                let customer = row.id()?;
                let wrapped: Vec<u8> = row.get()?;
                let key = store.keyring.data_key(customer, &wrapped)?;
                Some(Arc::new(Link { customer, key, status: row.named()?, inactive_since: row.get()? }))
            }
        };
        self.0.insert(key, (now, link.clone()));
        Ok(link)
    }
}

/// The hash under which a subject is linked.
pub(crate) fn subject_hash(store: &Store, issuer: &str, subject: &str) -> [u8; 32] {
    store.keyring.lookup().tag("subject", &[issuer.as_bytes(), subject.as_bytes()])
}
