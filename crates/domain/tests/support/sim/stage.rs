//! Virtual time and whose turn it is. One thread, one order of events for one schedule: what a seed
//! found once it finds again.

use std::fmt::Write as _;

use domain::decision::Decision;
use domain::intent::Limits;
use domain::prefix::Prefix;
use jiff::Timestamp;

use super::edge::Edge;
use super::fault::{Kind, STEPS};
use super::invariants::{Invariants, Met, Proof, Violation};
use super::journal::{Journal, Reply, Told, Tx};
use super::memory::Memory;
use super::process::Proc;
use super::schedule::{Schedule, clock};
use crate::support::at;
use crate::support::rng::Rng;

/// Everything that takes part.
pub struct Stage {
    pub schedule: Schedule,
    pub journal: Box<dyn Journal>,
    pub edge: Edge,
    pub procs: Vec<Proc>,
    pub t: i64,
    pub limits: Limits,
    pub check: Invariants,
    /// When each item with a step fired.
    pub fired: Vec<Option<i64>>,
    /// Daemons to be started: when and which.
    pub starts: Vec<(i64, usize)>,
    started: u32,
    rng: Rng,
    stopped_s: i64,
    aimed: Vec<usize>,
    /// Written when asked for.
    pub transcript: Option<String>,
    last: Vec<String>,
}

/// What a schedule led to.
#[derive(Debug)]
pub struct Outcome {
    pub violation: Option<Violation>,
    pub met: Met,
    pub transcript: String,
}

/// Plays a schedule with a journal in memory.
pub fn play(schedule: &Schedule, transcript: bool) -> Outcome {
    play_on(schedule, Box::new(Memory::default()), transcript)
}

/// Plays a schedule with any journal.
pub fn play_on(schedule: &Schedule, journal: Box<dyn Journal>, transcript: bool) -> Outcome {
    let mut stage = Stage {
        edge: Edge::new(schedule),
        journal,
        procs: vec![],
        t: 0,
        limits: Limits::default(),
        check: Invariants::new(schedule),
        fired: vec![None; schedule.items.len()],
        starts: vec![(0, 0)],
        started: 0,
        rng: Rng::new(schedule.seed ^ 0x51a9e),
        stopped_s: 0,
        aimed: vec![],
        transcript: transcript.then(String::new),
        last: vec![String::new(); schedule.prefixes.len()],
        schedule: schedule.clone(),
    };
    stage.limits.open_alert_veto = schedule.policy.open_alert_veto;
    stage.limits.shortest = schedule.policy.min_advertised;
    stage.run();
    Outcome {
        violation: stage.check.violation,
        met: stage.check.met,
        transcript: stage.transcript.unwrap_or_default(),
    }
}

impl Stage {
    fn run(&mut self) {
        let mut happens: Vec<(i64, usize, bool)> = Vec::new();
        for (index, item) in self.schedule.items.iter().enumerate() {
            if item.step.is_none() {
                happens.push((item.from, index, false));
            }
            if item.kind.lasts() {
                happens.push((item.until, index, true));
            }
        }
        happens.sort();
        let mut happens = happens.into_iter().peekable();
        let mut minute = 60;
        while self.check.violation.is_none() {
            let next = [
                happens.peek().map(|event| event.0),
                self.edge.next_pending(),
                self.starts.iter().map(|start| start.0).min(),
                self.procs.iter().map(|proc| proc.wake).min(),
                Some(minute),
            ];
            self.t = next.into_iter().flatten().min().unwrap_or(minute).max(self.t);
            if self.t >= self.schedule.end_s {
                break;
            }
            self.edge.advance(self.t);
            while let Some((_, index, is_end)) = happens.next_if(|event| event.0 <= self.t) {
                self.happen(index, is_end);
            }
            self.start_those_due();
            if self.t >= minute {
                minute += 60;
                self.check_minute();
            }
            let due = self.procs.iter().enumerate().filter(|(_, proc)| proc.wake <= self.t);
            let Some(index) = due.min_by_key(|(_, proc)| proc.wake).map(|(index, _)| index) else {
                continue;
            };
            let mut proc = self.procs.remove(index);
            self.stopped_s = 0;
            self.go_on(&mut proc);
            proc.wake += self.stopped_s;
            if !proc.is_dead {
                self.procs.insert(index, proc);
            }
            for index in std::mem::take(&mut self.aimed) {
                self.happen(index, false);
            }
        }
        self.check_end();
    }

