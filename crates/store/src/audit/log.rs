//! The log as the rest of the service sees it: append and wait, append later, close.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use crypto::{Keyring, Random};
use domain::time::{Clock, SECOND};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, mpsc, oneshot, watch},
    time::{Instant as Moment, timeout, timeout_at},
};

use super::{
    Record,
    chain::Head,
    checkpoint::Checkpointer,
    flood::Floods,
    index,
    lane::{COMMIT, Chain, Lane, Waiting},
    mover,
    retention::{Dropped, Plan},
    stats::{AuditStats, Counters},
    upkeep,
};
use crate::{
    db::{Db, DbError},
    supervise::Supervisor,
};

/// Records that wait at most; one more is refused as overload.
const QUEUE: usize = 4096;
/// A commit that takes longer, in microseconds, is taken for one that never ends.
const HANGS: i64 = 2 * SECOND;
/// Checkpoints that may fail in a row before the log is not able any more.
const UNSIGNED: u32 = 3;
/// How long the end waits for what is still being written.
const CLOSE: Duration = Duration::from_secs(10);

/// Why a record is not in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// It was not durable within two seconds: nothing that it stands for may be given out.
    #[error("the audit log is not available: {0}")]
    Unavailable(&'static str),
}

/// How the log is written.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// A file outside the database to which each checkpoint is appended as a JSON line.
    pub checkpoint_file: Option<PathBuf>,
    /// The time between two checkpoints.
    pub checkpoint_every: Duration,
    /// The time between two rounds in which the index by customer is built on.
    pub index_every: Duration,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { checkpoint_file: None, checkpoint_every: Duration::from_secs(10), index_every: Duration::from_secs(5) }
    }
}

/// A record that was handed over.
#[derive(Debug)]
pub struct Submitted {
    durable: oneshot::Receiver<()>,
    until: Moment,
}

impl Submitted {
    /// Waits until the record is durable.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] when it is not within two seconds of being handed over.
    pub async fn durable(self) -> Result<(), AuditError> {
        match timeout_at(self.until, self.durable).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(AuditError::Unavailable("the record was not committed")),
            Err(_) => Err(AuditError::Unavailable("the record was not committed in time")),
        }
    }
}

/// What the tasks of the log and its handle share.
pub(super) struct Shared {
    pub(super) db: Arc<Db>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) options: AuditOptions,
    pub(super) stats: Counters,
    pub(super) supervisor: Supervisor,
    pub(super) intake: Notify,
    pub(super) floods: Floods,
    /// The committed head of the open chain; `None` while there is none.
    head: Mutex<Option<Head>>,
    /// Since when the lane is at a commit, in microseconds since 1970; 0 while it is not.
    committing: AtomicI64,
    /// When everything was last found signed.
    signed: Mutex<Moment>,
    /// Heads of chains that ended and are not in a checkpoint yet.
    pub(super) finished: Mutex<Vec<Head>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn head(&self) -> Option<Head> {
        *locked(&self.head)
    }

    /// Notes how far the lane has committed.
    pub(super) fn publish(&self, head: Head) {
        *locked(&self.head) = Some(head);
    }

    /// Notes that the open chain, if there is one, has ended.
    pub(super) fn give_up(&self) {
        self.commits(false);
        let head = locked(&self.head).take().filter(|head| head.number > 0);
        locked(&self.finished).extend(head);
    }

    /// Notes that the lane is at a commit, or no more.
    pub(super) fn commits(&self, begins: bool) {
        self.committing.store(if begins { self.clock.now().micros() } else { 0 }, Ordering::Relaxed);
    }

    /// Notes that everything is signed.
    pub(super) fn signs(&self) {
        *locked(&self.signed) = Moment::now();
    }

    /// Whether the lane has a chain, its storage does not hang, everything that belongs to the log runs, and
    /// checkpoints are made.
    fn is_able(&self) -> bool {
        let since = self.committing.load(Ordering::Relaxed);
        let hangs = since != 0 && self.clock.now().micros().saturating_sub(since) > HANGS;
        let unsigned = locked(&self.signed).elapsed() > self.options.checkpoint_every * UNSIGNED;
        self.head().is_some() && !hangs && !unsigned && self.supervisor.is_well()
    }

    /// Counts records that nobody waited for and that could not be written.
    pub(super) fn lost(&self, records: u64) {
        self.stats.lost.fetch_add(records, Ordering::Relaxed);
        self.stats.unreported.fetch_add(records, Ordering::Relaxed);
    }
}

