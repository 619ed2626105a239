//! The one line that says what the daemon sees and will do: for `systemctl status`, health pages
//! and the heartbeat.

use domain::decision::{Mode, NextKind, Verdict};
use domain::time::for_people_seconds;

use crate::actor::Standing;
use crate::cycle::Cycle;

/// `2 of 5 advertised, 1 under attack; next: withdraw 203.0.113.0/24 not before ...`
pub fn line(cycle: &Cycle, mode: Mode, standing: &Standing) -> String {
    let count = |wanted: fn(&Verdict) -> bool| cycle.answers.iter().filter(|a| wanted(&a.decision.verdict)).count();
    let advertised = cycle
        .answers
        .iter()
        .filter(|answer| answer.known.reading.value().and_then(|state| state.advertised) == Some(true))
        .count();
    let mut parts = vec![format!("{advertised} of {} advertised", cycle.answers.len())];
    let attacked = count(|verdict| matches!(verdict, Verdict::Attack));
    if attacked > 0 {
        parts.push(format!("{attacked} UNDER ATTACK"));
    }
    let unknown = count(|verdict| matches!(verdict, Verdict::Unknown { .. }));
    if unknown > 0 {
        parts.push(format!("{unknown} UNKNOWN"));
    }
    if let Some(error) = &cycle.discovery_error {
        parts.push(format!("prefixes not listed: {error}"));
    }
    match mode {
        Mode::Act => {}
        Mode::DryRun => parts.push("dry run".into()),
        Mode::Paused => parts.push("paused".into()),
    }
    parts.extend(held(cycle));
    if let Standing::StandBy { owner } = standing {
        parts.push(format!("standing by for {owner}"));
    }
    let next = cycle
        .answers
        .iter()
        .filter(|answer| answer.decision.next.kind == NextKind::Withdraw)
        .min_by_key(|answer| answer.decision.next.not_before);
    let mut text = parts.join(", ");
    if let Some(answer) = next {
        let when = answer
            .decision
            .next
            .not_before
            .map_or_else(String::new, |at| format!(" not before {}", for_people_seconds(at)));
        text.push_str(&format!("; next: withdraw {}{when}", answer.inputs.prefix));
    }
    text
}

/// Who holds what: a pause of everything first, then how many prefixes are held.
fn held(cycle: &Cycle) -> Vec<String> {
    let holds = || cycle.answers.iter().filter_map(|answer| answer.inputs.hold.as_ref());
    let end = |until: Option<jiff::Timestamp>| {
        until.map_or_else(String::new, |at| format!(" until {}", for_people_seconds(at)))
    };
    if let Some(pause) = holds().find(|hold| hold.prefix.is_none()) {
        return vec![format!("ALL PAUSED by {}{}", pause.actor, end(pause.until))];
    }
    let mut held: Vec<String> = cycle
        .answers
        .iter()
        .filter_map(|answer| Some((answer.inputs.prefix, answer.inputs.hold.as_ref()?)))
        .map(|(prefix, hold)| format!("{prefix} held by {}{}", hold.actor, end(hold.until)))
        .collect();
    if held.len() > 1 {
        held = vec![format!("{} prefixes held", held.len())];
    }
    held
}
