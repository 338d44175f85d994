//! PostgreSQL: shared connections on which single-statement reads are pipelined, a pool for transactions,
//! and dedicated connections for the lanes of the audit log.
//!
//! Every session sets `synchronous_commit=on`; start-up fails when the server runs with `fsync=off`,
//! because then nothing that it acknowledges is on disk.

use std::{
    collections::HashMap,
    str::FromStr,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use postgres_types::ToSql;
use tokio::sync::Semaphore;
use tokio_postgres::{Client, Config, Statement, config::Host, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    Cell, DbError, Param, Row, Sql,
    pipeline::{Pipelines, STALL},
    wire::{bind, columns_of, decode},
};

const CONNECT: Duration = Duration::from_secs(5);
/// For a place among those who change, or read long.
const WAIT: Duration = Duration::from_secs(3);
/// How long the end of a transaction that was given up may take before its connection is closed.
const ROLL_BACK: Duration = Duration::from_secs(1);
/// Statements end before the time limit of the routes, 10 s: whoever asks learns of it from us, and nothing goes on
/// behind their back.
const SESSION: &str = "-c synchronous_commit=on -c statement_timeout=8s -c lock_timeout=3s \
                       -c idle_in_transaction_session_timeout=15s -c timezone=UTC";

/// Long reads at once.
const HEAVY: usize = 4;
/// Reads at once that were found to be slow: of a locked table, mostly. Apart from the long ones, which do well.
const SLOW: usize = 2;

/// A server and our connections to it.
#[derive(Debug)]
pub(crate) struct Postgres {
    pub(super) pipelines: Pipelines,
    pool: Pool,
    heavy: Semaphore,
    slow: Semaphore,
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
        let (client, connection) = self.config.connect(self.tls.clone()).await.map_err(|e| self.unreachable(&e))?;
        tokio::spawn(async move {
            if let Err(lost) = connection.await {
                tracing::warn!(error = %lost, "a database connection was lost");
            }
        });
        Ok(Connection { client, prepared: RwLock::default() })
    }

    /// Names the server and the database, never the password.
    pub(crate) fn place(&self) -> String {
        let host = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        let ports = self.config.get_ports();
        let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        let hosts = self.config.get_hosts().iter().enumerate();
        let hosts: Vec<String> = hosts.map(|(i, name)| format!("{}:{}", host(name), port(i))).collect();
        let user = self.config.get_user().unwrap_or("nobody named");
        format!("{}/{} as {user}", hosts.join(","), self.config.get_dbname().unwrap_or(user))
    }

    fn unreachable(&self, error: &tokio_postgres::Error) -> DbError {
        let mut causes = vec![error.to_string()];
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            // Some errors repeat their cause in their own words.
            let words = cause.to_string();
            if !causes.iter().any(|known| known.contains(&words)) {
                causes.push(words);
            }
            source = cause.source();
        }
        DbError::Unavailable(format!("{}: {}", self.place(), causes.join(": ")))
    }
}

impl Connection {
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

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
        let pool = pool.wait_timeout(Some(WAIT)).create_timeout(Some(CONNECT)).build();
        let pool = pool.map_err(|e| DbError::Engine(e.to_string()))?;
        let pipelines = Pipelines::new(connector.clone());
        let this = Self { pipelines, pool, heavy: Semaphore::new(HEAVY), slow: Semaphore::new(SLOW), connector };
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

    pub(crate) async fn read(&self, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        if sql.heavy {
            return self.read_apart(&self.heavy, sql, params).await;
        }
        match self.pipelines.read(sql, &params).await? {
            Some(rows) => Ok(rows),
            None => self.read_apart(&self.slow, sql, params).await,
        }
    }

    /// Reads on a connection of the pool; few at a time, so that changes find one, too.
    async fn read_apart(&self, places: &Semaphore, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<Row>, DbError> {
        let turn = tokio::time::timeout(WAIT, places.acquire()).await;
        let _turn = turn.map_err(|_| DbError::Unavailable("too many long reads wait".into()))?;
        let mut lent = PostgresTx { client: Some(self.client().await?), begun: false };
        let began = Instant::now();
        let rows = lent.rows(sql, params).await;
        lent.answered();
        if rows.is_ok() && began.elapsed() < STALL {
            self.pipelines.is_fast(sql);
        }
        rows
    }

    async fn client(&self) -> Result<Object, DbError> {
        self.pool.get().await.map_err(|e| DbError::Unavailable(e.to_string()))
    }

    pub(crate) async fn begin(&self) -> Result<PostgresTx, DbError> {
        self.begin_as("BEGIN").await
    }

    pub(crate) async fn snapshot(&self) -> Result<PostgresTx, DbError> {
        self.begin_as("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await
    }

    async fn begin_as(&self, command: &str) -> Result<PostgresTx, DbError> {
        // First, so that who is cut off while it begins leaves no transaction open.
        let tx = PostgresTx { client: Some(self.client().await?), begun: true };
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

/// A transaction on a connection of the pool, or one statement without.
pub(crate) struct PostgresTx {
    client: Option<Object>,
    begun: bool,
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

impl PostgresTx {
    /// The one statement was answered: the connection goes back into the pool.
    fn answered(mut self) {
        self.client = None;
    }
}

impl Drop for PostgresTx {
    /// Never back into the pool with a transaction open, or with a statement at work: the connection rolls back first,
    /// and is closed, which does the same, when it does not say soon that it has.
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        let runtime = tokio::runtime::Handle::try_current();
        let (true, false, Ok(runtime)) = (self.begun, client.is_closed(), runtime) else {
            return drop(Object::take(client));
        };
        // Drop guard within the task: with the runtime ends the task, and must not give the connection back.
        let open = PostgresTx { client: Some(client), begun: false };
        runtime.spawn(async move {
            let Some(client) = &open.client else { return };
            let rolled_back = tokio::time::timeout(ROLL_BACK, client.batch_execute("ROLLBACK")).await;
            if matches!(rolled_back, Ok(Ok(()))) {
                open.answered();
            }
        });
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

pub(super) fn error(error: tokio_postgres::Error) -> DbError {
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
        &SqlState::INSUFFICIENT_PRIVILEGE => DbError::Forbidden(refused.message().to_owned()),
        &SqlState::LOCK_NOT_AVAILABLE => DbError::Unavailable("a lock was not available in time".into()),
        code => DbError::Engine(format!("SQLSTATE {}: {}", code.code(), refused.message())),
    }
}
