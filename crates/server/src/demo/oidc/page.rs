//! The pages of the demonstration provider: log-in, a token to paste, signed out, and refusals that may not be
//! redirected.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use maud::{Markup, html};

use super::people::{USERS, User};
use crate::html::page_with_form;
use domain::input::Named as _;

fn page(status: StatusCode, title: &str, content: &Markup) -> Response {
    // A log-in is answered with a redirect to the client.
    let page = page_with_form(title, content);
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, page).into_response()
}

/// The log-in page, whose form goes to `action`. The request's parameters travel along in it: the provider keeps
/// nothing before the password is right.
pub(super) fn log_in(action: &str, request: &[(String, String)], failed: bool) -> Response {
    let content = html! {
        p { "This is the built-in provider of a demonstration. Everybody's password is the user name." }
        @if failed {
            p role="alert" id="failed" { "User name or password is wrong. Please try again." }
        }
        form method="post" action=(action) {
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

/// What somebody gets who logged in without an application: a token to use by hand.
pub(super) fn token(user: &User, token: &str, minutes: i64) -> Response {
    let content = html! {
        p { "You are " strong { (user.name) } ", " (user.about) ". This access token lasts for " (minutes) " minutes." }
        pre #token { (token) }
        p { "Send it with each request as " code { "Authorization: Bearer …" } ", or paste it under “Authorize” in the "
            a href="/api/docs" { "API documentation" } "." }
        p { a href="/" { "Start" } }
    };
    page(StatusCode::OK, "Signed in", &content)
}

/// The page after a log-out without an address to go back to.
pub(super) fn signed_out() -> Response {
    page(StatusCode::OK, "Signed out", &html! { p { "You are signed out. You may close this page." } })
}

/// A refusal that must not be sent to an unchecked redirect address (RFC 6749, section 4.1.2.1).
pub(super) fn refused(sentence: &str) -> Response {
    page(StatusCode::BAD_REQUEST, "This sign-in link does not work", &html! { p role="alert" { (sentence) } })
}
