//! A TCP proxy on loopback between the service and Keycloak, which can be cut or hang, and counts what is fetched.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// What becomes of requests.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub enum Mode {
    /// They reach Keycloak.
    Open,
    /// Their connections are closed at once.
    Cut,
    /// Nothing answers.
    Hang,
}

#[derive(Debug, Default)]
struct Shared {
    mode: AtomicU8,
    fetches: AtomicUsize,
}

/// The proxy; it ends with its test.
#[derive(Debug)]
pub struct Proxy {
    pub at: String,
    shared: Arc<Shared>,
}

impl Proxy {
    /// To `http://HOST:PORT`.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}", listener.local_addr().unwrap());
        let (shared, to) = (Arc::new(Shared::default()), server.trim_start_matches("http://").to_owned());
        let counted = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, to.clone(), Arc::clone(&counted)));
            }
        });
        Self { at, shared }
    }

    pub fn set(&self, mode: Mode) {
        self.shared.mode.store(mode as u8, Ordering::SeqCst);
    }

    pub fn fetches(&self) -> usize {
        self.shared.fetches.load(Ordering::SeqCst)
    }
}

/// `None` ends the connection.
async fn carry(mut client: TcpStream, to: String, shared: Arc<Shared>) -> Option<()> {
    let mut server = TcpStream::connect(to).await.ok()?;
    let (mut request, mut answer) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let sent = request.get(..read.ok().filter(|n| *n > 0)?)?;
                // One fetch is one write: a head without a body.
                shared.fetches.fetch_add(usize::from(sent.starts_with(b"GET ")), Ordering::SeqCst);
                match shared.mode.load(Ordering::SeqCst) {
                    mode if mode == Mode::Open as u8 => server.write_all(sent).await.ok()?,
                    mode if mode == Mode::Cut as u8 => return None,
                    _ => std::future::pending().await,
                }
            }
            read = server.read(&mut answer) => {
                client.write_all(answer.get(..read.ok().filter(|n| *n > 0)?)?).await.ok()?;
            }
        }
    }
}
