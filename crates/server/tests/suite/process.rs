//! The real binary as a process of its own, and its database seen past it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use store::{EngineKind, Location, testing::TestDb};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// The instant of the spec's samples.
pub const ANCHOR: &str = "2025-01-15T12:00:00-06:00";

/// A place for one service: its data directory, its logs, and on PostgreSQL a database.
pub struct Place {
    pub dir: TempDir,
    pub database: Option<TestDb>,
    starts: AtomicU64,
}

impl Place {
    pub async fn new(engine: EngineKind) -> Self {
        let database = match engine {
            EngineKind::Sqlite => None,
            EngineKind::Postgres => Some(TestDb::postgres().await.unwrap()),
        };
        Self { dir: tempfile::tempdir().unwrap(), database, starts: AtomicU64::new(0) }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
    pub fn checkpoints(&self) -> PathBuf {
        self.dir.path().join("checkpoints")
    }
    pub fn url(&self) -> Option<&str> {
        match self.database.as_ref().map(TestDb::location) {
            Some(Location::Server(url)) => Some(url),
            _ => None,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_customer-service"));
        command.args(arguments).arg("--data-dir").arg(self.data());
        if let Some(url) = self.url() {
            command.args(["--database-url", url]);
        }
        command.current_dir(self.dir.path()).stdin(Stdio::null()).kill_on_drop(true);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CUSTOMER_SERVICE_")) {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command to its end: exit code, and all that it said.
    pub async fn run(&self, arguments: &[&str]) -> (i32, String) {
        // A demonstration's keyring lies in its data directory, also when its data does not.
        let keyring = self.data().join("keyring");
        let mut command = self.command(arguments);
        let done = command.arg("--keyring-file").arg(keyring).output().await.unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        (done.status.code().unwrap_or(-1), said)
    }

    /// Starts the demonstration and waits until it has printed its curl line.
    pub async fn serve(&self, more: &[&str]) -> Running {
        self.serve_logging(more, |file| File::create(file).unwrap().into()).await
    }

    /// The same with another place for its log than this file.
    pub async fn serve_logging(&self, more: &[&str], log: impl FnOnce(&Path) -> Stdio) -> Running {
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str| self.dir.path().join(format!("{start}.{kind}"));
        let (out, err) = (file("stdout"), file("stderr"));
        let mut command = self.command(&["serve", "--demo", "--as-of", ANCHOR]);
        command.args(["--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0", "--audit-checkpoint-file"]);
        command.arg(self.checkpoints()).args(more);
        command.stdout(File::create(&out).unwrap()).stderr(log(&err));
        let mut child = command.spawn().unwrap();
        let began = Instant::now();
        loop {
            let said = fs::read_to_string(&out).unwrap();
            if said.lines().any(|line| line.starts_with("curl ")) && said.ends_with('\n') {
                let word = |ends: &str| {
                    let mut words = said.split_whitespace();
                    words.find(|word| word.starts_with("http://") && word.ends_with(ends)).unwrap().to_owned()
                };
                let (base, metrics) = (word("/api/docs"), word("/metrics"));
                let base = base.trim_end_matches("/api/docs").to_owned();
                return Running { child, base, metrics, out, err };
            }
            let ended = child.try_wait().unwrap();
            let late = began.elapsed() > Duration::from_secs(60);
            let log = || fs::read_to_string(&err).unwrap_or_default();
            assert!(ended.is_none() && !late, "{ended:?}: {said}{}", log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The database past the service.
    pub async fn sql(&self) -> Sql {
        match self.url() {
            Some(url) => Sql::postgres(url).await,
            None => Sql::sqlite(&self.data()),
        }
    }
}

/// A running service; dropping it kills it.
pub struct Running {
    child: Child,
    pub base: String,
    pub metrics: String,
    pub out: PathBuf,
    pub err: PathBuf,
}

impl Running {
    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends it a signal, such as `-STOP`.
    pub async fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    }

    /// Asks it to end, and gives its exit code.
    pub async fn terminate(mut self) -> i32 {
        self.signal("-TERM").await;
        let ended = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
        ended.expect("it did not end").unwrap().code().unwrap_or(-1)
    }

    /// An access token of a demonstration user.
    pub async fn token(&self, client: &reqwest::Client, user: &str) -> String {
        let form = format!("grant_type=password&client_id=demo&username={user}&password={user}");
        let request = client.post(format!("{}/demo/oidc/token", self.base)).body(form);
        let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        let body: serde_json::Value = answer.json().await.unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }
}

pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap()
}

/// One request; `None` when no whole answer came.
pub async fn ask(
    client: &reqwest::Client,
    (method, url): (Method, String),
    token: &str,
    request_id: &str,
    patch: Option<String>,
) -> Option<(StatusCode, String)> {
    let mut request = client.request(method.clone(), url).bearer_auth(token).header("x-request-id", request_id);
    if let Some(patch) = patch {
        let media = if method == Method::PUT { "application/json" } else { "application/merge-patch+json" };
        request = request.header("content-type", media).body(patch);
    }
    let answer = request.send().await.ok()?;
    let status = answer.status();
    Some((status, answer.text().await.ok()?))
}

/// SQL past the service: every value comes as text.
pub enum Sql {
    Sqlite { main: rusqlite::Connection, audit: rusqlite::Connection },
    Postgres(tokio_postgres::Client),
}

impl Sql {
    /// The database of a service.
    pub async fn of(location: &Location) -> Self {
        match location {
            Location::Directory(dir) => Self::sqlite(dir),
            Location::Server(url) => Self::postgres(url).await,
        }
    }

    pub fn sqlite(dir: &Path) -> Self {
        let open = |name: &str| {
            let connection = rusqlite::Connection::open(dir.join(name)).unwrap();
            connection.busy_timeout(Duration::from_secs(5)).unwrap();
            connection
        };
        Self::Sqlite { main: open("main.sqlite"), audit: open("audit.sqlite") }
    }

    pub async fn postgres(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        // It ends with its client.
        tokio::spawn(connection);
        Self::Postgres(client)
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self, Self::Sqlite { .. })
    }

    pub async fn main(&self, sql: &str) -> Vec<Vec<String>> {
        match self {
            Self::Sqlite { main, .. } => sqlite_rows(main, sql),
            Self::Postgres(client) => postgres_rows(client, sql).await,
        }
    }

    /// Of the audit log, which on SQLite is a file of its own.
    pub async fn audit(&self, sql: &str) -> Vec<Vec<String>> {
        match self {
            Self::Sqlite { audit, .. } => sqlite_rows(audit, sql),
            Self::Postgres(client) => postgres_rows(client, sql).await,
        }
    }

    /// A number.
    pub async fn number(&self, sql: &str) -> i64 {
        self.main(sql).await[0][0].parse().unwrap()
    }

    /// Runs statements in the audit log's file.
    pub async fn audit_batch(&self, sql: &str) {
        match self {
            Self::Sqlite { audit, .. } => audit.execute_batch(sql).unwrap(),
            Self::Postgres(client) => client.batch_execute(sql).await.unwrap(),
        }
    }

    /// Runs statements in the main file.
    pub async fn main_batch(&self, sql: &str) {
        match self {
            Self::Sqlite { main, .. } => main.execute_batch(sql).unwrap(),
            Self::Postgres(client) => client.batch_execute(sql).await.unwrap(),
        }
    }

    /// An expression for bytes as hexadecimal digits.
    pub fn hex(&self, column: &str) -> String {
        if self.is_sqlite() { format!("lower(hex({column}))") } else { format!("encode({column}, 'hex')") }
    }

    /// An expression for a member of a JSON text.
    pub fn member(&self, column: &str, name: &str) -> String {
        if self.is_sqlite() {
            format!("json_extract({column}, '$.{name}')")
        } else {
            format!("(CAST({column} AS json) ->> '{name}')")
        }
    }
}

fn sqlite_rows(connection: &rusqlite::Connection, sql: &str) -> Vec<Vec<String>> {
    use rusqlite::types::Value;
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let text = |i| {
            Ok(match row.get::<_, Value>(i)? {
                Value::Null => String::new(),
                Value::Integer(value) => value.to_string(),
                Value::Real(value) => value.to_string(),
                Value::Text(text) => text,
                Value::Blob(bytes) => hex::encode(bytes),
            })
        };
        (0..columns).map(text).collect()
    });
    rows.unwrap().map(Result::unwrap).collect()
}

async fn postgres_rows(client: &tokio_postgres::Client, sql: &str) -> Vec<Vec<String>> {
    let messages = client.simple_query(sql).await.unwrap();
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.get(i).unwrap_or_default().to_owned()).collect())
        }
        _ => None,
    });
    rows.collect()
}
