//! The endpoints of the demonstration provider.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use reqwest::Url;
use serde_json::{Value, json};

use super::people::{self, Client, Kind};
use super::{Code, Provider, ProviderError, TOKEN_SECONDS, page};
use crate::auth::is_loopback;

/// Where the provider is mounted; the issuer's address ends with it.
pub const PATH: &str = "/demo/oidc";

/// Where somebody logs in without an application, to get a token to use by hand.
pub const LOG_IN: &str = "/demo/oidc/login";

const AUTH: &str = "/demo/oidc/auth";

/// The largest form in bytes.
const MAX_FORM: usize = 16 * 1024;

/// The provider's routes, with their full paths under [`PATH`].
pub fn router(provider: Arc<Provider>) -> Router {
    let routes = Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/certs", get(certs))
        .route("/auth", get(authorize).post(log_in))
        .route("/login", get(show_log_in).post(log_in_by_hand))
        .route("/token", post(token))
        .route("/userinfo", get(user_info).post(user_info))
        .route("/logout", get(log_out).post(log_out_form))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .with_state(provider);
    Router::new().nest(PATH, routes)
}

type Pairs = Vec<(String, String)>;
type Provided = State<Arc<Provider>>;

/// An error of the token endpoint (RFC 6749, section 5.2).
struct OAuthError(StatusCode, &'static str, &'static str);

const fn refused(code: &'static str, description: &'static str) -> OAuthError {
    OAuthError(StatusCode::BAD_REQUEST, code, description)
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let Self(status, error, error_description) = self;
        let body = Json(json!({ "error": error, "error_description": error_description }));
        let mut response = (status, [(header::CACHE_CONTROL, "no-store")], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme =
                if error == "invalid_client" { "Basic realm=\"demo\"" } else { "Bearer error=\"invalid_token\"" };
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static(scheme));
        }
        response
    }
}

impl From<ProviderError> for OAuthError {
    fn from(error: ProviderError) -> Self {
        tracing::error!(%error, "the demonstration provider failed");
        Self(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "The provider failed.")
    }
}

/// The parameters of a request.
struct Params(Pairs);

impl Params {
    /// A parameter must not stand there twice (RFC 6749, section 3.1 and 3.2).
    fn of(pairs: Pairs) -> Result<Self, OAuthError> {
        let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|two| two.first() == two.last()) {
            return Err(refused("invalid_request", "A parameter stands there twice."));
        }
        Ok(Self(pairs))
    }
    fn from_form(form: Result<Form<Pairs>, FormRejection>) -> Result<Self, OAuthError> {
        let form = form.map_err(|_| refused("invalid_request", "Send application/x-www-form-urlencoded."))?;
        Self::of(form.0)
    }
    fn from_query(query: Result<Query<Pairs>, QueryRejection>) -> Result<Self, OAuthError> {
        Self::of(query.map_err(|_| refused("invalid_request", "The query cannot be read."))?.0)
    }
    /// One without a value counts as left out (RFC 6749, section 3.1).
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, value)| n == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }
    fn required(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name).ok_or_else(|| refused("invalid_request", "A required parameter is missing."))
    }
}

async fn discovery(State(provider): Provided) -> Json<Value> {
    let issuer = &provider.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/auth"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/certs"),
        "end_session_endpoint": format!("{issuer}/logout"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "password", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid"],
        "claims_supported": ["iss", "aud", "sub", "exp", "iat", "auth_time", "nonce", "preferred_username"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn certs(State(provider): Provided) -> Json<Value> {
    Json(provider.jwks.clone())
}

/// An authorization request that may be answered at its redirect address.
struct Request<'a> {
    client: &'static Client,
    redirect: Url,
    challenge: &'a str,
}

/// Checks an authorization request; whatever is wrong with client or redirect address is shown here, the
/// rest goes back to the client (RFC 6749, section 4.1.2.1).
fn check<'a>(provider: &Provider, params: &'a Params) -> Result<Request<'a>, Box<Response>> {
    let client = params.get("client_id").and_then(people::client);
    let client = client.filter(|client| !matches!(client.kind, Kind::Service(_)));
    let client = client.ok_or_else(|| Box::new(page::refused("The application is not known here.")))?;
    let redirect = params.get("redirect_uri").and_then(|uri| Url::parse(uri).ok()).filter(|uri| {
        matches!(uri.scheme(), "http" | "https")
            && is_loopback(uri)
            && uri.fragment().is_none()
            && uri.username().is_empty()
    });
    // No list of registered addresses: but codes never leave this machine (RFC 8252, section 7.3).
    let redirect =
        redirect.ok_or_else(|| Box::new(page::refused("The redirect address must be on this machine (loopback).")))?;
    let back = |error: &str, description: &str| {
        let answer = [("error", error), ("error_description", description)];
        Err(Box::new(send_back(provider, redirect.clone(), params, &answer)))
    };
    if params.get("response_type") != Some("code") {
        return back("unsupported_response_type", "Use response_type=code.");
    }
    match (params.get("code_challenge"), params.get("code_challenge_method")) {
        (Some(challenge), Some("S256")) if URL_SAFE_NO_PAD.decode(challenge).is_ok_and(|hash| hash.len() == 32) => {
            Ok(Request { client, redirect, challenge })
        }
        _ => back("invalid_request", "PKCE with code_challenge_method=S256 is required (RFC 7636)."),
    }
}

