//! The withdraw decision: `(state, evidence, policy, now) -> (next state, verdict, effects)`.
//!
//! ```text
//!            advertised                  propagation over
//! direct ───────────────▶ propagating ──────────────────▶ calm running ◀──┐
//!   ▲                          │ ▲                          │    │        │ no excess
//!   │ withdrawn                │ │ excess                   │    └──▶ attack
//!   └──────── ready ◀──────────┼─┴──────────────────────────┘ proven
//!               │              ▼
//!               └──▶ blocked   unknown   (any unreadable input; advances nothing)
//! ```
//!
//! Pure: clock, configuration and every reading are passed in. What must hold is written in
//! `docs/80-architecture.md` as sixteen rules; the tests name them.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::OpenAlert;
use crate::bgp::{BgpState, Epoch, NotControllable};
use crate::brakes;
use crate::calm::{CalmTrack, FUTURE_TOLERANCE, TrafficAnswer, TrafficPolicy, TrafficUnknown, WindowSum, read_traffic};
use crate::duration::human;
use crate::evidence::{Observed, PrefixTraffic};
use crate::hold::Hold;
use crate::prefix::Prefix;
use crate::time::{for_people, plus, since};

/// Whether automation acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Decides and withdraws.
    Act,
    /// Decides, records and announces what it would do.
    DryRun,
    /// Decides and records; does nothing.
    Paused,
}

impl Mode {
    /// Text for logs and pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::DryRun => "dry_run",
            Self::Paused => "paused",
        }
    }
}

/// Everything configurable about the decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// What is an attack, how fresh data must be.
    pub traffic: TrafficPolicy,
    /// Whether automation acts.
    pub mode: Mode,
    /// Continuous calm that must be proven.
    #[serde(with = "crate::duration::text")]
    pub calm_period: Duration,
    /// Shortest time a prefix stays advertised.
    #[serde(with = "crate::duration::text")]
    pub min_advertised: Duration,
    /// Longest time an open alert blocks.
    #[serde(with = "crate::duration::text")]
    pub open_alert_veto: Duration,
    /// Unknown for this long raises a notice.
    #[serde(with = "crate::duration::text")]
    pub unknown_alert_after: Duration,
    /// Advertised for this long without a withdrawal raises a notice, repeated daily.
    #[serde(with = "crate::duration::text")]
    pub overdue_after: Duration,
    /// Automatic withdrawals per hour.
    pub max_withdrawals_per_hour: u32,
    /// How old the BGP read may be.
    #[serde(with = "crate::duration::text")]
    pub max_reading_age: Duration,
}

/// Whether the prefix is automation's to touch (rule 9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Managed {
    /// Listed by the operator.
    Yes,
    /// Not listed.
    NotListed,
}

/// Whether the operator's own route is there to take the traffic (rule 9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "route", rename_all = "snake_case")]
pub enum DirectRoute {
    /// The operator states that it is always announced.
    AlwaysAnnounced,
    /// A check succeeded at this instant.
    Checked {
        /// When.
        at: Timestamp,
    },
    /// Nobody has said how the prefix is reachable once it is withdrawn: unknown, not fine.
    NotDeclared,
    /// The check failed, or none succeeded yet.
    NotProven {
        /// Why.
        reason: String,
    },
}

/// How old a successful route check may be.
pub const ROUTE_CHECK_AGE: Duration = Duration::from_secs(300);

/// Everything one decision looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// The prefix.
    pub prefix: Prefix,
    /// Listed or not.
    pub managed: Managed,
    /// The live state.
    pub bgp: Observed<BgpState>,
    /// The traffic that belongs to it.
    pub traffic: Observed<PrefixTraffic>,
    /// Open attack alerts, of any prefix.
    pub alerts: Observed<Vec<OpenAlert>>,
    /// The hold or pause in force.
    pub hold: Option<Hold>,
    /// The operator's own route.
    pub direct_route: DirectRoute,
    /// Automatic withdrawals of this prefix, newest last.
    pub own_withdrawals: Vec<Timestamp>,
    /// Automatic withdrawals of all prefixes, newest last.
    pub all_withdrawals: Vec<Timestamp>,
    /// Another automatic intent is open.
    pub other_intent_open: bool,
    /// Now, by our clock.
    pub now: Timestamp,
}

