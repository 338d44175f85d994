//! The keyring: the keys that stand outside the database, by purpose and id.
//!
//! Its text form, in a file or an environment variable, is one key a line: `purpose id created base64`.
//! The newest id of a purpose is the one in use; older ones still open what they sealed.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use domain::ids::{CustomerId, Id};
use zeroize::{Zeroize, Zeroizing};

use crate::{Context, DataKey, KeyCheck, OtherKeys, Random, SealError, TagKey, check};

/// What a key of the ring is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Wraps the data keys of customers. It has a period: see `docs/privacy.md`.
    Master,
    /// Makes look-up hashes.
    Lookup,
    /// Makes the audit chain and its checkpoints.
    Audit,
    /// Seals who acted, for staff and strangers, in the audit log. It has a period.
    Actor,
    /// Seals what belongs to a place: ESI IDs and the market's addresses.
    Place,
    /// Makes ETags and cursors.
    Token,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 6] = [Self::Master, Self::Lookup, Self::Audit, Self::Actor, Self::Place, Self::Token];

    /// The purpose that a word of the text form names.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == name)
    }

    /// The word of the text form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Lookup => "lookup",
            Self::Audit => "audit",
            Self::Actor => "actor",
            Self::Place => "place",
            Self::Token => "token",
        }
    }
}

/// Why there is no usable keyring, or a wrapped key did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A line is not `purpose id created base64`.
    #[error("line {0} is not `purpose id created base64-of-32-bytes`")]
    Line(usize),
    /// Two lines give one purpose and id.
    #[error("line {0} repeats a purpose and id")]
    Repeated(usize),
    /// Purposes that have no key.
    #[error("it has no line for {}; look into your copy for what is missing: no new key opens what an old one sealed", .0.join(", "))]
    Missing(Vec<&'static str>),
    /// There is no line at all.
    #[error("it is empty")]
    Empty,
    /// The master key that wrapped a data key is not in the ring.
    #[error("master key {0} is not in the keyring")]
    NoMaster(u32),
    /// A wrapped data key did not open.
    #[error("a data key did not open: {0}")]
    Unwrap(#[from] SealError),
    /// No random bytes for a new key.
    #[error(transparent)]
    Random(#[from] crate::RandomError),
}

/// The text of a freshly made keyring. It is a secret; it is overwritten when dropped.
pub struct Generated(Zeroizing<String>);

impl Generated {
    /// The text, to be written to a file that only the service can read.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

struct Ring<K>(BTreeMap<u32, K>);

impl<K> Ring<K> {
    fn newest(&self, purpose: Purpose) -> Result<&K, KeyError> {
        self.0.values().next_back().ok_or_else(|| KeyError::Missing(vec![purpose.name()]))
    }
}

/// The keys of the service.
pub struct Keyring {
    checks: Vec<KeyCheck>,
    masters: Ring<DataKey>,
    master: u32,
    lookup: TagKey,
    audit: Ring<TagKey>,
    audit_current: TagKey,
    actors: Ring<Arc<DataKey>>,
    actor: Arc<DataKey>,
    places: Ring<Arc<DataKey>>,
    place: Arc<DataKey>,
    token: TagKey,
    // From wrapped bytes, not from customers: a customer whose wrapped key is gone from the database
    // cannot be found here either, on any replica.
    opened: quick_cache::sync::Cache<Vec<u8>, (CustomerId, Arc<DataKey>)>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("master", &self.master).finish_non_exhaustive()
    }
}

/// Opened data keys kept at most; each holds about a kilobyte.
const CACHED_KEYS: usize = 4096;

impl FromStr for Keyring {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut keys: BTreeMap<(Purpose, u32), Zeroizing<[u8; 32]>> = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (purpose, id, key) = parse_line(line).ok_or(KeyError::Line(index + 1))?;
            if keys.insert((purpose, id), key).is_some() {
                return Err(KeyError::Repeated(index + 1));
            }
        }
        let lacks = |purpose: &Purpose| !keys.keys().any(|(p, _)| p == purpose);
        let missing: Vec<&str> = Purpose::ALL.into_iter().filter(lacks).map(Purpose::name).collect();
        match missing.len() {
            0 => {}
            all if all == Purpose::ALL.len() => return Err(KeyError::Empty),
            _ => return Err(KeyError::Missing(missing)),
        }
        let data = |purpose: Purpose| -> Result<Ring<DataKey>, KeyError> {
            let of = keys.iter().filter(|((p, _), _)| *p == purpose);
            let ring = of.map(|((_, id), key)| Ok((*id, DataKey::new(*id, key.as_slice())?)));
            ring.collect::<Result<_, SealError>>().map(Ring).map_err(KeyError::Unwrap)
        };
        let shared =
            |purpose| data(purpose).map(|ring| Ring(ring.0.into_iter().map(|(id, k)| (id, Arc::new(k))).collect()));
        let tags = |purpose: Purpose| {
            let of = keys.iter().filter(|((p, _), _)| *p == purpose);
            Ring(of.map(|((_, id), key)| (*id, TagKey::new(*id, key.as_slice()))).collect::<BTreeMap<_, _>>())
        };
        let (masters, actors, places, audit) =
            (data(Purpose::Master)?, shared(Purpose::Actor)?, shared(Purpose::Place)?, tags(Purpose::Audit));
        Ok(Self {
            checks: keys.iter().map(|((purpose, id), key)| KeyCheck::of(*purpose, *id, key.as_slice())).collect(),
            master: masters.newest(Purpose::Master)?.id(),
            masters,
            lookup: tags(Purpose::Lookup).newest(Purpose::Lookup)?.clone(),
            audit_current: audit.newest(Purpose::Audit)?.clone(),
            audit,
            actor: Arc::clone(actors.newest(Purpose::Actor)?),
            actors,
            place: Arc::clone(places.newest(Purpose::Place)?),
            places,
            token: tags(Purpose::Token).newest(Purpose::Token)?.clone(),
            opened: quick_cache::sync::Cache::new(CACHED_KEYS),
        })
    }
}

