//! People and services with tokens of two realms: what they may do, and what no role of the wrong realm gives.

use reqwest::{Method, StatusCode};
use serde_json::json;
use server::auth::TokenError;
use store::EngineKind;

use super::{OF_CUSTOMERS, OF_INTERNAL, Realm, claims, customers, internal};
use crate::{
    ask::{User, enrol_linked, records},
    support::Service,
};

const REASON: (&str, &str) = ("x-access-reason", "customer-request");
const PORTAL: &str = "customer-service-portal";
const SPA: &str = "customer-service-spa";
const STAFF: &str = "customer-service-staff";

async fn service(engine: EngineKind, customers: &Realm, internal: &Realm) -> Service {
    let issuers = vec![customers.config(None, OF_CUSTOMERS), internal.config(None, OF_INTERNAL)];
    Service::with_issuers(engine, issuers).await
}

async fn refused(service: &Service, token: &str) -> String {
    let answer = User::with(service, token).get("/api/customer").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
    answer.json()["detail"].as_str().unwrap().to_owned()
}

/// One line of a balance, as Billing reports it.
fn balances() -> String {
    let line = json!({
        "accountId": 1001, "currentBalance": 20.25, "dueAmount": 10.5, "pastDueAmount": 0, "nextDueDate": "2026-02-01",
        "asOf": "2026-01-15T11:05:00Z"
    });
    json!({ "balances": [line] }).to_string()
}

async fn everybody(engine: EngineKind) {
    let (customers, internal) = (customers().await, internal().await);
    let service = service(engine, &customers, &internal).await;

    // Self-service: through both clients, before and after the person is a customer.
    let erin = customers.user("erin", &[]).await;
    let tokens = customers.log_in(PORTAL, &erin).await;
    let told = claims(&tokens.access);
    assert_eq!((&told["sub"], &told["aud"]), (&json!(erin.id), &json!("customer-service")), "{told}");
    assert_eq!(told["realm_access"]["roles"], json!(["customer"]), "what every new user gets, and nothing else");
    let as_erin = User::with(&service, &tokens.access);
    assert_eq!(as_erin.get("/api/customer").await.code(), "not-enrolled");
    enrol_linked(&service, vec![(customers.issuer(), erin.id.clone())]).await;
    assert_eq!(as_erin.get("/api/customer").await.json()["customerId"], json!(10));
    let spa = customers.log_in(SPA, &erin).await;
    assert_eq!(User::with(&service, &spa.access).get("/api/customer").await.status, StatusCode::OK);
    assert_eq!(as_erin.get("/api/accounts/1001").await.status, StatusCode::NOT_FOUND, "another customer's");

    // Only the access token of a log-in counts.
    assert_eq!(refused(&service, &tokens.id).await, TokenError::Type.to_string());
    assert_eq!(refused(&service, &tokens.refresh).await, TokenError::Algorithm.to_string());

    let huge = User::with(&service, &"x".repeat(100_000)).get("/api/customer").await;
    assert!([401, 431].contains(&huge.status.as_u16()), "{}", huge.status);
    assert_eq!(as_erin.get("/api/customer").await.status, StatusCode::OK);

    // Staff, with a reason, which is recorded.
    let stella = internal.user("stella", &["csr"]).await;
    let stella = internal.log_in(STAFF, &stella).await;
    let as_stella = User::with(&service, &stella.access);
    let path = "/api/admin/customers/10";
    assert_eq!(as_stella.get(path).await.status, StatusCode::BAD_REQUEST, "without a reason");
    let seen = as_stella.send("GET", path, &[REASON, ("x-request-id", "of-stella")], None).await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
    let records = records(&service, "of-stella").await;
    assert_eq!(records[0].reason.as_deref(), Some("customer-request"));
    // The same person is no customer, and no service.
    assert_eq!(as_stella.get("/api/customer").await.status, StatusCode::FORBIDDEN);
    let batch = balances();
    let report = "/api/integration/balances";
    assert_eq!(as_stella.send("POST", report, &[], Some(&batch)).await.status, StatusCode::FORBIDDEN);

    // Services: each with its own role.
    for (client, status) in [
        ("billing-service", StatusCode::OK),
        ("meter-service", StatusCode::FORBIDDEN),
        ("market-service", StatusCode::FORBIDDEN),
        ("notification-service", StatusCode::FORBIDDEN),
    ] {
        let token = internal.service(client).await;
        let role = client.split('-').next().unwrap();
        assert!(claims(&token)["realm_access"]["roles"][0].as_str().unwrap().starts_with(role), "{client}");
        let answer = User::with(&service, &token).send("POST", report, &[], Some(&batch)).await;
        assert_eq!(answer.status, status, "{client}: {}", answer.body);
    }
}

