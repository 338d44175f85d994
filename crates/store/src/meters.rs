//! Meters, seen through an occupancy.

mod site;

use domain::{
    ids::{AccountId, Id, MeterId, PremiseId, ServicePointId},
    meters::{Meter, MeterStatus, MeterType, Registers, Served},
    policy::Categories,
    premises::Premise,
    readings::Dial,
    time::{Instant, LocalDate},
    values::MeterNumber,
};

use crate::{
    Guarded, Session, StoreError,
    db::{Columns, DbError, Reader, Sql, columns, named_columns, params, sql, statements},
    premises::{self, PremiseRow},
};

pub use self::site::{AnyMeter, Site, point_of};

named_columns! { MeterType, MeterStatus, Registers }

/// Every statement of this slice.
pub(crate) static LISTS: &[&[&Sql]] = &[STATEMENTS, site::STATEMENTS];

columns! {
    /// A meter's own columns.
    MeterRow of "m" {
        meter_id: MeterId, meter_number: MeterNumber, kind as "type": MeterType, status: MeterStatus,
        service_point_id: ServicePointId, installed_on: LocalDate, multiplier: i64, dials: i64, installed_at: Instant,
        removed_at: Option<Instant>, registers: Registers, version: i64,
    }
}

/// The last reading of meter `m` within the occupancy `p`.
const LAST_READING: &str =
    "(SELECT r.value FROM reading r WHERE r.meter_id = m.meter_id AND r.register = 'delivered' AND r.is_current
            AND r.read_at >= p.start_at AND (p.end_at IS NULL OR r.read_at <= p.end_at)
            ORDER BY r.read_at DESC LIMIT 1),
         (SELECT r.read_at FROM reading r WHERE r.meter_id = m.meter_id AND r.register = 'delivered' AND r.is_current
            AND r.read_at >= p.start_at AND (p.end_at IS NULL OR r.read_at <= p.end_at)
            ORDER BY r.read_at DESC LIMIT 1)";
/// The meters `m` of an occupancy `p`: at one of its service points while it lasted, and none before it begins. An
/// available meter has no occupant, so that only past occupants see it.
pub(crate) const METERS_OF_PREMISE: &str =
    "LEFT JOIN premise_service_point ps ON ps.customer_id = p.customer_id AND ps.premise_id = p.premise_id
         LEFT JOIN meter m ON m.service_point_id = ps.service_point_id AND p.status <> 'pending'
            AND (m.removed_at IS NULL OR m.removed_at > p.start_at)
            AND (p.end_at IS NULL OR m.installed_at < p.end_at)
            AND (p.end_at IS NOT NULL OR m.status <> 'available')";

