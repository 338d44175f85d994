//! The log-ins that lead to a customer: several may, and each leads to one customer.

use domain::{
    customers::{Customer, Identities, IssuerName, LinkIdentity, LinkedIdentity, UnlinkIdentity},
    events::Events,
    ids::IdentityId,
    input::FieldError,
};
use store::{DbError, Guarded, Session, StoreError, Transaction, links};

use super::{App, Effect, Failure, Operation, Thing, resource};

/// Nothing that neighbours know of changed.
const NOBODY: Events = Events::None("neighbours know no log-ins");

impl Thing for LinkedIdentity {
    type Id = IdentityId;
    async fn find(session: &mut Session<'_>, id: IdentityId) -> Result<Option<Guarded<Self>>, StoreError> {
        links::identity(session, id).await
    }
    fn resource(id: IdentityId) -> Option<String> {
        resource("identity", id)
    }
    fn version(&self) -> i64 {
        // A link never changes: it is there, or not.
        1
    }
}

impl Thing for Identities {
    type Id = ();
    async fn find(session: &mut Session<'_>, (): ()) -> Result<Option<Guarded<Self>>, StoreError> {
        links::identities(session).await
    }
    fn resource((): ()) -> Option<String> {
        None
    }
    fn version(&self) -> i64 {
        1
    }
}

/// Says that a log-in leads to a customer already.
pub(super) fn taken(error: StoreError, code: &'static str, allowed: &'static [&'static str]) -> Failure {
    match error {
        StoreError::Db(DbError::Constraint(_)) => Failure::refused(code, allowed),
        error => error.into(),
    }
}

impl Operation<Customer, LinkedIdentity> for LinkIdentity {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        (): (),
        _: &Customer,
    ) -> Result<Effect<IdentityId>, Failure> {
        let Self { issuer: IssuerName(issuer), subject } = self;
        if !app.authenticator.issuers().any(|(name, _)| name == issuer) {
            let names: Vec<&str> = app.authenticator.issuers().map(|(name, _)| name).collect();
            let message = format!("Write one of the issuers: {}.", names.join(", "));
            let error = FieldError { pointer: "/issuer".into(), ..FieldError::new("unknown-issuer", message) };
            return Err(Failure::Fields(vec![error]));
        }
        let linked = tx.own().link_subject(issuer, subject).await;
        Ok(Effect::Done(linked.map_err(|error| taken(error, "already-linked", &[]))?, NOBODY))
    }
}

impl Operation<LinkedIdentity, Identities> for UnlinkIdentity {
    async fn perform(
        &self,
        _: &App,
        tx: &mut Transaction<'_>,
        id: IdentityId,
        _: &LinkedIdentity,
    ) -> Result<Effect<()>, Failure> {
        tx.own().unlink(id).await?;
        Ok(Effect::Done((), NOBODY))
    }
}
