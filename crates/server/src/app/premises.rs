//! Premises.

use domain::{
    events::{Event, EventType, Events, Subject},
    ids::{AccountId, PremiseId},
    input,
    premises::{Premise, PremiseEdit},
    status::Status,
};
use store::{Change, Guarded, Scope, Session, StoreError, Transaction, premises};

use super::{App, Edits, Effect, Failure, Operation, Thing, resource};

impl Thing for Premise {
    type Id = PremiseId;
    async fn find(session: &mut Session<'_>, id: PremiseId) -> Result<Option<Guarded<Self>>, StoreError> {
        premises::find(session, id).await
    }
    fn resource(id: PremiseId) -> Option<String> {
        resource("premise", id)
    }
    fn version(&self) -> i64 {
        self.version
    }
}

impl Edits for Premise {
    type Edit = PremiseEdit;
    fn changes(&self, edit: &PremiseEdit) -> Vec<&'static str> {
        edit.changes(self)
    }
    /// An inactive premise is history: nothing of it changes any more.
    fn editable(&self) -> Result<(), Failure> {
        if self.status == Status::Inactive { Err(Failure::refused("inactive", &[])) } else { Ok(()) }
    }
    async fn store(&self, change: &mut Change<'_>, edit: &PremiseEdit, _: &[&'static str]) -> Result<(), Failure> {
        Ok(premises::update(change, self.id, edit).await?)
    }
    fn event(&self) -> Event {
        updated(self.account, self.id)
    }
}

pub(super) fn updated(account: AccountId, premise: PremiseId) -> Event {
    Event::new(EventType::PremiseUpdated, Subject::Premise(account, premise))
}

/// A page of an account's premises, after a premise.
pub async fn of_account(
    app: &App,
    scope: &Scope,
    account: AccountId,
    after: Option<PremiseId>,
    limit: i64,
) -> Result<Guarded<Vec<Premise>>, Failure> {
    let found = premises::of_account(&mut app.store.session(scope), account, after, limit).await?;
    found.ok_or(Failure::NotFound)
}

input! {
    /// A premise becomes the primary one of its account; done again it changes nothing.
    MakePrimary {}
}

impl Operation<Premise> for MakePrimary {
    async fn perform(
        &self,
        _: &App,
        tx: &mut Transaction<'_>,
        id: PremiseId,
        current: &Premise,
    ) -> Result<Effect<PremiseId>, Failure> {
        current.editable()?;
        if current.is_primary {
            return Ok(Effect::Nothing(id));
        }
        let event = |premise| updated(current.account, premise).changed(vec!["isPrimary"]);
        let demoted = premises::make_primary(&mut tx.own(), current.account, id).await?;
        let demoted = demoted.into_iter().map(|(premise, version)| event(premise).version(version));
        Ok(Effect::Done(id, Events::Of(demoted.chain([event(id)]).collect())))
    }
}
