//! Reported readings: many of many meters at once, in bulk statements. Only the rows of their meters are locked, in the
//! order of their ids: an exchange of one of them comes before or after, never between.
//!
//! A reading's key is meter, register and instant. What `domain` makes of a second value of one key ([`verdict`]) is
//! decided here under the meter's lock, so that two reports at once cannot both be the first.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ids::{CustomerId, Id, MeterId, ReadingId},
    input::Named,
    meters::Registers,
    readings::{Dial, Held, Quality, ReadingReport, Register, RegisterReading, Verdict, Which, advances, verdict},
    tasks::{About, TaskKind},
    time::{HOUR, Instant},
};

use super::parked;
use crate::{
    Batch, Store, StoreError,
    db::{Row, Tx, params, statements},
    ids,
    occupancies::esi_hash,
    seed::{self, NewReading},
    tasks,
};

/// How far a reading may lie ahead of our clock.
const AHEAD: i64 = 24 * HOUR;

statements! {
    // What a chunk names by plate: `n` is its line.
    PLATES = {
        sqlite "SELECT k.value ->> 'n', m.meter_id FROM json_each($1) k
            JOIN service_point s ON s.esi_hash = unhex(k.value ->> 'h')
            JOIN meter m ON m.service_point_id = s.service_point_id AND m.meter_number = k.value ->> 'm'",
        postgres "SELECT k.n, m.meter_id FROM json_to_recordset(CAST(CAST($1 AS text) AS json)) AS k(n int8, h text, m text)
            JOIN service_point s ON s.esi_hash = decode(k.h, 'hex')
            JOIN meter m ON m.service_point_id = s.service_point_id AND m.meter_number = k.m"
    };
    METERS = {
        sqlite "SELECT meter_id, multiplier, dials, registers, installed_at, removed_at FROM meter
            WHERE meter_id IN (SELECT value FROM json_each($1)) ORDER BY meter_id",
        postgres "SELECT meter_id, multiplier, dials, registers, installed_at, removed_at FROM meter
            WHERE meter_id = ANY($1) ORDER BY meter_id FOR UPDATE"
    };
    // Who lived where the meters are, the latest first.
    OCCUPANTS = {
        sqlite "SELECT m.meter_id, p.customer_id, p.start_at, p.end_at FROM meter m
            JOIN premise_service_point ps ON ps.service_point_id = m.service_point_id
            JOIN premise p ON p.customer_id = ps.customer_id AND p.premise_id = ps.premise_id
            WHERE m.meter_id IN (SELECT value FROM json_each($1)) AND p.status <> 'pending'
            ORDER BY m.meter_id, p.start_at DESC",
        postgres "SELECT m.meter_id, p.customer_id, p.start_at, p.end_at FROM meter m
            JOIN premise_service_point ps ON ps.service_point_id = m.service_point_id
            JOIN premise p ON p.customer_id = ps.customer_id AND p.premise_id = ps.premise_id
            WHERE m.meter_id = ANY($1) AND p.status <> 'pending'
            ORDER BY m.meter_id, p.start_at DESC"
    };
    // Of each key: the reading in force, the one before it and the one after it.
    AROUND = {
        sqlite "SELECT r.meter_id, r.register, r.read_at, r.value, r.quality, r.reported_at, r.revision
            FROM json_each($1) k
            JOIN reading r ON r.meter_id = k.value ->> 'm' AND r.register = k.value ->> 'r' AND r.is_current
                AND r.read_at IN (k.value ->> 't',
                    (SELECT max(b.read_at) FROM reading b WHERE b.meter_id = k.value ->> 'm'
                        AND b.register = k.value ->> 'r' AND b.is_current AND b.read_at < k.value ->> 't'),
                    (SELECT min(b.read_at) FROM reading b WHERE b.meter_id = k.value ->> 'm'
                        AND b.register = k.value ->> 'r' AND b.is_current AND b.read_at > k.value ->> 't'))",
        postgres "SELECT r.* FROM (
                SELECT m, r AS register, timestamptz 'epoch' + t * interval '1 microsecond' AS at
                FROM json_to_recordset(CAST(CAST($1 AS text) AS json)) AS k(m int8, r text, t int8)
            ) k CROSS JOIN LATERAL (
                SELECT b.meter_id, b.register, b.read_at, b.value, b.quality, b.reported_at, b.revision FROM (
                    (SELECT * FROM reading WHERE meter_id = k.m AND register = k.register AND read_at = k.at
                        AND is_current)
                    UNION ALL (SELECT * FROM reading WHERE meter_id = k.m AND register = k.register
                        AND read_at < k.at AND is_current ORDER BY read_at DESC LIMIT 1)
                    UNION ALL (SELECT * FROM reading WHERE meter_id = k.m AND register = k.register
                        AND read_at > k.at AND is_current ORDER BY read_at LIMIT 1)
                ) b
            ) r"
    };
    SUPERSEDE = {
        sqlite "UPDATE reading SET is_current = FALSE
            WHERE meter_id = $1 AND register = $2 AND read_at = $3 AND is_current",
        postgres "UPDATE reading r SET is_current = FALSE
            FROM unnest($1::int8[], $2::text[], $3::timestamptz[]) AS k(meter_id, register, read_at)
            WHERE r.meter_id = k.meter_id AND r.register = k.register AND r.read_at = k.read_at AND r.is_current"
    };
}

