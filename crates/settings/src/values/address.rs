//! Addresses of servers: checked so far that a secret cannot leave the host in the clear, and that
//! a path can simply be appended.

use std::net::IpAddr;

use url::{Host, Url};

use super::{placeholder, text};
use crate::json::Node;
use crate::keys::{Key, Kind};
use crate::report::Code;
use crate::site::{Problems, Site};

/// An http(s) address without trailing slash.
pub(super) fn read(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<String> {
    let text = text(key, node, site, problems)?.trim();
    if placeholder(text, site, problems) {
        return None;
    }
    check(text, key.kind, site, problems)
}

/// The same for text from elsewhere (the address of a reachability check).
pub(super) fn check(text: &str, kind: Kind, site: &Site, problems: &mut Problems) -> Option<String> {
    let mut fail = |what: &str, remedy: &str| {
        problems.error(Code::InvalidValue, site, what, remedy);
        None
    };
    let Ok(url) = Url::parse(text) else {
        return fail(
            "this is not an address",
            "write it with its scheme, such as \"https://host.example/path\"",
        );
    };
    if !matches!(url.scheme(), "http" | "https") {
        return fail(
            "the address must begin with https:// (or http://)",
            "write it with https://",
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return fail(
            "the address contains a user name",
            "remove it; credentials have their own keys",
        );
    }
    if url.path().contains("/bot") && url.path().contains(':') {
        return fail(
            "the address contains the token of a bot",
            "write the address alone; the token belongs into telegram.bot_token",
        );
    }
    let base = matches!(kind, Kind::ApiUrl | Kind::PublicUrl);
    if base && (url.query().is_some() || url.fragment().is_some()) {
        return fail(
            "the address has a query or fragment, but paths are appended to it",
            "remove everything from ? or # on",
        );
    }
    if url.scheme() == "http" {
        let nearness = nearness(&url);
        match (kind, nearness) {
            (Kind::ApiUrl, Nearness::Public) => {
                return fail("secrets would cross the Internet unencrypted", "write it with https://");
            }
            (Kind::ApiUrl, Nearness::Private) => problems.warning(
                Code::RiskyValue,
                site,
                "secrets are sent to this server unencrypted",
                "use https:// unless this is a test",
            ),
            (Kind::PublicUrl, Nearness::Public | Nearness::Private) => problems.warning(
                Code::RiskyValue,
                site,
                "passwords and session cookies of the dashboard travel unencrypted",
                "put a TLS proxy in front and write https://",
            ),
            _ => {}
        }
    }
    let written = if base {
        url.as_str().trim_end_matches('/')
    } else {
        url.as_str()
    };
    Some(written.to_owned())
}

enum Nearness {
    SameHost,
    Private,
    Public,
}

fn nearness(url: &Url) -> Nearness {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain("localhost")) => return Nearness::SameHost,
        // A name without dots can only be a neighbour (a container, an entry of /etc/hosts).
        Some(Host::Domain(name)) if !name.contains('.') => return Nearness::Private,
        _ => return Nearness::Public,
    };
    let private = match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    };
    if address.is_loopback() {
        Nearness::SameHost
    } else if private {
        Nearness::Private
    } else {
        Nearness::Public
    }
}
