//! CORS (the Fetch standard): what pages of the configured origins may ask, and what they may read.

use std::sync::Arc;

use axum::{
    extract::Request,
    middleware::Next,
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
        HeaderValue::from_static(
            "authorization,content-type,if-match,if-none-match,idempotency-key,traceparent,x-request-id",
        ),
    ),
    (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
];

/// Answers preflights, and lets the pages of listed origins read every other answer.
///
/// A preflight is what has both of its headers. Every other OPTIONS is answered as without CORS.
pub(super) async fn answer(app: Arc<App>, request: Request, next: Next) -> Response {
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
    if let Some(origin) = origin.filter(|origin| app.cors_origins.iter().any(|listed| *origin == **listed)) {
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
