//! SQLite: one writer thread, threads for long reads, and the audit log in a file and thread of its own.
//!
//! Other reads run on the thread that asks: a look-up takes some tens of microseconds, less than waking
//! another thread and being woken by it.
//!
//! No transaction spans the two files (a commit over attached WAL files is atomic per file only). Every
//! connection runs `journal_mode=WAL` and `synchronous=FULL`: an acknowledged commit is on disk. The
//! query planner's stability guarantee is on, because without it cached joins are prepared anew at each use.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig, types::ValueRef};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use super::{Cell, DbError, Param, Row, Sql};
use crate::files::Files;

/// Long reads at once.
const LONG_READERS: usize = 2;
/// Connections for other reads, one for each thread that may ask at once, within reason.
const MOST_READERS: usize = 8;
/// Waiting reads at most; one more is refused as overload.
const QUEUE: usize = 1024;
const BUSY: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// Threads that share a queue, each with a connection of its own.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    queue: crossbeam_channel::Sender<Job>,
    panics: Arc<AtomicU64>,
}

impl Worker {
    fn start(
        name: &str,
        threads: usize,
        open: impl Fn() -> Result<Connection, DbError> + Clone + Send + 'static,
    ) -> Result<Self, DbError> {
        let (queue, jobs) = crossbeam_channel::bounded::<Job>(QUEUE);
        let panics = Arc::new(AtomicU64::new(0));
        for _ in 0..threads {
            let mut connection = open()?;
            let (open, jobs, panics) = (open.clone(), jobs.clone(), Arc::clone(&panics));
            let run = move || {
                while let Ok(job) = jobs.recv() {
                    // A defect ends its job, never the thread. Nobody knows what it left of the connection.
                    if catch_unwind(AssertUnwindSafe(|| job(&mut connection))).is_err() {
                        panics.fetch_add(1, Ordering::Relaxed);
                        roll_back(&connection);
                        match open() {
                            Ok(fresh) => connection = fresh,
                            Err(failed) => tracing::error!(error = %failed, "no fresh connection after a panic"),
                        }
                    }
                }
            };
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
            thread.map_err(|e| DbError::Unavailable(e.to_string()))?;
        }
        Ok(Self { queue, panics })
    }

    /// Runs something on the thread and waits for its result.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> Result<T, DbError> {
        let (reply, result) = oneshot::channel();
        let job: Job = Box::new(move |connection| drop(reply.send(work(connection))));
        self.queue.try_send(job).map_err(|_| DbError::Unavailable("too many requests wait for it".into()))?;
        result.await.map_err(|_| DbError::Unavailable("its work was cut off".into()))
    }
}

/// The two files and their threads.
#[derive(Debug)]
pub(crate) struct Sqlite {
    pub(super) readers: Vec<std::sync::Mutex<Connection>>,
    pub(super) long_readers: Worker,
    pub(super) writer: Arc<Mutex<Worker>>,
    /// Threads for reads of several statements that see one state.
    snapshots: Vec<Arc<Mutex<Worker>>>,
    pub(super) audit_readers: Worker,
    audit_file: PathBuf,
    pub(crate) files: Files,
    panics: Vec<Arc<AtomicU64>>,
}

impl Sqlite {
    /// The main file in a data directory.
    pub(crate) fn main_file(dir: &Path) -> PathBuf {
        dir.join("main.sqlite")
    }
    /// The audit log's file in a data directory.
    pub(crate) fn audit_file(dir: &Path) -> PathBuf {
        dir.join("audit.sqlite")
    }

