//! Which prefixes there are and what their live BGP state is: discovery by list calls, one per
//! parent prefix, those with advertised prefixes first (see `turns`).
//!
//! What must hold: a prefix that is managed or was ever known never vanishes, it becomes unread; a
//! reading is as old as the moment it was asked for; a refresh ends in time even when nobody answers.

mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cf_api::CloudflareClient;
use cf_api::rest::prefixes::ParentPrefix;
use daemon::SharedClock;
use domain::bgp::{BgpPrefix, BgpState};
use domain::evidence::Observed;
use domain::ids::{BgpPrefixId, PrefixId};
use domain::prefix::Prefix;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use settings::Settings;
use tokio::time::Instant;

pub(crate) use turns::Rotation;
use turns::{Turns, cycles_per_round, parents_per_cycle};

/// Calls to Cloudflare at the same time.
const CONCURRENT: usize = 6;

/// How often the list of parent prefixes is read again, at the least. Where one cycle cannot list what is below all of
/// them it is read in every cycle: it tells which parents changed, and those are listed at once.
const DISCOVER_EVERY: Duration = Duration::from_secs(300);

/// Parents listed in one cycle besides the rotation at most, because they changed.
const SOON_AT_MOST: usize = 40;

/// How long a refresh may take in all: as long as the next one is not due, within these bounds. Its
/// first part, the list of parents, takes half of that at most.
pub const REFRESH_WITHIN: Duration = Duration::from_secs(15);
const REFRESH_AT_LEAST: Duration = Duration::from_secs(5);

const NOT_READ_YET: &str = "not read since the start";

/// What is known of one prefix.
#[derive(Debug, Clone)]
pub struct Known {
    /// Ids, description and the last state read. The ids are empty while Cloudflare does not list it.
    pub prefix: BgpPrefix,
    /// Whether automation may touch it.
    pub managed: bool,
    /// The state, or why it is not known.
    pub reading: Observed<BgpState>,
}

impl Known {
    /// The last reading said that it is advertised, since a known instant.
    pub fn is_advertised(&self) -> bool {
        self.reading.value().is_some_and(|state| state.epoch().is_some())
    }
}

/// All prefixes of the account as far as they are known.
pub struct Inventory {
    api: CloudflareClient,
    clock: SharedClock,
    managed: BTreeSet<Prefix>,
    descriptions: BTreeMap<Prefix, String>,
    parents: BTreeMap<String, Parent>,
    known: BTreeMap<Prefix, Known>,
    /// On the monotonic clock.
    discovered_at: Option<Duration>,
    /// Why the parents could not be listed, while that is so.
    discovery_error: Option<String>,
    /// Parents to list in the next refresh besides the rotation.
    soon: BTreeSet<String>,
    /// Parents that looked different in the last list of parents.
    hinted: BTreeSet<String>,
    /// Calls of this cycle's share that were not needed.
    spare: usize,
    turns: Turns,
    per_cycle: usize,
    check_interval: Duration,
}

struct Parent {
    id: PrefixId,
    description: String,
    /// Its last list call failed, or it was not listed yet and matters: it is listed like those
    /// with advertised prefixes.
    urgent: bool,
    /// The last complete list of parents had it.
    listed: bool,
    /// What that list said of its state, to see that something below it changed.
    hint: Option<ParentPrefix>,
}

