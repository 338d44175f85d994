//! Events: what neighbours hear of a change. They carry ids, versions and the names of changed fields,
//! never personal data; a neighbour fetches what it may see.

use serde_json::{Map, Value};

use crate::{
    ids::{AccountId, CustomerId, Id, MeterId, PremiseId},
    named_enum,
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

/// One event, before it has its sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventType,
    /// To which resource.
    pub subject: Subject,
    /// The resource's version after the change; integration reads return the same number.
    pub version: i64,
    /// The names of the fields that changed.
    pub changed: Vec<&'static str>,
}

impl Event {
    /// The event's data as it goes to consumers.
    pub fn data(&self, customer: CustomerId) -> String {
        let Self { kind: _, subject, version, changed } = self;
        let mut data = Map::new();
        data.insert("customerId".into(), customer.get().into());
        match *subject {
            Subject::Customer => {}
            Subject::Account(account) => drop(data.insert("accountId".into(), account.get().into())),
            Subject::Premise(account, premise) => {
                data.insert("accountId".into(), account.get().into());
                data.insert("premiseId".into(), premise.get().into());
            }
            Subject::Meter(premise, meter) => {
                data.insert("premiseId".into(), premise.get().into());
                data.insert("meterId".into(), meter.get().into());
            }
        }
        data.insert("version".into(), (*version).into());
        data.insert("changed".into(), changed.clone().into());
        Value::Object(data).to_string()
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
