//! Staff's search.

use serde_json::{Value, json};
use similar_asserts::assert_eq;
use store::audit::Outcome;

use super::{REASON, ask};
use crate::{
    ask::{User, records},
    on_both_engines,
    support::{Answer, Service},
};

on_both_engines! {
    everybody_is_found_by_everything,
    what_is_edited_is_found_as_it_is,
    all_that_is_given_must_hold,
    page_by_page_in_the_order_of_their_coming,
    each_who_is_shown_is_recorded,
    what_cannot_be_searched_is_said,
}

async fn search(user: &User<'_>, body: &Value) -> Answer {
    ask(user, "POST", "/api/admin/customers/search", Some(body)).await
}

/// Who is found.
async fn found(user: &User<'_>, body: &Value) -> Vec<i64> {
    let answer = search(user, body).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.body);
    let customers = answer.json()["customers"].as_array().unwrap().clone();
    customers.iter().map(|customer| customer["customerId"].as_i64().unwrap()).collect()
}

async fn everybody_is_found_by_everything(service: Service) {
    let jsmith = User::of(&service, "jsmith").await;
    for body in [
        json!({"email": "JOHN.SMITH@example.com"}),
        json!({"phone": "+1 555.123.4567"}),
        json!({"name": "SMITH john"}),
        json!({"name": "smi* jo*".replace("jo*", "joh*")}),
        json!({"street": "123 main st"}),
        json!({"street": "123 mai*"}),
        json!({"accountNumber": "1234567890"}),
        json!({"meterNumber": "E-12345678"}),
        json!({"esiId": "10443720001234567"}),
        json!({"name": "smith", "street": "main", "status": "active", "type": "individual"}),
    ] {
        assert_eq!(found(&jsmith, &body).await, [1], "{body}");
    }
    assert_eq!(found(&jsmith, &json!({"businessName": "acme"})).await, [2]);
    assert_eq!(found(&jsmith, &json!({"businessName": "smith"})).await, Vec::<i64>::new(), "no business");
    assert_eq!(found(&jsmith, &json!({"name": "smit"})).await, Vec::<i64>::new(), "a word is whole without asterisk");
    assert_eq!(found(&jsmith, &json!({"email": "nobody@example.com"})).await, Vec::<i64>::new());
    let shown = search(&jsmith, &json!({"accountNumber": "1234567890"})).await.json();
    let one = ask(&jsmith, "GET", "/api/admin/customers/1", None).await.json();
    assert_eq!(shown, json!({"customers": [one], "nextCursor": null}));
    let reader = User::of(&service, "reader").await;
    let masked = search(&reader, &json!({"name": "smith"})).await.json();
    assert_eq!(masked["customers"][0]["lastName"], json!("S."));
}

