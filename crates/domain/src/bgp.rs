//! The live advertisement state of a prefix at Cloudflare, and the epoch everything belongs to.
//!
//! Shapes: Cloudflare API, `addressing/prefixes/{id}/bgp/prefixes/{id}`, object `on_demand`.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{BgpPrefixId, PrefixId};
use crate::prefix::Prefix;
use crate::time::floor_to;

/// One advertisement period, named by the instant Cloudflare says it began
/// (`on_demand.advertised_modified_at`). Evidence of one epoch never counts in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub Timestamp);

/// What one read of the BGP prefix said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BgpState {
    /// Whether Cloudflare announces the prefix; `None` when the API left it out or null
    /// (it does for prefixes that are not on demand).
    pub advertised: Option<bool>,
    /// When the flag last changed, by Cloudflare's clock.
    pub advertised_modified_at: Option<Timestamp>,
    /// Whether the prefix may be switched by API at all.
    pub on_demand_enabled: bool,
    /// Whether Cloudflare has locked the flag.
    pub locked: bool,
    /// Whether the prefix is steered by BGP signalling; such prefixes refuse API control.
    pub bgp_signalled: bool,
    /// AS path prepends (0-3) when given.
    pub prepend: Option<u8>,
    /// Whether Cloudflare withdraws and re-advertises by itself following the routing table.
    pub auto_advertise_withdraw: bool,
}

impl BgpState {
    /// The current epoch: only a prefix that is advertised since a known instant has one.
    pub fn epoch(&self) -> Option<Epoch> {
        match (self.advertised, self.advertised_modified_at) {
            // To the microsecond, as the database keeps it: an epoch must equal itself read back.
            (Some(true), Some(since)) => Some(Epoch(floor_to(since, Duration::from_micros(1)))),
            _ => None,
        }
    }

    /// Why an API call could not change this prefix, if that is already clear from the read.
    pub fn refuses_control(&self) -> Option<NotControllable> {
        if self.bgp_signalled {
            Some(NotControllable::BgpSignalled)
        } else if !self.on_demand_enabled {
            Some(NotControllable::NotOnDemand)
        } else if self.locked {
            Some(NotControllable::Locked)
        } else {
            None
        }
    }
}

/// Why a prefix cannot be advertised or withdrawn by API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotControllable {
    /// `on_demand_enabled` is false.
    NotOnDemand,
    /// `on_demand_locked` is true.
    Locked,
    /// `bgp_signal_opts.enabled` is true.
    BgpSignalled,
}

impl NotControllable {
    /// One clause for people.
    pub fn explain(self) -> &'static str {
        match self {
            Self::NotOnDemand => "advertisement on demand is not enabled for it at Cloudflare",
            Self::Locked => "Cloudflare has locked its advertisement",
            Self::BgpSignalled => "it is steered by BGP signalling, not by API",
        }
    }
}

/// A prefix that can be advertised, with the ids that name it to Cloudflare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BgpPrefix {
    /// The network.
    pub prefix: Prefix,
    /// The parent (onboarded) prefix.
    pub parent_id: PrefixId,
    /// The BGP prefix below it.
    pub id: BgpPrefixId,
    /// Origin AS, when known.
    pub asn: Option<u32>,
    /// The operator's or Cloudflare's description.
    pub description: String,
    /// What the read said.
    pub state: BgpState,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_advertised_since_a_known_instant_has_an_epoch() {
        let at = Timestamp::UNIX_EPOCH;
        let mut state = BgpState {
            advertised: Some(true),
            advertised_modified_at: Some(at),
            on_demand_enabled: true,
            locked: true,
            bgp_signalled: true,
            prepend: None,
            auto_advertise_withdraw: false,
        };
        assert_eq!(state.epoch(), Some(Epoch(at)));
        state.advertised_modified_at = None;
        assert_eq!(state.epoch(), None);
        (state.advertised, state.advertised_modified_at) = (Some(false), Some(at));
        assert_eq!(state.epoch(), None);
        state.advertised = None;
        assert_eq!(state.epoch(), None);
        // Of several reasons the one that an operator can do least about comes first.
        assert_eq!(state.refuses_control(), Some(NotControllable::BgpSignalled));
        state.bgp_signalled = false;
        assert_eq!(state.refuses_control(), Some(NotControllable::Locked));
        state.locked = false;
        assert_eq!(state.refuses_control(), None);
    }
}
