//! Readings of registers, and the advances between them.
//!
//! A register counts up and starts over at its dial size. What was used is the advance from one reading
//! to the next, times the meter's multiplier; never a sum of readings.

use crate::{
    ids::{MeterId, ReadingId},
    input,
    input::FieldError,
    named_enum,
    time::Instant,
    values::{EsiId, MeterNumber, Quantity},
};

named_enum! {
    /// Which way the electricity went. The two are counted apart and never netted.
    Register {
        /// From the grid to the customer.
        Delivered = "delivered",
        /// From the customer's generation to the grid.
        Received = "received",
    }
}

named_enum! {
    /// How the value of a reading came about.
    Quality {
        /// Read from the meter.
        Actual = "actual",
        /// Calculated; an actual value may replace it later.
        Estimated = "estimated",
    }
}

/// The reading in force for one register at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterReading {
    /// The register that was read.
    pub register: Register,
    /// When.
    pub read_at: Instant,
    /// What the dials showed, before the multiplier.
    pub value: Quantity,
    /// How the value came about.
    pub quality: Quality,
    /// Whether this revision replaced an estimate that was higher.
    pub lowered_estimate: bool,
}

/// What turns values of a meter into usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dial {
    /// How many whole digits the register shows: five roll over at 100,000.
    pub dials: u32,
    /// What one unit of the dial stands for; usually 1.
    pub multiplier: i64,
}

impl Dial {
    /// Whether the dials can show a value.
    pub fn shows(self, value: Quantity) -> bool {
        value >= Quantity::ZERO && self.size().is_none_or(|size| value.thousandths() < size)
    }

    /// The value at which the register starts over, in thousandths; `None` for dials that no
    /// [`Quantity`] reaches, which never roll over.
    fn size(self) -> Option<i64> {
        10_i64.checked_pow(self.dials)?.checked_mul(1000).filter(|size| *size <= Quantity::MAX.thousandths())
    }
}

/// What a register counted from one reading to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// The instant of the earlier reading.
    pub from: Instant,
    /// The instant of the later reading.
    pub to: Instant,
    /// The advance times the multiplier; `None` when it is suspect.
    pub usage: Option<Quantity>,
    /// Estimated as soon as one of the two readings is.
    pub quality: Quality,
    /// The register started over in between.
    pub rollover: bool,
    /// The two values do not fit together; somebody has to look.
    pub suspect: bool,
}

/// The advances between readings of **one register of one meter**, sorted by `read_at`, one per instant.
///
/// - A higher or equal value is an advance.
/// - A lower value is a rollover only when both readings are actual, the earlier stands in the top tenth
///   of the dial, the later in the bottom tenth, and the advance is at most a tenth of the dial.
/// - Every other lower value is suspect. An estimate that was too high makes the next actual value lower
///   without any rollover, and a correction that lowered an estimate (`lowered_estimate`) never rolls
///   over; the pair stays suspect until the readings beside it are corrected, and is then recomputed.
/// - An estimate that passed zero while the register had not yet makes the next value seem to climb from
///   the bottom tenth to the top tenth: suspect too, where one side is estimated.
pub fn advances(readings: &[RegisterReading], meter: Dial) -> Vec<Advance> {
    readings
        .iter()
        .zip(readings.iter().skip(1))
        .filter(|(earlier, later)| earlier.read_at < later.read_at)
        .map(|(earlier, later)| advance(earlier, later, meter))
        .collect()
}

fn advance(earlier: &RegisterReading, later: &RegisterReading, meter: Dial) -> Advance {
    let estimated = [earlier.quality, later.quality].contains(&Quality::Estimated);
    let (before, after) = (earlier.value.thousandths(), later.value.thousandths());
    let top = |value: i64, size: i64| (size - size / 10..size).contains(&value);
    let bottom = |value: i64, size: i64| (0..size / 10).contains(&value);
    let size = meter.size();
    let (counted, rollover) = if after < before {
        let over = size.filter(|size| {
            let fits = !estimated && !later.lowered_estimate && top(before, *size) && bottom(after, *size);
            fits && size - before + after <= size / 10
        });
        (over.map(|size| size - before + after), over.is_some())
    } else {
        let backwards = estimated && size.is_some_and(|size| bottom(before, size) && top(after, size));
        ((!backwards).then(|| after - before), false)
    };
    let usage = counted.and_then(Quantity::from_thousandths).and_then(|q| q.checked_mul(meter.multiplier));
    Advance {
        from: earlier.read_at,
        to: later.read_at,
        usage,
        quality: if estimated { Quality::Estimated } else { Quality::Actual },
        rollover: rollover && usage.is_some(),
        suspect: usage.is_none(),
    }
}

