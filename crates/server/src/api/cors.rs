//! CORS (the Fetch standard): what pages of the configured origins may ask, and what they may read.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, Method, StatusCode,
    header::{self, HeaderName},
};

use super::{dispatch::finish, origin};
use crate::app::App;

const PREFLIGHT: [(HeaderName, HeaderValue); 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,PUT,PATCH,POST,DELETE")),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        // Swagger UI asks for tokens with X-Requested-With.
        HeaderValue::from_static(
            "authorization,content-type,if-match,if-none-match,idempotency-key,traceparent,x-access-reason,x-request-id,\
             x-requested-with",
        ),
    ),
    (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
];

/// Lets the pages of `origins` call these routes. Without any, they stay as they are.
pub fn open(routes: Router, app: &Arc<App>, origins: Vec<String>) -> Router {
    if origins.is_empty() {
        return routes;
    }
    let (app, origins) = (Arc::clone(app), Arc::new(origins));
    routes.layer(middleware::from_fn(move |request: Request, next: Next| {
        answer(Arc::clone(&app), Arc::clone(&origins), request, next)
    }))
}

/// Answers preflights, and lets the pages of listed origins read every other answer.
///
/// A preflight is what has both of its headers. Every other OPTIONS is answered as without CORS.
async fn answer(app: Arc<App>, origins: Arc<Vec<String>>, request: Request, next: Next) -> Response {
    let asked = request.headers();
    let origin = asked.get(header::ORIGIN).cloned();
    let preflight = *request.method() == Method::OPTIONS
        && origin.is_some()
        && asked.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        finish(StatusCode::NO_CONTENT.into_response(), &origin::request_id(&app, asked))
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin.filter(|origin| origins.iter().any(|listed| *origin == **listed)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if preflight {
            headers.extend(PREFLIGHT);
        } else {
            let exposed = HeaderValue::from_static("etag,retry-after,x-request-id");
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
    response
}
