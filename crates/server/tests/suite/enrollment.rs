//! Enrolments: who may submit one and how often, who decides, and what neighbours hear of it.

use domain::{
    accounts::Balance,
    customers::{CustomerEdit, CustomerName},
    enrollments::{Enrollment, EnrollmentKind, EnrollmentStatus, confirmation_number},
    ids::Id,
    personal::Personal,
    preferences::Preferences,
    premises::Address,
    status::Status,
    time::{Clock, HOUR, LocalDate},
    values::AccountNumber,
};
use serde_json::{Value, json};
use similar_asserts::assert_eq;
use store::seed::{self, NewAccount, NewCustomer, NewPremise};

use crate::{
    ask::{User, events, records},
    moves::{line, report, requests, run},
    on_both_engines,
    process::Sql,
    support::{Answer, Service},
};

on_both_engines! {
    who_enrols_waits_for_approval,
    a_key_answers_once,
    at_once_is_once,
    every_error_comes_at_once,
    an_active_customer_moves_instead,
    staff_approve,
    two_approve_at_once,
    staff_reject_and_the_person_comes_back,
    a_place_is_promised_once,
    who_enrolled_withdraws,
    who_left_long_ago_comes_back,
    approval_may_be_automatic,
    staff_list_and_see,
    the_market_accepts_and_service_begins,
    the_market_rejects,
    what_the_market_has_it_is_asked_to_cancel,
}

pub const REASON: (&str, &str) = ("x-access-reason", "complaint");
pub const ESI_ID: &str = "10443720001234599";

pub fn today(service: &Service) -> LocalDate {
    service.app.zone.date(service.clock.now())
}

/// What Dana sends who moves in so many days from now.
pub fn application(service: &Service, days: i64) -> Value {
    json!({
        "kind": "move-in", "type": "individual", "firstName": "Dana", "lastName": "Reyes",
        "email": "dana@example.com", "phone": "(555) 010-2000",
        "requestedStartDate": today(service).plus_days(days).to_string(),
        "address": {"street": "9 Elm Street", "unit": null, "city": "Anytown", "state": "TX", "zip": "75001"},
        "esiIds": [ESI_ID], "mailingAddress": null, "language": "es",
        "acceptedTerms": {"documents": [{"name": "terms-of-service", "version": "2024-06"}]},
    })
}

/// Persons who enrolled and wait for staff, by the ids of customer and enrolment.
pub async fn newcomers(service: &Service, ids: &[(i64, i64)]) {
    fn text<P: Personal>(value: &str) -> P {
        P::parse(value).unwrap()
    }
    let (now, start) = (service.clock.now(), today(service).plus_days(5));
    let mut enrollments = Vec::new();
    for (customer, enrollment) in ids {
        let (id, account, premise) = (Id::new(*customer).unwrap(), customer + 1200, customer + 2200);
        let (account, premise) = (Id::new(account).unwrap(), Id::new(premise).unwrap());
        let address = Address {
            street: text("9 Elm Street"),
            unit: None,
            city: text("Anytown"),
            state: text("TX"),
            zip: text("75001"),
        };
        let place = NewPremise {
            id: premise,
            nickname: None,
            address,
            is_primary: false,
            status: Status::Pending,
            service_start: start,
            service_end: None,
            occupancy: (service.app.zone.start(start), None),
            created_at: now,
            service_points: Vec::new(),
        };
        let opened = NewAccount {
            id: account,
            number: AccountNumber::parse(&format!("NEW-{customer}")).unwrap(),
            nickname: None,
            status: Status::Pending,
            created_at: now,
            balance: Balance::default(),
            premises: vec![place],
        };
        let name = CustomerName::Business { name: text("New Ltd.") };
        let newcomer = NewCustomer {
            id,
            edit: CustomerEdit { name, email: None, phone: None },
            status: Status::Pending,
            inactive_since: None,
            created_at: now,
            links: Vec::new(),
            accounts: vec![opened],
            preferences: Preferences::of_newcomer(),
            payment_methods: Vec::new(),
        };
        seed::write(&service.store, &[], &[newcomer]).await.unwrap();
        enrollments.push(Enrollment {
            id: Id::new(*enrollment).unwrap(),
            customer: id,
            account,
            premise,
            kind: EnrollmentKind::MoveIn,
            status: EnrollmentStatus::Submitted,
            confirmation_number: confirmation_number(enrollment.unsigned_abs()),
            requested_start: start,
            confirmed_start: None,
            rejection: None,
            documents: Vec::new(),
            submitted_at: now,
            approved_at: None,
            version: 1,
        });
    }
    seed::enrollments(&service.store, &enrollments).await.unwrap();
}