/// What is remembered about a prefix between cycles.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrefixState {
    /// The calm clock of the current epoch.
    pub calm: Option<CalmTrack>,
    /// The largest attack window of the epoch.
    pub peak: Option<WindowSum>,
    /// Systems that dropped during the epoch.
    pub systems: BTreeSet<String>,
    /// End of the first window that was an attack in this epoch.
    pub attack_since: Option<Timestamp>,
    /// End of the last one.
    pub last_attack_end: Option<Timestamp>,
    /// Since when nothing can be said.
    pub unknown_since: Option<Timestamp>,
    /// Unknown cycles in a row.
    pub unknown_cycles: u32,
    /// The blindness was announced.
    pub blind_announced: bool,
    /// The last gap was [`brakes::BLIND_CYCLES`] or longer and calm was not restarted for it yet.
    pub after_blindness: bool,
    /// Calm was proven in the last cycle.
    pub was_ready: bool,
    /// When "overdue" was last announced.
    pub overdue_announced_at: Option<Timestamp>,
    /// "Would withdraw" was announced in this epoch.
    pub dry_run_announced: bool,
    /// Reaching the hourly limit was announced for this wait.
    pub limit_announced: bool,
    /// What the last BGP read said, to recognise changes (rule 14).
    pub last_bgp: Option<BgpState>,
    /// Key of the last verdict, to record only changes.
    pub last_verdict: String,
}

/// Why nothing can be said about a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "unknown", rename_all = "snake_case")]
pub enum Unknown {
    /// The live BGP state was not read.
    Bgp {
        /// Why.
        reason: String,
    },
    /// The BGP state was read but does not say whether or since when it is advertised.
    BgpIncomplete,
    /// The traffic was not read.
    Traffic {
        /// Why.
        reason: String,
    },
    /// The traffic was read and proves nothing.
    Data(TrafficUnknown),
    /// Whether alerts are open is not known.
    Alerts {
        /// Why.
        reason: String,
    },
}

impl Unknown {
    /// One clause for people.
    pub fn explain(&self) -> String {
        match self {
            Self::Bgp { reason } => format!("its BGP state could not be read: {reason}"),
            Self::BgpIncomplete => "Cloudflare does not say since when it is advertised".into(),
            Self::Traffic { reason } => format!("its traffic could not be read: {reason}"),
            Self::Data(data) => data.explain(),
            Self::Alerts { reason } => format!("open alerts are not known: {reason}"),
        }
    }

    /// Short stable name.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Bgp { .. } => "bgp_unavailable",
            Self::BgpIncomplete => "bgp_incomplete",
            Self::Traffic { .. } => "traffic_unavailable",
            Self::Data(TrafficUnknown::Truncated) => "traffic_truncated",
            Self::Data(TrafficUnknown::EmptyDataset) => "traffic_empty",
            Self::Data(TrafficUnknown::Stale { .. }) => "traffic_stale",
            Self::Data(TrafficUnknown::FutureRows { .. }) => "traffic_in_future",
            Self::Data(TrafficUnknown::NoRowsForPrefix) => "traffic_no_rows",
            Self::Data(TrafficUnknown::SampledTooCoarsely { .. }) => "traffic_too_coarse",
            Self::Alerts { .. } => "alerts_unknown",
        }
    }
}

/// Why a proven calm does not lead to a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "block", rename_all = "snake_case")]
pub enum Block {
    /// Automation is paused by configuration.
    ModePaused,
    /// Automation only says what it would do.
    DryRun,
    /// A hold or pause of a person.
    Held {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Until when.
        until: Option<Timestamp>,
        /// Whether it pauses everything.
        everywhere: bool,
    },
    /// An open attack alert.
    OpenAlert {
        /// Event number.
        event: i64,
        /// Until when it can block.
        until: Timestamp,
        /// Whether it blocks because its prefixes are not known.
        unresolved: bool,
    },
    /// The prefix has not been advertised long enough.
    TooSoon {
        /// Until when.
        until: Timestamp,
    },
    /// Too many withdrawals within the hour.
    HourlyLimit {
        /// Until when.
        until: Timestamp,
    },
    /// Another automatic withdrawal is under way.
    OneAtATime,
    /// The operator's own route is not proven.
    NoDirectRoute {
        /// Why.
        reason: String,
    },
    /// Cloudflare would refuse.
    NotControllable(NotControllable),
}

