//! Moves records of changes from the intake to the log, beside the lane: whatever holds up the main database holds
//! up no read.
//!
//! It takes the first records, leaves out those that the log has already, has the lane append the others, and
//! deletes them from the intake once they are durable. On PostgreSQL the rows stay locked meanwhile, so that several
//! processes share the work. A crash between the steps, or a second process, makes no second copy: the log is asked
//! first, and its unique index refuses what came in between; such a refusal leaves the chain as it was.

use std::time::Duration;

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant as Moment, sleep_until, timeout},
};

use super::{
    Record, intake,
    lane::{COMMIT, ended},
    log::Shared,
};
use crate::db::{Db, DbError, params, statements};

/// Records moved at once.
const MOVED_AT_ONCE: usize = 256;
/// Between two moves, so that changes share a move as reads share a commit.
const PACE: Duration = Duration::from_millis(100);
/// Moves also happen without a call: other processes may have left records.
const POLL: Duration = Duration::from_secs(5);

statements! {
    FIRST = {
        sqlite concat!("SELECT ", intake::intake_columns!(), " FROM audit_intake ORDER BY at, record_id LIMIT $1"),
        postgres concat!("SELECT ", intake::intake_columns!(), " FROM audit_intake ORDER BY at, record_id LIMIT $1
            FOR UPDATE SKIP LOCKED")
    };
    [audit] KNOWN = {
        sqlite "SELECT record_id FROM audit_log WHERE record_id IN (SELECT unhex(value) FROM json_each($1))",
        postgres "SELECT record_id FROM audit_log WHERE record_id = ANY (SELECT decode(value, 'hex')
            FROM json_array_elements_text(CAST(CAST($1 AS text) AS json)) AS value)"
    };
    DELETE = {
        sqlite "DELETE FROM audit_intake WHERE record_id IN (SELECT unhex(value) FROM json_each($1))",
        postgres "DELETE FROM audit_intake WHERE record_id = ANY (SELECT decode(value, 'hex')
            FROM json_array_elements_text(CAST(CAST($1 AS text) AS json)) AS value)"
    };
}

/// Records of changes on their way through the lane.
#[derive(Debug)]
pub(super) struct Moving {
    pub(super) records: Vec<([u8; 16], Record)>,
    /// Told once all of them are durable; dropped when none is.
    pub(super) done: oneshot::Sender<()>,
}

/// Moves until the log is closed, and then what is left, so that a stopped service has nothing pending.
pub(super) async fn run(shared: &Shared, lane: &mpsc::Sender<Moving>, mut end: watch::Receiver<bool>) {
    let mut moved = Moment::now();
    let mut due = moved;
    loop {
        tokio::select! {
            () = shared.intake.notified(), if due > moved + PACE => due = moved + PACE,
            () = sleep_until(due) => {
                let more = move_some(shared, lane).await;
                moved = Moment::now();
                due = if more { moved } else { moved + POLL };
            }
            () = ended(&mut end) => break,
        }
    }
    while move_some(shared, lane).await {}
}

/// Whether more may wait.
async fn move_some(shared: &Shared, lane: &mpsc::Sender<Moving>) -> bool {
    let moved = move_first(shared, lane).await;
    moved.unwrap_or_else(|failed| {
        tracing::warn!(error = %failed, "audit records of changes could not be moved yet");
        false
    })
}

async fn move_first(shared: &Shared, lane: &mpsc::Sender<Moving>) -> Result<bool, DbError> {
    let (db, limit) = (&shared.db, params![i64::try_from(MOVED_AT_ONCE).unwrap_or(i64::MAX)]);
    // SQLite's writer is not taken before there is something to delete.
    let mut tx = if matches!(**db, Db::Postgres(_)) { Some(db.begin().await?) } else { None };
    let waiting = match &mut tx {
        Some(tx) => tx.rows(&FIRST, limit).await?,
        None => db.read(&FIRST, limit).await?,
    };
    let full = waiting.len() == MOVED_AT_ONCE;
    // One that cannot be read waits for a version that can.
    let unread = |failed: &DbError| tracing::error!(error = %failed, "an audit record of a change cannot be read");
    let read = waiting.into_iter().filter_map(|row| intake::read(row, &shared.keyring).inspect_err(unread).ok());
    let records: Vec<_> = read.collect();
    if records.is_empty() {
        if let Some(tx) = tx {
            tx.commit().await?;
        }
        return Ok(false);
    }
    let ids = json(records.iter().map(|(id, _)| id));
    // Not on a connection that others share: the log may be locked.
    let known = match &mut tx {
        Some(tx) => tx.rows(&KNOWN, params![ids.as_str()]).await?,
        None => db.read_audit(&KNOWN, params![ids.as_str()]).await?,
    };
    let known: Vec<[u8; 16]> = known.into_iter().map(|row| row.read().get()).collect::<Result<_, _>>()?;
    append(lane, records.into_iter().filter(|(id, _)| !known.contains(id)).collect()).await?;
    let mut tx = match tx {
        Some(tx) => tx,
        None => db.begin().await?,
    };
    tx.execute(&DELETE, params![ids]).await?;
    tx.commit().await?;
    Ok(full)
}

/// Has the lane append records; they are durable on return.
async fn append(lane: &mpsc::Sender<Moving>, records: Vec<([u8; 16], Record)>) -> Result<(), DbError> {
    if records.is_empty() {
        return Ok(());
    }
    let (done, durable) = oneshot::channel();
    let through = async {
        lane.send(Moving { records, done }).await.ok()?;
        durable.await.ok()
    };
    let appended = timeout(COMMIT * 2, through).await;
    appended.ok().flatten().ok_or_else(|| DbError::Unavailable("the log did not take them".into()))
}

fn json<'a>(ids: impl Iterator<Item = &'a [u8; 16]>) -> String {
    let ids: Vec<String> = ids.map(|id| format!("\"{}\"", hex::encode(id))).collect();
    format!("[{}]", ids.join(","))
}