async fn post(user: &User<'_>, path: &str, body: &Value) -> Answer {
    user.send("POST", path, &[REASON], Some(&body.to_string())).await
}

async fn enroll(user: &User<'_>, body: &Value) -> Value {
    let answer = post(user, "/api/enrollment", body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()
}

async fn kinds(service: &Service, customer: i64) -> Vec<String> {
    events(service).await.into_iter().filter(|told| told.customer == customer).map(|told| told.kind).collect()
}

async fn open_tasks(service: &Service) -> i64 {
    let sql = Sql::of(service.db.location()).await;
    sql.number("SELECT count(*) FROM task WHERE kind = 'enrollment' AND status = 'open'").await
}

/// The first person is forgotten as far as the log-in goes: whoever signs in with it is somebody else.
async fn forget(service: &Service, customer: i64) {
    let sql = Sql::of(service.db.location()).await;
    sql.main_batch(&format!("DELETE FROM identity_link WHERE customer_id = {customer}")).await;
    service.clock.forward(HOUR / 60);
}

async fn who_enrols_waits_for_approval(service: Service) {
    let dave = User::of(&service, "dave").await;
    assert_eq!(dave.get("/api/enrollment").await.code(), "not-enrolled");
    let body = application(&service, 5);
    let id = [("x-request-id", "first")];
    let answer = dave.send("POST", "/api/enrollment", &id, Some(&body.to_string())).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (201, "/api/enrollment"), "{}", answer.body);
    let made = answer.json();
    let (start, number) = (&body["requestedStartDate"], made["confirmationNumber"].as_str().unwrap());
    assert!(number.starts_with("ENR-") && number.len() == 13, "{number}");
    let right = json!({
        "enrollmentId": 5004, "confirmationNumber": number, "kind": "move-in", "status": "submitted",
        "submittedAt": made["submittedAt"], "requestedStartDate": start, "confirmedStartDate": null,
        "withdrawableUntil": start, "customerId": 4, "accountId": 1007, "premiseId": 2010, "rejection": null,
        "nextStep": "approval",
    });
    assert_eq!(made, right);
    assert_eq!(dave.get("/api/enrollment").await.json(), right);
    assert_eq!(open_tasks(&service).await, 1);
    // Nothing else is told, and the person reads what they wrote.
    assert_eq!(kinds(&service, 4).await, ["EnrollmentSubmitted"]);
    let data = json!({"customerId": 4, "accountId": 1007, "premiseId": 2010, "enrollmentId": 5004, "version": 1,
        "changed": []});
    assert_eq!(events(&service).await[0].data, data);
    let customer = dave.get("/api/customer").await.json();
    assert_eq!((&customer["status"], &customer["firstName"]), (&json!("pending"), &json!("Dana")));
    let account = dave.get("/api/accounts/1007").await.json();
    assert_eq!((&account["status"], &account["currentBalance"]), (&json!("pending"), &json!(null)));
    assert_eq!(dave.get("/api/accounts/1007/summary").await.json()["balanceAsOf"], json!(null));
    let premise = dave.get("/api/premises/2010").await.json();
    assert_eq!((&premise["status"], &premise["servicePoints"][0]["esiId"]), (&json!("pending"), &json!(ESI_ID)));
    assert_eq!(dave.get("/api/preferences/communication").await.json()["language"], json!("es"));
    // Who did it is sealed under the customer's own key.
    let record = &records(&service, "first").await[0];
    assert_eq!((record.customer.map(|id| id.to_string()), record.actor_hash), (Some("4".into()), None));
    // The terms are kept, and not readable.
    let sql = Sql::of(service.db.location()).await;
    assert_eq!(sql.number("SELECT count(*) FROM enrollment WHERE enrollment_id = 5004").await, 1);
}

