//! What neighbouring services fetch: customers, accounts, premises and meters as far as somebody's role needs them.

use crate::{
    customers::CustomerName,
    ids::{AccountId, CustomerId, MeterId, PremiseId},
    meters::{MeterStatus, MeterType},
    preferences::Preferences,
    premises::Address,
    readings::{Dial, Register},
    status::Status,
    time::{Instant, LocalDate},
    values::{AccountNumber, City, EmailAddress, EsiId, MeterNumber, PhoneNumber, State, StreetLines, Zip},
};

/// Which of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// These ids, as far as there are such.
    Ids(Vec<i64>),
    /// A page of all of them, in the order of (updatedAt, id).
    Behind {
        /// The last one that is not wanted.
        position: (Instant, i64),
        /// How many at most.
        limit: i64,
    },
}

/// A customer.
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
    /// Counts the changes of the customer's own row.
    pub version: i64,
    /// The preferences, for who may see them.
    pub preferences: Option<Preferences>,
}

/// Where letters go, in full.
#[derive(Debug, Clone)]
pub struct PostalAddress {
    /// One or two lines.
    pub street: StreetLines,
    /// City.
    pub city: City,
    /// Two letters.
    pub state: State,
    /// ZIP code.
    pub zip: Zip,
}

/// An account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Its owner.
    pub customer: CustomerId,
    /// The number on the bill.
    pub number: AccountNumber,
    /// Where it is in its life.
    pub status: Status,
    /// Counts the changes of its own row.
    pub version: i64,
    /// Where its letters go, for who may see that: the customer's address of their own, or the primary premise.
    pub mailing: Option<PostalAddress>,
}

/// A premise.
#[derive(Debug, Clone)]
pub struct Premise {
    /// Its id.
    pub id: PremiseId,
    /// Its owner.
    pub customer: CustomerId,
    /// The account that pays for it.
    pub account: AccountId,
    /// Where it is in its life.
    pub status: Status,
    /// Whether it is the account's primary premise.
    pub is_primary: bool,
    /// The first date of service.
    pub service_start: LocalDate,
    /// The first date without service.
    pub service_end: Option<LocalDate>,
    /// Where it is.
    pub address: Address,
    /// The market's ids of its service points.
    pub esi_ids: Vec<EsiId>,
    /// Counts the changes of its own row.
    pub version: i64,
}

/// A meter with the occupancy that it serves.
#[derive(Debug, Clone)]
pub struct Meter {
    /// Its id.
    pub id: MeterId,
    /// Who lives there.
    pub customer: CustomerId,
    /// The occupancy.
    pub premise: PremiseId,
    /// The number on its plate.
    pub number: MeterNumber,
    /// What it measures.
    pub kind: MeterType,
    /// Where it is in its life.
    pub status: MeterStatus,
    /// Which registers it has.
    pub registers: Vec<Register>,
    /// Dials and multiplier.
    pub dial: Dial,
    /// The market's id of its service point, for who may see it.
    pub esi_id: Option<EsiId>,
    /// The first date of the occupancy.
    pub service_start: LocalDate,
    /// The first date without it.
    pub service_end: Option<LocalDate>,
    /// Counts the changes of the meter's row.
    pub version: i64,
}
