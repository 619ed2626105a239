//! Rows in memory, statement for statement what the database does with them.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::alert::OpenAlert;
use domain::bgp::{BgpState, Epoch};
use domain::decision::PrefixState;
use domain::hold::{self, Hold};
use domain::ids::{EvidenceId, HoldId, IntentId};
use domain::intent::{Act, Entry, IntentState, Limits};
use domain::prefix::Prefix;
use domain::time::{minus, plus};
use jiff::Timestamp;

use super::journal::{self, Attempt, Conflict, Journal, Lease, New, Reply, Rows, Told, Tx};

#[derive(Debug, Clone)]
struct Intent {
    entry: Entry,
    evidence: Option<EvidenceId>,
    attempts: Vec<Attempt>,
    records: usize,
}

/// A journal in memory. Closed intents of long ago are kept: nothing is ever deleted.
#[derive(Debug, Default)]
pub struct Memory {
    lease: Option<Lease>,
    states: BTreeMap<Prefix, (i64, PrefixState)>,
    evidence: Vec<Timestamp>,
    holds: Vec<(Hold, bool)>,
    announced: BTreeMap<i64, Timestamp>,
    alerts: Vec<(OpenAlert, Option<Timestamp>)>,
    intents: Vec<Intent>,
}

const RAN_OUT_WITHIN: Duration = Duration::from_secs(7 * 86_400);

impl Memory {
    fn at(&mut self, id: IntentId) -> &mut Intent {
        &mut self.intents[id.0 as usize - 1]
    }
}

impl Journal for Memory {
    fn run(&mut self, tx: &Tx, limits: &Limits, now: Timestamp) -> (Reply, Vec<Told>) {
        let mut told = Vec::new();
        let reply = journal::run(self, tx, limits, now, &mut told);
        if matches!(reply, Reply::Conflict) {
            told.clear();
        }
        (reply, told)
    }

    fn records(&mut self, id: IntentId) -> usize {
        Rows::records(self, id)
    }

    fn actor(&mut self) -> Option<String> {
        self.lease.as_ref().map(|(owner, _)| owner.clone())
    }

    fn entry(&mut self, id: IntentId) -> Option<Entry> {
        Rows::entry(self, id)
    }
}

impl Rows for Memory {
    fn lease(&self) -> Option<Lease> {
        self.lease.clone()
    }

    fn bump(&mut self, me: &str, _now: Timestamp) -> bool {
        match &mut self.lease {
            Some((owner, counter)) if owner == me => {
                *counter += 1;
                true
            }
            _ => false,
        }
    }

    fn take(&mut self, me: &str, seen: Option<&Lease>, _now: Timestamp) -> bool {
        if self.lease.as_ref() != seen {
            return false;
        }
        let counter = seen.map_or(1, |(_, counter)| counter + 1);
        self.lease = Some((me.to_owned(), counter));
        true
    }

    fn free(&mut self, me: &str) {
        if self.lease.as_ref().is_some_and(|(owner, _)| owner == me) {
            self.lease = None;
        }
    }

    fn state(&self, prefix: Prefix) -> (i64, PrefixState) {
        self.states.get(&prefix).cloned().unwrap_or_default()
    }

    fn store_state(
        &mut self,
        prefix: Prefix,
        version: i64,
        next: &PrefixState,
        _now: Timestamp,
    ) -> Result<i64, Conflict> {
        let row = self.states.entry(prefix).or_default();
        if row.0 != version {
            return Err(Conflict);
        }
        *row = (version + 1, next.clone());
        Ok(version + 1)
    }

    fn add_evidence(&mut self, asked_at: Timestamp) -> EvidenceId {
        self.evidence.push(asked_at);
        EvidenceId(self.evidence.len() as i64)
    }

    fn evidence_at(&self, id: EvidenceId) -> Option<Timestamp> {
        self.evidence.get(id.0 as usize - 1).copied()
    }

    fn holds(&self, now: Timestamp) -> Vec<Hold> {
        self.holds
            .iter()
            .filter(|(hold, released)| !released && hold.until.is_none_or(|until| until > now))
            .map(|(hold, _)| hold.clone())
            .collect()
    }