async fn a_key_answers_once(service: Service) {
    let dave = User::of(&service, "dave").await;
    let (body, key) = (application(&service, 5), [("idempotency-key", "enrol-1")]);
    let first = dave.send("POST", "/api/enrollment", &key, Some(&body.to_string())).await;
    let again = dave.send("POST", "/api/enrollment", &key, Some(&body.to_string())).await;
    assert_eq!((again.status.as_u16(), &again.body), (201, &first.body));
    assert_eq!(again.header("location"), "/api/enrollment");
    let other = dave.send("POST", "/api/enrollment", &key, Some(&application(&service, 6).to_string())).await;
    assert_eq!(other.code(), "idempotency-key-reused");
    let anew = post(&dave, "/api/enrollment", &body).await;
    assert_eq!((anew.status.as_u16(), anew.code()), (409, "already-enrolled".to_owned()));
    assert_eq!(anew.json()["allowed"], json!(["withdraw"]));
    assert_eq!((open_tasks(&service).await, kinds(&service, 4).await.len()), (1, 1));
}

async fn at_once_is_once(service: Service) {
    let (one, other) = (User::of(&service, "dave").await, User::of(&service, "dave").await);
    let body = application(&service, 5);
    let (one, other) = tokio::join!(post(&one, "/api/enrollment", &body), post(&other, "/api/enrollment", &body));
    let mut answers = [(one.status.as_u16(), one.code()), (other.status.as_u16(), other.code())];
    answers.sort();
    assert_eq!(answers, [(201, String::new()), (409, "already-enrolled".to_owned())]);
    let sql = Sql::of(service.db.location()).await;
    assert_eq!(
        sql.number("SELECT count(*) FROM customer WHERE customer_id > 3").await,
        1,
        "the other one left nothing"
    );
}

async fn every_error_comes_at_once(service: Service) {
    let dave = User::of(&service, "dave").await;
    let with = |name: &str, value: Value| {
        let mut body = application(&service, 5);
        body[name] = value;
        body
    };
    let refused = async |body: &Value| {
        let answer = post(&dave, "/api/enrollment", body).await;
        assert_eq!(answer.status, 422, "{}", answer.body);
        answer.errors()
    };
    assert_eq!(refused(&with("ssn", json!("078-05-1120"))).await, ["/ssn:not-collected"]);
    assert_eq!(refused(&with("dateOfBirth", json!(null))).await, ["/dateOfBirth:not-collected"]);
    let (yesterday, late) = (application(&service, -1), application(&service, 91));
    for body in [yesterday, late] {
        assert_eq!(refused(&body).await, ["/requestedStartDate:out-of-range"]);
    }
    let mut nowhere = with("address", json!(null));
    assert_eq!(refused(&nowhere).await, ["/esiIds/0:unknown-place"], "nobody knows where that is");
    nowhere["esiIds"] = json!(null);
    nowhere["email"] = json!("dana");
    assert_eq!(refused(&nowhere).await, ["/email:invalid-email", "/address:missing"]);
    let sql = Sql::of(service.db.location()).await;
    assert_eq!(sql.number("SELECT count(*) FROM customer WHERE customer_id > 3").await, 0);
    // Without an address, the place's own words are taken where it is known.
    let mut known = with("address", json!(null));
    known["esiIds"] = json!(["10443720001234567"]);
    enroll(&dave, &known).await;
    assert_eq!(dave.get("/api/premises/2010").await.json()["street"], json!("123 Main Street"));
}

async fn an_active_customer_moves_instead(service: Service) {
    let alice = User::of(&service, "alice").await;
    let answer = post(&alice, "/api/enrollment", &application(&service, 5)).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (409, "already-enrolled".to_owned()));
    assert_eq!(answer.json()["allowed"], json!(["move-in"]));
    let withdrawn = alice.send("DELETE", "/api/enrollment", &[], None).await;
    assert_eq!(
        (withdrawn.code(), &withdrawn.json()["allowed"]),
        ("invalid-transition".to_owned(), &json!(["move-out"]))
    );
}

