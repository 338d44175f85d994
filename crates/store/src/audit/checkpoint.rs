//! Checkpoints: the heads of all lanes, signed, numbered and chained, in the database and outside it.
//!
//! What they add to the chains is the end: a chain without its last records is a shorter valid chain, and
//! a lane that is gone leaves no gap. A checkpoint says how far each lane had come. What was removed
//! before the next checkpoint, or by somebody who holds the key, is not seen; `docs/security.md` says so.
//!
//! Several processes write checkpoints of one database. A number is a primary key, so that the second
//! writer of one is refused and takes the next. Each signs the open lanes of all, its own from what it
//! has committed, the others from what stands in the log.

use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use crypto::TagKey;
use domain::time::{HOUR, Instant};
use serde::{Deserialize, Serialize};

use super::{
    chain::{Head, Mac},
    log::Shared,
    mark,
    retention::{self, Dropped, Plan, Retention},
};
use crate::db::{AuditWriter, DbError, Row, params, statements};

const VERSION: u32 = 1;
/// How often a number that another process took is tried anew.
const TRIES: usize = 8;
/// A lane of another process that was silent for so long is taken for ended: it is signed once more, as
/// final. Should its process live, that process goes on signing it.
const SILENT: i64 = HOUR;

statements! {
    [audit] LAST = {"SELECT number, at, body, key_id, mac FROM audit_checkpoint ORDER BY number DESC LIMIT 1"};
    [audit] WRITE = {"INSERT INTO audit_checkpoint (number, at, body, key_id, mac) VALUES ($1, $2, $3, $4, $5)"};
    [audit] OPEN_LANES = {"SELECT lane, opened_at FROM audit_lane WHERE closed_at IS NULL"};
    [audit] HEAD = {"SELECT number, mac, at FROM audit_log WHERE lane = $1 ORDER BY number DESC LIMIT 1"};
    [audit] CLOSE = {"UPDATE audit_lane SET closed_at = $2 WHERE lane = $1 AND closed_at IS NULL"};
}

/// What a checkpoint says, as the JSON text over which its MAC goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Body {
    v: u32,
    number: i64,
    /// The MAC of the checkpoint before, in hex; empty for the first.
    pub(super) previous: String,
    pub(super) lanes: Vec<SignedHead>,
    /// Records that are missing from here on because they were dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retention: Option<Retention>,
}

/// How far a lane had come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SignedHead {
    pub(super) lane: i64,
    pub(super) number: i64,
    pub(super) mac: String,
    /// No later checkpoint lists this lane.
    #[serde(rename = "final", default, skip_serializing_if = "std::ops::Not::not")]
    last: bool,
}

/// A checkpoint as it stands in the table, and, as a line of JSON, outside the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) number: i64,
    /// Microseconds since 1970.
    pub(super) at: i64,
    body: String,
    pub(super) key: i64,
    /// In hex.
    pub(super) mac: String,
}

impl Checkpoint {
    fn sign(number: i64, at: Instant, body: &Body, key: &TagKey) -> Result<Self, DbError> {
        let body = serde_json::to_string(body).map_err(|e| DbError::Engine(e.to_string()))?;
        let mut this = Self { number, at: at.micros(), body, key: i64::from(key.id()), mac: String::new() };
        this.mac = hex::encode(this.right_mac(key));
        Ok(this)
    }

    fn right_mac(&self, key: &TagKey) -> Mac {
        let Self { number, at, body, key: key_id, mac: _ } = self;
        let integers = [*number, *at, *key_id].map(i64::to_be_bytes);
        let [number, at, key_id] = &integers;
        key.tag("audit-checkpoint", &[number, at, key_id, body.as_bytes()])
    }

    /// What it says, when its MAC is right and it says its own number.
    pub(super) fn verified(&self, key: &TagKey) -> Option<Body> {
        if hex::encode(self.right_mac(key)) != self.mac {
            return None;
        }
        serde_json::from_str(&self.body).ok().filter(|body: &Body| body.number == self.number)
    }

    pub(super) fn read(row: Row) -> Result<Self, DbError> {
        let mut row = row.read();
        let (number, at, body, key): (i64, Instant, String, i64) = (row.get()?, row.get()?, row.get()?, row.get()?);
        let mac: Vec<u8> = row.get()?;
        Ok(Self { number, at: at.micros(), body, key, mac: hex::encode(mac) })
    }
}

/// Makes checkpoints.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    writer: Option<AuditWriter>,
}

/// The heads to be signed.
struct Heads {
    signed: Vec<SignedHead>,
    /// Lanes that end with this checkpoint.
    ended: Vec<i64>,
}

impl Heads {
    /// The heads of all lanes: our own as committed, those of other processes as the log has them.
    async fn read(shared: &Shared, writer: &mut AuditWriter, finished: &[Head]) -> Result<Self, DbError> {
        let mut heads: BTreeMap<i64, (Head, bool)> = BTreeMap::new();
        heads.extend(shared.head().map(|head| (head.lane, (head, false))));
        heads.extend(finished.iter().map(|head| (head.lane, (*head, true))));
        let now = shared.clock.now();
        let mut ended: Vec<i64> = finished.iter().map(|head| head.lane).collect();
        for row in writer.rows(&OPEN_LANES, Vec::new()).await? {
            let mut row = row.read();
            let (lane, opened): (i64, Instant) = (row.get()?, row.get()?);
            if heads.contains_key(&lane) {
                continue;
            }
            let head = writer.rows(&HEAD, params![lane]).await?.into_iter().next();
            let head = head.map(|head| {
                let mut head = head.read();
                Ok::<_, DbError>((Head { lane, number: head.get()?, mac: head.get()? }, head.get::<Instant>()?))
            });
            let head = head.transpose()?;
            let silent = now.since(head.map_or(opened, |(_, at)| at.max(opened))) > SILENT;
            if silent {
                ended.push(lane);
            }
            if let Some((head, _)) = head {
                heads.insert(lane, (head, silent));
            }
        }
        let signed = heads.into_values().filter(|(head, _)| head.number > 0);
        let signed =
            signed.map(|(Head { lane, number, mac }, last)| SignedHead { lane, number, mac: hex::encode(mac), last });
        Ok(Self { signed: signed.collect(), ended })
    }
}

