//! Windows, buckets and sums of usage.

use std::time::Duration;

use domain::time::{HOUR, Instant};
use serde_json::Value;
use similar_asserts::assert_eq;

use crate::{
    ask::{self, User},
    on_both_engines,
    process::Sql,
    support::Service,
};

on_both_engines! {
    windows_of_readings_and_usage,
    usage_adds_up_whatever_the_buckets,
    days_of_23_and_25_hours,
    parts_add_up_to_each_other,
    summaries_count_what_usage_counts,
    what_nobody_read_is_null,
    a_meter_that_nobody_read_is_missing_in_its_account,
    a_meter_that_was_removed_is_not_missed,
    a_missing_received_reading_harms_its_own_bucket_alone,
    days_that_a_meter_does_not_serve_are_no_buckets,
    many_meters_by_the_hour_are_bounded_and_hold_up_nobody,
}

async fn windows_of_readings_and_usage(service: Service) {
    let alice = User::of(&service, "alice").await;
    for path in [
        "/api/meters/3001/readings",
        "/api/meters/3001/usage",
        "/api/accounts/1001/usage",
        "/api/usage",
        "/api/accounts/1001/summary",
        "/api/customer/summary",
    ] {
        for (query, error) in [
            ("from=2025-01-01T00:00:00", "from:missing-offset"),
            ("from=2025-01-01T00:00:00+02:00", "from:missing-offset"),
            ("to=2025-01-01T00:00:00%2002:00", "to:missing-offset"),
            ("from=2025-02-30", "from:invalid-date"),
            ("from=2025-02-30T00:00:00Z", "from:invalid-date"),
            ("from=yesterday", "from:invalid-date"),
            ("from=", "from:invalid-date"),
            ("from=1736899200", "from:invalid-date"),
            ("from=2025-01-02&to=2025-01-02", "from:invalid-window"),
            ("from=2025-01-03&to=2025-01-02", "from:invalid-window"),
            ("from=2025-01-01&from=2025-01-02", "from:duplicate-parameter"),
        ] {
            let answer = alice.get(&format!("{path}?{query}")).await;
            assert_eq!((answer.status.as_u16(), answer.errors()), (400, vec![error.to_owned()]), "{path}?{query}");
        }
        let message = alice.get(&format!("{path}?from=2025-01-01T00:00:00+02:00")).await.body;
        assert!(message.contains("%2B"), "{message}");
        let both = alice.get(&format!("{path}?from=x&to=y")).await;
        assert_eq!(both.errors(), ["from:invalid-date", "to:invalid-date"], "{path}");
        assert_eq!(alice.get(&format!("{path}?from=2025-01-01&to=2025-01-02")).await.status, 200, "{path}");
    }
    let answer = alice.get("/api/meters/3001/usage?groupBy=hour&from=2023-01-01&to=2025-01-01").await;
    assert_eq!(answer.errors(), ["from:too-many-buckets"]);
    assert_eq!(alice.get("/api/meters/3001/usage?groupBy=minute").await.errors(), ["groupBy:invalid-value"]);
    assert_eq!(alice.get("/api/usage?by=customer").await.errors(), ["by:invalid-value"]);
    assert_eq!(
        alice.get("/api/meters/3001/readings?order=up&include=all").await.errors(),
        ["order:invalid-value", "include:invalid-value"]
    );
    for (limit, status) in [("1", 200), ("5000", 200), ("5001", 400), ("0", 400), ("-1", 400)] {
        assert_eq!(alice.get(&format!("/api/meters/3001/readings?limit={limit}")).await.status, status, "{limit}");
    }
}

/// Thousandths of a quantity as it was written.
fn thousandths(value: &Value) -> i64 {
    let text = value.to_string();
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{part:0<3}").parse().unwrap()
}

