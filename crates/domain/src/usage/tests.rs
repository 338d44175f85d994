use proptest::prelude::*;

use super::*;
use crate::readings::{Dial, Register, RegisterReading, advances};
use crate::time::SECOND;

const FIVE: Dial = Dial { dials: 5, multiplier: 1 };

fn texas() -> Zone {
    Zone::named("America/Chicago").unwrap()
}

fn at(text: &str) -> Instant {
    Instant::parse(text).unwrap()
}

fn day(text: &str) -> Instant {
    texas().start(LocalDate::parse(text).unwrap())
}

fn reading(read_at: Instant, thousandths: i64) -> RegisterReading {
    RegisterReading {
        register: Register::Delivered,
        read_at,
        value: Quantity::from_thousandths(thousandths).unwrap(),
        quality: Quality::Actual,
        lowered_estimate: false,
    }
}

fn units(usage: Option<Quantity>) -> Option<String> {
    usage.map(|u| u.to_string())
}

/// Daily readings at local midnight, one unit of difference a day more each day.
fn daily(from: &str, days: i64) -> Vec<Advance> {
    let first = LocalDate::parse(from).unwrap();
    let readings: Vec<_> =
        (0..=days).map(|d| reading(texas().start(first.plus_days(d)), (100 + d * (d + 1) / 2) * 1000)).collect();
    advances(&readings, FIVE)
}

/// The parts of a window that the meter serves from beginning to end.
fn buckets(
    advances: &[Advance],
    from: Instant,
    to: Instant,
    group_by: GroupBy,
    zone: &Zone,
) -> Result<Vec<Bucket>, TooMany> {
    let mut cut = Cut::new((from, to), group_by, zone)?;
    cut.add(advances, (from, None))?;
    Ok(cut.buckets())
}

#[test]
fn the_sample_sums_what_is_there_and_is_not_complete() {
    // 25 advances from 228 to 1245, the last reading on 2025-01-10.
    let first = LocalDate::parse("2024-12-16").unwrap();
    let readings: Vec<_> =
        (0..=25).map(|d| reading(texas().start(first.plus_days(d)), (228 + d * 1017 / 25) * 1000)).collect();
    assert_eq!(readings[0].read_at, at("2024-12-16T06:00:00Z"));
    assert_eq!(readings[25].read_at, at("2025-01-10T06:00:00Z"));
    let list = advances(&readings, FIVE);
    let (from, to) = (day("2024-12-16"), day("2025-01-15"));
    let usage = window(&list, from, to);
    assert_eq!((units(usage.total), usage.quality, usage.complete), (Some("1017".into()), UsageQuality::Actual, false));
    let days = buckets(&list, from, to, GroupBy::Day, &texas()).unwrap();
    assert_eq!(days.len(), 30);
    assert_eq!(days.iter().filter_map(|b| b.usage).map(Quantity::thousandths).sum::<i64>(), 1_017_000);
    assert!(days[25..].iter().all(|b| b.usage.is_none() && b.quality == UsageQuality::Missing));
    assert!(window(&list, from, day("2025-01-10")).complete);
}

#[test]
fn days_have_23_and_25_hours() {
    let list = daily("2025-03-07", 5);
    let days = buckets(&list, day("2025-03-08"), day("2025-03-10"), GroupBy::Day, &texas()).unwrap();
    assert_eq!(
        days.iter().map(|b| b.start.to_string()).collect::<Vec<_>>(),
        ["2025-03-08T06:00:00Z", "2025-03-09T06:00:00Z"]
    );
    assert_eq!(days[1].end, at("2025-03-10T05:00:00Z"));
    assert_eq!(days[1].local_date.to_string(), "2025-03-09");
    assert_eq!((units(days[1].usage), days[1].quality), (Some("3".into()), UsageQuality::Actual));
    let hours =
        |date: &str, next: &str| buckets(&daily(date, 1), day(date), day(next), GroupBy::Hour, &texas()).unwrap().len();
    assert_eq!((hours("2025-03-09", "2025-03-10"), hours("2025-11-02", "2025-11-03")), (23, 25));
}

