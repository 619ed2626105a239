//! One message about everything that was recovered. Old alerts must not read like new ones: it says
//! when they happened and what is still open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use db::alert_history::Untold;
use db::incidents::Incident;
use domain::alert::AlertKind;
use domain::ids::IncidentId;
use domain::notice::{Facts, Priority};
use domain::time::{for_people, for_people_seconds, since};
use jiff::Timestamp;

/// Incidents and other alerts that are listed one by one.
const LISTED: usize = 12;

/// What has not ended and gave its last sign within this time may still be going on.
const FRESH: Duration = Duration::from_secs(86_400);

/// The message; none when there is nothing to tell.
pub fn of(
    untold: &[Untold],
    incidents: &BTreeMap<IncidentId, Incident>,
    lost_since: Option<Timestamp>,
    now: Timestamp,
) -> Option<Facts> {
    if untold.is_empty() && lost_since.is_none() {
        return None;
    }
    let mut lines = Vec::new();
    if let (Some(first), Some(last)) = (untold.first(), untold.last()) {
        lines.push(format!(
            "Cloudflare sent them between {} and {}; they never came in. They were read from its notification \
             history and are in the record now, with their own times.",
            for_people_seconds(first.sent_at),
            for_people_seconds(last.sent_at),
        ));
    }
    let of_incidents = incidents.values().map(|incident| of_incident(incident, untold));
    let others: Vec<&Untold> = untold
        .iter()
        .filter(|alert| alert.incident.is_none_or(|id| !incidents.contains_key(&id)))
        .collect();
    let listed: Vec<String> = of_incidents.chain(others.iter().map(|alert| of_other(alert))).collect();
    lines.extend(listed.iter().take(LISTED).cloned());
    if listed.len() > LISTED {
        lines.push(format!("and {} more in the record", listed.len() - LISTED));
    }
    let unresolved = untold.iter().filter(|alert| alert.unresolved).count();
    if unresolved > 0 {
        lines.push(format!(
            "{unresolved} of them could not be tied to a prefix of yours; such an open attack alert holds every \
             withdrawal."
        ));
    }
    if let Some(since) = lost_since {
        lines.push(format!(
            "Nothing was compared since {}, and Cloudflare keeps its history for 30 days (Enterprise: 90). Alerts of \
             the time before may be missing.",
            for_people(since)
        ));
    }
    if !untold.is_empty() {
        lines.push(
            "Find out why the receiver did not get them: journalctl -u cloudflare-webhook, and the destination's \
             last failure under Notifications at Cloudflare."
                .to_owned(),
        );
    }
    Some(Facts::Raised {
        title: title(untold.len()),
        text: lines.join("\n"),
        priority: priority(untold, incidents, lost_since.is_some(), now),
    })
}

fn title(count: usize) -> String {
    match count {
        0 => "Alerts may be missing".to_owned(),
        1 => "1 missed alert recovered".to_owned(),
        count => format!("{count} missed alerts recovered"),
    }
}

fn of_incident(incident: &Incident, untold: &[Untold]) -> String {
    let alerts: Vec<&Untold> = untold
        .iter()
        .filter(|alert| alert.incident == Some(incident.id))
        .collect();
    let prefixes: BTreeSet<String> = incident.prefixes.iter().map(ToString::to_string).collect();
    let on = if prefixes.is_empty() {
        "no prefix known".to_owned()
    } else {
        prefixes.into_iter().collect::<Vec<_>>().join(", ")
    };
    let end = match (incident.ended_at, incident.withdrawn_at) {
        (Some(ended), _) => format!("ended {}", for_people_seconds(ended)),
        (None, Some(withdrawn)) => format!("withdrawn {}", for_people_seconds(withdrawn)),
        (None, None) => "STILL OPEN: no END was sent".to_owned(),
    };
    let numbers: Vec<i64> = alerts.iter().filter_map(|alert| Some(alert.event?.0)).collect();
    let numbers = match (numbers.first(), numbers.last()) {
        (Some(first), Some(last)) if first != last => format!("#{first} to #{last}"),
        (Some(first), _) => format!("#{first}"),
        _ => "no number".to_owned(),
    };
    format!(
        "• Incident {}: {}, {on}, began {}, {end} ({} recovered, {numbers})",
        incident.id.0,
        incident.title,
        for_people_seconds(incident.began_at),
        alerts.len(),
    )
}

