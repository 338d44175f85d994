//! CORS where it is configured: preflights and nothing else are answered differently.

use axum::body::Body;
use http::{Request, Response};
use server::{
    api,
    app::{App, Parts, Rates},
    telemetry::Metrics,
};
use similar_asserts::assert_eq;
use std::sync::Arc;
use tower::ServiceExt;

use crate::{
    on_both_engines,
    process::{self, Place},
    support::Service,
};

on_both_engines! { only_preflights_differ, listed_origins_may_read }

const PORTAL: &str = "https://portal.example";

/// The same service for pages of the portal.
fn open(service: &Service) -> axum::Router {
    let app = &service.app;
    api::router(App::new(Parts {
        store: Arc::clone(&app.store),
        authenticator: Arc::clone(&app.authenticator),
        clock: app.clock.clone(),
        random: app.random.clone(),
        business_time: None,
        zone: app.zone.clone(),
        limits: Rates { caller_per_second: 1000, caller_burst: 1000, failures_per_minute: 1000 },
        metrics: Arc::new(Metrics::default()),
        approval: server::config::ApprovedBy::Staff,
        access_reasons: Vec::new(),
        cors_origins: vec![PORTAL.to_owned()],
        proxies: server::config::Proxies::default(),
    }))
}

async fn ask(router: &axum::Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).header("host", "x").header("x-request-id", "same");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

fn header(answer: &Response<Body>, name: &str) -> String {
    let values = answer.headers().get_all(name).iter().map(|value| value.to_str().unwrap().to_ascii_lowercase());
    values.collect::<Vec<_>>().join(", ")
}

async fn only_preflights_differ(service: Service) {
    let (open, closed) = (open(&service), api::router(Arc::clone(&service.app)));
    let wants = ("access-control-request-method", "PATCH");
    for path in ["/api/customer", "/api/premises/2001/set-primary", "/api/docs", "/api/nothing"] {
        for headers in [&[][..], &[("origin", PORTAL)], &[wants]] {
            let (with, without) =
                (ask(&open, "OPTIONS", path, headers).await, ask(&closed, "OPTIONS", path, headers).await);
            assert_eq!(with.status(), without.status(), "{path} {headers:?}");
            for name in ["allow", "x-request-id", "x-content-type-options", "content-type"] {
                assert_eq!(header(&with, name), header(&without, name), "{name} of {path} {headers:?}");
            }
        }
        let preflight = ask(&open, "OPTIONS", path, &[("origin", PORTAL), wants]).await;
        assert_eq!(preflight.status(), 204, "{path}");
        for (name, value) in [
            ("access-control-allow-origin", PORTAL),
            ("access-control-max-age", "600"),
            ("x-request-id", "same"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(header(&preflight, name), value, "{name} of {path}");
        }
        let (methods, headers, vary) = (
            header(&preflight, "access-control-allow-methods"),
            header(&preflight, "access-control-allow-headers"),
            header(&preflight, "vary"),
        );
        assert!(methods.contains("patch") && methods.contains("put"), "{methods}");
        assert!(vary.contains("origin"), "{vary}");
        let needed = ["authorization", "content-type", "if-match", "idempotency-key", "traceparent", "x-request-id"];
        for name in needed.into_iter().chain(["x-access-reason"]) {
            assert!(headers.contains(name), "{name}: {headers}");
        }
    }
}

/// Of the real program: the demonstration's provider stands beside the API's routes, not among them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demonstrations_provider_is_open_to_the_same_pages() {
    let place = Place::new(store::EngineKind::Sqlite).await;
    let service = place.serve(&["--http-cors-origins", PORTAL]).await;
    let own = service.base.replace("127.0.0.1", "localhost");
    let client = process::client();
    let allowed = |answer: &reqwest::Response| {
        answer.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap().to_owned())
    };
    for (origin, listed) in [(PORTAL, true), (own.as_str(), true), ("https://portal.example.evil", false)] {
        let expected = listed.then(|| origin.to_owned());
        let url = format!("{}/demo/oidc/token", service.base);
        let preflight = client.request(reqwest::Method::OPTIONS, &url).header("origin", origin);
        let preflight = preflight.header("access-control-request-method", "POST").send().await.unwrap();
        assert_eq!((preflight.status().as_u16(), allowed(&preflight)), (204, expected.clone()), "{origin}");
        let form = "grant_type=password&client_id=demo&username=alice&password=alice";
        let token = client.post(&url).header("origin", origin).body(form);
        let token = token.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert_eq!((token.status().as_u16(), allowed(&token)), (200, expected), "{origin}");
        let discovery = format!("{}/demo/oidc/.well-known/openid-configuration", service.base);
        let discovery = client.get(discovery).header("origin", origin).send().await.unwrap();
        assert_eq!(allowed(&discovery).is_some(), listed, "{origin}");
    }
}

async fn listed_origins_may_read(service: Service) {
    let open = open(&service);
    for (origin, allowed) in [(PORTAL, PORTAL), ("https://portal.example.evil", ""), ("null", "")] {
        for headers in [&[("origin", origin)][..], &[("origin", origin), ("access-control-request-method", "GET")]] {
            let method = if headers.len() == 1 { "GET" } else { "OPTIONS" };
            let answer = ask(&open, method, "/api/customer", headers).await;
            assert_eq!(answer.status(), if method == "GET" { 401 } else { 204 });
            assert_eq!(header(&answer, "access-control-allow-origin"), allowed, "{method} {origin}");
            assert!(header(&answer, "vary").contains("origin"), "{method} {origin}");
        }
    }
    let answer = ask(&open, "GET", "/api/customer", &[("origin", PORTAL)]).await;
    assert_eq!(header(&answer, "access-control-expose-headers"), "etag,retry-after,x-request-id");
}
