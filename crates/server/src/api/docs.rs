//! `/api/docs`: Swagger UI, carried by the binary, so that it works offline and asks no other host for anything.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{Html, IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use maud::{DOCTYPE, html};
use reqwest::Url;
use swagger_ui_dist::{ApiDefinition, OpenApiSource, generate_routes};
use tokio::sync::OnceCell;
use tower::ServiceExt as _;
use tower_http::compression::Compression;

use super::pages;
use crate::{app::App, auth::SignIn};

/// Where the page is.
pub(super) const PATH: &str = "/api/docs";

/// The files of Swagger UI that are served. The last two hand an issuer's answer over to the page that opened it.
static FILES: [Packed; 4] = [
    Packed::new("/api/docs/swagger-ui-bundle.js"),
    Packed::new("/api/docs/swagger-ui.css"),
    Packed::new("/api/docs/oauth2-redirect.html"),
    Packed::new("/api/docs/oauth2-redirect.js"),
];

/// What a file may do that is opened as a page: run the script beside it.
const FILE_POLICY: &str =
    "default-src 'none'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

/// The page and what is ours of it.
pub(super) fn pages(app: &Arc<App>) -> Router {
    let policy = policy(app.authenticator.sign_ins());
    let file = |media: &'static str, text: &'static str| get(async move || ([(header::CONTENT_TYPE, media)], text));
    Router::new()
        .route(PATH, get(async move || page(&policy)))
        .route("/api/docs/page.js", file("text/javascript; charset=utf-8", include_str!("docs/page.js")))
        .route("/api/docs/page.css", file("text/css; charset=utf-8", include_str!("docs/page.css")))
}

/// Swagger UI's own files, which come compressed already: to be added outside the compression.
pub(super) fn files(app: &Arc<App>) -> Router {
    let route = |router: Router, file: &'static Packed| {
        router.route(file.path, get(async move |headers: HeaderMap| file.answer(&headers).await))
    };
    pages::finished(FILES.iter().fold(Router::new(), route), app)
}

fn swagger_ui() -> Router {
    let nothing = OpenApiSource::Uri("");
    generate_routes(ApiDefinition { uri_prefix: PATH, api_definition: nothing, title: None })
}

/// Nothing inline. Swagger UI's icons are `data:` images, and the page asks issuers for their addresses and tokens.
fn policy(sign_ins: &[SignIn]) -> String {
    let origins = sign_ins.iter().filter_map(|at| Url::parse(&at.issuer).ok());
    let issuers: String = origins.map(|issuer| format!(" {}", issuer.origin().ascii_serialization())).collect();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{issuers}; \
         base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    )
}

fn page(policy: &str) -> Response {
    let text = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "API documentation – OSSREP Customer Service" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/api/docs/swagger-ui.css";
                link rel="stylesheet" href="/api/docs/page.css";
            }
            body {
                nav {
                    a href="/" { "Start" }
                    a href="/api/openapi.json" { "openapi.json" }
                    a href="/problems" { "Problems" }
                }
                noscript { "This page needs JavaScript. Everything on it stands in " a href="/api/openapi.json" { "openapi.json" } ", too." }
                div #failed role="alert" hidden { "The description cannot be shown. The browser's console says why." }
                div #swagger-ui {}
                script src="/api/docs/swagger-ui-bundle.js" {}
                script src="/api/docs/page.js" {}
            }
        }
    };
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(text.into_string())).into_response()
}

/// A file of 1.7 MB at most. Whoever asks for it needs no token, so that it is compressed once, not for each request.
struct Packed {
    path: &'static str,
    made: OnceCell<Made>,
}

struct Made {
    media: HeaderValue,
    /// In quotes, without the coding.
    tag: String,
    whole: Bytes,
    gzip: Bytes,
}

impl Packed {
    const fn new(path: &'static str) -> Self {
        Self { path, made: OnceCell::const_new() }
    }

