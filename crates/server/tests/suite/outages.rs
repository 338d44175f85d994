//! What fails around the service: the destination of its log, the files of its database, a table of it.

use std::{
    fs::File,
    io::Write as _,
    process::Stdio,
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use store::EngineKind;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::process::{Place, Running, ask, client};

/// A figure of the metrics.
async fn figure(running: &Running, client: &reqwest::Client, name: &str) -> u64 {
    let text = client.get(&running.metrics).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
    line.trim().parse().unwrap()
}

/// Status and body of the readiness check.
async fn ready(running: &Running, client: &reqwest::Client) -> (StatusCode, String) {
    let answer = client.get(running.metrics.replace("/metrics", "/health/ready")).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// A connection that is no HTTP: a line of the log at level debug.
async fn nonsense(host: &str) {
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
    // Its answer, and the end.
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}

/// Gives the log more to say than fits into the queue before it, hundreds of kilobytes, and how much of it is lost.
async fn flooded(running: &Running, client: &reqwest::Client) -> u64 {
    const LOST: &str = "customer_service_log_lines_lost_total";
    let host = running.base.trim_start_matches("http://");
    let mut lost = 0;
    for _ in 0..40 {
        let said = futures_util::future::join_all((0..200).map(|_| nonsense(host)));
        tokio::time::timeout(Duration::from_secs(20), said).await.expect("the log holds up the connections");
        lost = figure(running, client, LOST).await;
        if lost > 100 {
            break;
        }
    }
    lost
}

/// Everything is answered, audited and ended as usual, whatever becomes of the log.
async fn serves_without_its_log(log: Stdio) {
    let place = Place::new(EngineKind::Sqlite).await;
    let options = ["--log-level", "trace", "--limits-requests-per-second", "100000", "--limits-burst", "100000"];
    let running = place.serve_logging(&options, |_| log).await;
    let client = client();
    let token = running.token(&client, "alice").await;
    let lost = flooded(&running, &client).await;
    assert!(lost > 0, "the log had room for everything");
    let asked = (0..400).map(|n| {
        let token = if n % 4 == 3 { "bad" } else { token.as_str() };
        let get = (Method::GET, format!("{}/api/customer", running.base));
        let client = &client;
        async move { ask(client, get, token, &format!("log-{n}"), None).await }
    });
    let answers = futures_util::future::join_all(asked).await;
    for (n, answer) in answers.into_iter().enumerate() {
        let (status, body) = answer.unwrap_or_else(|| unreachable!("request {n} was closed without an answer"));
        assert!(matches!((n % 4, status.as_u16()), (3, 401 | 429) | (0..3, 200)), "{n}: {status}: {body}");
    }
    assert_eq!(ready(&running, &client).await.0, 200);
    assert!(figure(&running, &client, "customer_service_audit_records_total").await >= 300);
    assert_eq!(running.terminate().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_the_log_harms_nobody() {
    serves_without_its_log(File::options().write(true).open("/dev/full").unwrap().into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pipe_behind_the_log_harms_nobody() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    serves_without_its_log(writer.into()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_that_nobody_reads_harms_nobody() {
    let (reader, writer) = std::io::pipe().unwrap();
    // Full from the start: whoever writes into it waits until the reader goes.
    let mut filler = writer.try_clone().unwrap();
    let filler = std::thread::spawn(move || filler.write_all(&[b'x'; 1 << 20]));
    serves_without_its_log(writer.into()).await;
    drop(reader);
    assert!(filler.join().unwrap().is_err(), "somebody read the pipe");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_file_that_goes_away_makes_the_service_not_ready() {
    let place = Place::new(EngineKind::Sqlite).await;
    let running = place.serve(&["--log-level", "error"]).await;
    let client = client();
    assert_eq!(ready(&running, &client).await.0, 200);
    let (file, kept) = (place.data().join("audit.sqlite"), place.data().join("kept"));
    for replaced in [false, true] {
        std::fs::rename(&file, &kept).unwrap();
        if replaced {
            std::fs::copy(&kept, &file).unwrap();
        }
        let (status, body) = ready(&running, &client).await;
        assert_eq!(status, 503);
        assert!(body.contains("database-files"), "{body}");
        let (exit, said) = place.run(&["doctor"]).await;
        let found = said.lines().any(|line| line.starts_with("FAIL  files: ") && line.contains("audit.sqlite"));
        assert!(exit == 3 && found, "{said}");
        std::fs::rename(&kept, &file).unwrap();
        assert_eq!(ready(&running, &client).await.0, 200);
    }
    std::fs::rename(&file, &kept).unwrap();
    // The service looks every few seconds.
    let began = Instant::now();
    let told = || std::fs::read_to_string(&running.err).unwrap().contains("audit.sqlite is gone");
    while !told() {
        assert!(began.elapsed() < Duration::from_secs(20), "nothing in the log");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    std::fs::rename(&kept, &file).unwrap();
    assert_eq!(running.terminate().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_table_holds_up_those_who_need_it_within_their_limit_and_nobody_else() {
    let place = Place::new(EngineKind::Postgres).await;
    let running = place.serve(&["--log-level", "error"]).await;
    let client = client();
    let (alice, bob) = (running.token(&client, "alice").await, running.token(&client, "bob").await);
    let sql = place.sql().await;
    sql.main_batch("BEGIN; LOCK TABLE preference IN ACCESS EXCLUSIVE MODE").await;
    let timed = async |token: &str, path: &str, after: u64| {
        tokio::time::sleep(Duration::from_millis(after)).await;
        let (began, get) = (Instant::now(), (Method::GET, format!("{}{path}", running.base)));
        let (status, body) = ask(&client, get, token, "locked", None).await.unwrap();
        (status, body, began.elapsed())
    };
    let stuck = futures_util::future::join_all((0..30).map(|n| timed(&alice, "/api/preferences", n * 100)));
    let free = futures_util::future::join_all((0..30).map(|n| timed(&bob, "/api/customer", n * 100 + 50)));
    let (stuck, free) = tokio::join!(stuck, free);
    for (status, body, after) in stuck {
        assert_eq!(status, 503, "{body}");
        assert!(after < Duration::from_secs(10), "{after:?}");
    }
    for (status, body, after) in free {
        assert_eq!(status, 200, "{body}");
        assert!(after < Duration::from_secs(2), "{after:?}");
    }
    sql.main_batch("ROLLBACK").await;
    assert_eq!(timed(&alice, "/api/preferences", 0).await.0, 200);
    assert_eq!(running.terminate().await, 0);
}
