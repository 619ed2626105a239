//! A daemon: lease, list calls, one batched query, decisions, one commit, then a step of every open
//! intent. Between any two of these it can crash, be stopped, or meet somebody else's transaction.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use domain::bgp::BgpState;
use domain::brakes;
use domain::calm::CalmTrack;
use domain::decision::{Decision, DirectRoute, Inputs, Managed, Mode, Policy, apply_mass_calm_brake, decide};
use domain::evidence::{Observed, PrefixTraffic, TrafficWindow, assign};
use domain::hold;
use domain::ids::IntentId;
use domain::intent::{Act, Watch};
use domain::prefix::Prefix;
use jiff::Timestamp;

use super::acting::Acting;
use super::fault::Kind;
use super::invariants::Proof;
use super::journal::{Lease, Ledger, Reply, Tx, heard};
use super::stage::Stage;

/// Pause between two turns of the loop; the lease is bumped in each.
pub const TURN_S: i64 = 2;

/// How long the analytics query may take.
const TRAFFIC_WITHIN_S: i64 = 20;

/// Where a process stands.
#[derive(Debug, Clone)]
pub enum Phase {
    Turn,
    Listed(i64),
    Asked(Box<Asked>),
    Decided(Box<Decided>),
    Steps,
    Acting(Box<Acting>),
}

#[derive(Debug, Clone)]
pub struct Asked {
    window: Observed<TrafficWindow>,
    asked_at: Timestamp,
    asked_t: i64,
}

#[derive(Debug, Clone)]
pub struct Decided {
    decisions: Vec<(Prefix, i64, Decision)>,
    restarted: Vec<Prefix>,
    asked_at: Timestamp,
    proof: Proof,
}

/// What a daemon was started with.
#[derive(Debug, Clone)]
pub struct Config {
    pub policy: Policy,
    pub unlisted: Option<usize>,
}

/// A process.
#[derive(Debug, Clone)]
pub struct Proc {
    /// Unique per start.
    pub name: String,
    /// Which of the daemons; people's processes have none.
    pub slot: Option<usize>,
    /// The intent that a person's process carries out.
    pub own: Option<IntentId>,
    pub wake: i64,
    pub wait_until: i64,
    pub phase: Phase,
    pub bumped_at: Option<i64>,
    pub watch: Watch<Lease>,
    pub next_cycle: i64,
    pub config: Config,
    pub inventory: Vec<Observed<BgpState>>,
    pub due: VecDeque<IntentId>,
    pub leaves_at: i64,
    pub is_dead: bool,
}

impl Proc {
    pub fn new(name: String, slot: Option<usize>, config: Config, prefixes: usize, t: i64) -> Self {
        Self {
            name,
            slot,
            own: None,
            wake: t,
            wait_until: t,
            phase: Phase::Turn,
            bumped_at: None,
            watch: Watch::new(),
            next_cycle: t,
            config,
            inventory: vec![Observed::unavailable("not asked yet"); prefixes],
            due: VecDeque::new(),
            leaves_at: i64::MAX,
            is_dead: false,
        }
    }

    /// How long ago its loop bumped the lease.
    pub fn since_bump(&self, t: i64) -> Duration {
        self.bumped_at
            .map_or(Duration::MAX, |at| Duration::from_secs((t - at) as u64))
    }

    /// Waits `seconds` for an answer.
    pub fn waits(&mut self, t: i64, seconds: i64) {
        self.wait_until = t + seconds;
        self.wake = self.wait_until.min(t + TURN_S);
    }
}

impl Stage {
    pub fn config(&self, t: i64) -> Config {
        let mut policy = self.schedule.policy.clone();
        if self.edge.on(Kind::ConfigMode, t).is_some() {
            policy.mode = Mode::DryRun;
        }
        if self.edge.on(Kind::ConfigPaused, t).is_some() {
            policy.mode = Mode::Paused;
        }
        if let Some(item) = self.edge.on(Kind::ConfigCalm, t) {
            policy.calm_period = Duration::from_secs(item.n as u64);
        }
        if let Some(item) = self.edge.on(Kind::ConfigThresholds, t) {
            policy.traffic.min_packets.0 = item.n as u64;
        }
        Config {
            policy,
            unlisted: self.edge.on(Kind::ConfigUnlisted, t).map(|item| item.prefix),
        }
    }

