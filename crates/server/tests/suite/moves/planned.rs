//! Moves that are planned: limits, dates, the market's answers, and how they are given up.

use domain::{input::Named, market::RequestStatus, moves::MoveStatus, time::HOUR};
use serde_json::json;
use similar_asserts::assert_eq;

use super::{ELM, REASON, day, line, move_in, move_out, report, requests, run, told};
use crate::{
    ask::{User, events},
    on_both_engines,
    process::Sql,
    support::Service,
};

on_both_engines! {
    a_move_in_is_planned_and_happens,
    what_cannot_be_is_refused,
    a_move_is_re_dated_and_given_up,
    a_rejected_move_is_a_task,
    letters_follow_who_moves_out,
    staff_see_and_correct_premises,
    nobody_moves_in_on_an_account_that_is_to_end,
}

async fn nobody_moves_in_on_an_account_that_is_to_end(service: Service) {
    crate::ask::enrol_bare(&service).await;
    let mjones = User::of(&service, "mjones").await;
    let body = json!({"effectiveDate": day(&service, 9), "reason": "closed"}).to_string();
    let ended = mjones.send("POST", "/api/admin/accounts/1100/deactivate", &[REASON], Some(&body)).await;
    assert_eq!(ended.status, 200, "{}", ended.body);
    let moved = move_in(&mjones, "/api/admin/accounts/1100/premises", &day(&service, 3), ELM).await;
    assert_eq!((moved.status.as_u16(), moved.code().as_str()), (409, "account-ends"), "{}", moved.body);
    assert_eq!(moved.json()["allowed"], json!(["deactivate"]));
}

async fn a_move_in_is_planned_and_happens(service: Service) {
    let (bob, market) = (User::of(&service, "bob").await, User::of(&service, "market").await);
    let date = day(&service, 5);
    let made = move_in(&bob, "/api/accounts/1002/premises", &date, ELM).await;
    assert_eq!((made.status.as_u16(), made.header("location")), (201, "/api/moves/7001"), "{}", made.body);
    let planned = json!({"moveId": 7001, "kind": "move-in", "accountId": 1002, "premiseId": 2010, "date": date,
        "status": "planned", "cancellableUntil": date, "rejection": null});
    assert_eq!(made.json(), planned);
    assert_eq!(bob.get("/api/moves/7001").await.json(), planned);
    let listed = bob.get("/api/moves").await.json();
    assert_eq!(listed, json!({"moves": [planned], "nextCursor": null}));
    let premise = bob.get("/api/premises/2010").await.json();
    assert_eq!(
        (&premise["status"], &premise["isPrimary"], &premise["meters"]),
        (&json!("pending"), &json!(false), &json!([]))
    );
    assert_eq!(premise["servicePoints"][0]["esiId"], json!(ELM));
    let asked = json!({"requestId": 6001, "kind": "move-in", "customerId": 2, "accountId": 1002, "premiseId": 2010,
        "esiIds": [ELM], "requestedDate": date, "status": "open", "version": 1});
    assert_eq!(requests(&market, "open").await, [asked]);
    let acknowledge = "/api/integration/market-requests/6001/acknowledge";
    for status in ["sent", "sent"] {
        assert_eq!(market.post(acknowledge).await.json()["status"], json!(status));
    }
    assert_eq!(bob.get("/api/moves/7001").await.json()["status"], json!("sent"));
    let accepted = line("T-1", "accepted", json!({"requestId": 6001, "effectiveDate": date}));
    assert_eq!(report(&market, std::slice::from_ref(&accepted)).await["accepted"], json!(1));
    assert_eq!(report(&market, &[accepted]).await["unchanged"], json!(1));
    let other = line("T-1", "accepted", json!({"requestId": 6001, "effectiveDate": day(&service, 6)}));
    assert_eq!(report(&market, &[other]).await["errors"][0]["code"], json!("contradiction"));
    assert_eq!(bob.get("/api/moves/7001").await.json()["status"], json!("accepted"));
    assert_eq!(
        told(&service, 2).await,
        ["PremiseAdded", "MarketRequestOpened", "MarketRequestChanged", "MarketRequestChanged"]
    );
    run(&service).await;
    assert_eq!(bob.get("/api/premises/2010").await.json()["status"], json!("pending"), "it is not the day yet");
    service.clock.forward(5 * 24 * HOUR);
    run(&service).await;
    let bob = User::of(&service, "bob").await;
    let premise = bob.get("/api/premises/2010").await.json();
    assert_eq!((&premise["status"], &premise["serviceStartDate"]), (&json!("active"), &json!(date)));
    let done = bob.get("/api/moves/7001").await.json();
    assert_eq!((&done["status"], &done["cancellableUntil"]), (&json!("done"), &json!(null)));
    let last = events(&service).await.into_iter().filter(|told| told.customer == 2).skip(4).collect::<Vec<_>>();
    let kinds: Vec<_> = last.iter().map(|told| told.kind.as_str()).collect();
    assert_eq!(kinds, ["OccupancyStarted", "MarketRequestChanged"]);
    let started = json!({"customerId": 2, "accountId": 1002, "premiseId": 2010, "version": 2, "changed": ["status"],
        "from": "pending", "to": "active", "effectiveDate": date});
    assert_eq!(last[0].data, started);
    assert_eq!(last[1].data["to"], json!("done"));
}

