//! Bodies that routes accept: of an edit, of an operation, or lines that the handler reads by itself.

use std::sync::Arc;

use domain::input::{FromInput, Node};
use http::Method;

use super::{problem::Problem, wire::read_input};
use crate::app::Failure;

/// A body that a route accepts.
pub trait FromBody: Sized + Clone + Send + Sync + 'static {
    /// The media type for a method; `None` when there is no body.
    fn media_type(method: &Method) -> Option<&'static str>;
    /// Reads the body.
    fn read(method: &Method, bytes: &[u8]) -> Result<Self, Problem>;
}

impl FromBody for () {
    fn media_type(_: &Method) -> Option<&'static str> {
        None
    }
    fn read(_: &Method, _: &[u8]) -> Result<Self, Problem> {
        Ok(())
    }
}

/// The body of a PUT or PATCH.
#[derive(Debug, Clone)]
pub struct Document {
    pub(super) node: Arc<Node>,
    pub(super) patch: bool,
}

/// JSON Merge Patch (RFC 7396).
pub const MERGE_PATCH: &str = "application/merge-patch+json";
/// JSON.
pub const JSON: &str = "application/json";

impl FromBody for Document {
    fn media_type(method: &Method) -> Option<&'static str> {
        Some(if *method == Method::PATCH { MERGE_PATCH } else { JSON })
    }
    fn read(method: &Method, bytes: &[u8]) -> Result<Self, Problem> {
        Ok(Self { node: Arc::new(Node::parse(bytes)?), patch: *method == Method::PATCH })
    }
}

/// A body that the handler reads by itself, line by line.
#[derive(Debug, Clone, Copy)]
pub struct Unparsed;

impl FromBody for Unparsed {
    fn media_type(_: &Method) -> Option<&'static str> {
        Some(JSON)
    }
    fn read(_: &Method, _: &[u8]) -> Result<Self, Problem> {
        Ok(Self)
    }
}

/// The body of a POST; none is as good as `{}`.
#[derive(Debug, Clone)]
pub struct Given(pub(super) Arc<Node>);

impl FromBody for Given {
    fn media_type(method: &Method) -> Option<&'static str> {
        Document::media_type(method)
    }
    fn read(_: &Method, bytes: &[u8]) -> Result<Self, Problem> {
        let node = if bytes.is_empty() { Node::Object(Vec::new()) } else { Node::parse(bytes)? };
        Ok(Self(Arc::new(node)))
    }
}

impl Given {
    /// Reads it.
    pub fn read_as<T: FromInput>(&self) -> Result<T, Failure> {
        read_input(&self.0)
    }
}
