//! Staff on customers and accounts: what they see, make, edit, begin and end.

mod claims;
mod identities;
mod search;

use domain::time::{Clock, HOUR};
use serde_json::{Value, json};
use similar_asserts::assert_eq;

use crate::{
    ask::{User, enrol_bare, enrol_dave, events, records},
    on_both_engines,
    support::{Answer, Service},
};

on_both_engines! {
    who_may_only_look_sees_little,
    staff_make_a_customer_once,
    the_names_are_of_one_kind,
    staff_edit_as_the_customer_does,
    a_customer_ends_and_begins_again,
    a_customer_ends_when_no_account_is_open,
    staff_open_accounts,
    an_account_begins_with_its_customer_only,
    a_customer_who_does_not_exist_has_no_accounts,
}

pub const REASON: (&str, &str) = ("x-access-reason", "complaint; ticket=CS-4711");

/// Staff ask, and say why.
pub async fn ask(user: &User<'_>, method: &str, path: &str, body: Option<&Value>) -> Answer {
    user.send(method, path, &[REASON], body.map(Value::to_string).as_deref()).await
}

async fn who_may_only_look_sees_little(service: Service) {
    let (reader, jsmith) = (User::of(&service, "reader").await, User::of(&service, "jsmith").await);
    let person = ask(&reader, "GET", "/api/admin/customers/1", None).await.json();
    assert_eq!(
        ["firstName", "lastName", "email", "phone"].map(|member| person[member].as_str().unwrap().to_owned()),
        ["J.", "S.", "j***@example.com", "(***) ***-**67"]
    );
    assert_eq!(person["masked"], json!(["/firstName", "/lastName", "/email", "/phone"]));
    let business = ask(&reader, "GET", "/api/admin/customers/2", None).await.json();
    let whole = ask(&jsmith, "GET", "/api/admin/customers/2", None).await.json();
    assert_eq!(business["businessName"], json!("A."));
    let named: Vec<usize> = (0..2).filter(|n| !whole["accounts"][n]["nickname"].is_null()).collect();
    assert!(!named.is_empty(), "the demonstration's business names an account");
    for place in named {
        assert_eq!(business["accounts"][place]["nickname"], Value::Null);
        assert!(business["masked"].as_array().unwrap().contains(&json!(format!("/accounts/{place}/nickname"))));
    }
    let account = ask(&reader, "GET", "/api/admin/accounts/1001", None).await.json();
    let premise = &account["premises"][0];
    assert_eq!([&premise["street"], &premise["unit"]], [&json!("***"), &Value::Null]);
    assert_eq!([&premise["city"], &premise["zip"]], [&json!("Anytown"), &json!("75001")]);
    assert!(account["masked"].as_array().unwrap().contains(&json!("/premises/0/street")));
    let list = ask(&reader, "GET", "/api/admin/customers/1/accounts", None).await.json();
    assert_eq!(list["accounts"], json!([account]));
    // Whoever may change it sees what there is.
    let seen = ask(&jsmith, "GET", "/api/admin/accounts/1001", None).await.json();
    assert_eq!((&seen["masked"], &seen["premises"][0]["street"]), (&json!([]), &json!("123 Main Street")));
    let refused = ask(&reader, "PATCH", "/api/admin/customers/1", Some(&json!({"email": null}))).await;
    assert_eq!(refused.code(), "forbidden");
}

