//! What `docs/keycloak.md` tells operators to do: its configuration, with the imported realms, and the real program.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{
    client, customers, internal,
    proxy::{Mode, Proxy},
};
use crate::cli::{command, expect};

/// The configuration of the documentation, with addresses and places of this test and nothing else changed. Keys are
/// reached by another way than that by which people log in, as they are where the service stands beside Keycloak.
fn configuration(dir: &Path, server: &str, keys: &str) -> String {
    let docs = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/keycloak.md")).unwrap();
    let text = docs.split("```toml\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
    let place = |name: &str| dir.join(name).display().to_string();
    [
        ("0.0.0.0:8080", "127.0.0.1:0".to_owned()),
        ("/etc/customer-service/keyring", place("keyring")),
        ("/var/lib/customer-service", place("data")),
        ("/var/log/customer-service/checkpoints.jsonl", place("checkpoints.jsonl")),
        ("jwks_url = \"https://id.example", format!("jwks_url = \"{keys}")),
        ("https://id.example", server.to_owned()),
    ]
    .into_iter()
    .fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, &to)
    })
}

/// An address that the service wrote into its log.
fn told(log: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let ready = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ready: Vec<Value> = ready.filter(|line| line.to_string().contains("\"ready\"")).collect();
    let line = ready.first()?.to_string();
    let rest = line.split(&format!("\"{name}\":\"")).nth(1)?;
    Some(format!("http://{}", rest.split('"').next()?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_configuration_works() {
    let (customers, internal) = (customers().await, internal().await);
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let proxy = Proxy::to(&customers.server).await;
    fs::write(dir.join("config.toml"), configuration(dir, &customers.server, &proxy.at)).unwrap();
    expect(dir, &["keys", "generate", "--out", "keyring"], 0, "");
    let doctor = expect(dir, &["--config", "config.toml", "doctor"], 0, "OK    issuers");
    assert_eq!(doctor.out.matches("OK    issuers").count(), 2, "{}", doctor.out);

    // It starts while Keycloak is away, and finds it by itself when it is there.
    proxy.set(Mode::Cut);
    expect(dir, &["--config", "config.toml", "doctor"], 0, "WARN  issuers");
    let log = dir.join("log");
    let mut serve = command(dir, &["--config", "config.toml", "serve", "--management-listen", "127.0.0.1:0"]);
    serve.args(["--log-format", "json"]).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
    let mut serve = tokio::process::Command::from(serve).kill_on_drop(true).spawn().unwrap();
    let began = Instant::now();
    let api = loop {
        if let Some(api) = told(&log, "api") {
            break api;
        }
        let said = fs::read_to_string(&log).unwrap();
        assert!(serve.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(60), "{said}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let management = told(&log, "management").unwrap();
    assert_eq!(client().get(format!("{management}/health/ready")).send().await.unwrap().status(), StatusCode::OK);

    let (person, staff) = (customers.user("erin", &[]).await, internal.user("stella", &["csr"]).await);
    let person = customers.log_in("customer-service-portal", &person).await.access;
    let staff = internal.log_in("customer-service-staff", &staff).await.access;
    let billing = internal.service("billing-service").await;
    let ask = async |token: &str, path: &str, body: Option<Value>| {
        let request = match &body {
            None => client().get(format!("{api}{path}")),
            Some(body) => client().post(format!("{api}{path}")).json(body),
        };
        let answer = request.bearer_auth(token).header("x-access-reason", "complaint").send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(ask(&person, "/api/customer", None).await.0, 503);
    proxy.set(Mode::Open);
    let began = Instant::now();
    while ask(&person, "/api/customer", None).await.0 == 503 || ask(&staff, "/api/customer", None).await.0 == 503 {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Nobody is a customer here yet, which each of them learns in their own way.
    let (status, answer) = ask(&person, "/api/customer", None).await;
    assert_eq!((status, &answer["code"]), (404, &json!("not-enrolled")));
    assert_eq!(ask(&person, "/api/admin/customers/1", None).await.0, 403);
    let (status, answer) = ask(&staff, "/api/admin/customers/1", None).await;
    assert_eq!((status, &answer["code"]), (404, &json!("not-found")));
    let line = json!({"accountId": 1, "currentBalance": 1, "asOf": "2026-01-15T11:05:00Z"});
    let (status, answer) = ask(&billing, "/api/integration/balances", Some(json!({ "balances": [line] }))).await;
    assert_eq!((status, &answer["accepted"]), (200, &json!(0)), "{answer}");

    fs::write(dir.join("token"), &person).unwrap();
    expect(dir, &["--config", "config.toml", "doctor", "token", "token"], 0, "The service accepts this token.");
    serve.kill().await.unwrap();
}