impl std::fmt::Debug for Inventory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inventory")
            .field("known", &self.known.len())
            .finish_non_exhaustive()
    }
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
            soon: BTreeSet::new(),
            hinted: BTreeSet::new(),
            spare: 0,
            turns: Turns::default(),
            per_cycle: parents_per_cycle(settings.autowithdraw.check_interval),
            check_interval: settings.autowithdraw.check_interval,
        };
        for entry in remembered {
            inventory.remember_parent(&entry.prefix.parent_id, None);
            if entry.prefix.state.advertised != Some(false) {
                inventory.hurry(&entry.prefix.parent_id);
            }
            inventory.store(entry.prefix, Observed::unavailable(NOT_READ_YET));
        }
        for entry in &settings.mapping {
            if let (Some(parent), Some(id)) = (&entry.prefix_id, &entry.bgp_prefix_id)
                && !inventory.known.contains_key(&entry.prefix)
            {
                inventory.remember_parent(parent, None);
                inventory.hurry(parent);
                let prefix = BgpPrefix {
                    parent_id: parent.clone(),
                    id: id.clone(),
                    asn: entry.asn,
                    ..unlisted(entry.prefix)
                };
                inventory.store(prefix, Observed::unavailable(NOT_READ_YET));
            }
        }
        inventory.keep_managed_in_sight();
        inventory
    }

    /// How long one round over all parents takes.
    pub fn rotation(&self) -> Duration {
        let (hot, cold) = self.hot_and_cold();
        let cycles = cycles_per_round(hot.len(), cold.len(), self.per_cycle);
        self.check_interval
            .saturating_mul(u32::try_from(cycles).unwrap_or(u32::MAX))
    }

    /// All known prefixes, and the managed ones that Cloudflare does not list.
    pub fn known(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }

    /// Prefixes the operator listed and nobody at Cloudflare knows.
    pub fn missing(&self) -> Vec<Prefix> {
        if self.discovered_at.is_none() {
            return Vec::new();
        }
        let missing = |known: &&Known| known.managed && known.prefix.id.as_str().is_empty();
        self.known
            .values()
            .filter(missing)
            .map(|known| known.prefix.prefix)
            .collect()
    }

    /// Why the account's prefixes could not be listed, while that is so.
    pub fn discovery_error(&self) -> Option<&str> {
        self.discovery_error.as_deref()
    }

    /// Parents that Cloudflare lists.
    pub(crate) fn parents(&self) -> BTreeSet<String> {
        let listed = self.parents.iter().filter(|(_, parent)| parent.listed);
        listed.map(|(id, _)| id.clone()).collect()
    }

    /// Parents that looked different in a list of parents since the last call.
    pub(crate) fn take_hinted(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.hinted)
    }

    /// How many calls of its share the last refresh did not need.
    pub(crate) fn spare_calls(&self) -> usize {
        self.spare
    }

    /// Lists the parent of `prefix` in the next refresh, besides the rotation: somebody changed it.
    pub fn ask_soon(&mut self, prefix: Prefix) {
        if let Some(known) = self.known.get(&prefix) {
            let parent = known.prefix.parent_id.as_str();
            if self.parents.contains_key(parent) {
                self.soon.insert(parent.to_owned());
            }
        }
    }

    /// Reads the next share of the parents, within [`REFRESH_WITHIN`].
    pub async fn refresh(&mut self) {
        let within = self.check_interval.clamp(REFRESH_AT_LEAST, REFRESH_WITHIN);
        let until = Instant::now() + within;
        let now = self.clock.monotonic();
        // The list itself is one of the calls that a cycle may make.
        let by_hints = self.parents.len() > self.per_cycle;
        let is_due = |at: Duration| by_hints || now.saturating_sub(at) >= DISCOVER_EVERY;
        if self.discovered_at.is_none_or(is_due) {
            self.discover(now, within / 2).await;
        }
        let (hot, cold) = self.hot_and_cold();
        let mut turn: BTreeSet<String> = self.turns.next(&hot, &cold, self.per_cycle).into_iter().collect();
        self.spare = self.per_cycle.saturating_sub(turn.len());
        let changed: Vec<String> = std::mem::take(&mut self.soon).into_iter().collect();
        let (first, rest) = changed.split_at(changed.len().min(SOON_AT_MOST));
        turn.extend(first.iter().cloned());
        self.soon.extend(rest.iter().cloned());
        let turn: Vec<(PrefixId, String)> = turn
            .iter()
            .filter_map(|id| self.parents.get(id))
            .map(|parent| (parent.id.clone(), parent.description.clone()))
            .collect();
        let (api, clock) = (self.api.clone(), self.clock.clone());
        let mut answers = stream::iter(turn)
            .map(|(id, description)| {
                let (api, clock) = (api.clone(), clock.clone());
                async move {
                    let asked_at = clock.now();
                    let listed = tokio::time::timeout_at(until, api.list_bgp_prefixes(&id, &description)).await;
                    let answer = match listed {
                        Ok(answer) => answer.map_err(|error| error.to_string()),
                        Err(_) => Err(format!("no answer within {} s", within.as_secs())),
                    };
                    (id, asked_at, answer)
                }
            })
            .buffer_unordered(CONCURRENT);
        let mut read = Vec::new();
        while let Some(answer) = answers.next().await {
            read.push(answer);
        }
        drop(answers);
        for (parent, asked_at, answer) in read {
            if let Some(parent) = self.parents.get_mut(parent.as_str()) {
                parent.urgent = answer.is_err();
            }
            match answer {
                Ok(listed) => self.take_list(&parent, listed, asked_at),
                Err(because) => self.mark_unread(&parent, &because),
            }
        }
        self.keep_managed_in_sight();
    }

    async fn discover(&mut self, now: Duration, within: Duration) {
        let listed = match tokio::time::timeout(within, self.api.list_prefixes()).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} s", within.as_secs_f64())),
        };
        let listed = match listed {
            Ok(listed) => listed,
            Err(because) => {
                self.discovery_error = Some(because);
                return;
            }
        };
        self.discovered_at = Some(now);
        self.discovery_error = None;
        let ids: BTreeSet<&str> = listed.iter().map(|parent| parent.id.as_str()).collect();
        let mut gone = Vec::new();
        for (id, parent) in &mut self.parents {
            parent.listed = ids.contains(id.as_str());
            if !parent.listed {
                gone.push(parent.id.clone());
            }
        }
        // A token that lost its permission lists nothing, which is no reason to forget anybody.
        for parent in gone {
            self.mark_unread(&parent, "Cloudflare does not list its parent prefix any more");
        }
        for parent in listed {
            self.remember_parent(&parent.id, Some(parent.description.clone()));
            self.take_hint(parent);
        }
    }

    /// A parent that looks different than in the last list is listed in this cycle.
    fn take_hint(&mut self, listed: ParentPrefix) {
        let Some(parent) = self.parents.get_mut(listed.id.as_str()) else {
            return;
        };
        let before = parent.hint.replace(listed.clone());
        if before.is_some_and(|before| before != listed) {
            self.soon.insert(listed.id.as_str().to_owned());
            self.hinted.insert(listed.id.as_str().to_owned());
        }
    }

    /// Parents to list in every cycle if possible, and the others. Those that Cloudflare does not
    /// list any more are not asked.
    fn hot_and_cold(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let advertised: BTreeSet<&str> = self
            .known
            .values()
            .filter(|known| {
                known
                    .reading
                    .value()
                    .is_some_and(|state| state.advertised == Some(true))
            })
            .map(|known| known.prefix.parent_id.as_str())
            .collect();
        let mut sides = (BTreeSet::new(), BTreeSet::new());
        for (id, parent) in self.parents.iter().filter(|(_, parent)| parent.listed) {
            if parent.urgent || advertised.contains(id.as_str()) {
                sides.0.insert(id.clone());
            } else {
                sides.1.insert(id.clone());
            }
        }
        sides
    }

    fn remember_parent(&mut self, id: &PrefixId, description: Option<String>) {
        if id.as_str().is_empty() {
            return;
        }
        let parent = self.parents.entry(id.as_str().to_owned()).or_insert(Parent {
            id: id.clone(),
            description: String::new(),
            urgent: false,
            listed: true,
            hint: None,
        });
        if let Some(description) = description {
            parent.description = description;
        }
    }

    /// What was advertised when it was last read is read first after a start.
    fn hurry(&mut self, parent: &PrefixId) {
        if let Some(parent) = self.parents.get_mut(parent.as_str()) {
            parent.urgent = true;
        }
    }

    fn take_list(&mut self, parent: &PrefixId, listed: Vec<BgpPrefix>, asked_at: Timestamp) {
        let present: BTreeSet<Prefix> = listed.iter().map(|item| item.prefix).collect();
        for item in listed {
            let state = item.state.clone();
            self.store(item, Observed::known(state, asked_at));
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

    /// A managed prefix that nobody knows is unknown, and after a while people are told so.
    fn keep_managed_in_sight(&mut self) {
        let because = match (&self.discovery_error, self.discovered_at) {
            (Some(error), _) => format!("the account's prefixes cannot be listed: {error}"),
            (None, None) => NOT_READ_YET.to_owned(),
            (None, Some(_)) => "Cloudflare does not list it in this account".to_owned(),
        };
        for prefix in self.managed.clone() {
            let listed = self
                .known
                .get(&prefix)
                .is_some_and(|known| !known.prefix.id.as_str().is_empty());
            if !listed {
                self.store(unlisted(prefix), Observed::unavailable(because.clone()));
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

/// A prefix of which only the network is known.
fn unlisted(prefix: Prefix) -> BgpPrefix {
    BgpPrefix {
        prefix,
        parent_id: PrefixId::new(""),
        id: BgpPrefixId::new(""),
        asn: None,
        description: String::new(),
        state: BgpState {
            advertised: None,
            advertised_modified_at: None,
            on_demand_enabled: false,
            locked: false,
            bgp_signalled: false,
            prepend: None,
            auto_advertise_withdraw: false,
        },
    }
}
