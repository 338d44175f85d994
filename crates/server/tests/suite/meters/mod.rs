//! Meters and what they show: readings as Meter reports them, what staff do with meters, questions and tasks.

mod bench;
mod bodies;
mod parked;
mod questions;
mod reported;
mod staff;

use serde_json::{Value, json};

use crate::{ask::User, support::Answer};

pub const REASON: (&str, &str) = ("x-access-reason", "complaint");

/// One reported reading of meter 3001.
pub fn line(read_at: &str, value: Value, quality: &str, reported_at: &str) -> Value {
    json!({"meterId": 3001, "register": "delivered", "readAt": read_at, "value": value, "quality": quality,
        "reportedAt": reported_at})
}

/// Reports readings, as the Meter service does.
pub async fn report(meter: &User<'_>, lines: &[Value]) -> Answer {
    let body = json!({"readings": lines}).to_string();
    meter.send("POST", "/api/integration/readings", &[], Some(&body)).await
}

/// `accepted, unchanged, parked, rejected` and the codes of the errors.
pub fn counts(answer: &Answer) -> (Vec<i64>, Vec<String>) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    let counts = ["accepted", "unchanged", "parked", "rejected"].map(|name| body[name].as_i64().unwrap());
    let errors = body["errors"].as_array().unwrap().iter();
    (counts.to_vec(), errors.map(|e| format!("{}:{}", e["index"], e["code"].as_str().unwrap())).collect())
}