    /// Lets a process go on.
    pub fn go_on(&mut self, proc: &mut Proc) {
        if !matches!(proc.phase, Phase::Turn) && proc.wait_until > self.t {
            if proc.slot.is_some() {
                self.bump(proc);
            }
            proc.wake = proc.wait_until.min(self.t + TURN_S);
            return;
        }
        match std::mem::replace(&mut proc.phase, Phase::Turn) {
            Phase::Turn => self.turn(proc),
            Phase::Listed(asked_t) => self.listed(proc, asked_t),
            Phase::Asked(asked) => self.asked(proc, *asked),
            Phase::Decided(decided) => self.decided(proc, *decided),
            Phase::Steps => self.next_step(proc),
            Phase::Acting(acting) => self.act(proc, *acting),
        }
    }

    /// Bumps the lease; whether this process is the actor, or `None` when nobody can tell.
    fn bump(&mut self, proc: &mut Proc) -> Option<bool> {
        let monotonic = Duration::from_secs((self.t + 1_000_000) as u64);
        let dead = proc.watch.dead(monotonic).cloned();
        let before = self.t;
        match self.tx(Tx::Progress {
            me: proc.name.clone(),
            dead,
        })? {
            Reply::Lease(None) => {
                proc.bumped_at = Some(before);
                proc.watch.forget();
                Some(true)
            }
            Reply::Lease(Some(lease)) => {
                proc.bumped_at = None;
                proc.watch.saw(lease, monotonic);
                Some(false)
            }
            _ => None,
        }
    }

    fn turn(&mut self, proc: &mut Proc) {
        if proc.own.is_some() {
            self.next_step(proc);
            return;
        }
        proc.wake = self.t + self.schedule.turn_s;
        let standing = self.bump(proc);
        self.reached(proc, "turn");
        if proc.is_dead || standing != Some(true) {
            return;
        }
        if self.t >= proc.next_cycle {
            proc.next_cycle = self.t + self.schedule.cycle_s;
            let slow = self.edge.on(Kind::ListTimeout, self.t).map_or(0, |_| 5);
            let wait = self.latency() + slow;
            proc.phase = Phase::Listed(self.t);
            proc.waits(self.t, wait);
        } else {
            self.begin_steps(proc);
        }
    }

    fn listed(&mut self, proc: &mut Proc, asked_t: i64) {
        let asked_at = self.our(asked_t);
        for index in 0..self.schedule.prefixes.len() {
            let fails = |kind| self.edge.on(kind, asked_t).is_some();
            let left_out = self.edge.on_for(Kind::ListHalf, index, asked_t).is_some();
            proc.inventory[index] = if fails(Kind::ListTimeout) {
                Observed::unavailable("the list timed out")
            } else if fails(Kind::ListServerError) {
                Observed::unavailable("HTTP 503")
            } else if left_out {
                Observed::unavailable("the list does not name it")
            } else {
                Observed::known(self.edge.read(index, asked_t), asked_at)
            };
        }
        self.reached(proc, "listed");
        if proc.is_dead {
            return;
        }
        let Some(ledger) = self.ledger(proc) else {
            return self.back_to_turns(proc);
        };
        let (asked_t, asked_at) = (self.t, self.now());
        let advertised =
            |reading: &Observed<BgpState>| reading.value().is_none_or(|state| state.advertised != Some(false));
        let from = (0..proc.inventory.len())
            .filter_map(|index| self.read_from(proc, index, &ledger, asked_at))
            .min();
        let bucket = proc.config.policy.traffic.bucket();
        let mut wait = self.latency();
        let window = match from {
            None if !proc.inventory.iter().any(advertised) => Observed::unavailable("nothing is advertised"),
            None => Observed::unavailable("nothing to ask about"),
            Some(from) => {
                let to = domain::time::ceil_to(asked_at, bucket);
                wait = self.edge.on(Kind::AnalyticsSlow, asked_t).map_or(wait, |item| item.n);
                match self.edge.answer(from.min(asked_at), to, bucket, asked_t) {
                    _ if wait > TRAFFIC_WITHIN_S => {
                        wait = TRAFFIC_WITHIN_S;
                        Observed::unavailable("no answer in time")
                    }
                    Ok(window) => Observed::known(window, asked_at),
                    Err(because) => {
                        if because == "timed out" {
                            wait = TRAFFIC_WITHIN_S;
                        }
                        Observed::unavailable(because)
                    }
                }
            }
        };
        proc.phase = Phase::Asked(Box::new(Asked {
            window,
            asked_at,
            asked_t,
        }));
        proc.waits(self.t, wait);
    }

