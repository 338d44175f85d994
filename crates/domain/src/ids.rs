//! Identifiers. JSON ids are read by JavaScript, so all of them lie in 1..=2^53-1.

/// The largest id: the largest integer that a JavaScript number holds exactly.
pub const MAX_ID: i64 = (1 << 53) - 1;

/// What is wrong with a text that should be an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Write an id as a whole number from 1 to 9007199254740991.")]
pub struct InvalidId;

/// An identifier that stands in a path of the API.
pub trait Id: Sized + Copy + Send + Sync + 'static {
    /// Makes the id from a number; `None` when it is out of range.
    fn new(value: i64) -> Option<Self>;
    /// The number.
    fn get(self) -> i64;
    /// Reads the decimal form, without sign, leading zero or blanks.
    ///
    /// # Errors
    /// [`InvalidId`] for anything else.
    fn parse(text: &str) -> Result<Self, InvalidId> {
        let plain = text.len() <= 16 && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        plain.then(|| text.parse().ok().and_then(Self::new)).flatten().ok_or(InvalidId)
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(#[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))] i64);

        impl Id for $name {
            fn new(value: i64) -> Option<Self> {
                (1..=MAX_ID).contains(&value).then_some(Self(value))
            }
            fn get(self) -> i64 {
                self.0
            }
        }
        impl crate::input::FromInput for $name {
            fn from_input(node: &crate::input::Node, at: &mut crate::input::At<'_>) -> Option<Self> {
                crate::input::number(node, at, |text| {
                    Self::parse(text).map_err(|e| crate::input::FieldError::new("invalid-id", e.to_string()))
                })
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

ids! {
    /// A customer: a person or a business that buys electricity.
    CustomerId,
    /// An account: what bills are addressed to.
    AccountId,
    /// A premise: one account's occupancy of a place.
    PremiseId,
    /// A service point: where the wires company delivers, named by an ESI ID. It outlives occupancies.
    ServicePointId,
    /// A company that owns wires.
    WiresCompanyId,
    /// An installed meter. It belongs to no customer and outlives occupancies.
    MeterId,
    /// One reading of one register, in one revision.
    ReadingId,
    /// Something that is to be done at an instant.
    JobId,
    /// What a person asked for who wants to become a customer.
    EnrollmentId,
    /// A move-in or move-out.
    MoveId,
    /// What the market has to do.
    RequestId,
    /// What staff have to decide or look at; a question has the id of its task.
    TaskId,
    /// A log-in that leads to a customer.
    IdentityId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_the_plain_decimal_form() {
        assert_eq!(AccountId::parse("1001").map(Id::get), Ok(1001));
        assert_eq!(AccountId::parse("9007199254740991").map(Id::get), Ok(MAX_ID));
        for text in ["", "0", "01", "-1", "+1", " 1", "1.0", "1e3", "9007199254740992", "99999999999999999999", "١"] {
            assert_eq!(AccountId::parse(text), Err(InvalidId), "{text:?}");
        }
    }
}