    fn add_hold(&mut self, prefix: Option<Prefix>, until: Option<Timestamp>, now: Timestamp) -> HoldId {
        let id = HoldId(self.holds.len() as i64 + 1);
        let hold = Hold {
            id,
            prefix,
            actor: "ana@noc".into(),
            reason: "maintenance".into(),
            created_at: now,
            until,
        };
        self.holds.push((hold, false));
        id
    }

    fn release_hold(&mut self, prefix: Option<Prefix>, now: Timestamp) {
        for (hold, released) in &mut self.holds {
            if hold.prefix == prefix && hold.until.is_none_or(|until| until > now) {
                *released = true;
            }
        }
    }

    fn binding_holds(&self, notice: Duration, now: Timestamp) -> Vec<Hold> {
        let mut binding = Vec::new();
        for mut hold in self.holds(minus(now, RAN_OUT_WITHIN)) {
            if let Some(until) = hold.until {
                let announced = self.announced.get(&hold.id.0).copied();
                let Some(ends) = hold::binds_until(until, announced, notice, now) else {
                    continue;
                };
                hold.until = Some(ends);
            }
            binding.push(hold);
        }
        binding
    }

    fn take_ending(&mut self, notice: Duration, now: Timestamp) -> Vec<Hold> {
        let horizon = plus(now, notice);
        let mut ending = self.holds(minus(now, RAN_OUT_WITHIN));
        ending.retain(|hold| {
            hold.until.is_some_and(|until| until <= horizon) && !self.announced.contains_key(&hold.id.0)
        });
        for hold in &ending {
            self.announced.insert(hold.id.0, now);
        }
        ending
    }

    fn alerts(&self, since: Timestamp) -> Vec<OpenAlert> {
        let is_open = |(alert, ended): &&(OpenAlert, Option<Timestamp>)| {
            alert.since >= since && ended.is_none_or(|ended| alert.since > ended)
        };
        self.alerts
            .iter()
            .filter(is_open)
            .map(|(alert, _)| alert.clone())
            .collect()
    }

    fn enter_alert(&mut self, alert: &OpenAlert, ended_at: Option<Timestamp>) {
        match self.alerts.iter_mut().find(|(known, _)| known.event == alert.event) {
            Some(row) => row.1 = row.1.max(ended_at),
            None => self.alerts.push((alert.clone(), ended_at)),
        }
    }

    fn entry(&self, id: IntentId) -> Option<Entry> {
        Some(self.intents.get(id.0 as usize - 1)?.entry.clone())
    }

    fn evidence_of(&self, id: IntentId) -> Option<EvidenceId> {
        self.intents.get(id.0 as usize - 1)?.evidence
    }

    fn open(&self) -> Vec<Entry> {
        let open = self.intents.iter().filter(|intent| intent.entry.state.is_open());
        open.map(|intent| intent.entry.clone()).collect()
    }

    fn newest(&self, prefix: Option<Prefix>, limit: u32) -> Vec<Entry> {
        let of = self.intents.iter().rev();
        of.filter(|intent| prefix.is_none_or(|prefix| intent.entry.prefix == prefix))
            .take(limit as usize)
            .map(|intent| intent.entry.clone())
            .collect()
    }

    fn file(&mut self, new: &New, now: Timestamp) -> IntentId {
        let id = IntentId(self.intents.len() as i64 + 1);
        self.intents.push(Intent {
            entry: Entry {
                id,
                prefix: new.prefix,
                act: new.act,
                automatic: new.automatic,
                state: IntentState::Planned,
                epoch: new.epoch,
                state_version: new.state_version,
                force: new.force,
                created_at: now,
                not_before: None,
                sending_at: None,
                closed_at: None,
                lease_owner: None,
                lease_until: None,
            },
            evidence: new.evidence,
            attempts: vec![],
            records: 0,
        });
        id
    }

    fn claim(&mut self, id: IntentId, me: &str, lease: Duration, now: Timestamp) -> Option<Entry> {
        let entry = &mut self.at(id).entry;
        if !entry.may_be_claimed(me, now) {
            return None;
        }
        entry.lease_owner = Some(me.to_owned());
        entry.lease_until = Some(plus(now, lease));
        Some(entry.clone())
    }