    async fn answer(&self, asked: &HeaderMap) -> Response {
        let Ok(Made { media, tag, whole, gzip }) = self.made.get_or_try_init(|| self.make()).await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let packed = takes_gzip(asked);
        let tag = if packed { format!("\"{tag}-gzip\"") } else { format!("\"{tag}\"") };
        let known = asked.get_all(header::IF_NONE_MATCH).iter().any(|tags| {
            // Tags of this length hold one another only when they are equal.
            tags.to_str().is_ok_and(|tags| tags.contains(&tag))
        });
        let body = match (known, packed) {
            (true, _) => Body::empty(),
            (false, true) => gzip.clone().into(),
            (false, false) => whole.clone().into(),
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.extend(HeaderValue::from_str(&tag).map(|tag| (header::ETAG, tag)));
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(header::CONTENT_TYPE, media.clone());
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FILE_POLICY));
        if packed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    async fn make(&self) -> Result<Made, axum::Error> {
        let ask = |coding: &str| Request::get(self.path).header(header::ACCEPT_ENCODING, coding).body(Body::empty());
        let (plain, packed) = (ask("identity").map_err(axum::Error::new)?, ask("gzip").map_err(axum::Error::new)?);
        let Ok(answer) = swagger_ui().oneshot(plain).await;
        let media = answer.headers().get(header::CONTENT_TYPE).cloned();
        let media = media.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let whole = answer.into_body().collect().await?.to_bytes();
        let Ok(answer) = Compression::new(swagger_ui()).oneshot(packed).await;
        let gzip = answer.into_body().collect().await.map_err(axum::Error::new)?.to_bytes();
        let hash = digest::digest(&digest::SHA256, &whole);
        Ok(Made { media, tag: URL_SAFE_NO_PAD.encode(hash), whole, gzip })
    }
}

/// Whether gzip is named and not refused (RFC 9110, section 12.5.3).
fn takes_gzip(asked: &HeaderMap) -> bool {
    let values = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn gzip_is_for_who_takes_it() {
        for (value, taken) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("identity", false),
            ("*", false),
        ] {
            assert_eq!(takes_gzip(&asked(header::ACCEPT_ENCODING, value)), taken, "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn files_come_packed_and_are_known_again() {
        for file in &FILES {
            let plain = file.answer(&HeaderMap::new()).await;
            let packed = file.answer(&asked(header::ACCEPT_ENCODING, "gzip, deflate, br")).await;
            assert_eq!((plain.status(), packed.status()), (StatusCode::OK, StatusCode::OK), "{}", file.path);
            assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
            let tag = plain.headers()[header::ETAG].clone();
            assert_ne!(tag, packed.headers()[header::ETAG]);
            let plain = plain.into_body().collect().await.unwrap().to_bytes().len();
            let packed = packed.into_body().collect().await.unwrap().to_bytes().len();
            assert!(plain < 2000 || packed < plain / 3, "{}: {packed} of {plain}", file.path);
            let again = file.answer(&asked(header::IF_NONE_MATCH, tag.to_str().unwrap())).await;
            assert_eq!((again.status(), &again.headers()[header::ETAG]), (StatusCode::NOT_MODIFIED, &tag));
            let other = file.answer(&asked(header::IF_NONE_MATCH, "\"x\"")).await;
            assert_eq!(other.status(), StatusCode::OK);
        }
    }

    #[test]
    fn the_policy_names_issuers_that_people_log_in_at_and_nobody_else() {
        let at = |issuer: &str| SignIn { issuer: issuer.to_owned(), client: "docs".to_owned() };
        assert!(policy(&[]).contains("connect-src 'self'; "));
        let policy = policy(&[at("https://id.example/realms/a"), at("http://127.0.0.1:8080/demo/oidc")]);
        assert!(policy.contains("connect-src 'self' https://id.example http://127.0.0.1:8080; "), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}