impl Block {
    /// One clause for people.
    pub fn explain(&self) -> String {
        match self {
            Self::ModePaused => "automation is paused by configuration".into(),
            Self::DryRun => "automation runs dry: it says what it would do and does nothing".into(),
            Self::Held {
                by,
                reason,
                until,
                everywhere,
            } => {
                let what = if *everywhere {
                    "all automation is paused"
                } else {
                    "it is held"
                };
                let end = until.map_or_else(|| "until released".to_owned(), |at| format!("until {}", for_people(at)));
                format!("{what} by {by} {end}: {reason}")
            }
            Self::OpenAlert {
                event,
                until,
                unresolved,
            } => {
                let end = for_people(*until);
                if *unresolved {
                    format!(
                        "attack alert #{event} is open and names no prefix of ours, so it blocks all until it ends, at the latest {end}"
                    )
                } else {
                    format!("attack alert #{event} is open; it blocks until it ends, at the latest {end}")
                }
            }
            Self::TooSoon { until } => {
                format!("it must stay advertised until {}", for_people(*until))
            }
            Self::HourlyLimit { until } => format!(
                "the hourly limit of withdrawals is reached until {}",
                for_people(*until)
            ),
            Self::OneAtATime => "another automatic withdrawal is under way".into(),
            Self::NoDirectRoute { reason } => format!("the direct route is not proven: {reason}"),
            Self::NotControllable(why) => why.explain().into(),
        }
    }

    /// Short stable name.
    pub fn key(&self) -> &'static str {
        match self {
            Self::ModePaused => "mode_paused",
            Self::DryRun => "dry_run",
            Self::Held { .. } => "held",
            Self::OpenAlert { .. } => "open_alert",
            Self::TooSoon { .. } => "min_advertised",
            Self::HourlyLimit { .. } => "hourly_limit",
            Self::OneAtATime => "one_at_a_time",
            Self::NoDirectRoute { .. } => "no_direct_route",
            Self::NotControllable(_) => "not_controllable",
        }
    }

    /// The instant at which it lifts by itself, if there is one.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Held { until, .. } => *until,
            Self::OpenAlert { until, .. } | Self::TooSoon { until } | Self::HourlyLimit { until } => Some(*until),
            _ => None,
        }
    }
}

/// The answer for one prefix in one cycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Not advertised: traffic flows natively.
    Direct,
    /// Advertised, and automation does not touch it.
    NotManaged,
    /// Nothing can be said; nothing advances.
    Unknown {
        /// Why.
        because: Unknown,
        /// Since when.
        since: Timestamp,
    },
    /// The announcement still spreads.
    Propagating {
        /// Until when.
        until: Timestamp,
    },
    /// Drops exceed both thresholds now.
    Attack,
    /// The calm clock runs.
    Calm {
        /// Since when, in data time.
        since: Timestamp,
        /// When calm will be proven at the earliest, by our clock.
        due: Timestamp,
    },
    /// Calm is proven and something forbids acting.
    Blocked {
        /// What; never empty.
        by: Vec<Block>,
    },
    /// Calm is proven and nothing forbids acting: withdraw.
    Withdraw,
}

impl Verdict {
    /// Short stable name; a change of it is a state change worth recording.
    pub fn key(&self) -> String {
        match self {
            Self::Direct => "direct".into(),
            Self::NotManaged => "not_managed".into(),
            Self::Unknown { because, .. } => format!("unknown:{}", because.key()),
            Self::Propagating { .. } => "propagating".into(),
            Self::Attack => "attack".into(),
            Self::Calm { .. } => "calm".into(),
            Self::Blocked { by } => {
                let keys: Vec<&str> = by.iter().map(Block::key).collect();
                format!("blocked:{}", keys.join("+"))
            }
            Self::Withdraw => "withdraw".into(),
        }
    }
}

/// What will happen next, and why, as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextAction {
    /// What.
    pub action: String,
    /// Not before; `None` when no instant can be named.
    pub not_before: Option<Timestamp>,
    /// Why, one sentence.
    pub because: String,
}