    fn ledger(&mut self, proc: &Proc) -> Option<Ledger> {
        let prefixes = self.schedule.prefixes.iter().map(|(prefix, _)| *prefix).collect();
        let shortest = proc.config.policy.min_advertised;
        match self.tx(Tx::Ledger { prefixes, shortest })? {
            Reply::Ledger(ledger) => Some(*ledger),
            _ => None,
        }
    }

    fn read_from(&self, proc: &Proc, index: usize, ledger: &Ledger, now: Timestamp) -> Option<Timestamp> {
        let policy = &proc.config.policy;
        let epoch = proc.inventory[index].value().and_then(BgpState::epoch)?;
        let track = ledger.states[index].2.calm.clone().filter(|track| track.epoch == epoch);
        let track = track.unwrap_or_else(|| CalmTrack::begin(epoch, &policy.traffic));
        let own = own(ledger, ledger.states[index].0);
        let period = brakes::calm_period(policy.calm_period, &own, now);
        Some(track.read_from(&policy.traffic, period, now).min(now))
    }

    fn asked(&mut self, proc: &mut Proc, asked: Asked) {
        self.reached(proc, "asked");
        if proc.is_dead {
            return;
        }
        // Asked once more: what came in while the analytics answered counts in this cycle.
        let Some(ledger) = self.ledger(proc) else {
            return self.back_to_turns(proc);
        };
        let now = self.now();
        let advertised: Vec<Prefix> = (0..proc.inventory.len())
            .filter(|index| {
                proc.inventory[*index]
                    .value()
                    .is_none_or(|state| state.advertised != Some(false))
            })
            .map(|index| self.schedule.prefixes[index].0)
            .collect();
        let shares = asked
            .window
            .clone()
            .map(|window| assign(&window, &advertised, &BTreeSet::new()));
        let beats = self
            .edge
            .on(Kind::ReceiverSilent, self.t)
            .is_none_or(|item| self.t - item.from <= 600);
        let mut decided = Vec::new();
        for (index, (prefix, _, previous)) in ledger.states.iter().enumerate() {
            let share: Observed<PrefixTraffic> = match &shares {
                Observed::Known { value, at } => value.get(prefix).map_or_else(
                    || Observed::unavailable("not asked for"),
                    |share| Observed::known(share.clone(), *at),
                ),
                Observed::Unavailable { reason } => Observed::unavailable(reason.clone()),
            };
            let inputs = Inputs {
                prefix: *prefix,
                managed: if proc.config.unlisted == Some(index) {
                    Managed::NotListed
                } else {
                    Managed::Yes
                },
                bgp: proc.inventory[index].clone(),
                traffic: share,
                alerts: heard(ledger.alerts.clone(), beats, now),
                hold: hold::in_force(&ledger.holds, *prefix, now).cloned(),
                direct_route: match self.edge.on(Kind::RouteFails, self.t) {
                    Some(_) => DirectRoute::NotProven {
                        reason: "it did not answer".into(),
                    },
                    None => DirectRoute::AlwaysAnnounced,
                },
                own_withdrawals: own(&ledger, *prefix),
                all_withdrawals: ledger.withdrawals.iter().map(|(_, at)| *at).collect(),
                other_intent_open: ledger.under_way.iter().any(|other| other != prefix),
                now,
            };
            decided.push((
                *prefix,
                previous.was_ready,
                decide(previous, &inputs, &proc.config.policy),
            ));
        }
        let restarted = apply_mass_calm_brake(&mut decided);
        let proof = self.proof(proc, &asked, &decided, beats);
        let versions = ledger.states.iter().map(|(_, version, _)| *version);
        let decisions = decided
            .into_iter()
            .zip(versions)
            .map(|((prefix, _, decision), version)| (prefix, version, decision));
        proc.phase = Phase::Decided(Box::new(Decided {
            decisions: decisions.collect(),
            restarted,
            asked_at: asked.asked_at,
            proof,
        }));
        let wait = self.coin();
        proc.waits(self.t, wait);
        self.reached(proc, "decided");
    }