mod everybody {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn on_sqlite() {
        super::everybody(store::EngineKind::Sqlite).await;
    }
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn on_postgres() {
        super::everybody(store::EngineKind::Postgres).await;
    }
}

/// A realm that somebody set up wrongly, or took over: it has every role that exists, and gives them to customers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_of_the_wrong_realm_give_nothing() {
    let customers = Realm::like("ossrep", |realm| {
        for role in OF_INTERNAL {
            realm["roles"]["realm"].as_array_mut().unwrap().push(json!({ "name": role }));
        }
        realm["scopeMappings"][1]["roles"].as_array_mut().unwrap().extend(OF_INTERNAL.iter().map(|role| json!(role)));
    })
    .await;
    let internal = internal().await;
    let service = service(EngineKind::Sqlite, &customers, &internal).await;

    let mallory = customers.user("mallory", OF_INTERNAL).await;
    enrol_linked(&service, vec![(customers.issuer(), mallory.id.clone())]).await;
    let tokens = customers.log_in(SPA, &mallory).await;
    let roles = claims(&tokens.access)["realm_access"]["roles"].clone();
    assert_eq!(roles.as_array().unwrap().len(), OF_INTERNAL.len() + 1, "{roles}: Keycloak did grant them");
    let mallory = User::with(&service, &tokens.access);
    assert_eq!(mallory.get("/api/customer").await.status, StatusCode::OK, "still a customer");
    let look = mallory.send("GET", "/api/admin/customers/1", &[REASON], None).await;
    assert_eq!((look.status, look.code().as_str()), (StatusCode::FORBIDDEN, "forbidden"));
    let told = mallory.send("POST", "/api/integration/balances", &[], Some(&balances())).await;
    assert_eq!(told.status, StatusCode::FORBIDDEN);

    // A partner who is no customer: linked, and yet nobody.
    let paula = customers.user("paula", &["partner"]).await;
    let every = customers.admin(Method::GET, &format!("/users/{}/role-mappings/realm", paula.id), None).await;
    let default: Vec<_> = every.as_array().unwrap().iter().filter(|role| role["name"] != "partner").cloned().collect();
    customers.admin(Method::DELETE, &format!("/users/{}/role-mappings/realm", paula.id), Some(json!(default))).await;
    let tokens = customers.log_in(SPA, &paula).await;
    assert_eq!(claims(&tokens.access)["realm_access"]["roles"], json!(["partner"]));
    let partner = User::with(&service, &tokens.access);
    for path in ["/api/customer", "/api/accounts", "/api/admin/customers/1"] {
        let answer = partner.send("GET", path, &[REASON], None).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
}

/// A token is not checked with its issuer again: who is locked out there stays in until it expires, and no longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_user_stays_until_the_token_expires() {
    let (customers, internal) = (customers().await, internal().await);
    let service = service(EngineKind::Sqlite, &customers, &internal).await;
    let erin = customers.user("erin", &[]).await;
    enrol_linked(&service, vec![(customers.issuer(), erin.id.clone())]).await;
    let tokens = customers.log_in(SPA, &erin).await;
    let as_erin = User::with(&service, &tokens.access);
    assert_eq!(as_erin.get("/api/customer").await.status, StatusCode::OK);

    let found = customers.admin(Method::GET, &format!("/users/{}", erin.id), None).await;
    let mut changed = found.clone();
    changed["enabled"] = json!(false);
    customers.admin(Method::PUT, &format!("/users/{}", erin.id), Some(changed)).await;
    let (status, answer) = customers.refresh(SPA, &tokens.refresh).await;
    assert_eq!((status, &answer["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")), "{answer}");
    let page = customers.try_log_in(SPA, &erin).await.err().unwrap();
    assert!(page.contains("disabled") || page.contains("Invalid"), "{page}");
    assert_eq!(as_erin.get("/api/customer").await.status, StatusCode::OK, "as documented");

    // Five minutes, and the leeway.
    service.clock.forward(311 * domain::time::SECOND);
    assert_eq!(refused(&service, &tokens.access).await, TokenError::Expired.to_string());
}
