//! What happened to a customer, and who looked.

use domain::history::{Access, Happening};
use store::{
    Crowd, Guarded, Scope,
    audit::{Filter, Place, Shown},
    outbox,
};

use super::{App, Failure};

/// What happened to a customer, the newest first, before a place in the customer's order.
pub async fn timeline(
    app: &App,
    scope: &Scope,
    before: Option<i64>,
    limit: i64,
) -> Result<Guarded<Vec<Happening>>, Failure> {
    outbox::timeline(&mut app.store.session(scope), before, limit).await?.ok_or(Failure::NotFound)
}

/// Who looked at a customer's data or changed it, the newest first, behind a place.
pub async fn access_log(
    app: &App,
    scope: &Scope,
    before: Option<Place>,
    limit: usize,
) -> Result<Guarded<Vec<(Place, Access)>>, Failure> {
    Ok(app.store.access_log(scope, before, limit).await?)
}

/// The audit log as supervisors see it, and whether there is more.
pub async fn audit(app: &App, crowd: &Crowd, filter: &Filter, detail: String) -> Result<(Vec<Shown>, bool), Failure> {
    Ok(app.store.look_into_audit(crowd, filter, detail).await?)
}
