//! The data of the demonstration, generated from one anchor instant. At 2025-01-15T12:00:00-06:00 it gives
//! the specification's samples; at any other anchor the readings, payments and due dates shift along.

mod people;
mod places;
mod series;

use std::collections::HashMap;

use domain::{
    ids::{CustomerId, Id},
    time::{Instant, Zone},
};
use store::{
    Store, StoreError,
    seed::{self, NewReading},
};

use self::{
    people::{SERIES, Setting},
    series::Fitted,
};
use super::oidc::subject_of;

/// The newest reading of meter 3001 has this id; the samples show it.
const SAMPLED_METER: i64 = 3001;
const SAMPLED_ID: i64 = 90_017;
/// Readings of all other meters are numbered from here.
const FIRST_ID: i64 = 100_001;

/// Fills an empty database with customers 1 to 3, whom alice, bob and carol sign in for, and marks it as a
/// demonstration. The mark comes last: without it the database is not served as one.
///
/// # Errors
/// [`StoreError`]; without the mark the load did not happen.
pub async fn load(store: &Store, anchor: Instant, zone: &Zone, issuer: &str) -> Result<(), StoreError> {
    let today = zone.date(anchor);
    let balances = people::balances(today, anchor, zone)?;
    let setting = Setting { anchor: today, zone, balances: &balances };
    let links = ["alice", "bob", "carol"].map(|name| (issuer.to_owned(), subject_of(name)));
    let mut customers = people::customers(&setting, links)?;

    let mut readings: HashMap<i64, Vec<NewReading>> = HashMap::new();
    let mut next_id = FIRST_ID;
    for series in SERIES {
        let fitted = series.fit(today);
        let mut history = fitted.history(zone, anchor, next_id);
        let count = i64::try_from(history.len()).unwrap_or_default();
        if series.meter == SAMPLED_METER {
            history = fitted.history(zone, anchor, SAMPLED_ID + 1 - count);
        } else {
            next_id += count;
        }
        readings.entry(series.meter).or_default().extend(history);
    }
    let accounts = customers.iter_mut().flat_map(|customer| &mut customer.accounts);
    let points = accounts.flat_map(|account| &mut account.premises).flat_map(|premise| &mut premise.service_points);
    for meter in points.flat_map(|point| &mut point.meters) {
        meter.readings = readings.remove(&meter.id.get()).unwrap_or_default();
    }
    seed::write(store, &people::companies(), &customers).await?;
    seed::enrollments(store, &people::enrollments(&customers)?).await?;
    store.mark_demo(anchor).await
}

/// Brings a demonstration up to the present: readings since the last start, newer due dates. What its users
/// changed stays. A database without the mark is left alone.
///
/// # Errors
/// [`StoreError`]; nothing is changed then.
pub async fn grow(store: &Store, now: Instant, zone: &Zone) -> Result<(), StoreError> {
    let Some(anchor) = store.demo_anchor().await? else { return Ok(()) };
    let (anchor, today) = (zone.date(anchor), zone.date(now));
    let progress = seed::progress(store).await?;
    let mut next_id = progress.iter().map(|one| one.last_id).max().unwrap_or_default() + 1;
    let mut readings = Vec::new();
    for one in progress {
        let of = SERIES.into_iter().find(|s| s.meter == one.meter.get() && s.register == one.register);
        let Some(series) = of.filter(|series| series.removed.is_none()) else { continue };
        let customer = customer_of(series.meter)?;
        let fitted: Fitted = series.fit(anchor);
        let new = fitted.after(zone.date(one.read_at), one.value.thousandths(), today, zone, now, next_id);
        next_id += i64::try_from(new.len()).unwrap_or_default();
        readings.extend(new.into_iter().map(|reading| (customer, one.meter, reading)));
    }
    let mut balances = Vec::new();
    for (customer, account, balance) in people::balances(anchor, now, zone)? {
        balances.push((people::id(customer)?, people::id(account)?, balance));
    }
    if readings.is_empty() && today <= anchor {
        return Ok(());
    }
    seed::append(store, &readings, &balances).await
}

fn customer_of(meter: i64) -> Result<CustomerId, StoreError> {
    people::id(match meter {
        3001 => 1,
        3002..=3005 => 2,
        _ => 3,
    })
}

#[cfg(test)]
mod tests;