fn of_other(alert: &Untold) -> String {
    let kind = AlertKind::from_name(alert.alert_type.as_deref().unwrap_or("untyped"));
    let mut parts = vec![format!(
        "• {}: {}",
        kind.title(),
        match alert.event_type.as_deref() {
            Some("END") => "over",
            Some("UPDATE") => "changed",
            _ => "reported",
        }
    )];
    parts.extend(alert.subject.clone().filter(|subject| !subject.is_empty()));
    let prefixes: Vec<String> = alert.prefixes.iter().map(ToString::to_string).collect();
    if !prefixes.is_empty() {
        parts.push(prefixes.join(", "));
    }
    parts.push(for_people_seconds(alert.happened_at));
    if let Some(event) = alert.event {
        parts.push(format!("#{}", event.0));
    }
    parts.join(", ")
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

    fn told(facts: Option<Facts>) -> (String, String, Priority) {
        match facts {
            Some(Facts::Raised { title, text, priority }) => (title, text, priority),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_attack_that_is_over_says_when_and_is_not_urgent() {
        let untold = [
            alert("1", "fbm_volumetric_attack", "START", "02:00:05", Some(7)),
            alert("2", "fbm_volumetric_attack", "END", "02:10:00", Some(7)),
        ];
        let (title, text, priority) = told(of(&untold, &incident(Some("02:10:00")), None, at("04:00:00")));
        assert_eq!(title, "2 missed alerts recovered");
        assert!(
            text.contains("between 27/03/2026 02:00:05 UTC and 27/03/2026 02:10:00 UTC"),
            "{text}"
        );
        let line = "• Incident 7: UDP flood, 203.0.113.0/24, began 27/03/2026 02:00:00 UTC, ended 27/03/2026 02:10:00 \
                    UTC (2 recovered, #10)";
        assert!(text.contains(line), "{text}");
        assert_eq!(priority, Priority::Medium);
    }

    #[test]
    fn what_may_go_on_is_as_urgent_as_its_own_message() {
        let untold = [alert("1", "fbm_dosd_attack", "START", "02:00:00", Some(7))];
        let (_, text, priority) = told(of(&untold, &incident(None), None, at("02:30:00")));
        assert!(text.contains("STILL OPEN"), "{text}");
        assert_eq!(priority, Priority::High);
        let a_week_later = "2026-04-03T02:30:00Z".parse().unwrap();
        assert_eq!(
            told(of(&untold, &incident(None), None, a_week_later)).2,
            Priority::Medium
        );
    }

    #[test]
    fn other_alerts_are_listed_and_many_are_counted() {
        let mut hijack = alert("1", "bgp_hijack_notification", "START", "02:00:00", None);
        hijack.priority = Priority::Critical;
        hijack.unresolved = true;
        let (title, text, priority) = told(of(&[hijack.clone()], &BTreeMap::new(), None, at("02:30:00")));
        assert_eq!(title, "1 missed alert recovered");
        assert!(
            text.contains("• BGP hijack: reported, 203.0.113.10, 203.0.113.0/24, 27/03/2026 02:00:00 UTC, #10"),
            "{text}"
        );
        assert!(text.contains("1 of them could not be tied"), "{text}");
        assert_eq!(priority, Priority::Critical);
        let many = vec![hijack; 40];
        let (_, text, _) = told(of(&many, &BTreeMap::new(), None, at("02:30:00")));
        assert!(text.contains("and 28 more in the record"), "{text}");
    }

    #[test]
    fn a_gap_is_told_even_when_nothing_is_left_to_recover() {
        assert_eq!(of(&[], &BTreeMap::new(), None, at("02:30:00")), None);
        let (title, text, priority) = told(of(&[], &BTreeMap::new(), Some(at("01:00:00")), at("02:30:00")));
        assert_eq!((title.as_str(), priority), ("Alerts may be missing", Priority::High));
        assert!(text.contains("since 27/03/2026 01:00 UTC"), "{text}");
    }
}
