//! E-mail addresses and telephone numbers, read by well-kept libraries.

use email_address::Options;
use phonenumber::{Mode, metadata::DATABASE};
use unicode_normalization::UnicodeNormalization as _;

use super::text::free_text;
use crate::input::FieldError;
use crate::personal_types;

/// RFC 5321 section 4.5.3.1.3 bounds a path to 256 octets with its angle brackets.
const EMAIL_MAX: usize = 254;

fn email(text: &str) -> Result<String, FieldError> {
    let text = free_text(text, EMAIL_MAX)?;
    if text.len() > EMAIL_MAX {
        return Err(FieldError::new("too-long", "Enter an e-mail address of at most 254 bytes."));
    }
    let options = Options::default().without_display_text().without_domain_literal().with_required_tld();
    match email_address::EmailAddress::parse_with_options(&text, options) {
        Ok(_) => Ok(text),
        Err(_) => Err(FieldError::new("invalid-email", "Enter an e-mail address such as name@example.com.")),
    }
}

/// A telephone number taken apart.
struct Parts {
    /// E.164, without the extension.
    e164: String,
    /// As people write it, without the extension.
    shown: String,
    /// Digits behind an `x`.
    extension: Option<String>,
}

/// Numbers need only be *possible* (a known calling code, a length that its numbers have), never
/// *valid*: new ranges are opened faster than libraries learn of them.
fn phone_parts(text: &str) -> Option<Parts> {
    let plain: String = text.trim().nfkc().collect::<String>().to_ascii_lowercase();
    if !(7..=40).contains(&plain.chars().count()) {
        return None;
    }
    let (number, extension) = match plain.split_once(['x', '#', 'e', ';']) {
        None => (plain.as_str(), None),
        Some((number, rest)) => {
            let digits = rest.trim_start_matches(['x', 't', 'e', 'n', 's', 'i', 'o', '.', ':', '=', ' ']);
            let fits = (1..=7).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            (number.trim_end_matches([' ', ',']), Some(fits.then(|| digits.to_owned())?))
        }
    };
    // The library finds numbers within prose; a field is a number and nothing else.
    let number: String =
        number.chars().map(|c| if matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}') { '-' } else { c }).collect();
    let written = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '(' | ')' | '-' | '.' | '/');
    if !number.strip_prefix('+').unwrap_or(&number).chars().all(written) {
        return None;
    }
    let number = number.strip_prefix("011").map_or(number.clone(), |abroad| format!("+{abroad}"));
    let (e164, shown) = match number.strip_prefix('+') {
        Some(digits) => international(&number, digits)?,
        None => north_american(&number.chars().filter(char::is_ascii_digit).collect::<String>())?,
    };
    Some(Parts { e164, shown, extension })
}

/// Ten digits, or eleven that begin with the 1 for long distance.
fn north_american(digits: &str) -> Option<(String, String)> {
    let national = digits.strip_prefix('1').filter(|rest| rest.len() == 10).unwrap_or(digits);
    let (area, rest) = national.split_at_checked(3)?;
    let (exchange, line) = rest.split_at_checked(3)?;
    (line.len() == 4).then(|| (format!("+1{national}"), format!("({area}) {exchange}-{line}")))
}

/// A number with calling code. The library strips what looks like a national prefix even behind `+`
/// (the 8 of +7 800), so its reading counts only when the digits as written are not possible: then the
/// writer meant a prefix, as in `+44 (0)20`.
fn international(number: &str, digits: &str) -> Option<(String, String)> {
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    let read = || {
        let parsed = phonenumber::parse(None, number).ok()?;
        Some((parsed.code().value(), parsed.national().to_string()))
    };
    // No calling code is the beginning of another one (ITU-T E.164).
    let written = (1..=3).find_map(|length| {
        let (code, national) = digits.split_at_checked(length)?;
        let code = code.parse().ok().filter(|code| *code > 0 && DATABASE.by_code(code).is_some())?;
        Some((code, national.to_owned()))
    });
    let (code, national) = written.filter(possible).or_else(|| read().filter(possible))?;
    if code == 1 {
        return north_american(&national);
    }
    let e164 = format!("+{code}{national}");
    // Shown from E.164 alone, so that what is shown reads back as itself.
    let shown = phonenumber::parse(None, &e164).ok().and_then(|parsed| {
        use std::fmt::Write as _;
        let mut shown = String::new();
        write!(shown, "{}", parsed.format().mode(Mode::International)).ok()?;
        shown.chars().filter(char::is_ascii_digit).eq(e164.chars().skip(1)).then_some(shown)
    });
    let shown = shown.unwrap_or_else(|| format!("+{code} {national}"));
    Some((e164, shown))
}

/// Whether some kind of number of the calling code has this length.
fn possible((code, national): &(u16, String)) -> bool {
    let Ok(length) = u16::try_from(national.len()) else { return false };
    DATABASE.by_code(code).unwrap_or_default().into_iter().any(|region| {
        let kinds = region.descriptors();
        let listed = [kinds.fixed_line(), kinds.mobile(), kinds.toll_free(), kinds.voip(), kinds.uan()];
        listed.into_iter().flatten().any(|kind| kind.possible_length().contains(&length))
    })
}

fn phone(text: &str) -> Result<String, FieldError> {
    let Some(Parts { e164: _, shown, extension }) = phone_parts(text) else {
        return Err(FieldError::new(
            "invalid-phone",
            "Enter a telephone number such as (555) 123-4567, or +44 20 7946 0958 for another country.",
        ));
    };
    Ok(match extension {
        Some(extension) => format!("{shown} x{extension}"),
        None => shown,
    })
}

