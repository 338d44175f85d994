//! Retention: whole months of the log are dropped behind a checkpoint that says so.
//!
//! What is dropped is the beginning of each lane, as far as a verification has just found it right and older
//! than the month. The statement is signed before anything is deleted, so that a drop that is cut short is
//! finished by the next one, and [`verify`](super::verify()) knows at every moment what may be missing. It says
//! how far each lane was dropped and with which MAC: the chain of what is kept begins at a known place.
//!
//! Case that would break it: deleting by anything else than lane and number, such as the instant in the row,
//! which somebody without the key can write. A lane numbers its records in the order of their arrival; where
//! around midnight a record of the old month stands behind one of the new, it waits for the next drop.

use domain::time::{HOUR, Instant};
use serde::{Deserialize, Serialize};

use super::index;
use crate::{
    db::{AuditWriter, Db, DbError, params, statements},
    partitions,
};

/// How long after its end a lane is still spoken of. One that was silent for an hour is taken for ended, though
/// its process may live and append again.
const REMEMBERED: i64 = 366 * 24 * HOUR;
/// Records that one transaction deletes: a running service waits for it.
const AT_ONCE: i64 = 2000;

statements! {
    [audit] LISTED_LANES = {"SELECT lane FROM audit_lane WHERE closed_at IS NULL OR closed_at >= $1"};
    [audit] DROP_RECORDS = {"DELETE FROM audit_log WHERE lane = $1 AND number <= $2 AND number IN
        (SELECT number FROM audit_log WHERE lane = $1 AND number <= $2 ORDER BY number LIMIT $3)"};
    [audit] DROP_CHECKPOINTS = {"DELETE FROM audit_checkpoint WHERE number < $1"};
    [audit] DROP_LANES = {"DELETE FROM audit_lane WHERE closed_at < $1
        AND NOT EXISTS (SELECT 1 FROM audit_log r WHERE r.lane = audit_lane.lane)"};
}

/// What a checkpoint says about dropped records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Retention {
    /// Records before this instant are dropped, in microseconds since 1970: the start of a month.
    pub(super) before: i64,
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
}

/// What may be dropped; only a verification makes one.
#[derive(Debug)]
pub struct Plan(pub(super) Retention);

/// What a drop did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The checkpoint that says so.
    pub checkpoint: i64,
    /// Lanes from which records were dropped, this time or before.
    pub lanes: usize,
    /// Partitions dropped as a whole (PostgreSQL).
    pub partitions: Vec<String>,
    /// Records deleted one by one: all of them on SQLite; on PostgreSQL those in partitions that also hold
    /// records which stay.
    pub records: u64,
}

/// Leaves out lanes that ended so long ago that no checkpoint that is kept speaks of them.
pub(super) async fn remembered(db: &Db, stated: &mut Retention) -> Result<(), DbError> {
    let listed = db.read_audit(&LISTED_LANES, params![long_before(stated)]).await?;
    let listed = listed.into_iter().map(|row| row.read().get()).collect::<Result<Vec<i64>, _>>()?;
    stated.lanes.retain(|lane| listed.contains(&lane.lane));
    Ok(())
}

fn long_before(stated: &Retention) -> Instant {
    Instant::from_micros(stated.before.saturating_sub(REMEMBERED))
}

/// Deletes what a signed statement says.
pub(super) async fn drop_stated(
    db: &Db,
    writer: &mut AuditWriter,
    checkpoint: i64,
    stated: &Retention,
) -> Result<Dropped, DbError> {
    let ends: Vec<(i64, i64)> = stated.lanes.iter().map(|lane| (lane.lane, lane.through)).collect();
    let partitions = partitions::drop_before(db, Instant::from_micros(stated.before), &ends).await?;
    let mut records = 0;
    for (lane, through) in ends {
        loop {
            match writer.execute(&DROP_RECORDS, params![lane, through, AT_ONCE]).await? {
                0 => break,
                deleted => records += deleted,
            }
        }
    }
    writer.execute(&DROP_CHECKPOINTS, params![stated.checkpoint]).await?;
    writer.execute(&DROP_LANES, params![long_before(stated)]).await?;
    index::drop_stated(db, stated).await?;
    Ok(Dropped { checkpoint, lanes: stated.lanes.len(), partitions, records })
}
