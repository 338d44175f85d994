//! A lane: one connection, one chain, one batch at a time.
//!
//! Whoever waits while a batch commits is in the next one (group commit). The chain's invariant is that
//! nobody ever continues from a head that may not be the last: when the outcome of a commit is unknown,
//! the lane is given up for ever, its waiters get an error, and a new lane with a new connection begins.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant as Moment, sleep_until, timeout},
};

use super::{
    Record,
    chain::{Head, log_columns},
    log::Shared,
    mover::Moving,
};
use crate::db::{AuditWriter, DbError, params, statements};

/// Records of one commit at most.
const BATCH: usize = 512;
/// Turns that others get before a batch goes out smaller than the last ones.
const GATHER: usize = 8;
/// A commit that takes longer has an unknown outcome: nobody waits for it any more.
pub(super) const COMMIT: Duration = Duration::from_secs(2);
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
    /// Others that go into the same commit.
    pub(super) more: Vec<Record>,
    /// Told once the record is durable; dropped when it is not. `None` when nobody waits.
    pub(super) done: Option<oneshot::Sender<()>>,
}

/// The lane of a process, over all chains that it writes one after another.
pub(super) struct Lane {
    pub(super) shared: Arc<Shared>,
    /// The chain to begin with.
    pub(super) first: Option<Chain>,
    pub(super) queue: mpsc::Receiver<Waiting>,
    pub(super) moves: mpsc::Receiver<Moving>,
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
    /// Writes until the log is closed. It may be called again after a panic: the chain of then is given up.
    pub(super) async fn run(&mut self) {
        self.shared.give_up();
        while let Some(mut chain) = self.chain().await {
            self.shared.publish(chain.head);
            let ended = self.serve(&mut chain).await;
            self.shared.give_up();
            match ended {
                Ended::Closed => return,
                Ended::Lost => {
                    self.shared.stats.lanes_lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    async fn chain(&mut self) -> Option<Chain> {
        match self.first.take() {
            Some(chain) => Some(chain),
            None => self.reopen().await,
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
                        self.moves.close();
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
        let mut expected = 0;
        let (mut appends, mut moves) = (true, true);
        while appends || moves {
            tokio::select! {
                count = self.queue.recv_many(&mut batch, BATCH), if appends => {
                    if count == 0 {
                        appends = false;
                        continue;
                    }
                    self.gather(&mut batch, expected).await;
                    let written = batch.len();
                    if !self.append(chain, &mut batch, &mut buffer).await {
                        return Ended::Lost;
                    }
                    expected = written + self.queue.len();
                }
                moving = self.moves.recv(), if moves => match moving {
                    Some(moving) => if !self.append_moving(chain, moving, &mut buffer).await {
                        return Ended::Lost;
                    }
                    None => moves = false,
                },
                () = ended(&mut self.end), if !self.queue.is_closed() => self.queue.close(),
            }
        }
        Ended::Closed
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
    async fn append(&mut self, chain: &mut Chain, batch: &mut Vec<Waiting>, buffer: &mut Vec<u8>) -> bool {
        let (mut records, mut waiters) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        for Waiting { record, more, done } in batch.drain(..) {
            records.push((record, None));
            records.extend(more.into_iter().map(|record| (record, None)));
            waiters.push(done);
        }
        match self.commit(chain, records, buffer).await {
            Ok(()) => {
                for done in waiters.into_iter().flatten() {
                    // Who went away meanwhile has its record all the same.
                    let _gone = done.send(());
                }
                true
            }
            Err(failed) => {
                self.shared.lost(waiters.iter().filter(|done| done.is_none()).count() as u64);
                // Only a conflict certainly leaves connection and chain as they were.
                matches!(failed, DbError::Conflict)
            }
        }
    }

    /// Appends records of changes; `false` gives the chain up.
    async fn append_moving(&mut self, chain: &mut Chain, moving: Moving, buffer: &mut Vec<u8>) -> bool {
        let Moving { records, done } = moving;
        let records = records.into_iter().map(|(id, record)| (record, Some(id))).collect();
        match self.commit(chain, records, buffer).await {
            Ok(()) => {
                // The mover may have lost its patience: it finds them in the log.
                let _gone = done.send(());
                true
            }
            // Refused because another process was faster: nothing was written.
            Err(failed) => matches!(failed, DbError::Conflict | DbError::Constraint(_)),
        }
    }

    async fn commit(
        &mut self,
        chain: &mut Chain,
        records: Vec<(Record, Option<[u8; 16]>)>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), DbError> {
        let (shared, mut head, count) = (&self.shared, chain.head, records.len() as u64);
        let key = shared.keyring.audit();
        let rows = records.into_iter().map(|(record, id)| head.extend(record, id, key, buffer)).collect();
        shared.commits(true);
        let written = timeout(COMMIT, chain.writer.insert_many(&APPEND, rows)).await;
        shared.commits(false);
        written.unwrap_or(Err(DbError::OutcomeUnknown)).inspect_err(|failed| {
            tracing::error!(error = %failed, lane = head.lane, "a batch of audit records was not committed");
        })?;
        chain.head = head;
        shared.publish(head);
        shared.stats.records.fetch_add(count, Ordering::Relaxed);
        shared.stats.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
