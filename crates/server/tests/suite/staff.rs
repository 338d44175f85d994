//! Staff on one customer's data, and services on many's.

use domain::time::{HOUR, LocalDate};
use serde_json::{Value, json};
use similar_asserts::assert_eq;
use store::{
    Operator,
    audit::{Filter, Outcome, ShownWho},
};

use crate::{
    ask::{Told, User, enrol_bare, enrol_dave, events, records},
    on_both_engines,
    process::Sql,
    support::Service,
};

on_both_engines! {
    staff_see_the_customer_as_it_is,
    an_account_ends_today,
    an_account_ends_later_by_itself,
    places_in_service_keep_an_account,
    balances_come_in_batches,
    an_old_key_is_free,
    the_record_of_staff_outlives_the_customer,
    who_enrols_is_a_customer_at_once,
}

const REASON: (&str, &str) = ("x-access-reason", "complaint; ticket=CS-4711");

async fn staff_see_the_customer_as_it_is(service: Service) {
    let (alice, jsmith) = (User::of(&service, "alice").await, User::of(&service, "jsmith").await);
    let own = alice.get("/api/customer").await.json();
    let seen = jsmith.send("GET", "/api/admin/customers/1", &[REASON], None).await;
    let mut right = own.clone();
    right["version"] = json!(1);
    right["masked"] = json!([]);
    assert_eq!(seen.json(), right);
    let known = [REASON, ("if-none-match", seen.header("etag"))];
    assert_eq!(jsmith.send("GET", "/api/admin/customers/1", &known, None).await.status, 304);
    let id = [REASON, ("x-request-id", "looked")];
    jsmith.send("GET", "/api/admin/customers/1", &id, None).await;
    let records = records(&service, "looked").await;
    let record = records.first().unwrap();
    assert_eq!((record.outcome, record.reason.as_deref()), (Outcome::Asked, Some("complaint")));
    assert_eq!(
        (record.ticket.as_deref(), record.customer.map(|id| id.to_string())),
        (Some("CS-4711"), Some("1".into()))
    );
}

fn deactivate(date: LocalDate, reason: &str) -> String {
    json!({"effectiveDate": date.to_string(), "reason": reason}).to_string()
}

fn today(service: &Service) -> LocalDate {
    use domain::time::Clock;
    service.app.zone.date(service.clock.now())
}

const END: &str = "/api/admin/accounts/1100/deactivate";

async fn an_account_ends_today(service: Service) {
    enrol_bare(&service).await;
    let mjones = User::of(&service, "mjones").await;
    let date = today(&service);
    let body = deactivate(date, "non-payment");
    let key = [REASON, ("idempotency-key", "end-1100")];
    let wrong = mjones.send("POST", END, &[REASON], Some(r#"{"effectiveDate":"soon","reason":"bored"}"#)).await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.errors()),
        (422, vec!["/effectiveDate:invalid-date".into(), "/reason:unknown-value".into()])
    );
    let ended = mjones.send("POST", END, &key, Some(&body)).await;
    assert_eq!((ended.status.as_u16(), &ended.json()["status"]), (200, &json!("inactive")), "{}", ended.body);
    let again = mjones.send("POST", END, &key, Some(&body)).await;
    assert_eq!((again.status, &again.body, again.header("etag")), (ended.status, &ended.body, ended.header("etag")));
    let other = mjones.send("POST", END, &key, Some(&deactivate(date, "fraud"))).await;
    assert_eq!(other.code(), "idempotency-key-reused");
    // The key is mjones's own.
    let admin = User::of(&service, "admin").await;
    let theirs = admin.send("POST", END, &key, Some(&body)).await;
    assert_eq!((theirs.code(), theirs.json()["allowed"].clone()), ("invalid-transition".to_owned(), json!(["reopen"])));
    let told: Vec<Told> = events(&service).await;
    let data = json!({"customerId": 10, "accountId": 1100, "version": 2, "changed": ["status"], "from": "active",
        "to": "inactive", "effectiveDate": date.to_string(), "reason": "non-payment"});
    assert_eq!(told, [Told { customer: 10, sequence: 1, kind: "AccountStatusChanged".into(), data }]);
}

async fn an_account_ends_later_by_itself(service: Service) {
    enrol_bare(&service).await;
    let mjones = User::of(&service, "mjones").await;
    let tomorrow = today(&service).plus_days(1);
    for reason in ["error", "closed"] {
        let answer = mjones.send("POST", END, &[REASON], Some(&deactivate(tomorrow, reason))).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &json!("active")), "{}", answer.body);
    }
    assert!(!server::app::jobs::round(&service.app).await, "not yet");
    assert_eq!(events(&service).await, []);
    service.clock.forward(26 * HOUR);
    assert!(server::app::jobs::round(&service.app).await);
    assert!(!server::app::jobs::round(&service.app).await, "done once");
    let told = events(&service).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (&told[0].data["reason"], &told[0].data["effectiveDate"]),
        (&json!("closed"), &json!(tomorrow.to_string()))
    );
}

