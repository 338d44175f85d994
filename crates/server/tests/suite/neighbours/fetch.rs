//! The lists that neighbouring services fetch.

use std::collections::BTreeSet;

use domain::time::{Clock, SECOND};
use serde_json::{Value, json};
use similar_asserts::assert_eq;
use store::audit::Outcome;

use crate::{
    ask::{User, enrol_bare, events, records},
    on_both_engines,
    process::Sql,
    support::Service,
};

on_both_engines! {
    each_role_fetches_its_own_members,
    versions_are_those_of_events,
    pages_lead_through_everything,
    who_only_asked_is_not_told_of,
    a_meter_is_its_occupants,
    letters_go_where_the_customer_says,
}

const LISTS: [&str; 4] = ["customers", "accounts", "premises", "meters"];

async fn one(user: &User<'_>, list: &str, id: i64) -> Value {
    let answer = user.get(&format!("/api/integration/{list}?ids={id}")).await;
    assert_eq!(answer.status, 200, "{list}: {}", answer.body);
    let body = answer.json();
    assert_eq!(body["nextCursor"], Value::Null);
    assert!(body[list].as_array().unwrap().len() <= 1);
    body[list][0].clone()
}

async fn each_role_fetches_its_own_members(service: Service) {
    let expected: [(&str, &str, i64, Value); 12] = [
        (
            "billing",
            "customers",
            2,
            json!({"customerId": 2, "status": "active", "version": 1, "name": "Acme Corporation",
                "mailingAddress": 0, "billDelivery": 0, "autoPay": 0, "preferencesVersion": 1}),
        ),
        (
            "market",
            "customers",
            1,
            json!({"customerId": 1, "status": "active", "version": 1, "firstName": "John", "lastName": "Smith",
                "businessName": null, "email": 0, "phone": 0}),
        ),
        (
            "notifications",
            "customers",
            1,
            json!({"customerId": 1, "status": "active", "version": 1, "email": 0, "emailStatus": 0, "phone": 0,
                "smsConsent": 0, "language": "en", "notifications": 0, "preferencesVersion": 1}),
        ),
        ("meter", "customers", 1, Value::Null),
        (
            "billing",
            "accounts",
            1001,
            json!({"accountId": 1001, "customerId": 1, "accountNumber": "1234567890", "status": "active", "version": 1,
                "mailingAddress": 0}),
        ),
        (
            "market",
            "accounts",
            1001,
            json!({"accountId": 1001, "customerId": 1, "accountNumber": "1234567890", "status": "active", "version": 1}),
        ),
        (
            "billing",
            "premises",
            2001,
            json!({"premiseId": 2001, "accountId": 1001, "customerId": 1, "status": "active", "version": 1,
                "isPrimary": true, "serviceStartDate": "2020-03-15", "serviceEndDate": null}),
        ),
        (
            "meter",
            "premises",
            2001,
            json!({"premiseId": 2001, "accountId": 1001, "customerId": 1, "status": "active", "version": 1,
                "isPrimary": true, "serviceStartDate": "2020-03-15", "serviceEndDate": null, "esiIds": 0}),
        ),
        (
            "market",
            "premises",
            2001,
            json!({"premiseId": 2001, "accountId": 1001, "customerId": 1, "status": "active", "version": 1,
                "isPrimary": true, "serviceStartDate": "2020-03-15", "serviceEndDate": null, "esiIds": 0,
                "street": "123 Main Street", "unit": null, "city": "Anytown", "state": "TX", "zip": "75001"}),
        ),
        (
            "billing",
            "meters",
            3001,
            json!({"meterId": 3001, "premiseId": 2001, "customerId": 1, "status": "active", "version": 1}),
        ),
        (
            "market",
            "meters",
            3001,
            json!({"meterId": 3001, "premiseId": 2001, "customerId": 1, "status": "active", "version": 1, "esiId": 0}),
        ),
        (
            "meter",
            "meters",
            3001,
            json!({"meterId": 3001, "premiseId": 2001, "customerId": 1, "status": "active", "version": 1, "esiId": 0,
                "meterNumber": "E-12345678", "type": "electric", "registers": ["delivered"], "dials": 5,
                "multiplier": 1, "serviceStartDate": "2020-03-15", "serviceEndDate": null}),
        ),
    ];
    for (role, list, id, members) in expected {
        let user = User::of(&service, role).await;
        let path = format!("/api/integration/{list}?ids={id}");
        if members.is_null() {
            assert_eq!(user.get(&path).await.status, 403, "{role} {list}");
            continue;
        }
        let mut item = one(&user, list, id).await;
        // What is 0 here only has to be there: the next test looks at it.
        for (name, _) in members.as_object().unwrap().iter().filter(|(_, value)| **value == json!(0)) {
            assert!(item.get(name).is_some(), "{role} {list}: {name}");
            item[name] = json!(0);
        }
        assert_eq!(item, members, "{role} {list}");
    }
    for role in ["market", "meter"] {
        let user = User::of(&service, role).await;
        let place = one(&user, "premises", 2001).await;
        assert_eq!(place["esiIds"], json!([one(&user, "meters", 3001).await["esiId"]]), "{role}");
    }
    let notifications = User::of(&service, "notifications").await;
    for list in ["accounts", "premises", "meters"] {
        assert_eq!(notifications.get(&format!("/api/integration/{list}")).await.status, 403, "{list}");
    }
}

