//! PUT, PATCH and set-primary: what they answer, what they tell, and what they leave behind.

mod conditions;
mod primary;
mod values;

use serde_json::{Value, json};
use similar_asserts::assert_eq;
use store::audit::Outcome;

use crate::{
    ask::{Told, User, events, records},
    on_both_engines,
    support::Service,
};

on_both_engines! {
    a_change_answers_tells_and_is_audited,
    nothing_changed_is_nothing_told,
    every_error_comes_at_once_and_nothing_is_changed,
    a_patch_clears_with_null_and_keeps_what_is_absent,
}

type Text = &'static str;
type Case = (Text, Text, Text, Text, Text, &'static [Text]);
/// Every editable path with a patch: user, path, patch, event, its subject, the changed fields.
const EDITS: [Case; 9] = [
    ("alice", "/api/customer", r#"{"firstName":"Jane"}"#, "CustomerUpdated", r#"{"customerId":1}"#, &["firstName"]),
    (
        "bob",
        "/api/customer",
        r#"{"businessName":"Acme & Sons","phone":"+44 20 7946 0958"}"#,
        "CustomerUpdated",
        r#"{"customerId":2}"#,
        &["businessName", "phone"],
    ),
    (
        "alice",
        "/api/accounts/1001",
        r#"{"nickname":"Home"}"#,
        "CustomerUpdated",
        r#"{"customerId":1,"accountId":1001}"#,
        &["nickname"],
    ),
    (
        "bob",
        "/api/accounts/1003",
        r#"{"nickname":"Depots"}"#,
        "CustomerUpdated",
        r#"{"customerId":2,"accountId":1003}"#,
        &["nickname"],
    ),
    (
        "alice",
        "/api/premises/2001",
        r#"{"nickname":"Home","street":"123 Main St","unit":"1/2"}"#,
        "PremiseUpdated",
        r#"{"customerId":1,"accountId":1001,"premiseId":2001}"#,
        &["nickname", "street", "unit"],
    ),
    (
        "alice",
        "/api/preferences",
        r#"{"billDelivery":"both","notifications":{"billReady":false},"autoPay":{"enabled":true,"paymentMethodId":"pm_81"}}"#,
        "PreferencesUpdated",
        r#"{"customerId":1}"#,
        &["billDelivery", "autoPay", "notifications.billReady"],
    ),
    (
        "carol",
        "/api/preferences",
        r#"{"mailingAddress":{"sameAsPrimaryPremise":false,"street":"PO Box 1234","city":"Houston","state":"tx","zip":"77002"}}"#,
        "PreferencesUpdated",
        r#"{"customerId":3}"#,
        &["mailingAddress"],
    ),
    (
        "bob",
        "/api/preferences/notifications",
        r#"{"outageAlerts":false,"highUsageAlerts":true}"#,
        "PreferencesUpdated",
        r#"{"customerId":2}"#,
        &["notifications.outageAlerts", "notifications.highUsageAlerts"],
    ),
    (
        "bob",
        "/api/preferences/communication",
        r#"{"language":"es"}"#,
        "PreferencesUpdated",
        r#"{"customerId":2}"#,
        &["communication.language"],
    ),
];

async fn a_change_answers_tells_and_is_audited(service: Service) {
    let mut told: Vec<Told> = Vec::new();
    let mut sequences = [0i64; 4];
    let mut versions = std::collections::HashMap::new();
    for (name, path, patch, kind, subject, changed) in EDITS {
        let user = User::of(&service, name).await;
        let before = user.get(path).await;
        let row = if path.starts_with("/api/preferences") { "/api/preferences" } else { path };
        for (method, body) in [("PATCH", patch), ("PUT", before.body.as_str())] {
            let id = format!("edit-{}", told.len());
            let answer = user.send(method, path, &[("x-request-id", &id)], Some(body)).await;
            assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
            let after = user.get(path).await;
            assert_eq!((&answer.body, answer.header("etag")), (&after.body, after.header("etag")), "{method} {path}");

            let mut data: Value = serde_json::from_str(subject).unwrap();
            let customer = data["customerId"].as_i64().unwrap();
            let version = versions.entry((name, row)).or_insert(1);
            (sequences[customer as usize], *version) = (sequences[customer as usize] + 1, *version + 1);
            (data["version"], data["changed"]) = ((*version).into(), json!(changed));
            told.push(Told { customer, sequence: sequences[customer as usize], kind: kind.into(), data });
            let all = events(&service).await;
            assert_eq!(all.len(), told.len(), "{method} {path}");
            assert_eq!(all.last(), told.last(), "{method} {path}");

            let audited = records(&service, &id).await;
            assert_eq!(audited.len(), 1, "{method} {path}");
            assert_eq!((audited[0].outcome, audited[0].status), (Outcome::Changed, 200), "{method} {path}");
            assert_eq!(audited[0].customer.map(domain::ids::Id::get), Some(customer));
        }
        // The representation is as it was, and so is its ETag.
        let after = user.get(path).await;
        assert_eq!((&after.body, after.header("etag")), (&before.body, before.header("etag")), "{path}");
    }
}

async fn nothing_changed_is_nothing_told(service: Service) {
    for (number, (name, path, ..)) in EDITS.into_iter().enumerate() {
        let user = User::of(&service, name).await;
        let before = user.get(path).await;
        for (method, body) in [("PATCH", "{}"), ("PATCH", &before.body), ("PUT", &before.body)] {
            let id = format!("{method}-{number}-{}", body.len());
            let answer = user.send(method, path, &[("x-request-id", &id)], Some(body)).await;
            assert_eq!((answer.status.as_u16(), &answer.body), (200, &before.body), "{method} {path}");
            let audited = records(&service, &id).await;
            assert_eq!(audited.iter().map(|r| r.outcome).collect::<Vec<_>>(), [Outcome::Read], "{method} {path}");
        }
    }
    assert_eq!(events(&service).await, []);
}

/// user, method, path, body, errors.
const WRONG: &[(&str, &str, &str, &str, &[&str])] = &[
    ("alice", "PUT", "/api/accounts/1001", "{}", &["/nickname:missing"]),
    (
        "alice",
        "PUT",
        "/api/accounts/1001",
        r#"{"accountId":1002,"accountNumber":"1","status":"inactive","nickname":7,"balance":1,"currentBalance":"ignored","premises":0}"#,
        &[
            "/accountId:read-only",
            "/accountNumber:read-only",
            "/status:read-only",
            "/nickname:wrong-type",
            "/balance:unknown-member",
        ],
    ),
    ("alice", "PATCH", "/api/accounts/1001", r#"{"accountId":1001.0}"#, &["/accountId:read-only"]),
    ("alice", "PATCH", "/api/accounts/1001", r#"{"accountId":9007199254740993}"#, &["/accountId:read-only"]),
    ("alice", "PATCH", "/api/accounts/1001", r#"{"nickname":""}"#, &["/nickname:blank"]),
    ("alice", "PATCH", "/api/accounts/1001", r#"{"a/b~c":1}"#, &["/a~1b~0c:unknown-member"]),
    ("alice", "PATCH", "/api/accounts/1001", "[]", &[":wrong-type"]),
    ("alice", "PUT", "/api/accounts/1001", "null", &[":wrong-type"]),
    (
        "alice",
        "PUT",
        "/api/customer",
        r#"{"customerId":2,"type":"business","firstName":"","email":"x","phone":"1","status":"inactive","createdAt":"2020-03-15T00:00:01Z","accounts":"ignored","nope":1}"#,
        &[
            "/customerId:read-only",
            "/type:read-only",
            "/status:read-only",
            "/createdAt:read-only",
            "/firstName:blank",
            "/lastName:missing",
            "/email:invalid-email",
            "/phone:invalid-phone",
            "/nope:unknown-member",
        ],
    ),
    ("alice", "PATCH", "/api/customer", r#"{"businessName":"Acme"}"#, &["/businessName:unknown-member"]),
    ("bob", "PATCH", "/api/customer", r#"{"firstName":"Bob"}"#, &["/firstName:unknown-member"]),
    (
        "alice",
        "PATCH",
        "/api/customer",
        r#"{"firstName":null,"email":3}"#,
        &["/firstName:wrong-type", "/email:wrong-type"],
    ),
    (
        "alice",
        "PATCH",
        "/api/premises/2001",
        r#"{"street":"","city":"Elsewhere","state":"OK","zip":"73301","isPrimary":false}"#,
        &["/isPrimary:read-only", "/street:blank", "/city:market-owned", "/state:market-owned", "/zip:market-owned"],
    ),
    (
        "alice",
        "PATCH",
        "/api/premises/2001",
        r#"{"state":"Texas","zip":"7500"}"#,
        &["/state:invalid-state", "/zip:invalid-zip"],
    ),
    (
        "alice",
        "PUT",
        "/api/premises/2001",
        r#"{"accountId":1002,"serviceStartDate":"2020-02-30","serviceEndDate":"x","servicePoints":1,"meters":2}"#,
        &[
            "/accountId:read-only",
            "/serviceStartDate:read-only",
            "/serviceEndDate:read-only",
            "/nickname:missing",
            "/street:missing",
            "/unit:missing",
            "/city:missing",
            "/state:missing",
            "/zip:missing",
        ],
    ),
    (
        "alice",
        "PATCH",
        "/api/preferences",
        r#"{"billDelivery":"pigeon","notifications":{"billReady":"yes","more":1},"autoPay":{"enabled":null},"mailingAddress":"home"}"#,
        &[
            "/billDelivery:unknown-value",
            "/notifications/billReady:wrong-type",
            "/notifications/more:unknown-member",
            "/autoPay/enabled:wrong-type",
            "/mailingAddress:wrong-type",
        ],
    ),
    (
        "alice",
        "PUT",
        "/api/preferences",
        r#"{"billDelivery":"mail","notifications":{},"autoPay":{"enabled":false}}"#,
        &[
            "/notifications/billReady:missing",
            "/notifications/paymentDue:missing",
            "/notifications/outageAlerts:missing",
            "/notifications/highUsageAlerts:missing",
            "/autoPay/paymentMethodId:missing",
            "/mailingAddress:missing",
        ],
    ),
    (
        "alice",
        "PUT",
        "/api/preferences/notifications",
        r#"{"billReady":1}"#,
        &["/billReady:wrong-type", "/paymentDue:missing", "/outageAlerts:missing", "/highUsageAlerts:missing"],
    ),
    (
        "alice",
        "PUT",
        "/api/preferences/communication",
        r#"{"language":"fr","smsConsent":"on","emailStatus":"ignored"}"#,
        &["/language:unknown-value", "/smsConsent:wrong-type", "/marketingConsent:missing"],
    ),
];

async fn every_error_comes_at_once_and_nothing_is_changed(service: Service) {
    for (number, (name, method, path, body, errors)) in WRONG.iter().enumerate() {
        let user = User::of(&service, name).await;
        let before = user.get(path).await;
        let id = format!("wrong-{number}");
        let answer = user.send(method, path, &[("x-request-id", &id)], Some(body)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (422, "validation-failed"),
            "{method} {path} {body}"
        );
        let mut right: Vec<String> = errors.iter().map(|e| (*e).to_owned()).collect();
        let mut found = answer.errors();
        right.sort();
        found.sort();
        assert_eq!(found, right, "{method} {path} {body}");
        for error in answer.json()["errors"].as_array().unwrap() {
            let message = error["message"].as_str().unwrap();
            assert!(!message.is_empty() && (error["code"] != "missing" || message.contains("PATCH")), "{message}");
        }
        assert_eq!(answer.json()["requestId"], id.as_str());
        assert_eq!(user.get(path).await.body, before.body, "{method} {path} {body}");
        let outcomes: Vec<_> = records(&service, &id).await.iter().map(|r| (r.outcome, r.status)).collect();
        assert_eq!(outcomes, [(Outcome::Refused, 422)], "{method} {path}");
    }
    assert_eq!(events(&service).await, []);
}

async fn a_patch_clears_with_null_and_keeps_what_is_absent(service: Service) {
    let bob = User::of(&service, "bob").await;
    let cleared = bob.patch("/api/accounts/1002", r#"{"nickname":null}"#).await;
    assert_eq!((cleared.status.as_u16(), &cleared.json()["nickname"]), (200, &Value::Null));
    let before = bob.get("/api/premises/2002").await.json();
    let premise = bob.patch("/api/premises/2002", r#"{"unit":null}"#).await.json();
    let mut right = before.clone();
    right["unit"] = Value::Null;
    assert_eq!(premise, right, "only the unit");
    let mut right = bob.get("/api/customer").await.json();
    let customer = bob.patch("/api/customer", r#"{"email":null,"phone":null}"#).await.json();
    (right["email"], right["phone"]) = (Value::Null, Value::Null);
    assert_eq!(customer, right);
    // PUT clears by naming null, too.
    let alice = User::of(&service, "alice").await;
    alice.patch("/api/accounts/1001", r#"{"nickname":"Home"}"#).await;
    assert_eq!(alice.put("/api/accounts/1001", r#"{"nickname":null}"#).await.json()["nickname"], Value::Null);
}
