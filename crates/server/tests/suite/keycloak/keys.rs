//! Keycloak's keys while requests run: a new one, a withdrawn one, floods of invented ones, and Keycloak away. The
//! service reaches the keys through a proxy, so that the shared Keycloak need not be stopped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use base64::Engine as _;
use domain::time::SECOND;
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use server::{
    auth::TokenError,
    listen::Connections,
    management::{self, Management},
    telemetry::{Metrics, Sources},
};
use store::{EngineKind, supervise::Supervisor};

use super::{
    B64, OF_CUSTOMERS, Person, Realm, customers,
    proxy::{Mode, Proxy},
};
use crate::{
    ask::{User, enrol_linked},
    support::Service,
};

const SPA: &str = "customer-service-spa";
/// Between two fetches that unknown keys cause, in microseconds.
const WINDOW: i64 = 10 * SECOND;

/// A service that reaches the keys through a proxy, and a customer of it.
struct World {
    realm: Realm,
    erin: Person,
    proxy: Proxy,
    service: Service,
}

impl World {
    async fn start(realm: Realm, mode: Mode) -> Self {
        let erin = realm.user("erin", &[]).await;
        let proxy = Proxy::to(&realm.server).await;
        proxy.set(mode);
        let issuers = vec![realm.config(Some(&proxy.at), OF_CUSTOMERS)];
        let service = Service::with_issuers(EngineKind::Sqlite, issuers).await;
        enrol_linked(&service, vec![(realm.issuer(), erin.id.clone())]).await;
        Self { realm, erin, proxy, service }
    }

    async fn log_in(&self) -> String {
        self.realm.log_in(SPA, &self.erin).await.access
    }

    async fn ask(&self, token: &str) -> (StatusCode, String) {
        let answer = User::with(&self.service, token).get("/api/customer").await;
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        (answer.status, detail)
    }

    async fn status(&self, token: &str) -> StatusCode {
        self.ask(token).await.0
    }
}