async fn staff_approve(service: Service) {
    let (dave, jsmith) = (User::of(&service, "dave").await, User::of(&service, "jsmith").await);
    enroll(&dave, &application(&service, 5)).await;
    let path = "/api/admin/enrollments/5004";
    let unsaid = jsmith.send("POST", &format!("{path}/approve"), &[], None).await;
    assert_eq!(unsaid.code(), "access-reason-required");
    let approved = post(&jsmith, &format!("{path}/approve"), &json!({})).await;
    let body = approved.json();
    assert_eq!(
        (approved.status.as_u16(), &body["status"], &body["nextStep"]),
        (200, &json!("approved"), &json!("market"))
    );
    assert_eq!((&body["version"], &body["masked"]), (&json!(2), &json!([])));
    let told = ["EnrollmentSubmitted", "CustomerCreated", "AccountCreated", "PremiseAdded", "MarketRequestOpened"];
    assert_eq!(kinds(&service, 4).await, told);
    assert_eq!(open_tasks(&service).await, 0);
    for (step, body) in [("approve", json!({})), ("reject", json!({"reason": "error"}))] {
        let again = post(&jsmith, &format!("{path}/{step}"), &body).await;
        assert_eq!((again.code(), &again.json()["allowed"]), ("invalid-transition".to_owned(), &json!(["withdraw"])));
    }
    assert_eq!(dave.get("/api/customer").await.json()["status"], json!("pending"), "until service begins");
}

async fn two_approve_at_once(service: Service) {
    let dave = User::of(&service, "dave").await;
    let (jsmith, mjones) = (User::of(&service, "jsmith").await, User::of(&service, "mjones").await);
    enroll(&dave, &application(&service, 5)).await;
    let (path, body) = ("/api/admin/enrollments/5004/approve", json!({}));
    let (one, other) = tokio::join!(post(&jsmith, path, &body), post(&mjones, path, &body));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(kinds(&service, 4).await.len(), 5);
}

async fn staff_reject_and_the_person_comes_back(service: Service) {
    let (dave, jsmith) = (User::of(&service, "dave").await, User::of(&service, "jsmith").await);
    enroll(&dave, &application(&service, 5)).await;
    let note = "There is no such house.";
    let path = "/api/admin/enrollments/5004/reject";
    let wrong = post(&jsmith, path, &json!({"reason": "no"})).await;
    assert_eq!(wrong.errors(), ["/reason:unknown-value"]);
    let rejected = post(&jsmith, path, &json!({"reason": "error", "note": note})).await;
    assert_eq!(rejected.status, 200, "{}", rejected.body);
    let own = dave.get("/api/enrollment").await.json();
    assert_eq!((&own["status"], &own["rejection"]), (&json!("rejected"), &json!({"code": "error", "message": note})));
    assert_eq!((&own["nextStep"], &own["withdrawableUntil"]), (&json!(null), &json!(null)));
    let seen = User::of(&service, "reader").await.send("GET", "/api/admin/enrollments/5004", &[REASON], None).await;
    let seen = seen.json();
    assert_eq!((&seen["rejection"]["message"], &seen["masked"]), (&json!(null), &json!(["/rejection/message"])));
    assert_eq!(kinds(&service, 4).await, ["EnrollmentSubmitted"], "nobody had heard of them");
    assert_eq!(open_tasks(&service).await, 0);
    for path in ["/api/customer", "/api/accounts/1007", "/api/premises/2010"] {
        assert_eq!(dave.get(path).await.json()["status"], json!("inactive"), "{path}");
    }
    // The same customer with another account; what they write now counts.
    let mut again = application(&service, 7);
    again["firstName"] = json!("Diana");
    again["language"] = json!("en");
    let mut business = again.clone();
    business["type"] = json!("business");
    business["businessName"] = json!("Reyes Ltd.");
    business.as_object_mut().unwrap().retain(|name, _| name != "firstName" && name != "lastName");
    assert_eq!(post(&dave, "/api/enrollment", &business).await.errors(), ["/type:read-only"]);
    let made = enroll(&dave, &again).await;
    assert_eq!(
        (&made["customerId"], &made["accountId"], &made["enrollmentId"]),
        (&json!(4), &json!(1008), &json!(5005))
    );
    assert_eq!(dave.get("/api/customer").await.json()["firstName"], json!("Diana"));
    assert_eq!(dave.get("/api/preferences/communication").await.json()["language"], json!("en"));
    assert_eq!(kinds(&service, 4).await, ["EnrollmentSubmitted"; 2]);
    let approved = post(&jsmith, "/api/admin/enrollments/5005/approve", &json!({})).await;
    assert_eq!(approved.status, 200, "the place is free again: {}", approved.body);
    assert!(kinds(&service, 4).await.contains(&"CustomerCreated".to_owned()));
}