    /// Opens the files of a data directory, which must have been migrated.
    pub(crate) fn open(dir: &Path) -> Result<Self, DbError> {
        let (main, audit_file) = (Self::main_file(dir), Self::audit_file(dir));
        let files = Files::of(&[&main, &audit_file]).map_err(|e| DbError::Unavailable(e.to_string()))?;
        let opens = |file: &Path, read_only| {
            let file = file.to_owned();
            move || connect(&file, read_only)
        };
        let writer = Worker::start("sqlite-writer", 1, opens(&main, false))?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_READERS);
        let reader = || connect(&main, true).map(std::sync::Mutex::new);
        let readers = (0..threads).map(|_| reader()).collect::<Result<_, _>>()?;
        let long_readers = Worker::start("sqlite-reader", LONG_READERS, opens(&main, true))?;
        let snapshots = (0..LONG_READERS).map(|_| Worker::start("sqlite-snapshot", 1, opens(&main, true)));
        let snapshots = snapshots.collect::<Result<Vec<_>, _>>()?;
        let audit_readers = Worker::start("audit-reader", 1, opens(&audit_file, true))?;
        let workers = [&writer, &long_readers, &audit_readers].into_iter().chain(&snapshots);
        let panics = workers.map(|worker| Arc::clone(&worker.panics)).collect();
        let snapshots = snapshots.into_iter().map(|worker| Arc::new(Mutex::new(worker))).collect();
        let writer = Arc::new(Mutex::new(writer));
        Ok(Self { readers, long_readers, writer, snapshots, audit_readers, audit_file, files, panics })
    }

    /// Jobs that panicked since the start.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.iter().map(|panics| panics.load(Ordering::Relaxed)).sum()
    }

    pub(crate) async fn read(&self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        if sql.heavy {
            return self.long_readers.run(move |c| rows(c, sql, &params)).await?;
        }
        // A read that panicked left its connection as it was.
        let free = self.readers.iter().find_map(|reader| match reader.try_lock() {
            Ok(free) => Some(free),
            Err(TryLockError::Poisoned(free)) => Some(free.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        let any = || self.readers.first().map(|reader| reader.lock().unwrap_or_else(PoisonError::into_inner));
        let reader = free.or_else(any).ok_or_else(|| DbError::Engine("no connection for reads".into()))?;
        rows(&reader, sql, &params)
    }

    pub(crate) async fn read_audit(&self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        self.audit_readers.run(move |c| rows(c, sql, &params)).await?
    }

    pub(crate) async fn begin(&self) -> Result<SqliteTx, DbError> {
        let writer = tokio::time::timeout(BUSY, Arc::clone(&self.writer).lock_owned()).await;
        let writer = writer.map_err(|_| DbError::Unavailable("too many changes wait for it".into()))?;
        // First, so that who is cut off while it begins leaves no transaction open.
        let mut tx = SqliteTx { writer: Some(writer) };
        tx.run(|c| c.execute_batch("BEGIN IMMEDIATE").map_err(error)).await??;
        Ok(tx)
    }

    pub(crate) async fn snapshot(&self) -> Result<SqliteTx, DbError> {
        let free = || self.snapshots.iter().find_map(|worker| Arc::clone(worker).try_lock_owned().ok());
        let reader = match (free(), self.snapshots.first()) {
            (Some(reader), _) => Ok(reader),
            (None, Some(any)) => tokio::time::timeout(BUSY, Arc::clone(any).lock_owned()).await,
            (None, None) => return Err(DbError::Engine("no connection for reads".into())),
        };
        let reader = reader.map_err(|_| DbError::Unavailable("too many long reads wait".into()))?;
        let mut tx = SqliteTx { writer: Some(reader) };
        tx.run(|c| c.execute_batch("BEGIN").map_err(error)).await??;
        Ok(tx)
    }

    pub(crate) fn audit_writer(&self) -> Result<Connection, DbError> {
        connect(&self.audit_file, false)
    }
}

/// A transaction on the writer's connection; whoever holds it holds the writer.
#[derive(Debug)]
pub(crate) struct SqliteTx {
    writer: Option<OwnedMutexGuard<Worker>>,
}

impl SqliteTx {
    async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> Result<T, DbError> {
        let writer = self.writer.as_ref().ok_or_else(|| DbError::Engine("the transaction has ended".into()))?;
        let done = writer.run(work).await;
        if done.is_err() {
            // It panicked, and was rolled back: what came next would run outside any transaction.
            self.writer = None;
        }
        done
    }

    pub(crate) async fn rows(&mut self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        self.run(move |c| rows(c, sql, &params)).await?
    }

    pub(crate) async fn execute(&mut self, sql: &'static Sql, params: Vec<Param>) -> Result<u64, DbError> {
        self.run(move |c| execute(c, sql, &params)).await?
    }

    pub(crate) async fn insert_many(&mut self, sql: &'static Sql, rows: Vec<Vec<Param>>) -> Result<(), DbError> {
        self.run(move |c| rows.iter().try_for_each(|row| execute(c, sql, row).map(drop))).await?
    }

    pub(crate) async fn commit(mut self) -> Result<(), DbError> {
        let committed = self.run(|c| c.execute_batch("COMMIT").map_err(error)).await;
        match committed {
            Ok(Ok(())) => {
                self.writer = None;
                Ok(())
            }
            // A refused COMMIT leaves the transaction open; dropping `self` rolls it back.
            Ok(Err(refused)) => Err(refused),
            Err(_) => Err(DbError::OutcomeUnknown),
        }
    }
}

impl Drop for SqliteTx {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            let rollback: Job = Box::new(|connection| roll_back(connection));
            // The queue has room for it: only the holder of the writer sends to it.
            if writer.queue.try_send(rollback).is_err() {
                tracing::error!("the writer's thread has ended");
            }
        }
    }
}

