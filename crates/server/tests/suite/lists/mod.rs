//! Lists, cursors and readings.

mod usage;

use domain::time::Instant;
use serde_json::Value;
use similar_asserts::assert_eq;
use store::audit::Outcome;

use crate::{
    ask::{self, User, records},
    on_both_engines,
    process::Sql,
    support::Service,
};

on_both_engines! {
    page_by_page_is_all_at_once,
    a_service_point_without_a_meter_takes_no_place,
    cursors_are_bound,
    readings_in_order_and_window,
    superseded_readings_are_shown_on_request,
    readings_as_csv,
    events_are_listed_in_their_order,
}

/// All items of a list, a page of `limit` after another.
async fn pages(user: &User<'_>, path: &str, list: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor): (Vec<Value>, _) = (Vec::new(), String::new());
    let sign = if path.contains('?') { '&' } else { '?' };
    loop {
        let answer = user.get(&format!("{path}{sign}limit={limit}{cursor}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let body = answer.json();
        let page = body[list].as_array().unwrap();
        assert!(!page.is_empty() && page.len() <= limit, "{path}: {}", page.len());
        items.extend(page.clone());
        match body["nextCursor"].as_str() {
            Some(next) => {
                assert_eq!(page.len(), limit, "a page before the last one is full");
                cursor = format!("&cursor={next}");
            }
            None => return items,
        }
    }
}

async fn page_by_page_is_all_at_once(service: Service) {
    let (bob, carol) = (User::of(&service, "bob").await, User::of(&service, "carol").await);
    for (user, path, list, count) in [
        (&carol, "/api/accounts", "accounts", 3),
        (&carol, "/api/accounts/1005/premises", "premises", 2),
        (&bob, "/api/accounts/1003/premises", "premises", 2),
        (&bob, "/api/premises/2003/meters", "meters", 2),
        (&bob, "/api/meters/3002/readings?from=2025-01-10", "readings", 12),
    ] {
        let all = user.get(path).await.json();
        assert_eq!(all["nextCursor"], Value::Null, "{path}");
        let all = all[list].as_array().unwrap().clone();
        assert_eq!(all.len(), count, "{path}");
        for limit in [1, 2, 3, count] {
            assert_eq!(pages(user, path, list, limit).await, all, "{path} by {limit}");
        }
    }
    // Every account as in its detail.
    for account in carol.get("/api/accounts").await.json()["accounts"].as_array().unwrap() {
        assert_eq!(*account, carol.get(&format!("/api/accounts/{}", account["accountId"])).await.json());
    }
    // 801 readings of a meter with two registers, in pages of the default size: no gap, none twice.
    let readings = pages(&bob, "/api/meters/3002/readings", "readings", 100).await;
    assert_eq!(
        readings,
        bob.get("/api/meters/3002/readings?limit=5000").await.json()["readings"].as_array().unwrap().clone()
    );
    let first = bob.get("/api/meters/3002/readings").await.json();
    assert_eq!(first["readings"].as_array().unwrap().len(), 100, "the default");
}

async fn a_service_point_without_a_meter_takes_no_place(service: Service) {
    ask::enrol_dave(&service, None).await;
    let bob = User::of(&service, "bob").await;
    let path = "/api/premises/2003/meters";
    let before = bob.get(path).await.json();
    let before = before["meters"].as_array().unwrap();
    // Dave's service points have no meters: bob's premise gets one of them besides its own.
    let sql = "INSERT INTO premise_service_point (customer_id, premise_id, service_point_id) VALUES (2, 2003, 4090)";
    Sql::of(service.db.location()).await.main_batch(sql).await;
    for limit in [1, 2, 3] {
        assert_eq!(pages(&bob, path, "meters", limit).await, *before, "by {limit}");
    }
    // Nothing at all is an empty list where the premise is one's own.
    let dave = User::of(&service, "dave").await;
    for limit in ["", "?limit=1"] {
        let empty = dave.get(&format!("/api/premises/2090/meters{limit}")).await;
        assert_eq!((empty.status.as_u16(), empty.body.as_str()), (200, r#"{"meters":[],"nextCursor":null}"#));
        assert_eq!(dave.get(&format!("/api/premises/2003/meters{limit}")).await.status, 404);
    }
}

async fn cursors_are_bound(service: Service) {
    let (alice, bob, carol) =
        (User::of(&service, "alice").await, User::of(&service, "bob").await, User::of(&service, "carol").await);
    let next = |body: &Value| body["nextCursor"].as_str().unwrap().to_owned();
    let accounts = next(&carol.get("/api/accounts?limit=1").await.json());
    let filters = "order=asc&from=2025-01-01";
    let readings = next(&bob.get(&format!("/api/meters/3005/readings?limit=1&{filters}")).await.json());
    // With its own caller, operation and filters it goes on, whatever the limit and the order of parameters.
    for (user, path) in [
        (&carol, format!("/api/accounts?cursor={accounts}")),
        (&carol, format!("/api/accounts?limit=2&cursor={accounts}")),
        (&bob, format!("/api/meters/3005/readings?{filters}&cursor={readings}")),
        (&bob, format!("/api/meters/3005/readings?cursor={readings}&from=2025-01-01&order=asc&limit=7")),
    ] {
        assert_eq!(user.get(&path).await.status, 200, "{path}");
    }
    let flip = |cursor: &str, at: usize| {
        let mut bytes = cursor.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let middle = accounts.len() / 2;
    for (user, path) in [
        (&bob, format!("/api/accounts?cursor={accounts}")),
        (&alice, format!("/api/accounts?cursor={accounts}")),
        (&carol, format!("/api/accounts/1005/premises?cursor={accounts}")),
        (&carol, format!("/api/accounts?cursor={}", flip(&accounts, 0))),
        (&carol, format!("/api/accounts?cursor={}", flip(&accounts, 8))),
        (&carol, format!("/api/accounts?cursor={}", flip(&accounts, middle))),
        (&carol, format!("/api/accounts?cursor={}", &accounts[..accounts.len() - 2])),
        (&carol, format!("/api/accounts?cursor={accounts}{accounts}")),
        (&carol, "/api/accounts?cursor=".to_owned()),
        (&carol, "/api/accounts?cursor=AAAAAAAAA".to_owned()),
        (&bob, format!("/api/meters/3005/readings?cursor={readings}")),
        (&bob, format!("/api/meters/3005/readings?order=desc&from=2025-01-01&cursor={readings}")),
        (&bob, format!("/api/meters/3005/readings?order=asc&from=2025-01-02&cursor={readings}")),
        (&bob, format!("/api/meters/3005/readings?{filters}&include=superseded&cursor={readings}")),
        (&bob, format!("/api/meters/3002/readings?{filters}&cursor={readings}")),
    ] {
        let answer = user.get(&path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.errors()),
            (400, vec!["cursor:invalid-cursor".to_owned()]),
            "{path}"
        );
    }
}

fn instants(readings: &[Value]) -> Vec<Instant> {
    readings.iter().map(|r| Instant::parse(r["readAt"].as_str().unwrap()).unwrap()).collect()
}

async fn readings_in_order_and_window(service: Service) {
    let alice = User::of(&service, "alice").await;
    let list = async |query: &str| {
        let answer = alice.get(&format!("/api/meters/3001/readings?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        answer.json()["readings"].as_array().unwrap().clone()
    };
    let newest = list("limit=5000").await;
    let at = instants(&newest);
    assert!(at.is_sorted_by(|a, b| a > b), "newest first");
    let mut oldest = list("limit=5000&order=asc").await;
    assert_eq!(oldest[0]["usage"], Value::Null, "the first reading of the occupancy");
    oldest.reverse();
    assert_eq!(oldest, newest, "the same, the other way round");
    assert_eq!(list("order=desc&include=current&limit=5000").await, newest, "the defaults");
    let sample = r#"{"readingId":90017,"register":"delivered","readAt":"2025-01-10T06:00:00Z","readingDate":"2025-01-10","value":1245,"quality":"actual","usage":34,"rollover":false,"revision":1,"correctedAt":null}"#;
    assert_eq!(newest[0], serde_json::from_str::<Value>(sample).unwrap());
    assert_eq!(newest.iter().filter(|r| r["rollover"] == true).count(), 1, "the register started over once");
    // From is inclusive, to exclusive; a date is its local midnight.
    let (from, to) = ("2025-01-03T06:00:00Z", "2025-01-06T06:00:00Z");
    let window = list(&format!("from={from}&to={to}")).await;
    let dates: Vec<_> = window.iter().map(|r| r["readingDate"].as_str().unwrap().to_owned()).collect();
    assert_eq!(dates, ["2025-01-05", "2025-01-04", "2025-01-03"]);
    assert_eq!(list("from=2025-01-03&to=2025-01-06").await, window);
    assert_eq!(list("from=2025-01-03T00:00:00-06:00&to=2025-01-06T08:00:00%2B02:00").await, window);
    assert_eq!(list("from=2025-01-03T06:00:01Z&to=2025-01-06T06:00:01Z").await.len(), 3);
    assert_eq!(list("from=2030-01-01").await.len(), 0);
    // The usage of a page's last reading counts from the one before it, which is not on the page.
    assert!(window.iter().all(|r| r["usage"].is_number()));
    let values = |r: &Value| r["value"].as_i64().unwrap();
    assert_eq!(window[0]["usage"].as_i64().unwrap(), values(&window[0]) - values(&window[1]));
}

async fn superseded_readings_are_shown_on_request(service: Service) {
    let carol = User::of(&service, "carol").await;
    let list = async |query: &str| {
        carol.get(&format!("/api/meters/3007/readings?limit=5000{query}")).await.json()["readings"]
            .as_array()
            .unwrap()
            .clone()
    };
    let (current, all) = (list("").await, list("&include=superseded").await);
    assert!(all.len() > current.len(), "{} {}", all.len(), current.len());
    assert!(current.iter().all(|r| all.contains(r)), "the current ones are among them, alike");
    let at = instants(&current);
    assert!(at.is_sorted_by(|a, b| a > b), "one revision of each");
    for old in all.iter().filter(|r| !current.contains(r)) {
        assert_eq!(old["quality"], "estimated");
        let new = current.iter().find(|r| r["readAt"] == old["readAt"]).unwrap();
        assert_eq!((new["quality"].as_str(), new["correctedAt"].is_string()), (Some("actual"), true));
        assert!(new["revision"].as_i64() > old["revision"].as_i64());
    }
    assert_eq!(pages(&carol, "/api/meters/3007/readings?include=superseded", "readings", 7).await, all);
}

async fn readings_as_csv(service: Service) {
    let bob = User::of(&service, "bob").await;
    let csv = async |query: &str, accept: &str| {
        bob.send(
            "GET",
            &format!("/api/meters/3002/readings{query}"),
            &[("accept", accept), ("x-request-id", "csv")],
            None,
        )
        .await
    };
    let answer = csv("", "text/csv").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/csv; charset=utf-8"), "{}", answer.header("content-type"));
    assert!(answer.header("content-disposition").starts_with("attachment"));
    let mut lines = answer.body.split("\r\n");
    let head = "readingId,register,readAt,readingDate,value,unit,quality,usage,rollover,revision,correctedAt";
    assert_eq!(lines.next(), Some(head));
    assert!(answer.body.ends_with("\r\n"), "every line ends with CRLF");
    let json = bob.get("/api/meters/3002/readings?limit=5000").await.json();
    let readings = json["readings"].as_array().unwrap();
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), readings.len(), "all of them: streams have no cap");
    for (line, reading) in lines.iter().zip(readings) {
        let cell = |name: &str| match &reading[name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let names = [
            "readingId",
            "register",
            "readAt",
            "readingDate",
            "value",
            "-",
            "quality",
            "usage",
            "rollover",
            "revision",
            "correctedAt",
        ];
        let row: Vec<String> = names.iter().map(|n| if *n == "-" { "kWh".into() } else { cell(n) }).collect();
        assert_eq!(*line, row.join(","));
    }
    // Audited before the first byte with its bounds, and at the end with its counts.
    let audited = records(&service, "csv").await;
    let mut outcomes: Vec<_> = audited.iter().map(|r| (r.outcome, r.detail.clone().unwrap_or_default())).collect();
    outcomes.sort();
    assert!(outcomes[0].1.starts_with("readings from="), "{outcomes:?}");
    assert_eq!(outcomes[1], (Outcome::Ended, format!("readings={}", readings.len())));
    let window = csv("?from=2025-01-13&order=asc&include=superseded", "text/csv;q=0.9, application/json;q=0.1").await;
    let dates: Vec<&str> = window.body.lines().skip(1).map(|line| line.split(',').nth(3).unwrap()).collect();
    assert!(dates.is_sorted() && dates[0] == "2025-01-13" && dates.len() == 6, "{dates:?}");
    // A cursor of the same list is taken and has no effect, like a limit.
    let first = bob.get("/api/meters/3002/readings?limit=2").await.json();
    let cursor = first["nextCursor"].as_str().unwrap();
    assert_eq!(csv(&format!("?limit=2&cursor={cursor}"), "text/csv").await.body, answer.body);
    for (query, accept, code) in
        [("?from=x", "text/csv", "from:invalid-date"), ("?cursor=x", "text/csv", "cursor:invalid-cursor")]
    {
        let refused = csv(query, accept).await;
        // A refusal is a problem in JSON, whatever form was asked for.
        assert_eq!((refused.status.as_u16(), refused.errors()), (400, vec![code.to_owned()]));
    }
}

async fn events_are_listed_in_their_order(service: Service) {
    let alice = User::of(&service, "alice").await;
    for name in ["One", "Two"] {
        let edit = format!(r#"{{"nickname":"{name}"}}"#);
        assert_eq!(alice.patch("/api/accounts/1001", &edit).await.status, 200);
    }
    // The clocks of two replicas may differ.
    let earlier =
        "UPDATE outbox SET occurred_at = (SELECT created_at FROM customer WHERE customer_id = 1) WHERE sequence = 2";
    Sql::of(service.db.location()).await.main_batch(earlier).await;
    let sequences: Vec<i64> = ask::events(&service).await.iter().map(|told| told.sequence).collect();
    assert_eq!(sequences, [1, 2]);
}
