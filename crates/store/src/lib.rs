//! The store: the only crate that speaks SQL.
//!
//! It keeps five of the service's promises in types: every statement on customers' rows runs within a [`Scope`] or a
//! [`Crowd`], what it reads is [`Guarded`] until a [`Receipt`] of the audit log opens it, a [`Transaction`] commits a
//! change with its records and its events or not at all, personal columns are sealed by their slice's codec, and both
//! engines run the same statements.

pub mod accounts;
pub mod audit;
pub mod backup;
pub mod claims;
pub mod customers;
mod db;
pub mod enrollments;
mod error;
pub mod files;
pub mod grants;
mod guard;
mod health;
pub mod idempotency;
mod ids;
pub mod inspect;
pub mod integration;
pub mod jobs;
mod keys;
pub mod links;
pub mod market;
pub mod meters;
pub mod migrate;
pub mod moves;
pub mod occupancies;
mod open;
mod operate;
pub mod outbox;
mod partitions;
pub mod preferences;
pub mod premises;
pub mod questions;
pub mod readings;
pub mod schema;
mod scope;
mod sealed;
pub mod search;
pub mod seed;
mod session;
pub mod supervise;
pub mod tasks;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transaction;

use std::sync::Arc;

use crypto::{Keyring, Random};
use domain::{
    ids::CustomerId,
    policy::{Identity, Rule},
    time::Clock,
};

use crate::{
    audit::{ActorKind, AuditLog, Outcome, Record, who},
    db::Db,
    idempotency::IdempotencyKey,
    links::Links,
    scope::{Actor, Basis},
};
pub use crate::{
    db::{DbError, EngineKind},
    error::StoreError,
    guard::{Asked, Guarded, Receipt},
    links::Resource,
    open::{Location, OpenError, Options},
    operate::{Operator, audit_file_is_gone, begin_audit_anew, main_file_is_gone, missing_audit, verify_audit},
    scope::{AccessReason, Caller, Crowd, Founder, Origin, Refusal, Scope},
    session::{Change, Session, Snapshot},
    transaction::{Act, Batch, Transaction},
};

