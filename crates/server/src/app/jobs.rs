//! The runner of jobs: what was decided earlier takes effect when it is due, once, whatever is killed meanwhile and
//! however many replicas run.

use std::time::Duration;

use domain::{
    accounts::{Account, Deactivation},
    events::Events,
    ids::{AccountId, CustomerId, PremiseId},
    jobs::Task,
    market::{Answer, Cause, Rejection},
    policy::{Categories, Reach, Roles, Rule},
    premises::Premise,
    status::{Status, StatusReason},
    values::RejectionCode,
};
use store::{Scope, Transaction, jobs::Claimed};

use super::{
    App, Ask, Effect, Failure, Operation, accounts::deactivate, change, enrollments, market, moves, occupancies,
};

/// Between two looks for due jobs.
const PACE: Duration = Duration::from_secs(1);

/// What a job may do: it is named in the audit log as the operation that it carries out.
const RULE: Rule = Rule {
    action: "deactivateAccount",
    roles: Roles::empty(),
    reach: Reach::Named,
    reason: false,
    categories: Categories::ACCOUNT.union(Categories::BALANCE).union(Categories::PREMISE).union(Categories::METER),
    while_inactive: true,
};

/// Does due jobs until it is dropped.
pub async fn run(app: &App) {
    loop {
        if !round(app).await {
            tokio::time::sleep(PACE).await;
        }
    }
}

/// Does the jobs that are due now; whether there were any.
pub async fn round(app: &App) -> bool {
    let jobs = match app.store.claim_jobs(app.clock.now()).await {
        Ok(jobs) => jobs,
        Err(error) => {
            tracing::warn!(%error, "due jobs could not be claimed");
            return false;
        }
    };
    let any = !jobs.is_empty();
    for job in jobs {
        let (id, kind) = (job.id, job.task);
        match perform(app, &job).await {
            Ok(()) => tracing::info!(job = %id, ?kind, "a job is done"),
            Err(failure) => {
                tracing::warn!(job = %id, ?kind, attempts = job.attempts, ?failure, "a job could not be done yet");
                if let Err(error) = app.store.postpone_job(&job, app.clock.now()).await {
                    tracing::warn!(job = %id, %error, "a job could not be given back; its lease ends by itself");
                }
            }
        }
    }
    any
}

/// Does a job in the transaction that also ends it.
pub async fn perform(app: &App, job: &Claimed) -> Result<(), Failure> {
    let scope = job.scope(RULE);
    match job.task {
        Task::DeactivateAccount(id, reason) => {
            let ask = Ask { scope: &scope, check: &|_: &Account| Ok(()), once: None };
            change(app, ask, id, &Due { job, reason }).await.map(drop)
        }
        Task::StartService(id) => {
            let scope = job.scope(Rule { action: "startService", ..RULE });
            let ask = Ask { scope: &scope, check: &|_: &Premise| Ok(()), once: None };
            match change(app, ask, id, &Starting(job)).await {
                // Somebody came there later than that: it cannot begin any more.
                Err(Failure::Refused { code: "place-taken", .. }) => {
                    let ask = Ask { scope: &scope, check: &|_: &Premise| Ok(()), once: None };
                    change(app, ask, id, &Taken(job)).await.map(drop)
                }
                done => done.map(drop),
            }
        }
        Task::EndService(id) => {
            let scope = job.scope(Rule { action: "endService", ..RULE });
            let ask = Ask { scope: &scope, check: &|_: &Premise| Ok(()), once: None };
            change(app, ask, id, &Ending(job)).await.map(drop)
        }
    }
}

/// Service that begins today.
struct Starting<'j>(&'j Claimed);

impl Operation<Premise> for Starting<'_> {
    async fn others(&self, app: &App, scope: &Scope, id: PremiseId) -> Result<Vec<CustomerId>, Failure> {
        occupancies::others(app, scope, id).await
    }
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: PremiseId,
        current: &Premise,
    ) -> Result<Effect<PremiseId>, Failure> {
        tx.own().done(self.0).await?;
        if current.status != Status::Pending {
            tx.pass_over();
            return Ok(Effect::Nothing(id));
        }
        let date = app.zone.date(self.0.due);
        let events = match store::moves::live(&mut tx.own(), id).await? {
            Some(moved) => moves::take_effect(app, tx, &moved).await?,
            None => {
                let mut events = occupancies::start(app, tx, current, date).await?;
                events.extend(enrollments::started(app, tx, current, date).await?);
                events
            }
        };
        tx.pass_over();
        Ok(if events.is_empty() { Effect::Nothing(id) } else { Effect::Done(id, Events::Of(events)) })
    }
}

/// Service that cannot begin: somebody else is, or was, at the place later than that.
struct Taken<'j>(&'j Claimed);

impl Operation<Premise> for Taken<'_> {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: PremiseId,
        _: &Premise,
    ) -> Result<Effect<PremiseId>, Failure> {
        tx.own().done(self.0).await?;
        let Some(moved) = store::moves::live(&mut tx.own(), id).await? else {
            let events = enrollments::overtaken(app, tx, id).await?;
            tx.pass_over();
            return Ok(if events.is_empty() { Effect::Nothing(id) } else { Effect::Done(id, Events::Of(events)) });
        };
        let code = RejectionCode::from_record("place-taken".to_owned());
        let rejected = Answer::Rejected(Rejection { code, message: None });
        let mut events = moves::answered(app, tx, moved.id, &rejected).await?;
        events.extend(market::cancel(&mut tx.own(), Cause::Move(moved.id)).await?);
        Ok(Effect::Done(id, Events::Of(events)))
    }
}

/// Service that ends today.
struct Ending<'j>(&'j Claimed);

impl Operation<Premise> for Ending<'_> {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: PremiseId,
        current: &Premise,
    ) -> Result<Effect<PremiseId>, Failure> {
        tx.own().done(self.0).await?;
        if current.status != Status::Active {
            return Ok(Effect::Nothing(id));
        }
        // Whatever ends by itself was planned as a move.
        let Some(moved) = store::moves::live(&mut tx.own(), id).await? else { return Ok(Effect::Nothing(id)) };
        let events = moves::take_effect(app, tx, &moved).await?;
        Ok(Effect::Done(id, Events::Of(events)))
    }
}

/// A scheduled deactivation whose day has come.
struct Due<'j> {
    job: &'j Claimed,
    reason: StatusReason,
}

impl Operation<Account> for Due<'_> {
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: AccountId,
        current: &Account,
    ) -> Result<Effect<AccountId>, Failure> {
        tx.own().done(self.job).await?;
        if current.status == Status::Inactive {
            return Ok(Effect::Nothing(id));
        }
        let today = Deactivation { effective_date: app.zone.date(self.job.due), reason: self.reason };
        deactivate(tx, current, &today).await
    }
}
