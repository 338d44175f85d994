//! What the registers of the demonstration count: a function of the meter, the date and the anchor alone,
//! so that a restart continues what an earlier start began. No clock, no randomness.

use domain::{
    ids::{Id, ReadingId},
    readings::{Quality, Register},
    time::{HOUR, Instant, LocalDate, Zone},
    values::Quantity,
};
use store::seed::NewReading;

/// How consumption follows the year and the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A home with electric heating and air conditioning.
    Home,
    /// An office: quiet at weekends.
    Office,
    /// Cooling that never stops.
    Steady,
    /// A solar roof.
    Solar,
}

/// Permille of the yearly mean at the beginning of each month.
const HOME: [i64; 12] = [1050, 950, 800, 800, 1000, 1350, 1550, 1600, 1300, 900, 850, 1000];
const WORK: [i64; 12] = [920, 900, 880, 930, 1020, 1140, 1210, 1230, 1110, 980, 910, 900];
const SUN: [i64; 12] = [520, 640, 830, 1000, 1110, 1210, 1220, 1150, 960, 790, 600, 500];

/// The days before the anchor's date over which the samples count: the trailing 30.
pub(super) const WINDOW: i64 = 30;
/// The months and some days of readings before the anchor.
pub(super) const HISTORY: i64 = 400;

/// One register of one meter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    pub(super) meter: i64,
    pub(super) register: Register,
    pub(super) shape: Shape,
    /// Two meters with one seed count alike: the one before an exchange and the one after it.
    pub(super) seed: u64,
    /// Dial units over the window, in thousandths.
    pub(super) window: i64,
    /// What the last day of the window counts, where a sample fixes it (part of `window`).
    pub(super) last_day: Option<i64>,
    /// The smallest step of the register, in thousandths.
    pub(super) step: i64,
    /// The register's size, in thousandths.
    pub(super) size: i64,
    /// The newest reading is this many days old.
    pub(super) lag: i64,
    /// Days before the anchor of the first reading.
    pub(super) first: i64,
    /// Days before the anchor of the last reading, for a meter that was removed.
    pub(super) removed: Option<i64>,
    /// A known value: days before the anchor, and thousandths.
    pub(super) known: (i64, i64),
}

/// A series fitted to the anchor's date.
pub(super) struct Fitted {
    series: Series,
    anchor: LocalDate,
    total: i64,
    left: i64,
}

impl Series {
    fn fit_days(&self) -> std::ops::Range<i64> {
        -WINDOW..-(self.lag + i64::from(self.last_day.is_some()))
    }

    /// Fits the series so that the window before `anchor` counts exactly what it should.
    pub(super) fn fit(self, anchor: LocalDate) -> Fitted {
        let days = self.fit_days();
        let total = days.clone().map(|day| self.base(anchor.plus_days(day))).sum::<i64>().max(1);
        let mut fitted = Fitted { series: self, anchor, total, left: 0 };
        let counted: i64 = days.map(|day| fitted.day(anchor.plus_days(day))).sum();
        fitted.left = (self.target() - counted) / self.step;
        fitted
    }

    fn target(&self) -> i64 {
        self.window - self.last_day.unwrap_or(0)
    }

    /// A day's part, without unit.
    fn base(&self, date: LocalDate) -> i64 {
        let table = match self.shape {
            Shape::Home => HOME,
            Shape::Office | Shape::Steady => WORK,
            Shape::Solar => SUN,
        };
        // Years of 365.25 days: a day of the year to within one.
        let day = (date.days() * 4).rem_euclid(1461) / 4;
        let place = day * 12_000 / 366;
        let at = |month: i64| {
            let month = usize::try_from(month % 12).unwrap_or_default();
            table.get(month).copied().unwrap_or(1000)
        };
        let season = at(place / 1000) + (at(place / 1000 + 1) - at(place / 1000)) * (place % 1000) / 1000;
        // 1970-01-01 was a Thursday.
        let weekend = matches!(date.days().rem_euclid(7), 2 | 3);
        let week = match self.shape {
            Shape::Home if weekend => 1120,
            Shape::Office if weekend => 420,
            _ => 1000,
        };
        let spread = if self.shape == Shape::Solar { 700 } else { 300 };
        let noise = 1000 - spread / 2 + i64::try_from(self.noise(date) % 1000).unwrap_or_default() * spread / 1000;
        season * week / 1000 * noise / 1000
    }