fn kid(token: &str) -> String {
    let header: Value = serde_json::from_slice(&B64.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

/// A token of this realm, to the eye, with a key that nobody has.
fn invented(token: &str, kid: &str) -> String {
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": kid });
    format!("{}.{}", B64.encode(header.to_string()), token.split_once('.').unwrap().1)
}

fn unknown_key() -> (StatusCode, String) {
    (StatusCode::UNAUTHORIZED, TokenError::Key.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_while_requests_run() {
    let world = Arc::new(World::start(Realm::like("ossrep", |_| {}).await, Mode::Open).await);
    let old = world.log_in().await;
    assert_eq!(world.status(&old).await, StatusCode::OK);
    assert_eq!(world.proxy.fetches(), 1);

    // Requests go on through all of it.
    let stop = Arc::new(AtomicBool::new(false));
    let (asking, ended, token) = (Arc::clone(&world), Arc::clone(&stop), old.clone());
    let running = tokio::spawn(async move {
        let mut answered = 0;
        while !ended.load(Ordering::SeqCst) {
            assert_eq!(asking.status(&token).await, StatusCode::OK, "after {answered}");
            answered += 1;
        }
        answered
    });

    // A new key of higher priority signs at once (Keycloak issue 49658).
    let realm = world.realm.admin(Method::GET, "", None).await;
    let key = json!({
        "name": "new", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
        "parentId": realm["id"],
        "config": {
            "priority": ["200"], "enabled": ["true"], "active": ["true"], "keySize": ["2048"], "algorithm": ["RS256"]
        },
    });
    world.realm.admin(Method::POST, "/components", Some(key)).await;
    let new = world.log_in().await;
    assert_ne!(kid(&old), kid(&new));
    world.service.clock.forward(WINDOW);
    let answers = join_all((0..20).map(|_| world.status(&new))).await;
    assert!(answers.iter().all(|status| *status == StatusCode::OK), "{answers:?}");
    assert_eq!(world.proxy.fetches(), 2, "one fetch for all of them");
    assert_eq!(world.status(&old).await, StatusCode::OK, "the old key is still published");

    // Invented keys cause one fetch in each window.
    world.service.clock.forward(WINDOW);
    let flood: Vec<String> = (0..100).map(|n| invented(&new, &format!("invented-{n}"))).collect();
    for answer in join_all(flood.iter().map(|token| world.ask(token))).await {
        assert_eq!(answer, unknown_key());
    }
    assert_eq!(world.proxy.fetches(), 3);
    stop.store(true, Ordering::SeqCst);
    let answered = running.await.unwrap();
    assert!(answered > 20, "{answered} requests ran meanwhile");

    // The old key is withdrawn: with the next set of keys its tokens end, remembered ones too.
    let keys = world.realm.admin(Method::GET, "/keys", None).await;
    let keys = keys["keys"].as_array().unwrap();
    let component = keys.iter().find(|key| key["kid"] == kid(&old)).unwrap()["providerId"].as_str().unwrap();
    world.realm.admin(Method::DELETE, &format!("/components/{component}"), None).await;
    assert_eq!(world.status(&old).await, StatusCode::OK, "until the service learns of it");
    world.service.clock.forward(WINDOW);
    assert_eq!(world.ask(&invented(&new, "another")).await, unknown_key());
    assert_eq!(world.ask(&old).await, unknown_key());
    assert_eq!(world.status(&new).await, StatusCode::OK);
    assert_eq!(world.proxy.fetches(), 4);
}

/// Health and metrics of a service, as `serve` puts them together.
async fn management(service: &Service) -> String {
    let metrics = Arc::new(Metrics::default());
    let tasks = Supervisor::default();
    metrics.watch(Sources {
        store: Arc::downgrade(&service.store),
        authenticator: Arc::downgrade(&service.app.authenticator),
        connections: Arc::new(Connections::default()),
        tasks: tasks.clone(),
    });
    let store = Arc::clone(&service.store);
    let router = management::router(Management { store, metrics, tasks, ending: Arc::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    at
}

async fn metric(at: &str, name: &str) -> String {
    let text = super::client().get(format!("{at}/metrics")).send().await.unwrap().text().await.unwrap();
    let name = format!("customer_service_{name} ");
    text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("{name} in {text}")).to_owned()
}

async fn ready(at: &str) -> StatusCode {
    super::client().get(format!("{at}/health/ready")).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keycloak_may_be_away_for_a_while() {
    let world = World::start(customers().await, Mode::Open).await;
    let at = management(&world.service).await;
    let token = world.log_in().await;
    assert_eq!(world.status(&token).await, StatusCode::OK);
    assert_eq!(metric(&at, "issuers_unreachable").await, "0");

    world.proxy.set(Mode::Cut);
    world.service.clock.forward(WINDOW);
    assert_eq!(world.ask(&invented(&token, "unknown")).await, unknown_key());
    assert_eq!(metric(&at, "issuers_unreachable").await, "1");
    assert_eq!(ready(&at).await, StatusCode::OK, "starting it anew would not help");
    assert_eq!(world.status(&token).await, StatusCode::OK);
    let fresh = world.log_in().await;
    assert_eq!(world.status(&fresh).await, StatusCode::OK, "its key is known");

    // One that takes connections and says nothing holds up nobody, once it is known to be away.
    world.proxy.set(Mode::Hang);
    world.service.clock.forward(WINDOW);
    let began = Instant::now();
    for n in 0..10 {
        assert_eq!(world.ask(&invented(&token, &format!("unknown-{n}"))).await, unknown_key());
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(world.status(&token).await, StatusCode::OK);
    assert_eq!(ready(&at).await, StatusCode::OK);

    world.proxy.set(Mode::Open);
    for tries in 0.. {
        assert!(tries < 150, "it did not come back");
        // Unknown keys let it fetch again; the fetch that hangs ends after 5 s.
        world.service.clock.forward(SECOND);
        assert_eq!(world.ask(&invented(&token, "unknown")).await, unknown_key());
        if metric(&at, "issuers_unreachable").await == "0" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let fresh = world.log_in().await;
    assert_eq!(world.status(&fresh).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_starts_while_keycloak_is_away() {
    let world = World::start(customers().await, Mode::Cut).await;
    let at = management(&world.service).await;
    let token = world.log_in().await;
    let answer = User::with(&world.service, &token).get("/api/customer").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"));
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(world.service.get("alice", "/api/customer").await.status, StatusCode::OK, "another issuer's tokens");
    assert_eq!(metric(&at, "issuers_without_keys").await, "1");
    assert_eq!(ready(&at).await, StatusCode::OK);

    world.proxy.set(Mode::Open);
    for tries in 0.. {
        assert!(tries < 100, "it did not come");
        world.service.clock.forward(SECOND);
        if world.status(&token).await == StatusCode::OK {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(metric(&at, "issuers_without_keys").await, "0");
}
