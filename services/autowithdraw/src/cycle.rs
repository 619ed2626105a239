//! One cycle: gather what can be read, decide for every prefix. Writing is [`crate::commit`]'s.
//!
//! What could not be read is named as such and reaches the decision as unknown; nothing here
//! replaces a failed reading by an empty one.

use std::collections::BTreeMap;
use std::time::Duration;

use cf_api::CloudflareClient;
use cf_api::graphql::traffic::{Resolution, TrafficRequest};
use daemon::SharedClock;
use db::decisions::StateRow;
use db::{Db, DbError, ReadTx};
use domain::alert::OpenAlert;
use domain::bgp::BgpState;
use domain::brakes;
use domain::calm::CalmTrack;
use domain::decision::{Decision, Inputs, Managed, Policy, apply_mass_calm_brake, decide};
use domain::evidence::{Observed, PrefixTraffic, assign};
use domain::hold::Hold;
use domain::prefix::Prefix;
use domain::time::{ceil_to, minus, since};
use jiff::Timestamp;
use serde::Serialize;
use settings::Settings;

use crate::inventory::{Inventory, Known};
use crate::policy::{policy, systems};
use crate::routes::RouteChecks;

/// Name under which the receiver beats.
const RECEIVER: &str = "cloudflare-webhook";

/// Cursor of the alert history, kept by the analytics monitor when it catches up.
pub const HISTORY_CURSOR: &str = "alert_history";

/// How old the receiver's sign of life, or the history cursor, may be for open alerts to be known.
const ALERTS_KNOWN_FOR: Duration = Duration::from_secs(600);

/// Rows asked for at most; Cloudflare's own example of a node's `maxPageSize`.
const ROW_LIMIT: u32 = 10_000;

/// What the database says at the begin of a cycle, in one snapshot.
#[derive(Debug, Default)]
struct Ledger {
    states: BTreeMap<Prefix, StateRow>,
    alerts: Option<Observed<Vec<OpenAlert>>>,
    holds: Vec<Hold>,
    withdrawals: Vec<(Prefix, Timestamp)>,
    open_automatic: Vec<Prefix>,
}

/// What a cycle saw and answered for one prefix.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Ids, description and reading.
    pub known: Known,
    /// The state it started from.
    pub before: StateRow,
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
    /// Direct routes.
    pub routes: RouteChecks,
}

impl std::fmt::Debug for Gatherer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gatherer").field("inventory", &self.inventory).finish_non_exhaustive()
    }
}

impl Gatherer {
    /// Runs one cycle.
    ///
    /// # Errors
    /// The database could not be read; without it neither holds nor alerts are known, and nothing
    /// may be decided.
    pub async fn run(&mut self) -> Result<Cycle, DbError> {
        self.inventory.refresh().await;
        let known: Vec<Known> = self.inventory.known().cloned().collect();
        let rotation = self.inventory.rotation();
        let ledger = self.read_ledger(known.iter().map(|known| known.prefix.prefix).collect()).await?;
        let policies: BTreeMap<Prefix, Policy> = known
            .iter()
            .map(|known| {
                let prefix = known.prefix.prefix;
                (prefix, policy(&self.settings.autowithdraw, prefix, rotation))
            })
            .collect();
        let (traffic, traffic_error) = self.read_traffic(&known, &ledger, &policies).await;
        let mut routes = BTreeMap::new();
        for known in known.iter().filter(|known| is_advertised(known)) {
            let prefix = known.prefix.prefix;
            routes.insert(prefix, self.routes.of(prefix, &self.settings.autowithdraw).await);
        }
        let now = self.clock.now();
        let alerts = ledger
            .alerts
            .clone()
            .unwrap_or_else(|| Observed::unavailable("the ledger was not read"));
        let mut answers: Vec<Answered> = known
            .into_iter()
            .filter_map(|known| {
                let prefix = known.prefix.prefix;
                let policy = policies.get(&prefix)?;
                let inputs = Inputs {
                    prefix,
                    managed: if known.managed { Managed::Yes } else { Managed::NotListed },
                    bgp: known.reading.clone(),
                    traffic: traffic
                        .get(&prefix)
                        .cloned()
                        .unwrap_or_else(|| Observed::unavailable("it was not asked for")),
                    alerts: alerts.clone(),
                    hold: domain::hold::in_force(&ledger.holds, prefix, now).cloned(),
                    direct_route: routes
                        .get(&prefix)
                        .cloned()
                        .unwrap_or(domain::decision::DirectRoute::NotDeclared),
                    own_withdrawals: of_prefix(&ledger.withdrawals, prefix),
                    all_withdrawals: ledger.withdrawals.iter().map(|(_, at)| *at).collect(),
                    other_intent_open: ledger.open_automatic.iter().any(|other| *other != prefix),
                    now,
                };
                let before = ledger.states.get(&prefix).cloned().unwrap_or(StateRow {
                    version: 0,
                    state: Default::default(),
                });
                let decision = decide(&before.state, &inputs, policy);
                Some(Answered {
                    known,
                    before,
                    inputs,
                    decision,
                })
            })
            .collect();
        let restarted = apply_brake(&mut answers);
        Ok(Cycle {
            at: now,
            answers,
            restarted,
            traffic_error,
            missing: self.inventory.missing(),
            discovery_error: self.inventory.discovery_error().map(str::to_owned),
        })
    }

