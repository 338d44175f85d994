//! The realm files: what is in them, and that Keycloak takes them.

use reqwest::{Method, StatusCode, Url, header};
use serde_json::Value;

use super::{OF_INTERNAL, Realm, customers, form, internal, realm_file};

/// Every member of a document, with its path.
fn members(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let path = format!("{path}/{name}");
                found.push((path.clone(), value.clone()));
                members(value, &path, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| members(value, path, found)),
        _ => {}
    }
}

#[test]
fn the_realm_files_hold_no_people_and_no_secrets() {
    for file in ["ossrep", "ossrep-internal"] {
        let realm: Value = serde_json::from_slice(&std::fs::read(realm_file(file)).unwrap()).unwrap();
        assert_eq!(realm["realm"], file);
        let mut found = Vec::new();
        members(&realm, "", &mut found);
        assert!(found.len() > 50, "they were read");
        for (path, value) in &found {
            let last = path.rsplit('/').next().unwrap();
            let secret = ["users", "federatedUsers", "credentials", "secret", "components", "smtpServer"];
            let key = ["private", "certificate", "saltedpassword", "clientsecret"];
            assert!(!secret.contains(&last), "{file} has {path}");
            assert!(!key.iter().any(|word| last.to_ascii_lowercase().contains(word)), "{file} has {path}");
            // Every address is one that cannot exist (RFC 2606).
            let address = value.as_str().filter(|text| text.contains("://"));
            assert!(address.is_none_or(|text| text.contains(".example/") || text.ends_with(".example")), "{path}");
        }
    }
}

/// What Keycloak makes of each client: one way in, PKCE for people, a secret drawn by itself, no password grant.
#[tokio::test]
async fn keycloak_has_imported_both_files() {
    for (file, clients) in [
        ("ossrep", &[("customer-service-portal", true), ("customer-service-spa", false)][..]),
        (
            "ossrep-internal",
            &[
                ("customer-service-staff", false),
                ("billing-service", true),
                ("meter-service", true),
                ("market-service", true),
                ("notification-service", true),
            ],
        ),
    ] {
        let realm = Realm::named(file.to_owned()).await;
        for (id, confidential) in clients {
            let client = realm.client(id).await;
            let secret = client["secret"].as_str().unwrap_or_default();
            assert_eq!(secret.len() >= 32, *confidential, "{id}");
            let service = id.ends_with("-service");
            assert_eq!(client["serviceAccountsEnabled"], service, "{id}");
            assert_eq!(client["standardFlowEnabled"], !service, "{id}");
            assert_eq!(client["directAccessGrantsEnabled"], false, "{id}");
            assert_eq!(client["implicitFlowEnabled"], false, "{id}");
            assert_eq!(client["fullScopeAllowed"], false, "{id}");
            let challenge = client["attributes"]["pkce.code.challenge.method"].as_str();
            assert_eq!(challenge, (!service).then_some("S256"), "{id}");
        }
        let roles = realm.admin(Method::GET, "/roles", None).await;
        let roles: Vec<&str> = roles.as_array().unwrap().iter().map(|role| role["name"].as_str().unwrap()).collect();
        let expected: &[&str] = if file == "ossrep" { &["customer", "partner"] } else { &OF_INTERNAL[..4] };
        for role in expected {
            assert!(roles.contains(role), "{role} in {roles:?}");
        }
        // No person can be given what only a service has.
        assert!(!OF_INTERNAL[4..].iter().any(|role| roles.contains(role)), "{roles:?}");
    }
}

/// `/api/docs` fetches discovery and token from the browser, and is sent back to a page of its own.
#[tokio::test]
async fn the_documentation_page_may_log_in() {
    let origin = "https://customer-service.example";
    let back = format!("{origin}/api/docs/oauth2-redirect.html");
    for (realm, id) in [(customers().await, "customer-service-spa"), (internal().await, "customer-service-staff")] {
        let discovery = format!("{}/.well-known/openid-configuration", realm.issuer());
        let found = realm.client.get(discovery).header(header::ORIGIN, origin).send().await.unwrap();
        let asked = [
            ("response_type", "code"),
            ("client_id", id),
            ("redirect_uri", &back),
            ("scope", "openid"),
            ("code_challenge_method", "S256"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ];
        let page = |asked: &[(&str, &str)]| {
            let url = Url::parse_with_params(&realm.endpoint("auth"), asked).unwrap();
            realm.client.get(url).send()
        };
        assert_eq!(page(&asked).await.unwrap().status(), StatusCode::OK, "{id}");
        let without_pkce = page(&asked[..4]).await.unwrap();
        let place = without_pkce.headers()[header::LOCATION].to_str().unwrap().to_owned();
        assert!(place.contains("error=invalid_request") && place.contains("code_challenge_method"), "{place}");
        let body = form(&[("grant_type", "authorization_code"), ("client_id", id), ("code", "x"), asked[2]]);
        let token = realm.client.post(realm.endpoint("token")).header(header::ORIGIN, origin);
        let token = token.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let token = token.send().await.unwrap();
        assert_eq!(token.status(), StatusCode::BAD_REQUEST, "no such code");
        for answer in [found, token] {
            let allowed = answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|text| text.to_str().unwrap());
            assert!(allowed == Some(origin) || allowed == Some("*"), "{id}: {allowed:?}");
        }
    }
}
