//! Names, and the parts of addresses.

use super::text::{free_text, line_pattern, two_lines, two_lines_pattern};
use crate::input::FieldError;
use crate::personal_types;

/// States, the District of Columbia, territories, freely associated states and military "states", as
/// the Postal Service abbreviates them (Publication 28, appendix B).
const STATES: [&str; 62] = [
    "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS", "KY", "LA", "ME",
    "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND", "OH", "OK", "OR", "PA",
    "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VA", "WA", "WV", "WI", "WY", "DC", "AS", "GU", "MP", "PR", "VI", "FM",
    "MH", "PW", "AA", "AE", "AP",
];

fn state(text: &str) -> Result<String, FieldError> {
    let raised = text.trim().to_ascii_uppercase();
    if STATES.contains(&raised.as_str()) {
        return Ok(raised);
    }
    Err(FieldError::new("invalid-state", "Enter the two letters of a state, such as TX."))
}

fn search_text(text: &str) -> Result<String, FieldError> {
    let text = free_text(text, 100)?;
    crate::search::check_prefixes(&text)?;
    Ok(text)
}

fn zip(text: &str) -> Result<String, FieldError> {
    let text = text.trim();
    let shape = match text.as_bytes() {
        five if five.len() == 5 => five.iter().all(u8::is_ascii_digit),
        [five @ .., b'-', a, b, c, d] if five.len() == 5 => five.iter().chain([a, b, c, d]).all(u8::is_ascii_digit),
        _ => false,
    };
    if shape {
        return Ok(text.to_owned());
    }
    Err(FieldError::new("invalid-zip", "Enter a ZIP code such as 75001 or 75001-1234."))
}

personal_types! {
    /// The name of a person, or one part of it: 1 to 100 characters.
    PersonName by |text| free_text(text, 100), schema
        {"type": "string", "minLength": 1, "maxLength": 100, "pattern": line_pattern(), "examples": ["John", "O'Brien-Smith"]};
    /// The name of a business: 1 to 200 characters.
    BusinessName by |text| free_text(text, 200), schema
        {"type": "string", "minLength": 1, "maxLength": 200, "pattern": line_pattern(), "examples": ["Acme Corporation"]};
    /// The name of a person or business as it stands on a letter: 1 to 201 characters.
    FullName by |text| free_text(text, 201), schema
        {"type": "string", "minLength": 1, "maxLength": 201, "pattern": line_pattern(), "examples": ["John Smith"]};
    /// Words that a name or a street is searched by: 1 to 100 characters. A word with an asterisk behind it is a prefix.
    SearchText by search_text, schema
        {"type": "string", "minLength": 1, "maxLength": 100, "pattern": line_pattern(), "examples": ["smith", "obri*"]};
    /// What a customer calls an account or a premise: 1 to 60 characters.
    Nickname by |text| free_text(text, 60), schema
        {"type": "string", "minLength": 1, "maxLength": 60, "pattern": line_pattern(), "examples": ["Lake house"]};
    /// The street line of a premise: 1 to 100 characters.
    Street by |text| free_text(text, 100), schema
        {"type": "string", "minLength": 1, "maxLength": 100, "pattern": line_pattern(), "examples": ["123 Main Street"]};
    /// The street part of a mailing address: one or two lines, 1 to 200 characters with the line feed.
    StreetLines by |text| two_lines(text, 200), schema
        {"type": "string", "minLength": 1, "maxLength": 200, "pattern": two_lines_pattern(),
         "examples": ["PO Box 1234", "c/o Acme Corporation\n123 Main Street"]};
    /// A unit within a building: 1 to 20 characters.
    Unit by |text| free_text(text, 20), schema
        {"type": "string", "minLength": 1, "maxLength": 20, "pattern": line_pattern(), "examples": ["Apt 4B"]};
    /// A city: 1 to 60 characters.
    City by |text| free_text(text, 60), schema
        {"type": "string", "minLength": 1, "maxLength": 60, "pattern": line_pattern(), "examples": ["Anytown"]};
    /// The two letters of a state or territory; lower case is accepted and raised.
    State by state, schema
        {"type": "string", "enum": STATES.as_slice(), "examples": ["TX"]};
    /// A ZIP code of five digits, or of nine as `75001-1234`.
    Zip by zip, schema
        {"type": "string", "minLength": 5, "maxLength": 10, "pattern": "^[0-9]{5}(-[0-9]{4})?$", "examples": ["75001", "75001-1234"]};
    /// What a neighbour says to a person about something: 1 to 300 characters.
    Remark by |text| free_text(text, 300), schema
        {"type": "string", "minLength": 1, "maxLength": 300, "pattern": line_pattern(), "examples": ["The place has another meter."]};
    /// What a customer and staff write to each other: 1 to 1,000 characters.
    Message by |text| free_text(text, 1_000), schema
        {"type": "string", "minLength": 1, "maxLength": 1000, "pattern": line_pattern(), "examples": ["We were away."]};
    /// How a payment method is shown, such as `Visa ending 4242`: 1 to 100 characters.
    Label by |text| free_text(text, 100), schema
        {"type": "string", "minLength": 1, "maxLength": 100, "pattern": line_pattern(), "examples": ["Visa ending 4242"]};
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema as _;

    use super::*;
    use crate::personal::Personal as _;

    #[test]
    fn zips_have_five_or_nine_digits() {
        for text in ["75001", "75001-1234", " 75001 "] {
            assert!(Zip::parse(text).is_ok(), "{text:?}");
        }
        for text in
            ["", "7500", "750011", "75001-", "75001-123", "75001 1234", "750011234", "٧٥٠٠١", "7500a", "75001-12345"]
        {
            let error = Zip::parse(text).unwrap_err();
            assert_eq!(
                (error.code, error.message.as_str()),
                ("invalid-zip", "Enter a ZIP code such as 75001 or 75001-1234.")
            );
        }
    }

    #[test]
    fn states_are_raised_and_known() {
        assert_eq!(State::parse(" tx "), Ok(State("TX".into())));
        assert_eq!(State::parse("AE"), Ok(State("AE".into())));
        for text in ["", "Texas", "XX", "T", "TXX", "ſt"] {
            assert_eq!(State::parse(text).unwrap_err().code, "invalid-state", "{text:?}");
        }
    }

    #[test]
    fn personal_texts_show_nothing_of_themselves() {
        let name = PersonName::parse("Nguyễn").unwrap();
        assert_eq!(format!("{name:?}"), "PersonName(..)");
        let error = PersonName::parse("secret\u{7}").unwrap_err();
        assert!(!error.message.contains("secret"));
    }

    #[test]
    fn examples_of_the_schemas_are_accepted() {
        fn check<T: crate::personal::Personal + schemars::JsonSchema>() {
            let schema = T::json_schema(&mut schemars::SchemaGenerator::default()).to_value();
            let examples = schema["examples"].as_array().unwrap();
            assert!(!examples.is_empty());
            for example in examples {
                assert!(T::parse(example.as_str().unwrap()).is_ok(), "{example}");
            }
        }
        check::<PersonName>();
        check::<BusinessName>();
        check::<Nickname>();
        check::<Street>();
        check::<StreetLines>();
        check::<Unit>();
        check::<City>();
        check::<State>();
        check::<Zip>();
        check::<Label>();
        check::<super::super::EmailAddress>();
        check::<super::super::PhoneNumber>();
        check::<super::super::EsiId>();
        assert!(!PersonName::inline_schema(), "shared among the components");
    }
}
