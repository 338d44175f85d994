//! Who lives where: moves, the market's part in them, and what each customer sees of a place.

mod foreign;
mod market;
mod occupancies;
mod planned;
mod together;

use domain::time::{Clock, LocalDate};
use serde_json::{Value, json};

use crate::{
    ask::{User, events},
    support::{Answer, Service},
};

pub const REASON: (&str, &str) = ("x-access-reason", "complaint");

/// A place that nobody of the demonstration knows.
pub const ELM: &str = "10443720009999901";
/// Alice's place.
pub const MAIN: &str = "10443720001234567";

pub fn today(service: &Service) -> LocalDate {
    service.app.zone.date(service.clock.now())
}

pub fn day(service: &Service, days: i64) -> String {
    today(service).plus_days(days).to_string()
}

pub fn elm() -> Value {
    json!({"street": "9 Elm Street", "unit": null, "city": "Anytown", "state": "TX", "zip": "75001"})
}

/// A move-in of an account to a place.
pub async fn move_in(user: &User<'_>, path: &str, date: &str, esi_id: &str) -> Answer {
    let body = json!({"date": date, "address": elm(), "esiIds": [esi_id]}).to_string();
    user.send("POST", path, &[REASON], Some(&body)).await
}

pub async fn move_out(user: &User<'_>, path: &str, date: &str) -> Answer {
    user.send("POST", path, &[REASON], Some(&json!({"date": date}).to_string())).await
}

/// What the market reports, a line with its number as the transaction's id.
pub async fn report(market: &User<'_>, lines: &[Value]) -> Value {
    let lines: Vec<Value> = lines.to_vec();
    let body = json!({"transactions": lines}).to_string();
    let answer = market.send("POST", "/api/integration/market-transactions", &[], Some(&body)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

pub fn line(id: &str, kind: &str, more: Value) -> Value {
    let mut line = json!({"transactionId": id, "kind": kind, "occurredAt": "2026-01-16T12:00:00Z"});
    for (name, value) in more.as_object().unwrap() {
        line[name] = value.clone();
    }
    line
}

/// The requests of a status, as the market sees them.
pub async fn requests(market: &User<'_>, status: &str) -> Vec<Value> {
    let answer = market.get(&format!("/api/integration/market-requests?status={status}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["requests"].as_array().unwrap().clone()
}

/// The events of a customer, by kind, in order.
pub async fn told(service: &Service, customer: i64) -> Vec<String> {
    events(service).await.into_iter().filter(|told| told.customer == customer).map(|told| told.kind).collect()
}

/// Does all due jobs.
pub async fn run(service: &Service) {
    while server::app::jobs::round(&service.app).await {}
}
