//! Authorization: from who asks and the rule of the route to the right to work on customers' rows.
//!
//! Every statement on a customer's rows needs a [`Scope`], which is the right to one customer's, or a [`Crowd`],
//! which is the right to many at once and makes scopes. Both have private fields, and each way to one is a function
//! here: the owner ([`Caller::own`]), staff and services ([`Caller::of`], [`Caller::many`]), a job that was scheduled
//! ([`Scope::of_job`]), a message from a topic ([`Crowd::of_message`]), the other side of a change that concerns two
//! customers ([`Scope::counterpart`]), and who makes a customer or becomes one ([`Caller::founder`]).

use std::{net::IpAddr, sync::Arc};

use crypto::DataKey;
use domain::{
    history::By,
    ids::{CustomerId, JobId},
    policy::{Identity, Reach, Role, Roles, Rule},
    status::{READABLE_DAYS, Status},
    time::{HOUR, Instant},
};

use crate::audit::{ActorKind, by};

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

/// Why somebody who is not the owner looks: a listed code, and the ticket it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessReason {
    /// One of the configured codes.
    pub code: Arc<str>,
    /// The number of a ticket.
    pub ticket: Option<String>,
}

/// What the right rests on.
#[derive(Debug, Clone)]
pub(crate) enum Basis {
    /// It is their own.
    Owner(Arc<Link>),
    /// Staff, who say why where the rule asks for it.
    Staff(Option<AccessReason>),
    /// A neighbouring service.
    Service,
    /// A job that was scheduled.
    Job(JobId),
    /// A message from a topic, by its source.
    Message(Arc<str>),
    /// The other side of somebody's change: the record says that the service itself acted, and nobody's name.
    Counterpart,
}

/// Who acts, and on what basis.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) identity: Option<Arc<Identity>>,
    /// The role that counted.
    pub(crate) role: Option<Role>,
    pub(crate) origin: Arc<Origin>,
    pub(crate) basis: Basis,
}

impl Actor {
    pub(crate) fn kind(&self) -> ActorKind {
        match self.basis {
            Basis::Owner(_) => ActorKind::Customer,
            Basis::Staff(_) => ActorKind::Staff,
            Basis::Service => ActorKind::Service,
            Basis::Message(_) => ActorKind::Topic,
            Basis::Job(_) | Basis::Counterpart => ActorKind::System,
        }
    }

    /// Who acts, as the timeline shows it.
    pub(crate) fn by(&self) -> By {
        by(self.kind(), self.role)
    }
}

/// A verified caller of one route.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) identity: Arc<Identity>,
    pub(crate) origin: Arc<Origin>,
    pub(crate) action: &'static str,
    pub(crate) rule: Option<Rule>,
    pub(crate) link: Option<Arc<Link>>,
}

/// Why a caller may not do what the route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// None of the caller's roles is among those of a rule.
    Forbidden,
    /// Signed in, with the right role, but linked to no customer.
    NotEnrolled,
    /// The customer is inactive, and the rule does not allow that.
    Inactive,
    /// The customer has been inactive for so long that no rule allows anything any more.
    Closed,
    /// The rule asks why, and the caller did not say.
    ReasonRequired,
}

impl Caller {
    pub(crate) fn new(
        identity: Arc<Identity>,
        origin: Arc<Origin>,
        action: &'static str,
        rules: &[Rule],
        link: Option<Arc<Link>>,
    ) -> Self {
        let rule = rules.iter().find(|rule| identity.roles().intersects(rule.roles)).copied();
        Self { identity, origin, action, rule, link }
    }

    /// Who asks.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// What they ask for: the operation's name.
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// The rule that one of the caller's roles has.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] when none has one.
    pub fn rule(&self) -> Result<Rule, Refusal> {
        self.rule.ok_or(Refusal::Forbidden)
    }

    /// The right of an owner; a customer who may make one works on their own data.
    pub fn own(&self, now: Instant) -> Result<Scope, Refusal> {
        let rule = self.reaching(Reach::Own).or_else(|_| self.reaching(Reach::New))?;
        let link = self.link.as_ref().ok_or(Refusal::NotEnrolled)?;
        if link.status == Status::Inactive {
            let readable = link.inactive_since.is_some_and(|since| now.since(since) < READABLE_DAYS * 24 * HOUR);
            // Who left may come back, however long ago that was.
            if !readable && rule.reach != Reach::New {
                return Err(Refusal::Closed);
            }
            if !rule.while_inactive {
                return Err(Refusal::Inactive);
            }
        }
        let actor = Arc::new(self.actor(&rule, Basis::Owner(Arc::clone(link))));
        Ok(Scope { actor, rule, customer: link.customer })
    }

    /// The right of staff or of a service to one customer's data.
    pub fn of(&self, customer: CustomerId, reason: Option<AccessReason>) -> Result<Scope, Refusal> {
        let rule = self.reaching(Reach::Named)?;
        let actor = Arc::new(self.actor(&rule, self.basis(&rule, reason)?));
        Ok(Scope { actor, rule, customer })
    }

    /// Whether the caller is a customer already.
    pub fn is_linked(&self) -> bool {
        self.link.is_some()
    }

    /// The right to make a customer, or to become one whom the operation finds.
    pub fn founder(&self, reason: Option<AccessReason>) -> Result<Founder, Refusal> {
        let rule = self.reaching(Reach::New)?;
        let basis = match rule.roles.intersects(Roles::CUSTOMER) {
            true => None,
            false => Some(self.basis(&rule, reason)?),
        };
        Ok(Founder { caller: self.clone(), rule, basis })
    }

