//! Enums with names: in lower case on the wire and in the database.

use crate::input::{At, FieldError, Node, text};

/// An enum whose variants have names on the wire and in the database; see [`crate::named_enum!`].
pub trait Named: Sized + Copy + 'static {
    /// Every variant with its name.
    const ALL: &'static [(Self, &'static str)];
    /// The name.
    fn name(self) -> &'static str;
    /// The variant of a name.
    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(value, _)| *value)
    }
    /// Reads it from a body.
    fn read(node: &Node, at: &mut At<'_>) -> Option<Self> {
        text(node, at, |text| {
            Self::named(text).ok_or_else(|| {
                let names: Vec<_> = Self::ALL.iter().map(|(_, name)| *name).collect();
                FieldError::new("unknown-value", format!("Write one of: {}.", names.join(", ")))
            })
        })
    }
}

/// Defines an enum with its names, in lower case on the wire and in the database.
#[macro_export]
macro_rules! named_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $crate::input::Named for $name {
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $text)),+];
            fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
        impl $crate::input::FromInput for $name {
            fn from_input(node: &$crate::input::Node, at: &mut $crate::input::At<'_>) -> Option<Self> {
                <Self as $crate::input::Named>::read(node, at)
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str($crate::input::Named::name(*self))
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "enum": [$($text),+]})
            }
            fn inline_schema() -> bool {
                true
            }
        }
    };
}