/// The audit log, open for writing.
pub struct AuditLog {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Waiting>,
    end: watch::Sender<bool>,
    /// The ends of its tasks.
    work: Mutex<Vec<oneshot::Receiver<()>>>,
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl AuditLog {
    /// Opens a lane and starts the tasks of the log: lane, mover, signer, indexer, upkeep.
    pub(crate) async fn start(
        db: Arc<Db>,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: AuditOptions,
    ) -> Result<Self, DbError> {
        let shared = Arc::new(Shared {
            db,
            keyring,
            clock,
            random,
            options,
            stats: Counters::default(),
            supervisor: Supervisor::default(),
            intake: Notify::new(),
            floods: Floods::default(),
            head: Mutex::new(None),
            committing: AtomicI64::new(0),
            signed: Mutex::new(Moment::now()),
            finished: Mutex::default(),
        });
        let first = Chain::open(&shared).await?;
        // Here, not in its task: the log is able from now on.
        shared.publish(first.head);
        let (end, ended) = watch::channel(false);
        let (queue, waiting) = mpsc::channel(QUEUE);
        // One move at a time: the mover waits for it.
        let (moves, moving) = mpsc::channel(1);
        let lane =
            Lane { shared: Arc::clone(&shared), first: Some(first), queue: waiting, moves: moving, end: ended.clone() };
        let lane = Arc::new(AsyncMutex::new(lane));
        let lane = shared.keep("audit-lane", &ended, move |_, _| {
            let lane = Arc::clone(&lane);
            async move { lane.lock().await.run().await }
        });
        let mover = shared.keep("audit-mover", &ended, move |shared, end| {
            let moves = moves.clone();
            async move { mover::run(&shared, &moves, end).await }
        });
        let signer = shared.keep("audit-signer", &ended, upkeep::sign);
        let indexer = shared.keep("audit-indexer", &ended, index::run);
        let sender = queue.clone();
        let upkeep = shared.keep("audit-upkeep", &ended, move |shared, end| {
            let queue = sender.clone();
            async move { upkeep::run(&shared, &queue, end).await }
        });
        let work = vec![
            shared.db.spawn_writer("audit-lane", lane)?,
            shared.db.spawn_writer("audit-signer", signer)?,
            spawn(mover),
            spawn(indexer),
            spawn(upkeep),
        ];
        Ok(Self { shared, queue, end, work: Mutex::new(work) })
    }

    /// Hands a record over; it is on its way to the disk, and durable once [`Submitted::durable`] says so.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] when too many records wait.
    pub fn submit(&self, record: Record) -> Result<Submitted, AuditError> {
        self.submit_with(record, Vec::new())
    }

    /// As [`AuditLog::submit`], with more records that go into the same commit.
    ///
    /// # Errors
    /// As [`AuditLog::submit`].
    pub fn submit_with(&self, record: Record, more: Vec<Record>) -> Result<Submitted, AuditError> {
        let (done, durable) = oneshot::channel();
        let waiting = Waiting { record, more, done: Some(done) };
        self.queue.try_send(waiting).map_err(|_| AuditError::Unavailable("too many records wait, or it is closed"))?;
        Ok(Submitted { durable, until: Moment::now() + COMMIT })
    }

    /// Appends a record; it is durable on return.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] when it is not within two seconds, or too many records wait. The record
    /// may still appear in the log then: it tells of an attempt.
    pub async fn append(&self, record: Record) -> Result<(), AuditError> {
        self.submit(record)?.durable().await
    }

    /// Appends the record of a failed authentication without waiting for it. More than ten a minute from
    /// one network become one counting record; `address` is the client's.
    pub fn append_later(&self, record: Record, address: Option<IpAddr>) {
        for record in self.shared.floods.admit(record, address).into_iter().flatten() {
            self.send(record);
        }
    }

    fn send(&self, record: Record) {
        if self.queue.try_send(Waiting { record, more: Vec::new(), done: None }).is_err() {
            self.shared.lost(1);
        }
    }

    /// Whether records can be appended now, and what belongs to the log is done; for readiness.
    pub fn is_able(&self) -> bool {
        self.shared.is_able()
    }

    /// Says that a change has left a record in the intake.
    pub fn notify_intake(&self) {
        self.shared.intake.notify_one();
    }

    /// Makes a checkpoint now, when there is something new: its number.
    ///
    /// # Errors
    /// [`DbError`] when it could not be written.
    pub async fn checkpoint(&self) -> Result<Option<i64>, DbError> {
        Checkpointer::new(Arc::clone(&self.shared)).checkpoint().await
    }

    /// Brings the index by customer up to date.
    #[cfg(test)]
    pub(crate) async fn index(&self) -> Result<(), DbError> {
        index::Indexer::new(Arc::clone(&self.shared)).all().await
    }

    /// Builds the index by customer anew.
    pub(crate) async fn reindex(&self) -> Result<(), DbError> {
        index::rebuild(&self.shared).await
    }

    /// Drops what a verification found to be older than a month, behind a checkpoint that says so. On PostgreSQL
    /// the role must own the tables.
    ///
    /// # Errors
    /// [`DbError`]; what was stated and not done yet is done by the next drop.
    pub(crate) async fn drop_records(&self, plan: &Plan) -> Result<Dropped, DbError> {
        Checkpointer::new(Arc::clone(&self.shared)).drop_records(plan).await
    }

    /// Writes what waits, signs the last heads and ends. Appending fails from now on.
    pub async fn close(&self) {
        let now = None;
        for record in self.shared.floods.passed(now) {
            self.send(record);
        }
        self.end.send_replace(true);
        let work = std::mem::take(&mut *self.work.lock().unwrap_or_else(PoisonError::into_inner));
        for ended in work {
            match timeout(CLOSE, ended).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => tracing::error!("a task of the audit log failed"),
                Err(_) => tracing::error!("the storage of the audit log hangs; ending without it"),
            }
        }
        if let Err(failed) = self.checkpoint().await {
            tracing::warn!(error = %failed, "the last checkpoint of the audit log could not be written");
        }
    }

    /// Figures for metrics.
    pub fn stats(&self) -> AuditStats {
        let waiting = self.queue.max_capacity() - self.queue.capacity();
        self.shared.stats.figures(waiting as u64, self.shared.supervisor.restarts())
    }
}

impl Shared {
    /// A task of the log under supervision; `start` is given what every one needs.
    fn keep<F: Future<Output = ()>, S: Fn(Arc<Self>, watch::Receiver<bool>) -> F>(
        self: &Arc<Self>,
        name: &'static str,
        end: &watch::Receiver<bool>,
        start: S,
    ) -> impl Future<Output = ()> + use<F, S> {
        let (shared, end) = (Arc::clone(self), end.clone());
        let ended = end.clone();
        self.supervisor.clone().keep(name, ended, move || start(Arc::clone(&shared), end.clone()))
    }
}

/// Runs a task; what is returned resolves at its end.
fn spawn(work: impl Future<Output = ()> + Send + 'static) -> oneshot::Receiver<()> {
    let (done, ended) = oneshot::channel();
    tokio::spawn(async move {
        work.await;
        // Who does not wait for the end need not be told.
        let _unwaited = done.send(());
    });
    ended
}
