//! Looking at a database before anything of it is changed: is it there, migrated, whose, and is it sound?
//!
//! `serve` asks before it migrates and opens, so that a refusal leaves no trace; `doctor` reports it.

use crypto::KeyCheck;
use domain::time::{Instant, Zone};

use crate::{
    DbError, Location,
    db::{
        Row, params,
        postgres::{Connection, Postgres},
        sqlite::{Sqlite, connect, error, rows},
        statements,
    },
    grants, keys,
};

statements! {
    INSTALLED = {"SELECT demo_anchor, created_at FROM installation"};
    // The text of a bound is always the same, because every session's zone is UTC. SQLite has no partitions.
    PARTITIONED = {
        sqlite "SELECT count(*) FROM sqlite_schema WHERE name LIKE $1",
        postgres "SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            JOIN pg_class p ON p.oid = i.inhparent
            WHERE p.relname IN ('audit_log', 'reading') AND pg_get_expr(c.relpartbound, c.oid) LIKE $1"
    };
    SERVER_TIME = {
        sqlite "SELECT unixepoch() * 1000000",
        postgres "SELECT clock_timestamp()"
    };
}

/// What a database says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The newest applied migration; `None` where there is no database, or an empty one.
    pub schema: Option<i64>,
    /// Whether the service has already been at work in it.
    pub installed: Option<Installed>,
}

/// The mark that the first start leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The keys with which the data is sealed; see [`crypto::Keyring::compare`].
    pub keys: Vec<KeyCheck>,
    /// The anchor of a demonstration database; `None` in every other.
    pub demo_anchor: Option<Instant>,
    /// When the service first opened it.
    pub created_at: Instant,
}

/// Looks at a database without changing it.
pub async fn inspect(location: &Location) -> Result<Inspection, DbError> {
    match location {
        Location::Directory(dir) => {
            let dir = dir.clone();
            let looked = tokio::task::spawn_blocking(move || inspect_file(&Sqlite::main_file(&dir)));
            looked.await.map_err(|e| DbError::Engine(e.to_string()))?
        }
        Location::Server(url) => {
            let connection = crate::db::postgres::Connector::new(url)?.connect().await?;
            let schema = connection.newest().await?;
            if schema.is_none() {
                return Ok(Inspection { schema, installed: None });
            }
            let keys = keys::known(connection.rows(&keys::KNOWN, &[]).await?)?;
            Ok(Inspection { schema, installed: installed(connection.rows(&INSTALLED, &[]).await?, keys)? })
        }
    }
}

fn inspect_file(file: &std::path::Path) -> Result<Inspection, DbError> {
    // Not `exists`, which is also false where nobody may look.
    if !file.try_exists().map_err(|e| DbError::Unavailable(format!("{}: {e}", file.display())))? {
        return Ok(Inspection { schema: None, installed: None });
    }
    let connection = connect(file, true)?;
    let ledger = "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_migration'";
    let migrated: i64 = connection.query_row(ledger, [], |row| row.get(0)).map_err(error)?;
    if migrated == 0 {
        return Ok(Inspection { schema: None, installed: None });
    }
    let newest = "SELECT max(version) FROM schema_migration";
    let schema = connection.query_row(newest, [], |row| row.get(0)).map_err(error)?;
    let keys = keys::known(rows(&connection, &keys::KNOWN, &[])?)?;
    Ok(Inspection { schema, installed: installed(rows(&connection, &INSTALLED, &[])?, keys)? })
}

fn installed(found: Vec<Row>, keys: Vec<KeyCheck>) -> Result<Option<Installed>, DbError> {
    let Some(row) = found.into_iter().next() else { return Ok(None) };
    let mut row = row.read();
    Ok(Some(Installed { keys, demo_anchor: row.get()?, created_at: row.get()? }))
}

/// One thing that [`examine`] looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub subject: &'static str,
    /// What came out.
    pub verdict: Verdict,
}

/// What came out of looking at something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// The service works, but less well than it could.
    Warning(String),
    /// The service does not work, or not for long.
    Trouble(String),
}

impl From<Option<String>> for Verdict {
    fn from(trouble: Option<String>) -> Self {
        trouble.map_or(Self::Fine, Self::Trouble)
    }
}

