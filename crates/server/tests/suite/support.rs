//! The real service for tests: a database of its own on either engine, the demonstration's data and provider,
//! a real listener, and a client.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use crypto::SystemRandom;
use domain::time::{Clock, Instant, SystemClock, Zone};
use reqwest::{Method, StatusCode, header::HeaderMap};
use server::{
    api,
    app::{App, Parts, Rates},
    auth::{Authenticator, IssuerConfig},
    demo::{data, oidc},
    listen,
    telemetry::Metrics,
};
use store::{EngineKind, Store, testing::TestDb};
use tokio::sync::oneshot;

/// The instant of the spec's samples.
pub const ANCHOR: &str = "2025-01-15T12:00:00-06:00";

/// The machine's clock, which a test may move forward.
#[derive(Debug, Default)]
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn forward(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        SystemClock.now().plus(self.0.load(Ordering::SeqCst))
    }
}

/// The clock of the use cases: the same, until a test lets it panic.
#[derive(Debug)]
pub struct AppClock {
    clock: Arc<TestClock>,
    pub panics: AtomicBool,
}

impl Clock for AppClock {
    fn now(&self) -> Instant {
        assert!(!self.panics.load(Ordering::SeqCst), "a test lets this clock panic");
        self.clock.now()
    }
}

/// A running service. Dropping it stops it and removes its database.
pub struct Service {
    pub base: String,
    pub store: Arc<Store>,
    pub app: Arc<App>,
    pub clock: Arc<TestClock>,
    pub app_clock: Arc<AppClock>,
    pub db: TestDb,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
    /// The problem's code, `""` where the answer is none.
    pub fn code(&self) -> String {
        let problem = self.header("content-type") == "application/problem+json";
        if problem { self.json()["code"].as_str().unwrap().to_owned() } else { String::new() }
    }
    /// `place:code` of each field error.
    pub fn errors(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        let place = |e: &serde_json::Value| {
            ["pointer", "parameter", "header"].iter().find_map(|at| e[at].as_str().map(str::to_owned)).unwrap()
        };
        errors.iter().map(|e| format!("{}:{}", place(e), e["code"].as_str().unwrap())).collect()
    }
}

const LISTENING: listen::Limits = listen::Limits {
    connections: 512,
    header: std::time::Duration::from_secs(5),
    idle: std::time::Duration::from_secs(30),
    drain: std::time::Duration::from_secs(1),
};

fn parts(store: Arc<Store>, authenticator: Arc<Authenticator>, clock: Arc<AppClock>, limits: Rates) -> Parts {
    Parts {
        store,
        authenticator,
        clock,
        random: Arc::new(SystemRandom),
        business_time: Instant::parse(ANCHOR),
        zone: Zone::named("America/Chicago").unwrap(),
        limits,
        metrics: Arc::new(Metrics::default()),
        approval: server::config::ApprovedBy::Staff,
        access_reasons: ["customer-request", "complaint"].map(Arc::from).to_vec(),
        cors_origins: Vec::new(),
        proxies: server::config::Proxies::default(),
    }
}

impl Service {
    pub async fn start(engine: EngineKind) -> Self {
        Self::with_issuers(engine, Vec::new()).await
    }

    /// One that also accepts the tokens of these issuers.
    pub async fn with_issuers(engine: EngineKind, issuers: Vec<IssuerConfig>) -> Self {
        let generous = Rates { caller_per_second: 100_000, caller_burst: 100_000, failures_per_minute: 100_000 };
        Self::with(engine, generous, issuers).await
    }

    pub async fn with_limits(engine: EngineKind, limits: Rates) -> Self {
        Self::with(engine, limits, Vec::new()).await
    }

