//! The search for leaks: personal values stand nowhere outside answers. Not in files, write-ahead logs or
//! PostgreSQL's data directory, not in logs at their loudest, not in metrics or problems; neither as they are
//! nor as hexadecimal digits, base64 or percent-encoded. One needle is planted in each place that is searched.

mod needles;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use needles::Search;
use reqwest::{Method, StatusCode};
use server::demo::oidc;
use store::EngineKind;

use crate::process::{Place, Running, Sql, ask, client};

/// The demonstration's personal values, in forms that are distinctive.
const SAMPLES: [&str; 52] = [
    "John Smith",
    "Smith",
    "john.smith",
    "john.smith@example.com",
    "JOHN.SMITH",
    "(555) 123-4567",
    "5551234567",
    "555-123-4567",
    "Acme Corporation",
    "acme corporation",
    "Accounts Payable",
    "PO Box 1234",
    "75202-1234",
    "accounts@acme.com",
    "(555) 987-6543",
    "5559876543",
    "Lone Star Bakeries",
    "lone star bakeries",
    "lonestarbakeries",
    "(555) 246-8013",
    "5552468013",
    "Headquarters",
    "Warehouse District",
    "Cold store",
    "Main bakery",
    "Heights shop",
    "Midtown shop",
    "123 Main Street",
    "400 Commerce Street",
    "Suite 1200",
    "2250 Irving",
    "2262 Irving",
    "Dock 4",
    "1800 Harrisburg",
    "611 Navigation",
    "1123 Yale Street",
    "2401 Main Street",
    "Unit B",
    "5 Market Square",
    "Suite 300",
    "Anytown",
    "10443720001234567",
    "10443720002345678",
    "10443720002345694",
    "10443720002345701",
    "1008901012345678900101",
    "1008901012345678900102",
    "1008901012345678900105",
    "Visa ending 4242",
    "ending 0071",
    "Mastercard",
    "ending 5100",
];

/// What the test itself puts in.
const PUT: [&str; 12] = [
    "Bartholomäus",
    "Quigglesworth",
    "bart.quigglesworth@example.net",
    "2145550187",
    "Zwiebelturm Villa",
    "77 Quillfeather Lane",
    "Apt 9Q-Zephyr",
    "Quillfeather Industries",
    "Tumbleweed Gulch",
    "78613-4321",
    "Nguyễn Thị Ngọc",
    "Refrigerated Zeppelin",
];

fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() { files.extend(files_in(&path)) } else { files.push(path) }
    }
    files
}

/// Files of PostgreSQL that hold this database, and the write-ahead log from `since` on.
async fn files_of_postgres(sql: &Sql, since: &str) -> Vec<PathBuf> {
    let dir = PathBuf::from(sql.main("SHOW data_directory").await[0][0].clone());
    let oid = &sql.main("SELECT oid FROM pg_database WHERE datname = current_database()").await[0][0];
    let mut files = files_in(&dir.join("base").join(oid));
    // Names of segments on one timeline sort as they follow each other; recycled ones come later.
    let last = &sql.main("SELECT pg_walfile_name(pg_current_wal_insert_lsn())").await[0][0];
    files.extend(files_in(&dir.join("pg_wal")).into_iter().filter(|file| {
        let name = file.file_name().unwrap().to_str().unwrap();
        name.len() == 24 && (since..=last.as_str()).contains(&name)
    }));
    files
}

