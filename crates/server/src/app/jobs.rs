//! The runner of jobs: what was decided earlier takes effect when it is due, once, whatever is killed meanwhile and
//! however many replicas run.

use std::time::Duration;

use domain::{
    accounts::{Account, Deactivation},
    ids::AccountId,
    jobs::Task,
    policy::{Categories, Reach, Roles, Rule},
    status::{Status, StatusReason},
};
use store::{Transaction, jobs::Claimed};

use super::{App, Ask, Effect, Failure, Operation, accounts::deactivate, change};

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
        // Nothing schedules these yet.
        Task::StartService(_) | Task::EndService(_) => Err(Failure::NotFound),
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
