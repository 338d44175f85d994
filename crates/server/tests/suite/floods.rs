//! Floods: of bad tokens, of one caller's requests, of clients that never finish. Whoever behaves well is
//! neither refused nor slowed down, and the audit log does not grow.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use server::app::Rates;
use store::EngineKind;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    process::{Place, Sql, ask, client},
    support::Service,
};

/// Those that measure do not run beside each other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// `FLOOD_SECONDS` makes it longer, up to a minute.
fn seconds() -> u64 {
    std::env::var("FLOOD_SECONDS").map_or(10, |text| text.parse().unwrap()).clamp(1, 60)
}

/// What a good caller may wait. Without optimisation, and with its attackers on the same two cores, the
/// figure says little about the service.
const P99: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 250 });
const MEGABYTE: i64 = 1_000_000;

async fn audit_bytes(sql: &Sql) -> i64 {
    let size = match sql.is_sqlite() {
        true => "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
        false => "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'audit_%'",
    };
    sql.audit(size).await[0][0].parse().unwrap()
}

/// Sends one bad token after the other until told to stop; how many were answered.
async fn flood(url: String, tokens: Vec<String>, stop: Arc<AtomicBool>, first_refused: Arc<AtomicU64>) -> u64 {
    let client = client();
    let mut sent = 0;
    for token in tokens.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let answer = client.get(&url).bearer_auth(token).send().await.unwrap();
        let status = answer.status();
        answer.bytes().await.unwrap();
        if status == StatusCode::TOO_MANY_REQUESTS {
            first_refused.fetch_add(1, Ordering::Relaxed);
        } else {
            assert_eq!(status, StatusCode::UNAUTHORIZED);
        }
        sent += 1;
    }
    sent
}

