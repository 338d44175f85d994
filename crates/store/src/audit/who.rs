//! Who acted from where, sealed. The chain's MAC covers the ciphertext, so that a log whose keys were
//! erased still verifies; the client address is cut to its network before it is written anywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crypto::{Context, DataKey, Keyring, SealError, TAG_LENGTH};
use domain::{
    ids::{CustomerId, Id},
    time::Instant,
};
use zeroize::Zeroizing;

const VERSION: u8 = 1;

/// Issuer, subject and address of a caller, to be sealed.
#[derive(Clone, Copy)]
pub struct Who<'a> {
    /// The issuer that vouches for the subject; empty when nobody does.
    pub issuer: &'a str,
    /// The subject, as the issuer names it; empty when unknown.
    pub subject: &'a str,
    /// The client's address; only its network (/24 or /48) is ever written.
    pub address: Option<IpAddr>,
}

/// What [`open`] gives back.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedWho {
    /// The issuer; empty when nobody vouched.
    pub issuer: String,
    /// The subject; empty when unknown.
    pub subject: String,
    /// The client's network, as its lowest address.
    pub network: Option<IpAddr>,
}

impl std::fmt::Debug for Who<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Who(..)")
    }
}

impl std::fmt::Debug for OpenedWho {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenedWho(..)")
    }
}

fn context(customer: Option<CustomerId>, at: Instant) -> Context {
    Context { customer: customer.map_or(0, Id::get), table: "audit_log", row: at.micros() }
}

/// An address cut to the network that stands for it: /24 of IPv4, /48 of IPv6.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & !0xff)),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> 48))),
    }
}

/// By which a member of staff, an operator or a service is found again in the log: a keyed hash of who they are.
pub fn actor_hash(keyring: &Keyring, issuer: &str, subject: &str) -> [u8; TAG_LENGTH] {
    keyring.lookup().tag("audit-actor", &[issuer.as_bytes(), subject.as_bytes()])
}

/// Seals who acted, under the data key of a customer who acts on their own data, or the keyring's actor
/// key. It is bound to its record's `customer` and instant.
///
/// # Errors
/// [`SealError::Failed`] when the library has no nonce.
pub fn seal(key: &DataKey, customer: Option<CustomerId>, at: Instant, who: &Who<'_>) -> Result<Vec<u8>, SealError> {
    let Who { issuer, subject, address } = who;
    let mut text = Zeroizing::new(Vec::with_capacity(1 + 8 + issuer.len() + subject.len() + 16));
    text.push(VERSION);
    for part in [issuer, subject] {
        text.extend_from_slice(&u32::try_from(part.len()).map_err(|_| SealError::Format)?.to_be_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    match address.map(network) {
        None => {}
        Some(IpAddr::V4(v4)) => text.extend_from_slice(&v4.octets()),
        Some(IpAddr::V6(v6)) => text.extend_from_slice(&v6.octets()),
    }
    key.seal(&context(customer, at), &text)
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`SealError`] when the key is another one or the record stood elsewhere.
pub fn open(key: &DataKey, customer: Option<CustomerId>, at: Instant, sealed: &[u8]) -> Result<OpenedWho, SealError> {
    let text = key.open(&context(customer, at), sealed)?;
    parse(&text).ok_or(SealError::Format)
}

fn parse(text: &[u8]) -> Option<OpenedWho> {
    let rest = text.strip_prefix(&[VERSION])?;
    let (issuer, rest) = part(rest)?;
    let (subject, rest) = part(rest)?;
    let network = match rest.len() {
        0 => None,
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(rest).ok()?)),
        _ => Some(IpAddr::from(<[u8; 16]>::try_from(rest).ok()?)),
    };
    Some(OpenedWho { issuer, subject, network })
}

fn part(text: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = text.split_first_chunk::<4>()?;
    let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    Some((String::from_utf8(part.to_vec()).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_network_is_sealed_and_only_the_same_place_opens() {
        let key = DataKey::new(1, &[7; 32]).unwrap();
        let at = Instant::from_micros(5);
        let cuts =
            [("192.0.2.77", "192.0.2.0"), ("2001:db8:1:2::9", "2001:db8:1::"), ("::ffff:192.0.2.77", "192.0.2.0")];
        for (address, cut) in cuts {
            let who = Who { issuer: "https://issuer", subject: "s", address: Some(address.parse().unwrap()) };
            let sealed = seal(&key, None, at, &who).unwrap();
            let opened = open(&key, None, at, &sealed).unwrap();
            let network = Some(cut.parse().unwrap());
            assert_eq!(opened, OpenedWho { issuer: "https://issuer".into(), subject: "s".into(), network });
            assert!(open(&key, None, Instant::from_micros(6), &sealed).is_err());
            assert!(open(&key, CustomerId::new(1), at, &sealed).is_err());
        }
    }
}
