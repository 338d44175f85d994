//! From a request to its answer, in the one order of checks: 405 (the router), 401, 403, 406/413/415, 400,
//! 404, 412, 422. Every authenticated request leaves its audit record before its answer begins: a read's starts here,
//! beside its statement, a change's commits with it, and a refusal leaves one of its own.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Instant as Stopwatch,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    response::Response,
};
use bytes::Bytes;
use domain::{
    ids::CustomerId,
    policy::{Reach, Roles},
};
use futures_util::FutureExt;
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use store::{AccessReason, Caller, Origin, Refusal, Resource, Scope};
use tracing::Instrument;

use super::{
    call::{Call, FromBody, Head, Standing},
    credentials::{access_reason, authenticate, idempotency_key},
    etag::Condition,
    negotiate, origin,
    params::{FromPath, FromQuery, Query},
    problem::{self, ErrorAt, Problem},
    route::Route,
    standing::{Right, RightOf},
};
use crate::app::App;

/// How often a change is tried when its transaction met another one.
const TRIES: usize = 4;

/// A request behind authorization, its parts not read yet.
#[derive(Clone)]
pub(super) struct Authorized {
    app: Arc<App>,
    route: Arc<Route>,
    caller: Arc<Caller>,
    /// The owner's right; others' depend on the path.
    own: Option<Scope>,
    reason: Option<AccessReason>,
    /// Whom staff or a service reached: for the record of a refusal.
    whose: Arc<OnceLock<CustomerId>>,
    path: Arc<Vec<(String, String)>>,
    query: Arc<str>,
    accept: &'static str,
    conditions: [Option<Condition>; 2],
    idempotency_key: Option<String>,
    media_type: &'static str,
    body: Bytes,
}

impl Authorized {
    /// Reads path, query and body, every error of path and query at once; then finds whose data it is about. A read
    /// starts its record here: it is authorized and asked for.
    pub(super) async fn read<P, Q, B, S>(self) -> Result<Call<P, Q, B, S>, Problem>
    where
        P: FromPath,
        Q: FromQuery,
        B: FromBody,
        S: Standing,
    {
        let Self {
            app,
            route,
            caller,
            own,
            reason,
            whose,
            path,
            query,
            accept,
            conditions,
            idempotency_key,
            media_type,
            body,
        } = self;
        let [if_match, if_none_match] = conditions;
        let mut errors: Vec<ErrorAt> = Vec::new();
        let values: Vec<(&str, &str)> = path.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let path = P::read(&values, &mut errors);
        let (query, filters) = {
            let mut reader = Query::new(&query, &app.zone, app.today(), &mut errors);
            (Q::read(&mut reader), reader.finish())
        };
        let (Some(path), Some(query), true) = (path, query, errors.is_empty()) else {
            return Err(Problem::new(problem::INVALID_REQUEST).errors(errors));
        };
        let read = B::read(&route.method, &body)?;
        let resource = path.resource();
        let right = match own {
            Some(scope) => Right::One(scope),
            None => right(&app, &caller, path.names(), reason).await?,
        };
        if let Right::One(scope) = &right {
            whose.get_or_init(|| scope.customer());
        }
        let asked = match &right {
            Right::One(scope) if route.reads() => {
                Some(Arc::new(app.store.asked(scope, resource.clone(), query.bounds())?))
            }
            Right::One(_) | Right::Many(_) | Right::New(_) => None,
        };
        let unfit = || Problem::new(problem::INTERNAL).cause("the rule's reach and the handler do not fit together");
        let scope = S::of(RightOf(right)).ok_or_else(unfit)?;
        let (status, reads) = (route.status, route.reads());
        let head = Head {
            caller,
            status,
            reads,
            resource,
            filters,
            if_match,
            if_none_match,
            idempotency_key,
            accept,
            media_type,
            body,
        };
        Ok(Call { app, scope, path, query, body: read, asked, head: Arc::new(head) })
    }
}

/// The right of staff or a service: to the customer to whom what the path names belongs, to many, or to make one; and
/// of a person who becomes a customer.
async fn right(
    app: &App,
    caller: &Caller,
    names: Option<Resource>,
    reason: Option<AccessReason>,
) -> Result<Right, Problem> {
    match caller.rule().map_err(refused)?.reach {
        Reach::Many => return Ok(Right::Many(caller.many(reason).map_err(refused)?)),
        Reach::New => return Ok(Right::New(caller.founder(reason).map_err(refused)?)),
        Reach::Own | Reach::Named => {}
    }
    let named = names.ok_or_else(|| Problem::new(problem::NOT_FOUND))?;
    let customer = app.store.owner(named).await?.ok_or_else(|| Problem::new(problem::NOT_FOUND))?;
    Ok(Right::One(caller.of(customer, reason).map_err(refused)?))
}

