//! A call: who asks, what is asked, and how it is answered.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use domain::{
    ids::{CustomerId, Id},
    input::{FromInput, Node},
    time::Instant,
};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{Asked, Caller, Guarded, Scope, Transaction, idempotency::IdempotencyKey};

pub use super::{
    body::{Document, FromBody, Given, JSON, MERGE_PATCH, Unparsed},
    standing::{Applicant, Standing},
};
use super::{
    cursor::Binding,
    etag::{self, Condition},
    params::{Leads, PageQuery},
    problem::{self, ErrorAt, Problem},
    wire::{Editable, Listed, Listing, Represents, View, read_edit, read_input},
};
use crate::app::{self, App, Ask, Done, Effect, Failure, Once, Operation, Thing};

/// A request that was authorized and read.
#[derive(Clone)]
pub struct Call<P = (), Q = (), B = (), S = Scope> {
    /// The service.
    pub app: Arc<App>,
    /// Whose data, and who asks.
    pub scope: S,
    /// The path's parameters.
    pub path: P,
    /// The query's parameters.
    pub query: Q,
    /// The body.
    pub body: B,
    pub(super) asked: Option<Arc<Asked>>,
    pub(super) head: Arc<Head>,
}

/// What every call has, whatever its types.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) caller: Arc<Caller>,
    pub(super) status: StatusCode,
    pub(super) reads: bool,
    pub(super) resource: Option<String>,
    pub(super) filters: String,
    pub(super) if_match: Option<Condition>,
    pub(super) if_none_match: Option<Condition>,
    pub(super) idempotency_key: Option<String>,
    pub(super) accept: &'static str,
    pub(super) media_type: &'static str,
    pub(super) body: Bytes,
}

impl<P, Q, S> Call<P, Q, Unparsed, S> {
    /// The body.
    pub fn body_bytes(&self) -> Bytes {
        self.head.body.clone()
    }
    /// Its media type.
    pub fn media_type(&self) -> &'static str {
        self.head.media_type
    }
}

/// An operation whose input is read behind the precondition: what is not there, or has changed, is said first.
struct Unread<O>(Arc<Node>, std::marker::PhantomData<fn() -> O>);

impl<T: Thing, A: Thing, O: Operation<T, A> + FromInput> Operation<T, A> for Unread<O> {
    async fn others(&self, app: &App, scope: &Scope, id: T::Id) -> Result<Vec<CustomerId>, Failure> {
        // What cannot be read concerns nobody.
        match read_input::<O>(&self.0) {
            Ok(operation) => operation.others(app, scope, id).await,
            Err(_) => Ok(Vec::new()),
        }
    }
    async fn perform(
        &self,
        app: &App,
        tx: &mut Transaction<'_>,
        id: T::Id,
        current: &T,
    ) -> Result<Effect<A::Id>, Failure> {
        let operation: O = read_input(&self.0)?;
        operation.perform(app, tx, id, current).await
    }
}

/// What a handler answers with.
pub enum Reply<R> {
    /// A representation.
    Now(R),
    /// The representation of what was made, and where it can be read.
    Made(R, Option<String>),
    /// The answer of a request that was sent before, as it was kept.
    Before(String),
    /// Something that is written in pieces.
    Pieces(Response),
}

/// An answer as it is kept for an idempotency key.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    location: Option<String>,
    body: Box<RawValue>,
}

/// Writes the answer of a call.
pub(super) struct Responder {
    app: Arc<App>,
    head: Arc<Head>,
}

impl Responder {
    pub(super) fn answer<R: Serialize>(&self, reply: Reply<R>) -> Result<Response, Problem> {
        match reply {
            Reply::Now(representation) => self.bytes(self.head.status, None, encode(&representation)?),
            Reply::Made(representation, location) => {
                self.bytes(self.head.status, location.as_deref(), encode(&representation)?)
            }
            Reply::Before(kept) => {
                let Kept { status, location, body } = serde_json::from_str(&kept).map_err(|_| corrupt())?;
                let status = StatusCode::from_u16(status).map_err(|_| corrupt())?;
                self.bytes(status, location.as_deref(), Bytes::from(String::from(Box::<str>::from(body))))
            }
            Reply::Pieces(response) => Ok(response),
        }
    }

