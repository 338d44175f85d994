//! PostgreSQL: shared connections on which single-statement reads are pipelined, a pool for transactions,
//! and dedicated connections for the lanes of the audit log.
//!
//! Every session sets `synchronous_commit=on`; start-up fails when the server runs with `fsync=off`,
//! because then nothing that it acknowledges is on disk.

use std::{
    collections::HashMap,
    str::FromStr,
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::BytesMut;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use postgres_types::{IsNull, Kind, ToSql, Type, to_sql_checked};
use tokio::sync::Mutex;
use tokio_postgres::{Client, Config, Statement, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Cell, DbError, Param, Row, Sql};

/// Connections that carry pipelined reads.
const SHARED: usize = 2;
const CONNECT: Duration = Duration::from_secs(5);
const SESSION: &str = "-c synchronous_commit=on -c statement_timeout=10s -c lock_timeout=5s \
                       -c idle_in_transaction_session_timeout=15s -c timezone=UTC";

/// Long reads at once.
const HEAVY: usize = 4;

/// PostgreSQL counts instants and dates from 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const EPOCH_DAYS: i64 = 10_957;

/// A server and our connections to it.
#[derive(Debug)]
pub(crate) struct Postgres {
    shared: Vec<Mutex<Option<Arc<Connection>>>>,
    next: AtomicUsize,
    pool: Pool,
    heavy: tokio::sync::Semaphore,
    connector: Connector,
}

/// How to connect.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// One connection and what was prepared on it.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    // By the statement's address: slices use the same names.
    prepared: RwLock<HashMap<usize, Statement>>,
}

impl Connector {
    /// Reads a `postgres://` URL. TLS follows its `sslmode`.
    pub(crate) fn new(url: &str) -> Result<Self, DbError> {
        let unusable = |reason: String| DbError::Unavailable(format!("the database URL is not usable: {reason}"));
        let mut config = Config::from_str(url).map_err(|e| unusable(e.to_string()))?;
        config.application_name("customer-service").connect_timeout(CONNECT).options(SESSION);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        if config.get_ssl_mode() != tokio_postgres::config::SslMode::Disable {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|e| unusable(e.to_string()))?.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { config, tls: MakeRustlsConnect::new(tls) })
    }

    /// Opens one connection.
    pub(crate) async fn connect(&self) -> Result<Connection, DbError> {
        let (client, connection) = self.config.connect(self.tls.clone()).await.map_err(error)?;
        tokio::spawn(async move {
            if let Err(lost) = connection.await {
                tracing::warn!(error = %lost, "a database connection was lost");
            }
        });
        Ok(Connection { client, prepared: RwLock::default() })
    }
}

impl Connection {
    pub(crate) async fn prepare(&self, sql: &'static Sql) -> Result<Statement, DbError> {
        let key = std::ptr::from_ref(sql).addr();
        let known = self.prepared.read().ok().and_then(|known| known.get(&key).cloned());
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql.postgres).await.map_err(error)?;
        if let Ok(mut known) = self.prepared.write() {
            known.insert(key, statement.clone());
        }
        Ok(statement)
    }

    pub(crate) async fn rows(&self, sql: &'static Sql, params: &[Param]) -> Result<Vec<Row>, DbError> {
        let statement = self.prepare(sql).await?;
        let found = self.client.query(&statement, &bind(params)).await.map_err(error)?;
        decode(found, sql)
    }

    /// The checksum of an applied migration.
    pub(crate) async fn applied(&self, version: i64) -> Result<Option<String>, DbError> {
        let found = "SELECT checksum FROM schema_migration WHERE version = $1";
        let row = self.client.query_opt(found, &[&version]).await.map_err(error)?;
        row.map(|row| row.try_get(0).map_err(error)).transpose()
    }

    /// The newest applied migration.
    pub(crate) async fn newest(&self) -> Result<Option<i64>, DbError> {
        let exists = self.client.query_one("SELECT to_regclass('schema_migration') IS NOT NULL", &[]).await;
        if !exists.and_then(|row| row.try_get(0)).map_err(error)? {
            return Ok(None);
        }
        let newest = self.client.query_one("SELECT max(version) FROM schema_migration", &[]).await;
        newest.and_then(|row| row.try_get(0)).map_err(error)
    }

    /// Runs statements that take no parameters, for migrations and checks.
    pub(crate) async fn batch(&self, text: &str) -> Result<(), DbError> {
        self.client.batch_execute(text).await.map_err(error)
    }
}