/// Why a caller may not do what the route does.
fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Forbidden => Problem::new(problem::FORBIDDEN),
        Refusal::NotEnrolled => Problem::new(problem::NOT_ENROLLED)
            .header(header::LINK, "</api/enrollment>; rel=\"https://ossrep.org/rels/enrollment\""),
        Refusal::Inactive => store::StoreError::Inactive.into(),
        Refusal::Closed => Problem::new(problem::INACTIVE).allowed(&[]),
        Refusal::ReasonRequired => Problem::new(problem::ACCESS_REASON_REQUIRED),
    }
}

/// Answers a request to a route.
pub(super) async fn dispatch(app: Arc<App>, route: Arc<Route>, request: Request) -> Response {
    let started = Stopwatch::now();
    let (parts, body) = request.into_parts();
    let origin = Arc::new(origin::of(&app, &parts));
    let trace = origin::trace_id(&parts.headers).unwrap_or_default().to_owned();
    let served = AssertUnwindSafe(serve(&app, &route, parts, body, &origin)).catch_unwind();
    // What the log says of a failed request names it by itself: a span costs only who follows requests closely.
    let span = if tracing::enabled!(tracing::Level::DEBUG) {
        tracing::debug_span!("request", action = route.action, id = %origin.request_id, trace)
    } else {
        tracing::Span::none()
    };
    let served = served.instrument(span).await;
    let response = served.unwrap_or_else(|_| Err(panicked())).unwrap_or_else(|problem| {
        problem.tell(route.action, &origin.request_id, &trace);
        problem.into_response(&origin.request_id)
    });
    app.metrics.request(route.action, response.status().as_u16(), started.elapsed());
    finish(response, &origin.request_id)
}

async fn serve(
    app: &Arc<App>,
    route: &Arc<Route>,
    parts: Parts,
    body: Body,
    origin: &Arc<Origin>,
) -> Result<Response, Problem> {
    let known = authenticate(app, route, &parts.headers, origin);
    let caller = tokio::time::timeout(route.time_limit, known).await.map_err(slow)??;
    let caller = Arc::new(caller);
    // What is refused from here on is refused to somebody known, and recorded with its resource.
    let mut said = Said::default();
    let answer = authorized(app, route, &caller, parts, body, &mut said).await;
    if let Err(problem) = &answer
        && problem.status() != StatusCode::TOO_MANY_REQUESTS.as_u16()
    {
        let Said { resource, reason, whose } = said;
        let failed = problem.status() >= 500;
        // A change that failed left nothing; a read that failed was asked for already.
        if !failed || route.reads() {
            let record = app.store.refused(&caller, reason.as_ref(), whose.get().copied(), problem.status(), resource);
            match record {
                Ok(record) if !failed => record.durable().await.map_err(|_| store::StoreError::AuditUnavailable)?,
                Err(error) if !failed => return Err(error.into()),
                // Whoever gets a 5xx does not wait for its record.
                Ok(_) | Err(_) => {}
            }
        }
    }
    answer
}

/// What a request said of itself before it was refused.
#[derive(Default)]
struct Said {
    resource: Option<String>,
    reason: Option<AccessReason>,
    whose: Arc<OnceLock<CustomerId>>,
}

