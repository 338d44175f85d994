//! Usage: the advances of a register, cut into windows and buckets.
//!
//! An edge that falls between two readings is interpolated on the register's cumulative value, in
//! integers, so that the pieces of an advance always add up to it. A bucket interpolates only in gaps of
//! at most [`MAX_GAP`]; in longer ones it is null, never invented. So it is where readings are missing,
//! suspect or not there yet. A window's total may interpolate at its two edges in any gap, and says so.

use crate::named_enum;
use crate::readings::{Advance, Quality};
use crate::time::{HOUR, Instant, LocalDate, Zone};
use crate::values::Quantity;

/// The longest gap between readings in which a bucket's edge is interpolated, in microseconds.
pub const MAX_GAP: i64 = 36 * HOUR;
/// The most buckets that one answer holds.
pub const MAX_BUCKETS: usize = 10_000;

named_enum! {
    /// How a window is cut into buckets.
    GroupBy {
        /// Hours of the local clock.
        Hour = "hour",
        /// Local days, of 23 to 25 hours.
        Day = "day",
        /// Weeks from Monday.
        Week = "week",
        /// Calendar months.
        Month = "month",
        /// One bucket an advance, for meters that are read monthly.
        Reading = "reading",
    }
}

named_enum! {
    /// What a usage rests on.
    UsageQuality {
        /// Actual readings only.
        Actual = "actual",
        /// Estimates or interpolated edges.
        Estimated = "estimated",
        /// Some of both.
        Mixed = "mixed",
        /// Nothing: there is no usage.
        Missing = "missing",
    }
}

impl UsageQuality {
    /// What both rest on together; a missing one says nothing about the other.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        match (self, other) {
            (Self::Missing, one) | (one, Self::Missing) => one,
            (one, same) if one == same => one,
            _ => Self::Mixed,
        }
    }
}

/// What was used in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowUsage {
    /// The usage of what is known; `None` when nothing is.
    pub total: Option<Quantity>,
    /// What the total rests on; interpolated edges count as estimates.
    pub quality: UsageQuality,
    /// Whether the readings cover the window from edge to edge.
    pub complete: bool,
}

/// What was used in one part of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Where it begins, at or after the window's beginning.
    pub start: Instant,
    /// Where it ends (exclusive), at or before the window's end.
    pub end: Instant,
    /// The local date of its beginning.
    pub local_date: LocalDate,
    /// The usage; `None` when any part of it is not known.
    pub usage: Option<Quantity>,
    /// What it rests on; [`UsageQuality::Estimated`] as soon as an edge was interpolated.
    pub quality: UsageQuality,
}

/// The window would fall into more than [`MAX_BUCKETS`] buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The window has more than {MAX_BUCKETS} parts; ask for a shorter window or larger parts.")]
pub struct TooMany;

/// What the advances say about a span.
struct Span {
    /// Thousandths; the sum of what is known.
    known: i128,
    quality: UsageQuality,
    /// An edge was interpolated.
    interpolated: bool,
    /// Every instant of the span lies in a known advance.
    covered: bool,
}

/// Adds up the parts of the advances that lie in a span, cutting only gaps of at most `max_gap`.
fn span(advances: &[Advance], from: Instant, to: Instant, max_gap: i64) -> Span {
    let mut span = Span { known: 0, quality: UsageQuality::Missing, interpolated: false, covered: from < to };
    let mut reached = from;
    let first = advances.partition_point(|advance| advance.to <= from);
    for advance in advances.iter().skip(first).take_while(|advance| advance.from < to) {
        let (start, end) = (advance.from.max(from), advance.to.min(to));
        span.covered &= start <= reached;
        reached = end;
        let cut = start > advance.from || end < advance.to;
        let Some(usage) = advance.usage.filter(|_| !cut || advance.to.since(advance.from) <= max_gap) else {
            span.covered = false;
            continue;
        };
        span.known += counted(advance, usage, end) - counted(advance, usage, start);
        span.interpolated |= cut;
        span.quality = span.quality.merged(match advance.quality {
            Quality::Actual if !cut => UsageQuality::Actual,
            _ => UsageQuality::Estimated,
        });
    }
    span.covered &= reached >= to;
    span
}

