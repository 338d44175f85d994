//! The search of staff for customers: what may be asked for, and the words under which names and streets are found.
//!
//! Both sides go through this module: what is stored is hashed by [`name_words`] and [`street_words`], what is asked for
//! is read by [`Wanted`]. A word that one side cuts differently is never found.

use schemars::JsonSchema;

use crate::{
    customers::CustomerType,
    input,
    input::{At, FieldError, FromInput, Node},
    personal::Personal,
    status::Status,
    time::LocalDate,
    values::{AccountNumber, EmailAddress, EsiId, MeterNumber, PhoneNumber, SearchText, fold},
};

/// Prefixes have this many letters.
pub const PREFIX: std::ops::RangeInclusive<usize> = 3..=8;
/// Words, e-mail address and telephone number that one search names at most.
pub const MOST_TERMS: usize = 7;
/// Customers on a page, unless the search says otherwise.
const PAGE: i64 = 20;
/// Customers on a page at most.
pub const MOST: i64 = 100;

/// What the Postal Service shortens (Publication 28, appendices B and C1), as far as Texan streets have it.
const SHORT: [(&str, &str); 24] = [
    ("alley", "aly"),
    ("avenue", "ave"),
    ("boulevard", "blvd"),
    ("circle", "cir"),
    ("court", "ct"),
    ("cove", "cv"),
    ("drive", "dr"),
    ("east", "e"),
    ("freeway", "fwy"),
    ("highway", "hwy"),
    ("lane", "ln"),
    ("loop", "lp"),
    ("north", "n"),
    ("parkway", "pkwy"),
    ("place", "pl"),
    ("road", "rd"),
    ("south", "s"),
    ("square", "sq"),
    ("street", "st"),
    ("terrace", "ter"),
    ("trail", "trl"),
    ("west", "w"),
    ("crossing", "xing"),
    ("ranch", "rnch"),
];

/// A word's letters and digits; of a word that has none, what it has.
fn letters(word: &str) -> String {
    let letters: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
    if letters.is_empty() { word.to_owned() } else { letters }
}

/// The words of a text: `O'Brien-Smith` is `obriensmith`, `obrien` and `smith`.
fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for word in fold(text).split(' ').filter(|word| !word.is_empty()) {
        all.push(letters(word));
        if word.contains('-') {
            all.extend(word.split('-').filter(|part| !part.is_empty()).map(letters));
        }
    }
    all
}

/// What a text is found by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words {
    /// Whole words.
    pub whole: Vec<String>,
    /// The first letters of each.
    pub prefixes: Vec<String>,
}

fn found_by(text: &str, shorten: fn(String) -> String) -> Words {
    let words = words(text);
    let prefixes = words.iter().flat_map(|word| PREFIX.filter_map(|length| prefix(word, length))).collect();
    Words { whole: words.into_iter().map(shorten).collect(), prefixes }
}

/// The first `length` letters of a word that has so many.
fn prefix(word: &str, length: usize) -> Option<String> {
    let letters: String = word.chars().take(length).collect();
    (letters.chars().count() == length).then_some(letters)
}

/// What a name is found by.
pub fn name_words(name: &str) -> Words {
    found_by(name, |word| word)
}

/// What a street is found by: `Street` and `St` are one word.
pub fn street_words(street: &str) -> Words {
    found_by(street, shortened)
}

fn shortened(word: String) -> String {
    let short = SHORT.iter().find(|(long, _)| *long == word);
    short.map_or(word, |(_, short)| (*short).to_owned())
}

/// A word that a search asks for.
#[derive(Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The whole word.
    Whole(String),
    /// A word that begins so: at most as many letters as are kept.
    Prefix(String),
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wanted(..)")
    }
}

impl Wanted {
    fn of(text: &str, shorten: fn(String) -> String) -> Vec<Self> {
        let folded = fold(text);
        let word = |word: &str| match word.strip_suffix('*') {
            Some(start) => Self::Prefix(letters(start).chars().take(*PREFIX.end()).collect()),
            None => Self::Whole(shorten(letters(word))),
        };
        folded.split(' ').filter(|word| !word.is_empty()).map(word).collect()
    }

    /// The words of a name that is asked for.
    pub fn of_name(text: &str) -> Vec<Self> {
        Self::of(text, |word| word)
    }

    /// The words of a street that is asked for.
    pub fn of_street(text: &str) -> Vec<Self> {
        Self::of(text, shortened)
    }
}

/// Checks that each prefix of a search text has letters enough.
///
/// # Errors
/// `prefix-too-short`.
pub fn check_prefixes(text: &str) -> Result<(), FieldError> {
    let folded = fold(text);
    let mut starts = folded.split(' ').filter_map(|word| word.strip_suffix('*'));
    if starts.any(|start| start.chars().filter(|c| c.is_alphanumeric()).count() < *PREFIX.start()) {
        let message = "Write at least three letters before an asterisk, or the whole word without one.";
        return Err(FieldError::new("prefix-too-short", message));
    }
    Ok(())
}

/// How many customers a page holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct PageSize(#[schemars(range(min = 1, max = 100))] pub i64);

impl FromInput for PageSize {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        input::number(node, at, |text| match text.parse() {
            Ok(number @ 1..=MOST) => Ok(Self(number)),
            _ => Err(FieldError::new("out-of-range", format!("Write a whole number from 1 to {MOST}."))),
        })
    }
}

/// Where a page begins: what the page before said.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(transparent)]
pub struct Cursor(#[schemars(length(max = 200), regex(pattern = "^[A-Za-z0-9_-]+$"))] pub String);

impl FromInput for Cursor {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        input::text(node, at, |text| Ok(Self(text.to_owned())))
    }
}