async fn usage_adds_up_whatever_the_buckets(service: Service) {
    let (alice, bob) = (User::of(&service, "alice").await, User::of(&service, "bob").await);
    // Whole days, so that days, weeks and months have their edges at readings.
    let window = "from=2024-10-01&to=2025-01-10";
    for (user, path) in
        [(&alice, "/api/meters/3001/usage"), (&bob, "/api/meters/3002/usage"), (&bob, "/api/accounts/1003/usage")]
    {
        let mut totals = Vec::new();
        for by in ["hour", "day", "week", "month", "reading"] {
            let answer = user.get(&format!("{path}?{window}&groupBy={by}")).await;
            assert_eq!(answer.status, 200, "{path} {by}: {}", answer.body);
            let body = answer.json();
            assert_eq!((body["groupBy"].as_str(), body["timeZone"].as_str()), (Some(by), Some("America/Chicago")));
            assert_eq!((body["from"].as_str(), body["to"].as_str()), (Some("2024-10-01"), Some("2025-01-10")));
            // Of account 1003, one meter was exchanged for another: each counts only while it served.
            assert_eq!(body["complete"], true, "{path} {by}");
            let buckets = body["buckets"].as_array().unwrap();
            if by != "reading" || path != "/api/accounts/1003/usage" {
                assert_eq!(buckets[0]["start"], "2024-10-01T05:00:00Z");
                assert_eq!(buckets[buckets.len() - 1]["end"], "2025-01-10T06:00:00Z");
                assert!(buckets.windows(2).all(|two| two[0]["end"] == two[1]["start"]), "no gap: {path} {by}");
            }
            let sum: i64 = buckets.iter().map(|b| thousandths(&b["usage"])).sum();
            assert_eq!(sum, thousandths(&body["total"]), "{path} {by}");
            if !body["received"].is_null() && by != "reading" {
                let received: i64 = buckets.iter().map(|b| thousandths(&b["received"])).sum();
                assert_eq!(received, thousandths(&body["received"]), "{path} {by}");
            }
            if by == "week" {
                assert_eq!(buckets[1]["localDate"], "2024-10-07", "from Monday, clipped to the window");
            }
            if by == "month" {
                let dates: Vec<_> = buckets.iter().map(|b| b["localDate"].as_str().unwrap()).collect();
                assert_eq!(dates, ["2024-10-01", "2024-11-01", "2024-12-01", "2025-01-01"]);
            }
            if by == "hour" && path != "/api/accounts/1003/usage" {
                assert!(buckets.iter().all(|b| b["quality"] == "estimated"), "edges between readings are interpolated");
            }
            totals.push(body["total"].clone());
        }
        totals.dedup();
        assert_eq!(totals.len(), 1, "{path}: {totals:?}");
    }
    // Over the exchange of 2024-08-18, and from before anybody's meter was there.
    for (path, window) in [
        ("/api/accounts/1003/usage", "from=2024-08-01&to=2024-09-01"),
        ("/api/accounts/1003/usage", "from=2024-01-01&to=2025-01-10"),
        ("/api/meters/3003/usage", "from=2024-08-01&to=2024-09-01"),
        ("/api/meters/3004/usage", "from=2024-08-01&to=2024-09-01"),
    ] {
        for by in ["day", "week", "month"] {
            let body = bob.get(&format!("{path}?{window}&groupBy={by}")).await.json();
            let known = body["buckets"].as_array().unwrap().iter().filter(|b| b["usage"].is_number());
            let sum: i64 = known.map(|b| thousandths(&b["usage"])).sum();
            assert_eq!((sum, &body["complete"]), (thousandths(&body["total"]), &true.into()), "{path} {window} {by}");
        }
    }
    // A day's usage is that day's advance.
    let reading =
        alice.get("/api/meters/3001/readings?from=2025-01-10&to=2025-01-11").await.json()["readings"][0].clone();
    let day = alice.get("/api/meters/3001/usage?from=2025-01-09&to=2025-01-10").await.json();
    assert_eq!((&day["buckets"][0]["usage"], &day["total"]), (&reading["usage"], &reading["usage"]));
    let bob = bob.get("/api/meters/3002/usage?from=2025-01-01&to=2025-01-02").await.json();
    assert!(
        bob["received"].is_number() && bob["buckets"][0]["received"] == bob["received"],
        "generation stands apart: {bob}"
    );
}

