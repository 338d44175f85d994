//! The tree of a body.

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Objects and lists may nest this deep.
pub const MAX_DEPTH: usize = 16;

/// Members that one object may have: many more than any of ours has.
pub const MAX_MEMBERS: usize = 100;

/// Why a body is no JSON that we read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON (RFC 8259), with the place.
    #[error("The body is not JSON: line {line}, column {column}.")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A text holds a NUL or half of a surrogate pair.
    #[error("The text at {0} holds characters that no text may hold.")]
    Text(String),
    /// One object names a member twice (RFC 8259 leaves the meaning open; we refuse).
    #[error("The member {0} stands there twice.")]
    Duplicate(String),
    /// An object has more members than [`MAX_MEMBERS`].
    #[error("An object of the body has more than {MAX_MEMBERS} members.")]
    Members,
    /// Deeper than [`MAX_DEPTH`].
    #[error("The body is nested deeper than {MAX_DEPTH} levels.")]
    Depth,
}

impl Unreadable {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "invalid-json",
            Self::Text(_) => "invalid-text",
            Self::Duplicate(_) => "duplicate-member",
            Self::Members => "too-many-members",
            Self::Depth => "too-deep",
        }
    }
}

/// A JSON value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, in the characters of the body.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Node>),
    /// An object, members in the body's order, none twice.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Unreadable`] says what and where; nothing of the content is repeated but member names.
    pub fn parse(body: &[u8]) -> Result<Self, Unreadable> {
        let raw: &RawValue =
            serde_json::from_slice(body).map_err(|e| Unreadable::Syntax { line: e.line(), column: e.column() })?;
        Self::from_raw(raw, &mut String::new(), 0)
    }

    fn from_raw(raw: &RawValue, pointer: &mut String, depth: usize) -> Result<Self, Unreadable> {
        if depth > MAX_DEPTH {
            return Err(Unreadable::Depth);
        }
        let text = raw.get();
        let unreadable = |pointer: &str| Unreadable::Text(if pointer.is_empty() { "/".into() } else { pointer.into() });
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let members: RawMembers<'_> = serde_json::from_str(text).map_err(|_| unreadable(pointer))?;
                if members.0.len() > MAX_MEMBERS {
                    return Err(Unreadable::Members);
                }
                let mut object: Vec<(String, Node)> = Vec::with_capacity(members.0.len());
                for (name, value) in members.0 {
                    let length = pointer.len();
                    push_pointer(pointer, &name);
                    if object.iter().any(|(other, _)| *other == name) {
                        return Err(Unreadable::Duplicate(std::mem::take(pointer)));
                    }
                    let value = Self::from_raw(value, pointer, depth + 1)?;
                    pointer.truncate(length);
                    object.push((name, value));
                }
                Self::Object(object)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| unreadable(pointer))?;
                let mut list = Vec::with_capacity(items.len());
                for (index, value) in items.into_iter().enumerate() {
                    let length = pointer.len();
                    push_pointer(pointer, &index.to_string());
                    list.push(Self::from_raw(value, pointer, depth + 1)?);
                    pointer.truncate(length);
                }
                Self::List(list)
            }
            Some(b'"') => {
                let text: String = serde_json::from_str(text).map_err(|_| unreadable(pointer))?;
                if text.contains('\0') {
                    return Err(unreadable(pointer));
                }
                Self::Text(text)
            }
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') => Self::Null,
            _ => Self::Number(text.to_owned()),
        })
    }

    /// The member of an object.
    pub fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(n, _)| n == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// JSON Merge Patch (RFC 7396) with one difference that members which are always present call for:
    /// `null` leaves the member there, as null.
    #[must_use]
    pub fn merged(&self, patch: &Self) -> Self {
        let Self::Object(changes) = patch else { return patch.clone() };
        let mut members = if let Self::Object(members) = self { members.clone() } else { Vec::new() };
        for (name, change) in changes {
            match members.iter_mut().find(|(n, _)| n == name) {
                Some((_, value)) => *value = value.merged(change),
                None => members.push((name.clone(), change.clone())),
            }
        }
        Self::Object(members)
    }
}

/// The members of an object in order, duplicates kept.
struct RawMembers<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for RawMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(RawMembers)
    }
}

pub(super) fn push_pointer(pointer: &mut String, name: &str) {
    pointer.push('/');
    // A stranger's member name may be long; the answer repeats a bounded part of it.
    pointer.extend(name.chars().take(64).flat_map(|c| match c {
        '~' => ['~', '0'].into_iter().take(2),
        '/' => ['~', '1'].into_iter().take(2),
        c => [c, c].into_iter().take(1),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_bodies_are_named() {
        let code = |body: &str| Node::parse(body.as_bytes()).map_err(|e| e.code());
        assert_eq!(code("{"), Err("invalid-json"));
        assert_eq!(code(r#"{"a":01}"#), Err("invalid-json"));
        assert_eq!(code(r#"{"a":1} x"#), Err("invalid-json"));
        assert_eq!(code(r#"{"a":1,"a":1}"#), Err("duplicate-member"));
        assert_eq!(code(r#"{"a":1,"\u0061":1}"#), Err("duplicate-member"));
        assert_eq!(code(r#"{"a":"\ud800"}"#), Err("invalid-text"));
        assert_eq!(code(r#"{"\ud800":1}"#), Err("invalid-text"));
        assert_eq!(code(r#"{"a":"\u0000"}"#), Err("invalid-text"));
        assert_eq!(code(&format!("{}{}", "[".repeat(17), "]".repeat(17))).err(), None);
        assert_eq!(code(&format!("{}{}", "[".repeat(18), "]".repeat(18))), Err("too-deep"));
        assert!(code(&"[".repeat(60_000)).is_err());
        assert!(Node::parse(b"\"\xff\"").is_err());
        let members: Vec<String> = (0..101).map(|n| format!("\"m{n}\":0")).collect();
        assert_eq!(code(&format!("{{{}}}", members.join(","))), Err("too-many-members"));
    }

    #[test]
    fn numbers_keep_their_characters() {
        assert_eq!(Node::parse(b"142.50"), Ok(Node::Number("142.50".into())));
        assert_eq!(Node::parse(b"1e400"), Ok(Node::Number("1e400".into())));
    }

    #[test]
    fn a_patch_keeps_what_it_does_not_name_and_nulls_what_it_clears() {
        let current = Node::parse(br#"{"a":1,"b":{"c":2,"d":3}}"#).unwrap();
        let patch = Node::parse(br#"{"b":{"c":null},"e":[1]}"#).unwrap();
        assert_eq!(current.merged(&patch), Node::parse(br#"{"a":1,"b":{"c":null,"d":3},"e":[1]}"#).unwrap());
    }
}
