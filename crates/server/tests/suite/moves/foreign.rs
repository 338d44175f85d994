//! What is not one's own: the occupancy, the place and the words of another customer, and what the market decided.

use domain::time::{HOUR, SECOND};
use serde_json::{Value, json};
use similar_asserts::assert_eq;

use super::{ELM, MAIN, REASON, day, elm, line, move_in, move_out, report, requests, run};
use crate::{
    ask::{User, events},
    enrollment::application,
    on_both_engines,
    process::Sql,
    support::{Answer, Service},
};

on_both_engines! {
    nobody_leaves_on_a_date_that_the_market_did_not_confirm,
    a_wrong_name_does_not_rename_the_place_of_another,
    a_place_of_ones_own_is_renamed,
    what_the_market_made_is_not_the_customers_to_change,
    what_one_calls_a_place_nobody_else_reads,
}

/// A place in the area of another company.
const HOUSTON: &str = "1008901012345678900199";

async fn accept(market: &User<'_>, id: &str, more: Value) {
    let answer = report(market, &[line(id, "accepted", more)]).await;
    assert_eq!(answer["accepted"], json!(1), "{answer}");
}

async fn status(user: &User<'_>, path: &str) -> Value {
    user.get(path).await.json()["status"].clone()
}

async fn nobody_leaves_on_a_date_that_the_market_did_not_confirm(service: Service) {
    let (bob, market) = (User::of(&service, "bob").await, User::of(&service, "market").await);
    assert_eq!(move_in(&bob, "/api/accounts/1002/premises", &day(&service, 5), MAIN).await.status, 201);
    accept(&market, "T-1", json!({"requestId": 6001, "effectiveDate": day(&service, 9)})).await;
    for days in [0, 1] {
        let date = day(&service, days);
        let moved = bob.patch("/api/moves/7001", &json!({"date": date}).to_string()).await;
        assert_eq!((moved.status.as_u16(), &moved.json()["status"]), (200, &json!("planned")), "{}", moved.body);
        assert_eq!(requests(&market, "open").await[0]["requestedDate"], json!(date));
        run(&service).await;
    }
    service.clock.forward(26 * HOUR);
    run(&service).await;
    let (alice, bob) = (User::of(&service, "alice").await, User::of(&service, "bob").await);
    assert_eq!(status(&alice, "/api/premises/2001").await, json!("active"));
    assert_eq!(bob.get("/api/meters/3001").await.status, 404);
    assert_eq!(status(&bob, "/api/moves/7001").await, json!("planned"), "it waits");
    let market = User::of(&service, "market").await;
    accept(&market, "T-2", json!({"requestId": 6001, "effectiveDate": day(&service, 0)})).await;
    run(&service).await;
    assert_eq!(status(&alice, "/api/premises/2001").await, json!("inactive"));
    assert_eq!(status(&bob, "/api/moves/7001").await, json!("done"));
}