fn parse_line(line: &str) -> Option<(Purpose, u32, Zeroizing<[u8; 32]>)> {
    let mut words = line.split_whitespace();
    let (purpose, id, _created, encoded) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let purpose = Purpose::named(purpose)?;
    let mut bytes = BASE64_STANDARD.decode(encoded).ok()?;
    let key = <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new);
    bytes.zeroize();
    words.next().is_none().then_some((purpose, id.parse().ok()?, key?))
}

impl Keyring {
    /// Makes a new ring with one key for each purpose; `created` is written beside each.
    pub fn generate(random: &dyn Random, created: &str) -> Result<Generated, KeyError> {
        let mut text = Zeroizing::new(String::with_capacity(1024));
        text.push_str(
            "# The keys of the customer service. Whoever has them reads everything; whoever loses them, nothing.\n",
        );
        for purpose in Purpose::ALL {
            Self::generate_one(random, purpose, 1, created, &mut text)?;
        }
        Ok(Generated(text))
    }

    fn generate_one(
        random: &dyn Random,
        purpose: Purpose,
        id: u32,
        created: &str,
        text: &mut Zeroizing<String>,
    ) -> Result<(), KeyError> {
        let mut key = Zeroizing::new([0; 32]);
        random.fill(key.as_mut_slice())?;
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(key.as_slice()));
        text.push_str(&format!("{} {id} {created} ", purpose.name()));
        text.push_str(&encoded);
        text.push('\n');
        Ok(())
    }

    /// Makes a data key for a customer, wrapped under the master key in use.
    pub fn new_data_key(&self, customer: CustomerId, random: &dyn Random) -> Result<Vec<u8>, KeyError> {
        let mut key = Zeroizing::new([0; 32]);
        random.fill(key.as_mut_slice())?;
        let master = self.masters.0.get(&self.master).ok_or(KeyError::NoMaster(self.master))?;
        Ok(master.seal(&wrapping(customer), key.as_slice())?)
    }

    /// Opens a customer's wrapped data key.
    ///
    /// # Errors
    /// [`KeyError`] when its master key is not in the ring, or the bytes are not that customer's key.
    pub fn data_key(&self, customer: CustomerId, wrapped: &[u8]) -> Result<Arc<DataKey>, KeyError> {
        // A key that was copied into another customer's row is not theirs, cached or not.
        if let Some((owner, key)) = self.opened.get(wrapped)
            && owner == customer
        {
            return Ok(key);
        }
        let master = DataKey::id_in(wrapped)?;
        let master = self.masters.0.get(&master).ok_or(KeyError::NoMaster(master))?;
        let key = master.open(&wrapping(customer), wrapped)?;
        let key = Arc::new(DataKey::new(DATA_KEY_ID, key.as_slice())?);
        self.opened.insert(wrapped.to_vec(), (customer, Arc::clone(&key)));
        Ok(key)
    }

    /// The key that seals who acted, for staff and strangers.
    pub fn actor(&self) -> &Arc<DataKey> {
        &self.actor
    }
    /// The key under which an actor was sealed, if it still is in the ring.
    pub fn actor_of(&self, record: &[u8]) -> Option<&Arc<DataKey>> {
        DataKey::id_in(record).ok().and_then(|id| self.actors.0.get(&id))
    }
    /// The key that seals what belongs to a place.
    pub fn place(&self) -> &Arc<DataKey> {
        &self.place
    }
    /// The key under which a place's record was sealed, if it still is in the ring.
    pub fn place_of(&self, record: &[u8]) -> Option<&Arc<DataKey>> {
        DataKey::id_in(record).ok().and_then(|id| self.places.0.get(&id))
    }
    /// The key of look-up hashes.
    pub fn lookup(&self) -> &TagKey {
        &self.lookup
    }
    /// The key that chains new audit records.
    pub fn audit(&self) -> &TagKey {
        &self.audit_current
    }
    /// The key that chained an audit record.
    pub fn audit_of(&self, id: u32) -> Option<&TagKey> {
        self.audit.0.get(&id)
    }
    /// The key of ETags and cursors.
    pub fn token(&self) -> &TagKey {
        &self.token
    }
    /// The check value of every key.
    pub fn checks(&self) -> &[KeyCheck] {
        &self.checks
    }
    /// Compares this ring with the keys that a database knows: the keys that are new to it.
    ///
    /// # Errors
    /// [`OtherKeys`] when a known key is missing or another one: nothing may be opened, sealed or signed then.
    pub fn compare(&self, known: &[KeyCheck]) -> Result<Vec<&KeyCheck>, OtherKeys> {
        check::compare(&self.checks, known)
    }
}

