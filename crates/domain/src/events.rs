//! Events: what neighbours hear of a change. They carry ids, versions and the names of changed fields,
//! never personal data; a neighbour fetches what it may see.

use serde::Serialize;

use crate::{
    ids::{AccountId, CustomerId, EnrollmentId, MeterId, PremiseId, RequestId},
    input::Named,
    named_enum,
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
        /// A person asked to become a customer; nothing else is told before it is approved.
        EnrollmentSubmitted = "EnrollmentSubmitted",
        /// Somebody lives at a place now: service began.
        OccupancyStarted = "OccupancyStarted",
        /// Nobody of the account lives there any more: service ended. The meter stays.
        OccupancyEnded = "OccupancyEnded",
        /// The market has something to do.
        MarketRequestOpened = "MarketRequestOpened",
        /// A request to the market went on, or got another date.
        MarketRequestChanged = "MarketRequestChanged",
        /// The market need not do it any more.
        MarketRequestCancelled = "MarketRequestCancelled",
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
    /// An enrolment, with what it is to become.
    Enrollment(AccountId, PremiseId, EnrollmentId),
    /// A request to the market, with what it is about.
    MarketRequest(AccountId, PremiseId, RequestId),
}

/// From which status to which one, since when and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    from: &'static str,
    to: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_date: Option<LocalDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl Transition {
    /// From one status to another.
    pub fn new<S: Named>(from: S, to: S) -> Self {
        Self { from: from.name(), to: to.name(), effective_date: None, reason: None }
    }
    /// The first local date on which the new status counts.
    #[must_use]
    pub fn on(self, date: LocalDate) -> Self {
        Self { effective_date: Some(date), ..self }
    }
    /// Why: a listed code.
    #[must_use]
    pub fn because(self, reason: impl Named) -> Self {
        Self { reason: Some(reason.name()), ..self }
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollment_id: Option<EnrollmentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
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
        let mut data = Data {
            customer_id: customer,
            account_id: None,
            premise_id: None,
            meter_id: None,
            enrollment_id: None,
            request_id: None,
            version: version.unwrap_or(answered),
            changed,
            transition: *transition,
        };
        match *subject {
            Subject::Customer => {}
            Subject::Account(account) => data.account_id = Some(account),
            Subject::Premise(account, premise) => (data.account_id, data.premise_id) = (Some(account), Some(premise)),
            Subject::Meter(premise, meter) => (data.premise_id, data.meter_id) = (Some(premise), Some(meter)),
            Subject::Enrollment(account, premise, enrollment) => {
                (data.account_id, data.premise_id) = (Some(account), Some(premise));
                data.enrollment_id = Some(enrollment);
            }
            Subject::MarketRequest(account, premise, request) => {
                (data.account_id, data.premise_id) = (Some(account), Some(premise));
                data.request_id = Some(request);
            }
        }
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