/// What the world should do about a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// File an automatic withdrawal intent (at most one open per prefix).
    IntendWithdrawal {
        /// The epoch it is meant for.
        epoch: Epoch,
        /// Proven calm, seconds.
        calm_s: u64,
    },
    /// Cancel an unsent automatic intent, if there is one (rule 11).
    CancelIntent {
        /// Why.
        because: String,
    },
    /// Unknown for too long.
    AnnounceBlind {
        /// Why.
        because: String,
        /// Since when.
        since: Timestamp,
    },
    /// Readings are back after an announced blindness.
    AnnounceSighted {
        /// Since when it was blind.
        since: Timestamp,
    },
    /// Advertised for long.
    AnnounceOverdue {
        /// Advertised since.
        since: Timestamp,
        /// What holds it.
        because: String,
    },
    /// Dry run: calm is proven.
    AnnounceWouldWithdraw {
        /// Proven calm, seconds.
        calm_s: u64,
    },
    /// The hourly brake holds a withdrawal.
    AnnounceLimit {
        /// Until when.
        until: Timestamp,
    },
    /// The advertisement, lock, prepend or binding changed since the last read.
    BgpChanged {
        /// Before; `None` on the first read ever.
        before: Option<BgpState>,
        /// Now.
        after: BgpState,
    },
    /// An attack within 20 min after the last own withdrawal (rule 12).
    AnnounceReattack {
        /// When it was withdrawn.
        withdrawn_at: Timestamp,
    },
}

/// How soon an attack after a withdrawal is a critical notice.
pub const REATTACK_WINDOW: Duration = Duration::from_secs(20 * 60);

/// How often "overdue" is repeated.
pub const OVERDUE_REPEAT: Duration = Duration::from_secs(86_400);

/// A decision with everything that follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// What to remember.
    pub state: PrefixState,
    /// What to do.
    pub effects: Vec<Effect>,
    /// What forbids acting now, whether or not calm is proven yet.
    pub blocks: Vec<Block>,
    /// What will happen next.
    pub next: NextAction,
    /// The calm period in force (flapping lengthens it).
    #[serde(with = "crate::duration::text")]
    pub calm_period: Duration,
    /// Data counts as complete up to here.
    pub settled_until: Option<Timestamp>,
    /// The newest look-back window that is over; `None` when no traffic was read.
    pub latest: Option<WindowSum>,
    /// An excess rests on too few samples.
    pub noise: bool,
    /// When it was decided, by our clock.
    #[serde(default)]
    pub decided_at: Timestamp,
}

/// Decides for one prefix.
pub fn decide(previous: &PrefixState, inputs: &Inputs, policy: &Policy) -> Decision {
    let calm_period = brakes::calm_period(policy.calm_period, &inputs.own_withdrawals, inputs.now);
    let mut decision = Decision {
        verdict: Verdict::Direct,
        state: previous.clone(),
        effects: Vec::new(),
        blocks: Vec::new(),
        next: NextAction {
            action: String::new(),
            not_before: None,
            because: String::new(),
        },
        calm_period,
        settled_until: None,
        latest: None,
        noise: false,
        decided_at: inputs.now,
    };
    let mut verdict = judge(&mut decision, inputs, policy);
    if let Verdict::Unknown { since, .. } = &mut verdict {
        *since = previous.unknown_since.unwrap_or(inputs.now).min(inputs.now);
    }
    if !matches!(verdict, Verdict::Withdraw) {
        decision.effects.push(Effect::CancelIntent { because: verdict.key() });
    } else if previous.calm.as_ref().map(|track| track.epoch) != decision.state.calm.as_ref().map(|track| track.epoch) {
        // What was intended for an earlier epoch goes before this one's intent is filed.
        decision.effects.push(Effect::CancelIntent {
            because: "epoch_changed".into(),
        });
    }
    decision.next = next_action(&verdict, &decision, &not_managed_because(inputs));
    settle_memory(&mut decision, &verdict, inputs, policy);
    decision.state.last_verdict = verdict.key();
    decision.verdict = verdict;
    decision
}

