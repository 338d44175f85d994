//! Records of changes: written into `audit_intake` by the change's own transaction, moved to the log by a
//! lane.
//!
//! A change and its record commit together because both stand in the main database. The move is what has
//! two steps on SQLite, where the log is a file of its own: it copies, commits, then deletes. It looks up
//! the record ids first, inside the transaction that copies, so that neither a crash between the two steps
//! nor a second process makes a second copy. On PostgreSQL the move is one transaction which locks the
//! rows, so that several processes share the work.

use crypto::{Keyring, TagKey};

use super::{
    ActorKind, Outcome, Record,
    chain::{Head, waiting_mac},
};
use crate::db::{AuditWriter, Cell, Db, DbError, Param, Row, Tx, params, statements};

/// Records moved in one transaction.
pub(super) const MOVED_AT_ONCE: usize = 256;

/// The columns of `audit_intake` in the order of every statement here. The MAC is the last and covers all others.
macro_rules! intake_columns {
    () => {
        concat!($crate::audit::record::record_columns!(), ", mac")
    };
}
pub(super) use intake_columns;

statements! {
    INSERT = {concat!("INSERT INTO audit_intake (", intake_columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)")};
    FIRST = {
        sqlite concat!("SELECT ", intake_columns!(), " FROM audit_intake ORDER BY at, record_id LIMIT $1"),
        postgres concat!("SELECT ", intake_columns!(), " FROM audit_intake ORDER BY at, record_id LIMIT $1
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
    WAITING = {"SELECT record_id FROM audit_intake WHERE record_id = $1"};
    [audit] MOVED = {"SELECT record_id FROM audit_log WHERE record_id = $1"};
}

/// Writes a change's record in the change's own transaction.
///
/// # Errors
/// [`DbError`]; the change must then not commit.
pub(crate) async fn insert(tx: &mut Tx, key: &TagKey, record_id: [u8; 16], record: Record) -> Result<(), DbError> {
    let mut cells = record.into_cells(Some(record_id), key.id());
    cells.push(Param::Bytes(waiting_mac(key, &cells).to_vec()));
    tx.execute_one(&INSERT, cells).await
}

/// Whether a change's record is durable, and so the change is: for commits whose outcome is unknown.
///
/// # Errors
/// [`DbError`] when nobody can say.
pub(crate) async fn find(db: &Db, record_id: [u8; 16]) -> Result<bool, DbError> {
    // In this order: a record goes from the intake to the log, never back.
    Ok(!db.read(&WAITING, params![record_id]).await?.is_empty()
        || !db.read_audit(&MOVED, params![record_id]).await?.is_empty())
}

/// Reads a record of the intake. What was inserted or changed there by somebody else gets into no chain as what
/// it says it is: a record that says so takes its place.
fn read(row: Row, keyring: &Keyring) -> Result<([u8; 16], Record), DbError> {
    let right = match row.cells.as_slice() {
        [cells @ .., Cell::Bytes(mac)] => {
            let key = cells.last().and_then(|key| if let Cell::Int(id) = key { u32::try_from(*id).ok() } else { None });
            let key = key.and_then(|key| keyring.audit_of(key));
            key.is_some_and(|key| waiting_mac(key, cells).as_slice() == mac)
        }
        _ => false,
    };
    let mut row = row.read();
    let (record, id) = Record::read(&mut row)?;
    let id = id.ok_or_else(|| row.corrupt("names no record"))?;
    if right {
        return Ok((id, record));
    }
    tracing::error!(record = hex::encode(id), "a record of the intake is not as a change wrote it");
    Ok((id, Record::new(record.at, ActorKind::System, "audit.foreign", Outcome::Refused)))
}

fn json<'a>(ids: impl Iterator<Item = &'a [u8; 16]>) -> String {
    let ids: Vec<String> = ids.map(|id| format!("\"{}\"", hex::encode(id))).collect();
    format!("[{}]", ids.join(","))
}

/// What a move did.
#[derive(Debug)]
pub(super) struct Moved {
    /// The lane's head after it.
    pub(super) head: Head,
    /// Records taken from the intake; [`MOVED_AT_ONCE`] means that more may wait.
    pub(super) taken: usize,
    /// Records appended; fewer when some had been copied before.
    pub(super) copied: usize,
    /// Records that the log holds and the intake, in a file of its own, still does: for [`delete`].
    pub(super) left: Vec<[u8; 16]>,
}

/// Moves the first records of the intake to the log.
///
/// # Errors
/// [`DbError`]; the lane must then be given up unless the error is [`DbError::Conflict`], which leaves
/// nothing written.
pub(super) async fn move_first(
    db: &Db,
    writer: &mut AuditWriter,
    head: Head,
    keyring: &Keyring,
    append: &'static crate::db::Sql,
) -> Result<Moved, DbError> {
    let limit = i64::try_from(MOVED_AT_ONCE).unwrap_or(i64::MAX);
    let own_file = matches!(writer, AuditWriter::Sqlite(_));
    // Reading first spares SQLite's write lock when there is nothing to do.
    let mut waiting = Vec::new();
    if own_file {
        // Nothing was begun: the lane goes on, and the next move tries again.
        waiting = db.read(&FIRST, params![limit]).await.inspect_err(busy).unwrap_or_default();
    }
    if own_file && waiting.is_empty() {
        return Ok(Moved { head, taken: 0, copied: 0, left: Vec::new() });
    }
    writer.begin().await?;
    let copied = copy(&mut waiting, writer, own_file, limit, head, keyring, append).await;
    let (head, ids, copied) = match copied {
        Ok(copied) => copied,
        Err(failed) => {
            writer.rollback().await.map_err(|_| DbError::OutcomeUnknown)?;
            // Nothing was written: whatever stands in the way, the chain is as it was.
            tracing::error!(error = %failed, "audit records of changes could not be moved yet");
            return Err(DbError::Conflict);
        }
    };
    writer.commit().await.map_err(|_| DbError::OutcomeUnknown)?;
    let left = if own_file { ids.clone() } else { Vec::new() };
    Ok(Moved { head, taken: ids.len(), copied, left })
}

fn busy(failed: &DbError) {
    tracing::warn!(error = %failed, "the intake of the audit log could not be read yet");
}

async fn copy(
    waiting: &mut Vec<Row>,
    writer: &mut AuditWriter,
    own_file: bool,
    limit: i64,
    mut head: Head,
    keyring: &Keyring,
    append: &'static crate::db::Sql,
) -> Result<(Head, Vec<[u8; 16]>, usize), DbError> {
    if !own_file {
        *waiting = writer.rows(&FIRST, params![limit]).await?;
    }
    let records = waiting.drain(..).map(|row| read(row, keyring)).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<[u8; 16]> = records.iter().map(|(id, _)| *id).collect();
    if ids.is_empty() {
        return Ok((head, ids, 0));
    }
    let known = writer.rows(&KNOWN, params![json(ids.iter())]).await?;
    let known: Vec<[u8; 16]> = known.into_iter().map(|row| row.read().get()).collect::<Result<_, _>>()?;
    let mut buffer = Vec::with_capacity(512);
    let new = records.into_iter().filter(|(id, _)| !known.contains(id));
    let rows: Vec<_> = new.map(|(id, record)| head.extend(record, Some(id), keyring.audit(), &mut buffer)).collect();
    let copied = rows.len();
    if copied > 0 {
        writer.insert_within(append, rows).await?;
    }
    if !own_file {
        writer.execute(&DELETE, params![json(ids.iter())]).await?;
    }
    Ok((head, ids, copied))
}

/// Deletes what the log holds. A failure does no harm: the next move finds the ids in the log.
pub(super) async fn delete(db: &Db, ids: &[[u8; 16]]) {
    if ids.is_empty() {
        return;
    }
    let deleted = async {
        let mut tx = db.begin().await?;
        tx.execute(&DELETE, params![json(ids.iter())]).await?;
        tx.commit().await
    };
    if let Err(failed) = deleted.await {
        tracing::warn!(error = %failed, "moved audit records could not be deleted from the intake yet");
    }
}
