//! What Billing and Notifications report.

use domain::time::{Clock, HOUR, SECOND};
use serde_json::{Value, json};
use similar_asserts::assert_eq;
use store::audit::Outcome;

use crate::{
    ask::{Told, User, enrol_dave, events, records},
    on_both_engines,
    process::Sql,
    support::Service,
};

on_both_engines! {
    the_newest_list_of_payment_methods_counts,
    a_method_that_is_gone_pays_no_more,
    only_hard_bounces_of_the_present_address_count,
    lines_count_one_by_one,
}

const METHODS: &str = "/api/integration/payment-methods";
const BOUNCES: &str = "/api/integration/bounces";

async fn report(user: &User<'_>, path: &str, lines: Vec<Value>) -> Value {
    let name = if path == METHODS { "customers" } else { "bounces" };
    let answer = user.send("POST", path, &[], Some(&json!({name: lines}).to_string())).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// (accepted, unchanged, codes of the rejected).
fn counts(body: &Value) -> (i64, i64, Vec<String>) {
    let codes = body["errors"].as_array().unwrap().iter().map(|e| e["code"].as_str().unwrap().to_owned()).collect();
    (body["accepted"].as_i64().unwrap(), body["unchanged"].as_i64().unwrap(), codes)
}

fn methods(customer: i64, ids: &[&str], as_of: &str) -> Value {
    let method = |id: &&str| json!({"paymentMethodId": id, "label": format!("Card {id}"), "expires": "2027-04"});
    json!({"customerId": customer, "paymentMethods": ids.iter().map(method).collect::<Vec<_>>(), "asOf": as_of})
}

async fn ids(user: &User<'_>) -> Vec<String> {
    let body = user.get("/api/preferences/payment-methods").await.json();
    let id = |method: &Value| method["paymentMethodId"].as_str().unwrap().to_owned();
    body["paymentMethods"].as_array().unwrap().iter().map(id).collect()
}

async fn the_newest_list_of_payment_methods_counts(service: Service) {
    let (billing, alice) = (User::of(&service, "billing").await, User::of(&service, "alice").await);
    let (early, late) = ("2026-01-15T11:05:00Z", "2026-01-16T11:05:00Z");
    let cases = [
        (&["b", "a"][..], early, (1, 0, vec![]), &["a", "b"][..]),
        (&["a", "b"], early, (0, 1, vec![]), &["a", "b"]),
        (&["a"], early, (0, 0, vec!["contradiction".to_owned()]), &["a", "b"]),
        (&["c"], late, (1, 0, vec![]), &["c"]),
        (&["a", "b"], early, (0, 1, vec![]), &["c"]),
        (&[], "2026-01-17T11:05:00Z", (1, 0, vec![]), &[]),
        // That it was empty is remembered, too.
        (&["c"], late, (0, 1, vec![]), &[]),
        (&["x"], "2999-01-01T00:00:00Z", (0, 0, vec!["in-the-future".to_owned()]), &[]),
    ];
    for (number, (reported, as_of, right, left)) in cases.into_iter().enumerate() {
        let body = report(&billing, METHODS, vec![methods(1, reported, as_of)]).await;
        assert_eq!(counts(&body), right, "{number}: {body}");
        assert_eq!(ids(&alice).await, left, "{number}");
    }
    assert_eq!(events(&service).await, [], "Billing told us");
    let label = alice.get("/api/preferences/payment-methods").await.json();
    assert_eq!(label["paymentMethods"], json!([]));
}

async fn a_method_that_is_gone_pays_no_more(service: Service) {
    let (billing, carol) = (User::of(&service, "billing").await, User::of(&service, "carol").await);
    let pays = async || carol.get("/api/preferences").await.json()["autoPay"].clone();
    assert_eq!(pays().await, json!({"enabled": true, "paymentMethodId": "pm_107"}));
    let body = report(&billing, METHODS, vec![methods(3, &["pm_107", "pm_200"], "2026-01-15T11:05:00Z")]).await;
    assert_eq!((counts(&body), pays().await["enabled"].clone()), ((1, 0, vec![]), json!(true)));
    assert_eq!(events(&service).await, []);
    report(&billing, METHODS, vec![methods(3, &["pm_200"], "2026-01-16T11:05:00Z")]).await;
    assert_eq!(pays().await, json!({"enabled": false, "paymentMethodId": null}));
    let data = json!({"customerId": 3, "version": 2, "changed": ["autoPay"]});
    assert_eq!(events(&service).await, [Told { customer: 3, sequence: 1, kind: "PreferencesUpdated".into(), data }]);
    // What is stored can be sent back, and names the new method.
    let own = carol.get("/api/preferences").await.body;
    assert_eq!(carol.put("/api/preferences", &own).await.status, 200);
    let chosen = r#"{"autoPay":{"enabled":true,"paymentMethodId":"pm_200"}}"#;
    assert_eq!(carol.patch("/api/preferences", chosen).await.status, 200);
}

async fn only_hard_bounces_of_the_present_address_count(service: Service) {
    let (mail, alice) = (User::of(&service, "notifications").await, User::of(&service, "alice").await);
    let status = async || alice.get("/api/preferences/communication").await.json()["emailStatus"].clone();
    let bounce =
        |channel: &str, kind: &str, at: &str| json!({"customerId": 1, "channel": channel, "kind": kind, "at": at});
    let before = status().await;
    let at = service.clock.now().to_string();
    let soft = vec![bounce("email", "soft", &at), bounce("sms", "hard", &at), bounce("sms", "soft", &at)];
    assert_eq!(counts(&report(&mail, BOUNCES, soft).await), (0, 3, vec![]));
    assert_eq!((status().await, events(&service).await.len()), (before, 0));
    let hard = bounce("email", "hard", &at);
    assert_eq!(counts(&report(&mail, BOUNCES, vec![hard.clone(), hard.clone()]).await), (1, 1, vec![]));
    assert_eq!(status().await, json!("bounced"));
    let data = json!({"customerId": 1, "version": 2, "changed": ["communication.emailStatus"]});
    assert_eq!(events(&service).await, [Told { customer: 1, sequence: 1, kind: "PreferencesUpdated".into(), data }]);
    let sql = Sql::of(service.db.location()).await;
    let tasks = async || {
        sql.main("SELECT kind, status, subject_kind, CAST(subject_id AS text) FROM task ORDER BY task_id").await
    };
    assert_eq!(tasks().await, [["bounced-address", "open", "customer", "1"].map(str::to_owned).to_vec()]);
    // Another address: what bounced before says nothing of it, and the task is done.
    service.clock.forward(10 * SECOND);
    let alice = User::of(&service, "alice").await;
    assert_eq!(alice.patch("/api/customer", r#"{"email":"new@example.com"}"#).await.status, 200);
    assert_eq!(tasks().await[0][1], "done");
    assert_eq!(counts(&report(&mail, BOUNCES, vec![hard]).await), (0, 1, vec![]));
    assert_eq!(alice.get("/api/preferences/communication").await.json()["emailStatus"], json!("unverified"));
    let now = bounce("email", "hard", &service.clock.now().plus(SECOND).to_string());
    assert_eq!(counts(&report(&mail, BOUNCES, vec![now]).await), (1, 0, vec![]));
    assert_eq!(tasks().await.len(), 2);
    let later = bounce("email", "hard", &service.clock.now().plus(25 * HOUR).to_string());
    assert_eq!(counts(&report(&mail, BOUNCES, vec![later]).await).2, ["in-the-future"]);
}

async fn lines_count_one_by_one(service: Service) {
    enrol_dave(&service, Some(10)).await;
    let billing = User::of(&service, "billing").await;
    let at = "2026-01-15T11:05:00Z";
    let mut twice = methods(1, &["a"], at);
    twice["paymentMethods"] = json!([twice["paymentMethods"][0], twice["paymentMethods"][0]]);
    let mut expired = methods(1, &["a"], at);
    expired["paymentMethods"][0]["expires"] = json!("2027-13");
    let lines =
        vec![methods(9, &["d"], at), methods(4711, &["x"], at), twice, expired, json!(1), methods(2, &["e"], at)];
    let batch = json!({"customers": lines}).to_string();
    let answer = billing.send("POST", METHODS, &[("x-request-id", "lines")], Some(&batch)).await;
    let body = answer.json();
    let places: Vec<_> =
        body["errors"].as_array().unwrap().iter().map(|e| (e["index"].clone(), e["pointer"].clone())).collect();
    assert_eq!(
        counts(&body),
        (2, 0, ["unknown-customer", "duplicate-item", "invalid-month", "wrong-type"].map(str::to_owned).to_vec()),
        "an inactive customer's last bill is paid, too: {body}"
    );
    let right = [(1, "/customerId"), (2, "/paymentMethods"), (3, "/paymentMethods/0/expires"), (4, "")];
    assert_eq!(places, right.map(|(index, pointer)| (json!(index), json!(pointer))));
    let left = records(&service, "lines").await;
    let mut whom: Vec<_> = left.iter().map(|r| (r.customer.map(|id| id.to_string()), r.outcome)).collect();
    whom.sort();
    assert_eq!(whom, [(Some("2".to_owned()), Outcome::Changed), (Some("9".to_owned()), Outcome::Changed)]);
    // A batch that reaches nobody leaves its record, too.
    for (batch, id) in [
        (r#"{"customers":[]}"#.to_owned(), "none"),
        (json!({"customers": [methods(4711, &[], at)]}).to_string(), "unknown"),
    ] {
        assert_eq!(billing.send("POST", METHODS, &[("x-request-id", id)], Some(&batch)).await.status, 200);
        let left = records(&service, id).await;
        assert_eq!((left.len(), left[0].customer, left[0].outcome), (1, None, Outcome::Read), "{id}");
    }
    let endless = format!(r#"{{"customers":[{}1]}}"#, "1,".repeat(1_000));
    let answer = billing.send("POST", METHODS, &[], Some(&endless)).await;
    assert_eq!((answer.status.as_u16(), answer.errors()), (422, vec!["/customers:too-many-lines".to_owned()]));
}