#[test]
fn edges_in_short_gaps_are_estimated_and_in_long_ones_null() {
    let start = at("2025-01-01T06:00:00Z");
    let readings = |hours: i64| [reading(start, 0), reading(start.plus(hours * HOUR), hours * 1000)];
    let noon = (start.plus(6 * HOUR), start.plus(18 * HOUR));
    let half = |hours| {
        let list = advances(&readings(hours), FIVE);
        let cut = buckets(&list, noon.0, noon.1, GroupBy::Day, &texas()).unwrap();
        let total = window(&list, noon.0, noon.1);
        ((units(cut[0].usage), cut[0].quality), (units(total.total), total.quality, total.complete))
    };
    let estimated = (Some("12".into()), UsageQuality::Estimated, true);
    assert_eq!(half(36), ((Some("12".into()), UsageQuality::Estimated), estimated.clone()));
    assert_eq!(half(37), ((None, UsageQuality::Missing), estimated));
    // A month read once: its days are null, its month and its reading are not.
    let list = advances(&[reading(day("2025-01-01"), 0), reading(day("2025-02-01"), 900_000)], FIVE);
    let by = |group| buckets(&list, day("2025-01-01"), day("2025-02-01"), group, &texas()).unwrap();
    assert!(by(GroupBy::Day).iter().all(|b| b.usage.is_none()));
    for group in [GroupBy::Month, GroupBy::Reading] {
        let [one] = by(group)[..] else { panic!("one bucket") };
        assert_eq!((units(one.usage), one.quality), (Some("900".into()), UsageQuality::Actual));
    }
}

#[test]
fn weeks_begin_on_monday_and_are_clipped() {
    let list = daily("2025-01-01", 31);
    let weeks = buckets(&list, day("2025-01-01"), day("2025-01-15"), GroupBy::Week, &texas()).unwrap();
    let dates: Vec<_> = weeks.iter().map(|b| b.local_date.to_string()).collect();
    assert_eq!(dates, ["2025-01-01", "2025-01-06", "2025-01-13"]);
    assert_eq!(weeks[2].end, day("2025-01-15"));
    assert_eq!(units(weeks[0].usage), Some("15".into()));
}

#[test]
fn a_suspect_advance_is_never_filled() {
    let start = day("2025-01-01");
    let values = [1000, 1010, 900, 930];
    let readings: Vec<_> = (0_i64..).zip(values).map(|(d, v)| reading(start.plus(d * 24 * HOUR), v * 1000)).collect();
    let list = advances(&readings, FIVE);
    let usage = window(&list, start, day("2025-01-04"));
    assert_eq!((units(usage.total), usage.complete), (Some("40".into()), false));
    let days = buckets(&list, start, day("2025-01-04"), GroupBy::Day, &texas()).unwrap();
    let usages: Vec<_> = days.iter().map(|b| units(b.usage)).collect();
    assert_eq!(usages, [Some("10".into()), None, Some("30".into())]);
    let month = buckets(&list, start, day("2025-01-04"), GroupBy::Month, &texas()).unwrap();
    assert_eq!(month[0].usage, None, "a part that is not known makes the whole not known");
}

#[test]
fn there_are_at_most_ten_thousand_buckets() {
    let start = day("2025-01-01");
    let hours = |n: i64| buckets(&[], start, start.plus(n * HOUR), GroupBy::Hour, &texas()).map(|b| b.len());
    assert_eq!((hours(10_000), hours(10_001)), (Ok(10_000), Err(TooMany)));
    let end_of_time = Instant::from_micros(i64::MAX);
    assert_eq!(buckets(&[], end_of_time.plus(-HOUR), end_of_time, GroupBy::Day, &texas()).map(|b| b.len()), Ok(1));
}

#[test]
fn nothing_known_is_missing() {
    let (from, to) = (day("2025-01-01"), day("2025-01-02"));
    let nothing = WindowUsage { total: None, quality: UsageQuality::Missing, complete: false };
    assert_eq!(window(&[], from, to), nothing);
    assert_eq!(window(&daily("2025-01-01", 1), to, from), nothing);
    assert_eq!(sum([]), nothing);
    assert_eq!(sum([nothing, nothing]), nothing);
    assert!(buckets(&[], to, from, GroupBy::Day, &texas()).unwrap().is_empty());
}

