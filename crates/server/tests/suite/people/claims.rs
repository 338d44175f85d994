//! Claim codes: issued once, used once.

use domain::time::{HOUR, SECOND};
use serde_json::{Value, json};
use similar_asserts::assert_eq;
use store::{
    Operator,
    audit::{ActorKind, Filter, ShownWho},
};

use super::ask;
use crate::{
    ask::{User, enrol_bare, events, records},
    on_both_engines,
    process::Sql,
    support::{Answer, Service},
};

on_both_engines! {
    who_knows_the_code_is_the_customer,
    wrong_is_wrong_whatever_is_wrong,
    a_code_is_used_up,
    a_later_code_replaces_the_one_before,
    who_tries_too_often_waits,
    a_customer_claims_nobody,
}

const CLAIM: &str = "/api/enrollment/claim";

async fn issue(service: &Service) -> Answer {
    let jsmith = User::of(service, "jsmith").await;
    let answer = ask(&jsmith, "POST", "/api/admin/customers/10/claim-codes", Some(&json!({"accountId": 1100}))).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap().to_owned()
}

fn claim(number: &str, code: &str) -> String {
    json!({"accountNumber": number, "code": code}).to_string()
}

async fn who_knows_the_code_is_the_customer(service: Service) {
    enrol_bare(&service).await;
    let dave = User::of(&service, "dave").await;
    let issued = issue(&service).await;
    assert_eq!(issued.json()["accountId"], json!(1100));
    let body = claim("BARE-1", &code(&issued).to_lowercase().replace('-', " "));
    let headers = [("x-request-id", "claim"), ("idempotency-key", "claim-1")];
    let claimed = dave.send("POST", CLAIM, &headers, Some(&body)).await;
    assert_eq!((claimed.status.as_u16(), &claimed.json()["customerId"]), (200, &json!(10)), "{}", claimed.body);
    assert_eq!(dave.get("/api/customer").await.body, claimed.body);
    let again = dave.send("POST", CLAIM, &headers[1..], Some(&body)).await;
    assert_eq!((again.status.as_u16(), &again.body), (200, &claimed.body), "the same request, the same answer");
    assert_eq!(dave.send("POST", CLAIM, &[], Some(&body)).await.code(), "already-enrolled");
    let records = records(&service, "claim").await;
    let seen: Vec<_> = records.iter().map(|r| (r.actor, r.customer.map(|id| id.to_string()))).collect();
    assert_eq!(seen, [(ActorKind::Customer, Some("10".to_owned()))]);
    // Who it was is sealed under the customer's own key: it goes with the customer.
    let known = async || {
        let filter = Filter { request_id: Some("claim".into()), limit: 10, ..Filter::default() };
        let shown = service.store.show_audit(&filter, Operator { user: "test", reason: "test" }).await.unwrap();
        matches!(shown[0].who, ShownWho::Known(_))
    };
    assert!(known().await);
    Sql::of(service.db.location()).await.main_batch("DELETE FROM customer_key WHERE customer_id = 10").await;
    assert!(!known().await);
    assert_eq!(events(&service).await, []);
}

/// What of a refusal may not differ.
fn told(answer: &Answer) -> Value {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("requestId");
    json!({"status": answer.status.as_u16(), "body": body})
}

async fn wrong_is_wrong_whatever_is_wrong(service: Service) {
    enrol_bare(&service).await;
    let dave = User::of(&service, "dave").await;
    let right = code(&issue(&service).await);
    let mut answers = Vec::new();
    for body in [
        claim("BARE-1", "22222-22222"),
        claim("NOBODYS", &right),
        // Another's account, and one without a code.
        claim("1234567890", &right),
        claim("BARE-1", "not even a code"),
    ] {
        answers.push(told(&dave.send("POST", CLAIM, &[], Some(&body)).await));
    }
    assert_eq!(answers[0]["body"]["code"], json!("claim-refused"));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    service.clock.forward(7 * 24 * HOUR + SECOND);
    let dave = User::of(&service, "dave").await;
    let late = dave.send("POST", CLAIM, &[], Some(&claim("BARE-1", &right))).await;
    assert_eq!(told(&late), answers[0], "it has expired");
}

async fn a_code_is_used_up(service: Service) {
    enrol_bare(&service).await;
    let dave = User::of(&service, "dave").await;
    let right = code(&issue(&service).await);
    for _ in 0..5 {
        let wrong = dave.send("POST", CLAIM, &[], Some(&claim("BARE-1", "22222-22222"))).await;
        assert_eq!(wrong.code(), "claim-refused");
    }
    let late = dave.send("POST", CLAIM, &[], Some(&claim("BARE-1", &right))).await;
    assert_eq!(late.code(), "claim-refused", "it was mistyped five times");
}

async fn a_later_code_replaces_the_one_before(service: Service) {
    enrol_bare(&service).await;
    let dave = User::of(&service, "dave").await;
    let (first, second) = (code(&issue(&service).await), code(&issue(&service).await));
    assert_ne!(first, second);
    assert_eq!(dave.send("POST", CLAIM, &[], Some(&claim("BARE-1", &first))).await.code(), "claim-refused");
    assert_eq!(dave.send("POST", CLAIM, &[], Some(&claim("BARE-1", &second))).await.status, 200);
    let jsmith = User::of(&service, "jsmith").await;
    let foreign = json!({"accountId": 1001});
    let wrong = ask(&jsmith, "POST", "/api/admin/customers/10/claim-codes", Some(&foreign)).await;
    assert_eq!((wrong.status.as_u16(), wrong.errors()), (422, vec!["/accountId:unknown-account".to_owned()]));
}

async fn who_tries_too_often_waits(service: Service) {
    enrol_bare(&service).await;
    let dave = User::of(&service, "dave").await;
    let right = code(&issue(&service).await);
    for n in 0..10 {
        let wrong = dave.send("POST", CLAIM, &[], Some(&claim(&format!("NOBODY-{n}"), &right))).await;
        assert_eq!(wrong.code(), "claim-refused");
    }
    let body = claim("BARE-1", &right);
    let throttled = dave.send("POST", CLAIM, &[], Some(&body)).await;
    assert_eq!((throttled.status.as_u16(), throttled.code().as_str()), (429, "too-many-requests"));
    let wait: i64 = throttled.header("retry-after").parse().unwrap();
    assert!((3500..=3601).contains(&wait), "{wait}");
    service.clock.forward(wait * SECOND);
    let dave = User::of(&service, "dave").await;
    let claimed = dave.send("POST", CLAIM, &[], Some(&body)).await;
    assert_eq!(claimed.status, 200, "the code itself was not mistyped: {}", claimed.body);
}

async fn a_customer_claims_nobody(service: Service) {
    enrol_bare(&service).await;
    let alice = User::of(&service, "alice").await;
    let right = code(&issue(&service).await);
    let answer = alice.send("POST", CLAIM, &[], Some(&claim("BARE-1", &right))).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "already-enrolled"));
    let jsmith = User::of(&service, "jsmith").await;
    assert_eq!(jsmith.send("POST", CLAIM, &[], Some(&claim("BARE-1", &right))).await.code(), "forbidden");
}
