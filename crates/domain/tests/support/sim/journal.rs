//! The product's transactions over abstract rows. The rules inside them are [`domain::intent`]'s and
//! [`domain::hold`]'s, the very ones that the product asks; the rows are memory here and SQLite in a
//! test of `prefix-ops`. A transaction is data, so that it can run on another thread.

use std::time::Duration;

use domain::alert::OpenAlert;
use domain::bgp::{BgpState, Epoch};
use domain::decision::{Decision, Effect, PrefixState};
use domain::evidence::Observed;
use domain::hold::{self, Hold};
use domain::ids::{EvidenceId, HoldId, IntentId};
use domain::intent::{self, Act, Entry, Facts, Gate, IntentState, Limits};
use domain::prefix::Prefix;
use domain::time::minus;
use jiff::Timestamp;

/// A lease as stored: owner and counter.
pub type Lease = (String, i64);

/// Somebody else was faster: nothing of the transaction is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict;

/// An intent to be filed.
#[derive(Debug, Clone)]
pub struct New {
    pub prefix: Prefix,
    pub act: Act,
    pub automatic: bool,
    pub epoch: Option<Epoch>,
    pub state_version: Option<i64>,
    pub evidence: Option<EvidenceId>,
    pub force: bool,
}

/// What a step of work leaves: step, class, when.
pub type Attempt = (String, String, Timestamp);

/// The tables, one call a statement.
pub trait Rows {
    fn lease(&self) -> Option<Lease>;
    fn bump(&mut self, me: &str, now: Timestamp) -> bool;
    fn take(&mut self, me: &str, seen: Option<&Lease>, now: Timestamp) -> bool;
    fn free(&mut self, me: &str);
    fn state(&self, prefix: Prefix) -> (i64, PrefixState);
    fn store_state(
        &mut self,
        prefix: Prefix,
        version: i64,
        next: &PrefixState,
        now: Timestamp,
    ) -> Result<i64, Conflict>;
    fn add_evidence(&mut self, asked_at: Timestamp) -> EvidenceId;
    fn evidence_at(&self, id: EvidenceId) -> Option<Timestamp>;
    fn holds(&self, now: Timestamp) -> Vec<Hold>;
    fn add_hold(&mut self, prefix: Option<Prefix>, until: Option<Timestamp>, now: Timestamp) -> HoldId;
    fn release_hold(&mut self, prefix: Option<Prefix>, now: Timestamp);
    fn binding_holds(&self, notice: Duration, now: Timestamp) -> Vec<Hold>;
    fn take_ending(&mut self, notice: Duration, now: Timestamp) -> Vec<Hold>;
    fn alerts(&self, since: Timestamp) -> Vec<OpenAlert>;
    fn enter_alert(&mut self, alert: &OpenAlert, ended_at: Option<Timestamp>);
    fn entry(&self, id: IntentId) -> Option<Entry>;
    fn evidence_of(&self, id: IntentId) -> Option<EvidenceId>;
    fn open(&self) -> Vec<Entry>;
    /// Newest first.
    fn newest(&self, prefix: Option<Prefix>, limit: u32) -> Vec<Entry>;
    fn file(&mut self, new: &New, now: Timestamp) -> IntentId;
    fn claim(&mut self, id: IntentId, me: &str, lease: Duration, now: Timestamp) -> Option<Entry>;
    fn transition(
        &mut self,
        id: IntentId,
        me: &str,
        step: (IntentState, IntentState),
        not_before: Option<Timestamp>,
        release: bool,
        now: Timestamp,
    ) -> Result<(), Conflict>;
    fn rest(&mut self, id: IntentId, me: &str, at: Timestamp);
    fn extend_lease(&mut self, id: IntentId, me: &str, lease: Duration, now: Timestamp) -> Result<(), Conflict>;
    fn cancel_unsent(&mut self, prefix: Prefix, automatic_only: bool, now: Timestamp) -> usize;
    fn renew(&mut self, prefix: Prefix, version: i64, evidence: EvidenceId);
    fn set_epoch(&mut self, id: IntentId, epoch: Epoch);
    fn attempt(&mut self, id: IntentId, me: &str, step: &str, class: &str, now: Timestamp);
    fn attempts(&self, id: IntentId) -> Vec<Attempt>;
    fn withdrawals(&self, since: Timestamp) -> Vec<(Prefix, Timestamp)>;
    /// Closes as done and writes the record of it, unless it was so already.
    fn done(&mut self, entry: &Entry, me: &str, seen: &BgpState, already: bool, now: Timestamp)
    -> Result<(), Conflict>;
    /// Withdrawal records of an intent.
    fn records(&self, id: IntentId) -> usize;
}