async fn staff_make_a_customer_once(service: Service) {
    let jsmith = User::of(&service, "jsmith").await;
    let body = json!({"firstName": "Dana", "lastName": "Reyes", "email": "dana@example.com",
        "phone": "555-010-2000", "language": "es"});
    let headers = [REASON, ("idempotency-key", "dana"), ("x-request-id", "dana")];
    let made = jsmith.send("POST", "/api/admin/customers", &headers, Some(&body.to_string())).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let customer = made.json();
    let id = customer["customerId"].as_i64().unwrap();
    let path = format!("/api/admin/customers/{id}");
    assert_eq!(made.header("location"), path);
    assert_eq!([&customer["type"], &customer["status"]], [&json!("individual"), &json!("active")]);
    assert_eq!([&customer["phone"], &customer["version"]], [&json!("(555) 010-2000"), &json!(1)]);
    assert_eq!(ask(&jsmith, "GET", &path, None).await.json(), customer);
    let again = jsmith.send("POST", "/api/admin/customers", &headers, Some(&body.to_string())).await;
    assert_eq!((again.status, &again.body, again.header("location")), (made.status, &made.body, path.as_str()));
    let told: Vec<(i64, String, Value)> =
        events(&service).await.into_iter().map(|event| (event.customer, event.kind, event.data)).collect();
    assert_eq!(
        told,
        [(id, "CustomerCreated".to_owned(), json!({"customerId": id, "version": 1, "changed": []}))],
        "once, and nobody's name"
    );
    let whose: Vec<_> = records(&service, "dana").await.iter().map(|r| r.customer.map(|id| id.to_string())).collect();
    assert_eq!(whose, vec![Some(id.to_string()); 2], "made, and given out again");
}

async fn the_names_are_of_one_kind(service: Service) {
    let jsmith = User::of(&service, "jsmith").await;
    for (body, errors) in [
        (json!({}), vec!["/firstName:missing", "/lastName:missing"]),
        (json!({"firstName": "Dana"}), vec!["/lastName:missing"]),
        (json!({"businessName": "Acme", "lastName": "Reyes"}), vec!["/lastName:must-be-null"]),
        (json!({"businessName": "Acme", "ssn": "1"}), vec!["/ssn:unknown-member"]),
        (
            json!({"businessName": "Acme", "email": "acme", "phone": "1"}),
            vec!["/email:invalid-email", "/phone:invalid-phone"],
        ),
    ] {
        let answer = ask(&jsmith, "POST", "/api/admin/customers", Some(&body)).await;
        assert_eq!((answer.status.as_u16(), answer.errors()), (422, errors.into_iter().map(str::to_owned).collect()));
    }
    assert_eq!(events(&service).await, []);
}

async fn staff_edit_as_the_customer_does(service: Service) {
    let (jsmith, alice) = (User::of(&service, "jsmith").await, User::of(&service, "alice").await);
    for path in ["/api/admin/customers/1", "/api/admin/accounts/1001"] {
        let present = ask(&jsmith, "GET", path, None).await;
        let same = ask(&jsmith, "PUT", path, Some(&present.json())).await;
        assert_eq!((same.status.as_u16(), &same.body), (200, &present.body), "what GET gives can be put back");
    }
    let change = json!({"email": "new@example.com"});
    let etag = ask(&jsmith, "GET", "/api/admin/customers/1", None).await.header("etag").to_owned();
    let headers = [REASON, ("if-match", etag.as_str())];
    let edited = jsmith.send("PATCH", "/api/admin/customers/1", &headers, Some(&change.to_string())).await;
    assert_eq!((edited.status.as_u16(), &edited.json()["version"]), (200, &json!(2)), "{}", edited.body);
    let stale = jsmith.send("PATCH", "/api/admin/customers/1", &headers, Some(&change.to_string())).await;
    assert_eq!(stale.status, 412);
    assert_eq!(alice.get("/api/customer").await.json()["email"], json!("new@example.com"));
    let status = ask(&jsmith, "PATCH", "/api/admin/customers/1", Some(&json!({"status": "inactive"}))).await;
    assert_eq!((status.status.as_u16(), status.errors()), (422, vec!["/status:read-only".to_owned()]));
    let named = ask(&jsmith, "PATCH", "/api/admin/accounts/1001", Some(&json!({"nickname": "Home"}))).await;
    assert_eq!((named.status.as_u16(), &named.json()["nickname"]), (200, &json!("Home")));
    let changed: Vec<_> = events(&service).await.into_iter().map(|event| event.data["changed"].clone()).collect();
    assert_eq!(changed, [json!(["email"]), json!(["nickname"])]);
}

