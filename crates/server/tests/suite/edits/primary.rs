//! set-primary, and what an inactive premise or customer still takes.

use serde_json::json;
use similar_asserts::assert_eq;
use store::audit::Outcome;

use crate::{
    ask::{User, enrol_dave, events, records},
    on_both_engines,
    support::Service,
};

on_both_engines! { set_primary_moves_the_flag, two_set_primary_at_once_leave_one, what_is_inactive_stays_as_it_is, who_left_may_still_be_reached }

async fn primaries(user: &User<'_>, account: i64) -> Vec<i64> {
    let account = user.get(&format!("/api/accounts/{account}")).await.json();
    let premises = account["premises"].as_array().unwrap();
    premises.iter().filter(|p| p["isPrimary"] == true).map(|p| p["premiseId"].as_i64().unwrap()).collect()
}

async fn set_primary_moves_the_flag(service: Service) {
    let bob = User::of(&service, "bob").await;
    let path = "/api/premises/2004/set-primary";
    let answer = bob.send("POST", path, &[("x-request-id", "primary")], None).await;
    let after = bob.get("/api/premises/2004").await;
    assert_eq!((answer.status.as_u16(), &answer.body, answer.header("etag")), (200, &after.body, after.header("etag")));
    assert_eq!(after.json()["isPrimary"], true);
    assert_eq!(
        (primaries(&bob, 1003).await, primaries(&bob, 1002).await),
        (vec![2004], vec![2002]),
        "within the account"
    );
    let mut told = events(&service).await;
    told.sort_by_key(|event| event.sequence);
    let told: Vec<_> = told.iter().map(|e| (e.sequence, e.kind.as_str(), e.data.clone())).collect();
    let data = |premise| json!({"customerId": 2, "accountId": 1003, "premiseId": premise, "version": 2, "changed": ["isPrimary"]});
    assert_eq!(told, [(1, "PremiseUpdated", data(2003)), (2, "PremiseUpdated", data(2004))]);
    assert_eq!(records(&service, "primary").await.iter().map(|r| r.outcome).collect::<Vec<_>>(), [Outcome::Changed]);
    let again = bob.post(path).await;
    assert_eq!((again.status.as_u16(), &again.body), (200, &after.body));
    assert_eq!(events(&service).await.len(), 2, "done again it changes nothing");
}

async fn two_set_primary_at_once_leave_one(service: Service) {
    let bob = User::of(&service, "bob").await;
    for _ in 0..10 {
        let both = [2003, 2004].map(|id| format!("/api/premises/{id}/set-primary"));
        let answers = futures_util::future::join_all(both.iter().map(|path| bob.post(path))).await;
        assert_eq!(answers.iter().map(|a| a.status.as_u16()).collect::<Vec<_>>(), [200, 200]);
        assert_eq!(primaries(&bob, 1003).await.len(), 1);
    }
    let mut sequences: Vec<i64> = events(&service).await.iter().map(|event| event.sequence).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=i64::try_from(sequences.len()).unwrap()).collect::<Vec<_>>());
}

async fn what_is_inactive_stays_as_it_is(service: Service) {
    enrol_dave(&service, None).await;
    let dave = User::of(&service, "dave").await;
    let before = dave.get("/api/premises/2091").await;
    assert_eq!((before.status.as_u16(), &before.json()["status"]), (200, &json!("inactive")), "{}", before.body);
    for answer in [
        dave.post("/api/premises/2091/set-primary").await,
        dave.patch("/api/premises/2091", r#"{"nickname":"Old"}"#).await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "inactive"), "{}", answer.body);
        assert_eq!(answer.json()["allowed"], json!([]));
    }
    assert_eq!(dave.put("/api/premises/2091", &before.body).await.status, 200, "put back, nothing changes");
    assert_eq!(dave.get("/api/premises/2091").await.body, before.body);
    assert_eq!((primaries(&dave, 1090).await, events(&service).await), (vec![2090], vec![]));
}

async fn who_left_may_still_be_reached(service: Service) {
    enrol_dave(&service, Some(30)).await;
    let dave = User::of(&service, "dave").await;
    assert_eq!(dave.get("/api/customer").await.json()["status"], "inactive");
    for (path, body) in
        [("/api/customer", r#"{"email":"dave@example.com"}"#), ("/api/preferences", r#"{"billDelivery":"email"}"#)]
    {
        let answer = dave.patch(path, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    for (path, body) in
        [("/api/accounts/1090", r#"{"nickname":"Old"}"#), ("/api/premises/2090", r#"{"nickname":"Old"}"#)]
    {
        let answer = dave.patch(path, body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "inactive"), "{path}: {}", answer.body);
        assert_eq!(answer.json()["allowed"], json!(["contact data", "mailing address"]), "{path}");
    }
    assert_eq!(dave.post("/api/premises/2090/set-primary").await.status, 409);
    // After 24 months even reading ends.
    service.clock.forward(720 * 24 * domain::time::HOUR);
    let dave = User::of(&service, "dave").await;
    let body = r#"{"nickname":"Old"}"#;
    for answer in [
        dave.get("/api/customer").await,
        dave.patch("/api/customer", r#"{"email":null}"#).await,
        dave.patch("/api/accounts/1090", body).await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "inactive"), "{}", answer.body);
        assert_eq!(answer.json()["allowed"], json!([]), "nothing is left to them");
    }
}