    fn proof(&self, proc: &Proc, asked: &Asked, decided: &[(Prefix, bool, Decision)], beats: bool) -> Proof {
        let t = asked.asked_t;
        let policy = &proc.config.policy;
        let stale = policy.traffic.settle + policy.traffic.stale_after();
        let on = |kind| self.edge.on(kind, t).is_some();
        let unknown = match asked.window.value() {
            None => Some("the traffic was not read"),
            Some(_) if on(Kind::AnalyticsEmpty) => Some("the answer was empty"),
            Some(_) if on(Kind::AnalyticsTruncated) => Some("the answer was truncated"),
            Some(_) if on(Kind::AnalyticsCoarse) => Some("sampling was too coarse"),
            Some(_) if on(Kind::AnalyticsFuture) => Some("rows lay in the future"),
            Some(window)
                if window
                    .newest_row
                    .is_none_or(|newest| asked.asked_at > domain::time::plus(newest, stale)) =>
            {
                Some("the data was stale")
            }
            Some(_) if !beats => Some("alerts were unknown"),
            Some(_) => None,
        };
        Proof {
            asked_t: t,
            unknown,
            policy: policy.clone(),
            unlisted: proc.config.unlisted,
            decisions: decided.iter().map(|(_, _, decision)| decision.clone()).collect(),
            readings: proc.inventory.iter().map(|reading| reading.value().cloned()).collect(),
        }
    }

    fn decided(&mut self, proc: &mut Proc, decided: Decided) {
        let tx = Tx::Commit {
            me: proc.name.clone(),
            decisions: decided.decisions.clone(),
            asked_at: decided.asked_at,
            restarted: decided.restarted.clone(),
        };
        let reply = self.tx_told(tx, Some(&decided.proof));
        if let Some(Reply::Committed(Some(evidence))) = reply {
            self.tell_cycle(&decided.decisions);
            self.check.committed(self.t, evidence, decided.proof);
        }
        self.reached(proc, "committed");
        if !proc.is_dead {
            self.begin_steps(proc);
        }
    }

    fn begin_steps(&mut self, proc: &mut Proc) {
        let Some(Reply::Open(mut open)) = self.tx(Tx::Open) else {
            return self.back_to_turns(proc);
        };
        let now = self.now();
        open.retain(|entry| entry.not_before.is_none_or(|at| at <= now));
        open.sort_by_key(|entry| (entry.act != Act::Advertise, entry.id));
        proc.due = open.iter().map(|entry| entry.id).collect();
        self.next_step(proc);
    }

    pub fn back_to_turns(&mut self, proc: &mut Proc) {
        proc.phase = Phase::Turn;
        proc.due.clear();
        proc.wake = self.t
            + if proc.own.is_some() {
                TURN_S
            } else {
                self.schedule.turn_s
            };
        if proc.own.is_some() && self.t >= proc.leaves_at {
            proc.is_dead = true;
        }
    }
}

fn own(ledger: &Ledger, prefix: Prefix) -> Vec<Timestamp> {
    let of = ledger.withdrawals.iter().filter(|(which, _)| *which == prefix);
    of.map(|(_, at)| *at).collect()
}