/// What the ledger says at the begin of a cycle.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub states: Vec<(Prefix, i64, PrefixState)>,
    pub alerts: Vec<OpenAlert>,
    pub holds: Vec<Hold>,
    pub withdrawals: Vec<(Prefix, Timestamp)>,
    pub under_way: Vec<Prefix>,
}

/// A message to people.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    Blind(Prefix),
    Sighted(Prefix),
    Overdue(Prefix, Timestamp, String),
    WouldWithdraw(Prefix),
    Limit(Prefix),
    Changed(Prefix, BgpState),
    Reattack(Prefix),
    MassCalm(Vec<Prefix>),
    HoldEnding(HoldId),
    Refused(IntentId, String),
    Unresolved(IntentId),
    Acted(IntentId),
}

/// One transaction.
#[derive(Debug, Clone)]
pub enum Tx {
    Progress {
        me: String,
        dead: Option<Lease>,
    },
    Free {
        me: String,
    },
    Ledger {
        prefixes: Vec<Prefix>,
        shortest: Duration,
    },
    Commit {
        me: String,
        decisions: Vec<(Prefix, i64, Decision)>,
        asked_at: Timestamp,
        restarted: Vec<Prefix>,
    },
    Open,
    Claim {
        id: IntentId,
        me: String,
        is_actor: bool,
    },
    Mark {
        claimed: Entry,
        me: String,
        as_actor: bool,
        epoch: Option<Epoch>,
    },
    Verifying {
        id: IntentId,
        me: String,
        class: String,
    },
    PutBack {
        entry: Entry,
        me: String,
        class: String,
        told: Option<Duration>,
        tell: bool,
    },
    Unmark {
        entry: Entry,
        me: String,
    },
    Refuse {
        entry: Entry,
        me: String,
        class: String,
    },
    Cancel {
        id: IntentId,
        me: String,
    },
    Rest {
        id: IntentId,
        me: String,
        at: Timestamp,
    },
    Close {
        entry: Entry,
        me: String,
        seen: BgpState,
        already: bool,
    },
    GiveUp {
        entry: Entry,
        me: String,
    },
    AssertDue {
        entry: Entry,
        me: String,
    },
    Asserted {
        id: IntentId,
        me: String,
        class: String,
    },
    File {
        prefix: Prefix,
        act: Act,
        force: bool,
    },
    Hold {
        prefix: Option<Prefix>,
        until: Option<Timestamp>,
    },
    Release {
        prefix: Option<Prefix>,
    },
    Alert {
        alert: OpenAlert,
        ended_at: Option<Timestamp>,
    },
}

/// What a transaction answers.
#[derive(Debug, Clone)]
pub enum Reply {
    Done,
    /// Filed, or refused because it is held.
    Filed(Option<IntentId>),
    /// A foreign lease; `None`: ours, and bumped.
    Lease(Option<Lease>),
    Ledger(Box<Ledger>),
    /// `None`: another process is the actor.
    Committed(Option<EvidenceId>),
    Open(Vec<Entry>),
    Claimed(Option<Entry>),
    Gate(Gate, Option<EvidenceId>),
    Yes(bool),
    Hold(HoldId),
    Conflict,
}

/// Runs a transaction on the rows.
pub fn run(rows: &mut dyn Rows, tx: &Tx, limits: &Limits, now: Timestamp, told: &mut Vec<Told>) -> Reply {
    apply(rows, tx, limits, now, told).unwrap_or(Reply::Conflict)
}

