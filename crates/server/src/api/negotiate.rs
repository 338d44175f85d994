//! Content negotiation (RFC 9110 section 12): which form is asked for, and whether a body's form is taken.

use http::{HeaderMap, header};

use super::problem::{self, Problem};

/// The media type of the answer: the first of `produces` with the highest quality in `Accept`.
///
/// A route that answers with JSON alone also takes `application/problem+json` for a wish of JSON.
pub(super) fn accept(headers: &HeaderMap, produces: &'static [&'static str]) -> Result<&'static str, Problem> {
    let preferred = produces.first().copied().unwrap_or("application/json");
    let mut ranges: Vec<(String, u16)> = Vec::new();
    for value in headers.get_all(header::ACCEPT) {
        let Ok(value) = value.to_str() else { return Err(Problem::new(problem::NOT_ACCEPTABLE)) };
        ranges.extend(value.split(',').filter(|range| !range.trim().is_empty()).map(range));
    }
    if ranges.is_empty() {
        return Ok(preferred);
    }
    let quality = |offered: &str| {
        let (kind, _) = offered.split_once('/').unwrap_or((offered, ""));
        let specific = |range: &str| match range {
            range if range == offered => Some(3),
            range if range.strip_suffix("/*") == Some(kind) => Some(2),
            "*/*" => Some(1),
            _ => None,
        };
        let best = ranges.iter().filter_map(|(range, q)| specific(range).map(|s| (s, *q))).max();
        best.map_or(0, |(_, q)| q)
    };
    let best = produces.iter().rev().map(|offered| (quality(offered), *offered)).max_by_key(|(q, _)| *q);
    match best {
        Some((q, offered)) if q > 0 => Ok(offered),
        _ => Err(Problem::new(problem::NOT_ACCEPTABLE)),
    }
}

/// A media range in lower case without parameters, and its quality in thousandths.
fn range(text: &str) -> (String, u16) {
    let mut parts = text.split(';');
    let range = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let quality = parts.find_map(|part| part.trim().strip_prefix("q=").map(str::trim));
    let quality = quality.and_then(|q| q.parse::<f32>().ok()).filter(|q| (0.0..=1.0).contains(q)).unwrap_or(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    let thousandths = (quality * 1000.0).round() as u16;
    (range, thousandths)
}

/// The body's media type, one of those that are taken; UTF-8 and not encoded. The first where there need be none.
pub(super) fn content_type(
    headers: &HeaderMap,
    consumes: Option<&'static str>,
    also: &'static [&'static str],
) -> Result<&'static str, Problem> {
    let Some(expected) = consumes else { return Ok("") };
    let taken = || std::iter::once(expected).chain(also.iter().copied());
    let refuse = || {
        let problem = Problem::new(problem::UNSUPPORTED_MEDIA_TYPE);
        let taken: Vec<_> = taken().collect();
        let problem = problem.detail(format!("Send {}, in UTF-8 and not encoded.", taken.join(" or ")));
        // RFC 5789: which patch documents are taken.
        let patch = header::HeaderName::from_static("accept-patch");
        if expected.contains("patch") { problem.header(patch, expected) } else { problem }
    };
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.as_bytes());
    let several = headers.get_all(header::CONTENT_TYPE).iter().nth(1).is_some();
    if several || codings.any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(refuse());
    }
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).ok_or_else(refuse)?;
    let mut parts = value.split(';');
    let named = parts.next().unwrap_or_default().trim();
    let named = taken().find(|media_type| named.eq_ignore_ascii_case(media_type));
    let utf8 = parts.all(|part| {
        let charset = part.trim().to_ascii_lowercase();
        !charset.starts_with("charset=") || charset.trim_start_matches("charset=").trim_matches('"') == "utf-8"
    });
    named.filter(|_| utf8).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[&str] = &["application/json", "text/csv"];

    fn of(accept_header: &str) -> Result<&'static str, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept_header.parse().unwrap());
        accept(&headers, BOTH).map_err(|p| p.status())
    }

    #[test]
    fn the_best_quality_wins() {
        assert_eq!(of("*/*"), Ok("application/json"));
        assert_eq!(of("text/csv"), Ok("text/csv"));
        assert_eq!(of("text/*, application/json;q=0.5"), Ok("text/csv"));
        assert_eq!(of("application/json;q=0, */*"), Ok("text/csv"));
        assert_eq!(of("text/html"), Err(406));
        assert_eq!(of("application/json;q=0"), Err(406));
        assert_eq!(accept(&HeaderMap::new(), BOTH).ok(), Some("application/json"));
    }

    #[test]
    fn bodies_are_utf8_json() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            content_type(&headers, Some("application/json"), &["text/csv"]).ok()
        };
        let json = Some("application/json");
        assert_eq!((of("application/json"), of("Application/JSON; charset=\"UTF-8\"")), (json, json));
        assert_eq!(of("Text/CSV; header=present"), Some("text/csv"));
        for other in ["application/json; charset=latin1", "text/plain", "application/merge-patch+json"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
