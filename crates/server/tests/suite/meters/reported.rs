//! Readings as Meter reports them.

use serde_json::{Value, json};
use similar_asserts::assert_eq;
use store::audit::Outcome;

use super::{counts, line, report};
use crate::{
    ask::{User, events, records},
    on_both_engines,
    process::Sql,
    support::Service,
};

on_both_engines! {
    a_value_counts_once_and_the_later_report_wins,
    what_cannot_be_is_an_error_of_its_line,
    three_forms_say_the_same,
    a_suspect_value_waits_for_staff,
    an_unknown_meters_readings_wait,
    a_batch_of_many_leaves_a_record_a_chunk,
    two_batches_at_once_store_one_value,
}

const AT: &str = "2025-06-01T06:00:00Z";

/// The readings of meter 3001 at or after [`AT`], as alice sees them.
async fn seen(service: &Service) -> Vec<Value> {
    let alice = User::of(service, "alice").await;
    let answer = alice.get("/api/meters/3001/readings?from=2025-06-01&order=asc&include=superseded").await;
    answer.json()["readings"].as_array().unwrap().clone()
}

fn revisions(readings: &[Value]) -> Vec<(f64, i64, String)> {
    let of = |r: &Value| {
        (r["value"].as_f64().unwrap(), r["revision"].as_i64().unwrap(), r["quality"].as_str().unwrap().to_owned())
    };
    readings.iter().map(of).collect()
}

async fn a_value_counts_once_and_the_later_report_wins(service: Service) {
    let meter = User::of(&service, "meter").await;
    let one = |value: f64, quality: &str, reported: &str| [line(AT, json!(value), quality, reported)];
    let (early, late, later) = ("2025-06-01T07:00:00Z", "2025-06-01T08:00:00Z", "2025-06-01T09:00:00Z");
    for (lines, expected) in [
        (one(2000.5, "estimated", early), [1, 0, 0, 0]),
        (one(2000.5, "estimated", early), [0, 1, 0, 0]),
        (one(2001.0, "actual", early), [0, 1, 0, 0]),
        (one(2001.0, "actual", late), [1, 0, 0, 0]),
        (one(2002.0, "estimated", later), [0, 1, 0, 0]),
        (one(2003.25, "actual", later), [1, 0, 0, 0]),
    ] {
        assert_eq!(counts(&report(&meter, &lines).await), (expected.to_vec(), vec![]), "{lines:?}");
    }
    let names = |quality: &str| quality.to_owned();
    let mut all = revisions(&seen(&service).await);
    all.sort_by_key(|(_, revision, _)| *revision);
    assert_eq!(all, [(2000.5, 1, names("estimated")), (2001.0, 2, names("actual")), (2003.25, 3, names("actual"))]);
    let alice = User::of(&service, "alice").await;
    let current = alice.get("/api/meters/3001/readings?from=2025-06-01").await.json();
    let current = current["readings"].as_array().unwrap();
    assert_eq!((current.len(), &current[0]["value"], &current[0]["revision"]), (1, &json!(2003.25), &json!(3)));
    assert!(current[0]["correctedAt"].is_string());
    // In one batch, in its order.
    let at = "2025-06-02T06:00:00Z";
    let same = [line(at, json!(2010), "actual", early), line(at, json!(2011), "actual", late)];
    assert_eq!(counts(&report(&meter, &same).await).0, [2, 0, 0, 0]);
    let current = alice.get("/api/meters/3001/readings?from=2025-06-02").await.json();
    assert_eq!((&current["readings"][0]["value"], current["readings"].as_array().unwrap().len()), (&json!(2011), 1));
    assert_eq!(events(&service).await, [], "readings are no events");
}