fn apply(
    rows: &mut dyn Rows,
    tx: &Tx,
    limits: &Limits,
    now: Timestamp,
    told: &mut Vec<Told>,
) -> Result<Reply, Conflict> {
    use IntentState::{Cancelled, Planned, Refused, Sending, Unresolved, Verifying};
    match tx {
        Tx::Progress { me, dead } => {
            if rows.bump(me, now) {
                return Ok(Reply::Lease(None));
            }
            let current = rows.lease();
            let free = current.is_none() || current == *dead;
            if free && rows.take(me, current.as_ref(), now) {
                return Ok(Reply::Lease(None));
            }
            Ok(Reply::Lease(rows.lease()))
        }
        Tx::Free { me } => {
            rows.free(me);
            Ok(Reply::Done)
        }
        Tx::Ledger { prefixes, shortest } => {
            Ok(Reply::Ledger(Box::new(ledger(rows, prefixes, *shortest, limits, now))))
        }
        Tx::Commit {
            me,
            decisions,
            asked_at,
            restarted,
        } => {
            if rows.lease().is_none_or(|(owner, _)| owner != *me) {
                return Ok(Reply::Committed(None));
            }
            if decisions
                .iter()
                .any(|(prefix, version, _)| rows.state(*prefix).0 != *version)
            {
                return Err(Conflict);
            }
            let evidence = rows.add_evidence(*asked_at);
            for (prefix, version, decision) in decisions {
                commit(rows, *prefix, *version, decision, evidence, now, told)?;
            }
            if !restarted.is_empty() {
                told.push(Told::MassCalm(restarted.clone()));
            }
            let ending = rows.take_ending(limits.hold_end_notice, now);
            told.extend(ending.iter().map(|hold| Told::HoldEnding(hold.id)));
            Ok(Reply::Committed(Some(evidence)))
        }
        Tx::Open => Ok(Reply::Open(rows.open())),
        Tx::Claim { id, me, is_actor } => {
            if !rows.entry(*id).is_some_and(|entry| *is_actor || !entry.automatic) {
                return Ok(Reply::Claimed(None));
            }
            Ok(Reply::Claimed(rows.claim(*id, me, limits.lease, now)))
        }
        Tx::Mark {
            claimed,
            me,
            as_actor,
            epoch,
        } => mark(rows, claimed, me, *as_actor, *epoch, limits, now),
        Tx::Verifying { id, me, class } => {
            rows.transition(*id, me, (Sending, Verifying), None, false, now)?;
            rows.attempt(*id, me, "patch", class, now);
            rows.extend_lease(*id, me, limits.lease, now)?;
            Ok(Reply::Done)
        }
        Tx::PutBack {
            entry,
            me,
            class,
            told: said,
            tell,
        } => {
            let failures = rows
                .attempts(entry.id)
                .iter()
                .filter(|attempt| attempt.1 != "sending")
                .count();
            let at = domain::time::plus(now, intent::pause(entry.act, failures, *said, limits));
            rows.attempt(entry.id, me, "patch", class, now);
            if *tell {
                told.push(Told::Refused(entry.id, class.clone()));
            }
            put_back(rows, entry, me, at, now)
        }
        Tx::Unmark { entry, me } => {
            rows.attempt(entry.id, me, "patch", "not_sent", now);
            put_back(rows, entry, me, domain::time::plus(now, limits.read_back_every), now)
        }
        Tx::Refuse { entry, me, class } => {
            rows.attempt(entry.id, me, "recheck", class, now);
            told.push(Told::Refused(entry.id, class.clone()));
            if entry.automatic {
                let at = domain::time::plus(now, limits.retry_after.saturating_mul(16));
                return put_back(rows, entry, me, at, now);
            }
            rows.transition(entry.id, me, (entry.state, Refused), None, true, now)?;
            Ok(Reply::Done)
        }
        Tx::Cancel { id, me } => {
            rows.transition(*id, me, (Planned, Cancelled), None, true, now)?;
            Ok(Reply::Done)
        }
        Tx::Rest { id, me, at } => {
            rows.rest(*id, me, *at);
            Ok(Reply::Done)
        }
        Tx::Close {
            entry,
            me,
            seen,
            already,
        } => {
            let since = if *already {
                Timestamp::MIN
            } else {
                minus(now, limits.overtaken_for)
            };
            if entry.act == Act::Advertise && intent::withdrawal_may_arrive(&rows.open(), entry.prefix, since) {
                return Ok(Reply::Yes(false));
            }
            rows.done(entry, me, seen, *already, now)?;
            if !already {
                told.push(Told::Acted(entry.id));
            }
            Ok(Reply::Yes(true))
        }
        Tx::GiveUp { entry, me } => {
            rows.transition(entry.id, me, (entry.state, Unresolved), None, true, now)?;
            told.push(Told::Unresolved(entry.id));
            Ok(Reply::Done)
        }
        Tx::AssertDue { entry, me } => {
            let attempts = rows.attempts(entry.id);
            let last = attempts
                .iter()
                .rev()
                .find(|attempt| attempt.0 == "patch")
                .map(|attempt| attempt.2);
            let newest = rows.newest(Some(entry.prefix), 1).first().map(|newest| newest.id);
            if !intent::may_assert_again(entry, newest, last, limits, now) {
                return Ok(Reply::Yes(false));
            }
            rows.extend_lease(entry.id, me, limits.lease, now)?;
            rows.attempt(entry.id, me, "patch", "asserting_again", now);
            Ok(Reply::Yes(true))
        }
        Tx::Asserted { id, me, class } => {
            rows.attempt(*id, me, "patch", class, now);
            Ok(Reply::Done)
        }
        Tx::File { prefix, act, force } => {
            if *act == Act::Withdraw && !force && hold::in_force(&rows.holds(now), *prefix, now).is_some() {
                return Ok(Reply::Filed(None));
            }
            if *act == Act::Advertise {
                rows.cancel_unsent(*prefix, false, now);
            }
            let new = New {
                prefix: *prefix,
                act: *act,
                automatic: false,
                epoch: None,
                state_version: None,
                evidence: None,
                force: *force,
            };
            Ok(Reply::Filed(Some(rows.file(&new, now))))
        }
        Tx::Hold { prefix, until } => Ok(Reply::Hold(rows.add_hold(*prefix, *until, now))),
        Tx::Release { prefix } => {
            rows.release_hold(*prefix, now);
            Ok(Reply::Done)
        }
        Tx::Alert { alert, ended_at } => {
            rows.enter_alert(alert, *ended_at);
            Ok(Reply::Done)
        }
    }
}

