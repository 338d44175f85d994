//! The rule for free text: every script as it is, trimmed, NFC, bounded in characters; nothing that
//! cannot be seen and changes how the rest is read.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::canonical_combining_class;

use crate::input::FieldError;

/// Whether free text may hold this character.
///
/// Refused: controls, line and paragraph separators, embeddings, overrides and isolates of direction
/// (they make a line read as another one), private use, noncharacters (RFC 9839) and the planes where
/// nothing is assigned. Joiners, marks of direction, variation selectors and tags stay: names and emoji
/// need them. Unassigned characters of the planes in use stay too: the next edition of Unicode may name
/// them, and a name of that script must not wait for our next release.
fn allowed(c: char) -> bool {
    matches!(c,
        ' '..='~'
        | '\u{A0}'..='\u{2027}'
        | '\u{202F}'..='\u{2065}'
        | '\u{206A}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FDCF}'
        | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{1FFFD}'
        | '\u{20000}'..='\u{2FFFD}'
        | '\u{30000}'..='\u{3FFFD}'
        | '\u{E0020}'..='\u{E01EF}')
}

/// Whether the character shows nothing by itself (blanks, fillers of Hangul and Braille, joiners, marks of
/// direction, variation selectors, tags, accents without a letter): a text of these alone is blank.
fn invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c,
            '\u{AD}'
            // Combining diacritical marks, of letters and of symbols. Vowel signs are letters to their readers.
            | '\u{300}'..='\u{36F}'
            | '\u{61C}'
            | '\u{115F}'..='\u{1160}'
            | '\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2060}'..='\u{2065}'
            | '\u{20D0}'..='\u{20FF}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{E0020}'..='\u{E01EF}')
}

/// Trims, normalises to NFC and refuses what [`allowed`] refuses; `max` counts Unicode scalar values.
pub(super) fn free_text(text: &str, max: usize) -> Result<String, FieldError> {
    let text: String = text.trim().nfc().collect();
    if text.chars().all(invisible) {
        return Err(FieldError::new("blank", "Write at least one visible character."));
    }
    if !text.chars().all(allowed) {
        return Err(FieldError::new(
            "forbidden-character",
            "Leave out control characters, line breaks, text-direction overrides and private characters.",
        ));
    }
    if text.chars().nth(max).is_some() {
        return Err(FieldError::new("too-long", format!("Write at most {max} characters.")));
    }
    Ok(text)
}

/// Like [`free_text`], in at most two lines, none of them blank.
pub(super) fn two_lines(text: &str, max: usize) -> Result<String, FieldError> {
    let mut lines = text.trim().lines();
    let mut whole = free_text(lines.next().unwrap_or_default(), max)?;
    if let Some(second) = lines.next() {
        whole.push('\n');
        whole.push_str(&free_text(second, max)?);
    }
    if lines.next().is_some() {
        return Err(FieldError::new("too-many-lines", "Write at most two lines."));
    }
    if whole.chars().nth(max).is_some() {
        return Err(FieldError::new("too-long", format!("Write at most {max} characters.")));
    }
    Ok(whole)
}

/// A character class (ECMA-262, also read so by Python and Rust) of what the predicate accepts.
fn class(accepted: impl Fn(char) -> bool) -> String {
    use std::fmt::Write as _;
    let mut class = String::new();
    let mut end = |c: char| {
        // Writing to a String cannot fail. `\u` reaches to U+FFFF everywhere; beyond, notations differ.
        let _ = match u32::from(c) {
            0x20..0x7F | 0x1_0000.. => write!(class, "{c}"),
            code => write!(class, "\\u{code:04X}"),
        };
    };
    let mut open: Option<(char, char)> = None;
    for c in ('\0'..=char::MAX).filter(|c| accepted(*c)) {
        open = match open {
            Some((first, last)) if u32::from(last) + 1 == u32::from(c) => Some((first, c)),
            Some((first, last)) => {
                range(first, last, &mut end);
                Some((c, c))
            }
            None => Some((c, c)),
        };
    }
    if let Some((first, last)) = open {
        range(first, last, &mut end);
    }
    format!("[{class}]")
}

fn range(first: char, last: char, end: &mut impl FnMut(char)) {
    end(first);
    if last > first {
        end('-');
        end(last);
    }
}

/// The class of all allowed characters, and one line of them with at least one that shows.
static LINE: LazyLock<String> = LazyLock::new(|| {
    let any = class(allowed);
    let visible = class(|c| allowed(c) && !invisible(c));
    format!("{any}*{visible}{any}*")
});

/// The JSON Schema pattern of [`free_text`].
pub(super) fn line_pattern() -> String {
    format!("^{}$", *LINE)
}

/// The JSON Schema pattern of [`two_lines`].
pub(super) fn two_lines_pattern() -> String {
    format!("^{line}(\\n{line})?$", line = *LINE)
}

