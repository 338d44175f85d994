//! What happened to a customer's data and who looked, as people read it: kinds of actors and listed codes, no names.

use crate::{events::EventType, named_enum, policy::Categories, time::Instant};

named_enum! {
    /// Who acted, as far as a customer is told: never a name.
    By {
        /// The customer.
        Customer = "customer",
        /// A representative, or staff who may only look.
        CustomerService = "customer-service",
        /// A supervisor of representatives.
        Supervisor = "supervisor",
        /// An administrator, also at the command line.
        Administrator = "administrator",
        /// The Billing service.
        Billing = "billing",
        /// The Meter service.
        Meter = "meter",
        /// The Market service.
        Market = "market",
        /// The Notifications service.
        Notifications = "notifications",
        /// A job, or somebody else's change that concerns this customer, too.
        Service = "the service itself",
    }
}

impl By {
    /// As the customer is told.
    pub fn to_the_customer(self) -> &'static str {
        use crate::input::Named;
        if self == Self::Customer { "you" } else { self.name() }
    }
}

/// A look at a customer's data, or a change of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// When.
    pub at: Instant,
    /// Who.
    pub by: By,
    /// Why, as staff said.
    pub reason: Option<String>,
    /// Whether something was changed.
    pub changed: bool,
    /// What was shown.
    pub what: Categories,
}

/// Something that happened to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// Counts the customer's events.
    pub sequence: i64,
    /// When.
    pub at: Instant,
    /// What.
    pub kind: EventType,
    /// To what, as `account/1001`.
    pub resource: String,
    /// By whom.
    pub by: By,
    /// The names of the members that changed.
    pub changed: Vec<String>,
    /// The status before.
    pub from: Option<String>,
    /// The status afterwards.
    pub to: Option<String>,
    /// Why: a listed code.
    pub reason: Option<String>,
}
