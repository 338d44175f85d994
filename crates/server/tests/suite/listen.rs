//! Slow and half-open clients are cut off, and ending lets the requests at work finish.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::ConnectInfo,
    routing::{get, post},
};
use server::listen::{Connections, Limits, serve};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};

const LIMITS: Limits = Limits {
    connections: 16,
    header: Duration::from_millis(300),
    idle: Duration::from_millis(600),
    drain: Duration::from_secs(5),
};

struct Running {
    address: SocketAddr,
    figures: Arc<Connections>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn running(limits: Limits) -> Running {
    let router = Router::new()
        .route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()))
        .route("/body", post(async |body: Bytes| body.len().to_string()))
        .route("/large", get(async || vec![b'x'; 64 << 20]))
        .route(
            "/slow",
            get(async || {
                sleep(Duration::from_millis(400)).await;
                "done"
            }),
        )
        .route("/endless", get(async || sleep(Duration::from_secs(3600)).await));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (figures, (end, ended)) = (Arc::new(Connections::default()), oneshot::channel());
    let task = tokio::spawn(serve(listener, router, limits, Arc::clone(&figures), async move { drop(ended.await) }));
    Running { address, figures, end, task }
}

async fn connected(running: &Running) -> TcpStream {
    TcpStream::connect(running.address).await.unwrap()
}

/// What comes until the other side closes, and after how long it does.
async fn rest(stream: &mut TcpStream) -> (String, Duration) {
    let (began, mut text) = (Instant::now(), Vec::new());
    // A reset is an end, too.
    drop(timeout(Duration::from_secs(10), stream.read_to_end(&mut text)).await.expect("not cut off"));
    (String::from_utf8_lossy(&text).into_owned(), began.elapsed())
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 4096];
    let read = timeout(Duration::from_secs(5), stream.read(&mut buffer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

#[tokio::test]
async fn clients_that_do_not_finish_a_head_are_cut_off() {
    let running = running(LIMITS).await;
    for begun in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = connected(&running).await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        let (text, after) = rest(&mut stream).await;
        assert_eq!(text, "", "{begun:?}");
        assert!(after > Duration::from_millis(200) && after < Duration::from_millis(1500), "{begun:?}: {after:?}");
    }
    // One byte at a time: each moves, the head is late all the same.
    let mut stream = connected(&running).await;
    let began = Instant::now();
    let dripping = async {
        for byte in b"GET / HTTP/1.1\r\nHost: example.org\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".iter().cycle()
        {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(10), dripping).await.expect("not cut off");
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    assert_eq!(running.figures.timed_out(), 4);
}

#[tokio::test]
async fn a_still_connection_serves_again_until_the_idle_timeout() {
    let running = running(LIMITS).await;
    let mut stream = connected(&running).await;
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(answer(&mut stream).await.ends_with("127.0.0.1"));
        // Longer than a head may take: nothing was begun, so no head is late.
        sleep(Duration::from_millis(400)).await;
    }
    let (text, after) = rest(&mut stream).await;
    assert_eq!(text, "");
    assert!(after < Duration::from_millis(1000), "{after:?}");
    assert_eq!(running.figures.open(), 0);
}

#[tokio::test]
async fn stalled_bodies_and_answers_that_nobody_reads_are_cut_off() {
    let running = running(LIMITS).await;
    let mut sending = connected(&running).await;
    sending.write_all(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").await.unwrap();
    let (_, after) = rest(&mut sending).await;
    assert!(after < Duration::from_millis(2000), "{after:?}");

    let mut reading = connected(&running).await;
    reading.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(2000)).await;
    assert_eq!(running.figures.open(), 0, "the server gave up while the client did not read");
    assert_eq!(running.figures.timed_out(), 2);
}

#[tokio::test]
async fn a_slow_answer_and_a_steady_reader_are_not_cut_off() {
    let running = running(LIMITS).await;
    let mut stream = connected(&running).await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(answer(&mut stream).await.ends_with("done"));
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let (mut read, mut buffer) = (0, vec![0; 4 << 20]);
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            more => read += more,
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(read > 64 << 20, "{read}");
    assert_eq!(running.figures.timed_out(), 0);
}

#[tokio::test]
async fn connections_are_bounded_and_large_heads_refused() {
    let running = running(Limits { connections: 1, ..LIMITS }).await;
    let mut first = connected(&running).await;
    first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(answer(&mut first).await.starts_with("HTTP/1.1 200"));
    let mut second = connected(&running).await;
    let (text, after) = rest(&mut second).await;
    assert_eq!(text, "");
    assert!(after < Duration::from_millis(200), "closed at once: {after:?}");
    assert_eq!(running.figures.refused(), 1);
    let large = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    // It closes while we still send: the answer may be lost to the reset, but is never 200.
    drop(first.write_all(large.as_bytes()).await);
    let (refused, _) = rest(&mut first).await;
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 431"), "{refused}");
    drop(first);
    sleep(Duration::from_millis(100)).await;
    let mut third = connected(&running).await;
    third.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(answer(&mut third).await.starts_with("HTTP/1.1 200"), "a place that became free is used");
}

#[tokio::test]
async fn ending_lets_requests_at_work_finish_and_takes_no_new_ones() {
    let running = running(LIMITS).await;
    let mut idle = connected(&running).await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    answer(&mut idle).await;
    let mut stream = connected(&running).await;
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(100)).await;
    running.end.send(()).unwrap();
    sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(running.address).await.is_err(), "no more connections");
    let (text, _) = rest(&mut stream).await;
    assert!(text.ends_with("done"), "{text}");
    assert!(text.to_lowercase().contains("connection: close"), "{text}");
    timeout(Duration::from_millis(500), running.task).await.expect("ended once everything was answered").unwrap();
}

#[tokio::test]
async fn draining_is_bounded() {
    let limits = Limits { drain: Duration::from_millis(200), idle: Duration::from_secs(60), ..LIMITS };
    let running = running(limits).await;
    let mut stream = connected(&running).await;
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    sleep(Duration::from_millis(100)).await;
    running.end.send(()).unwrap();
    timeout(Duration::from_secs(1), running.task).await.expect("bounded").unwrap();
}
