//! The account's prefixes as Cloudflare sees them, and how much of a prefix's traffic arrives at Cloudflare.
//!
//! The `advertised` flag flips at once when a change is accepted; traffic follows during the propagation time. That is
//! the difference between what the API says and what the Internet does.

use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{Cooldown, PrefixConfig};
use crate::quota::{minus, plus};

/// Where a change is on its way through the Internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Propagation {
    /// Nothing on its way.
    Settled,
    /// Being announced.
    Advertising,
    /// Being withdrawn.
    Withdrawing,
}

/// One network that can be advertised.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PrefixState {
    /// Id of the parent.
    pub prefix_id: String,
    /// Id of the BGP prefix.
    pub bgp_prefix_id: String,
    /// The onboarded network.
    pub parent: IpNet,
    /// The network.
    pub cidr: IpNet,
    /// Origin AS.
    pub asn: Option<u32>,
    /// The parent's description.
    pub description: String,
    /// What the API answers.
    pub advertised: bool,
    /// Time of the last change of `advertised`.
    pub advertised_modified_at: Option<Timestamp>,
    /// On demand is bought for it.
    pub on_demand_enabled: bool,
    /// Changes are refused.
    pub on_demand_locked: bool,
    /// Steered by BGP signalling: changes are refused.
    pub bgp_signalled: bool,
    /// "V" or "P" in the API.
    pub approved: bool,
    /// 0 to 3.
    pub asn_prepend_count: u8,
    /// Withdrawn by Cloudflare when the routing table has no route.
    pub auto_advertise_withdraw: bool,
    /// When it was onboarded.
    pub created_at: Timestamp,
    /// Last change of anything.
    pub modified_at: Timestamp,
    /// Share of the prefix's traffic that arrives at Cloudflare now, 0 to 1 (filled in for views).
    #[serde(default)]
    pub share_at_cloudflare: f64,
    /// Filled in for views.
    pub propagation: Propagation,
    /// How often `advertised` was changed, by anybody.
    pub changes: u32,
}

/// A change by somebody else than the client under test; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrefixChange {
    /// Advertise or withdraw, ignoring locks.
    pub advertised: Option<bool>,
    /// `on_demand_locked`.
    pub locked: Option<bool>,
    /// `on_demand_enabled`.
    pub enabled: Option<bool>,
    /// BGP signalling.
    pub bgp_signalled: Option<bool>,
    /// `asn_prepend_count`.
    pub prepend: Option<u8>,
    /// Approved or pending.
    pub approved: Option<bool>,
    /// The parent's description.
    pub description: Option<String>,
    /// Removes the prefix from the account.
    pub removed: bool,
    /// Sets `advertised_modified_at` this many seconds into the past (real time), so that a change looks old.
    pub modified_ago_s: Option<u64>,
}

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotOnDemand,
    Locked,
    NotApproved,
    Signalled,
    TooSoon { retry_after_s: u64, code: u32 },
}

/// All prefixes.
#[derive(Debug)]
pub(crate) struct PrefixTable {
    pub(crate) rows: Vec<PrefixState>,
    advertise_propagation: Duration,
    withdraw_propagation: Duration,
    cooldown: Cooldown,
    factor: f64,
}

