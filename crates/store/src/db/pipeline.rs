//! Connections to PostgreSQL on which single-statement reads are pipelined, and what keeps a slow one from holding up
//! others.
//!
//! The server answers the statements of a connection in turn. When it has answered none of them for [`STALL`], the
//! first in the line is what takes long. The connection is left to it; whoever waits behind it asks again on a fresh
//! one. From then on statements like the first one go on connections of their own, until one of them is fast again: a
//! locked table must not take one shared connection after the other.

use std::{
    collections::HashSet,
    pin::pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Mutex, time::timeout};

use super::{
    DbError, Param, Row, Sql,
    postgres::{Connection, Connector},
};

/// Connections that carry pipelined reads.
const SHARED: usize = 2;
/// Without any answer on a connection at which statements wait. Above what a busy server needs for one.
pub(super) const STALL: Duration = Duration::from_millis(250);
/// How often a statement may stand behind a slow one before it goes on a connection of its own.
const TRIES: usize = 3;

/// The shared connections.
#[derive(Debug)]
pub(super) struct Pipelines {
    slots: Vec<Mutex<Option<Arc<Pipeline>>>>,
    next: AtomicUsize,
    /// Slow statements, by address: slices use the same names.
    apart: RwLock<HashSet<usize>>,
    connector: Connector,
}

/// One connection and how far the server has come.
#[derive(Debug)]
struct Pipeline {
    connection: Connection,
    /// Places in the line that were given.
    taken: AtomicU64,
    /// The highest place that was answered: so was every one before it.
    answered: AtomicU64,
    made: Instant,
    /// When something was answered last, in milliseconds since it was made.
    moved: AtomicU64,
    /// Left to a slow statement.
    left: AtomicBool,
}

/// Why a connection gave no rows.
enum Instead {
    /// The statement stood behind a slow one.
    HeldUp,
    Failed(DbError),
}

fn key(sql: &'static Sql) -> usize {
    std::ptr::from_ref(sql).addr()
}

impl Pipelines {
    pub(super) fn new(connector: Connector) -> Self {
        let slots = (0..SHARED).map(|_| Mutex::new(None)).collect();
        Self { slots, next: AtomicUsize::new(0), apart: RwLock::default(), connector }
    }

    /// Runs a statement on a shared connection; `None` when it is to have one of its own.
    pub(super) async fn read(&self, sql: &'static Sql, params: &[Param]) -> Result<Option<Vec<Row>>, DbError> {
        let mut lost = false;
        for _ in 0..TRIES {
            if self.is_apart(sql) {
                return Ok(None);
            }
            let line = self.line().await?;
            match self.ask(&line, sql, params).await {
                Ok(rows) => return Ok(Some(rows)),
                Err(Instead::HeldUp) => {}
                // The server restarted under us; a read may be sent again.
                Err(Instead::Failed(DbError::Unavailable(_))) if line.connection.is_closed() && !lost => lost = true,
                Err(Instead::Failed(failed)) => return Err(failed),
            }
        }
        Ok(None)
    }

    fn is_apart(&self, sql: &'static Sql) -> bool {
        self.apart.read().unwrap_or_else(PoisonError::into_inner).contains(&key(sql))
    }

    /// Says that a statement which may have been slow is fast again.
    pub(super) fn is_fast(&self, sql: &'static Sql) {
        if !self.is_apart(sql) {
            return;
        }
        self.apart.write().unwrap_or_else(PoisonError::into_inner).remove(&key(sql));
    }

    async fn line(&self) -> Result<Arc<Pipeline>, DbError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let slot = self.slots.get(turn % SHARED);
        let mut slot = slot.ok_or_else(|| DbError::Engine("no shared connections".into()))?.lock().await;
        match &*slot {
            Some(line) if !line.left.load(Ordering::Relaxed) && !line.connection.is_closed() => Ok(Arc::clone(line)),
            _ => {
                let line = Arc::new(Pipeline::new(self.connector.connect().await?));
                *slot = Some(Arc::clone(&line));
                Ok(line)
            }
        }
    }

    async fn ask(&self, line: &Pipeline, sql: &'static Sql, params: &[Param]) -> Result<Vec<Row>, Instead> {
        let place = line.taken.fetch_add(1, Ordering::Relaxed) + 1;
        let (mut rows, mut wait) = (pin!(line.connection.rows(sql, params)), STALL);
        loop {
            if let Ok(rows) = timeout(wait, &mut rows).await {
                line.answers(place);
                return rows.map_err(Instead::Failed);
            }
            match STALL.checked_sub(line.still()) {
                None | Some(Duration::ZERO) => break,
                // Others were answered meanwhile. Those who came first see a stall first.
                Some(left) => wait = left,
            }
        }
        line.left.store(true, Ordering::Relaxed);
        if line.answered.load(Ordering::Relaxed) + 1 != place {
            return Err(Instead::HeldUp);
        }
        self.apart.write().unwrap_or_else(PoisonError::into_inner).insert(key(sql));
        let rows = rows.await;
        line.answers(place);
        rows.map_err(Instead::Failed)
    }
}