fn judge(decision: &mut Decision, inputs: &Inputs, policy: &Policy) -> Verdict {
    let unknown = |because| Verdict::Unknown {
        because,
        since: inputs.now,
    };
    let bgp = match &inputs.bgp {
        Observed::Unavailable { reason } => {
            return unknown(Unknown::Bgp { reason: reason.clone() });
        }
        Observed::Known { value, at } => match not_current(*at, inputs.now, policy.max_reading_age) {
            Some(age) => {
                let reason = format!("the last reading {age}");
                return unknown(Unknown::Bgp { reason });
            }
            None => value,
        },
    };
    let rows_from = decision
        .state
        .last_bgp
        .as_ref()
        .and_then(|before| gone_since(before, policy));
    notice_change(decision, bgp);
    let epoch = match (bgp.advertised, bgp.epoch()) {
        (Some(false), _) => {
            forget_epoch(&mut decision.state);
            return Verdict::Direct;
        }
        (Some(true), Some(epoch)) => epoch,
        _ if !bgp.on_demand_enabled || bgp.bgp_signalled => return Verdict::NotManaged,
        _ => return unknown(Unknown::BgpIncomplete),
    };
    if epoch.0 > plus(inputs.now, FUTURE_TOLERANCE) {
        return unknown(Unknown::BgpIncomplete);
    }
    if decision.state.calm.as_ref().is_none_or(|track| track.epoch != epoch) {
        forget_epoch(&mut decision.state);
    }
    let track = decision.state.calm.clone().unwrap_or_else(|| CalmTrack {
        rows_from,
        ..CalmTrack::begin(epoch, &policy.traffic)
    });
    decision.state.calm = Some(track.clone());
    decision.blocks = blocks(inputs, policy, bgp, epoch);

    let traffic = match &inputs.traffic {
        Observed::Known { value, at } => match not_current(*at, inputs.now, policy.max_reading_age) {
            Some(age) => {
                let reason = format!("the last reading {age}");
                return managed_or(inputs, bgp, unknown(Unknown::Traffic { reason }));
            }
            None => value,
        },
        Observed::Unavailable { reason } => {
            let reason = reason.clone();
            return managed_or(inputs, bgp, unknown(Unknown::Traffic { reason }));
        }
    };
    let reading = read_traffic(traffic, &track, &policy.traffic, inputs.now);
    remember_attack(decision, &reading, traffic, inputs);
    decision.settled_until = reading.settled_until;
    decision.latest = Some(reading.latest).filter(|window| *window != WindowSum::default());
    decision.state.calm = Some(reading.track.clone());
    let verdict = match reading.answer {
        TrafficAnswer::Attack => Verdict::Attack,
        // The first rows of an advertisement that still spreads come minutes later: no blindness.
        TrafficAnswer::Unknown(TrafficUnknown::NoRowsForPrefix) if inputs.now < propagated(epoch, policy) => {
            Verdict::Propagating {
                until: propagated(epoch, policy),
            }
        }
        TrafficAnswer::Unknown(because) => unknown(Unknown::Data(because)),
        TrafficAnswer::Quiet { noise } => {
            decision.noise = noise;
            let settled = reading.settled_until.unwrap_or(Timestamp::MIN);
            calm_verdict(decision, &reading.track, settled, inputs, policy)
        }
    };
    managed_or(inputs, bgp, verdict)
}

/// How old a reading made at `at` is, if it is too old or of no known age to say anything about
/// `now`; `None` when it is current. One from the future was made before our clock was set back.
fn not_current(at: Timestamp, now: Timestamp, max_age: Duration) -> Option<String> {
    if at > plus(now, FUTURE_TOLERANCE) {
        Some(format!("lies {} in the future; check the clock", human(since(at, now))))
    } else if since(now, at) > max_age {
        Some(format!("is {} old", human(since(now, at))))
    } else {
        None
    }
}

/// Since when a withdrawn prefix has drawn no traffic to Cloudflare any more, if it was not
/// advertised in between without our seeing it.
fn gone_since(state: &BgpState, policy: &Policy) -> Option<Timestamp> {
    let withdrawn_at = state
        .advertised_modified_at
        .filter(|_| state.advertised == Some(false))?;
    Some(plus(withdrawn_at, policy.traffic.propagation))
}

/// End of the time in which the epoch's announcement still spreads.
fn propagated(epoch: Epoch, policy: &Policy) -> Timestamp {
    plus(epoch.0, policy.traffic.propagation)
}

/// Automation does not touch what is not listed or cannot be controlled, but an attack on it is
/// an attack all the same.
fn managed_or(inputs: &Inputs, bgp: &BgpState, verdict: Verdict) -> Verdict {
    let ours = inputs.managed == Managed::Yes && bgp.refuses_control().is_none();
    if ours || verdict == Verdict::Attack {
        verdict
    } else {
        Verdict::NotManaged
    }
}