async fn authorized(
    app: &Arc<App>,
    route: &Arc<Route>,
    caller: &Arc<Caller>,
    mut parts: Parts,
    body: Body,
    said: &mut Said,
) -> Result<Response, Problem> {
    let path = origin::path_values(&mut parts).await?;
    said.resource = path.first().map(|(name, value)| {
        // Ids are digits. Anything else may be a name or an address, which the audit log must not hold.
        let is_id = value.len() <= 20 && value.bytes().all(|byte| byte.is_ascii_digit());
        format!("{}/{}", name.trim_end_matches("Id"), if is_id { value } else { "-" })
    });
    // Said before anything is refused: a refusal's record holds it, too.
    let reason = access_reason(app, &parts.headers);
    let staff = caller.identity().roles().intersects(Roles::STAFF);
    said.reason = reason.as_ref().ok().filter(|_| staff).cloned();
    let rule = caller.rule().map_err(|refusal| refused(refusal).detail(needed(route)))?;
    let own = match rule.reach {
        Reach::Own => Some(caller.own(app.clock.now()).map_err(refused)?),
        Reach::New if rule.roles.intersects(Roles::CUSTOMER) && caller.is_linked() => {
            Some(caller.own(app.clock.now()).map_err(refused)?)
        }
        Reach::Named | Reach::Many | Reach::New => None,
    };
    let accept = negotiate::accept(&parts.headers, route.produces)?;
    let is_empty = body.is_end_stream();
    let mut media_type = route.consumes.unwrap_or_default();
    // Without a body there is nothing to be named, unless a route reads several forms, each of which says what is missing.
    if !(is_empty && parts.method == Method::POST && route.also_consumes.is_empty()) {
        media_type = negotiate::content_type(&parts.headers, route.consumes, route.also_consumes)?;
    }
    let body = read_body(body, route).await?;
    let conditions =
        [Condition::read(&parts.headers, &header::IF_MATCH)?, Condition::read(&parts.headers, &header::IF_NONE_MATCH)?];
    let idempotency_key = if parts.method == Method::POST { idempotency_key(&parts.headers)? } else { None };
    if rule.reason {
        reason?;
    }
    let query = parts.uri.query().unwrap_or_default().into();
    let (app, route, caller, path) = (Arc::clone(app), Arc::clone(route), Arc::clone(caller), Arc::new(path));
    let (reason, whose) = (said.reason.clone(), Arc::clone(&said.whose));
    run(Authorized {
        app,
        route,
        caller,
        own,
        reason,
        whose,
        path,
        query,
        accept,
        conditions,
        idempotency_key,
        media_type,
        body,
    })
    .await
}

/// Which roles would do.
fn needed(route: &Route) -> String {
    let roles: Vec<&str> = route.all_roles().list().map(|(_, name)| name).collect();
    format!("One of these roles is needed: {}.", roles.join(", "))
}

/// Runs the handler: changes in a task of their own, so that a hang-up cannot cut one halfway.
async fn run(authorized: Authorized) -> Result<Response, Problem> {
    let limit = authorized.route.time_limit;
    let changes = !authorized.route.reads();
    let work = async move {
        let mut answer = (authorized.route.handler)(authorized.clone()).await;
        for _ in 1..TRIES {
            match &answer {
                Err(problem) if problem.may_be_tried_again() => {
                    answer = (authorized.route.handler)(authorized.clone()).await;
                }
                _ => break,
            }
        }
        answer
    };
    if changes {
        let task = tokio::spawn(work.in_current_span());
        tokio::time::timeout(limit, task).await.map_err(slow)?.unwrap_or_else(|_| Err(panicked()))
    } else {
        tokio::time::timeout(limit, work).await.map_err(slow)?
    }
}

/// The time limit of the route is over.
fn slow(_: tokio::time::error::Elapsed) -> Problem {
    Problem::new(problem::TIMEOUT).header(header::RETRY_AFTER, "1")
}

/// A defect of ours: the panic itself is in the process's log, the caller learns only that it happened.
fn panicked() -> Problem {
    Problem::new(problem::INTERNAL).cause("it panicked")
}

async fn read_body(body: Body, route: &Route) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let limit = if route.consumes.is_some() { route.body_limit } else { 0 };
    let too_large = || {
        let problem = Problem::new(problem::CONTENT_TOO_LARGE);
        if limit > 0 { problem } else { problem.detail("This operation takes no body.") }
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let read = tokio::time::timeout(route.time_limit, Limited::new(body, limit).collect()).await;
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) | Err(_) => {
            let message = "The body ended before its announced length, or came too slowly.";
            Err(Problem::of_header("Content-Length", message))
        }
    }
}

const HEADERS: [(header::HeaderName, HeaderValue); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ),
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")),
    (header::VARY, HeaderValue::from_static("Accept, Accept-Encoding")),
];

/// Adds the headers that every answer has.
pub(super) fn finish(mut response: Response, request_id: &str) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    headers.extend(HeaderValue::from_str(request_id).map(|id| (header::HeaderName::from_static("x-request-id"), id)));
    response
}
