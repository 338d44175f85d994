//! Readings of registers, reached only through a meter that an occupancy of the scope's customer sees.

pub(crate) mod parked;
mod report;

use domain::{
    ids::{Id, MeterId, ReadingId},
    input::Named,
    meters::{Meter, Served},
    policy::Categories,
    premises::Premise,
    readings::{Quality, Reading, Register, RegisterReading},
    time::Instant,
};

use crate::{
    Guarded, Session, StoreError,
    db::{Row, Sql, named_columns, params, statements},
};

pub use self::report::{Received, report};
pub(crate) use self::report::{Taken, take};

/// Every statement of this slice.
pub(crate) static LISTS: &[&[&Sql]] = &[STATEMENTS, report::STATEMENTS, parked::STATEMENTS];

named_columns! { Register, Quality }

/// Which page of a meter's readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// From this instant, inclusive.
    pub from: Instant,
    /// To this instant, exclusive; the occupancy's end may be included as its shared boundary.
    pub to: Instant,
    /// Newest first, or oldest first.
    pub newest_first: bool,
    /// Superseded revisions too.
    pub superseded: bool,
    /// Only what stands behind this one, in the order of the page: instant and reading id.
    pub after: Option<(Instant, ReadingId)>,
    /// How many at most.
    pub limit: i64,
}

