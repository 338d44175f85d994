//! A call: who asks, what is asked, and how it is answered.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use domain::input::{At, FieldError, Members, Node, object};
use http::{HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use store::{Scope, idempotency::IdempotencyKey};

use super::{
    cursor::Binding,
    etag::{self, Condition},
    problem::{self, ErrorAt, Problem},
};
use crate::app::{App, Failure};

/// A request that was authorized and read.
#[derive(Clone)]
pub struct Call<P = (), Q = (), B = ()> {
    /// The service.
    pub app: Arc<App>,
    /// Whose data, and who asks.
    pub scope: Scope,
    /// The path's parameters.
    pub path: P,
    /// The query's parameters.
    pub query: Q,
    /// The body.
    pub body: B,
    pub(super) head: Arc<Head>,
}

/// What every call has, whatever its types.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) action: &'static str,
    pub(super) reads: bool,
    pub(super) resource: Option<String>,
    pub(super) filters: String,
    pub(super) if_match: Option<Condition>,
    pub(super) if_none_match: Option<Condition>,
    pub(super) idempotency_key: Option<String>,
    pub(super) accept: &'static str,
}

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
pub struct Change {
    node: Arc<Node>,
    patch: bool,
}

/// JSON Merge Patch (RFC 7396).
pub const MERGE_PATCH: &str = "application/merge-patch+json";
/// JSON.
pub const JSON: &str = "application/json";

impl FromBody for Change {
    fn media_type(method: &Method) -> Option<&'static str> {
        Some(if *method == Method::PATCH { MERGE_PATCH } else { JSON })
    }
    fn read(method: &Method, bytes: &[u8]) -> Result<Self, Problem> {
        Ok(Self { node: Arc::new(Node::parse(bytes)?), patch: *method == Method::PATCH })
    }
}

/// A representation that its owner may edit: what PUT takes is what GET gives.
pub trait Editable: Serialize {
    /// What an edit holds.
    type Edit;
    /// Members that may be sent back, but must equal what is stored.
    const FIXED: &'static [&'static str];
    /// Members that others report or own: ignored.
    const IGNORED: &'static [&'static str];
    /// Members that PUT must bring.
    const EDITABLE: &'static [&'static str];
    /// Reads the editable members; `self` is the present representation.
    fn read(&self, members: &mut Members<'_, '_>) -> Option<Self::Edit>;
}

impl<P, Q, B> Call<P, Q, B> {
    /// Answers 200 with a representation and its ETag, or 304 when the caller has it already.
    pub fn reply(&self, representation: &impl Serialize) -> Result<Response, Problem> {
        self.reply_bytes(encode(representation)?)
    }

    /// Answers with a representation that was written by [`Call::text`].
    pub fn reply_text(&self, representation: String) -> Result<Response, Problem> {
        self.reply_bytes(Bytes::from(representation))
    }

    /// Writes a representation as it is kept for an idempotency key.
    pub fn text(&self, representation: &impl Serialize) -> Result<String, Failure> {
        serde_json::to_string(representation).map_err(|_| corrupt())
    }

    /// The request's idempotency key, bound to what the answer depends on beside caller and operation.
    pub fn idempotency_key(&self, content: &[&[u8]]) -> Option<IdempotencyKey> {
        let key = self.head.idempotency_key.as_deref()?;
        Some(IdempotencyKey::new(&self.app.store, &self.scope, key, content))
    }

    fn reply_bytes(&self, bytes: Bytes) -> Result<Response, Problem> {
        let etag = etag::of(self.app.store.keyring().token(), &bytes);
        // A change that happened is never answered with "you have it already".
        let asked = self.head.if_none_match.as_ref().filter(|_| self.head.reads);
        let known = asked.and_then(|condition| condition.names(&etag, false));
        let (status, etag, bytes) = match known {
            Some(form) => (StatusCode::NOT_MODIFIED, form, Bytes::new()),
            None => (StatusCode::OK, etag, bytes),
        };
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if status == StatusCode::OK {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        }
        headers.extend(HeaderValue::from_str(&etag).map(|etag| (header::ETAG, etag)));
        Ok(response)
    }