async fn a_place_is_promised_once(service: Service) {
    let (dave, jsmith) = (User::of(&service, "dave").await, User::of(&service, "jsmith").await);
    enroll(&dave, &application(&service, 5)).await;
    forget(&service, 4).await;
    let second = enroll(&dave, &application(&service, 6)).await;
    assert_eq!(second["customerId"], json!(5), "both may submit");
    let approve = async |id: i64| post(&jsmith, &format!("/api/admin/enrollments/{id}/approve"), &json!({})).await;
    assert_eq!(approve(5005).await.status, 200);
    let taken = approve(5004).await;
    assert_eq!((taken.status.as_u16(), taken.code()), (409, "place-taken".to_owned()));
    assert_eq!(kinds(&service, 4).await, ["EnrollmentSubmitted"]);
    // It is free again when the second one is not to come any more.
    assert_eq!(dave.send("DELETE", "/api/enrollment", &[], None).await.status, 200);
    assert_eq!(approve(5004).await.status, 200);
}

async fn who_enrolled_withdraws(service: Service) {
    let (dave, jsmith) = (User::of(&service, "dave").await, User::of(&service, "jsmith").await);
    enroll(&dave, &application(&service, 5)).await;
    assert_eq!(post(&jsmith, "/api/admin/enrollments/5004/approve", &json!({})).await.status, 200);
    let withdrawn = dave.send("DELETE", "/api/enrollment", &[], None).await;
    assert_eq!(
        (withdrawn.status.as_u16(), &withdrawn.json()["status"]),
        (200, &json!("withdrawn")),
        "{}",
        withdrawn.body
    );
    let told = kinds(&service, 4).await;
    let ended = ["MarketRequestCancelled", "PremiseUpdated", "AccountStatusChanged", "CustomerUpdated"];
    assert_eq!(told[5..], ended);
    let last = events(&service).await.pop().unwrap().data;
    assert_eq!(
        (&last["from"], &last["to"], &last["reason"]),
        (&json!("pending"), &json!("inactive"), &json!("customer-request"))
    );
    let again = dave.send("DELETE", "/api/enrollment", &[], None).await;
    assert_eq!((again.code(), &again.json()["allowed"]), ("invalid-transition".to_owned(), &json!(["enroll"])));
    assert_eq!(enroll(&dave, &application(&service, 5)).await["accountId"], json!(1008));
}

async fn who_left_long_ago_comes_back(service: Service) {
    crate::ask::enrol_dave(&service, Some(900)).await;
    let (dave, jsmith) = (User::of(&service, "dave").await, User::of(&service, "jsmith").await);
    assert_eq!(dave.get("/api/customer").await.code(), "inactive");
    let made = enroll(&dave, &application(&service, 5)).await;
    assert_eq!(made["customerId"], json!(9));
    service.clock.forward(HOUR / 60);
    let dave = User::of(&service, "dave").await;
    assert_eq!(dave.get("/api/enrollment").await.status, 200);
    assert_eq!(dave.get("/api/customer").await.json()["status"], json!("inactive"), "until service begins");
    let told = ["CustomerUpdated", "PreferencesUpdated", "EnrollmentSubmitted"];
    assert_eq!(kinds(&service, 9).await, told, "neighbours know this customer");
    let id = &made["enrollmentId"];
    assert_eq!(post(&jsmith, &format!("/api/admin/enrollments/{id}/approve"), &json!({})).await.status, 200);
    assert_eq!(kinds(&service, 9).await[3..], ["AccountCreated", "PremiseAdded", "MarketRequestOpened"]);
}

async fn approval_may_be_automatic(mut service: Service) {
    let token = service.token("dave").await;
    service.base = service.beside(|parts| parts.approval = server::config::ApprovedBy::Automatic).await;
    let send = async |body: &Value| {
        let json = [("content-type", "application/json")];
        let body = body.to_string().into_bytes();
        service.send(reqwest::Method::POST, Some(&token), "/api/enrollment", &json, Some(body)).await.json()
    };
    assert_eq!(send(&application(&service, 5)).await["status"], json!("approved"));
    assert_eq!(kinds(&service, 4).await.len(), 5);
    assert_eq!(open_tasks(&service).await, 0);
    // A place that is promised already is for staff to decide.
    let sql = Sql::of(service.db.location()).await;
    sql.main_batch("DELETE FROM identity_link WHERE customer_id = 4").await;
    service.clock.forward(HOUR / 60);
    assert_eq!(send(&application(&service, 5)).await["status"], json!("submitted"));
    assert_eq!(open_tasks(&service).await, 1);
}

