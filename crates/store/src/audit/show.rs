//! Reading the log for people: `audit show`, and the list of who looked at a customer's data.
//!
//! Records that still wait in the intake are shown too, judged as those that are moved; one that is just being moved
//! stands in both tables and is shown once. Of a customer's records the index tells where they stand, except for the
//! end of each lane, which is scanned. A read that was asked for and then failed left two records: they are one entry.

use std::collections::{BTreeMap, HashMap, HashSet};

use crypto::Keyring;
use domain::{
    ids::{CustomerId, Id},
    time::Instant,
};

use super::{
    ActorKind, Filter, Outcome, Place, Record,
    chain::log_columns,
    filter::{APART, EARLIEST, PAGE},
    index,
    intake::{self, intake_columns},
    who::{self, OpenedWho},
};
use crate::db::{Db, DbError, Row, params, statements};

/// Records of changes that are looked at before they are moved.
const INTAKE_MOST: i64 = 10_000;

/// The conditions of a filter, `$1` to `$7`; a null parameter asks for nothing.
macro_rules! filtered {
    ($bytes:literal) => {
        concat!(
            "at >= $1 AND at < $2 AND (CAST($3 AS text) IS NULL OR action = CAST($3 AS text))
            AND (CAST($4 AS text) IS NULL OR request_id = CAST($4 AS text))
            AND (CAST($5 AS text) IS NULL OR role = CAST($5 AS text))
            AND (CAST($6 AS text) IS NULL OR reason = CAST($6 AS text))
            AND (CAST($7 AS ",
            $bytes,
            ") IS NULL OR actor_hash = CAST($7 AS ",
            $bytes,
            "))"
        )
    };
}

statements! {
    [heavy_audit] LOG = {
        sqlite concat!("SELECT ", log_columns!(), " FROM audit_log WHERE ", filtered!("blob"),
            " AND (at, lane, number) < ($8, $9, $10) ORDER BY at DESC, lane DESC, number DESC LIMIT $11"),
        postgres concat!("SELECT ", log_columns!(), " FROM audit_log WHERE ", filtered!("bytea"),
            " AND (at, lane, number) < ($8, $9, $10) ORDER BY at DESC, lane DESC, number DESC LIMIT $11")
    };
    [heavy] INDEXED = {"SELECT at, lane, number FROM audit_by_customer
        WHERE customer_id = $1 AND at >= $2 AND (at, lane, number) < ($3, $4, $5)
        ORDER BY at DESC, lane DESC, number DESC LIMIT $6"};
    [heavy_audit] BY_NUMBER = {
        sqlite concat!("SELECT ", log_columns!(), " FROM audit_log WHERE ", filtered!("blob"),
            " AND lane = $8 AND number IN (SELECT value FROM json_each($9))"),
        postgres concat!("SELECT ", log_columns!(), " FROM audit_log WHERE ", filtered!("bytea"),
            " AND lane = $8 AND number = ANY ($9)")
    };
    [heavy_audit] TAIL = {
        sqlite concat!("SELECT ", log_columns!(), " FROM audit_log WHERE ", filtered!("blob"),
            " AND lane = $8 AND number > $9 AND (customer_id = $10 OR customers IS NOT NULL) ORDER BY number LIMIT $11"),
        postgres concat!("SELECT ", log_columns!(), " FROM audit_log WHERE ", filtered!("bytea"),
            " AND lane = $8 AND number > $9 AND (customer_id = $10 OR customers IS NOT NULL) ORDER BY number LIMIT $11")
    };
    [heavy] INTAKE = {
        sqlite concat!("SELECT ", intake_columns!(), " FROM audit_intake WHERE ", filtered!("blob"),
            " AND (CAST($8 AS bigint) IS NULL OR customer_id = CAST($8 AS bigint) OR customers IS NOT NULL)
            ORDER BY at DESC, record_id DESC LIMIT $9"),
        postgres concat!("SELECT ", intake_columns!(), " FROM audit_intake WHERE ", filtered!("bytea"),
            " AND (CAST($8 AS bigint) IS NULL OR customer_id = CAST($8 AS bigint) OR customers IS NOT NULL)
            ORDER BY at DESC, record_id DESC LIMIT $9")
    };
    WRAPPED_KEY = {"SELECT wrapped FROM customer_key WHERE customer_id = $1"};
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

/// One entry as it is shown.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Lane and number; `None` while the record waits in the intake.
    pub position: Option<(i64, i64)>,
    /// The record.
    pub record: Record,
    /// Who acted.
    pub who: ShownWho,
    /// Lane and number of the record with which this read was asked for, before it failed.
    pub asked: Option<(i64, i64)>,
}

/// A record as it was read.
struct Read {
    position: Option<(i64, i64)>,
    record: Record,
    record_id: Option<[u8; 16]>,
}

impl Read {
    fn logged(row: Row) -> Result<Self, DbError> {
        let mut row = row.read();
        let position = Some((row.get()?, row.get()?));
        let (record, record_id) = Record::read(&mut row)?;
        Ok(Self { position, record, record_id })
    }

    fn place(&self) -> Place {
        (self.record.at, self.position)
    }
}

/// The newest entries that pass the filter, newest first.
pub(crate) async fn show(db: &Db, keyring: &Keyring, filter: &Filter) -> Result<Vec<Shown>, DbError> {
    let mut shown = Vec::new();
    for Entry { read, asked } in entries(db, keyring, filter).await? {
        let Read { position, mut record, record_id: _ } = read;
        // Before anything is added: who acted is bound to the record as it was written.
        let who = open(db, keyring, &record).await?;
        if let Some(Read { record: Record { customer, reason, ticket, .. }, .. }) = &asked {
            record.customer = record.customer.or(*customer);
            record.reason = record.reason.or_else(|| reason.clone());
            record.ticket = record.ticket.or_else(|| ticket.clone());
        }
        shown.push(Shown { position, record, who, asked: asked.and_then(|asked| asked.position) });
    }
    Ok(shown)
}

/// The same, without who acted.
pub(super) async fn records(db: &Db, keyring: &Keyring, filter: &Filter) -> Result<Vec<(Place, Record)>, DbError> {
    let entries = entries(db, keyring, filter).await?;
    Ok(entries.into_iter().map(|Entry { read, asked: _ }| (read.place(), read.record)).collect())
}

async fn entries(db: &Db, keyring: &Keyring, filter: &Filter) -> Result<Vec<Entry>, DbError> {
    // The intake first: a record goes from there to the log, never back.
    let mut waiting = unmoved(db, keyring, filter).await?;
    if let Some(customer) = filter.customer {
        waiting.extend(tails(db, filter, customer).await?);
    }
    let mut pages = Pages { db, filter, before: (filter.end(), 0, 0) };
    let (mut entries, mut seen, mut known) = (Entries::new(filter), HashSet::new(), HashSet::new());
    loop {
        let page = pages.next().await?;
        waiting.extend(page.records);
        waiting.sort_by_key(|read| std::cmp::Reverse(read.place()));
        let ready = match page.reaches {
            Some(end) => waiting.partition_point(|read| read.place() >= end),
            None => waiting.len(),
        };
        for read in waiting.drain(..ready) {
            let moved = read.record_id.is_some_and(|id| !known.insert(id));
            let again = read.position.is_some_and(|position| !seen.insert(position));
            if !moved && !again && filter.names(&read.record) {
                entries.add(read);
            }
        }
        if page.reaches.is_none_or(|end| entries.are_enough(end.0)) {
            break;
        }
    }
    Ok(entries.chosen())
}

/// What waits in the intake.
async fn unmoved(db: &Db, keyring: &Keyring, filter: &Filter) -> Result<Vec<Read>, DbError> {
    let mut params = filter.params();
    params.extend(params![filter.customer, INTAKE_MOST]);
    let rows = db.read(&INTAKE, params).await?;
    let unread = |failed: &DbError| tracing::error!(error = %failed, "an audit record of a change cannot be read");
    let read = rows.into_iter().filter_map(|row| intake::read(row, keyring).inspect_err(unread).ok());
    Ok(read.map(|(id, record)| Read { position: None, record, record_id: Some(id) }).collect())
}

/// A customer's records that the index does not know yet: behind the mark of each lane.
async fn tails(db: &Db, filter: &Filter, customer: CustomerId) -> Result<Vec<Read>, DbError> {
    // Before the index is read: what it gets meanwhile is seen twice rather than not at all.
    let marks = index::marks(db).await?;
    let mut found = Vec::new();
    for lane in index::lanes(db).await? {
        let mut last = marks.get(&lane).copied().unwrap_or_default();
        loop {
            let mut params = filter.params();
            params.extend(params![lane, last, customer.get(), i64::try_from(*PAGE.end()).unwrap_or(i64::MAX)]);
            let rows = db.read_audit(&TAIL, params).await?;
            let full = rows.len() == *PAGE.end();
            for row in rows {
                let read = Read::logged(row)?;
                last = read.position.map_or(last, |(_, number)| number);
                found.push(read);
            }
            if !full {
                break;
            }
        }
    }
    Ok(found)
}

/// The log, newest first: all of it, or what the index knows of a customer.
struct Pages<'a> {
    db: &'a Db,
    filter: &'a Filter,
    before: (Instant, i64, i64),
}

struct Page {
    records: Vec<Read>,
    /// Everything that stands before this place was read; `None` means everything there is.
    reaches: Option<Place>,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Page, DbError> {
        let limit = self.filter.page();
        let bound = i64::try_from(limit).unwrap_or(i64::MAX);
        let (at, lane, number) = self.before;
        let (records, read) = match self.filter.customer {
            None => {
                let mut params = self.filter.params();
                params.extend(params![at, lane, number, bound]);
                let rows = self.db.read_audit(&LOG, params).await?;
                let records = rows.into_iter().map(Read::logged).collect::<Result<Vec<_>, _>>()?;
                let last = records.last().and_then(|last| last.position.map(|(lane, n)| (last.record.at, lane, n)));
                self.before = last.unwrap_or(self.before);
                let read = records.len();
                (records, read)
            }
            Some(customer) => {
                let from = self.filter.from.unwrap_or(EARLIEST).max(EARLIEST);
                let hits = self.db.read(&INDEXED, params![customer.get(), from, at, lane, number, bound]).await?;
                let read = hits.len();
                let mut numbers: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
                for hit in hits {
                    let mut hit = hit.read();
                    self.before = (hit.get()?, hit.get()?, hit.get()?);
                    numbers.entry(self.before.1).or_default().push(self.before.2);
                }
                (self.of_lanes(numbers).await?, read)
            }
        };
        let (at, lane, number) = self.before;
        Ok(Page { records, reaches: (read >= limit).then_some((at, Some((lane, number)))) })
    }

    async fn of_lanes(&self, numbers: BTreeMap<i64, Vec<i64>>) -> Result<Vec<Read>, DbError> {
        let mut records = Vec::new();
        for (lane, numbers) in numbers {
            let mut params = self.filter.params();
            params.extend(params![lane, numbers]);
            for row in self.db.read_audit(&BY_NUMBER, params).await? {
                records.push(Read::logged(row)?);
            }
        }
        Ok(records)
    }
}

struct Entry {
    read: Read,
    /// With what it was asked for.
    asked: Option<Read>,
}

/// What makes two records those of one read. Ids of requests may be the client's own, so they alone do not.
type Pair = (String, String, Option<String>, ActorKind, Option<[u8; 32]>);

/// Entries as they are found, newest first.
struct Entries<'a> {
    filter: &'a Filter,
    found: Vec<Entry>,
    /// Refusals whose first record may follow.
    refused: HashMap<Pair, Vec<usize>>,
}

impl<'a> Entries<'a> {
    fn new(filter: &'a Filter) -> Self {
        Self { filter, found: Vec::new(), refused: HashMap::new() }
    }

    fn add(&mut self, read: Read) {
        let record = &read.record;
        let pair = || {
            let Record { request_id, action, resource, actor, actor_hash, .. } = record;
            (request_id.clone(), action.to_string(), resource.clone(), *actor, *actor_hash)
        };
        let of_pair = !self.filter.raw && !record.request_id.is_empty();
        if of_pair && record.outcome == Outcome::Asked {
            let refused = self.refused.get_mut(&pair()).and_then(Vec::pop).and_then(|at| self.found.get_mut(at));
            if let Some(entry) = refused.filter(|entry| follows(&entry.read.record, record)) {
                entry.asked = Some(read);
                return;
            }
        }
        // A request that was refused before it was authorised asked for nothing.
        if of_pair && record.outcome == Outcome::Refused && matches!(record.status, 404 | 412 | 500..) {
            self.refused.entry(pair()).or_default().push(self.found.len());
        }
        self.found.push(Entry { read, asked: None });
    }

    /// Whether no more is to be read, when everything after an instant was.
    fn are_enough(&self, read_to: Instant) -> bool {
        let last = self
            .found
            .iter()
            .filter(|entry| self.filter.passes(entry.read.place(), entry.read.record.outcome))
            .nth(self.filter.limit.saturating_sub(1));
        last.is_some_and(|last| last.read.record.at.since(read_to) > APART)
    }

    fn chosen(mut self) -> Vec<Entry> {
        self.found.retain(|entry| self.filter.passes(entry.read.place(), entry.read.record.outcome));
        self.found.truncate(self.filter.limit);
        self.found
    }
}

fn follows(refused: &Record, asked: &Record) -> bool {
    let same = refused.customer.is_none() || refused.customer == asked.customer;
    same && refused.at.since(asked.at) <= APART
}

/// Opens who acted: staff, services and strangers under the actor key, a customer under their own.
async fn open(db: &Db, keyring: &Keyring, record: &Record) -> Result<ShownWho, DbError> {
    let Some(sealed) = &record.who else { return Ok(ShownWho::Nobody) };
    let try_key = |key: &crypto::DataKey| who::open(key, record.customer, record.at, sealed).ok();
    let mut opened = keyring.actor_of(sealed).and_then(|key| try_key(key));
    if let Some(customer) = record.customer.filter(|_| opened.is_none()) {
        // Fetched for every record: the cache maps wrapped bytes to keys, so that an erased customer's key is nowhere.
        let wrapped = db.read(&WRAPPED_KEY, params![customer.get()]).await?.into_iter().next();
        let wrapped: Option<Vec<u8>> = wrapped.map(|row| row.read().get()).transpose()?;
        let key = wrapped.and_then(|wrapped| keyring.data_key(customer, &wrapped).ok());
        opened = key.and_then(|key| try_key(&key));
    }
    Ok(opened.map_or(ShownWho::Erased, ShownWho::Known))
}
