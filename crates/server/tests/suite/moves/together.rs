//! Changes that meet: each pair ends in one of the two states that one after the other would give.

use domain::time::{Clock, HOUR, SECOND};
use serde_json::json;
use server::app::jobs;
use similar_asserts::assert_eq;

use super::{ELM, MAIN, day, move_in, move_out, told};
use crate::{ask::User, on_both_engines, support::Service};

on_both_engines! { set_primary_meets_move_out, one_place_is_wanted_by_two, service_begins_once }

async fn set_primary_meets_move_out(service: Service) {
    let (bob, mjones) = (User::of(&service, "bob").await, User::of(&service, "mjones").await);
    let date = day(&service, 0);
    let (left, chosen) = tokio::join!(
        move_out(&mjones, "/api/admin/premises/2004/move-out", &date),
        bob.post("/api/premises/2004/set-primary")
    );
    assert_eq!(left.status, 201, "{}", left.body);
    assert!([200, 409].contains(&chosen.status.as_u16()), "{}", chosen.body);
    let premise = async |id: i64| bob.get(&format!("/api/premises/{id}")).await.json();
    let (stays, left) = (premise(2003).await, premise(2004).await);
    assert_eq!((&stays["isPrimary"], &left["isPrimary"]), (&json!(true), &json!(false)), "whoever was first");
    assert_eq!((&stays["status"], &left["status"]), (&json!("active"), &json!("inactive")));
}

async fn one_place_is_wanted_by_two(service: Service) {
    let (bob, carol) = (User::of(&service, "bob").await, User::of(&service, "carol").await);
    let date = day(&service, 3);
    let (one, other) = tokio::join!(
        move_in(&bob, "/api/accounts/1002/premises", &date, ELM),
        move_in(&carol, "/api/accounts/1004/premises", &date, ELM)
    );
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{} {}", one.body, other.body);
    let refused = if one.status == 409 { one } else { other };
    assert_eq!(refused.code(), "place-taken");
}

/// One replica leases the start of service and is killed; two others meet afterwards; the killed one wakes.
async fn service_begins_once(service: Service) {
    let (alice, bob) = (User::of(&service, "alice").await, User::of(&service, "bob").await);
    assert_eq!(move_out(&alice, "/api/premises/2001/move-out", &day(&service, 1)).await.status, 201);
    assert_eq!(move_in(&bob, "/api/accounts/1002/premises", &day(&service, 1), MAIN).await.status, 201);
    let (first, second) = (service.app.clone(), service.replica().await);
    assert_eq!((jobs::round(&first).await, jobs::round(&second).await), (false, false), "it is for tomorrow");
    service.clock.forward(26 * HOUR);
    let claimed = first.store.claim_jobs(service.clock.now()).await.unwrap();
    assert_eq!(claimed.len(), 2);
    assert!(!jobs::round(&second).await, "they are leased");
    service.clock.forward(31 * SECOND);
    let (one, other) = tokio::join!(jobs::round(&first), jobs::round(&second));
    assert!(one || other);
    for _ in 0..3 {
        service.clock.forward(HOUR);
        jobs::round(&first).await;
        jobs::round(&second).await;
    }
    for job in &claimed {
        assert!(jobs::perform(&first, job).await.is_err(), "the killed one wakes: it is somebody else's");
    }
    let ended = told(&service, 1).await;
    assert_eq!(ended, ["MarketRequestOpened", "OccupancyEnded"]);
    assert_eq!(told(&service, 2).await, ["PremiseAdded", "MarketRequestOpened", "OccupancyStarted"]);
    let (alice, bob) = (User::of(&service, "alice").await, User::of(&service, "bob").await);
    assert_eq!(alice.get("/api/premises/2001").await.json()["serviceEndDate"], json!(day(&service, 0)));
    assert_eq!(bob.get("/api/meters/3001").await.json()["status"], json!("active"));
    let report = store::verify_audit(service.db.location(), service.db.keyring(), None).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}
