//! The words of the service: types whose constructors are the validation, the invariants between
//! them, who may do what, and the events that tell of changes. Pure: no I/O, no SQL, no HTTP.
//!
//! The slices (`customers`, `accounts`, `premises`, `meters`, `readings`, `usage`, `preferences`) carry
//! the same names in every crate: whoever looks for readings opens `readings` in each wall.

pub mod accounts;
pub mod claims;
pub mod customers;
pub mod enrollments;
pub mod events;
pub mod history;
pub mod ids;
pub mod input;
pub mod integration;
pub mod jobs;
pub mod market;
pub mod masks;
pub mod members;
pub mod meters;
pub mod moves;
pub mod named;
pub mod personal;
pub mod policy;
pub mod preferences;
pub mod premises;
pub mod questions;
pub mod readings;
pub mod search;
pub mod status;
pub mod tasks;
pub mod time;
pub mod usage;
pub mod values;
