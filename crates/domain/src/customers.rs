//! Customers: persons and businesses.

use crate::{
    ids::{AccountId, CustomerId},
    input::Members,
    named_enum,
    personal::Personal,
    status::{Status, changed},
    time::{Instant, LocalDate},
    values::{AccountNumber, BusinessName, EmailAddress, FullName, Money, Nickname, PersonName, PhoneNumber},
};

named_enum! {
    /// The two kinds of customer.
    CustomerType {
        /// A person.
        Individual = "individual",
        /// A business.
        Business = "business",
    }
}

/// The kind of customer, with the name that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerName {
    /// A person.
    Individual {
        /// Given name.
        first: PersonName,
        /// Family name.
        last: PersonName,
    },
    /// A business.
    Business {
        /// The name of the business.
        name: BusinessName,
    },
}

impl CustomerName {
    /// The kind of customer that has such a name.
    pub fn kind(&self) -> CustomerType {
        match self {
            Self::Individual { .. } => CustomerType::Individual,
            Self::Business { .. } => CustomerType::Business,
        }
    }

    /// The name in one line, as it stands on a letter.
    #[expect(clippy::disallowed_methods, reason = "personal texts become a personal text")]
    pub fn full(&self) -> FullName {
        FullName::from_record(match self {
            Self::Individual { first, last } => format!("{} {}", first.reveal(), last.reveal()),
            Self::Business { name } => name.reveal().to_owned(),
        })
    }
}

/// A customer with the list of accounts.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Its id.
    pub id: CustomerId,
    /// Person or business.
    pub name: CustomerName,
    /// Null when unknown.
    pub email: Option<EmailAddress>,
    /// Null when unknown.
    pub phone: Option<PhoneNumber>,
    /// Where the customer is in its life.
    pub status: Status,
    /// When the customer came.
    pub created_at: Instant,
    /// Counts the changes of the customer's own row.
    pub version: i64,
    /// The accounts, by id.
    pub accounts: Vec<AccountEntry>,
}

/// An account as the customer's profile lists it.
#[derive(Debug, Clone)]
pub struct AccountEntry {
    /// Its id.
    pub id: AccountId,
    /// The number on the bill.
    pub number: AccountNumber,
    /// What the customer calls it.
    pub nickname: Option<Nickname>,
    /// Where it is in its life.
    pub status: Status,
}

/// What a customer may change of the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerEdit {
    /// The name, of the stored kind.
    pub name: CustomerName,
    /// Null for none.
    pub email: Option<EmailAddress>,
    /// Null for none.
    pub phone: Option<PhoneNumber>,
}

impl CustomerEdit {
    /// The members that a customer of either kind has.
    pub const MEMBERS: &'static [&'static str] = &["firstName", "lastName", "businessName", "email", "phone"];

    /// Reads the members of a customer of this kind.
    pub fn read(members: &mut Members<'_, '_>, kind: CustomerType) -> Option<Self> {
        let name = match kind {
            CustomerType::Business => members.required("businessName").map(|name| CustomerName::Business { name }),
            CustomerType::Individual => {
                let (first, last) = (members.required("firstName"), members.required("lastName"));
                first.zip(last).map(|(first, last)| CustomerName::Individual { first, last })
            }
        };
        let (email, phone) = (members.required("email"), members.required("phone"));
        Some(Self { name: name?, email: email?, phone: phone? })
    }

    /// The names of the fields in which this differs from what is stored.
    pub fn changes(&self, current: &Customer) -> Vec<&'static str> {
        let Self { name, email, phone } = self;
        let (first, last, business) = match (name, &current.name) {
            (CustomerName::Individual { first, last }, CustomerName::Individual { first: f, last: l }) => {
                (first != f, last != l, false)
            }
            (CustomerName::Business { name }, CustomerName::Business { name: n }) => (false, false, name != n),
            _ => (true, true, true),
        };
        changed(&[
            ("firstName", first),
            ("lastName", last),
            ("businessName", business),
            ("email", *email != current.email),
            ("phone", *phone != current.phone),
        ])
    }
}

/// What a customer has and owes, over all accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Active accounts.
    pub accounts: i64,
    /// Premises in service.
    pub premises: i64,
    /// Meters in service.
    pub meters: i64,
    /// The sum of what was reported; `None` when nothing was.
    pub current_balance: Option<Money>,
    /// The sum of what is due. One account's credit never lowers another's due amount.
    pub due_amount: Option<Money>,
    /// The earliest date on which something is due.
    pub next_due_date: Option<LocalDate>,
}