/// A consumer that heard of a change knows whether what it fetched is as new.
async fn versions_are_those_of_events(service: Service) {
    let (alice, billing) = (User::of(&service, "alice").await, User::of(&service, "billing").await);
    let edits = [
        ("/api/customer", r#"{"lastName":"Smythe"}"#, "customers", 1, "version"),
        ("/api/preferences/communication", r#"{"language":"es"}"#, "customers", 1, "preferencesVersion"),
        ("/api/accounts/1001", r#"{"nickname":"Home"}"#, "accounts", 1001, "version"),
        ("/api/premises/2001", r#"{"nickname":"Home"}"#, "premises", 2001, "version"),
    ];
    for (path, edit, list, id, version) in edits {
        let answer = alice.patch(path, edit).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let told = events(&service).await.last().unwrap().data["version"].clone();
        assert_eq!((&one(&billing, list, id).await[version], &told), (&told, &json!(2)), "{path}");
    }
    assert_eq!(one(&billing, "customers", 1).await["name"], json!("John Smythe"));
}

async fn pages_lead_through_everything(service: Service) {
    let market = User::of(&service, "market").await;
    let everything = [
        (1..=3).collect::<BTreeSet<i64>>(),
        (1001..=1006).collect(),
        (2001..=2009).collect(),
        // The one that was exchanged was there while its occupant was.
        (3001..=3011).collect(),
    ];
    for (list, right) in LISTS.into_iter().zip(&everything) {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let body = market.get(&format!("/api/integration/{list}?limit=2{cursor}")).await.json();
            let items = body[list].as_array().unwrap();
            let id = format!("{}Id", list.trim_end_matches('s'));
            seen.extend(items.iter().map(|item| item[&id].as_i64().unwrap()));
            assert!(items.len() <= 2 && seen.len() < 100, "{seen:?}");
            let Some(next) = body["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((seen.len(), &seen.into_iter().collect::<BTreeSet<_>>()), (right.len(), right), "{list}");
    }
    // One record for each customer who was shown, and none for the one behind the page.
    let id = [("x-request-id", "page")];
    let body = market.send("GET", "/api/integration/customers?limit=2", &id, None).await.json();
    let shown: BTreeSet<i64> =
        body["customers"].as_array().unwrap().iter().map(|c| c["customerId"].as_i64().unwrap()).collect();
    let left = records(&service, "page").await;
    let recorded: BTreeSet<i64> = left.iter().map(|r| domain::ids::Id::get(r.customer.unwrap())).collect();
    assert_eq!((left.len(), recorded), (2, shown));
    assert!(left.iter().all(|record| record.outcome == Outcome::Read));
    // What has changed since.
    service.clock.forward(10 * SECOND);
    let since = service.clock.now().plus(-5 * SECOND).to_string();
    let bob = User::of(&service, "bob").await;
    let path = format!("/api/integration/customers?updatedSince={since}");
    assert_eq!(market.get(&path).await.json()["customers"], json!([]));
    assert_eq!(bob.patch("/api/preferences/communication", r#"{"language":"es"}"#).await.status, 200);
    let changed = market.get(&path).await.json();
    assert_eq!((&changed["customers"][0]["customerId"], &changed["customers"][1]), (&json!(2), &Value::Null));
    // A cursor belongs to its list, filters and caller.
    let next = body["nextCursor"].as_str().unwrap();
    let other = User::of(&service, "billing").await;
    for (user, path) in [
        (&market, format!("/api/integration/accounts?cursor={next}")),
        (&market, format!("{path}&cursor={next}")),
        (&other, format!("/api/integration/customers?cursor={next}")),
    ] {
        assert_eq!(user.get(&path).await.errors(), ["cursor:invalid-cursor"], "{path}");
    }
    let many = (1..=201).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    for (query, errors) in [
        ("ids=1,x".to_owned(), "ids:invalid-id"),
        ("ids=".to_owned(), "ids:invalid-id"),
        (format!("ids={many}"), "ids:too-many-ids"),
        ("ids=1&updatedSince=2025-01-01".to_owned(), "ids:contradicting-parameters"),
        ("updatedSince=yesterday".to_owned(), "updatedSince:invalid-date"),
    ] {
        let answer = market.get(&format!("/api/integration/customers?{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.errors()), (400, vec![errors.to_owned()]), "{query}");
    }
}

/// Before an enrolment is approved nobody but Notifications hears of it.
async fn who_only_asked_is_not_told_of(service: Service) {
    enrol_bare(&service).await;
    let sql = Sql::of(service.db.location()).await;
    let (instant, date, sealed) = if sql.is_sqlite() { ("0", "0", "x'00'") } else { ("now()", "now()", "''") };
    sql.main_batch(&format!(
        "UPDATE customer SET status = 'pending' WHERE customer_id = 10;
         UPDATE account SET status = 'pending' WHERE account_id = 1100;
         INSERT INTO enrollment (customer_id, enrollment_id, account_id, premise_id, kind, status, confirmation_number,
            requested_start_date, submitted_at, updated_at, version, sealed)
         VALUES (10, 5001, 1100, 2100, 'move-in', 'submitted', 'ENR-1', {date}, {instant}, {instant}, 1, {sealed})"
    ))
    .await;
    let (market, mail) = (User::of(&service, "market").await, User::of(&service, "notifications").await);
    let whole = async |list: &str| market.get(&format!("/api/integration/{list}")).await.body;
    assert_eq!(one(&market, "customers", 10).await, Value::Null);
    assert_eq!(one(&market, "accounts", 1100).await, Value::Null);
    assert!(!whole("customers").await.contains("\"customerId\":10"));
    assert!(!whole("accounts").await.contains("\"accountId\":1100"));
    assert_eq!(one(&mail, "customers", 10).await["status"], json!("pending"));
    sql.main_batch(&format!(
        "UPDATE enrollment SET status = 'approved', approved_at = {instant} WHERE customer_id = 10"
    ))
    .await;
    assert_eq!(one(&market, "customers", 10).await["status"], json!("pending"));
    assert_eq!(one(&market, "accounts", 1100).await["status"], json!("pending"));
    assert!(whole("accounts").await.contains("\"accountId\":1100"));
}

/// An available meter is nobody's; whoever was erased takes everything along.
async fn a_meter_is_its_occupants(service: Service) {
    let meter = User::of(&service, "meter").await;
    let sql = Sql::of(service.db.location()).await;
    assert_eq!(one(&meter, "meters", 3001).await["customerId"], json!(1));
    sql.main_batch("UPDATE meter SET status = 'available' WHERE meter_id = 3001").await;
    assert_eq!(one(&meter, "meters", 3001).await, Value::Null);
    sql.main_batch(
        "UPDATE meter SET status = 'active' WHERE meter_id = 3001; DELETE FROM customer_key WHERE customer_id = 1",
    )
    .await;
    for (list, id) in [("meters", 3001), ("premises", 2001)] {
        assert_eq!(one(&meter, list, id).await, Value::Null, "{list}");
        let all = meter.get(&format!("/api/integration/{list}?limit=1")).await.json();
        assert!(all[list].as_array().unwrap().len() == 1 && all["nextCursor"].is_string(), "{list}");
    }
}

async fn letters_go_where_the_customer_says(service: Service) {
    let (alice, billing) = (User::of(&service, "alice").await, User::of(&service, "billing").await);
    let letters = async || one(&billing, "accounts", 1001).await["mailingAddress"].clone();
    let same = r#"{"mailingAddress":{"sameAsPrimaryPremise":true,"street":null,"city":null,"state":null,"zip":null}}"#;
    assert_eq!(alice.patch("/api/preferences", same).await.status, 200);
    assert_eq!(alice.patch("/api/premises/2001", r#"{"unit":"Apt 4"}"#).await.status, 200);
    let home = json!({"street": "123 Main Street\nApt 4", "city": "Anytown", "state": "TX", "zip": "75001"});
    assert_eq!(letters().await, home);
    let own = r#"{"mailingAddress":{"sameAsPrimaryPremise":false,"street":"PO Box 1","city":"Dallas","state":"TX","zip":"75201"}}"#;
    assert_eq!(alice.patch("/api/preferences", own).await.status, 200);
    assert_eq!(letters().await, json!({"street": "PO Box 1", "city": "Dallas", "state": "TX", "zip": "75201"}));
}
