//! One leaves and another comes: what each sees of the place.

use domain::time::HOUR;
use serde_json::{Value, json};
use similar_asserts::assert_eq;
use store::audit::ActorKind;

use super::{MAIN, REASON, day, line, move_in, move_out, report, run, today, told};
use crate::{
    ask::{User, events, records},
    on_both_engines,
    process::Sql,
    support::Service,
};

on_both_engines! {
    one_leaves_and_another_comes,
    nobody_leaves_for_who_only_asks,
    a_place_that_was_left_is_available,
    the_primary_premise_passes_on,
    a_place_has_one_occupant_at_a_time,
}

/// Readings of alice's meter at hours of days around today, each more than the last.
async fn readings(service: &Service, days: &[i64]) {
    let meter = User::of(service, "meter").await;
    let reading = |(index, days): (usize, &i64)| {
        let at = format!("{}T15:00:00Z", today(service).plus_days(*days));
        json!({"meterId": 3001, "register": "delivered", "readAt": at, "value": 50_000 + 10 * index,
            "quality": "actual", "reportedAt": at})
    };
    let lines: Vec<Value> = days.iter().enumerate().map(reading).collect();
    let body = json!({"readings": lines}).to_string();
    let answer = meter.send("POST", "/api/integration/readings", &[], Some(&body)).await;
    assert_eq!(answer.json()["accepted"], json!(days.len()), "{}", answer.body);
}

