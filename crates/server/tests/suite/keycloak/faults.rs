//! Realms with the faults of the one that OSSREP has published: clients without the scope `basic`, no audience mapper.

use reqwest::StatusCode;
use serde_json::{Value, json};
use server::auth::TokenError;
use store::EngineKind;
use tokio::sync::OnceCell;

use super::{OF_CUSTOMERS, Realm, claims};
use crate::{
    ask::{User, enrol_linked},
    support::Service,
};

/// Its access tokens have no `sub`.
pub const NO_BASIC: &str = "customer-service-spa";
/// Its access tokens have no `aud` of ours.
pub const NO_AUDIENCE: &str = "customer-service-portal";

/// The realm of customers with a fault in each of its clients.
pub async fn faulty() -> Realm {
    static MADE: OnceCell<String> = OnceCell::const_new();
    let made = MADE.get_or_init(async || {
        let realm = Realm::like("ossrep", |realm| {
            for client in realm["clients"].as_array_mut().unwrap() {
                if client["clientId"] == NO_BASIC {
                    client["defaultClientScopes"] = json!(["roles", "acr", "web-origins"]);
                } else {
                    client["protocolMappers"] = json!([]);
                }
            }
        });
        realm.await.name
    });
    Realm::named(made.await.clone()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_faults_are_refused_with_their_reason() {
    let realm = faulty().await;
    let erin = realm.user("erin", &[]).await;
    let service = Service::with_issuers(EngineKind::Sqlite, vec![realm.config(None, OF_CUSTOMERS)]).await;
    enrol_linked(&service, vec![(realm.issuer(), erin.id.clone())]).await;
    for (client, missing, error, word) in
        [(NO_BASIC, "sub", TokenError::Subject, "scope"), (NO_AUDIENCE, "aud", TokenError::Audience, "aud")]
    {
        let tokens = realm.log_in(client, &erin).await;
        assert_eq!(claims(&tokens.access)[missing], Value::Null, "Keycloak does leave it out");
        assert!(claims(&tokens.id)["sub"].is_string(), "and not from the ID token");
        let answer = User::with(&service, &tokens.access).get("/api/customer").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(detail, error.to_string());
        assert!(detail.contains(word), "{detail}");
        assert!(answer.header("www-authenticate").contains("invalid_token"), "{:?}", answer.headers);
    }
}
