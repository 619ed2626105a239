//! One notice about everything that was recovered. Old alerts must not read like new ones: the message says when they
//! happened and, looked up when it is sent, what is still open.

use std::collections::BTreeMap;
use std::time::Duration;

use db::alert_history::Untold;
use db::incidents::Incident;
use domain::alert::{AlertKind, Phase};
use domain::ids::IncidentId;
use domain::notice::{Facts, Priority, RecoveredAlert, RecoveredIncident};
use domain::time::since;
use jiff::Timestamp;

/// Incidents and other alerts that are kept one by one; more are counted. The message lists fewer.
const KEPT: usize = 40;

/// Longest text kept of what an alert names.
const LONGEST: usize = 200;

/// What has not ended and gave its last sign within this time may still be going on.
const FRESH: Duration = Duration::from_secs(86_400);

/// The notice; none when there is nothing to tell.
pub fn of(
    untold: &[Untold],
    incidents: &BTreeMap<IncidentId, Incident>,
    lost_since: Option<Timestamp>,
    now: Timestamp,
) -> Option<Facts> {
    if untold.is_empty() && lost_since.is_none() {
        return None;
    }
    let others: Vec<&Untold> = untold
        .iter()
        .filter(|alert| alert.incident.is_none_or(|id| !incidents.contains_key(&id)))
        .collect();
    let kept_others = KEPT.saturating_sub(incidents.len().min(KEPT));
    let more = incidents.len().saturating_sub(KEPT) + others.len().saturating_sub(kept_others);
    Some(Facts::CaughtUp {
        recovered: count(untold.len()),
        sent: untold
            .first()
            .zip(untold.last())
            .map(|(first, last)| (first.sent_at, last.sent_at)),
        incidents: incidents.keys().take(KEPT).map(|id| of_incident(*id, untold)).collect(),
        others: others.into_iter().take(kept_others).map(of_other).collect(),
        more: count(more),
        unresolved: count(untold.iter().filter(|alert| alert.unresolved).count()),
        lost_since,
        priority: priority(untold, incidents, lost_since.is_some(), now),
    })
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn of_incident(id: IncidentId, untold: &[Untold]) -> RecoveredIncident {
    let alerts: Vec<&Untold> = untold.iter().filter(|alert| alert.incident == Some(id)).collect();
    let mut events = alerts.iter().filter_map(|alert| alert.event);
    let first = events.next();
    RecoveredIncident {
        incident: id,
        alerts: count(alerts.len()),
        events: first.map(|first| (first, events.next_back().unwrap_or(first))),
    }
}

fn of_other(alert: &Untold) -> RecoveredAlert {
    let subject = alert.subject.as_deref().filter(|subject| !subject.is_empty());
    RecoveredAlert {
        kind: AlertKind::from_name(alert.alert_type.as_deref().unwrap_or("untyped")),
        phase: match alert.event_type.as_deref() {
            Some("END") => Phase::End,
            Some("UPDATE") => Phase::Update,
            _ => Phase::Start,
        },
        subject: subject.map(|subject| subject.chars().take(LONGEST).collect()),
        prefixes: alert.prefixes.clone(),
        happened_at: alert.happened_at,
        event: alert.event,
    }
}

/// As urgent as what may still be going on. What is over is worth knowing soon, no more.
fn priority(untold: &[Untold], incidents: &BTreeMap<IncidentId, Incident>, lost: bool, now: Timestamp) -> Priority {
    let goes_on = |alert: &&Untold| match alert.incident.and_then(|id| incidents.get(&id)) {
        Some(incident) => {
            incident.ended_at.is_none() && incident.withdrawn_at.is_none() && since(now, incident.last_sign_at) <= FRESH
        }
        None => alert.event_type.as_deref() != Some("END") && since(now, alert.happened_at) <= FRESH,
    };
    let open = untold.iter().filter(goes_on).map(|alert| alert.priority);
    let least = if lost { Priority::High } else { Priority::Medium };
    open.chain([least]).min().unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use domain::ids::EventId;

    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-03-27T{text}Z").parse().unwrap()
    }

    fn alert(id: &str, kind: &str, event_type: &str, time: &str, incident: Option<i64>) -> Untold {
        Untold {
            id: id.into(),
            sent_at: at(time),
            priority: Priority::High,
            event: Some(EventId(10)),
            event_type: Some(event_type.into()),
            alert_type: Some(kind.into()),
            incident: incident.map(IncidentId),
            prefixes: vec!["203.0.113.0/24".parse().unwrap()],
            unresolved: false,
            happened_at: at(time),
            subject: Some("203.0.113.10".into()),
        }
    }

    fn incident(ended: Option<&str>) -> BTreeMap<IncidentId, Incident> {
        let incident = Incident {
            id: IncidentId(7),
            title: "UDP flood".into(),
            vector: Some("UDP flood".into()),
            prefixes: vec!["203.0.113.0/24".parse().unwrap()],
            began_at: at("02:00:00"),
            last_sign_at: at(ended.unwrap_or("02:00:00")),
            ended_at: ended.map(at),
            withdrawn_at: None,
            peak_pps: None,
            peak_bps: None,
            is_test: false,
            acknowledged_by: None,
            acknowledged_at: None,
            updated_at: at("02:30:00"),
        };
        BTreeMap::from([(incident.id, incident)])
    }

    /// Count, incidents, other alerts, and how urgent it is.
    fn told(facts: Option<Facts>) -> (u64, Vec<RecoveredIncident>, Vec<RecoveredAlert>, Priority) {
        match facts {
            Some(Facts::CaughtUp {
                recovered,
                incidents,
                others,
                priority,
                ..
            }) => (recovered, incidents, others, priority),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_attack_that_is_over_is_named_and_not_urgent() {
        let untold = [
            alert("1", "fbm_volumetric_attack", "START", "02:00:05", Some(7)),
            alert("2", "fbm_volumetric_attack", "END", "02:10:00", Some(7)),
        ];
        let facts = of(&untold, &incident(Some("02:10:00")), None, at("04:00:00"));
        let Some(Facts::CaughtUp { sent, unresolved, .. }) = &facts else {
            panic!("{facts:?}")
        };
        assert_eq!((*sent, *unresolved), (Some((at("02:00:05"), at("02:10:00"))), 0));
        let (recovered, incidents, others, priority) = told(facts);
        assert_eq!((recovered, others.len(), priority), (2, 0, Priority::Medium));
        let expected = RecoveredIncident {
            incident: IncidentId(7),
            alerts: 2,
            events: Some((EventId(10), EventId(10))),
        };
        assert_eq!(incidents, [expected]);
    }

    #[test]
    fn what_may_go_on_is_as_urgent_as_its_own_message() {
        let untold = [alert("1", "fbm_dosd_attack", "START", "02:00:00", Some(7))];
        assert_eq!(
            told(of(&untold, &incident(None), None, at("02:30:00"))).3,
            Priority::High
        );
        let a_week_later = "2026-04-03T02:30:00Z".parse().unwrap();
        assert_eq!(
            told(of(&untold, &incident(None), None, a_week_later)).3,
            Priority::Medium
        );
    }

    #[test]
    fn other_alerts_are_kept_and_many_are_counted() {
        let mut hijack = alert("1", "bgp_hijack_notification", "START", "02:00:00", None);
        hijack.priority = Priority::Critical;
        hijack.unresolved = true;
        hijack.subject = Some("x".repeat(10_000));
        let (recovered, _, others, priority) = told(of(&[hijack.clone()], &BTreeMap::new(), None, at("02:30:00")));
        assert_eq!((recovered, priority), (1, Priority::Critical));
        assert_eq!(
            (&others[0].kind, others[0].phase),
            (&AlertKind::BgpHijack, Phase::Start)
        );
        assert_eq!(others[0].subject.as_ref().unwrap().len(), LONGEST);
        let many = vec![hijack; 60];
        let facts = of(&many, &BTreeMap::new(), None, at("02:30:00"));
        let Some(Facts::CaughtUp {
            more,
            unresolved,
            others,
            ..
        }) = facts
        else {
            panic!("{facts:?}")
        };
        assert_eq!((others.len(), more, unresolved), (KEPT, 20, 60));
    }

    #[test]
    fn a_gap_is_told_even_when_nothing_is_left_to_recover() {
        assert_eq!(of(&[], &BTreeMap::new(), None, at("02:30:00")), None);
        let facts = of(&[], &BTreeMap::new(), Some(at("01:00:00")), at("02:30:00"));
        assert!(
            matches!(
                &facts,
                Some(Facts::CaughtUp {
                    lost_since: Some(_),
                    sent: None,
                    ..
                })
            ),
            "{facts:?}"
        );
        assert_eq!((told(facts.clone()).0, told(facts).3), (0, Priority::High));
    }
}
