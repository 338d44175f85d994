//! Opening a store: connections, keys that belong to the database, the audit log.

use std::{path::PathBuf, sync::Arc};

use crypto::{Keyring, OtherKeys, Random};
use domain::time::{Clock, Instant};

use crate::{
    DbError, Store, StoreError,
    audit::{self, AuditLog, AuditOptions},
    db::{
        Db, params,
        postgres::{Connector, Postgres},
        sqlite::Sqlite,
        statements,
    },
    grants,
    idempotency::AtWork,
    keys,
    links::Links,
    migrate, partitions,
};

/// Where the data is.
#[derive(Debug, Clone)]
pub enum Location {
    /// SQLite files in a directory.
    Directory(PathBuf),
    /// A PostgreSQL server, as `postgres://` URL.
    Server(String),
}

impl Location {
    /// Where the data is, for people: without secrets.
    pub fn place(&self) -> String {
        match self {
            Self::Directory(dir) => {
                // Which folder a relative name means depends on where a command was started.
                let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
                format!("the embedded database in {}", whole.display())
            }
            Self::Server(url) => {
                let place = Connector::new(url).map(|connector| connector.place());
                format!("the PostgreSQL database {}", place.unwrap_or_else(|_| "of an unusable URL".into()))
            }
        }
    }
}

/// How to open.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file outside the database to which checkpoints of the audit log go.
    pub checkpoint_file: Option<PathBuf>,
    /// Connections for transactions (PostgreSQL).
    pub pool_size: usize,
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Anything else.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log holds less than the database saw signed.
    #[error("{0}")]
    AuditLog(String),
    /// The keyring is not the one with which the data was sealed.
    #[error(transparent)]
    Keys(#[from] OtherKeys),
}

statements! {
    INSTALLATION = {"SELECT demo_anchor FROM installation"};
    INSTALL = {"INSERT INTO installation (one, created_at) VALUES (1, $1) ON CONFLICT DO NOTHING"};
    MARK_DEMO = {"UPDATE installation SET demo_anchor = $1 WHERE one = 1"};
    EMPTY = {"SELECT count(*) FROM customer"};
}

impl Store {
    /// Opens a migrated database.
    pub async fn open(
        location: &Location,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let db = Arc::new(match location {
            Location::Directory(dir) => Db::Sqlite(Sqlite::open(dir)?),
            Location::Server(url) => Db::Postgres(Box::new(Postgres::open(url, options.pool_size).await?)),
        });
        if let Db::Postgres(server) = &*db {
            let connection = server.connector().connect().await?;
            migrate::check_postgres(&connection).await?;
            grants::check(&connection).await?;
            partitions::ensure_partitions(&connection, clock.now()).await?;
        }
        let mut tx = db.begin().await?;
        // First: of two processes at their first start one waits here for the other's keys.
        tx.execute(&INSTALL, params![clock.now()]).await?;
        keys::admit(&mut tx, &keyring, clock.now()).await?;
        tx.commit().await?;
        if let Some(missing) = audit::missing(&db).await? {
            return Err(OpenError::AuditLog(missing));
        }
        let audit_options = AuditOptions { checkpoint_file: options.checkpoint_file, ..AuditOptions::default() };
        let started = AuditLog::start(
            Arc::clone(&db),
            Arc::clone(&keyring),
            Arc::clone(&clock),
            Arc::clone(&random),
            audit_options,
        );
        let audit = started.await.map_err(|e| DbError::Unavailable(format!("the audit log did not start: {e}")))?;
        Ok(Self { db, keyring, clock, random, audit, links: Links::new(), at_work: AtWork::default() })
    }

    /// Whether the database answers; for readiness.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db.read(&INSTALLATION, Vec::new()).await?;
        Ok(())
    }

    /// The anchor with which a demonstration database was made; `None` in every other database.
    pub async fn demo_anchor(&self) -> Result<Option<Instant>, StoreError> {
        let rows = self.db.read(&INSTALLATION, Vec::new()).await?;
        let anchor: Option<Option<Instant>> = rows.into_iter().next().map(|row| row.read().get()).transpose()?;
        Ok(anchor.flatten())
    }

    /// Whether there is no customer yet.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        let rows = self.db.read(&EMPTY, Vec::new()).await?;
        let customers: Option<i64> = rows.into_iter().next().map(|row| row.read().get()).transpose()?;
        Ok(customers == Some(0))
    }
}

pub(crate) fn mark_demo() -> &'static crate::db::Sql {
    &MARK_DEMO
}
