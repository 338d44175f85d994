//! Jobs happen once, however many replicas run and whatever is killed.

use domain::time::{Clock, HOUR, SECOND};
use serde_json::json;
use server::app::jobs;
use similar_asserts::assert_eq;

use crate::{
    ask::{User, enrol_bare, events},
    on_both_engines,
    support::Service,
};

on_both_engines! { a_deactivation_happens_once, what_is_decided_anew_replaces_the_job }

/// Schedules the end of the bare customer's account for tomorrow.
async fn schedule(service: &Service) {
    enrol_bare(service).await;
    let mjones = User::of(service, "mjones").await;
    let tomorrow = service.app.zone.date(service.clock.now()).plus_days(1);
    let body = json!({"effectiveDate": tomorrow.to_string(), "reason": "moved"}).to_string();
    let path = "/api/admin/accounts/1100/deactivate";
    let answer = mjones.send("POST", path, &[("x-access-reason", "complaint")], Some(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

async fn a_deactivation_happens_once(service: Service) {
    schedule(&service).await;
    let (first, second) = (service.app.clone(), service.replica().await);
    assert_eq!((jobs::round(&first).await, jobs::round(&second).await), (false, false), "it is for tomorrow");
    service.clock.forward(26 * HOUR);
    // One replica leases the job and is killed before it does it.
    let claimed = first.store.claim_jobs(service.clock.now()).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert!(!jobs::round(&second).await, "it is leased");
    assert_eq!(events(&service).await, []);
    service.clock.forward(31 * SECOND);
    // Two at once, after the lease: one does it.
    let (one, other) = tokio::join!(jobs::round(&first), jobs::round(&second));
    assert!(one || other);
    let told = events(&service).await;
    assert_eq!(told.iter().map(|t| (t.kind.as_str(), t.sequence)).collect::<Vec<_>>(), [("AccountStatusChanged", 1)]);
    // The killed one wakes: the job is not its own any more, and nothing happens.
    let stale = jobs::perform(&first, &claimed[0]).await;
    assert!(stale.is_err(), "{stale:?}");
    assert_eq!(events(&service).await.len(), 1);
    assert_eq!((jobs::round(&first).await, jobs::round(&second).await), (false, false), "nothing is left");
    let report = store::verify_audit(service.db.location(), service.db.keyring(), None).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

async fn what_is_decided_anew_replaces_the_job(service: Service) {
    schedule(&service).await;
    // Meanwhile somebody ends it by hand, for another reason.
    let mjones = User::of(&service, "mjones").await;
    let today = service.app.zone.date(service.clock.now());
    let body = json!({"effectiveDate": today.to_string(), "reason": "fraud"}).to_string();
    let path = "/api/admin/accounts/1100/deactivate";
    let answer = mjones.send("POST", path, &[("x-access-reason", "complaint")], Some(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    service.clock.forward(26 * HOUR);
    assert!(!jobs::round(&service.app).await, "what was decided before is decided anew");
    let told = events(&service).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].data["reason"], json!("fraud"));
}
