//! Personal data has types of its own: no `Display`, a `Debug` that shows nothing, no `Serialize`.
//!
//! The one way to the text is [`Personal::reveal`], which `clippy.toml` bans everywhere but in the row
//! codecs of `store` (which seal it), the wire modules of the API and the views of the portal. A log
//! line or an error message that wants to show a name therefore does not pass `./dev check`.

use crate::input::FieldError;

/// A validated personal text.
pub trait Personal: Sized {
    /// Checks and normalises; the constructor is the validation.
    ///
    /// # Errors
    /// A code and a sentence for the person who typed it.
    fn parse(text: &str) -> Result<Self, FieldError>;

    /// Takes a text that was validated when it was stored. Rules may have become stricter since: what
    /// is on record stays readable.
    fn from_record(text: String) -> Self;

    /// The text itself.
    fn reveal(&self) -> &str;
}

/// Defines personal text types; `$parse` is a `fn(&str) -> Result<String, FieldError>`.
#[macro_export]
macro_rules! personal_types {
    ($($(#[$doc:meta])* $name:ident by $parse:expr, schema $schema:tt);+ $(;)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $crate::personal::Personal for $name {
            fn parse(text: &str) -> Result<Self, $crate::input::FieldError> {
                ($parse)(text).map(Self)
            }
            fn from_record(text: String) -> Self {
                Self(text)
            }
            fn reveal(&self) -> &str {
                &self.0
            }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
        impl $crate::input::FromInput for $name {
            fn from_input(node: &$crate::input::Node, at: &mut $crate::input::At<'_>) -> Option<Self> {
                $crate::input::text(node, at, <Self as $crate::personal::Personal>::parse)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    )+};
}
