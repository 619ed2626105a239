//! Which prefixes there are and what their live BGP state is: discovery by list calls, one per
//! parent prefix, rotating where all of them in every cycle would cost too much of the quota.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cf_api::CloudflareClient;
use daemon::SharedClock;
use domain::bgp::{BgpPrefix, BgpState};
use domain::evidence::Observed;
use domain::ids::PrefixId;
use domain::prefix::Prefix;
use domain::time::since;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use settings::Settings;

/// Share of the REST quota (1,200 calls in 5 minutes) that list calls may use.
const QUOTA_SHARE_PERCENT: u32 = 8;

/// Calls to Cloudflare at the same time.
const CONCURRENT: usize = 6;

/// How often the list of parent prefixes is read again, at the least.
const DISCOVER_EVERY: Duration = Duration::from_secs(300);

/// What is known of one prefix.
#[derive(Debug, Clone)]
pub struct Known {
    /// Ids, description and the last state read.
    pub prefix: BgpPrefix,
    /// Whether automation may touch it.
    pub managed: bool,
    /// The state, or why it is not known.
    pub reading: Observed<BgpState>,
}

/// All prefixes of the account as far as they are known.
pub struct Inventory {
    api: CloudflareClient,
    clock: SharedClock,
    managed: BTreeSet<Prefix>,
    descriptions: BTreeMap<Prefix, String>,
    parents: BTreeMap<String, Parent>,
    known: BTreeMap<Prefix, Known>,
    discovered_at: Option<Timestamp>,
    /// Why the parents could not be listed, while that is so.
    discovery_error: Option<String>,
    next: usize,
    per_cycle: usize,
    check_interval: Duration,
}

struct Parent {
    id: PrefixId,
    description: String,
}

impl std::fmt::Debug for Inventory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inventory").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

/// How many parents may be listed per cycle within the share of the quota; at least one.
fn parents_per_cycle(check_interval: Duration) -> usize {
    let calls_per_window = 1_200 * QUOTA_SHARE_PERCENT / 100;
    let per_cycle = check_interval.as_secs_f64() * f64::from(calls_per_window) / 300.0;
    (per_cycle.floor() as usize).max(1)
}

impl Inventory {
    /// Starts from the mapping file and from what the database remembers, so that a start while
    /// Cloudflare does not answer still knows what it does not know.
    pub fn new(
        api: CloudflareClient,
        clock: SharedClock,
        settings: &Settings,
        remembered: Vec<db::inventory::Entry>,
    ) -> Self {
        let mut inventory = Self {
            api,
            clock,
            managed: settings.managed_prefixes().into_iter().collect(),
            descriptions: settings
                .mapping
                .iter()
                .filter_map(|entry| Some((entry.prefix, entry.description.clone()?)))
                .collect(),
            parents: BTreeMap::new(),
            known: BTreeMap::new(),
            discovered_at: None,
            discovery_error: None,
            next: 0,
            per_cycle: parents_per_cycle(settings.autowithdraw.check_interval),
            check_interval: settings.autowithdraw.check_interval,
        };
        for entry in remembered {
            inventory.remember_parent(&entry.prefix.parent_id, String::new());
            inventory.store(entry.prefix, Observed::unavailable("not read since the start"));
        }
        for entry in &settings.mapping {
            if let (Some(parent), Some(id)) = (&entry.prefix_id, &entry.bgp_prefix_id) {
                inventory.remember_parent(parent, String::new());
                if !inventory.known.contains_key(&entry.prefix) {
                    inventory.store(
                        BgpPrefix {
                            prefix: entry.prefix,
                            parent_id: parent.clone(),
                            id: id.clone(),
                            asn: entry.asn,
                            description: entry.description.clone().unwrap_or_default(),
                            state: unread(),
                        },
                        Observed::unavailable("not read since the start"),
                    );
                }
            }
        }
        inventory
    }

    /// How long one round over all parents takes.
    pub fn rotation(&self) -> Duration {
        let cycles = self.parents.len().div_ceil(self.per_cycle).max(1);
        self.check_interval * u32::try_from(cycles).unwrap_or(u32::MAX)
    }

