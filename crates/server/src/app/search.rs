//! Staff's search over all customers.

use domain::{
    customers::Customer,
    search::Search,
    time::{Instant, LocalDate},
};
use store::{
    Crowd, Guarded,
    search::{Criteria, Place},
};

use super::{App, Failure};

/// Checks a search, and makes it fit for looking up.
pub fn criteria(app: &App, search: &Search) -> Result<Criteria, Failure> {
    search.check().map_err(|error| Failure::Fields(vec![error]))?;
    let start = |date: LocalDate| app.zone.start(date);
    let from = search.created_from.map_or(Instant::EARLIEST, start);
    let to = search.created_to.map_or(Instant::LATEST, start);
    Ok(Criteria::new(&app.store, search, (from, to)))
}

/// A page of the customers who fit, and behind whom the next one begins, where there is one.
pub async fn find(
    app: &App,
    crowd: &Crowd,
    criteria: &Criteria,
    after: Option<Place>,
    limit: i64,
) -> Result<(Vec<Guarded<Customer>>, Option<Place>), Failure> {
    let mut places = app.store.search(crowd, criteria, after, limit.saturating_add(1)).await?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    // Only who is shown is opened, and recorded.
    let more = places.len() > size;
    places.truncate(size);
    let next = places.last().copied().filter(|_| more);
    Ok((app.store.profiles(crowd, &places).await?, next))
}
