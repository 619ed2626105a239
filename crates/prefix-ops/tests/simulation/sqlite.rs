//! The rows of the simulation's journal in the product's database, by the product's own statements.

use std::time::Duration;

use db::intents::{Change, Intent, NewIntent};
use db::{Db, DbError, WriteTx};
use domain::alert::OpenAlert;
use domain::bgp::{BgpPrefix, BgpState, Epoch};
use domain::decision::PrefixState;
use domain::hold::Hold;
use domain::ids::{BgpPrefixId, EvidenceId, HoldId, IntentId, PrefixId};
use domain::intent::{Act, Entry, IntentState, Limits, Origin};
use domain::prefix::Prefix;
use jiff::Timestamp;
use prefix_ops::execute::entry_of;

use crate::sim::journal::{self, Attempt, Conflict, Journal, Lease, New, Reply, Rows, Told, Tx};

const LEASE: &str = "autowithdraw";
const PERSON: &str = "ana@noc";

/// A journal in a file.
pub(crate) struct Sqlite {
    db: Db,
}

impl Sqlite {
    pub(crate) fn new(db: Db) -> Self {
        Self { db }
    }

    fn read<T>(&self, f: impl FnOnce(&db::ReadTx<'_>) -> Result<T, DbError>) -> T {
        self.db.read_blocking("simulation", f).unwrap()
    }
}

impl Journal for Sqlite {
    fn run(&mut self, tx: &Tx, limits: &Limits, now: Timestamp) -> (Reply, Vec<Told>) {
        let (tx, limits) = (tx.clone(), *limits);
        let done = self.db.write_blocking("simulation", move |write| {
            let mut told = Vec::new();
            match journal::run(&mut Statements(write), &tx, &limits, now, &mut told) {
                // An error undoes what the transaction wrote so far.
                Reply::Conflict => Err(DbError::Conflict {
                    what: "simulated".into(),
                }),
                reply => Ok((reply, told)),
            }
        });
        match done {
            Ok(done) => done,
            Err(DbError::Conflict { .. }) => (Reply::Conflict, Vec::new()),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn records(&mut self, id: IntentId) -> usize {
        let attempts = self.read(|tx| db::intents::attempts(tx, id));
        attempts
            .iter()
            .filter(|attempt| attempt.class == prefix_ops::record::SHOWN)
            .count()
    }

    fn actor(&mut self) -> Option<String> {
        self.read(|tx| db::leases::get(tx, LEASE)).map(|lease| lease.owner)
    }

    fn entry(&mut self, id: IntentId) -> Option<Entry> {
        self.read(|tx| db::intents::get(tx, id)).as_ref().map(entry_of)
    }
}

struct Statements<'a, 'b>(&'a WriteTx<'b>);

impl Statements<'_, '_> {
    fn intent(&self, id: IntentId) -> Option<Intent> {
        db::intents::get(self.0, id).unwrap()
    }
}

fn or_conflict<T>(result: Result<T, DbError>) -> Result<T, Conflict> {
    match result {
        Ok(value) => Ok(value),
        Err(DbError::Conflict { .. }) => Err(Conflict),
        Err(error) => panic!("{error:?}"),
    }
}

impl Rows for Statements<'_, '_> {
    fn lease(&self) -> Option<Lease> {
        db::leases::get(self.0, LEASE)
            .unwrap()
            .map(|lease| (lease.owner, lease.counter))
    }

    fn bump(&mut self, me: &str, now: Timestamp) -> bool {
        db::leases::bump(self.0, LEASE, me, now).unwrap()
    }

    fn take(&mut self, me: &str, seen: Option<&Lease>, now: Timestamp) -> bool {
        let seen = seen.map(|(owner, counter)| db::leases::Lease {
            owner: owner.clone(),
            counter: *counter,
        });
        db::leases::take(self.0, LEASE, me, seen.as_ref(), now).unwrap()
    }

    fn free(&mut self, me: &str) {
        db::leases::release(self.0, LEASE, me).unwrap();
    }

    fn state(&self, prefix: Prefix) -> (i64, PrefixState) {
        let row = db::decisions::state(self.0, prefix).unwrap();
        (row.version, row.state)
    }

    fn store_state(
        &mut self,
        prefix: Prefix,
        version: i64,
        next: &PrefixState,
        now: Timestamp,
    ) -> Result<i64, Conflict> {
        or_conflict(db::decisions::store_state(self.0, prefix, version, next, now))
    }

    fn add_evidence(&mut self, asked_at: Timestamp) -> EvidenceId {
        db::decisions::store_evidence(self.0, &"simulated", asked_at).unwrap()
    }

    fn evidence_at(&self, id: EvidenceId) -> Option<Timestamp> {
        db::decisions::evidence_at(self.0, id).unwrap()
    }

    fn holds(&self, now: Timestamp) -> Vec<Hold> {
        db::holds::in_force(self.0, now).unwrap()
    }

    fn add_hold(&mut self, prefix: Option<Prefix>, until: Option<Timestamp>, now: Timestamp) -> HoldId {
        db::holds::set(self.0, prefix, PERSON, "maintenance", until, now).unwrap()
    }

    fn release_hold(&mut self, prefix: Option<Prefix>, now: Timestamp) {
        db::holds::release(self.0, prefix, PERSON, now).unwrap();
    }

    fn binding_holds(&self, notice: Duration, now: Timestamp) -> Vec<Hold> {
        prefix_ops::holds::binding(self.0, notice, now).unwrap()
    }

    fn take_ending(&mut self, notice: Duration, now: Timestamp) -> Vec<Hold> {
        prefix_ops::holds::take_ending(self.0, notice, now).unwrap()
    }

    fn alerts(&self, since: Timestamp) -> Vec<OpenAlert> {
        db::ledger::open(self.0, since).unwrap()
    }

    fn enter_alert(&mut self, _: &OpenAlert, _: Option<Timestamp>) {
        panic!("the sample holds no alerts");
    }

    fn entry(&self, id: IntentId) -> Option<Entry> {
        self.intent(id).as_ref().map(entry_of)
    }

    fn evidence_of(&self, id: IntentId) -> Option<EvidenceId> {
        self.intent(id)?.evidence
    }

    fn open(&self) -> Vec<Entry> {
        db::intents::open(self.0).unwrap().iter().map(entry_of).collect()
    }

    fn newest(&self, prefix: Option<Prefix>, limit: u32) -> Vec<Entry> {
        db::intents::newest(self.0, prefix, limit)
            .unwrap()
            .iter()
            .map(entry_of)
            .collect()
    }

    fn file(&mut self, new: &New, now: Timestamp) -> IntentId {
        let origin = if new.automatic {
            Origin::Automatic
        } else {
            Origin::Person {
                actor: PERSON.into(),
                via: "prefix_manager".into(),
            }
        };
        let intent = NewIntent {
            prefix: new.prefix,
            act: new.act,
            origin,
            reason: "simulated".into(),
            prefix_id: PrefixId::new("parent"),
            bgp_prefix_id: BgpPrefixId::new("bgp"),
            epoch: new.epoch,
            state_version: new.state_version,
            evidence: new.evidence,
            incident: None,
            calm_s: None,
            peak: None,
            systems: vec![],
            attack_began_at: None,
            attack_ended_at: None,
            force: new.force,
        };
        db::intents::file(self.0, &intent, now).unwrap()
    }

    fn claim(&mut self, id: IntentId, me: &str, lease: Duration, now: Timestamp) -> Option<Entry> {
        let before = self.entry(id)?;
        let claimed = db::intents::claim(self.0, id, me, lease, now).unwrap();
        // The pure rule and the statement agree.
        assert_eq!(
            claimed.is_some(),
            before.may_be_claimed(me, now),
            "{before:?} by {me} at {now}"
        );
        claimed.as_ref().map(entry_of)
    }

    fn transition(
        &mut self,
        id: IntentId,
        me: &str,
        step: (IntentState, IntentState),
        not_before: Option<Timestamp>,
        release: bool,
        now: Timestamp,
    ) -> Result<(), Conflict> {
        let change = Change {
            outcome: None,
            not_before,
            release,
        };
        or_conflict(db::intents::transition(self.0, id, me, step, &change, now))
    }

    fn rest(&mut self, id: IntentId, me: &str, at: Timestamp) {
        db::intents::rest(self.0, id, me, at).unwrap();
    }

    fn extend_lease(&mut self, id: IntentId, me: &str, lease: Duration, now: Timestamp) -> Result<(), Conflict> {
        or_conflict(db::intents::extend_lease(self.0, id, me, lease, now))
    }

    fn cancel_unsent(&mut self, prefix: Prefix, automatic_only: bool, now: Timestamp) -> usize {
        db::intents::cancel_unsent(self.0, prefix, automatic_only, "simulated", now).unwrap()
    }

    fn renew(&mut self, prefix: Prefix, version: i64, evidence: EvidenceId) {
        db::intents::renew(self.0, prefix, version, evidence, 0).unwrap();
    }

    fn set_epoch(&mut self, id: IntentId, epoch: Epoch) {
        db::intents::set_epoch(self.0, id, epoch).unwrap();
    }

    fn attempt(&mut self, id: IntentId, me: &str, step: &str, class: &str, now: Timestamp) {
        db::intents::attempt(self.0, id, me, step, (class, ""), now).unwrap();
    }

    fn attempts(&self, id: IntentId) -> Vec<Attempt> {
        let attempts = db::intents::attempts(self.0, id).unwrap();
        attempts
            .into_iter()
            .map(|attempt| (attempt.step, attempt.class, attempt.at))
            .collect()
    }

    fn withdrawals(&self, since: Timestamp) -> Vec<(Prefix, Timestamp)> {
        db::intents::automatic_withdrawals(self.0, since).unwrap()
    }

    fn done(
        &mut self,
        entry: &Entry,
        me: &str,
        seen: &BgpState,
        already: bool,
        now: Timestamp,
    ) -> Result<(), Conflict> {
        let stored = self.intent(entry.id).unwrap();
        let intent = Intent {
            state: entry.state,
            ..stored
        };
        let seen = BgpPrefix {
            prefix: entry.prefix,
            parent_id: intent.prefix_id.clone(),
            id: intent.bgp_prefix_id.clone(),
            asn: None,
            description: String::new(),
            state: seen.clone(),
        };
        or_conflict(prefix_ops::record::done(self.0, &intent, me, &seen, already, now))
    }

    fn records(&self, id: IntentId) -> usize {
        let withdraws = self.entry(id).is_some_and(|entry| entry.act == Act::Withdraw);
        let shown = |attempt: &Attempt| attempt.1 == prefix_ops::record::SHOWN;
        self.attempts(id)
            .iter()
            .filter(|attempt| withdraws && shown(attempt))
            .count()
    }
}