    /// All known prefixes.
    pub fn known(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }

    /// Prefixes the operator listed and nobody at Cloudflare knows.
    pub fn missing(&self) -> Vec<Prefix> {
        if self.discovered_at.is_none() {
            return Vec::new();
        }
        self.managed.iter().filter(|prefix| !self.known.contains_key(prefix)).copied().collect()
    }

    /// Why the account's prefixes could not be listed, while that is so.
    pub fn discovery_error(&self) -> Option<&str> {
        self.discovery_error.as_deref()
    }

    /// Reads the next share of the parents.
    pub async fn refresh(&mut self) {
        let now = self.clock.now();
        if self.discovered_at.is_none_or(|at| since(now, at) >= DISCOVER_EVERY) {
            self.discover(now).await;
        }
        let parents: Vec<(PrefixId, String)> = self
            .parents
            .values()
            .map(|parent| (parent.id.clone(), parent.description.clone()))
            .collect();
        if parents.is_empty() {
            return;
        }
        let count = self.per_cycle.min(parents.len());
        let turn: Vec<(PrefixId, String)> = parents.iter().cycle().skip(self.next).take(count).cloned().collect();
        self.next = (self.next + count) % parents.len();
        let api = self.api.clone();
        let answers: Vec<_> = stream::iter(turn)
            .map(|(id, description)| {
                let api = api.clone();
                async move {
                    let answer = api.list_bgp_prefixes(&id, &description).await;
                    (id, answer)
                }
            })
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        let now = self.clock.now();
        for (parent, answer) in answers {
            match answer {
                Ok(listed) => self.take_list(&parent, listed, now),
                Err(error) => self.mark_unread(&parent, &error.to_string()),
            }
        }
    }

    async fn discover(&mut self, now: Timestamp) {
        match self.api.list_prefixes().await {
            Ok(parents) => {
                self.discovered_at = Some(now);
                self.discovery_error = None;
                for parent in parents {
                    self.remember_parent(&parent.id, parent.description);
                }
            }
            Err(error) => self.discovery_error = Some(error.to_string()),
        }
    }

    fn remember_parent(&mut self, id: &PrefixId, description: String) {
        let parent = self.parents.entry(id.as_str().to_owned()).or_insert(Parent {
            id: id.clone(),
            description: String::new(),
        });
        if !description.is_empty() {
            parent.description = description;
        }
    }

    fn take_list(&mut self, parent: &PrefixId, listed: Vec<BgpPrefix>, now: Timestamp) {
        let present: BTreeSet<Prefix> = listed.iter().map(|item| item.prefix).collect();
        for item in listed {
            let state = item.state.clone();
            self.store(item, Observed::known(state, now));
        }
        for known in self.known.values_mut() {
            if known.prefix.parent_id == *parent && !present.contains(&known.prefix.prefix) {
                known.reading = Observed::unavailable("Cloudflare does not list it any more");
            }
        }
    }

    /// A failed read leaves the last state in sight only through the database; for the decision
    /// there is none.
    fn mark_unread(&mut self, parent: &PrefixId, because: &str) {
        for known in self.known.values_mut() {
            if known.prefix.parent_id == *parent {
                known.reading = Observed::unavailable(because);
            }
        }
    }

    fn store(&mut self, mut prefix: BgpPrefix, reading: Observed<BgpState>) {
        if let Some(description) = self.descriptions.get(&prefix.prefix) {
            prefix.description.clone_from(description);
        }
        let network = prefix.prefix;
        let managed = self.managed.contains(&network);
        self.known.insert(
            network,
            Known {
                prefix,
                managed,
                reading,
            },
        );
    }
}

fn unread() -> BgpState {
    BgpState {
        advertised: None,
        advertised_modified_at: None,
        on_demand_enabled: false,
        locked: false,
        bgp_signalled: false,
        prepend: None,
        auto_advertise_withdraw: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_calls_stay_within_their_share() {
        for seconds in [5u64, 60, 300] {
            let per_cycle = parents_per_cycle(Duration::from_secs(seconds)) as u64;
            assert!(per_cycle * 300 / seconds <= 96 || per_cycle == 1, "{seconds} s");
        }
    }
}
