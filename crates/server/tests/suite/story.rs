//! One story from door to door, through every service that has a part in it: a person enrols where somebody leaves,
//! service begins, readings and a balance come, the person moves out and another moves in, and nobody sees anything of
//! anybody else.

use domain::time::HOUR;
use serde_json::{Value, json};
use similar_asserts::assert_eq;

use crate::{
    ask::User,
    enrollment::{REASON, application, today},
    moves::{MAIN, line, move_in, move_out, report, requests, run},
    on_both_engines,
    support::Service,
};

on_both_engines! { one_leaves_another_enrols_and_a_third_moves_in }

/// Days pass, and what was planned for them happens.
async fn pass(service: &Service, days: i64) {
    service.clock.forward(days * 24 * HOUR);
    run(service).await;
}

/// The market acknowledges and accepts everything that waits.
async fn market_accepts(service: &Service) {
    let market = User::of(service, "market").await;
    for request in requests(&market, "open").await {
        let id = &request["requestId"];
        let path = format!("/api/integration/market-requests/{id}/acknowledge");
        assert_eq!(market.send("POST", &path, &[], None).await.status, 200);
        let accepted = json!({"requestId": id, "effectiveDate": request["requestedDate"]});
        let answer = report(&market, &[line(&format!("T-{id}"), "accepted", accepted)]).await;
        assert_eq!(answer["accepted"], json!(1), "{answer}");
    }
}

/// A reading at noon of a day, counted from today.
async fn read(service: &Service, meter: &Value, days: i64, value: i64) {
    let at = service.app.zone.start(today(service).plus_days(days)).plus(12 * HOUR);
    let reading = json!({"meterId": meter, "register": "delivered", "readAt": at.to_string(), "value": value,
        "quality": "actual", "reportedAt": at.plus(HOUR / 2).to_string()});
    let body = json!({"readings": [reading]}).to_string();
    let of = User::of(service, "meter").await;
    let answer = of.send("POST", "/api/integration/readings", &[], Some(&body)).await;
    assert_eq!(answer.json()["accepted"], json!(1), "{}", answer.body);
}

async fn values(user: &User<'_>, meter: &Value) -> Vec<i64> {
    let answer = user.get(&format!("/api/meters/{meter}/readings?order=asc&limit=5000")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    body["readings"].as_array().unwrap().iter().map(|reading| reading["value"].as_f64().unwrap() as i64).collect()
}

async fn one_leaves_another_enrols_and_a_third_moves_in(service: Service) {
    let meter = json!(3001);
    // Alice will leave in three days; Dana enrols for her place.
    let alice = User::of(&service, "alice").await;
    let left = move_out(&alice, "/api/premises/2001/move-out", &today(&service).plus_days(3).to_string()).await;
    assert_eq!(left.status, 201, "{}", left.body);
    let (dave, jsmith) = (User::of(&service, "dave").await, User::of(&service, "jsmith").await);
    let mut asked = application(&service, 3);
    asked["address"] = json!(null);
    asked["esiIds"] = json!([MAIN]);
    let made = dave.send("POST", "/api/enrollment", &[], Some(&asked.to_string())).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let made = made.json();
    let (account, premise) = (&made["accountId"], format!("/api/premises/{}", made["premiseId"]));
    assert_eq!(dave.get(&premise).await.json()["meters"], json!([]), "nothing is seen before it begins");
    assert_eq!(dave.get(&format!("/api/meters/{meter}")).await.status, 404);
    let approve = format!("/api/admin/enrollments/{}/approve", made["enrollmentId"]);
    assert_eq!(jsmith.send("POST", &approve, &[REASON], None).await.status, 200);
    market_accepts(&service).await;
    pass(&service, 3).await;
    // The day has come: Dana is a customer, and the meter counts for Dana.
    let (alice, dave) = (User::of(&service, "alice").await, User::of(&service, "dave").await);
    assert_eq!(dave.get("/api/enrollment").await.json()["status"], json!("active"));
    assert_eq!(alice.get("/api/premises/2001").await.json()["status"], json!("inactive"));
    let before = values(&alice, &meter).await;
    assert!(before.len() > 100, "{}", before.len());
    assert_eq!(values(&dave, &meter).await, Vec::<i64>::new(), "what was before is alice's");
    pass(&service, 3).await;
    for (days, value) in [(-2, 2001), (-1, 2042)] {
        read(&service, &meter, days, value).await;
    }
    let (alice, dave) = (User::of(&service, "alice").await, User::of(&service, "dave").await);
    assert_eq!(values(&dave, &meter).await, [2001, 2042]);
    assert_eq!(values(&alice, &meter).await, before, "what comes after is Dana's");
    // Billing reports what Dana owes.
    let billing = User::of(&service, "billing").await;
    let as_of = service.app.zone.start(today(&service)).to_string();
    let balance = json!({"accountId": account, "currentBalance": 12.5, "dueAmount": 12.5, "asOf": as_of});
    let body = json!({"balances": [balance]}).to_string();
    let reported = billing.send("POST", "/api/integration/balances", &[], Some(&body)).await;
    assert_eq!(reported.json()["accepted"], json!(1), "{}", reported.body);
    assert_eq!(dave.get(&format!("/api/accounts/{account}")).await.json()["currentBalance"], json!(12.5));
    assert_eq!(alice.get(&format!("/api/accounts/{account}")).await.status, 404);
    // Dana moves out and bob moves in, on one day.
    let day = today(&service).plus_days(2).to_string();
    assert_eq!(move_out(&dave, &format!("{premise}/move-out"), &day).await.status, 201);
    let moved = move_in(&User::of(&service, "jsmith").await, "/api/admin/accounts/1002/premises", &day, MAIN).await;
    assert_eq!(moved.status, 201, "{}", moved.body);
    let of_bob = format!("/api/premises/{}", moved.json()["premiseId"]);
    market_accepts(&service).await;
    pass(&service, 4).await;
    for (days, value) in [(-1, 2100), (0, 2133)] {
        read(&service, &meter, days, value).await;
    }
    let (bob, dave, alice) =
        (User::of(&service, "bob").await, User::of(&service, "dave").await, User::of(&service, "alice").await);
    assert_eq!(dave.get(&premise).await.json()["status"], json!("inactive"));
    assert_eq!(bob.get(&of_bob).await.json()["status"], json!("active"));
    // Each sees their own time at the place, and nothing of the others.
    assert_eq!(values(&bob, &meter).await, [2100, 2133]);
    assert_eq!(values(&dave, &meter).await, [2001, 2042]);
    assert_eq!(values(&alice, &meter).await, before);
    for (who, others) in [
        (&bob, [&*premise, "/api/premises/2001"]),
        (&dave, [&*of_bob, "/api/premises/2001"]),
        (&alice, [&*of_bob, &*premise]),
    ] {
        for path in others {
            assert_eq!(who.get(path).await.status, 404, "{path}");
        }
    }
}
