//! Usage over random meters, rollovers, exchanges and clock changes, against a reference that knows what
//! was really used.

use proptest::prelude::*;

use super::*;
use crate::{
    readings::{Dial, Register, RegisterReading, advances},
    time::HOUR,
};

const DIAL: Dial = Dial { dials: 5, multiplier: 1 };
const SIZE: i64 = 100_000_000;

/// What was really used: thousandths since the beginning, at instants.
struct Truth(Vec<(Instant, i64)>);

impl Truth {
    fn at(&self, at: Instant) -> i64 {
        let after = self.0.partition_point(|(instant, _)| *instant <= at);
        let (before, used) = self.0[after - 1];
        let Some((next, then)) = self.0.get(after) else { return used };
        let part = i128::from(then - used) * i128::from(at.since(before)) / i128::from(next.since(before));
        used + i64::try_from(part).unwrap()
    }
}

/// The readings of the meters, one after the other: each with its own start, from an instant to the next one's.
fn meters(truth: &Truth, starts: &[i64], exchanges: &[usize]) -> Vec<Vec<RegisterReading>> {
    let mut meters = vec![Vec::new()];
    let mut start = (starts[0], truth.0[0].1);
    for (index, (at, used)) in truth.0.iter().enumerate() {
        let mut read = |start: (i64, i64)| {
            let value = Quantity::from_thousandths((start.0 + used - start.1) % SIZE).unwrap();
            let reading = RegisterReading {
                register: Register::Delivered,
                read_at: *at,
                value,
                quality: Quality::Actual,
                lowered_estimate: false,
            };
            meters.last_mut().unwrap().push(reading);
        };
        read(start);
        if exchanges.contains(&index) && index + 1 < truth.0.len() {
            start = (starts[(index + 1) % starts.len()], *used);
            meters.push(Vec::new());
            let reading = RegisterReading {
                value: Quantity::from_thousandths(start.0).unwrap(),
                ..*meters[meters.len() - 2].last().unwrap()
            };
            meters.last_mut().unwrap().push(reading);
        }
    }
    meters
}

proptest! {
    #[test]
    fn every_part_holds_what_was_used_in_it(
        steps in prop::collection::vec((1_i64..=36, 0_i64..9_000_000), 2..60),
        starts in prop::collection::vec(0_i64..SIZE, 1..6),
        exchanges in prop::collection::vec(1_usize..60, 0..4),
        first in 0_i64..96,
        group in prop::sample::select(vec![GroupBy::Hour, GroupBy::Day, GroupBy::Week, GroupBy::Month]),
    ) {
        // Three days before the clocks go forward, or a little later.
        let zone = Zone::named("America/Chicago").unwrap();
        let mut at = Instant::parse("2025-03-06T00:00:00Z").unwrap().plus(first * HOUR);
        let (mut used, mut truth) = (0, vec![(at, 0)]);
        for (hours, step) in steps {
            // A register does not jump by more than its bottom tenth: that would be suspect where it starts over.
            (at, used) = (at.plus(hours * HOUR), used + step);
            truth.push((at, used));
        }
        let truth = Truth(truth);
        let (from, to) = (truth.0[0].0, at);
        let mut cut = Cut::new((from, to), group, &zone).unwrap();
        let meters = meters(&truth, &starts, &exchanges);
        for (index, meter) in meters.iter().enumerate() {
            let advances = advances(meter, DIAL);
            prop_assert!(advances.iter().all(|advance| !advance.suspect));
            let until = (index + 1 < meters.len()).then(|| meter.last().unwrap().read_at);
            cut.add(&advances, (meter[0].read_at, until)).unwrap();
        }
        let buckets = cut.buckets();
        let mut reached = from;
        for bucket in &buckets {
            prop_assert_eq!(bucket.start, reached, "no hole and no overlap, whatever the clocks do");
            let right = truth.at(bucket.end) - truth.at(bucket.start);
            prop_assert_eq!(bucket.usage.map(Quantity::thousandths), Some(right));
            reached = bucket.end;
        }
        prop_assert_eq!(reached, to);
    }
}