impl PrefixTable {
    /// Propagation times come already divided by `factor`; the cool-down is divided here.
    pub(crate) fn new(
        config: &[PrefixConfig],
        propagation: (Duration, Duration),
        cooldown: Cooldown,
        factor: f64,
        now: Timestamp,
    ) -> Self {
        // Prefixes are much older than the simulator: nothing is on its way at the start.
        let created = minus(now, Duration::from_secs(90 * 86_400));
        let mut rows = Vec::new();
        for parent in config {
            for bgp in &parent.bgp {
                rows.push(PrefixState {
                    prefix_id: parent.id.clone(),
                    bgp_prefix_id: bgp.id.clone(),
                    parent: parent.cidr.trunc(),
                    cidr: bgp.cidr.trunc(),
                    asn: parent.asn,
                    description: parent.description.clone(),
                    advertised: bgp.advertised,
                    advertised_modified_at: Some(minus(now, Duration::from_secs(86_400))),
                    on_demand_enabled: bgp.on_demand_enabled,
                    on_demand_locked: bgp.on_demand_locked,
                    bgp_signalled: bgp.bgp_signalled,
                    approved: parent.approved,
                    asn_prepend_count: bgp.asn_prepend_count,
                    auto_advertise_withdraw: false,
                    created_at: created,
                    modified_at: created,
                    share_at_cloudflare: 0.0,
                    propagation: Propagation::Settled,
                    changes: 0,
                });
            }
        }
        Self {
            rows,
            advertise_propagation: propagation.0,
            withdraw_propagation: propagation.1,
            cooldown,
            factor,
        }
    }

    /// Propagation times come already divided by `factor`.
    pub(crate) fn set_times(&mut self, propagation: (Duration, Duration), factor: f64) {
        (self.advertise_propagation, self.withdraw_propagation) = propagation;
        self.factor = factor;
    }

    /// Adds a network that can be advertised, withdrawn, as its own parent; nothing when it is there already.
    pub(crate) fn onboard(&mut self, cidr: IpNet, now: Timestamp) {
        if self.by_cidr(cidr).is_some() {
            return;
        }
        let number = 0x0b00_0000 + self.rows.len() as u64;
        let parent = PrefixConfig::simple(cidr.trunc(), u32::try_from(number).unwrap_or(u32::MAX), "Onboarded");
        let added = Self::new(
            &[parent],
            (self.advertise_propagation, self.withdraw_propagation),
            self.cooldown,
            self.factor,
            now,
        );
        self.rows.extend(added.rows);
    }

    pub(crate) fn by_cidr(&self, cidr: IpNet) -> Option<&PrefixState> {
        self.rows.iter().find(|p| p.cidr == cidr.trunc())
    }

    /// With `share_at_cloudflare` and `propagation` as of now.
    pub(crate) fn views(&self, now: Timestamp) -> Vec<PrefixState> {
        let view = |p: &PrefixState| {
            let mut p = p.clone();
            p.share_at_cloudflare = self.share(&p, now);
            p.propagation = self.propagation(&p, now);
            p
        };
        self.rows.iter().map(view).collect()
    }

    fn propagation(&self, p: &PrefixState, now: Timestamp) -> Propagation {
        let Some(since) = p.advertised_modified_at else {
            return Propagation::Settled;
        };
        let (length, word) = if p.advertised {
            (self.advertise_propagation, Propagation::Advertising)
        } else {
            (self.withdraw_propagation, Propagation::Withdrawing)
        };
        if now < plus(since, length) {
            word
        } else {
            Propagation::Settled
        }
    }

    /// Part of the traffic that comes through Cloudflare: grows evenly while an advertisement propagates, none once withdrawn.
    pub(crate) fn share(&self, p: &PrefixState, now: Timestamp) -> f64 {
        let Some(since) = p.advertised_modified_at else {
            return if p.advertised { 1.0 } else { 0.0 };
        };
        if !p.advertised {
            return 0.0;
        }
        let passed = now.duration_since(since).as_secs_f64().max(0.0);
        let whole = self.advertise_propagation.as_secs_f64();
        if passed >= whole { 1.0 } else { passed / whole }
    }

