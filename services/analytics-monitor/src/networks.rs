//! Whose address a target is: ours by longest match, Cloudflare's own, or somebody else's.

use std::net::IpAddr;

use domain::prefix::{Prefix, PrefixMap};

/// Own and anycast networks as known at one moment.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    own: PrefixMap<()>,
    anycast: PrefixMap<()>,
}

impl Networks {
    /// From the networks of the configuration and those discovered at Cloudflare.
    pub fn new(own: impl IntoIterator<Item = Prefix>, anycast: &[Prefix]) -> Self {
        Self {
            own: own.into_iter().map(|prefix| (prefix, ())).collect(),
            anycast: anycast.iter().map(|prefix| (*prefix, ())).collect(),
        }
    }

    /// The same with another list of what is ours.
    #[must_use]
    pub fn with_own(&self, own: impl IntoIterator<Item = Prefix>) -> Self {
        Self {
            own: own.into_iter().map(|prefix| (prefix, ())).collect(),
            anycast: self.anycast.clone(),
        }
    }

    /// Our most specific prefix with this address.
    pub fn own_prefix(&self, address: IpAddr) -> Option<Prefix> {
        self.own
            .longest_match_addr(address.to_canonical())
            .map(|(prefix, ())| prefix)
    }

    /// Whether the address is one of Cloudflare's.
    pub fn is_anycast(&self, address: IpAddr) -> bool {
        self.anycast.longest_match_addr(address.to_canonical()).is_some()
    }

    /// Whether nothing is known to be ours: then no attack can be told to concern others.
    pub fn knows_nothing(&self) -> bool {
        self.own.is_empty()
    }
}
