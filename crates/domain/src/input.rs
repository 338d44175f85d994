//! Reading what a caller sent: a JSON tree that keeps what serde's own `Value` drops (numbers as they
//! were written, duplicate members), and readers that collect every field error at once, each with its
//! JSON pointer (RFC 6901).
//!
//! Unreadable is not wrong: [`Node::parse`] fails with one [`Unreadable`] (a 400), while everything that
//! [`FromInput`] finds is a [`FieldError`] (a 422).

mod node;

use std::borrow::Cow;

use self::node::push_pointer;
pub use self::node::{MAX_DEPTH, MAX_MEMBERS, Node, Unreadable};
pub use crate::named::Named;

/// One thing wrong with one member.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// Where: a JSON pointer into the body.
    pub pointer: String,
    /// What, for programs: stable.
    pub code: &'static str,
    /// What to do, for people. It never repeats the value.
    pub message: String,
}

impl FieldError {
    /// An error whose place the reader fills in.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: String::new(), code, message: message.into() }
    }
}

/// The place being read, and where its errors go.
#[derive(Debug)]
pub struct At<'e> {
    pointer: String,
    errors: &'e mut Vec<FieldError>,
}

impl<'e> At<'e> {
    /// The root of a body.
    pub fn root(errors: &'e mut Vec<FieldError>) -> Self {
        Self { pointer: String::new(), errors }
    }
    /// Notes an error at this place.
    pub fn refuse(&mut self, error: FieldError) {
        self.errors.push(FieldError { pointer: format!("{}{}", self.pointer, error.pointer), ..error });
    }
    /// The place of a member or item below this one.
    pub fn below(&mut self, name: &str) -> At<'_> {
        let mut pointer = self.pointer.clone();
        push_pointer(&mut pointer, name);
        At { pointer, errors: self.errors }
    }
}

/// Takes a member off those that a schema requires.
pub fn not_required(schema: &mut schemars::Schema, member: &str) {
    if let Some(serde_json::Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| name != member);
    }
}

/// A value that a caller may send.
pub trait FromInput: Sized {
    /// Reads it; `None` after at least one error was noted.
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self>;
    /// What an absent member of an operation's input means; `None` when it must be there.
    fn absent() -> Option<Self> {
        None
    }
}

fn wrong_type<T>(at: &mut At<'_>, expected: &str) -> Option<T> {
    at.refuse(FieldError::new("wrong-type", format!("Write {expected} here.")));
    None
}

/// Reads a text through a parsing constructor.
pub fn text<T>(node: &Node, at: &mut At<'_>, parse: impl FnOnce(&str) -> Result<T, FieldError>) -> Option<T> {
    let Node::Text(text) = node else { return wrong_type(at, "a text") };
    parse(text).map_err(|error| at.refuse(error)).ok()
}

/// Reads a number through a parsing constructor of its characters; never through a float.
pub fn number<T>(node: &Node, at: &mut At<'_>, parse: impl FnOnce(&str) -> Result<T, FieldError>) -> Option<T> {
    let Node::Number(text) = node else { return wrong_type(at, "a number") };
    parse(text).map_err(|error| at.refuse(error)).ok()
}

/// Reads an object member by member; members that nobody asked for are errors.
pub fn object<T>(node: &Node, at: &mut At<'_>, read: impl FnOnce(&mut Members<'_, '_>) -> Option<T>) -> Option<T> {
    if !matches!(node, Node::Object(_)) {
        return wrong_type(at, "an object");
    }
    let before = at.errors.len();
    let mut members = Members { node, known: Vec::new(), at: At { pointer: at.pointer.clone(), errors: at.errors } };
    let value = read(&mut members);
    members.refuse_unknown();
    if at.errors.len() == before { value } else { None }
}

/// Reads a list item by item, so that every error is found at once.
pub fn list<T: FromInput>(node: &Node, at: &mut At<'_>, sizes: std::ops::RangeInclusive<usize>) -> Option<Vec<T>> {
    let Node::List(items) = node else { return wrong_type(at, "a list") };
    let (least, most) = sizes.into_inner();
    if items.len() < least || items.len() > most {
        let code = if items.len() < least { "too-few-items" } else { "too-many-items" };
        at.refuse(FieldError::new(code, format!("Write {least} to {most} items.")));
        return None;
    }
    let read = |(index, item): (usize, &Node)| T::from_input(item, &mut at.below(&index.to_string()));
    // Every item is read before the first is missed.
    let read: Vec<Option<T>> = items.iter().enumerate().map(read).collect();
    read.into_iter().collect()
}