async fn bad_tokens(engine: EngineKind) {
    let _alone = ALONE.lock().await;
    let place = Place::new(engine).await;
    let running = place.serve(&["--log-level", "warn"]).await;
    let client = client();
    let good = running.token(&client, "alice").await;
    let other = running.token(&client, "bob").await;
    let (head, signature) = good.rsplit_once('.').unwrap();
    let (_, others) = other.rsplit_once('.').unwrap();
    // Nonsense, another token's signature, none, and one with its first character exchanged.
    let tokens = vec![
        "nonsense".to_owned(),
        format!("{head}.{others}"),
        format!("{head}."),
        format!("{head}.{}{}", if signature.starts_with('A') { "B" } else { "A" }, &signature[1..]),
    ];
    let sql = place.sql().await;
    let before = audit_bytes(&sql).await;
    let url = format!("{}/api/accounts/1001", running.base);
    let (stop, limited) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let attackers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(flood(url.clone(), tokens.clone(), Arc::clone(&stop), Arc::clone(&limited))))
        .collect();

    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < Duration::from_secs(seconds()) {
        let asked = Instant::now();
        let (status, body) = ask(&client, (Method::GET, url.clone()), &good, "good", None).await.unwrap();
        times.push(asked.elapsed());
        assert_eq!(status, 200, "a good caller is refused: {body}");
        // Below the rate of a caller.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for attacker in attackers {
        sent += attacker.await.unwrap();
    }
    times.sort();
    let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    // Ending writes the counts of the minutes that are not over.
    assert_eq!(running.terminate().await, 0);
    let grown = audit_bytes(&sql).await - before;
    let failed = "SELECT coalesce(detail, '') FROM audit_log WHERE outcome = 'unauthenticated'";
    let failed: Vec<String> = sql.audit(failed).await.into_iter().map(|row| row[0].clone()).collect();
    let counted = |detail: &String| match detail.strip_prefix("count=").and_then(|rest| rest.split(' ').next()) {
        Some(count) => count.parse::<u64>().unwrap(),
        None => 1,
    };
    let limited = limited.load(Ordering::Relaxed);
    println!(
        "{engine:?}: {sent} bad tokens in {} s ({limited} answered 429) as {} records, {grown} bytes; a good caller's \
         {} requests: median {median:?}, p99 {p99:?}",
        seconds(),
        failed.len(),
        times.len(),
    );
    assert!(sent > 100 * seconds(), "{sent} are no flood");
    assert!(limited > sent / 2, "the address is limited");
    assert_eq!(failed.iter().map(counted).sum::<u64>(), sent, "each failure is counted");
    assert!(failed.len() as u64 <= 11 * (seconds() / 60 + 2), "{} records", failed.len());
    assert!(grown < MEGABYTE, "the audit log grew by {grown} bytes");
    assert!(p99 < P99, "{p99:?}");
    let (code, said) = place.run(&["audit", "verify"]).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_tokens_harm_nobody_on_sqlite() {
    bad_tokens(EngineKind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_tokens_harm_nobody_on_postgres() {
    bad_tokens(EngineKind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_above_its_rate_is_told_when_to_come_back() {
    let limits = Rates { caller_per_second: 2, caller_burst: 10, failures_per_minute: 1000 };
    let service = Service::with_limits(EngineKind::Sqlite, limits).await;
    let (alice, bob) = (service.token("alice").await, service.token("bob").await);
    let ask = async |token: &str| service.send(Method::GET, Some(token), "/api/accounts", &[], None).await;
    let mut answered = 0;
    let refused = loop {
        let answer = ask(&alice).await;
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
        assert!(answered <= 20, "no limit");
    };
    assert!(answered >= 10, "the burst is {answered}");
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "too-many-requests"));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(ask(&bob).await.status, 200, "another caller");
    // A new token of the same person is the same caller.
    assert_eq!(ask(&service.token("alice").await).await.status, 429);
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(ask(&alice).await.status, 200, "after Retry-After");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_authentications_of_an_address_are_limited() {
    let limits = Rates { caller_per_second: 1000, caller_burst: 1000, failures_per_minute: 5 };
    let service = Service::with_limits(EngineKind::Sqlite, limits).await;
    let good = service.token("alice").await;
    for n in 0..12 {
        let bad = if n % 2 == 0 { Some("nonsense") } else { None };
        let answer = service.send(Method::GET, bad, "/api/accounts", &[], None).await;
        if n < 5 {
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "unauthenticated"), "{n}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
        } else {
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "too-many-requests"), "{n}");
            assert_eq!(answer.header("retry-after"), "60");
        }
        let answer = service.send(Method::GET, Some(&good), "/api/accounts", &[], None).await;
        assert_eq!(answer.status, 200, "a good token from the same address");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_finish_are_cut_off_beside_those_that_do() {
    let _alone = ALONE.lock().await;
    let place = Place::new(EngineKind::Sqlite).await;
    let options = ["--log-level", "warn", "--http-header-timeout-seconds", "1", "--http-idle-timeout-seconds", "2"];
    let running = place.serve(&options).await;
    let client = client();
    let token = running.token(&client, "alice").await;
    let address = running.base.trim_start_matches("http://").to_owned();
    let body = format!(
        "PATCH /api/accounts/1001 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: \
         application/merge-patch+json\r\nContent-Length: 50\r\n\r\n{{\"nickname\""
    );
    let begun = [String::new(), "GET /api/accounts HTTP/1.1\r\nHost: x\r\nX-Slow:".to_owned(), body];
    let mut slow = Vec::new();
    for text in begun.iter().cycle().take(300) {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        slow.push(tokio::spawn(async move {
            let mut rest = Vec::new();
            // A reset is an end, too.
            drop(stream.read_to_end(&mut rest).await);
        }));
    }
    for _ in 0..20 {
        let get = (Method::GET, format!("{}/api/accounts/1001", running.base));
        let (status, body) = ask(&client, get, &token, "good", None).await.unwrap();
        assert_eq!(status, 200, "{body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let all = futures_util::future::join_all(slow);
    tokio::time::timeout(Duration::from_secs(6), all).await.expect("some were not cut off");
    let metrics = client.get(&running.metrics).send().await.unwrap().text().await.unwrap();
    let figure = metrics.lines().find_map(|line| line.strip_prefix("customer_service_connections_timed_out_total "));
    assert!(figure.unwrap().parse::<u64>().unwrap() >= 200, "{figure:?}");
    let get = (Method::GET, format!("{}/api/accounts/1001", running.base));
    let (_, account) = ask(&client, get, &token, "after", None).await.unwrap();
    assert!(account.contains("\"nickname\":null"), "half a change is none: {account}");
}

/// Behind a proxy that sets one header, a client's own word in the other gives it no new address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_behind_a_proxy_chooses_an_address_and_so_escapes_the_limit() {
    let place = Place::new(EngineKind::Sqlite).await;
    let client = client();
    for (setting, set, forged) in
        [("forwarded", "for=198.51.100.1", "203.0.113."), ("x-forwarded-for", "198.51.100.1", "for=203.0.113.")]
    {
        let other = if setting == "forwarded" { "x-forwarded-for" } else { "forwarded" };
        let options = ["--http-trusted-proxies", "127.0.0.1", "--http-forwarded-header", setting];
        let running = place.serve(&[&options[..], &["--limits-failed-logins-per-minute", "5"]].concat()).await;
        let mut limited = 0;
        for n in 0..20 {
            let request = client.get(format!("{}/api/customer", running.base)).bearer_auth("bad");
            let request = request.header(other, format!("{forged}{n}"));
            // What a client sends in the right header stands left of what the proxy adds.
            let answer = request.header(setting, format!("{forged}{n}, {set}")).send().await.unwrap();
            limited += u32::from(answer.status() == StatusCode::TOO_MANY_REQUESTS);
        }
        assert!(limited >= 14, "{setting}: {limited} of 20 were limited");
        assert_eq!(running.terminate().await, 0);
    }
}
