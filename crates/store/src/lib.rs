//! The store: the only crate that speaks SQL.
//!
//! It keeps five of the service's promises in types: every statement on a customer's rows runs within a
//! [`Scope`], what it reads is [`Guarded`] until a [`Receipt`] of the audit log opens it, a
//! [`Transaction`] commits a change with its record and its events or not at all, personal columns are
//! sealed by their slice's codec, and both engines run the same statements.

pub mod accounts;
pub mod audit;
pub mod backup;
pub mod customers;
mod db;
mod error;
mod guard;
pub mod idempotency;
pub mod inspect;
mod keys;
mod links;
pub mod meters;
pub mod migrate;
mod open;
mod operate;
pub mod outbox;
mod partitions;
pub mod preferences;
pub mod premises;
pub mod readings;
pub mod schema;
mod scope;
mod sealed;
pub mod seed;
mod session;
pub mod supervise;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use std::sync::Arc;

use crypto::{Keyring, Random};
use domain::{
    ids::CustomerId,
    policy::{Categories, Identity, Rule},
    time::Clock,
};

use crate::{
    audit::{ActorKind, AuditLog, Outcome, Record, who},
    db::Db,
    links::Links,
};
pub use crate::{
    db::{DbError, EngineKind},
    error::StoreError,
    guard::{Guarded, Receipt},
    open::{Location, OpenError, Options},
    operate::{Operator, verify_audit},
    scope::{Caller, Origin, Refusal, Scope},
    session::{Entry, Session, Transaction},
};

/// Every statement of the crate, by slice: what is not listed is dead code and does not compile.
#[cfg_attr(not(test), expect(dead_code, reason = "the test that prepares every statement reads it"))]
pub(crate) fn slices() -> Vec<&'static [&'static db::Sql]> {
    let mut slices = vec![
        accounts::STATEMENTS,
        customers::STATEMENTS,
        db::postgres::STATEMENTS,
        idempotency::STATEMENTS,
        inspect::STATEMENTS,
        keys::STATEMENTS,
        links::STATEMENTS,
        meters::STATEMENTS,
        open::STATEMENTS,
        operate::STATEMENTS,
        outbox::STATEMENTS,
        preferences::STATEMENTS,
        premises::STATEMENTS,
        readings::STATEMENTS,
        session::STATEMENTS,
    ];
    slices.extend(audit::LISTS);
    slices.extend(seed::LISTS);
    slices
}

/// An open store.
pub struct Store {
    pub(crate) db: Arc<Db>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) audit: AuditLog,
    links: Links,
    pub(crate) at_work: idempotency::AtWork,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("engine", &self.engine()).finish_non_exhaustive()
    }
}

impl Store {
    /// The engine underneath.
    pub fn engine(&self) -> EngineKind {
        self.db.kind()
    }

    /// The audit log, for its figures and its end.
    pub fn audit_log(&self) -> &AuditLog {
        &self.audit
    }