impl Checkpointer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, writer: None }
    }

    /// Signs the heads of all lanes, unless the last checkpoint says the same already.
    pub(super) async fn checkpoint(&mut self) -> Result<Option<i64>, DbError> {
        let finished = std::mem::take(&mut *self.shared.finished.lock().unwrap_or_else(PoisonError::into_inner));
        let made = self.make(&finished, None).await;
        match made {
            Ok(_) => self.shared.signs(),
            Err(_) => self.shared.finished.lock().unwrap_or_else(PoisonError::into_inner).extend(finished),
        }
        made
    }

    /// States a drop, then does it.
    pub(super) async fn drop_records(&mut self, Plan(stated): &Plan) -> Result<Dropped, DbError> {
        let shared = Arc::clone(&self.shared);
        let made = self.make(&[], Some(stated)).await?;
        let checkpoint = made.ok_or_else(|| DbError::Engine("the drop was not stated".into()))?;
        retention::drop_stated(&shared.db, self.writer().await?, checkpoint, stated).await
    }

    async fn make(&mut self, finished: &[Head], retention: Option<&Retention>) -> Result<Option<i64>, DbError> {
        for _ in 0..TRIES {
            let shared = Arc::clone(&self.shared);
            // On a connection of its own: the log may be locked.
            let writer = self.writer().await?;
            let last = writer.rows(&LAST, Vec::new()).await?.into_iter().next().map(Checkpoint::read).transpose()?;
            let heads = Heads::read(&shared, writer, finished).await?;
            let known = last.as_ref().and_then(|last| serde_json::from_str::<Body>(&last.body).ok());
            let nothing_new = heads.signed.is_empty() || known.is_some_and(|known| known.lanes == heads.signed);
            if nothing_new && retention.is_none() {
                self.end(&heads.ended).await?;
                return Ok(None);
            }
            let (number, previous) = last.map_or((1, String::new()), |last| (last.number.saturating_add(1), last.mac));
            let body = Body { v: VERSION, number, previous, lanes: heads.signed, retention: retention.cloned() };
            let now = self.shared.clock.now();
            let checkpoint = Checkpoint::sign(number, now, &body, self.shared.keyring.audit())?;
            match self.write(&checkpoint, now).await {
                Ok(()) => {}
                Err(DbError::Constraint(_) | DbError::Conflict) => continue,
                Err(failed) => return Err(failed),
            }
            mark::note(&self.shared.db, number, hex::decode(&checkpoint.mac).unwrap_or_default()).await;
            tell(&self.shared, checkpoint).await;
            self.end(&heads.ended).await?;
            self.shared.stats.checkpoints.fetch_add(1, Ordering::Relaxed);
            return Ok(Some(number));
        }
        Err(DbError::Conflict)
    }

    async fn writer(&mut self) -> Result<&mut AuditWriter, DbError> {
        if self.writer.is_none() {
            self.writer = Some(self.shared.db.audit_writer().await?);
        }
        self.writer.as_mut().ok_or(DbError::Conflict)
    }

    async fn write(&mut self, checkpoint: &Checkpoint, at: Instant) -> Result<(), DbError> {
        let mac = hex::decode(&checkpoint.mac).map_err(|e| DbError::Engine(e.to_string()))?;
        let row = params![checkpoint.number, at, checkpoint.body.as_str(), checkpoint.key, mac];
        self.writer().await?.execute(&WRITE, row).await.map(drop)
    }

    /// Marks lanes as ended, so that later checkpoints leave them out.
    async fn end(&mut self, lanes: &[i64]) -> Result<(), DbError> {
        let now = self.shared.clock.now();
        for lane in lanes {
            self.writer().await?.execute(&CLOSE, params![*lane, now]).await?;
        }
        Ok(())
    }
}

/// Takes the checkpoint out of the database: into the service's log, and into the file.
async fn tell(shared: &Shared, checkpoint: Checkpoint) {
    let (number, mac) = (checkpoint.number, checkpoint.mac.clone());
    tracing::info!(target: "audit", checkpoint = number, mac, "the audit log was signed");
    let Some(file) = shared.options.checkpoint_file.clone() else { return };
    let shown = file.display().to_string();
    let written = tokio::task::spawn_blocking(move || append_line(&file, &checkpoint)).await;
    if let Ok(Err(failed)) = written {
        tracing::error!(error = %failed, file = shown, "a checkpoint could not be written outside the database");
    }
}

fn append_line(file: &Path, checkpoint: &Checkpoint) -> std::io::Result<()> {
    let mut line = serde_json::to_string(checkpoint)?;
    line.push('\n');
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    // One write, so that several processes may share the file.
    file.write_all(line.as_bytes())?;
    file.sync_data()
}
