//! The demonstration's OpenID provider: discovery, keys, authorization code with PKCE and a log-in page,
//! password, client credentials, refresh.
//!
//! It only ever runs with `--demo`: its passwords are public. Its tokens look like Keycloak's and go
//! through the same verification as any other issuer's, keys by HTTP included; nothing in the service
//! knows that it is built in. Keys are made at start, so that a restart ends every session.

mod endpoints;
mod page;
mod people;
mod tickets;

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use aws_lc_rs::{digest, error::Unspecified};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crypto::{Random, RandomError};
use domain::input::Named as _;
use domain::policy::Role;
use domain::time::{Clock, SECOND};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde_json::{Value, json};

use crate::auth::IssuerConfig;
pub use endpoints::{LOG_IN, PATH, router};
use people::Client;
pub use people::{USERS, User, subject_of};
use tickets::Tickets;

/// The `aud` of access tokens.
pub const AUDIENCE: &str = "customer-service";
/// The life of access and ID tokens in seconds.
const TOKEN_SECONDS: i64 = 15 * 60;
/// The life of refresh tokens in seconds.
const REFRESH_SECONDS: i64 = 8 * 3600;
/// The life of an authorization code in seconds (RFC 6749, section 4.1.2 allows ten minutes).
const CODE_SECONDS: i64 = 60;

/// Why the provider cannot work.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The signing key cannot be made.
    #[error("the demonstration provider's key cannot be made")]
    Key(#[from] Unspecified),
    /// A token cannot be signed.
    #[error("the demonstration provider cannot sign: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// A log-in with a wrong name, password or client secret, for the audit log.
pub struct FailedLogin<'a> {
    /// The configured issuer.
    pub issuer: &'a str,
    /// The user or client as typed, cut to 64 characters. A stranger's text, perhaps a password in the
    /// wrong field: never log it.
    pub name: String,
    /// The request: its extensions and headers lead to the client's address and the request id.
    pub request: &'a http::request::Parts,
}

