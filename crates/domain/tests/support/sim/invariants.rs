//! What must hold in every schedule, each by its name, judged by what truly happened: the edge's
//! traffic and changes, what people asked for, and the messages that people got. The table in
//! `docs/82-decision-simulation.md` is written from here.

mod in_time;

use std::collections::BTreeMap;

use domain::alert::OpenAlert;
use domain::bgp::BgpState;
use domain::decision::{Decision, Mode, Policy};
use domain::ids::{EvidenceId, HoldId, IntentId};
use domain::intent::{Act, Entry, IntentState};
use domain::prefix::Prefix;
use domain::time::{plus, since};
use jiff::Timestamp;

use super::fault::Kind;
use super::journal::Told;
use super::process::Proc;
use super::schedule::{Schedule, clock};
use super::stage::Stage;
use crate::support::{dur, secs};

/// Name and meaning of every invariant.
pub const INVARIANTS: [(&str, &str); 18] = [
    (
        "not_under_attack",
        "no withdrawal while truly dropped traffic was over the thresholds in any window that ended within the calm period before the settled end of the data, given the stated ingest delay; nor while a readable newer row shows an excess",
    ),
    (
        "not_on_unknown",
        "no withdrawal rests on a cycle whose traffic or alerts were not known",
    ),
    (
        "not_against_a_hold",
        "no withdrawal is marked while a hold or pause is in force",
    ),
    (
        "hold_end_announced",
        "after a hold that ran out nothing follows before its end was announced for 10 min, however long nobody was there to announce it",
    ),
    (
        "not_against_an_alert",
        "no withdrawal while an attack alert is open and within the veto time",
    ),
    (
        "person_prevails",
        "what a person advertises is not withdrawn by automation before the shortest advertisement is over",
    ),
    (
        "mode_and_list",
        "nothing is done by a daemon that runs dry, is paused, or does not list the prefix; nothing to a locked prefix",
    ),
    (
        "one_actor",
        "whoever sends an automatic withdrawal holds the lease, on evidence of at most 30 s and a call of at most 15 s",
    ),
    (
        "brakes",
        "no more automatic withdrawals in an hour than allowed, one at a time, none before the shortest advertisement is over",
    ),
    (
        "never_repeated_blindly",
        "a withdrawal is sent again only after Cloudflare said no to it",
    ),
    (
        "recorded_once",
        "every withdrawal that a call of ours made is recorded exactly once, or closed as unresolved with a notice",
    ),
    ("record_is_true", "what is recorded as withdrawn was withdrawn"),
    (
        "epoch_kept",
        "a withdrawal ends the advertisement it was decided on, not a newer one",
    ),
    (
        "advertise_not_blocked",
        "what a person advertises is sent within two minutes whatever holds, pauses, modes, brakes and withdrawals under way say",
    ),
    (
        "withdrawn_in_time",
        "with everything healthy a withdrawal follows within calm period + look-back + settle + two cycles",
    ),
    (
        "overdue_told",
        "an advertisement of more than two hours without a withdrawal is announced as overdue, again every day",
    ),
    ("blind_told", "blindness of more than ten minutes is announced"),
    (
        "change_told",
        "every change of what is read about an advertisement is noticed in the cycle that reads it",
    ),
];

/// What a run met, so that it cannot pass by doing nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Met {
    pub seconds: i64,
    /// Minutes in which an excess was dropped for an advertised prefix.
    pub attack_minutes: i64,
    pub cycles: u64,
    pub unknown: u64,
    pub withdrawals: u64,
    pub by_people: u64,
    pub records: u64,
    pub unresolved: u64,
    pub interruptions: u64,
    pub overdue: u64,
    pub blind: u64,
}

impl Met {
    pub fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.attack_minutes += other.attack_minutes;
        self.cycles += other.cycles;
        self.unknown += other.unknown;
        self.withdrawals += other.withdrawals;
        self.by_people += other.by_people;
        self.records += other.records;
        self.unresolved += other.unresolved;
        self.interruptions += other.interruptions;
        self.overdue += other.overdue;
        self.blind += other.blind;
    }
}

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub name: &'static str,
    pub t: i64,
    pub words: String,
}