async fn what_cannot_be_is_refused(service: Service) {
    let (alice, mjones) = (User::of(&service, "alice").await, User::of(&service, "mjones").await);
    let path = "/api/accounts/1001/premises";
    for days in [91, -271] {
        let answer = move_in(&alice, path, &day(&service, days), ELM).await;
        assert_eq!((answer.status.as_u16(), answer.errors()), (422, vec!["/date:out-of-range".to_owned()]), "{days}");
        let answer = move_out(&alice, "/api/premises/2001/move-out", &day(&service, days)).await;
        assert_eq!((answer.status.as_u16(), answer.errors()), (422, vec!["/date:out-of-range".to_owned()]), "{days}");
    }
    let date = day(&service, 1);
    for (more, error) in [
        (json!({}), "/address:missing"),
        (json!({"esiIds": []}), "/address:missing"),
        (json!({"esiIds": [ELM]}), "/esiIds/0:unknown-place"),
        (json!({"esiIds": ["1044372000999990100000"]}), "/esiIds/0:invalid-esi-id"),
        (json!({"esiIds": ["x"], "address": {"street": "9 Elm Street"}}), "/address/city:missing"),
    ] {
        let mut body = json!({"date": date});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = alice.send("POST", path, &[], Some(&body.to_string())).await;
        assert_eq!(answer.status, 422, "{body}");
        assert!(answer.errors().contains(&error.to_owned()), "{body}: {:?}", answer.errors());
    }
    assert_eq!(events(&service).await, [], "nothing happened");
    let path = "/api/premises/2001/move-out";
    assert_eq!(move_out(&alice, path, &date).await.status, 201);
    let again = move_out(&mjones, "/api/admin/premises/2001/move-out", &date).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "invalid-transition"));
    for (body, error) in [(json!({"date": null}), "/date:wrong-type"), (json!({}), "/date:missing")] {
        let answer = alice.patch("/api/moves/7001", &body.to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.errors()), (422, vec![error.to_owned()]), "{body}");
    }
    // A place is promised to one newcomer.
    let carol = User::of(&service, "carol").await;
    assert_eq!(move_in(&alice, "/api/accounts/1001/premises", &date, ELM).await.status, 201);
    let late = move_in(&carol, "/api/accounts/1004/premises", &date, ELM).await;
    assert_eq!((late.status.as_u16(), late.code().as_str()), (409, "place-taken"));
    assert_eq!(
        move_out(&alice, "/api/premises/2011/move-out", &date).await.status,
        404,
        "what was refused left nothing"
    );
    let pending = move_out(&alice, "/api/premises/2010/move-out", &date).await;
    assert_eq!(pending.code(), "invalid-transition");
}

