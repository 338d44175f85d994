//! The keys of an issuer: fetched over HTTP, kept through an outage, renewed on an unknown `kid`
//! (RFC 7517).
//!
//! Invariant: a [`Key`] that an issuer no longer publishes is marked withdrawn before the new set is in
//! force, and whoever holds a verified token looks at that mark each time. A verification that overtakes
//! a withdrawal can therefore fill the cache, but nothing is served from it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::policy::Roles;
use domain::time::{Clock, Instant, SECOND};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use super::tokens::{Token, TokenError};

/// The shortest time in microseconds between two fetches that unknown keys caused: whoever invents key
/// ids must not be able to make us flood the issuer.
const BETWEEN_FETCHES: i64 = 10 * SECOND;
/// The same while no fetch has succeeded yet.
const BETWEEN_FIRST_FETCHES: i64 = SECOND / 2;
/// The background task's period after a success.
const PERIOD: Duration = Duration::from_secs(300);
/// The background task's period after a failure.
const RETRY: Duration = Duration::from_secs(10);
/// The same while no fetch has succeeded yet.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The largest key set in bytes.
const MAX_SET: usize = 256 * 1024;
/// The most keys that are read from a set.
const MAX_KEYS: usize = 64;

/// A public key that an issuer published.
pub(super) struct Key {
    kid: Option<String>,
    /// The one algorithm that this key may verify.
    pub(super) algorithm: Algorithm,
    /// The parameters as published, to recognise the key in the next set.
    material: [String; 2],
    /// The key in the form of the verifier.
    pub(super) decoding: DecodingKey,
    withdrawn: AtomicBool,
}

impl Key {
    /// Whether the issuer has stopped publishing the key.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }
    fn is(&self, other: &Self) -> bool {
        self.kid == other.kid && self.algorithm == other.algorithm && self.material == other.material
    }
}

/// A JSON Web Key with the members that decide whether and how it verifies (RFC 7517, section 4).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    /// The key, when it is one that verifies RS256, ES256 or EdDSA. Sets also hold keys for encryption
    /// (Keycloak's RSA-OAEP) and algorithms that we do not accept: those are no errors.
    fn into_key(self) -> Option<Key> {
        let for_signatures = self.r#use.as_deref().is_none_or(|r#use| r#use == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !for_signatures {
            return None;
        }
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let alg = self.alg.as_deref();
        let (algorithm, material, decoding) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) if alg.is_none_or(|alg| alg == "RS256") => {
                let (n, e) = (self.n?, self.e?);
                // NIST SP 800-131A: no RSA below 2048 bits.
                bytes(&n).filter(|n| n.len() >= 256)?;
                let decoding = DecodingKey::from_rsa_components(&n, &e).ok()?;
                (Algorithm::RS256, [n, e], decoding)
            }
            ("EC", Some("P-256")) if alg.is_none_or(|alg| alg == "ES256") => {
                let (x, y) = (self.x?, self.y?);
                bytes(&x).filter(|x| x.len() == 32)?;
                bytes(&y).filter(|y| y.len() == 32)?;
                let decoding = DecodingKey::from_ec_components(&x, &y).ok()?;
                (Algorithm::ES256, [x, y], decoding)
            }
            // RFC 9864 renames EdDSA with this curve to Ed25519; sets may carry either name.
            ("OKP", Some("Ed25519")) if alg.is_none_or(|alg| matches!(alg, "EdDSA" | "Ed25519")) => {
                let x = self.x?;
                bytes(&x).filter(|x| x.len() == 32)?;
                let decoding = DecodingKey::from_ed_components(&x).ok()?;
                (Algorithm::EdDSA, [x, String::new()], decoding)
            }
            _ => return None,
        };
        Some(Key { kid: self.kid, algorithm, material, decoding, withdrawn: AtomicBool::new(false) })
    }
}