/// What a commit rested on.
#[derive(Debug, Clone)]
pub struct Proof {
    pub asked_t: i64,
    /// Why the world says that it proves nothing.
    pub unknown: Option<&'static str>,
    pub policy: Policy,
    pub unlisted: Option<usize>,
    pub decisions: Vec<Decision>,
    pub readings: Vec<Option<BgpState>>,
}

/// A call that was made.
#[derive(Debug, Clone, Copy)]
struct Sent {
    id: IntentId,
    t: i64,
    automatic: bool,
    act: Act,
    /// Cloudflare said no.
    refused: bool,
}

/// What a person asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    t: i64,
    id: IntentId,
    prefix: usize,
    act: Act,
}

#[derive(Debug, Clone)]
struct Held {
    id: HoldId,
    prefix: Option<Prefix>,
    until: Option<Timestamp>,
    released: bool,
}

/// The judge.
#[derive(Debug)]
pub struct Invariants {
    pub violation: Option<Violation>,
    pub met: Met,
    proofs: BTreeMap<i64, Proof>,
    sent: Vec<Sent>,
    /// Automatic withdrawals that were marked: they count as made until somebody knows better.
    marked: Vec<(usize, Timestamp)>,
    asked: Vec<Asked>,
    holds: Vec<Held>,
    alerts: Vec<(OpenAlert, bool)>,
    told: Vec<(i64, Timestamp, Told)>,
    readings: Vec<Option<BgpState>>,
    blind_since: Vec<Option<i64>>,
    last_commit: i64,
    /// A wrong clock of ours: what depends on it is not judged.
    clock_steps: bool,
    names: Vec<Prefix>,
    commit_now: Timestamp,
}

impl Invariants {
    pub fn new(schedule: &Schedule) -> Self {
        Self {
            violation: None,
            met: Met::default(),
            proofs: BTreeMap::new(),
            sent: vec![],
            marked: vec![],
            asked: vec![],
            holds: vec![],
            alerts: vec![],
            told: vec![],
            readings: vec![None; schedule.prefixes.len()],
            blind_since: vec![None; schedule.prefixes.len()],
            last_commit: 0,
            clock_steps: schedule.has(Kind::ClockStep),
            names: schedule.prefixes.iter().map(|(prefix, _)| *prefix).collect(),
            commit_now: Timestamp::UNIX_EPOCH,
        }
    }

    fn broken(&mut self, name: &'static str, t: i64, words: impl Into<String>) {
        assert!(
            INVARIANTS.iter().any(|known| known.0 == name),
            "{name} is not in the table"
        );
        if self.violation.is_none() {
            self.violation = Some(Violation {
                name,
                t,
                words: words.into(),
            });
        }
    }

    pub fn held(&mut self, id: HoldId, prefix: Option<Prefix>, until: Option<Timestamp>) {
        self.holds.push(Held {
            id,
            prefix,
            until,
            released: false,
        });
    }

    pub fn released(&mut self, prefix: Option<Prefix>, now: Timestamp) {
        for hold in &mut self.holds {
            if hold.prefix == prefix && hold.until.is_none_or(|until| until > now) {
                hold.released = true;
            }
        }
    }

    pub fn alerted(&mut self, alert: &OpenAlert, ended_at: Option<Timestamp>) {
        match self.alerts.iter_mut().find(|(known, _)| known.event == alert.event) {
            Some(row) => row.1 |= ended_at.is_some_and(|ended| ended >= row.0.since),
            None => self.alerts.push((alert.clone(), false)),
        }
    }

    pub fn asked(&mut self, t: i64, id: IntentId, prefix: usize, act: Act) {
        self.met.by_people += 1;
        self.asked.push(Asked { t, id, prefix, act });
    }

    pub fn answered_no(&mut self, id: IntentId) {
        if let Some(sent) = self.sent.iter_mut().rfind(|sent| sent.id == id) {
            sent.refused = true;
        }
    }

    pub fn told(&mut self, t: i64, now: Timestamp, told: Told) {
        match &told {
            Told::Overdue(..) => self.met.overdue += 1,
            Told::Blind(_) => self.met.blind += 1,
            Told::Unresolved(_) => self.met.unresolved += 1,
            _ => {}
        }
        self.commit_now = now;
        self.told.push((t, now, told));
    }