async fn a_move_is_re_dated_and_given_up(service: Service) {
    let (bob, market) = (User::of(&service, "bob").await, User::of(&service, "market").await);
    let (first, second) = (day(&service, 2), day(&service, 9));
    assert_eq!(move_out(&bob, "/api/premises/2004/move-out", &first).await.status, 201);
    market.post("/api/integration/market-requests/6001/acknowledge").await;
    let moved = bob.patch("/api/moves/7001", &json!({"date": second}).to_string()).await;
    assert_eq!(
        (moved.status.as_u16(), &moved.json()["status"], &moved.json()["date"]),
        (200, &json!("planned"), &json!(second))
    );
    let open = requests(&market, "open").await;
    assert_eq!(
        (&open[0]["requestId"], &open[0]["requestedDate"]),
        (&json!(6001), &json!(second)),
        "it is fetched anew"
    );
    service.clock.forward(3 * 24 * HOUR);
    run(&service).await;
    let (bob, market) = (User::of(&service, "bob").await, User::of(&service, "market").await);
    assert_eq!(bob.get("/api/premises/2004").await.json()["status"], json!("active"), "not on the first date");
    market.post("/api/integration/market-requests/6001/acknowledge").await;
    let given_up = bob.send("DELETE", "/api/moves/7001", &[], None).await;
    assert_eq!((given_up.status.as_u16(), &given_up.json()["status"]), (200, &json!("cancelled")), "{}", given_up.body);
    let again = bob.send("DELETE", "/api/moves/7001", &[], None).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "invalid-transition"));
    let open = requests(&market, "open").await;
    assert_eq!(
        (&open[0]["kind"], &open[0]["premiseId"]),
        (&json!("cancel"), &json!(2004)),
        "what was sent is called back"
    );
    service.clock.forward(9 * 24 * HOUR);
    run(&service).await;
    let bob = User::of(&service, "bob").await;
    assert_eq!(bob.get("/api/premises/2004").await.json()["status"], json!("active"));
    // A premise that never came to service has no place any more.
    let made = move_in(&bob, "/api/accounts/1003/premises", &day(&service, 3), ELM).await.json();
    let premise = format!("/api/premises/{}", made["premiseId"]);
    assert_eq!(bob.send("DELETE", &format!("/api/moves/{}", made["moveId"]), &[], None).await.status, 200);
    let left = bob.get(&premise).await.json();
    assert_eq!((&left["status"], &left["servicePoints"]), (&json!("inactive"), &json!([])));
    let carol = User::of(&service, "carol").await;
    assert_eq!(move_in(&carol, "/api/accounts/1004/premises", &day(&service, 3), ELM).await.status, 201, "it is free");
}

async fn a_rejected_move_is_a_task(service: Service) {
    let (carol, market) = (User::of(&service, "carol").await, User::of(&service, "market").await);
    move_in(&carol, "/api/accounts/1004/premises", &day(&service, 3), ELM).await;
    let rejection = json!({"code": "invalid-esi", "message": "The place has another meter."});
    let answer = report(&market, &[line("T-1", "rejected", json!({"requestId": 6001, "rejection": rejection}))]).await;
    assert_eq!(answer["accepted"], json!(1), "{answer}");
    let moved = carol.get("/api/moves/7001").await.json();
    assert_eq!((&moved["status"], &moved["rejection"]), (&json!("rejected"), &rejection));
    assert_eq!(carol.get("/api/premises/2010").await.json()["status"], json!("inactive"));
    let sql = Sql::of(service.db.location()).await;
    let open = sql.main("SELECT kind, subject_kind, subject_id FROM task WHERE status = 'open' ORDER BY task_id").await;
    assert_eq!(open, [["rejected-move", "move", "7001"].map(str::to_owned).to_vec()]);
    service.clock.forward(4 * 24 * HOUR);
    run(&service).await;
    let carol = User::of(&service, "carol").await;
    assert_eq!(carol.get("/api/premises/2010").await.json()["status"], json!("inactive"), "it does not begin");
}

async fn letters_follow_who_moves_out(service: Service) {
    let alice = User::of(&service, "alice").await;
    let body = json!({"date": day(&service, 1), "forwardingAddress":
        {"street": "PO Box 77", "city": "Austin", "state": "TX", "zip": "78701"}});
    let answer = alice.send("POST", "/api/premises/2001/move-out", &[], Some(&body.to_string())).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let before = alice.get("/api/preferences").await.json();
    service.clock.forward(26 * HOUR);
    run(&service).await;
    let alice = User::of(&service, "alice").await;
    let after = alice.get("/api/preferences").await.json();
    assert_ne!(before["mailingAddress"], after["mailingAddress"]);
    assert_eq!(
        (&after["mailingAddress"]["street"], &after["mailingAddress"]["city"]),
        (&json!("PO Box 77"), &json!("Austin"))
    );
    assert_eq!(told(&service, 1).await, ["MarketRequestOpened", "OccupancyEnded", "PreferencesUpdated"]);
    let premise = alice.get("/api/premises/2001").await.json();
    assert_eq!((&premise["status"], &premise["serviceEndDate"]), (&json!("inactive"), &body["date"]));
    assert_eq!(premise["isPrimary"], json!(false));
}

