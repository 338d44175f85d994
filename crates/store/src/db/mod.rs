//! The facade over the two engines: statements, parameters, rows, reads and transactions.
//!
//! It knows few types (integers, booleans, texts, bytes, instants, dates and their absence), so that a
//! statement means the same on SQLite and on PostgreSQL. Queries live in the slice files; one text with
//! `$n` placeholders serves both engines, and where they must differ both texts stand side by side.

mod columns;
#[cfg(test)]
mod durability;
mod param;
mod pipeline;
pub(crate) mod postgres;
mod row;
pub(crate) mod sqlite;
mod statement;
mod wire;

use tokio::sync::oneshot;

pub(crate) use columns::{Column, Columns, Text, columns, mapped, named_columns, sql};
pub(crate) use param::{IntoParam, Param, params};
pub(crate) use row::{Cell, FromCell, Reader, Row};
pub(crate) use statement::{Sql, statements};

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection, a closed one, or a queue that is full: try again later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A named constraint or index refused the row.
    #[error("constraint {0} refused the row")]
    Constraint(String),
    /// Two transactions met (SQLSTATE 40001, 40P01; SQLITE_BUSY): doing it again may succeed.
    #[error("the transaction met another one")]
    Conflict,
    /// The connection was lost while the transaction committed: it may have, or not.
    #[error("the connection was lost during commit")]
    OutcomeUnknown,
    /// A row holds what no code of ours writes.
    #[error("corrupt row: {0}")]
    Corrupt(String),
    /// A statement and its use do not fit together: a defect of this program.
    #[error("statement {statement}: {reason}")]
    Misuse {
        /// The statement's name.
        statement: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// The role that we are lacks a right: somebody has to give it.
    #[error(
        "the database role may not do this: {0}. Give the service's role what it needs, under the role that owns the tables: `customer-service migrate --service-role NAME`"
    )]
    Forbidden(String),
    /// Everything else the engine says.
    #[error("database error: {0}")]
    Engine(String),
}

/// Which engine a database runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// SQLite files in a directory.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

/// An open database.
#[derive(Debug)]
pub(crate) enum Db {
    /// SQLite files.
    Sqlite(sqlite::Sqlite),
    /// A PostgreSQL server.
    Postgres(Box<postgres::Postgres>),
}

impl Db {
    pub(crate) fn kind(&self) -> EngineKind {
        match self {
            Self::Sqlite(_) => EngineKind::Sqlite,
            Self::Postgres(_) => EngineKind::Postgres,
        }
    }

    /// Runs one reading statement outside any transaction.
    pub(crate) async fn read(&self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        sql.check(&params)?;
        match self {
            Self::Sqlite(db) => db.read(sql, params).await,
            Self::Postgres(db) => db.read(sql, params).await,
        }
    }

    /// Begins a transaction. Dropped without [`Tx::commit`], it is rolled back.
    pub(crate) async fn begin(&self) -> Result<Tx, DbError> {
        Ok(match self {
            Self::Sqlite(db) => Tx::Sqlite(db.begin().await?),
            Self::Postgres(db) => Tx::Postgres(Box::new(db.begin().await?)),
        })
    }

    /// Begins a transaction that only reads, of one state of the database. Dropped, it ends.
    pub(crate) async fn snapshot(&self) -> Result<Tx, DbError> {
        Ok(match self {
            Self::Sqlite(db) => Tx::Sqlite(db.snapshot().await?),
            Self::Postgres(db) => Tx::Postgres(Box::new(db.snapshot().await?)),
        })
    }

    /// Runs one reading statement on the audit log (on SQLite a file of its own).
    pub(crate) async fn read_audit(&self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        sql.check(&params)?;
        match self {
            Self::Sqlite(db) => db.read_audit(sql, params).await,
            Self::Postgres(db) => db.read(sql, params).await,
        }
    }

    /// Runs what uses an [`AuditWriter`] to its end: as a task, or on a thread of its own where it blocks. What is
    /// returned resolves at the end; to an error when it panicked.
    pub(crate) fn spawn_writer(
        &self,
        name: &str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Result<oneshot::Receiver<()>, DbError> {
        let (done, ended) = oneshot::channel();
        let work = async move {
            work.await;
            // Who does not wait for the end need not be told.
            let _unwaited = done.send(());
        };
        match self {
            Self::Sqlite(_) => {
                let runtime = tokio::runtime::Handle::current();
                let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(work));
                thread.map_err(|e| DbError::Unavailable(e.to_string()))?;
            }
            Self::Postgres(_) => drop(tokio::spawn(work)),
        }
        Ok(ended)
    }

