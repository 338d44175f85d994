//! Readings of a meter, page by page or as a stream.

use domain::{ids::MeterId, meters::Meter};
use store::{
    Entry, Receipt, Scope,
    audit::Outcome,
    meters,
    readings::{self, Page, Reading},
};

use super::{App, Failure, resource};

/// One page of a meter's readings.
pub async fn page(app: &App, scope: &Scope, id: MeterId, page: Page) -> Result<(Meter, Vec<Reading>), Failure> {
    let mut session = app.store.session(scope);
    let meter = meters::find(&mut session, id).await?.ok_or(Failure::NotFound)?;
    let found = readings::page_of(&mut session, &meter, page).await?;
    let ((meter, _), readings) = app.disclose(scope, Some(meter.and(found)?), resource("meter", id)).await?;
    Ok((meter, readings))
}

/// A stream of readings: audited before its first byte with its bounds, and at its end with its counts.
#[derive(Debug)]
pub struct Stream {
    /// The meter.
    pub meter: Meter,
    scope: Scope,
    receipt: Receipt,
    next: Option<Page>,
    given: u64,
}

/// How many readings a stream fetches at once.
const PIECE: i64 = 5_000;

impl Stream {
    /// Starts a stream over all pages that begin with `page`.
    pub async fn start(app: &App, scope: &Scope, id: MeterId, page: Page) -> Result<Self, Failure> {
        let meter = meters::find(&mut app.store.session(scope), id).await?.ok_or(Failure::NotFound)?;
        let entry = Entry { outcome: Outcome::Read, status: 200, resource: resource("meter", id) };
        let detail = format!("readings from={} to={}", page.from, page.to);
        let receipt = app.store.receipt(scope, entry, Some(detail)).await?;
        let (meter, _) = meter.open(&receipt)?;
        let next = Some(Page { limit: PIECE, ..page });
        Ok(Self { meter, scope: scope.clone(), receipt, next, given: 0 })
    }

    /// The next piece; `None` at the end, which is audited then.
    pub async fn piece(&mut self, app: &App) -> Result<Option<Vec<Reading>>, Failure> {
        let Some(page) = self.next.take() else {
            let entry = Entry { outcome: Outcome::Ended, status: 200, resource: resource("meter", self.meter.id) };
            let detail = format!("readings={}", self.given);
            self.receipt = app.store.receipt(&self.scope, entry, Some(detail)).await?;
            return Ok(None);
        };
        let mut session = app.store.session(&self.scope);
        let readings = readings::page(&mut session, &self.meter, page).await?.open(&self.receipt)?;
        self.given = self.given.saturating_add(readings.len() as u64);
        let full = i64::try_from(readings.len()).is_ok_and(|n| n == page.limit);
        self.next = readings.last().filter(|_| full).map(|last| Page { after: Some((last.read_at, last.id)), ..page });
        Ok(Some(readings))
    }
}
