//! Questions of customers, and tasks of staff.

use serde_json::{Value, json};
use similar_asserts::assert_eq;

use super::{REASON, counts, line, report};
use crate::{
    ask::{User, events},
    on_both_engines,
    process::Sql,
    support::Service,
};

on_both_engines! {
    a_question_is_answered_once,
    nobody_asks_about_what_they_do_not_see,
    tasks_come_oldest_first_page_by_page,
    a_task_that_asks_for_a_look_is_closed,
}

const QUESTIONS: &str = "/api/meters/3001/questions";

async fn post(user: &User<'_>, path: &str, body: &Value) -> crate::support::Answer {
    user.send("POST", path, &[REASON], Some(&body.to_string())).await
}

async fn first_reading(user: &User<'_>, meter: i64) -> Value {
    user.get(&format!("/api/meters/{meter}/readings?limit=1")).await.json()["readings"][0]["readingId"].clone()
}

async fn tasks(user: &User<'_>, query: &str) -> Vec<Value> {
    let answer = user.send("GET", &format!("/api/admin/tasks{query}"), &[REASON], None).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["tasks"].as_array().unwrap().clone()
}

async fn a_question_is_answered_once(service: Service) {
    let (alice, jsmith) = (User::of(&service, "alice").await, User::of(&service, "jsmith").await);
    let reading = first_reading(&alice, 3001).await;
    let asked = post(&alice, QUESTIONS, &json!({"readingId": reading, "text": "We were away, zanzibarically."})).await;
    assert_eq!(asked.status, 201, "{}", asked.body);
    let question = asked.json();
    assert_eq!(
        (&question["status"], &question["answer"], &question["meterId"]),
        (&json!("open"), &Value::Null, &json!(3001))
    );
    let id = question["questionId"].clone();
    let open = tasks(&jsmith, "").await;
    let expected = json!([{"taskId": id, "kind": "questioned-reading", "openedAt": question["askedAt"], "customerId": 1,
        "resource": "meter/3001", "status": "open"}]);
    assert_eq!(Value::from(open), expected);
    let seen = jsmith.send("GET", "/api/admin/meters/3001/questions", &[REASON], None).await.json();
    assert_eq!(seen["questions"][0]["text"], json!("We were away, zanzibarically."));
    let path = format!("/api/admin/tasks/{id}/answer");
    assert_eq!(post(&jsmith, &path, &json!({})).await.errors(), ["/answer:missing"]);
    let key = [REASON, ("idempotency-key", "answer-1")];
    let body = json!({"answer": "It was read twice."}).to_string();
    let answered = jsmith.send("POST", &path, &key, Some(&body)).await;
    assert_eq!(answered.status, 200, "{}", answered.body);
    assert_eq!(
        (&answered.json()["status"], &answered.json()["answer"]),
        (&json!("answered"), &json!("It was read twice."))
    );
    assert_eq!(
        jsmith.send("POST", &path, &key, Some(&body)).await.body,
        answered.body,
        "sent again it is answered again"
    );
    let again = jsmith.send("POST", &path, &[REASON], Some(&body)).await;
    assert_eq!((again.code(), again.json()["allowed"].clone()), ("invalid-transition".to_owned(), json!([])));
    let own = alice.get(QUESTIONS).await.json();
    assert_eq!((own["questions"].as_array().unwrap().len(), &own["questions"][0]), (1, &answered.json()));
    assert_eq!((tasks(&jsmith, "").await.len(), tasks(&jsmith, "?status=done").await.len()), (0, 1));
    assert_eq!(events(&service).await, [], "questions are no events");
    let sql = Sql::of(service.db.location()).await;
    let plain = sql.main("SELECT sealed FROM question").await;
    assert!(!format!("{plain:?}").contains("zanzibarically"), "the words are sealed");
}

