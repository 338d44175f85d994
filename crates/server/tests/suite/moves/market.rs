//! What the market reports.

use serde_json::json;
use similar_asserts::assert_eq;

use super::{ELM, MAIN, day, line, move_in, report, requests, run, told};
use crate::{
    ask::{User, events, records},
    on_both_engines,
    support::Service,
};

on_both_engines! { lines_count_one_by_one, a_customer_leaves_for_another, corrections_reach_the_place }

async fn lines_count_one_by_one(service: Service) {
    let market = User::of(&service, "market").await;
    let lines = [
        line("T-1", "accepted", json!({})),
        line("T-2", "accepted", json!({"requestId": 6999})),
        line("T-3", "rejected", json!({"requestId": 6999})),
        line("T-4", "drop", json!({"esiId": ELM, "effectiveDate": "2026-01-01"})),
        line("T-5", "drop", json!({"esiId": MAIN})),
        line("T-6", "drop", json!({"esiId": MAIN, "effectiveDate": "1999-01-01"})),
        line("T-7", "drop", json!({"esiId": MAIN, "effectiveDate": day(&service, 3)})),
        line("T-8", "nonsense", json!({})),
        json!({"transactionId": "T-9", "kind": "drop", "occurredAt": "2999-01-01T00:00:00Z"}),
    ];
    let answer = report(&market, &lines).await;
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(1), &json!(8)), "{answer}");
    let errors = answer["errors"].as_array().unwrap().iter();
    let errors: Vec<_> = errors
        .map(|e| format!("{}{}:{}", e["index"], e["pointer"].as_str().unwrap(), e["code"].as_str().unwrap()))
        .collect();
    let right = [
        "0/requestId:missing",
        "1/requestId:unknown-request",
        "2/rejection:missing",
        "3:unknown-place",
        "4/effectiveDate:missing",
        "5/effectiveDate:out-of-range",
        "7/kind:unknown-value",
        "8/occurredAt:in-the-future",
    ];
    assert_eq!(errors, right);
    // What was not taken may be reported again.
    let again = line("T-5", "drop", json!({"esiId": MAIN, "effectiveDate": day(&service, 4)}));
    assert_eq!(report(&market, &[again]).await["accepted"], json!(1));
    let other = [("/api/integration/market-transactions", "billing"), ("/api/integration/market-requests", "meter")];
    for (path, user) in other {
        assert_eq!(User::of(&service, user).await.get(path).await.status.as_u16() / 100, 4, "{user}");
    }
}

async fn a_customer_leaves_for_another(service: Service) {
    let (alice, market) = (User::of(&service, "alice").await, User::of(&service, "market").await);
    let body =
        json!({"transactions": [line("T-1", "drop", json!({"esiId": MAIN, "effectiveDate": day(&service, 0)}))]});
    let id = [("x-request-id", "drop")];
    let answer = market.send("POST", "/api/integration/market-transactions", &id, Some(&body.to_string())).await;
    assert_eq!(answer.json()["accepted"], json!(1), "{}", answer.body);
    run(&service).await;
    assert_eq!(alice.get("/api/premises/2001").await.json()["status"], json!("inactive"));
    assert_eq!(told(&service, 1).await, ["OccupancyEnded"]);
    let whom: Vec<_> = records(&service, "drop").await.iter().map(|r| r.customer.map(|id| id.to_string())).collect();
    assert!(whom.contains(&Some("1".to_owned())) && whom.contains(&None), "a record a line, and one of the batch");
}

async fn corrections_reach_the_place(service: Service) {
    let (alice, market) = (User::of(&service, "alice").await, User::of(&service, "market").await);
    let address = json!({"street": "123 MAIN ST", "unit": null, "city": "OTHERTOWN", "state": "TX", "zip": "75009"});
    let news = line("T-1", "address-correction", json!({"esiId": MAIN, "address": address}));
    assert_eq!(report(&market, &[news]).await["accepted"], json!(1));
    let premise = alice.get("/api/premises/2001").await.json();
    assert_eq!(
        (&premise["street"], &premise["city"], &premise["zip"]),
        (&json!("123 Main Street"), &json!("OTHERTOWN"), &json!("75009"))
    );
    assert_eq!(events(&service).await[0].data["changed"], json!(["city", "zip"]));
    // An address without its ESI ID: the market finds it.
    let bob = User::of(&service, "bob").await;
    let body = json!({"date": day(&service, 3), "address": super::elm()}).to_string();
    assert_eq!(bob.send("POST", "/api/accounts/1002/premises", &[], Some(&body)).await.status, 201);
    let news = line("T-2", "accepted", json!({"requestId": 6001, "esiId": ELM}));
    assert_eq!(report(&market, &[news]).await["accepted"], json!(1));
    assert_eq!(bob.get("/api/premises/2010").await.json()["servicePoints"][0]["esiId"], json!(ELM));
    assert_eq!(requests(&market, "accepted").await[0]["esiIds"], json!([ELM]));
    let other = "10443720009999902";
    let news = line("T-3", "esi-id-correction", json!({"requestId": 6001, "esiId": other}));
    assert_eq!(report(&market, &[news]).await["accepted"], json!(1));
    assert_eq!(bob.get("/api/premises/2010").await.json()["servicePoints"][0]["esiId"], json!(other));
    // The old name is nobody's: somebody else may want it.
    assert_eq!(move_in(&bob, "/api/accounts/1003/premises", &day(&service, 3), ELM).await.status, 201);
    let taken = line("T-4", "esi-id-correction", json!({"requestId": 6001, "esiId": ELM}));
    assert_eq!(report(&market, &[taken]).await["errors"][0]["code"], json!("place-taken"));
}
