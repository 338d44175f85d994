//! Records of changes: written into `audit_intake` by the change's own transaction, moved to the log by the
//! [`mover`](super::mover).
//!
//! A change and its record commit together because both stand in the main database. The move has two steps, because
//! on SQLite the log is a file of its own: it copies, and deletes what is durable.

use crypto::{Keyring, TagKey};

use super::{ActorKind, Outcome, Record, chain::waiting_mac};
use crate::db::{Cell, Db, DbError, Param, Row, Tx, params, statements};

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
    WAITING = {"SELECT record_id FROM audit_intake WHERE record_id = $1"};
    [audit] MOVED = {"SELECT record_id FROM audit_log WHERE record_id = $1"};
}

/// Writes a change's record in the change's own transaction, which must not commit when this fails.
pub(crate) async fn insert(tx: &mut Tx, key: &TagKey, record_id: [u8; 16], record: Record) -> Result<(), DbError> {
    let mut cells = record.into_cells(Some(record_id), key.id());
    cells.push(Param::Bytes(waiting_mac(key, &cells).to_vec()));
    tx.execute_one(&INSERT, cells).await
}

/// Whether a change's record is durable, and so the change is: for commits whose outcome is unknown.
pub(crate) async fn find(db: &Db, record_id: [u8; 16]) -> Result<bool, DbError> {
    // In this order: a record goes from the intake to the log, never back.
    Ok(!db.read(&WAITING, params![record_id]).await?.is_empty()
        || !db.read_audit(&MOVED, params![record_id]).await?.is_empty())
}

/// Reads a record of the intake. What was inserted or changed there by somebody else gets into no chain as what
/// it says it is: a record that says so takes its place.
pub(super) fn read(row: Row, keyring: &Keyring) -> Result<([u8; 16], Record), DbError> {
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
