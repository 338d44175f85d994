//! The links from (issuer, subject) to a customer. A subject is personal data: only its keyed hash is
//! stored.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use domain::{
    customers::{Identities, LinkedIdentity, LoginSubject},
    ids::{AccountId, CustomerId, EnrollmentId, Id, IdentityId, MeterId, MoveId, PremiseId, RequestId, TaskId},
    policy::{Categories, Identity},
    time::{Instant, SECOND},
};

use crate::{
    Change, Guarded, Session, Store, StoreError,
    db::{params, statements},
    scope::Link,
    sealed::reveal,
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
    LINK_DEMO = {
        sqlite "INSERT INTO identity_link (issuer, subject_hash, customer_id, created_at, identity_id)
            SELECT $1, $2, $3, $4, (SELECT coalesce(max(identity_id), 0) + 1 FROM identity_link)
            FROM installation WHERE demo_anchor IS NOT NULL ON CONFLICT DO NOTHING",
        postgres "INSERT INTO identity_link (issuer, subject_hash, customer_id, created_at, identity_id)
            SELECT CAST($1 AS text), $2, $3, $4, nextval('identity_id_sequence')
            FROM installation WHERE demo_anchor IS NOT NULL ON CONFLICT DO NOTHING"
    };
    LINK = {
        sqlite "INSERT INTO identity_link (customer_id, issuer, subject_hash, created_at, identity_id)
            VALUES ($1, $2, $3, $4, (SELECT coalesce(max(identity_id), 0) + 1 FROM identity_link))",
        postgres "INSERT INTO identity_link (customer_id, issuer, subject_hash, created_at, identity_id)
            VALUES ($1, $2, $3, $4, nextval('identity_id_sequence'))"
    };
    OF_CUSTOMER = {"SELECT l.identity_id, l.issuer, l.created_at FROM customer c
        LEFT JOIN identity_link l ON l.customer_id = c.customer_id AND (CAST($2 AS bigint) = 0 OR l.identity_id = $2)
        WHERE c.customer_id = $1 ORDER BY l.identity_id"};
    UNLINK = {"DELETE FROM identity_link WHERE customer_id = $1 AND identity_id = $2"};
    NEWEST = {"SELECT max(identity_id) FROM identity_link WHERE customer_id = $1"};
    OF_ACCOUNT = {"SELECT customer_id FROM account_owner WHERE account_id = $1"};
    OF_PREMISE = {"SELECT customer_id FROM premise_owner WHERE premise_id = $1"};
    OF_OTHER = {"SELECT customer_id FROM owner WHERE kind = $1 AND id = $2"};
    OWN = {"INSERT INTO owner (customer_id, kind, id) VALUES ($1, $2, $3)"};
    OF_TASK = {"SELECT customer_id FROM task WHERE task_id = $1 AND customer_id IS NOT NULL"};
    OF_METER = {"SELECT h.customer_id FROM meter m JOIN service_point_holder h ON h.service_point_id = m.service_point_id
        WHERE m.meter_id = $1"};
}

/// A resource of a customer, as a path names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// The customer.
    Customer(CustomerId),
    /// An account.
    Account(AccountId),
    /// A premise.
    Premise(PremiseId),
    /// A meter: of the customer at whose premise it is in use.
    Meter(MeterId),
    /// A move.
    Move(MoveId),
    /// A request to the market.
    Request(RequestId),
    /// An enrolment.
    Enrollment(EnrollmentId),
    /// A task, or the question that has its id.
    Task(TaskId),
}

impl Store {
    /// Whose a resource is, by look-up tables of its own: ids are unique by themselves. `None` when there is no such
    /// resource, or nobody's.
    pub async fn owner(&self, resource: Resource) -> Result<Option<CustomerId>, StoreError> {
        let rows = match resource {
            Resource::Customer(id) => return Ok(Some(id)),
            Resource::Account(id) => self.db.read(&OF_ACCOUNT, params![id]).await?,
            Resource::Premise(id) => self.db.read(&OF_PREMISE, params![id]).await?,
            Resource::Move(id) => self.db.read(&OF_OTHER, params!["move", id]).await?,
            Resource::Request(id) => self.db.read(&OF_OTHER, params!["request", id]).await?,
            Resource::Meter(id) => self.db.read(&OF_METER, params![id]).await?,
            Resource::Enrollment(id) => self.db.read(&OF_OTHER, params!["enrollment", id]).await?,
            Resource::Task(id) => self.db.read(&OF_TASK, params![id]).await?,
        };
        Ok(rows.into_iter().next().map(|row| row.read().get()).transpose()?)
    }

    /// Links a person of the demonstration to a customer once more: the demonstration's issuer is its address,
    /// which may be another one at each start. In other databases it does nothing.
    pub async fn link_demo(&self, issuer: &str, subject: &str, customer: CustomerId) -> Result<(), StoreError> {
        let hash = subject_hash(self, issuer, subject);
        let mut tx = self.db.begin().await?;
        tx.execute(&LINK_DEMO, params![issuer, hash, customer, self.clock.now()]).await?;
        Ok(tx.commit().await?)
    }
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

type Cached = (Instant, Arc<Link>);

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
            return Ok(Some(link));
        }
        let hash = subject_hash(store, identity.issuer(), identity.subject());
        let rows = store.db.read(&FIND, params![identity.issuer(), hash]).await?;
        // Who has no link is looked up each time: whoever enrols is a customer at once.
        let Some(row) = rows.into_iter().next() else { return Ok(None) };
        let mut row = row.read();
        let (customer, wrapped): (CustomerId, Vec<u8>) = (row.get()?, row.get()?);
        let key_of = store.keyring.data_key(customer, &wrapped)?;
        let link = Arc::new(Link { customer, key: key_of, status: row.get()?, inactive_since: row.get()? });
        self.0.insert(key, (now, Arc::clone(&link)));
        Ok(Some(link))
    }
}