/// What the register had counted at an instant within an advance, in thousandths: one value for each
/// instant, so that neighbours share it and nothing is lost or doubled by rounding.
fn counted(advance: &Advance, usage: Quantity, at: Instant) -> i128 {
    let whole = i128::from(advance.to.since(advance.from)).max(1);
    i128::from(usage.thousandths()) * i128::from(at.since(advance.from)) / whole
}

fn quantity(thousandths: i128) -> Option<Quantity> {
    i64::try_from(thousandths).ok().and_then(Quantity::from_thousandths)
}

/// The usage of one register in `[from, to)`. Where readings do not reach (before the first, after the
/// last, around a suspect one) the total covers what is there and `complete` is false.
///
/// `advances` are sorted and do not overlap, as [`crate::readings::advances`] makes them.
pub fn window(advances: &[Advance], from: Instant, to: Instant) -> WindowUsage {
    let Span { known, quality, interpolated: _, covered } = span(advances, from, to, i64::MAX);
    let total = if quality == UsageQuality::Missing { None } else { quantity(known) };
    let quality = if total.is_none() { UsageQuality::Missing } else { quality };
    WindowUsage { total, quality, complete: covered && total.is_some() }
}

/// A window cut into parts, and the usage of registers in them: added one after the other, so that only their sum is
/// held. Parts are clipped to the window; those that no added meter serves are left out.
#[derive(Debug, Clone)]
pub struct Cut {
    window: (Instant, Instant),
    zone: Zone,
    /// One a part, oldest first, and whether it was added to. `None` when there is one part an advance.
    parts: Option<Vec<(Bucket, bool)>>,
    loose: Vec<Bucket>,
}

impl Cut {
    /// A cut of `[from, to)` to which nothing was added.
    ///
    /// # Errors
    /// [`TooMany`] parts.
    pub fn new((from, to): (Instant, Instant), group_by: GroupBy, zone: &Zone) -> Result<Self, TooMany> {
        let mut cut = Self { window: (from, to), zone: zone.clone(), parts: None, loose: Vec::new() };
        if group_by == GroupBy::Reading {
            return Ok(cut);
        }
        let (mut parts, mut start) = (Vec::new(), from);
        while start < to {
            if parts.len() == MAX_BUCKETS {
                return Err(TooMany);
            }
            let next = next_edge(start, group_by, zone);
            // At the end of time there is no next edge.
            let end = if next > start { next.min(to) } else { to };
            parts.push((cut.bucket((start, end), (None, UsageQuality::Missing)), false));
            start = end;
        }
        cut.parts = Some(parts);
        Ok(cut)
    }

    fn bucket(&self, (start, end): (Instant, Instant), (usage, quality): (Option<Quantity>, UsageQuality)) -> Bucket {
        Bucket { start, end, local_date: self.zone.date(start), usage, quality }
    }

    /// How many parts there are; none while they depend on the readings.
    pub fn parts(&self) -> usize {
        self.parts.as_ref().map_or(0, Vec::len)
    }

    /// Adds a register. A part is known when the register is known for as much of it as its meter serves, from an
    /// instant to another or until now: what a meter did not serve belongs to the one before or after it, and is not
    /// missing. Where the part of one meter that serves is missing, all of it is.
    ///
    /// # Errors
    /// [`TooMany`] parts, when there is one an advance.
    pub fn add(&mut self, advances: &[Advance], (since, until): (Instant, Option<Instant>)) -> Result<(), TooMany> {
        let served = |start: Instant, end: Instant| (start.max(since), until.map_or(end, |until| until.min(end)));
        if let Some(parts) = &mut self.parts {
            let first = parts.partition_point(|(bucket, _)| bucket.end <= since);
            let serves = |bucket: &Bucket| until.is_none_or(|until| bucket.start < until);
            for (bucket, added) in parts.iter_mut().skip(first).take_while(|(bucket, _)| serves(bucket)) {
                let (usage, quality) = known(advances, served(bucket.start, bucket.end));
                let one = Bucket { usage, quality, ..*bucket };
                *bucket = if *added { together(*bucket, one) } else { one };
                *added = true;
            }
            return Ok(());
        }
        let (from, to) = self.window;
        let first = advances.partition_point(|advance| advance.to <= from);
        for advance in advances.iter().skip(first).take_while(|advance| advance.from < to) {
            if self.loose.len() == MAX_BUCKETS {
                return Err(TooMany);
            }
            let (start, end) = (advance.from.max(from), advance.to.min(to));
            self.loose.push(self.bucket((start, end), known(advances, served(start, end))));
        }
        Ok(())
    }

