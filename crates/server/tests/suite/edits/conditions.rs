//! If-Match, If-None-Match, and changes at the same time.

use serde_json::json;
use similar_asserts::assert_eq;
use store::audit::Outcome;

use super::EDITS;
use crate::{
    ask::{User, events, records},
    on_both_engines,
    support::Service,
};

on_both_engines! { conditions_of_changes, known_representations_are_not_sent_again, of_changes_at_once_one_wins, changes_without_conditions_queue_up }

async fn conditions_of_changes(service: Service) {
    let changes = EDITS.map(|(name, path, patch, ..)| (name, "PATCH", path.to_owned(), Some(patch)));
    let primary = ("bob", "POST", "/api/premises/2004/set-primary".to_owned(), None);
    for (name, method, path, body) in changes.into_iter().chain([primary]) {
        let user = User::of(&service, name).await;
        let etag = user.get(path.trim_end_matches("/set-primary")).await.header("etag").to_owned();
        let plain = etag.trim_matches('"');
        assert!(etag.starts_with('"') && etag.len() > 20, "strong: {etag}");
        let ask = |condition: String, body: Option<&'static str>| {
            let (user, path) = (&user, &path);
            async move { user.send(method, path, &[("if-match", &condition)], body).await }
        };
        for wrong in
            ["\"other\"".to_owned(), format!("W/{etag}"), format!("\"{plain}-zstd\""), format!("\"x\", W/{etag}")]
        {
            let answer = ask(wrong.clone(), body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (412, "precondition-failed"),
                "{path} {wrong}"
            );
            assert_eq!(answer.header("etag"), etag, "{path}: the present one");
        }
        for malformed in [plain.to_owned(), format!("{etag} {etag}"), format!("*, {etag}"), "\"".to_owned()] {
            let answer = ask(malformed.clone(), body).await;
            assert_eq!(answer.status, 400, "{path} {malformed}");
            assert_eq!(answer.errors(), ["If-Match:invalid-header"], "{path} {malformed}");
        }
        let nothing = if body.is_some() { Some("{}") } else { None };
        if nothing.is_some() {
            let list = format!("\"x\", W/\"y\" , {etag}");
            for right in ["*".into(), etag.clone(), list, format!("\"{plain}-gzip\""), format!("\"{plain}-br\"")] {
                assert_eq!(ask(right.clone(), nothing).await.status, 200, "{path} {right}");
            }
        }
        let count = events(&service).await.len();
        let done = ask(etag.clone(), body).await;
        assert_eq!(done.status, 200, "{path}: {}", done.body);
        assert!(events(&service).await.len() > count);
        assert_eq!(ask(etag.clone(), body).await.status, 412, "{path}: it is another state now");
    }
}

async fn known_representations_are_not_sent_again(service: Service) {
    let alice = User::of(&service, "alice").await;
    for path in
        ["/api/customer", "/api/accounts/1001", "/api/accounts", "/api/preferences", "/api/meters/3001", "/api/usage"]
    {
        let first = alice.get(path).await;
        let etag = first.header("etag").to_owned();
        let gzip = format!("{}-gzip\"", etag.trim_end_matches('"'));
        for (number, (condition, form)) in [
            (etag.clone(), etag.clone()),
            (format!("W/{etag}"), etag.clone()),
            (format!("\"x\",{gzip}"), gzip.clone()),
            ("*".into(), etag.clone()),
        ]
        .into_iter()
        .enumerate()
        {
            let id = format!("known-{}-{number}", path.replace('/', "."));
            let answer = alice.send("GET", path, &[("if-none-match", &condition), ("x-request-id", &id)], None).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (304, ""), "{path} {condition}");
            assert_eq!(answer.header("etag"), form, "{path} {condition}");
            let audited = records(&service, &id).await;
            assert_eq!(audited.iter().map(|r| r.outcome).collect::<Vec<_>>(), [Outcome::Asked], "{path}: audited");
        }
        for condition in ["\"other\"".to_owned(), format!("\"{etag}")] {
            let answer = alice.send("GET", path, &[("if-none-match", &condition)], None).await;
            assert!(answer.status == 200 || answer.status == 400, "{path} {condition}: {}", answer.status);
        }
    }
    // HEAD takes the condition, too.
    let etag = alice.get("/api/customer").await.header("etag").to_owned();
    let head = alice.send("HEAD", "/api/customer", &[("if-none-match", &etag)], None).await;
    assert_eq!((head.status.as_u16(), head.header("etag")), (304, etag.as_str()));
}

async fn of_changes_at_once_one_wins(service: Service) {
    let alice = User::of(&service, "alice").await;
    for round in 0..5 {
        let etag = alice.get("/api/accounts/1001").await.header("etag").to_owned();
        let bodies: Vec<String> =
            (0..8).map(|n| json!({"nickname": format!("Home {round} {n}")}).to_string()).collect();
        let condition = [("if-match", etag.as_str())];
        let puts = bodies.iter().map(|body| alice.send("PUT", "/api/accounts/1001", &condition, Some(body)));
        let answers = futures_util::future::join_all(puts).await;
        let won: Vec<_> = answers.iter().filter(|a| a.status == 200).collect();
        assert_eq!(won.len(), 1, "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
        let now = alice.get("/api/accounts/1001").await;
        assert_eq!(now.body, won[0].body);
        for lost in answers.iter().filter(|a| a.status != 200) {
            assert_eq!((lost.status.as_u16(), lost.header("etag")), (412, now.header("etag")), "{}", lost.body);
        }
        assert_eq!(events(&service).await.len(), round + 1);
    }
}

async fn changes_without_conditions_queue_up(service: Service) {
    let alice = User::of(&service, "alice").await;
    let bodies: Vec<String> = (0..24).map(|n| json!({"nickname": format!("Home {n}")}).to_string()).collect();
    let patches = bodies.iter().zip(["/api/accounts/1001", "/api/premises/2001"].iter().cycle());
    let answers = futures_util::future::join_all(patches.map(|(body, path)| alice.patch(path, body))).await;
    assert!(answers.iter().all(|a| a.status == 200), "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
    let all = events(&service).await;
    let mut sequences: Vec<i64> = all.iter().map(|event| event.sequence).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=24).collect::<Vec<_>>(), "no gap, none twice");
    for kind in ["CustomerUpdated", "PremiseUpdated"] {
        let mut of: Vec<_> = all.iter().filter(|e| e.kind == kind).collect();
        of.sort_by_key(|event| event.sequence);
        let versions: Vec<_> = of.iter().map(|event| event.data["version"].as_i64().unwrap()).collect();
        assert_eq!(versions, (2..=13).collect::<Vec<_>>(), "{kind}: versions rise with the sequence");
    }
}