async fn staff_list_and_see(service: Service) {
    let (dave, jsmith) = (User::of(&service, "dave").await, User::of(&service, "jsmith").await);
    enroll(&dave, &application(&service, 5)).await;
    let get = async |query: &str| {
        let id = [REASON, ("x-request-id", "listed")];
        jsmith.send("GET", &format!("/api/admin/enrollments{query}"), &id, None).await
    };
    let ids = |page: &Value| -> Vec<i64> {
        let items = page["enrollments"].as_array().unwrap();
        items.iter().map(|item| item["enrollmentId"].as_i64().unwrap()).collect()
    };
    let page = get("?limit=3").await.json();
    assert_eq!(ids(&page), [5001, 5002, 5003]);
    let cursor = page["nextCursor"].as_str().unwrap();
    let last = get(&format!("?limit=3&cursor={cursor}")).await.json();
    assert_eq!((ids(&last), &last["nextCursor"]), (vec![5004], &json!(null)));
    let submitted = get("?status=submitted").await.json();
    assert_eq!(ids(&submitted), [5004]);
    assert_eq!(get("?status=new").await.errors(), ["status:invalid-value"]);
    let elsewhere = get(&format!("?limit=3&status=active&cursor={cursor}")).await;
    assert_eq!(elsewhere.errors(), ["cursor:invalid-cursor"], "a cursor belongs to its filters");
    let mut whose: Vec<String> =
        records(&service, "listed").await.iter().filter_map(|r| r.customer).map(|id| id.to_string()).collect();
    whose.sort();
    assert_eq!(whose, ["1", "2", "3", "4", "4", "4"], "a record for each customer whose rows were opened");
    let one = jsmith.send("GET", "/api/admin/enrollments/5004", &[REASON], None).await.json();
    assert_eq!(one, submitted["enrollments"][0]);
}

/// Dana has enrolled and is approved; what the market is asked.
async fn approved(service: &Service, days: i64) -> Value {
    let (dave, jsmith) = (User::of(service, "dave").await, User::of(service, "jsmith").await);
    enroll(&dave, &application(service, days)).await;
    assert_eq!(post(&jsmith, "/api/admin/enrollments/5004/approve", &json!({})).await.status, 200);
    let open = requests(&User::of(service, "market").await, "open").await;
    assert_eq!(open.len(), 1, "{open:?}");
    open[0].clone()
}

