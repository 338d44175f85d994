//! Where a request comes from: its id, its client's address, its trace, its path's values.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams};
use http::{HeaderMap, request::Parts};
use store::Origin;

use super::problem::{self, ErrorAt, Problem};
use crate::{
    app::App,
    config::{ForwardedHeader, Proxies},
};

/// The request's id and the client's address.
pub(super) fn of(app: &App, parts: &Parts) -> Origin {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let address = peer.map(|peer| client(&parts.headers, peer, &app.proxies));
    Origin { request_id: request_id(app, &parts.headers), address }
}

/// An inbound id is kept when it is plain; else we make one.
pub(super) fn request_id(app: &App, headers: &HeaderMap) -> String {
    let inbound = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let plain = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    inbound.filter(plain).map_or_else(
        || {
            let mut bytes = [0; 16];
            // Without randomness the id says so; nothing depends on it but the search in logs.
            app.random.fill(&mut bytes).map_or_else(|_| "unnamed".to_owned(), |()| hex::encode(bytes))
        },
        str::to_owned,
    )
}

/// The client's address: the peer's, unless that is a configured proxy. Then what it added last to its header, and
/// so on, up to the first address that is no proxy's or that cannot be read: left of it stands what anybody may send.
fn client(headers: &HeaderMap, peer: IpAddr, proxies: &Proxies) -> IpAddr {
    let (name, read): (_, fn(&str) -> Option<IpAddr>) = match proxies.header {
        ForwardedHeader::XForwardedFor => ("x-forwarded-for", address),
        ForwardedHeader::Forwarded => ("forwarded", named),
    };
    let mut known = peer;
    for line in headers.get_all(name).iter().rev() {
        let mut rest = line.to_str().ok().or(Some("unreadable"));
        while let Some(text) = rest {
            if !proxies.trust(known) {
                return known;
            }
            let (before, hop) = last(text, ',');
            rest = before;
            // Lists may have empty elements (RFC 9110, section 5.6.1.2).
            if !hop.trim().is_empty() {
                let Some(address) = read(hop) else { return known };
                known = address;
            }
        }
    }
    known
}

/// What stands behind the last separator that is not in quotes, and what before it. From the right, so that quotes
/// which a client opened hide nothing that a proxy added.
fn last(text: &str, separator: char) -> (Option<&str>, &str) {
    let mut quoted = false;
    for (at, mark) in text.rmatch_indices(['"', separator]) {
        let (before, behind) = (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
        if mark != "\"" && !quoted {
            return (Some(before), behind);
        }
        let escaped = before.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
        quoted ^= mark == "\"" && !escaped;
    }
    (None, text)
}

/// The address behind `for=` in an element of `Forwarded` (RFC 7239), which has one.
fn named(element: &str) -> Option<IpAddr> {
    let (mut rest, mut found) = (Some(element), None);
    while let Some(text) = rest {
        let (before, pair) = last(text, ';');
        rest = before;
        if let Some((name, value)) = pair.trim().split_once('=')
            && name.eq_ignore_ascii_case("for")
            && found.replace(value).is_some()
        {
            return None;
        }
    }
    address(found?)
}

/// An address, perhaps with a port, in brackets, in quotes.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let plain = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let bare = plain.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(plain);
    bare.parse().ok().or_else(|| plain.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The trace id of a W3C `traceparent`.
pub(super) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get("traceparent")?.to_str().ok()?;
    let mut parts = value.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let right = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    (right && trace.bytes().any(|b| b != b'0')).then_some(trace)
}

/// The values of the path's parameters, percent-decoded.
pub(super) async fn path_values(parts: &mut Parts) -> Result<Vec<(String, String)>, Problem> {
    let values = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| {
        let message = "Write percent-encoded UTF-8.".to_owned();
        let error = ErrorAt::Parameter { parameter: "path".into(), code: "invalid-text", message };
        Problem::new(problem::INVALID_REQUEST).errors(vec![error])
    })?;
    Ok(values.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client behind 10.0.0.1, which is a proxy, by the lines of one header.
    fn behind(header: ForwardedHeader, sent: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let proxies = Proxies { trusted: vec!["10.0.0.0/8".parse().unwrap()], header };
        let stranger = "192.0.2.7".parse().unwrap();
        assert_eq!(client(&headers, stranger, &proxies), stranger, "only proxies are believed: {sent:?}");
        client(&headers, "10.0.0.1".parse().unwrap(), &proxies).to_string()
    }

    #[test]
    fn one_header_counts_from_the_right_up_to_the_first_that_is_no_proxy() {
        for (sent, found) in [
            (&[][..], "10.0.0.1"),
            (&["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            (&["203.0.113.9", "198.51.100.1, 10.0.0.9"], "198.51.100.1"),
            (&["203.0.113.9, 10.0.0.2 , ,10.0.0.3"], "203.0.113.9"),
            (&["203.0.113.9, unknown, 10.0.0.3"], "10.0.0.3"),
            (&["203.0.113.9, é"], "10.0.0.1"),
            (&["203.0.113.9:4711"], "203.0.113.9"),
            (&["[2001:db8::1]:443"], "2001:db8::1"),
            (&["10.0.0.5, 10.0.0.6"], "10.0.0.5"),
        ] {
            let sent: Vec<_> = sent.iter().map(|value| ("x-forwarded-for", *value)).collect();
            assert_eq!(behind(ForwardedHeader::XForwardedFor, &sent), found, "{sent:?}");
        }
        for (sent, found) in [
            (&[r#"proto=https;for="[2001:db8::1]:443""#][..], "2001:db8::1"),
            (&["for=203.0.113.9, For=198.51.100.1;by=10.0.0.1"], "198.51.100.1"),
            (&[r#"for="203.0.113.9"#, "for=198.51.100.1"], "198.51.100.1"),
            // A quote that the client opened hides nothing; one that the proxy wrote around what the client sent does.
            (&[r#"for="203.0.113.9, for=198.51.100.1"#], "198.51.100.1"),
            (&[r#"for=198.51.100.1;host="a, for=203.0.113.9""#], "198.51.100.1"),
            (&[r#"host="x;for=203.0.113.9;\"";for=198.51.100.1"#], "198.51.100.1"),
            (&["for=203.0.113.9;for=198.51.100.1"], "10.0.0.1"),
            (&["for=203.0.113.9, for=_hidden"], "10.0.0.1"),
            (&["for=203.0.113.9, proto=https"], "10.0.0.1"),
        ] {
            let sent: Vec<_> = sent.iter().map(|value| ("forwarded", *value)).collect();
            assert_eq!(behind(ForwardedHeader::Forwarded, &sent), found, "{sent:?}");
        }
    }

    #[test]
    fn what_a_client_sends_in_the_other_header_goes_unread() {
        let (old, new) = (("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=198.51.100.1"));
        assert_eq!(behind(ForwardedHeader::Forwarded, &[old, new]), "198.51.100.1");
        assert_eq!(behind(ForwardedHeader::Forwarded, &[old]), "10.0.0.1");
        assert_eq!(behind(ForwardedHeader::XForwardedFor, &[old, new]), "203.0.113.9");
    }

    #[test]
    fn trace_ids_are_checked() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", value.parse().unwrap());
            trace_id(&headers).map(str::to_owned)
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").as_deref(), Some(trace));
        assert_eq!(of("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), None);
        assert_eq!(of("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01"), None);
    }
}
