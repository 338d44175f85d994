//! Readings of meters that are not registered, or not installed, yet: they wait 14 days, are taken in when the meter is
//! there, and become a task for staff when it never is, or when it cannot have shown them.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ids::{Id, MeterId, TaskId},
    input::Named,
    readings::{Held, ReadingReport, Register, Verdict, Which, verdict},
    tasks::{About, TaskKind, Topic},
    time::{HOUR, Instant},
    values::MeterNumber,
};

use super::report::{Received, take};
use crate::{
    Store, StoreError,
    db::{Param, Row, Tx, params, statements},
    ids::{self, Allocated},
    occupancies::esi_hash,
    tasks,
};

/// How long a reading waits for its meter.
const DAYS: i64 = 14;
/// Readings that are taken in at once.
const AT_ONCE: i64 = 5_000;

statements! {
    // Of two values of one instant one waits: as `domain::readings::verdict` chooses.
    PARK = {
        sqlite "INSERT INTO parked_reading (parked_id, meter_id, esi_hash, meter_number, register, read_at, value, quality,
                reported_at, parked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            ON CONFLICT ((coalesce(meter_id, 0)), (coalesce(meter_number, '')), (coalesce(esi_hash, x'')), register, read_at)
            DO UPDATE SET value = excluded.value, quality = excluded.quality, reported_at = excluded.reported_at,
                parked_at = excluded.parked_at
            WHERE excluded.reported_at > parked_reading.reported_at
                AND (excluded.quality = 'actual' OR parked_reading.quality = 'estimated')",
        postgres "INSERT INTO parked_reading (parked_id, meter_id, esi_hash, meter_number, register, read_at, value, quality,
                reported_at, parked_at)
            SELECT * FROM unnest($1::int8[], $2::int8[], $3::bytea[], $4::text[], $5::text[], $6::timestamptz[],
                $7::int8[], $8::text[], $9::timestamptz[], $10::timestamptz[])
            ON CONFLICT ((coalesce(meter_id, 0)), (coalesce(meter_number, '')), (coalesce(esi_hash, ''::bytea)), register,
                read_at)
            DO UPDATE SET value = excluded.value, quality = excluded.quality, reported_at = excluded.reported_at,
                parked_at = excluded.parked_at
            WHERE excluded.reported_at > parked_reading.reported_at
                AND (excluded.quality = 'actual' OR parked_reading.quality = 'estimated')"
    };
    // An id that nobody had when its reading came was a mistake: it is not that of a meter which got it later.
    WAITING = {"SELECT parked_id, task_id, register, read_at, value, quality, reported_at FROM parked_reading
        WHERE ((meter_number = $2 AND esi_hash = $3) OR (meter_id = $1 AND parked_at >= $4)) AND parked_id > $5
        ORDER BY parked_id LIMIT $6"};
    TAKEN = {
        sqlite "DELETE FROM parked_reading WHERE parked_id IN (SELECT value FROM json_each($1))",
        postgres "DELETE FROM parked_reading WHERE parked_id = ANY($1)"
    };
    ANSWERED = {"DELETE FROM parked_reading WHERE task_id = $1"};
    // No task has the number 0: whoever sets it has the rows.
    EXPIRE = {"UPDATE parked_reading SET task_id = 0 WHERE parked_at < $1 AND task_id IS NULL
        RETURNING parked_id, meter_id, esi_hash, meter_number"};
    TASK_OF = {"SELECT t.task_id FROM parked_reading p JOIN task t ON t.task_id = p.task_id AND t.status = 'open'
        WHERE (p.meter_number = $2 AND p.esi_hash = $3) OR p.meter_id = $1 LIMIT 1"};
    GIVE = {
        sqlite "UPDATE parked_reading SET task_id = $1 WHERE parked_id IN (SELECT value FROM json_each($2))",
        postgres "UPDATE parked_reading SET task_id = $1 WHERE parked_id = ANY($2)"
    };
}

/// A reading that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ParkedId(i64);

impl Id for ParkedId {
    fn new(value: i64) -> Option<Self> {
        (1..=domain::ids::MAX_ID).contains(&value).then_some(Self(value))
    }
    fn get(self) -> i64 {
        self.0
    }
}

impl Allocated for ParkedId {
    const SEQUENCE: &'static str = "parked";
}

/// The plate by which a reading that waits names its meter, or our id; its register and instant.
type Key = (Option<MeterId>, Option<[u8; 32]>, Option<String>, Register, Instant);

/// Parks readings: one of each key.
pub(super) async fn park(
    store: &Store,
    tx: &mut Tx,
    now: Instant,
    reports: &[&ReadingReport],
) -> Result<(), StoreError> {
    let mut waiting: BTreeMap<Key, &ReadingReport> = BTreeMap::new();
    for report in reports {
        let ReadingReport { register, read_at, value, quality, reported_at, .. } = **report;
        let key = match report.which() {
            Ok(Which::Plate(esi, number)) => {
                (None, Some(esi_hash(store, esi)), Some(number.as_str().to_owned()), register, read_at)
            }
            Ok(Which::Id(_)) | Err(_) => (report.meter_id, None, None, register, read_at),
        };
        let held = |report: &&ReadingReport| {
            let ReadingReport { value, quality, reported_at, .. } = **report;
            Held { value, quality, reported_at, revision: 1 }
        };
        if verdict(waiting.get(&key).map(held).as_ref(), value, quality, reported_at) != Verdict::Known {
            waiting.insert(key, report);
        }
    }
    let ids: Vec<ParkedId> = ids::block(tx, waiting.len()).await?;
    let row = |((key, report), ParkedId(id)): ((Key, &ReadingReport), ParkedId)| -> Vec<Param> {
        let (meter, hash, number, register, read_at) = key;
        let ReadingReport { value, quality, reported_at, .. } = *report;
        params![id, meter, hash, number, register.name(), read_at, value, quality.name(), reported_at, now]
    };
    let rows = waiting.into_iter().zip(ids).map(row).collect();
    Ok(tx.insert_many(&PARK, rows).await?)
}

/// A meter for which readings may wait.
pub(crate) struct Waits<'a> {
    pub(crate) meter: MeterId,
    pub(crate) number: &'a MeterNumber,
    /// When it was registered.
    pub(crate) registered: Instant,
}

/// Takes in what waited for a meter that is installed now, and closes its task. What the meter cannot have shown is kept,
/// with a task. The hash is that of the meter's service point.
pub(crate) async fn take_parked(
    store: &Store,
    tx: &mut Tx,
    now: Instant,
    waits: &Waits<'_>,
    hash: &[u8],
) -> Result<(), StoreError> {
    let Waits { meter, number, registered } = *waits;
    let (mut refused, mut answered, mut after) = (Vec::new(), BTreeSet::new(), 0_i64);
    loop {
        let waiting = tx.rows(&WAITING, params![meter, number.as_str(), hash, registered, after, AT_ONCE]).await?;
        let (mut ids, mut reports) = (Vec::new(), Vec::new());
        for row in waiting {
            let mut row = row.read();
            ids.push(row.get::<i64>()?);
            answered.extend(row.get::<Option<i64>>()?.and_then(TaskId::new));
            reports.push(ReadingReport {
                meter_id: Some(meter),
                esi_id: None,
                meter_number: None,
                register: row.get()?,
                read_at: row.get()?,
                value: row.get()?,
                quality: row.get()?,
                reported_at: row.get()?,
            });
        }
        let Some(last) = ids.last() else { break };
        after = *last;
        let received = take(store, tx, now, &reports).await?.received;
        let stored = |(_, received): &(i64, Received)| {
            matches!(received, Received::Accepted | Received::Suspect | Received::Unchanged)
        };
        let (taken, left): (Vec<_>, Vec<_>) = ids.into_iter().zip(received).partition(stored);
        let taken: Vec<i64> = taken.into_iter().map(|(id, _)| id).collect();
        tx.execute(&TAKEN, params![taken]).await?;
        refused.extend(left.into_iter().map(|(id, _)| id));
    }
    if !refused.is_empty() {
        let task = tasks::open_once(tx, now, TaskKind::UnmatchedReading, None, About::from(meter)).await?;
        tx.execute(&GIVE, params![task, refused]).await?;
    }
    for task in answered {
        tasks::close(tx, now, task).await?;
    }
    Ok(())
}

/// Drops what a task is about: nobody knows the meter.
pub(crate) async fn drop_parked(tx: &mut Tx, task: TaskId) -> Result<u64, StoreError> {
    Ok(tx.execute(&ANSWERED, params![task]).await?)
}

/// How a parked reading names its meter.
type Plate = (Option<i64>, Option<Vec<u8>>, Option<String>);

fn expired(row: Row) -> Result<(i64, Plate), StoreError> {
    let mut row = row.read();
    Ok((row.get()?, (row.get()?, row.get()?, row.get()?)))
}

impl Store {
    /// Opens a task for each meter whose readings have waited too long; how many.
    pub async fn expire_parked(&self, now: Instant) -> Result<usize, StoreError> {
        let mut tx = self.db.begin().await?;
        let mut plates: BTreeMap<Plate, Vec<i64>> = BTreeMap::new();
        for row in tx.rows(&EXPIRE, params![now.plus(-DAYS * 24 * HOUR)]).await? {
            let (id, plate) = expired(row)?;
            plates.entry(plate).or_default().push(id);
        }
        let count = plates.len();
        for ((meter, hash, number), ids) in plates {
            let same = tx.rows(&TASK_OF, params![meter, number, hash]).await?;
            let task: TaskId = match same.into_iter().next() {
                Some(row) => row.read().id()?,
                None => {
                    let about = About { topic: Topic::Parked, id: ids.first().copied().unwrap_or_default() };
                    tasks::open(&mut tx, now, TaskKind::UnmatchedReading, None, about).await?
                }
            };
            tx.execute(&GIVE, params![task, ids]).await?;
        }
        tx.commit().await?;
        Ok(count)
    }
}
