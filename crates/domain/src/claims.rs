//! Claim codes: how a person who signs in for the first time shows that they are a customer whom staff made.

use crate::{
    ids::AccountId,
    input,
    input::{At, FieldError, FromInput, Node},
    time::{HOUR, Instant},
    values::AccountNumber,
};

/// Letters and digits that nobody takes for others when they are read out or written by hand.
const ALPHABET: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";
/// How many of them: 49 bits.
const LENGTH: usize = 10;
/// How long a code counts: a week.
pub const LIFETIME: i64 = 7 * 24 * HOUR;
/// How often it may be mistyped.
pub const TRIES: i64 = 5;

/// A claim code as it is compared: without hyphens and blanks, in capitals. Like a password it is shown once and
/// stored as a keyed hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClaimCode([u8; LENGTH]);

impl ClaimCode {
    /// Makes a code of random bytes; `None` when they hold too few that count.
    pub fn of(random: &[u8]) -> Option<Self> {
        // 240 of the 256 values: each letter is as likely as the others.
        let usable = random.iter().filter(|byte| usize::from(**byte) < 8 * ALPHABET.len());
        let letters = usable.filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()));
        let letters: Vec<u8> = letters.copied().take(LENGTH).collect();
        letters.try_into().ok().map(Self)
    }

    /// Reads what somebody typed. What no code looks like is `None`: it fits to nothing.
    pub fn read(text: &str) -> Option<Self> {
        let typed = text.bytes().filter(|byte| !matches!(byte, b' ' | b'-')).map(|byte| byte.to_ascii_uppercase());
        let letters: Vec<u8> = typed.take(LENGTH + 1).collect();
        letters.try_into().ok().map(Self)
    }

    /// What is compared.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As it is given to the customer: `7K2M9-QXDAB`.
    pub fn written(&self) -> String {
        let letters: String = self.0.iter().copied().map(char::from).collect();
        let (first, second) = letters.split_at_checked(LENGTH / 2).unwrap_or((&letters, ""));
        format!("{first}-{second}")
    }
}

impl std::fmt::Debug for ClaimCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClaimCode(..)")
    }
}

/// What somebody typed as a claim code.
#[derive(Debug, Clone, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(transparent)]
pub struct TypedCode(#[schemars(with = "String", length(min = 1, max = 40))] pub Option<ClaimCode>);

impl FromInput for TypedCode {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        input::text(node, at, |text| match text.chars().count() {
            0 => Err(FieldError::new("blank", "Write the code from the letter.")),
            1..=40 => Ok(Self(ClaimCode::read(text))),
            _ => Err(FieldError::new("too-long", "Write at most 40 characters.")),
        })
    }
}

/// A code that was issued: what its answer shows, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuedCode {
    /// The account with whose number it counts.
    pub account: AccountId,
    /// The code.
    pub code: ClaimCode,
    /// From when on it does not count any more.
    pub expires_at: Instant,
}

input! {
    /// A code for the customer of an account. One that was issued for the account before counts no more.
    CodeRequest {
        /// An account of the customer.
        account_id: AccountId = "accountId",
    }
}

input! {
    /// The person who is signed in is the customer of this account.
    Claim {
        /// The number on the bill.
        account_number: AccountNumber = "accountNumber",
        /// The code, with or without its hyphen, in capitals or not.
        code: TypedCode = "code",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_they_are_typed() {
        let code = ClaimCode::of(&[0, 255, 29, 31, 4, 5, 6, 7, 8, 9, 10, 11]).unwrap();
        assert_eq!(code.written(), "2Z367-89ABC", "255 is passed over: it would favour some letters");
        for typed in ["2Z367-89ABC", "2z36789abc", " 2z36 789a bc "] {
            assert_eq!(ClaimCode::read(typed), Some(code), "{typed}");
        }
        for typed in ["", "2Z367-89AB", "2Z367-89ABCD", "ß"] {
            assert_eq!(ClaimCode::read(typed), None, "{typed}");
        }
        assert_eq!(ClaimCode::of(&[250; 40]), None);
        assert_eq!(format!("{code:?}"), "ClaimCode(..)");
        assert!(ALPHABET.iter().all(|letter| !b"01ILOU".contains(letter)));
    }
}
