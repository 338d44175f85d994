//! Malformed paths, queries, bodies and requests: 4xx, and the place is named.

use serde_json::json;
use similar_asserts::assert_eq;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{refusal, seen};
use crate::{ask::User, on_both_engines, support::Service};

on_both_engines! { malformed_paths_and_queries, malformed_bodies, malformed_requests }

async fn malformed_paths_and_queries(service: Service) {
    let alice = User::of(&service, "alice").await;
    for id in [
        "0",
        "-1",
        "+1",
        "01",
        "1.0",
        "1e3",
        "x",
        "1001x",
        "%31%30%30%31x",
        "9007199254740992",
        "9223372036854775808",
        "340282366920938463463374607431768211457",
        "%20",
        "1%001",
        "%D9%A1",
        "null",
        "*",
        "'%20OR%201=1",
    ] {
        for path in [format!("/api/accounts/{id}"), format!("/api/premises/{id}"), format!("/api/meters/{id}/readings")]
        {
            let answer = alice.get(&path).await;
            assert_eq!(seen(&answer), refusal(400, "invalid-request"), "{path}");
            assert_eq!(answer.errors().len(), 1, "{path}: {}", answer.body);
            assert!(answer.errors()[0].ends_with(":invalid-id"), "{path}: {}", answer.body);
        }
    }
    for path in ["/api/accounts/%ff", "/api/accounts/%c0%af", "/api/premises/%ed%a0%80"] {
        let answer = alice.get(path).await;
        assert_eq!(
            (seen(&answer), answer.errors()),
            (refusal(400, "invalid-request"), vec!["path:invalid-text".into()]),
            "{path}"
        );
    }
    assert_eq!(alice.get("/api/accounts/9007199254740991").await.status, 404, "the largest id");
    for (query, errors) in [
        ("nope=1", vec!["nope:unknown-parameter"]),
        ("limit=0", vec!["limit:invalid-limit"]),
        ("limit=501", vec!["limit:invalid-limit"]),
        ("limit=", vec!["limit:invalid-limit"]),
        ("limit=1.5", vec!["limit:invalid-limit"]),
        ("limit=99999999999999999999", vec!["limit:invalid-limit"]),
        ("limit=1&limit=1", vec!["limit:duplicate-parameter"]),
        ("limit=%zz", vec!["limit:invalid-text"]),
        ("limit=%00", vec!["limit:invalid-text"]),
        ("%ff=1", vec![":invalid-text"]),
        ("limit=x&order=asc&cursor=%F0%9F%98%80", vec!["limit:invalid-limit", "order:unknown-parameter"]),
        ("cursor=%21", vec!["cursor:invalid-cursor"]),
    ] {
        let answer = alice.get(&format!("/api/accounts?{query}")).await;
        assert_eq!(
            (seen(&answer), answer.errors()),
            (refusal(400, "invalid-request"), errors.iter().map(|e| (*e).to_owned()).collect()),
            "{query}"
        );
    }
    for path in ["/api/customer?x", "/api/preferences?limit=1", "/api/accounts/1001?from=2025-01-01"] {
        assert_eq!(seen(&alice.get(path).await), refusal(400, "invalid-request"), "{path}");
    }
    let answer = alice.patch("/api/accounts/1001?dry=1", "{}").await;
    assert_eq!(answer.errors(), ["dry:unknown-parameter"]);
    // Path and query in one answer.
    let answer = alice.get("/api/accounts/x/usage?from=2025-02-30&groupBy=second&by=meter").await;
    assert_eq!(
        answer.errors(),
        ["accountId:invalid-id", "from:invalid-date", "groupBy:invalid-value", "by:unknown-parameter"]
    );
}