/// The ESI IDs of a premise, as its customer sees them.
async fn names(user: &User<'_>, path: &str) -> Value {
    user.get(path).await.json()["servicePoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["esiId"].clone())
        .collect()
}

async fn a_wrong_name_does_not_rename_the_place_of_another(service: Service) {
    let (dave, jsmith) = (User::of(&service, "dave").await, User::of(&service, "jsmith").await);
    let mut typed = application(&service, 5);
    typed["esiIds"] = json!([MAIN]);
    assert_eq!(dave.send("POST", "/api/enrollment", &[], Some(&typed.to_string())).await.status, 201);
    let approved = jsmith.send("POST", "/api/admin/enrollments/5004/approve", &[REASON], Some("{}")).await;
    assert_eq!(approved.status, 200, "{}", approved.body);
    service.clock.forward(SECOND);
    let (alice, market) = (User::of(&service, "alice").await, User::of(&service, "market").await);
    let news = line("T-1", "esi-id-correction", json!({"requestId": 6001, "esiId": ELM}));
    assert_eq!(report(&market, &[news]).await["accepted"], json!(1));
    assert_eq!(names(&alice, "/api/premises/2001").await, json!([MAIN]), "it is where it was");
    assert_eq!(names(&dave, "/api/premises/2010").await, json!([ELM]));
    assert_eq!(requests(&market, "open").await[0]["esiIds"], json!([ELM]));
    // Who reads what has changed since finds it, with the version that was told.
    let told = events(&service).await.into_iter().rfind(|told| told.kind == "PremiseUpdated").unwrap();
    let sql = Sql::of(service.db.location()).await;
    let stored = sql.main("SELECT version FROM premise WHERE premise_id = 2010 AND updated_at > created_at").await;
    assert_eq!((stored.concat(), &told.data["version"]), (vec!["2".to_owned()], &json!(2)));
    accept(&market, "T-2", json!({"requestId": 6001, "effectiveDate": day(&service, 0)})).await;
    run(&service).await;
    assert_eq!(status(&alice, "/api/premises/2001").await, json!("active"));
    assert_eq!(status(&dave, "/api/premises/2010").await, json!("active"));
}

async fn a_place_of_ones_own_is_renamed(service: Service) {
    let (bob, market) = (User::of(&service, "bob").await, User::of(&service, "market").await);
    assert_eq!(move_in(&bob, "/api/accounts/1002/premises", &day(&service, 3), ELM).await.status, 201);
    let point = async || bob.get("/api/premises/2010").await.json()["servicePoints"][0].clone();
    let before = point().await;
    let news = line("T-1", "esi-id-correction", json!({"requestId": 6001, "esiId": HOUSTON}));
    assert_eq!(report(&market, &[news]).await["accepted"], json!(1));
    let after = point().await;
    let name = |point: &Value| (point["esiId"].clone(), point["wiresCompany"]["name"].clone());
    assert_eq!((name(&before), name(&after)), ((json!(ELM), json!("Oncor")), (json!(HOUSTON), json!("CenterPoint"))));
    let told = events(&service).await.into_iter().rfind(|told| told.kind == "PremiseUpdated").unwrap();
    assert_eq!((&told.data["version"], &told.data["changed"]), (&json!(2), &json!(["servicePoints"])));
    // Where somebody asked for the place before, the name was right for them.
    let cancelled = bob.send("DELETE", "/api/moves/7001", &[], None).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    let carol = User::of(&service, "carol").await;
    assert_eq!(move_in(&carol, "/api/accounts/1004/premises", &day(&service, 3), HOUSTON).await.status, 201);
    let asked = requests(&market, "open").await;
    let news = line("T-2", "esi-id-correction", json!({"requestId": asked[0]["requestId"], "esiId": ELM}));
    assert_eq!(report(&market, &[news]).await["accepted"], json!(1));
    assert_eq!(requests(&market, "cancelled").await[0]["esiIds"], json!([HOUSTON]));
}

async fn what_the_market_made_is_not_the_customers_to_change(service: Service) {
    let (bob, market) = (User::of(&service, "bob").await, User::of(&service, "market").await);
    // One was planned before: the market's word counts now.
    assert_eq!(move_out(&bob, "/api/premises/2004/move-out", &day(&service, 80)).await.status, 201);
    for (id, esi_id) in [("T-1", "10443720002345701"), ("T-2", "10443720002345694")] {
        let news = line(id, "drop", json!({"esiId": esi_id, "effectiveDate": day(&service, 3)}));
        assert_eq!(report(&market, &[news]).await["accepted"], json!(1));
    }
    for path in ["/api/moves/7001", "/api/moves/7002"] {
        let found = bob.get(path).await.json();
        assert_eq!((&found["status"], &found["cancellableUntil"]), (&json!("accepted"), &json!(null)), "{found}");
        let redated = bob.patch(path, &json!({"date": day(&service, 60)}).to_string()).await;
        let cancelled = bob.send("DELETE", path, &[], None).await;
        for answer in [redated, cancelled] {
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "invalid-transition"), "{path}");
            assert_eq!(answer.json()["allowed"], json!([]));
        }
    }
    let again = move_out(&bob, "/api/premises/2003/move-out", &day(&service, 60)).await;
    assert_eq!((again.code(), &again.json()["allowed"]), ("invalid-transition".to_owned(), &json!([])));
    service.clock.forward(4 * 24 * HOUR);
    run(&service).await;
    let bob = User::of(&service, "bob").await;
    for path in ["/api/premises/2003", "/api/premises/2004"] {
        assert_eq!(status(&bob, path).await, json!("inactive"), "{path}");
    }
}

/// A move-in that names a place by its ESI ID alone.
async fn by_name(user: &User<'_>, account: i64, date: &str) -> Answer {
    let body = json!({"date": date, "esiIds": [ELM]}).to_string();
    user.send("POST", &format!("/api/accounts/{account}/premises"), &[], Some(&body)).await
}

async fn what_one_calls_a_place_nobody_else_reads(service: Service) {
    let (bob, carol) = (User::of(&service, "bob").await, User::of(&service, "carol").await);
    let (mjones, market) = (User::of(&service, "mjones").await, User::of(&service, "market").await);
    let date = day(&service, 3);
    let mut words = elm();
    words["unit"] = json!("Back room of Bob");
    // First bob says which place he means, then the market does.
    for (path, esi_ids, request) in
        [("/api/moves/7001", json!([ELM]), None), ("/api/moves/7002", json!([]), Some(6002))]
    {
        let body = json!({"date": date, "address": words, "esiIds": esi_ids}).to_string();
        assert_eq!(bob.send("POST", "/api/accounts/1002/premises", &[], Some(&body)).await.status, 201);
        if let Some(request) = request {
            accept(&market, "T-1", json!({"requestId": request, "esiId": ELM})).await;
        }
        assert_eq!(bob.send("DELETE", path, &[], None).await.status, 200);
        let unknown = by_name(&carol, 1004, &date).await;
        assert_eq!((unknown.status.as_u16(), unknown.errors()), (422, vec!["/esiIds/0:unknown-place".to_owned()]));
    }
    let today = day(&service, 0);
    let lives = move_in(&mjones, "/api/admin/accounts/1002/premises", &today, ELM).await.json();
    assert_eq!(lives["status"], json!("done"), "{lives}");
    // The market says where it is: now everybody may know.
    let address = json!({"street": "9 ELM ST", "unit": "B", "city": "ANYTOWN", "state": "TX", "zip": "75001"});
    let news = line("T-2", "address-correction", json!({"esiId": ELM, "address": address}));
    assert_eq!(report(&market, &[news]).await["accepted"], json!(1));
    let planned = by_name(&carol, 1004, &date).await;
    assert_eq!(planned.status, 201, "{}", planned.body);
    let premise = carol.get(&format!("/api/premises/{}", planned.json()["premiseId"])).await.json();
    assert_eq!((&premise["street"], &premise["unit"]), (&json!("9 ELM ST"), &json!("B")));
}
