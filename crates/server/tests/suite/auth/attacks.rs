//! Tokens that somebody made to get in, and floods of them.

use std::sync::{Arc, atomic::Ordering};

use base64::Engine as _;
use domain::{policy::Roles, time::Clock};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use server::auth::{Authenticator, IssuerConfig, MAX_TOKEN, TokenError};

use super::{B64, SigningKey, World, refusal};

#[tokio::test]
async fn forgeries_and_garbage_are_refused() {
    let key = SigningKey::new("k1", Algorithm::RS256);
    let world = World::start(&[&key]).await;
    let (auth, claims) = (world.authenticator(), world.claims(json!({})));
    let good = key.sign(&key.header(), &claims);
    assert!(auth.verify(&good).await.is_ok());
    // HS256 with the public key as the secret (RFC 8725, section 2.1).
    let header = Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS256) };
    let jwk = key.jwk();
    let hmac = |secret: &[u8]| jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap();
    // In each form in which somebody could have the public key: as published, as PEM, as DER, its modulus, nothing.
    let modulus = B64.decode(jwk["n"].as_str().unwrap()).unwrap();
    let (pem, der) = public_forms(&modulus);
    let imposter = SigningKey::new("k1", Algorithm::RS256).sign(&key.header(), &claims);
    let parts: Vec<&str> = good.split('.').collect();
    let none = format!("{}.{}.", B64.encode(r#"{"alg":"none","typ":"JWT"}"#), parts[1]);
    // The signature is right for the payload, and not for this header.
    let algorithm = |alg: &str| {
        let header = json!({ "alg": alg, "typ": "JWT", "kid": "k1" });
        format!("{}.{}.{}", B64.encode(header.to_string()), parts[1], parts[2])
    };
    // Those of other claims, of half a signature, and of one with a bit more.
    let foreign = key.sign(&key.header(), &world.claims(json!({ "sub": "other" })));
    let foreign = foreign.rsplit('.').next().unwrap();
    let bytes = B64.decode(parts[2]).unwrap();
    let signature = |bytes: &[u8]| format!("{}.{}.{}", parts[0], parts[1], B64.encode(bytes));
    let flipped: Vec<u8> = bytes.iter().enumerate().map(|(i, byte)| byte ^ u8::from(i == 200)).collect();
    let stretched = format!("{}.{}.{}", parts[0], B64.encode(world.claims(json!({"sub": "1"})).to_string()), parts[2]);
    let twice = format!("{}.{}.{}", B64.encode(r#"{"alg":"RS256","alg":"RS256"}"#), parts[1], parts[2]);
    let nested = format!("{}.{}.{}", parts[0], B64.encode("[".repeat(5000)), parts[2]);
    let large = key.sign(&key.header(), &world.claims(json!({ "padding": "x".repeat(8192) })));
    for (token, expected) in [
        (hmac(jwk.to_string().as_bytes()), TokenError::Algorithm),
        (hmac(pem.as_bytes()), TokenError::Algorithm),
        (hmac(&der), TokenError::Algorithm),
        (hmac(&modulus), TokenError::Algorithm),
        (hmac(b""), TokenError::Algorithm),
        (none, TokenError::Algorithm),
        (algorithm("nOnE"), TokenError::Algorithm),
        (algorithm("HS512"), TokenError::Algorithm),
        (algorithm("PS256"), TokenError::Algorithm),
        (algorithm("rs256"), TokenError::Algorithm),
        (algorithm(""), TokenError::Algorithm),
        (imposter, TokenError::Signature),
        (format!("{}.{}.{foreign}", parts[0], parts[1]), TokenError::Signature),
        (signature(&bytes[..128]), TokenError::Signature),
        (signature(&[&bytes[..], b"x"].concat()), TokenError::Signature),
        (signature(&flipped), TokenError::Signature),
        (signature(&[0; 256]), TokenError::Signature),
        (stretched, TokenError::Signature),
        (format!("{}.{}.", parts[0], parts[1]), TokenError::Signature),
        (large, TokenError::Oversized),
        ("x".repeat(100_000), TokenError::Oversized),
        (format!("{}.{}.{}", parts[0], parts[1], "A".repeat(100_000)), TokenError::Oversized),
        ("A.".repeat(MAX_TOKEN / 2), TokenError::Malformed),
        (twice, TokenError::Malformed),
        (nested, TokenError::Malformed),
        (String::new(), TokenError::Malformed),
        ("garbage".into(), TokenError::Malformed),
        ("..".into(), TokenError::Malformed),
        ("ü.ü.ü".into(), TokenError::Malformed),
        (format!("{good}.{}", parts[2]), TokenError::Malformed),
        (format!("{}.{}.{}", parts[0], B64.encode("[]"), parts[2]), TokenError::Malformed),
        (format!(" {good}"), TokenError::Malformed),
    ] {
        assert_eq!(refusal(&auth, &token).await, Some(expected), "{token}");
    }
}

/// An RSA public key as PEM and DER (SubjectPublicKeyInfo) from its modulus of 2048 bits; the exponent is 65537.
fn public_forms(modulus: &[u8]) -> (String, Vec<u8>) {
    let prefix = "30820122300d06092a864886f70d01010105000382010f003082010a0282010100";
    let der = [hex::decode(prefix).unwrap().as_slice(), modulus, &[2, 3, 1, 0, 1]].concat();
    let text = base64::engine::general_purpose::STANDARD.encode(&der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    (format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")), der)
}

/// A key id is compared with those that are known, and is nothing else: no path, no statement, no address.
#[tokio::test]
async fn hostile_key_ids_are_only_unknown() {
    let key = SigningKey::new("k1", Algorithm::ES256);
    let world = World::start(&[&key]).await;
    let (auth, claims) = (world.authenticator(), world.claims(json!({})));
    let long = "k".repeat(3000);
    for kid in [
        "../../../../dev/null",
        "/etc/passwd",
        "k1\0",
        "k1 ",
        "K1",
        "",
        "k1' OR '1'='1",
        "x' UNION SELECT 'secret' --",
        "http://127.0.0.1:1/keys",
        "${jndi:ldap://127.0.0.1/a}",
        "\u{202e}1k",
        &long,
    ] {
        let token = key.sign(&json!({ "alg": "ES256", "typ": "JWT", "kid": kid }), &claims);
        assert_eq!(refusal(&auth, &token).await, Some(TokenError::Key), "{kid:?}");
        // `/dev/null` as a secret is an empty one.
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
        let empty = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(b"")).unwrap();
        assert_eq!(refusal(&auth, &empty).await, Some(TokenError::Algorithm), "{kid:?}");
    }
    for kid in [json!(1), json!(["k1"]), json!({ "k1": true })] {
        let token = key.sign(&json!({ "alg": "ES256", "typ": "JWT", "kid": kid }), &claims);
        assert_eq!(refusal(&auth, &token).await, Some(TokenError::Malformed), "{kid}");
    }
    assert_eq!(world.fetches.load(Ordering::SeqCst), 1, "the first fetch, and none for all of these");
}

/// What one issuer signed is worth nothing at the other, and what was meant for another service nothing here.
#[tokio::test]
async fn issuers_do_not_speak_for_each_other() {
    let (ours, theirs) = (SigningKey::new("same", Algorithm::ES256), SigningKey::new("same", Algorithm::ES256));
    let (customers, staff) = (World::start(&[&ours]).await, World::start(&[&theirs]).await);
    let config = |world: &World, audience: &str, roles: &[&str]| -> IssuerConfig {
        let (issuer, keys) = (&world.issuer, format!("{}/certs", world.issuer));
        serde_json::from_value(json!({ "issuer": issuer, "audience": audience, "jwks_url": keys, "roles": roles }))
            .unwrap()
    };
    let issuers = vec![config(&customers, "customer-service", &["customer"]), config(&staff, "inner", &["csr"])];
    let auth = Authenticator::new(issuers, Arc::clone(&customers.clock) as Arc<dyn Clock>).unwrap();
    let sign = |key: &SigningKey, world: &World, audience: &str| {
        key.sign(&key.header(), &world.claims(json!({ "aud": audience })))
    };
    for (token, expected) in [
        (sign(&ours, &customers, "customer-service"), Ok(Roles::CUSTOMER)),
        (sign(&theirs, &staff, "inner"), Ok(Roles::CSR)),
        // The customers' issuer says that it is the staff's.
        (sign(&ours, &staff, "inner"), Err(TokenError::Signature)),
        (sign(&theirs, &customers, "customer-service"), Err(TokenError::Signature)),
        // Each has its own audience.
        (sign(&ours, &customers, "inner"), Err(TokenError::Audience)),
        (sign(&theirs, &staff, "customer-service"), Err(TokenError::Audience)),
    ] {
        assert_eq!(refusal(&auth, &token).await, expected.err());
        assert_eq!(auth.verify(&token).await.map(|identity| identity.roles()), expected);
    }
}

/// Whoever invents key ids makes us ask the issuer once in a window, however many they are, and in an outage too.
#[tokio::test]
async fn floods_of_unknown_keys_fetch_once_a_window() {
    let key = SigningKey::new("k1", Algorithm::ES256);
    let world = World::start(&[&key]).await;
    let auth = Arc::new(world.authenticator());
    let good = key.sign(&key.header(), &world.claims(json!({ "exp": world.clock.seconds() + 9000 })));
    assert!(auth.verify(&good).await.is_ok());
    for (window, down) in [(1, false), (2, false), (3, true), (4, true), (5, false)] {
        if down {
            world.fail();
        } else {
            world.publish(&[&key]);
        }
        world.clock.forward(10);
        let callers: Vec<_> = (0..300)
            .map(|n| {
                let header = json!({ "alg": "ES256", "typ": "JWT", "kid": format!("invented-{n}") });
                let (auth, token) = (Arc::clone(&auth), key.sign(&header, &world.claims(json!({}))));
                tokio::spawn(async move { auth.verify(&token).await.err() })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), Some(TokenError::Key), "window {window}");
        }
        // In a known outage nobody waits for the fetch.
        while world.fetches.load(Ordering::SeqCst) < window + 1 || (down && auth.unreachable() == 0) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert_eq!(world.fetches.load(Ordering::SeqCst), window + 1);
        assert_eq!(auth.unreachable(), usize::from(down), "window {window}");
        assert!(auth.verify(&good).await.is_ok());
    }
}

/// A token is good until it expires, from the cache as well, and never after.
#[tokio::test]
async fn replays_end_with_the_token() {
    let key = SigningKey::new("k1", Algorithm::EdDSA);
    let world = World::start(&[&key]).await;
    let (auth, cold) = (world.authenticator(), world.authenticator());
    let token = key.sign(&key.header(), &world.claims(json!({})));
    for _ in 0..3 {
        assert!(auth.verify(&token).await.is_ok());
    }
    world.clock.forward(310);
    for auth in [&auth, &cold] {
        for _ in 0..3 {
            assert_eq!(refusal(auth, &token).await, Some(TokenError::Expired));
        }
    }
}
