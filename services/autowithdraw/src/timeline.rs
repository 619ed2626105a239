//! What a changed verdict adds to an incident's timeline, one sentence each.

use db::incidents::Line;
use db::{DbError, WriteTx};
use domain::decision::Verdict;
use domain::ids::IncidentId;
use domain::time::for_people_seconds;
use jiff::Timestamp;

use crate::cycle::Answered;

/// Adds the line of a verdict that differs from the one before.
///
/// # Errors
/// Those of the database.
pub(crate) fn note_verdict(
    tx: &WriteTx<'_>,
    incident: IncidentId,
    answer: &Answered,
    now: Timestamp,
) -> Result<(), DbError> {
    let decision = &answer.decision;
    let prefix = answer.inputs.prefix;
    let (kind, text) = match &decision.verdict {
        Verdict::Attack => {
            let latest = decision.latest.unwrap_or_default();
            let rate = format!("{} / {}", latest.bit_rate, latest.packet_rate);
            (
                "attack_seen",
                format!("drops on {prefix} exceed both thresholds: {rate} over the look-back"),
            )
        }
        Verdict::Calm { since, .. } => (
            "calm_running",
            format!(
                "no attack on {prefix} since {}; calm clock runs",
                for_people_seconds(*since)
            ),
        ),
        Verdict::Withdraw => (
            "calm_proven",
            format!("calm on {prefix} is proven: {}", decision.next.because()),
        ),
        Verdict::Blocked { .. } => (
            "blocked",
            format!("calm on {prefix} is proven, but {}", decision.next.because()),
        ),
        Verdict::Unknown { because, .. } => ("unknown", format!("{prefix} is unknown: {}", because.explain())),
        Verdict::Propagating { until } => (
            "propagating",
            format!(
                "the announcement of {prefix} spreads until {}",
                for_people_seconds(*until)
            ),
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