    /// Opens a connection for one lane of the audit log.
    pub(crate) async fn audit_writer(&self) -> Result<AuditWriter, DbError> {
        Ok(match self {
            Self::Sqlite(db) => AuditWriter::Sqlite(Box::new(db.audit_writer()?)),
            Self::Postgres(db) => AuditWriter::Postgres(Box::new(db.dedicated().await?)),
        })
    }
}

/// A transaction on either engine.
#[derive(Debug)]
pub(crate) enum Tx {
    Sqlite(sqlite::SqliteTx),
    Postgres(Box<postgres::PostgresTx>),
}

impl Tx {
    pub(crate) fn kind(&self) -> EngineKind {
        match self {
            Self::Sqlite(_) => EngineKind::Sqlite,
            Self::Postgres(_) => EngineKind::Postgres,
        }
    }

    /// Runs a statement that gives rows.
    pub(crate) async fn rows(&mut self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        sql.check(&params)?;
        match self {
            Self::Sqlite(tx) => tx.rows(sql, params).await,
            Self::Postgres(tx) => tx.rows(sql, params).await,
        }
    }

    /// Runs a statement that gives the number of rows it touched.
    pub(crate) async fn execute(&mut self, sql: &'static Sql, params: Vec<Param>) -> Result<u64, DbError> {
        sql.check(&params)?;
        match self {
            Self::Sqlite(tx) => tx.execute(sql, params).await,
            Self::Postgres(tx) => tx.execute(sql, params).await,
        }
    }

    /// Runs a statement that must touch exactly one row.
    pub(crate) async fn execute_one(&mut self, sql: &'static Sql, params: Vec<Param>) -> Result<(), DbError> {
        match self.execute(sql, params).await? {
            1 => Ok(()),
            touched => Err(DbError::Corrupt(format!("{} touched {touched} rows instead of one", sql.name))),
        }
    }

    /// Inserts many rows. On PostgreSQL the statement's parameters are arrays, one for each column; on SQLite
    /// it runs once a row.
    pub(crate) async fn insert_many(&mut self, sql: &'static Sql, rows: Vec<Vec<Param>>) -> Result<(), DbError> {
        rows.iter().try_for_each(|row| sql.check(row))?;
        match self {
            _ if rows.is_empty() => Ok(()),
            Self::Sqlite(tx) => tx.insert_many(sql, rows).await,
            Self::Postgres(tx) => tx.insert_many(sql, rows).await,
        }
    }

    /// Commits.
    pub(crate) async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }
}

/// A connection that appends to the audit log, many rows with one commit. On SQLite it works on the thread that
/// asks, and a commit waits for the disk there: [`Db::spawn_writer`] gives its user a thread.
#[derive(Debug)]
pub(crate) enum AuditWriter {
    Sqlite(Box<rusqlite::Connection>),
    Postgres(Box<postgres::Dedicated>),
}

impl AuditWriter {
    /// Inserts all rows in one transaction. On PostgreSQL the statement's parameters are arrays, one for
    /// each column; on SQLite it runs once a row.
    ///
    /// # Errors
    /// [`DbError::OutcomeUnknown`] when nobody can say whether the rows are there.
    pub(crate) async fn insert_many(&mut self, sql: &'static Sql, rows: Vec<Vec<Param>>) -> Result<(), DbError> {
        for row in &rows {
            sql.check(row)?;
        }
        match self {
            Self::Sqlite(connection) => sqlite::insert_many(connection, sql, &rows),
            Self::Postgres(connection) => connection.insert_many(sql, rows).await,
        }
    }

    /// Runs a statement on this connection that gives rows.
    pub(crate) async fn rows(&mut self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        sql.check(&params)?;
        match self {
            Self::Sqlite(connection) => sqlite::rows(connection, sql, &params),
            Self::Postgres(connection) => connection.rows(sql, params).await,
        }
    }

    /// Runs a statement on this connection that gives the number of rows it touched. It
    /// commits by itself.
    pub(crate) async fn execute(&mut self, sql: &'static Sql, params: Vec<Param>) -> Result<u64, DbError> {
        sql.check(&params)?;
        match self {
            Self::Sqlite(connection) => sqlite::execute(connection, sql, &params),
            Self::Postgres(connection) => connection.execute(sql, params).await,
        }
    }
}

/// Makes a parameter; the macro [`params!`] calls it.
pub(crate) fn param_of(value: impl IntoParam) -> Param {
    value.into_param()
}
