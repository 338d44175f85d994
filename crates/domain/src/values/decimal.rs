//! Money and quantities: integers inside, JSON numbers outside, never a float in between.

use serde_json::value::RawValue;

use crate::input::{At, FieldError, FromInput, Node, number};

/// Reads a JSON number (RFC 8259 section 6) without exponent as an integer of `10^-places`. Zeros at
/// the end of the decimals say nothing and are dropped.
fn decimal(text: &str, places: u32, max: i64) -> Result<i64, FieldError> {
    let wrong = || FieldError::new("invalid-number", "Write a number such as 142.50.");
    let too_many = || {
        FieldError::new("too-many-decimals", format!("Write a number with at most {places} decimals and no exponent."))
    };
    let out = || FieldError::new("out-of-range", "Write a number that is nearer to zero.");
    let (negative, plain) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    if plain.contains(['e', 'E']) {
        return Err(too_many());
    }
    let (whole, decimals) = plain.split_once('.').unwrap_or((plain, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || (whole.len() > 1 && whole.starts_with('0')) {
        return Err(wrong());
    }
    let decimals = decimals.trim_end_matches('0');
    let missing = usize::try_from(places).ok().and_then(|p| p.checked_sub(decimals.len())).ok_or_else(too_many)?;
    let units = format!("{whole}{decimals}{}", "0".repeat(missing)).parse::<i64>().map_err(|_| out())?;
    if units > max {
        return Err(out());
    }
    Ok(if negative { -units } else { units })
}

macro_rules! decimals {
    ($($(#[$doc:meta])* $name:ident, $places:literal, $max:expr, $from:ident, $get:ident, schema $schema:tt);+ $(;)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(i64);

        impl $name {
            /// The largest amount; the smallest is its negative.
            pub const MAX: Self = Self($max);
            /// Nothing.
            pub const ZERO: Self = Self(0);

            /// From the integer of the databases; `None` beyond [`Self::MAX`].
            pub const fn $from(units: i64) -> Option<Self> {
                if -$max <= units && units <= $max { Some(Self(units)) } else { None }
            }
            /// The integer of the databases.
            pub const fn $get(self) -> i64 {
                self.0
            }
            /// Reads the characters of a JSON number.
            ///
            /// # Errors
            /// `too-many-decimals` (also for exponents), `out-of-range`, `invalid-number`.
            pub fn parse(text: &str) -> Result<Self, FieldError> {
                decimal(text, $places, $max).map(Self)
            }
            /// The sum; `None` beyond [`Self::MAX`].
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                // Both lie far within i64.
                Self::$from(self.0 + other.0)
            }
            /// The difference; `None` beyond [`Self::MAX`].
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                Self::$from(self.0 - other.0)
            }
            /// The product; `None` beyond [`Self::MAX`].
            pub const fn checked_mul(self, factor: i64) -> Option<Self> {
                match self.0.checked_mul(factor) {
                    Some(units) => Self::$from(units),
                    None => None,
                }
            }
        }
        impl FromInput for $name {
            fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
                number(node, at, Self::parse)
            }
        }
        impl serde::Serialize for $name {
            /// A number in the characters of `Display`; `serde_json` alone can write it.
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                RawValue::from_string(self.to_string()).map_err(serde::ser::Error::custom)?.serialize(s)
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

decimals! {
    /// Dollars, in cents; positive is owed, negative is credit. At most 10 billion dollars either way.
    Money, 2, 1_000_000_000_000_i64, from_cents, cents,
    schema {"type": "number", "multipleOf": 0.01, "minimum": -10_000_000_000_i64, "maximum": 10_000_000_000_i64, "examples": [142.50]};
    /// A reading or a usage, in thousandths of its unit (kWh for electricity). At most 10^12 units either way.
    Quantity, 3, 1_000_000_000_000_000_i64, from_thousandths, thousandths,
    schema {"type": "number", "multipleOf": 0.001, "minimum": -1_000_000_000_000_i64, "maximum": 1_000_000_000_000_i64, "examples": [1245, 31.5]};
}

impl std::fmt::Display for Money {
    /// Two decimals, as `142.50` or `-3.05`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cents = self.0.unsigned_abs();
        write!(f, "{}{}.{:02}", if self.0 < 0 { "-" } else { "" }, cents / 100, cents % 100)
    }
}

impl std::fmt::Display for Quantity {
    /// No zeros at the end: `1245`, `31.5`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let thousandths = self.0.unsigned_abs();
        write!(f, "{}{}", if self.0 < 0 { "-" } else { "" }, thousandths / 1000)?;
        match thousandths % 1000 {
            0 => Ok(()),
            rest if rest % 100 == 0 => write!(f, ".{}", rest / 100),
            rest if rest % 10 == 0 => write!(f, ".{:02}", rest / 10),
            rest => write!(f, ".{rest:03}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn money_has_two_decimals() {
        for (text, cents, shown) in [
            ("142.50", 14_250, "142.50"),
            ("142.5", 14_250, "142.50"),
            ("-3.05", -305, "-3.05"),
            ("-0.05", -5, "-0.05"),
            ("0", 0, "0.00"),
            ("-0", 0, "0.00"),
            ("7.100", 710, "7.10"),
            ("10000000000", 1_000_000_000_000, "10000000000.00"),
        ] {
            let money = Money::parse(text).unwrap();
            assert_eq!((money.cents(), money.to_string().as_str()), (cents, shown));
        }
        for (text, code) in [
            ("0.001", "too-many-decimals"),
            ("1e2", "too-many-decimals"),
            ("1E400", "too-many-decimals"),
            ("10000000000.01", "out-of-range"),
            ("99999999999999999999999", "out-of-range"),
            ("", "invalid-number"),
            (".5", "invalid-number"),
            ("1.", "invalid-number"),
            ("+1", "invalid-number"),
            ("01", "invalid-number"),
            ("--1", "invalid-number"),
            ("NaN", "invalid-number"),
            ("٣", "invalid-number"),
        ] {
            assert_eq!(Money::parse(text).map_err(|e| e.code), Err(code), "{text}");
        }
    }

    #[test]
    fn the_wire_keeps_the_decimals() {
        #[derive(serde::Serialize)]
        struct Body {
            due: Money,
            credit: Option<Money>,
            value: Quantity,
        }
        let body = Body {
            due: Money::from_cents(14_250).unwrap(),
            credit: Money::from_cents(-305),
            value: Quantity::from_thousandths(31_500).unwrap(),
        };
        assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"due":142.50,"credit":-3.05,"value":31.5}"#);
    }

    #[test]
    fn sums_stop_at_the_bound() {
        let cent = Money::from_cents(1).unwrap();
        assert_eq!(Money::MAX.checked_add(cent), None);
        assert_eq!(Money::MAX.checked_sub(cent).map(Money::cents), Some(999_999_999_999));
        assert_eq!(Quantity::MAX.checked_mul(2), None);
        assert_eq!(Quantity::MAX.checked_mul(i64::MAX), None);
        assert_eq!(Money::from_cents(i64::MIN), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(units in -1_000_000_000_000_i64..=1_000_000_000_000) {
            let (money, quantity) = (Money::from_cents(units).unwrap(), Quantity::from_thousandths(units).unwrap());
            prop_assert_eq!(Money::parse(&money.to_string()), Ok(money));
            prop_assert_eq!(Quantity::parse(&quantity.to_string()), Ok(quantity));
        }
    }
}
