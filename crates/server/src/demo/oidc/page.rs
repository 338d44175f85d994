//! The pages of the demonstration provider: log-in, signed out, and refusals that may not be redirected.

use axum::response::{Html, IntoResponse, Response};
use http::{StatusCode, header};
use maud::{DOCTYPE, Markup, html};

use super::endpoints::PATH;
use super::people::USERS;
use domain::input::Named as _;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem;\
    color:#1a1a1a;background:#fff}label{display:block;margin-top:1rem;font-weight:600}\
    input{font:inherit;padding:.5rem;width:100%;max-width:20rem;border:1px solid #595959;border-radius:.25rem}\
    button{font:inherit;margin-top:1.5rem;padding:.5rem 1.5rem;border:0;border-radius:.25rem;background:#0b5394;\
    color:#fff}[role=alert]{border-left:.3rem solid #b00020;padding:.5rem 1rem;background:#fdecee}\
    table{border-collapse:collapse;margin-top:1rem}th,td{text-align:left;padding:.25rem 1rem .25rem 0;\
    border-bottom:1px solid #ddd}:focus-visible{outline:3px solid #ffb000;outline-offset:2px}";

fn page(status: StatusCode, title: &str, content: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – OSSREP demonstration" }
                style { (STYLE) }
            }
            body { main { h1 { (title) } (content) } }
        }
    };
    // No form-action: browsers apply it to the redirect after the log-in too, which leads to the client.
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, Html(page.into_string())).into_response()
}

/// The log-in page. The request's parameters travel along in the form: the provider keeps nothing before
/// the password is right.
pub(super) fn log_in(request: &[(String, String)], failed: bool) -> Response {
    let content = html! {
        p { "This is the built-in provider of a demonstration. Everybody's password is the user name." }
        @if failed {
            p role="alert" id="failed" { "User name or password is wrong. Please try again." }
        }
        form method="post" action={ (PATH) "/auth" } {
            @for (name, value) in request.iter().filter(|(name, _)| name != "username" && name != "password") {
                input type="hidden" name=(name) value=(value);
            }
            label for="username" { "User name" }
            input #username name="username" autocomplete="username" autocapitalize="none" required autofocus
                aria-describedby=[failed.then_some("failed")];
            label for="password" { "Password" }
            input #password name="password" type="password" autocomplete="current-password" required
                aria-describedby=[failed.then_some("failed")];
            button type="submit" { "Sign in" }
        }
        table {
            caption { "Users of the demonstration" }
            thead { tr { th scope="col" { "User name" } th scope="col" { "Role" } th scope="col" { "Who" } } }
            tbody {
                @for user in &USERS {
                    tr { th scope="row" { (user.name) } td { (user.role.name()) } td { (user.about) } }
                }
            }
        }
    };
    page(StatusCode::OK, "Sign in", &content)
}

/// The page after a log-out without an address to go back to.
pub(super) fn signed_out() -> Response {
    page(StatusCode::OK, "Signed out", &html! { p { "You are signed out. You may close this page." } })
}

/// A refusal that must not be sent to an unchecked redirect address (RFC 6749, section 4.1.2.1).
pub(super) fn refused(sentence: &str) -> Response {
    page(StatusCode::BAD_REQUEST, "This sign-in link does not work", &html! { p role="alert" { (sentence) } })
}
