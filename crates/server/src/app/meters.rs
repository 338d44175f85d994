//! Meters.

use domain::{
    ids::{MeterId, PremiseId},
    meters::Meter,
    premises::Premise,
};
use store::{Guarded, Scope, Session, StoreError, meters};

use super::{App, Failure, Thing, resource};

/// A meter with the premise through which the customer sees it.
impl Thing for (Meter, Premise) {
    type Id = MeterId;
    async fn find(session: &mut Session<'_>, id: MeterId) -> Result<Option<Guarded<Self>>, StoreError> {
        meters::find(session, id).await
    }
    fn resource(id: MeterId) -> Option<String> {
        resource("meter", id)
    }
    fn version(&self) -> i64 {
        self.1.version
    }
}

/// A page of the meters at a premise, after a meter.
pub async fn at_premise(
    app: &App,
    scope: &Scope,
    premise: PremiseId,
    after: Option<MeterId>,
    limit: i64,
) -> Result<Guarded<Vec<Meter>>, Failure> {
    let found = meters::at_premise(&mut app.store.session(scope), premise, after, limit).await?;
    found.ok_or(Failure::NotFound)
}