async fn days_of_23_and_25_hours(service: Service) {
    let alice = User::of(&service, "alice").await;
    for (from, to, hours) in
        [("2024-03-10", "2024-03-11", 23), ("2024-11-03", "2024-11-04", 25), ("2024-07-01", "2024-07-02", 24)]
    {
        let body = alice.get(&format!("/api/meters/3001/usage?from={from}&to={to}&groupBy=hour")).await.json();
        let buckets = body["buckets"].as_array().unwrap();
        assert_eq!(buckets.len(), hours, "{from}");
        let at = |b: &Value, end: &str| Instant::parse(b[end].as_str().unwrap()).unwrap();
        assert!(buckets.iter().all(|b| at(b, "end").since(at(b, "start")) == HOUR && b["localDate"] == from), "{from}");
        let sum: i64 = buckets.iter().map(|b| thousandths(&b["usage"])).sum();
        assert_eq!(sum, thousandths(&body["total"]), "{from}");
        let day = alice.get(&format!("/api/meters/3001/usage?from={from}&to={to}")).await.json();
        assert_eq!(
            (day["buckets"].as_array().unwrap().len(), &day["buckets"][0]["usage"]),
            (1, &body["total"]),
            "{from}"
        );
        assert_eq!(day["buckets"][0]["quality"], "actual", "{from}: a day has its edges at readings: {day}");
    }
}

async fn parts_add_up_to_each_other(service: Service) {
    let users = ["alice", "bob", "carol"];
    for (name, accounts, premises, meters) in [(users[0], 1, 1, 1), (users[1], 2, 3, 3), (users[2], 3, 5, 6)] {
        let user = User::of(&service, name).await;
        for window in ["", "&from=2024-12-01&to=2025-01-01", "&from=2024-02-11T13:30:00Z&to=2024-05-05T01:01:01Z"] {
            let mut totals = Vec::new();
            for (by, id, count) in
                [("account", "accountId", accounts), ("premise", "premiseId", premises), ("meter", "meterId", meters)]
            {
                let body = user.get(&format!("/api/usage?by={by}{window}")).await.json();
                let rows = body["usage"].as_array().unwrap();
                assert!(rows.len() >= count, "{name} {by}: {rows:?}");
                let ids: Vec<i64> = rows.iter().map(|row| row[id].as_i64().unwrap()).collect();
                assert!(
                    ids.is_sorted()
                        && rows
                            .iter()
                            .all(|r| r.as_object().unwrap().keys().filter(|k| k.ends_with("Id")).count() == 1)
                );
                let known = rows.iter().filter(|row| row["total"].is_number());
                assert_eq!(
                    known.map(|row| thousandths(&row["total"])).sum::<i64>(),
                    thousandths(&body["total"]),
                    "{name} {by}"
                );
                if by == "account" {
                    for row in rows {
                        let query = window.trim_start_matches('&');
                        let one = user.get(&format!("/api/accounts/{}/usage?{query}", row[id])).await.json();
                        assert_eq!(
                            (&one["total"], &one["received"]),
                            (&row["total"], &row["received"]),
                            "{name} {window}"
                        );
                    }
                }
                totals.push((body["total"].clone(), body["received"].clone()));
            }
            totals.dedup();
            assert_eq!(totals.len(), 1, "{name}{window}: {totals:?}");
        }
    }
}

