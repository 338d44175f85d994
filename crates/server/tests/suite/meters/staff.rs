//! Meters are registered, installed, removed and exchanged; readings are corrected.

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
    a_meter_lives_from_registration_to_removal,
    a_meter_is_exchanged_in_one_step,
    meter_reports_exchanges,
    of_two_exchanges_at_once_one_wins,
    a_reading_comes_before_an_exchange_or_after_it,
    a_corrected_reading_keeps_what_was_there,
    who_only_looks_sees_less,
    a_meter_comes_where_its_wires_are_and_when_it_can,
    a_register_shows_one_value,
    the_life_of_a_meter_is_as_it_is_drawn,
}

const AT: &str = "2025-06-01T06:00:00Z";
const LATER: &str = "2025-06-02T06:00:00Z";

fn plate(number: &str) -> Value {
    json!({"meterNumber": number, "type": "electric", "unit": "kWh", "dials": 5, "multiplier": 1})
}

fn exchange(at: &str, number: &str) -> Value {
    json!({"exchangedAt": at, "finalReadings": [{"register": "delivered", "value": 2100}], "newMeter": plate(number),
        "firstReadings": [{"register": "delivered", "value": 7}]})
}

async fn post(user: &User<'_>, path: &str, body: &Value) -> crate::support::Answer {
    user.send("POST", path, &[REASON], Some(&body.to_string())).await
}

async fn told(service: &Service) -> Vec<(String, i64, Value)> {
    let told = events(service).await;
    told.into_iter().map(|e| (e.kind, e.customer, json!([e.data["premiseId"], e.data["meterId"]]))).collect()
}

async fn a_meter_lives_from_registration_to_removal(service: Service) {
    let (jsmith, alice, meter) =
        (User::of(&service, "jsmith").await, User::of(&service, "alice").await, User::of(&service, "meter").await);
    let mut new = plate("E-NEW");
    new["wiresCompany"] = json!("Oncor");
    new["registers"] = json!(["delivered", "received"]);
    let made = post(&jsmith, "/api/admin/meters", &new).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let (id, path) = (made.json()["meterId"].clone(), made.header("location").to_owned());
    let again = post(&jsmith, "/api/admin/meters", &new).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "meter-exists"));
    new["wiresCompany"] = json!("Nobody's wires");
    assert_eq!(post(&jsmith, "/api/admin/meters", &new).await.errors(), ["/wiresCompany:unknown-wires-company"]);
    let shown = jsmith.send("GET", &path, &[REASON], None).await.json();
    assert_eq!(
        (&shown["status"], &shown["installDate"], &shown["customerId"]),
        (&json!("available"), &Value::Null, &Value::Null)
    );
    assert_eq!(shown["registers"], json!(["delivered", "received"]));
    assert_eq!(alice.get(&format!("/api/meters/{id}")).await.status, 404, "nobody's meter is nobody's");

    // A reading came first, named by the plate.
    let esi = alice.get("/api/premises/2001").await.json()["servicePoints"][0]["esiId"].clone();
    let early = json!({"esiId": esi, "meterNumber": "E-NEW", "register": "received", "readAt": LATER, "value": 3,
        "quality": "actual", "reportedAt": LATER});
    assert_eq!(counts(&report(&meter, &[early]).await).0, [0, 0, 1, 0]);

    let at = "/api/admin/premises/2001/meters";
    let mut body = json!({"meterId": id, "esiId": "10443720009999999", "installDate": "2025-06-01",
        "initialReadings": [{"register": "delivered", "value": 100_000}, {"register": "received", "value": 0}]});
    assert_eq!(post(&jsmith, at, &body).await.errors(), ["/esiId:unknown-place"]);
    body["esiId"] = esi;
    assert_eq!(post(&jsmith, at, &body).await.errors(), ["/initialReadings/0/value:out-of-range"]);
    body["initialReadings"][0]["value"] = json!(12);
    let mut unknown = body.clone();
    unknown["meterId"] = json!(8_888);
    assert_eq!(post(&jsmith, at, &unknown).await.errors(), ["/meterId:unknown-meter"]);
    let installed = post(&jsmith, at, &body).await;
    assert_eq!((installed.status.as_u16(), installed.header("location")), (201, path.as_str()), "{}", installed.body);
    assert_eq!((&installed.json()["lastReading"], &installed.json()["customerId"]), (&json!(12), &json!(1)));
    let twice = post(&jsmith, at, &body).await;
    assert_eq!(
        (twice.code(), twice.json()["allowed"].clone()),
        ("invalid-transition".to_owned(), json!(["remove", "exchange"]))
    );
    let seen = alice.get(&format!("/api/meters/{id}/readings?order=asc")).await.json();
    let values: Vec<_> =
        seen["readings"].as_array().unwrap().iter().map(|r| (r["register"].clone(), r["value"].clone())).collect();
    assert_eq!(values.len(), 3, "{seen}");
    assert!(values.contains(&(json!("received"), json!(3))), "what waited is there");
    let sql = Sql::of(service.db.location()).await;
    assert_eq!(sql.number("SELECT count(*) FROM parked_reading").await, 0);

    let away = format!("/api/admin/meters/{id}/remove");
    let soon = json!({"removedAt": AT, "finalReadings": []});
    assert_eq!(post(&jsmith, &away, &soon).await.errors(), ["/removedAt:out-of-range"], "it was read later");
    let late = json!({"removedAt": "2999-01-01T00:00:00Z"});
    assert_eq!(post(&jsmith, &away, &late).await.errors(), ["/removedAt:in-the-future"]);
    let body = json!({"removedAt": "2025-06-03T06:00:00Z", "finalReadings": [{"register": "delivered", "value": 20}]});
    let removed = post(&jsmith, &away, &body).await;
    assert_eq!((removed.status.as_u16(), &removed.json()["status"]), (200, &json!("inactive")), "{}", removed.body);
    let twice = post(&jsmith, &away, &body).await;
    assert_eq!((twice.code(), twice.json()["allowed"].clone()), ("invalid-transition".to_owned(), json!([])));
    let about = json!([2001, id]);
    assert_eq!(
        told(&service).await,
        [("MeterInstalled".to_owned(), 1, about.clone()), ("MeterRemoved".to_owned(), 1, about)]
    );
}

