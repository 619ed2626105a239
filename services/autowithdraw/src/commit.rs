//! A cycle's outcome in one transaction: evidence, next states by compare-and-set, changed
//! verdicts, the published answer, intents, timeline and notices. Only the actor's counts.

use std::time::Duration;

use db::decisions::Now;
use db::intents::NewIntent;
use db::{DbError, WriteTx};
use domain::decision::{Effect, Mode};
use domain::evidence::Observed;
use domain::ids::{EvidenceId, IncidentId, IntentId};
use domain::intent::{Act, IntentState, Origin};
use domain::notice::{Facts, Notice};
use domain::prefix::Prefix;
use jiff::Timestamp;
use prefix_ops::execute::entry_of;

use crate::actor::LEASE;
use crate::bindings;
use crate::changes::{self, Foreign};
use crate::cycle::{Answered, Cycle, EvidenceRecord};
use crate::reattack;
use crate::timeline::note_verdict;

/// What a commit needs to know besides the cycle.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Mode automation runs in.
    pub mode: Mode,
    /// Who commits: must hold the lease.
    pub owner: String,
    /// How long before anything may follow a hold its end is announced.
    pub hold_end_notice: Duration,
    /// How long an advertisement may wait for what explains it.
    pub unexplained_for: Duration,
}

/// What a commit did that the loop wants to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// Intents filed.
    pub filed: Vec<IntentId>,
    /// Prefixes whose verdict changed, with the new key.
    pub changed: Vec<(Prefix, String)>,
    /// Another process is the actor: nothing was written.
    pub not_ours: bool,
}

/// Writes a cycle.
///
/// # Errors
/// [`DbError::Conflict`] when another process changed a state since it was read: nothing of the
/// cycle is stored then.
pub fn commit(tx: &WriteTx<'_>, cycle: &Cycle, terms: &Terms) -> Result<Committed, DbError> {
    let now = cycle.at;
    // A process that was stopped during its cycle may have a successor by now.
    if db::leases::get(tx, LEASE)?.is_none_or(|lease| lease.owner != terms.owner) {
        return Ok(Committed {
            not_ours: true,
            ..Committed::default()
        });
    }
    let record = EvidenceRecord {
        version: 1,
        at: now,
        inputs: cycle.answers.iter().map(|answer| &answer.inputs).collect(),
    };
    let evidence = db::decisions::store_evidence(tx, &record, cycle.evidence_at)?;
    let mut committed = Committed::default();
    let mut foreign = Vec::new();
    for answer in &cycle.answers {
        commit_prefix(tx, answer, evidence, terms, now, (&mut committed, &mut foreign))?;
    }
    changes::announce(tx, foreign, now)?;
    bindings::commit(tx, cycle, now)?;
    cancel_forgotten(tx, cycle, now)?;
    if !cycle.restarted.is_empty() {
        let facts = Facts::MassCalm {
            prefixes: cycle.restarted.clone(),
        };
        db::outbox::enqueue(tx, &Notice::about(facts), now)?;
    }
    for hold in prefix_ops::holds::take_ending(tx, terms.hold_end_notice, now)? {
        let Some(until) = hold.until else { continue };
        let facts = Facts::HoldEnding {
            prefix: hold.prefix,
            actor: hold.actor,
            reason: hold.reason,
            until,
        };
        db::outbox::enqueue(tx, &Notice::about(facts), now)?;
    }
    Ok(committed)
}

/// An unsent automatic intent of a prefix that no cycle looks at would wait for ever, and all
/// others with it.
fn cancel_forgotten(tx: &WriteTx<'_>, cycle: &Cycle, now: Timestamp) -> Result<(), DbError> {
    for intent in db::intents::open(tx)? {
        let looked_at = cycle.answers.iter().any(|answer| answer.inputs.prefix == intent.prefix);
        if intent.origin.is_automatic() && !looked_at {
            db::intents::cancel_unsent(tx, intent.prefix, true, "the prefix is not known any more", now)?;
        }
    }
    Ok(())
}

/// Stores what was read, unless an act of ours has stored something newer meanwhile.
fn store_reading(tx: &WriteTx<'_>, answer: &Answered, now: Timestamp) -> Result<(), DbError> {
    let prefix = answer.inputs.prefix;
    match &answer.known.reading {
        Observed::Known { value, at } => {
            let newest = db::inventory::get(tx, prefix)?.map(|entry| entry.read_at);
            // One from the future was stored before a clock was set back.
            if newest.is_some_and(|newest| newest > *at && newest <= now) {
                return Ok(());
            }
            let mut read = answer.known.prefix.clone();
            read.state = value.clone();
            db::inventory::observed(tx, &read, answer.known.managed, *at)
        }
        Observed::Unavailable { reason } => db::inventory::failed(tx, prefix, reason, now),
    }
}

