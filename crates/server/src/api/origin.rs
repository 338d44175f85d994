//! Where a request comes from: its id, its client's address, its trace, its path's values.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, RawPathParams};
use http::{HeaderMap, request::Parts};
use store::Origin;

use super::problem::{self, ErrorAt, Problem};
use crate::{app::App, config::Network};

/// The request's id and the client's address.
pub(super) fn of(app: &App, parts: &Parts) -> Origin {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let address = peer.map(|peer| client(&parts.headers, peer, &app.trusted_proxies));
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

/// The client's address. `Forwarded` (RFC 7239) and `X-Forwarded-For` count only from configured proxies,
/// and only back to the first address that is none.
fn client(headers: &HeaderMap, peer: IpAddr, proxies: &[Network]) -> IpAddr {
    if !proxies.iter().any(|proxy| proxy.contains(peer)) {
        return peer;
    }
    let forwarded = headers.get_all("forwarded").iter().filter_map(|value| value.to_str().ok());
    let named = forwarded.flat_map(|value| value.split(',')).filter_map(|element| {
        let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| name.eq_ignore_ascii_case("for")).map(|(_, value)| value)
    });
    let old = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<IpAddr> = named.chain(old.flat_map(|value| value.split(','))).filter_map(address).collect();
    hops.iter().rev().find(|hop| !proxies.iter().any(|proxy| proxy.contains(**hop))).copied().unwrap_or(peer)
}

fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(ip, _)| ip);
    let plain = bracketed.unwrap_or(text);
    plain.parse().ok().or_else(|| plain.parse::<SocketAddr>().ok().map(|address| address.ip()))
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

    #[test]
    fn forwarded_addresses_count_only_from_proxies() {
        let (address, peer): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "192.0.2.7".parse().unwrap());
        let proxies: Vec<Network> = vec!["10.0.0.0/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "203.0.113.9, 198.51.100.1".parse().unwrap());
        assert_eq!(client(&headers, peer, &proxies), peer);
        assert_eq!(client(&headers, address, &proxies).to_string(), "198.51.100.1");
        headers.insert("x-forwarded-for", "203.0.113.9, 10.0.0.1".parse().unwrap());
        assert_eq!(client(&headers, address, &proxies).to_string(), "203.0.113.9");
        let mut headers = HeaderMap::new();
        headers.insert("forwarded", "proto=https;for=\"[2001:db8::1]:443\"".parse().unwrap());
        assert_eq!(client(&headers, address, &proxies).to_string(), "2001:db8::1");
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