/// Looks for what no start-up would notice: torn files, a server that forgets what it acknowledged, missing
/// partitions, a clock that disagrees. `now` is this machine's time.
pub async fn examine(location: &Location, now: Instant) -> Result<Vec<Finding>, DbError> {
    match location {
        Location::Directory(dir) => {
            let files = [Sqlite::main_file(dir), Sqlite::audit_file(dir)];
            let looked = tokio::task::spawn_blocking(move || examine_files(&files));
            looked.await.map_err(|e| DbError::Engine(e.to_string()))?
        }
        Location::Server(url) => {
            // Opening refuses a server that runs with fsync or synchronous_commit off.
            let server = Postgres::open(url, 1).await?;
            let connection = server.connector().connect().await?;
            let durability = Finding { subject: "durability", verdict: Verdict::Fine };
            let grants = grants(&connection).await?;
            Ok(vec![durability, grants, partitions(&connection, now).await?, clock(&connection, now).await?])
        }
    }
}

fn examine_files(files: &[std::path::PathBuf]) -> Result<Vec<Finding>, DbError> {
    let (mut torn, mut loose) = (Vec::new(), Vec::new());
    for file in files {
        if !file.exists() {
            torn.push(format!("{} is not there", file.display()));
            continue;
        }
        let connection = connect(file, true)?;
        let said: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0)).map_err(error)?;
        if said != "ok" {
            torn.push(format!("{}: {said}", file.display()));
        }
        let synchronous: i64 = connection.query_row("PRAGMA synchronous", [], |row| row.get(0)).map_err(error)?;
        let journal: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(error)?;
        if synchronous < 2 || journal != "wal" {
            loose.push(format!("{}: synchronous={synchronous}, journal_mode={journal}", file.display()));
        }
    }
    let verdict = |found: Vec<String>| (!found.is_empty()).then(|| found.join("; ")).into();
    Ok(vec![
        Finding { subject: "durability", verdict: verdict(loose) },
        Finding { subject: "files", verdict: verdict(torn) },
    ])
}

async fn grants(connection: &Connection) -> Result<Finding, DbError> {
    let verdict = match grants::check(connection).await {
        Err(lacks @ DbError::Forbidden(_)) => Verdict::Trouble(lacks.to_string()),
        Err(other) => return Err(other),
        Ok(()) => match grants::beyond(connection).await?.join(", ") {
            none if none.is_empty() => Verdict::Fine,
            tables => Verdict::Warning(format!(
                "this role could change what it wrote into {tables}: let the service run under another role than the one \
                 that owns the tables (`customer-service migrate --service-role NAME`)"
            )),
        },
    };
    Ok(Finding { subject: "grants", verdict })
}

async fn partitions(connection: &Connection, now: Instant) -> Result<Finding, DbError> {
    let mut missing = Vec::new();
    if let Some(utc) = Zone::named("UTC") {
        for months in 0..=1 {
            let month = utc.date(now).month_start(months);
            let bound = format!("%FROM ('{month}%");
            let parameters = params![bound];
            let found = connection.rows(&PARTITIONED, &parameters).await?;
            let found: Option<i64> = found.into_iter().next().map(|row| row.read().get()).transpose()?;
            if found.unwrap_or_default() < 2 {
                missing.push(month.to_string());
            }
        }
    }
    let trouble = (!missing.is_empty())
        .then(|| format!("readings or audit log have no partition for the month from {}", missing.join(", ")));
    Ok(Finding { subject: "partitions", verdict: trouble.into() })
}

/// Instants of rows are the service's; a machine that is far off writes records that sort wrongly.
async fn clock(connection: &Connection, now: Instant) -> Result<Finding, DbError> {
    let row = connection.rows(&SERVER_TIME, &[]).await?.into_iter().next();
    let there: Option<Instant> = row.map(|row| row.read().get()).transpose()?;
    let off = there.map_or(0, |there| now.since(there).abs()) / domain::time::SECOND;
    let trouble = (off > 2).then(|| format!("this machine and the database server are {off} s apart"));
    Ok(Finding { subject: "clock", verdict: trouble.into() })
}
