//! Rates: of each caller, and of failed authentications from each address. Tables are bounded: entries that
//! are no longer limited are dropped.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
};

use domain::policy::Identity;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};

use super::Rates;

type Keyed<K> = RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock>;

/// How many decisions pass between two clean-ups.
const CLEAN_UP: u32 = 8192;

/// The limiters.
pub struct Limiter {
    callers: Keyed<u64>,
    failures: Keyed<IpAddr>,
    // Subjects are personal data: the table keeps a hash under a secret of this process.
    hasher: RandomState,
    decisions: AtomicU32,
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// What one client has at its disposal: an IPv4 address, or a /64 of IPv6 (RFC 6177).
fn place(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            v6.to_ipv4_mapped().map_or_else(|| Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(), IpAddr::V4)
        }
    }
}

impl Limiter {
    /// With the configured limits.
    pub fn new(limits: Rates) -> Self {
        let burst = at_least_one(limits.caller_burst);
        let callers = Quota::per_second(at_least_one(limits.caller_per_second)).allow_burst(burst);
        let failures = Quota::per_minute(at_least_one(limits.failures_per_minute));
        Self {
            callers: RateLimiter::keyed(callers),
            failures: RateLimiter::keyed(failures),
            hasher: RandomState::new(),
            decisions: AtomicU32::new(0),
        }
    }

    /// Counts a request; the seconds to wait when there were too many.
    pub fn caller(&self, identity: &Identity) -> Option<u64> {
        self.clean_up();
        let key = self.hasher.hash_one((identity.issuer(), identity.subject()));
        let wait = self.callers.check_key(&key).err()?.wait_time_from(DefaultClock::default().now());
        Some(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
    }

    /// Counts a failed authentication; whether there were too many from this address.
    pub fn failed(&self, address: Option<IpAddr>) -> bool {
        self.clean_up();
        address.is_some_and(|address| self.failures.check_key(&place(address)).is_err())
    }

    fn clean_up(&self) {
        if self.decisions.fetch_add(1, Ordering::Relaxed) % CLEAN_UP == CLEAN_UP - 1 {
            self.callers.retain_recent();
            self.failures.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_by_what_one_client_has() {
        let limiter = Limiter::new(Rates { caller_per_second: 1, caller_burst: 1, failures_per_minute: 2 });
        let failed = |address: &str| limiter.failed(Some(address.parse().unwrap()));
        assert!(!failed("2001:db8:0:1::1") && !failed("2001:db8:0:1::2"));
        assert!(failed("2001:db8:0:1:ffff::3"), "the same /64");
        assert!(!failed("2001:db8:0:2::1"), "another one");
        assert!(!failed("192.0.2.1") && !failed("::ffff:192.0.2.1"));
        assert!(failed("192.0.2.1"), "mapped addresses are the same client's");
        assert!(!failed("192.0.2.2"));
    }
}