async fn nobody_asks_about_what_they_do_not_see(service: Service) {
    let (alice, bob) = (User::of(&service, "alice").await, User::of(&service, "bob").await);
    let theirs = first_reading(&bob, 3002).await;
    let own = first_reading(&alice, 3001).await;
    let about = |reading: &Value, text: &str| json!({"readingId": reading, "text": text});
    assert_eq!(post(&alice, QUESTIONS, &about(&theirs, "Why?")).await.errors(), ["/readingId:unknown-reading"]);
    assert_eq!(post(&alice, QUESTIONS, &about(&own, " ")).await.errors(), ["/text:blank"]);
    assert_eq!(post(&bob, QUESTIONS, &about(&own, "Why?")).await.status, 404);
    assert_eq!(bob.get(QUESTIONS).await.status, 404);
    let reader = User::of(&service, "reader").await;
    assert_eq!(post(&reader, "/api/admin/tasks/4001/answer", &json!({"answer": "x"})).await.status, 403);
    let read = reader.send("GET", "/api/admin/meters/3001/questions", &[REASON], None).await;
    assert_eq!(read.status, 403, "free text cannot be cut down");
    assert_eq!(tasks(&reader, "").await.len(), 0);
}

async fn tasks_come_oldest_first_page_by_page(service: Service) {
    let (alice, jsmith, meter) =
        (User::of(&service, "alice").await, User::of(&service, "jsmith").await, User::of(&service, "meter").await);
    let reading = first_reading(&alice, 3001).await;
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        ids.push(
            post(&alice, QUESTIONS, &json!({"readingId": reading, "text": text})).await.json()["questionId"].clone(),
        );
    }
    let back = [line("2025-06-01T06:00:00Z", json!(1), "actual", "2025-06-01T06:00:00Z")];
    assert_eq!(counts(&report(&meter, &back).await).1, ["0:reading-suspect"]);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = jsmith.send("GET", &format!("/api/admin/tasks?limit=2{cursor}"), &[REASON], None).await.json();
        seen.extend(answer["tasks"].as_array().unwrap().iter().map(|task| task["taskId"].clone()));
        match answer["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((seen.len(), &seen[..3]), (4, &ids[..]));
    let kinds = tasks(&jsmith, "?kind=suspect-reading").await;
    assert_eq!((kinds.len(), &kinds[0]["taskId"]), (1, &seen[3]));
    let wrong = jsmith.send("GET", "/api/admin/tasks?kind=x&status=y", &[REASON], None).await;
    assert_eq!(wrong.errors(), ["status:invalid-value", "kind:invalid-value"]);
    assert_eq!(jsmith.send("GET", "/api/admin/tasks", &[], None).await.code(), "access-reason-required");
}

async fn a_task_that_asks_for_a_look_is_closed(service: Service) {
    let (jsmith, meter) = (User::of(&service, "jsmith").await, User::of(&service, "meter").await);
    let at = "2025-06-01T06:00:00Z";
    let lost = json!({"esiId": "10443720000000001", "meterNumber": "LOST", "register": "delivered", "readAt": at,
        "value": 1, "quality": "actual", "reportedAt": at});
    assert_eq!(counts(&report(&meter, &[lost, line(at, json!(1), "actual", at)]).await).0, [0, 0, 1, 1]);
    let later = domain::time::Clock::now(&*service.clock).plus(15 * 24 * domain::time::HOUR);
    assert_eq!(service.store.expire_parked(later).await.unwrap(), 1);
    let open = tasks(&jsmith, "").await;
    assert_eq!(open.len(), 2);
    for task in open {
        let path = format!("/api/admin/tasks/{}/answer", task["taskId"]);
        assert_eq!(post(&jsmith, &path, &json!({"answer": "x"})).await.errors(), ["/answer:must-be-null"]);
        let done = post(&jsmith, &path, &json!({})).await;
        assert_eq!((done.status.as_u16(), &done.json()["status"]), (200, &json!("done")), "{}", done.body);
        assert_eq!(post(&jsmith, &path, &json!({})).await.code(), "invalid-transition");
    }
    let sql = Sql::of(service.db.location()).await;
    assert_eq!(sql.number("SELECT count(*) FROM parked_reading").await, 0, "nobody knows the meter");
    assert_eq!(post(&jsmith, "/api/admin/tasks/4999/answer", &json!({})).await.status, 404);
}