impl Postgres {
    /// Connects and checks that the server keeps what it acknowledges.
    pub(crate) async fn open(url: &str, pool_size: usize) -> Result<Self, DbError> {
        let connector = Connector::new(url)?;
        let manager = Manager::from_config(
            connector.config.clone(),
            connector.tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager).max_size(pool_size).runtime(deadpool_postgres::Runtime::Tokio1);
        let pool = pool.wait_timeout(Some(CONNECT)).create_timeout(Some(CONNECT)).build();
        let pool = pool.map_err(|e| DbError::Engine(e.to_string()))?;
        let shared = (0..SHARED).map(|_| Mutex::new(None)).collect();
        let this =
            Self { shared, next: AtomicUsize::new(0), pool, heavy: tokio::sync::Semaphore::new(HEAVY), connector };
        let durable = this.read(&DURABLE, Vec::new()).await?;
        let settings: Vec<&Cell> = durable.iter().flat_map(|row| &row.cells).collect();
        if settings != [&Cell::Text("on".into()), &Cell::Text("on".into())] {
            let reason = "the server runs with fsync or synchronous_commit off and would lose what it acknowledged";
            return Err(DbError::Unavailable(reason.into()));
        }
        Ok(this)
    }

    /// How to connect once more.
    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    async fn shared(&self) -> Result<Arc<Connection>, DbError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(slot) = self.shared.get(turn % SHARED) else {
            return Err(DbError::Engine("no shared connections".into()));
        };
        let mut slot = slot.lock().await;
        match &*slot {
            Some(connection) if !connection.client.is_closed() => Ok(Arc::clone(connection)),
            _ => {
                let connection = Arc::new(self.connector.connect().await?);
                *slot = Some(Arc::clone(&connection));
                Ok(connection)
            }
        }
    }

    pub(crate) async fn read(&self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        if sql.heavy {
            return self.read_heavy(sql, params).await;
        }
        let connection = self.shared().await?;
        match connection.rows(sql, &params).await {
            // The server restarted under us; a read may be sent again.
            Err(DbError::Unavailable(_)) if connection.client.is_closed() => {
                self.shared().await?.rows(sql, &params).await
            }
            result => result,
        }
    }

    /// Reads on a connection of the pool; few at a time, so that changes find one, too. A caller who goes away
    /// closes the connection.
    async fn read_heavy(&self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        let turn = tokio::time::timeout(CONNECT, self.heavy.acquire()).await;
        let _turn = turn.map_err(|_| DbError::Unavailable("too many long reads wait".into()))?;
        let mut tx = self.begin().await?;
        let rows = tx.rows(sql, params).await?;
        tx.commit().await?;
        Ok(rows)
    }

    pub(crate) async fn begin(&self) -> Result<PostgresTx, DbError> {
        self.begin_as("BEGIN").await
    }

    pub(crate) async fn snapshot(&self) -> Result<PostgresTx, DbError> {
        self.begin_as("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await
    }

    async fn begin_as(&self, command: &str) -> Result<PostgresTx, DbError> {
        let client = self.pool.get().await.map_err(|e| DbError::Unavailable(e.to_string()))?;
        // First, so that who is cut off while it begins leaves no transaction open.
        let tx = PostgresTx { client: Some(client) };
        tx.client()?.batch_execute(command).await.map_err(error)?;
        Ok(tx)
    }

    pub(crate) async fn dedicated(&self) -> Result<Dedicated, DbError> {
        Ok(Dedicated { connection: self.connector.connect().await? })
    }
}