    /// A cycle was committed: what it had to tell was told in it.
    pub fn committed(&mut self, t: i64, evidence: EvidenceId, proof: Proof) {
        self.met.cycles += 1;
        self.met.unknown += u64::from(proof.unknown.is_some());
        for index in 0..self.names.len() {
            let prefix = self.names[index];
            let Some(reading) = &proof.readings[index] else {
                continue;
            };
            let before = self.readings[index].replace(reading.clone());
            if before.as_ref().is_some_and(|before| before != reading) && !self.clock_steps {
                let is_it = |told: &Told| matches!(told, Told::Changed(of, after) if *of == prefix && after == reading);
                if !self.told.iter().rev().any(|(when, _, told)| *when == t && is_it(told)) {
                    self.broken(
                        "change_told",
                        t,
                        format!("{prefix} changed from {before:?} to {reading:?}"),
                    );
                }
            }
        }
        if !self.clock_steps {
            self.overdue(t, &proof);
            self.blind(t, &proof);
        }
        self.last_commit = t;
        self.proofs.insert(evidence.0, proof);
        while self.proofs.len() > 40 {
            self.proofs.pop_first();
        }
    }

    fn overdue(&mut self, t: i64, proof: &Proof) {
        for (index, decision) in proof.decisions.iter().enumerate() {
            let Some(epoch) = proof.readings[index].as_ref().and_then(BgpState::epoch) else {
                continue;
            };
            let now = decision.decided_at;
            if proof.unlisted == Some(index) || since(now, epoch.0) < proof.policy.overdue_after {
                continue;
            }
            let prefix = self.names[index];
            let lately = |at: Timestamp| since(now, at) <= domain::decision::OVERDUE_REPEAT + dur(300);
            let is_it = |told: &(i64, Timestamp, Told)| {
                matches!(&told.2, Told::Overdue(of, since, _) if *of == prefix && *since == epoch.0) && lately(told.1)
            };
            if !self.told.iter().any(is_it) {
                self.broken("overdue_told", t, format!("{prefix} is advertised since {}", epoch.0));
            }
        }
    }

    fn blind(&mut self, t: i64, proof: &Proof) {
        let unread = proof
            .unknown
            .is_some_and(|why| why == "the traffic was not read" || why == "the answer was empty");
        for index in 0..self.names.len() {
            let blind = match &proof.readings[index] {
                None => true,
                Some(state) => state.epoch().is_some() && state.refuses_control().is_none() && unread,
            };
            if !blind || proof.unlisted == Some(index) || t - self.last_commit > 300 {
                self.blind_since[index] = blind.then_some(t);
                continue;
            }
            let from = *self.blind_since[index].get_or_insert(t);
            let prefix = self.names[index];
            let limit = proof.policy.unknown_alert_after.as_secs() as i64 + 180;
            // What is shown to be an attack in spite of all is no blindness.
            let is_attack = proof.decisions[index].verdict == domain::decision::Verdict::Attack;
            if is_attack {
                self.blind_since[index] = None;
            } else if t - from > limit {
                let announced = self.told.iter().any(|(_, _, told)| *told == Told::Blind(prefix));
                let lately = proof.decisions[index].state.blind_announced;
                if !announced || !lately {
                    self.broken("blind_told", t, format!("{prefix} is blind since {}", clock(from)));
                }
            }
        }
    }
}