/// Everything the service is told, each answer as it must be.
async fn use_it(running: &Running, tokens: &[(&str, String)]) -> Vec<String> {
    let client = client();
    let token = |user: &str| &tokens.iter().find(|(name, _)| *name == user).unwrap().1;
    let mut problems = Vec::new();
    let mut n = 0;
    let mut send = async |user: &str, method: Method, path: &str, body: Option<serde_json::Value>| {
        n += 1;
        let url = format!("{}{path}", running.base);
        let body = body.map(|body| body.to_string());
        ask(&client, (method, url), token(user), &format!("leak-{n}"), body).await.unwrap()
    };
    for (user, paths) in [
        (
            "alice",
            &[
                "/api/customer",
                "/api/customer/summary",
                "/api/accounts",
                "/api/accounts/1001",
                "/api/premises/2001",
                "/api/premises/2001/meters",
                "/api/meters/3001",
                "/api/preferences",
                "/api/preferences/payment-methods",
            ][..],
        ),
        (
            "bob",
            &["/api/customer", "/api/accounts/1003/premises", "/api/preferences", "/api/preferences/payment-methods"],
        ),
        ("carol", &["/api/customer", "/api/accounts", "/api/premises/2005", "/api/preferences/payment-methods"]),
    ] {
        for path in paths {
            let (status, body) = send(user, Method::GET, path, None).await;
            assert_eq!(status, 200, "{path}: {body}");
        }
    }
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    for (user, path, patch) in [
        (
            "alice",
            "/api/customer",
            json(
                r#"{"firstName": "Bartholomäus", "lastName": "Quigglesworth",
            "email": "bart.quigglesworth@example.net", "phone": "(214) 555-0187"}"#,
            ),
        ),
        ("alice", "/api/accounts/1001", json(r#"{"nickname": "Zwiebelturm Villa"}"#)),
        ("alice", "/api/premises/2001", json(r#"{"nickname": "Refrigerated Zeppelin", "unit": "Apt 9Q-Zephyr"}"#)),
        (
            "alice",
            "/api/preferences",
            json(
                r#"{"mailingAddress": {"sameAsPrimaryPremise": false,
            "street": "77 Quillfeather Lane", "city": "Tumbleweed Gulch", "state": "TX", "zip": "78613-4321"}}"#,
            ),
        ),
        ("bob", "/api/customer", json(r#"{"businessName": "Quillfeather Industries"}"#)),
        ("carol", "/api/premises/2005", json(r#"{"nickname": "Nguyễn Thị Ngọc"}"#)),
    ] {
        let (status, body) = send(user, Method::PATCH, path, Some(patch)).await;
        assert_eq!(status, 200, "{path}: {body}");
    }
    // Refusals name members and parameters, but never repeat the values that were sent in body, query or path.
    for (method, path, patch) in [
        (Method::PATCH, "/api/customer", json(r#"{"email": "bart.quigglesworth@example.net at home"}"#)),
        (Method::PATCH, "/api/customer", json(r#"{"surname": "bart.quigglesworth@example.net"}"#)),
        (Method::PUT, "/api/customer", json(r#"{"lastName": "Quigglesworth"}"#)),
        (Method::PATCH, "/api/preferences", json(r#"{"mailingAddress": {"zip": "Tumbleweed Gulch"}}"#)),
        (Method::PATCH, "/api/premises/2001", json(r#"{"street": "77 Quillfeather Lane\u0007"}"#)),
        (Method::GET, "/api/accounts/Quigglesworth", json("null")),
        (Method::GET, "/api/accounts?cursor=Quigglesworth", json("null")),
        (Method::GET, "/api/accounts?surname=bart.quigglesworth@example.net", json("null")),
        (Method::GET, "/api/customers/Quigglesworth/77%20Quillfeather%20Lane", json("null")),
    ] {
        let body = (!patch.is_null()).then_some(patch);
        let (status, body) = send("alice", method, path, body).await;
        assert!(status.is_client_error(), "{path}: {status} {body}");
        problems.push(body);
    }
    // A token in the wrong place, and one that is cut.
    for token in [format!("{}x", token("bob")), token("bob")[..60].to_owned()] {
        let (status, body) =
            ask(&client, (Method::GET, format!("{}/api/customer", running.base)), &token, "bad", None).await.unwrap();
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        problems.push(body);
    }
    problems
}

async fn search(engine: EngineKind) {
    let place = Place::new(engine).await;
    let since = match place.url() {
        Some(_) => place.sql().await.main("SELECT pg_walfile_name(pg_current_wal_insert_lsn())").await[0][0].clone(),
        None => String::new(),
    };
    let running = place.serve(&["--log-level", "trace", "--log-format", "json"]).await;
    let client = client();
    let mut tokens = Vec::new();
    for user in ["alice", "bob", "carol"] {
        tokens.push((user, running.token(&client, user).await));
    }
    let mut needles: BTreeSet<String> = SAMPLES.iter().chain(&PUT).map(|text| (*text).to_owned()).collect();
    needles.extend(oidc::USERS.iter().map(|user| oidc::subject_of(user.name)));
    // Tokens are nowhere either: neither whole, nor their signature alone, nor their claims.
    for part in tokens.iter().flat_map(|(_, token)| token.split('.').skip(1)) {
        needles.insert(part[..24].to_owned());
    }
    let problems = use_it(&running, &tokens).await;
    let metrics = client.get(&running.metrics).send().await.unwrap().text().await.unwrap();
    let sql = place.sql().await;

    // With one needle planted in each place it must be found there and nowhere else, and no other needle is.
    let planted = "Planted-Needle-Xylophone";
    needles.insert(planted.to_owned());
    let search = Search::new(&needles);
    let row = format!("UPDATE account SET account_number = '{planted}' WHERE account_id = 1006");
    sql.main_batch(&row).await;
    let bytes = if sql.is_sqlite() { "x'" } else { "'\\x" };
    let checkpoint = format!(
        "INSERT INTO audit_checkpoint (number, at, body, key_id, mac) VALUES (999999, {}, '{}', 1, {bytes}00')",
        if sql.is_sqlite() { "0" } else { "now()" },
        STANDARD.encode(format!("..{planted}..")),
    );
    sql.audit_batch(&checkpoint).await;
    // While the service runs: the rows may stand in a write-ahead log alone.
    let while_running = search.files(&files_in(&place.data()));
    let (out, err) = (running.out.clone(), running.err.clone());
    assert_eq!(running.terminate().await, 0);
    let mut files = files_in(&place.data());
    files.push(place.checkpoints());
    files.extend([out.clone(), err.clone()]);
    if sql.is_sqlite() {
        // Into the files themselves, which the write-ahead logs stood for until now.
        sql.main("PRAGMA wal_checkpoint(TRUNCATE)").await;
        sql.audit("PRAGMA wal_checkpoint(TRUNCATE)").await;
    } else {
        sql.main_batch("CHECKPOINT").await;
        files.extend(files_of_postgres(&sql, &since).await);
    }
    for file in [&out, &err] {
        let log = fs::read_to_string(file).unwrap();
        assert!(log.len() > 200, "{} is empty", file.display());
        fs::OpenOptions::new().append(true).open(file).unwrap().write_all(hex::encode(planted).as_bytes()).unwrap();
    }
    let loud = fs::read_to_string(&err).unwrap();
    assert!(loud.contains("\"TRACE\"") && loud.contains("\"DEBUG\""), "the log was not at its loudest");
    let mut found = search.files(&files);
    for (file, more) in while_running {
        found.entry(file).or_default().extend(more);
    }
    let mut places = Vec::new();
    for (file, found) in &mut found {
        if found.remove(planted).is_some() {
            places.push(file.to_string_lossy().into_owned());
        }
        assert!(found.is_empty(), "{}: {found:#?}", file.display());
    }
    for text in problems.iter().chain([&metrics]) {
        assert!(text.len() > 100, "{text}");
        assert_eq!(search.find(text.as_bytes()), BTreeMap::new(), "{text}");
        assert_eq!(search.find(format!("{text}{planted}").as_bytes()).len(), 1);
    }
    let expected: &[&str] = match engine {
        EngineKind::Sqlite => {
            &["main.sqlite$", "main.sqlite-wal$", "audit.sqlite$", "audit.sqlite-wal$", ".stdout$", ".stderr$"]
        }
        EngineKind::Postgres => &["/base/", "/pg_wal/", ".stdout$", ".stderr$"],
    };
    for part in expected {
        assert!(
            places.iter().any(|place| format!("{place}$").contains(part)),
            "what was planted is not found in {part}: {places:?}"
        );
    }
    println!("{engine:?}: searched {} files, found what was planted in {places:?}", files.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_is_left_by_sqlite() {
    search(EngineKind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_is_left_by_postgres() {
    search(EngineKind::Postgres).await;
}