    fn bytes(&self, status: StatusCode, location: Option<&str>, bytes: Bytes) -> Result<Response, Problem> {
        let etag = etag::of(self.app.store.keyring().token(), &bytes);
        // A change that happened is never answered with "you have it already".
        let asked = self.head.if_none_match.as_ref().filter(|_| self.head.reads);
        let known = asked.and_then(|condition| condition.names(&etag, false));
        let (status, etag, bytes) = match known {
            Some(form) => (StatusCode::NOT_MODIFIED, form, Bytes::new()),
            None => (status, etag, bytes),
        };
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if status != StatusCode::NOT_MODIFIED {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        }
        headers.extend(HeaderValue::from_str(&etag).map(|etag| (header::ETAG, etag)));
        let location = location.and_then(|location| HeaderValue::from_str(location).ok());
        headers.extend(location.map(|location| (header::LOCATION, location)));
        Ok(response)
    }
}

impl<P, Q, B, S> Call<P, Q, B, S> {
    pub(super) fn responder(&self) -> Responder {
        Responder { app: Arc::clone(&self.app), head: Arc::clone(&self.head) }
    }

    /// Opens what was read, once the record of the request is durable.
    pub async fn open<T>(&self, found: Guarded<T>) -> Result<T, Problem> {
        Ok(self.asked()?.open(found).await?)
    }

    /// The record of the request, which is on its way to the disk.
    pub fn asked(&self) -> Result<&Arc<Asked>, Problem> {
        let why = "a change is opened by its commit, not by the record of a read";
        self.asked.as_ref().ok_or_else(|| Problem::new(problem::INTERNAL).cause(why))
    }

    /// Whether the change has conditions at all.
    fn is_conditional(&self) -> bool {
        self.head.if_match.is_some() || self.head.if_none_match.is_some()
    }

    /// Checks the conditions of a change, If-Match and If-None-Match (RFC 9110 section 13.1), against the present
    /// representation.
    fn check(&self, bytes: &[u8]) -> Result<(), Failure> {
        let (wanted, unwanted) = (&self.head.if_match, &self.head.if_none_match);
        let etag = etag::of(self.app.store.keyring().token(), bytes);
        let right = wanted.as_ref().is_none_or(|condition| condition.names(&etag, true).is_some());
        let wrong = unwanted.as_ref().is_some_and(|condition| condition.names(&etag, false).is_some());
        if right && !wrong { Ok(()) } else { Err(Failure::Stale { etag }) }
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

    /// The cursor of what follows a position.
    pub fn cursor<const N: usize>(&self, position: &[i64; N]) -> String {
        self.binding().encode(position)
    }

    fn binding(&self) -> Binding<'_> {
        self.bound_to(&self.head.filters)
    }

    /// What binds a cursor to filters that do not stand in the query.
    pub(super) fn bound_to<'a>(&'a self, filters: &'a str) -> Binding<'a> {
        Binding {
            key: self.app.store.keyring().token(),
            caller: &self.head.caller,
            resource: self.head.resource.as_deref().unwrap_or_default(),
            filters,
        }
    }
}

impl<P, B, S> Call<P, PageQuery, B, S> {
    /// Behind which id the page begins.
    pub fn after<I: Id>(&self) -> Result<Option<I>, Problem> {
        let position = self.position::<1>(self.query.cursor.as_deref())?;
        Ok(position.and_then(|[id]| I::new(id)))
    }

    /// How many items are to be read: one more than the page holds.
    pub fn limit(&self) -> i64 {
        self.query.limit.saturating_add(1)
    }

    /// Opens a list, and makes a page of it.
    pub async fn page<T, R: Listed, I: Id>(
        &self,
        found: Guarded<Vec<T>>,
        id: impl Fn(&T) -> I,
        item: impl Fn(T) -> R,
    ) -> Result<Listing<R>, Problem> {
        let mut found = self.open(found).await?;
        let next_cursor = self.next(&mut found, self.query.limit, |one| [id(one).get()]);
        Ok(Listing { items: found.into_iter().map(item).collect(), next_cursor })
    }
}

impl<P, Q, B, S: Standing> Call<P, Q, B, S> {
    /// Who looks at the answer.
    pub fn view(&self) -> View<'_> {
        View { zone: &self.app.zone, role: self.scope.role() }
    }
}

impl<P: Copy + Sync> Call<P> {
    /// Answers with a thing's representation.
    pub async fn show<R: Represents>(&self) -> Result<R, Problem>
    where
        P: Leads<<R::Of as Thing>::Id>,
    {
        let found = app::find(&self.app, &self.scope, self.path.id()).await?;
        Ok(R::of(self.open(found).await?, self.view()))
    }
}

