//! The log as the rest of the service sees it: append and wait, append later, close.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crypto::{Keyring, Random};
use domain::{
    ids::CustomerId,
    policy::Categories,
    time::{Clock, SECOND},
};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    ActorKind, Outcome, Record,
    chain::Head,
    checkpoint::Checkpointer,
    flood::Floods,
    lane::{COMMIT, Chain, Lane, Waiting, ended},
    retention::{Dropped, Plan},
};
use crate::{
    db::{Db, DbError},
    partitions,
};

/// Records that wait at most, for each lane; one more is refused as overload.
const QUEUE: usize = 4096;
/// A commit that takes longer, in microseconds, is taken for one that never ends.
const HANGS: i64 = 2 * SECOND;
/// How long the end waits for what is still being written.
const CLOSE: Duration = Duration::from_secs(10);
const FLOOD_CHECK: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(24 * 3600);

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
    /// Lanes of this process, at least one.
    pub lanes: usize,
    /// A file outside the database to which each checkpoint is appended as a JSON line.
    pub checkpoint_file: Option<PathBuf>,
    /// The time between two checkpoints.
    pub checkpoint_every: Duration,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { lanes: 1, checkpoint_file: None, checkpoint_every: Duration::from_secs(10) }
    }
}

/// Evidence that a record is durable. Only the log makes one.
#[derive(Debug)]
pub struct Appended {
    customer: Option<CustomerId>,
    categories: Categories,
}

impl Appended {
    /// Whose data the record names.
    pub fn customer(&self) -> Option<CustomerId> {
        self.customer
    }
    /// The categories of data that the record names.
    pub fn categories(&self) -> Categories {
        self.categories
    }
}

/// Figures for metrics, counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditStats {
    /// Records written.
    pub records: u64,
    /// Commits of batches.
    pub commits: u64,
    /// Chains given up because the outcome of a commit was unknown.
    pub lanes_lost: u64,
    /// Records for which nobody waited and which could not be written singly; the log says how many.
    pub lost: u64,
    /// Records in the queues now.
    pub waiting: u64,
    /// Checkpoints made.
    pub checkpoints: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) records: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) lanes_lost: AtomicU64,
    pub(super) checkpoints: AtomicU64,
    lost: AtomicU64,
    /// Lost records that no record of the log speaks of yet.
    unreported: AtomicU64,
}

/// What lanes, checkpoints and the handle share.
pub(super) struct Shared {
    pub(super) db: Arc<Db>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    pub(super) options: AuditOptions,
    pub(super) stats: Counters,
    pub(super) intake: Notify,
    /// The committed heads of the open chains; `None` while a lane has no chain.
    pub(super) heads: Vec<Mutex<Option<Head>>>,
    /// Since when each lane is at a commit, in microseconds since 1970; 0 while it is not.
    committing: Vec<AtomicI64>,
    /// Heads of chains that ended and are not in a checkpoint yet.
    pub(super) finished: Mutex<Vec<Head>>,
    floods: Floods,
}

