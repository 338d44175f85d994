//! `kill -9` during reads and changes: every answered request has its record, and change, record and event
//! always agree. The process is the real one; what it left is looked at once it has started again, past it.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use store::EngineKind;

use crate::process::{Place, Running, Sql, ask, client};

/// How often it is killed: `CRASHES` makes it shorter or longer.
pub fn crashes(default: u32) -> u32 {
    std::env::var("CRASHES").map_or(default, |text| text.parse().unwrap())
}

/// Somebody who reads one thing, again and again.
const READERS: [(&str, &str, u16); 4] = [
    ("alice", "/api/customer", 200),
    ("bob", "/api/accounts/1002", 200),
    ("carol", "/api/accounts/1004/premises", 200),
    ("alice", "/api/accounts/1002", 404),
];

/// Somebody who changes one row, again and again. Two of them are one customer's, so that their events share
/// a sequence.
const WRITERS: [(&str, &str, &str); 3] = [
    ("alice", "/api/accounts/1001", "account WHERE account_id = 1001"),
    ("carol", "/api/accounts/1004", "account WHERE account_id = 1004"),
    ("carol", "/api/premises/2005", "premise WHERE premise_id = 2005"),
];

/// What a writer knows of its row.
#[derive(Debug, Clone, Default)]
struct Row {
    version: i64,
    nickname: String,
    /// Sent, but not answered: it may have happened, or not.
    in_flight: Option<String>,
}

/// What was promised between a start and its kill.
#[derive(Debug, Default)]
struct Promised {
    /// Request ids of answers, with the outcomes that their records must have.
    answered: Vec<(String, &'static [&'static str])>,
    /// Answers that refused for the time being: no promise, but few.
    unavailable: u32,
}

async fn read(
    client: reqwest::Client,
    base: String,
    token: String,
    (path, status): (&'static str, u16),
    ids: String,
    promised: Arc<Mutex<Promised>>,
    stop: Arc<AtomicBool>,
) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("{ids}-{n}");
        let Some((got, body)) = ask(&client, (Method::GET, format!("{base}{path}")), &token, &id, None).await else {
            return;
        };
        let mut promised = promised.lock().unwrap();
        if got == 503 {
            promised.unavailable += 1;
            continue;
        }
        assert_eq!(got, status, "{path}: {body}");
        promised.answered.push((id, if status == 200 { &["asked"] } else { &["asked", "refused"] }));
    }
}

async fn write(
    client: reqwest::Client,
    base: String,
    token: String,
    path: &'static str,
    ids: String,
    promised: Arc<Mutex<Promised>>,
    mut row: Row,
) -> Row {
    for n in 0.. {
        let (id, nickname) = (format!("{ids}-{n}"), format!("Name {ids} {n}"));
        row.in_flight = Some(nickname.clone());
        let patch = serde_json::json!({ "nickname": nickname }).to_string();
        let answer = ask(&client, (Method::PATCH, format!("{base}{path}")), &token, &id, Some(patch)).await;
        let Some((got, body)) = answer else { break };
        let mut promised = promised.lock().unwrap();
        if got == 503 {
            promised.unavailable += 1;
            break;
        }
        assert_eq!(got, 200, "{path}: {body}");
        promised.answered.push((id, &["changed"]));
        row = Row { version: row.version + 1, nickname, in_flight: None };
    }
    row
}

/// What the log holds of a round: request id, outcome and the id of a change's record.
async fn records(sql: &Sql, round: u32) -> HashMap<String, HashSet<(String, String)>> {
    let hex = sql.hex("record_id");
    let of = |table: &str| {
        format!("SELECT request_id, outcome, coalesce({hex}, '') FROM {table} WHERE request_id LIKE 'c{round}-%'")
    };
    // In this order: a record goes from the intake to the log, never back.
    let mut found: HashMap<String, HashSet<(String, String)>> = HashMap::new();
    for rows in [sql.main(&of("audit_intake")).await, sql.audit(&of("audit_log")).await] {
        for [id, outcome, record] in rows.into_iter().map(|row| <[String; 3]>::try_from(row).unwrap()) {
            found.entry(id).or_default().insert((outcome, record));
        }
    }
    found
}