/// `settled_until` is this cycle's: data that is gone again (a clock set back, a dataset that lost
/// rows) proves nothing, although it was verified once.
fn calm_verdict(
    decision: &mut Decision,
    track: &CalmTrack,
    settled_until: Timestamp,
    inputs: &Inputs,
    policy: &Policy,
) -> Verdict {
    let propagated = propagated(track.epoch, policy);
    if inputs.now < propagated {
        return Verdict::Propagating { until: propagated };
    }
    if track.proven().min(since(settled_until, track.calm_since)) < decision.calm_period {
        let due = plus(plus(track.calm_since, decision.calm_period), policy.traffic.settle);
        return Verdict::Calm {
            since: track.calm_since,
            due: due.max(inputs.now),
        };
    }
    // An unread ledger could hide an open alert; calm is proven, but nothing may follow from it.
    let alerts_unknown = match &inputs.alerts {
        Observed::Unavailable { reason } => Some(reason.clone()),
        Observed::Known { at, .. } => {
            not_current(*at, inputs.now, policy.max_reading_age).map(|age| format!("the last reading {age}"))
        }
    };
    if let Some(reason) = alerts_unknown {
        return Verdict::Unknown {
            because: Unknown::Alerts { reason },
            since: inputs.now,
        };
    }
    if decision.blocks.is_empty() {
        Verdict::Withdraw
    } else {
        Verdict::Blocked {
            by: decision.blocks.clone(),
        }
    }
}

fn blocks(inputs: &Inputs, policy: &Policy, bgp: &BgpState, epoch: Epoch) -> Vec<Block> {
    let now = inputs.now;
    let mut blocks = Vec::new();
    if let Some(hold) = &inputs.hold {
        blocks.push(Block::Held {
            by: hold.actor.clone(),
            reason: hold.reason.clone(),
            until: hold.until,
            everywhere: hold.prefix.is_none(),
        });
    }
    match policy.mode {
        Mode::Act => {}
        Mode::DryRun => blocks.push(Block::DryRun),
        Mode::Paused => blocks.push(Block::ModePaused),
    }
    if let Some(why) = bgp.refuses_control() {
        blocks.push(Block::NotControllable(why));
    }
    let vetoes = inputs
        .alerts
        .value()
        .into_iter()
        .flatten()
        .filter(|alert| alert.concerns(inputs.prefix));
    for alert in vetoes {
        let until = plus(alert.since, policy.open_alert_veto);
        if now < until {
            blocks.push(Block::OpenAlert {
                event: alert.event,
                until,
                unresolved: alert.unresolved,
            });
        }
    }
    let stay_until = plus(epoch.0, policy.min_advertised);
    if now < stay_until {
        blocks.push(Block::TooSoon { until: stay_until });
    }
    match &inputs.direct_route {
        DirectRoute::AlwaysAnnounced => {}
        DirectRoute::Checked { at } => {
            if let Some(age) = not_current(*at, now, ROUTE_CHECK_AGE) {
                let reason = format!("the last good check {age}");
                blocks.push(Block::NoDirectRoute { reason });
            }
        }
        DirectRoute::NotDeclared => blocks.push(Block::NoDirectRoute {
            reason: "nobody has stated one; set autowithdraw.direct_route".into(),
        }),
        DirectRoute::NotProven { reason } => blocks.push(Block::NoDirectRoute { reason: reason.clone() }),
    }
    if let Some(until) = brakes::hourly_limit(&inputs.all_withdrawals, policy.max_withdrawals_per_hour, now) {
        blocks.push(Block::HourlyLimit { until });
    }
    if inputs.other_intent_open {
        blocks.push(Block::OneAtATime);
    }
    blocks
}

fn forget_epoch(state: &mut PrefixState) {
    state.calm = None;
    state.peak = None;
    state.systems.clear();
    state.attack_since = None;
    state.last_attack_end = None;
    state.after_blindness = false;
    state.was_ready = false;
    state.overdue_announced_at = None;
    state.dry_run_announced = false;
    state.limit_announced = false;
}

fn notice_change(decision: &mut Decision, now: &BgpState) {
    let before = decision.state.last_bgp.replace(now.clone());
    if before.as_ref() != Some(now) {
        decision.effects.push(Effect::BgpChanged {
            before,
            after: now.clone(),
        });
    }
}