impl Shared {
    /// Notes how far a lane has committed.
    pub(super) fn publish(&self, index: usize, head: Option<Head>) {
        if let Some(slot) = self.heads.get(index) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = head;
        }
    }

    fn is_open(&self, index: usize) -> bool {
        self.heads.get(index).is_some_and(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).is_some())
    }

    /// Notes that a lane is at a commit, or no more.
    pub(super) fn commits(&self, index: usize, begins: bool) {
        if let Some(since) = self.committing.get(index) {
            since.store(if begins { self.clock.now().micros() } else { 0 }, Ordering::Relaxed);
        }
    }

    /// Whether a lane is open and its storage does not hang.
    fn is_able(&self, index: usize) -> bool {
        let since = self.committing.get(index).map_or(0, |since| since.load(Ordering::Relaxed));
        let hangs = since != 0 && self.clock.now().micros().saturating_sub(since) > HANGS;
        self.is_open(index) && !hangs
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
    queues: Vec<mpsc::Sender<Waiting>>,
    turn: AtomicUsize,
    end: watch::Sender<bool>,
    /// The ends of the lanes and of the upkeep.
    work: Mutex<Vec<oneshot::Receiver<()>>>,
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl AuditLog {
    /// Opens the lanes and starts their tasks, and the one that makes checkpoints.
    ///
    /// # Errors
    /// [`DbError`] when a lane cannot be opened.
    pub(crate) async fn start(
        db: Arc<Db>,
        keyring: Arc<Keyring>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: AuditOptions,
    ) -> Result<Self, DbError> {
        let lanes = options.lanes.max(1);
        let shared = Arc::new(Shared {
            db,
            keyring,
            clock,
            random,
            options,
            stats: Counters::default(),
            intake: Notify::new(),
            heads: (0..lanes).map(|_| Mutex::new(None)).collect(),
            committing: (0..lanes).map(|_| AtomicI64::new(0)).collect(),
            finished: Mutex::default(),
            floods: Floods::default(),
        });
        let (end, ended) = watch::channel(false);
        let (mut queues, mut work) = (Vec::new(), Vec::new());
        for index in 0..lanes {
            let first = Chain::open(&shared).await?;
            // Here, not in its task: it may be chosen before the task first runs.
            shared.publish(index, Some(first.head));
            let (queue, waiting) = mpsc::channel(QUEUE);
            let lane = Lane { shared: Arc::clone(&shared), index, queue: waiting, end: ended.clone() };
            work.push(shared.db.spawn_writer("audit-lane", lane.run(first))?);
            queues.push(queue);
        }
        let upkeep = upkeep(Arc::clone(&shared), queues.clone(), ended);
        work.push(shared.db.spawn_writer("audit-upkeep", upkeep)?);
        Ok(Self { shared, queues, turn: AtomicUsize::new(0), end, work: Mutex::new(work) })
    }

    /// The queue whose turn it is, of a lane that is open when there is one.
    fn queue(&self) -> Option<&mpsc::Sender<Waiting>> {
        if let [only] = self.queues.as_slice() {
            return Some(only);
        }
        let (turn, lanes) = (self.turn.fetch_add(1, Ordering::Relaxed), self.queues.len());
        let order = || (0..lanes).map(|step| turn.wrapping_add(step) % lanes);
        let chosen = order().find(|index| self.shared.is_open(*index)).or_else(|| order().next())?;
        self.queues.get(chosen)
    }

    /// Appends a record; it is durable on return.
    ///
    /// # Errors
    /// [`AuditError::Unavailable`] when it is not within two seconds, or too many records wait. The record
    /// may still appear in the log then: it tells of an attempt.
    pub async fn append(&self, record: Record) -> Result<Appended, AuditError> {
        let appended = Appended { customer: record.customer, categories: record.categories };
        let (done, durable) = oneshot::channel();
        let queue = self.queue().ok_or(AuditError::Unavailable("it has no lane"))?;
        let waiting = Waiting { record, done: Some(done) };
        queue.try_send(waiting).map_err(|_| AuditError::Unavailable("too many records wait, or it is closed"))?;
        match timeout(COMMIT, durable).await {
            Ok(Ok(())) => Ok(appended),
            Ok(Err(_)) => Err(AuditError::Unavailable("the record was not committed")),
            Err(_) => Err(AuditError::Unavailable("the record was not committed in time")),
        }
    }

    /// Appends the record of a failed authentication without waiting for it. More than ten a minute from
    /// one network become one counting record; `address` is the client's.
    pub fn append_later(&self, record: Record, address: Option<IpAddr>) {
        for record in self.shared.floods.admit(record, address).into_iter().flatten() {
            let sent = self.queue().is_some_and(|queue| queue.try_send(Waiting { record, done: None }).is_ok());
            if !sent {
                self.shared.lost(1);
            }
        }
    }

    /// Whether records can be appended now; for readiness.
    pub fn is_able(&self) -> bool {
        (0..self.queues.len()).any(|index| self.shared.is_able(index))
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
            if let Some(queue) = self.queue() {
                let sent = queue.try_send(Waiting { record, done: None });
                self.shared.lost(u64::from(sent.is_err()));
            }
        }
        self.end.send_replace(true);
        let work = std::mem::take(&mut *self.work.lock().unwrap_or_else(PoisonError::into_inner));
        for ended in work {
            match timeout(CLOSE, ended).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => tracing::error!("a lane or the upkeep of the audit log failed"),
                Err(_) => tracing::error!("the storage of the audit log hangs; ending without it"),
            }
        }
        if let Err(failed) = self.checkpoint().await {
            tracing::warn!(error = %failed, "the last checkpoint of the audit log could not be written");
        }
    }

    /// Figures for metrics.
    pub fn stats(&self) -> AuditStats {
        let Counters { records, commits, lanes_lost, checkpoints, lost, unreported: _ } = &self.shared.stats;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let waiting = self.queues.iter().map(|queue| queue.max_capacity() - queue.capacity()).sum::<usize>();
        AuditStats {
            records: of(records),
            commits: of(commits),
            lanes_lost: of(lanes_lost),
            lost: of(lost),
            waiting: waiting as u64,
            checkpoints: of(checkpoints),
        }
    }
}

/// Checkpoints, the counts of floods, and next months' partitions.
async fn upkeep(shared: Arc<Shared>, queues: Vec<mpsc::Sender<Waiting>>, mut end: watch::Receiver<bool>) {
    let mut checkpointer = Checkpointer::new(Arc::clone(&shared));
    let ticks = |every| {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        ticks
    };
    let (mut signing, mut counting, mut days) =
        (ticks(shared.options.checkpoint_every), ticks(FLOOD_CHECK), ticks(DAY));
    loop {
        tokio::select! {
            _ = signing.tick() => {
                if let Err(failed) = checkpointer.checkpoint().await {
                    tracing::warn!(error = %failed, "no checkpoint of the audit log could be written");
                    checkpointer = Checkpointer::new(Arc::clone(&shared));
                }
            }
            _ = counting.tick() => {
                let counted = shared.floods.passed(Some(shared.clock.now()));
                let to_any = |record: Record| {
                    queues.iter().any(|queue| queue.try_send(Waiting { record: record.clone(), done: None }).is_ok())
                };
                for record in counted {
                    if !to_any(record) {
                        shared.lost(1);
                    }
                }
                let lost = shared.stats.unreported.swap(0, Ordering::Relaxed);
                if lost > 0 && !to_any(lost_record(&shared, lost)) {
                    shared.stats.unreported.fetch_add(lost, Ordering::Relaxed);
                }
            }
            _ = days.tick() => partitions::daily(&shared.db, shared.clock.now()).await,
            () = ended(&mut end) => return,
        }
    }
}

/// The record that says how many records were lost.
fn lost_record(shared: &Shared, lost: u64) -> Record {
    Record {
        detail: Some(format!("count={lost}")),
        ..Record::new(shared.clock.now(), ActorKind::System, "audit.lost", Outcome::Unauthenticated)
    }
}
