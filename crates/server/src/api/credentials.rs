//! What a request's headers say of who asks and why: the bearer token, the reason of staff, the idempotency key.

use std::sync::Arc;

use http::{HeaderMap, StatusCode, header};
use store::{AccessReason, Caller, Origin};

use super::{
    problem::{self, Problem},
    route::Route,
};
use crate::{app::App, auth::TokenError};

/// Finds out who asks (RFC 6750), and how much they have asked lately.
pub(super) async fn authenticate(
    app: &App,
    route: &Route,
    headers: &HeaderMap,
    origin: &Arc<Origin>,
) -> Result<Caller, Problem> {
    let refuse = |challenge: String, detail: &str| {
        app.store.unauthenticated(origin, route.action, StatusCode::UNAUTHORIZED.as_u16());
        if app.limiter.failed(origin.address) {
            return Problem::new(problem::TOO_MANY_REQUESTS).header(header::RETRY_AFTER, "60");
        }
        Problem::new(problem::UNAUTHENTICATED).detail(detail).header(header::WWW_AUTHENTICATE, &challenge)
    };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let token = match (values.next(), values.next()) {
        (None, _) => return Err(refuse(REALM.into(), "Send a bearer token in the header Authorization.")),
        (Some(value), None) => value.to_str().ok().and_then(bearer),
        (Some(_), Some(_)) => None,
    };
    let Some(token) = token else {
        let challenge = format!("{REALM}, error=\"invalid_request\"");
        return Err(refuse(challenge, "Send one bearer token in one header Authorization."));
    };
    let identity = match app.authenticator.verify(token).await {
        Ok(identity) => identity,
        Err(TokenError::Unavailable) => {
            return Err(Problem::new(problem::UNAVAILABLE).header(header::RETRY_AFTER, "5"));
        }
        Err(error) => {
            let description = error.to_string().replace('"', "'");
            let challenge = format!("{REALM}, error=\"invalid_token\", error_description=\"{description}\"");
            return Err(refuse(challenge, &error.to_string()));
        }
    };
    if let Some(seconds) = app.limiter.caller(&identity) {
        return Err(Problem::new(problem::TOO_MANY_REQUESTS).header(header::RETRY_AFTER, &seconds.to_string()));
    }
    Ok(app.store.caller(identity, Arc::clone(origin), route.action, &route.rules).await?)
}

/// Reads `Idempotency-Key`: one visible text of 1 to 255 characters, quoted or not.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let key = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if values.next().is_none() && (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(Some(key.to_owned()));
    }
    Err(Problem::of_header("Idempotency-Key", "Write one key of 1 to 255 visible ASCII characters."))
}

const REALM: &str = "Bearer realm=\"customer-service\"";

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Reads `X-Access-Reason`: one of the configured codes, and a ticket after a semicolon.
pub(super) fn access_reason(app: &App, headers: &HeaderMap) -> Result<AccessReason, Problem> {
    let known = || app.access_reasons.iter().map(|reason| &**reason).collect::<Vec<_>>().join(", ");
    let refuse = || Problem::new(problem::ACCESS_REASON_REQUIRED).detail(format!("The reasons are: {}.", known()));
    let mut values = headers.get_all("x-access-reason").iter();
    let text = values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok());
    let (code, rest) = text
        .map(|text| text.split_once(';').map_or((text, None), |(code, rest)| (code, Some(rest))))
        .ok_or_else(refuse)?;
    let code = app.access_reasons.iter().find(|reason| ***reason == *code.trim()).ok_or_else(refuse)?;
    let ticket = match rest.map(|rest| rest.trim().strip_prefix("ticket=").unwrap_or_default()) {
        None => None,
        Some(ticket)
            if (1..=32).contains(&ticket.len()) && ticket.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
        {
            Some(ticket.to_owned())
        }
        Some(_) => return Err(refuse().detail("Write a ticket as `; ticket=CS-4711`: letters, digits and hyphens.")),
    };
    Ok(AccessReason { code: Arc::clone(code), ticket })
}