/// One revision of one reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Its id.
    pub id: ReadingId,
    /// Which register.
    pub register: Register,
    /// When it was read.
    pub read_at: Instant,
    /// What the dials showed.
    pub value: Quantity,
    /// How the value came about.
    pub quality: Quality,
    /// 1 for the first value of its instant.
    pub revision: i64,
    /// Whether this is the revision in force.
    pub is_current: bool,
    /// When a correction made this revision.
    pub corrected_at: Option<Instant>,
    /// The reading of the same register in force before it, within the occupancy: what its usage counts from.
    pub before: Option<RegisterReading>,
    /// Whether it lowered an estimate.
    pub lowered_estimate: bool,
}

impl Reading {
    /// The part that usage is calculated from.
    pub fn register_reading(&self) -> RegisterReading {
        RegisterReading {
            register: self.register,
            read_at: self.read_at,
            value: self.value,
            quality: self.quality,
            lowered_estimate: self.lowered_estimate,
        }
    }
}

input! {
    /// What Meter reports of one register at one instant. It names the meter by `meterId`, or by `esiId` and
    /// `meterNumber`.
    ReadingReport {
        /// The meter, by our id.
        meter_id: Option<MeterId> = "meterId",
        /// The meter's service point, by the market's id.
        esi_id: Option<EsiId> = "esiId",
        /// The number on the meter's plate.
        meter_number: Option<MeterNumber> = "meterNumber",
        /// Which register.
        register: Register = "register",
        /// When it was read.
        read_at: Instant = "readAt",
        /// What the dials showed, before the multiplier.
        value: Quantity = "value",
        /// How the value came about.
        quality: Quality = "quality",
        /// When it was reported: of two values of one instant, the one that was reported later counts.
        reported_at: Instant = "reportedAt",
    }
}

/// How a report names its meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    /// By our id.
    Id(MeterId),
    /// By where it is, and the number on its plate.
    Plate(&'a EsiId, &'a MeterNumber),
}

impl ReadingReport {
    /// Which meter was read.
    ///
    /// # Errors
    /// `missing` when it is named in neither way, `ambiguous` when in both.
    pub fn which(&self) -> Result<Which<'_>, FieldError> {
        let wrong = |code, message| FieldError { pointer: "/meterId".into(), ..FieldError::new(code, message) };
        match (self.meter_id, &self.esi_id, &self.meter_number) {
            (Some(id), None, None) => Ok(Which::Id(id)),
            (None, Some(esi), Some(number)) => Ok(Which::Plate(esi, number)),
            (Some(_), _, _) => Err(wrong("ambiguous", "Name the meter by meterId, or by esiId and meterNumber.")),
            (None, _, _) => Err(wrong("missing", "Write meterId, or esiId and meterNumber.")),
        }
    }
}

/// The revision in force of one register at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its value.
    pub value: Quantity,
    /// How the value came about.
    pub quality: Quality,
    /// When it was reported.
    pub reported_at: Instant,
    /// Which revision it is.
    pub revision: i64,
}

/// What a reported value is to what is held of its instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first value of its instant.
    First,
    /// Known, or older than what is known, or an estimate where something was read.
    Known,
    /// Another value, reported later: it is in force from now on.
    Revision,
}