async fn seen(user: &User<'_>, service: &Service) -> Vec<(String, Value)> {
    let from = day(service, -30);
    let to = day(service, 2);
    let answer = user.get(&format!("/api/meters/3001/readings?from={from}&to={to}&order=asc")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    let date = |r: &Value| (r["readingDate"].as_str().unwrap().to_owned(), r["usage"].clone());
    body["readings"].as_array().unwrap().iter().map(date).collect()
}

async fn one_leaves_and_another_comes(service: Service) {
    readings(&service, &[-9, -6, -5, -1]).await;
    let (alice, bob) = (User::of(&service, "alice").await, User::of(&service, "bob").await);
    assert_eq!(bob.get("/api/meters/3001").await.status, 404);
    let mjones = User::of(&service, "mjones").await;
    let date = day(&service, -6);
    let body = json!({"date": date, "esiIds": [MAIN]}).to_string();
    let headers = [REASON, ("x-request-id", "comes")];
    let made = mjones.send("POST", "/api/admin/accounts/1002/premises", &headers, Some(&body)).await;
    assert_eq!((made.status.as_u16(), &made.json()["status"]), (201, &json!("done")), "{}", made.body);
    assert_eq!(made.header("location"), "/api/admin/moves/7001");
    // The reading of the day is the last one of the first, and the first one of the second.
    let boundary = day(&service, -6);
    let before: Vec<_> = seen(&alice, &service).await.into_iter().map(|(date, _)| date).collect();
    assert_eq!(before, [day(&service, -9), boundary.clone()]);
    let after = seen(&bob, &service).await;
    assert_eq!(
        after.iter().map(|(date, _)| date.clone()).collect::<Vec<_>>(),
        [boundary, day(&service, -5), day(&service, -1)]
    );
    assert_eq!((&after[0].1, &after[1].1), (&json!(null), &json!(10)), "nothing earlier is theirs");
    let premise = alice.get("/api/premises/2001").await.json();
    assert_eq!((&premise["status"], &premise["serviceEndDate"]), (&json!("inactive"), &json!(date)));
    assert_eq!(alice.get("/api/meters/3001").await.json()["status"], json!("inactive"));
    assert_eq!(bob.get("/api/meters/3001").await.json()["status"], json!("active"));
    // The newcomer writes nothing of the address: it is where the market says.
    assert_eq!(bob.get("/api/premises/2010").await.json()["street"], json!("123 Main Street"));
    // Each reading carries the customer of its instant.
    let sql = Sql::of(service.db.location()).await;
    let owners = "SELECT customer_id FROM reading WHERE meter_id = 3001 AND is_current ORDER BY read_at DESC LIMIT 5";
    assert_eq!(sql.main(owners).await.concat(), ["2", "2", "2", "1", "1"]);
    // Each hears of their own, and nobody of the other.
    assert_eq!(told(&service, 1).await, ["OccupancyEnded"]);
    assert_eq!(told(&service, 2).await, ["PremiseAdded", "MarketRequestOpened", "OccupancyStarted"]);
    let told = events(&service).await;
    let ended = &told.iter().find(|told| told.customer == 1).unwrap().data;
    assert_eq!((&ended["reason"], &ended["effectiveDate"]), (&json!("market"), &json!(date)));
    let listed = alice.get("/api/moves").await.json();
    assert_eq!((&listed["moves"][0]["kind"], &listed["moves"][0]["status"]), (&json!("move-out"), &json!("done")));
    let mut records: Vec<_> = records(&service, "comes").await;
    records.sort_by_key(|record| record.customer);
    let by: Vec<_> =
        records.iter().map(|r| (r.customer.map(|id| id.to_string()), r.actor, r.actor_hash.is_some())).collect();
    assert_eq!(by, [(Some("1".into()), ActorKind::System, false), (Some("2".into()), ActorKind::Staff, true)]);
}

/// A customer who asks to move in where somebody lives waits for the market.
async fn nobody_leaves_for_who_only_asks(service: Service) {
    let (alice, bob) = (User::of(&service, "alice").await, User::of(&service, "bob").await);
    let made = move_in(&bob, "/api/accounts/1002/premises", &day(&service, 0), MAIN).await;
    assert_eq!((made.status.as_u16(), &made.json()["status"]), (201, &json!("planned")), "{}", made.body);
    run(&service).await;
    assert_eq!(alice.get("/api/premises/2001").await.json()["status"], json!("active"));
    assert_eq!(bob.get("/api/meters/3001").await.status, 404);
    assert_eq!(bob.get("/api/premises/2010").await.json()["meters"], json!([]));
    assert_eq!(bob.get("/api/premises/2010/meters").await.json()["meters"], json!([]));
    let market = User::of(&service, "market").await;
    let news = line("T-1", "move-in", json!({"esiId": MAIN, "effectiveDate": day(&service, 0)}));
    assert_eq!(report(&market, &[news]).await["accepted"], json!(1));
    run(&service).await;
    assert_eq!(alice.get("/api/premises/2001").await.json()["status"], json!("inactive"));
    assert_eq!(bob.get("/api/meters/3001").await.json()["status"], json!("active"));
    assert_eq!(bob.get("/api/moves/7001").await.json()["status"], json!("done"));
}

async fn a_place_that_was_left_is_available(service: Service) {
    let (alice, bob) = (User::of(&service, "alice").await, User::of(&service, "bob").await);
    let left = move_out(&alice, "/api/premises/2001/move-out", &day(&service, 0)).await;
    assert_eq!((left.status.as_u16(), &left.json()["status"]), (201, &json!("done")), "{}", left.body);
    let sql = Sql::of(service.db.location()).await;
    let state = async || sql.main("SELECT status FROM meter WHERE meter_id = 3001").await.concat();
    assert_eq!(state().await, ["available"]);
    assert_eq!(sql.main("SELECT count(*) FROM service_point_holder WHERE premise_id = 2001").await.concat(), ["0"]);
    assert_eq!(alice.get("/api/customer/summary").await.json()["totalMeters"], json!(0));
    // Who comes today to a place that is free need not wait.
    let made = move_in(&bob, "/api/accounts/1002/premises", &day(&service, 1), MAIN).await;
    assert_eq!(made.status, 201, "{}", made.body);
    service.clock.forward(26 * HOUR);
    run(&service).await;
    assert_eq!(state().await, ["active"]);
    let bob = User::of(&service, "bob").await;
    assert_eq!(bob.get("/api/premises/2010").await.json()["status"], json!("active"));
}

async fn the_primary_premise_passes_on(service: Service) {
    let (bob, mjones) = (User::of(&service, "bob").await, User::of(&service, "mjones").await);
    assert_eq!(bob.get("/api/premises/2003").await.json()["isPrimary"], json!(true));
    let left = move_out(&mjones, "/api/admin/premises/2003/move-out", &day(&service, 0)).await;
    assert_eq!(left.status, 201, "{}", left.body);
    let primary = async |id: i64| bob.get(&format!("/api/premises/{id}")).await.json()["isPrimary"].clone();
    assert_eq!((primary(2003).await, primary(2004).await), (json!(false), json!(true)));
    assert_eq!(told(&service, 2).await, ["MarketRequestOpened", "OccupancyEnded", "PremiseUpdated"]);
    assert_eq!(bob.post("/api/premises/2003/set-primary").await.code(), "inactive");
    // The last one leaves: no premise is primary; the next one that begins is.
    move_out(&mjones, "/api/admin/premises/2004/move-out", &day(&service, 0)).await;
    assert_eq!(primary(2004).await, json!(false));
    let made = move_in(&mjones, "/api/admin/accounts/1003/premises", &day(&service, 0), super::ELM).await.json();
    assert_eq!(primary(made["premiseId"].as_i64().unwrap()).await, json!(true));
}

/// A move that is written down later does not reach back before those who came meanwhile.
async fn a_place_has_one_occupant_at_a_time(service: Service) {
    let mjones = User::of(&service, "mjones").await;
    let to = |account: i64| format!("/api/admin/accounts/{account}/premises");
    assert_eq!(move_in(&mjones, &to(1002), &day(&service, -10), MAIN).await.status, 201);
    let back = move_in(&mjones, &to(1004), &day(&service, -20), MAIN).await;
    assert_eq!((back.status.as_u16(), back.code().as_str()), (409, "place-taken"));
    let left = move_out(&mjones, "/api/admin/premises/2010/move-out", &day(&service, -5)).await;
    assert_eq!(left.status, 201, "{}", left.body);
    let back = move_in(&mjones, &to(1004), &day(&service, -7), MAIN).await;
    assert_eq!(back.code(), "place-taken");
    assert_eq!(move_in(&mjones, &to(1004), &day(&service, -5), MAIN).await.status, 201, "half open: [start, end)");
}
