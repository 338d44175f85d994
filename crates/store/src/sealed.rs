//! Sealed columns. Each row's personal data is one record: a version byte and a private struct of the
//! slice as JSON, sealed for its customer, table and row.

use crypto::{Context, DataKey};
use domain::ids::{CustomerId, Id};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::StoreError;

/// What a row keeps sealed. Implementors are private to their slice, one struct a released version, made
/// and taken apart by exhaustive destructuring.
pub(crate) trait SealedRow: Serialize + DeserializeOwned {
    /// The table, part of the additional data.
    const TABLE: &'static str;
    /// The version of this struct: the first byte of the plaintext.
    const VERSION: u8;
}

pub(crate) fn seal<R: SealedRow>(
    key: &DataKey,
    customer: CustomerId,
    row: i64,
    value: &R,
) -> Result<Vec<u8>, StoreError> {
    seal_at(key, customer.get(), row, value)
}

pub(crate) fn open<R: SealedRow>(
    key: &DataKey,
    customer: CustomerId,
    row: i64,
    record: &[u8],
) -> Result<R, StoreError> {
    open_at(key, customer.get(), row, record)
}

/// Seals what belongs to a place, under the place key.
pub(crate) fn seal_place<R: SealedRow>(key: &DataKey, row: i64, value: &R) -> Result<Vec<u8>, StoreError> {
    seal_at(key, 0, row, value)
}

/// Opens what belongs to a place.
pub(crate) fn open_place<R: SealedRow>(key: Option<&DataKey>, row: i64, record: &[u8]) -> Result<R, StoreError> {
    let key = key.ok_or_else(|| wrong::<R>(row, "its place key is not in the keyring".into()))?;
    open_at(key, 0, row, record)
}

fn wrong<R: SealedRow>(row: i64, reason: String) -> StoreError {
    StoreError::Sealed { table: R::TABLE, row, reason }
}

fn seal_at<R: SealedRow>(key: &DataKey, customer: i64, row: i64, value: &R) -> Result<Vec<u8>, StoreError> {
    let mut plaintext = Zeroizing::new(vec![R::VERSION]);
    serde_json::to_writer(&mut *plaintext, value).map_err(|_| wrong::<R>(row, "it does not encode".into()))?;
    let context = Context { customer, table: R::TABLE, row };
    key.seal(&context, &plaintext).map_err(|e| wrong::<R>(row, e.to_string()))
}

fn open_at<R: SealedRow>(key: &DataKey, customer: i64, row: i64, record: &[u8]) -> Result<R, StoreError> {
    let context = Context { customer, table: R::TABLE, row };
    let plaintext = key.open(&context, record).map_err(|e| wrong::<R>(row, e.to_string()))?;
    match plaintext.split_first() {
        // The parser's message may quote the text: it is not passed on.
        Some((version, json)) if *version == R::VERSION => {
            serde_json::from_slice(json).map_err(|_| wrong::<R>(row, "its plaintext does not decode".into()))
        }
        _ => Err(wrong::<R>(row, "its plaintext has a version that this binary does not know".into())),
    }
}

/// Reveals personal values for their row's codec.
macro_rules! reveal {
    ($value:expr) => {{
        #[expect(clippy::disallowed_methods, reason = "a row codec: the text is sealed right here")]
        let text = domain::personal::Personal::reveal($value).to_owned();
        text
    }};
}
pub(crate) use reveal;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        accounts::AccountSealedV1,
        customers::CustomerSealedV1,
        enrollments::EnrollmentSealedV1,
        idempotency::IdempotencySealedV1,
        moves::MoveSealedV1,
        preferences::{PaymentMethodSealedV1, PreferenceSealedV1},
        premises::{PremiseSealedV1, ServicePointSealedV1},
        questions::QuestionSealedV1,
    };

    /// The key of the fixtures: sealed for customer 1, row 7.
    fn key() -> DataKey {
        DataKey::new(1, &[7; 32]).unwrap()
    }

    /// Opens a fixture of a released version and gives its plaintext back as this binary would write it.
    fn reopened<R: SealedRow>(record: &str) -> String {
        let row: R = open_at(&key(), 1, 7, &hex::decode(record.trim()).unwrap()).unwrap();
        serde_json::to_string(&row).unwrap()
    }

    macro_rules! fixtures {
        ($($row:ident $name:literal => $text:literal;)+) => {
            #[test]
            fn every_released_version_opens() {
                $(assert_eq!(reopened::<$row>(include_str!(concat!("../fixtures/", $name))), $text, $name);)+
            }

            /// Writes the fixture of a new version; released ones never change.
            #[test]
            #[ignore = "writes fixtures/, for a new version only"]
            fn write_missing_fixtures() {
                $(
                    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join($name);
                    if !path.exists() || std::fs::metadata(&path).unwrap().len() == 0 {
                        let row: $row = serde_json::from_str($text).unwrap();
                        std::fs::write(path, hex::encode(seal_at(&key(), 1, 7, &row).unwrap())).unwrap();
                    }
                )+
            }
        };
    }

    fixtures! {
        CustomerSealedV1 "customer.v1.hex" =>
            r#"{"first_name":"Siobhán","last_name":"O'Brien-Smith","business_name":null,"email":"s@example.com","phone":"(555) 123-4567"}"#;
        AccountSealedV1 "account.v1.hex" => r#"{"nickname":"Headquarters"}"#;
        PremiseSealedV1 "premise.v1.hex" =>
            r#"{"nickname":null,"street":"123 Main Street","unit":"4","city":"Anytown","state":"TX","zip":"75001"}"#;
        ServicePointSealedV1 "service_point.v1.hex" =>
            r#"{"esi_id":"10443720001234567","street":"123 MAIN ST","unit":null,"city":"ANYTOWN","state":"TX","zip":"75001"}"#;
        PreferenceSealedV1 "preference.v1.hex" => r#"{"street":"PO Box 1234","city":"Anytown","state":"TX","zip":"75001"}"#;
        PaymentMethodSealedV1 "payment_method.v1.hex" => r#"{"label":"Visa ending 4242"}"#;
        MoveSealedV1 "move.v1.hex" =>
            r#"{"forwarding":{"street":"PO Box 1234","city":"Anytown","state":"TX","zip":"75001"},"message":"The place has another meter."}"#;
        EnrollmentSealedV1 "enrollment.v1.hex" =>
            r#"{"documents":[{"name":"terms-of-service","version":"2024-06"}],"message":"The place has another meter."}"#;
        QuestionSealedV1 "question.v1.hex" => r#"{"text":"We were away.","answer":null}"#;
        IdempotencySealedV1 "idempotency.v1.hex" => r#"{"answer":"{}"}"#;
    }
}