fn send_back(provider: &Provider, mut to: Url, params: &Params, answer: &[(&str, &str)]) -> Response {
    let pairs = answer.iter().copied().chain(params.get("state").map(|state| ("state", state)));
    // RFC 9207: the issuer, against mix-up.
    to.query_pairs_mut().extend_pairs(pairs.chain([("iss", provider.issuer.as_str())]));
    ([(header::CACHE_CONTROL, "no-store")], Redirect::to(to.as_str())).into_response()
}

async fn authorize(State(provider): Provided, query: Result<Query<Pairs>, QueryRejection>) -> Response {
    let Ok(params) = Params::from_query(query) else { return page::refused("The request cannot be read.") };
    match check(&provider, &params) {
        Ok(_) => page::log_in(AUTH, &params.0, false),
        Err(response) => *response,
    }
}

async fn log_in(State(provider): Provided, parts: Parts, form: Result<Form<Pairs>, FormRejection>) -> Response {
    let Ok(params) = Params::from_form(form) else { return page::refused("The request cannot be read.") };
    let Request { client, redirect, challenge } = match check(&provider, &params) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    let name = params.get("username").unwrap_or_default();
    let Some(user) = people::log_in(name, params.get("password").unwrap_or_default()) else {
        provider.failed(name, &parts);
        return page::log_in(AUTH, &params.0, true);
    };
    let code = provider.session(client, user, params.get("scope").unwrap_or("openid")).and_then(|session| {
        let code = Code {
            session,
            redirect_uri: params.get("redirect_uri").unwrap_or_default().to_owned(),
            challenge: challenge.to_owned(),
            nonce: params.get("nonce").map(str::to_owned),
        };
        Ok(provider.codes.issue(&*provider.random, provider.clock.now(), code)?)
    });
    match code {
        Ok(code) => send_back(&provider, redirect, &params, &[("code", &code)]),
        Err(error) => OAuthError::from(error).into_response(),
    }
}

async fn show_log_in() -> Response {
    page::log_in(LOG_IN, &[], false)
}

async fn log_in_by_hand(
    State(provider): Provided,
    parts: Parts,
    form: Result<Form<Pairs>, FormRejection>,
) -> Result<Response, OAuthError> {
    let params = Params::from_form(form)?;
    let name = params.get("username").unwrap_or_default();
    let Some(user) = people::log_in(name, params.get("password").unwrap_or_default()) else {
        provider.failed(name, &parts);
        return Ok(page::log_in(LOG_IN, &[], true));
    };
    let token = provider.access_token(user.name, user.role, people::PUBLIC, None, "openid")?;
    Ok(page::token(user, &token, TOKEN_SECONDS / 60))
}

