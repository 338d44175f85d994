//! Readings that wait for their meter.

use std::fmt::Write as _;

use domain::time::{Instant, SECOND};
use serde_json::{Value, json};
use similar_asserts::assert_eq;

use super::{REASON, counts, report};
use crate::{ask::User, on_both_engines, process::Sql, support::Service};

on_both_engines! {
    all_that_waits_is_taken_in_or_becomes_a_task,
    of_one_instant_one_value_waits,
}

const AT: &str = "2025-06-01T05:00:00Z";
const ESI: &str = "10443720001234567";

/// Registers a meter.
async fn register(jsmith: &User<'_>, number: &str) -> Value {
    let new = json!({"meterNumber": number, "type": "electric", "unit": "kWh", "dials": 5, "multiplier": 1,
        "wiresCompany": "Oncor"});
    let made = jsmith.send("POST", "/api/admin/meters", &[REASON], Some(&new.to_string())).await;
    made.json()["meterId"].clone()
}

/// Installs it where alice lives, at [`AT`].
async fn install(jsmith: &User<'_>, meter: &Value) {
    let body = json!({"meterId": meter, "esiId": ESI, "installDate": "2025-06-01"}).to_string();
    let done = jsmith.send("POST", "/api/admin/premises/2001/meters", &[REASON], Some(&body)).await;
    assert_eq!(done.status, 201, "{}", done.body);
}

async fn all_that_waits_is_taken_in_or_becomes_a_task(service: Service) {
    let (jsmith, meter) = (User::of(&service, "jsmith").await, User::of(&service, "meter").await);
    let start = Instant::parse(AT).unwrap();
    let mut body = String::from("esiId,meterNumber,register,readAt,value,quality,reportedAt\n");
    // Two before its installation, one of a register that it does not have, and more than are taken in at once.
    for n in -2..5_100_i64 {
        let at = start.plus(n * 60 * SECOND);
        writeln!(body, "{ESI},E-WAIT,delivered,{at},{},actual,{AT}", n + 2).unwrap();
    }
    writeln!(body, "{ESI},E-WAIT,received,{AT},1,actual,{AT}").unwrap();
    let kind = [("content-type", "text/csv")];
    let answer = meter.send("POST", "/api/integration/readings", &kind, Some(&body)).await;
    assert_eq!(counts(&answer).0, [0, 0, 5_103, 0]);
    let id = register(&jsmith, "E-WAIT").await;
    install(&jsmith, &id).await;
    let sql = Sql::of(service.db.location()).await;
    assert_eq!(sql.number(&format!("SELECT count(*) FROM reading WHERE meter_id = {id}")).await, 5_100);
    let left = "SELECT count(*) FROM parked_reading";
    assert_eq!(sql.number(left).await, 3, "what the meter cannot have shown is not lost");
    let tasks = jsmith.send("GET", "/api/admin/tasks?kind=unmatched-reading", &[REASON], None).await.json();
    let tasks = tasks["tasks"].as_array().unwrap();
    assert_eq!((tasks.len(), &tasks[0]["resource"]), (1, &json!(format!("meter/{id}"))));
    let path = format!("/api/admin/tasks/{}/answer", tasks[0]["taskId"]);
    assert_eq!(jsmith.send("POST", &path, &[REASON], Some("{}")).await.status, 200);
    assert_eq!(sql.number(left).await, 0, "somebody has looked at it");
}

async fn of_one_instant_one_value_waits(service: Service) {
    let (jsmith, meter, alice) =
        (User::of(&service, "jsmith").await, User::of(&service, "meter").await, User::of(&service, "alice").await);
    let by_plate = |value: i64, quality: &str, reported: &str| {
        json!({"esiId": ESI, "meterNumber": "E-SAME", "register": "delivered", "readAt": "2025-06-02T06:00:00Z",
            "value": value, "quality": quality, "reportedAt": reported})
    };
    let (early, late, later) = ("2025-06-02T07:00:00Z", "2025-06-02T08:00:00Z", "2025-06-02T09:00:00Z");
    // In one batch, and in one after the other.
    let lines = [by_plate(1, "estimated", early), by_plate(3, "actual", late), by_plate(2, "actual", early)];
    for lines in [&lines[..1], &lines, &lines, &[by_plate(4, "estimated", later)], &lines[2..]] {
        let parked = i64::try_from(lines.len()).unwrap();
        assert_eq!(counts(&report(&meter, lines).await).0, [0, 0, parked, 0]);
    }
    let id = register(&jsmith, "E-SAME").await;
    let by_id = |value: i64, reported: &str| {
        json!({"meterId": id, "register": "delivered", "readAt": "2025-06-03T06:00:00Z", "value": value,
            "quality": "actual", "reportedAt": reported})
    };
    for line in [by_id(5, early), by_id(6, late), by_id(5, early)] {
        assert_eq!(counts(&report(&meter, &[line]).await).0, [0, 0, 1, 0]);
    }
    let sql = Sql::of(service.db.location()).await;
    assert_eq!(sql.number("SELECT count(*) FROM parked_reading").await, 2);
    install(&jsmith, &id).await;
    assert_eq!(sql.number("SELECT count(*) FROM parked_reading").await, 0);
    let shown = alice.get(&format!("/api/meters/{id}/readings?order=asc&include=superseded")).await.json();
    let shown = shown["readings"].as_array().unwrap();
    assert_eq!(shown.iter().map(|reading| reading["value"].clone()).collect::<Vec<_>>(), [json!(3), json!(6)]);
}
