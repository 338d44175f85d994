//! Jobs happen once, however many replicas run and whatever is killed.

use std::time::{Duration, Instant};

use crypto::{Random as _, SystemRandom};
use domain::time::{Clock, HOUR, LocalDate, SECOND};
use serde_json::json;
use server::app::jobs;
use similar_asserts::assert_eq;
use store::EngineKind;

use crate::{
    ask::{User, enrol_bare, events},
    crash::crashes,
    on_both_engines,
    process::{Place, Running, Sql, client},
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

/// Schedules the end of account 1001 with a real process, and makes it due at once.
async fn schedule_for_now(running: &Running, sql: &Sql) {
    let token = running.token(&client(), "mjones").await;
    let later = LocalDate::parse("2099-01-01").unwrap().to_string();
    let url = format!("{}/api/admin/accounts/1001/deactivate", running.base);
    let request = client().post(url).bearer_auth(token).header("x-access-reason", "complaint");
    let answer = request.json(&json!({"effectiveDate": later, "reason": "moved"})).send().await.unwrap();
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, 200, "{body}");
    assert_eq!(sql.number("SELECT count(*) FROM job").await, 1);
}

/// A moment of the next milliseconds.
async fn moment(milliseconds: u64) {
    let mut random = [0; 2];
    SystemRandom.fill(&mut random).unwrap();
    tokio::time::sleep(Duration::from_millis(u64::from(u16::from_be_bytes(random)) % milliseconds)).await;
}

async fn until(what: &str, sql: &Sql, none: &str) {
    let began = Instant::now();
    while sql.number(none).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        tokio::task::yield_now().await;
    }
}

/// The end of a job's transaction takes a second, so that a kill meets it in its midst.
const SLOW: [&str; 2] = [
    "CREATE TRIGGER slow AFTER DELETE ON job BEGIN SELECT (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL \
     SELECT n + 1 FROM c WHERE n < 20000000) SELECT max(n) FROM c); END",
    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1); RETURN NULL; END'; \
     CREATE TRIGGER slow AFTER DELETE ON job FOR EACH ROW EXECUTE FUNCTION slow()",
];
const SLOW_NO_MORE: [&str; 2] = ["DROP TRIGGER slow", "DROP TRIGGER slow ON job; DROP FUNCTION slow"];

/// The process that leased a job is killed before, while or after it does it. On PostgreSQL another one, which slept
/// meanwhile, takes the job over; on SQLite the next start does.
async fn killed_at_it(engine: EngineKind) {
    let place = Place::new(engine).await;
    let options = ["--log-level", "error"];
    let mut first = place.serve(&options).await;
    let sql = place.sql().await;
    let dialect = usize::from(!sql.is_sqlite());
    sql.main_batch("UPDATE premise SET status = 'inactive' WHERE account_id = 1001").await;
    let (rounds, mut unfinished) = (if crashes(0) >= 100 { 10 } else { 3 }, 0);
    for round in 1..=rounds {
        let second = if sql.is_sqlite() { None } else { Some(place.serve(&options).await) };
        sql.main_batch("UPDATE account SET status = 'active' WHERE account_id = 1001").await;
        schedule_for_now(&first, &sql).await;
        if let Some(second) = &second {
            second.signal("-STOP").await;
        }
        let slow = round % 3 != 0;
        if slow {
            sql.main_batch(SLOW[dialect]).await;
        }
        sql.main_batch("UPDATE job SET due_at = created_at, not_before = created_at").await;
        until("nobody leased it", &sql, "SELECT count(*) FROM job WHERE lease IS NULL").await;
        moment(if slow { 300 } else { 4 }).await;
        first.kill().await;
        let left = sql.number("SELECT count(*) FROM job").await;
        assert!(left == 1 || !slow, "the job is gone, and was not done");
        unfinished += left;
        if slow {
            sql.main_batch(SLOW_NO_MORE[dialect]).await;
        }
        // The lease runs out.
        sql.main_batch("UPDATE job SET leased_until = created_at").await;
        first = match second {
            Some(second) => {
                second.signal("-CONT").await;
                second
            }
            None => place.serve(&options).await,
        };
        until("nobody finished it", &sql, "SELECT count(*) FROM job").await;
        let told = sql.number("SELECT count(*) FROM outbox WHERE type = 'AccountStatusChanged'").await;
        assert_eq!(told, round, "each of {round} jobs is told once");
        let ended = "SELECT count(*) FROM account WHERE account_id = 1001 AND status = 'inactive'";
        assert_eq!(sql.number(ended).await, 1);
    }
    println!("{engine:?}: {rounds} kills, {unfinished} of them before the job was done");
    assert_eq!(first.terminate().await, 0);
    let checkpoints = place.checkpoints();
    let (exit, said) = place.run(&["audit", "verify", "--checkpoints", checkpoints.to_str().unwrap()]).await;
    assert_eq!(exit, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_killed_at_a_job_leaves_it_to_the_next_on_sqlite() {
    killed_at_it(EngineKind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_killed_at_a_job_leaves_it_to_the_next_on_postgres() {
    killed_at_it(EngineKind::Postgres).await;
}
