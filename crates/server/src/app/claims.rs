//! How a person who signs in becomes the customer whom staff made: by the number on the bill and a code from a letter.

use domain::{
    claims::{Claim, CodeRequest, IssuedCode, TypedCode},
    customers::Customer,
    events::Events,
    input::FieldError,
    time::SECOND,
};
use store::{Act, Founder, Guarded, Session, StoreError, Transaction, claims};

use super::{App, Done, Effect, Failure, Once, Operation, Thing, identities::taken, resource};

/// A code is named by itself: after its answer nobody can name it any more.
impl Thing for IssuedCode {
    type Id = Self;
    async fn find(session: &mut Session<'_>, id: Self) -> Result<Option<Guarded<Self>>, StoreError> {
        claims::issued(session, id).await
    }
    fn resource(id: Self) -> Option<String> {
        resource("account", id.account)
    }
    fn version(&self) -> i64 {
        1
    }
}

impl Operation<Customer, IssuedCode> for CodeRequest {
    async fn perform(
        &self,
        _: &App,
        tx: &mut Transaction<'_>,
        (): (),
        current: &Customer,
    ) -> Result<Effect<IssuedCode>, Failure> {
        let Self { account_id } = *self;
        if !current.accounts.iter().any(|account| account.id == account_id) {
            let error = FieldError::new("unknown-account", "Write the id of an account of this customer.");
            return Err(Failure::Fields(vec![FieldError { pointer: "/accountId".into(), ..error }]));
        }
        let issued = claims::issue(&mut tx.own(), account_id).await?;
        Ok(Effect::Done(issued, Events::None("a code is between staff and the customer")))
    }
}

/// Who is a customer already becomes no other one; what was answered to the same request before is answered again.
impl Operation<Customer> for Claim {
    async fn perform(&self, _: &App, _: &mut Transaction<'_>, (): (), _: &Customer) -> Result<Effect<()>, Failure> {
        Err(Failure::refused("already-enrolled", &[]))
    }
}

fn refused() -> Failure {
    Failure::refused("claim-refused", &[])
}

/// Links who is signed in to the customer whose code they know.
pub async fn claim(
    app: &App,
    founder: &Founder,
    once: Option<Once<'_, Customer>>,
    claim: &Claim,
) -> Result<Done<Customer>, Failure> {
    let Claim { account_number, code: TypedCode(code) } = claim;
    let (who, store) = (founder.identity(), &app.store);
    if let Some(until) = store.attempt(who, account_number).await? {
        // Rounded up: not a moment too early.
        return Err(Failure::Throttled { seconds: until.since(app.clock.now()).max(0) / SECOND + 1 });
    }
    let Some((customer, account)) = store.claim(account_number, code.as_ref()).await? else { return Err(refused()) };
    let scope = store.become_customer(founder, customer).await?;
    let mut tx = store.begin(&scope, once.as_ref().map(|once| &once.key)).await?;
    // The link that a kept answer told of was undone since: it proves nothing any more.
    let kept = match &once {
        Some(once) => tx.kept(&once.key).await?.is_some(),
        None => false,
    };
    let taken_now = match code {
        Some(code) if !kept => claims::take(&mut tx.own(), account, code).await?,
        _ => false,
    };
    if !taken_now {
        return Err(refused());
    }
    let linked = tx.own().link(who.issuer(), who.subject()).await;
    linked.map_err(|error| taken(error, "already-enrolled", &[]))?;
    let answer = Customer::find(&mut tx.own(), ()).await?.ok_or(Failure::NotFound)?;
    let version = tx.peek(&answer).version;
    if let Some(once) = &once {
        let written = (once.write)(tx.peek(&answer))?;
        tx.keep(&once.key, written).await?;
    }
    let act = Act::changed(resource("account", account), version, Events::None("neighbours know no log-ins"));
    Ok(Done::Now(tx.commit(act, answer).await?))
}
