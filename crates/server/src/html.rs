//! Plain pages: one look for all of them, no script, and nothing from elsewhere.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use axum::response::{Html, IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("html.css");

/// This one style, known by its hash, and nothing else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'")
});

/// A page without a form.
pub(crate) fn page(title: &str, content: &Markup) -> Response {
    respond(title, content, "; form-action 'none'")
}

/// A page whose form may be answered with a redirect to anywhere: browsers apply `form-action` to that, too.
#[cfg(feature = "demo")]
pub(crate) fn page_with_form(title: &str, content: &Markup) -> Response {
    respond(title, content, "")
}

fn respond(title: &str, content: &Markup, more_policy: &str) -> Response {
    let text = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – OSSREP Customer Service" }
                style { (PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (content) } }
        }
    };
    let policy = HeaderValue::from_str(&format!("{}{more_policy}", *POLICY));
    let policy = policy.map(|policy| [(header::CONTENT_SECURITY_POLICY, policy)]);
    // Without a policy of its own, a page gets the API's, which shows no style.
    (policy.ok(), Html(text.into_string())).into_response()
}