    /// splitmix64 of seed and date.
    fn noise(&self, date: LocalDate) -> u64 {
        let mut z = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(date.days().unsigned_abs());
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Fitted {
    /// What the register counts on a date, in thousandths.
    pub(super) fn day(&self, date: LocalDate) -> i64 {
        let day = date.days() - self.anchor.days();
        let Series { step, last_day, lag, .. } = self.series;
        if let Some(last) = last_day.filter(|_| day == -lag - 1) {
            return last;
        }
        let steps = self.series.base(date) * self.series.target() / self.total / step;
        let extra = self.series.fit_days().contains(&day) && day + WINDOW < self.left;
        (steps + i64::from(extra)) * step
    }

    /// All readings up to the anchor, oldest first, numbered from `first_id`.
    pub(super) fn history(&self, zone: &Zone, now: Instant, first_id: i64) -> Vec<NewReading> {
        let Series { lag, first, removed, known: (at, value), size, .. } = self.series;
        let before: i64 = (-first..-at).map(|day| self.day(self.anchor.plus_days(day))).sum();
        let value = (value - before).rem_euclid(size);
        self.readings(-first..=-removed.unwrap_or(lag), value, zone, now, first_id)
    }

    /// The readings after the one that stands at `value` on `from`, up to a date.
    pub(super) fn after(
        &self,
        from: LocalDate,
        value: i64,
        to: LocalDate,
        zone: &Zone,
        now: Instant,
        first_id: i64,
    ) -> Vec<NewReading> {
        let (from, to) = (from.days() - self.anchor.days(), to.days() - self.anchor.days() - self.series.lag);
        let next = (value + self.day(self.anchor.plus_days(from))).rem_euclid(self.series.size);
        self.readings(from + 1..=to, next, zone, now, first_id)
    }

    fn readings(
        &self,
        days: std::ops::RangeInclusive<i64>,
        first: i64,
        zone: &Zone,
        now: Instant,
        first_id: i64,
    ) -> Vec<NewReading> {
        let mut value = first;
        let mut readings = Vec::new();
        for day in days {
            let date = self.anchor.plus_days(day);
            self.revisions(&mut readings, date, value, zone.start(date), now);
            value = (value + self.day(date)).rem_euclid(self.series.size);
        }
        for (id, reading) in (first_id..).zip(&mut readings) {
            reading.id = ReadingId::new(id).unwrap_or(reading.id);
        }
        readings
    }

    fn revisions(&self, readings: &mut Vec<NewReading>, date: LocalDate, value: i64, at: Instant, now: Instant) {
        let (Some(quantity), Some(id)) = (Quantity::from_thousandths(value), ReadingId::new(1)) else { return };
        let actual = NewReading {
            id,
            register: self.series.register,
            read_at: at,
            value: quantity,
            quality: Quality::Actual,
            revision: 1,
            is_current: true,
            reported_at: at.plus(6 * HOUR).min(now),
            corrected_at: None,
        };
        let used = self.day(date.plus_days(-1));
        // Near zero an estimate could stand on the wrong side of it.
        let clear = value > 2 * used && value < self.series.size - 2 * used;
        let off = used / 16 / self.series.step * self.series.step;
        let dice = self.series.noise(date.plus_days(100_000));
        // The samples' window and its edges stay as read; a removed meter's last reading always is.
        let day = date.days() - self.anchor.days();
        let sampled =
            (-WINDOW - 1..=0).contains(&day) && (self.series.last_day.is_some() || !(-WINDOW + 1..-3).contains(&day));
        let edge = self.series.removed.is_some_and(|removed| day >= -removed) || day <= -self.series.first;
        let corrected = at.plus(30 * HOUR);
        match dice % 41 {
            0 if clear && !sampled && !edge && corrected <= now => {
                // Every second estimate was too high: its correction lowers it.
                let estimate = if dice & 64 == 0 { value + off } else { value - off };
                let Some(estimate) = Quantity::from_thousandths(estimate) else { return readings.push(actual) };
                readings.push(NewReading { value: estimate, quality: Quality::Estimated, is_current: false, ..actual });
                readings.push(NewReading {
                    revision: 2,
                    reported_at: corrected,
                    corrected_at: Some(corrected),
                    ..actual
                });
            }
            1 if clear && !sampled && !edge && dice & 64 == 0 && !(-WINDOW..=0).contains(&day) => {
                // Never too high, so that the next actual value does not stand below it.
                let Some(estimate) = Quantity::from_thousandths(value - off) else { return readings.push(actual) };
                readings.push(NewReading { value: estimate, quality: Quality::Estimated, ..actual });
            }
            _ => readings.push(actual),
        }
    }
}