    /// The keys, for ETags and cursors.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Looks up which customer an identity is linked to; the first step of every authenticated request.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn caller(&self, identity: Arc<Identity>, origin: Arc<Origin>, rule: Rule) -> Result<Caller, StoreError> {
        let link = self.links.find(self, &identity).await?;
        Ok(Caller { identity, origin, rule, link })
    }

    /// Starts reading within a scope.
    pub fn session<'a>(&'a self, scope: &'a Scope) -> Session<'a> {
        Session::new(self, scope)
    }

    /// Starts a change within a scope, under the lock of its customer's row.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Inactive`] when the rule needs an active customer.
    pub async fn begin<'a>(&'a self, scope: &'a Scope) -> Result<Transaction<'a>, StoreError> {
        Transaction::begin(self, scope).await
    }

    /// Commits the record of an access, then opens what was read.
    ///
    /// # Errors
    /// [`StoreError::AuditUnavailable`] when the record is not durable in time; nothing is opened then.
    pub async fn disclose<T>(&self, scope: &Scope, found: Guarded<T>, entry: Entry) -> Result<T, StoreError> {
        let receipt = self.receipt(scope, entry, None).await?;
        found.open(&receipt)
    }

    /// Commits the record of an access that is given out in pieces, such as a stream: `detail` holds its
    /// bounds. The receipt opens each piece.
    ///
    /// # Errors
    /// As [`Store::disclose`].
    pub async fn receipt(&self, scope: &Scope, entry: Entry, detail: Option<String>) -> Result<Receipt, StoreError> {
        let record = Record { detail, ..self.record_of(scope, entry)? };
        self.audit.append(record).await.map_err(|_| StoreError::AuditUnavailable)?;
        Ok(Receipt::new(scope.customer(), scope.caller().rule.categories))
    }

    /// Commits the record of a refused request of a verified caller.
    ///
    /// # Errors
    /// [`StoreError::AuditUnavailable`] when the record is not durable in time.
    pub async fn refused(&self, caller: &Caller, status: u16, resource: Option<String>) -> Result<(), StoreError> {
        let entry = Entry { outcome: Outcome::Refused, status, resource };
        let record = Record { categories: Categories::NONE, ..self.record(caller, None, entry)? };
        self.audit.append(record).await.map(drop).map_err(|_| StoreError::AuditUnavailable)
    }

    /// Notes a failed authentication. It does not wait: a flood of bad tokens must not slow anybody down.
    pub fn unauthenticated(&self, origin: &Origin, action: &'static str, status: u16) {
        let at = self.clock.now();
        let who = who::Who { issuer: "", subject: "", address: origin.address };
        let record = Record {
            status,
            request_id: origin.request_id.clone(),
            who: who::seal(self.keyring.actor(), None, at, &who).ok(),
            ..Record::new(at, ActorKind::Stranger, action, Outcome::Unauthenticated)
        };
        self.audit.append_later(record, origin.address);
    }

    /// The record of something done within a scope.
    pub(crate) fn record_of(&self, scope: &Scope, entry: Entry) -> Result<Record, StoreError> {
        self.record(scope.caller(), Some(scope), entry)
    }

    fn record(&self, caller: &Caller, scope: Option<&Scope>, entry: Entry) -> Result<Record, StoreError> {
        let at = self.clock.now();
        let linked = caller.link.as_deref();
        let customer = scope.map(Scope::customer).or_else(|| linked.map(|link| link.customer));
        let (key, owner): (_, Option<CustomerId>) = match (scope, linked) {
            (Some(scope), _) => (scope.audit_key(), customer),
            (None, Some(link)) => (&link.key, customer),
            (None, None) => (self.keyring.actor(), None),
        };
        let (issuer, subject) = (caller.identity.issuer(), caller.identity.subject());
        let who = who::Who { issuer, subject, address: caller.origin.address };
        let Entry { outcome, status, resource } = entry;
        Ok(Record {
            customer,
            status,
            resource,
            categories: caller.rule.categories,
            request_id: caller.origin.request_id.clone(),
            who: Some(who::seal(key, owner, at, &who).map_err(crypto::KeyError::from)?),
            ..Record::new(at, caller.kind(), caller.rule.action, outcome)
        })
    }

    pub(crate) fn random_id(&self) -> Result<[u8; 16], StoreError> {
        // As a UUID of version 7 (RFC 9562): time first, so that indexes grow at their end.
        let mut id = [0; 16];
        self.random.fill(&mut id)?;
        let millis = self.clock.now().micros().div_euclid(1000).to_be_bytes();
        if let (Some(to), Some(from)) = (id.get_mut(..6), millis.get(2..)) {
            to.copy_from_slice(from);
        }
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut id;
        *version = (*version & 0x0f) | 0x70;
        *variant = (*variant & 0x3f) | 0x80;
        Ok(id)
    }
}