async fn the_market_accepts_and_service_begins(service: Service) {
    let request = approved(&service, 5).await;
    let (asked, later) = (today(&service).plus_days(5).to_string(), today(&service).plus_days(7).to_string());
    assert_eq!(
        (&request["kind"], &request["requestedDate"], &request["esiIds"]),
        (&json!("move-in"), &json!(asked), &json!([ESI_ID]))
    );
    let (dave, market) = (User::of(&service, "dave").await, User::of(&service, "market").await);
    let id = &request["requestId"];
    let path = format!("/api/integration/market-requests/{id}/acknowledge");
    assert_eq!(market.send("POST", &path, &[], None).await.status, 200);
    assert_eq!(dave.get("/api/enrollment").await.json()["status"], json!("sent"));
    for (transaction, date) in [("T-old", "0001-01-01"), ("T-far", "9999-12-31")] {
        let impossible = json!({"requestId": id, "effectiveDate": date});
        let answer = report(&market, &[line(transaction, "accepted", impossible)]).await;
        assert_eq!(answer["errors"][0]["code"], json!("out-of-range"), "{date}: {answer}");
    }
    let accepted = json!({"requestId": id, "effectiveDate": later});
    assert_eq!(report(&market, &[line("T-1", "accepted", accepted)]).await["accepted"], json!(1));
    let own = dave.get("/api/enrollment").await.json();
    assert_eq!(
        (&own["status"], &own["confirmedStartDate"], &own["withdrawableUntil"], &own["nextStep"]),
        (&json!("accepted"), &json!(later), &json!(later), &json!("service"))
    );
    let premise = dave.get("/api/premises/2010").await.json();
    assert_eq!((&premise["status"], &premise["serviceStartDate"]), (&json!("pending"), &json!(later)));
    service.clock.forward(6 * 24 * HOUR);
    run(&service).await;
    let dave = User::of(&service, "dave").await;
    assert_eq!(dave.get("/api/enrollment").await.json()["status"], json!("accepted"), "not before the day");
    service.clock.forward(24 * HOUR);
    run(&service).await;
    let dave = User::of(&service, "dave").await;
    let own = dave.get("/api/enrollment").await.json();
    assert_eq!((&own["status"], &own["nextStep"]), (&json!("active"), &json!(null)));
    for path in ["/api/customer", "/api/accounts/1007", "/api/premises/2010"] {
        assert_eq!(dave.get(path).await.json()["status"], json!("active"), "{path}");
    }
    let told = events(&service).await;
    let steps = told.iter().filter(|told| told.data["to"] == json!("active")).map(|told| {
        (told.kind.as_str(), told.data["effectiveDate"].as_str().unwrap(), told.data["reason"].as_str().unwrap_or(""))
    });
    let right = [
        ("OccupancyStarted", &*later, ""),
        ("CustomerUpdated", &*later, "move-in"),
        ("AccountStatusChanged", &*later, "move-in"),
    ];
    assert_eq!(steps.collect::<Vec<_>>(), right);
    let versions = told.iter().filter(|told| told.kind == "AccountStatusChanged").map(|told| &told.data["version"]);
    assert_eq!(versions.collect::<Vec<_>>(), [&json!(2)]);
    let late = dave.send("DELETE", "/api/enrollment", &[], None).await;
    assert_eq!((late.code(), &late.json()["allowed"]), ("invalid-transition".to_owned(), &json!(["move-out"])));
}

async fn the_market_rejects(service: Service) {
    let id = approved(&service, 5).await["requestId"].clone();
    let (dave, market) = (User::of(&service, "dave").await, User::of(&service, "market").await);
    let why = json!({"code": "A13", "message": "The meter is another one's."});
    let rejected = line("T-1", "rejected", json!({"requestId": id, "rejection": why}));
    assert_eq!(report(&market, &[rejected]).await["accepted"], json!(1));
    let own = dave.get("/api/enrollment").await.json();
    assert_eq!((&own["status"], &own["rejection"]), (&json!("rejected"), &why));
    assert_eq!(dave.get("/api/accounts/1007").await.json()["status"], json!("inactive"));
    let last = events(&service).await.pop().unwrap();
    assert_eq!((last.kind.as_str(), &last.data["reason"]), ("CustomerUpdated", &json!("market")));
    assert_eq!(enroll(&dave, &application(&service, 6)).await["accountId"], json!(1008));
    let jsmith = User::of(&service, "jsmith").await;
    assert_eq!(post(&jsmith, "/api/admin/enrollments/5005/approve", &json!({})).await.status, 200);
    let told = kinds(&service, 4).await;
    assert_eq!(told.iter().filter(|kind| *kind == "CustomerCreated").count(), 1, "once in a life: {told:?}");
}

async fn what_the_market_has_it_is_asked_to_cancel(service: Service) {
    let id = approved(&service, 0).await["requestId"].clone();
    let (dave, market) = (User::of(&service, "dave").await, User::of(&service, "market").await);
    let path = format!("/api/integration/market-requests/{id}/acknowledge");
    assert_eq!(market.send("POST", &path, &[], None).await.status, 200);
    assert_eq!(dave.send("DELETE", "/api/enrollment", &[], None).await.json()["status"], json!("withdrawn"));
    let open = requests(&market, "open").await;
    assert_eq!(open.iter().map(|request| &request["kind"]).collect::<Vec<_>>(), [&json!("cancel")]);
    // What the market says to it now begins nothing.
    let accepted = line("T-1", "accepted", json!({"requestId": id}));
    report(&market, &[accepted]).await;
    run(&service).await;
    assert_eq!(dave.get("/api/enrollment").await.json()["status"], json!("withdrawn"));
    assert_eq!(dave.get("/api/premises/2010").await.json()["status"], json!("inactive"));
}
