//! What is happening now, one line per attack: which, on what, since when, and what comes next.
//!
//! An incident is current while it has not ended, and after its END as long as one of its prefixes is not known to be
//! direct again. An attack that the drops show and no alert announced is a line as well, and so is an alert that names
//! no prefix of ours.

use std::time::Duration;

use db::incidents::Incident;
use domain::alert::OpenAlert;
use domain::ids::IncidentId;
use domain::prefix::Prefix;
use domain::time::since;
use jiff::Timestamp;
use serde::Serialize;

use super::prefix::{Dropped, PrefixView};
use super::state::{State, Tone};
use crate::words;

/// An incident without END whose last sign is older is current only if a prefix of it says so: some kinds of alert
/// have no END.
const SIGNS_WITHIN: Duration = Duration::from_secs(2 * 3_600);

/// A line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Current {
    pub(crate) incident: Option<IncidentId>,
    pub(crate) tone: Tone,
    pub(crate) what: String,
    pub(crate) prefixes: Vec<Prefix>,
    pub(crate) peak: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) acknowledged_by: Option<String>,
    pub(crate) next: String,
}

/// The lines, most urgent first.
pub(crate) fn lines(
    incidents: &[Incident],
    prefixes: &[PrefixView],
    alerts: &[OpenAlert],
    now: Timestamp,
) -> Vec<Current> {
    let mut lines: Vec<Current> = incidents
        .iter()
        .filter_map(|incident| of_incident(incident, prefixes, now))
        .collect();
    for view in prefixes.iter().filter(|view| view.state == State::UnderAttack) {
        if !lines.iter().any(|line| line.prefixes.contains(&view.prefix)) {
            lines.push(unannounced(view));
        }
    }
    lines.extend(alerts.iter().filter(|alert| alert.unresolved).map(unresolved));
    lines.sort_by_key(|line| (line.tone != Tone::Attack, std::cmp::Reverse(line.since)));
    lines
}

fn of_incident(incident: &Incident, prefixes: &[PrefixView], now: Timestamp) -> Option<Current> {
    let views: Vec<&PrefixView> = prefixes
        .iter()
        .filter(|view| incident.prefixes.contains(&view.prefix))
        .collect();
    let attacked = views.iter().any(|view| view.state == State::UnderAttack);
    let away = views.iter().any(|view| view.advertised != Some(false));
    let fresh = since(now, incident.last_sign_at) < SIGNS_WITHIN;
    let current = match incident.ended_at {
        Some(_) => away,
        None => fresh || away,
    };
    if !current && !attacked {
        return None;
    }
    let exposed = views.iter().any(|view| view.is_exposed()) && incident.ended_at.is_none();
    let blind = views.iter().any(|view| view.is_alerted_blindly()) && incident.ended_at.is_none();
    let tone = if attacked || exposed || blind {
        Tone::Attack
    } else if incident.ended_at.is_none() {
        Tone::Warn
    } else {
        Tone::Plain
    };
    let worst = views
        .iter()
        .min_by_key(|view| (!view.is_exposed(), view.state.urgency()));
    let next = match worst {
        Some(view) if views.len() > 1 => format!("{}: {}", view.prefix, view.next),
        Some(view) => view.next.clone(),
        None => "nothing; it names no prefix of ours".to_owned(),
    };
    Some(Current {
        incident: Some(incident.id),
        tone,
        what: title(incident),
        prefixes: incident.prefixes.clone(),
        peak: words::rates(incident.peak_bps, incident.peak_pps),
        since: Some(incident.began_at),
        ended_at: incident.ended_at,
        acknowledged_by: incident.acknowledged_by.as_deref().map(words::outside),
        next,
    })
}

fn unannounced(view: &PrefixView) -> Current {
    let rate = |dropped: Dropped| words::rates(Some(dropped.bits_per_second), Some(dropped.packets_per_second));
    Current {
        incident: None,
        tone: Tone::Attack,
        what: "Dropped traffic exceeds both thresholds, no alert announced it".to_owned(),
        prefixes: vec![view.prefix],
        peak: view.peak.or(view.dropped).and_then(rate),
        since: view.dropped.map(|dropped| dropped.ends_at),
        ended_at: None,
        acknowledged_by: None,
        next: view.next.clone(),
    }
}

fn unresolved(alert: &OpenAlert) -> Current {
    let (what, next) = if alert.is_unread() {
        (
            "Notifications of Cloudflare are received and not read yet".to_owned(),
            "no prefix is withdrawn until they are; nobody knows yet what they are about",
        )
    } else {
        (
            format!(
                "Alert #{} ({}) names no prefix of ours",
                alert.event,
                words::outside_up_to(&alert.kind, 60)
            ),
            "no prefix is withdrawn while it is open; see which network it means",
        )
    };
    Current {
        incident: None,
        tone: Tone::Warn,
        what,
        prefixes: Vec::new(),
        peak: None,
        since: Some(alert.since),
        ended_at: None,
        acknowledged_by: None,
        next: next.to_owned(),
    }
}

/// What an incident is called.
pub(crate) fn title(incident: &Incident) -> String {
    words::outside_up_to(incident.vector.as_deref().unwrap_or(&incident.title), 120)
}
