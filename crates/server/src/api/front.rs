//! In front of every route: requests whose framing is in doubt end here, and answers are compressed for those who ask
//! for it. The others pay for neither.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, extract::Request, response::Response};
use futures_util::future::Either;
use http::{HeaderMap, HeaderValue, header};
use tower::Service;
use tower_http::compression::Compression;

use super::{dispatch::finish, etag, origin, problem::Problem};
use crate::app::App;

/// A route and what stands in front of it.
#[derive(Clone)]
pub(super) struct Front<S> {
    app: Arc<App>,
    route: S,
}

type Answer = Result<Response, Infallible>;

impl<S> Front<S> {
    pub(super) fn new(app: Arc<App>, route: S) -> Self {
        Self { app, route }
    }
}

impl<S> Service<Request> for Front<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, Either<Ready<Answer>, Pin<Box<dyn Future<Output = Answer> + Send>>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.route.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if let Err(problem) = framing(&request) {
            let id = origin::request_id(&self.app, request.headers());
            return Either::Right(Either::Left(ready(Ok(finish(problem.into_response(&id), &id)))));
        }
        if !asks_for_coding(request.headers()) {
            return Either::Left(self.route.call(request));
        }
        let mut compressed = Compression::new(self.route.clone());
        Either::Right(Either::Right(Box::pin(async move {
            let answer = compressed.call(plain_at_least(request)).await?;
            Ok(coded_etag(answer.map(Body::new)))
        })))
    }
}

/// Refuses what another server before us may read otherwise, and so mistake for another request: a `Host` that is
/// missing or doubtful (RFC 9112, section 3.2), a body that is coded for the transfer in a way that is not ours.
pub(super) fn framing(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() || (first.is_none() && request.version() >= http::Version::HTTP_11) {
        return Err(Problem::of_header("Host", "Send one header Host."));
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
        return Err(Problem::of_header("Transfer-Encoding", "Send the body as it is, or chunked and nothing else."));
    }
    Ok(())
}

/// Whether any coding but the plain form might be wanted.
fn asks_for_coding(headers: &HeaderMap) -> bool {
    let plain = |part: &[u8]| part.trim_ascii().eq_ignore_ascii_case(b"identity") || part.trim_ascii().is_empty();
    headers.get_all(header::ACCEPT_ENCODING).iter().any(|asked| !asked.as_bytes().split(|b| *b == b',').all(plain))
}

/// Compression layers answer 406 to who refuses every coding, after the work was done. The plain form, as the
/// very last choice, always remains (RFC 9110 section 12.5.3 leaves it to the server).
fn plain_at_least(mut request: Request) -> Request {
    let asked: Vec<HeaderValue> = request.headers().get_all(header::ACCEPT_ENCODING).iter().cloned().collect();
    let headers = request.headers_mut();
    // In front: of two qualities of one coding, the first counts beside a `*`.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity;q=0.001"));
    for value in asked {
        headers.append(header::ACCEPT_ENCODING, value);
    }
    request
}

/// Compression layers leave ETag untouched; a strong one must differ between codings.
fn coded_etag(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let coding = headers.get(header::CONTENT_ENCODING).and_then(|coding| coding.to_str().ok());
    let etag = headers.get(header::ETAG).and_then(|etag| etag.to_str().ok());
    if let (Some(coding), Some(etag)) = (coding, etag) {
        let coded = etag::encoded(etag, coding).and_then(|etag| HeaderValue::from_str(&etag).ok());
        if let Some(coded) = coded {
            headers.insert(header::ETAG, coded);
        }
    }
    response
}