async fn places_in_service_keep_an_account(service: Service) {
    let mjones = User::of(&service, "mjones").await;
    let path = "/api/admin/accounts/1001/deactivate";
    let answer = mjones.send("POST", path, &[REASON], Some(&deactivate(today(&service), "closed"))).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "in-service"));
    assert_eq!(answer.json()["allowed"], json!(["move-out"]));
    assert_eq!(events(&service).await, []);
}

async fn balances_come_in_batches(service: Service) {
    enrol_bare(&service).await;
    let (billing, alice) = (User::of(&service, "billing").await, User::of(&service, "alice").await);
    let line = |account: i64, current: Value, as_of: &str| {
        json!({"accountId": account, "currentBalance": current, "dueAmount": 10.5,
        "pastDueAmount": 0.00, "nextDueDate": "2026-02-01", "asOf": as_of})
    };
    let report = |lines: Vec<Value>| json!({"balances": lines}).to_string();
    let (now, before) = ("2026-01-15T11:05:00Z", "2020-01-15T11:05:00Z");
    let batch = report(vec![
        line(1001, json!(20.25), now),
        line(1100, json!(-3), now),
        line(4711, json!(1), now),
        line(1002, json!(1), before),
        json!({"accountId": 1002, "asOf": "yesterday"}),
        json!("nonsense"),
    ]);
    let id = [("x-request-id", "batch-1")];
    let answer = billing.send("POST", "/api/integration/balances", &id, Some(&batch)).await;
    let body = answer.json();
    assert_eq!((&body["accepted"], &body["unchanged"], &body["rejected"]), (&json!(2), &json!(1), &json!(3)), "{body}");
    let codes: Vec<_> =
        body["errors"].as_array().unwrap().iter().map(|e| (e["index"].clone(), e["code"].clone())).collect();
    assert_eq!(
        codes,
        [(json!(2), json!("unknown-account")), (json!(4), json!("invalid-date")), (json!(5), json!("wrong-type"))]
    );
    let account = alice.get("/api/accounts/1001").await.json();
    assert_eq!(account["currentBalance"], json!(20.25));
    let summary = alice.get("/api/accounts/1001/summary").await.json();
    assert_eq!((&summary["dueAmount"], &summary["balanceAsOf"]), (&json!(10.5), &json!(now)));
    let records = records(&service, "batch-1").await;
    let touched: Vec<String> = records.iter().flat_map(|r| &r.customers).map(ToString::to_string).collect();
    assert_eq!(
        (records.len(), touched),
        (1, ["1", "2", "10"].map(str::to_owned).to_vec()),
        "one record a chunk, with whom it compared"
    );
    // The same again changes nothing; another value for the same instant is refused, visibly.
    let again = report(vec![line(1001, json!(20.25), now), line(1001, json!(99), now)]);
    let body = billing.send("POST", "/api/integration/balances", &[], Some(&again)).await.json();
    assert_eq!((&body["unchanged"], &body["errors"][0]["code"]), (&json!(1), &json!("contradiction")));
    for (broken, code) in [("{", 400), (r#"{"balances":1}"#, 422), ("{}", 422), ("[]", 422)] {
        let answer = billing.send("POST", "/api/integration/balances", &[], Some(broken)).await;
        assert_eq!(answer.status.as_u16(), code, "{broken}");
    }
    assert_eq!(events(&service).await, [], "balances are no events");
    // What was only compared is named, too; and so is a batch in which nothing could be read.
    let guess = report(vec![line(1100, json!(99), now)]);
    let asked = [
        (guess.as_str(), "guess", &["10"][..]),
        (r#"{"balances":[]}"#, "none", &[]),
        (r#"{"balances":[1]}"#, "bad", &[]),
    ];
    for (batch, id, whom) in asked {
        let id = [("x-request-id", id)];
        assert_eq!(billing.send("POST", "/api/integration/balances", &id, Some(batch)).await.status, 200);
        let records = crate::ask::records(&service, id[0].1).await;
        let named: Vec<String> = records.iter().flat_map(|r| &r.customers).map(ToString::to_string).collect();
        assert_eq!(
            (records.len(), named.iter().map(String::as_str).collect::<Vec<_>>()),
            (1, whom.to_vec()),
            "{batch}"
        );
        assert_eq!(records[0].outcome, Outcome::Read, "nothing was changed");
    }
    // A wrong clock silences nobody, and a batch without end holds up nobody.
    let body = billing
        .send(
            "POST",
            "/api/integration/balances",
            &[],
            Some(&report(vec![line(1001, json!(1), "2999-01-01T00:00:00Z")])),
        )
        .await;
    assert_eq!(body.json()["errors"][0]["code"], json!("in-the-future"));
    let endless = format!(r#"{{"balances":[{}1]}}"#, "1,".repeat(10_000));
    let answer = billing.send("POST", "/api/integration/balances", &[], Some(&endless)).await;
    assert_eq!((answer.status.as_u16(), answer.errors()), (422, vec!["/balances:too-many-lines".to_owned()]));
}

/// An idempotency key that is older than a day is free, whoever's data it was used for.
async fn an_old_key_is_free(service: Service) {
    enrol_bare(&service).await;
    let mjones = User::of(&service, "mjones").await;
    let key = [REASON, ("idempotency-key", "again")];
    let later = deactivate(today(&service).plus_days(30), "closed");
    assert_eq!(mjones.send("POST", END, &key, Some(&later)).await.status, 200);
    let other = "/api/admin/accounts/1001/deactivate";
    assert_eq!(mjones.send("POST", other, &key, Some(&later)).await.code(), "idempotency-key-reused");
    service.clock.forward(25 * HOUR);
    let mjones = User::of(&service, "mjones").await;
    let moved = deactivate(today(&service).plus_days(40), "moved");
    let answer = mjones.send("POST", END, &key, Some(&moved)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    // For another customer's account, whose places are not in service any more.
    let sql = Sql::of(service.db.location()).await;
    sql.main_batch("UPDATE premise SET status = 'inactive' WHERE account_id = 1001").await;
    assert_eq!(mjones.send("POST", other, &key, Some(&moved)).await.code(), "idempotency-key-reused");
    service.clock.forward(25 * HOUR);
    let mjones = User::of(&service, "mjones").await;
    let mut theirs = mjones.send("POST", other, &key, Some(&moved)).await;
    // The refused one before it may still be giving its lock back.
    while theirs.status == 409 && theirs.code() == "idempotency-key-busy" {
        theirs = mjones.send("POST", other, &key, Some(&moved)).await;
    }
    assert_eq!((theirs.status.as_u16(), &theirs.json()["accountId"]), (200, &json!(1001)), "{}", theirs.body);
    assert_eq!(mjones.send("POST", other, &key, Some(&moved)).await.body, theirs.body, "it is kept for them");
    assert_eq!(mjones.send("POST", END, &key, Some(&moved)).await.code(), "idempotency-key-reused");
    for long_ago in ["0001-01-01", "1999-12-31"] {
        let body = json!({"effectiveDate": long_ago, "reason": "closed"}).to_string();
        let answer = mjones.send("POST", END, &[REASON], Some(&body)).await;
        assert_eq!((answer.status.as_u16(), answer.errors()), (422, vec!["/effectiveDate:out-of-range".to_owned()]));
    }
}

/// Who looked is sealed under the customer's key only where the customer acted: a destroyed key takes the customer's
/// own name along, and not that of staff.
async fn the_record_of_staff_outlives_the_customer(service: Service) {
    let (alice, jsmith) = (User::of(&service, "alice").await, User::of(&service, "jsmith").await);
    alice.send("GET", "/api/customer", &[("x-request-id", "own")], None).await;
    jsmith.send("GET", "/api/admin/customers/1", &[REASON, ("x-request-id", "staff")], None).await;
    let known = async |request: &str| {
        let filter = Filter { request_id: Some(request.into()), limit: 10, ..Filter::default() };
        let shown = service.store.show_audit(&filter, Operator { user: "test", reason: "test" }).await.unwrap();
        matches!(shown[0].who, ShownWho::Known(_))
    };
    assert_eq!((known("own").await, known("staff").await), (true, true));
    Sql::of(service.db.location()).await.main_batch("DELETE FROM customer_key WHERE customer_id = 1").await;
    assert_eq!((known("own").await, known("staff").await), (false, true));
}

async fn who_enrols_is_a_customer_at_once(service: Service) {
    let dave = User::of(&service, "dave").await;
    assert_eq!(dave.get("/api/customer").await.code(), "not-enrolled");
    enrol_dave(&service, None).await;
    assert_eq!(dave.get("/api/customer").await.status, 200, "that there was no link is not remembered");
}
