//! The check that nothing is left undone: what a site must look like once its story is over and its services have ended.

use std::collections::BTreeSet;

use cf_sim::Outcome;

use crate::record::Record;
use crate::site::Site;

/// Everything that is left undone, in words; empty when nothing is.
///
/// Call it after the services were stopped in order.
///
/// # Panics
/// When the database cannot be read.
#[must_use]
pub fn left_undone(site: &Site) -> Vec<String> {
    let db = site.db();
    let record = Record::read(&db).expect("the database can be read");
    let mut undone = Vec::new();
    for (intent, _) in record.intents.iter().filter(|(intent, _)| intent.state.is_open()) {
        undone.push(format!(
            "intent {} ({} {}) is still {}",
            intent.id, intent.act, intent.prefix, intent.state
        ));
    }
    for notification in &record.notifications {
        if !matches!(notification.state.as_str(), "sent" | "suppressed") {
            let (id, kind, state) = (notification.id, &notification.kind, &notification.state);
            undone.push(format!("notice {id} ({kind}) is {state}"));
        }
    }
    if let Some(lease) = &record.actor {
        undone.push(format!("the actor's lease is still held by {}", lease.owner));
    }
    for beat in record.heartbeats.iter().filter(|beat| beat.state != "stopped") {
        undone.push(format!(
            "{} did not say that it stops, its last state is {}",
            beat.service, beat.state
        ));
    }
    // An identical body is stored once and acknowledged each time.
    let deliveries = site.sim.deliveries();
    let acknowledged = deliveries
        .iter()
        .filter(|delivery| delivery.outcome == Outcome::Answered(200));
    let acknowledged: BTreeSet<&str> = acknowledged.map(|delivery| delivery.body.as_str()).collect();
    if record.deliveries < acknowledged.len() as u64 {
        undone.push(format!(
            "{} deliveries were acknowledged, {} are stored",
            acknowledged.len(),
            record.deliveries
        ));
    }
    undone.extend(contradictions(&record));
    let problems = db.integrity_check_blocking().expect("the file can be checked");
    undone.extend(
        problems
            .into_iter()
            .map(|problem| format!("the file is damaged: {problem}")),
    );
    undone
}

/// What must hold between the tables at any time.
fn contradictions(record: &Record) -> Vec<String> {
    use domain::intent::{Act, IntentState};
    let mut found = Vec::new();
    let acted = record
        .intents
        .iter()
        .map(|(intent, _)| intent)
        .filter(|intent| intent.state == IntentState::Done && intent.outcome_class.as_deref() == Some("done"));
    let withdrawn = acted.filter(|intent| intent.act == Act::Withdraw).count();
    for (what, count) in [
        ("rows of withdrawal_history", record.history.len()),
        ("WITHDRAW rows of attack_events", record.events_of("WITHDRAW").count()),
        ("messages about a withdrawal", record.messages_of("withdrawn").count()),
    ] {
        if count != withdrawn {
            found.push(format!(
                "{withdrawn} withdrawals were done, but there are {count} {what}"
            ));
        }
    }
    found
}