impl Stage {
    /// An automatic withdrawal, or a call of a person, was marked as being sent.
    pub fn marked(&mut self, entry: &Entry, seen: &BgpState, policy: &Policy, evidence: Option<EvidenceId>) {
        let later = |asked: &&Asked| {
            asked.act == Act::Advertise && asked.id > entry.id && self.check.names[asked.prefix] == entry.prefix
        };
        if let Some(asked) = self.check.asked.iter().find(later).copied()
            && entry.act == Act::Withdraw
        {
            let words = format!("intent {} is marked after intent {} of a person", entry.id, asked.id);
            self.check.broken("person_prevails", self.t, words);
        }
        if !entry.automatic {
            return;
        }
        let (t, now, prefix) = (self.t, self.now(), entry.prefix);
        let index = self.index_of(prefix);
        if seen.epoch() != entry.epoch {
            let words = format!("{prefix}: decided on {:?}, read {:?}", entry.epoch, seen.epoch());
            self.check.broken("epoch_kept", t, words);
        }
        self.judge_holds(prefix);
        let veto = self.limits.open_alert_veto;
        let vetoes = |(alert, ended): &&(OpenAlert, bool)| {
            !ended && alert.concerns(prefix) && now < plus(alert.since, veto) && alert.since <= now
        };
        if let Some((alert, _)) = self.check.alerts.iter().find(vetoes).cloned() {
            self.check
                .broken("not_against_an_alert", t, format!("{prefix}: {alert:?}"));
        }
        self.judge_people(index, policy);
        if policy.mode != Mode::Act {
            self.check.broken(
                "mode_and_list",
                t,
                format!("{prefix}: the mode is {}", policy.mode.as_str()),
            );
        }
        let locked = |at: i64| self.edge.on_for(Kind::Locked, index, at).is_some();
        if locked(t) && locked(t - 40) {
            self.check.broken("mode_and_list", t, format!("{prefix} is locked"));
        }
        let Some(proof) = evidence.and_then(|id| self.check.proofs.get(&id.0)).cloned() else {
            return self.check.broken("not_on_unknown", t, format!("{prefix}: no evidence"));
        };
        if let Some(why) = proof.unknown {
            self.check.broken("not_on_unknown", t, format!("{prefix}: {why}"));
        }
        if proof.unlisted == Some(index) {
            self.check.broken("mode_and_list", t, format!("{prefix} is not listed"));
        }
        self.judge_attack(index, &proof);
        self.judge_brakes(index, entry, policy);
        self.check.marked.push((index, now));
    }

    fn judge_holds(&mut self, prefix: Prefix) {
        let (t, now) = (self.t, self.now());
        let notice = self.limits.hold_end_notice;
        for hold in self.check.holds.clone() {
            let covers = hold.prefix.is_none_or(|held| held.overlaps(prefix));
            if !covers || hold.released {
                continue;
            }
            let Some(until) = hold.until else {
                return self
                    .check
                    .broken("not_against_a_hold", t, format!("{prefix}: {hold:?}"));
            };
            if now < until {
                return self
                    .check
                    .broken("not_against_a_hold", t, format!("{prefix}: {hold:?}"));
            }
            let is_it = |told: &&(i64, Timestamp, Told)| told.2 == Told::HoldEnding(hold.id);
            let announced = self.check.told.iter().find(is_it).map(|told| told.1);
            let waited = announced.is_some_and(|at| since(now, at) >= notice);
            if !waited && !self.check.clock_steps {
                let words = format!("{prefix}: hold until {until}, its end announced at {announced:?}");
                return self.check.broken("hold_end_announced", t, words);
            }
        }
    }

    fn judge_people(&mut self, index: usize, policy: &Policy) {
        let now = self.now();
        for asked in self.check.asked.clone() {
            if asked.prefix != index || asked.act != Act::Advertise {
                continue;
            }
            let Some(entry) = self.journal.entry(asked.id) else {
                continue;
            };
            let kept = entry.state.is_open()
                || (entry.state == IntentState::Done
                    && entry
                        .closed_at
                        .is_some_and(|closed| closed <= now && since(now, closed) < policy.min_advertised));
            if kept && !self.check.clock_steps {
                let words = format!("intent {} of a person: {:?}", asked.id, entry.state);
                return self.check.broken("person_prevails", self.t, words);
            }
        }
    }

