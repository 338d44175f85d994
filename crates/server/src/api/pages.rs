//! What stands beside the operations: the API's description, a page for each problem, and the one at `/` that
//! leads to them.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    extract::Path,
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use maud::html;

use super::{
    dispatch::finish,
    docs,
    front::framing,
    openapi, origin,
    problem::{FIELD_CODES, KINDS},
};
use crate::{app::App, html::page};

/// The pages.
pub(super) fn router(app: &Arc<App>) -> Router {
    let (described, document) = (Arc::clone(app), OnceLock::new());
    let description = move || {
        let text = document.get_or_init(|| Bytes::from(openapi::served(described.authenticator.sign_ins())));
        let answer = ([(header::CONTENT_TYPE, "application/json")], text.clone());
        async { answer }
    };
    let pages = Router::new()
        .route("/api/openapi.json", get(description))
        .route("/problems", get(|| async { problems() }))
        .route("/problems/{code}", get(problem));
    finished(pages.merge(docs::pages(app)), app)
}

/// With the check and the headers that every answer has.
pub(super) fn finished(pages: Router, app: &Arc<App>) -> Router {
    let app = Arc::clone(app);
    pages.layer(middleware::from_fn(move |request: axum::extract::Request, next: middleware::Next| {
        let id = origin::request_id(&app, request.headers());
        async move {
            let answer = match framing(&request) {
                Ok(()) => next.run(request).await,
                Err(problem) => problem.into_response(&id),
            };
            finish(answer, &id)
        }
    }))
}

/// Where the page at `/` leads, besides the API's own pages.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// A page on which somebody can log in, where there is one.
    pub log_in: Option<&'static str>,
    /// The management listener's address, where a visitor may know it.
    pub management: Option<String>,
}

/// The page at `/`.
pub fn index(app: &Arc<App>, links: Links) -> Router {
    let show = move || {
        let answer = index_page(&links);
        async { answer }
    };
    finished(Router::new().route("/", get(show)), app)
}

fn index_page(Links { log_in, management }: &Links) -> Response {
    let content = html! {
        p { "The system of record for the people and places that a retail energy provider serves." }
        dl {
            dt { a href=(docs::PATH) { "API documentation" } }
            dd { "Every operation, to read and to try out." }
            dt { a href="/api/openapi.json" { "API description" } }
            dd { "The same for machines: OpenAPI 3.1." }
            dt { a href="/problems" { "Problems" } }
            dd { "What each refusal means." }
            @if let Some(log_in) = log_in {
                dt { a href=(log_in) { "Log in to the demonstration" } }
                dd { "Get an access token of a sample customer. Everybody's password is the user name." }
            }
            @if let Some(management) = management {
                dt { a href=(format!("{management}/health/ready")) { "Health" } }
                dd { "Whether the service is ready; " a href=(format!("{management}/metrics")) { "metrics" } " stand beside it." }
            } @else {
                dt { "Health" }
                dd { code { "/health/ready" } ", " code { "/health/live" } " and " code { "/metrics" } " answer on the management address." }
            }
        }
        p { "Version " (env!("CARGO_PKG_VERSION")) }
    };
    page("OSSREP Customer Service", &content)
}

/// Markdown's marks are for the documents.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

fn problems() -> Response {
    let content = html! {
        p { a href="/" { "Start" } " · " a href=(docs::PATH) { "API documentation" } }
        table {
            thead { tr { th scope="col" { "Problem" } th scope="col" { "Meaning" } } }
            tbody {
                @for kind in KINDS {
                    tr id=(kind.code) {
                        td { (kind.status) " " a href=(format!("/problems/{}", kind.code)) { code { (kind.code) } } }
                        td { (kind.title) " " (plain(kind.about)) }
                    }
                }
            }
        }
        h2 { "Field errors" }
        table { @for (code, about) in FIELD_CODES { tr id=(code) { td { code { (code) } } td { (plain(about)) } } } }
    };
    page("Problems", &content)
}

async fn problem(Path(code): Path<String>) -> Response {
    let all = html! { p { a href="/problems" { "All problems" } } };
    match KINDS.iter().find(|kind| kind.code == code) {
        Some(kind) => {
            let about = html! { p { (kind.status) " " code { (kind.code) } } p { (plain(kind.about)) } (all) };
            page(kind.title, &about)
        }
        None => (StatusCode::NOT_FOUND, page("There is no such problem", &all)).into_response(),
    }
}
