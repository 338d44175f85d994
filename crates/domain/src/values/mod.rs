//! The values of the service: texts, numbers and amounts whose constructors are their validation.
//! A normalised value parses to itself, so that what was read can always be sent back.
//!
//! Personal texts are made by [`crate::personal_types!`]; what stands there unsealed (account and
//! meter numbers, money, quantities) has `Display` and `Serialize`.

mod contact;
mod decimal;
mod esi;
mod names;
mod numbers;
mod text;

pub use contact::{EmailAddress, PhoneNumber, fold_email, fold_phone};
pub use decimal::{Money, Quantity};
pub use esi::{EsiId, EsiIds, WiresCompanies, WiresCompany};
pub use names::{
    BusinessName, City, FullName, Label, Message, Nickname, PersonName, Remark, SearchText, State, Street, StreetLines,
    Unit, Zip,
};
pub use numbers::{AccountNumber, MeterNumber, RejectionCode, TransactionId};
pub use text::fold;