async fn summaries_count_what_usage_counts(service: Service) {
    for name in ["alice", "bob", "carol"] {
        let user = User::of(&service, name).await;
        for window in ["", "from=2024-12-01&to=2025-01-01"] {
            let (summary, usage) = (
                user.get(&format!("/api/customer/summary?{window}")).await.json(),
                user.get(&format!("/api/usage?{window}")).await.json(),
            );
            assert_eq!(summary["usageByType"]["electric"]["usage"], usage["total"], "{name} {window}");
            for row in usage["usage"].as_array().unwrap() {
                let path = format!("/api/accounts/{}/summary?{window}", row["accountId"]);
                let account = user.get(&path).await.json();
                assert_eq!(account["usageByType"]["electric"]["usage"], row["total"], "{name} {path}");
            }
        }
    }
}

async fn what_nobody_read_is_null(service: Service) {
    let alice = User::of(&service, "alice").await;
    // The newest reading is of 2025-01-10; the future has none.
    let body = alice.get("/api/meters/3001/usage?from=2025-01-08&to=2025-01-13").await.json();
    let usages: Vec<_> = body["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| (b["usage"].is_number(), b["quality"].as_str().unwrap()))
        .collect();
    assert_eq!(
        usages,
        [(true, "actual"), (true, "actual"), (false, "missing"), (false, "missing"), (false, "missing")]
    );
    assert_eq!(
        (body["complete"].as_bool(), body["total"].is_number()),
        (Some(false), true),
        "the total covers what is there"
    );
    let body = alice.get("/api/meters/3001/usage?from=2031-01-01&to=2031-01-02").await.json();
    assert_eq!(
        (&body["total"], body["quality"].as_str(), body["complete"].as_bool()),
        (&Value::Null, Some("missing"), Some(false))
    );
    let summary = alice.get("/api/customer/summary?from=2031-01-01&to=2031-01-02").await.json();
    assert_eq!(summary["usageByType"]["electric"]["usage"], Value::Null);
    // No meters: nothing by type.
    ask::enrol_dave(&service, None).await;
    let dave = User::of(&service, "dave").await;
    let summary = dave.get("/api/customer/summary").await.json();
    assert_eq!(summary["usageByType"], serde_json::json!({}));
    assert_eq!(
        (&summary["totalCurrentBalance"], &summary["totalDueAmount"]),
        (&Value::Null, &Value::Null),
        "never reported"
    );
    let usage = dave.get("/api/usage").await.json();
    assert_eq!((&usage["total"], usage["usage"].as_array().map(Vec::len)), (&Value::Null, Some(0)));
}

async fn a_meter_that_was_removed_is_not_missed(service: Service) {
    let bob = User::of(&service, "bob").await;
    let summary = bob.get("/api/accounts/1003/summary").await.json();
    let window = format!("from={}&to={}", summary["usageFrom"].as_str().unwrap(), summary["usageTo"].as_str().unwrap());
    let usage = bob.get(&format!("/api/accounts/1003/usage?{window}")).await.json();
    assert_eq!((&summary["usageComplete"], &usage["complete"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!(summary["usageByType"]["electric"]["usage"], usage["total"]);
}

async fn a_meter_that_nobody_read_is_missing_in_its_account(service: Service) {
    let (carol, sql) = (User::of(&service, "carol").await, Sql::of(service.db.location()).await);
    let path = "/api/accounts/1004/usage?from=2025-01-01&to=2025-01-08";
    let whole = carol.get(path).await.json();
    assert_eq!(whole["complete"], true);
    let last = "DELETE FROM reading WHERE reading_id IN (SELECT reading_id FROM reading WHERE meter_id = 3007
        AND register = 'delivered' ORDER BY read_at DESC LIMIT 12)";
    sql.main_batch(last).await;
    let body = carol.get(path).await.json();
    assert_eq!(body["complete"], false);
    let known: Vec<bool> = body["buckets"].as_array().unwrap().iter().map(|b| b["usage"].is_number()).collect();
    assert!(known[0] && !known[6], "what the others used is not the account's usage: {known:?}");
    sql.main_batch("DELETE FROM reading WHERE meter_id = 3007").await;
    let body = carol.get(path).await.json();
    assert_eq!((body["complete"].as_bool(), body["total"].is_number()), (Some(false), true));
    assert!(body["buckets"].as_array().unwrap().iter().all(|b| b["usage"].is_null() && b["quality"] == "missing"));
    let parts = carol.get("/api/usage?by=account&from=2025-01-01&to=2025-01-08").await.json();
    let row = parts["usage"].as_array().unwrap().iter().find(|row| row["accountId"] == 1004).unwrap();
    assert_eq!(row["complete"], false, "{row}");
}

async fn a_missing_received_reading_harms_its_own_bucket_alone(service: Service) {
    let bob = User::of(&service, "bob").await;
    let gone = "DELETE FROM reading WHERE reading_id IN (SELECT reading_id FROM reading WHERE meter_id = 3002
        AND register = 'received' ORDER BY read_at DESC LIMIT 1 OFFSET 8)";
    Sql::of(service.db.location()).await.main_batch(gone).await;
    let body = bob.get("/api/meters/3002/usage?groupBy=reading&from=2025-01-01&to=2025-01-11").await.json();
    let known: Vec<bool> = body["buckets"].as_array().unwrap().iter().map(|b| b["received"].is_number()).collect();
    let unknown = known.iter().filter(|known| !**known).count();
    assert_eq!((unknown, known.last()), (2, Some(&true)), "{known:?}");
}

async fn days_that_a_meter_does_not_serve_are_no_buckets(service: Service) {
    // Exchanged for another on 2024-08-18.
    let bob = User::of(&service, "bob").await;
    for (meter, first, last) in [(3003, "2024-08-01", "2024-08-17"), (3004, "2024-08-18", "2024-08-31")] {
        let body = bob.get(&format!("/api/meters/{meter}/usage?from=2024-08-01&to=2024-09-01")).await.json();
        let buckets = body["buckets"].as_array().unwrap();
        let ends = [&buckets[0], &buckets[buckets.len() - 1]].map(|bucket| bucket["localDate"].as_str().unwrap());
        assert_eq!(ends, [first, last], "{meter}");
        assert!(buckets.iter().all(|bucket| bucket["usage"].is_number()), "{meter}: {body}");
    }
}

async fn many_meters_by_the_hour_are_bounded_and_hold_up_nobody(service: Service) {
    let (alice, bob) = (User::of(&service, "alice").await, User::of(&service, "bob").await);
    let more = "WITH RECURSIVE more(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < 499)
        INSERT INTO meter (meter_id, service_point_id, wires_company_id, meter_number, type, status, multiplier, dials,
            registers, installed_on, installed_at, removed_at, version, created_at, updated_at)
        SELECT 900000 + n, service_point_id, wires_company_id, 'M' || n, type, status, multiplier, dials, registers,
            installed_on, installed_at, removed_at, version, created_at, updated_at FROM meter, more WHERE meter_id = 3001";
    Sql::of(service.db.location()).await.main_batch(more).await;
    let year = alice.get("/api/accounts/1001/usage?groupBy=hour&from=2024-01-01&to=2025-01-01").await;
    assert_eq!((year.status.as_u16(), year.errors()), (400, vec!["from:too-many-buckets".to_owned()]));
    assert_eq!(alice.get("/api/meters/3001/usage?groupBy=hour&from=2024-01-01&to=2025-01-01").await.status, 200);
    let month = async {
        let body = alice.get("/api/accounts/1001/usage?groupBy=hour&from=2024-12-01&to=2025-01-01").await.json();
        assert_eq!(body["buckets"].as_array().unwrap().len(), 31 * 24);
    };
    let others = async {
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            let began = std::time::Instant::now();
            assert_eq!(bob.get("/api/customer").await.status, 200);
            longest = longest.max(began.elapsed());
        }
        longest
    };
    let ((), longest) = tokio::join!(month, others);
    assert!(longest < Duration::from_secs(1), "{longest:?}");
}