    fn judge_attack(&mut self, index: usize, proof: &Proof) {
        let decision = &proof.decisions[index];
        let (Some(settled), Some(track)) = (decision.settled_until, &decision.state.calm) else {
            return self.check.broken("not_on_unknown", self.t, "no settled data");
        };
        let bucket = 60;
        let window = proof.policy.traffic.lookback.as_secs() as i64;
        let window = (window + bucket - 1) / bucket * bucket;
        let epoch = secs(track.epoch.0);
        let (settled, now) = (secs(settled), secs(decision.decided_at));
        let period = decision.calm_period.as_secs() as i64;
        let mut end = now.div_euclid(bucket) * bucket;
        while end > settled - period {
            // Rows that nobody could read yet count only where the data was called complete.
            let readable = if end <= settled { i64::MAX } else { proof.asked_t };
            let lagging = self.edge.on(Kind::AnalyticsFrozen, proof.asked_t).is_some()
                || self.edge.on(Kind::AnalyticsOldAnswer, proof.asked_t).is_some();
            let min = proof.policy.traffic.min_packets.0;
            if (end <= settled || !lagging) && self.edge.was_attack(index, (epoch, end, window), min, readable) {
                let name = self.check.names[index];
                let words = format!(
                    "{name}: the window that ended at {} was an attack, data settled until {}, calm period {period} s, epoch {}",
                    clock(end),
                    clock(settled),
                    clock(epoch.max(0)),
                );
                return self.check.broken("not_under_attack", self.t, words);
            }
            end -= bucket;
        }
        let begins = epoch + proof.policy.traffic.propagation.as_secs() as i64;
        if settled - period < begins {
            self.check.broken(
                "not_under_attack",
                self.t,
                "calm counted before the announcement had spread",
            );
        }
    }

    fn judge_brakes(&mut self, index: usize, entry: &Entry, policy: &Policy) {
        if self.check.clock_steps {
            return;
        }
        let t = self.t;
        let mut lately: Vec<IntentId> = self
            .check
            .sent
            .iter()
            .filter(|sent| sent.automatic && t - sent.t < 3_600)
            .map(|sent| sent.id)
            .collect();
        lately.retain(|id| *id != entry.id);
        lately.sort();
        lately.dedup();
        let mut sent = |id: &IntentId| {
            self.journal
                .entry(*id)
                .is_some_and(|entry| entry.state.may_have_been_sent())
        };
        let count = lately.iter().filter(|id| sent(id)).count();
        if count >= policy.max_withdrawals_per_hour as usize {
            self.check
                .broken("brakes", t, format!("{count} withdrawals within an hour"));
        }
        let mut in_flight = |id: &&IntentId| self.journal.entry(**id).is_some_and(|entry| entry.is_in_flight());
        if let Some(other) = lately.iter().find(&mut in_flight).copied() {
            self.check.broken("brakes", t, format!("intent {other} is under way"));
        }
        let since = self.edge.state_at(index, t - 40).since;
        let wrong = self.edge.on(Kind::ReadOld, t).is_some() || self.edge.on(Kind::ReadOld, t - 60).is_some();
        if !wrong && t + 61 < since + policy.min_advertised.as_secs() as i64 {
            self.check
                .broken("brakes", t, format!("advertised only since {}", clock(since)));
        }
    }

    /// A call leaves.
    pub fn sent(&mut self, proc: &Proc, entry: &Entry, evidence: Option<EvidenceId>) {
        let t = self.t;
        self.line(&format!(
            "{}: sends {} {} (intent {})",
            proc.name, entry.act, entry.prefix, entry.id
        ));
        let earlier = self.check.sent.iter().rfind(|sent| sent.id == entry.id);
        if entry.act == Act::Withdraw && earlier.is_some_and(|sent| !sent.refused) {
            self.check.broken(
                "never_repeated_blindly",
                t,
                format!("intent {} is sent again", entry.id),
            );
        }
        if entry.automatic {
            let actor = self.journal.actor();
            if actor.as_deref() != Some(&proc.name) {
                self.check
                    .broken("one_actor", t, format!("{} sends, {actor:?} is the actor", proc.name));
            }
            let asked_t = evidence
                .and_then(|id| self.check.proofs.get(&id.0))
                .map(|proof| proof.asked_t);
            if !self.check.clock_steps && asked_t.is_none_or(|asked| t - asked > 46) {
                self.check.broken(
                    "one_actor",
                    t,
                    format!("{} sends on evidence of {asked_t:?}", proc.name),
                );
            }
            self.check.met.withdrawals += 1;
        }
        self.check.sent.push(Sent {
            id: entry.id,
            t,
            automatic: entry.automatic,
            act: entry.act,
            refused: false,
        });
    }
}
