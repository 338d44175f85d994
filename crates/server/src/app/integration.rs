//! What neighbouring services fetch.

use domain::integration::Which;
use store::{
    Crowd,
    integration::{Fetched, Found},
};

use super::{App, Failure};

/// Finds what a service asks for.
pub async fn find<T: Fetched>(app: &App, crowd: &Crowd, which: &Which) -> Result<Vec<Found<T>>, Failure> {
    Ok(T::find(&app.store, crowd, which).await?)
}

/// Opens what was found, behind one record for each customer.
pub async fn open<T>(app: &App, crowd: &Crowd, found: Vec<Found<T>>) -> Result<Vec<T>, Failure> {
    let guarded = found.into_iter().map(|Found { position: _, guarded }| guarded).collect();
    Ok(app.store.disclose(crowd, guarded).await?)
}