    fn transition(
        &mut self,
        id: IntentId,
        me: &str,
        (from, to): (IntentState, IntentState),
        not_before: Option<Timestamp>,
        release: bool,
        now: Timestamp,
    ) -> Result<(), Conflict> {
        let entry = &mut self.at(id).entry;
        let ours = entry.lease_owner.as_deref() == Some(me) && entry.lease_until.is_some_and(|until| until > now);
        if !from.may_become(to) || entry.state != from || !ours {
            return Err(Conflict);
        }
        entry.state = to;
        if to == IntentState::Sending {
            entry.sending_at = Some(now);
        }
        entry.closed_at = (!to.is_open()).then_some(now);
        entry.not_before = not_before;
        if release || !to.is_open() {
            entry.lease_owner = None;
            entry.lease_until = None;
        }
        Ok(())
    }

    fn rest(&mut self, id: IntentId, me: &str, at: Timestamp) {
        let entry = &mut self.at(id).entry;
        if entry.lease_owner.as_deref() == Some(me) {
            entry.not_before = Some(at);
            entry.lease_owner = None;
            entry.lease_until = None;
        }
    }

    fn extend_lease(&mut self, id: IntentId, me: &str, lease: Duration, now: Timestamp) -> Result<(), Conflict> {
        let entry = &mut self.at(id).entry;
        if entry.lease_owner.as_deref() != Some(me) || entry.lease_until.is_none_or(|until| until <= now) {
            return Err(Conflict);
        }
        entry.lease_until = Some(plus(now, lease));
        Ok(())
    }

    fn cancel_unsent(&mut self, prefix: Prefix, automatic_only: bool, now: Timestamp) -> usize {
        let mut cancelled = 0;
        for intent in &mut self.intents {
            let entry = &mut intent.entry;
            let meant = entry.prefix == prefix && entry.act == Act::Withdraw && entry.state == IntentState::Planned;
            if meant && (entry.automatic || !automatic_only) {
                entry.state = IntentState::Cancelled;
                entry.closed_at = Some(now);
                entry.lease_owner = None;
                entry.lease_until = None;
                cancelled += 1;
            }
        }
        cancelled
    }

    fn renew(&mut self, prefix: Prefix, version: i64, evidence: EvidenceId) {
        for intent in &mut self.intents {
            if intent.entry.prefix == prefix && intent.entry.automatic && intent.entry.state.is_open() {
                intent.entry.state_version = Some(version);
                intent.evidence = Some(evidence);
            }
        }
    }

    fn set_epoch(&mut self, id: IntentId, epoch: Epoch) {
        self.at(id).entry.epoch.get_or_insert(epoch);
    }

    fn attempt(&mut self, id: IntentId, _me: &str, step: &str, class: &str, now: Timestamp) {
        self.at(id).attempts.push((step.to_owned(), class.to_owned(), now));
    }

    fn attempts(&self, id: IntentId) -> Vec<Attempt> {
        self.intents[id.0 as usize - 1].attempts.clone()
    }

    fn withdrawals(&self, since: Timestamp) -> Vec<(Prefix, Timestamp)> {
        let sent = self
            .intents
            .iter()
            .map(|intent| &intent.entry)
            .filter(|entry| entry.automatic && entry.act == Act::Withdraw && entry.state.may_have_been_sent());
        let mut sent: Vec<(Prefix, Timestamp)> = sent
            .filter_map(|entry| Some((entry.prefix, entry.sending_at.filter(|at| *at >= since)?)))
            .collect();
        sent.sort_by_key(|(_, at)| *at);
        sent
    }

    fn done(
        &mut self,
        entry: &Entry,
        me: &str,
        _seen: &BgpState,
        already: bool,
        now: Timestamp,
    ) -> Result<(), Conflict> {
        self.transition(entry.id, me, (entry.state, IntentState::Done), None, true, now)?;
        if !already {
            self.at(entry.id).records += 1;
        }
        Ok(())
    }

    fn records(&self, id: IntentId) -> usize {
        self.intents[id.0 as usize - 1].records
    }
}