/// What became of a reported reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It is stored.
    Accepted,
    /// It is stored, and does not fit the reading beside it: a task is open.
    Suspect,
    /// It was known, is older than what is known, or an estimate of what was read.
    Unchanged,
    /// Its meter is not registered or not installed: it waits.
    Parked,
    /// The meter has no such register.
    NoRegister,
    /// The dials cannot show it.
    OutOfRange,
    /// It lies too far ahead.
    InTheFuture,
    /// The meter was not there.
    NotInstalled,
}

/// A meter, as far as its readings need it.
struct Known {
    dial: Dial,
    registers: Registers,
    installed: (Instant, Option<Instant>),
    /// Who lived there, the latest first.
    occupants: Vec<(CustomerId, Instant, Option<Instant>)>,
}

impl Known {
    /// Whose a reading is: who lives there at its instant, or, at the boundary, who left.
    fn customer(&self, at: Instant) -> Option<CustomerId> {
        let covers =
            |(_, start, end): &&(CustomerId, Instant, Option<Instant>)| *start <= at && end.is_none_or(|end| at <= end);
        self.occupants.iter().find(covers).map(|(customer, ..)| *customer)
    }
}

type Series = (MeterId, Register);

/// A chunk while it is taken in.
#[derive(Default)]
struct Chunk {
    /// What is in force around the reported instants, by register.
    series: BTreeMap<Series, BTreeMap<Instant, (Held, bool)>>,
    superseded: Vec<(MeterId, Register, Instant)>,
    rows: Vec<Pending>,
}

/// A revision that has no id yet.
struct Pending {
    meter: MeterId,
    customer: Option<CustomerId>,
    register: Register,
    read_at: Instant,
    held: Held,
    is_current: bool,
    corrected_at: Option<Instant>,
}

/// What a chunk did.
pub(crate) struct Taken {
    pub(crate) received: Vec<Received>,
    /// Whose rows were touched or compared.
    customers: BTreeSet<CustomerId>,
}

/// Stores reported readings, in order: what became of each.
pub async fn report(batch: &mut Batch<'_>, reports: &[ReadingReport]) -> Result<Vec<Received>, StoreError> {
    let now = batch.now();
    let (store, tx) = batch.parts();
    let Taken { received, customers } = take(store, tx, now, reports).await?;
    customers.into_iter().for_each(|customer| batch.compared(customer));
    let wrote = |one: &Received| matches!(one, Received::Accepted | Received::Suspect | Received::Parked);
    if received.iter().any(wrote) {
        batch.changed();
    }
    Ok(received)
}

/// Takes reports in, within a transaction that may be a batch's or a change's.
pub(crate) async fn take(
    store: &Store,
    tx: &mut Tx,
    now: Instant,
    reports: &[ReadingReport],
) -> Result<Taken, StoreError> {
    let named = resolve(store, tx, reports).await?;
    let known = meters(tx, &named).await?;
    let mut taken = Taken { received: Vec::with_capacity(reports.len()), customers: BTreeSet::new() };
    let fates: Vec<Result<MeterId, Received>> =
        reports.iter().zip(&named).map(|(report, meter)| fate(report, *meter, &known, now)).collect();
    let mut chunk = around(tx, reports, &fates).await?;
    let (mut waiting, mut checked) = (Vec::new(), Vec::new());
    for (index, (report, fate)) in reports.iter().zip(fates).enumerate() {
        let meter = match fate {
            Err(received) => {
                if received == Received::Parked {
                    waiting.push(index);
                }
                taken.received.push(received);
                continue;
            }
            Ok(meter) => meter,
        };
        let customer = known.get(&meter).and_then(|known| known.customer(report.read_at));
        taken.customers.extend(customer);
        let fresh = chunk.add(meter, customer, report, now);
        taken.received.push(if fresh { Received::Accepted } else { Received::Unchanged });
        if fresh {
            checked.push((index, meter, customer));
        }
    }
    let mut suspect = BTreeMap::new();
    let fresh: BTreeSet<_> = (checked.iter())
        .filter_map(|(index, meter, _)| reports.get(*index).map(|report| (*meter, report.register, report.read_at)))
        .collect();
    for (index, meter, customer) in checked {
        let (Some(report), Some(known)) = (reports.get(index), known.get(&meter)) else { continue };
        if chunk.is_suspect(meter, report, known.dial, &fresh) {
            suspect.insert(meter, customer);
            if let Some(received) = taken.received.get_mut(index) {
                *received = Received::Suspect;
            }
        }
    }
    chunk.write(tx).await?;
    for (meter, customer) in suspect {
        tasks::open_once(tx, now, TaskKind::SuspectReading, customer, About::from(meter)).await?;
    }
    let waiting: Vec<&ReadingReport> = waiting.into_iter().filter_map(|index| reports.get(index)).collect();
    parked::park(store, tx, now, &waiting).await?;
    Ok(taken)
}