fn remember_attack(
    decision: &mut Decision,
    reading: &crate::calm::TrafficReading,
    traffic: &PrefixTraffic,
    inputs: &Inputs,
) {
    let state = &mut decision.state;
    let Some(peak) = reading.peak else {
        return;
    };
    let began = reading.first_attack_end.unwrap_or(peak.ends_at);
    if state.attack_since.is_none()
        && let Some(withdrawn_at) = inputs.own_withdrawals.iter().max()
        // In the time of the data: how late we get to see the attack does not matter.
        && since(began, *withdrawn_at) <= REATTACK_WINDOW
    {
        decision.effects.push(Effect::AnnounceReattack {
            withdrawn_at: *withdrawn_at,
        });
    }
    // Rows that come late can show that it began earlier.
    state.attack_since = Some(state.attack_since.map_or(began, |known| known.min(began)));
    state.last_attack_end = state.last_attack_end.max(reading.last_attack_end);
    state.systems.extend(traffic.systems.iter().cloned());
    state.peak = Some(match state.peak {
        Some(known) => WindowSum {
            ends_at: if peak.bits > known.bits {
                peak.ends_at
            } else {
                known.ends_at
            },
            packets: known.packets.max(peak.packets),
            bits: known.bits.max(peak.bits),
            samples: known.samples.max(peak.samples),
            packet_rate: if peak.packet_rate > known.packet_rate {
                peak.packet_rate
            } else {
                known.packet_rate
            },
            bit_rate: if peak.bit_rate > known.bit_rate {
                peak.bit_rate
            } else {
                known.bit_rate
            },
        },
        None => peak,
    });
}

/// Streaks, announcements and the intent that follow from the verdict.
fn settle_memory(decision: &mut Decision, verdict: &Verdict, inputs: &Inputs, policy: &Policy) {
    let now = inputs.now;
    let state = &mut decision.state;
    let managed = inputs.managed == Managed::Yes;
    if let Verdict::Unknown { because, .. } = verdict {
        let since_when = *state.unknown_since.get_or_insert(now);
        state.unknown_cycles = state.unknown_cycles.saturating_add(1);
        if state.unknown_cycles >= brakes::BLIND_CYCLES {
            state.after_blindness = true;
        }
        if managed && !state.blind_announced && since(now, since_when) >= policy.unknown_alert_after {
            state.blind_announced = true;
            decision.effects.push(Effect::AnnounceBlind {
                because: because.explain(),
                since: since_when,
            });
        }
    } else {
        if state.blind_announced {
            decision.effects.push(Effect::AnnounceSighted {
                since: state.unknown_since.unwrap_or(now),
            });
        }
        state.unknown_since = None;
        state.unknown_cycles = 0;
        state.blind_announced = false;
    }
    if matches!(verdict, Verdict::Attack) {
        state.after_blindness = false;
    }
    if !decision
        .blocks
        .iter()
        .any(|block| matches!(block, Block::HourlyLimit { .. }))
    {
        state.limit_announced = false;
    }
    let calm_s = state.calm.as_ref().map_or(0, |track| track.proven().as_secs());
    match verdict {
        Verdict::Withdraw => {
            if let Some(track) = &state.calm {
                decision.effects.push(Effect::IntendWithdrawal {
                    epoch: track.epoch,
                    calm_s,
                });
            }
        }
        Verdict::Blocked { by } => {
            if by.contains(&Block::DryRun) && by.len() == 1 && !state.dry_run_announced {
                state.dry_run_announced = true;
                decision.effects.push(Effect::AnnounceWouldWithdraw { calm_s });
            }
            let limit = by.iter().find_map(|block| match block {
                Block::HourlyLimit { until } => Some(*until),
                _ => None,
            });
            if let Some(until) = limit
                && !state.limit_announced
            {
                state.limit_announced = true;
                decision.effects.push(Effect::AnnounceLimit { until });
            }
        }
        _ => {}
    }
    state.was_ready = matches!(verdict, Verdict::Withdraw | Verdict::Blocked { .. });
    announce_overdue(decision, verdict, inputs, policy);
}

fn announce_overdue(decision: &mut Decision, verdict: &Verdict, inputs: &Inputs, policy: &Policy) {
    let now = inputs.now;
    let state = &mut decision.state;
    let Some(epoch) = state.calm.as_ref().map(|track| track.epoch) else {
        return;
    };
    let due = match state.overdue_announced_at {
        Some(last) => since(now, last) >= OVERDUE_REPEAT,
        None => since(now, epoch.0) >= policy.overdue_after,
    };
    if due && inputs.managed == Managed::Yes && !matches!(verdict, Verdict::Direct) {
        state.overdue_announced_at = Some(now);
        let because = decision.next.because.clone();
        decision.effects.push(Effect::AnnounceOverdue {
            since: epoch.0,
            because,
        });
    }
}

