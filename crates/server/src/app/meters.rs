//! Meters.

use domain::{
    ids::{MeterId, PremiseId},
    meters::Meter,
    premises::Premise,
};
use store::{Scope, meters};

use super::{App, Failure, resource};

/// A meter with the premise through which the customer sees it.
pub async fn find(app: &App, scope: &Scope, id: MeterId) -> Result<(Meter, Premise), Failure> {
    let found = meters::find(&mut app.store.session(scope), id).await?;
    app.disclose(scope, found, resource("meter", id)).await
}

/// A page of the meters at a premise, after a meter.
pub async fn at_premise(
    app: &App,
    scope: &Scope,
    premise: PremiseId,
    after: Option<MeterId>,
    limit: i64,
) -> Result<Vec<Meter>, Failure> {
    let found = meters::at_premise(&mut app.store.session(scope), premise, after, limit).await?;
    app.disclose(scope, found, resource("premise", premise)).await
}
