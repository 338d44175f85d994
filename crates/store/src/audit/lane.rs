//! A lane: one connection, one chain, one batch at a time.
//!
//! Whoever waits while a batch commits is in the next one (group commit). The chain's invariant is that
//! nobody ever continues from a head that may not be the last: when the outcome of a commit is unknown,
//! the lane is given up for ever, its waiters get an error, and a new lane with a new connection begins.

use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant as Moment, sleep, sleep_until, timeout},
};

use super::{
    Record,
    chain::{Head, log_columns},
    intake,
    log::Shared,
};
use crate::db::{AuditWriter, DbError, params, statements};

/// Records of one commit at most.
const BATCH: usize = 512;
/// Turns that others get before a batch goes out smaller than the last ones.
const GATHER: usize = 8;
/// A commit that takes longer has an unknown outcome: nobody waits for it any more.
pub(super) const COMMIT: Duration = Duration::from_secs(2);
/// Between two moves of intake records, so that changes share a move as reads share a commit.
const MOVE_PACE: Duration = Duration::from_millis(100);
/// Moves also happen without a call: other processes may have left records.
const MOVE_POLL: Duration = Duration::from_secs(5);
const BACK_OFF: Duration = Duration::from_millis(50);
const BACK_OFF_MOST: Duration = Duration::from_secs(2);

statements! {
    [audit] APPEND = {
        sqlite concat!("INSERT INTO audit_log (", log_columns!(), ")
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)"),
        postgres concat!("INSERT INTO audit_log (", log_columns!(), ") SELECT * FROM unnest(
            $1::int8[], $2::int8[], $3::timestamptz[], $4::text[], $5::text[], $6::bytea[], $7::int8[], $8::bytea[],
            $9::text[], $10::text[], $11::int8[], $12::text[], $13::text[], $14::text[], $15::int8[], $16::text[],
            $17::text[], $18::bytea[], $19::bytea[], $20::int8[], $21::bytea[])")
    };
    [audit] OPEN = {"INSERT INTO audit_lane (lane, opened_at) VALUES ($1, $2)"};
}

/// A record on its way, and who waits for it.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) record: Record,
    /// Told once the record is durable; dropped when it is not. `None` when nobody waits.
    pub(super) done: Option<oneshot::Sender<()>>,
}

/// The task of a lane, over all chains that it writes one after another.
pub(super) struct Lane {
    pub(super) shared: Arc<Shared>,
    /// Which of the process's lanes; the first one moves intake records.
    pub(super) index: usize,
    pub(super) queue: mpsc::Receiver<Waiting>,
    pub(super) end: watch::Receiver<bool>,
}

/// An open chain.
pub(super) struct Chain {
    writer: AuditWriter,
    pub(super) head: Head,
}

enum Ended {
    /// The log is being closed and every waiting record is written.
    Closed,
    /// The chain was given up.
    Lost,
}

impl Chain {
    /// Opens a connection and a chain with an id that no other one has.
    pub(super) async fn open(shared: &Shared) -> Result<Self, DbError> {
        let mut id = [0; 8];
        shared.random.fill(&mut id).map_err(|e| DbError::Unavailable(e.to_string()))?;
        let lane = i64::try_from(u64::from_be_bytes(id) >> 11).unwrap_or_default().max(1);
        let mut writer = timeout(COMMIT, shared.db.audit_writer()).await.map_err(|_| late())??;
        let opened = writer.execute(&OPEN, params![lane, shared.clock.now()]);
        timeout(COMMIT, opened).await.map_err(|_| late())??;
        Ok(Self { writer, head: Head::new(lane) })
    }
}

fn late() -> DbError {
    DbError::Unavailable("the audit log did not answer in time".into())
}

/// Waits until the log is to be closed, or its handle is gone.
pub(super) async fn ended(end: &mut watch::Receiver<bool>) {
    drop(end.wait_for(|end| *end).await);
}