/// Why automation leaves the prefix alone: it is not listed, or Cloudflare would refuse.
fn not_managed_because(inputs: &Inputs) -> String {
    let refusal = inputs.bgp.value().and_then(BgpState::refuses_control);
    match (&inputs.managed, refusal) {
        (Managed::NotListed, _) => "automation does not manage it: it is not listed".into(),
        (Managed::Yes, Some(why)) => format!("automation does not manage it: {}", why.explain()),
        (Managed::Yes, None) => "automation does not manage it".into(),
    }
}

/// Why the verdict is what it is, with everything that holds the prefix.
fn reason_for(verdict: &Verdict, decision: &Decision, not_managed: &str) -> String {
    let with_blocks = |reason: String| {
        let blocks = decision.blocks.iter().map(Block::explain);
        std::iter::once(reason).chain(blocks).collect::<Vec<_>>().join("; ")
    };
    match verdict {
        Verdict::Direct => "it is not advertised".into(),
        Verdict::NotManaged => not_managed.to_owned(),
        Verdict::Unknown { because, .. } => because.explain(),
        Verdict::Propagating { .. } => "the announcement still spreads".into(),
        Verdict::Attack => "the attack goes on".into(),
        Verdict::Calm { since: calm_since, .. } => with_blocks(format!(
            "calm since {}, {} of {} proven",
            for_people(*calm_since),
            human(decision.state.calm.as_ref().map_or(Duration::ZERO, CalmTrack::proven)),
            human(decision.calm_period),
        )),
        Verdict::Blocked { by } => by.iter().map(Block::explain).collect::<Vec<_>>().join("; "),
        Verdict::Withdraw => "calm is proven".into(),
    }
}

fn next_action(verdict: &Verdict, decision: &Decision, not_managed: &str) -> NextAction {
    let blocks_until = decision.blocks.iter().filter_map(Block::until).max();
    let open_ended = decision.blocks.iter().any(|block| block.until().is_none());
    let (action, not_before): (&str, Option<Timestamp>) = match verdict {
        Verdict::Direct | Verdict::NotManaged => ("nothing", None),
        Verdict::Unknown { .. } | Verdict::Attack => ("hold the advertisement", None),
        Verdict::Propagating { until } => ("start the calm clock", Some(*until)),
        Verdict::Calm { .. } | Verdict::Blocked { .. } if open_ended => ("hold the advertisement", None),
        Verdict::Calm { due, .. } => ("withdraw", Some(blocks_until.map_or(*due, |until| until.max(*due)))),
        Verdict::Blocked { .. } => ("withdraw", blocks_until),
        Verdict::Withdraw => ("withdraw", Some(decision.decided_at)),
    };
    NextAction {
        action: action.to_owned(),
        not_before,
        because: reason_for(verdict, decision, not_managed),
    }
}

/// Applies the mass-calm brake (rule 8) to the decisions of one cycle: calm of the named prefixes
/// starts anew at the settled end of the data, and whatever they intended is cancelled.
pub fn apply_mass_calm_brake(decisions: &mut [(Prefix, bool, Decision)]) -> Vec<Prefix> {
    let turns: Vec<brakes::CalmTurn> = decisions
        .iter()
        .map(|(prefix, was_ready, decision)| brakes::CalmTurn {
            prefix: *prefix,
            turned_ready: decision.state.was_ready && !was_ready,
            after_blindness: decision.state.after_blindness,
        })
        .collect();
    let restarted = brakes::mass_calm_restarts(&turns);
    for (prefix, _, decision) in decisions.iter_mut() {
        if !restarted.contains(prefix) {
            continue;
        }
        decision.effects.retain(|effect| {
            !matches!(
                effect,
                Effect::IntendWithdrawal { .. } | Effect::AnnounceWouldWithdraw { .. } | Effect::AnnounceLimit { .. }
            )
        });
        decision.effects.push(Effect::CancelIntent {
            because: "mass_calm_after_blindness".into(),
        });
        let state = &mut decision.state;
        state.after_blindness = false;
        state.was_ready = false;
        state.dry_run_announced = false;
        state.limit_announced = false;
        if let Some(track) = &mut state.calm {
            track.calm_since = track.calm_since.max(track.verified_until);
            decision.verdict = Verdict::Calm {
                since: track.calm_since,
                // The data lags behind our clock now as it will then.
                due: plus(decision.decided_at, decision.calm_period),
            };
        }
        state.last_verdict = decision.verdict.key();
        let mut next = next_action(&decision.verdict, decision, "");
        next.because = format!(
            "several prefixes turned calm at once after analytics were blind, so calm starts anew; {}",
            next.because
        );
        decision.next = next;
    }
    restarted
}