    fn start_those_due(&mut self) {
        let (due, later) = self.starts.iter().partition(|start| start.0 <= self.t);
        self.starts = later;
        for (_, slot) in due {
            if self.procs.iter().any(|proc| proc.slot == Some(slot)) {
                continue;
            }
            self.started += 1;
            let name = format!("daemon {slot}, start {}", self.started);
            let config = self.config(self.t);
            self.line(&format!("{name} begins"));
            self.procs.push(Proc::new(
                name,
                Some(slot),
                config,
                self.schedule.prefixes.len(),
                self.t,
            ));
        }
    }

    /// Our clock.
    pub fn now(&self) -> Timestamp {
        self.our(self.t)
    }

    /// What our clock said at a true time.
    pub fn our(&self, t: i64) -> Timestamp {
        at(t + self.edge.on(Kind::ClockStep, t).map_or(0, |item| item.n))
    }

    /// Seconds that an ordinary answer takes.
    pub fn latency(&mut self) -> i64 {
        1 + self.coin()
    }

    /// A second or none: what else happens in between differs from run to run.
    pub fn coin(&mut self) -> i64 {
        (self.rng.next() % 2) as i64
    }

    /// Runs a transaction of a process. `None`: it failed, or nobody can tell.
    pub fn tx(&mut self, tx: Tx) -> Option<Reply> {
        self.tx_told(tx, None)
    }

    pub fn tx_told(&mut self, tx: Tx, proof: Option<&Proof>) -> Option<Reply> {
        if self.edge.on(Kind::DatabaseRefuses, self.t).is_some() {
            return None;
        }
        let reply = self.store(&tx);
        if self.edge.on(Kind::CommitUnanswered, self.t).is_some() {
            if let (Reply::Committed(Some(evidence)), Some(proof)) = (&reply, proof) {
                self.check.committed(self.t, *evidence, proof.clone());
            }
            return None;
        }
        Some(reply)
    }

    /// Runs a transaction that is sure to be answered.
    pub fn store(&mut self, tx: &Tx) -> Reply {
        let now = self.now();
        let (reply, told) = self.journal.run(tx, &self.limits, now);
        for told in told {
            if self.transcript.is_some() && !matches!(told, Told::Changed(..)) {
                self.line(&format!("! {told:?}"));
            }
            self.check.told(self.t, now, told);
        }
        reply
    }

    /// A process reached a step: it may crash or be stopped there.
    pub fn reached(&mut self, proc: &mut Proc, step: &str) {
        if proc.slot.is_none() {
            return;
        }
        for index in 0..self.schedule.items.len() {
            let item = self.schedule.items[index];
            let here = item.step.is_some_and(|at| STEPS[at] == step) && item.from <= self.t;
            if !here || self.fired[index].is_some() {
                continue;
            }
            self.fired[index] = Some(self.t);
            self.check.met.interruptions += 1;
            match item.kind {
                Kind::Stop => self.stopped_s += item.n,
                Kind::Crash => {
                    proc.is_dead = true;
                    self.starts.push((self.t + item.n, proc.slot.unwrap_or(0)));
                }
                _ => self.aimed.push(index),
            }
            let (name, kind) = (proc.name.clone(), item.kind.name());
            self.line(&format!("{name}: {kind} at {step}"));
            if proc.is_dead {
                return;
            }
        }
    }

    /// Adds a line to the transcript.
    pub fn line(&mut self, text: &str) {
        if let Some(transcript) = &mut self.transcript {
            writeln!(transcript, "{} {text}", clock(self.t)).unwrap();
        }
    }

    /// Tells the transcript of changed verdicts.
    pub fn tell_cycle(&mut self, decisions: &[(Prefix, i64, Decision)]) {
        if self.transcript.is_none() {
            return;
        }
        for (index, (prefix, _, decision)) in decisions.iter().enumerate() {
            let key = decision.verdict.key();
            if self.last[index] != key {
                self.last[index].clone_from(&key);
                self.line(&format!(
                    "{prefix} {key}: {}, because {}",
                    decision.next.action(),
                    decision.next.because()
                ));
            }
        }
    }
}