async fn a_customer_ends_and_begins_again(service: Service) {
    enrol_dave(&service, None).await;
    let (mjones, jsmith) = (User::of(&service, "mjones").await, User::of(&service, "jsmith").await);
    let made = ask(&jsmith, "POST", "/api/admin/customers", Some(&json!({"businessName": "Brief"}))).await;
    let path = made.header("location").to_owned();
    let today = service.app.zone.date(service.clock.now());
    let deactivate = format!("{path}/deactivate");
    let end = |date: Value| json!({"effectiveDate": date, "reason": "moved"});
    assert_eq!(ask(&jsmith, "POST", &deactivate, Some(&end(Value::Null))).await.code(), "forbidden");
    for days in [1, -271] {
        let wrong = ask(&mjones, "POST", &deactivate, Some(&end(json!(today.plus_days(days).to_string())))).await;
        assert_eq!((wrong.status.as_u16(), wrong.errors()), (422, vec!["/effectiveDate:out-of-range".to_owned()]));
    }
    let date = today.plus_days(-7).to_string();
    let ended = ask(&mjones, "POST", &deactivate, Some(&end(json!(date)))).await;
    assert_eq!((ended.status.as_u16(), &ended.json()["status"]), (200, &json!("inactive")), "{}", ended.body);
    let twice = ask(&mjones, "POST", &deactivate, Some(&end(Value::Null))).await;
    assert_eq!((twice.code().as_str(), &twice.json()["allowed"]), ("invalid-transition", &json!(["activate"])));
    let begun = ask(&jsmith, "POST", &format!("{path}/activate"), None).await;
    assert_eq!((begun.status.as_u16(), &begun.json()["status"]), (200, &json!("active")), "{}", begun.body);
    let again = ask(&jsmith, "POST", &format!("{path}/activate"), None).await;
    assert_eq!((again.status.as_u16(), &again.body), (200, &begun.body), "it is active already");
    let told = events(&service).await;
    let steps: Vec<_> =
        told.iter().map(|event| (event.kind.as_str(), &event.data["from"], &event.data["to"])).collect();
    let (active, inactive) = (json!("active"), json!("inactive"));
    assert_eq!(
        steps,
        [
            ("CustomerCreated", &Value::Null, &Value::Null),
            ("CustomerUpdated", &active, &inactive),
            ("CustomerUpdated", &inactive, &active)
        ]
    );
    assert_eq!([&told[1].data["effectiveDate"], &told[1].data["reason"]], [&json!(date), &json!("moved")]);
}

async fn a_customer_ends_when_no_account_is_open(service: Service) {
    enrol_bare(&service).await;
    let mjones = User::of(&service, "mjones").await;
    let end = json!({"reason": "closed"});
    let open = ask(&mjones, "POST", "/api/admin/customers/10/deactivate", Some(&end)).await;
    assert_eq!((open.code().as_str(), &open.json()["allowed"]), ("accounts-open", &json!(["deactivate-account"])));
    let today = service.app.zone.date(service.clock.now()).to_string();
    let account = json!({"effectiveDate": today, "reason": "closed"});
    assert_eq!(ask(&mjones, "POST", "/api/admin/accounts/1100/deactivate", Some(&account)).await.status, 200);
    assert_eq!(ask(&mjones, "POST", "/api/admin/customers/10/deactivate", Some(&end)).await.status, 200);
    // What ended begins from above.
    for (path, body) in
        [("/api/admin/accounts/1100/reopen", None), ("/api/admin/customers/10/accounts", Some(&json!({})))]
    {
        let refused = ask(&mjones, "POST", path, body).await;
        assert_eq!(
            (refused.code().as_str(), &refused.json()["allowed"]),
            ("invalid-transition", &json!(["activate-customer"])),
            "{path}"
        );
    }
    assert_eq!(ask(&mjones, "POST", "/api/admin/customers/10/activate", None).await.status, 200);
    let reopened = ask(&mjones, "POST", "/api/admin/accounts/1100/reopen", Some(&json!({"reason": "error"}))).await;
    assert_eq!((reopened.status.as_u16(), &reopened.json()["status"]), (200, &json!("active")), "{}", reopened.body);
    let last = events(&service).await.pop().unwrap();
    assert_eq!(last.kind, "AccountStatusChanged");
    assert_eq!(
        ["from", "to", "effectiveDate", "reason"].map(|member| last.data[member].as_str().unwrap().to_owned()),
        ["inactive", "active", today.as_str(), "error"]
    );
}