/// The meter that each report names, where there is one.
async fn resolve(store: &Store, tx: &mut Tx, reports: &[ReadingReport]) -> Result<Vec<Option<MeterId>>, StoreError> {
    let mut named: Vec<Option<MeterId>> = reports.iter().map(|report| report.meter_id).collect();
    let mut plates = Vec::new();
    for (index, report) in reports.iter().enumerate() {
        if let Ok(Which::Plate(esi, number)) = report.which() {
            let hash = hex::encode(esi_hash(store, esi));
            plates.push(serde_json::json!({"n": index, "h": hash, "m": number.as_str()}));
        }
    }
    if plates.is_empty() {
        return Ok(named);
    }
    for row in tx.rows(&PLATES, params![serde_json::Value::from(plates).to_string()]).await? {
        let mut row = row.read();
        let (index, meter): (i64, MeterId) = (row.get()?, row.get()?);
        if let Some(place) = usize::try_from(index).ok().and_then(|index| named.get_mut(index)) {
            *place = Some(meter);
        }
    }
    Ok(named)
}

/// Locks the meters, and finds who lives there.
async fn meters(tx: &mut Tx, named: &[Option<MeterId>]) -> Result<BTreeMap<MeterId, Known>, StoreError> {
    let ids: BTreeSet<i64> = named.iter().flatten().map(|meter| meter.get()).collect();
    let ids: Vec<i64> = ids.into_iter().collect();
    let mut known = BTreeMap::new();
    for row in tx.rows(&METERS, params![ids.clone()]).await? {
        let mut row = row.read();
        let (meter, multiplier, dials, registers) = (row.get()?, row.get()?, row.get::<i64>()?, row.get()?);
        let (installed, removed): (Option<Instant>, Option<Instant>) = (row.get()?, row.get()?);
        let dials = u32::try_from(dials).map_err(|_| row.corrupt("is no number of dials"))?;
        // What is not installed yet is as unknown as what is not registered.
        if let Some(installed) = installed {
            let (dial, installed) = (Dial { dials, multiplier }, (installed, removed));
            known.insert(meter, Known { dial, registers, installed, occupants: Vec::new() });
        }
    }
    for row in tx.rows(&OCCUPANTS, params![ids]).await? {
        let mut row = row.read();
        let (meter, occupant): (MeterId, _) = (row.get()?, (row.get()?, row.get()?, row.get()?));
        if let Some(known) = known.get_mut(&meter) {
            known.occupants.push(occupant);
        }
    }
    Ok(known)
}

/// The meter of a report that may be stored, or what became of the report.
fn fate(
    report: &ReadingReport,
    meter: Option<MeterId>,
    known: &BTreeMap<MeterId, Known>,
    now: Instant,
) -> Result<MeterId, Received> {
    if report.read_at > now.plus(AHEAD) {
        return Err(Received::InTheFuture);
    }
    let (meter, known) = meter.and_then(|meter| Some((meter, known.get(&meter)?))).ok_or(Received::Parked)?;
    let (installed, removed) = known.installed;
    if report.read_at < installed || removed.is_some_and(|removed| report.read_at > removed) {
        return Err(Received::NotInstalled);
    }
    if !known.registers.count(report.register) {
        return Err(Received::NoRegister);
    }
    if known.dial.shows(report.value) { Ok(meter) } else { Err(Received::OutOfRange) }
}

