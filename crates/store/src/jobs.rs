//! Jobs: what was decided now and takes effect later. A job is a row that commits with the decision; a runner leases
//! due rows and does each in a transaction that also deletes the row, so that it happens once, however many replicas
//! run and whatever is killed: a runner whose lease ran out finds the row gone, or taken by another, and rolls back.

use domain::{
    ids::{AccountId, CustomerId, JobId, PremiseId},
    input::Named,
    jobs::{JobKind, NewJob, Task},
    policy::Rule,
    status::StatusReason,
    time::{Instant, SECOND},
};

use crate::{
    Change, Scope, Store, StoreError,
    db::{Columns, DbError, Row, columns, named_columns, params, sql, statements},
};

/// How long a claimed job belongs to its runner.
const LEASE: i64 = 30 * SECOND;
/// Jobs claimed at once.
const AT_ONCE: i64 = 16;
/// The pause before a failed job is tried again, for each attempt.
const PAUSE: i64 = 10 * SECOND;
/// The longest pause.
const LONGEST_PAUSE: i64 = 3600 * SECOND;

named_columns! { JobKind }

columns! {
    /// A job.
    JobRow of "j" {
        job_id: JobId, customer_id: CustomerId, kind: JobKind, subject_id: i64, reason: String, due_at: Instant,
        attempts: i64,
    }
}

statements! {
    SCHEDULE = {"INSERT INTO job (customer_id, job_id, kind, subject_id, reason, due_at, not_before, attempts, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $6, 0, $7)"};
    SCHEDULED = {"SELECT count(*) FROM job WHERE customer_id = $1 AND kind = $2 AND subject_id = $3"};
    DROP = {"DELETE FROM job WHERE customer_id = $1 AND kind = $2 AND subject_id = $3"};
    // A lease that ran out counts as none. What is tried again waits until `not_before`.
    CLAIM = {
        sqlite "UPDATE job SET lease = $1, leased_until = $2, attempts = attempts + 1
            WHERE job_id IN (SELECT job_id FROM job WHERE not_before <= $3
                AND (leased_until IS NULL OR leased_until <= $3) ORDER BY not_before, job_id LIMIT $4)",
        postgres "UPDATE job SET lease = $1, leased_until = $2, attempts = attempts + 1
            WHERE job_id IN (SELECT job_id FROM job WHERE not_before <= $3
                AND (leased_until IS NULL OR leased_until <= $3) ORDER BY not_before, job_id LIMIT $4
                FOR UPDATE SKIP LOCKED)"
    };
    CLAIMED = {sql!("SELECT " [JobRow] " FROM job j WHERE j.lease = $1 ORDER BY j.due_at, j.job_id")};
    DONE = {"DELETE FROM job WHERE customer_id = $1 AND job_id = $2 AND lease = $3"};
    POSTPONE = {"UPDATE job SET lease = NULL, leased_until = NULL, not_before = $3 WHERE job_id = $1 AND lease = $2"};
    WAITING = {"SELECT count(*) FROM job WHERE due_at <= $1"};
}

/// A job that this process has leased.
#[derive(Debug)]
pub struct Claimed {
    /// Its id.
    pub id: JobId,
    /// Whose.
    pub customer: CustomerId,
    /// What is to be done.
    pub task: Task,
    /// When it was to be done.
    pub due: Instant,
    /// How often it was tried, this time included.
    pub attempts: i64,
    lease: [u8; 16],
}

fn parts(task: Task) -> (JobKind, i64, &'static str) {
    use domain::ids::Id;
    match task {
        Task::DeactivateAccount(account, reason) => (JobKind::DeactivateAccount, account.get(), reason.name()),
        Task::StartService(premise) => (JobKind::StartService, premise.get(), ""),
        Task::EndService(premise) => (JobKind::EndService, premise.get(), ""),
    }
}

