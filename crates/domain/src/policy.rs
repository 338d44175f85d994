//! Who may do what: roles, whose data a rule reaches, the categories that it reveals, and the verified identity.

use crate::named_enum;

named_enum! {
    /// What a caller is, as far as an issuer may grant it. A role counts only when it comes from an
    /// issuer whose configuration lists it.
    Role {
        /// A customer, or a person who may become one.
        Customer = "customer",
        /// A customer service representative.
        Csr = "csr",
        /// A supervisor of representatives.
        Supervisor = "supervisor",
        /// An administrator.
        Admin = "admin",
        /// Staff who may only look.
        Readonly = "readonly",
        /// The Billing service.
        Billing = "billing",
        /// The Meter service.
        Meter = "meter",
        /// The Market service.
        Market = "market",
        /// The Notifications service.
        Notifications = "notifications",
    }
}

bitflags::bitflags! {
    /// A set of roles.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
    pub struct Roles: u16 {
        /// Customers, and persons who may become one.
        const CUSTOMER = 1 << Role::Customer as u16;
        /// Representatives.
        const CSR = 1 << Role::Csr as u16;
        /// Supervisors.
        const SUPERVISOR = 1 << Role::Supervisor as u16;
        /// Administrators.
        const ADMIN = 1 << Role::Admin as u16;
        /// Staff who may only look.
        const READONLY = 1 << Role::Readonly as u16;
        /// The Billing service.
        const BILLING = 1 << Role::Billing as u16;
        /// The Meter service.
        const METER = 1 << Role::Meter as u16;
        /// The Market service.
        const MARKET = 1 << Role::Market as u16;
        /// The Notifications service.
        const NOTIFICATIONS = 1 << Role::Notifications as u16;
        /// All staff.
        const STAFF = Self::CSR.bits() | Self::SUPERVISOR.bits() | Self::ADMIN.bits() | Self::READONLY.bits();
        /// Staff who may change what they see.
        const CLERKS = Self::CSR.bits() | Self::SUPERVISOR.bits() | Self::ADMIN.bits();
        /// Staff who decide what a clerk may not.
        const SUPERVISORS = Self::SUPERVISOR.bits() | Self::ADMIN.bits();
        /// All neighbouring services.
        const SERVICES = Self::BILLING.bits() | Self::METER.bits() | Self::MARKET.bits() | Self::NOTIFICATIONS.bits();
    }
}

impl Roles {
    /// The set of the listed roles.
    pub fn of(roles: &[Role]) -> Self {
        roles.iter().map(|role| Self::from_bits_truncate(1 << *role as u16)).collect()
    }
    /// The roles of the set, by name.
    pub fn list(self) -> impl Iterator<Item = (Role, &'static str)> {
        use crate::input::Named;
        Role::ALL.iter().copied().filter(move |(role, _)| self.intersects(Self::of(&[*role])))
    }
}

bitflags::bitflags! {
    /// A set of categories of personal data, as the audit log names them.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
    pub struct Categories: u32 {
        /// Names, e-mail, phone.
        const PROFILE = 1;
        /// Account numbers, nicknames, status.
        const ACCOUNT = 1 << 1;
        /// Balances, due amounts, payments.
        const BALANCE = 1 << 2;
        /// Addresses of premises, ESI IDs.
        const PREMISE = 1 << 3;
        /// Meters.
        const METER = 1 << 4;
        /// Readings and usage.
        const USAGE = 1 << 5;
        /// Preferences, consents, mailing address.
        const PREFERENCE = 1 << 6;
        /// Payment methods as Billing reported them.
        const PAYMENT_METHOD = 1 << 7;
        /// What happened and who looked: the timeline, the audit log.
        const HISTORY = 1 << 8;
    }
}

impl Categories {
    /// Nothing personal.
    pub const NONE: Self = Self::empty();

    /// The names, as people read them.
    pub fn names(self) -> impl Iterator<Item = String> {
        self.iter_names().map(|(name, _)| name.to_ascii_lowercase().replace('_', "-"))
    }
}

/// Who signed a request, proved by a verified token.
///
/// Only the authentication step makes one: `clippy.toml` bans [`Identity::verified`] everywhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    issuer: std::sync::Arc<str>,
    subject: String,
    roles: Roles,
}

impl Identity {
    /// The identity that a verified token proves.
    pub fn verified(issuer: std::sync::Arc<str>, subject: String, roles: Roles) -> Self {
        Self { issuer, subject, roles }
    }
    /// The configured issuer (`iss`).
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
    /// The subject (`sub`): personal data wherever it is stored.
    pub fn subject(&self) -> &str {
        &self.subject
    }
    /// The roles that this issuer granted and may grant.
    pub fn roles(&self) -> Roles {
        self.roles
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("issuer", &self.issuer).field("roles", &self.roles).finish_non_exhaustive()
    }
}

/// Whose data a rule reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// That of the customer to whom the caller is linked.
    Own,
    /// That of one customer, whom the path names or to whom the resource in it belongs.
    Named,
    /// That of many customers at once: a search, a list, a batch.
    Many,
    /// That of a customer whom the operation makes, or finds by what the caller knows. A caller who is a customer
    /// already works on their own data.
    New,
}

/// What a route lets some roles do: one row of the route table by route and role. Authorization works from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The operation's name, in the API description and the audit log.
    pub action: &'static str,
    /// Who may call it: one of these roles is enough.
    pub roles: Roles,
    /// Whose data.
    pub reach: Reach,
    /// Whether the caller has to say why: staff, where one customer's data is opened.
    pub reason: bool,
    /// What its answer reveals.
    pub categories: Categories,
    /// Whether an inactive customer may still use it (reading: for [`crate::status::READABLE_DAYS`]), and staff
    /// may use it on one.
    pub while_inactive: bool,
}
