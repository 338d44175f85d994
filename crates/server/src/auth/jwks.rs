//! The keys of an issuer: fetched over HTTP, kept through an outage, renewed on an unknown `kid`
//! (RFC 7517).
//!
//! Invariant: a [`Key`] that an issuer no longer publishes is marked withdrawn before the new set is in
//! force, and whoever holds a verified token looks at that mark each time. A verification that overtakes
//! a withdrawal can therefore fill the cache, but nothing is served from it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::policy::Roles;
use domain::time::{Clock, Instant, SECOND};
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
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
    /// As published, to recognise the key in the next set.
    jwk: Jwk,
    /// The one algorithm that this key may verify.
    pub(super) algorithm: Algorithm,
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
        self.jwk.common.key_id == other.jwk.common.key_id && self.jwk.algorithm == other.jwk.algorithm
    }

    /// The key, when it is one that verifies RS256, ES256 or EdDSA. Sets also hold keys for encryption
    /// (Keycloak's RSA-OAEP) and algorithms that we do not accept: those are no errors.
    fn of(jwk: Jwk) -> Option<Self> {
        let CommonParameters { public_key_use, key_operations, key_algorithm, .. } = &jwk.common;
        let length = |text: &str| URL_SAFE_NO_PAD.decode(text).map_or(0, |bytes| bytes.len());
        let (algorithm, named, sound) = match &jwk.algorithm {
            // NIST SP 800-131A: no RSA below 2048 bits.
            AlgorithmParameters::RSA(rsa) => (Algorithm::RS256, KeyAlgorithm::RS256, length(&rsa.n) >= 256),
            AlgorithmParameters::EllipticCurve(ec) => {
                let sound = ec.curve == EllipticCurve::P256 && length(&ec.x) == 32 && length(&ec.y) == 32;
                (Algorithm::ES256, KeyAlgorithm::ES256, sound)
            }
            AlgorithmParameters::OctetKeyPair(pair) => {
                let sound = pair.curve == EllipticCurve::Ed25519 && length(&pair.x) == 32;
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA, sound)
            }
            _ => return None,
        };
        let fits = key_algorithm.is_none_or(|alg| {
            // RFC 9864 renames EdDSA with this curve to Ed25519, a name that the library does not know yet.
            alg == named || (algorithm == Algorithm::EdDSA && alg == KeyAlgorithm::UNKNOWN_ALGORITHM)
        });
        let verifies = public_key_use.as_ref().is_none_or(|r#use| *r#use == PublicKeyUse::Signature)
            && key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        if !(sound && fits && verifies) {
            return None;
        }
        let decoding = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { jwk, algorithm, decoding, withdrawn: AtomicBool::new(false) })
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
    Ok(jwks.filter_map(Key::of).collect())
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
    /// Where its keys are.
    pub(super) url: reqwest::Url,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    /// How long the last keys count once the issuer publishes none, in microseconds.
    grace: i64,
    /// `None` until the first fetch succeeds.
    keys: RwLock<Option<Arc<[Arc<Key>]>>>,
    /// When the last fetch ended. Held during a fetch, so that those who wait for it share it.
    last: tokio::sync::Mutex<Option<Instant>>,
    /// Since when the issuer publishes no key that we could use.
    without: Mutex<Option<Instant>>,
    /// Whether the last fetch failed.
    failing: AtomicBool,
}

impl Issuer {
    /// An issuer without keys yet.
    pub(super) fn new(
        (name, audience): (Arc<str>, String),
        (grants, role_claims): (Roles, Vec<Vec<String>>),
        (url, client): (reqwest::Url, reqwest::Client),
        grace: i64,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (keys, last, without) = (RwLock::new(None), tokio::sync::Mutex::new(None), Mutex::new(None));
        let failing = AtomicBool::new(false);
        Self { name, audience, grants, role_claims, url, client, clock, grace, keys, last, without, failing }
    }

    fn keys(&self) -> Option<Arc<[Arc<Key>]>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the keys were ever fetched.
    pub(super) fn has_keys(&self) -> bool {
        self.keys().is_some()
    }

    /// How many usable keys are there.
    pub(super) fn published(&self) -> usize {
        self.keys().map_or(0, |keys| keys.len())
    }

    /// Whether the last fetch failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// The key of a token; an unknown one causes a fetch, unless one has just been made. In an outage that is known
    /// nobody waits for it: an issuer that hangs must not hold up whoever invents key ids, nor all who come with them.
    pub(super) async fn key_for(self: &Arc<Self>, token: &Token<'_>) -> Result<Arc<Key>, TokenError> {
        if let Ok(key) = self.find(token) {
            return Ok(key);
        }
        let failing = self.is_failing();
        // One that is at work is waited for, to share it.
        let due = self.last.try_lock().map_or(!failing, |last| !self.too_soon(*last));
        if due {
            // In a task of its own: a caller who hangs up must not take the fetch away from the others.
            let this = Arc::clone(self);
            let fetching = tokio::spawn(async move { this.refresh(false).await });
            if !failing && fetching.await.is_err() {
                tracing::error!(issuer = &*self.name, "fetching the issuer's keys panicked");
            }
        }
        self.find(token)
    }

    fn find(&self, token: &Token<'_>) -> Result<Arc<Key>, TokenError> {
        let keys = self.keys().ok_or(TokenError::Unavailable)?;
        let fits = |key: &&Arc<Key>| key.algorithm == token.algorithm;
        let found = if token.kid.is_some() {
            let named = || keys.iter().filter(|key| key.jwk.common.key_id == token.kid);
            // Keys of different types may share their `kid` (RFC 7517, section 4.5).
            named().find(fits).or_else(|| named().next())
        } else {
            // Without a `kid` only a key that leaves no choice is meant.
            let mut fitting = keys.iter().filter(fits);
            fitting.next().filter(|_| fitting.next().is_none())
        };
        found.cloned().ok_or(TokenError::Key)
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
        if fetched.is_ok() && self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(issuer = &*self.name, "the issuer's keys can be fetched again");
        }
        match fetched {
            Ok(keys) if keys.is_empty() && self.within_grace() => false,
            Ok(keys) => {
                if !keys.is_empty() {
                    *self.without.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                self.replace(keys);
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

    /// Whether the keys that are there go on counting although the issuer publishes none: more likely a mishap than
    /// meant, and nobody could sign in.
    fn within_grace(&self) -> bool {
        let now = self.clock.now();
        let mut without = self.without.lock().unwrap_or_else(PoisonError::into_inner);
        let known = without.is_some();
        let passed = now.since(*without.get_or_insert(now));
        let kept = self.keys().is_some_and(|keys| !keys.is_empty()) && passed < self.grace;
        if !known {
            tracing::warn!(issuer = &*self.name, kept, "the issuer publishes no key for RS256, ES256 or EdDSA");
        } else if !kept && self.keys().is_some_and(|keys| !keys.is_empty()) {
            tracing::error!(
                issuer = &*self.name,
                "the issuer has published no key for too long: its last ones are gone"
            );
        }
        kept
    }

    /// Whether the issuer publishes no key that we could use.
    pub(super) fn publishes_none(&self) -> bool {
        self.without.lock().unwrap_or_else(PoisonError::into_inner).is_some()
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
