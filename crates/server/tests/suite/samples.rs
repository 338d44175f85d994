//! The spec's samples are law: at the demonstration's anchor the answers equal them to the byte, members in the
//! sample's order, `142.50` with both decimals.

use similar_asserts::assert_eq;

use crate::{on_both_engines, support::Service};

on_both_engines! { the_samples_of_the_spec, every_get_put_back_changes_nothing }

/// The sample's text without the blanks between its tokens; no text in the samples holds two blanks or a blank
/// behind a colon or comma but these.
fn compact(sample: &str) -> String {
    let lines: String = sample.lines().map(str::trim).collect();
    lines.replace("\": ", "\":")
}

async fn the_samples_of_the_spec(service: Service) {
    for (user, path, sample) in [
        ("alice", "/api/customer", include_str!("samples/customer.json")),
        ("bob", "/api/customer", include_str!("samples/business.json")),
        ("alice", "/api/accounts/1001", include_str!("samples/account.json")),
        ("carol", "/api/customer/summary", include_str!("samples/summary.json")),
        ("alice", "/api/meters/3001", include_str!("samples/meter.json")),
        ("alice", "/api/preferences", include_str!("samples/preferences.json")),
        ("alice", "/api/accounts/1001/summary", include_str!("samples/account-summary.json")),
        ("alice", "/api/premises/2001", include_str!("samples/premise.json")),
    ] {
        let answer = service.get(user, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.body, compact(sample), "{path}");
    }
}

async fn every_get_put_back_changes_nothing(service: Service) {
    for user in ["alice", "bob", "carol"] {
        let mut paths: Vec<String> =
            ["/api/customer", "/api/preferences", "/api/preferences/notifications", "/api/preferences/communication"]
                .map(str::to_owned)
                .to_vec();
        for account in service.get(user, "/api/accounts").await.json()["accounts"].as_array().unwrap() {
            paths.push(format!("/api/accounts/{}", account["accountId"]));
            for premise in account["premises"].as_array().unwrap() {
                paths.push(format!("/api/premises/{}", premise["premiseId"]));
            }
        }
        for path in paths {
            let before = service.get(user, &path).await;
            let put = service.put(user, &path, &before.body).await;
            assert_eq!(put.status, 200, "{path}: {}", put.body);
            assert_eq!((&put.body, put.header("etag")), (&before.body, before.header("etag")), "{path}");
        }
    }
    let events = store::outbox::list(&service.store, true, None, 10).await.unwrap();
    assert_eq!(events, [], "nothing changed, so nothing is told");
}
