//! Bearer tokens against a real issuer over HTTP: each refusal, keys that come and go, outages.

mod attacks;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use axum::{Json, Router, extract::State, response::IntoResponse as _, routing::get};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use domain::policy::{Role, Roles};
use domain::time::{Clock, Instant, SECOND};
use jsonwebtoken::{Algorithm, EncodingKey, jwk::Jwk};
use serde_json::{Value, json};
use server::auth::{Authenticator, IssuerConfig, TokenError, Verdict};

use crate::clock::TestClock;

struct SigningKey {
    kid: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl SigningKey {
    fn new(kid: &'static str, algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::RS256 => {
                let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
                let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
                let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
                let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
                let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
                EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
            }
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
            }
            _ => EncodingKey::from_ed_der(Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap().as_ref()),
        };
        Self { kid, algorithm, key }
    }

    fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.to_owned());
        serde_json::to_value(jwk).unwrap()
    }

    /// Signs any header, right or wrong.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| B64.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, self.algorithm).unwrap();
        format!("{signed}.{signature}")
    }

    fn header(&self) -> Value {
        let name = serde_json::to_value(self.algorithm).unwrap();
        json!({ "alg": name, "typ": "JWT", "kid": self.kid })
    }
}

/// An issuer that publishes what the test says.
struct World {
    clock: Arc<TestClock>,
    issuer: String,
    /// `None` is an outage.
    published: Mutex<Option<Value>>,
    fetches: AtomicUsize,
}

impl World {
    async fn start(keys: &[&SigningKey]) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realms/ossrep", listener.local_addr().unwrap());
        let clock = Arc::new(TestClock::at(Instant::from_micros(1_800_000_000 * SECOND)));
        let (published, fetches) = (Mutex::new(None), AtomicUsize::new(0));
        let world = Arc::new(Self { clock, issuer, published, fetches });
        world.publish(keys);
        let routes = Router::new().route("/realms/ossrep/certs", get(certs)).with_state(Arc::clone(&world));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        world
    }

    fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        *self.published.lock().unwrap() = Some(json!({ "keys": keys }));
    }

    fn fail(&self) {
        *self.published.lock().unwrap() = None;
    }

    fn authenticator(&self) -> Authenticator {
        let config: IssuerConfig = serde_json::from_value(json!({
            "issuer": self.issuer, "audience": "customer-service",
            "jwks_url": format!("{}/certs", self.issuer), "roles": ["customer", "billing"],
        }))
        .unwrap();
        Authenticator::new(vec![config], Arc::clone(&self.clock) as Arc<dyn Clock>).unwrap()
    }

    /// The claims of a token that counts, with changes; null takes a claim away.
    fn claims(&self, changes: Value) -> Value {
        let now = self.clock.seconds();
        let mut claims = json!({
            "iss": self.issuer, "aud": "customer-service", "sub": "5f1c", "typ": "Bearer", "iat": now, "exp": now + 300,
            "realm_access": { "roles": ["customer", "csr", "offline_access"] },
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }
}

/// Why a token is refused. What explains tokens must say the same, and find what refuses it.
async fn refusal(auth: &Authenticator, token: &str) -> Option<TokenError> {
    let refused = auth.verify(token).await.err();
    let explained = auth.explain(token).await;
    assert_eq!(explained.refused, refused, "{token}");
    let found = explained.lines.iter().any(|line| line.verdict == Verdict::Refused);
    assert_eq!(found, refused.is_some(), "{token}: {:?}", explained.lines);
    refused
}

async fn certs(State(world): State<Arc<World>>) -> axum::response::Response {
    world.fetches.fetch_add(1, Ordering::SeqCst);
    // Long enough that callers meet during the fetch.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    match world.published.lock().unwrap().clone() {
        Some(set) => Json(set).into_response(),
        None => http::StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

#[tokio::test]
async fn each_algorithm_counts_and_roles_only_when_granted() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let key = SigningKey::new("k1", algorithm);
        let world = World::start(&[&key]).await;
        let auth = world.authenticator();
        let resource = json!({ "customer-service": { "roles": ["billing"] }, "other": { "roles": ["admin"] } });
        let token = key.sign(&key.header(), &world.claims(json!({ "resource_access": resource })));
        let identity = auth.verify(&token).await.unwrap();
        assert_eq!((identity.issuer(), identity.subject()), (world.issuer.as_str(), "5f1c"));
        // This issuer may not grant `csr`, and `admin` is another audience's.
        assert_eq!(identity.roles(), Roles::of(&[Role::Customer, Role::Billing]), "{algorithm:?}");
        assert!(Arc::ptr_eq(&identity, &auth.verify(&token).await.unwrap()), "the second time is cached");
        world.clock.forward(309);
        assert!(auth.verify(&token).await.is_ok(), "within the leeway");
        world.clock.forward(1);
        assert_eq!(auth.verify(&token).await.err(), Some(TokenError::Expired), "the cache ends with the token");
    }
}