    /// A change through the API, with its refusals. `Ok(true)` when something changed.
    pub(crate) fn advertise(&mut self, index: usize, wanted: bool, now: Timestamp) -> Result<bool, Refusal> {
        let Some(p) = self.rows.get(index) else {
            return Ok(false);
        };
        if !p.on_demand_enabled {
            return Err(Refusal::NotOnDemand);
        }
        if p.on_demand_locked {
            return Err(Refusal::Locked);
        }
        if !p.approved {
            return Err(Refusal::NotApproved);
        }
        if p.bgp_signalled {
            return Err(Refusal::Signalled);
        }
        if p.advertised == wanted {
            return Ok(false);
        }
        let wait = if wanted {
            self.cooldown.after_withdraw_s
        } else {
            self.cooldown.after_advertise_s
        };
        if let (Some(wait), Some(since)) = (wait, p.advertised_modified_at) {
            let until = plus(since, Duration::from_secs(wait).div_f64(self.factor));
            if now < until {
                let left_ms = until.duration_since(now).as_millis().unsigned_abs();
                let retry_after_s = u64::try_from(left_ms.div_ceil(1000)).unwrap_or(u64::MAX);
                return Err(Refusal::TooSoon {
                    retry_after_s,
                    code: self.cooldown.code,
                });
            }
        }
        self.flip(index, wanted, now);
        Ok(true)
    }

    fn flip(&mut self, index: usize, wanted: bool, now: Timestamp) {
        if let Some(p) = self.rows.get_mut(index)
            && p.advertised != wanted
        {
            p.advertised = wanted;
            p.advertised_modified_at = Some(now);
            p.modified_at = now;
            p.changes += 1;
        }
    }

    /// A change from outside, without refusals. False when the prefix is unknown.
    pub(crate) fn change(&mut self, cidr: IpNet, change: &PrefixChange, now: Timestamp) -> bool {
        let Some(index) = self.rows.iter().position(|p| p.cidr == cidr.trunc()) else {
            return false;
        };
        if change.removed {
            self.rows.remove(index);
            return true;
        }
        if let Some(wanted) = change.advertised {
            self.flip(index, wanted, now);
        }
        let p = &mut self.rows[index];
        p.on_demand_locked = change.locked.unwrap_or(p.on_demand_locked);
        p.on_demand_enabled = change.enabled.unwrap_or(p.on_demand_enabled);
        p.bgp_signalled = change.bgp_signalled.unwrap_or(p.bgp_signalled);
        p.asn_prepend_count = change.prepend.unwrap_or(p.asn_prepend_count).min(3);
        p.approved = change.approved.unwrap_or(p.approved);
        if let Some(text) = &change.description {
            p.description.clone_from(text);
        }
        if let Some(ago) = change.modified_ago_s {
            p.advertised_modified_at = Some(minus(now, Duration::from_secs(ago)));
        }
        p.modified_at = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_follows_the_flag_evenly() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let times = (Duration::from_secs(300), Duration::from_secs(900));
        let mut table = PrefixTable::new(&PrefixConfig::documentation(), times, Cooldown::default(), 1.0, now);
        assert_eq!(table.advertise(0, true, now), Ok(true));
        assert!(table.rows[0].advertised);
        let later = plus(now, Duration::from_secs(150));
        assert!((table.share(&table.rows[0], later) - 0.5).abs() < 1e-9);
        assert_eq!(table.views(later)[0].propagation, Propagation::Advertising);
        assert_eq!(table.advertise(0, false, later), Ok(true));
        assert!(table.share(&table.rows[0], later) < 1e-9);
    }

    #[test]
    fn a_cooldown_names_the_seconds_left() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let times = (Duration::ZERO, Duration::ZERO);
        let cooldown = Cooldown {
            after_advertise_s: Some(900),
            ..Cooldown::default()
        };
        let mut table = PrefixTable::new(&PrefixConfig::documentation(), times, cooldown, 60.0, now);
        assert_eq!(table.advertise(0, true, now), Ok(true));
        assert_eq!(
            table.advertise(0, false, now),
            Err(Refusal::TooSoon {
                retry_after_s: 15,
                code: 1002
            })
        );
        assert_eq!(table.advertise(0, false, plus(now, Duration::from_secs(15))), Ok(true));
    }
}