super::statements! {
    DURABLE = {"SELECT current_setting('fsync'), current_setting('synchronous_commit')"};
}

/// A transaction on a connection of the pool.
pub(crate) struct PostgresTx {
    client: Option<Object>,
}

impl std::fmt::Debug for PostgresTx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresTx").finish_non_exhaustive()
    }
}

impl PostgresTx {
    fn client(&self) -> Result<&Object, DbError> {
        self.client.as_ref().ok_or_else(|| DbError::Engine("the transaction has ended".into()))
    }

    pub(crate) async fn rows(&mut self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql.postgres).await.map_err(error)?;
        decode(client.query(&statement, &bind(&params)).await.map_err(error)?, sql)
    }

    pub(crate) async fn execute(&mut self, sql: &'static Sql, params: Vec<Param>) -> Result<u64, DbError> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql.postgres).await.map_err(error)?;
        client.execute(&statement, &bind(&params)).await.map_err(error)
    }

    pub(crate) async fn insert_many(&mut self, sql: &'static Sql, rows: Vec<Vec<Param>>) -> Result<(), DbError> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql.postgres).await.map_err(error)?;
        let columns = columns_of(sql, rows);
        let bound: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|c| c as &(dyn ToSql + Sync)).collect();
        client.execute(&statement, &bound).await.map(drop).map_err(error)
    }

    pub(crate) async fn commit(mut self) -> Result<(), DbError> {
        let client = self.client.take().ok_or_else(|| DbError::Engine("the transaction has ended".into()))?;
        match client.batch_execute("COMMIT").await {
            Ok(()) => Ok(()),
            // The server answered: the transaction was rolled back.
            Err(refused) if refused.as_db_error().is_some_and(|e| !ends_session(e)) => Err(error(refused)),
            Err(_) => Err(DbError::OutcomeUnknown),
        }
    }
}

impl Drop for PostgresTx {
    fn drop(&mut self) {
        // Never back into the pool with a transaction open: closing the connection rolls it back.
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

/// A connection that belongs to one user.
#[derive(Debug)]
pub(crate) struct Dedicated {
    connection: Connection,
}

impl Dedicated {
    pub(crate) async fn rows(&self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        self.connection.rows(sql, &params).await
    }

    pub(crate) async fn execute(&self, sql: &'static Sql, params: Vec<Param>) -> Result<u64, DbError> {
        let statement = self.connection.prepare(sql).await?;
        self.connection.client.execute(&statement, &bind(&params)).await.map_err(error)
    }

    /// One statement, arrays as parameters: one round trip and one commit for all rows.
    pub(crate) async fn insert_many(&self, sql: &'static Sql, rows: Vec<Vec<Param>>) -> Result<(), DbError> {
        let columns = columns_of(sql, rows);
        let statement = self.connection.prepare(sql).await?;
        let bound: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|c| c as &(dyn ToSql + Sync)).collect();
        match self.connection.client.execute(&statement, &bound).await {
            Ok(_) => Ok(()),
            Err(refused) if refused.as_db_error().is_some_and(|e| !ends_session(e)) => Err(error(refused)),
            Err(_) => Err(DbError::OutcomeUnknown),
        }
    }
}

/// Whether the server ended the session: then it may have committed just before (a shutdown can come
/// between the commit and its confirmation).
fn ends_session(error: &tokio_postgres::error::DbError) -> bool {
    use tokio_postgres::error::Severity;
    matches!(error.parsed_severity(), None | Some(Severity::Fatal | Severity::Panic))
}

/// Rows as one array a column.
fn columns_of(sql: &Sql, rows: Vec<Vec<Param>>) -> Vec<Vec<Param>> {
    let mut columns: Vec<Vec<Param>> = (0..sql.parameters).map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    columns
}

fn bind(params: &[Param]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|p| p as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Param {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(value), &Type::INT8) => value.to_sql(ty, out),
            (Self::Bool(value), &Type::BOOL) => value.to_sql(ty, out),
            (Self::Text(value), &Type::TEXT) => value.to_sql(ty, out),
            (Self::Bytes(value), &Type::BYTEA) => value.to_sql(ty, out),
            (Self::Instant(at), &Type::TIMESTAMPTZ) => {
                at.micros().saturating_sub(EPOCH_MICROS).to_sql(&Type::INT8, out)
            }
            (Self::Date(date), &Type::DATE) => i32::try_from(date.days() - EPOCH_DAYS)?.to_sql(&Type::INT4, out),
            (Self::Ints(list), &Type::INT8_ARRAY) => list.to_sql(ty, out),
            _ => Err(format!("a parameter does not fit the type {ty}").into()),
        }
    }

    fn accepts(ty: &Type) -> bool {
        let known = [Type::INT8, Type::BOOL, Type::TEXT, Type::BYTEA, Type::TIMESTAMPTZ, Type::DATE];
        known.contains(ty) || matches!(ty.kind(), Kind::Array(member) if known.contains(member))
    }

    to_sql_checked!();
}