#[tokio::test]
async fn claims_are_checked() {
    let key = SigningKey::new("k1", Algorithm::EdDSA);
    let world = World::start(&[&key]).await;
    let (auth, now) = (world.authenticator(), world.clock.seconds());
    for (changes, expected) in [
        (json!({}), None),
        (json!({ "aud": ["account", "customer-service"] }), None),
        (json!({ "nbf": now + 9, "iat": now + 9 }), None),
        (json!({ "exp": now as f64 + 0.5 }), None),
        (json!({ "exp": now - 9 }), None),
        (json!({ "exp": now - 10 }), Some(TokenError::Expired)),
        (json!({ "nbf": now + 11 }), Some(TokenError::NotYet)),
        (json!({ "iat": now + 11 }), Some(TokenError::NotYet)),
        (json!({ "exp": null }), Some(TokenError::Dates)),
        (json!({ "exp": "tomorrow" }), Some(TokenError::Dates)),
        (json!({ "exp": 1e300 }), Some(TokenError::Dates)),
        (json!({ "nbf": -1 }), Some(TokenError::Dates)),
        (json!({ "aud": "account" }), Some(TokenError::Audience)),
        (json!({ "aud": null }), Some(TokenError::Audience)),
        (json!({ "aud": "customer-service-2" }), Some(TokenError::Audience)),
        (json!({ "sub": null }), Some(TokenError::Subject)),
        (json!({ "sub": "" }), Some(TokenError::Subject)),
        (json!({ "sub": 7 }), Some(TokenError::Subject)),
        (json!({ "sub": "x".repeat(256) }), Some(TokenError::Subject)),
        (json!({ "iss": "http://127.0.0.1:1/realms/ossrep" }), Some(TokenError::Issuer)),
        (json!({ "iss": format!("{}/", world.issuer) }), Some(TokenError::Issuer)),
        (json!({ "iss": null }), Some(TokenError::Issuer)),
        (json!({ "typ": "ID" }), Some(TokenError::Type)),
        (json!({ "typ": "Refresh" }), Some(TokenError::Type)),
        (json!({ "typ": "Logout" }), Some(TokenError::Type)),
        (json!({ "typ": null }), Some(TokenError::Type)),
    ] {
        let token = key.sign(&key.header(), &world.claims(changes.clone()));
        assert_eq!(refusal(&auth, &token).await, expected, "{changes}");
    }
}

#[tokio::test]
async fn headers_are_checked() {
    let key = SigningKey::new("k1", Algorithm::ES256);
    let rsa = SigningKey::new("rsa", Algorithm::RS256);
    let world = World::start(&[&key, &rsa]).await;
    let (auth, claims) = (world.authenticator(), world.claims(json!({})));
    let untyped = world.claims(json!({ "typ": null }));
    let with = |changes: Value| {
        let mut header = key.header();
        header.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        header
    };
    for (header, claims, expected) in [
        (with(json!({ "typ": "at+jwt" })), &untyped, None),
        (with(json!({ "typ": "application/AT+JWT" })), &untyped, None),
        (with(json!({ "typ": "at+jwt" })), &claims, None),
        (with(json!({ "typ": "logout+jwt" })), &claims, Some(TokenError::Type)),
        (with(json!({ "typ": "JWT" })), &untyped, Some(TokenError::Type)),
        (with(json!({ "jwk": key.jwk() })), &claims, Some(TokenError::Header)),
        (with(json!({ "jwk": null })), &claims, Some(TokenError::Header)),
        (with(json!({ "jku": "http://127.0.0.1/keys" })), &claims, Some(TokenError::Header)),
        (with(json!({ "x5u": "http://127.0.0.1/chain" })), &claims, Some(TokenError::Header)),
        (with(json!({ "x5c": [] })), &claims, Some(TokenError::Header)),
        (with(json!({ "crit": ["b64"], "b64": false })), &claims, Some(TokenError::Header)),
        (with(json!({ "alg": "none" })), &claims, Some(TokenError::Algorithm)),
        (with(json!({ "alg": "ES384" })), &claims, Some(TokenError::Algorithm)),
        (with(json!({ "alg": "RS256" })), &claims, Some(TokenError::Algorithm)),
        (with(json!({ "kid": "rsa" })), &claims, Some(TokenError::Algorithm)),
        (with(json!({ "kid": "other" })), &claims, Some(TokenError::Key)),
        (json!({ "alg": "ES256" }), &claims, None),
        (json!({ "typ": "JWT" }), &claims, Some(TokenError::Malformed)),
    ] {
        assert_eq!(refusal(&auth, &key.sign(&header, claims)).await, expected, "{header}");
    }
}