/// The members of one object while they are read.
#[derive(Debug)]
pub struct Members<'n, 'e> {
    node: &'n Node,
    known: Vec<Cow<'static, str>>,
    at: At<'e>,
}

impl Members<'_, '_> {
    /// A member that must be there (its value may be null when `T` is an `Option`).
    pub fn required<T: FromInput>(&mut self, name: &'static str) -> Option<T> {
        self.required_by(name, T::from_input)
    }

    /// A member that must be there, an object.
    pub fn required_object<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Members<'_, '_>) -> Option<T>,
    ) -> Option<T> {
        self.required_by(name, |node, at| object(node, at, read))
    }

    fn required_by<T>(&mut self, name: &'static str, read: impl FnOnce(&Node, &mut At<'_>) -> Option<T>) -> Option<T> {
        self.known.push(name.into());
        if let Some(value) = self.node.member(name) {
            return read(value, &mut self.at.below(name));
        }
        self.at.below(name).refuse(FieldError::new(
            "missing",
            "PUT carries every editable member; use PATCH to change only some of them.",
        ));
        None
    }

    /// A member of an operation's input; one that may be absent is an `Option`.
    pub fn given<T: FromInput>(&mut self, name: &'static str) -> Option<T> {
        self.known.push(name.into());
        match self.node.member(name) {
            Some(value) => T::from_input(value, &mut self.at.below(name)),
            None => {
                let absent = T::absent();
                if absent.is_none() {
                    self.at.below(name).refuse(FieldError::new("missing", "Write this member."));
                }
                absent
            }
        }
    }

    /// A member as far as it can be read: its errors are noted by whoever reads it in earnest.
    pub fn glimpse<T: FromInput>(&self, name: &str) -> Option<T> {
        let mut unheard = Vec::new();
        T::from_input(self.node.member(name)?, &mut At::root(&mut unheard))
    }

    /// The rest of the present representation, which may be sent back: what others report or own (`ignored`) with
    /// any value, all but that and what is `editable` only as it is.
    pub fn sent_back(&mut self, current: &Node, editable: &[&'static str], ignored: &[&'static str]) {
        let Node::Object(present) = current else { return };
        for (name, value) in present.iter().filter(|(name, _)| !editable.contains(&name.as_str())) {
            let Some(sent) = self.node.member(name) else { continue };
            self.known.push(name.clone().into());
            if sent != value && !ignored.contains(&name.as_str()) {
                self.at.below(name).refuse(FieldError::new("read-only", "This member cannot be changed here."));
            }
        }
    }

    /// Notes an error about a member, for rules that span several.
    pub fn refuse(&mut self, name: &'static str, error: FieldError) {
        self.at.below(name).refuse(error);
    }

    fn refuse_unknown(&mut self) {
        let Node::Object(members) = self.node else { return };
        for (name, _) in members {
            if !self.known.iter().any(|known| known == name) {
                self.at.below(name).refuse(FieldError::new("unknown-member", "There is no such member."));
            }
        }
    }
}

impl<T: FromInput> FromInput for Option<T> {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        if *node == Node::Null { Some(None) } else { T::from_input(node, at).map(Some) }
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl FromInput for bool {
    fn from_input(node: &Node, at: &mut At<'_>) -> Option<Self> {
        let Node::Bool(value) = node else { return wrong_type(at, "true or false") };
        Some(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_errors_come_at_once_with_their_pointers() {
        let body = Node::parse(br#"{"on":"yes","id":2,"seen":3,"x/y":1}"#).unwrap();
        let current = Node::parse(br#"{"id":1,"seen":1,"on":true,"off":null}"#).unwrap();
        let mut errors = Vec::new();
        let read: Option<(bool, Option<bool>)> = object(&body, &mut At::root(&mut errors), |m| {
            m.sent_back(&current, &["on", "off"], &["seen"]);
            let (on, off) = (m.required("on"), m.required("off"));
            Some((on?, off?))
        });
        assert_eq!(read, None);
        let found: Vec<_> = errors.iter().map(|e| (e.pointer.as_str(), e.code)).collect();
        assert_eq!(
            found,
            [("/id", "read-only"), ("/on", "wrong-type"), ("/off", "missing"), ("/x~1y", "unknown-member")]
        );
    }
}