async fn malformed_bodies(service: Service) {
    let alice = User::of(&service, "alice").await;
    let deep = format!(r#"{{"nickname":{}1{}}}"#, "[".repeat(17), "]".repeat(17));
    let deeper = "[".repeat(60_000);
    let objects = format!("{}1{}", r#"{"a":"#.repeat(2000), "}".repeat(2000));
    for (body, errors) in [
        ("", &["invalid-json"][..]),
        ("{", &["invalid-json"]),
        ("{'nickname':1}", &["invalid-json"]),
        (r#"{"nickname":01}"#, &["invalid-json"]),
        (r#"{"nickname":NaN}"#, &["invalid-json"]),
        (r#"{"nickname":"x",}"#, &["invalid-json"]),
        (r#"{"nickname":"x"} {}"#, &["invalid-json"]),
        ("\u{FEFF}{}", &["invalid-json"]),
        ("{\"nickname\":\"a\u{0}b\"}", &["invalid-json", "invalid-text"]),
        ("{\"nickname\":\"a\nb\"}", &["invalid-json", "invalid-text"]),
        (r#"{"nickname":"\u0000"}"#, &["invalid-text"]),
        (r#"{"nickname":"\ud800"}"#, &["invalid-text"]),
        (r#"{"nickname":"\udc00\ud800"}"#, &["invalid-text"]),
        (r#"{"\ud800":1}"#, &["invalid-text"]),
        (r#"{"nickname":"a","nickname":"b"}"#, &["duplicate-member"]),
        (r#"{"nickname":"a","\u006eickname":"b"}"#, &["duplicate-member"]),
        (&deep, &["too-deep"]),
        (&deeper, &["too-deep", "invalid-json"]),
        (&objects, &["too-deep", "invalid-json"]),
    ] {
        let shown: String = body.chars().take(40).collect();
        for (method, path) in
            [("PUT", "/api/accounts/1001"), ("PATCH", "/api/accounts/1001"), ("PATCH", "/api/preferences")]
        {
            let answer = alice.send(method, path, &[], Some(body)).await;
            assert_eq!(seen(&answer), refusal(400, "invalid-request"), "{shown}");
            let code = answer.json()["errors"][0]["code"].as_str().unwrap().to_owned();
            assert!(errors.contains(&code.as_str()), "{shown}: {code}");
        }
    }
    let token = service.token("alice").await;
    let json = [("content-type", "application/json")];
    for bytes in [b"{\"nickname\":\"\xff\"}".to_vec(), b"\xff\xfe{\0}\0".to_vec(), vec![0; 100]] {
        let answer = service.send(reqwest::Method::PUT, Some(&token), "/api/accounts/1001", &json, Some(bytes)).await;
        assert_eq!(seen(&answer), refusal(400, "invalid-request"));
    }
    // Readable, but wrong: dates that do not exist, numbers beyond 2^53, other types.
    for (path, body, error) in [
        ("/api/premises/2001", r#"{"serviceStartDate":"2025-02-30"}"#, "/serviceStartDate:read-only"),
        ("/api/accounts/1001", r#"{"accountId":9007199254740993}"#, "/accountId:read-only"),
        ("/api/accounts/1001", r#"{"accountId":1e400}"#, "/accountId:read-only"),
        ("/api/customer", r#"{"createdAt":"2025-13-45T99:99:99Z"}"#, "/createdAt:read-only"),
        ("/api/accounts/1001", r#"{"nickname":9007199254740993}"#, "/nickname:wrong-type"),
        ("/api/accounts/1001", r#"{"nickname":{"a":[]}}"#, "/nickname:wrong-type"),
        ("/api/preferences", r#"{"notifications":[]}"#, "/notifications:wrong-type"),
        ("/api/accounts/1001", r#"{"constructor":null}"#, "/constructor:unknown-member"),
    ] {
        let answer = alice.patch(path, body).await;
        assert_eq!((answer.status.as_u16(), answer.errors()), (422, vec![error.to_owned()]), "{body}");
    }
    assert_eq!(alice.get("/api/accounts/1001").await.json()["nickname"], json!(null), "nothing was changed");
}

/// Sends bytes as they are; the status that comes back, 0 when the connection just ends.
async fn raw(service: &Service, request: &str) -> u16 {
    let mut stream = tokio::net::TcpStream::connect(service.base.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    let read = tokio::time::timeout(std::time::Duration::from_secs(8), stream.read_exact(&mut answer)).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    read.ok().and_then(Result::ok).and_then(|_| text.get(9..12)?.parse().ok()).unwrap_or(0)
}

async fn malformed_requests(service: Service) {
    let token = service.token("alice").await;
    let signed = format!("Host: x\r\nAuthorization: Bearer {token}\r\n");
    assert_eq!(raw(&service, &format!("GET /api/customer HTTP/1.1\r\n{signed}\r\n")).await, 200, "the form is right");
    let big = "x".repeat(100_000);
    let body = "Content-Type: application/merge-patch+json\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let [gzip, both, chunked] =
        ["gzip", "gzip, chunked", "Chunked"].map(|c| format!("Transfer-Encoding: {c}\r\n{body}"));
    for (request, statuses) in [
        (format!("GET /api/customer\r\n{signed}\r\n"), &[400u16][..]),
        (format!("GET /api/cust omer HTTP/1.1\r\n{signed}\r\n"), &[400]),
        (format!("G@T /api/customer HTTP/1.1\r\n{signed}\r\n"), &[400]),
        (format!("GET /api/accounts/\u{e9} HTTP/1.1\r\n{signed}\r\n"), &[400]),
        (format!("GET /api/customer HTTP/1.1\r\n{signed}Bad Header: 1\r\n\r\n"), &[400]),
        (format!("GET /api/customer HTTP/1.1\r\n{signed}X: a\u{0}b\r\n\r\n"), &[400]),
        (format!("PUT /api/customer HTTP/1.1\r\n{signed}Content-Length: x\r\n\r\n"), &[400]),
        (format!("PUT /api/customer HTTP/1.1\r\n{signed}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{{}}"), &[400]),
        (format!("GET /api/customer HTTP/1.1\r\n{signed}X: {big}\r\n\r\n"), &[431]),
        (format!("GET /api/customer?{big} HTTP/1.1\r\n{signed}\r\n"), &[414, 431]),
        (format!("GET /api/accounts/%zz HTTP/1.1\r\n{signed}\r\n"), &[400]),
        (format!("GET /api/accounts/%00 HTTP/1.1\r\n{signed}\r\n"), &[400]),
        (format!("GET /api/accounts/../../etc/passwd HTTP/1.1\r\n{signed}\r\n"), &[404]),
        (format!("GET /api/accounts/1001%2fsummary HTTP/1.1\r\n{signed}\r\n"), &[400]),
        (format!("GET /api/customer HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n"), &[400]),
        (format!("GET /api/customer HTTP/1.1\r\n{signed}Host: y\r\n\r\n"), &[400]),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), &[400]),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".to_owned(), &[400]),
        ("GET /api/docs HTTP/1.1\r\n\r\n".to_owned(), &[400]),
        ("GET /api/docs/swagger-ui.css HTTP/1.1\r\n\r\n".to_owned(), &[400]),
        ("GET /api/docs/swagger-ui.css HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), &[200]),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), &[200]),
        (format!("GET /api/customer HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n"), &[200]),
        (format!("PATCH /api/accounts/1001 HTTP/1.1\r\n{signed}{gzip}"), &[400]),
        (format!("PATCH /api/accounts/1001 HTTP/1.1\r\n{signed}{both}"), &[400]),
        (format!("PATCH /api/accounts/1001 HTTP/1.1\r\n{signed}{chunked}"), &[200]),
        (format!("GET http://x/api/customer HTTP/1.1\r\n{signed}\r\n"), &[200]),
        (format!("OPTIONS * HTTP/1.1\r\n{signed}\r\n"), &[204, 404, 400]),
    ] {
        let status = raw(&service, &request).await;
        let shown: String = request.chars().take(60).collect();
        assert!(statuses.contains(&status), "{status}: {shown}");
    }
}
