//! What goes over the wire: personal values, representations of things, pages of lists.

use std::borrow::Cow;

use domain::{
    input::{At, FieldError, FromInput, Members, Node, object},
    personal::Personal,
    policy::Role,
    time::{Instant, Zone},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::params::Leads;
use crate::app::{Edits, Failure, Thing};

/// A personal value in an answer, which only somebody with a receipt can have made: the one place that reveals to the
/// wire. Its schema is the value's own.
#[derive(Debug, Clone)]
pub struct Shown<P>(pub P);

impl<P: Personal> Serialize for Shown<P> {
    #[expect(clippy::disallowed_methods, reason = "the wire: what was opened with its audit record's receipt")]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.reveal())
    }
}

impl<P: JsonSchema> JsonSchema for Shown<P> {
    fn schema_name() -> Cow<'static, str> {
        P::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        P::schema_id()
    }
    fn inline_schema() -> bool {
        P::inline_schema()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        P::json_schema(generator)
    }
}

/// The wire form of a thing: what GET answers.
pub trait Represents: Serialize + JsonSchema + Send + Sized + 'static {
    /// The thing.
    type Of: Thing;
    /// The path at which it stands.
    type At: Leads<<Self::Of as Thing>::Id>;
    /// Makes it.
    fn of(thing: Self::Of, view: View<'_>) -> Self;
    /// Where it can be read when an operation has made it.
    fn location(&self) -> Option<String> {
        None
    }
}

/// Who looks at a representation, and from where.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The market's zone.
    pub zone: &'a Zone,
    /// By which role.
    pub role: Option<Role>,
}

/// A thing that staff see, too.
pub trait ForStaff: Thing {
    /// The path by which they reach it.
    type Path: Leads<Self::Id>;
    /// Cuts it down to what those see who may only look; names the members that are cut, as JSON pointers.
    fn mask(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// A representation as staff see it: the customer's own, and more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Staff<R> {
    #[serde(flatten)]
    own: R,
    version: i64,
    masked: Vec<String>,
}

impl<R: Represents<Of: ForStaff>> Represents for Staff<R> {
    type Of = R::Of;
    type At = <R::Of as ForStaff>::Path;
    fn of(mut thing: R::Of, view: View<'_>) -> Self {
        let (version, only_look) = (thing.version(), view.role == Some(Role::Readonly));
        let masked = if only_look { thing.mask() } else { Vec::new() };
        Self { own: R::of(thing, view), version, masked }
    }
    fn location(&self) -> Option<String> {
        self.own.location().map(|path| path.replacen("/api/", "/api/admin/", 1))
    }
}

impl<R: JsonSchema> JsonSchema for Staff<R> {
    fn schema_name() -> Cow<'static, str> {
        format!("Staff{}", R::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = R::json_schema(generator);
        let more = json_schema!({
            "type": "object",
            "properties": {
                "version": {"type": "integer", "format": "int64", "description": "Counts the changes of its row."},
                "masked": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "The members that this role sees in part only, as JSON pointers.",
                },
            },
            "required": ["version", "masked"],
        });
        for member in ["properties", "required"] {
            match (schema.get_mut(member), more.get(member)) {
                (Some(Value::Object(own)), Some(Value::Object(more))) => own.extend(more.clone()),
                (Some(Value::Array(own)), Some(Value::Array(more))) => own.extend(more.iter().cloned()),
                _ => {}
            }
        }
        schema
    }
}

impl<R: Listed> Listed for Staff<R> {
    const PLURAL: &'static str = R::PLURAL;
    const ENVELOPE: &'static str = R::STAFF_ENVELOPE;
}

/// A representation that may be edited: what PUT takes is what GET gives. Members that are neither editable nor
/// ignored may be sent back, but must equal what is stored.
pub trait Editable: Represents<Of: Edits> {
    /// Members that PUT must bring.
    const EDITABLE: &'static [&'static str];
    /// Members that others report or own: ignored.
    const IGNORED: &'static [&'static str] = &[];
    /// Reads the editable members, for an edit that happens now.
    fn read(members: &mut Members<'_, '_>, current: &Self::Of, now: Instant) -> Option<<Self::Of as Edits>::Edit>;
    /// Reads them where staff edit, who may correct more.
    fn read_for_staff(
        members: &mut Members<'_, '_>,
        current: &Self::Of,
        now: Instant,
    ) -> Option<<Self::Of as Edits>::Edit> {
        Self::read(members, current, now)
    }
}