/// Why a fetch brought no keys.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("the answer was {0}")]
    Status(reqwest::StatusCode),
    #[error("the answer is larger than 256 KiB")]
    TooLarge,
    #[error("the answer is no JSON Web Key Set")]
    NoSet(#[from] serde_json::Error),
}

async fn fetch(client: &reqwest::Client, url: reqwest::Url) -> Result<Vec<Key>, FetchError> {
    let mut response = client.get(url).header(http::header::ACCEPT, "application/json").send().await?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_SET {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(keys_of(&body)?)
}

/// The usable keys of a set. One that we cannot read does not spoil the others (RFC 7517, section 5).
fn keys_of(body: &[u8]) -> Result<Vec<Key>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(body)?;
    let jwks = set.keys.into_iter().take(MAX_KEYS).filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    Ok(jwks.filter_map(Jwk::into_key).collect())
}

/// An issuer and its keys.
pub(super) struct Issuer {
    /// `iss`, compared byte by byte.
    pub(super) name: Arc<str>,
    /// What `aud` must hold.
    pub(super) audience: String,
    /// The roles that this issuer may grant.
    pub(super) grants: Roles,
    /// The paths of the claims that hold roles.
    pub(super) role_claims: Vec<Vec<String>>,
    url: reqwest::Url,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    /// `None` until the first fetch succeeds.
    keys: RwLock<Option<Arc<[Arc<Key>]>>>,
    /// When the last fetch ended. Held during a fetch, so that those who wait for it share it.
    last: tokio::sync::Mutex<Option<Instant>>,
    /// Whether the last fetch failed.
    failing: AtomicBool,
}

impl Issuer {
    /// An issuer without keys yet.
    pub(super) fn new(
        (name, audience): (Arc<str>, String),
        (grants, role_claims): (Roles, Vec<Vec<String>>),
        url: reqwest::Url,
        client: reqwest::Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (keys, last) = (RwLock::new(None), tokio::sync::Mutex::new(None));
        let failing = AtomicBool::new(false);
        Self { name, audience, grants, role_claims, url, client, clock, keys, last, failing }
    }

    fn keys(&self) -> Option<Arc<[Arc<Key>]>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the keys were ever fetched.
    pub(super) fn has_keys(&self) -> bool {
        self.keys().is_some()
    }

    /// The key of a token; an unknown one causes a fetch, unless one has just been made.
    pub(super) async fn key_for(self: &Arc<Self>, token: &Token<'_>) -> Result<Arc<Key>, TokenError> {
        if let Ok(key) = self.find(token) {
            return Ok(key);
        }
        if !self.last.try_lock().is_ok_and(|last| self.too_soon(*last)) {
            // In a task of its own: a caller who hangs up must not take the fetch away from the others.
            let this = Arc::clone(self);
            let fetched = tokio::spawn(async move { this.refresh(false).await }).await;
            if fetched.is_err() {
                tracing::error!(issuer = &*self.name, "fetching the issuer's keys panicked");
            }
        }
        self.find(token)
    }