async fn staff_see_and_correct_premises(service: Service) {
    let (alice, jsmith) = (User::of(&service, "alice").await, User::of(&service, "jsmith").await);
    let path = "/api/admin/premises/2001";
    let mut right = alice.get("/api/premises/2001").await.json();
    right["version"] = json!(1);
    right["masked"] = json!([]);
    let seen = jsmith.send("GET", path, &[REASON], None).await;
    assert_eq!(seen.json(), right);
    let listed = jsmith.send("GET", "/api/admin/accounts/1001/premises", &[REASON], None).await.json();
    assert_eq!(listed, json!({"premises": [right], "nextCursor": null}));
    let reader = User::of(&service, "reader").await;
    let masked = reader.send("GET", path, &[REASON], None).await;
    let body = masked.json();
    assert_eq!(body["masked"], json!(["/street", "/servicePoints/0/esiId"]));
    assert_eq!((&body["street"], &body["city"], &body["zip"]), (&json!("***"), &json!("Anytown"), &json!("75001")));
    assert!(!masked.body.contains(super::MAIN) && !masked.body.contains("123 Main"), "{}", masked.body);
    let correction = json!({"zip": "75002"}).to_string();
    assert_eq!(alice.patch("/api/premises/2001", &correction).await.errors(), ["/zip:market-owned"]);
    let corrected = jsmith.send("PATCH", path, &[REASON], Some(&correction)).await;
    assert_eq!((corrected.status.as_u16(), &corrected.json()["zip"]), (200, &json!("75002")), "{}", corrected.body);
    assert_eq!(reader.send("PATCH", path, &[REASON], Some(&correction)).await.status, 403);
    // Everybody's moves, by status.
    move_out(&alice, "/api/premises/2001/move-out", &day(&service, 4)).await;
    let of = async |status: &str| {
        let answer = jsmith.send("GET", &format!("/api/admin/moves?status={status}"), &[REASON], None).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["moves"].as_array().unwrap().len()
    };
    assert_eq!((of("planned").await, of("done").await), (1, 0));
    let one = jsmith.send("GET", "/api/admin/moves/7001", &[REASON], None).await.json();
    assert_eq!((&one["moveId"], &one["version"]), (&json!(7001), &json!(1)));
}

/// The diagrams of the document are those of the program.
#[test]
fn the_lifecycles_are_as_they_are_drawn() {
    let text = include_str!("../../../../../docs/lifecycles.md");
    drawn(text, "## Move\n", MoveStatus::may_become);
    drawn(text, "## Market request\n", RequestStatus::may_become);
}

/// Compares the arrows of a section's diagram with a state machine.
fn drawn<S: Named + PartialEq>(text: &str, heading: &str, may_become: fn(S, S) -> bool) {
    let section = text.split_once(heading).unwrap_or_else(|| panic!("{heading} is missing")).1;
    let section = section.split("\n## ").next().unwrap();
    let arrow = |line: &str| {
        let (from, to) = line.trim().split_once(" --> ")?;
        Some((from.to_owned(), to.split(':').next().unwrap().trim().to_owned()))
    };
    let mut drawn: Vec<_> = section.lines().filter_map(arrow).filter(|(a, b)| a != "[*]" && b != "[*]").collect();
    drawn.sort();
    let mut right: Vec<(String, String)> = Vec::new();
    for (a, from) in S::ALL {
        let steps = S::ALL.iter().filter(|(b, _)| may_become(*a, *b));
        right.extend(steps.map(|(_, to)| ((*from).to_owned(), (*to).to_owned())));
    }
    right.sort();
    assert_eq!(drawn, right, "{heading}");
}
