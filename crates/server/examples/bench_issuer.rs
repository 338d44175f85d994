//! An issuer for the benchmarks: publishes one RSA key as JWKS, and writes access tokens for the subjects
//! `bench-1` to `bench-n` that `bench_load` linked.
//!
//! `cargo run --release --example bench_issuer -- --listen 127.0.0.1:9099 --tokens FILE --count 5000 --customers 100000`
//!
//! Each line of the file is `customer token`. It answers until it is stopped.

use std::{error::Error, net::SocketAddr, path::PathBuf};

use aws_lc_rs::{encoding::AsDer as _, rsa};
use axum::{Json, Router, routing::get};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Parser;
use domain::time::{Clock, SECOND, SystemClock};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::json;

/// Where to answer, and which tokens to make.
#[derive(Parser)]
struct Arguments {
    /// Where the keys are published.
    #[arg(long)]
    listen: SocketAddr,
    /// The file for the tokens.
    #[arg(long)]
    tokens: PathBuf,
    /// How many tokens, spread over the customers.
    #[arg(long, default_value_t = 5000)]
    count: u64,
    /// How many customers were loaded.
    #[arg(long, default_value_t = 100_000)]
    customers: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { listen, tokens, count, customers } = Arguments::parse();
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048)?;
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der()?;
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(der.as_ref()));
    let key = EncodingKey::from_rsa_pem(pem.as_bytes())?;
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256)?;
    jwk.common.key_id = Some("bench".into());
    let issuer = format!("http://{listen}");
    let now = SystemClock.now().micros() / SECOND;
    let mut text = String::new();
    for n in 0..count {
        let customer = 1 + n * customers / count;
        let claims = json!({
            "iss": issuer, "aud": "customer-service", "sub": format!("bench-{customer}"), "typ": "Bearer",
            "iat": now, "exp": now + 4 * 3600, "realm_access": {"roles": ["customer"]},
        });
        let header = Header { kid: Some("bench".into()), ..Header::new(Algorithm::RS256) };
        let token = jsonwebtoken::encode(&header, &claims, &key)?;
        text.push_str(&format!("{customer} {token}\n"));
    }
    std::fs::write(tokens, text)?;
    let keys = json!({ "keys": [jwk] });
    let routes = Router::new().route("/certs", get(move || async move { Json(keys) }));
    let listener = tokio::net::TcpListener::bind(listen).await?;
    Ok(axum::serve(listener, routes).await?)
}