fn put_back(rows: &mut dyn Rows, entry: &Entry, me: &str, at: Timestamp, now: Timestamp) -> Result<Reply, Conflict> {
    if entry.state == IntentState::Planned {
        rows.rest(entry.id, me, at);
    } else {
        rows.transition(entry.id, me, (entry.state, IntentState::Planned), Some(at), true, now)?;
    }
    Ok(Reply::Done)
}

fn mark(
    rows: &mut dyn Rows,
    claimed: &Entry,
    me: &str,
    as_actor: bool,
    epoch: Option<Epoch>,
    limits: &Limits,
    now: Timestamp,
) -> Result<Reply, Conflict> {
    let stored = rows.entry(claimed.id);
    let evidence = rows.evidence_of(claimed.id);
    let open = rows.open();
    let newest = rows.newest(Some(claimed.prefix), 100);
    let holds = if as_actor {
        rows.binding_holds(limits.hold_end_notice, now)
    } else {
        rows.holds(now)
    };
    let alerts = rows.alerts(minus(now, limits.open_alert_veto));
    let facts = Facts {
        stored: stored.as_ref(),
        open: &open,
        newest_advertise: newest.iter().find(|entry| entry.act == Act::Advertise),
        holds: &holds,
        alerts: &alerts,
        state_version: rows.state(claimed.prefix).0,
        evidence_at: evidence.and_then(|id| rows.evidence_at(id)),
        is_actor: as_actor.then(|| rows.lease().is_some_and(|(owner, _)| owner == me)),
    };
    let gate = intent::last_check(claimed, &facts, epoch, limits, now);
    if let Gate::Open { .. } = gate {
        if let Some(epoch) = epoch {
            rows.set_epoch(claimed.id, epoch);
        }
        let step = (IntentState::Planned, IntentState::Sending);
        rows.transition(claimed.id, me, step, None, false, now)?;
        rows.attempt(claimed.id, me, "patch", "sending", now);
        rows.extend_lease(claimed.id, me, limits.lease, now)?;
    }
    Ok(Reply::Gate(gate, evidence))
}