/// What staff edit is what the customer edits; the version that they saw, sent back, must be the present one.
impl<R: Editable<Of: ForStaff>> Editable for Staff<R> {
    const EDITABLE: &'static [&'static str] = R::EDITABLE;
    const IGNORED: &'static [&'static str] = R::IGNORED;
    fn read(members: &mut Members<'_, '_>, current: &R::Of, now: Instant) -> Option<<R::Of as Edits>::Edit> {
        R::read_for_staff(members, current, now)
    }
}

/// Says of parts of a thing that they are representations of it: a part is its own wire form, and an edit of it is the
/// thing with this part as it shall be.
macro_rules! parts {
    ($thing:ident: $($part:ident = $field:ident),+ $(,)?) => {$(
        impl $crate::api::wire::Represents for $part {
            type Of = $thing;
            type At = <$thing as $crate::app::Thing>::Id;
            fn of(thing: $thing, _: $crate::api::wire::View<'_>) -> Self {
                thing.$field
            }
        }

        impl $crate::api::wire::Editable for $part {
            const EDITABLE: &'static [&'static str] = $part::MEMBERS;
            const IGNORED: &'static [&'static str] = $part::IGNORED;
            fn read(
                members: &mut domain::input::Members<'_, '_>,
                current: &$thing,
                now: domain::time::Instant,
            ) -> Option<$thing> {
                let $field = $part::read(members, &current.$field, now)?;
                Some($thing { $field, ..current.clone() })
            }
        }
    )+};
}
pub(super) use parts;

/// Reads an edit from a document: a whole PUT, or a PATCH merged into the `present` representation.
pub(super) fn read_edit<R: Editable>(
    document: &Node,
    present: &Node,
    current: &R::Of,
    now: Instant,
) -> Result<<R::Of as Edits>::Edit, Failure> {
    let mut errors: Vec<FieldError> = Vec::new();
    let edit = object(document, &mut At::root(&mut errors), |members| {
        members.sent_back(present, R::EDITABLE, R::IGNORED);
        R::read(members, current, now)
    });
    edit.ok_or(Failure::Fields(errors))
}

/// Reads the input of an operation.
pub(super) fn read_input<T: FromInput>(document: &Node) -> Result<T, Failure> {
    let mut errors: Vec<FieldError> = Vec::new();
    T::from_input(document, &mut At::root(&mut errors)).ok_or(Failure::Fields(errors))
}

/// What a list has in its envelope.
pub trait Listed: Serialize + JsonSchema {
    /// The member that holds the items.
    const PLURAL: &'static str;
    /// The envelope's name in the API description.
    const ENVELOPE: &'static str;
    /// The name of the envelope of what staff see.
    const STAFF_ENVELOPE: &'static str = "";
}

/// A page of a list: `{"<plural>": [...], "nextCursor": null}`.
#[derive(Debug)]
pub struct Listing<R> {
    pub(super) items: Vec<R>,
    pub(super) next_cursor: Option<String>,
}

impl<R: Listed> Serialize for Listing<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(R::PLURAL, &self.items)?;
        map.serialize_entry("nextCursor", &self.next_cursor)?;
        map.end()
    }
}

impl<R: Listed> JsonSchema for Listing<R> {
    fn schema_name() -> Cow<'static, str> {
        R::ENVELOPE.into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<Vec<R>>();
        let about = "What `cursor` takes for the next page; null on the last one.";
        json_schema!({
            "type": "object",
            "description": "A page of a list.",
            "properties": {
                R::PLURAL: items,
                "nextCursor": {"type": ["string", "null"], "description": about},
            },
            "required": [R::PLURAL, "nextCursor"],
        })
    }
}
