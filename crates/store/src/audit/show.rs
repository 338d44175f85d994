//! Reading the log for people: `audit show`, and the list of who looked at a customer's data.
//!
//! Records that still wait in the intake are shown too; one that is just being moved stands in both
//! tables and is shown once.

use std::collections::HashSet;

use crypto::Keyring;
use domain::{
    ids::{CustomerId, Id},
    time::Instant,
};

use super::{
    ActorKind, Record,
    chain::log_columns,
    intake::intake_columns,
    who::{self, OpenedWho},
};
use crate::db::{Db, DbError, Row, params, statements};

/// Records shown at most.
const MOST: usize = 10_000;
/// The instants that both engines hold.
const EARLIEST: Instant = Instant::from_micros(0);
const LATEST: Instant = Instant::from_micros(253_402_300_799_000_000);

/// The conditions of a filter, from `$from` on; a null parameter asks for nothing.
macro_rules! filtered {
    () => {
        "at >= $2 AND at < $3 AND (CAST($4 AS text) IS NULL OR action = CAST($4 AS text))
            AND (CAST($5 AS text) IS NULL OR request_id = CAST($5 AS text))"
    };
}

statements! {
    [audit] LOG_OF_CUSTOMER = {concat!("SELECT ", log_columns!(), " FROM audit_log WHERE customer_id = $1 AND ",
        filtered!(), " ORDER BY at DESC, lane DESC, number DESC LIMIT $6")};
    [audit] LOG = {concat!("SELECT ", log_columns!(), " FROM audit_log WHERE CAST($1 AS bigint) IS NULL AND ",
        filtered!(), " ORDER BY at DESC, lane DESC, number DESC LIMIT $6")};
    INTAKE = {concat!("SELECT ", intake_columns!(), " FROM audit_intake
        WHERE (CAST($1 AS bigint) IS NULL OR customer_id = CAST($1 AS bigint)) AND ",
        filtered!(), " ORDER BY at DESC, record_id DESC LIMIT $6")};
    WRAPPED_KEY = {"SELECT wrapped FROM customer_key WHERE customer_id = $1"};
}

/// Which records.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this customer's data.
    pub customer: Option<CustomerId>,
    /// From this instant on.
    pub from: Option<Instant>,
    /// Before this instant.
    pub to: Option<Instant>,
    /// Of this action.
    pub action: Option<String>,
    /// Of this request.
    pub request_id: Option<String>,
    /// At most so many, the newest; 10,000 at most.
    pub limit: usize,
}

/// Who acted, as far as it can still be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShownWho {
    /// The record names nobody.
    Nobody,
    /// The caller.
    Known(OpenedWho),
    /// Sealed under a key that is gone: the customer was erased, or the actor key's period is over.
    Erased,
}

/// One record as it is shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Lane and number; `None` while the record waits in the intake.
    pub position: Option<(i64, i64)>,
    /// The record.
    pub record: Record,
    /// Who acted.
    pub who: ShownWho,
}

/// The newest records that pass the filter, newest first.
///
/// # Errors
/// [`DbError`] when the database does not answer or a row is not a record.
pub(crate) async fn show(db: &Db, keyring: &Keyring, filter: &Filter) -> Result<Vec<Shown>, DbError> {
    let Filter { customer, from, to, action, request_id, limit } = filter;
    let limit = (*limit).min(MOST);
    let bound = i64::try_from(limit).unwrap_or(i64::MAX);
    let (from, to) = (from.unwrap_or(EARLIEST).max(EARLIEST), to.unwrap_or(LATEST).min(LATEST));
    let params = || params![customer.map(Id::get), from, to, action.clone(), request_id.clone(), bound];
    // The intake first: a record goes from there to the log, never back.
    let intake = db.read(&INTAKE, params()).await?;
    let log = if customer.is_some() { &LOG_OF_CUSTOMER } else { &LOG };
    let log = db.read_audit(log, params()).await?;
    let mut known = HashSet::new();
    let mut found = Vec::with_capacity(log.len() + intake.len());
    for row in log {
        let (position, record, record_id) = logged(row)?;
        known.extend(record_id);
        found.push((Some(position), record));
    }
    for row in intake {
        let (record, record_id) = Record::read(&mut row.read())?;
        if !record_id.is_some_and(|id| known.contains(&id)) {
            found.push((None, record));
        }
    }
    found.sort_by_key(|(position, record)| std::cmp::Reverse((record.at, *position)));
    found.truncate(limit);
    let mut shown = Vec::with_capacity(found.len());
    for (position, record) in found {
        let who = open(db, keyring, &record).await?;
        shown.push(Shown { position, record, who });
    }
    Ok(shown)
}

type Logged = ((i64, i64), Record, Option<[u8; 16]>);

fn logged(row: Row) -> Result<Logged, DbError> {
    let mut row = row.read();
    let position = (row.get()?, row.get()?);
    let (record, record_id) = Record::read(&mut row)?;
    Ok((position, record, record_id))
}

/// Opens who acted: a customer under their own key, everybody else under the keyring's actor key.
async fn open(db: &Db, keyring: &Keyring, record: &Record) -> Result<ShownWho, DbError> {
    let Some(sealed) = &record.who else { return Ok(ShownWho::Nobody) };
    let opened = match (record.actor, record.customer) {
        (ActorKind::Customer, Some(customer)) => {
            // Fetched for every record: the cache maps wrapped bytes to keys, so that an erased customer's
            // key is nowhere.
            let wrapped = db.read(&WRAPPED_KEY, params![customer.get()]).await?.into_iter().next();
            let wrapped: Option<Vec<u8>> = wrapped.map(|row| row.read().get()).transpose()?;
            let key = wrapped.and_then(|wrapped| keyring.data_key(customer, &wrapped).ok());
            key.and_then(|key| who::open(&key, record.customer, record.at, sealed).ok())
        }
        _ => keyring.actor_of(sealed).and_then(|key| who::open(key, record.customer, record.at, sealed).ok()),
    };
    Ok(opened.map_or(ShownWho::Erased, ShownWho::Known))
}
