//! Log-ins at a real Keycloak, with the realms of `deploy/keycloak`: its tokens, its keys, its faults, and its absence.
//! Tests share the imported ones, with users of their own; who changes a realm makes one, from the same files.

mod docs;
mod doctor;
mod faults;
mod keys;
mod people;
mod proxy;
mod realms;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use crypto::{Random as _, SystemRandom};
use reqwest::{Method, Response, StatusCode, Url, header};
use serde_json::{Value, json};
use server::auth::IssuerConfig;
use tokio::sync::OnceCell;

/// The variable that names it, with its administrator.
const VARIABLE: &str = "OSSREP_TEST_KEYCLOAK";
/// The administrator's token of all tests.
static ADMIN: OnceCell<String> = OnceCell::const_new();
/// Long enough for the realms' rule.
const PASSWORD: &str = "a password of a test";
/// Where `customer-service-portal`, `customer-service-spa` and `customer-service-staff` may be sent back to.
const PORTAL_BACK: &str = "https://portal.example/oidc/callback";
const STAFF_BACK: &str = "https://staff.example/back";

/// The file of a realm.
fn realm_file(name: &str) -> PathBuf {
    PathBuf::from(format!("{}/../../deploy/keycloak/{name}.json", env!("CARGO_MANIFEST_DIR")))
}

fn random(bytes: usize) -> String {
    let mut drawn = vec![0; bytes];
    SystemRandom.fill(&mut drawn).unwrap();
    hex::encode(drawn)
}

fn form(fields: &[(&str, &str)]) -> String {
    Url::parse_with_params("http://x/", fields).unwrap().query().unwrap().to_owned()
}

/// A client that follows nothing.
fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.timeout(Duration::from_secs(60)).build().unwrap()
}

/// The tokens of one log-in.
#[derive(Clone)]
pub struct Tokens {
    pub access: String,
    pub id: String,
    pub refresh: String,
}

impl Tokens {
    fn of(answer: &Value) -> Self {
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Self { access: text("access_token"), id: text("id_token"), refresh: text("refresh_token") }
    }
}

/// Somebody in a realm.
pub struct Person {
    name: String,
    /// The `sub` of their tokens.
    pub id: String,
}

