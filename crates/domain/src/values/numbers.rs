//! Account and meter numbers: not personal by themselves, and unsealed.

use crate::input::{At, FieldError, FromInput, Node, text};

macro_rules! plain_numbers {
    ($($(#[$doc:meta])* $name:ident, $length:expr, $allowed:expr, $code:literal, $message:literal, schema $schema:tt);+ $(;)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Reads one, trimmed.
            ///
            /// # Errors
            #[doc = concat!("`", $code, "` for another length or other characters.")]
            pub fn parse(text: &str) -> Result<Self, FieldError> {
                let text = text.trim();
                let fits = $length.contains(&text.len()) && text.bytes().all($allowed);
                fits.then(|| Self(text.to_owned())).ok_or_else(|| FieldError::new($code, $message))
            }
            /// Takes a text that was validated when it was stored.
            pub fn from_record(text: String) -> Self {
                Self(text)
            }
            /// The number as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromInput for $name {
            fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
                text(node, at, Self::parse)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
            fn inline_schema() -> bool {
                true
            }
        }
    )+};
}

plain_numbers! {
    /// An account number: ours, or one that an import brought along. Its check digit, if it has one, is
    /// never tested: imported numbers pass no common rule.
    AccountNumber, (4..=20), |b| b.is_ascii_digit() || b.is_ascii_uppercase() || b == b'-',
    "invalid-account-number", "Enter an account number of 4 to 20 digits, capital letters and hyphens.",
    schema {"type": "string", "minLength": 4, "maxLength": 20, "pattern": "^[0-9A-Z-]+$", "examples": ["1234567890"]};
    /// A meter number, unique per wires company.
    MeterNumber, (1..=30), |b| b.is_ascii_alphanumeric() || b == b'-',
    "invalid-meter-number", "Enter a meter number of 1 to 30 digits, letters and hyphens.",
    schema {"type": "string", "minLength": 1, "maxLength": 30, "pattern": "^[0-9A-Za-z-]+$", "examples": ["E-12345678"]};
    /// The market's code of why it will not do something.
    RejectionCode, (1..=40), |b| b.is_ascii_alphanumeric() || b == b'-',
    "invalid-code", "Write a code of 1 to 40 letters, digits and hyphens.",
    schema {"type": "string", "minLength": 1, "maxLength": 40, "pattern": "^[0-9A-Za-z-]+$", "examples": ["invalid-esi"]};
    /// The market's id of something that it reports.
    TransactionId, (1..=100), |b| b.is_ascii_alphanumeric() || b"-._:".contains(&b),
    "invalid-code", "Write 1 to 100 letters, digits, hyphens, dots, colons and underscores.",
    schema {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[0-9A-Za-z._:-]+$", "examples": ["T-1"]};
}

impl AccountNumber {
    /// A new number from 64 random bits: nine digits, the first not zero (spreadsheets drop it), and a
    /// check digit (ISO/IEC 7812-1, Luhn) for those who type it. Uniqueness is the database's to prove.
    pub fn issued(random: u64) -> Self {
        let nine = 100_000_000 + random % 900_000_000;
        let mut sum = 0;
        let mut rest = nine;
        let mut doubled = true;
        while rest > 0 {
            let digit = rest % 10;
            sum += if !doubled {
                digit
            } else if digit > 4 {
                digit * 2 - 9
            } else {
                digit * 2
            };
            doubled = !doubled;
            rest /= 10;
        }
        Self(format!("{nine}{}", (10 - sum % 10) % 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_is_all_that_is_tested() {
        for text in ["1234567890", "ACME-0001", "1001", "00000000000000000000"] {
            assert_eq!(AccountNumber::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "123", "123456789012345678901", "acme-1", "12 34", "12_34", "١٢٣٤"] {
            assert_eq!(AccountNumber::parse(text).unwrap_err().code, "invalid-account-number", "{text}");
        }
        assert_eq!(MeterNumber::parse("E-12345678").unwrap().to_string(), "E-12345678");
        for text in ["", "E/1", &"1".repeat(31)] {
            assert_eq!(MeterNumber::parse(text).unwrap_err().code, "invalid-meter-number", "{text}");
        }
    }

    #[test]
    fn issued_numbers_have_ten_digits_and_a_check_digit() {
        assert_eq!(AccountNumber::issued(0).as_str(), "1000000008");
        assert_eq!(AccountNumber::issued(899_999_999).as_str(), "9999999999");
        assert_eq!(AccountNumber::issued(23_456_789).as_str(), "1234567897");
        for random in [1, 12_345, u64::MAX] {
            let number = AccountNumber::issued(random);
            assert_eq!(number.as_str().len(), 10);
            assert_eq!(AccountNumber::parse(number.as_str()), Ok(number));
        }
    }

    #[test]
    fn on_the_wire_they_are_plain_strings() {
        let number = AccountNumber::parse("1234567890").unwrap();
        assert_eq!(serde_json::to_string(&number).unwrap(), "\"1234567890\"");
    }
}