/// Ids of all records of changes of a customer, wherever they are.
async fn changes(sql: &Sql, customer: &str) -> usize {
    let hex = sql.hex("record_id");
    let of = |table: &str| format!("SELECT {hex} FROM {table} WHERE customer_id = {customer} AND outcome = 'changed'");
    let waiting = sql.main(&of("audit_intake")).await;
    let moved = sql.audit(&of("audit_log")).await;
    let ids: HashSet<&String> = waiting.iter().chain(&moved).map(|row| &row[0]).collect();
    assert_eq!(moved.iter().collect::<HashSet<_>>().len(), moved.len(), "a record was copied twice");
    ids.len()
}

async fn check(
    sql: &Sql,
    running: &Running,
    tokens: &HashMap<&str, String>,
    round: u32,
    promised: &Promised,
    rows: &mut [Row; 3],
) {
    let found = records(sql, round).await;
    for (id, outcomes) in &promised.answered {
        let mut records: Vec<_> = found.get(id).into_iter().flatten().map(|(outcome, _)| outcome.as_str()).collect();
        records.sort_unstable();
        assert_eq!(records, *outcomes, "records of the answered request {id}");
    }
    let client = client();
    for (row, (user, path, place)) in rows.iter_mut().zip(WRITERS) {
        let version = sql.number(&format!("SELECT version FROM {place}")).await;
        let get = (Method::GET, format!("{}{path}", running.base));
        let (_, body) = ask(&client, get, &tokens[user], "check", None).await.unwrap();
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let nickname = body["nickname"].as_str().unwrap_or_default();
        let kept = (row.version, row.nickname.as_str());
        let done = row.in_flight.as_deref().map(|in_flight| (row.version + 1, in_flight));
        let is = (version, nickname);
        assert!(is == kept || Some(is) == done, "{path}: {is:?}, but {row:?} was acknowledged");
        *row = Row { version, nickname: nickname.to_owned(), in_flight: None };
        // The row's versions and the versions that its events tell are the same.
        let (id, of) =
            (path.rsplit('/').next().unwrap(), if path.contains("premises") { "premiseId" } else { "accountId" });
        let premise = sql.member("data", "premiseId");
        let alone = if of == "accountId" { format!(" AND {premise} IS NULL") } else { String::new() };
        let (member, told) = (sql.member("data", of), sql.member("data", "version"));
        let told = format!(
            "SELECT count(*), count(DISTINCT {told}), max(CAST({told} AS bigint)) FROM outbox \
                            WHERE CAST({member} AS text) = '{id}'{alone}"
        );
        let told = sql.main(&told).await.remove(0);
        let (events, last) =
            ((version - 1).to_string(), if version == 1 { String::new() } else { version.to_string() });
        assert_eq!(told, [events.clone(), events, last], "events of {path}");
    }
    for customer in ["1", "3"] {
        let outbox = "SELECT count(*), count(DISTINCT sequence), coalesce(min(sequence), 1), \
                      coalesce(max(sequence), 0) FROM outbox";
        let outbox = sql.main(&format!("{outbox} WHERE customer_id = {customer}")).await.remove(0);
        let drawn = format!("SELECT event_sequence FROM customer WHERE customer_id = {customer}");
        let drawn = sql.number(&drawn).await.to_string();
        assert_eq!(outbox, [drawn.as_str(), &drawn, "1", &drawn], "the sequence of customer {customer} has gaps");
        assert_eq!(changes(sql, customer).await.to_string(), drawn, "changes and events of customer {customer}");
    }
}

