//! The use cases. API, portal, consumers and command line call these functions and nothing else calls the
//! store, so that ownership and audit are the same whoever asks.

pub mod accounts;
pub mod customers;
mod limiter;
pub mod meters;
pub mod preferences;
pub mod premises;
pub mod readings;
pub mod usage;

use std::sync::Arc;

use crypto::Random;
use domain::{
    ids::Id,
    input::FieldError,
    time::{Clock, Instant, LocalDate, Zone},
};
use store::{Entry, Guarded, Scope, Store, StoreError, Transaction, audit::Outcome};

pub use self::limiter::Limiter;
use crate::{auth::Authenticator, config::Network, telemetry::Metrics};

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
    /// Limits on callers.
    pub limits: Limits,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Origins that browsers may call from; none closes CORS.
    pub cors_origins: Vec<String>,
    /// Proxies whose word on the client's address is believed.
    pub trusted_proxies: Vec<Network>,
}

/// How much one caller may ask.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
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
    /// If-Match names another state than the present one, whose ETag this is.
    Changed {
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
    /// The store.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
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

    /// Opens what was found, after its audit record is durable.
    async fn disclose<T>(
        &self,
        scope: &Scope,
        found: Option<Guarded<T>>,
        resource: Option<String>,
    ) -> Result<T, Failure> {
        let found = found.ok_or(Failure::NotFound)?;
        let entry = Entry { outcome: Outcome::Read, status: 200, resource };
        Ok(self.store.disclose(scope, found, entry).await?)
    }
}

/// The audit entry of a change that answered 200.
fn changed(resource: Option<String>) -> Entry {
    Entry { outcome: Outcome::Changed, status: 200, resource }
}

/// The audit entry of an edit that left everything as it was.
fn unchanged(resource: Option<String>) -> Entry {
    Entry { outcome: Outcome::Read, status: 200, resource }
}

/// Why an edit without differences has no event.
const NOTHING_CHANGED: domain::events::Events = domain::events::Events::None("nothing changed");

/// Opens a value with the receipt of its change's commit.
async fn commit<T>(
    tx: Transaction<'_>,
    entry: Entry,
    events: domain::events::Events,
    answer: Guarded<T>,
) -> Result<T, Failure> {
    let receipt = tx.commit(entry, events).await?;
    Ok(answer.open(&receipt)?)
}
