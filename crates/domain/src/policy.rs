//! Who may do what: roles, the categories of data that a route reveals, and the verified identity.

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

/// A set of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Roles(u16);

impl Roles {
    /// A set of the listed roles.
    pub const fn of(roles: &[Role]) -> Self {
        let mut bits = 0;
        let mut rest = roles;
        while let [first, others @ ..] = rest {
            bits |= 1 << *first as u16;
            rest = others;
        }
        Self(bits)
    }
    /// Whether both sets have a role in common.
    pub const fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    /// The roles that are in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    /// The roles by name.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        use crate::input::Named;
        Role::ALL.iter().filter(move |(role, _)| self.meet(Self::of(&[*role]))).map(|(_, name)| *name)
    }
}

/// A set of categories of personal data, as the audit log names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Categories(u32);

impl Categories {
    /// Nothing personal.
    pub const NONE: Self = Self(0);
    /// Names, e-mail, phone.
    pub const PROFILE: Self = Self(1);
    /// Account numbers, nicknames, status.
    pub const ACCOUNT: Self = Self(1 << 1);
    /// Balances, due amounts, payments.
    pub const BALANCE: Self = Self(1 << 2);
    /// Addresses of premises, ESI IDs.
    pub const PREMISE: Self = Self(1 << 3);
    /// Meters.
    pub const METER: Self = Self(1 << 4);
    /// Readings and usage.
    pub const USAGE: Self = Self(1 << 5);
    /// Preferences, consents, mailing address.
    pub const PREFERENCE: Self = Self(1 << 6);
    /// Payment methods as Billing reported them.
    pub const PAYMENT_METHOD: Self = Self(1 << 7);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::PROFILE, "profile"),
        (Self::ACCOUNT, "account"),
        (Self::BALANCE, "balance"),
        (Self::PREMISE, "premise"),
        (Self::METER, "meter"),
        (Self::USAGE, "usage"),
        (Self::PREFERENCE, "preference"),
        (Self::PAYMENT_METHOD, "payment-method"),
    ];

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// The set as one number, the form of the audit log.
    pub const fn bits(self) -> i64 {
        self.0 as i64
    }
    /// The names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(one, _)| self.contains(*one)).map(|(_, name)| name)
    }
    /// From the number of the audit log; unknown bits are dropped.
    pub fn from_bits(bits: i64) -> Self {
        Self::NAMES.iter().filter(|(one, _)| bits & one.bits() != 0).fold(Self::NONE, |set, (one, _)| set.and(*one))
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

/// What a route lets whom do: the row of the route table that authorization works from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The operation's name, in the API description and the audit log.
    pub action: &'static str,
    /// Who may call it: one of these roles is enough.
    pub roles: Roles,
    /// What its answer reveals.
    pub categories: Categories,
    /// Whether an inactive customer may still use it (reading: for [`crate::accounts::READABLE_DAYS`]).
    pub while_inactive: bool,
}
