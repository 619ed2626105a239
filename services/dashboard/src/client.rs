//! Who is on the other end: the client's address behind trusted proxies, and whether it may come in at all.
//!
//! Must hold: nothing a client writes into a header makes it somebody else. A proxy appends to `X-Forwarded-For`, so
//! only what stands to the right is the proxy's word: the list is walked from the right, over addresses that are
//! themselves trusted proxies, to the first that is not.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use daemon::PeerAddr;
use domain::prefix::Prefix;

use crate::answer::Failure;
use crate::app::App;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address. Handlers take it as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddr(pub(crate) IpAddr);

impl<S: Sync> FromRequestParts<S> for ClientAddr {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        // Throttling without it would treat everybody as one, so its absence is a fault and not an unknown address.
        parts.extensions.get().copied().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// Finds the client's address and turns away whom `dashboard.allowed_networks` does not name.
pub(crate) async fn admit(State(app): State<App>, peer: PeerAddr, mut request: Request, next: Next) -> Response {
    let dashboard = &app.settings().dashboard;
    let client = behind(peer.0.ip(), request.headers(), &dashboard.trusted_proxies);
    if !may_enter(client, request.uri().path(), &dashboard.allowed_networks) {
        app.counters().refused_clients.inc();
        let client = client.map_or_else(|| "unreadable".to_owned(), |client| client.to_string());
        tracing::debug!(event = "dashboard.client.refused", client, peer = %peer.0);
        let text = "The dashboard is not open to this network.";
        return Failure::forbidden("network_not_allowed", text).into_response();
    }
    // Whom a proxy cannot name is throttled together with all others of that proxy.
    request
        .extensions_mut()
        .insert(ClientAddr(client.unwrap_or_else(|| peer.0.ip().to_canonical())));
    next.run(request).await
}

/// The client's address; `None` when a trusted proxy wrote something that is no address.
fn behind(peer: IpAddr, headers: &HeaderMap, proxies: &[Prefix]) -> Option<IpAddr> {
    let trusted = |address: IpAddr| proxies.iter().any(|proxy| proxy.contains_addr(address));
    let mut client = peer.to_canonical();
    if !trusted(client) {
        return Some(client);
    }
    let written: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .map(|value| value.to_str().unwrap_or("?"))
        .flat_map(|value| value.split(','))
        .collect();
    for hop in written.iter().rev() {
        client = address(hop.trim())?.to_canonical();
        if !trusted(client) {
            break;
        }
    }
    Some(client)
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`, `[2001:db8::1]`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()))
}

/// An empty list lets everybody in, login still decides. The machine itself may always ask how the service is.
fn may_enter(client: Option<IpAddr>, path: &str, allowed: &[Prefix]) -> bool {
    if allowed.is_empty() {
        return true;
    }
    let Some(client) = client else { return false };
    let own_watchdog = client.is_loopback() && matches!(path, "/health" | "/metrics");
    own_watchdog || allowed.iter().any(|network| network.contains_addr(client))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn found(peer: &str, forwarded: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let proxies = networks(&["127.0.0.0/8", "::1", "192.0.2.0/28"]);
        behind(peer.parse().unwrap(), &headers, &proxies).map(|address| address.to_string())
    }

    #[test]
    fn the_right_most_untrusted_address_is_the_client() {
        let table: [(&str, &[&str], &str); 9] = [
            ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", &["10.0.0.1, 198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", &["10.0.0.1", "198.51.100.1, 192.0.2.3"], "198.51.100.1"),
            ("127.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("::ffff:127.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("::1", &["198.51.100.1:80"], "198.51.100.1"),
            ("::1", &["::ffff:198.51.100.1"], "198.51.100.1"),
        ];
        for (peer, forwarded, expected) in table {
            assert_eq!(
                found(peer, forwarded).as_deref(),
                Some(expected),
                "{peer} {forwarded:?}"
            );
        }
        assert_eq!(found("127.0.0.1", &["198.51.100.1, unknown"]), None);
        assert_eq!(
            found("127.0.0.1", &["unknown, 198.51.100.1"]).as_deref(),
            Some("198.51.100.1")
        );
    }

    #[test]
    fn only_named_networks_come_in() {
        let allowed = networks(&["198.51.100.0/24", "2001:db8::/32"]);
        let may = |client: &str, path| may_enter(client.parse().ok(), path, &allowed);
        assert!(may("198.51.100.7", "/"));
        assert!(may("2001:db8::1", "/login"));
        assert!(!may("203.0.113.1", "/"));
        assert!(!may("127.0.0.1", "/"));
        assert!(may("127.0.0.1", "/health"));
        assert!(!may_enter(None, "/health", &allowed));
        assert!(may_enter(None, "/", &[]));
    }
}
