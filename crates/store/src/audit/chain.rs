//! The chain of a lane: each record's MAC is over every cell of its row and the MAC before.
//!
//! The encoding is versioned; each cell stands there with its kind and length, so that no two rows encode alike.
//! The number is one of the cells: a record moved within its lane, or into another, does not verify.

use crypto::{TAG_LENGTH, TagKey};
use domain::time::Instant;

use super::Record;
use crate::db::{Cell, DbError, Param, Row};

const VERSION: u8 = 2;

/// The columns of `audit_log` in the order of every statement here. The MAC is the last and covers all others.
macro_rules! log_columns {
    () => {
        concat!("lane, number, ", $crate::audit::record::record_columns!(), ", mac")
    };
}
pub(super) use log_columns;

/// A MAC of the chain.
pub(super) type Mac = [u8; TAG_LENGTH];

/// How far a lane has come: its last number and that record's MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) lane: i64,
    pub(super) number: i64,
    pub(super) mac: Mac,
}

impl Head {
    /// The head of a lane that holds nothing.
    pub(super) fn new(lane: i64) -> Self {
        Self { lane, number: 0, mac: [0; TAG_LENGTH] }
    }

    /// Appends a record to the chain and gives the row, in the order of `log_columns!`.
    pub(super) fn extend(
        &mut self,
        record: Record,
        record_id: Option<[u8; 16]>,
        key: &TagKey,
        buffer: &mut Vec<u8>,
    ) -> Vec<Param> {
        self.number += 1;
        let mut cells = vec![Param::Int(self.lane), Param::Int(self.number)];
        cells.extend(record.into_cells(record_id, key.id()));
        self.mac = mac(key, &self.mac, &cells, buffer);
        cells.push(Param::Bytes(self.mac.to_vec()));
        cells
    }
}

/// The place of a record that waits in the intake: before every lane, where no chain has one.
const NOWHERE: [Cell; 2] = [Cell::Int(0), Cell::Int(0)];

/// The MAC of a record that waits in the intake.
pub(super) fn waiting_mac<C: Encode>(key: &TagKey, cells: &[C]) -> Mac {
    let mut buffer = vec![VERSION];
    NOWHERE.iter().for_each(|cell| cell.encode(&mut buffer));
    cells.iter().for_each(|cell| cell.encode(&mut buffer));
    key.tag("audit-record", &[&[], &buffer])
}

fn mac<C: Encode>(key: &TagKey, previous: &[u8], cells: &[C], buffer: &mut Vec<u8>) -> Mac {
    buffer.clear();
    buffer.push(VERSION);
    cells.iter().for_each(|cell| cell.encode(buffer));
    key.tag("audit-record", &[previous, buffer])
}

/// A cell as a MAC covers it, the same when it is written and when it is read.
pub(super) trait Encode {
    fn encode(&self, buffer: &mut Vec<u8>);
}

fn put(buffer: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    buffer.push(kind);
    buffer.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    buffer.extend_from_slice(bytes);
}

impl Encode for Cell {
    fn encode(&self, buffer: &mut Vec<u8>) {
        match self {
            Self::Null => put(buffer, 0, &[]),
            Self::Int(value) => put(buffer, 1, &value.to_be_bytes()),
            Self::Text(text) => put(buffer, 2, text.as_bytes()),
            Self::Bytes(bytes) => put(buffer, 3, bytes),
        }
    }
}

impl Encode for Param {
    fn encode(&self, buffer: &mut Vec<u8>) {
        match self {
            Self::Null => put(buffer, 0, &[]),
            Self::Int(value) => put(buffer, 1, &value.to_be_bytes()),
            Self::Instant(at) => put(buffer, 1, &at.micros().to_be_bytes()),
            Self::Date(date) => put(buffer, 1, &date.days().to_be_bytes()),
            Self::Bool(value) => put(buffer, 1, &i64::from(*value).to_be_bytes()),
            Self::Text(text) => put(buffer, 2, text.as_bytes()),
            Self::Bytes(bytes) => put(buffer, 3, bytes),
            // No column holds a list.
            Self::Ints(_) => put(buffer, 4, &[]),
        }
    }
}

/// A row of the log as it stands there; nothing in it is believed yet.
#[derive(Debug)]
pub(super) struct LogRow {
    pub(super) lane: i64,
    pub(super) number: i64,
    pub(super) at: Instant,
    pub(super) key_id: i64,
    pub(super) mac: Vec<u8>,
    /// Every cell but the MAC.
    cells: Vec<Cell>,
}

impl LogRow {
    pub(super) fn read(row: Row) -> Result<Self, DbError> {
        let Row { statement, mut cells } = row;
        if let Some(Cell::Bytes(mac)) = cells.pop()
            && let [Cell::Int(lane), Cell::Int(number), Cell::Int(at), .., Cell::Int(key_id)] = *cells.as_slice()
        {
            return Ok(Self { lane, number, at: Instant::from_micros(at), key_id, mac, cells });
        }
        Err(DbError::Corrupt(format!("{statement}: no row of the audit log")))
    }

    /// The MAC that this row must have after a record with the MAC `previous`.
    pub(super) fn right_mac(&self, key: &TagKey, previous: &[u8], buffer: &mut Vec<u8>) -> Mac {
        mac(key, previous, &self.cells, buffer)
    }
}