input! {
    /// What a customer is searched by: at least one member but `limit` and `cursor`. All that is given must hold. A
    /// word that ends with an asterisk is a prefix of three letters or more, of which the first eight count.
    Search {
        /// The whole address, in capitals or not.
        email: Option<EmailAddress> = "email",
        /// In any form, without an extension.
        phone: Option<PhoneNumber> = "phone",
        /// Words of the name of a person or business, in any order: `smith`, `obri*`.
        name: Option<SearchText> = "name",
        /// Words of the name of a business.
        business_name: Option<SearchText> = "businessName",
        /// Words of the street line of a premise, present or past: `123 main st`.
        street: Option<SearchText> = "street",
        /// The number on the bill.
        account_number: Option<AccountNumber> = "accountNumber",
        /// The number on a meter at a premise, present or past.
        meter_number: Option<MeterNumber> = "meterNumber",
        /// The market's id of a service point at a premise, present or past.
        esi_id: Option<EsiId> = "esiId",
        /// Where the customer is in their life.
        status: Option<Status> = "status",
        /// Person or business.
        kind: Option<CustomerType> = "type",
        /// The first local date on which the customer came.
        created_from: Option<LocalDate> = "createdFrom",
        /// The local date before which the customer came.
        created_to: Option<LocalDate> = "createdTo",
        /// Customers on a page; 20 unless it is given.
        limit: Option<PageSize> = "limit",
        /// The `nextCursor` of the page before, with the same search.
        cursor: Option<Cursor> = "cursor",
    }
}

impl Search {
    /// How many customers a page holds.
    pub fn page(&self) -> i64 {
        self.limit.map_or(PAGE, |PageSize(number)| number)
    }

    /// Checks what only all members together show.
    ///
    /// # Errors
    /// `missing` where nothing is asked for, `too-many-words` where too much is, `invalid-window` where no date fits.
    #[expect(clippy::disallowed_methods, reason = "the words are counted, and not kept")]
    pub fn check(&self) -> Result<(), FieldError> {
        let Self { email, phone, name, business_name, street, account_number, meter_number, esi_id, .. } = self;
        let words = [name, business_name, street].into_iter().flatten().map(|text| fold(text.reveal()));
        let words: usize = words.map(|text| text.split(' ').count()).sum();
        let terms = words + usize::from(email.is_some()) + usize::from(phone.is_some());
        let numbers = account_number.is_some() || meter_number.is_some() || esi_id.is_some();
        let rest = self.status.is_some() || self.kind.is_some() || self.created_from.or(self.created_to).is_some();
        if terms == 0 && !numbers && !rest {
            return Err(FieldError::new("missing", "Write at least one member to search by."));
        }
        if terms > MOST_TERMS {
            let message = format!("Write at most {MOST_TERMS} words, e-mail address and telephone number included.");
            return Err(FieldError::new("too-many-words", message));
        }
        if self.created_from.zip(self.created_to).is_some_and(|(from, to)| from >= to) {
            return Err(FieldError::new("invalid-window", "Write a createdFrom before createdTo."));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meets(stored: &str, wanted: &str, words: fn(&str) -> Words, of: fn(&str) -> Vec<Wanted>) -> bool {
        let Words { whole, prefixes } = words(stored);
        of(wanted).iter().all(|wanted| match wanted {
            Wanted::Whole(word) => whole.contains(word),
            Wanted::Prefix(start) => prefixes.contains(start),
        })
    }

    #[test]
    fn a_name_is_found_as_a_clerk_types_it() {
        for (stored, wanted) in [
            ("O'Brien", "OBRIEN"),
            ("O’Brien-Smith", "o'brien-smith"),
            ("O'Brien-Smith", "smith"),
            ("O'Brien-Smith", "obrien"),
            ("Smith", "O'Smith".trim_start_matches("O'")),
            ("Nguyễn", "nguyen"),
            ("Mary Ann", "ann mary"),
            ("Li", "LI"),
            ("Hernandez", "her*"),
            ("Hernandez", "hernande*"),
            ("Hernandez", "hernandez*"),
            ("O'Brien", "o'br*"),
            ("李小龍", "李小龍"),
            ("🦊", "🦊"),
        ] {
            assert!(meets(stored, wanted, name_words, Wanted::of_name), "{stored} by {wanted}");
        }
        for (stored, wanted) in [("Hernandez", "hern"), ("Smith", "mith"), ("Smith", "smi* jones"), ("Li", "lis*")] {
            assert!(!meets(stored, wanted, name_words, Wanted::of_name), "{stored} by {wanted}");
        }
    }

    #[test]
    fn a_street_is_found_by_its_short_words() {
        for (stored, wanted) in [
            ("123 Main Street", "123 main st"),
            ("123 Main St.", "main street 123"),
            ("9 North Elm Avenue", "9 n elm ave"),
            ("123 Main Street", "stre*"),
        ] {
            assert!(meets(stored, wanted, street_words, Wanted::of_street), "{stored} by {wanted}");
        }
        assert!(!meets("123 Main Street", "12 main", street_words, Wanted::of_street));
    }

    #[test]
    fn prefixes_have_three_letters() {
        for text in ["smi*", "o'br*", "smith li", "*smi"] {
            assert_eq!(check_prefixes(text), Ok(()), "{text}");
        }
        for text in ["*", "sm*", "smith o'b*"] {
            assert_eq!(check_prefixes(text).map_err(|error| error.code), Err("prefix-too-short"), "{text}");
        }
    }
}
