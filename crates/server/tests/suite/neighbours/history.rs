//! What happened to a customer, and who looked.

use domain::time::Clock;
use serde_json::{Value, json};
use similar_asserts::assert_eq;
use store::audit::Outcome;

use crate::{
    ask::{User, enrol_bare, records},
    on_both_engines,
    process::Sql,
    support::Service,
};

on_both_engines! {
    a_customer_sees_who_looked,
    the_access_log_comes_in_pages,
    what_was_not_there_is_no_look,
    supervisors_look_into_the_log,
    the_timeline_says_who_did_what,
}

const REASON: (&str, &str) = ("x-access-reason", "complaint; ticket=CS-4711");
const LOG: &str = "/api/privacy/access-log";

async fn entries(user: &User<'_>, path: &str) -> Vec<Value> {
    let answer = user.send("GET", path, &[REASON], None).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()["entries"].as_array().unwrap().clone()
}

/// An entry without its instant.
fn told(entry: &Value) -> Value {
    let mut entry = entry.clone();
    assert!(entry["at"].as_str().unwrap().ends_with('Z'));
    entry.as_object_mut().unwrap().remove("at");
    entry
}

async fn a_customer_sees_who_looked(service: Service) {
    let alice = User::of(&service, "alice").await;
    assert_eq!(entries(&alice, LOG).await, [] as [Value; 0], "nor is this look itself");
    alice.get("/api/accounts/1001").await;
    alice.patch("/api/customer", r#"{"lastName":"Smythe"}"#).await;
    User::of(&service, "jsmith").await.send("GET", "/api/admin/customers/1", &[REASON], None).await;
    User::of(&service, "billing").await.get("/api/integration/customers?ids=1,2").await;
    let balances = r#"{"balances":[{"accountId":1001,"asOf":"2026-01-01T00:00:00Z"}]}"#;
    User::of(&service, "billing").await.send("POST", "/api/integration/balances", &[], Some(balances)).await;
    // Somebody else's look, and one at something that is not there.
    User::of(&service, "jsmith").await.send("GET", "/api/admin/customers/2", &[REASON], None).await;
    User::of(&service, "bob").await.get("/api/accounts/1001").await;
    let seen: Vec<Value> = entries(&alice, LOG).await.iter().map(told).collect();
    let entry = |by: &str, reason: Value, action: &str, what: &[&str]| json!({"by": by, "reason": reason, "action": action, "what": what});
    let right = [
        entry("billing", Value::Null, "change", &["balance"]),
        entry("billing", Value::Null, "read", &["profile", "preference"]),
        entry("customer-service", json!("complaint"), "read", &["profile", "account"]),
        entry("you", Value::Null, "change", &["profile", "account"]),
        entry("you", Value::Null, "read", &["account", "balance", "premise", "meter"]),
        entry("you", Value::Null, "read", &["history"]),
    ];
    assert_eq!(seen, right);
    let whole = alice.get(LOG).await.body;
    assert!(!whole.contains("jsmith") && !whole.contains("CS-4711"), "{whole}");
    let bob = entries(&User::of(&service, "bob").await, LOG).await;
    assert_eq!(bob.iter().filter(|entry| entry["by"] == json!("customer-service")).count(), 1, "{bob:?}");
}

async fn the_access_log_comes_in_pages(service: Service) {
    let alice = User::of(&service, "alice").await;
    for number in 0..7 {
        let path = if number % 2 == 0 { "/api/customer" } else { "/api/preferences" };
        assert_eq!(alice.get(path).await.status, 200);
        alice.patch("/api/accounts/1001", &json!({"nickname": format!("n{number}")}).to_string()).await;
    }
    let whole: Vec<Value> = entries(&alice, LOG).await;
    assert_eq!(whole.len(), 14);
    assert!(whole.is_sorted_by(|a, b| a["at"].as_str() >= b["at"].as_str()), "the newest first");
    // Each look at the log stands in it, too, but only before the page that began earlier.
    for limit in [1, 3, 5] {
        let (mut seen, mut path) = (Vec::new(), format!("{LOG}?limit={limit}"));
        loop {
            let body = alice.get(&path).await.json();
            let page = body["entries"].as_array().unwrap().clone();
            assert!(page.len() <= limit && seen.len() < 100);
            seen.extend(page);
            let Some(next) = body["nextCursor"].as_str() else { break };
            path = format!("{LOG}?limit={limit}&cursor={next}");
        }
        seen.retain(|entry| entry["what"] != json!(["history"]));
        assert_eq!(seen, whole, "{limit}");
    }
    let other = User::of(&service, "bob").await;
    let next = alice.get(&format!("{LOG}?limit=1")).await.json()["nextCursor"].as_str().unwrap().to_owned();
    assert_eq!(other.get(&format!("{LOG}?cursor={next}")).await.errors(), ["cursor:invalid-cursor"]);
}

/// What was asked for and then not there stands in no customer's access log, not even where a page ends in between.
async fn what_was_not_there_is_no_look(service: Service) {
    let (alice, jsmith) = (User::of(&service, "alice").await, User::of(&service, "jsmith").await);
    assert_eq!(alice.get("/api/accounts/1002").await.status, 404);
    assert_eq!(alice.get("/api/meters/3001/readings?from=2025-01-10&to=2025-01-01").await.status, 400);
    assert_eq!(
        jsmith.send("GET", "/api/admin/customers/1", &[("x-access-reason", "curiosity")], None).await.status,
        400
    );
    // Of a customer whose data is gone the record of the read began, and a refusal followed.
    assert_eq!(alice.get("/api/customer").await.status, 200);
    assert_eq!(alice.get("/api/accounts/1002").await.status, 404);
    let looks = async || {
        let all = entries(&alice, LOG).await;
        all.into_iter().filter(|entry| entry["what"] != json!(["history"])).count()
    };
    assert_eq!(looks().await, 1);
    for limit in [1, 2] {
        let (mut seen, mut path) = (0, format!("{LOG}?limit={limit}"));
        loop {
            let body = alice.get(&path).await.json();
            let page = body["entries"].as_array().unwrap();
            seen += page.iter().filter(|entry| entry["what"] != json!(["history"])).count();
            let Some(next) = body["nextCursor"].as_str() else { break };
            path = format!("{LOG}?limit={limit}&cursor={next}");
        }
        assert_eq!(seen, 1, "{limit}");
    }
}

async fn supervisors_look_into_the_log(service: Service) {
    let (jsmith, mjones) = (User::of(&service, "jsmith").await, User::of(&service, "mjones").await);
    for customer in [1, 2, 3] {
        jsmith.send("GET", &format!("/api/admin/customers/{customer}"), &[REASON], None).await;
    }
    jsmith.send("GET", "/api/admin/customers/4711", &[REASON, ("x-request-id", "none")], None).await;
    User::of(&service, "alice").await.get("/api/customer").await;
    let audit = "/api/admin/audit";
    let reversed = mjones.send("GET", &format!("{audit}?from=2025-01-02&to=2025-01-01"), &[REASON], None).await;
    assert_eq!((reversed.status.as_u16(), reversed.errors()), (400, vec!["from:invalid-window".to_owned()]));
    let seen = entries(&mjones, &format!("{audit}?role=csr")).await;
    assert_eq!(seen.len(), 4, "{seen:?}");
    let last = &seen[1];
    assert_eq!(
        (&last["customerId"], &last["action"], &last["outcome"], &last["reason"], &last["ticket"], &last["actor"]),
        (
            &json!(3),
            &json!("getCustomerForStaff"),
            &json!("asked"),
            &json!("complaint"),
            &json!("CS-4711"),
            &json!("staff")
        )
    );
    assert!(last["subject"].is_string() && last["issuer"].as_str().unwrap().starts_with("http"), "{last}");
    // A read that was asked for and not there is one entry.
    assert_eq!(
        (&seen[0]["outcome"], &seen[0]["status"], &seen[0]["requestId"]),
        (&json!("refused"), &json!(404), &json!("none"))
    );
    // By the same person, whoever that is.
    let actor = last["actorId"].as_str().unwrap();
    assert_eq!(entries(&mjones, &format!("{audit}?actor={actor}")).await, seen);
    let today = service.app.zone.date(service.clock.now());
    for (query, count) in [
        ("customer=2".to_owned(), 1),
        ("customer=2&role=supervisor".to_owned(), 0),
        ("role=csr&outcome=refused".to_owned(), 1),
        ("request=none".to_owned(), 1),
        ("action=getCustomer".to_owned(), 1),
        ("reason=customer-request".to_owned(), 0),
        (format!("role=csr&from={today}"), 4),
        (format!("role=csr&to={today}"), 0),
        (format!("role=csr&from={}", today.plus_days(1)), 0),
    ] {
        // What mjones asked before stands in the log, too.
        let found = entries(&mjones, &format!("{audit}?{query}")).await;
        let found: Vec<_> = found.iter().filter(|entry| entry["action"] != json!("listAudit")).collect();
        assert_eq!(found.len(), count, "{query}: {found:?}");
    }
    // Who acted is told of outsiders only: a customer is known by their id.
    let own = &entries(&mjones, &format!("{audit}?action=getCustomer")).await[0];
    assert_eq!(
        (&own["customerId"], &own["subject"], &own["actorId"], &own["network"]),
        (&json!(1), &Value::Null, &Value::Null, &Value::Null)
    );
    // Pages, and what the looks leave: a record each, which names whom the page names.
    let id = [REASON, ("x-request-id", "page")];
    let page = mjones.send("GET", &format!("{audit}?role=csr&limit=3"), &id, None).await.json();
    assert_eq!(page["entries"], json!(seen[..3]));
    let next = page["nextCursor"].as_str().unwrap();
    assert_eq!(entries(&mjones, &format!("{audit}?role=csr&limit=3&cursor={next}")).await, &seen[3..]);
    let left = records(&service, "page").await;
    let named: Vec<String> = left.iter().flat_map(|record| &record.customers).map(ToString::to_string).collect();
    assert_eq!(
        (left.len(), left[0].outcome, named),
        (1, Outcome::Read, ["2", "3", "4711"].map(str::to_owned).to_vec())
    );
    assert_eq!(left[0].detail.as_deref(), Some("role=csr "));
    let alice = User::of(&service, "alice").await;
    mjones.send("GET", &format!("{audit}?customer=1"), &[REASON], None).await;
    assert_eq!(entries(&alice, LOG).await[0]["by"], json!("supervisor"));
    for (query, error) in [
        ("customer=x", "customer:invalid-id"),
        ("actor=abc", "actor:invalid-value"),
        ("role=king", "role:invalid-value"),
        ("outcome=fine", "outcome:invalid-value"),
        ("reason=%20", "reason:invalid-value"),
        ("limit=201", "limit:invalid-limit"),
        ("who=jsmith", "who:unknown-parameter"),
    ] {
        let answer = mjones.send("GET", &format!("{audit}?{query}"), &[REASON], None).await;
        assert_eq!((answer.status.as_u16(), answer.errors()), (400, vec![error.to_owned()]), "{query}");
    }
}

async fn the_timeline_says_who_did_what(service: Service) {
    enrol_bare(&service).await;
    let (alice, mjones) = (User::of(&service, "alice").await, User::of(&service, "mjones").await);
    let reader = User::of(&service, "reader").await;
    alice.patch("/api/accounts/1001", r#"{"nickname":"Home"}"#).await;
    alice.patch("/api/premises/2001", r#"{"nickname":"Home"}"#).await;
    let bounce = json!({"bounces": [{"customerId": 1, "channel": "email", "kind": "hard", "at": service.clock.now().to_string()}]});
    let mail = User::of(&service, "notifications").await;
    mail.send("POST", "/api/integration/bounces", &[], Some(&bounce.to_string())).await;
    let entry = |kind: &str, resource: &str, by: &str, changed: &str| json!({"kind": kind, "resource": resource, "by": by, "changed": [changed], "from": null, "to": null, "reason": null});
    let right = |customer: &str| {
        [
            entry("PreferencesUpdated", "customer/1", "notifications", "communication.emailStatus"),
            entry("PremiseUpdated", "premise/2001", customer, "nickname"),
            entry("CustomerUpdated", "account/1001", customer, "nickname"),
        ]
    };
    let own: Vec<Value> = entries(&alice, "/api/customer/timeline").await.iter().map(told).collect();
    assert_eq!(own, right("you"));
    let staff: Vec<Value> = entries(&reader, "/api/admin/customers/1/timeline").await.iter().map(told).collect();
    assert_eq!(staff, right("customer"));
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let body = alice.get(&format!("/api/customer/timeline?limit=2{cursor}")).await.json();
        pages.extend(body["entries"].as_array().unwrap().iter().map(told));
        let Some(next) = body["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(pages, right("you"));
    // Staff end an account today.
    let date = service.app.zone.date(service.clock.now()).to_string();
    let end = json!({"effectiveDate": date, "reason": "closed"}).to_string();
    assert_eq!(mjones.send("POST", "/api/admin/accounts/1100/deactivate", &[REASON], Some(&end)).await.status, 200);
    let ended: Vec<Value> = entries(&reader, "/api/admin/customers/10/timeline").await.iter().map(told).collect();
    let right = json!({"kind": "AccountStatusChanged", "resource": "account/1100", "by": "supervisor",
        "changed": ["status"], "from": "active", "to": "inactive", "reason": "closed"});
    assert_eq!(ended, [right]);
    // Nothing happened yet; nobody there; erased.
    assert_eq!(entries(&reader, "/api/admin/customers/2/timeline").await, [] as [Value; 0]);
    let gone = async |customer: i64| {
        reader.send("GET", &format!("/api/admin/customers/{customer}/timeline"), &[REASON], None).await.status.as_u16()
    };
    assert_eq!(gone(4711).await, 404);
    Sql::of(service.db.location()).await.main_batch("DELETE FROM customer_key WHERE customer_id = 1").await;
    assert_eq!(gone(1).await, 404);
}
