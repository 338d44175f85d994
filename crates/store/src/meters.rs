//! Meters, seen through an occupancy.

use domain::{
    ids::{AccountId, CustomerId, Id, MeterId, PremiseId},
    meters::{Meter, MeterStatus},
    policy::Categories,
    premises::Premise,
    readings::Dial,
    time::Instant,
    values::MeterNumber,
};

use crate::{
    Guarded, Session, StoreError,
    db::{DbError, Reader, params, statements},
    premises,
};

/// The columns of a meter `m` in the occupancy `p`; [`decode`] takes them apart.
macro_rules! meter_columns {
    () => {
        "m.meter_id, m.meter_number, m.type, m.status, m.service_point_id, m.installed_on, m.multiplier, m.dials, \
         m.installed_at, m.removed_at"
    };
}
/// The last reading of meter `m` within the occupancy `p`.
macro_rules! last_reading_columns {
    () => {
        "(SELECT r.value FROM reading r WHERE r.meter_id = m.meter_id AND r.register = 'delivered' AND r.is_current
            AND r.read_at >= p.start_at AND (p.end_at IS NULL OR r.read_at <= p.end_at)
            ORDER BY r.read_at DESC LIMIT 1),
         (SELECT r.read_at FROM reading r WHERE r.meter_id = m.meter_id AND r.register = 'delivered' AND r.is_current
            AND r.read_at >= p.start_at AND (p.end_at IS NULL OR r.read_at <= p.end_at)
            ORDER BY r.read_at DESC LIMIT 1)"
    };
}
/// The meters `m` of an occupancy `p`: at one of its service points while it lasted. An available meter has
/// no occupant, so that only past occupants see it.
macro_rules! meters_of_premise {
    () => {
        "LEFT JOIN premise_service_point ps ON ps.customer_id = p.customer_id AND ps.premise_id = p.premise_id
         LEFT JOIN meter m ON m.service_point_id = ps.service_point_id
            AND (m.removed_at IS NULL OR m.removed_at > p.start_at)
            AND (p.end_at IS NULL OR m.installed_at < p.end_at)
            AND (p.end_at IS NOT NULL OR m.status <> 'available')"
    };
}
pub(crate) use {meter_columns, meters_of_premise};

/// How many columns [`meter_columns!`] names.
pub(crate) const COLUMNS: usize = 10;