async fn a_meter_is_exchanged_in_one_step(service: Service) {
    let (jsmith, alice) = (User::of(&service, "jsmith").await, User::of(&service, "alice").await);
    let path = "/api/admin/meters/3001/exchange";
    let done = post(&jsmith, path, &exchange(AT, "E-NEXT")).await;
    assert_eq!(done.status, 201, "{}", done.body);
    let new = done.json()["meterId"].clone();
    assert_eq!(
        (done.header("location"), &done.json()["lastReading"]),
        (format!("/api/admin/meters/{new}").as_str(), &json!(7))
    );
    let meters = alice.get("/api/premises/2001/meters").await.json();
    let status: Vec<_> = meters["meters"].as_array().unwrap().iter().map(|m| m["status"].clone()).collect();
    assert_eq!(status, [json!("inactive"), json!("active")]);
    let again = post(&jsmith, path, &exchange(AT, "E-OTHER")).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "invalid-transition"));
    let taken = post(&jsmith, &format!("/api/admin/meters/{new}/exchange"), &exchange(LATER, "E-12345678")).await;
    assert_eq!(taken.code(), "meter-exists");
    assert_eq!(
        alice.get(&format!("/api/meters/{new}")).await.json()["status"],
        json!("active"),
        "nothing of it is left"
    );
    let about = |id: Value| json!([2001, id]);
    let expected = [("MeterRemoved".to_owned(), 1, about(json!(3001))), ("MeterInstalled".to_owned(), 1, about(new))];
    assert_eq!(told(&service).await, expected);
}

async fn meter_reports_exchanges(service: Service) {
    let meter = User::of(&service, "meter").await;
    let mut one = exchange(AT, "E-NEXT");
    one["meterId"] = json!(3001);
    let mut unknown = exchange(AT, "E-MORE");
    unknown["meterId"] = json!(8_888);
    let mut early = exchange("2024-12-20T06:00:00Z", "E-EARLY");
    early["meterId"] = json!(3002);
    let body = json!({"exchanges": [one, unknown, early, 1]}).to_string();
    let send = async || meter.send("POST", "/api/integration/meter-exchanges", &[], Some(&body)).await;
    let errors: Vec<String> = ["1:unknown-meter", "2:out-of-range", "3:wrong-type"].map(str::to_owned).to_vec();
    assert_eq!(counts(&send().await), (vec![1, 0, 0, 3], errors.clone()));
    assert_eq!(counts(&send().await), (vec![0, 1, 0, 3], errors), "the same again");
    assert_eq!(told(&service).await.len(), 2);
}

