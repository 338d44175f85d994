//! What operators do at the command line, with the record that it leaves.

use std::{io::BufRead, sync::Arc};

use crypto::Keyring;
use domain::{ids::CustomerId, policy::Categories, time::Instant};

use crate::{
    DbError, Location, Store, StoreError,
    audit::{self, ActorKind, Dropped, Filter, Outcome, Plan, Record, Report, Shown, VerifyError, who},
    db::{Db, postgres::Postgres, sqlite::Sqlite},
    keys,
};

/// Somebody at the command line.
#[derive(Clone, Copy)]
pub struct Operator<'a> {
    /// The name by which the machine knows them.
    pub user: &'a str,
    /// Why they look.
    pub reason: &'a str,
}

impl Store {
    /// The newest records of the audit log that pass the filter. Who acted is personal data: the look is
    /// recorded before anything is given out.
    ///
    /// # Errors
    /// [`StoreError::AuditUnavailable`] when the look could not be recorded, other errors when the log could
    /// not be read.
    pub async fn show_audit(&self, filter: &Filter, operator: Operator<'_>) -> Result<Vec<Shown>, StoreError> {
        let shown = audit::show(&self.db, &self.keyring, filter).await?;
        self.operated("audit.show", filter.customer, Categories::PROFILE, operator).await?;
        Ok(shown)
    }

    /// Verifies the audit log, and plans to drop its records before an instant, the start of a month (UTC), and the
    /// checkpoints of that time: no more than what it found right.
    pub async fn plan_drop(
        &self,
        before: Instant,
        lines: Option<Box<dyn BufRead + Send>>,
    ) -> Result<(Report, Plan), VerifyError> {
        audit::examine(&self.db, &self.keyring, lines, before).await
    }

    /// Does what was planned. It is recorded first, and stated in a signed checkpoint, so that verification knows
    /// of it. On PostgreSQL the role must own the tables.
    ///
    /// # Errors
    /// [`StoreError`]; a drop that was cut short is finished by the next one.
    pub async fn drop_audit(&self, plan: &Plan, operator: Operator<'_>) -> Result<Dropped, StoreError> {
        self.operated("audit.drop", None, Categories::NONE, operator).await?;
        Ok(self.audit.drop_records(plan).await?)
    }

    async fn operated(
        &self,
        action: &'static str,
        customer: Option<CustomerId>,
        categories: Categories,
        operator: Operator<'_>,
    ) -> Result<(), StoreError> {
        let at = self.clock.now();
        let who = who::Who { issuer: "system", subject: operator.user, address: None };
        let record = Record {
            actor_hash: Some(who::actor_hash(&self.keyring, who.issuer, who.subject)),
            customer,
            categories,
            detail: Some(operator.reason.to_owned()),
            who: Some(who::seal(self.keyring.actor(), customer, at, &who).map_err(crypto::KeyError::Unwrap)?),
            ..Record::new(at, ActorKind::Operator, action, Outcome::Read)
        };
        self.audit.append(record).await.map_err(|_| StoreError::AuditUnavailable)
    }
}

/// Verifies the whole audit log without opening a lane of its own. `lines` are the checkpoints that were
/// kept outside the database.
///
/// # Errors
/// [`VerifyError`] when something could not be read; what is wrong with the log is in the report.
pub async fn verify_audit(
    location: &Location,
    keyring: &Arc<Keyring>,
    lines: Option<Box<dyn BufRead + Send>>,
) -> Result<Report, VerifyError> {
    let db = match location {
        Location::Directory(dir) if !Sqlite::main_file(dir).exists() => {
            return Err(DbError::Unavailable(format!("{} holds no database", dir.display())).into());
        }
        Location::Directory(dir) => Db::Sqlite(Sqlite::open(dir)?),
        Location::Server(url) => Db::Postgres(Box::new(Postgres::open(url, 1).await?)),
    };
    keys::compare(&db, keyring).await??;
    audit::verify(&db, keyring, lines).await
}