/// What is in force around the reported instants.
async fn around(
    tx: &mut Tx,
    reports: &[ReadingReport],
    fates: &[Result<MeterId, Received>],
) -> Result<Chunk, StoreError> {
    let keys: BTreeSet<(MeterId, Register, Instant)> = (reports.iter().zip(fates))
        .filter_map(|(report, fate)| Some(((*fate).ok()?, report.register, report.read_at)))
        .collect();
    let mut chunk = Chunk::default();
    if keys.is_empty() {
        return Ok(chunk);
    }
    let keys: serde_json::Value = keys
        .into_iter()
        .map(|(meter, register, at)| serde_json::json!({"m": meter, "r": register.name(), "t": at.micros()}))
        .collect();
    for row in tx.rows(&AROUND, params![keys.to_string()]).await? {
        let (series, at, held) = decode(row)?;
        chunk.series.entry(series).or_default().insert(at, (held, false));
    }
    Ok(chunk)
}

fn decode(row: Row) -> Result<(Series, Instant, Held), StoreError> {
    let mut row = row.read();
    let (series, at) = ((row.get()?, row.get()?), row.get()?);
    let held = Held { value: row.get()?, quality: row.get()?, reported_at: row.get()?, revision: row.get()? };
    Ok((series, at, held))
}

impl Chunk {
    /// Adds a report; whether it changes anything.
    fn add(&mut self, meter: MeterId, customer: Option<CustomerId>, report: &ReadingReport, now: Instant) -> bool {
        let ReadingReport { register, read_at, value, quality, reported_at, .. } = *report;
        let series = self.series.entry((meter, register)).or_default();
        let held = series.get(&read_at).map(|(held, _)| *held);
        let lowered = match verdict(held.as_ref(), value, quality, reported_at) {
            Verdict::Known => return false,
            Verdict::First => false,
            Verdict::Revision => held.is_some_and(|held| held.quality == Quality::Estimated && held.value > value),
        };
        let revision = held.map_or(1, |held| held.revision + 1);
        if held.is_some() {
            self.superseded.push((meter, register, read_at));
            // What this chunk itself brought is superseded before it is written.
            let same = |row: &&mut Pending| (row.meter, row.register, row.read_at) == (meter, register, read_at);
            if let Some(row) = self.rows.iter_mut().rev().find(same) {
                row.is_current = false;
            }
        }
        let held = Held { value, quality, reported_at, revision };
        series.insert(read_at, (held, lowered));
        let corrected_at = (revision > 1).then_some(now);
        self.rows.push(Pending { meter, customer, register, read_at, held, is_current: true, corrected_at });
        true
    }

    /// Whether a reading does not fit the one before it; or the one after it, which was there before.
    fn is_suspect(
        &self,
        meter: MeterId,
        report: &ReadingReport,
        dial: Dial,
        fresh: &BTreeSet<(MeterId, Register, Instant)>,
    ) -> bool {
        let register = report.register;
        let Some(series) = self.series.get(&(meter, register)) else { return false };
        let reading = |(at, (held, lowered)): (&Instant, &(Held, bool))| RegisterReading {
            register,
            read_at: *at,
            value: held.value,
            quality: held.quality,
            lowered_estimate: *lowered,
        };
        let before = series.range(..report.read_at).next_back().map(reading);
        let this = series.get_key_value(&report.read_at).map(reading);
        let after = series.range(report.read_at..).nth(1);
        let after = after.filter(|(at, _)| !fresh.contains(&(meter, register, **at))).map(reading);
        let line: Vec<RegisterReading> = [before, this, after].into_iter().flatten().collect();
        advances(&line, dial).iter().any(|advance| advance.suspect)
    }

    async fn write(self, tx: &mut Tx) -> Result<(), StoreError> {
        let superseded = self.superseded.into_iter().collect::<BTreeSet<_>>();
        let superseded = superseded.into_iter().map(|(meter, register, at)| params![meter, register.name(), at]);
        tx.insert_many(&SUPERSEDE, superseded.collect()).await?;
        let ids: Vec<ReadingId> = ids::block(tx, self.rows.len()).await?;
        let row = |(pending, id): (Pending, ReadingId)| {
            let Pending { meter, customer, register, read_at, held, is_current, corrected_at } = pending;
            let Held { value, quality, reported_at, revision } = held;
            let row =
                NewReading { id, register, read_at, value, quality, revision, is_current, reported_at, corrected_at };
            seed::rows::reading(meter, customer, &row)
        };
        let rows = self.rows.into_iter().zip(ids).map(row).collect();
        Ok(tx.insert_many(seed::rows::readings(), rows).await?)
    }
}
