//! Meters: installed at a service point, seen by a customer only through an occupancy.

mod operations;

pub use self::operations::*;
use crate::{
    ids::{AccountId, MeterId, PremiseId, ServicePointId},
    named_enum,
    readings::{Dial, Register},
    time::{Instant, LocalDate},
    values::{MeterNumber, Quantity},
};

named_enum! {
    /// What a meter measures.
    MeterType {
        /// Electricity, in kWh.
        Electric = "electric",
    }
}

impl MeterType {
    /// The unit of its readings.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Electric => "kWh",
        }
    }
}

named_enum! {
    /// The life of a meter.
    MeterStatus {
        /// Installed, without occupant: invisible outside enrolment and staff.
        Available = "available",
        /// Installed and in use.
        Active = "active",
        /// Removed.
        Inactive = "inactive",
    }
}

named_enum! {
    /// Which registers a meter has, as one column.
    Registers {
        /// What is delivered.
        Delivered = "delivered",
        /// What is delivered, and what the customer's generation gives back.
        Both = "delivered,received",
    }
}

impl Registers {
    /// Whether a register is among them.
    pub fn count(self, register: Register) -> bool {
        self == Self::Both || register == Register::Delivered
    }

    /// All of them.
    pub fn list(self) -> &'static [Register] {
        match self {
            Self::Delivered => &[Register::Delivered],
            Self::Both => &[Register::Delivered, Register::Received],
        }
    }
}

/// A meter as one occupancy sees it.
#[derive(Debug, Clone)]
pub struct Meter {
    /// Its id.
    pub id: MeterId,
    /// The number on its plate, unique per wires company.
    pub number: MeterNumber,
    /// What it measures.
    pub kind: MeterType,
    /// Where it is in its life.
    pub status: MeterStatus,
    /// The service point at which it is installed.
    pub service_point: ServicePointId,
    /// The date of its installation.
    pub installed_on: LocalDate,
    /// Dials and multiplier.
    pub dial: Dial,
    /// Which registers it has.
    pub registers: Registers,
    /// Counts the changes of the meter's own row.
    pub version: i64,
    /// The last reading within the occupancy, with its instant.
    pub last_reading: Option<(Quantity, Instant)>,
    /// The instants between which its readings belong to the occupancy: both ends are shared boundaries.
    pub visible: (Instant, Option<Instant>),
}

/// A meter with the account and premise it serves, for sums over several.
#[derive(Debug, Clone)]
pub struct Served {
    /// The account that pays.
    pub account: AccountId,
    /// The occupancy.
    pub premise: PremiseId,
    /// The meter as the occupancy sees it.
    pub meter: Meter,
}
