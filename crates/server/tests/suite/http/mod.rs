//! The rules of HTTP: methods, media types, refusals and their order, encodings, and headers.

mod cors;
mod malformed;

use similar_asserts::assert_eq;
use store::audit::Outcome;

use crate::{
    ask::{User, records},
    on_both_engines,
    support::{Answer, Service},
};

on_both_engines! {
    head_is_get_without_its_body,
    options_and_methods_that_are_not_there,
    media_types_and_sizes,
    refusals_have_one_order,
    encoded_answers_have_tags_of_their_own,
    who_refuses_every_coding_is_answered_without_one,
    every_answer_has_the_safe_headers,
    request_ids_are_kept_when_they_are_plain,
    who_are_you,
    roles_and_people_without_a_customer,
    a_panic_is_a_500_and_harms_nobody_else,
}

fn seen(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

async fn head_is_get_without_its_body(service: Service) {
    let alice = User::of(&service, "alice").await;
    for path in [
        "/api/customer",
        "/api/accounts",
        "/api/accounts/1001/summary",
        "/api/meters/3001/readings",
        "/api/accounts/9",
        "/api/openapi.json",
    ] {
        let id = [("x-request-id", "same")];
        let (get, head) = (alice.send("GET", path, &id, None).await, alice.send("HEAD", path, &id, None).await);
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        let headers = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            headers.remove("date");
            headers
        };
        assert_eq!(headers(&head), headers(&get), "{path}");
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
    }
    let audited = records(&service, "same").await;
    // What was not found was asked for, too.
    assert_eq!(audited.len(), 12, "HEAD is audited as GET is");
}

async fn options_and_methods_that_are_not_there(service: Service) {
    let (alice, nobody) = (User::of(&service, "alice").await, User::of(&service, "nobody").await);
    for (path, allow, wrong) in [
        ("/api/customer", "GET, PUT, PATCH, HEAD, OPTIONS", "DELETE"),
        ("/api/accounts", "GET, HEAD, OPTIONS", "POST"),
        ("/api/premises/2001/set-primary", "POST, OPTIONS", "GET"),
        ("/api/meters/3001/readings", "GET, HEAD, OPTIONS", "PUT"),
        ("/api/usage", "GET, HEAD, OPTIONS", "BREW"),
    ] {
        let sorted = |answer: &Answer| {
            let mut methods: Vec<String> = answer.header("allow").split(", ").map(str::to_owned).collect();
            methods.sort();
            methods
        };
        let mut right: Vec<String> = allow.split(", ").map(str::to_owned).collect();
        right.sort();
        let options = nobody.send("OPTIONS", path, &[], None).await;
        assert_eq!((options.status.as_u16(), options.body.as_str()), (204, ""), "{path}");
        assert_eq!(sorted(&options), right, "{path}");
        for user in [&alice, &nobody] {
            let refused = user.send(wrong, path, &[], None).await;
            assert_eq!(
                (seen(&refused), sorted(&refused)),
                (refusal(405, "method-not-allowed"), right.clone()),
                "{path}"
            );
        }
    }
    for path in [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/customer/",
        "/api/accounts/1001/premises/2001",
        "/API/customer",
        "//api/customer",
    ] {
        assert_eq!(seen(&alice.get(path).await), refusal(404, "not-found"), "{path}");
    }
    // CORS is closed unless configured.
    let preflight = [("origin", "https://example.org"), ("access-control-request-method", "GET")];
    let answer = nobody.send("OPTIONS", "/api/customer", &preflight, None).await;
    assert_eq!(answer.headers.keys().filter(|name| name.as_str().starts_with("access-control")).count(), 0);
}

