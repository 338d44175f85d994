//! The use cases. API, portal, consumers and command line call these functions and nothing else calls the
//! store, so that ownership and audit are the same whoever asks.
//!
//! Reads return guarded values and know nothing of audit: the surface joins them and opens them with the receipt of
//! the record that it started. Changes go through `change`, which has all that they have in common. No use case
//! knows HTTP.

pub mod accounts;
pub mod balances;
mod change;
pub mod claims;
pub mod customers;
pub mod enrollments;
pub mod history;
pub mod identities;
pub mod integration;
pub mod jobs;
mod limiter;
pub mod market;
pub mod meters;
pub mod moves;
pub mod occupancies;
pub mod preferences;
pub mod premises;
pub mod readings;
pub mod search;
pub mod tasks;
pub mod usage;

use std::sync::Arc;

use crypto::Random;
use domain::{
    ids::Id,
    input::FieldError,
    time::{Clock, Instant, LocalDate, Zone},
};
use store::{Guarded, Scope, Store, StoreError};

pub use self::{
    change::{Ask, Done, Edits, Effect, Founding, Once, Operation, Thing, change, edit, found},
    limiter::Limiter,
};
use crate::{
    auth::Authenticator,
    config::{ApprovedBy, Proxies},
    telemetry::Metrics,
};

/// What the service is made of.
pub struct Parts {
    /// The open store.
    pub store: Arc<Store>,
    /// Verifies tokens.
    pub authenticator: Arc<Authenticator>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Random bytes, for request ids.
    pub random: Arc<dyn Random>,
    /// The business date's instant where it is fixed (the demo's `--as-of`).
    pub business_time: Option<Instant>,
    /// The market's zone.
    pub zone: Zone,
    /// How much callers may ask.
    pub limits: Rates,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Origins that browsers may call from; none closes CORS.
    pub cors_origins: Vec<String>,
    /// The reasons for which staff may open a customer's data.
    pub access_reasons: Vec<Arc<str>>,
    /// Who approves enrolments.
    pub approval: ApprovedBy,
    /// The proxies in front.
    pub proxies: Proxies,
}

/// How much one caller may ask.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Requests a second of one subject, sustained.
    pub caller_per_second: u32,
    /// Requests of one subject at once.
    pub caller_burst: u32,
    /// Failed authentications a minute from one address before they are answered 429.
    pub failures_per_minute: u32,
}

/// The running service.
pub struct App {
    parts: Parts,
    /// Rates of callers.
    pub limiter: Limiter,
}

impl std::ops::Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// Why a use case did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// There is no such resource, or it is not the caller's: nobody can tell which.
    NotFound,
    /// The change was made from another state than the present one, whose tag this is.
    Stale {
        /// The present ETag.
        etag: String,
    },
    /// Readable, but wrong: every field error at once.
    Fields(Vec<FieldError>),
    /// The resource's state refuses it.
    Refused {
        /// The stable code.
        code: &'static str,
        /// What would be allowed.
        allowed: &'static [&'static str],
    },
    /// More than one answer holds.
    TooMuch,
    /// Tried too often; there may be another try after so many seconds.
    Throttled {
        /// The seconds.
        seconds: i64,
    },
    /// The store.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoCustomer => Self::NotFound,
            error => Self::Store(error),
        }
    }
}

impl Failure {
    /// A refusal by the resource's state.
    pub fn refused(code: &'static str, allowed: &'static [&'static str]) -> Self {
        Self::Refused { code, allowed }
    }
}

/// A resource's name in the audit log.
pub fn resource(kind: &str, id: impl Id) -> Option<String> {
    Some(format!("{kind}/{}", id.get()))
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Arc<Self> {
        let limiter = Limiter::new(parts.limits);
        Arc::new(Self { parts, limiter })
    }

    /// The instant that windows and due dates count from.
    pub fn business_now(&self) -> Instant {
        self.business_time.unwrap_or_else(|| self.clock.now())
    }

    /// The market's date of [`App::business_now`].
    pub fn today(&self) -> LocalDate {
        self.zone.date(self.business_now())
    }
}

/// Finds a thing of a customer's.
pub async fn find<T: Thing>(app: &App, scope: &Scope, id: T::Id) -> Result<Guarded<T>, Failure> {
    T::find(&mut app.store.session(scope), id).await?.ok_or(Failure::NotFound)
}
