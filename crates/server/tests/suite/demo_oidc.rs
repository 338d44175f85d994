//! The demonstration provider: its grants, its refusals, and that its tokens pass the same verification as
//! any other issuer's.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use domain::policy::{Role, Roles};
use domain::time::{Clock, SystemClock};
use serde_json::{Value, json};
use server::auth::{Authenticator, TokenError};
use server::demo::oidc;

use crate::clock::TestClock;

/// The demonstration provider on a real listener, an authenticator that trusts it, and a browser.
struct Demo {
    issuer: String,
    auth: Authenticator,
    browser: reqwest::Client,
    failures: Arc<Mutex<Vec<String>>>,
    clock: Arc<TestClock>,
}

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// RFC 7636, appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const BACK: &str = "http://127.0.0.1:9/callback";

impl Demo {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}{}", listener.local_addr().unwrap(), oidc::PATH);
        let clock = Arc::new(TestClock::at(SystemClock.now()));
        let failures = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&failures);
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let provider =
            oidc::Provider::new(issuer.clone(), Arc::clone(&shared), Arc::new(crypto::SystemRandom)).unwrap();
        let provider = provider.on_failed_login(Box::new(move |failed| seen.lock().unwrap().push(failed.name.clone())));
        let auth = Authenticator::new(vec![provider.issuer_config()], shared).unwrap();
        let routes = oidc::router(Arc::new(provider));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { issuer, auth, browser, failures, clock }
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> reqwest::Response {
        let mut body = reqwest::Url::parse("http://x/").unwrap();
        body.query_pairs_mut().extend_pairs(form);
        let request = self.browser.post(format!("{}/{path}", self.issuer));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(body.query().unwrap().to_owned()).send().await.unwrap()
    }

    async fn token(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let response = self.post("token", form).await;
        assert_eq!(response.headers()["cache-control"], "no-store");
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Logs `alice` in with changes to the request; the answer's redirect address.
    async fn log_in(&self, changes: &[(&str, &str)]) -> Result<reqwest::Url, String> {
        let mut form = vec![
            ("response_type", "code"),
            ("client_id", "portal"),
            ("redirect_uri", BACK),
            ("scope", "openid"),
            ("state", "s t&"),
            ("nonce", "n-1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("username", "alice"),
            ("password", "alice"),
        ];
        form.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        form.extend(changes);
        let response = self.post("auth", &form).await;
        match response.headers().get("location") {
            Some(to) => Ok(to.to_str().unwrap().parse().unwrap()),
            None => Err(response.text().await.unwrap()),
        }
    }

    async fn code(&self) -> String {
        value(&self.log_in(&[]).await.unwrap(), "code").unwrap()
    }

    async fn redeem(&self, code: &str, verifier: &str, redirect_uri: &str) -> (u16, Value) {
        let grant = [("grant_type", "authorization_code"), ("client_id", "portal"), ("client_secret", "portal")];
        let proof = [("code", code), ("code_verifier", verifier), ("redirect_uri", redirect_uri)];
        self.token(&[grant, proof].concat()).await
    }
}

fn value(url: &reqwest::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

fn payload(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&B64.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn the_demo_gives_everybody_a_token_that_counts() {
    let demo = Demo::start().await;
    for user in oidc::USERS {
        let form =
            [("grant_type", "password"), ("client_id", "demo"), ("username", user.name), ("password", user.name)];
        let (status, answer) = demo.token(&form).await;
        assert_eq!((status, &answer["expires_in"], &answer["token_type"]), (200, &json!(900), &json!("Bearer")));
        let identity = demo.auth.verify(answer["access_token"].as_str().unwrap()).await.unwrap();
        assert_eq!((identity.subject(), identity.roles()), (&*oidc::subject_of(user.name), Roles::of(&[user.role])));
    }
    for (name, role) in [
        ("billing", Role::Billing),
        ("meter", Role::Meter),
        ("market", Role::Market),
        ("notifications", Role::Notifications),
    ] {
        let form = [("grant_type", "client_credentials"), ("client_id", name), ("client_secret", name)];
        let (status, answer) = demo.token(&form).await;
        assert_eq!((status, answer.get("refresh_token")), (200, None));
        let identity = demo.auth.verify(answer["access_token"].as_str().unwrap()).await.unwrap();
        assert_eq!((identity.subject(), identity.roles()), (&*oidc::subject_of(name), Roles::of(&[role])));
    }
    assert!(demo.failures.lock().unwrap().is_empty());

    // HTTP Basic instead of form fields (RFC 6749, section 2.3.1); never both.
    for (secret, form, status) in [
        ("meter", "grant_type=client_credentials", 200),
        ("wrong", "grant_type=client_credentials", 401),
        ("meter", "grant_type=client_credentials&client_secret=meter", 400),
    ] {
        let request = demo.browser.post(format!("{}/token", demo.issuer)).basic_auth("meter", Some(secret));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        assert_eq!(request.send().await.unwrap().status(), status, "{secret} {form}");
    }
}

#[tokio::test]
async fn the_demo_refuses_as_rfc_6749_says() {
    let demo = Demo::start().await;
    for (form, status, code) in [
        ("grant_type=password&client_id=demo&username=alice&password=bob", 400, "invalid_grant"),
        ("grant_type=password&client_id=demo&username=mallory&password=mallory", 400, "invalid_grant"),
        ("grant_type=password&client_id=demo&username=alice", 400, "invalid_request"),
        ("grant_type=password&client_id=demo&client_id=demo&username=a&password=a", 400, "invalid_request"),
        ("client_id=demo", 400, "invalid_request"),
        ("grant_type=device&client_id=demo", 400, "unsupported_grant_type"),
        ("grant_type=password&client_id=nobody&username=alice&password=alice", 401, "invalid_client"),
        ("grant_type=client_credentials&client_id=billing&client_secret=meter", 401, "invalid_client"),
        ("grant_type=client_credentials&client_id=billing", 401, "invalid_client"),
        ("grant_type=client_credentials&client_id=demo", 400, "unauthorized_client"),
        (
            "grant_type=password&client_id=billing&client_secret=billing&username=a&password=a",
            400,
            "unauthorized_client",
        ),
        ("grant_type=refresh_token&client_id=demo&refresh_token=x", 400, "invalid_grant"),
    ] {
        let pairs: Vec<(&str, &str)> = form.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let (got, answer) = demo.token(&pairs).await;
        assert_eq!((got, answer["error"].as_str()), (status, Some(code)), "{form}");
    }
    // The hook hears of wrong names, passwords and secrets, and of nothing else.
    assert_eq!(*demo.failures.lock().unwrap(), ["alice", "mallory", "nobody", "billing", "billing"]);
}

#[tokio::test]
async fn the_demo_signs_in_by_code_and_pkce() {
    let demo = Demo::start().await;
    let (to, before) = (demo.log_in(&[]).await.unwrap(), demo.clock.seconds());
    assert_eq!((value(&to, "state").as_deref(), value(&to, "iss")), (Some("s t&"), Some(demo.issuer.clone())));
    let code = value(&to, "code").unwrap();
    let (status, tokens) = demo.redeem(&code, VERIFIER, BACK).await;
    assert_eq!(status, 200, "{tokens}");
    let id = payload(&tokens["id_token"]);
    assert_eq!((&id["aud"], &id["nonce"], &id["typ"]), (&json!("portal"), &json!("n-1"), &json!("ID")));
    assert_eq!((&id["sub"], &id["exp"]), (&json!(oidc::subject_of("alice")), &json!(before + 900)));
    assert!(demo.auth.verify(tokens["access_token"].as_str().unwrap()).await.is_ok());
    // The audience differs too, but an ID token is refused for what it is.
    assert_eq!(demo.auth.verify(tokens["id_token"].as_str().unwrap()).await.err(), Some(TokenError::Type));

    // Codes are good once, for a minute, for who asked, with the verifier.
    assert_eq!(demo.redeem(&code, VERIFIER, BACK).await.1["error"], "invalid_grant");
    let wrong = VERIFIER.replace('d', "e");
    for (verifier, back) in [(wrong.as_str(), BACK), ("", BACK), ("short", BACK), (VERIFIER, "http://127.0.0.1:9/x")] {
        let code = demo.code().await;
        assert_eq!(demo.redeem(&code, verifier, back).await.1["error"], "invalid_grant", "{verifier} {back}");
        assert_eq!(demo.redeem(&code, VERIFIER, BACK).await.1["error"], "invalid_grant", "one attempt");
    }
    let code = demo.code().await;
    let other = [("grant_type", "authorization_code"), ("client_id", "demo"), ("redirect_uri", BACK)];
    let (_, answer) = demo.token(&[&other[..], &[("code", &code), ("code_verifier", VERIFIER)]].concat()).await;
    assert_eq!(answer["error"], "invalid_grant", "another client's code");
    let code = demo.code().await;
    demo.clock.forward(60);
    assert_eq!(demo.redeem(&code, VERIFIER, BACK).await.1["error"], "invalid_grant");

    // Refresh tokens rotate, and end with the session.
    let refresh = |token: String| {
        let demo = &demo;
        let client = [("grant_type", "refresh_token"), ("client_id", "portal"), ("client_secret", "portal")];
        async move { demo.token(&[&client[..], &[("refresh_token", &token)]].concat()).await }
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (status, renewed) = refresh(text(&tokens["refresh_token"])).await;
    assert_eq!((status, payload(&renewed["id_token"])["sid"] == id["sid"]), (200, true));
    assert_eq!(refresh(text(&tokens["refresh_token"])).await.1["error"], "invalid_grant");
    let (_, again) = demo.redeem(&demo.code().await, VERIFIER, BACK).await;
    let stolen = [("grant_type", "refresh_token"), ("client_id", "demo")];
    let (_, answer) =
        demo.token(&[&stolen[..], &[("refresh_token", again["refresh_token"].as_str().unwrap())]].concat()).await;
    assert_eq!(answer["error"], "invalid_grant", "another client's refresh token");
    let hint = text(&renewed["id_token"]);
    let out =
        demo.post("logout", &[("id_token_hint", &hint), ("post_logout_redirect_uri", "http://localhost:9/bye")]).await;
    assert_eq!(out.headers()["location"], "http://localhost:9/bye");
    assert_eq!(refresh(text(&renewed["refresh_token"])).await.1["error"], "invalid_grant");
    let out =
        demo.post("logout", &[("id_token_hint", &hint), ("post_logout_redirect_uri", "https://x.example/")]).await;
    assert_eq!((out.status().as_u16(), out.headers().get("location")), (200, None));
}

#[tokio::test]
async fn the_demo_checks_authorization_requests() {
    let demo = Demo::start().await;
    for (change, error) in [
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
    ] {
        let to = demo.log_in(&[change]).await.unwrap();
        assert_eq!((value(&to, "error").as_deref(), value(&to, "code")), (Some(error), None), "{change:?}");
        assert_eq!(value(&to, "state").as_deref(), Some("s t&"));
    }
    for change in [
        ("redirect_uri", "https://evil.example/callback"),
        ("redirect_uri", "http://127.0.0.1@evil.example/"),
        ("redirect_uri", "javascript:alert(1)"),
        ("client_id", "billing"),
        ("client_id", "nobody"),
    ] {
        assert!(demo.log_in(&[change]).await.unwrap_err().contains("does not work"), "{change:?}");
    }
    let page = demo.log_in(&[("password", "<script>"), ("state", "\"><script>")]).await.unwrap_err();
    assert!(page.contains("role=\"alert\"") && !page.contains("<script>"), "{page}");
    assert_eq!(*demo.failures.lock().unwrap(), ["alice"]);
}

#[tokio::test]
async fn the_demo_describes_itself() {
    let demo = Demo::start().await;
    let fetch = |url: String| async { demo.browser.get(url).send().await.unwrap().json::<Value>().await.unwrap() };
    let discovery = fetch(format!("{}/.well-known/openid-configuration", demo.issuer)).await;
    assert_eq!(discovery["issuer"], json!(demo.issuer));
    let certs = fetch(discovery["jwks_uri"].as_str().unwrap().to_owned()).await;
    assert_eq!((&certs["keys"][0]["kty"], certs["keys"][0].get("d")), (&json!("EC"), None));
    let form = [
        ("grant_type", "password"),
        ("client_id", "demo"),
        ("username", "bob"),
        ("password", "bob"),
        ("scope", "openid"),
    ];
    let (_, tokens) = demo.token(&form).await;
    let info = |token: &Value| {
        let request = demo.browser.get(discovery["userinfo_endpoint"].as_str().unwrap());
        request.bearer_auth(token.as_str().unwrap()).send()
    };
    let bob = info(&tokens["access_token"]).await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(bob["sub"], json!(oidc::subject_of("bob")));
    assert_eq!(info(&tokens["refresh_token"]).await.unwrap().status(), 401);
    assert_eq!(info(&tokens["id_token"]).await.unwrap().status(), 401);
    demo.clock.forward(900);
    assert_eq!(info(&tokens["access_token"]).await.unwrap().status(), 401);
}