/// The log-ins that lead to the customer, or the one with an id; `None` when there is no such customer.
async fn list(
    session: &mut Session<'_>,
    id: Option<IdentityId>,
) -> Result<Option<Guarded<Vec<LinkedIdentity>>>, StoreError> {
    let rows = session.own(&OF_CUSTOMER, params![id.map_or(0, domain::ids::Id::get)]).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut found = Vec::new();
    for row in rows {
        let mut row = row.read();
        if !row.is_null() {
            found.push(LinkedIdentity { id: row.get()?, issuer: row.get()?, linked_at: row.get()? });
        }
    }
    Ok(Some(session.guard(found, Categories::PROFILE)))
}

/// All log-ins that lead to the customer; `None` when there is no such customer.
pub async fn identities(session: &mut Session<'_>) -> Result<Option<Guarded<Identities>>, StoreError> {
    Ok(list(session, None).await?.map(|found| found.map(Identities)))
}

/// One log-in that leads to the customer.
pub async fn identity(
    session: &mut Session<'_>,
    id: IdentityId,
) -> Result<Option<Guarded<LinkedIdentity>>, StoreError> {
    let Some(found) = list(session, Some(id)).await? else { return Ok(None) };
    Ok(found.try_map(|found| found.into_iter().next().ok_or(())).ok())
}

impl Change<'_> {
    /// Links a log-in by what its issuer calls it; its id.
    ///
    /// # Errors
    /// As [`Change::link`].
    pub async fn link_subject(&mut self, issuer: &str, subject: &LoginSubject) -> Result<IdentityId, StoreError> {
        self.link(issuer, &reveal!(subject)).await?;
        // Under the lock of the customer's row, and ids only grow.
        let row = self.own(&NEWEST, params![]).await?.into_iter().next().ok_or(StoreError::NoCustomer)?;
        Ok(row.read().get()?)
    }

    /// Unlinks a log-in. Who was signed in with it is known for as long as links are cached, and no longer.
    pub async fn unlink(&mut self, id: IdentityId) -> Result<(), StoreError> {
        Ok(self.change_one(&UNLINK, params![id]).await?)
    }

    /// Notes whose a thing is that no look-up table of its own says: paths that name it find the customer.
    pub(crate) async fn owns(&mut self, kind: &'static str, id: impl Id) -> Result<(), StoreError> {
        Ok(self.change_one(&OWN, params![kind, id.get()]).await?)
    }

    /// Links a log-in to the customer.
    ///
    /// # Errors
    /// [`DbError::Constraint`](crate::DbError::Constraint) when it leads to a customer already: one log-in leads to one.
    pub async fn link(&mut self, issuer: &str, subject: &str) -> Result<(), StoreError> {
        let (hash, now) = (subject_hash(self.store, issuer, subject), self.now());
        Ok(self.change_one(&LINK, params![issuer, hash, now]).await?)
    }
}

/// The insert of whose a thing is, for those that are brought along.
pub(crate) fn own() -> &'static crate::db::Sql {
    &OWN
}

/// The hash under which a subject is linked.
pub(crate) fn subject_hash(store: &Store, issuer: &str, subject: &str) -> [u8; 32] {
    store.keyring.lookup().tag("subject", &[issuer.as_bytes(), subject.as_bytes()])
}