impl Pipeline {
    fn new(connection: Connection) -> Self {
        let (taken, answered, moved) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { connection, taken, answered, made: Instant::now(), moved, left: AtomicBool::new(false) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn answers(&self, place: u64) {
        self.answered.fetch_max(place, Ordering::Relaxed);
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    /// For how long nothing was answered.
    fn still(&self) -> Duration {
        Duration::from_millis(self.now().saturating_sub(self.moved.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::{super::postgres::Postgres, *};
    use crate::{Location, db::Cell, testing::TestDb};

    static LOCKED: Sql = Sql::new("LOCKED", "", "SELECT count(*) FROM outbox", false);
    static FREE: Sql = Sql::new("FREE", "", "SELECT count(*) FROM customer", false);
    static BACKEND: Sql = Sql::new("BACKEND", "", "SELECT pg_backend_pid()::int8", false);
    static SLEEP: Sql = Sql::new("SLEEP", "", "SELECT count(pg_sleep(30))", false);
    static WRONG: Sql = Sql::new("WRONG", "", "SELECT 1::int8 / count(*) FROM outbox", false);

    async fn opened(pool: usize) -> (TestDb, Postgres) {
        let made = TestDb::postgres().await.unwrap();
        let Location::Server(url) = made.location() else { unreachable!() };
        let db = Postgres::open(url, pool).await.unwrap();
        (made, db)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_locked_table_holds_up_nobody_who_does_not_need_it() {
        let (_made, db) = opened(8).await;
        let other = db.connector().connect().await.unwrap();
        other.batch("BEGIN; LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE").await.unwrap();
        let timed = async |sql: &'static Sql, after: u64| {
            tokio::time::sleep(Duration::from_millis(after)).await;
            let began = Instant::now();
            (db.read(sql, Vec::new()).await, began.elapsed())
        };
        // Again and again, so that one who was freed is not held up by the next.
        let stuck = join_all((0..40).map(|n| timed(&LOCKED, n * 100)));
        let free = join_all((0..40).map(|n| timed(&FREE, n * 100 + 50)));
        let (stuck, free) = tokio::join!(stuck, free);
        for (rows, after) in stuck {
            assert!(matches!(rows, Err(DbError::Unavailable(_))), "{rows:?}");
            assert!(after < Duration::from_secs(9), "{after:?}");
        }
        let mut waits: Vec<Duration> = free.into_iter().map(|(rows, after)| rows.map(|_| after).unwrap()).collect();
        waits.sort();
        assert!(waits[39] < Duration::from_millis(1500), "{waits:?}");
        assert!(waits[20] < Duration::from_millis(250), "{waits:?}");
        other.batch("COMMIT").await.unwrap();
        assert!(db.pipelines.is_apart(&LOCKED), "the locked table's statement went its own way");
        db.read(&LOCKED, Vec::new()).await.unwrap();
        assert!(!db.pipelines.is_apart(&LOCKED), "and is back, since it is fast again");
    }

    #[tokio::test]
    async fn a_refused_change_leaves_its_connection_to_the_next_one_rolled_back() {
        let (_made, db) = opened(1).await;
        let mut tx = db.begin().await.unwrap();
        let first = tx.rows(&BACKEND, Vec::new()).await.unwrap().remove(0).cells;
        assert!(tx.rows(&WRONG, Vec::new()).await.is_err(), "the transaction is aborted");
        drop(tx);
        for _ in 0..3 {
            let mut tx = db.begin().await.unwrap();
            assert_eq!(tx.rows(&BACKEND, Vec::new()).await.unwrap().remove(0).cells, first, "the same connection");
            assert_eq!(tx.rows(&FREE, Vec::new()).await.unwrap().remove(0).cells, [Cell::Int(0)]);
        }
        let mut tx = db.begin().await.unwrap();
        let cut_off = timeout(Duration::from_millis(100), tx.rows(&SLEEP, Vec::new())).await;
        assert!(cut_off.is_err());
        drop(tx);
        let mut tx = db.begin().await.unwrap();
        let other = tx.rows(&BACKEND, Vec::new()).await.unwrap().remove(0).cells;
        assert_ne!(other, first, "one that is still at work is closed");
    }
}