impl<P: Copy + Sync> Call<P, (), Document> {
    /// Checks If-Match, then edits: a PUT as it stands, a PATCH merged into the present representation. One reader
    /// serves both.
    pub async fn edit<R: Editable>(&self) -> Result<R, Problem>
    where
        P: Leads<<R::Of as Thing>::Id>,
    {
        let view = self.view();
        let read = |current: &R::Of, now: Instant| {
            let bytes = encode(&R::of(current.clone(), view)).map_err(|_| corrupt())?;
            if self.is_conditional() {
                self.check(&bytes)?;
            }
            let present = Node::parse(&bytes).map_err(|_| corrupt())?;
            if self.body.patch && matches!(&*self.body.node, Node::Object(_)) {
                return read_edit::<R>(&present.merged(&self.body.node), &present, current, now);
            }
            read_edit::<R>(&self.body.node, &present, current, now)
        };
        Ok(R::of(app::edit(&self.app, &self.scope, self.path.id(), read).await?, view))
    }
}

impl<P: Copy + Sync> Call<P, (), Given> {
    /// Checks If-Match and the idempotency key, then does an operation; its answer represents the thing afterwards.
    pub async fn operate<R: Represents, O: Operation<R::Of> + FromInput>(&self) -> Result<Reply<R>, Problem>
    where
        P: Leads<<R::Of as Thing>::Id>,
    {
        let view = self.view();
        let check = |current: &R::Of| {
            if self.is_conditional() { self.check(&written::<R>(current, view)?) } else { Ok(()) }
        };
        Ok(match self.perform::<R::Of, R, O>(&check).await? {
            Done::Now(thing) => Reply::Now(R::of(thing, view)),
            Done::Before(kept) => Reply::Before(kept),
        })
    }

    /// Checks the idempotency key, then does an operation on the thing `T` which makes another one.
    pub async fn create<T: Thing, R: Represents, O: Operation<T, R::Of> + FromInput>(&self) -> Result<Reply<R>, Problem>
    where
        P: Leads<T::Id>,
    {
        let done = self.perform::<T, R, O>(&|_: &T| Ok(())).await?;
        Ok(self.made(done))
    }

    async fn perform<T: Thing, R: Represents, O: Operation<T, R::Of> + FromInput>(
        &self,
        check: &(dyn Fn(&T) -> Result<(), Failure> + Send + Sync),
    ) -> Result<Done<R::Of>, Failure>
    where
        P: Leads<T::Id>,
    {
        let write = |thing: &R::Of| self.kept::<R>(thing);
        let ask = Ask { scope: &self.scope, check, once: self.once(&write) };
        let operation = Unread::<O>(Arc::clone(&self.body.0), std::marker::PhantomData);
        app::change(&self.app, ask, self.path.id(), &operation).await
    }
}

impl<P, S: Standing> Call<P, (), Given, S> {
    /// The request's idempotency key, with how its answer is written down.
    pub fn once<'a, A>(&self, write: &'a (dyn Fn(&A) -> Result<String, Failure> + Send + Sync)) -> Option<Once<'a, A>> {
        let head = &self.head;
        let key = head.idempotency_key.as_deref()?;
        let content = [head.resource.as_deref().unwrap_or_default().as_bytes(), &head.body];
        let key = IdempotencyKey::new(&self.app.store, head.caller.identity(), head.caller.action(), key, &content);
        Some(Once { key, write })
    }

    /// The answer as it is kept for an idempotency key.
    pub fn kept<R: Represents>(&self, thing: &R::Of) -> Result<String, Failure> {
        let status = self.head.status;
        let representation = R::of(thing.clone(), self.view());
        let location = if status == StatusCode::CREATED { representation.location() } else { None };
        let body = String::from_utf8(encode(&representation).map_err(|_| corrupt())?.into()).map_err(|_| corrupt())?;
        let body = RawValue::from_string(body).map_err(|_| corrupt())?;
        serde_json::to_string(&Kept { status: status.as_u16(), location, body }).map_err(|_| corrupt())
    }

    /// The answer of what made something.
    pub fn made<R: Represents>(&self, done: Done<R::Of>) -> Reply<R> {
        match done {
            Done::Now(thing) => {
                let made = R::of(thing, self.view());
                let location = made.location();
                Reply::Made(made, location)
            }
            Done::Before(kept) => Reply::Before(kept),
        }
    }
}

fn written<R: Represents>(thing: &R::Of, view: View<'_>) -> Result<Bytes, Failure> {
    encode(&R::of(thing.clone(), view)).map_err(|_| corrupt())
}

fn corrupt() -> Failure {
    Failure::Store(store::StoreError::Db(store::DbError::Corrupt("a representation does not encode".into())))
}

fn encode(representation: &impl Serialize) -> Result<Bytes, Problem> {
    let bytes = serde_json::to_vec(representation);
    Ok(Bytes::from(bytes.map_err(|error| Problem::new(problem::INTERNAL).cause(error))?))
}