async fn of_two_exchanges_at_once_one_wins(service: Service) {
    let (jsmith, meter) = (User::of(&service, "jsmith").await, User::of(&service, "meter").await);
    let mut theirs = exchange(LATER, "E-THEIRS");
    theirs["meterId"] = json!(3001);
    let body = json!({"exchanges": [theirs]}).to_string();
    let ours = exchange(AT, "E-OURS");
    let (a, b) = tokio::join!(
        post(&jsmith, "/api/admin/meters/3001/exchange", &ours),
        meter.send("POST", "/api/integration/meter-exchanges", &[], Some(&body))
    );
    let won = (a.status.as_u16(), counts(&b));
    let (first, second) =
        ((201, (vec![0, 0, 0, 1], vec!["0:invalid-transition".to_owned()])), (409, (vec![1, 0, 0, 0], vec![])));
    assert!(won == first || won == second, "{won:?}");
    assert_eq!(told(&service).await.len(), 2);
    let sql = Sql::of(service.db.location()).await;
    assert_eq!(sql.number("SELECT count(*) FROM meter WHERE meter_number IN ('E-OURS', 'E-THEIRS')").await, 1);
}

async fn a_reading_comes_before_an_exchange_or_after_it(service: Service) {
    let (jsmith, meter) = (User::of(&service, "jsmith").await, User::of(&service, "meter").await);
    let late = [line(LATER, json!(2200), "actual", LATER)];
    let ours = exchange(AT, "E-OURS");
    let (a, b) = tokio::join!(post(&jsmith, "/api/admin/meters/3001/exchange", &ours), report(&meter, &late));
    match counts(&b) {
        (taken, _) if taken == [1, 0, 0, 0] => assert_eq!(a.errors(), ["/exchangedAt:out-of-range"], "{}", a.body),
        (_, errors) => assert_eq!((errors, a.status.as_u16()), (vec!["0:not-installed".to_owned()], 201)),
    }
}

