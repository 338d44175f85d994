//! The examples of the API description are what the demonstration answers: they are read by people who then try them.
//!
//! With `UPDATE_EXAMPLES=1` this writes the files instead.

use std::path::Path;

use serde_json::Value;
use server::api::routes;
use similar_asserts::assert_eq;
use store::EngineKind;

use crate::{ask::User, support::Service};

/// Who asks for what, where it is not alice for her first resource of the kind.
const ASKED: &[(&str, &str, &str)] = &[
    ("listMoves", "carol", ""),
    ("getMove", "carol", ""),
    ("listMarketRequests", "market", ""),
    ("listReadingsForStaff", "alice", "?from=2025-01-09"),
    ("getCustomerSummary", "carol", ""),
    ("listReadings", "alice", "?from=2025-01-09"),
    ("getMeterUsage", "alice", "?from=2025-01-08&to=2025-01-12"),
    ("getAccountUsage", "alice", "?from=2025-01-08&to=2025-01-12"),
    ("fetchCustomers", "billing", "?ids=1,2"),
    ("fetchAccounts", "billing", "?ids=1001"),
    ("fetchPremises", "market", "?ids=2001"),
    ("fetchMeters", "meter", "?ids=3001"),
];

/// What tells of the moment at which it is asked: the members are compared, and not what they hold.
const OF_THE_MOMENT: [&str; 4] = ["getTimeline", "getCustomerTimeline", "getAccessLog", "listAudit"];

/// The members of the first entry.
fn members(text: &str) -> Option<Vec<String>> {
    let body: Value = serde_json::from_str(text).unwrap();
    body["entries"][0].as_object().map(|entry| entry.keys().cloned().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_are_what_the_demonstration_answers() {
    let service = Service::start(EngineKind::Sqlite).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/examples");
    let mut seen = Vec::new();
    // One move, which is planned by the real clock.
    let planned = service.app.zone.date(domain::time::Clock::now(&*service.clock)).plus_days(30).to_string();
    let body = serde_json::json!({"date": planned, "esiIds": ["10443720009999901"], "address":
        {"street": "9 Elm Street", "city": "Anytown", "state": "TX", "zip": "75001"}});
    let carol = User::of(&service, "carol").await;
    let made = carol.send("POST", "/api/accounts/1006/premises", &[], Some(&body.to_string())).await;
    assert_eq!(made.status, 201, "{}", made.body);
    for route in routes() {
        for text in [route.example, route.input_example] {
            assert!(text.is_empty() || serde_json::from_str::<Value>(text).is_ok(), "{}: {text}", route.action);
        }
        if !route.reads() {
            continue;
        }
        let (user, query) = ASKED
            .iter()
            .find(|(action, ..)| *action == route.action)
            .map_or(("alice", ""), |(_, user, query)| (*user, *query));
        let path = [
            ("{customerId}", "1"),
            ("{accountId}", "1001"),
            ("{premiseId}", "2001"),
            ("{meterId}", "3001"),
            ("{moveId}", "7001"),
            ("{enrollmentId}", "5001"),
        ];
        let path = path.iter().fold(route.path.to_owned(), |path, (name, id)| path.replace(name, id));
        let user = if path.starts_with("/api/admin") { "mjones" } else { user };
        let reason = [("x-access-reason", "complaint")];
        let answer = User::of(&service, user).await.send("GET", &format!("{path}{query}"), &reason, None).await;
        assert_eq!(answer.status, 200, "{path}");
        // The demonstration's issuer is its address, which is another one at each start.
        let body = answer.body.replace(&service.base, "http://127.0.0.1:8080").replace(&planned, "2025-02-14");
        if OF_THE_MOMENT.contains(&route.action) {
            let own = members(route.example);
            assert!(
                own.is_some() && members(&answer.body).is_none_or(|members| Some(members) == own),
                "{}",
                answer.body
            );
        } else if std::env::var("UPDATE_EXAMPLES").is_ok() {
            std::fs::write(folder.join(format!("{}.json", route.action)), format!("{body}\n")).unwrap();
        } else {
            assert_eq!(route.example.trim_end(), body, "{}: run this test with UPDATE_EXAMPLES=1", route.action);
        }
        seen.push(route.action);
    }
    assert!(seen.len() > 15, "{seen:?}");
}
