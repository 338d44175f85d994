//! Check values: what a database keeps of each key of the ring, so that another key in its place is noticed
//! before it seals or signs anything.

use crate::{Purpose, TAG_LENGTH, TagKey};

/// A key by its purpose and id, and a value that tells whether two keys are the same one, and nothing else
/// about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCheck {
    /// What the key is for.
    pub purpose: Purpose,
    /// Its id among those of one purpose.
    pub id: u32,
    /// A keyed tag under the key itself.
    pub value: [u8; TAG_LENGTH],
}

impl KeyCheck {
    pub(crate) fn of(purpose: Purpose, id: u32, key: &[u8]) -> Self {
        // No other use of a key has this domain, and the keys that seal make no other tags.
        let value = TagKey::new(id, key).tag("key-check", &[purpose.name().as_bytes(), &id.to_be_bytes()]);
        Self { purpose, id, value }
    }

    /// The beginning of the value, for people to compare.
    pub fn short(&self) -> String {
        self.value.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// In what a key differs from those with which a database was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    /// Its line holds another key.
    Other,
    /// It has no line.
    Missing,
    /// It would come into use, and nothing that its predecessor made could be found any more.
    Unfit,
}

/// Why a keyring is not the one of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherKeys(Vec<(Purpose, u32, Difference)>);

impl std::error::Error for OtherKeys {}

impl std::fmt::Display for OtherKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let one = |(purpose, id, difference): &(Purpose, u32, Difference)| {
            let name = purpose.name();
            match difference {
                Difference::Other => format!("its {name} key {id} is another one"),
                Difference::Missing => format!("{name} key {id} is missing"),
                Difference::Unfit => format!("{name} key {id} is new, and a {name} key cannot be replaced"),
            }
        };
        let differences: Vec<String> = self.0.iter().map(one).collect();
        write!(
            f,
            "The keyring does not belong to this database: {}. Give the keyring with which the database was made, with \
             --keyring-file FILE.",
            differences.join(", ")
        )
    }
}

/// Compares the keys of a ring with those that a database knows: what of the ring is new to it.
pub(crate) fn compare<'a>(ring: &'a [KeyCheck], known: &[KeyCheck]) -> Result<Vec<&'a KeyCheck>, OtherKeys> {
    let same = |a: &KeyCheck, b: &KeyCheck| (a.purpose, a.id) == (b.purpose, b.id);
    let mut differences = Vec::new();
    for known in known {
        match ring.iter().find(|key| same(key, known)) {
            None => differences.push((known.purpose, known.id, Difference::Missing)),
            Some(key) if key.value != known.value => differences.push((key.purpose, key.id, Difference::Other)),
            Some(_) => {}
        }
    }
    let new: Vec<&KeyCheck> = ring.iter().filter(|key| !known.iter().any(|known| same(key, known))).collect();
    let hashed = |key: &&&KeyCheck| key.purpose == Purpose::Lookup && known.iter().any(|k| k.purpose == key.purpose);
    differences.extend(new.iter().filter(hashed).map(|key| (key.purpose, key.id, Difference::Unfit)));
    if differences.is_empty() { Ok(new) } else { Err(OtherKeys(differences)) }
}

#[cfg(test)]
mod tests {
    use crate::{Keyring, SystemRandom};

    /// A ring, and the text of another one.
    fn rings() -> (String, String) {
        let text = || Keyring::generate(&SystemRandom, "2025-01-15").unwrap().reveal().to_owned();
        (text(), text())
    }

    fn line<'a>(text: &'a str, purpose: &str) -> &'a str {
        text.lines().find(|line| line.starts_with(purpose)).unwrap()
    }

    #[test]
    fn each_exchanged_key_is_named() {
        let (text, other) = rings();
        let known = text.parse::<Keyring>().unwrap().checks().to_vec();
        assert_eq!(text.parse::<Keyring>().unwrap().compare(&known), Ok(Vec::new()));
        for purpose in ["master", "lookup", "audit", "actor", "place", "token"] {
            let mixed: Keyring = text.replace(line(&text, purpose), line(&other, purpose)).parse().unwrap();
            let refused = mixed.compare(&known).unwrap_err().to_string();
            assert!(refused.contains(&format!(": its {purpose} key 1 is another one. ")), "{refused}");
            assert!(refused.contains("--keyring-file"), "{refused}");
        }
        let refused = other.parse::<Keyring>().unwrap().compare(&known).unwrap_err().to_string();
        assert_eq!(refused.matches("another one").count(), 6, "{refused}");
    }

    #[test]
    fn keys_may_be_added_but_none_may_go() {
        let (text, other) = rings();
        let known = text.parse::<Keyring>().unwrap().checks().to_vec();
        let second = |purpose: &str| line(&other, purpose).replacen(" 1 ", " 2 ", 1);
        let added = format!("{text}{}\n{}\n", second("master"), second("audit"));
        let rotated: Keyring = added.parse().unwrap();
        let new: Vec<_> =
            rotated.compare(&known).unwrap().into_iter().map(|key| (key.purpose.name(), key.id)).collect();
        assert_eq!(new, [("master", 2), ("audit", 2)]);
        let replaced: Keyring = text.replace(line(&text, "master"), &second("master")).parse().unwrap();
        assert!(replaced.compare(&known).unwrap_err().to_string().contains("master key 1 is missing"));
        let known = rotated.checks().to_vec();
        let refused = text.parse::<Keyring>().unwrap().compare(&known).unwrap_err().to_string();
        assert!(refused.contains("master key 2 is missing, audit key 2 is missing"), "{refused}");
        // What the first one hashed would not be found under the second.
        let lookup: Keyring = format!("{added}{}\n", second("lookup")).parse().unwrap();
        assert!(lookup.compare(&known).unwrap_err().to_string().contains("lookup key 2 is new"));
    }

    #[test]
    fn a_key_has_another_value_under_another_name() {
        let (text, _) = rings();
        let renamed = text.replacen("master 1", "master 2", 1);
        let values = |text: &str| text.parse::<Keyring>().unwrap().checks().iter().map(|c| c.value).collect::<Vec<_>>();
        assert_ne!(values(&text)[0], values(&renamed)[0]);
        let words = line(&text, "master").split_whitespace().last().unwrap();
        let one_key_for_all: String =
            text.lines().map(|l| l.replace(l.split_whitespace().last().unwrap(), words) + "\n").collect();
        let mut all = values(&one_key_for_all);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
    }
}
