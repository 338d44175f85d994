//! What attackers and newcomers found once, so that it does not come back.

use similar_asserts::assert_eq;
use store::audit::Outcome;

use crate::{
    ask::{User, events, records},
    on_both_engines,
    support::Service,
};

on_both_engines! {
    what_is_not_answered_is_recorded_as_refused_once,
    a_change_is_never_answered_with_not_modified,
    a_short_request_gets_a_short_answer,
    every_value_of_a_header_counts,
    a_kept_answer_is_authorized_anew,
    an_exchanged_meter_leaves_no_gap,
    an_idempotency_key_answers_once_and_for_one_content,
}

async fn what_is_not_answered_is_recorded_as_refused_once(service: Service) {
    let alice = User::of(&service, "alice").await;
    for (id, path) in [("hours-meter", "/api/meters/3001/usage"), ("hours-account", "/api/accounts/1001/usage")] {
        let path = format!("{path}?groupBy=hour&from=1900-01-01");
        let answer = alice.send("GET", &path, &[("x-request-id", id)], None).await;
        assert_eq!((answer.status.as_u16(), answer.errors()), (400, vec!["from:too-many-buckets".to_owned()]));
        let outcomes: Vec<_> = records(&service, id).await.iter().map(|r| (r.outcome, r.status)).collect();
        assert_eq!(outcomes, [(Outcome::Refused, 400), (Outcome::Asked, 200)]);
    }
}

async fn a_change_is_never_answered_with_not_modified(service: Service) {
    let alice = User::of(&service, "alice").await;
    let any = [("if-none-match", "*"), ("content-type", "application/merge-patch+json")];
    let answer = alice.send("PATCH", "/api/accounts/1001", &any, Some(r#"{"nickname":"Nest"}"#)).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (412, "precondition-failed".to_owned()));
    assert_eq!(events(&service).await.len(), 0);
    let other = [("if-none-match", "\"other\""), ("content-type", "application/merge-patch+json")];
    let answer = alice.send("PATCH", "/api/accounts/1001", &other, Some(r#"{"nickname":"Nest"}"#)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

async fn a_short_request_gets_a_short_answer(service: Service) {
    let alice = User::of(&service, "alice").await;
    let many = alice.get(&format!("/api/accounts?{}", vec!["a"; 5000].join("&"))).await;
    assert_eq!(many.status, 400);
    assert!(many.errors().contains(&"query:too-many-parameters".to_owned()));
    let members: Vec<String> = (0..5000).map(|n| format!("\"m{n}\":0")).collect();
    let body = alice.patch("/api/accounts/1001", &format!("{{{}}}", members.join(","))).await;
    assert_eq!((body.status.as_u16(), body.errors()), (400, vec![":too-many-members".to_owned()]));
    for answer in [many, body] {
        assert!(answer.body.len() < 20_000, "{} bytes", answer.body.len());
    }
}

async fn every_value_of_a_header_counts(service: Service) {
    let alice = User::of(&service, "alice").await;
    let json = ("content-type", "application/merge-patch+json");
    for second in [("content-encoding", "gzip"), ("content-type", "text/plain")] {
        let first = if second.0 == "content-encoding" { (second.0, "identity") } else { json };
        let headers = if first == json { vec![json, second] } else { vec![json, first, second] };
        let answer = alice.send("PATCH", "/api/accounts/1001", &headers, Some("{}")).await;
        assert_eq!(answer.status, 415, "{second:?}");
    }
}

async fn a_kept_answer_is_authorized_anew(service: Service) {
    let (bob, alice) = (User::of(&service, "bob").await, User::of(&service, "alice").await);
    let key = [("idempotency-key", "move-1")];
    let path = "/api/premises/2004/set-primary";
    assert_eq!(bob.send("POST", path, &key, None).await.status, 200);
    let stranger = alice.send("POST", path, &key, None).await;
    assert_eq!((stranger.status.as_u16(), stranger.code()), (404, "not-found".to_owned()));
}

async fn an_idempotency_key_answers_once_and_for_one_content(service: Service) {
    let bob = User::of(&service, "bob").await;
    let key = [("idempotency-key", "\"move-2\"")];
    let first = bob.send("POST", "/api/premises/2004/set-primary", &key, None).await;
    bob.send("POST", "/api/premises/2003/set-primary", &[], None).await;
    let told = events(&service).await.len();
    let again = bob.send("POST", "/api/premises/2004/set-primary", &key, None).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body), "the first answer, though the flag moved on");
    assert_eq!(events(&service).await.len(), told, "and nothing changed");
    let other = bob.send("POST", "/api/premises/2003/set-primary", &key, None).await;
    assert_eq!((other.status.as_u16(), other.code()), (422, "idempotency-key-reused".to_owned()));
    let wrong = bob.send("POST", "/api/premises/2004/set-primary", &[("idempotency-key", "a b")], None).await;
    assert_eq!((wrong.status.as_u16(), wrong.errors()), (400, vec!["Idempotency-Key:invalid-header".to_owned()]));
}

async fn an_exchanged_meter_leaves_no_gap(service: Service) {
    let bob = User::of(&service, "bob").await;
    for window in ["from=2024-12-16&to=2025-01-15", "from=2024-08-16&to=2024-08-21"] {
        let usage = bob.get(&format!("/api/accounts/1003/usage?{window}")).await.json();
        assert_eq!(usage.get("complete").unwrap(), true, "{window}: {usage}");
        let buckets = usage.get("buckets").unwrap().as_array().unwrap();
        let qualities = buckets.iter().map(|bucket| bucket.get("quality").unwrap().as_str().unwrap());
        assert!(qualities.clone().all(|quality| quality == "actual" || quality == "estimated"), "{window}: {usage}");
    }
}