async fn media_types_and_sizes(service: Service) {
    let alice = User::of(&service, "alice").await;
    for (path, accept, status) in [
        ("/api/customer", "application/json", 200),
        ("/api/customer", "text/html, */*;q=0.1", 200),
        ("/api/customer", "text/csv", 406),
        ("/api/customer", "application/json;q=0", 406),
        ("/api/customer", "image/*", 406),
        ("/api/meters/3001/readings?limit=1", "text/csv", 200),
        ("/api/meters/3001/readings?limit=1", "text/html", 406),
    ] {
        let answer = alice.send("GET", path, &[("accept", accept)], None).await;
        assert_eq!(answer.status, status, "{path} {accept}: {}", answer.body);
        if status == 406 {
            assert_eq!(answer.code(), "not-acceptable");
        }
    }
    const JSON: &str = "application/json";
    const PATCH: &str = "application/merge-patch+json";
    let path = "/api/accounts/1001";
    for (method, content_type, status) in [
        ("PUT", JSON, 200),
        ("PUT", "Application/JSON; charset=\"utf-8\"", 200),
        ("PUT", "application/json; charset=latin1", 415),
        ("PUT", PATCH, 415),
        ("PUT", "text/plain", 415),
        ("PUT", "", 415),
        ("PATCH", PATCH, 200),
        ("PATCH", JSON, 415),
        ("PATCH", "application/json-patch+json", 415),
    ] {
        let answer = alice.send(method, path, &[("content-type", content_type)], Some(r#"{"nickname":null}"#)).await;
        assert_eq!(answer.status, status, "{method} {content_type}: {}", answer.body);
        if status == 415 {
            assert_eq!(answer.code(), "unsupported-media-type");
            let media = if method == "PATCH" { PATCH } else { "application/json" };
            assert_eq!(answer.json()["detail"], format!("Send {media}, in UTF-8 and not encoded."));
            assert_eq!(answer.header("accept-patch"), if method == "PATCH" { PATCH } else { "" });
        }
    }
    let encoded = alice.send("PUT", path, &[("content-encoding", "gzip")], Some("x")).await;
    assert_eq!(seen(&encoded), refusal(415, "unsupported-media-type"));
    let body = |length: usize| {
        let frame = r#"{"nickname":""}"#.len();
        format!(r#"{{"nickname":"{}"}}"#, "x".repeat(length - frame))
    };
    assert_eq!(alice.put(path, &body(64 * 1024)).await.status, 422, "64 KiB are read");
    assert_eq!(seen(&alice.put(path, &body(64 * 1024 + 1)).await), refusal(413, "content-too-large"));
    let primary = "/api/premises/2001/set-primary";
    assert_eq!(alice.send("POST", primary, &[], Some("{}")).await.status, 200, "no input is as good as an empty one");
    let answer = alice.send("POST", primary, &[], Some(r#"{"reason":"closed"}"#)).await;
    assert_eq!((answer.status.as_u16(), answer.errors()), (422, vec!["/reason:unknown-member".to_owned()]));
    let answer = alice.send("POST", primary, &[], Some("{")).await;
    assert_eq!(seen(&answer), refusal(400, "invalid-request"));
    let answer = alice.send("GET", "/api/customer", &[], Some("{}")).await;
    assert_eq!(seen(&answer), refusal(413, "content-too-large"), "a read takes no body");
    assert_eq!(answer.json()["detail"], "This operation takes no body.");
}

/// 405, 401, 403, 406/413/415, 400, 404, 412, 422: from a request that is wrong in every way, one fault
/// after another is mended.
async fn refusals_have_one_order(service: Service) {
    let users = |name| User::of(&service, name);
    let (nobody, staff, alice) = (users("nobody").await, users("jsmith").await, users("alice").await);
    let all_wrong = [("accept", "text/html"), ("content-type", "text/plain"), ("if-match", "\"old\"")];
    let (foreign, own) = ("/api/accounts/1002", "/api/accounts/1001");
    let (unreadable, wrong, right) = (Some("{"), Some(r#"{"nickname":1}"#), Some(r#"{"nickname":null}"#));
    assert_eq!(nobody.send("DELETE", foreign, &all_wrong, unreadable).await.status, 405);
    assert_eq!(nobody.send("PUT", foreign, &all_wrong, unreadable).await.status, 401);
    assert_eq!(staff.send("PUT", foreign, &all_wrong, unreadable).await.status, 403);
    assert_eq!(alice.send("PUT", foreign, &all_wrong, unreadable).await.status, 406);
    assert_eq!(alice.send("PUT", foreign, &all_wrong[1..], unreadable).await.status, 415);
    assert_eq!(alice.send("PUT", foreign, &all_wrong[2..], unreadable).await.status, 400);
    assert_eq!(alice.send("PUT", foreign, &all_wrong[2..], wrong).await.status, 404);
    assert_eq!(alice.send("PUT", own, &all_wrong[2..], wrong).await.status, 412);
    assert_eq!(alice.send("PUT", own, &[], wrong).await.status, 422);
    assert_eq!(alice.send("PUT", own, &[], right).await.status, 200);
    // What cannot be read hides whether there is such a resource.
    for path in [own, foreign] {
        for body in [Some("{"), Some(r#"{"nickname":"a","nickname":"b"}"#)] {
            assert_eq!(seen(&alice.send("PUT", path, &[], body).await), refusal(400, "invalid-request"), "{path}");
        }
        assert_eq!(alice.get(&format!("{path}/usage?from=x")).await.status, 400, "{path}");
        assert_eq!(alice.send("GET", path, &[("if-none-match", "x")], None).await.status, 400, "{path}");
    }
}

async fn encoded_answers_have_tags_of_their_own(service: Service) {
    let token = service.token("alice").await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/api/accounts/1001", service.base);
    let mut tags = Vec::new();
    for coding in ["", "gzip", "br", "br;q=0.1, gzip;q=0.9", "identity, gzip;q=0", "zstd"] {
        let answer = client.get(&url).bearer_auth(&token).header("accept-encoding", coding).send().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let (used, etag, vary) = (header("content-encoding"), header("etag"), header("vary"));
        let expected = match coding {
            "gzip" | "br;q=0.1, gzip;q=0.9" => "gzip",
            "br" => "br",
            _ => "",
        };
        assert_eq!(used, expected, "{coding}");
        assert!(vary.to_ascii_lowercase().contains("accept-encoding"), "{vary}");
        let suffix = if used.is_empty() { String::new() } else { format!("-{used}") };
        let plain = etag.trim_end_matches('"').strip_suffix(&suffix).unwrap_or_else(|| panic!("{coding}: {etag}"));
        tags.push(plain.to_owned());
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(bytes.starts_with(b"{\"accountId\""), used.is_empty(), "{coding}");
        assert_eq!(bytes.starts_with(&[0x1f, 0x8b]), used == "gzip", "{coding}");
        // The tag of every form is taken back, by both conditions.
        let put = client.put(&url).bearer_auth(&token).header("content-type", "application/json");
        let put = put.header("if-match", &etag).body(r#"{"nickname":null}"#).send().await.unwrap();
        assert_eq!(put.status(), 200, "{coding}");
        let known =
            client.get(&url).bearer_auth(&token).header("accept-encoding", coding).header("if-none-match", &etag);
        let known = known.send().await.unwrap();
        assert_eq!(
            (known.status().as_u16(), known.headers()["etag"].to_str().unwrap()),
            (304, etag.as_str()),
            "{coding}"
        );
    }
    tags.dedup();
    assert_eq!(tags.len(), 1, "one representation: {tags:?}");
}

async fn who_refuses_every_coding_is_answered_without_one(service: Service) {
    let alice = User::of(&service, "alice").await;
    for coding in ["identity;q=0", "*;q=0", "identity;q=0, deflate", "gzip;q=0, br;q=0, identity;q=0.0", "*;q=0, zstd"]
    {
        let headers = [("accept-encoding", coding)];
        let read = alice.send("GET", "/api/accounts/1001", &headers, None).await;
        let name = format!(r#"{{"nickname":"{}"}}"#, coding.replace(['"', '*'], "x"));
        let changed = alice.send("PATCH", "/api/accounts/1001", &headers, Some(&name)).await;
        for answer in [read, changed] {
            assert_eq!((answer.status.as_u16(), answer.header("content-encoding")), (200, ""), "{coding}");
        }
    }
    // Whoever refuses the plain form alone gets a coding of theirs.
    let token = service.token("alice").await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (coding, used) in [("identity;q=0, gzip;q=0.001", "gzip"), ("identity;q=0, *", "br")] {
        let asked = client.get(format!("{}/api/accounts/1001", service.base)).bearer_auth(&token);
        let answer = asked.header("accept-encoding", coding).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["content-encoding"].to_str().unwrap()), (200, used));
    }
}

async fn every_answer_has_the_safe_headers(service: Service) {
    let (alice, nobody) = (User::of(&service, "alice").await, User::of(&service, "nobody").await);
    let answers = [
        alice.get("/api/customer").await,
        alice.get("/api/accounts/9").await,
        alice.get("/nothing").await,
        alice.put("/api/customer", "{").await,
        alice.send("DELETE", "/api/customer", &[], None).await,
        nobody.get("/api/customer").await,
        nobody.send("OPTIONS", "/api/customer", &[], None).await,
        nobody.get("/api/openapi.json").await,
        nobody.get("/api/docs").await,
        nobody.get("/api/docs/page.js").await,
        nobody.get("/api/docs/swagger-ui.css").await,
        nobody.get("/").await,
        nobody.get("/problems/not-found").await,
    ];
    for answer in answers {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cache-control", "private, no-cache"),
        ] {
            assert_eq!(answer.header(name), value, "{name} of {}", answer.status);
        }
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(answer.header("strict-transport-security").starts_with("max-age="));
        assert!(answer.header("vary").to_ascii_lowercase().contains("accept"), "{}", answer.status);
        assert_eq!(answer.header("x-request-id").len(), 32);
        if answer.status.as_u16() >= 400 {
            let body = answer.json();
            assert_eq!(body["type"], format!("/problems/{}", answer.code()));
            assert_eq!(
                (body["status"].as_u64(), body["requestId"].as_str()),
                (Some(u64::from(answer.status.as_u16())), Some(answer.header("x-request-id")))
            );
            let page = nobody.get(body["type"].as_str().unwrap()).await;
            assert_eq!(page.status, 200, "a page for {}", answer.code());
        }
    }
}

async fn request_ids_are_kept_when_they_are_plain(service: Service) {
    let alice = User::of(&service, "alice").await;
    let longest = "x".repeat(64);
    for plain in ["a", "01JH-a.b_c", &longest] {
        let answer = alice.send("GET", "/api/customer", &[("x-request-id", plain)], None).await;
        assert_eq!(answer.header("x-request-id"), plain);
        assert_eq!(records(&service, plain).await.len(), 1, "{plain}");
    }
    let long = "x".repeat(65);
    for strange in ["", "a b", "a;b", "a\"b", "<script>", "é", "a,b", &long] {
        let answer = alice.send("GET", "/api/customer", &[("x-request-id", strange)], None).await;
        let made = answer.header("x-request-id");
        assert!(made.len() == 32 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{strange}: {made}");
    }
}

async fn who_are_you(service: Service) {
    let nobody = User::of(&service, "nobody").await;
    let token = service.token("alice").await;
    let (bearer, lower) = (format!("Bearer {token}"), format!("bearer  {token}"));
    assert_eq!(nobody.send("GET", "/api/customer", &[("authorization", &lower)], None).await.status, 200);
    let tampered = format!("{}x", bearer.trim_end_matches(|c: char| c.is_ascii_alphanumeric()));
    let realm = "Bearer realm=\"customer-service\"";
    for (headers, error) in [
        (vec![], ""),
        (vec![("authorization", "Basic YTpi")], "invalid_request"),
        (vec![("authorization", "Bearer ")], "invalid_request"),
        (vec![("authorization", bearer.as_str()), ("authorization", bearer.as_str())], "invalid_request"),
        (vec![("authorization", "Bearer abc")], "invalid_token"),
        (vec![("authorization", tampered.as_str())], "invalid_token"),
    ] {
        let answer = nobody.send("GET", "/api/customer", &headers, None).await;
        assert_eq!(seen(&answer), refusal(401, "unauthenticated"), "{error}");
        let challenge = answer.header("www-authenticate");
        if error.is_empty() {
            assert_eq!(challenge, realm);
        } else {
            assert!(challenge.starts_with(&format!("{realm}, error=\"{error}\"")), "{challenge}");
        }
        assert!(!answer.body.contains(&token), "tokens are never repeated");
    }
    // A token in the query is no token (RFC 6750 section 2.3 is not offered).
    assert_eq!(nobody.get(&format!("/api/customer?access_token={token}")).await.status, 401);
}

async fn roles_and_people_without_a_customer(service: Service) {
    for name in ["jsmith", "mjones", "admin", "reader", "billing", "meter", "market", "notifications"] {
        let user = User::of(&service, name).await;
        for path in ["/api/customer", "/api/accounts/1001", "/api/accounts/9"] {
            let answer = user.send("GET", path, &[("x-request-id", name)], None).await;
            assert_eq!(seen(&answer), refusal(403, "forbidden"), "{name} {path}");
            assert_eq!(answer.json()["detail"], "One of these roles is needed: customer.");
        }
        let audited = records(&service, name).await;
        assert_eq!(
            audited.iter().map(|r| (r.outcome, r.status)).collect::<Vec<_>>(),
            [(Outcome::Refused, 403); 3],
            "{name}"
        );
    }
    let dave = User::of(&service, "dave").await;
    for path in ["/api/customer", "/api/accounts", "/api/accounts/1001", "/api/premises/9"] {
        let answer = dave.get(path).await;
        assert_eq!(seen(&answer), refusal(404, "not-enrolled"), "{path}");
        assert!(answer.header("link").starts_with("</api/enrollment>; rel="), "{path}");
    }
}

async fn a_panic_is_a_500_and_harms_nobody_else(service: Service) {
    let before = service.get("alice", "/api/accounts/1001").await;
    let panics = |yes| service.app_clock.panics.store(yes, std::sync::atomic::Ordering::SeqCst);
    panics(true);
    let read = service.get("alice", "/api/accounts/1001").await;
    let changed = service.patch("alice", "/api/accounts/1001", r#"{"nickname": "Never"}"#).await;
    panics(false);
    for answer in [read, changed] {
        assert_eq!(seen(&answer), refusal(500, "internal"));
        assert_ne!(answer.header("x-request-id"), "");
        assert!(!answer.body.contains("clock"), "{}", answer.body);
    }
    assert_eq!(service.get("alice", "/api/accounts/1001").await.body, before.body);
}
