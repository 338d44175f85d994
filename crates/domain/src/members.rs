//! Lists of members: what an operation takes, and what may be edited of a thing. One list makes the struct, its reader,
//! its schema and, for edits, the names of what differs.

/// Defines the input of an operation, member by member: the struct, its reader and its schema.
#[macro_export]
macro_rules! input {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $type:ty = $member:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, schemars::JsonSchema)]
        #[schemars(transform = $name::may_be_absent)]
        pub struct $name { $($(#[$about])* #[schemars(rename = $member)] pub $field: $type),* }

        impl $name {
            /// What may be absent is not required.
            #[allow(unused_variables, reason = "an operation without input has no members")]
            fn may_be_absent(schema: &mut schemars::Schema) {
                $(if <$type as $crate::input::FromInput>::absent().is_some() {
                    $crate::input::not_required(schema, $member);
                })*
            }
        }

        impl $crate::input::FromInput for $name {
            fn from_input(node: &$crate::input::Node, at: &mut $crate::input::At<'_>) -> Option<Self> {
                // All members are read before the first is missed, so that every error is found at once.
                #[allow(unused_variables, reason = "an operation without input has no members")]
                $crate::input::object(node, at, |members| {
                    $(let $field = members.given($member);)*
                    Some(Self { $($field: $field?),* })
                })
            }
        }
    };
}

/// Defines what may be edited of a thing, member by member: one list for the struct, for reading it from a body
/// (PUT and PATCH), and for which members differ from what is stored. `in` is what stands before the names in events.
///
/// `Thing, in ".." { .. }` defines the thing itself, and an edit of it is the thing as it shall be. Members that are
/// `ignored` stay as they are stored, whatever is sent; an instant `since` which another member is as it is becomes the
/// present when that one changes. `Edit of Thing, in ".." { .. }` is for a thing that has more: `at` says where.
#[macro_export]
macro_rules! edits {
    ($(#[$doc:meta])* $name:ident, in $prefix:literal {
        $($(#[$about:meta])* $field:ident: $type:ty =
            $($member:literal)? $(ignored $ignored:literal $(since $since:ident)?)?),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name { $($(#[$about])* pub $field: $type),+ }

        impl $name {
            /// The members, all of which PUT must bring.
            pub const MEMBERS: &'static [&'static str] = &[$($($member,)?)+];
            /// The members that may be sent back with any value.
            pub const IGNORED: &'static [&'static str] = &[$($($ignored,)?)+];

            /// Reads all members, so that every error is found at once: what is stored, as it shall be from now on.
            #[allow(unused_variables, reason = "not every thing has an instant")]
            pub fn read(
                members: &mut $crate::input::Members<'_, '_>,
                stored: &Self,
                now: $crate::time::Instant,
            ) -> Option<Self> {
                let mut next = stored.clone();
                let read = [$($(members.required($member).map(|given| next.$field = given),)?)+];
                $($($(if next.$since != stored.$since {
                    next.$field = Some(now);
                })?)?)+
                read.into_iter().all(|read| read.is_some()).then_some(next)
            }

            /// The names of the members in which this differs from what is stored.
            pub fn changes(&self, stored: &Self) -> Vec<&'static str> {
                $crate::status::changed(&[$($((concat!($prefix, $member), self.$field != stored.$field),)?)+])
            }
        }
    };
    ($(#[$doc:meta])* $name:ident of $of:ty, in $prefix:literal {
        $($(#[$about:meta])* $field:ident: $type:ty = $member:literal at $($path:ident).+),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name { $($(#[$about])* pub $field: $type),+ }

        impl $name {
            /// The members, all of which PUT must bring.
            pub const MEMBERS: &'static [&'static str] = &[$($member),+];

            /// Reads all members, so that every error is found at once.
            pub fn read(members: &mut $crate::input::Members<'_, '_>) -> Option<Self> {
                $(let $field = members.required($member);)+
                Some(Self { $($field: $field?),+ })
            }

            /// The names of the members in which this differs from what is stored.
            pub fn changes(&self, stored: &$of) -> Vec<&'static str> {
                $crate::status::changed(&[$((concat!($prefix, $member), self.$field != stored.$($path).+)),+])
            }
        }
    };
}
