//! Attacks: one that goes on, one on a prefix that is not advertised, and three of the days before.

use std::time::Duration;

use db::events::{self, NewEvent};
use db::incidents::{self, Line};
use db::{DbError, WriteTx, ledger};
use domain::alert::{Affected, Alert, AlertKind, Phase};
use domain::ids::{EventId, IncidentId};

use super::{ATTACKED, DIRECT, EXPOSED, MINUTE, Timestamp, Words, minus, plus, prefix};

/// An alert with only what the tests look at.
fn alert(vector: &str, phase: Phase, at: Timestamp) -> Alert {
    Alert {
        kind: AlertKind::AdvancedL4,
        phase,
        correlation_id: None,
        attack_id: None,
        policy_id: None,
        policy_name: None,
        text: None,
        sent_at: Some(at),
        started_at: Some(at),
        received_at: at,
        targets: vec![],
        hostname: None,
        target_port: None,
        protocol: None,
        vector: Some(vector.to_owned()),
        rule_id: None,
        rule_name: None,
        action: None,
        severity: None,
        packets_per_second: Some(610_000.0),
        bits_per_second: Some(4.1e9),
        requests_per_second: None,
        advertise: vec![],
        link: None,
        details: vec![],
        is_test: false,
        problems: vec![],
    }
}

pub(super) fn attack(tx: &WriteTx<'_>, words: &Words, now: Timestamp) -> Result<IncidentId, DbError> {
    let ago = |minutes: u64| minus(now, Duration::from_secs(minutes * MINUTE));
    let start = Alert {
        attack_id: Some("a1".into()),
        ..alert(&words.vector, Phase::Start, ago(16))
    };
    let affected = Affected {
        prefixes: vec![prefix(ATTACKED)],
        unresolved: false,
    };
    let incident = incidents::join(tx, &start, &affected.prefixes, now)?;
    let event = event(tx, words, "START", Some(ATTACKED), incident, ago(16))?;
    ledger::enter(tx, &start, &affected, event)?;
    let lines = [
        (
            16,
            "alert_start",
            format!("{} on {ATTACKED}, 4.10 Gbps", words.vector),
            words.source.as_str(),
            None,
        ),
        (
            15,
            "advertised",
            format!("{ATTACKED} is advertised by Network Monitoring"),
            "cloudflare webhook",
            None,
        ),
        (
            8,
            "attack_seen",
            format!("Drops exceed both thresholds: {}", words.reason),
            "autowithdraw",
            None,
        ),
        (3, "note", words.reason.clone(), "dashboard", Some(words.actor.clone())),
    ];
    for (minutes, kind, text, source, actor) in lines {
        let line = Line {
            at: ago(minutes),
            kind: kind.into(),
            text,
            source: source.into(),
            actor,
            reference: None,
        };
        incidents::note(tx, incident, &line, now)?;
    }
    let new = NewEvent {
        event_type: "ADVERTISE".into(),
        alert_type: "fbm_auto_advertisement".into(),
        prefixes: vec![prefix(ATTACKED)],
        action_taken: "auto_advertised".into(),
        incident: Some(incident),
        created_at: Some(ago(15)),
        ..NewEvent::default()
    };
    events::append(tx, &new, now)?;
    Ok(incident)
}

fn event(
    tx: &WriteTx<'_>,
    words: &Words,
    kind: &str,
    cidr: Option<&str>,
    incident: IncidentId,
    at: Timestamp,
) -> Result<EventId, DbError> {
    let new = NewEvent {
        event_type: kind.into(),
        alert_type: "advanced_ddos_attack_l4_alert".into(),
        attack_id: Some("a1".into()),
        policy_name: Some(words.policy.clone()),
        prefixes: cidr.map(prefix).into_iter().collect(),
        target_ip: Some("203.0.113.10".into()),
        target_port: Some(53),
        protocol: Some("UDP".into()),
        attack_vector: Some(words.vector.clone()),
        packets_per_second: Some("610000".into()),
        megabits_per_second: Some("4100".into()),
        action_taken: "mitigating".into(),
        raw_payload: Some(words.payload.clone()),
        created_at: Some(at),
        incident: Some(incident),
        actor: Some(words.actor.clone()),
        ..NewEvent::default()
    };
    events::append(tx, &new, at)
}

/// Attacks of the days before, withdrawn since.
pub(super) fn past(tx: &WriteTx<'_>, words: &Words, now: Timestamp) -> Result<(), DbError> {
    for (hours, vector) in [(98, "UDP flood"), (51, "DNS amplification"), (30, "SYN flood")] {
        let began = minus(now, Duration::from_secs(hours * 3_600));
        let ended = plus(began, Duration::from_secs(24 * MINUTE));
        let start = alert(vector, Phase::Start, began);
        let incident = incidents::join(tx, &start, &[prefix(DIRECT)], began)?;
        event(
            tx,
            &Words {
                vector: vector.into(),
                ..words.clone()
            },
            "START",
            Some(DIRECT),
            incident,
            began,
        )?;
        incidents::join(tx, &alert(vector, Phase::End, ended), &[prefix(DIRECT)], ended)?;
        event(
            tx,
            &Words {
                vector: vector.into(),
                ..words.clone()
            },
            "END",
            Some(DIRECT),
            incident,
            ended,
        )?;
        incidents::withdrawn(tx, incident, plus(ended, Duration::from_secs(21 * MINUTE)), now)?;
        incidents::acknowledge(tx, incident, &words.actor, ended)?;
    }
    Ok(())
}

/// An alert on a prefix that is not advertised.
pub(super) fn exposed(tx: &WriteTx<'_>, words: &Words, now: Timestamp) -> Result<(), DbError> {
    let at = minus(now, Duration::from_secs(4 * MINUTE));
    let start = Alert {
        attack_id: Some("b2".into()),
        packets_per_second: Some(42_000.0),
        bits_per_second: Some(380e6),
        ..alert("TCP reset flood", Phase::Start, at)
    };
    let affected = Affected {
        prefixes: vec![prefix(EXPOSED)],
        unresolved: false,
    };
    let incident = incidents::join(tx, &start, &affected.prefixes, now)?;
    let event = event(
        tx,
        &Words {
            vector: "TCP reset flood".into(),
            ..words.clone()
        },
        "START",
        Some(EXPOSED),
        incident,
        at,
    )?;
    ledger::enter(tx, &start, &affected, event)
}
