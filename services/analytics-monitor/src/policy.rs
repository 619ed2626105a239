//! Settings to the few numbers a poll works by.

use std::time::Duration;

use cf_api::graphql::mitigations::Witness;
use domain::prefix::Prefix;
use settings::{MitigationSystems, Settings};

/// Silence of the feed below this is no alarm, however often it is polled.
const LEAST_BLIND: Duration = Duration::from_secs(600);

/// What a poll works by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Time between two polls.
    pub poll_interval: Duration,
    /// Age up to which a row is read again.
    pub lookback: Duration,
    /// Age below which rows may still be missing; shorter than `lookback`.
    pub settle: Duration,
    /// Rows with fewer packets are stored and not announced.
    pub min_packets: u64,
    /// Own networks by the configuration; the discovered ones come from the database.
    pub own: Vec<Prefix>,
    /// Cloudflare's own networks.
    pub anycast: Vec<Prefix>,
    /// Systems asked for what they dropped, beside the DDoS rules.
    pub witnesses: Vec<Witness>,
    /// Systems beside the DDoS rules whose rows are announced.
    pub announced: Vec<Witness>,
    /// Whether begin and end of attacks are asked for.
    pub attacks: bool,
    /// Whether dropped traffic is kept minute by minute.
    pub series: bool,
}

fn named(chosen: &MitigationSystems, word: &str) -> bool {
    match chosen {
        MitigationSystems::All => true,
        MitigationSystems::Only(words) => words.iter().any(|chosen| chosen == word),
    }
}

/// The words of the configuration for the systems beside the DDoS rules.
fn others(chosen: &MitigationSystems) -> Vec<Witness> {
    [
        ("advanced_tcp", Witness::AdvancedTcp),
        ("advanced_dns", Witness::AdvancedDns),
        ("magic_firewall", Witness::Firewall),
    ]
    .into_iter()
    .filter(|(word, _)| named(chosen, word))
    .map(|(_, witness)| witness)
    .collect()
}

impl Policy {
    /// As configured.
    pub fn of(settings: &Settings) -> Self {
        let analytics = &settings.analytics;
        let mut own = settings.my_prefixes();
        own.extend(settings.managed_prefixes());
        own.sort();
        own.dedup();
        Self {
            poll_interval: analytics.poll_interval,
            lookback: analytics.lookback,
            settle: analytics.settle,
            min_packets: analytics.min_packets,
            own,
            anycast: analytics.anycast_prefixes.clone(),
            witnesses: others(&analytics.witnesses),
            announced: others(&analytics.announced_witnesses),
            attacks: named(&analytics.witnesses, "attacks"),
            series: named(&analytics.witnesses, "series"),
        }
    }

    /// How far before the watermark a poll begins: with it every row is read once more at an age
    /// of at least `lookback`, also after an outage.
    pub fn overlap(&self) -> Duration {
        self.lookback.saturating_sub(self.settle)
    }

    /// How long nothing may be read before people are told.
    pub fn blind_after(&self) -> Duration {
        (self.poll_interval * 3).max(LEAST_BLIND)
    }
}
