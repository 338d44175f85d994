//! Random texts that stand for something once: authorization codes and refresh tokens.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto::{Random, RandomError};
use domain::time::Instant;

/// The most tickets of one kind that are open at a time; the oldest makes room.
const CAPACITY: usize = 1000;

/// Open tickets of one kind. Each is good once, for a while.
pub(super) struct Tickets<T> {
    /// In microseconds.
    life: i64,
    open: Mutex<HashMap<String, (Instant, T)>>,
}

impl<T> Tickets<T> {
    /// No tickets yet; each will live `life` microseconds.
    pub(super) fn new(life: i64) -> Self {
        Self { life, open: Mutex::new(HashMap::new()) }
    }

    /// A new ticket for `value`.
    pub(super) fn issue(&self, random: &dyn Random, now: Instant, value: T) -> Result<String, RandomError> {
        let ticket = text(random)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= CAPACITY {
            open.retain(|_, (until, _)| *until > now);
        }
        if open.len() >= CAPACITY {
            let oldest = open.iter().min_by_key(|(_, (until, _))| *until).map(|(ticket, _)| ticket.clone());
            oldest.and_then(|ticket| open.remove(&ticket));
        }
        open.insert(ticket.clone(), (now.plus(self.life), value));
        Ok(ticket)
    }

    /// What a ticket stands for; it is used up, whatever the caller finds out next.
    pub(super) fn take(&self, ticket: &str, now: Instant) -> Option<T> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(ticket).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    /// Drops every ticket that stands for such a value.
    pub(super) fn drop_all(&self, gone: impl Fn(&T) -> bool) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, (_, value)| !gone(value));
    }
}

/// 128 random bits as text.
pub(super) fn text(random: &dyn Random) -> Result<String, RandomError> {
    let mut bytes = [0; 16];
    random.fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto::SystemRandom;

    #[test]
    fn a_ticket_is_good_once_and_for_a_while() {
        let (tickets, at) = (Tickets::new(60), Instant::from_micros);
        let ticket = tickets.issue(&SystemRandom, at(0), 7).unwrap();
        assert_eq!((tickets.take(&ticket, at(59)), tickets.take(&ticket, at(59))), (Some(7), None));
        let ticket = tickets.issue(&SystemRandom, at(0), 7).unwrap();
        assert_eq!(tickets.take(&ticket, at(60)), None);
    }

    #[test]
    fn the_oldest_makes_room() {
        let (tickets, at) = (Tickets::new(1_000_000), Instant::from_micros);
        let first = tickets.issue(&SystemRandom, at(0), 0).unwrap();
        let second = tickets.issue(&SystemRandom, at(1), 1).unwrap();
        for n in 2..=CAPACITY {
            tickets.issue(&SystemRandom, at(2), n).unwrap();
        }
        assert_eq!((tickets.take(&first, at(3)), tickets.take(&second, at(3))), (None, Some(1)));
        assert_eq!(tickets.open.lock().unwrap().len(), CAPACITY - 1);
    }
}
