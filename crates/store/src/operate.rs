//! What operators do at the command line, with the record that it leaves.

use std::{io::BufRead, path::Path, sync::Arc};

use crypto::{Keyring, Random};
use domain::{
    ids::CustomerId,
    policy::Categories,
    time::{Clock, Instant},
};

use crate::{
    DbError, Location, Store, StoreError,
    audit::{self, ActorKind, Dropped, Filter, Outcome, Plan, Record, Report, Shown, VerifyError, who},
    db::{
        Db,
        postgres::Postgres,
        sqlite::{Sqlite, connect},
    },
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

impl Operator<'_> {
    /// The issuer of operators: the system that the command runs on.
    pub const ISSUER: &'static str = "system";
}

impl Store {
    /// Builds the audit log's index by customer anew.
    ///
    /// # Errors
    /// [`StoreError`]; doing it again goes on where it ended.
    pub async fn reindex_audit(&self, operator: Operator<'_>) -> Result<(), StoreError> {
        self.operated("audit.reindex", None, Categories::NONE, operator).await?;
        Ok(self.audit.reindex().await?)
    }

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
        let record = Record::new(self.clock.now(), ActorKind::Operator, action, Outcome::Read);
        let record = operator.sign(&self.keyring, Record { customer, categories, ..record })?;
        self.audit.append(record).await.map_err(|_| StoreError::AuditUnavailable)
    }
}

impl Operator<'_> {
    /// A record of what they did, with who they are and why.
    fn sign(&self, keyring: &Keyring, record: Record) -> Result<Record, StoreError> {
        let who = who::Who { issuer: Self::ISSUER, subject: self.user, address: None };
        let sealed = who::seal(keyring.actor(), record.customer, record.at, &who).map_err(crypto::KeyError::Unwrap)?;
        Ok(Record {
            actor_hash: Some(who::actor_hash(keyring, who.issuer, who.subject)),
            detail: Some(self.reason.to_owned()),
            who: Some(sealed),
            ..record
        })
    }
}

/// Opens a database for looking at its audit log, without a lane of its own. It makes no file.
async fn look(location: &Location) -> Result<Db, DbError> {
    match location {
        Location::Directory(dir) => {
            if !Sqlite::main_file(dir).exists() {
                return Err(DbError::Unavailable(format!("{} holds no database", dir.display())));
            }
            let log = Sqlite::audit_file(dir);
            if !log.exists() {
                return Err(DbError::Unavailable(format!("the audit log, {}, is not there", log.display())));
            }
            Ok(Db::Sqlite(Sqlite::open(dir)?))
        }
        Location::Server(url) => Ok(Db::Postgres(Box::new(Postgres::open(url, 1).await?))),
    }
}

/// What is wrong when the audit log holds less than the database saw signed: it is another one's, an older copy, or
/// gone. A start refuses then.
///
/// # Errors
/// [`DbError`] when the database cannot be read, or the log is not there at all.
pub async fn missing_audit(location: &Location) -> Result<Option<String>, DbError> {
    audit::missing(&look(location).await?).await
}

/// Says that the audit log of a migrated database is lost, so that the next start begins another one: its first record
/// tells who said so and why.
///
/// # Errors
/// [`StoreError`]; nothing was changed then.
pub async fn begin_audit_anew(
    location: &Location,
    keyring: &Keyring,
    clock: &dyn Clock,
    random: &dyn Random,
    operator: Operator<'_>,
) -> Result<(), StoreError> {
    let db = look(location).await?;
    let record = Record::new(clock.now(), ActorKind::Operator, "audit.begin-anew", Outcome::Changed);
    let record = operator.sign(keyring, record)?;
    let mut id = [0; 16];
    random.fill(&mut id)?;
    let mut tx = db.begin().await?;
    audit::forget(&mut tx).await?;
    audit::intake::insert(&mut tx, keyring.audit(), id, record).await?;
    Ok(tx.commit().await?)
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
    let db = look(location).await?;
    keys::compare(&db, keyring).await??;
    // Read before the log: a checkpoint is noted after it is signed.
    let missing = audit::missing(&db).await?;
    let mut report = audit::verify(&db, keyring, lines).await?;
    report.findings.extend(missing.map(audit::Finding::NotItsDatabases));
    Ok(report)
}

/// Whether the main file is gone, whose audit log is there: a start must not make an empty one in its place.
pub fn main_file_is_gone(dir: &Path) -> bool {
    !Sqlite::main_file(dir).exists() && Sqlite::audit_file(dir).exists()
}

/// Whether the file of the audit log is gone, of a database that saw its log signed: a start must not make another.
///
/// # Errors
/// [`DbError`] when the database cannot be read.
pub fn audit_file_is_gone(dir: &Path) -> Result<bool, DbError> {
    let main = Sqlite::main_file(dir);
    if !main.exists() || Sqlite::audit_file(dir).exists() {
        return Ok(false);
    }
    let signed = "SELECT count(*) FROM audit_signed";
    let signed = connect(&main, true)?.query_row(signed, [], |row| row.get::<_, i64>(0));
    // A database whose migration was cut short has no such table.
    Ok(signed.is_ok_and(|signed| signed > 0))
}