    /// The right of staff or of a service to many customers' data at once.
    pub fn many(&self, reason: Option<AccessReason>) -> Result<Crowd, Refusal> {
        let rule = self.reaching(Reach::Many)?;
        Ok(Crowd { actor: Arc::new(self.actor(&rule, self.basis(&rule, reason)?)), rule })
    }

    fn reaching(&self, reach: Reach) -> Result<Rule, Refusal> {
        self.rule.filter(|rule| rule.reach == reach).ok_or(Refusal::Forbidden)
    }

    fn basis(&self, rule: &Rule, reason: Option<AccessReason>) -> Result<Basis, Refusal> {
        match reason {
            None if rule.reason => Err(Refusal::ReasonRequired),
            _ if rule.roles.intersects(Roles::SERVICES) => Ok(Basis::Service),
            reason => Ok(Basis::Staff(reason)),
        }
    }

    fn actor(&self, rule: &Rule, basis: Basis) -> Actor {
        let (identity, origin) = (Some(Arc::clone(&self.identity)), Arc::clone(&self.origin));
        Actor { identity, role: self.role(rule.roles), origin, basis }
    }

    pub(crate) fn role(&self, among: Roles) -> Option<Role> {
        self.identity.roles().intersection(among).list().map(|(role, _)| role).next()
    }

    /// What kind of caller the audit log notes when the request is refused.
    pub(crate) fn kind(&self) -> ActorKind {
        let roles = self.identity.roles();
        match self.link {
            Some(_) => ActorKind::Customer,
            None if roles.intersects(Roles::STAFF) => ActorKind::Staff,
            None if roles.intersects(Roles::SERVICES) => ActorKind::Service,
            None => ActorKind::Person,
        }
    }
}

/// The right to work on one customer's rows. Its customer stands in the WHERE clause of every statement.
#[derive(Debug, Clone)]
pub struct Scope {
    actor: Arc<Actor>,
    rule: Rule,
    customer: CustomerId,
}

impl Scope {
    /// Whose rows.
    pub fn customer(&self) -> CustomerId {
        self.customer
    }
    /// The rule it was given by.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }
    /// The role by which it was given.
    pub fn role(&self) -> Option<Role> {
        self.actor.role
    }
    /// Whether it is the owner's own.
    pub fn is_owner(&self) -> bool {
        matches!(self.actor.basis, Basis::Owner(_))
    }
    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The right of a job that the runner has claimed.
    pub(crate) fn of_job(job: JobId, customer: CustomerId, rule: Rule) -> Self {
        let origin = Arc::new(Origin { request_id: format!("job-{job}"), address: None });
        let actor = Actor { identity: None, role: None, origin, basis: Basis::Job(job) };
        Self { actor: Arc::new(actor), rule, customer }
    }

    /// The right to the rows of another customer whom the same change concerns, such as the one who moved out of the
    /// place. It rests on what the change itself found: no caller can ask for it.
    #[must_use]
    pub fn counterpart(&self, customer: CustomerId) -> Self {
        let origin = Origin { request_id: self.actor.origin.request_id.clone(), address: None };
        let actor = Actor { identity: None, role: None, origin: Arc::new(origin), basis: Basis::Counterpart };
        // Whether the other side is active makes no difference to what happens at the place.
        let rule = Rule { while_inactive: true, ..self.rule };
        Self { actor: Arc::new(actor), rule, customer }
    }
}

/// The right to make a customer, or to become one: whose data it is comes out within the operation.
#[derive(Debug, Clone)]
pub struct Founder {
    caller: Caller,
    rule: Rule,
    /// Staff; `None` for a person on their own behalf.
    basis: Option<Basis>,
}

impl Founder {
    /// Who asks.
    pub fn identity(&self) -> &Identity {
        self.caller.identity()
    }
    /// Whether it is a person who becomes the customer.
    pub fn is_person(&self) -> bool {
        self.basis.is_none()
    }
    /// The rule it was given by.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }
    /// The role by which it was given.
    pub fn role(&self) -> Option<Role> {
        self.caller.role(self.rule.roles)
    }
    /// The right to the rows of the customer who was made or found. A person is the owner: what they did is sealed
    /// under the customer's key.
    pub(crate) fn of(&self, customer: CustomerId, key: &Arc<DataKey>, status: Status) -> Scope {
        let owner = || Link { customer, key: Arc::clone(key), status, inactive_since: None };
        let basis = self.basis.clone().unwrap_or_else(|| Basis::Owner(Arc::new(owner())));
        Scope { actor: Arc::new(self.caller.actor(&self.rule, basis)), rule: self.rule, customer }
    }
}

/// The right to work on many customers' rows at once.
#[derive(Debug, Clone)]
pub struct Crowd {
    actor: Arc<Actor>,
    rule: Rule,
}

impl Crowd {
    /// The right of a message from a topic.
    pub fn of_message(source: Arc<str>, message_id: String, rule: Rule) -> Self {
        let origin = Arc::new(Origin { request_id: message_id, address: None });
        let actor = Actor { identity: None, role: None, origin, basis: Basis::Message(source) };
        Self { actor: Arc::new(actor), rule }
    }

    /// The role by which it was given.
    pub fn role(&self) -> Option<Role> {
        self.actor.role
    }

    /// The right to the rows of one of them.
    pub fn member(&self, customer: CustomerId) -> Scope {
        Scope { actor: Arc::clone(&self.actor), rule: self.rule, customer }
    }

    /// The rule it was given by.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }
    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }
}