async fn staff_open_accounts(service: Service) {
    let (jsmith, alice) = (User::of(&service, "jsmith").await, User::of(&service, "alice").await);
    let mut numbers = std::collections::BTreeSet::new();
    for nickname in [Value::Null, json!("Barn")] {
        let opened =
            ask(&jsmith, "POST", "/api/admin/customers/1/accounts", Some(&json!({"nickname": nickname}))).await;
        assert_eq!(opened.status, 201, "{}", opened.body);
        let account = opened.json();
        let id = account["accountId"].as_i64().unwrap();
        assert_eq!(opened.header("location"), format!("/api/admin/accounts/{id}"));
        assert_eq!([&account["status"], &account["nickname"]], [&json!("active"), &nickname]);
        let number = account["accountNumber"].as_str().unwrap().to_owned();
        assert!(number.len() == 10 && number.bytes().all(|digit| digit.is_ascii_digit()), "{number}");
        numbers.insert(number);
        let own = alice.get(&format!("/api/accounts/{id}")).await;
        assert_eq!(own.status, 200, "it is alice's: {}", own.body);
        let told = events(&service).await.pop().unwrap();
        let data = json!({"customerId": 1, "accountId": id, "version": 1, "changed": []});
        assert_eq!((told.kind.as_str(), told.data), ("AccountCreated", data));
    }
    assert_eq!(numbers.len(), 2, "each has a number of its own");
    let list = ask(&jsmith, "GET", "/api/admin/customers/1/accounts?limit=2", None).await.json();
    assert_eq!(list["accounts"].as_array().unwrap().len(), 2);
    let next = format!("/api/admin/customers/1/accounts?limit=2&cursor={}", list["nextCursor"].as_str().unwrap());
    assert_eq!(ask(&jsmith, "GET", &next, None).await.json()["accounts"].as_array().unwrap().len(), 1);
    // A cursor is bound to the customer whose list it is of.
    let other = next.replacen("/1/", "/2/", 1);
    assert_eq!(ask(&jsmith, "GET", &other, None).await.errors(), ["cursor:invalid-cursor"]);
}

async fn an_account_begins_with_its_customer_only(service: Service) {
    enrol_bare(&service).await;
    let (mjones, jsmith) = (User::of(&service, "mjones").await, User::of(&service, "jsmith").await);
    let same = ask(&jsmith, "POST", "/api/admin/accounts/1100/activate", None).await;
    assert_eq!((same.status.as_u16(), &same.json()["version"]), (200, &json!(1)), "it is active already");
    let early = ask(&mjones, "POST", "/api/admin/accounts/1100/reopen", None).await;
    assert_eq!((early.code().as_str(), &early.json()["allowed"]), ("invalid-transition", &json!(["deactivate"])));
    let sql = crate::process::Sql::of(service.db.location()).await;
    sql.main_batch("UPDATE account SET status = 'pending' WHERE account_id = 1100").await;
    let pending = ask(&mjones, "POST", "/api/admin/accounts/1100/reopen", None).await;
    assert_eq!(pending.json()["allowed"], json!(["activate", "deactivate"]));
    sql.main_batch("UPDATE customer SET status = 'pending' WHERE customer_id = 10").await;
    let orphan = ask(&jsmith, "POST", "/api/admin/accounts/1100/activate", None).await;
    assert_eq!(orphan.json()["allowed"], json!(["activate-customer"]));
    assert_eq!(ask(&jsmith, "POST", "/api/admin/customers/10/activate", None).await.status, 200);
    let begun = ask(&jsmith, "POST", "/api/admin/accounts/1100/activate", None).await;
    assert_eq!((begun.status.as_u16(), &begun.json()["status"]), (200, &json!("active")), "{}", begun.body);
    service.clock.forward(HOUR);
    let kinds: Vec<String> = events(&service).await.into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["CustomerUpdated", "AccountStatusChanged"]);
}

async fn a_customer_who_does_not_exist_has_no_accounts(service: Service) {
    let jsmith = User::of(&service, "jsmith").await;
    for list in ["accounts", "identities"] {
        let answer = ask(&jsmith, "GET", &format!("/api/admin/customers/4711/{list}"), None).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not-found"), "{list}");
    }
}
