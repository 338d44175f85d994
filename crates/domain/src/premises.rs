//! Premises. A premise is one account's occupancy of a place, from move-in to move-out; the place, its
//! service points and meters belong to no customer and outlive it.

use crate::{
    edits,
    ids::{AccountId, CustomerId, PremiseId, ServicePointId},
    input,
    meters::Meter,
    status::Status,
    time::{Instant, LocalDate},
    values::{City, EsiId, Nickname, State, Street, Unit, Zip},
};

input! {
    /// Where a premise is, as its customer writes it.
    Address {
        /// House number and street.
        street: Street = "street",
        /// Apartment or suite.
        unit: Option<Unit> = "unit",
        /// City.
        city: City = "city",
        /// Two letters.
        state: State = "state",
        /// ZIP code.
        zip: Zip = "zip",
    }
}

/// A service point in force at a premise.
#[derive(Debug, Clone)]
pub struct ServicePoint {
    /// Its id.
    pub id: ServicePointId,
    /// The market's id of it.
    pub esi_id: EsiId,
    /// The company that owns the wires.
    pub wires_company: String,
    /// Where to report an outage.
    pub outage_phone: Option<String>,
}

/// A premise with its meters, and its service points where they were read.
#[derive(Debug, Clone)]
pub struct Premise {
    /// Its id.
    pub id: PremiseId,
    /// Its owner.
    pub customer: CustomerId,
    /// The account that pays for it.
    pub account: AccountId,
    /// What the customer calls it.
    pub nickname: Option<Nickname>,
    /// Where it is.
    pub address: Address,
    /// Whether it is the account's primary premise; one an account is.
    pub is_primary: bool,
    /// Where it is in its life.
    pub status: Status,
    /// The first date of service.
    pub service_start: LocalDate,
    /// The date on which service ended: the first one without service.
    pub service_end: Option<LocalDate>,
    /// The occupancy's instants, half open: [start, end).
    pub occupancy: (Instant, Option<Instant>),
    /// Counts the changes of the premise's own row.
    pub version: i64,
    /// Its service points, by id.
    pub service_points: Vec<ServicePoint>,
    /// Its meters, by id.
    pub meters: Vec<Meter>,
}

edits! {
    /// What an owner may change of a premise; city, state and ZIP are the market's when it has an ESI ID.
    PremiseEdit of Premise, in "" {
        /// What the customer calls it; null for nothing.
        nickname: Option<Nickname> = "nickname" at nickname,
        /// House number and street.
        street: Street = "street" at address.street,
        /// Apartment or suite.
        unit: Option<Unit> = "unit" at address.unit,
        /// City.
        city: City = "city" at address.city,
        /// Two letters.
        state: State = "state" at address.state,
        /// ZIP code.
        zip: Zip = "zip" at address.zip,
    }
}
