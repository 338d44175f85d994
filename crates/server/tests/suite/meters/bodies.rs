//! Bodies of readings that are wrong as a whole, or long.

use std::{
    cell::Cell,
    time::{Duration, Instant as Stopwatch},
};

use similar_asserts::assert_eq;
use store::EngineKind;

use super::counts;
use crate::{
    ask::User,
    support::{Answer, Service},
};

const HEADER: &str = "meterId,register,readAt,value,quality,reportedAt\n";

async fn send(meter: &User<'_>, kind: &str, body: &str) -> Answer {
    meter.send("POST", "/api/integration/readings", &[("content-type", kind)], Some(body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_line_of_csv_names_the_members() {
    let service = Service::start(EngineKind::Sqlite).await;
    let meter = User::of(&service, "meter").await;
    let csv = async |body: &str| {
        let answer = send(&meter, "text/csv", body).await;
        assert_eq!(answer.status, 422, "{}", answer.body);
        answer.errors()
    };
    let missing =
        ["/meterId", "/register", "/readAt", "/value", "/quality", "/reportedAt"].map(|at| format!("{at}:missing"));
    assert_eq!(csv("").await, missing, "nothing is no CSV");
    assert_eq!(csv("meterId;register\n").await, [&[":unknown-member".to_owned()], &missing[..]].concat());
    assert_eq!(csv(&HEADER.replace("value", "value,note")).await, [":unknown-member"]);
    assert_eq!(csv(&HEADER.replace("value", "value,value")).await, [":duplicate-member"]);
    assert_eq!(csv(&HEADER.replace("meterId", "esiId")).await, ["/meterId:missing"]);
    assert_eq!(counts(&send(&meter, "text/csv", HEADER).await).0, [0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_line_is_named_by_its_index_alone() {
    let service = Service::start(EngineKind::Sqlite).await;
    let meter = User::of(&service, "meter").await;
    let answer = send(&meter, "application/x-ndjson", "1\n2\n{\"broken\"\n").await;
    assert_eq!(counts(&answer).1, ["0:wrong-type", "1:wrong-type", "2:invalid-json"]);
    let message = answer.json()["errors"][2]["message"].clone();
    assert_eq!(message, "The line is not JSON: column 9.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_so_many_lines_and_no_more() {
    let service = Service::start(EngineKind::Sqlite).await;
    let meter = User::of(&service, "meter").await;
    for (kind, body, at) in [
        ("text/csv", ",\n".repeat(2_000_000), ""),
        ("text/csv", format!("{HEADER}{}", "1,\r".repeat(100_001)), ""),
        ("application/x-ndjson", "1\n".repeat(100_001), ""),
        ("application/json", format!(r#"{{"readings":[1{}]}}"#, ",1".repeat(100_000)), "/readings"),
        ("application/json", format!(r#"{{"readings":[1{}],"more":1}}"#, ",1".repeat(100_000)), "/readings"),
    ] {
        let answer = send(&meter, kind, &body).await;
        assert_eq!(answer.status, 422, "{kind}: {}", answer.body);
        assert_eq!(answer.errors()[0], format!("{at}:too-many-lines"), "{kind}");
    }
    let most = format!("{HEADER}{}", "1,\r\n".repeat(100_000));
    let answer = send(&meter, "text/csv", &most).await;
    assert_eq!((counts(&answer).0, counts(&answer).1.len()), (vec![0, 0, 0, 100_000], 1_000));
}

/// Long bodies in which nothing can be read leave the others their turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_lines_that_cannot_be_read() {
    let service = Service::start(EngineKind::Sqlite).await;
    let (meter, alice) = (User::of(&service, "meter").await, User::of(&service, "alice").await);
    let bad = r#"{"meterId":3001,"register":"delivered","readAt":"soon"}"#;
    let body = format!("{bad}\n").repeat(100_000);
    let (began, last, longest) = (Stopwatch::now(), Cell::new(Stopwatch::now()), Cell::new(Duration::ZERO));
    let answered = || {
        longest.set(longest.get().max(last.get().elapsed()));
        last.set(Stopwatch::now());
    };
    let batch = || send(&meter, "application/x-ndjson", &body);
    let others = async {
        loop {
            assert_eq!(alice.get("/api/meters/3001").await.status, 200);
            answered();
        }
    };
    let (a, b, c) = tokio::select! {
        answers = async { tokio::join!(batch(), batch(), batch()) } => answers,
        never = others => never,
    };
    answered();
    for answer in [a, b, c] {
        assert_eq!(counts(&answer).0, [0, 0, 0, 100_000]);
    }
    let (longest, all) = (longest.get(), began.elapsed());
    assert!(longest * 4 < all, "somebody waited {longest:?} of {all:?}");
}