    fn find(&self, token: &Token<'_>) -> Result<Arc<Key>, TokenError> {
        let keys = self.keys().ok_or(TokenError::Unavailable)?;
        let mut fitting = keys.iter().filter(|key| match &token.kid {
            Some(_) => key.kid == token.kid,
            // Without a `kid` only a key that leaves no choice is meant.
            None => key.algorithm == token.algorithm,
        });
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(Arc::clone(key)),
            (Some(key), Some(_)) if token.kid.is_some() => Ok(Arc::clone(key)),
            _ => Err(TokenError::Key),
        }
    }

    fn too_soon(&self, last: Option<Instant>) -> bool {
        let least = if self.has_keys() { BETWEEN_FETCHES } else { BETWEEN_FIRST_FETCHES };
        // A clock that was set back must not stop fetches: only 0..least is too soon.
        last.is_some_and(|last| (0..least).contains(&self.clock.now().since(last)))
    }

    /// Fetches the keys, at once when `forced`, else not too soon after the last time.
    /// Says whether keys are there and the last fetch, if one was made, succeeded.
    pub(super) async fn refresh(&self, forced: bool) -> bool {
        let mut last = self.last.lock().await;
        if !forced && self.too_soon(*last) {
            return self.has_keys();
        }
        let fetched = fetch(&self.client, self.url.clone()).await;
        *last = Some(self.clock.now());
        match fetched {
            Ok(keys) => {
                self.replace(keys);
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(issuer = &*self.name, "the issuer's keys can be fetched again");
                }
                true
            }
            Err(error) => {
                let kept = self.has_keys();
                // An outage is told once: it is tried again every few seconds.
                if self.failing.swap(true, Ordering::Relaxed) {
                    tracing::debug!(issuer = &*self.name, %error, kept, "the issuer's keys still cannot be fetched");
                } else {
                    tracing::warn!(issuer = &*self.name, %error, kept, "the issuer's keys cannot be fetched");
                }
                false
            }
        }
    }

    fn replace(&self, fetched: Vec<Key>) {
        let old = self.keys();
        let old = old.as_deref().unwrap_or_default();
        let new: Arc<[Arc<Key>]> = fetched
            .into_iter()
            .map(|key| old.iter().find(|known| known.is(&key)).cloned().unwrap_or_else(|| Arc::new(key)))
            .collect();
        for gone in old.iter().filter(|known| !new.iter().any(|key| Arc::ptr_eq(known, key))) {
            gone.withdrawn.store(true, Ordering::Release);
        }
        if old.is_empty() && new.is_empty() {
            tracing::warn!(issuer = &*self.name, "the issuer publishes no key for RS256, ES256 or EdDSA");
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(new);
    }

    /// Keeps the keys fresh for ever.
    pub(super) async fn keep_fresh(&self) {
        loop {
            let pause = match (self.refresh(true).await, self.has_keys()) {
                (true, _) => PERIOD,
                (false, true) => RETRY,
                (false, false) => FIRST_RETRY,
            };
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_for_our_signatures_are_read() {
        let n = URL_SAFE_NO_PAD.encode([0xffu8; 256]);
        let short = URL_SAFE_NO_PAD.encode([0xffu8; 128]);
        let x = URL_SAFE_NO_PAD.encode([7u8; 32]);
        let usable = |key: String| keys_of(format!(r#"{{"keys":[{key}]}}"#).as_bytes()).unwrap().len() == 1;
        for (key, expected) in [
            (format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB"}}"#), true),
            (format!(r#"{{"kty":"RSA","use":"sig","alg":"RS256","key_ops":["verify"],"n":"{n}","e":"AQAB"}}"#), true),
            (format!(r#"{{"kty":"RSA","use":"enc","n":"{n}","e":"AQAB"}}"#), false),
            (format!(r#"{{"kty":"RSA","key_ops":["encrypt"],"n":"{n}","e":"AQAB"}}"#), false),
            (format!(r#"{{"kty":"RSA","alg":"RSA-OAEP","n":"{n}","e":"AQAB"}}"#), false),
            (format!(r#"{{"kty":"RSA","alg":"PS256","n":"{n}","e":"AQAB"}}"#), false),
            (format!(r#"{{"kty":"RSA","n":"{short}","e":"AQAB"}}"#), false),
            (format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{x}"}}"#), true),
            (format!(r#"{{"kty":"EC","crv":"P-384","x":"{x}","y":"{x}"}}"#), false),
            (format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#), true),
            (format!(r#"{{"kty":"oct","alg":"HS256","k":"{x}"}}"#), false),
            (r#""no key at all""#.to_owned(), false),
        ] {
            assert_eq!(usable(key.clone()), expected, "{key}");
        }
        assert!(keys_of(b"{}").is_err());
    }
}