/// The claims of a token, unverified.
pub fn claims(token: &str) -> Value {
    serde_json::from_slice(&B64.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// A realm of the running Keycloak, made for one test.
pub struct Realm {
    /// `http://127.0.0.1:PORT`
    pub server: String,
    pub name: String,
    client: reqwest::Client,
    admin: String,
}

impl Realm {
    /// A realm as a file of `deploy/keycloak` has it, under a name of its own, with changes.
    pub async fn like(file: &str, change: impl FnOnce(&mut Value)) -> Self {
        let realm = Self::named(format!("{file}-{}", random(4))).await;
        let mut body: Value = serde_json::from_slice(&std::fs::read(realm_file(file)).unwrap()).unwrap();
        body["realm"] = json!(realm.name);
        change(&mut body);
        realm.admin_call(Method::POST, "/admin/realms", Some(body)).await;
        realm
    }

    /// A realm that is there, or will be.
    pub async fn named(name: String) -> Self {
        let url = std::env::var(VARIABLE);
        let url = url
            .unwrap_or_else(|_| panic!("{VARIABLE} is not set; run `./dev services start` and export what it prints"));
        let mut url = Url::parse(&url).unwrap();
        let password = url.password().unwrap().to_owned();
        url.set_password(None).unwrap();
        url.set_username("").unwrap();
        let server = url.as_str().trim_end_matches('/').to_owned();
        let realm = Self { server, name, client: client(), admin: String::new() };
        let admin = ADMIN.get_or_init(|| realm.lasting_admin(&password)).await.clone();
        Self { admin, ..realm }
    }

    /// An administrator's token that lasts for all tests.
    async fn lasting_admin(&self, password: &str) -> String {
        let (first, lasting) = (self.new_admin(password).await, json!({ "accessTokenLifespan": 3600 }));
        let master = self.client.put(format!("{}/admin/realms/master", self.server)).bearer_auth(first);
        assert!(master.json(&lasting).send().await.unwrap().status().is_success());
        self.new_admin(password).await
    }

    async fn new_admin(&self, password: &str) -> String {
        let body = form(&[
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", "admin"),
            ("password", password),
        ]);
        let url = format!("{}/realms/master/protocol/openid-connect/token", self.server);
        let (status, answer) = self.post(&url, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn post(&self, url: &str, body: String) -> (StatusCode, Value) {
        let request = self.client.post(url).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = request.body(body).send().await.unwrap();
        (answer.status(), serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    async fn asked(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self.client.request(method, format!("{}{path}", self.server)).bearer_auth(&self.admin);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    async fn admin_call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answer = self.asked(method.clone(), path, body).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The admin REST API below this realm.
    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        self.admin_call(method, &format!("/admin/realms/{}{path}", self.name), body).await
    }

    pub fn issuer(&self) -> String {
        format!("{}/realms/{}", self.server, self.name)
    }

    fn endpoint(&self, name: &str) -> String {
        format!("{}/protocol/openid-connect/{name}", self.issuer())
    }

    /// How the service is told of it; `at` is where its keys are reached, by default where they are.
    pub fn config(&self, at: Option<&str>, roles: &[&str]) -> IssuerConfig {
        let keys = self.endpoint("certs");
        let keys = at.map_or(keys.clone(), |at| keys.replace(&self.server, at));
        let config = json!({
            "issuer": self.issuer(), "audience": "customer-service", "jwks_url": keys, "roles": roles
        });
        serde_json::from_value(config).unwrap()
    }

    /// Somebody who can log in, with these roles besides those of every new user.
    pub async fn user(&self, name: &str, roles: &[&str]) -> Person {
        let name = format!("{name}-{}", random(4));
        let body = json!({
            // Without all of these Keycloak calls an account not fully set up.
            "username": name, "enabled": true, "email": format!("{name}@example.org"), "emailVerified": true,
            "firstName": "Given", "lastName": "Family",
            "credentials": [{ "type": "password", "value": PASSWORD, "temporary": false }],
        });
        let made = self.asked(Method::POST, &format!("/admin/realms/{}/users", self.name), Some(body)).await;
        let place = made.headers().get(header::LOCATION).map(|at| at.to_str().unwrap().to_owned());
        let id = place.unwrap().rsplit_once('/').unwrap().1.to_owned();
        for role in roles {
            let role = self.admin(Method::GET, &format!("/roles/{role}"), None).await;
            self.admin(Method::POST, &format!("/users/{id}/role-mappings/realm"), Some(json!([role]))).await;
        }
        Person { name, id }
    }

    /// A client as Keycloak has it.
    pub async fn client(&self, id: &str) -> Value {
        self.admin(Method::GET, &format!("/clients?clientId={id}"), None).await[0].clone()
    }

    /// Logs in as a browser does: authorization code with PKCE, through the log-in page.
    pub async fn log_in(&self, client: &str, user: &Person) -> Tokens {
        self.try_log_in(client, user).await.unwrap_or_else(|page| panic!("{} at {client}: {page}", user.name))
    }

    /// The same; `Err` is the page that was shown in place of a way back.
    pub async fn try_log_in(&self, client: &str, user: &Person) -> Result<Tokens, String> {
        let back = if client.ends_with("-staff") { STAFF_BACK } else { PORTAL_BACK };
        let verifier = random(32);
        let challenge = B64.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let asked = [
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", back),
            ("scope", "openid profile email"),
            ("state", "of-a-test"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let page =
            self.client.get(Url::parse_with_params(&self.endpoint("auth"), asked).unwrap()).send().await.unwrap();
        let cookies: BTreeMap<String, String> = page
            .headers()
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|cookie| cookie.to_str().unwrap().split(';').next()?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let cookies: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let page = page.text().await.unwrap();
        let Some(action) = page.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()) else {
            return Err(page);
        };
        let request = self.client.post(action.replace("&amp;", "&")).header(header::COOKIE, cookies.join("; "));
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = request.body(form(&[("username", &user.name), ("password", PASSWORD)])).send().await.unwrap();
        let Some(place) = answer.headers().get(header::LOCATION) else { return Err(answer.text().await.unwrap()) };
        let place = Url::parse(place.to_str().unwrap()).unwrap();
        let code = place.query_pairs().find(|(name, _)| name == "code").map(|(_, code)| code.into_owned());
        let code = code.ok_or_else(|| place.to_string())?;
        let secret = self.client(client).await["secret"].as_str().unwrap_or_default().to_owned();
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", back),
            ("code_verifier", &verifier),
            ("client_id", client),
        ];
        if !secret.is_empty() {
            fields.push(("client_secret", &secret));
        }
        let (status, answer) = self.post(&self.endpoint("token"), form(&fields)).await;
        if status == StatusCode::OK { Ok(Tokens::of(&answer)) } else { Err(answer.to_string()) }
    }

    /// New tokens for a refresh token of a public client.
    pub async fn refresh(&self, client: &str, refresh: &str) -> (StatusCode, Value) {
        let fields = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", refresh)];
        self.post(&self.endpoint("token"), form(&fields)).await
    }

    /// The access token of a service.
    pub async fn service(&self, client: &str) -> String {
        let secret = self.client(client).await["secret"].as_str().unwrap().to_owned();
        let fields = [("grant_type", "client_credentials"), ("client_id", client), ("client_secret", &secret)];
        let (status, answer) = self.post(&self.endpoint("token"), form(&fields)).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }
}

/// The realm of customers.
pub async fn customers() -> Realm {
    Realm::named("ossrep".into()).await
}

/// The realm of staff and services.
pub async fn internal() -> Realm {
    Realm::named("ossrep-internal".into()).await
}

/// What the realm of customers may grant.
pub const OF_CUSTOMERS: &[&str] = &["customer"];
/// What the realm of staff and services may grant.
pub const OF_INTERNAL: &[&str] =
    &["csr", "supervisor", "admin", "readonly", "billing", "meter", "market", "notifications"];