    /// Checks the conditions of a change, If-Match and If-None-Match (RFC 9110 section 13.1), against the present
    /// representation.
    pub fn check_match(&self, current: &impl Serialize) -> Result<(), Failure> {
        self.check_bytes(&encode(current).map_err(|_| corrupt())?)
    }

    /// As [`Call::check_match`], of a representation that was written already.
    fn check_bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let (wanted, unwanted) = (&self.head.if_match, &self.head.if_none_match);
        if wanted.is_none() && unwanted.is_none() {
            return Ok(());
        }
        let etag = etag::of(self.app.store.keyring().token(), bytes);
        let right = wanted.as_ref().is_none_or(|condition| condition.names(&etag, true).is_some());
        let wrong = unwanted.as_ref().is_some_and(|condition| condition.names(&etag, false).is_some());
        if right && !wrong { Ok(()) } else { Err(Failure::Changed { etag }) }
    }

    /// Reads the position of a cursor.
    pub fn position<const N: usize>(&self, cursor: Option<&str>) -> Result<Option<[i64; N]>, Problem> {
        let Some(cursor) = cursor else { return Ok(None) };
        self.binding().decode(cursor).map(Some).ok_or_else(|| {
            let message = "Take the cursor from this list's own nextCursor, with the same filters.".to_owned();
            let error = ErrorAt::Parameter { parameter: "cursor".into(), code: "invalid-cursor", message };
            Problem::new(problem::INVALID_REQUEST).errors(vec![error])
        })
    }

    /// Cuts a list that was read with one item more than its limit to the limit; the cursor of what follows.
    pub fn next<T, const N: usize>(
        &self,
        items: &mut Vec<T>,
        limit: i64,
        position: impl Fn(&T) -> [i64; N],
    ) -> Option<String> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if items.len() <= limit {
            return None;
        }
        items.truncate(limit);
        items.last().map(|last| self.binding().encode(&position(last)))
    }

    /// The media type that was agreed on.
    pub fn accepted(&self) -> &'static str {
        self.head.accept
    }

    fn binding(&self) -> Binding<'_> {
        Binding {
            key: self.app.store.keyring().token(),
            scope: &self.scope,
            action: self.head.action,
            resource: self.head.resource.as_deref().unwrap_or_default(),
            filters: &self.head.filters,
        }
    }
}

impl<P, Q> Call<P, Q, Change> {
    /// Checks If-Match, then reads the edit: a PUT as it stands, a PATCH merged into the present
    /// representation. One reader serves both.
    pub fn edit<R: Editable>(&self, current: &R) -> Result<R::Edit, Failure> {
        let bytes = encode(current).map_err(|_| corrupt())?;
        self.check_bytes(&bytes)?;
        let present = Node::parse(&bytes).map_err(|_| corrupt())?;
        let merged;
        let document = if self.body.patch && matches!(&*self.body.node, Node::Object(_)) {
            merged = present.merged(&self.body.node);
            &merged
        } else {
            &*self.body.node
        };
        let mut errors: Vec<FieldError> = Vec::new();
        let edit = object(document, &mut At::root(&mut errors), |members| {
            members.fixed(R::FIXED, &present);
            members.ignored(R::IGNORED);
            current.read(members)
        });
        edit.ok_or(Failure::Fields(errors))
    }
}

fn corrupt() -> Failure {
    Failure::Store(store::StoreError::Db(store::DbError::Corrupt("a representation does not encode".into())))
}

fn encode(representation: &impl Serialize) -> Result<Bytes, Problem> {
    let bytes = serde_json::to_vec(representation).map_err(|error| {
        tracing::error!(%error, "a representation does not encode");
        Problem::new(problem::INTERNAL)
    })?;
    Ok(Bytes::from(bytes))
}
