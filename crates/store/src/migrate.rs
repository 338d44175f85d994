//! Numbered migrations. Released ones never change: their checksums are compared at every start.
//!
//! Embedded, `serve` migrates; on PostgreSQL only `customer-service migrate` does, under a role that owns
//! the tables. Each runs under a lock and in one transaction.

use std::{fs, path::Path};

use crate::db::{
    DbError,
    postgres::{Connection, Connector},
    sqlite::{Sqlite, connect, error},
};

/// One migration with its text for each file.
struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    sqlite_audit: &'static str,
    postgres: &'static str,
}

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "foundation",
    sqlite: include_str!("../migrations/0001_foundation.sqlite.sql"),
    sqlite_audit: include_str!("../migrations/0001_foundation.sqlite-audit.sql"),
    postgres: include_str!("../migrations/0001_foundation.postgres.sql"),
}];

/// The version of the schema that this binary works with.
pub const VERSION: i64 = 1;

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS schema_migration (
    version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)";

/// A text's fingerprint, to notice edits of released migrations: FNV-1a, which needs to be stable, not
/// secret.
fn checksum(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

fn edited(version: i64) -> DbError {
    DbError::Corrupt(format!("migration {version} is not the one that was applied; released migrations never change"))
}

fn newer(version: i64) -> DbError {
    DbError::Engine(format!("the database has schema {version}, this binary knows {VERSION}; use the newer binary"))
}

/// Brings the SQLite files of a data directory up to date, making them where there are none.
///
/// # Errors
/// [`DbError`] says which migration failed; nothing of it is kept.
pub fn sqlite(dir: &Path) -> Result<(), DbError> {
    fs::create_dir_all(dir).map_err(|e| DbError::Unavailable(format!("{}: {e}", dir.display())))?;
    sqlite_file(&Sqlite::main_file(dir), |migration| migration.sqlite)?;
    sqlite_file(&Sqlite::audit_file(dir), |migration| migration.sqlite_audit)
}

fn sqlite_file(file: &Path, text: impl Fn(&Migration) -> &'static str) -> Result<(), DbError> {
    private(file)?;
    let mut connection = connect(file, false)?;
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive).map_err(error)?;
    tx.execute_batch(LEDGER).map_err(error)?;
    let applied = |version: i64| {
        let mut found = tx.prepare("SELECT checksum FROM schema_migration WHERE version = $1").map_err(error)?;
        let mut rows = found.query([version]).map_err(error)?;
        rows.next().map_err(error)?.map(|row| row.get::<_, String>(0).map_err(error)).transpose()
    };
    for migration in MIGRATIONS {
        let text = text(migration);
        match applied(migration.version)? {
            Some(known) if known == checksum(text) => {}
            Some(_) => return Err(edited(migration.version)),
            None => {
                tx.execute_batch(text).map_err(error)?;
                let row = (migration.version, migration.name, checksum(text));
                tx.execute("INSERT INTO schema_migration VALUES ($1, $2, $3)", row).map_err(error)?;
            }
        }
    }
    let newest = "SELECT max(version) FROM schema_migration";
    let newest: i64 = tx.query_row(newest, [], |row| row.get(0)).map_err(error)?;
    if newest > VERSION {
        return Err(newer(newest));
    }
    tx.commit().map_err(error)
}

/// Makes the file where there is none. It holds sealed data, but also numbers and balances: nobody else reads it.
fn private(file: &Path) -> Result<(), DbError> {
    use std::os::unix::fs::PermissionsExt;
    let made = fs::File::options().create(true).append(true).open(file);
    made.and_then(|made| made.set_permissions(fs::Permissions::from_mode(0o600)))
        .map_err(|e| DbError::Unavailable(format!("{}: {e}", file.display())))
}

/// Brings a PostgreSQL database up to date. Where it is, nothing of the schema is touched, and no right is needed.
///
/// # Errors
/// [`DbError`] says which migration failed; nothing of it is kept.
pub async fn postgres(url: &str, now: domain::time::Instant) -> Result<(), DbError> {
    let connector = Connector::new(url)?;
    let connection = connector.connect().await?;
    migrate_postgres(&connection).await.map_err(|failed| match failed {
        DbError::Forbidden(why) => DbError::Engine(format!(
            "the role may not make the tables ({why}). Migrate {} under a role that may, such as the database's owner",
            connector.place()
        )),
        other => other,
    })?;
    check_postgres(&connection).await?;
    // By the owner of the tables, and before the first row could stand in the DEFAULT partition.
    crate::partitions::ensure_partitions(&connection, now).await?;
    Ok(())
}

async fn migrate_postgres(connection: &Connection) -> Result<(), DbError> {
    // Any constant will do; it only has to be the same for every migrator.
    connection.batch("BEGIN; SELECT pg_advisory_xact_lock(7267446191)").await?;
    if connection.newest().await?.is_none() {
        connection.batch(LEDGER).await?;
    }
    for migration in MIGRATIONS {
        let sum = checksum(migration.postgres);
        match connection.applied(migration.version).await? {
            Some(known) if known == sum => {}
            Some(_) => return Err(edited(migration.version)),
            None => {
                connection.batch(migration.postgres).await?;
                let (version, name) = (migration.version, migration.name);
                connection
                    .batch(&format!("INSERT INTO schema_migration VALUES ({version}, '{name}', '{sum}')"))
                    .await?;
            }
        }
    }
    connection.batch("COMMIT").await
}

/// Checks that a PostgreSQL database has this binary's schema.
pub(crate) async fn check_postgres(connection: &Connection) -> Result<(), DbError> {
    match connection.newest().await? {
        Some(VERSION) => Ok(()),
        Some(version) if version > VERSION => Err(newer(version)),
        _ => Err(DbError::Engine("the database is not migrated; run `customer-service migrate` first".into())),
    }
}
