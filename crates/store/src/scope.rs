//! Authorization: from a verified identity and the route's rule to the scope that every statement on a
//! customer's rows needs. Only [`Caller::authorize`] makes a [`Scope`].

use std::{net::IpAddr, sync::Arc};

use crypto::DataKey;
use domain::{
    accounts::{READABLE_DAYS, Status},
    ids::CustomerId,
    policy::{Identity, Role, Roles, Rule},
    time::{HOUR, Instant},
};

use crate::audit::ActorKind;

/// A request as the audit log knows it.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The service's own id of the request.
    pub request_id: String,
    /// The client's address, from the connection or from a configured proxy.
    pub address: Option<IpAddr>,
}

/// The customer that an identity is linked to.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) customer: CustomerId,
    pub(crate) key: Arc<DataKey>,
    pub(crate) status: Status,
    pub(crate) inactive_since: Option<Instant>,
}

/// A verified caller of one route.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) identity: Arc<Identity>,
    pub(crate) origin: Arc<Origin>,
    pub(crate) rule: Rule,
    pub(crate) link: Option<Arc<Link>>,
}

/// Why a caller may not do what the route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// None of the caller's roles is among the rule's.
    Forbidden,
    /// Signed in, with the right role, but linked to no customer.
    NotEnrolled,
    /// The customer is inactive, and the rule does not allow that.
    Inactive,
    /// The customer has been inactive for so long that no rule allows anything any more.
    Closed,
}

impl Caller {
    /// The authorization step.
    ///
    /// # Errors
    /// [`Refusal`] says why not.
    pub fn authorize(&self, now: Instant) -> Result<Scope, Refusal> {
        if !self.identity.roles().meet(self.rule.roles) {
            return Err(Refusal::Forbidden);
        }
        let link = self.link.as_ref().ok_or(Refusal::NotEnrolled)?;
        if link.status == Status::Inactive {
            let readable = link.inactive_since.is_some_and(|since| now.since(since) < READABLE_DAYS * 24 * HOUR);
            if !readable {
                return Err(Refusal::Closed);
            }
            if !self.rule.while_inactive {
                return Err(Refusal::Inactive);
            }
        }
        Ok(Scope { caller: self.clone(), customer: link.customer, key: Arc::clone(&link.key) })
    }

    /// What kind of caller the audit log notes.
    pub(crate) fn kind(&self) -> ActorKind {
        let staff = Roles::of(&[Role::Csr, Role::Supervisor, Role::Admin, Role::Readonly]);
        let services = Roles::of(&[Role::Billing, Role::Meter, Role::Market, Role::Notifications]);
        let roles = self.identity.roles();
        match self.link {
            Some(_) => ActorKind::Customer,
            None if roles.meet(staff) => ActorKind::Staff,
            None if roles.meet(services) => ActorKind::Service,
            None => ActorKind::Person,
        }
    }
}

/// The right to work on one customer's rows, for one request. Its customer stands in the WHERE clause of
/// every statement.
#[derive(Debug, Clone)]
pub struct Scope {
    caller: Caller,
    customer: CustomerId,
    key: Arc<DataKey>,
}

impl Scope {
    /// Whose rows.
    pub fn customer(&self) -> CustomerId {
        self.customer
    }
    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
    /// The customer's data key as it was when the link was read, for the audit log alone: data is opened
    /// with the key that its own statement fetched.
    pub(crate) fn audit_key(&self) -> &Arc<DataKey> {
        &self.key
    }
}