#[tokio::test]
async fn keys_rotate_and_take_their_tokens_along() {
    let (old, new) = (SigningKey::new("old", Algorithm::ES256), SigningKey::new("new", Algorithm::EdDSA));
    let world = World::start(&[&old]).await;
    let auth = Arc::new(world.authenticator());
    let sign = |key: &SigningKey| key.sign(&key.header(), &world.claims(json!({})));
    let (by_old, by_new) = (sign(&old), sign(&new));
    assert!(auth.verify(&by_old).await.is_ok());
    assert_eq!(world.fetches.load(Ordering::SeqCst), 1);

    // An unknown key causes a fetch only 10 s after the last one, and one for all who wait.
    world.publish(&[&old, &new]);
    assert_eq!(auth.verify(&by_new).await.err(), Some(TokenError::Key));
    world.clock.forward(10);
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (auth, token) = (Arc::clone(&auth), by_new.clone());
            tokio::spawn(async move { auth.verify(&token).await.err() })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), None);
    }
    assert_eq!(world.fetches.load(Ordering::SeqCst), 2);
    assert!(auth.verify(&by_old).await.is_ok(), "a key that stays keeps its tokens");

    // The outage of the issuer changes nothing.
    world.fail();
    world.clock.forward(10);
    let unknown = sign(&SigningKey::new("unknown", Algorithm::ES256));
    assert_eq!(auth.verify(&unknown).await.err(), Some(TokenError::Key));
    assert_eq!(world.fetches.load(Ordering::SeqCst), 3);
    assert!(auth.verify(&by_old).await.is_ok());
    assert!(auth.verify(&by_new).await.is_ok());

    // It comes back; in an outage that is known nobody waits for that.
    world.publish(&[&old, &new]);
    world.clock.forward(10);
    assert_eq!(auth.verify(&unknown).await.err(), Some(TokenError::Key));
    while auth.unreachable() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }

    // A withdrawn key's cached tokens go with it.
    world.publish(&[&new]);
    world.clock.forward(10);
    assert_eq!(auth.verify(&unknown).await.err(), Some(TokenError::Key));
    assert_eq!(auth.verify(&by_old).await.err(), Some(TokenError::Key));
    assert!(auth.verify(&by_new).await.is_ok());

    // The same kid with another key is another key.
    let replaced = SigningKey::new("new", Algorithm::EdDSA);
    world.publish(&[&replaced]);
    world.clock.forward(10);
    assert_eq!(auth.verify(&unknown).await.err(), Some(TokenError::Key));
    assert_eq!(auth.verify(&by_new).await.err(), Some(TokenError::Signature));
}

#[tokio::test]
async fn the_service_starts_while_an_issuer_is_down() {
    let key = SigningKey::new("k1", Algorithm::ES256);
    let world = World::start(&[&key]).await;
    world.fail();
    let auth = Arc::new(world.authenticator());
    let token = key.sign(&key.header(), &world.claims(json!({})));
    assert_eq!(auth.verify(&token).await.err(), Some(TokenError::Unavailable));
    assert!(auth.issuers().all(|(_, keys)| !keys));
    world.publish(&[&key]);
    let background = Arc::clone(&auth);
    let task = tokio::spawn(async move { background.keep_fresh().await });
    while auth.verify(&token).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(auth.issuers().all(|(_, keys)| keys));
    task.abort();
}

#[tokio::test]
async fn an_issuer_that_suddenly_publishes_no_key_keeps_its_last_ones_for_a_while() {
    let key = SigningKey::new("k1", Algorithm::ES256);
    let world = World::start(&[&key]).await;
    let auth = world.authenticator();
    let long =
        |key: &SigningKey| key.sign(&key.header(), &world.claims(json!({ "exp": world.clock.seconds() + 9000 })));
    let (known, unknown) = (long(&key), long(&SigningKey::new("unknown", Algorithm::ES256)));
    assert!(auth.verify(&known).await.is_ok());
    assert_eq!(auth.publishing_none(), 0);
    world.publish(&[]);
    // An unknown key lets it fetch.
    for passed in [10, 3590] {
        world.clock.forward(passed);
        assert_eq!(auth.verify(&unknown).await.err(), Some(TokenError::Key));
        assert!(auth.verify(&known).await.is_ok(), "{passed} s later");
        assert_eq!(auth.publishing_none(), 1);
    }
    world.publish(&[&key]);
    world.clock.forward(10);
    assert_eq!(auth.verify(&unknown).await.err(), Some(TokenError::Key));
    assert_eq!(auth.publishing_none(), 0, "and the hour begins anew");
    world.publish(&[]);
    for (passed, error) in [(10, None), (3600, Some(TokenError::Key))] {
        world.clock.forward(passed);
        assert_eq!(auth.verify(&unknown).await.err(), Some(TokenError::Key));
        assert_eq!(auth.verify(&known).await.err(), error, "{passed} s later");
    }
}

#[tokio::test]
async fn keys_that_share_their_kid_are_told_apart_by_type() {
    let keys =
        [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA].map(|algorithm| SigningKey::new("same", algorithm));
    let world = World::start(&[&keys[0], &keys[1], &keys[2]]).await;
    let auth = world.authenticator();
    for key in &keys {
        let token = key.sign(&key.header(), &world.claims(json!({})));
        assert_eq!(auth.verify(&token).await.err(), None, "{:?}", key.algorithm);
    }
}
