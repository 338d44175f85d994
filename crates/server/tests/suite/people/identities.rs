//! The log-ins that lead to a customer.

use domain::time::SECOND;
use serde_json::{Value, json};
use server::demo::oidc;
use similar_asserts::assert_eq;

use super::ask;
use crate::{
    ask::{User, enrol_bare, events},
    on_both_engines,
    support::Service,
};

on_both_engines! { a_log_in_leads_to_one_customer, an_unlinked_log_in_is_nobodys, only_what_is_theirs_is_unlinked }

const OF_BARE: &str = "/api/admin/customers/10/identities";

fn dave(service: &Service) -> Value {
    json!({"issuer": format!("{}{}", service.base, oidc::PATH), "subject": oidc::subject_of("dave")})
}

async fn a_log_in_leads_to_one_customer(service: Service) {
    enrol_bare(&service).await;
    let (mjones, dave_user) = (User::of(&service, "mjones").await, User::of(&service, "dave").await);
    let jsmith = User::of(&service, "jsmith").await;
    assert_eq!(ask(&jsmith, "POST", OF_BARE, Some(&dave(&service))).await.code(), "forbidden");
    assert_eq!(dave_user.get("/api/customer").await.code(), "not-enrolled");
    let wrong = json!({"issuer": "https://login.example.com", "subject": "a b"});
    assert_eq!(ask(&mjones, "POST", OF_BARE, Some(&wrong)).await.errors(), ["/subject:invalid-subject"]);
    let stranger = json!({"issuer": "https://login.example.com", "subject": "ab"});
    assert_eq!(ask(&mjones, "POST", OF_BARE, Some(&stranger)).await.errors(), ["/issuer:unknown-issuer"]);
    let linked = ask(&mjones, "POST", OF_BARE, Some(&dave(&service))).await;
    assert_eq!(linked.status, 201, "{}", linked.body);
    assert!(!linked.body.contains(&oidc::subject_of("dave")), "nobody reads it again");
    assert_eq!(dave_user.get("/api/customer").await.json()["customerId"], json!(10), "at once");
    for path in [OF_BARE, "/api/admin/customers/1/identities"] {
        let taken = ask(&mjones, "POST", path, Some(&dave(&service))).await;
        assert_eq!((taken.status.as_u16(), taken.code().as_str()), (409, "already-linked"), "{path}");
    }
    let list = ask(&jsmith, "GET", OF_BARE, None).await.json();
    let all = list["identities"].as_array().unwrap();
    assert_eq!((all.len(), &all[1], &list["nextCursor"]), (2, &linked.json(), &Value::Null));
    let members: Vec<&String> = all[0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["identityId", "issuer", "linkedAt"]);
    assert_eq!(events(&service).await, [], "neighbours know no log-ins");
}

async fn an_unlinked_log_in_is_nobodys(service: Service) {
    let (mjones, alice) = (User::of(&service, "mjones").await, User::of(&service, "alice").await);
    assert_eq!(alice.get("/api/customer").await.status, 200, "the link is known now");
    let path = "/api/admin/customers/1/identities";
    let id = ask(&mjones, "GET", path, None).await.json()["identities"][0]["identityId"].clone();
    let unlinked = ask(&mjones, "DELETE", &format!("{path}/{id}"), None).await;
    assert_eq!(
        (unlinked.status.as_u16(), unlinked.json()["identities"].clone()),
        (200, json!([])),
        "{}",
        unlinked.body
    );
    service.clock.forward(6 * SECOND);
    assert_eq!(alice.get("/api/customer").await.code(), "not-enrolled", "what was known is forgotten");
    let again = ask(&mjones, "DELETE", &format!("{path}/{id}"), None).await;
    assert_eq!(again.status, 404);
}

async fn only_what_is_theirs_is_unlinked(service: Service) {
    let (mjones, alice) = (User::of(&service, "mjones").await, User::of(&service, "alice").await);
    let id = ask(&mjones, "GET", "/api/admin/customers/1/identities", None).await.json()["identities"][0]["identityId"]
        .clone();
    let foreign = ask(&mjones, "DELETE", &format!("/api/admin/customers/2/identities/{id}"), None).await;
    assert_eq!(foreign.status, 404);
    service.clock.forward(6 * SECOND);
    assert_eq!(alice.get("/api/customer").await.status, 200);
}
