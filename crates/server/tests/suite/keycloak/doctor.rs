//! `doctor token`: it says of real tokens what is wrong and what to change, and never repeats them.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use base64::Engine as _;
use serde_json::{Value, json};
use server::auth::IssuerConfig;

use super::{
    B64, OF_CUSTOMERS, OF_INTERNAL, customers,
    faults::{NO_AUDIENCE, NO_BASIC, faulty},
    internal,
};
use crate::cli::{Done, command};

const SPA: &str = "customer-service-spa";

/// As the environment takes them, which knows no null.
fn as_setting(issuers: &[IssuerConfig]) -> String {
    let mut list = serde_json::to_value(issuers).unwrap();
    for issuer in list.as_array_mut().unwrap() {
        issuer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    }
    list.to_string()
}

/// Gives a command its standard input.
fn fed(mut command: Command, input: &str) -> Done {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: done.status.code().unwrap_or(-1), out: text(done.stdout), err: text(done.stderr) }
}

async fn doctor(dir: &Path, issuers: &[IssuerConfig], input: &str) -> Done {
    let mut command = command(dir, &["doctor", "token", "-"]);
    command.env("CUSTOMER_SERVICE_ISSUERS", as_setting(issuers));
    let input = input.to_owned();
    tokio::task::spawn_blocking(move || fed(command, &input)).await.unwrap()
}

/// What must not be seen: the parts of a token, and whom it is about.
fn nothing_shown(token: &str, said: &str) {
    for part in token.split('.').filter(|part| part.len() > 8) {
        assert!(!said.contains(&part[..part.len().min(20)]), "a part of the token in {said}");
    }
    for personal in ["Given", "Family", "erin"] {
        assert!(!said.contains(personal), "{personal} in {said}");
    }
    let payload = token.split('.').nth(1).and_then(|part| B64.decode(part).ok());
    let claims: Value = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let secret = ["sub", "jti", "sid", "email", "preferred_username"].map(|name| claims[name].as_str());
    for value in secret.into_iter().flatten() {
        assert!(!said.contains(value), "{value} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (customers, internal) = (customers().await, internal().await);
    let faulty = faulty().await;
    let issuers = vec![
        customers.config(None, OF_CUSTOMERS),
        faulty.config(None, OF_CUSTOMERS),
        internal.config(None, OF_INTERNAL),
    ];
    let (erin, at_fault) = (customers.user("erin", &[]).await, faulty.user("erin", &[]).await);
    let good = customers.log_in(SPA, &erin).await;
    let (head, signature) = good.access.rsplit_once('.').unwrap();
    let other = customers.log_in(SPA, &erin).await;
    let (_, foreign) = other.access.rsplit_once('.').unwrap();
    let mut elsewhere = issuers.clone();
    elsewhere.remove(0);
    let mut nobody = issuers.clone();
    nobody[0].jwks_url = "http://127.0.0.1:1/certs".into();
    let mut of_other_realm = issuers.clone();
    of_other_realm[0].jwks_url.clone_from(&issuers[2].jwks_url);
    let mut another_audience = issuers.clone();
    another_audience[0].audience = "another-service".into();
    let mut other_roles = issuers.clone();
    other_roles[0].roles = vec!["csr".into()];
    let hostile = {
        let claims = json!({ "iss": "\u{1b}[2Jhttp://evil\nOK    all: fine", "aud": "\r\u{7}", "typ": "Bearer" });
        format!("{}.{}.c2ln", B64.encode(r#"{"alg":"RS256","typ":"JWT"}"#), B64.encode(claims.to_string()))
    };
    let (billing, sub, aud) = (
        internal.service("billing-service").await,
        faulty.log_in(NO_BASIC, &at_fault).await.access,
        faulty.log_in(NO_AUDIENCE, &at_fault).await.access,
    );
    let ours = &issuers[..];
    let cases: Vec<(&[IssuerConfig], String, i32, &[&str])> = vec![
        (ours, good.access.clone(), 0, &["OK    signature", "OK    sub: present", "roles: \"customer\"", "accepts"]),
        (ours, format!("Bearer {}\n", good.access), 0, &["accepts", "WARN  personal data: the token carries name"]),
        (ours, billing, 0, &["roles: \"billing\"", "ossrep-internal", "accepts"]),
        (ours, good.id, 1, &["FAIL  typ", "\"ID\"", "FAIL  aud", "(token-type)"]),
        (ours, good.refresh, 1, &["FAIL  form", "HS512", "(token-algorithm)"]),
        (ours, sub, 1, &["FAIL  sub", "`basic`", "OK    aud", "(token-subject)"]),
        (
            ours,
            aud,
            1,
            &["FAIL  aud", "Included Custom Audience \"customer-service\"", "OK    sub", "(token-audience)"],
        ),
        (ours, format!("{head}.{foreign}"), 1, &["OK    keys", "FAIL  signature", "(token-signature)"]),
        (ours, format!("{head}.{}", &signature[..20]), 1, &["FAIL  signature", "cut off"]),
        (ours, format!("{head}."), 1, &["FAIL  signature"]),
        (ours, "nonsense".into(), 1, &["FAIL  form", "(token-malformed)"]),
        (ours, String::new(), 1, &["FAIL  form"]),
        (
            ours,
            json!({ "access_token": good.access }).to_string(),
            1,
            &["FAIL  form", "access_token of the answer alone"],
        ),
        (ours, "x".repeat(100_000), 1, &["FAIL  form", "100000 bytes", "(token-too-large)"]),
        (ours, hostile, 1, &["FAIL  iss", "\\u{1b}[2J", "FAIL  dates", "FAIL  sub"]),
        (&elsewhere, good.access.clone(), 1, &["FAIL  iss", "hostname", "OK    dates", "(token-issuer)"]),
        (&nobody, good.access.clone(), 1, &["FAIL  keys", "127.0.0.1:1", "(issuer-unavailable)"]),
        (&of_other_realm, good.access.clone(), 1, &["FAIL  keys", "none of them that", "(token-key)"]),
        (&another_audience, good.access.clone(), 1, &["FAIL  aud", "\"another-service\"", "(token-audience)"]),
        (&other_roles, good.access.clone(), 0, &["WARN  roles: none counts", "403", "accepts"]),
    ];
    for (issuers, token, code, words) in cases {
        let done = doctor(dir, issuers, &token).await;
        let said = format!("{}{}", done.out, done.err);
        assert_eq!(done.code, code, "{said}");
        for word in words {
            assert!(said.contains(word), "{word} in {said}");
        }
        assert_eq!(said.contains("FAIL"), code == 1, "the lines say what the verdict says: {said}");
        assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
        nothing_shown(token.trim_start_matches("Bearer ").trim(), &said);
    }

    // From a file; and what is no question of the token.
    std::fs::write(dir.join("token"), &good.access).unwrap();
    let mut from_file = command(dir, &["doctor", "token", "token"]);
    from_file.env("CUSTOMER_SERVICE_ISSUERS", as_setting(&issuers));
    assert_eq!(from_file.output().unwrap().status.code(), Some(0));
    crate::cli::expect(dir, &["doctor", "token", "token"], 2, "No issuer is configured");
    let missing = doctor_of_file(dir, &issuers, "no-such-file");
    assert!(missing.code == 1 && missing.err.contains("no-such-file"), "{}", missing.err);
}

fn doctor_of_file(dir: &Path, issuers: &[IssuerConfig], file: &str) -> Done {
    let mut command = command(dir, &["doctor", "token", file]);
    command.env("CUSTOMER_SERVICE_ISSUERS", as_setting(issuers));
    fed(command, "")
}
