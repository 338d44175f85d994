//! A clock that stands still until a test moves it.

use std::sync::atomic::{AtomicI64, Ordering};

use domain::time::{Clock, Instant, SECOND};

pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn at(now: Instant) -> Self {
        Self(AtomicI64::new(now.micros()))
    }
    pub fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds * SECOND, Ordering::SeqCst);
    }
    pub fn seconds(&self) -> i64 {
        self.0.load(Ordering::SeqCst) / SECOND
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.0.load(Ordering::SeqCst))
    }
}