    async fn with(engine: EngineKind, limits: Rates, mut issuers: Vec<IssuerConfig>) -> Self {
        let db = match engine {
            EngineKind::Sqlite => TestDb::sqlite().unwrap(),
            EngineKind::Postgres => TestDb::postgres().await.unwrap(),
        };
        let clock = Arc::new(TestClock::default());
        let store = Arc::new(db.open(clock.clone()).await.unwrap());
        let zone = Zone::named("America/Chicago").unwrap();
        let anchor = Instant::parse(ANCHOR).unwrap();
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let issuer = format!("{base}{}", oidc::PATH);
        data::load(&store, anchor, &zone, &issuer).await.unwrap();
        let random = Arc::new(SystemRandom);
        let provider = Arc::new(oidc::Provider::new(issuer, clock.clone(), random.clone()).unwrap());
        issuers.push(provider.issuer_config());
        let authenticator = Arc::new(Authenticator::new(issuers, clock.clone()).unwrap());
        let app_clock = Arc::new(AppClock { clock: clock.clone(), panics: AtomicBool::new(false) });
        let app = App::new(parts(Arc::clone(&store), authenticator, app_clock.clone(), limits));
        let index = api::index(&app, api::Links::default());
        let router = api::router(Arc::clone(&app)).merge(oidc::router(provider)).merge(index);
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        tokio::spawn(listen::serve(listener, router, LISTENING, Arc::default(), stopped));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { base, store, app, clock, app_clock, db, client, stop: Some(stop) }
    }

    /// Another process of the service on the same database, as far as use cases and jobs go.
    pub async fn replica(&self) -> Arc<App> {
        let store = Arc::new(self.db.open(self.clock.clone()).await.unwrap());
        App::new(parts(store, Arc::clone(&self.app.authenticator), self.app_clock.clone(), self.app.limits))
    }

    /// The same service with another setting, behind a listener of its own, whose address this is: tokens are had from
    /// the first.
    pub async fn beside(&self, set: impl FnOnce(&mut Parts)) -> String {
        let (store, authenticator) = (Arc::clone(&self.store), Arc::clone(&self.app.authenticator));
        let mut parts = parts(store, authenticator, self.app_clock.clone(), self.app.limits);
        set(&mut parts);
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = api::router(App::new(parts));
        tokio::spawn(listen::serve(listener, router, LISTENING, Arc::default(), std::future::pending()));
        base
    }

    /// An access token of a demonstration user or service.
    pub async fn token(&self, user: &str) -> String {
        let services = ["billing", "meter", "market", "notifications"];
        let form = if services.contains(&user) {
            format!("grant_type=client_credentials&client_id={user}&client_secret={user}")
        } else {
            format!("grant_type=password&client_id=demo&username={user}&password={user}")
        };
        let url = format!("{}/demo/oidc/token", self.base);
        let form_type = ("content-type", "application/x-www-form-urlencoded");
        let answer = self.client.post(url).header(form_type.0, form_type.1).body(form).send().await.unwrap();
        let body: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }

    /// Sends a request with a token (`None` for none), headers and body.
    pub async fn send(
        &self,
        method: Method,
        token: Option<&str>,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, body: String::from_utf8(response.bytes().await.unwrap().to_vec()).unwrap() }
    }

    /// GET as a demonstration user.
    pub async fn get(&self, user: &str, path: &str) -> Answer {
        let token = self.token(user).await;
        self.send(Method::GET, Some(&token), path, &[], None).await
    }

    /// PUT of JSON as a demonstration user.
    pub async fn put(&self, user: &str, path: &str, body: &str) -> Answer {
        let token = self.token(user).await;
        let json = [("content-type", "application/json")];
        self.send(Method::PUT, Some(&token), path, &json, Some(body.into())).await
    }

    /// PATCH of a merge patch as a demonstration user.
    pub async fn patch(&self, user: &str, path: &str, body: &str) -> Answer {
        let token = self.token(user).await;
        let patch = [("content-type", "application/merge-patch+json")];
        self.send(Method::PATCH, Some(&token), path, &patch, Some(body.into())).await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

/// Makes a test on each engine of every `async fn name(service: Service)`.
#[macro_export]
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::support::Service::start(store::EngineKind::Sqlite).await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::support::Service::start(store::EngineKind::Postgres).await).await;
            })+
        }
    };
}
