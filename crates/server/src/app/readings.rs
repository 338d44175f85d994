//! Readings of a meter, page by page or as a stream.

use std::{sync::Arc, time::Duration};

use domain::{
    ids::MeterId,
    meters::Meter,
    premises::Premise,
    readings::{Reading, ReadingReport},
};
use store::{
    Asked, Crowd, Guarded, Scope,
    audit::Outcome,
    meters,
    readings::{self, Page, Received},
};

use super::{App, Failure, resource};

/// One page of a meter's readings, with the meter, all of one state.
pub async fn page(
    app: &App,
    scope: &Scope,
    id: MeterId,
    page: Page,
) -> Result<Guarded<((Meter, Premise), Vec<Reading>)>, Failure> {
    let mut snapshot = app.store.snapshot(scope).await?;
    let mut session = snapshot.session();
    let meter = meters::find(&mut session, id).await?.ok_or(Failure::NotFound)?;
    let found = readings::page_of(&mut session, &meter, page).await?;
    Ok(meter.and(found)?)
}

/// Reported readings of one transaction, which leave one audit record.
pub const CHUNK: usize = 2_000;

/// Stores a chunk of what Meter reports, in order: what became of each. Each chunk is a transaction of its own: what was
/// stored stays, and reporting it again changes nothing.
pub async fn report(app: &App, crowd: &Crowd, reports: &[ReadingReport]) -> Result<Vec<Received>, Failure> {
    let mut batch = app.store.batch(crowd).await?;
    let received = readings::report(&mut batch, reports).await?;
    batch.commit(format!("readings={}", reports.len())).await?;
    Ok(received)
}

/// Between two looks for readings that have waited too long.
const PACE: Duration = Duration::from_secs(600);

/// Makes tasks of readings whose meter never came, until it is dropped.
pub async fn keep_parked(app: &App) {
    loop {
        match app.store.expire_parked(app.clock.now()).await {
            Ok(0) => {}
            Ok(tasks) => tracing::info!(tasks, "readings have waited too long for their meters"),
            Err(error) => tracing::warn!(%error, "parked readings could not be looked through"),
        }
        tokio::time::sleep(PACE).await;
    }
}

/// A stream of readings, which the record of the request opens piece by piece; at its end its counts are recorded.
#[derive(Debug)]
pub struct Stream {
    /// The meter.
    pub meter: Meter,
    scope: Scope,
    asked: Arc<Asked>,
    next: Option<Page>,
    given: u64,
}

/// How many readings a stream fetches at once.
const PIECE: i64 = 5_000;

impl Stream {
    /// Starts a stream over all pages that begin with `page`.
    pub async fn start(app: &App, scope: &Scope, asked: Arc<Asked>, id: MeterId, page: Page) -> Result<Self, Failure> {
        let meter = meters::find(&mut app.store.session(scope), id).await?.ok_or(Failure::NotFound)?;
        let (meter, _) = asked.open(meter).await?;
        let next = Some(Page { limit: PIECE, ..page });
        Ok(Self { meter, scope: scope.clone(), asked, next, given: 0 })
    }

    /// The next piece; `None` at the end, which is audited then.
    pub async fn piece(&mut self, app: &App) -> Result<Option<Vec<Reading>>, Failure> {
        let Some(page) = self.next.take() else {
            let detail = format!("readings={}", self.given);
            app.store.note(&self.scope, Outcome::Ended, resource("meter", self.meter.id), detail).await?;
            return Ok(None);
        };
        let mut session = app.store.session(&self.scope);
        let readings = self.asked.open(readings::page(&mut session, &self.meter, page).await?).await?;
        self.given = self.given.saturating_add(readings.len() as u64);
        let full = i64::try_from(readings.len()).is_ok_and(|n| n == page.limit);
        self.next = readings.last().filter(|_| full).map(|last| Page { after: Some((last.read_at, last.id)), ..page });
        Ok(Some(readings))
    }
}
