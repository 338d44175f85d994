//! The listeners: connections, their limits and their end.
//!
//! Slow and half-open clients are cut off by three rules, all in `Guarded`: the head of a request has to
//! be there within the header timeout, a connection on which no byte moves in either direction within the
//! idle timeout is closed, and more connections than allowed are closed at once. One timer a connection
//! serves all of them; hyper's own header timeout would make a timer for each request.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, routing::future::RouteFuture};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, Sleep, sleep, sleep_until, timeout},
};
use tower::Service as _;

/// The address of the peer: the client, or the proxy before it. In the extensions of every request.
pub type PeerAddress = ConnectInfo<SocketAddr>;

/// What hyper may buffer for one connection in bytes. It bounds the head of a request, give or take one read; a
/// token may have 8 KiB.
const MAX_BUFFER: usize = 32 * 1024;
/// After an error of `accept`, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// What connections are allowed.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open at the same time.
    pub connections: usize,
    /// For the head of a request.
    pub header: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
    /// For requests at work, once the end has been asked for.
    pub drain: Duration,
}

/// Figures of a listener.
#[derive(Debug, Default)]
pub struct Connections {
    accepted: AtomicU64,
    closed: AtomicU64,
    refused: AtomicU64,
    timed_out: AtomicU64,
}

impl Connections {
    /// Accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
    /// Open now.
    pub fn open(&self) -> u64 {
        self.accepted().saturating_sub(self.closed.load(Ordering::Relaxed))
    }
    /// Closed at once, because too many were open.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
    /// Cut off, because they were too slow.
    pub fn timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }
}

/// Serves `router` until `end` resolves, then lets the requests at work finish, for a bounded time.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    figures: Arc<Connections>,
    end: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    // Without `pipeline_flush`: with it, hyper never sends the 400 or 431 of a head that it cannot read,
    // because the head still lies in its buffer like a pipelined request.
    http.header_read_timeout(None).max_buf_size(MAX_BUFFER);
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut end => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // A client that has gone already is no trouble; too many open files are, for a while.
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(PAUSE).await;
                }
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            figures.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        // Answers are small and written whole: waiting for more only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        figures.accepted.fetch_add(1, Ordering::Relaxed);
        let at_work = Arc::new(AtomicBool::new(false));
        let service = Requests { router: router.clone(), peer, at_work: Arc::clone(&at_work) };
        let guarded = Guarded::new(stream, limits, at_work, Arc::clone(&figures));
        let connection = graceful.watch(http.serve_connection(TokioIo::new(guarded), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = limits.drain.as_secs(), "requests were still at work when the time to drain was over");
    }
}

/// The router as the service of one connection.
struct Requests {
    router: Router,
    peer: SocketAddr,
    at_work: Arc<AtomicBool>,
}

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        self.at_work.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        // A router is always ready, and its clone is a reference.
        Answer { inner: self.router.clone().call(request), at_work: Arc::clone(&self.at_work) }
    }
}

/// A request at work.
struct Answer {
    inner: RouteFuture<Infallible>,
    at_work: Arc<AtomicBool>,
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.inner).poll(context));
        self.at_work.store(false, Ordering::Relaxed);
        Poll::Ready(answer)
    }
}

/// A connection that is cut off when its client is too slow.
struct Guarded {
    stream: TcpStream,
    limits: Limits,
    /// From a request's head to the head of its answer.
    at_work: Arc<AtomicBool>,
    /// When a byte moved last.
    moved: Instant,
    /// When the first byte of a head came that is not there yet.
    head: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    figures: Arc<Connections>,
}

impl Guarded {
    fn new(stream: TcpStream, limits: Limits, at_work: Arc<AtomicBool>, figures: Arc<Connections>) -> Self {
        let now = Instant::now();
        // The first head is due from the start: a client that connects and says nothing holds a place.
        let timer = Box::pin(sleep_until(now + limits.header.min(limits.idle)));
        Self { stream, limits, at_work, moved: now, head: Some(now), timer, figures }
    }

    fn deadline(&self) -> Instant {
        let idle = self.moved + self.limits.idle;
        self.head.map_or(idle, |head| idle.min(head + self.limits.header))
    }

    /// An error when the client's time is over; otherwise the timer wakes this task when it may be.
    fn overdue(&mut self, context: &mut Context<'_>) -> Option<io::Error> {
        if self.at_work.load(Ordering::Relaxed) {
            self.head = None;
        }
        let deadline = self.deadline();
        // Most deadlines move on before they come: the timer is set anew only when it fires, or fires late.
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= deadline {
                self.figures.timed_out.fetch_add(1, Ordering::Relaxed);
                return Some(io::Error::new(io::ErrorKind::TimedOut, "the client was too slow"));
            }
            self.timer.as_mut().reset(deadline);
        }
        None
    }

    fn received(&mut self) {
        self.moved = Instant::now();
        if self.at_work.load(Ordering::Relaxed) {
            self.head = None;
        } else {
            self.head.get_or_insert(self.moved);
        }
    }

    fn sent<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(written) => {
                self.moved = Instant::now();
                // What was received belonged to the request that is being answered.
                self.head = None;
                Poll::Ready(written)
            }
            Poll::Pending => self.overdue(context).map_or(Poll::Pending, |late| Poll::Ready(Err(late))),
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.figures.closed.fetch_add(1, Ordering::Relaxed);
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, into) {
            Poll::Ready(read) => {
                self.received();
                Poll::Ready(read)
            }
            Poll::Pending => self.overdue(context).map_or(Poll::Pending, |late| Poll::Ready(Err(late))),
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, from);
        self.sent(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, from);
        self.sent(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
