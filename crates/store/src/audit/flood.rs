//! Floods of failed authentications: the first ten a minute from one network are written one by one, the
//! others become one record with their count. The table of networks is bounded; what does not fit shares
//! one entry, so that a flood from everywhere costs neither memory nor log.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use domain::time::{Instant, SECOND};

use super::{Record, who};

/// Records a minute and network that are written one by one.
const SINGLY: u64 = 10;
/// Networks that are told apart.
const NETWORKS: usize = 4096;
const MINUTE: i64 = 60 * SECOND;

#[derive(Debug, Default)]
pub(super) struct Floods {
    windows: Mutex<HashMap<Option<IpAddr>, Window>>,
}

#[derive(Debug)]
struct Window {
    minute: i64,
    seen: u64,
    /// The first record that was only counted. The counting record takes its instant, to which the sealed
    /// caller is bound.
    first: Option<Record>,
    until: Instant,
}

impl Window {
    fn new(minute: i64, until: Instant) -> Self {
        Self { minute, seen: 0, first: None, until }
    }

    fn counted(self) -> Option<Record> {
        let Self { minute: _, seen, first, until } = self;
        let mut record = first?;
        record.detail = Some(format!("count={} until={until}", seen - SINGLY));
        Some(record)
    }
}

impl Floods {
    /// Takes a record; gives what is to be written now: the record itself, or the count of a minute that
    /// has passed, or both.
    pub(super) fn admit(&self, record: Record, address: Option<IpAddr>) -> [Option<Record>; 2] {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut network = address.map(who::network);
        if windows.len() >= NETWORKS && !windows.contains_key(&network) {
            network = None;
        }
        let (minute, at) = (record.at.micros().div_euclid(MINUTE), record.at);
        let window = windows.entry(network).or_insert_with(|| Window::new(minute, at));
        let mut passed = None;
        if window.minute != minute {
            passed = std::mem::replace(window, Window::new(minute, at)).counted();
        }
        window.seen += 1;
        window.until = at;
        if window.seen <= SINGLY {
            return [Some(record), passed];
        }
        window.first.get_or_insert(record);
        [None, passed]
    }

    /// The counts of all minutes before that of `now`; of every minute when `now` is `None`.
    pub(super) fn passed(&self, now: Option<Instant>) -> Vec<Record> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now.map(|now| now.micros().div_euclid(MINUTE));
        let over = windows.extract_if(|_, window| now.is_none_or(|now| window.minute != now));
        over.filter_map(|(_, window)| window.counted()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::record;

    fn at(seconds: i64) -> Record {
        Record { at: Instant::from_micros(seconds * SECOND), ..record(1) }
    }

    #[test]
    fn the_eleventh_of_a_minute_is_counted() {
        let floods = Floods::default();
        let here: IpAddr = "192.0.2.1".parse().unwrap();
        let neighbour: IpAddr = "192.0.2.99".parse().unwrap();
        let mut written = 0;
        for second in 0..50 {
            let from = if second % 2 == 0 { here } else { neighbour };
            written += floods.admit(at(second), Some(from)).into_iter().flatten().count();
        }
        assert_eq!(written, 10);
        assert!(floods.admit(at(50), Some("198.51.100.1".parse().unwrap()))[0].is_some(), "another network");
        assert!(floods.passed(Some(Instant::from_micros(59 * SECOND))).is_empty());
        let [single, passed] = floods.admit(at(61), Some(here));
        assert!(single.is_some());
        let passed = passed.unwrap();
        assert_eq!(passed.detail.as_deref(), Some("count=40 until=1970-01-01T00:00:49Z"));
        assert_eq!(passed.at, Instant::from_micros(10 * SECOND));
        assert!(floods.passed(None).is_empty(), "nothing was only counted since");
    }

    #[test]
    fn the_table_is_bounded() {
        let floods = Floods::default();
        let mut written = 0;
        for n in 0..20_000_u32 {
            let address = IpAddr::from(std::net::Ipv4Addr::from_bits(n << 8));
            written += floods.admit(at(1), Some(address)).into_iter().flatten().count();
        }
        assert_eq!(floods.windows.lock().unwrap().len(), NETWORKS + 1);
        assert_eq!(written, NETWORKS + 10);
        let counted = floods.passed(None);
        assert_eq!(counted.len(), 1);
        assert!(counted[0].detail.as_deref().unwrap().starts_with(&format!("count={} ", 20_000 - NETWORKS - 10)));
    }
}
