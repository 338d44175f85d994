//! Events: what neighbours hear of a change. They carry ids, versions and the names of changed fields,
//! never personal data; a neighbour fetches what it may see.

use serde::Serialize;

use crate::{
    ids::{AccountId, CustomerId, MeterId, PremiseId},
    named_enum,
    status::{Status, StatusReason},
    time::LocalDate,
};

named_enum! {
    /// What happened.
    EventType {
        /// New customer enrolled.
        CustomerCreated = "CustomerCreated",
        /// Customer profile, or what the customer calls an account, changed.
        CustomerUpdated = "CustomerUpdated",
        /// New account added.
        AccountCreated = "AccountCreated",
        /// Account activated or deactivated.
        AccountStatusChanged = "AccountStatusChanged",
        /// New premise added.
        PremiseAdded = "PremiseAdded",
        /// Premise changed.
        PremiseUpdated = "PremiseUpdated",
        /// Meter added to premise.
        MeterInstalled = "MeterInstalled",
        /// Meter removed from premise.
        MeterRemoved = "MeterRemoved",
        /// Customer preferences changed.
        PreferencesUpdated = "PreferencesUpdated",
    }
}

/// The resource that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The customer, or their preferences.
    Customer,
    /// An account.
    Account(AccountId),
    /// A premise of an account.
    Premise(AccountId, PremiseId),
    /// A meter at a premise.
    Meter(PremiseId, MeterId),
}

/// From which status to which one, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// The status before.
    pub from: Status,
    /// The status after.
    pub to: Status,
    /// The first local date on which it counts.
    pub effective_date: LocalDate,
    /// Why.
    pub reason: StatusReason,
}

/// One event, before it has its sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    kind: EventType,
    subject: Subject,
    version: Option<i64>,
    changed: Vec<&'static str>,
    transition: Option<Transition>,
}

/// The data as it goes to consumers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    customer_id: CustomerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    premise_id: Option<PremiseId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meter_id: Option<MeterId>,
    version: i64,
    changed: &'a [&'static str],
    #[serde(flatten)]
    transition: Option<Transition>,
}

impl Event {
    /// An event about a resource.
    pub fn new(kind: EventType, subject: Subject) -> Self {
        Self { kind, subject, version: None, changed: Vec::new(), transition: None }
    }

    /// With the names of the fields that changed.
    #[must_use]
    pub fn changed(self, changed: Vec<&'static str>) -> Self {
        Self { changed, ..self }
    }

    /// With the resource's version after the change; integration reads return the same number. Unless it is given,
    /// it is the version of what the change answers with.
    #[must_use]
    pub fn version(self, version: i64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// With what became of the status.
    #[must_use]
    pub fn transition(self, transition: Transition) -> Self {
        Self { transition: Some(transition), ..self.changed(vec!["status"]) }
    }

    /// What happened.
    pub fn kind(&self) -> EventType {
        self.kind
    }

    /// The data as it goes to consumers: JSON. `answered` is the version of what the change answers with.
    ///
    /// # Errors
    /// When it does not encode: a defect.
    pub fn data(&self, customer: CustomerId, answered: i64) -> Result<String, serde_json::Error> {
        let Self { kind: _, subject, version, changed, transition } = self;
        let (account_id, premise_id, meter_id) = match *subject {
            Subject::Customer => (None, None, None),
            Subject::Account(account) => (Some(account), None, None),
            Subject::Premise(account, premise) => (Some(account), Some(premise), None),
            Subject::Meter(premise, meter) => (None, Some(premise), Some(meter)),
        };
        let (version, transition) = (version.unwrap_or(answered), *transition);
        let data = Data { customer_id: customer, account_id, premise_id, meter_id, version, changed, transition };
        serde_json::to_string(&data)
    }
}

/// The events of one change. A change without events says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Events {
    /// These happened.
    Of(Vec<Event>),
    /// Nobody needs to hear, for the reason given.
    None(&'static str),
}
