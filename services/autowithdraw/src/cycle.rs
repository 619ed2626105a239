//! One cycle: gather what can be read, decide for every prefix. Writing is [`crate::commit`]'s.
//!
//! What could not be read is named as such and reaches the decision as unknown; nothing here
//! replaces a failed reading by an empty one. A reading is as old as the moment it was asked for,
//! and a cycle ends in time even when nobody answers: one that never ended would never tell anybody.

use std::collections::BTreeMap;
use std::time::Duration;

use assembly::evidence;
use cf_api::CloudflareClient;
use cf_api::graphql::traffic::TrafficRequest;
use daemon::SharedClock;
use db::decisions::StateRow;
use db::{Db, DbError};
use domain::bgp::{BgpState, Epoch};
use domain::brakes;
use domain::calm::CalmTrack;
use domain::decision::{Decision, DirectRoute, Inputs, Managed, Policy, apply_mass_calm_brake, decide};
use domain::evidence::{Observed, PrefixTraffic, assign};
use domain::prefix::Prefix;
use domain::time::ceil_to;
use jiff::Timestamp;
use serde::Serialize;
use settings::Settings;

use crate::bindings::{BindingReads, BindingsRead};
use crate::inventory::{Inventory, Known};
use crate::ledger::{Ledger, Spans, changed_by_us};
use crate::policy::policy;
use crate::presence::{cut_to_own, recent_from};
use crate::routes::RouteChecks;

/// How long the analytics query may take: as long as the next one is not due, within these bounds.
pub const TRAFFIC_WITHIN: Duration = Duration::from_secs(20);
const TRAFFIC_AT_LEAST: Duration = Duration::from_secs(5);

/// What a cycle saw and answered for one prefix.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Ids, description and reading.
    pub known: Known,
    /// The state it started from.
    pub before: StateRow,
    /// The rules it was decided by.
    pub policy: Policy,
    /// What went in.
    pub inputs: Inputs,
    /// What came out.
    pub decision: Decision,
}

/// A complete cycle.
#[derive(Debug)]
pub struct Cycle {
    /// When its inputs were complete.
    pub at: Timestamp,
    /// How old its evidence is: when the traffic was asked for.
    pub evidence_at: Timestamp,
    /// One per known prefix.
    pub answers: Vec<Answered>,
    /// Prefixes whose calm was started anew by the mass-calm brake.
    pub restarted: Vec<Prefix>,
    /// Why the traffic was not read, if it was asked for and failed.
    pub traffic_error: Option<String>,
    /// Listed by the operator, unknown at Cloudflare.
    pub missing: Vec<Prefix>,
    /// Why the account's prefixes could not be listed.
    pub discovery_error: Option<String>,
    /// Service bindings that were read since the last cycle.
    pub bindings: Vec<BindingsRead>,
    /// Why the service bindings of a parent could not be read.
    pub bindings_error: Option<String>,
}

/// The evidence record of a cycle, as stored.
#[derive(Debug, Serialize)]
pub struct EvidenceRecord<'a> {
    /// Version of this shape.
    pub version: u32,
    /// When.
    pub at: Timestamp,
    /// The inputs of each decision.
    pub inputs: Vec<&'a Inputs>,
}

/// Everything a cycle needs.
pub struct Gatherer {
    /// The database.
    pub db: Db,
    /// Cloudflare.
    pub api: CloudflareClient,
    /// Settings.
    pub settings: Settings,
    /// The clock.
    pub clock: SharedClock,
    /// Known prefixes.
    pub inventory: Inventory,
    /// Service bindings, where they are watched.
    pub bindings: Option<BindingReads>,
    /// Direct routes.
    pub routes: RouteChecks,
    /// The spans that the database is asked for.
    pub spans: Spans,
}

impl std::fmt::Debug for Gatherer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gatherer")
            .field("inventory", &self.inventory)
            .finish_non_exhaustive()
    }
}

/// Everything that was gathered before the first decision.
struct Gathered {
    ledger: Ledger,
    policies: BTreeMap<Prefix, Policy>,
    traffic: BTreeMap<Prefix, Observed<PrefixTraffic>>,
    routes: BTreeMap<Prefix, DirectRoute>,
    now: Timestamp,
}

