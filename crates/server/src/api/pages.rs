//! What stands beside the operations: the API's description, a page to browse it that works offline, and a
//! page for each problem.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    extract::Path,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use maud::{DOCTYPE, Markup, html};

use super::{
    dispatch::finish,
    openapi, origin,
    problem::{FIELD_CODES, KINDS},
    routes,
};
use crate::app::App;

static DOCUMENT: LazyLock<String> = LazyLock::new(openapi::document);

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}\
code,pre{font:14px/1.4 ui-monospace,monospace;background:#f3f4f6;border-radius:4px}code{padding:.1em .3em}\
pre{padding:1rem;overflow:auto}summary{cursor:pointer;padding:.4rem 0}.m{display:inline-block;min-width:4.5rem;font-weight:600}\
table{border-collapse:collapse;margin:.5rem 0;display:block;overflow-x:auto}td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}\
h2{margin-top:2rem}a{color:#0645ad}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}code,pre{background:#222}a{color:#8ab4f8}}";

/// The pages.
pub(super) fn router(app: &Arc<App>) -> Router {
    let app = Arc::clone(app);
    let headers = move |request: axum::extract::Request, next: middleware::Next| {
        let id = origin::request_id(&app, request.headers());
        async move { finish(next.run(request).await, &id) }
    };
    Router::new()
        .route("/api/openapi.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()) }))
        .route("/api/docs", get(|| async { page("API of the OSSREP Customer Service", &reference()) }))
        .route("/problems", get(|| async { page("Problems", &problems()) }))
        .route("/problems/{code}", get(problem))
        .layer(middleware::from_fn(headers))
}

/// Markdown's marks are for the documents.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

fn page(title: &str, content: &Markup) -> Response {
    let text = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (content) } }
        }
    };
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    let headers: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
    ];
    (headers, text.into_string()).into_response()
}

/// Every operation with its parameters, refusals and example: no script, nothing from elsewhere.
fn reference() -> Markup {
    let routes = routes();
    let mut tags: Vec<&str> = Vec::new();
    for route in &routes {
        if !tags.contains(&route.tag) {
            tags.push(route.tag);
        }
    }
    html! {
        p { "The machine-readable description is " a href="/api/openapi.json" { "openapi.json" } " (OpenAPI 3.1). Send "
            code { "Authorization: Bearer …" } " with every request. Refusals are " a href="/problems" { "problem details" } "." }
        @for tag in tags {
            h2 { (tag) }
            @for route in routes.iter().filter(|route| route.tag == tag) {
                details {
                    summary { span.m { (route.method) } code { (route.path) } " " (route.about) }
                    table {
                        @for parameter in route.path_parameters.iter().chain(&route.query_parameters) {
                            tr { td { code { (parameter.name) } } td { (plain(parameter.about)) } }
                        }
                        @if let Some(media_type) = route.consumes { tr { td { "Body" } td { code { (media_type) } } } }
                        @if !route.editable.is_empty() { tr { td { "May change" } td { (route.editable.join(", ")) } } }
                        tr { td { "Answers" } td { (route.produces.join(", ")) } }
                        tr { td { "Roles" } td { (route.all_roles().list().map(|(_, name)| name).collect::<Vec<_>>().join(", ")) } }
                        tr { td { "Reveals" } td { (route.rules.iter().flat_map(|rule| rule.categories.names()).collect::<Vec<_>>().join(", ")) } }
                        tr { td { "Refusals" } td {
                            @for kind in openapi::refusals(route) { a href=(format!("/problems/{}", kind.code)) { (kind.status) " " (kind.code) } " " }
                        } }
                    }
                    @if !route.example.is_empty() { pre { (openapi::pretty(route.example)) } }
                }
            }
        }
    }
}

fn problems() -> Markup {
    html! {
        table {
            tr { th { "Status" } th { "Code" } th { "Meaning" } }
            @for kind in KINDS {
                tr id=(kind.code) { td { (kind.status) } td { a href=(format!("/problems/{}", kind.code)) { code { (kind.code) } } } td { (kind.title) " " (plain(kind.about)) } }
            }
        }
        h2 { "Field errors" }
        table { @for (code, about) in FIELD_CODES { tr id=(code) { td { code { (code) } } td { (plain(about)) } } } }
    }
}

async fn problem(Path(code): Path<String>) -> Response {
    match KINDS.iter().find(|kind| kind.code == code) {
        Some(kind) => page(
            kind.title,
            &html! { p { (kind.status) " " code { (kind.code) } } p { (plain(kind.about)) } p { a href="/problems" { "All problems" } } },
        ),
        None => (
            StatusCode::NOT_FOUND,
            page("There is no such problem", &html! { p { a href="/problems" { "All problems" } } }),
        )
            .into_response(),
    }
}
