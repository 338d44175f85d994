//! Balances: what Billing reports of many accounts.

use domain::accounts::BalanceReport;
use store::{
    Crowd,
    accounts::{self, Booked},
};

use super::{App, Failure};

/// Reports of one transaction, which leave one audit record.
const CHUNK: usize = 500;

/// Stores what Billing reports, in order: what became of each. Each chunk is a transaction of its own: what was stored
/// stays, and reporting it again changes nothing.
pub async fn report(app: &App, crowd: &Crowd, reports: &[BalanceReport]) -> Result<Vec<Booked>, Failure> {
    let mut all = Vec::with_capacity(reports.len());
    // A batch without a line that can be read leaves its record, too.
    let nothing: &[BalanceReport] = &[];
    for reports in reports.chunks(CHUNK).chain(reports.is_empty().then_some(nothing)) {
        let mut batch = app.store.batch(crowd).await?;
        all.extend(accounts::report(&mut batch, reports).await?);
        batch.commit(format!("balances={}", reports.len())).await?;
    }
    Ok(all)
}