/// Ends the transaction, when there is one.
fn roll_back(connection: &Connection) {
    if connection.is_autocommit() {
        return;
    }
    if let Err(failed) = connection.execute_batch("ROLLBACK") {
        tracing::error!(error = %failed, "a transaction could not be rolled back");
    }
}

/// Inserts all rows with one commit.
pub(crate) fn insert_many(connection: &mut Connection, sql: &'static Sql, rows: &[Vec<Param>]) -> Result<(), DbError> {
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(error)?;
    for row in rows {
        execute(&tx, sql, row)?;
    }
    tx.commit().map_err(error)
}

/// Opens a connection with the settings that every one of ours has. It makes no file: one that is gone while the
/// service runs must not come back empty.
pub(crate) fn connect(file: &Path, read_only: bool) -> Result<Connection, DbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(error)?;
    connection.busy_timeout(BUSY).map_err(error)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(error)?;
    let pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; \
                   PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-3072;";
    connection.execute_batch(pragmas).map_err(error)?;
    if read_only {
        connection.execute_batch("PRAGMA query_only=ON").map_err(error)?;
    }
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

pub(crate) fn rows(connection: &Connection, sql: &'static Sql, params: &[Param]) -> Result<Vec<Row>, DbError> {
    let mut statement = connection.prepare_cached(sql.sqlite).map_err(error)?;
    let columns = statement.column_count();
    bind(&mut statement, params, sql)?;
    let mut found = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(error)? {
        let cells = (0..columns).map(|i| row.get_ref(i).map_err(error).and_then(|value| cell(value, sql)));
        rows.push(Row { statement: sql.name, cells: cells.collect::<Result<_, _>>()? });
    }
    Ok(rows)
}

pub(crate) fn execute(connection: &Connection, sql: &'static Sql, params: &[Param]) -> Result<u64, DbError> {
    let mut statement = connection.prepare_cached(sql.sqlite).map_err(error)?;
    bind(&mut statement, params, sql)?;
    statement.raw_execute().map(|touched| touched as u64).map_err(error)
}

/// Binds by the number in `$n`. To SQLite that is a name: it counts parameters by first appearance, so
/// that binding them in order would exchange the two of `SET b = $2 WHERE a = $1`.
fn bind(statement: &mut rusqlite::Statement<'_>, params: &[Param], sql: &Sql) -> Result<(), DbError> {
    for index in 1..=statement.parameter_count() {
        let number = statement.parameter_name(index).and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
        let param = number.and_then(|number| params.get(number.checked_sub(1)?));
        let param = param.ok_or_else(|| DbError::Misuse {
            statement: sql.name,
            reason: format!("parameter {index} is not one of $1 to ${}", params.len()),
        })?;
        statement.raw_bind_parameter(index, param).map_err(error)?;
    }
    Ok(())
}

fn cell(value: ValueRef<'_>, sql: &Sql) -> Result<Cell, DbError> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        ValueRef::Blob(value) => Cell::Bytes(value.to_vec()),
        ValueRef::Text(value) => {
            let text = std::str::from_utf8(value).map_err(|_| DbError::Corrupt(format!("{}: not UTF-8", sql.name)))?;
            Cell::Text(text.to_owned())
        }
        ValueRef::Real(_) => return Err(DbError::Corrupt(format!("{}: a float", sql.name))),
    })
}

impl rusqlite::ToSql for Param {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, Value};
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Int(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Bool(value) => ToSqlOutput::Owned(Value::Integer(i64::from(*value))),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Instant(at) => ToSqlOutput::Owned(Value::Integer(at.micros())),
            Self::Date(date) => ToSqlOutput::Owned(Value::Integer(date.days())),
            Self::Ints(list) => {
                let texts: Vec<String> = list.iter().map(i64::to_string).collect();
                ToSqlOutput::Owned(Value::Text(format!("[{}]", texts.join(","))))
            }
        })
    }
}

pub(crate) fn error(error: rusqlite::Error) -> DbError {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DbError::Conflict,
        Some(ErrorCode::ConstraintViolation) => DbError::Constraint(error.to_string()),
        Some(ErrorCode::DiskFull | ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::ReadOnly) => {
            DbError::Unavailable(error.to_string())
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => DbError::Corrupt(error.to_string()),
        _ => DbError::Engine(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
