//! Customers: persons and businesses.

use crate::{
    ids::{AccountId, CustomerId, IdentityId},
    input,
    input::{FieldError, Members},
    named_enum,
    personal::Personal,
    personal_types,
    preferences::Language,
    status::{Status, StatusReason, changed},
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

input! {
    /// A customer whom staff make: a person with `firstName` and `lastName`, or a business with `businessName`.
    Registration {
        /// Given name.
        first_name: Option<PersonName> = "firstName",
        /// Family name.
        last_name: Option<PersonName> = "lastName",
        /// The name of a business.
        business_name: Option<BusinessName> = "businessName",
        /// Null when unknown.
        email: Option<EmailAddress> = "email",
        /// Null when unknown.
        phone: Option<PhoneNumber> = "phone",
        /// The language of what is sent; English unless it is given.
        language: Option<Language> = "language",
    }
}

impl Registration {
    /// The profile that it makes.
    ///
    /// # Errors
    /// Where the names are not those of one kind of customer.
    pub fn profile(&self) -> Result<CustomerEdit, Vec<FieldError>> {
        let Self { first_name, last_name, business_name, email, phone, language: _ } = self.clone();
        let name = match (first_name, last_name, business_name) {
            (Some(first), Some(last), None) => CustomerName::Individual { first, last },
            (None, None, Some(name)) => CustomerName::Business { name },
            (first, last, business) => {
                let missing = "Write the two names of a person, or the name of a business.";
                let both = "A business has no names of a person.";
                let error = |pointer: &str, code, message| FieldError {
                    pointer: pointer.to_owned(),
                    ..FieldError::new(code, message)
                };
                let of = |pointer, given: bool| match (business.is_some(), given) {
                    (true, true) => Some(error(pointer, "must-be-null", both)),
                    (false, false) => Some(error(pointer, "missing", missing)),
                    _ => None,
                };
                let names = [of("/firstName", first.is_some()), of("/lastName", last.is_some())];
                return Err(names.into_iter().flatten().collect());
            }
        };
        Ok(CustomerEdit { name, email, phone })
    }
}

input! {
    /// A customer ends, today or on a day that has passed.
    CustomerDeactivation {
        /// The first local date on which the customer is inactive: today unless it is given.
        effective_date: Option<LocalDate> = "effectiveDate",
        /// Why.
        reason: StatusReason = "reason",
    }
}

/// What an issuer calls a person (OpenID Connect Core section 2): at most 255 ASCII characters, told apart by case.
fn subject(text: &str) -> Result<String, FieldError> {
    if (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(FieldError::new("invalid-subject", "Write the claim `sub`: 1 to 255 ASCII characters without blanks."))
}

personal_types! {
    /// The claim `sub` of a log-in.
    LoginSubject by subject, schema
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$",
         "examples": ["f3b1c0de-5c1b-4f0e-9a59-0c1f6a0f7d11"]};
}

/// A log-in that leads to a customer. Whose it is at the issuer is not known any more: only a hash is kept.
#[derive(Debug, Clone)]
pub struct LinkedIdentity {
    /// Its id.
    pub id: IdentityId,
    /// Who issues its tokens.
    pub issuer: String,
    /// Since when it leads to the customer.
    pub linked_at: Instant,
}

/// All log-ins of a customer, by id.
#[derive(Debug, Clone)]
pub struct Identities(pub Vec<LinkedIdentity>);

/// An issuer's name as it was sent: it has to be one of the configured ones.
#[derive(Debug, Clone, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(transparent)]
pub struct IssuerName(#[schemars(length(min = 1, max = 200))] pub String);

impl input::FromInput for IssuerName {
    fn from_input(node: &input::Node, at: &mut input::At<'_>) -> Option<Self> {
        input::text(node, at, |text| match text.len() {
            1..=200 => Ok(Self(text.to_owned())),
            _ => Err(FieldError::new("too-long", "Write at most 200 characters.")),
        })
    }
}

input! {
    /// One more log-in leads to the customer.
    LinkIdentity {
        /// The issuer (`iss`) of its tokens: one of those that the service is configured with.
        issuer: IssuerName = "issuer",
        /// The subject (`sub`) of its tokens.
        subject: LoginSubject = "subject",
    }
}

input! {
    /// A log-in leads to the customer no more.
    UnlinkIdentity {}
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