impl Claimed {
    fn of(row: Row, lease: [u8; 16]) -> Result<Self, StoreError> {
        use domain::ids::Id;
        let mut row = row.read();
        let JobRow { job_id: id, customer_id: customer, kind, subject_id, reason, due_at: due, attempts } =
            JobRow::read(&mut row)?;
        let corrupt = || DbError::Corrupt(format!("job {id}: what it is about is not known"));
        let premise = || PremiseId::new(subject_id).ok_or_else(corrupt);
        let task = match kind {
            JobKind::StartService => Task::StartService(premise()?),
            JobKind::EndService => Task::EndService(premise()?),
            JobKind::DeactivateAccount => Task::DeactivateAccount(
                AccountId::new(subject_id).ok_or_else(corrupt)?,
                StatusReason::named(&reason).ok_or_else(corrupt)?,
            ),
        };
        Ok(Self { id, customer, task, due, attempts, lease })
    }

    /// The right to do it.
    pub fn scope(&self, rule: Rule) -> Scope {
        Scope::of_job(self.id, self.customer, rule)
    }
}

impl Change<'_> {
    /// Schedules a job in the transaction that decided it.
    pub async fn schedule(&mut self, job: NewJob) -> Result<(), StoreError> {
        let NewJob { task, due } = job;
        let (kind, subject, reason) = parts(task);
        let (id, now): (JobId, _) = (self.new_id().await?, self.now());
        Ok(self.change_one(&SCHEDULE, params![id, kind, subject, reason, due, now]).await?)
    }

    /// Whether such a thing is scheduled, whatever its reason.
    pub async fn is_scheduled(&mut self, task: Task) -> Result<bool, StoreError> {
        let (kind, subject, _) = parts(task);
        let rows = self.own(&SCHEDULED, params![kind, subject]).await?;
        let count: Option<i64> = rows.into_iter().next().map(|row| row.read().get()).transpose()?;
        Ok(count.is_some_and(|count| count > 0))
    }

    /// Drops what was scheduled for the same thing, because it is decided anew.
    pub async fn unschedule(&mut self, task: Task) -> Result<u64, StoreError> {
        let (kind, subject, _) = parts(task);
        Ok(self.change(&DROP, params![kind, subject]).await?)
    }

    /// Marks a claimed job as done, in the transaction that does it.
    ///
    /// # Errors
    /// [`DbError::Conflict`] when the lease ran out and somebody else has the job, or did it.
    pub async fn done(&mut self, job: &Claimed) -> Result<(), StoreError> {
        match self.change(&DONE, params![job.id, job.lease]).await? {
            1 => Ok(()),
            _ => Err(DbError::Conflict.into()),
        }
    }
}

impl Store {
    /// Leases jobs that are due.
    pub async fn claim_jobs(&self, now: Instant) -> Result<Vec<Claimed>, StoreError> {
        if !self.any_job(now).await? {
            return Ok(Vec::new());
        }
        let lease = self.random_id()?;
        let mut tx = self.db.begin().await?;
        tx.execute(&CLAIM, params![lease, now.plus(LEASE), now, AT_ONCE]).await?;
        let rows = tx.rows(&CLAIMED, params![lease]).await?;
        tx.commit().await?;
        rows.into_iter().map(|row| Claimed::of(row, lease)).collect()
    }

    /// Whether something is due; a read, so that runners who find nothing take no lock.
    async fn any_job(&self, now: Instant) -> Result<bool, StoreError> {
        let rows = self.db.read(&WAITING, params![now]).await?;
        let waiting: Option<i64> = rows.into_iter().next().map(|row| row.read().get()).transpose()?;
        Ok(waiting.is_some_and(|waiting| waiting > 0))
    }

    /// Gives a job back that could not be done, to be tried again after a pause that grows.
    pub async fn postpone_job(&self, job: &Claimed, now: Instant) -> Result<(), StoreError> {
        let pause = PAUSE.saturating_mul(1 << job.attempts.clamp(0, 16)).min(LONGEST_PAUSE);
        let mut tx = self.db.begin().await?;
        tx.execute(&POSTPONE, params![job.id, job.lease, now.plus(pause)]).await?;
        Ok(tx.commit().await?)
    }
}