impl Gatherer {
    /// Runs one cycle.
    ///
    /// # Errors
    /// The database could not be read; without it neither holds nor alerts are known, and nothing
    /// may be decided.
    pub async fn run(&mut self) -> Result<Cycle, DbError> {
        self.ask_after_own_acts().await?;
        self.inventory.refresh().await;
        let bindings = self.read_bindings();
        let known: Vec<Known> = self.inventory.known().cloned().collect();
        let rotation = self.inventory.rotation();
        let policies: BTreeMap<Prefix, Policy> = known
            .iter()
            .map(|known| {
                let prefix = known.prefix.prefix;
                (prefix, policy(&self.settings.autowithdraw, prefix, rotation))
            })
            .collect();
        let prefixes = known.iter().map(|known| known.prefix.prefix).collect();
        let ledger = Ledger::read(&self.db, prefixes, self.spans, self.clock.now()).await?;
        let asked_at = self.clock.now();
        let (traffic, traffic_error) = self.read_traffic(&known, &ledger, &policies, asked_at).await;
        // Asked once more: what came in while the analytics answered counts in this cycle.
        let prefixes = known.iter().map(|known| known.prefix.prefix).collect();
        let ledger = Ledger::read(&self.db, prefixes, self.spans, self.clock.now()).await?;
        let managed = |known: &&Known| known.managed && known.is_advertised();
        let routes = known
            .iter()
            .filter(managed)
            .map(|known| known.prefix.prefix)
            .map(|prefix| (prefix, self.routes.of(prefix, &self.settings.autowithdraw)))
            .collect();
        let gathered = Gathered {
            ledger,
            policies,
            traffic,
            routes,
            now: self.clock.now(),
        };
        let mut answers: Vec<Answered> = known.into_iter().filter_map(|known| answer(known, &gathered)).collect();
        let restarted = apply_brake(&mut answers);
        Ok(Cycle {
            at: gathered.now,
            evidence_at: asked_at,
            answers,
            restarted,
            traffic_error,
            missing: self.inventory.missing(),
            discovery_error: self.inventory.discovery_error().map(str::to_owned),
            bindings,
            bindings_error: self.bindings.as_ref().and_then(BindingReads::error).map(str::to_owned),
        })
    }

    /// What came in beside the cycles; the next share is begun and not waited for.
    fn read_bindings(&mut self) -> Vec<BindingsRead> {
        let hinted = self.inventory.take_hinted();
        let (parents, spare) = (self.inventory.parents(), self.inventory.spare_calls());
        let reads = self.bindings.as_mut();
        reads
            .map(|reads| reads.turn(&parents, hinted, spare))
            .unwrap_or_default()
    }

    /// What we changed ourselves, here or by a command, is read again before it is decided on.
    async fn ask_after_own_acts(&mut self) -> Result<(), DbError> {
        let read_at = self
            .inventory
            .known()
            .map(|known| match &known.reading {
                Observed::Known { at, .. } => (known.prefix.prefix, Some(*at)),
                Observed::Unavailable { .. } => (known.prefix.prefix, None),
            })
            .collect();
        for prefix in changed_by_us(&self.db, read_at).await? {
            self.inventory.ask_soon(prefix);
        }
        Ok(())
    }