/// Judges a reported value.
pub fn verdict(held: Option<&Held>, value: Quantity, quality: Quality, reported_at: Instant) -> Verdict {
    let Some(held) = held else { return Verdict::First };
    let same = (held.value, held.quality) == (value, quality);
    let guess = held.quality == Quality::Actual && quality == Quality::Estimated;
    if same || guess || reported_at <= held.reported_at { Verdict::Known } else { Verdict::Revision }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::HOUR;

    const FIVE: Dial = Dial { dials: 5, multiplier: 1 };

    fn reading(hour: i64, units: i64, quality: Quality) -> RegisterReading {
        RegisterReading {
            register: Register::Delivered,
            read_at: Instant::from_micros(hour * HOUR),
            value: Quantity::from_thousandths(units * 1000).unwrap(),
            quality,
            lowered_estimate: false,
        }
    }

    /// (usage in units, rollover, suspect) of a pair.
    fn pair(before: (i64, Quality), after: (i64, Quality), meter: Dial) -> (Option<i64>, bool, bool) {
        let list = advances(&[reading(0, before.0, before.1), reading(24, after.0, after.1)], meter);
        let [one] = list.as_slice() else { panic!("one advance") };
        (one.usage.map(|u| u.thousandths() / 1000), one.rollover, one.suspect)
    }

    #[test]
    fn lower_values_are_rollovers_only_from_top_to_bottom() {
        use Quality::{Actual, Estimated};
        let suspect = (None, false, true);
        for (before, after, expected) in [
            ((1211, Actual), (1245, Actual), (Some(34), false, false)),
            ((1245, Actual), (1245, Actual), (Some(0), false, false)),
            ((99_998, Actual), (3, Actual), (Some(5), true, false)),
            ((90_000, Actual), (0, Actual), (Some(10_000), true, false)),
            ((90_000, Actual), (1, Actual), suspect),
            ((89_999, Actual), (3, Actual), suspect),
            ((99_998, Actual), (10_000, Actual), suspect),
            ((1300, Actual), (1250, Actual), suspect),
            ((1300, Estimated), (1250, Actual), suspect),
            ((99_998, Estimated), (3, Actual), suspect),
            ((99_998, Actual), (3, Estimated), suspect),
            ((3, Estimated), (99_998, Actual), suspect),
            ((3, Actual), (99_998, Actual), (Some(99_995), false, false)),
        ] {
            assert_eq!(pair(before, after, FIVE), expected, "{before:?} {after:?}");
        }
        assert_eq!(pair((99_998, Actual), (3, Actual), Dial { dials: 6, multiplier: 1 }), suspect);
        assert_eq!(pair((99_998, Actual), (3, Actual), Dial { dials: 40, multiplier: 1 }), suspect);
    }

    #[test]
    fn a_correction_that_lowers_an_estimate_recomputes_and_never_rolls_over() {
        let mut readings = [
            reading(0, 1200, Quality::Actual),
            reading(24, 1300, Quality::Estimated),
            reading(48, 1260, Quality::Actual),
        ];
        assert!(advances(&readings, FIVE)[1].suspect);
        readings[1] = RegisterReading { lowered_estimate: true, ..reading(24, 1230, Quality::Actual) };
        let usage: Vec<_> = advances(&readings, FIVE).iter().map(|a| a.usage.unwrap().to_string()).collect();
        assert_eq!(usage, ["30", "30"]);
        readings[0] = reading(0, 99_990, Quality::Actual);
        readings[1] = RegisterReading { lowered_estimate: true, ..reading(24, 3, Quality::Actual) };
        let first = advances(&readings, FIVE)[0];
        assert_eq!((first.rollover, first.suspect), (false, true));
    }

    #[test]
    fn the_multiplier_counts_and_estimates_mark() {
        use Quality::{Actual, Estimated};
        let times = Dial { dials: 5, multiplier: 40 };
        assert_eq!(pair((99_998, Actual), (3, Actual), times), (Some(200), true, false));
        let list = advances(&[reading(0, 1, Estimated), reading(24, 2, Actual)], FIVE);
        assert_eq!(list[0].quality, Estimated);
        assert_eq!(pair((1, Actual), (2, Actual), Dial { dials: 5, multiplier: i64::MAX }), (None, false, true));
        assert!(advances(&[reading(0, 1, Actual)], FIVE).is_empty());
    }

    #[test]
    fn the_later_report_counts_and_an_estimate_never_replaces_what_was_read() {
        use Quality::{Actual, Estimated};
        let (quantity, at) = (|units: i64| Quantity::from_thousandths(units * 1000).unwrap(), Instant::from_micros);
        let held = |quality| Held { value: quantity(10), quality, reported_at: at(5), revision: 1 };
        assert_eq!(verdict(None, quantity(10), Estimated, at(0)), Verdict::First);
        for (quality, value, reported, new, expected) in [
            (Actual, 10, 9, Actual, Verdict::Known),
            (Actual, 11, 9, Actual, Verdict::Revision),
            (Actual, 11, 5, Actual, Verdict::Known),
            (Actual, 11, 4, Actual, Verdict::Known),
            (Actual, 11, 9, Estimated, Verdict::Known),
            (Estimated, 11, 9, Estimated, Verdict::Revision),
            (Estimated, 10, 9, Actual, Verdict::Revision),
            (Estimated, 10, 4, Actual, Verdict::Known),
        ] {
            assert_eq!(verdict(Some(&held(quality)), quantity(value), new, at(reported)), expected);
        }
    }

    proptest! {
        #[test]
        fn a_meter_that_only_counts_is_followed_round_its_dial(steps in prop::collection::vec(0_i64..5_000, 1..60)) {
            let mut total = 95_000;
            let mut readings = vec![reading(0, total, Quality::Actual)];
            for (index, step) in (1_i64..).zip(&steps) {
                total += step;
                readings.push(reading(index, total % 100_000, Quality::Actual));
            }
            let counted: i64 = advances(&readings, FIVE).iter().map(|a| a.usage.unwrap().thousandths()).sum();
            prop_assert_eq!(counted, (total - 95_000) * 1000);
        }
    }
}