// A lower estimate's successor is marked by the revision before it: an estimate with a higher value.
macro_rules! page_of_readings {
    ($order:literal, $beyond:literal) => {
        concat!("SELECT r.reading_id, r.register, r.read_at, r.value, r.quality, r.revision, r.is_current, r.corrected_at,
            EXISTS (SELECT 1 FROM reading e WHERE e.meter_id = r.meter_id AND e.register = r.register
                AND e.read_at = r.read_at AND e.revision < r.revision AND e.quality = 'estimated' AND e.value > r.value)
            FROM reading r
            JOIN meter m ON m.meter_id = r.meter_id
            WHERE r.meter_id = $2 AND r.read_at >= $3 AND r.read_at <= $4 AND (r.is_current OR $5)
                AND (r.read_at, r.reading_id) ", $beyond, " ($6, $7)
                AND EXISTS (SELECT 1 FROM premise_service_point ps
                    JOIN premise p ON p.customer_id = ps.customer_id AND p.premise_id = ps.premise_id
                    WHERE ps.customer_id = $1 AND ps.service_point_id = m.service_point_id AND p.status <> 'pending'
                        AND p.start_at <= r.read_at AND (p.end_at IS NULL OR p.end_at >= r.read_at))
            ORDER BY r.read_at ", $order, ", r.reading_id ", $order, " LIMIT $8")
    };
}

// Current readings of a window, with the last one before it and the first one after it. The bounds are found once
// a register, by its key; MATERIALIZED keeps either planner from finding them again for each row.
macro_rules! series_of_meters {
    ($among:literal) => {
        concat!("WITH bound AS MATERIALIZED (
                SELECT m.meter_id, m.service_point_id, g.register,
                    coalesce((SELECT max(b.read_at) FROM reading b WHERE b.meter_id = m.meter_id
                        AND b.register = g.register AND b.is_current AND b.read_at <= $3), $3) AS low,
                    coalesce((SELECT min(b.read_at) FROM reading b WHERE b.meter_id = m.meter_id
                        AND b.register = g.register AND b.is_current AND b.read_at >= $4), $4) AS high
                FROM meter m
                CROSS JOIN (SELECT 'delivered' AS register UNION ALL SELECT 'received' AS register) g
                WHERE m.meter_id ", $among, ")
            SELECT r.meter_id, r.register, r.read_at, r.value, r.quality,
            EXISTS (SELECT 1 FROM reading e WHERE e.meter_id = r.meter_id AND e.register = r.register
                AND e.read_at = r.read_at AND e.revision < r.revision AND e.quality = 'estimated' AND e.value > r.value)
            FROM bound w
            JOIN reading r ON r.meter_id = w.meter_id AND r.register = w.register AND r.is_current
                AND r.read_at >= w.low AND r.read_at <= w.high
            WHERE EXISTS (SELECT 1 FROM premise_service_point ps
                    JOIN premise p ON p.customer_id = ps.customer_id AND p.premise_id = ps.premise_id
                    WHERE ps.customer_id = $1 AND ps.service_point_id = w.service_point_id AND p.status <> 'pending'
                        AND p.start_at <= r.read_at AND (p.end_at IS NULL OR p.end_at >= r.read_at))
            ORDER BY r.meter_id, r.register, r.read_at LIMIT $5")
    };
}

statements! {
    [heavy] NEWEST_FIRST = { page_of_readings!("DESC", "<") };
    [heavy] OLDEST_FIRST = { page_of_readings!("ASC", ">") };
    BEFORE = {"SELECT r.read_at, r.value, r.quality
        FROM reading r
        JOIN meter m ON m.meter_id = r.meter_id
        WHERE r.meter_id = $2 AND r.register = $3 AND r.read_at < $4 AND r.read_at >= $5 AND r.is_current
            AND EXISTS (SELECT 1 FROM premise_service_point ps
                JOIN premise p ON p.customer_id = ps.customer_id AND p.premise_id = ps.premise_id
                WHERE ps.customer_id = $1 AND ps.service_point_id = m.service_point_id AND p.status <> 'pending'
                    AND p.start_at <= r.read_at)
        ORDER BY r.read_at DESC LIMIT 1"};
    [heavy] SERIES = {
        sqlite series_of_meters!("IN (SELECT value FROM json_each($2))"),
        postgres series_of_meters!("= ANY($2)")
    };
}

fn decode(row: Row) -> Result<Reading, StoreError> {
    let mut row = row.read();
    Ok(Reading {
        id: row.get()?,
        register: row.get()?,
        read_at: row.get()?,
        value: row.get()?,
        quality: row.get()?,
        revision: row.get()?,
        is_current: row.get()?,
        corrected_at: row.get()?,
        lowered_estimate: row.get()?,
        before: None,
    })
}

/// A page of the readings of a meter that is not opened yet.
pub async fn page_of(
    session: &mut Session<'_>,
    meter: &Guarded<(Meter, Premise)>,
    page: Page,
) -> Result<Guarded<Vec<Reading>>, StoreError> {
    self::page(session, &meter.inside().0, page).await
}

/// A page of a meter's readings, each with the reading before it.
///
/// The meter comes from [`crate::meters::find`]; the statement checks again that an occupancy of the scope's
/// customer covers each reading, both ends included.
pub async fn page(session: &mut Session<'_>, meter: &Meter, page: Page) -> Result<Guarded<Vec<Reading>>, StoreError> {
    let id = meter.id;
    let (start, end) = meter.visible;
    let from = page.from.max(start);
    // `to` is exclusive; an end of the occupancy before it is a shared boundary and belongs to the answer.
    let to = end.map_or(page.to.plus(-1), |end| end.min(page.to.plus(-1)));
    let edge =
        if page.newest_first { (Instant::from_micros(LAST), i64::MAX) } else { (Instant::from_micros(FIRST), 0) };
    let (at, after) = page.after.map_or(edge, |(at, id)| (at, id.get()));
    let sql = if page.newest_first { &NEWEST_FIRST } else { &OLDEST_FIRST };
    let rows = session.own(sql, params![id, from, to, page.superseded, at, after, page.limit]).await?;
    let mut readings = rows.into_iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    link(session, meter, &mut readings, page.newest_first).await?;
    Ok(session.guard(readings, CATEGORIES))
}

/// The ends of the instants that both engines hold.
const FIRST: i64 = -62_135_596_800_000_000;
const LAST: i64 = 253_402_207_200_000_000;

const CATEGORIES: Categories = Categories::METER.union(Categories::USAGE);

/// Gives each reading the one in force before it: mostly its neighbour on the page, else one more look.
async fn link(
    session: &mut Session<'_>,
    meter: &Meter,
    page: &mut [Reading],
    newest_first: bool,
) -> Result<(), StoreError> {
    for (register, _) in Register::ALL {
        let mut before: Option<RegisterReading> = None;
        let mut looked = false;
        let mut place = |index: usize| if newest_first { page.len() - 1 - index } else { index };
        let order: Vec<usize> = (0..page.len()).map(&mut place).collect();
        for index in order {
            let Some(reading) = page.get(index).filter(|r| r.register == *register).cloned() else { continue };
            if !looked {
                let (id, start) = (meter.id, meter.visible.0);
                let rows = session.own(&BEFORE, params![id, *register, reading.read_at, start]).await?;
                before = rows.into_iter().next().map(|row| earlier(row, *register)).transpose()?;
                looked = true;
            }
            if let Some(reading) = page.get_mut(index) {
                // Another revision of the same instant is no earlier reading.
                reading.before = before.filter(|b| b.read_at < reading.read_at);
            }
            if reading.is_current {
                before = Some(reading.register_reading());
            }
        }
    }
    Ok(())
}

fn earlier(row: Row, register: Register) -> Result<RegisterReading, StoreError> {
    let mut row = row.read();
    let (read_at, value, quality) = (row.get()?, row.get()?, row.get()?);
    Ok(RegisterReading { register, read_at, value, quality, lowered_estimate: false })
}

/// Current readings of several meters over a window, each series with one reading before and one after it
/// where there are such; ordered by meter, register and instant.
///
/// # Errors
/// [`StoreError::TooMuch`] when there are more than `limit`.
pub async fn series(
    session: &mut Session<'_>,
    meters: &Guarded<Vec<Served>>,
    from: Instant,
    to: Instant,
    limit: i64,
) -> Result<Guarded<Vec<(MeterId, RegisterReading)>>, StoreError> {
    let ids: Vec<i64> = meters.inside().iter().map(|served| served.meter.id.get()).collect();
    let rows = session.own(&SERIES, params![ids, from, to, limit.saturating_add(1)]).await?;
    if i64::try_from(rows.len()).is_ok_and(|found| found > limit) {
        return Err(StoreError::TooMuch);
    }
    let decode = |row: Row| {
        let mut row = row.read();
        let meter = row.get()?;
        let (register, read_at, value, quality) = (row.get()?, row.get()?, row.get()?, row.get()?);
        Ok((meter, RegisterReading { register, read_at, value, quality, lowered_estimate: row.get()? }))
    };
    let series = rows.into_iter().map(decode).collect::<Result<Vec<_>, StoreError>>()?;
    Ok(session.guard(series, CATEGORIES))
}
