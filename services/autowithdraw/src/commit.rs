//! A cycle's outcome in one transaction: evidence, next states by compare-and-set, changed
//! verdicts, the published answer, intents, timeline and notices.

use db::decisions::Now;
use db::incidents::Line;
use db::intents::NewIntent;
use db::{DbError, WriteTx};
use domain::bgp::BgpState;
use domain::decision::{Effect, Mode, Verdict};
use domain::evidence::Observed;
use domain::ids::{EvidenceId, IncidentId, IntentId};
use domain::intent::{Act, IntentState, Origin};
use domain::notice::{Facts, Notice};
use domain::prefix::Prefix;
use domain::time::{minus, plus};
use jiff::Timestamp;
use std::time::Duration;

use crate::cycle::{Answered, Cycle, EvidenceRecord};

/// A matching change within this time after our call is ours (rule 11).
const EXPLAINS_FOR: Duration = Duration::from_secs(15 * 60);

/// How long before its end a hold is announced (rule 7).
const HOLD_END_NOTICE: Duration = Duration::from_secs(600);

/// What a commit did that the loop wants to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// Intents filed.
    pub filed: Vec<IntentId>,
    /// Prefixes whose verdict changed, with the new key.
    pub changed: Vec<(Prefix, String)>,
}

/// Writes a cycle.
///
/// # Errors
/// [`DbError::Conflict`] when another process changed a state since it was read: nothing of the
/// cycle is stored then.
pub fn commit(tx: &WriteTx<'_>, cycle: &Cycle, mode: Mode) -> Result<Committed, DbError> {
    let now = cycle.at;
    let record = EvidenceRecord {
        version: 1,
        at: now,
        inputs: cycle.answers.iter().map(|answer| &answer.inputs).collect(),
    };
    let evidence = db::decisions::store_evidence(tx, &record, now)?;
    let mut committed = Committed::default();
    for answer in &cycle.answers {
        commit_prefix(tx, answer, evidence, mode, now, &mut committed)?;
    }
    if !cycle.restarted.is_empty() {
        let facts = Facts::MassCalm {
            prefixes: cycle.restarted.clone(),
        };
        db::outbox::enqueue(tx, &Notice::about(facts), now)?;
    }
    for hold in db::holds::take_ending(tx, now, plus(now, HOLD_END_NOTICE))? {
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

fn commit_prefix(
    tx: &WriteTx<'_>,
    answer: &Answered,
    evidence: EvidenceId,
    mode: Mode,
    now: Timestamp,
    committed: &mut Committed,
) -> Result<(), DbError> {
    let prefix = answer.inputs.prefix;
    let decision = &answer.decision;
    match &answer.known.reading {
        Observed::Known { value, at } => {
            let mut read = answer.known.prefix.clone();
            read.state = value.clone();
            db::inventory::observed(tx, &read, answer.known.managed, *at)?;
        }
        Observed::Unavailable { reason } => db::inventory::failed(tx, prefix, reason, now)?,
    }
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
        mode,
    };
    db::decisions::publish(tx, &published, Some(evidence))?;
    for effect in &decision.effects {
        apply(tx, effect, answer, version, evidence, incident, now, committed)?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // one transaction's context, used nowhere else
fn apply(
    tx: &WriteTx<'_>,
    effect: &Effect,
    answer: &Answered,
    version: i64,
    evidence: EvidenceId,
    incident: Option<IncidentId>,
    now: Timestamp,
    committed: &mut Committed,
) -> Result<(), DbError> {
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
            if db::intents::renew(tx, prefix, version, evidence, calm)? {
                return Ok(());
            }
            // One at a time, also within a cycle (rule 8).
            if db::intents::open(tx)?.iter().any(|intent| intent.origin.is_automatic()) {
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
        Effect::AnnounceWouldWithdraw { calm_s } => tell(Facts::WouldWithdraw { prefix, calm_s: *calm_s }),
        Effect::AnnounceLimit { until } => tell(Facts::LimitReached { prefix, until: *until }),
        Effect::AnnounceReattack { withdrawn_at } => tell(Facts::Reattack {
            prefix,
            withdrawn_at: *withdrawn_at,
        }),
        Effect::BgpChanged { before, after } => {
            let Some(before) = before else { return Ok(()) };
            bgp_changed(tx, answer, before, after, incident, now)
        }
    }
}

/// A change of the live state: ours, Cloudflare's own auto-advertisement, or somebody else's.
fn bgp_changed(
    tx: &WriteTx<'_>,
    answer: &Answered,
    before: &BgpState,
    after: &BgpState,
    incident: Option<IncidentId>,
    now: Timestamp,
) -> Result<(), DbError> {
    let prefix = answer.inputs.prefix;
    let window = minus(now, EXPLAINS_FOR);
    let only_flag = BgpState {
        advertised: before.advertised,
        advertised_modified_at: before.advertised_modified_at,
        ..after.clone()
    } == *before;
    let explained = match after.advertised {
        Some(advertised) if only_flag => {
            let ours = db::intents::explains(tx, prefix, advertised, window)?.is_some();
            ours || (advertised && db::events::advertised_since(tx, prefix, window)?)
        }
        _ => false,
    };
    if after.advertised != before.advertised
        && let Some(incident) = incident
    {
        let (kind, text) = match after.advertised {
            Some(true) => ("seen_advertised", format!("{prefix} is advertised at Cloudflare")),
            Some(false) => ("seen_withdrawn", format!("{prefix} is not advertised any more")),
            None => ("seen_unknown", format!("Cloudflare does not say whether {prefix} is advertised")),
        };
        let line = Line {
            at: after.advertised_modified_at.filter(|at| *at <= now).unwrap_or(now),
            kind: kind.into(),
            text,
            source: "autowithdraw".into(),
            actor: None,
            reference: None,
        };
        db::incidents::note(tx, incident, &line, now)?;
    }
    if explained {
        return Ok(());
    }
    assert_again(tx, answer, after, now)?;
    let notice = Notice {
        facts: Facts::ForeignChange {
            prefix,
            before: before.clone(),
            after: after.clone(),
        },
        event: None,
        incident,
        group: None,
    };
    db::outbox::enqueue(tx, &notice, now).map(drop)
}

/// A person's advertise that a read within 15 min shows withdrawn is asserted again (rule 12).
fn assert_again(tx: &WriteTx<'_>, answer: &Answered, after: &BgpState, now: Timestamp) -> Result<(), DbError> {
    if after.advertised != Some(false) {
        return Ok(());
    }
    let window = minus(now, EXPLAINS_FOR);
    let newest = db::intents::newest(tx, Some(answer.inputs.prefix), 1)?;
    let Some(last) = newest.into_iter().next() else {
        return Ok(());
    };
    let recent = last.sending_at.is_some_and(|at| at >= window);
    if last.act != Act::Advertise || last.state != IntentState::Done || !recent || last.origin.is_automatic() {
        return Ok(());
    }
    let again = NewIntent {
        prefix: last.prefix,
        act: Act::Advertise,
        origin: last.origin,
        reason: format!("asserted again, a read showed it withdrawn: {}", last.reason),
        prefix_id: last.prefix_id,
        bgp_prefix_id: last.bgp_prefix_id,
        epoch: None,
        state_version: None,
        evidence: None,
        incident: last.incident,
        calm_s: None,
        peak: None,
        systems: Vec::new(),
        attack_began_at: None,
        attack_ended_at: None,
        force: false,
    };
    db::intents::file(tx, &again, now).map(drop)
}

fn note_verdict(tx: &WriteTx<'_>, incident: IncidentId, answer: &Answered, now: Timestamp) -> Result<(), DbError> {
    let decision = &answer.decision;
    let prefix = answer.inputs.prefix;
    let (kind, text) = match &decision.verdict {
        Verdict::Attack => {
            let latest = decision.latest.unwrap_or_default();
            let rate = format!("{} / {}", latest.bit_rate, latest.packet_rate);
            ("attack_seen", format!("drops on {prefix} exceed both thresholds: {rate} over the look-back"))
        }
        Verdict::Calm { since, .. } => (
            "calm_running",
            format!("no attack on {prefix} since {}; calm clock runs", domain::time::for_people_seconds(*since)),
        ),
        Verdict::Withdraw => ("calm_proven", format!("calm on {prefix} is proven: {}", decision.next.because)),
        Verdict::Blocked { .. } => ("blocked", format!("calm on {prefix} is proven, but {}", decision.next.because)),
        Verdict::Unknown { because, .. } => ("unknown", format!("{prefix} is unknown: {}", because.explain())),
        Verdict::Propagating { until } => (
            "propagating",
            format!("the announcement of {prefix} spreads until {}", domain::time::for_people_seconds(*until)),
        ),
        Verdict::Direct | Verdict::NotManaged => return Ok(()),
    };
    let line = Line {
        at: now,
        kind: kind.into(),
        text,
        source: "autowithdraw".into(),
        actor: None,
        reference: None,
    };
    db::incidents::note(tx, incident, &line, now)
}