async fn a_corrected_reading_keeps_what_was_there(service: Service) {
    let (jsmith, alice, meter) =
        (User::of(&service, "jsmith").await, User::of(&service, "alice").await, User::of(&service, "meter").await);
    let lines = [line(AT, json!(2500), "actual", AT), line(LATER, json!(2100), "actual", AT)];
    assert_eq!(counts(&report(&meter, &lines).await).1, ["1:reading-suspect"]);
    let path = "/api/admin/meters/3001/readings";
    let body = json!({"register": "delivered", "readAt": AT, "value": 2050});
    let answer = post(&jsmith, path, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let shown = alice.get("/api/meters/3001/readings?from=2025-06-01&order=asc").await.json();
    let shown = shown["readings"].as_array().unwrap();
    assert_eq!((&shown[0]["value"], &shown[0]["revision"]), (&json!(2050), &json!(2)));
    assert!(shown[0]["correctedAt"].is_string());
    assert_eq!(shown[1]["usage"], json!(50), "usage is calculated anew");
    let sql = Sql::of(service.db.location()).await;
    assert_eq!(sql.number("SELECT count(*) FROM task WHERE status = 'open'").await, 0, "what fits is answered");
    let all = jsmith.send("GET", &format!("{path}?from=2025-06-01&include=superseded"), &[REASON], None).await.json();
    assert_eq!(all["readings"].as_array().unwrap().len(), 3);
    // What Meter says later of an earlier report does not undo it.
    assert_eq!(counts(&report(&meter, &[line(AT, json!(2500), "actual", LATER)]).await).0, [0, 1, 0, 0]);
    let wrong = json!({"register": "received", "readAt": AT, "value": 1});
    assert_eq!(post(&jsmith, path, &wrong).await.errors(), ["/register:unknown-register"]);
}

async fn who_only_looks_sees_less(service: Service) {
    let (reader, jsmith) = (User::of(&service, "reader").await, User::of(&service, "jsmith").await);
    let path = "/api/admin/meters/3001";
    let (less, all) = (
        reader.send("GET", path, &[REASON], None).await.json(),
        jsmith.send("GET", path, &[REASON], None).await.json(),
    );
    assert_eq!((&less["premise"]["street"], &less["masked"]), (&json!("***"), &json!(["/premise/street"])));
    assert_eq!((&all["premise"]["street"], &all["masked"]), (&json!("123 Main Street"), &json!([])));
    assert_eq!(less["premise"]["city"], all["premise"]["city"]);
    for path in ["/api/admin/meters/3001/remove", "/api/admin/meters/3001/readings"] {
        assert_eq!(post(&reader, path, &json!({})).await.status, 403, "{path}");
    }
    assert_eq!(jsmith.send("GET", path, &[], None).await.code(), "access-reason-required");
    assert_eq!(jsmith.send("GET", "/api/admin/meters/8888", &[REASON], None).await.status, 404);
}

async fn a_meter_comes_where_its_wires_are_and_when_it_can(service: Service) {
    let jsmith = User::of(&service, "jsmith").await;
    let register = async |company: &str| {
        let mut new = plate("E-WHERE");
        new["wiresCompany"] = json!(company);
        post(&jsmith, "/api/admin/meters", &new).await.json()["meterId"].clone()
    };
    let install = async |id: &Value, date: &str| {
        let body = json!({"meterId": id, "esiId": "10443720001234567", "installDate": date});
        post(&jsmith, "/api/admin/premises/2001/meters", &body).await
    };
    let theirs = register("CenterPoint").await;
    assert_eq!(install(&theirs, "2025-06-01").await.errors(), ["/meterId:other-wires-company"]);
    let ours = register("Oncor").await;
    for (date, code) in
        [("0001-01-01", "out-of-range"), ("1980-01-01", "out-of-range"), ("9999-12-31", "in-the-future")]
    {
        assert_eq!(install(&ours, date).await.errors(), [format!("/installDate:{code}")], "{date}");
    }
    assert_eq!(install(&ours, "2005-01-01").await.status, 201, "what was there before us is told late");
}

async fn a_register_shows_one_value(service: Service) {
    let (jsmith, meter) = (User::of(&service, "jsmith").await, User::of(&service, "meter").await);
    let twice = json!([{"register": "delivered", "value": 2100}, {"register": "delivered", "value": 2200}]);
    let removal = json!({"removedAt": AT, "finalReadings": twice});
    let errors = post(&jsmith, "/api/admin/meters/3001/remove", &removal).await.errors();
    assert_eq!(errors, ["/finalReadings/1/register:duplicate-item"]);
    let mut report = exchange(AT, "E-TWICE");
    report["meterId"] = json!(3001);
    report["firstReadings"] = twice;
    let body = json!({"exchanges": [report]}).to_string();
    let answer = meter.send("POST", "/api/integration/meter-exchanges", &[], Some(&body)).await;
    assert_eq!(counts(&answer), (vec![0, 0, 0, 1], vec!["0:duplicate-item".to_owned()]));
    assert_eq!(told(&service).await, [], "nothing happened");
}

/// Every operation of staff at every state: what it does is what the document draws, and nothing else.
async fn the_life_of_a_meter_is_as_it_is_drawn(service: Service) {
    let text = include_str!("../../../../../docs/lifecycles.md");
    let section = text.split_once("## Meter\n").unwrap().1.split("\n## ").next().unwrap();
    let mut drawn: Vec<String> = Vec::new();
    for (step, operations) in section.lines().filter_map(|line| line.trim().split_once(": ")) {
        let Some((from, to)) = step.split_once(" --> ").filter(|(from, _)| *from != "[*]") else { continue };
        let operations = operations.split(", ").filter(|name| ["install", "remove", "exchange"].contains(name));
        drawn.extend(operations.map(|name| format!("{from} {name} {to}")));
    }
    let jsmith = User::of(&service, "jsmith").await;
    let status = async |id: &Value| {
        let path = format!("/api/admin/meters/{id}");
        jsmith.send("GET", &path, &[REASON], None).await.json()["status"].as_str().unwrap().to_owned()
    };
    let register = async |number: &str| {
        let mut new = plate(number);
        new["wiresCompany"] = json!("Oncor");
        post(&jsmith, "/api/admin/meters", &new).await.json()["meterId"].clone()
    };
    let mut seen = Vec::new();
    let (mut number, mut hour) = (0, 0);
    // Each operation on a meter that is new, on one that is in use, and on one that is gone.
    for before in [&[][..], &["install"], &["install", "remove"], &["install", "exchange"]] {
        for operation in ["install", "remove", "exchange"] {
            number += 1;
            let id = register(&format!("L-{number}")).await;
            let mut act = async |operation: &str| {
                (number, hour) = (number + 1, hour + 1);
                let at = format!("2025-06-{:02}T{:02}:30:00Z", 2 + hour / 24, hour % 24);
                let install = json!({"meterId": id, "esiId": "10443720001234567", "installDate": "2025-06-01"});
                let new = json!({"exchangedAt": at, "newMeter": plate(&format!("L-{number}"))});
                let (path, body) = match operation {
                    "install" => ("/api/admin/premises/2001/meters".to_owned(), install),
                    "remove" => (format!("/api/admin/meters/{id}/remove"), json!({"removedAt": at})),
                    _ => (format!("/api/admin/meters/{id}/exchange"), new),
                };
                let from = status(&id).await;
                let answer = post(&jsmith, &path, &body).await;
                let to = status(&id).await;
                assert!(answer.status.is_success() || from == to, "{operation}: {}", answer.body);
                answer.status.is_success().then(|| format!("{from} {operation} {to}"))
            };
            for step in before {
                assert!(act(step).await.is_some());
            }
            seen.extend(act(operation).await);
        }
    }
    drawn.sort();
    seen.sort();
    assert_eq!(seen, drawn);
}