impl Lane {
    /// Writes until the log is closed.
    pub(super) async fn run(mut self, first: Chain) {
        let mut next = Some(first);
        loop {
            let mut chain = match next.take() {
                Some(chain) => chain,
                None => match self.reopen().await {
                    Some(chain) => chain,
                    None => return,
                },
            };
            self.shared.publish(self.index, Some(chain.head));
            let ended = self.serve(&mut chain).await;
            self.shared.publish(self.index, None);
            if chain.head.number > 0 {
                self.shared.finished.lock().unwrap_or_else(PoisonError::into_inner).push(chain.head);
            }
            match ended {
                Ended::Closed => return,
                Ended::Lost => {
                    self.shared.stats.lanes_lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Opens a new chain, with pauses that grow. Who waits meanwhile is told at once.
    async fn reopen(&mut self) -> Option<Chain> {
        let mut pause = BACK_OFF;
        let mut refused = Vec::new();
        loop {
            match Chain::open(&self.shared).await {
                Ok(chain) => return Some(chain),
                Err(failed) => tracing::warn!(error = %failed, "no new lane of the audit log yet"),
            }
            let until = Moment::now() + pause;
            pause = (pause * 2).min(BACK_OFF_MOST);
            loop {
                tokio::select! {
                    () = sleep_until(until) => break,
                    count = self.queue.recv_many(&mut refused, BATCH) => {
                        if count == 0 {
                            return None;
                        }
                        self.refuse(&mut refused);
                    }
                    () = ended(&mut self.end) => {
                        self.queue.close();
                        while self.queue.recv_many(&mut refused, BATCH).await > 0 {
                            self.refuse(&mut refused);
                        }
                        return None;
                    }
                }
            }
        }
    }

    /// Drops records that cannot be written; those for which nobody waits are counted as lost.
    fn refuse(&self, waiting: &mut Vec<Waiting>) {
        let unwaited = waiting.drain(..).filter(|w| w.done.is_none()).count();
        self.shared.lost(unwaited as u64);
    }

    async fn serve(&mut self, chain: &mut Chain) -> Ended {
        let mut batch = Vec::with_capacity(BATCH);
        let mut buffer = Vec::with_capacity(512);
        let mover = self.index == 0;
        let mut expected = 0;
        let mut moved = Moment::now();
        let mut due = moved;
        let shared = Arc::clone(&self.shared);
        loop {
            tokio::select! {
                count = self.queue.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return self.last_moves(chain, mover).await;
                    }
                    self.gather(&mut batch, expected).await;
                    let written = batch.len();
                    if !self.commit(chain, &mut batch, &mut buffer).await {
                        return Ended::Lost;
                    }
                    expected = written + self.queue.len();
                }
                () = shared.intake.notified(), if mover && due > moved + MOVE_PACE => due = moved + MOVE_PACE,
                () = sleep_until(due), if mover => {
                    let Some(more) = self.move_intake(chain).await else { return Ended::Lost };
                    moved = Moment::now();
                    due = if more { moved } else { moved + MOVE_POLL };
                }
                () = ended(&mut self.end), if !self.queue.is_closed() => self.queue.close(),
            }
        }
    }

    /// Lets those who were woken by the last commit come back before the next one. Without it, the first of
    /// them would commit alone while all others wait for the batch after. It costs no time when nothing else
    /// is ready to run, and a caller who is alone never waits.
    async fn gather(&mut self, batch: &mut Vec<Waiting>, expected: usize) {
        for _ in 0..GATHER {
            if batch.len() >= expected.min(BATCH) {
                return;
            }
            tokio::task::yield_now().await;
            while batch.len() < BATCH
                && let Ok(waiting) = self.queue.try_recv()
            {
                batch.push(waiting);
            }
        }
    }

    /// Appends a batch; `false` gives the chain up.
    async fn commit(&self, chain: &mut Chain, batch: &mut Vec<Waiting>, buffer: &mut Vec<u8>) -> bool {
        let key = self.shared.keyring.audit();
        let mut head = chain.head;
        let mut rows = Vec::with_capacity(batch.len());
        let mut waiters = Vec::with_capacity(batch.len());
        for Waiting { record, done } in batch.drain(..) {
            rows.push(head.extend(record, None, key, buffer));
            waiters.push(done);
        }
        self.shared.commits(self.index, true);
        let written = timeout(COMMIT, chain.writer.insert_many(&APPEND, rows)).await;
        self.shared.commits(self.index, false);
        let written = match written {
            Ok(written) => written,
            Err(_) => Err(DbError::OutcomeUnknown),
        };
        match written {
            Ok(()) => {
                chain.head = head;
                self.shared.publish(self.index, Some(head));
                let stats = &self.shared.stats;
                stats.records.fetch_add(waiters.len() as u64, Ordering::Relaxed);
                stats.commits.fetch_add(1, Ordering::Relaxed);
                for done in waiters.into_iter().flatten() {
                    // Who went away meanwhile has its record all the same.
                    let _gone = done.send(());
                }
                true
            }
            Err(failed) => {
                tracing::error!(error = %failed, lane = head.lane, "a batch of audit records was not committed");
                self.shared.lost(waiters.iter().filter(|done| done.is_none()).count() as u64);
                // Only a conflict certainly leaves connection and chain as they were.
                matches!(failed, DbError::Conflict)
            }
        }
    }

    /// Moves some intake records: whether more may wait, or `None` when the chain is to be given up.
    async fn move_intake(&self, chain: &mut Chain) -> Option<bool> {
        let shared = &self.shared;
        let moving = intake::move_first(&shared.db, &mut chain.writer, chain.head, &shared.keyring, &APPEND);
        shared.commits(self.index, true);
        let moved = timeout(COMMIT, moving).await;
        shared.commits(self.index, false);
        let moved = match moved {
            Ok(moved) => moved,
            Err(_) => Err(DbError::OutcomeUnknown),
        };
        match moved {
            Ok(moved) => {
                chain.head = moved.head;
                shared.publish(self.index, Some(moved.head));
                shared.stats.records.fetch_add(moved.copied as u64, Ordering::Relaxed);
                // Behind the time limit: it waits for changes, not for the log.
                intake::delete(&shared.db, &moved.left).await;
                Some(moved.taken == intake::MOVED_AT_ONCE)
            }
            Err(DbError::Conflict) => Some(false),
            Err(failed) => {
                tracing::error!(error = %failed, lane = chain.head.lane, "audit records of changes were not moved");
                // The intake keeps them; do not spin on what fails at once.
                sleep(MOVE_PACE).await;
                None
            }
        }
    }

    /// At the end, what changes have left is moved too, so that a stopped service has nothing pending.
    async fn last_moves(&self, chain: &mut Chain, mover: bool) -> Ended {
        if mover {
            while self.move_intake(chain).await == Some(true) {}
        }
        Ended::Closed
    }
}