#[test]
fn meters_are_summed_with_what_is_known() {
    let (from, to) = (day("2025-01-01"), day("2025-01-03"));
    let (one, other) = (daily("2025-01-01", 2), daily("2025-01-02", 2));
    let (a, b) = (window(&one, from, to), window(&other, from, to));
    let both = sum([a, b]);
    assert_eq!((units(both.total), both.quality, both.complete), (Some("4".into()), UsageQuality::Actual, false));
    assert!(sum([a, a]).complete);
    let mut cut = Cut::new((from, to), GroupBy::Day, &texas()).unwrap();
    cut.add(&one, (from, None)).unwrap();
    cut.add(&other, (from, None)).unwrap();
    let days = cut.buckets();
    let seen: Vec<_> = days.iter().map(|b| (units(b.usage), b.quality)).collect();
    assert_eq!(seen, [(None, UsageQuality::Missing), (Some("3".into()), UsageQuality::Actual)]);
    // What a meter does not serve is not missing.
    let from_second = |list, group| {
        let mut cut = Cut::new((from, to), group, &texas()).unwrap();
        cut.add(list, (day("2025-01-02"), None)).unwrap();
        cut.buckets()
    };
    let month = from_second(&other, GroupBy::Month);
    assert_eq!((month.len(), month[0].start, units(month[0].usage)), (1, from, Some("1".into())));
    let days = from_second(&other, GroupBy::Day);
    assert_eq!((days.len(), days[0].start), (1, day("2025-01-02")), "no bucket for a day that no meter serves");
}

/// Readings at odd instants with odd values, gaps of up to 60 hours.
fn readings() -> impl Strategy<Value = Vec<RegisterReading>> {
    prop::collection::vec((1_i64..60 * 3600, 0_i64..50_000), 2..40).prop_map(|steps| {
        let (mut when, mut value) = (at("2025-02-27T03:14:15Z"), 0);
        let mut readings = vec![reading(when, value)];
        for (seconds, thousandths) in steps {
            when = when.plus(seconds * SECOND);
            value += thousandths;
            readings.push(reading(when, value));
        }
        readings
    })
}

fn total(buckets: &[Bucket]) -> i64 {
    buckets.iter().filter_map(|b| b.usage).map(Quantity::thousandths).sum()
}

proptest! {
    #[test]
    fn complete_buckets_add_up_to_the_window(
        readings in readings(),
        group in prop::sample::select(vec![GroupBy::Hour, GroupBy::Day, GroupBy::Week, GroupBy::Month, GroupBy::Reading]),
    ) {
        let list = advances(&readings, FIVE);
        let (from, to) = (readings[0].read_at, readings[readings.len() - 1].read_at);
        let parts = buckets(&list, from, to, group, &texas()).unwrap();
        let whole = window(&list, from, to);
        prop_assert!(whole.complete);
        let known = whole.total.unwrap().thousandths();
        if parts.iter().all(|b| b.usage.is_some()) {
            prop_assert_eq!(total(&parts), known);
        } else {
            prop_assert!(total(&parts) <= known);
        }
        prop_assert_eq!((parts[0].start, parts[parts.len() - 1].end), (from, to));
        for pair in parts.windows(2) {
            prop_assert_eq!(pair[0].end, pair[1].start);
        }
    }

    #[test]
    fn a_window_cut_anywhere_loses_nothing(readings in readings(), cut in 0.0_f64..1.0) {
        let list = advances(&readings, FIVE);
        let (from, to) = (readings[0].read_at, readings[readings.len() - 1].read_at);
        #[expect(clippy::cast_possible_truncation, reason = "any instant between the two will do")]
        let middle = from.plus((to.since(from) as f64 * cut) as i64);
        let (left, right) = (window(&list, from, middle), window(&list, middle, to));
        let parts = left.total.map_or(0, Quantity::thousandths) + right.total.map_or(0, Quantity::thousandths);
        prop_assert_eq!(parts, window(&list, from, to).total.unwrap().thousandths());
    }
}