/// What is called on each failed log-in.
pub type OnFailedLogin = Box<dyn Fn(&FailedLogin<'_>) + Send + Sync>;

/// Who is signed in to which client. A refresh token stands for one of these.
#[derive(Clone)]
struct Session {
    id: String,
    client: &'static Client,
    user: &'static User,
    scope: String,
    /// In seconds since the epoch.
    since: i64,
}

/// What an authorization code stands for.
struct Code {
    session: Session,
    redirect_uri: String,
    challenge: String,
    nonce: Option<String>,
}

/// The demonstration provider.
pub struct Provider {
    issuer: String,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    key: EncodingKey,
    public: DecodingKey,
    header: Header,
    jwks: Value,
    codes: Tickets<Code>,
    refresh: Tickets<Session>,
    on_failed_login: OnFailedLogin,
}

impl Provider {
    /// A provider whose `iss` is `issuer`: the address of [`PATH`] as clients see it.
    ///
    /// # Errors
    /// [`ProviderError`] when the key cannot be made.
    pub fn new(issuer: String, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, ProviderError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?.to_pkcs8v1()?;
        let key = EncodingKey::from_ec_der(pair.as_ref());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        // Keycloak's headers say JWT for access and ID tokens alike; the claim `typ` tells them apart.
        let header = Header { kid: Some(kid), ..Header::new(Algorithm::ES256) };
        Ok(Self {
            issuer,
            clock,
            random,
            public: DecodingKey::from_jwk(&jwk)?,
            jwks: json!({ "keys": [jwk] }),
            key,
            header,
            codes: Tickets::new(CODE_SECONDS * SECOND),
            refresh: Tickets::new(REFRESH_SECONDS * SECOND),
            on_failed_login: Box::new(|_| ()),
        })
    }

    /// Calls `hook` on each failed log-in, before the answer.
    #[must_use]
    pub fn on_failed_login(self, hook: OnFailedLogin) -> Self {
        Self { on_failed_login: hook, ..self }
    }

    /// How the service trusts this provider: like any other issuer.
    pub fn issuer_config(&self) -> IssuerConfig {
        IssuerConfig {
            issuer: self.issuer.clone(),
            audience: AUDIENCE.to_owned(),
            jwks_url: format!("{}/certs", self.issuer),
            roles: Role::ALL.iter().map(|(_, name)| (*name).to_owned()).collect(),
            role_claims: Vec::new(),
            // Whoever lets the demonstration listen beyond loopback has said so on the command line.
            insecure_http: true,
            keys_grace_seconds: 0,
            docs_client: Some(people::PUBLIC.to_owned()),
        }
    }

    /// Seconds since the epoch.
    fn now(&self) -> i64 {
        self.clock.now().micros().div_euclid(SECOND)
    }

    fn failed(&self, name: &str, request: &http::request::Parts) {
        let name = name.chars().take(64).collect();
        (self.on_failed_login)(&FailedLogin { issuer: &self.issuer, name, request });
    }

    /// A session of a user who has just proved the password.
    fn session(&self, client: &'static Client, user: &'static User, scope: &str) -> Result<Session, ProviderError> {
        Ok(Session { id: tickets::text(&*self.random)?, client, user, scope: scope.to_owned(), since: self.now() })
    }

    /// The answer of the token endpoint for a user (RFC 6749, section 5.1; OpenID Connect Core, 3.1.3.3).
    fn user_tokens(&self, session: Session, nonce: Option<&str>) -> Result<Value, ProviderError> {
        let Session { id, client, user, scope, since } = &session;
        let access = self.access_token(user.name, user.role, client.id, Some(id), scope)?;
        let mut answer = json!({
            "access_token": access,
            "expires_in": TOKEN_SECONDS,
            "token_type": "Bearer",
            "scope": scope,
            "session_state": id,
        });
        if scope.split(' ').any(|one| one == "openid") {
            // OpenID Connect Core, 3.1.3.6: the left half of the access token's hash.
            let hash = digest::digest(&digest::SHA256, access.as_bytes());
            let mut claims = json!({
                "iss": self.issuer, "aud": client.id, "azp": client.id, "sub": subject_of(user.name), "typ": "ID",
                "iat": self.now(), "exp": self.now() + TOKEN_SECONDS, "auth_time": since, "sid": id,
                "at_hash": URL_SAFE_NO_PAD.encode(hash.as_ref().get(..16).unwrap_or_default()),
                "preferred_username": user.name,
            });
            if let Some(nonce) = nonce {
                add(&mut claims, "nonce", nonce.into());
            }
            add(&mut answer, "id_token", self.sign(&claims)?.into());
        }
        let ticket = self.refresh.issue(&*self.random, self.clock.now(), session)?;
        add(&mut answer, "refresh_token", ticket.into());
        add(&mut answer, "refresh_expires_in", REFRESH_SECONDS.into());
        Ok(answer)
    }

    /// The answer of the token endpoint for a service (RFC 6749, section 4.4.3: no refresh token).
    fn service_tokens(&self, client: &Client, role: Role, scope: &str) -> Result<Value, ProviderError> {
        let access = self.access_token(client.id, role, client.id, None, scope)?;
        Ok(json!({ "access_token": access, "expires_in": TOKEN_SECONDS, "token_type": "Bearer", "scope": scope }))
    }

    fn access_token(
        &self,
        name: &str,
        role: Role,
        client: &str,
        session: Option<&str>,
        scope: &str,
    ) -> Result<String, ProviderError> {
        let mut claims = json!({
            "iss": self.issuer, "aud": AUDIENCE, "azp": client, "sub": subject_of(name), "typ": "Bearer",
            "iat": self.now(), "exp": self.now() + TOKEN_SECONDS, "jti": tickets::text(&*self.random)?,
            "scope": scope, "realm_access": { "roles": [role.name()] }, "preferred_username": name,
        });
        if let Some(session) = session {
            add(&mut claims, "sid", session.into());
        }
        self.sign(&claims)
    }

    fn sign(&self, claims: &Value) -> Result<String, ProviderError> {
        Ok(jsonwebtoken::encode(&self.header, claims, &self.key)?)
    }

    /// The claims of a token that this provider signed, whatever its type and age.
    fn claims(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &self.public, Algorithm::ES256)
            .ok()
            .filter(|holds| *holds)?;
        let (_, payload) = signed.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }
}

fn add(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}