/// A customer has one data key at a time.
const DATA_KEY_ID: u32 = 1;

fn wrapping(customer: CustomerId) -> Context {
    Context { customer: customer.get(), table: "customer_key", row: customer.get() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemRandom;

    fn ring() -> String {
        Keyring::generate(&SystemRandom, "2025-01-15").unwrap().reveal().to_owned()
    }

    #[test]
    fn a_wrapped_key_opens_for_its_customer_only() {
        let keyring: Keyring = ring().parse().unwrap();
        let (alice, bob) = (CustomerId::new(1).unwrap(), CustomerId::new(2).unwrap());
        let wrapped = keyring.new_data_key(alice, &SystemRandom).unwrap();
        assert!(keyring.data_key(bob, &wrapped).is_err());
        let place = Context { customer: 1, table: "customer", row: 1 };
        let record = keyring.data_key(alice, &wrapped).unwrap().seal(&place, b"x").unwrap();
        assert!(keyring.data_key(alice, &wrapped).unwrap().open(&place, &record).is_ok());
        assert!(keyring.data_key(bob, &wrapped).is_err(), "now that it is cached");
        let other: Keyring = ring().parse().unwrap();
        assert!(other.data_key(alice, &wrapped).is_err());
    }

    #[test]
    fn an_older_master_key_still_opens_what_it_wrapped() {
        let text = ring();
        let old: Keyring = text.parse().unwrap();
        let alice = CustomerId::new(1).unwrap();
        let wrapped = old.new_data_key(alice, &SystemRandom).unwrap();
        let second = ring().lines().find(|l| l.starts_with("master")).unwrap().replace("master 1", "master 2");
        let both: Keyring = format!("{text}{second}\n").parse().unwrap();
        assert!(both.data_key(alice, &wrapped).is_ok());
        assert_eq!(DataKey::id_in(&both.new_data_key(alice, &SystemRandom).unwrap()), Ok(2));
    }

    #[test]
    fn a_broken_ring_is_refused_with_its_line() {
        let refused = |text: &str| text.parse::<Keyring>().map(|_| ()).unwrap_err();
        assert_eq!(refused("master 1 today AAAA"), KeyError::Line(1));
        assert_eq!(refused("# nothing but a comment"), KeyError::Empty);
        let text = ring();
        assert_eq!(refused(&format!("{text}{}", text.lines().last().unwrap())), KeyError::Repeated(8));
        let has = |line: &&str| !line.starts_with("token") && !line.starts_with("audit");
        let without: String = text.lines().filter(has).map(|l| format!("{l}\n")).collect();
        assert_eq!(refused(&without), KeyError::Missing(vec!["audit", "token"]));
        let sentence = refused(&without).to_string();
        assert!(sentence.contains("no line for audit, token") && !sentence.contains("generate"), "{sentence}");
    }
}
