//! The chain of a lane: each record's MAC is over every column and the MAC before.
//!
//! The encoding is versioned and length-prefixed and says which optional columns are null, so that no two
//! rows encode alike. The number stands in it: a record moved within its lane, or into another, does not
//! verify. Case that would break it: a column that is stored but not encoded; therefore rows and records
//! are taken apart exhaustively here.

use crypto::{TAG_LENGTH, TagKey};
use domain::{ids::Id, input::Named, time::Instant};

use super::Record;
use crate::db::{DbError, Param, Row};

const VERSION: u8 = 1;

/// The columns of `audit_log` in the order of every statement here.
macro_rules! log_columns {
    () => {
        "lane, number, at, actor, customer_id, action, outcome, status, resource, categories, request_id, detail, who, \
         record_id, key_id, mac"
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
        mut record: Record,
        record_id: Option<[u8; 16]>,
        key: &TagKey,
        buffer: &mut Vec<u8>,
    ) -> Vec<Param> {
        record.fit();
        self.number += 1;
        let columns = Columns::of(&record, record_id.as_ref(), (self.lane, self.number), key);
        self.mac = columns.mac(key, &self.mac, buffer);
        let Record { at, actor, customer, action, outcome, status, resource, categories, request_id, detail, who } =
            record;
        vec![
            Param::Int(self.lane),
            Param::Int(self.number),
            Param::Instant(at),
            Param::Text(actor.name().to_owned()),
            customer.map_or(Param::Null, |c| Param::Int(c.get())),
            Param::Text(action.into_owned()),
            Param::Text(outcome.name().to_owned()),
            Param::Int(i64::from(status)),
            resource.map_or(Param::Null, Param::Text),
            Param::Int(categories.bits()),
            Param::Text(request_id),
            detail.map_or(Param::Null, Param::Text),
            who.map_or(Param::Null, Param::Bytes),
            record_id.map_or(Param::Null, |id| Param::Bytes(id.to_vec())),
            Param::Int(i64::from(key.id())),
            Param::Bytes(self.mac.to_vec()),
        ]
    }
}

/// The MAC of a record that waits in the intake: the place before every lane, which no chain has.
pub(super) fn waiting_mac(record: &Record, record_id: &[u8; 16], key: &TagKey) -> Mac {
    Columns::of(record, Some(record_id), (0, 0), key).mac(key, &[], &mut Vec::new())
}

/// What a MAC covers, besides the MAC before.
struct Columns<'a> {
    lane: i64,
    number: i64,
    at: Instant,
    actor: &'a str,
    customer: Option<i64>,
    action: &'a str,
    outcome: &'a str,
    status: i64,
    resource: Option<&'a str>,
    categories: i64,
    request_id: &'a str,
    detail: Option<&'a str>,
    who: Option<&'a [u8]>,
    record_id: Option<&'a [u8]>,
    key_id: i64,
}

impl<'a> Columns<'a> {
    fn of(record: &'a Record, record_id: Option<&'a [u8; 16]>, (lane, number): (i64, i64), key: &TagKey) -> Self {
        let Record { at, actor, customer, action, outcome, status, resource, categories, request_id, detail, who } =
            record;
        Self {
            lane,
            number,
            at: *at,
            actor: actor.name(),
            customer: customer.map(Id::get),
            action,
            outcome: outcome.name(),
            status: i64::from(*status),
            resource: resource.as_deref(),
            categories: categories.bits(),
            request_id,
            detail: detail.as_deref(),
            who: who.as_deref(),
            record_id: record_id.map(<[u8; 16]>::as_slice),
            key_id: i64::from(key.id()),
        }
    }

    fn mac(&self, key: &TagKey, previous: &[u8], buffer: &mut Vec<u8>) -> Mac {
        let Self {
            lane,
            number,
            at,
            actor,
            customer,
            action,
            outcome,
            status,
            resource,
            categories,
            request_id,
            detail,
            who,
            record_id,
            key_id,
        } = self;
        buffer.clear();
        buffer.push(VERSION);
        for integer in [*lane, *number, at.micros(), *status, *categories, *key_id] {
            buffer.extend_from_slice(&integer.to_be_bytes());
        }
        let customer = customer.map(i64::to_be_bytes);
        let texts = [
            Some(actor.as_bytes()),
            customer.as_ref().map(<[u8; 8]>::as_slice),
            Some(action.as_bytes()),
            Some(outcome.as_bytes()),
            resource.map(str::as_bytes),
            Some(request_id.as_bytes()),
            detail.map(str::as_bytes),
            *who,
            *record_id,
        ];
        for text in texts {
            buffer.push(u8::from(text.is_some()));
            let text = text.unwrap_or_default();
            buffer.extend_from_slice(&(text.len() as u64).to_be_bytes());
            buffer.extend_from_slice(text);
        }
        key.tag("audit-record", &[previous, buffer])
    }
}

/// A row of the log as it stands there; nothing in it is believed yet.
#[derive(Debug, Clone)]
pub(super) struct LogRow {
    pub(super) lane: i64,
    pub(super) number: i64,
    pub(super) at: Instant,
    pub(super) actor: String,
    pub(super) customer: Option<i64>,
    pub(super) action: String,
    pub(super) outcome: String,
    pub(super) status: i64,
    pub(super) resource: Option<String>,
    pub(super) categories: i64,
    pub(super) request_id: String,
    pub(super) detail: Option<String>,
    pub(super) who: Option<Vec<u8>>,
    pub(super) record_id: Option<Vec<u8>>,
    pub(super) key_id: i64,
    pub(super) mac: Vec<u8>,
}

impl LogRow {
    pub(super) fn read(row: Row) -> Result<Self, DbError> {
        let mut row = row.read();
        Ok(Self {
            lane: row.get()?,
            number: row.get()?,
            at: row.get()?,
            actor: row.get()?,
            customer: row.get()?,
            action: row.get()?,
            outcome: row.get()?,
            status: row.get()?,
            resource: row.get()?,
            categories: row.get()?,
            request_id: row.get()?,
            detail: row.get()?,
            who: row.get()?,
            record_id: row.get()?,
            key_id: row.get()?,
            mac: row.get()?,
        })
    }

    /// The MAC that this row must have after a record with the MAC `previous`.
    pub(super) fn right_mac(&self, key: &TagKey, previous: &[u8], buffer: &mut Vec<u8>) -> Mac {
        let Self {
            lane,
            number,
            at,
            actor,
            customer,
            action,
            outcome,
            status,
            resource,
            categories,
            request_id,
            detail,
            who,
            record_id,
            key_id,
            mac: _,
        } = self;
        let columns = Columns {
            lane: *lane,
            number: *number,
            at: *at,
            actor,
            customer: *customer,
            action,
            outcome,
            status: *status,
            resource: resource.as_deref(),
            categories: *categories,
            request_id,
            detail: detail.as_deref(),
            who: who.as_deref(),
            record_id: record_id.as_deref(),
            key_id: *key_id,
        };
        columns.mac(key, previous, buffer)
    }
}