/// Every statement of the crate, by slice: what is not listed is dead code and does not compile.
#[cfg_attr(not(test), expect(dead_code, reason = "the test that prepares every statement reads it"))]
pub(crate) fn slices() -> Vec<&'static [&'static db::Sql]> {
    let mut slices = vec![
        accounts::STATEMENTS,
        claims::STATEMENTS,
        customers::STATEMENTS,
        db::postgres::STATEMENTS,
        enrollments::STATEMENTS,
        grants::STATEMENTS,
        idempotency::STATEMENTS,
        ids::STATEMENTS,
        inspect::STATEMENTS,
        integration::STATEMENTS,
        keys::STATEMENTS,
        jobs::STATEMENTS,
        links::STATEMENTS,
        market::STATEMENTS,
        moves::STATEMENTS,
        occupancies::STATEMENTS,
        open::STATEMENTS,
        outbox::STATEMENTS,
        preferences::STATEMENTS,
        premises::STATEMENTS,
        search::STATEMENTS,
        questions::STATEMENTS,
        session::STATEMENTS,
        tasks::STATEMENTS,
        transaction::STATEMENTS,
    ];
    slices.extend(audit::LISTS);
    slices.extend(meters::LISTS);
    slices.extend(readings::LISTS);
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
    pub async fn caller(
        &self,
        identity: Arc<Identity>,
        origin: Arc<Origin>,
        action: &'static str,
        rules: &[Rule],
    ) -> Result<Caller, StoreError> {
        let link = self.links.find(self, &identity).await?;
        Ok(Caller::new(identity, origin, action, rules, link))
    }

    /// Starts reading within a scope.
    pub fn session<'a>(&'a self, scope: &'a Scope) -> Session<'a> {
        Session::new(self, scope, None)
    }

    /// Starts reading within a scope, in several statements which see one state of the database.
    pub async fn snapshot<'a>(&'a self, scope: &'a Scope) -> Result<Snapshot<'a>, StoreError> {
        Snapshot::take(self, scope).await
    }

    /// Starts a change within a scope, under the lock of its customer's row. A request with an idempotency key
    /// asks for [`Transaction::kept`] next.
    ///
    /// # Errors
    /// [`StoreError::Inactive`] when the rule needs an active customer, [`StoreError::KeyBusy`] while the same
    /// request is at work.
    pub async fn begin(&self, scope: &Scope, key: Option<&IdempotencyKey>) -> Result<Transaction<'_>, StoreError> {
        Transaction::begin(self, scope, &[], key).await
    }

    /// Starts a change that concerns other customers, too; their rows are locked in the order of their ids.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn begin_with(
        &self,
        scope: &Scope,
        others: &[Scope],
        key: Option<&IdempotencyKey>,
    ) -> Result<Transaction<'_>, StoreError> {
        Transaction::begin(self, scope, others, key).await
    }

    /// Starts a change that makes a customer. When its idempotency key was used before, it is a change of the customer
    /// who was made then, and [`Transaction::kept`] has the answer.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn found(
        &self,
        founder: &Founder,
        new: &customers::New<'_>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Transaction<'_>, StoreError> {
        Transaction::found(self, founder, new, key).await
    }

    /// The right of who became a customer by what they know, such as a claim code.
    ///
    /// # Errors
    /// [`StoreError::NoCustomer`] when there is none.
    pub async fn become_customer(&self, founder: &Founder, customer: CustomerId) -> Result<Scope, StoreError> {
        customers::founded(self, founder, customer).await
    }

    /// Starts a chunk of a batch.
    pub async fn batch<'a>(&'a self, crowd: &'a Crowd) -> Result<Batch<'a>, StoreError> {
        Batch::begin(self, crowd).await
    }

    /// Starts the record of a read that is authorized; `detail` holds the bounds of what is asked for. The
    /// statement runs meanwhile.
    ///
    /// # Errors
    /// [`StoreError::AuditUnavailable`] when too many records wait.
    pub fn asked(&self, scope: &Scope, resource: Option<String>, detail: Option<String>) -> Result<Asked, StoreError> {
        let (customer, rule) = (scope.customer(), scope.rule());
        let record = self.record(scope.actor(), rule, Some(customer), Outcome::Asked)?;
        let record = Record { resource, detail, ..record };
        let submitted = self.audit.submit(record).map_err(|_| StoreError::AuditUnavailable)?;
        Ok(Asked::new(submitted, customer, *rule))
    }

    /// Commits the record of a later part of a read, such as the end of a stream with its counts.
    ///
    /// # Errors
    /// [`StoreError::AuditUnavailable`] when the record is not durable in time.
    pub async fn note(
        &self,
        scope: &Scope,
        outcome: Outcome,
        resource: Option<String>,
        detail: String,
    ) -> Result<(), StoreError> {
        let record = self.record(scope.actor(), scope.rule(), Some(scope.customer()), outcome)?;
        let record = Record { resource, detail: Some(detail), ..record };
        self.audit.append(record).await.map_err(|_| StoreError::AuditUnavailable)
    }

    /// Opens rows of many customers, after one record for each customer is durable, all of them in one commit of
    /// the log.
    ///
    /// # Errors
    /// [`StoreError::AuditUnavailable`] when they are not durable in time; nothing is opened then.
    pub async fn disclose<T>(&self, crowd: &Crowd, found: Vec<Guarded<T>>) -> Result<Vec<T>, StoreError> {
        let customers: std::collections::BTreeSet<CustomerId> = found.iter().map(Guarded::customer).collect();
        let of = |customer| self.record(crowd.actor(), crowd.rule(), customer, Outcome::Read);
        let mut records = customers.iter().map(|customer| of(Some(*customer))).collect::<Result<Vec<_>, _>>()?;
        // A search that found nobody is recorded, too.
        let last = records.pop().map_or_else(|| of(None), Ok)?;
        let submitted = self.audit.submit_with(last, records).map_err(|_| StoreError::AuditUnavailable)?;
        submitted.durable().await.map_err(|_| StoreError::AuditUnavailable)?;
        let receipt = Receipt::of_all(customers.into_iter().collect(), crowd.rule().categories);
        let open = |one: Guarded<T>| {
            #[cfg(any(test, feature = "testing"))]
            testing::opens(crowd.rule().action, one.categories());
            one.open(&receipt)
        };
        found.into_iter().map(open).collect()
    }

    /// Starts the record of a refused request of a verified caller; `reason` is what staff said, `whose` the
    /// customer whom they had reached by then. Whoever refuses waits
    /// for it, whoever fails need not.
    ///
    /// # Errors
    /// [`StoreError::AuditUnavailable`] when too many records wait.
    pub fn refused(
        &self,
        caller: &Caller,
        reason: Option<&AccessReason>,
        whose: Option<CustomerId>,
        status: u16,
        resource: Option<String>,
    ) -> Result<audit::Submitted, StoreError> {
        let (at, kind) = (self.clock.now(), caller.kind());
        let link = caller.link.as_deref();
        let customer = whose.or_else(|| link.map(|link| link.customer));
        let role = caller.rule.as_ref().and_then(|rule| caller.role(rule.roles));
        let (identity, origin) = (Some(&caller.identity), &caller.origin);
        let who = self.who(at, link, customer, identity, origin)?;
        let record = Record {
            role,
            actor_hash: self.actor_hash(kind, identity),
            customer,
            status,
            reason: reason.map(|reason| reason.code.to_string()),
            ticket: reason.and_then(|reason| reason.ticket.clone()),
            resource,
            request_id: origin.request_id.clone(),
            who,
            ..Record::new(at, kind, caller.action, Outcome::Refused)
        };
        self.audit.submit(record).map_err(|_| StoreError::AuditUnavailable)
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

    /// The record of something done by somebody to one customer's data, or to many's.
    pub(crate) fn record(
        &self,
        actor: &Actor,
        rule: &Rule,
        customer: Option<CustomerId>,
        outcome: Outcome,
    ) -> Result<Record, StoreError> {
        let (at, kind) = (self.clock.now(), actor.kind());
        let Actor { identity, role, origin, basis } = actor;
        let (link, reason) = match basis {
            Basis::Owner(link) => (Some(&**link), None),
            Basis::Staff(reason) => (None, reason.as_ref()),
            Basis::Service | Basis::Job(_) | Basis::Message(_) | Basis::Counterpart => (None, None),
        };
        let detail = match basis {
            Basis::Message(source) => Some(format!("source={source}")),
            Basis::Job(job) => Some(format!("job={job}")),
            Basis::Owner(_) | Basis::Staff(_) | Basis::Service | Basis::Counterpart => None,
        };
        Ok(Record {
            role: *role,
            actor_hash: self.actor_hash(kind, identity.as_ref()),
            customer,
            status: 200,
            reason: reason.map(|reason| reason.code.to_string()),
            ticket: reason.and_then(|reason| reason.ticket.clone()),
            categories: rule.categories,
            request_id: origin.request_id.clone(),
            detail,
            who: self.who(at, link, customer, identity.as_ref(), origin)?,
            ..Record::new(at, kind, rule.action, outcome)
        })
    }

    /// Who acted, sealed: the owner under their own data key, everybody else under the actor key, so that the record
    /// outlives an erasure.
    fn who(
        &self,
        at: domain::time::Instant,
        owner: Option<&scope::Link>,
        customer: Option<CustomerId>,
        identity: Option<&Arc<Identity>>,
        origin: &Origin,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(identity) = identity else { return Ok(None) };
        let who = who::Who { issuer: identity.issuer(), subject: identity.subject(), address: origin.address };
        let key = owner.map_or_else(|| self.keyring.actor(), |link| &link.key);
        Ok(Some(who::seal(key, customer, at, &who).map_err(crypto::KeyError::from)?))
    }

    fn actor_hash(&self, kind: ActorKind, identity: Option<&Arc<Identity>>) -> Option<[u8; 32]> {
        let identity = identity.filter(|_| matches!(kind, ActorKind::Staff | ActorKind::Service))?;
        Some(who::actor_hash(&self.keyring, identity.issuer(), identity.subject()))
    }

    /// A UUID of version 7 (RFC 9562): time first, so that indexes grow at their end.
    pub(crate) fn random_id(&self) -> Result<[u8; 16], StoreError> {
        let mut random = [0; 10];
        self.random.fill(&mut random)?;
        let millis = u64::try_from(self.clock.now().micros().div_euclid(1000)).unwrap_or_default();
        Ok(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().into_bytes())
    }
}