/// The normal form under which names and addresses are looked up: compatibility forms unified (NFKC),
/// lower case, accents dropped, apostrophes made one, runs of blanks one space. What a clerk types
/// (`nguyen`, `O’BRIEN`) meets what the customer wrote (`Nguyễn`, `O'Brien`).
pub fn fold(text: &str) -> String {
    let lower: String = text.nfkd().collect::<String>().to_lowercase();
    let mut folded = String::with_capacity(lower.len());
    for c in lower.nfkd() {
        match c {
            // Accents of Latin, Greek and Cyrillic, points of Hebrew and Arabic. Vowel signs, viramas,
            // nuktas and kana voicing (other classes) make other letters and stay.
            c if matches!(canonical_combining_class(c), 10..=35 | 202..=240) => {}
            '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' => {}
            // Letters that Unicode does not take apart.
            'đ' | 'ð' => folded.push('d'),
            'ł' => folded.push('l'),
            'ø' => folded.push('o'),
            'ı' => folded.push('i'),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ς' => folded.push('σ'),
            '\u{2018}' | '\u{2019}' | '\u{2BC}' | '`' => folded.push('\''),
            '\u{2010}'..='\u{2015}' => folded.push('-'),
            c => folded.push(c),
        }
    }
    folded.split_whitespace().collect::<Vec<_>>().join(" ").nfkc().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> Result<String, &'static str> {
        free_text(text, 100).map_err(|e| e.code)
    }

    #[test]
    fn every_script_is_taken_as_it_is() {
        for text in [
            "O'Brien-Smith",
            "Nguyễn",
            "محمد بن سلمان",
            "שרה כהן",
            "李小龍",
            "👩\u{200D}👩\u{200D}👧 house",
            "می\u{200C}خواهم",
            "葛\u{E0100}城",
            "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}",
            "<script>",
            "'; DROP TABLE",
            "PO Box 1234",
            "1/2 Main St",
            "County Road 12",
            "a\u{200F}b",
        ] {
            assert_eq!(code(text), Ok(text.to_owned()), "{text:?}");
        }
        assert_eq!(code(" \u{3000}e\u{301} \n"), Ok("é".to_owned()), "trimmed and composed");
    }

    #[test]
    fn what_deceives_or_shows_nothing_is_refused() {
        for text in ["", "  ", "\u{200B}\u{200D}", "\t\n", "\u{AD}", "\u{301}", "\u{323} \u{301}", "\u{20DD}"] {
            assert_eq!(code(text), Err("blank"), "{text:?}");
        }
        for nothing in [
            '\u{34F}',
            '\u{61C}',
            '\u{115F}',
            '\u{1160}',
            '\u{180E}',
            '\u{2062}',
            '\u{2800}',
            '\u{3164}',
            '\u{FE00}',
            '\u{FE0F}',
            '\u{FFA0}',
            '\u{E0020}',
            '\u{E01EF}',
        ] {
            assert_eq!(code(&format!("{nothing} {nothing}")), Err("blank"), "{:x}", u32::from(nothing));
            let within = format!("a{nothing}b");
            assert_eq!(code(&within), Ok(within), "{:x}", u32::from(nothing));
        }
        for bad in [
            '\0',
            '\u{7}',
            '\t',
            '\n',
            '\u{7F}',
            '\u{85}',
            '\u{202A}',
            '\u{202E}',
            '\u{2066}',
            '\u{2069}',
            '\u{2028}',
            '\u{2029}',
            '\u{FDD0}',
            '\u{FFFE}',
            '\u{1FFFF}',
            '\u{E000}',
            '\u{F0000}',
            '\u{10FFFD}',
            '\u{40000}',
        ] {
            assert_eq!(code(&format!("a{bad}b")), Err("forbidden-character"), "{:x}", u32::from(bad));
        }
        assert_eq!(code(&"x".repeat(10_000)), Err("too-long"));
        assert!(code(&"\u{1F600}".repeat(100)).is_ok(), "bounded in characters, not in bytes");
        assert_eq!(code(&"\u{1F600}".repeat(101)), Err("too-long"));
        assert!(code(&"e\u{301}".repeat(100)).is_ok(), "counted after NFC");
    }

    #[test]
    fn two_lines_and_no_more() {
        let lines = |text| two_lines(text, 20).map_err(|e| e.code);
        assert_eq!(lines(" PO Box 7 \r\n Suite 2 \n"), Ok("PO Box 7\nSuite 2".into()));
        assert_eq!(lines("PO Box 7"), Ok("PO Box 7".into()));
        assert_eq!(lines("a\nb\nc"), Err("too-many-lines"));
        assert_eq!(lines("a\n\nc"), Err("blank"));
        assert_eq!(lines(""), Err("blank"));
        assert_eq!(lines("a\tb"), Err("forbidden-character"));
        assert_eq!(lines("0123456789\n0123456789"), Err("too-long"));
    }

    #[test]
    fn the_pattern_is_readable_and_says_the_same() {
        let pattern = line_pattern();
        assert!(pattern.starts_with("^[ -~\\u00A0-\\u2027\\u202F-\\u2065\\u206A-\\uD7FF\\uF900-"), "{pattern}");
        assert!(pattern.contains("*[!-~\\u00A1-\\u00AC\\u00AE-"), "{pattern}");
        assert!(pattern.len() < 500, "{}", pattern.len());
    }

    #[test]
    fn folding_unifies_what_people_type() {
        for (left, right) in [
            ("Nguyễn", "NGUYEN"),
            ("Đặng", "dang"),
            ("O’Brien", "o'brien"),
            ("Straße", "STRASSE"),
            ("123  Main\u{A0}Street", "123 main street"),
            ("İstanbul", "istanbul"),
            ("Ｍain", "main"),
            ("ΟΔΟΣ", "οδοσ"),
            ("José", "Jose\u{301}"),
        ] {
            assert_eq!(fold(left), fold(right), "{left} {right}");
        }
        assert_ne!(fold("がか"), fold("かか"), "voicing makes another letter");
        assert_ne!(fold("कि"), fold("का"), "vowel signs make another syllable");
        assert_ne!(fold("Ann"), fold("Anna"));
    }

    proptest! {
        #[test]
        fn a_taken_text_parses_to_itself(text in "\\PC{0,120}") {
            if let Ok(taken) = free_text(&text, 100) {
                prop_assert_eq!(free_text(&taken, 100), Ok(taken.clone()));
                prop_assert!(taken.chars().count() <= 100);
            }
        }

        #[test]
        fn folding_is_stable(text in any::<String>()) {
            let folded = fold(&text);
            prop_assert_eq!(fold(&folded), folded);
        }
    }
}