    /// The parts that were added to, oldest first.
    pub fn buckets(self) -> Vec<Bucket> {
        let mut loose = self.loose;
        loose.sort_by_key(|bucket| (bucket.start, bucket.end));
        let mut merged: Vec<Bucket> = Vec::with_capacity(loose.len());
        for next in loose {
            match merged.last_mut() {
                Some(last) if (last.start, last.end) == (next.start, next.end) => *last = together(*last, next),
                _ => merged.push(next),
            }
        }
        let added = self.parts.into_iter().flatten().filter(|(_, added)| *added).map(|(bucket, _)| bucket);
        merged.extend(added);
        merged
    }

    /// All parts, before anything was added: nothing is known of them.
    pub fn missing(self) -> Vec<Bucket> {
        self.parts.into_iter().flatten().map(|(bucket, _)| bucket).collect()
    }
}

/// The first edge after an instant.
fn next_edge(at: Instant, group_by: GroupBy, zone: &Zone) -> Instant {
    let date = zone.date(at);
    match group_by {
        GroupBy::Hour => {
            // Counted from local midnight: right for zones that are half an hour off, too.
            let midnight = zone.start(date);
            let passed = at.since(midnight).div_euclid(HOUR);
            midnight.plus((passed + 1).saturating_mul(HOUR)).min(zone.start(date.plus_days(1)))
        }
        GroupBy::Day | GroupBy::Reading => zone.start(date.plus_days(1)),
        GroupBy::Week => zone.start(date.week_start().plus_days(7)),
        GroupBy::Month => zone.start(date.month_start(1)),
    }
}

/// The usage of a span and what it rests on; none when any part of it is not known.
fn known(advances: &[Advance], (from, to): (Instant, Instant)) -> (Option<Quantity>, UsageQuality) {
    let Span { known, quality, interpolated, covered } = span(advances, from, to, MAX_GAP);
    let usage = if covered { quantity(known) } else { None };
    let quality = match usage {
        None => UsageQuality::Missing,
        Some(_) if interpolated => UsageQuality::Estimated,
        Some(_) => quality,
    };
    (usage, quality)
}

/// The usage of several meters of one unit together (delivered with delivered, received with received;
/// the two are never netted). The total sums what is known and is `None` only when nothing is; it is
/// complete only when each is. No meters: nothing is known.
pub fn sum(windows: impl IntoIterator<Item = WindowUsage>) -> WindowUsage {
    let mut all = None::<(i128, bool)>;
    let mut quality = UsageQuality::Missing;
    let mut complete = true;
    for one in windows {
        let (known, any) = all.unwrap_or((0, false));
        all = Some((known + i128::from(one.total.map_or(0, Quantity::thousandths)), any || one.total.is_some()));
        quality = quality.merged(one.quality);
        complete &= one.complete;
    }
    let total = all.filter(|(_, any)| *any).and_then(|(known, _)| quantity(known));
    let quality = if total.is_none() { UsageQuality::Missing } else { quality };
    WindowUsage { total, quality, complete: complete && total.is_some() }
}

fn together(one: Bucket, other: Bucket) -> Bucket {
    let (usage, quality) = match (one.usage, other.usage) {
        (Some(a), Some(b)) => (a.checked_add(b), one.quality.merged(other.quality)),
        _ => (None, UsageQuality::Missing),
    };
    Bucket { usage, quality: if usage.is_none() { UsageQuality::Missing } else { quality }, ..one }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
