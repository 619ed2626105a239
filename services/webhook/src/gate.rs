//! Who may post: the client's network, and the secret in `cf-webhook-auth`.
//!
//! Source: Cloudflare sends the secret verbatim on every request, test messages too; a receiver
//! must reject a missing or different one.

use std::net::IpAddr;

use domain::prefix::Prefix;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Header that carries the secret.
pub const SECRET_HEADER: &str = "cf-webhook-auth";

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The client's network may not post.
    Source,
    /// No secret was sent.
    MissingSecret,
    /// Another secret was sent.
    WrongSecret,
}

impl Refusal {
    /// Stable word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source_not_allowed",
            Self::MissingSecret => "secret_missing",
            Self::WrongSecret => "secret_wrong",
        }
    }
}

/// The checks, from settings.
#[derive(Debug)]
pub struct Gate {
    /// SHA-256 of each accepted secret: all comparisons are of equal length.
    secrets: Vec<[u8; 32]>,
    open: bool,
    allowed: Vec<Prefix>,
    proxies: Vec<Prefix>,
}

impl Gate {
    /// A gate for up to two secrets. Without any it opens only when that was explicitly allowed.
    pub fn new(secrets: &[SecretString], allow_without: bool, allowed: Vec<Prefix>, proxies: Vec<Prefix>) -> Self {
        let secrets: Vec<[u8; 32]> = secrets
            .iter()
            .map(|secret| Sha256::digest(secret.expose_secret().as_bytes()).into())
            .collect();
        Self {
            open: secrets.is_empty() && allow_without,
            secrets,
            allowed,
            proxies,
        }
    }

    /// The client's address: the peer, or behind trusted proxies the right-most address of
    /// `X-Forwarded-For` that is no trusted proxy. Everything left of it can be forged.
    pub fn client(&self, peer: IpAddr, forwarded: &[&str]) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.is_proxy(client) {
            return client;
        }
        for entry in forwarded.iter().rev().flat_map(|value| value.rsplit(',')) {
            let Some(address) = address_of(entry) else {
                // An unreadable hop: what is beyond it is hearsay.
                return client;
            };
            client = address;
            if !self.is_proxy(client) {
                return client;
            }
        }
        client
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains_addr(address))
    }

    /// Whether the client may post.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, client: IpAddr, secret: Option<&[u8]>) -> Result<(), Refusal> {
        if !self.allowed.is_empty() && !self.allowed.iter().any(|network| network.contains_addr(client)) {
            return Err(Refusal::Source);
        }
        if self.open {
            return Ok(());
        }
        let Some(given) = secret.filter(|given| !given.is_empty()) else {
            return Err(Refusal::MissingSecret);
        };
        let given: [u8; 32] = Sha256::digest(given).into();
        // Every secret is compared, so that time does not tell which one nearly matched.
        let matches = self
            .secrets
            .iter()
            .fold(subtle::Choice::from(0), |found, secret| found | secret.ct_eq(&given));
        if bool::from(matches) {
            Ok(())
        } else {
            Err(Refusal::WrongSecret)
        }
    }
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address_of(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let parsed = entry
        .parse::<IpAddr>()
        .ok()
        .or_else(|| entry.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(|| entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok());
    parsed.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(secrets: &[&str], allowed: &[&str]) -> Gate {
        let secrets: Vec<SecretString> = secrets.iter().map(|s| SecretString::from(*s)).collect();
        let networks = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Gate::new(
            &secrets,
            false,
            networks(allowed),
            networks(&["127.0.0.0/8", "192.0.2.0/24"]),
        )
    }

    #[test]
    fn two_secrets_are_accepted_and_nothing_else() {
        let gate = gate(&["old-secret", "new-secret"], &[]);
        let client = "203.0.113.9".parse().unwrap();
        for good in ["old-secret", "new-secret"] {
            assert_eq!(gate.admit(client, Some(good.as_bytes())), Ok(()));
        }
        for bad in [&b"old-secre"[..], b"old-secret ", b"\xff\xfe"] {
            assert_eq!(gate.admit(client, Some(bad)), Err(Refusal::WrongSecret));
        }
        assert_eq!(gate.admit(client, Some(b"")), Err(Refusal::MissingSecret));
        assert_eq!(gate.admit(client, None), Err(Refusal::MissingSecret));
    }

    #[test]
    fn no_secret_configured_admits_nobody_unless_told() {
        let client = "203.0.113.9".parse().unwrap();
        assert!(gate(&[], &[]).admit(client, Some(b"x")).is_err());
        assert_eq!(Gate::new(&[], true, vec![], vec![]).admit(client, None), Ok(()));
    }

    #[test]
    fn only_the_right_most_untrusted_hop_counts() {
        let gate = gate(&["s"], &["198.51.100.0/24"]);
        let client = |peer: &str, forwarded: &[&str]| gate.client(peer.parse().unwrap(), forwarded).to_string();
        assert_eq!(
            client("203.0.113.1", &["198.51.100.7"]),
            "203.0.113.1",
            "an untrusted peer's header is ignored"
        );
        assert_eq!(client("127.0.0.1", &["198.51.100.66, 203.0.113.5"]), "203.0.113.5");
        assert_eq!(
            client("127.0.0.1", &["198.51.100.66, 203.0.113.5, 192.0.2.3"]),
            "203.0.113.5"
        );
        assert_eq!(
            client("127.0.0.1", &["198.51.100.66", "203.0.113.5:4711"]),
            "203.0.113.5"
        );
        assert_eq!(client("127.0.0.1", &["198.51.100.66, nonsense"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["[2001:db8::5]"]), "2001:db8::5");
        assert_eq!(client("::ffff:127.0.0.1", &["203.0.113.5"]), "203.0.113.5");
        assert_eq!(
            gate.admit("203.0.113.5".parse().unwrap(), Some(b"s")),
            Err(Refusal::Source)
        );
        assert_eq!(gate.admit("198.51.100.5".parse().unwrap(), Some(b"s")), Ok(()));
    }
}