statements! {
    [heavy] AT_PREMISE = { sql!("SELECT p.start_at, p.end_at, " [MeterRow] ", " (LAST_READING) "
        FROM premise p " (METERS_OF_PREMISE) "
        WHERE p.customer_id = $1 AND p.premise_id = $2 AND (p.end_at IS NULL OR p.end_at > $3) AND m.meter_id > $4
        ORDER BY m.meter_id LIMIT $5") };
    // The latest occupancy wins where a customer left and came back.
    FIND = { sql!("SELECT k.wrapped, " [PremiseRow] ", " [MeterRow] ", " (LAST_READING) "
        FROM meter m
        JOIN premise_service_point ps ON ps.service_point_id = m.service_point_id
        JOIN premise p ON p.customer_id = ps.customer_id AND p.premise_id = ps.premise_id
        JOIN customer_key k ON k.customer_id = p.customer_id
        WHERE ps.customer_id = $1 AND m.meter_id = $2 AND p.status <> 'pending' AND (p.end_at IS NULL OR p.end_at > $3)
            AND (m.removed_at IS NULL OR m.removed_at > p.start_at)
            AND (p.end_at IS NULL OR m.installed_at < p.end_at)
            AND (p.end_at IS NOT NULL OR m.status <> 'available')
        ORDER BY p.start_at DESC LIMIT 1") };
    [heavy] OF_ACCOUNTS = { sql!("SELECT p.account_id, p.premise_id, p.start_at, p.end_at, " [MeterRow] "
        FROM premise p " (METERS_OF_PREMISE) "
        WHERE p.customer_id = $1 AND (p.account_id = $2 OR $2 = 0) AND (p.end_at IS NULL OR p.end_at > $3)
            AND m.meter_id IS NOT NULL
        ORDER BY p.account_id, p.premise_id, m.meter_id") };
}

impl MeterRow {
    /// The meter as an occupancy sees it.
    pub(crate) fn seen_from(self, occupancy: (Instant, Option<Instant>)) -> Result<Meter, DbError> {
        let Self {
            meter_id: id,
            meter_number: number,
            kind,
            status,
            service_point_id: service_point,
            installed_on,
            multiplier,
            dials,
            installed_at,
            removed_at,
            registers,
            version,
        } = self;
        let dials =
            u32::try_from(dials).map_err(|_| DbError::Corrupt(format!("meter {id}: its dials are no number")))?;
        let end = match (occupancy.1, removed_at) {
            (Some(end), Some(removed)) => Some(end.min(removed)),
            (end, removed) => end.or(removed),
        };
        // Whoever left sees the meter as they left it: not in use by them.
        let status = if occupancy.1.is_some() { MeterStatus::Inactive } else { status };
        let (dial, visible) = (Dial { dials, multiplier }, (occupancy.0.max(installed_at), end));
        Ok(Meter {
            id,
            number,
            kind,
            status,
            service_point,
            installed_on,
            dial,
            registers,
            version,
            last_reading: None,
            visible,
        })
    }
}

fn decode_last_reading(row: &mut Reader, meter: Meter) -> Result<Meter, DbError> {
    let last: (Option<_>, Option<Instant>) = (row.get()?, row.get()?);
    Ok(Meter { last_reading: last.0.zip(last.1), ..meter })
}

/// A page of the meters at a premise, after a meter id; `None` when the premise is not the scope's.
pub async fn at_premise(
    session: &mut Session<'_>,
    premise: PremiseId,
    after: Option<MeterId>,
    limit: i64,
) -> Result<Option<Guarded<Vec<Meter>>>, StoreError> {
    let (cutoff, from) = (session.readable_since(), after.map_or(0, Id::get));
    let rows = session.own(&AT_PREMISE, params![premise, cutoff, from, limit]).await?;
    // No row also means "no meter (after this id)": whether the premise is there decides between the two.
    if rows.is_empty() && premises::find(session, premise).await?.is_none() {
        return Ok(None);
    }
    let mut meters = Vec::with_capacity(rows.len());
    for row in rows {
        let mut row = row.read();
        let occupancy = (row.get()?, row.get()?);
        let meter = MeterRow::read(&mut row)?.seen_from(occupancy)?;
        meters.push(decode_last_reading(&mut row, meter)?);
    }
    Ok(Some(session.guard(meters, Categories::METER | Categories::USAGE)))
}

/// A meter with the premise through which it is seen.
pub async fn find(session: &mut Session<'_>, meter: MeterId) -> Result<Option<Guarded<(Meter, Premise)>>, StoreError> {
    let cutoff = session.readable_since();
    let rows = session.own(&FIND, params![meter, cutoff]).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut row = row.read();
    let wrapped: Vec<u8> = row.get()?;
    let premise = PremiseRow::read(&mut row)?.open(session.customer(), &*session.key(&wrapped)?)?;
    let meter = MeterRow::read(&mut row)?.seen_from(premise.occupancy)?;
    let meter = decode_last_reading(&mut row, meter)?;
    Ok(Some(session.guard((meter, premise), Categories::METER | Categories::USAGE | Categories::PREMISE)))
}

/// Every meter of a customer, or of one account, ended occupancies included while they are readable.
pub async fn served(session: &mut Session<'_>, account: Option<AccountId>) -> Result<Guarded<Vec<Served>>, StoreError> {
    let cutoff = session.readable_since();
    let rows = session.own(&OF_ACCOUNTS, params![account.map_or(0, Id::get), cutoff]).await?;
    let mut meters = Vec::with_capacity(rows.len());
    for row in rows {
        let mut row = row.read();
        let (account, premise) = (row.get()?, row.get()?);
        let occupancy = (row.get()?, row.get()?);
        meters.push(Served { account, premise, meter: MeterRow::read(&mut row)?.seen_from(occupancy)? });
    }
    Ok(session.guard(meters, Categories::METER))
}