statements! {
    AT_PREMISE = { concat!("SELECT ", meter_columns!(), ", ", last_reading_columns!(), ", p.start_at, p.end_at
        FROM premise p ", meters_of_premise!(), "
        WHERE p.customer_id = $1 AND p.premise_id = $2 AND (p.end_at IS NULL OR p.end_at > $3) AND m.meter_id > $4
        ORDER BY m.meter_id LIMIT $5") };
    // The latest occupancy wins where a customer left and came back.
    FIND = { concat!("SELECT k.wrapped, ", premises::premise_columns!(), ", ", meter_columns!(), ", ",
        last_reading_columns!(), "
        FROM meter m
        JOIN premise_service_point ps ON ps.service_point_id = m.service_point_id
        JOIN premise p ON p.customer_id = ps.customer_id AND p.premise_id = ps.premise_id
        JOIN customer_key k ON k.customer_id = p.customer_id
        WHERE ps.customer_id = $1 AND m.meter_id = $2 AND (p.end_at IS NULL OR p.end_at > $3)
            AND (m.removed_at IS NULL OR m.removed_at > p.start_at)
            AND (p.end_at IS NULL OR m.installed_at < p.end_at)
            AND (p.end_at IS NOT NULL OR m.status <> 'available')
        ORDER BY p.start_at DESC LIMIT 1") };
    OF_ACCOUNTS = { concat!("SELECT p.account_id, p.premise_id, ", meter_columns!(), ", p.start_at, p.end_at
        FROM premise p ", meters_of_premise!(), "
        WHERE p.customer_id = $1 AND (p.account_id = $2 OR $2 = 0) AND (p.end_at IS NULL OR p.end_at > $3)
            AND m.meter_id IS NOT NULL
        ORDER BY p.account_id, p.premise_id, m.meter_id") };
}

/// Takes [`meter_columns!`] apart; `None` where the outer join found no meter.
pub(crate) fn decode(row: &mut Reader, occupancy: (Instant, Option<Instant>)) -> Result<Option<Meter>, DbError> {
    let Some(id) = row.optional_id::<MeterId>()? else {
        row.skip(COLUMNS - 1);
        return Ok(None);
    };
    let (number, kind) = (MeterNumber::from_record(row.get()?), row.named()?);
    let (status, service_point, installed_on) = (row.named()?, row.id()?, row.get()?);
    let (multiplier, dials): (i64, i64) = (row.get()?, row.get()?);
    let dials = u32::try_from(dials).map_err(|_| row.corrupt("is no number of dials"))?;
    let (installed_at, removed_at): (Instant, Option<Instant>) = (row.get()?, row.get()?);
    let end = match (occupancy.1, removed_at) {
        (Some(end), Some(removed)) => Some(end.min(removed)),
        (end, removed) => end.or(removed),
    };
    // Whoever left sees the meter as they left it: not in use by them.
    let status = if occupancy.1.is_some() { MeterStatus::Inactive } else { status };
    Ok(Some(Meter {
        id,
        number,
        kind,
        status,
        service_point,
        installed_on,
        dial: Dial { dials, multiplier },
        last_reading: None,
        visible: (occupancy.0.max(installed_at), end),
    }))
}

fn decode_last_reading(row: &mut Reader, meter: Meter) -> Result<Meter, DbError> {
    let last: (Option<_>, Option<Instant>) = (row.get()?, row.get()?);
    Ok(Meter { last_reading: last.0.zip(last.1), ..meter })
}

/// A page of the meters at a premise, after a meter id; `None` when the premise is not the scope's.
///
/// # Errors
/// [`StoreError`] when the database does not answer or a row is corrupt.
pub async fn at_premise(
    session: &mut Session<'_>,
    premise: PremiseId,
    after: Option<MeterId>,
    limit: i64,
) -> Result<Option<Guarded<Vec<Meter>>>, StoreError> {
    let (cutoff, from) = (session.readable_since(), after.map_or(0, Id::get));
    let rows = session.own(&AT_PREMISE, params![premise.get(), cutoff, from, limit]).await?;
    // No row also means "no meter (after this id)": whether the premise is there decides between the two.
    if rows.is_empty() && premises::find(session, premise).await?.is_none() {
        return Ok(None);
    }
    let mut meters = Vec::new();
    for row in rows {
        let mut row = row.read();
        // The occupancy stands behind the meter's columns.
        let mut tail = row.clone();
        tail.skip(COLUMNS + 2);
        let occupancy = (tail.get()?, tail.get()?);
        if let Some(meter) = decode(&mut row, occupancy)? {
            meters.push(decode_last_reading(&mut row, meter)?);
        }
    }
    Ok(Some(Guarded::new(meters, session.customer(), Categories::METER.and(Categories::USAGE))))
}

/// A meter with the premise through which it is seen.
///
/// # Errors
/// [`StoreError`] when the database does not answer or a row is corrupt.
pub async fn find(session: &mut Session<'_>, meter: MeterId) -> Result<Option<Guarded<(Meter, Premise)>>, StoreError> {
    let cutoff = session.readable_since();
    let rows = session.own(&FIND, params![meter.get(), cutoff]).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut row = row.read();
    let wrapped: Vec<u8> = row.get()?;
    let key = session.key(&wrapped)?;
    let premise = premises::decode(&mut row, session.customer(), &key)?;
    let premise = premise.ok_or_else(|| row.corrupt("has no premise"))?;
    let meter = decode(&mut row, premise.occupancy)?.ok_or_else(|| row.corrupt("has no meter"))?;
    let meter = decode_last_reading(&mut row, meter)?;
    let categories = Categories::METER.and(Categories::USAGE).and(Categories::PREMISE);
    Ok(Some(Guarded::new((meter, premise), session.customer(), categories)))
}

/// A meter with the account and premise it serves, for sums over several.
#[derive(Debug, Clone)]
pub struct Served {
    /// The account that pays.
    pub account: AccountId,
    /// The occupancy.
    pub premise: PremiseId,
    /// The meter as the occupancy sees it.
    pub meter: Meter,
}

/// Every meter of a customer, or of one account, ended occupancies included while they are readable.
///
/// # Errors
/// [`StoreError`] when the database does not answer or a row is corrupt.
pub async fn served(session: &mut Session<'_>, account: Option<AccountId>) -> Result<Guarded<Vec<Served>>, StoreError> {
    let cutoff = session.readable_since();
    let rows = session.own(&OF_ACCOUNTS, params![account.map_or(0, Id::get), cutoff]).await?;
    let mut meters = Vec::with_capacity(rows.len());
    for row in rows {
        let mut row = row.read();
        let (account, premise) = (row.id()?, row.id()?);
        let mut tail = row.clone();
        tail.skip(COLUMNS);
        let occupancy = (tail.get()?, tail.get()?);
        if let Some(meter) = decode(&mut row, occupancy)? {
            meters.push(Served { account, premise, meter });
        }
    }
    let customer: CustomerId = session.customer();
    Ok(Guarded::new(meters, customer, Categories::METER))
}