    async fn read_ledger(&self, prefixes: Vec<Prefix>) -> Result<Ledger, DbError> {
        let now = self.clock.now();
        let veto = self.settings.autowithdraw.open_alert_veto;
        self.db
            .read("cycle.ledger", move |tx| {
                let mut ledger = Ledger {
                    holds: db::holds::in_force(tx, now)?,
                    withdrawals: db::intents::automatic_withdrawals(tx, minus(now, brakes::FLAP_MEMORY))?,
                    open_automatic: db::intents::open(tx)?
                        .into_iter()
                        .filter(|intent| intent.origin.is_automatic())
                        .map(|intent| intent.prefix)
                        .collect(),
                    alerts: Some(open_alerts(tx, minus(now, veto), now)?),
                    ..Ledger::default()
                };
                for prefix in prefixes {
                    ledger.states.insert(prefix, db::decisions::state(tx, prefix)?);
                }
                Ok(ledger)
            })
            .await
    }

    /// One batched query for all advertised prefixes.
    async fn read_traffic(
        &self,
        known: &[Known],
        ledger: &Ledger,
        policies: &BTreeMap<Prefix, Policy>,
    ) -> (BTreeMap<Prefix, Observed<PrefixTraffic>>, Option<String>) {
        let advertised: Vec<Prefix> = known
            .iter()
            .filter(|known| is_advertised(known))
            .map(|known| known.prefix.prefix)
            .collect();
        let now = self.clock.now();
        let Some(from) = known
            .iter()
            .filter(|known| is_advertised(known))
            .filter_map(|known| self.read_from(known, ledger, policies, now))
            .min()
        else {
            return (BTreeMap::new(), None);
        };
        let resolution = resolution(self.settings.autowithdraw.attack_lookback);
        let request = TrafficRequest {
            from,
            to: ceil_to(now, resolution.bucket()),
            resolution,
            limit: ROW_LIMIT,
        };
        match self.api.traffic(request, now).await {
            Ok(answer) => {
                let read_at = self.clock.now();
                let shares = assign(&answer.window, &advertised, &systems(&self.settings.autowithdraw));
                let readings = shares
                    .into_iter()
                    .map(|(prefix, share)| (prefix, Observed::known(share, read_at)))
                    .collect();
                (readings, None)
            }
            Err(error) => {
                let because = error.to_string();
                let readings = advertised
                    .into_iter()
                    .map(|prefix| (prefix, Observed::unavailable(because.clone())))
                    .collect();
                (readings, Some(because))
            }
        }
    }

    fn read_from(
        &self,
        known: &Known,
        ledger: &Ledger,
        policies: &BTreeMap<Prefix, Policy>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let prefix = known.prefix.prefix;
        let policy = policies.get(&prefix)?;
        let epoch = known.reading.value().and_then(BgpState::epoch)?;
        let remembered = ledger.states.get(&prefix).and_then(|row| row.state.calm.clone());
        let track = remembered
            .filter(|track| track.epoch == epoch)
            .unwrap_or_else(|| CalmTrack::begin(epoch, &policy.traffic));
        let calm_period = brakes::calm_period(policy.calm_period, &of_prefix(&ledger.withdrawals, prefix), now);
        Some(track.read_from(&policy.traffic, calm_period, now).min(now))
    }
}

fn is_advertised(known: &Known) -> bool {
    known.reading.value().is_some_and(|state| state.epoch().is_some())
}

fn of_prefix(withdrawals: &[(Prefix, Timestamp)], prefix: Prefix) -> Vec<Timestamp> {
    withdrawals.iter().filter(|(of, _)| *of == prefix).map(|(_, at)| *at).collect()
}

/// The resolution the decision's bucket length asks for; see [`domain::calm::TrafficPolicy::bucket`].
fn resolution(lookback: Duration) -> Resolution {
    match lookback.as_secs() {
        300.. => Resolution::Minute,
        50.. => Resolution::TenSeconds,
        _ => Resolution::Second,
    }
}

/// Open alerts, if somebody would have told us of them (rule 6).
fn open_alerts(tx: &ReadTx<'_>, since_when: Timestamp, now: Timestamp) -> Result<Observed<Vec<OpenAlert>>, DbError> {
    let beat = db::heartbeats::of(tx, RECEIVER)?.map(|beat| beat.beat_at);
    let cursor = db::leases::cursor(tx, HISTORY_CURSOR)?.as_deref().and_then(domain::time::from_text);
    let heard = beat.max(cursor);
    Ok(match heard {
        Some(at) if since(now, at) <= ALERTS_KNOWN_FOR => Observed::known(db::ledger::open(tx, since_when)?, now),
        Some(at) => Observed::unavailable(format!(
            "the webhook receiver was last alive {}",
            domain::time::for_people(at)
        )),
        None => Observed::unavailable("the webhook receiver never ran"),
    })
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
