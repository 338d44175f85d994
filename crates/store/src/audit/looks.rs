//! The audit log through the API: a customer sees who looked at their data, supervisors see all of it.

use std::collections::BTreeSet;

use domain::{
    history::{Access, By},
    ids::CustomerId,
    policy::{Categories, Role},
};

use super::{ActorKind, Filter, Outcome, Place, Record, Shown, show};
use crate::{Crowd, Guarded, Scope, Store, StoreError};

/// Who acted, as people are told.
pub(crate) fn by(kind: ActorKind, role: Option<Role>) -> By {
    match (kind, role) {
        (ActorKind::Customer | ActorKind::Person | ActorKind::Stranger, _) => By::Customer,
        (ActorKind::Operator, _) | (_, Some(Role::Admin)) => By::Administrator,
        (_, Some(Role::Csr | Role::Readonly)) => By::CustomerService,
        (_, Some(Role::Supervisor)) => By::Supervisor,
        (_, Some(Role::Billing)) => By::Billing,
        (_, Some(Role::Meter)) => By::Meter,
        (_, Some(Role::Market)) => By::Market,
        (_, Some(Role::Notifications)) => By::Notifications,
        (ActorKind::Staff | ActorKind::Service | ActorKind::Topic | ActorKind::System, Some(Role::Customer) | None) => {
            By::Service
        }
    }
}

impl Store {
    /// Who looked at a customer's data or changed it, the newest first, behind a place. What was refused, or was not
    /// there, is no look.
    ///
    /// # Errors
    /// [`StoreError`] when the log cannot be read.
    pub async fn access_log(
        &self,
        scope: &Scope,
        before: Option<Place>,
        limit: usize,
    ) -> Result<Guarded<Vec<(Place, Access)>>, StoreError> {
        let customer = Some(scope.customer());
        // This very request may stand there already, or not yet.
        let filter = Filter { customer, before, given: true, limit: limit.saturating_add(1), ..Filter::default() };
        let mut records = show::records(&self.db, &self.keyring, &filter).await?;
        let (actor, action) = (scope.actor(), scope.rule().action);
        let (kind, request) = (actor.kind(), &actor.origin.request_id);
        records.retain(|(_, record)| {
            (record.actor, record.action.as_ref(), &record.request_id) != (kind, action, request)
        });
        records.truncate(limit);
        let access = |(place, record): (Place, Record)| {
            let Record { at, actor, role, reason, outcome, categories: what, .. } = record;
            (place, Access { at, by: by(actor, role), reason, changed: outcome == Outcome::Changed, what })
        };
        let log = records.into_iter().map(access).collect();
        Ok(Guarded::new(log, scope.customer(), Categories::HISTORY))
    }

    /// The newest entries of the log that pass the filter, at most as many as it says, and whether there are more. The
    /// look leaves one record, which names every customer whom an entry names; `detail` says what was asked for.
    ///
    /// # Errors
    /// [`StoreError::AuditUnavailable`] when it could not be recorded; nothing is shown then.
    pub async fn look_into_audit(
        &self,
        crowd: &Crowd,
        filter: &Filter,
        detail: String,
    ) -> Result<(Vec<Shown>, bool), StoreError> {
        let one_more = Filter { limit: filter.limit.saturating_add(1), ..filter.clone() };
        let mut shown = show::show(&self.db, &self.keyring, &one_more).await?;
        let more = shown.len() > filter.limit;
        shown.truncate(filter.limit);
        let one = shown.iter().filter_map(|shown| shown.record.customer);
        let several = shown.iter().flat_map(|shown| shown.record.customers.iter().copied());
        let mut customers: BTreeSet<CustomerId> = one.chain(several).collect();
        if let Some(customer) = filter.customer {
            // The record says it by itself.
            customers.remove(&customer);
        }
        let record = self.record(crowd.actor(), crowd.rule(), filter.customer, Outcome::Read)?;
        let record = Record { customers: customers.into_iter().collect(), detail: Some(detail), ..record };
        self.audit.append(record).await.map_err(|_| StoreError::AuditUnavailable)?;
        #[cfg(any(test, feature = "testing"))]
        crate::testing::opens(crowd.rule().action, Categories::HISTORY);
        Ok((shown, more))
    }
}