/// On PostgreSQL a backend may still commit what it was sent before its client was killed.
async fn settle(sql: &Sql) {
    if sql.is_sqlite() {
        return;
    }
    let left = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND \
                application_name = 'customer-service'";
    for _ in 0..1000 {
        if sql.number(left).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    unreachable!("backends of a killed service stay");
}

async fn crash(engine: EngineKind, crashes: u32) {
    let place = Place::new(engine).await;
    let options = ["--log-level", "error", "--limits-requests-per-second", "100000", "--limits-burst", "100000"];
    let client = client();
    let mut rows: [Row; 3] = std::array::from_fn(|_| Row { version: 1, ..Row::default() });
    let mut before = Promised::default();
    let (mut answered, mut unavailable, mut in_flight) = (0, 0, 0);
    for round in 0..=crashes {
        let mut running = place.serve(&options).await;
        let mut tokens: HashMap<&str, String> = HashMap::new();
        for user in ["alice", "bob", "carol"] {
            tokens.insert(user, running.token(&client, user).await);
        }
        let sql = place.sql().await;
        if round == 0 {
            for (row, (user, path, _)) in rows.iter_mut().zip(WRITERS) {
                let get = (Method::GET, format!("{}{path}", running.base));
                let (_, body) = ask(&client, get, &tokens[user], "first", None).await.unwrap();
                let body: serde_json::Value = serde_json::from_str(&body).unwrap();
                row.nickname = body["nickname"].as_str().unwrap_or_default().to_owned();
            }
        } else {
            check(&sql, &running, &tokens, round - 1, &before, &mut rows).await;
        }
        if round == crashes {
            assert_eq!(running.terminate().await, 0);
            break;
        }
        let (promised, stop) = (Arc::new(Mutex::new(Promised::default())), Arc::new(AtomicBool::new(false)));
        let readers = READERS.iter().enumerate().map(|(n, (user, path, status))| {
            let base = running.base.clone();
            let ids = format!("c{round}-r{n}");
            let (promised, stop) = (Arc::clone(&promised), Arc::clone(&stop));
            tokio::spawn(read(client.clone(), base, tokens[user].clone(), (path, *status), ids, promised, stop))
        });
        let readers: Vec<_> = readers.collect();
        let writers = WRITERS.iter().zip(&rows).enumerate().map(|(n, ((user, path, _), row))| {
            let (ids, promised) = (format!("c{round}-w{n}"), Arc::clone(&promised));
            tokio::spawn(write(
                client.clone(),
                running.base.clone(),
                tokens[user].clone(),
                path,
                ids,
                promised,
                row.clone(),
            ))
        });
        let writers: Vec<_> = writers.collect();
        // Moments that differ, so that moves of the intake and checkpoints of the WAL are hit as well.
        tokio::time::sleep(Duration::from_millis(40 + u64::from(round * 37 % 160))).await;
        running.kill().await;
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.await.unwrap();
        }
        for (row, writer) in rows.iter_mut().zip(writers) {
            *row = writer.await.unwrap();
            in_flight += usize::from(row.in_flight.is_some());
        }
        settle(&sql).await;
        before = std::mem::take(&mut *promised.lock().unwrap());
        answered += before.answered.len();
        unavailable += before.unavailable;
    }
    let checkpoints = place.checkpoints();
    let verified = place.run(&["audit", "verify", "--checkpoints", checkpoints.to_str().unwrap()]).await;
    assert_eq!(verified.0, 0, "{}", verified.1);
    let changed: i64 = rows.iter().map(|row| row.version - 1).sum();
    println!(
        "{engine:?}: {crashes} kills, {answered} answers, {changed} changes, {in_flight} in flight, {unavailable} unavailable\n{}",
        verified.1
    );
    assert!(answered > 10 * crashes as usize && changed > i64::from(crashes), "too little went on to find anything");
    assert!(unavailable <= crashes, "{unavailable} answers were 503");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_on_sqlite() {
    crash(EngineKind::Sqlite, crashes(200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_answered_is_lost_on_postgres() {
    crash(EngineKind::Postgres, crashes(50)).await;
}
