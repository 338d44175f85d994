//! A migrated database of either engine, made for one test and gone after it.

use std::{
    future::Future,
    io::BufRead,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use crypto::{Keyring, SystemRandom};
use domain::time::{Clock, Instant, SECOND};

use super::record;
use crate::{
    audit::{AuditLog, AuditOptions, Finding, Report},
    db::{
        Db, Sql, Tx,
        postgres::{Connector, Postgres},
        sqlite::{self, Sqlite},
    },
    migrate,
};

/// A clock that tests move.
pub(super) struct TestClock {
    pub(super) now: AtomicI64,
    /// Whether the next task that asks for the time panics.
    pub(super) panics: AtomicBool,
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        assert!(!self.panics.swap(false, Ordering::Relaxed), "a test wants this task to panic");
        Instant::from_micros(self.now.load(Ordering::Relaxed))
    }
}

pub(super) struct House {
    pub(super) db: Arc<Db>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) clock: Arc<TestClock>,
    dir: tempfile::TempDir,
    url: Option<String>,
}

fn admin_url() -> String {
    std::env::var("OSSREP_TEST_POSTGRES")
        .expect("OSSREP_TEST_POSTGRES is not set; run `./dev services start` and follow what it prints")
}

/// The URL of another database of the same server.
fn with_database(url: &str, name: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, String::new()), |(url, q)| (url, format!("?{q}")));
    let (scheme, rest) = url.split_once("://").unwrap();
    let authority = rest.split('/').next().unwrap();
    format!("{scheme}://{authority}/{name}{query}")
}

/// Runs a test on both engines.
pub(super) fn on_both<F: Future<Output = ()>>(name: &str, test: impl Fn(Arc<House>) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        migrate::sqlite(dir.path()).unwrap();
        let db = Db::Sqlite(Sqlite::open(dir.path()).unwrap());
        test(house(db, dir, None)).await;
        let name = format!("audit_{name}_{}", std::process::id());
        let admin = Connector::new(&admin_url()).unwrap().connect().await.unwrap();
        admin.batch(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
        admin.batch(&format!("CREATE DATABASE {name}")).await.unwrap();
        let url = with_database(&admin_url(), &name);
        // Long before what the tests write: they make the partitions that they need.
        let long_ago = domain::time::Instant::from_micros(978_350_400_000_000);
        migrate::postgres(&url, long_ago).await.unwrap();
        let db = Db::Postgres(Box::new(Postgres::open(&url, 4).await.unwrap()));
        // In a task, so that the database is dropped after a failed test too.
        let house = house(db, tempfile::tempdir().unwrap(), Some(url));
        let tested = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(test(house))).await;
        admin.batch(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
        if let Err(failed) = tested {
            std::panic::resume_unwind(failed);
        }
    });
}

fn house(db: Db, dir: tempfile::TempDir, url: Option<String>) -> Arc<House> {
    let text = Keyring::generate(&SystemRandom, "2025-01-15").unwrap();
    let clock = Arc::new(TestClock { now: AtomicI64::new(1_736_964_000 * SECOND), panics: AtomicBool::new(false) });
    Arc::new(House { db: Arc::new(db), keyring: Arc::new(text.reveal().parse().unwrap()), clock, dir, url })
}

/// What [`House::hold_main`] holds.
pub(super) struct Held(Tx);

impl Held {
    pub(super) async fn release(self) {
        self.0.commit().await.unwrap();
    }
}

const LOCK: &str = "LOCK TABLE audit_intake IN ACCESS EXCLUSIVE MODE";
static HOLD: Sql = Sql::new("HOLD", LOCK, LOCK, false);

impl House {
    pub(super) fn file(&self) -> PathBuf {
        self.dir.path().join("checkpoints.jsonl")
    }

    pub(super) async fn log(&self) -> AuditLog {
        self.log_with(self.options()).await
    }

    pub(super) fn options(&self) -> AuditOptions {
        let never = Duration::from_secs(3600);
        AuditOptions { checkpoint_file: Some(self.file()), checkpoint_every: never, index_every: never }
    }

    pub(super) async fn log_with(&self, options: AuditOptions) -> AuditLog {
        let (db, keyring) = (Arc::clone(&self.db), Arc::clone(&self.keyring));
        AuditLog::start(db, keyring, Arc::clone(&self.clock) as Arc<dyn Clock>, Arc::new(SystemRandom), options)
            .await
            .unwrap()
    }

    /// Holds the main database as a change that takes long: SQLite's writer, and on PostgreSQL the intake.
    pub(super) async fn hold_main(&self) -> Held {
        let mut tx = self.db.begin().await.unwrap();
        if self.is_postgres() {
            tx.execute(&HOLD, Vec::new()).await.unwrap();
        }
        Held(tx)
    }

    /// A closed log of one lane with five records and a checkpoint.
    pub(super) async fn five(&self) {
        let log = self.log().await;
        for n in 1..=5 {
            log.append(record(n)).await.unwrap();
        }
        log.close().await;
    }

    pub(super) async fn verify(&self) -> Report {
        crate::audit::verify(&self.db, &self.keyring, None).await.unwrap()
    }

    /// Verifies with the lines that were kept outside.
    pub(super) async fn verify_with(&self, lines: String) -> Report {
        let lines: Box<dyn BufRead + Send> = Box::new(std::io::Cursor::new(lines));
        crate::audit::verify(&self.db, &self.keyring, Some(lines)).await.unwrap()
    }

    pub(super) async fn verify_outside(&self) -> Report {
        self.verify_with(std::fs::read_to_string(self.file()).unwrap()).await
    }

    pub(super) async fn findings(&self) -> Vec<Finding> {
        self.verify().await.findings
    }

    /// Does what an intruder with the database's password does.
    pub(super) async fn tamper(&self, sql: &str) {
        match &self.url {
            None => {
                let main = ["audit_intake", "audit_by_customer", "audit_indexed", "audit_signed"];
                let main = main.iter().any(|table| sql.contains(table));
                let file = if main { "main.sqlite" } else { "audit.sqlite" };
                let connection = sqlite::connect(&self.dir.path().join(file), false).unwrap();
                connection.execute_batch(sql).unwrap();
            }
            Some(url) => Connector::new(url).unwrap().connect().await.unwrap().batch(sql).await.unwrap(),
        }
    }

    pub(super) fn is_postgres(&self) -> bool {
        self.url.is_some()
    }

    pub(super) async fn connection(&self) -> crate::db::postgres::Connection {
        Connector::new(self.url.as_ref().unwrap()).unwrap().connect().await.unwrap()
    }
}
