//! The JSON API: wire types, the route table, and the order in which a request is checked.
//!
//! One endpoint is one function in its slice's file, one row in that slice's `routes()`, and one use case
//! in [`crate::app`]. Router, API description, authorization and coverage tests follow from the row.

mod accounts;
mod balances;
mod batch;
mod body;
mod call;
mod claims;
mod cors;
mod credentials;
mod cursor;
mod customers;
mod dispatch;
mod docs;
mod enrollments;
mod etag;
mod front;
mod history;
mod identities;
mod integration;
mod market;
mod meters;
mod moves;
mod negotiate;
pub mod openapi;
mod origin;
mod pages;
mod params;
mod paths;
mod preferences;
mod premises;
pub mod problem;
mod readings;
mod reports;
pub mod route;
mod rules;
mod search;
mod standing;
mod tasks;
mod usage;
pub mod wire;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use http::{HeaderValue, Method, StatusCode, header};
use tower::layer::layer_fn;

pub use self::{
    cors::open as open_to_pages_of,
    pages::{Links, index},
};
use self::{
    dispatch::{dispatch, finish},
    front::Front,
    problem::Problem,
    route::Route,
};
use crate::app::App;

/// The route table: every operation of the API.
pub fn routes() -> Vec<Route> {
    let slices = [
        customers::routes(),
        search::routes(),
        identities::routes(),
        claims::routes(),
        accounts::routes(),
        premises::routes(),
        meters::routes(),
        readings::routes(),
        usage::routes(),
        preferences::routes(),
        balances::routes(),
        integration::routes(),
        reports::routes(),
        history::routes(),
        moves::routes(),
        market::routes(),
        enrollments::routes(),
        tasks::routes(),
    ];
    slices.into_iter().flatten().collect()
}

fn filter(method: &Method) -> MethodFilter {
    match *method {
        Method::PUT => MethodFilter::PUT,
        Method::PATCH => MethodFilter::PATCH,
        Method::POST => MethodFilter::POST,
        Method::DELETE => MethodFilter::DELETE,
        // HEAD comes with GET.
        _ => MethodFilter::GET,
    }
}

/// The methods of a path, as `Allow` names them.
fn allow(methods: &[&Method]) -> String {
    let mut names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    if methods.contains(&&Method::GET) {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    names.join(", ")
}

/// The router of the API, the description and its pages.
pub fn router(app: Arc<App>) -> Router {
    let mut paths: BTreeMap<&'static str, Vec<Arc<Route>>> = BTreeMap::new();
    for route in routes() {
        paths.entry(route.path).or_default().push(Arc::new(route));
    }
    let mut router = Router::new();
    for (path, routes) in paths {
        let allowed = allow(&routes.iter().map(|route| &route.method).collect::<Vec<_>>());
        let mut methods = MethodRouter::new();
        for route in routes {
            let (app, filter) = (Arc::clone(&app), filter(&route.method));
            methods = methods.merge(on(filter, move |request: Request| dispatch(app, route, request)));
        }
        let options = options(Arc::clone(&app), allowed.clone());
        let refused = refused(Arc::clone(&app), problem::METHOD_NOT_ALLOWED, Some(allowed));
        methods = methods.merge(on(MethodFilter::OPTIONS, options)).fallback(refused);
        router = router.route(path, methods);
    }
    let unknown = refused(Arc::clone(&app), problem::NOT_FOUND, None);
    layered(router.merge(pages::router(&app)).fallback(unknown), &app).merge(docs::files(&app))
}

/// What stands in front of the routes, and CORS where it is configured.
fn layered(router: Router, app: &Arc<App>) -> Router {
    let for_front = Arc::clone(app);
    let router = router.layer(layer_fn(move |route| Front::new(Arc::clone(&for_front), route)));
    cors::open(router, app, app.cors_origins.clone())
}

type Fixed = std::future::Ready<Response>;

fn options(app: Arc<App>, allowed: String) -> impl Fn(Request) -> Fixed + Clone + Send + Sync + 'static {
    move |request| {
        let mut response = StatusCode::NO_CONTENT.into_response();
        response.headers_mut().extend(HeaderValue::from_str(&allowed).map(|allowed| (header::ALLOW, allowed)));
        std::future::ready(finish(response, &origin::request_id(&app, request.headers())))
    }
}

fn refused(
    app: Arc<App>,
    kind: &'static problem::ProblemKind,
    allowed: Option<String>,
) -> impl Fn(Request) -> Fixed + Clone + Send + Sync + 'static {
    move |request| {
        let mut problem = Problem::new(kind);
        if let Some(allowed) = &allowed {
            problem = problem.header(header::ALLOW, allowed);
        }
        let id = origin::request_id(&app, request.headers());
        std::future::ready(finish(problem.into_response(&id), &id))
    }
}
