//! ETags: strong, a keyed hash of the uncompressed representation. An encoded answer carries its coding as
//! a suffix, and conditions take every form (RFC 9110 section 8.8.3.3).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use crypto::TagKey;
use http::{HeaderMap, header};

use super::problem::Problem;

/// The codings whose suffix an ETag may carry.
const CODINGS: [&str; 2] = ["-gzip", "-br"];

/// The ETag of a representation.
pub(super) fn of(key: &TagKey, bytes: &[u8]) -> String {
    let tag = key.tag("etag", &[bytes]);
    format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(tag.get(..16).unwrap_or(&tag)))
}

/// The ETag of an encoded answer.
pub(super) fn encoded(etag: &str, coding: &str) -> Option<String> {
    etag.strip_suffix('"').map(|start| format!("{start}-{coding}\""))
}

/// The condition of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// `*`
    Any,
    /// The listed tags, as written; `weak` ones marked.
    Tags(Vec<(bool, String)>),
}

impl Condition {
    /// Reads `If-Match` or `If-None-Match`.
    pub(super) fn read(headers: &HeaderMap, name: &header::HeaderName) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(name).iter().peekable();
        if values.peek().is_none() {
            return Ok(None);
        }
        let texts: Option<Vec<&str>> = values.map(|value| value.to_str().ok()).collect();
        let parsed = texts.and_then(|texts| parse(&texts.join(",")));
        let known = if *name == header::IF_MATCH { "If-Match" } else { "If-None-Match" };
        let message = "Write * or a list of entity tags in double quotes.";
        parsed.map(Some).ok_or_else(|| Problem::of_header(known, message))
    }

    /// Whether the condition names `etag`; the form that does is returned, for a 304. `strong` is the
    /// comparison of If-Match.
    pub(super) fn names(&self, etag: &str, strong: bool) -> Option<String> {
        let Self::Tags(tags) = self else { return Some(etag.to_owned()) };
        let found = tags.iter().find(|(weak, tag)| !(strong && *weak) && plain(tag) == etag);
        found.map(|(_, tag)| tag.clone())
    }
}

fn plain(tag: &str) -> String {
    let coded = CODINGS.iter().find_map(|coding| tag.strip_suffix('"')?.strip_suffix(coding));
    coded.map_or_else(|| tag.to_owned(), |start| format!("{start}\""))
}

fn parse(text: &str) -> Option<Condition> {
    let text = text.trim();
    if text == "*" {
        return Some(Condition::Any);
    }
    let mut tags = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (weak, start) = rest.strip_prefix("W/").map_or((false, rest), |rest| (true, rest));
        let (tag, after) = start.strip_prefix('"')?.split_once('"')?;
        if !tag.bytes().all(|b| b == 0x21 || (0x23..=0x7e).contains(&b) || b >= 0x80) {
            return None;
        }
        tags.push((weak, format!("\"{tag}\"")));
        let after = after.trim_start_matches([' ', '\t']);
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start_matches([' ', '\t', ',']),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    (!tags.is_empty()).then_some(Condition::Tags(tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_take_lists_and_every_coding() {
        let names = |text: &str, strong| parse(text).and_then(|c| c.names("\"abc\"", strong));
        assert_eq!(names("\"abc\"", true).as_deref(), Some("\"abc\""));
        assert_eq!(names("\"x\", \"abc-gzip\"", true).as_deref(), Some("\"abc-gzip\""));
        assert_eq!(names("\"abc-br\"", false).as_deref(), Some("\"abc-br\""));
        assert_eq!(names("W/\"abc\"", false).as_deref(), Some("\"abc\""));
        assert_eq!(names("W/\"abc\"", true), None);
        assert_eq!(names("*", true).as_deref(), Some("\"abc\""));
        assert_eq!(names("\"abcd\"", true), None);
        for wrong in ["abc", "\"abc", "", "\"a\" \"b\"", "*, \"a\"", "\"a b\""] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