async fn token(
    State(provider): Provided,
    parts: Parts,
    form: Result<Form<Pairs>, FormRejection>,
) -> Result<Response, OAuthError> {
    let params = Params::from_form(form)?;
    let grant = params.required("grant_type")?;
    let client = authenticate(&provider, &parts, &params)?;
    let now = provider.clock.now();
    let answer = match (grant, &client.kind) {
        ("password", Kind::Public) => {
            let (name, password) = (params.required("username")?, params.required("password")?);
            let Some(user) = people::log_in(name, password) else {
                provider.failed(name, &parts);
                return Err(refused("invalid_grant", "User name or password is wrong."));
            };
            let session = provider.session(client, user, params.get("scope").unwrap_or("profile"))?;
            provider.user_tokens(session, None)?
        }
        ("authorization_code", Kind::Public | Kind::Confidential) => {
            // Taken before anything is checked: a code is good for one attempt.
            let code = provider.codes.take(params.required("code")?, now);
            let verifier = params.get("code_verifier").filter(|verifier| (43..=128).contains(&verifier.len()));
            let code = code.filter(|code| {
                let hash = digest::digest(&digest::SHA256, verifier.unwrap_or_default().as_bytes());
                code.session.client == client
                    && Some(code.redirect_uri.as_str()) == params.get("redirect_uri")
                    && verifier.is_some()
                    && code.challenge == URL_SAFE_NO_PAD.encode(hash.as_ref())
            });
            let code = code.ok_or_else(|| refused("invalid_grant", "The code is wrong, used or expired."))?;
            provider.user_tokens(code.session, code.nonce.as_deref())?
        }
        ("refresh_token", Kind::Public | Kind::Confidential) => {
            let session = provider.refresh.take(params.required("refresh_token")?, now);
            let session = session.filter(|session| session.client == client);
            let session =
                session.ok_or_else(|| refused("invalid_grant", "The refresh token is wrong, used or expired."))?;
            provider.user_tokens(session, None)?
        }
        ("client_credentials", Kind::Service(role)) => {
            provider.service_tokens(client, *role, params.get("scope").unwrap_or("profile"))?
        }
        ("password" | "authorization_code" | "refresh_token" | "client_credentials", _) => {
            return Err(refused("unauthorized_client", "This client may not use this grant type."));
        }
        _ => return Err(refused("unsupported_grant_type", "This grant type is not known here.")),
    };
    Ok(([(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")], Json(answer)).into_response())
}

/// The client of a token request: by HTTP Basic or by form fields (RFC 6749, section 2.3.1), not both.
fn authenticate(provider: &Provider, parts: &Parts, params: &Params) -> Result<&'static Client, OAuthError> {
    const WRONG: OAuthError =
        OAuthError(StatusCode::UNAUTHORIZED, "invalid_client", "Client or client secret is wrong.");
    let (id, secret) = match basic(&parts.headers)? {
        Some((id, secret)) => {
            if params.get("client_secret").is_some() || params.get("client_id").is_some_and(|other| other != id) {
                return Err(refused("invalid_request", "Name the client in one way only."));
            }
            (id, Some(secret))
        }
        None => (params.required("client_id")?.to_owned(), params.get("client_secret").map(str::to_owned)),
    };
    let right = |client: &&Client| client.kind == Kind::Public || secret.as_deref() == Some(client.id);
    people::client(&id).filter(right).ok_or_else(|| {
        provider.failed(&id, parts);
        WRONG
    })
}

fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, OAuthError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let unreadable = || refused("invalid_request", "The Authorization header cannot be read.");
    let (scheme, credentials) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(unreadable)?;
    let text = STANDARD.decode(credentials.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.filter(|_| scheme.eq_ignore_ascii_case("basic")).ok_or_else(unreadable)?;
    // Ids and secrets of this provider hold no character that the form encoding would change.
    let (id, secret) = text.split_once(':').ok_or_else(unreadable)?;
    Ok(Some((id.to_owned(), secret.to_owned())))
}

async fn user_info(State(provider): Provided, headers: HeaderMap) -> Result<Response, OAuthError> {
    const WRONG: OAuthError =
        OAuthError(StatusCode::UNAUTHORIZED, "invalid_token", "Send an access token of this provider.");
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let claims = bearer.and_then(|text| text.strip_prefix("Bearer ")).and_then(|token| provider.claims(token));
    let claims = claims.filter(|claims| {
        let text = |name| claims.get(name).and_then(Value::as_str);
        let until = claims.get("exp").and_then(Value::as_i64);
        text("typ") == Some("Bearer") && until.is_some_and(|until| until > provider.now())
    });
    let claims = claims.ok_or(WRONG)?;
    let body = json!({ "sub": claims.get("sub"), "preferred_username": claims.get("preferred_username") });
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

async fn log_out(State(provider): Provided, query: Result<Query<Pairs>, QueryRejection>) -> Response {
    Params::from_query(query).map_or_else(IntoResponse::into_response, |params| end_session(&provider, &params))
}

async fn log_out_form(State(provider): Provided, form: Result<Form<Pairs>, FormRejection>) -> Response {
    Params::from_form(form).map_or_else(IntoResponse::into_response, |params| end_session(&provider, &params))
}

/// OpenID Connect RP-Initiated Logout 1.0. An expired ID token is a good hint too (section 2).
fn end_session(provider: &Provider, params: &Params) -> Response {
    if let Some(ticket) = params.get("refresh_token") {
        provider.refresh.take(ticket, provider.clock.now());
    }
    let hint = params.get("id_token_hint").and_then(|token| provider.claims(token));
    if let Some(session) = hint.as_ref().and_then(|claims| claims.get("sid")).and_then(Value::as_str) {
        provider.refresh.drop_all(|open| open.id == session);
    }
    // Only with a hint: nobody else's link may send people elsewhere, and only on this machine.
    let to = params.get("post_logout_redirect_uri").and_then(|uri| Url::parse(uri).ok());
    let to = to.filter(|to| hint.is_some() && matches!(to.scheme(), "http" | "https") && is_loopback(to));
    let Some(mut to) = to else { return page::signed_out() };
    if let Some(state) = params.get("state") {
        to.query_pairs_mut().append_pair("state", state);
    }
    Redirect::to(to.as_str()).into_response()
}