    /// One batched query for all advertised prefixes.
    async fn read_traffic(
        &self,
        known: &[Known],
        ledger: &Ledger,
        policies: &BTreeMap<Prefix, Policy>,
        asked_at: Timestamp,
    ) -> (BTreeMap<Prefix, Observed<PrefixTraffic>>, Option<String>) {
        let advertised: Vec<&Known> = known.iter().filter(|known| known.is_advertised()).collect();
        let from = advertised
            .iter()
            .filter_map(|known| read_from(known, ledger, policies, asked_at))
            .min();
        let Some(from) = from else {
            return (BTreeMap::new(), None);
        };
        let prefixes: Vec<Prefix> = advertised.iter().map(|known| known.prefix.prefix).collect();
        let resolution = evidence::resolution(self.settings.autowithdraw.attack_lookback);
        let to = ceil_to(asked_at, resolution.bucket());
        let unseen = unseen(&advertised, ledger);
        let recent_from = recent_from(&unseen, from, to);
        let request = TrafficRequest {
            from,
            recent_from,
            to,
            resolution,
            limit: evidence::ROW_LIMIT,
        };
        let within = self
            .settings
            .autowithdraw
            .check_interval
            .clamp(TRAFFIC_AT_LEAST, TRAFFIC_WITHIN);
        let because = match tokio::time::timeout(within, self.api.traffic(request, asked_at)).await {
            Ok(Ok(answer)) => {
                let mut shares = assign(
                    &answer.window,
                    &prefixes,
                    &evidence::systems(&self.settings.autowithdraw),
                );
                cut_to_own(&mut shares, &unseen, &answer, recent_from, asked_at);
                let readings = shares
                    .into_iter()
                    .map(|(prefix, share)| (prefix, Observed::known(share, asked_at)))
                    .collect();
                return (readings, None);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("analytics did not answer within {} s", within.as_secs()),
        };
        let readings = prefixes
            .into_iter()
            .map(|prefix| (prefix, Observed::unavailable(because.clone())))
            .collect();
        (readings, Some(because))
    }
}

/// Decides for one prefix.
fn answer(known: Known, gathered: &Gathered) -> Option<Answered> {
    let prefix = known.prefix.prefix;
    let ledger = &gathered.ledger;
    let policy = gathered.policies.get(&prefix)?;
    let inputs = Inputs {
        prefix,
        managed: if known.managed {
            Managed::Yes
        } else {
            Managed::NotListed
        },
        bgp: known.reading.clone(),
        traffic: gathered
            .traffic
            .get(&prefix)
            .cloned()
            .unwrap_or_else(|| Observed::unavailable("it was not asked for")),
        alerts: ledger.alerts.clone(),
        hold: domain::hold::in_force(&ledger.holds, prefix, gathered.now).cloned(),
        direct_route: gathered
            .routes
            .get(&prefix)
            .cloned()
            .unwrap_or(DirectRoute::NotDeclared),
        own_withdrawals: ledger.withdrawals_of(prefix),
        all_withdrawals: ledger.withdrawals.iter().map(|(_, at)| *at).collect(),
        other_intent_open: ledger.under_way.iter().any(|other| *other != prefix),
        now: gathered.now,
    };
    let before = ledger.states.get(&prefix).cloned().unwrap_or(StateRow {
        version: 0,
        state: Default::default(),
    });
    let decision = decide(&before.state, &inputs, policy);
    Some(Answered {
        known,
        before,
        policy: policy.clone(),
        inputs,
        decision,
    })
}

/// Where the query must begin for one prefix.
fn read_from(known: &Known, ledger: &Ledger, policies: &BTreeMap<Prefix, Policy>, now: Timestamp) -> Option<Timestamp> {
    let prefix = known.prefix.prefix;
    let policy = policies.get(&prefix)?;
    let epoch = known.reading.value().and_then(BgpState::epoch)?;
    let remembered = ledger.states.get(&prefix).and_then(|row| row.state.calm.clone());
    let track = remembered
        .filter(|track| track.epoch == epoch)
        .unwrap_or_else(|| CalmTrack::begin(epoch, &policy.traffic));
    let calm_period = brakes::calm_period(policy.calm_period, &ledger.withdrawals_of(prefix), now);
    Some(track.read_from(&policy.traffic, calm_period, now).min(now))
}

/// Advertised prefixes of which no traffic was seen yet since they are.
fn unseen(advertised: &[&Known], ledger: &Ledger) -> BTreeMap<Prefix, Epoch> {
    advertised
        .iter()
        .filter_map(|known| {
            let prefix = known.prefix.prefix;
            let epoch = known.reading.value().and_then(BgpState::epoch)?;
            let track = ledger.states.get(&prefix).and_then(|row| row.state.calm.as_ref());
            let is_seen = track.is_some_and(|track| track.epoch == epoch && track.saw_rows);
            (!is_seen).then_some((prefix, epoch))
        })
        .collect()
}

fn apply_brake(answers: &mut [Answered]) -> Vec<Prefix> {
    let mut decisions: Vec<(Prefix, bool, Decision)> = answers
        .iter()
        .map(|answer| {
            (
                answer.inputs.prefix,
                answer.before.state.was_ready,
                answer.decision.clone(),
            )
        })
        .collect();
    let restarted = apply_mass_calm_brake(&mut decisions);
    if !restarted.is_empty() {
        for (answer, (_, _, decision)) in answers.iter_mut().zip(decisions) {
            answer.decision = decision;
        }
    }
    restarted
}