async fn what_is_edited_is_found_as_it_is(service: Service) {
    let (jsmith, alice) = (User::of(&service, "jsmith").await, User::of(&service, "alice").await);
    let made = ask(
        &jsmith,
        "POST",
        "/api/admin/customers",
        Some(&json!({"firstName": "Siobhán", "lastName": "O'Brien-Smith"})),
    )
    .await;
    let id = made.json()["customerId"].as_i64().unwrap();
    for name in ["OBRIEN", "o’brien", "obrien smith", "siobhan", "obriensmith", "sio* obr*"] {
        assert!(found(&jsmith, &json!({"name": name})).await.contains(&id), "{name}");
    }
    let path = format!("/api/admin/customers/{id}");
    ask(&jsmith, "PATCH", &path, Some(&json!({"lastName": "Byrne"}))).await;
    assert!(!found(&jsmith, &json!({"name": "obrien"})).await.contains(&id));
    assert_eq!(found(&jsmith, &json!({"name": "byrne"})).await, [id]);
    assert_eq!(alice.patch("/api/premises/2001", r#"{"street":"9 Pecan Trail"}"#).await.status, 200);
    assert_eq!(found(&jsmith, &json!({"street": "pecan trl"})).await, [1]);
    assert_eq!(found(&jsmith, &json!({"street": "123 main"})).await, Vec::<i64>::new(), "it is not there any more");
}

async fn all_that_is_given_must_hold(service: Service) {
    let jsmith = User::of(&service, "jsmith").await;
    for body in [
        json!({"name": "smith", "email": "nobody@example.com"}),
        json!({"name": "smith jones"}),
        json!({"accountNumber": "1234567890", "name": "jones"}),
        json!({"accountNumber": "1234567890", "esiId": "10443720009999999"}),
        json!({"accountNumber": "1234567890", "status": "inactive"}),
        json!({"name": "smith", "type": "business"}),
        json!({"name": "smith", "createdTo": "2019-01-01"}),
    ] {
        assert_eq!(found(&jsmith, &body).await, Vec::<i64>::new(), "{body}");
    }
    assert_eq!(found(&jsmith, &json!({"name": "smith", "createdFrom": "2019-01-01"})).await, [1]);
    let people = found(&jsmith, &json!({"status": "active"})).await;
    assert_eq!(people.len(), 3, "{people:?}");
}

async fn page_by_page_in_the_order_of_their_coming(service: Service) {
    let jsmith = User::of(&service, "jsmith").await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let body = json!({"firstName": format!("Ann{n}"), "lastName": "Nguyễn"});
        ids.push(
            ask(&jsmith, "POST", "/api/admin/customers", Some(&body)).await.json()["customerId"].as_i64().unwrap(),
        );
    }
    for filter in [json!({"name": "nguyen"}), json!({"name": "ngu*", "status": "active"})] {
        let (mut all, mut cursor) = (Vec::new(), Value::Null);
        loop {
            let mut body = filter.clone();
            (body["limit"], body["cursor"]) = (json!(2), cursor.clone());
            let answer = search(&jsmith, &body).await.json();
            let page = answer["customers"].as_array().unwrap();
            all.extend(page.iter().map(|customer| customer["customerId"].as_i64().unwrap()));
            cursor = answer["nextCursor"].clone();
            if cursor.is_null() {
                break;
            }
            assert_eq!(page.len(), 2);
            // A cursor is bound to its search and to who searched.
            let other = json!({"name": "smith", "cursor": cursor.clone()});
            assert_eq!(search(&jsmith, &other).await.errors(), ["/cursor:invalid-cursor"]);
            let mjones = User::of(&service, "mjones").await;
            assert_eq!(search(&mjones, &body).await.errors().len(), usize::from(!body["cursor"].is_null()));
        }
        assert_eq!(all, ids);
    }
}

async fn each_who_is_shown_is_recorded(service: Service) {
    let jsmith = User::of(&service, "jsmith").await;
    let ask = async |id: &str, body: Value| {
        let headers = [REASON, ("x-request-id", id)];
        let answer = jsmith.send("POST", "/api/admin/customers/search", &headers, Some(&body.to_string())).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let mut whose: Vec<_> = records(&service, id)
            .await
            .iter()
            .map(|r| (r.outcome, r.customer.map(|id| id.to_string()), r.reason.clone()))
            .collect();
        whose.sort_by_key(|(_, customer, _)| customer.clone());
        whose
    };
    let one = |customer: Option<&str>| (Outcome::Read, customer.map(str::to_owned), Some("complaint".to_owned()));
    assert_eq!(ask("all", json!({"status": "active"})).await, [one(Some("1")), one(Some("2")), one(Some("3"))]);
    assert_eq!(ask("two", json!({"status": "active", "limit": 2})).await.len(), 2, "who is on no page is not opened");
    assert_eq!(
        ask("none", json!({"name": "nobody"})).await,
        [one(None)],
        "a search that finds nobody is recorded, too"
    );
    let unsaid = jsmith.send("POST", "/api/admin/customers/search", &[], Some(r#"{"name":"smith"}"#)).await;
    assert_eq!(unsaid.code(), "access-reason-required");
}

async fn what_cannot_be_searched_is_said(service: Service) {
    let jsmith = User::of(&service, "jsmith").await;
    for (body, error) in [
        (json!({}), ":missing"),
        (json!({"limit": 5}), ":missing"),
        (json!({"name": "sm*"}), "/name:prefix-too-short"),
        (json!({"street": "12* main"}), "/street:prefix-too-short"),
        (json!({"name": "a b c d e f g h"}), ":too-many-words"),
        (json!({"email": "smith"}), "/email:invalid-email"),
        (json!({"name": "smith", "limit": 101}), "/limit:out-of-range"),
        (json!({"name": "smith", "cursor": "x"}), "/cursor:invalid-cursor"),
        (json!({"createdFrom": "2025-01-02", "createdTo": "2025-01-02"}), ":invalid-window"),
        (json!({"ssn": "078-05-1120"}), "/ssn:unknown-member"),
    ] {
        let answer = search(&jsmith, &body).await;
        assert_eq!((answer.status.as_u16(), answer.errors()), (422, vec![error.to_owned()]), "{body}");
        assert!(!answer.body.contains("078-05"));
    }
    // A search without an address: nothing personal stands in a URL.
    assert_eq!(jsmith.send("GET", "/api/admin/customers/search?name=smith", &[REASON], None).await.status, 405);
}