personal_types! {
    /// An e-mail address (RFC 5322 addr-spec, RFC 6531 letters allowed), at most 254 bytes.
    EmailAddress by email, schema
        {"type": "string", "format": "email", "minLength": 5, "maxLength": 254, "examples": ["john.smith@example.com"]};
    /// A telephone number. Those of North America are stored as `(555) 123-4567`, others in
    /// international form; numbers without `+` are read as numbers of the United States.
    PhoneNumber by phone, schema
        {"type": "string", "format": "phone", "minLength": 7, "maxLength": 40,
         "description": "A number of North America such as (555) 123-4567, others with + and calling code; x and an extension may follow.",
         "examples": ["(555) 123-4567", "+44 20 7946 0958", "(555) 123-4567 x12"]};
}

/// The form under which an e-mail address is looked up: lower case. The local part is case sensitive
/// by RFC 5321 only; no mailbox provider that people use keeps two by case.
pub fn fold_email(text: &str) -> String {
    text.trim().nfc().collect::<String>().to_lowercase().nfc().collect()
}

/// The form under which a telephone number is looked up: E.164 without extension; `None` for a text
/// that is no possible number.
pub fn fold_phone(text: &str) -> Option<String> {
    phone_parts(text).map(|parts| parts.e164)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_shown_as_people_write_them() {
        for (text, shown, e164) in [
            ("(555) 123-4567", "(555) 123-4567", "+15551234567"),
            ("(555) 987-6543", "(555) 987-6543", "+15559876543"),
            ("5551234567", "(555) 123-4567", "+15551234567"),
            ("+1 555.123.4567", "(555) 123-4567", "+15551234567"),
            ("1-555-123-4567", "(555) 123-4567", "+15551234567"),
            ("555\u{2011}123\u{2011}4567", "(555) 123-4567", "+15551234567"),
            ("(555) 123-4567 ext. 12", "(555) 123-4567 x12", "+15551234567"),
            ("(555) 123-4567x12", "(555) 123-4567 x12", "+15551234567"),
            ("+44 20 7946 0958", "+44 20 7946 0958", "+442079460958"),
            ("+1 011 555 1234", "(011) 555-1234", "+10115551234"),
            ("+1 155 123 4567", "(155) 123-4567", "+11551234567"),
            ("011 44 20 7946 0958", "+44 20 7946 0958", "+442079460958"),
            ("+44 (0)20 7946 0958", "+44 20 7946 0958", "+442079460958"),
            ("+44 1632 960960", "+44 1632 960960", "+441632960960"),
            ("+7 800 555 35 35", "+7 8005553535", "+78005553535"),
            ("+39 06 1234 5678", "+39 06 1234 5678", "+390612345678"),
            ("+52 55 1234 5678", "+52 55 1234 5678", "+525512345678"),
        ] {
            assert_eq!(phone(text).as_deref(), Ok(shown), "{text}");
            assert_eq!(phone(shown).as_deref(), Ok(shown), "{shown} stays");
            assert_eq!(fold_phone(text).as_deref(), Some(e164), "{text}");
        }
    }

    #[test]
    fn the_schema_takes_the_shortest_address() {
        use crate::personal::Personal as _;
        let schema = schemars::schema_for!(EmailAddress).to_value();
        assert!(EmailAddress::parse("a@b.c").is_ok());
        assert_eq!(schema["minLength"], "a@b.c".len());
    }

    #[test]
    fn what_cannot_be_a_number_is_refused() {
        for text in [
            "",
            "123",
            "123-4567",
            "555 123 456",
            "555 123 45678",
            "call 555 123 4567",
            "555 123 4567 evenings",
            "+999 123 456 789",
            "+44 1",
            "<script>",
            "+",
            "++15551234567",
            "(555) 123-4567 x123456789",
            &"5".repeat(10_000),
        ] {
            assert_eq!(phone(text).map_err(|e| e.code), Err("invalid-phone"), "{text}");
        }
    }

    #[test]
    fn addresses_are_read_by_the_standard() {
        for text in ["john.smith@example.com", "用户@例子.广告", "o'brien+bills@mail.example.co.uk"] {
            assert_eq!(email(text).as_deref(), Ok(text));
        }
        let long = format!("{}@{}.com", "a".repeat(64), "b.".repeat(100));
        for (text, code) in [
            ("", "blank"),
            ("john", "invalid-email"),
            ("john@localhost", "invalid-email"),
            ("John <john@example.com>", "invalid-email"),
            ("john@[127.0.0.1]", "invalid-email"),
            ("a@b@example.com", "invalid-email"),
            ("john smith@example.com", "invalid-email"),
            ("john\u{202E}@example.com", "forbidden-character"),
            ("john@example.com\r\nBcc: x@example.com", "forbidden-character"),
            (long.as_str(), "too-long"),
        ] {
            assert_eq!(email(text).map_err(|e| e.code), Err(code), "{text}");
        }
        assert_eq!(fold_email("John.Smith@Example.COM"), "john.smith@example.com");
    }

    proptest! {
        #[test]
        fn a_taken_number_parses_to_itself(text in "(\\+1? ?)?[0-9 ()x./-]{7,20}|\\+?[0-9]{10,13}") {
            if let Ok(taken) = phone(&text) {
                prop_assert_eq!(phone(&taken), Ok(taken.clone()), "{} {}", text, taken);
                prop_assert_eq!(fold_phone(&text), fold_phone(&taken));
            }
        }

        #[test]
        fn north_american_shapes_are_always_possible(text in "\\([2-9][0-9]{2}\\) [2-9][0-9]{2}-[0-9]{4}") {
            prop_assert_eq!(phone(&text), Ok(text));
        }

        #[test]
        fn no_text_breaks_the_readers(text in any::<String>()) {
            let _ = (phone(&text), email(&text));
        }
    }
}