async fn what_cannot_be_is_an_error_of_its_line(service: Service) {
    let meter = User::of(&service, "meter").await;
    let lines = [
        line("2999-01-01T00:00:00Z", json!(1), "actual", AT),
        line("1999-01-01T00:00:00Z", json!(1), "actual", AT),
        line(AT, json!(100_000), "actual", AT),
        line(AT, json!(-1), "actual", AT),
        json!({"meterId": 3001, "register": "received", "readAt": AT, "value": 1, "quality": "actual", "reportedAt": AT}),
        json!({"register": "delivered", "readAt": AT, "value": 1, "quality": "actual", "reportedAt": AT}),
        json!("nonsense"),
        line(AT, json!(2000), "actual", AT),
    ];
    let codes =
        ["in-the-future", "not-installed", "out-of-range", "out-of-range", "unknown-register", "missing", "wrong-type"];
    let codes: Vec<String> = codes.iter().enumerate().map(|(index, code)| format!("{index}:{code}")).collect();
    assert_eq!(counts(&report(&meter, &lines).await), (vec![1, 0, 0, 7], codes));
    for (broken, status) in [("{", 400), (r#"{"readings":1}"#, 422), ("{}", 422)] {
        let answer = meter.send("POST", "/api/integration/readings", &[], Some(broken)).await;
        assert_eq!(answer.status.as_u16(), status, "{broken}");
    }
    let broken = format!(r#"{{"readings":[{}"#, line("2025-06-03T06:00:00Z", json!(2100), "actual", AT));
    assert_eq!(meter.send("POST", "/api/integration/readings", &[], Some(&broken)).await.status, 400);
    assert_eq!(seen(&service).await.len(), 1, "of a broken body nothing is applied");
    let none =
        meter.send("POST", "/api/integration/readings", &[("x-request-id", "none")], Some(r#"{"readings":[]}"#)).await;
    assert_eq!(counts(&none).0, [0, 0, 0, 0]);
    assert_eq!(records(&service, "none").await[0].outcome, Outcome::Read);
}

async fn three_forms_say_the_same(service: Service) {
    let (meter, alice) = (User::of(&service, "meter").await, User::of(&service, "alice").await);
    let premise = alice.get("/api/premises/2001").await.json();
    let esi = premise["servicePoints"][0]["esiId"].as_str().unwrap();
    let number = premise["meters"][0]["meterNumber"].as_str().unwrap();
    let send = async |kind: &str, body: &str| {
        meter.send("POST", "/api/integration/readings", &[("content-type", kind)], Some(body)).await
    };
    assert_eq!(counts(&report(&meter, &[line(AT, json!(2000), "actual", AT)]).await).0, [1, 0, 0, 0]);
    let plate = json!({"esiId": esi, "meterNumber": number, "register": "delivered", "readAt": AT, "value": 2000,
        "quality": "actual", "reportedAt": AT});
    let lines = format!("{plate}\n\n{{\"broken\"\n{}\n", line("2025-06-02T06:00:00Z", json!(2001), "actual", AT));
    let answer = send("application/x-ndjson", &lines).await;
    assert_eq!(counts(&answer), (vec![1, 1, 0, 1], vec!["1:invalid-json".to_owned()]));
    let csv = format!(
        "esiId,meterNumber,meterId,register,readAt,value,quality,reportedAt\r\n\
        {esi},{number},,delivered,{AT},2000.000,actual,{AT}\r\n\
        ,,3001,delivered,2025-06-03T01:00:00-05:00,2002,actual,{AT}\r\n,,3001,delivered,soon,2002,actual,{AT}\r\n"
    );
    let answer = send("text/csv", &csv).await;
    assert_eq!(counts(&answer), (vec![1, 1, 0, 1], vec!["2:invalid-date".to_owned()]));
    assert_eq!(seen(&service).await.len(), 3);
    assert_eq!(send("text/plain", &csv).await.status, 415);
}

async fn a_suspect_value_waits_for_staff(service: Service) {
    let meter = User::of(&service, "meter").await;
    let lines = [
        line(AT, json!(99_990), "actual", AT),
        line("2025-06-02T06:00:00Z", json!(5), "actual", AT),
        line("2025-06-03T06:00:00Z", json!(3), "actual", AT),
    ];
    assert_eq!(counts(&report(&meter, &lines).await), (vec![2, 0, 0, 1], vec!["2:reading-suspect".to_owned()]));
    let shown = seen(&service).await;
    assert_eq!((&shown[1]["usage"], &shown[1]["rollover"]), (&json!(15), &json!(true)));
    assert_eq!((&shown[2]["value"], &shown[2]["usage"]), (&json!(3), &Value::Null));
    let sql = Sql::of(service.db.location()).await;
    let tasks = "SELECT count(*) FROM task WHERE kind = 'suspect-reading' AND subject_kind = 'meter' \
        AND subject_id = 3001 AND customer_id = 1 AND status = 'open'";
    assert_eq!(sql.number(tasks).await, 1);
    // The same again opens no other task.
    assert_eq!(counts(&report(&meter, &lines).await).0, [0, 3, 0, 0]);
    let more = [line("2025-06-04T06:00:00Z", json!(2), "actual", AT)];
    assert_eq!(counts(&report(&meter, &more).await).0, [0, 0, 0, 1]);
    assert_eq!(sql.number(tasks).await, 1, "one waits for each meter");
}

async fn an_unknown_meters_readings_wait(service: Service) {
    let meter = User::of(&service, "meter").await;
    let unknown = json!({"esiId": "10443720000000001", "meterNumber": "NEW-1", "register": "delivered", "readAt": AT,
        "value": 1, "quality": "actual", "reportedAt": AT});
    let id = [("x-request-id", "parked")];
    let body = json!({"readings": [unknown, line(AT, json!(2000), "actual", AT)]}).to_string();
    let answer = meter.send("POST", "/api/integration/readings", &id, Some(&body)).await;
    assert_eq!(counts(&answer), (vec![1, 0, 1, 0], vec![]), "nothing behind it waits");
    let sql = Sql::of(service.db.location()).await;
    assert_eq!(sql.number("SELECT count(*) FROM parked_reading").await, 1);
    let now = || domain::time::Clock::now(&*service.clock);
    let day = 24 * domain::time::HOUR;
    assert_eq!(service.store.expire_parked(now().plus(13 * day)).await.unwrap(), 0);
    assert_eq!(service.store.expire_parked(now().plus(15 * day)).await.unwrap(), 1);
    assert_eq!(service.store.expire_parked(now().plus(15 * day)).await.unwrap(), 0, "once");
    let tasks =
        "SELECT count(*) FROM task WHERE kind = 'unmatched-reading' AND customer_id IS NULL AND status = 'open'";
    assert_eq!(sql.number(tasks).await, 1);
    // More of the same meter joins the task that waits.
    meter.send("POST", "/api/integration/readings", &[], Some(&body.replace("2025-06-01", "2025-06-02"))).await;
    assert_eq!(service.store.expire_parked(now().plus(15 * day)).await.unwrap(), 1);
    assert_eq!(sql.number(tasks).await, 1);
}

async fn a_batch_of_many_leaves_a_record_a_chunk(service: Service) {
    let meter = User::of(&service, "meter").await;
    let start = domain::time::Instant::parse(AT).unwrap();
    let lines: Vec<Value> = (0..4_500_i64)
        .map(|n| {
            let at = start.plus(n * 60 * domain::time::SECOND).to_string();
            let value: Value = serde_json::from_str(&format!("{}.{:03}", 2000 + n / 1000, n % 1000)).unwrap();
            line(&at, value, "actual", AT)
        })
        .collect();
    let body = json!({"readings": lines}).to_string();
    let id = [("x-request-id", "many")];
    let answer = meter.send("POST", "/api/integration/readings", &id, Some(&body)).await;
    assert_eq!(counts(&answer), (vec![4_500, 0, 0, 0], vec![]));
    let left = records(&service, "many").await;
    assert_eq!(left.len(), 3);
    for record in &left {
        assert_eq!((record.outcome, record.customers.len()), (Outcome::Changed, 1), "whose readings they are");
    }
    let again = meter.send("POST", "/api/integration/readings", &[], Some(&body)).await;
    assert_eq!(counts(&again).0, [0, 4_500, 0, 0]);
    assert_eq!(seen(&service).await.len().min(100), 100);
    let bad = vec!["x"; 1_500].join("\n");
    let kind = [("content-type", "application/x-ndjson")];
    let answer = meter.send("POST", "/api/integration/readings", &kind, Some(&bad)).await;
    assert_eq!((counts(&answer).0, counts(&answer).1.len()), (vec![0, 0, 0, 1_500], 1_000), "the list is bounded");
}

async fn two_batches_at_once_store_one_value(service: Service) {
    let meter = User::of(&service, "meter").await;
    let one = [line(AT, json!(2000), "actual", AT)];
    let (a, b) = tokio::join!(report(&meter, &one), report(&meter, &one));
    let mut both = [counts(&a).0, counts(&b).0];
    both.sort();
    assert_eq!(both, [[0, 1, 0, 0], [1, 0, 0, 0]]);
}