fn commit_prefix(
    tx: &WriteTx<'_>,
    answer: &Answered,
    evidence: EvidenceId,
    terms: &Terms,
    now: Timestamp,
    (committed, foreign): (&mut Committed, &mut Vec<Foreign>),
) -> Result<(), DbError> {
    let prefix = answer.inputs.prefix;
    let decision = &answer.decision;
    store_reading(tx, answer, now)?;
    let version = if answer.before.state == decision.state {
        answer.before.version
    } else {
        db::decisions::store_state(tx, prefix, answer.before.version, &decision.state, now)?
    };
    let key = decision.verdict.key();
    let incident = db::incidents::current(tx, prefix)?;
    if answer.before.state.last_verdict != key {
        db::decisions::record(tx, prefix, decision, version, Some(evidence), now)?;
        if let Some(incident) = incident {
            note_verdict(tx, incident, answer, now)?;
        }
        committed.changed.push((prefix, key));
    }
    if let (Some(incident), Some(peak)) = (incident, decision.state.peak) {
        db::incidents::raise_peak(tx, incident, peak.packet_rate.0, peak.bit_rate.0, now)?;
    }
    if let Some(traffic) = answer.inputs.traffic.value() {
        db::decisions::store_series(tx, prefix, traffic.bucket.as_secs(), &traffic.drops)?;
    }
    let published = Now {
        prefix,
        at: now,
        decision: decision.clone(),
        bgp: answer.known.reading.value().cloned(),
        managed: answer.known.managed,
        mode: terms.mode,
    };
    db::decisions::publish(tx, &published, Some(evidence))?;
    if let Some(withdrawn_at) = reattack::alerted_after(&answer.inputs) {
        reattack::tell(tx, prefix, withdrawn_at, incident, now)?;
    }
    changes::settle(tx, prefix, incident, terms.unexplained_for, now, foreign)?;
    let context = Context {
        answer,
        version,
        evidence,
        incident,
        now,
    };
    for effect in &decision.effects {
        apply(tx, effect, &context, committed, foreign)?;
    }
    Ok(())
}

/// What the effects of one decision have in common.
struct Context<'a> {
    answer: &'a Answered,
    version: i64,
    evidence: EvidenceId,
    incident: Option<IncidentId>,
    now: Timestamp,
}

fn apply(
    tx: &WriteTx<'_>,
    effect: &Effect,
    context: &Context<'_>,
    committed: &mut Committed,
    foreign: &mut Vec<Foreign>,
) -> Result<(), DbError> {
    let Context {
        answer,
        version,
        evidence,
        incident,
        now,
    } = *context;
    let prefix = answer.inputs.prefix;
    let tell = |facts: Facts| -> Result<(), DbError> {
        let notice = Notice {
            facts,
            event: None,
            incident,
            group: None,
        };
        db::outbox::enqueue(tx, &notice, now).map(drop)
    };
    match effect {
        Effect::IntendWithdrawal { epoch, calm_s } => {
            let calm = i64::try_from(*calm_s).unwrap_or(i64::MAX);
            let open = db::intents::open(tx)?;
            let own = open
                .iter()
                .find(|intent| intent.prefix == prefix && intent.origin.is_automatic());
            if let Some(own) = own {
                // What was sent keeps the proof it was sent on.
                if own.state == IntentState::Planned {
                    db::intents::renew(tx, prefix, version, evidence, calm)?;
                }
                return Ok(());
            }
            // One at a time, also within a cycle (rule 8).
            if open.iter().any(|intent| entry_of(intent).is_under_way(now)) {
                return Ok(());
            }
            let state = &answer.decision.state;
            let intent = NewIntent {
                prefix,
                act: Act::Withdraw,
                origin: Origin::Automatic,
                reason: format!(
                    "calm proven for {}",
                    domain::duration::human(Duration::from_secs(*calm_s))
                ),
                prefix_id: answer.known.prefix.parent_id.clone(),
                bgp_prefix_id: answer.known.prefix.id.clone(),
                epoch: Some(*epoch),
                state_version: Some(version),
                evidence: Some(evidence),
                incident,
                calm_s: Some(calm),
                peak: state.peak,
                systems: state.systems.iter().cloned().collect(),
                attack_began_at: state.attack_since,
                attack_ended_at: state.last_attack_end,
                force: false,
            };
            committed.filed.push(db::intents::file(tx, &intent, now)?);
            Ok(())
        }
        Effect::CancelIntent { because } => db::intents::cancel_unsent(tx, prefix, true, because, now).map(drop),
        Effect::AnnounceBlind { because, since } => tell(Facts::AutomationBlind {
            prefix,
            because: because.clone(),
            since: *since,
        }),
        Effect::AnnounceSighted { since } => tell(Facts::AutomationSighted { prefix, since: *since }),
        Effect::AnnounceOverdue { since, because } => tell(Facts::Overdue {
            prefix,
            since: *since,
            because: because.clone(),
        }),
        Effect::AnnounceWouldWithdraw { calm_s } => tell(Facts::WouldWithdraw {
            prefix,
            calm_s: *calm_s,
        }),
        Effect::AnnounceLimit { until } => tell(Facts::LimitReached { prefix, until: *until }),
        Effect::AnnounceReattack { withdrawn_at } => reattack::tell(tx, prefix, *withdrawn_at, incident, now),
        Effect::BgpChanged { before, after } => {
            let Some(before) = before else { return Ok(()) };
            changes::changed(tx, prefix, (before, after), incident, now, foreign)
        }
    }
}