fn ledger(rows: &dyn Rows, prefixes: &[Prefix], shortest: Duration, limits: &Limits, now: Timestamp) -> Ledger {
    let mut holds = rows.binding_holds(limits.hold_end_notice, now);
    for entry in rows.newest(None, 500) {
        if let Some(until) = entry.keeps_until(shortest, now) {
            holds.push(Hold {
                id: HoldId(0),
                prefix: Some(entry.prefix),
                actor: "ana@noc".into(),
                reason: "asked to advertise it".into(),
                created_at: entry.created_at,
                until: Some(until),
            });
        }
    }
    let open = rows.open();
    Ledger {
        states: prefixes
            .iter()
            .map(|prefix| {
                let (version, state) = rows.state(*prefix);
                (*prefix, version, state)
            })
            .collect(),
        alerts: rows.alerts(minus(now, limits.open_alert_veto)),
        holds,
        withdrawals: rows.withdrawals(minus(now, domain::brakes::FLAP_MEMORY)),
        under_way: open
            .iter()
            .filter(|entry| entry.is_under_way(now))
            .map(|entry| entry.prefix)
            .collect(),
    }
}

fn commit(
    rows: &mut dyn Rows,
    prefix: Prefix,
    version: i64,
    decision: &Decision,
    evidence: EvidenceId,
    now: Timestamp,
    told: &mut Vec<Told>,
) -> Result<(), Conflict> {
    let version = if rows.state(prefix).1 == decision.state {
        version
    } else {
        rows.store_state(prefix, version, &decision.state, now)?
    };
    for effect in &decision.effects {
        match effect {
            Effect::IntendWithdrawal { epoch, .. } => {
                let open = rows.open();
                if let Some(own) = open.iter().find(|entry| entry.prefix == prefix && entry.automatic) {
                    if own.state == IntentState::Planned {
                        rows.renew(prefix, version, evidence);
                    }
                } else if !open.iter().any(|entry| entry.is_under_way(now)) {
                    let new = New {
                        prefix,
                        act: Act::Withdraw,
                        automatic: true,
                        epoch: Some(*epoch),
                        state_version: Some(version),
                        evidence: Some(evidence),
                        force: false,
                    };
                    rows.file(&new, now);
                }
            }
            Effect::CancelIntent { .. } => {
                rows.cancel_unsent(prefix, true, now);
            }
            Effect::AnnounceBlind { .. } => told.push(Told::Blind(prefix)),
            Effect::AnnounceSighted { .. } => told.push(Told::Sighted(prefix)),
            Effect::AnnounceOverdue { since, because } => told.push(Told::Overdue(prefix, *since, because.clone())),
            Effect::AnnounceWouldWithdraw { .. } => told.push(Told::WouldWithdraw(prefix)),
            Effect::AnnounceLimit { .. } => told.push(Told::Limit(prefix)),
            Effect::AnnounceReattack { .. } => told.push(Told::Reattack(prefix)),
            Effect::BgpChanged { before: None, .. } => {}
            Effect::BgpChanged { after, .. } => told.push(Told::Changed(prefix, after.clone())),
        }
    }
    Ok(())
}

/// What a journal is to those who use it.
pub trait Journal {
    /// Runs one transaction durably and returns what people were told in it.
    fn run(&mut self, tx: &Tx, limits: &Limits, now: Timestamp) -> (Reply, Vec<Told>);
    /// Withdrawal records of an intent.
    fn records(&mut self, id: IntentId) -> usize;
    /// Who is the actor.
    fn actor(&mut self) -> Option<String>;
    /// An intent as stored.
    fn entry(&mut self, id: IntentId) -> Option<Entry>;
}

/// Alerts as a decision sees them.
pub fn heard(alerts: Vec<OpenAlert>, receiver_beats: bool, now: Timestamp) -> Observed<Vec<OpenAlert>> {
    if receiver_beats {
        Observed::known(alerts, now)
    } else {
        Observed::unavailable("the webhook receiver does not beat")
    }
}
