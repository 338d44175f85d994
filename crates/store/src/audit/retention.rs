//! Retention: whole months of the log are dropped behind a checkpoint that says so.
//!
//! The statement is signed before anything is deleted, so that a drop that is cut short is finished by the next
//! one, and [`verify`](super::verify) knows at every moment what may be missing. It says how far each lane
//! was dropped and with which MAC, so that the chain of what is kept still begins at a known place.
//!
//! Case that would break it: a lane numbers its records in the order of their arrival, while months go by the
//! instant of each. Around midnight a record of the new month can stand before one of the old month; it is
//! kept, and the statement holds what is needed to verify it without its neighbours.

use crypto::Keyring;
use domain::time::{HOUR, Instant};
use serde::{Deserialize, Serialize};

use super::checkpoint::{Body, Checkpoint};
use crate::{
    db::{AuditWriter, Db, DbError, Param, Sql, params, statements},
    partitions,
};

/// How long after its end a lane is still spoken of. One that was silent for an hour is taken for ended, though
/// its process may live and append again.
const REMEMBERED: i64 = 366 * 24 * HOUR;
/// Records that one transaction deletes: a running service waits for it.
const AT_ONCE: i64 = 2000;

statements! {
    [audit] LANES_BEFORE = {"SELECT lane FROM audit_lane WHERE opened_at < $1 ORDER BY lane"};
    [audit] LAST_BEFORE = {"SELECT number, mac FROM audit_log WHERE lane = $1 AND at < $2 ORDER BY number DESC LIMIT 1"};
    [audit] KEPT_BEFORE = {"SELECT number, mac FROM audit_log WHERE lane = $1 AND number < $2 AND at >= $3
        ORDER BY number"};
    [audit] MAC_OF = {"SELECT mac FROM audit_log WHERE lane = $1 AND number = $2"};
    [audit] FIRST_CHECKPOINT = {"SELECT number, at, body, key_id, mac FROM audit_checkpoint WHERE at >= $1
        ORDER BY number LIMIT 1"};
    [audit] LAST_STATEMENT = {"SELECT number, at, body, key_id, mac FROM audit_checkpoint
        WHERE body LIKE '%\"retention\":{%' ORDER BY number DESC LIMIT 1"};
    [audit] LISTED_LANES = {"SELECT lane FROM audit_lane WHERE closed_at IS NULL OR closed_at >= $1"};
    [audit] DROP_RECORDS = {"DELETE FROM audit_log WHERE lane = $1 AND at < $2 AND number IN
        (SELECT number FROM audit_log WHERE lane = $1 AND at < $2 ORDER BY number LIMIT $3)"};
    [audit] DROP_CHECKPOINTS = {"DELETE FROM audit_checkpoint WHERE number < $1"};
    [audit] DROP_LANES = {"DELETE FROM audit_lane WHERE closed_at < $1
        AND NOT EXISTS (SELECT 1 FROM audit_log r WHERE r.lane = audit_lane.lane)"};
}

/// What a checkpoint says about dropped records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Retention {
    /// Records before this instant are dropped, in microseconds since 1970: the start of a month.
    before: i64,
    /// The first checkpoint that is kept.
    pub(super) checkpoint: i64,
    /// The MAC of the checkpoint before that one, in hex; empty for the first.
    pub(super) previous: String,
    pub(super) lanes: Vec<DroppedLane>,
}

/// How far a lane was dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DroppedLane {
    pub(super) lane: i64,
    /// The last record that was dropped, and its MAC in hex: the chain goes on from there.
    pub(super) through: i64,
    pub(super) mac: String,
    /// Records of the kept months that stand before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) kept: Vec<KeptRecord>,
}

/// A kept record among dropped ones, with the MAC before its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptRecord {
    pub(super) number: i64,
    pub(super) previous: String,
    pub(super) mac: String,
}

/// What a drop did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The checkpoint that says so.
    pub checkpoint: i64,
    /// Lanes from which records were dropped, this time or before.
    pub lanes: usize,
    /// Partitions dropped as a whole (PostgreSQL).
    pub partitions: Vec<String>,
    /// Records deleted one by one: all of them on SQLite, those of the DEFAULT partition on PostgreSQL.
    pub records: u64,
}

/// States what is to be dropped: everything before an instant.
pub(super) async fn plan(db: &Db, keyring: &Keyring, before: Instant) -> Result<Retention, DbError> {
    let mut lanes = Vec::new();
    for row in db.read_audit(&LANES_BEFORE, params![before]).await? {
        let lane: i64 = row.read().get()?;
        if let Some((through, mac)) = numbered(db, &LAST_BEFORE, params![lane, before]).await?.pop() {
            let mut kept = Vec::new();
            for (number, mac) in numbered(db, &KEPT_BEFORE, params![lane, through, before]).await? {
                kept.push(KeptRecord { number, previous: mac_of(db, lane, number - 1).await?, mac });
            }
            lanes.push(DroppedLane { lane, through, mac, kept });
        }
    }
    // A lane of which nothing was left already may stand in checkpoints that are kept.
    let earlier = one(db, keyring, &LAST_STATEMENT, Vec::new()).await?.and_then(|(_, body)| body.retention);
    let listed = db.read_audit(&LISTED_LANES, params![remembered(before)]).await?;
    let listed = listed.into_iter().map(|row| row.read().get()).collect::<Result<Vec<i64>, _>>()?;
    for lane in earlier.into_iter().flat_map(|earlier| earlier.lanes) {
        if listed.contains(&lane.lane) && !lanes.iter().any(|known| known.lane == lane.lane) {
            lanes.push(lane);
        }
    }
    let first = one(db, keyring, &FIRST_CHECKPOINT, params![before]).await?;
    let (checkpoint, previous) = first.map_or((1, String::new()), |(number, body)| (number, body.previous));
    Ok(Retention { before: before.micros(), checkpoint, previous, lanes })
}

/// Deletes what a signed statement says.
pub(super) async fn drop_stated(
    db: &Db,
    writer: &mut AuditWriter,
    checkpoint: i64,
    stated: &Retention,
) -> Result<Dropped, DbError> {
    let before = Instant::from_micros(stated.before);
    let partitions = partitions::drop_before(db, before).await?;
    let mut records = 0;
    for lane in &stated.lanes {
        loop {
            match writer.execute(&DROP_RECORDS, params![lane.lane, before, AT_ONCE]).await? {
                0 => break,
                deleted => records += deleted,
            }
        }
    }
    writer.execute(&DROP_CHECKPOINTS, params![stated.checkpoint]).await?;
    writer.execute(&DROP_LANES, params![remembered(before)]).await?;
    Ok(Dropped { checkpoint, lanes: stated.lanes.len(), partitions, records })
}

fn remembered(before: Instant) -> Instant {
    Instant::from_micros(before.micros().saturating_sub(REMEMBERED))
}

/// The checkpoint that a statement finds, and what it says. Only what is rightly signed is signed anew.
async fn one(
    db: &Db,
    keyring: &Keyring,
    sql: &'static Sql,
    params: Vec<Param>,
) -> Result<Option<(i64, Body)>, DbError> {
    let Some(row) = db.read_audit(sql, params).await?.into_iter().next() else { return Ok(None) };
    let checkpoint = Checkpoint::read(row)?;
    let key = u32::try_from(checkpoint.key).ok().and_then(|id| keyring.audit_of(id));
    let body = key.and_then(|key| checkpoint.verified(key));
    let wrong = || DbError::Corrupt(format!("audit_checkpoint {}: not signed by this keyring", checkpoint.number));
    Ok(Some((checkpoint.number, body.ok_or_else(wrong)?)))
}

async fn numbered(db: &Db, sql: &'static Sql, params: Vec<Param>) -> Result<Vec<(i64, String)>, DbError> {
    let rows = db.read_audit(sql, params).await?.into_iter();
    let read = rows.map(|row| {
        let mut row = row.read();
        Ok((row.get()?, hex::encode(row.get::<Vec<u8>>()?)))
    });
    read.collect()
}

/// The MAC of a record, in hex; that of the empty chain before the first.
async fn mac_of(db: &Db, lane: i64, number: i64) -> Result<String, DbError> {
    if number == 0 {
        return Ok(hex::encode([0; crypto::TAG_LENGTH]));
    }
    let row = db.read_audit(&MAC_OF, params![lane, number]).await?.into_iter().next();
    let row = row.ok_or_else(|| DbError::Corrupt(format!("audit_log: lane {lane} has no record {number}")))?;
    Ok(hex::encode(row.read().get::<Vec<u8>>()?))
}