/// A column's raw bytes.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> postgres_types::FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }
    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }
    fn accepts(_: &Type) -> bool {
        true
    }
}

fn decode(found: Vec<tokio_postgres::Row>, sql: &'static Sql) -> Result<Vec<Row>, DbError> {
    let one = |row: tokio_postgres::Row| {
        let cells = row.columns().iter().enumerate().map(|(index, column)| {
            let Raw(raw) = row.try_get(index).map_err(error)?;
            let Some(raw) = raw else { return Ok(Cell::Null) };
            cell(column.type_(), raw).ok_or_else(|| DbError::Misuse {
                statement: sql.name,
                reason: format!("column {} has type {}", index + 1, column.type_()),
            })
        });
        Ok(Row { statement: sql.name, cells: cells.collect::<Result<_, DbError>>()? })
    };
    found.into_iter().map(one).collect()
}

fn cell(ty: &Type, raw: &[u8]) -> Option<Cell> {
    Some(match *ty {
        Type::INT8 => Cell::Int(i64::from_be_bytes(raw.try_into().ok()?)),
        Type::BOOL => Cell::Int(i64::from(*raw.first()? != 0)),
        Type::TEXT | Type::VARCHAR | Type::NAME => Cell::Text(std::str::from_utf8(raw).ok()?.to_owned()),
        Type::BYTEA => Cell::Bytes(raw.to_vec()),
        Type::TIMESTAMPTZ => Cell::Int(i64::from_be_bytes(raw.try_into().ok()?).checked_add(EPOCH_MICROS)?),
        Type::DATE => Cell::Int(i64::from(i32::from_be_bytes(raw.try_into().ok()?)) + EPOCH_DAYS),
        _ => return None,
    })
}

fn error(error: tokio_postgres::Error) -> DbError {
    let Some(refused) = error.as_db_error() else {
        if !error.is_closed() && std::error::Error::source(&error).is_some_and(|e| !e.is::<std::io::Error>()) {
            // A parameter or column that does not fit: a defect, not an outage.
            return DbError::Engine(error.to_string());
        }
        // Not an answer of the server: the connection, or what we sent through it.
        return DbError::Unavailable(error.to_string());
    };
    match refused.code() {
        &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED => DbError::Conflict,
        // The detail of a constraint's message may hold the row: only the name goes on.
        code if code.code().starts_with("23") => {
            DbError::Constraint(refused.constraint().or(refused.column()).unwrap_or("unnamed").to_owned())
        }
        code if ["08", "53", "57", "25"].iter().any(|class| code.code().starts_with(class)) => {
            DbError::Unavailable(format!("SQLSTATE {}", code.code()))
        }
        &SqlState::LOCK_NOT_AVAILABLE => DbError::Unavailable("a lock was not available in time".into()),
        code => DbError::Engine(format!("SQLSTATE {}: {}", code.code(), refused.message())),
    }
}
