//! The first line: what happened, and to which prefix. Also the one line of an event within a digest.

use domain::alert::{Alert, AlertKind, Phase};
use domain::intent::Act;
use domain::notice::Facts;
use domain::prefix::Prefix;
use domain::time::{for_people, since};
use domain::units::{Bits, grouped};
use jiff::Timestamp;

use super::details::{Details, word};
use super::{limit, minutes};
use crate::context::Context;
use crate::document::Line;
use crate::words::Words;

/// Prefixes named in a headline; more are counted.
const MOST_NAMED: usize = 3;

/// `written` is when the notice was entered: lengths that had ended by then are measured to it.
pub(super) fn of(facts: &Facts, context: &Context, written: Timestamp) -> Line {
    let lasted = |from: &Timestamp| minutes(since(written, *from));
    match facts {
        Facts::Alert { alert, prefixes, .. } => alert_line(alert, &ours(prefixes, context)),
        Facts::UnreadableAlert { .. } => "A delivery from Cloudflare could not be read".into(),
        Facts::Acted { act, prefix, .. } => code(*prefix).text(match act {
            Act::Withdraw => " withdrawn",
            Act::Advertise => " advertised",
        }),
        Facts::ActRefused { act, prefix, .. } => match act {
            Act::Withdraw => after("Withdrawal of ", *prefix).text(" refused"),
            Act::Advertise => after("Advertisement of ", *prefix).text(" refused: NOT protected by this act"),
        },
        Facts::ActUnresolved { act, prefix, .. } => match act {
            Act::Withdraw => after("Withdrawal of ", *prefix).text(" unresolved: look now"),
            Act::Advertise => after("Advertisement of ", *prefix).text(" unresolved: look now"),
        },
        Facts::AutomationBlind { prefix, .. } => after("Automation cannot see ", *prefix),
        Facts::AutomationSighted { prefix, since } => {
            after("Automation sees ", *prefix).text(format!(" again after {}", lasted(since)))
        }
        Facts::WouldWithdraw { prefix, .. } => after("Dry run: would withdraw ", *prefix),
        Facts::Overdue { prefix, since, .. } => {
            code(*prefix).text(format!(" still advertised after {}", lasted(since)))
        }
        Facts::LimitReached { prefix, .. } => after("Hourly limit holds back the withdrawal of ", *prefix),
        Facts::MassCalm { prefixes } => Line::from("Calm starts anew after blindness: ").then(named(prefixes)),
        Facts::ForeignChange { prefix, before, after } => {
            code(*prefix).text(match (before.advertised, after.advertised) {
                (_, Some(false)) if before.advertised != Some(false) => " was withdrawn, not by us",
                (_, Some(true)) if before.advertised != Some(true) => " was advertised, not by us",
                _ if after.locked && !before.locked => " was locked at Cloudflare, not by us",
                _ => " was changed at Cloudflare, not by us",
            })
        }
        Facts::ProviderEvent {
            withdrawn,
            advertised,
            changed,
        } => {
            let all = withdrawn.len() + advertised.len() + changed.len();
            let what = match (withdrawn.len(), advertised.len()) {
                (gone, _) if gone == all => "withdrawn",
                (_, come) if come == all => "advertised",
                _ => "changed",
            };
            format!("{all} prefixes were {what} at once, not by us").into()
        }
        Facts::BindingsChanged { prefixes, .. } => {
            Line::from("Service bindings changed, not by us: ").then(named(prefixes))
        }
        Facts::Reattack { prefix, withdrawn_at } => {
            after("Attack on ", *prefix).text(format!(" {} after our withdrawal", lasted(withdrawn_at)))
        }
        Facts::HoldEnding { prefix, until, .. } => match prefix {
            Some(prefix) => after("Hold on ", *prefix).text(format!(" ends {}", for_people(*until))),
            None => format!("Pause of all automation ends {}", for_people(*until)).into(),
        },
        Facts::ServiceStarted { service, .. } => name(service).text(" started"),
        Facts::ServiceStopped { service, .. } => name(service).text(" stopped"),
        Facts::ServiceSilent { service, .. } => name(service).text(" is silent"),
        Facts::ServiceBack { service, since } => name(service).text(format!(" is back after {}", lasted(since))),
        Facts::FeedBlind { feed, .. } => Line::from("No data from ").then(name(feed)),
        Facts::FeedRestored { feed, since } => Line::from("Data from ")
            .then(name(feed))
            .text(format!(" is back after {}", lasted(since))),
        Facts::DataGap { feed, .. } => Line::from("A gap in ").then(name(feed)),
        Facts::CaughtUp { recovered, .. } => match recovered {
            0 => "Alerts may be missing".into(),
            1 => "1 missed alert recovered".into(),
            count => format!("{count} missed alerts recovered").into(),
        },
        Facts::ChatUnreachable { .. } => "Messages do not reach the chat".into(),
        Facts::ChatReachable { since, .. } => format!("Messages reach the chat again after {}", lasted(since)).into(),
        Facts::MessagesExpired { kinds, .. } => {
            let count: u64 = kinds.iter().map(|(_, count)| count).sum();
            match count {
                1 => "1 message was not sent in time".into(),
                count => format!("{count} messages were not sent in time").into(),
            }
        }
        Facts::Mitigation {
            vectors,
            targets,
            bits,
            events,
            ..
        } => mitigation(vectors, targets, *bits, *events),
        Facts::SelfTest { .. } => "Test of the message chain".into(),
        Facts::Raised { title, .. } => match Words::present(Some(title), limit::VALUE) {
            Some(title) => Line::new().code(title),
            None => "Raised by command".into(),
        },
    }
}

/// When no title is at hand: facts of a version that this one cannot read.
pub(super) fn of_kind(kind: &str) -> Line {
    Line::new().code(Words::outside(&kind.replace('_', " "), limit::NAME))
}

fn code(prefix: Prefix) -> Line {
    Line::new().code(prefix)
}

fn after(words: &'static str, prefix: Prefix) -> Line {
    Line::from(words).code(prefix)
}

fn name(text: &str) -> Line {
    Line::new().code(Words::outside(text, limit::NAME))
}

/// Prefixes of the notice, else those of its incident.
fn ours(prefixes: &[Prefix], context: &Context) -> Vec<Prefix> {
    match &context.incident {
        Some(incident) if prefixes.is_empty() => incident.prefixes.clone(),
        _ => prefixes.to_vec(),
    }
}

/// The first few, and how many there are beyond.
pub(super) fn named(prefixes: &[Prefix]) -> Line {
    let line = Line::new().codes(prefixes.iter().take(MOST_NAMED).copied());
    match prefixes.len().saturating_sub(MOST_NAMED) {
        0 => line,
        more => line.text(format!(" and {more} more")),
    }
}

/// Where an alert points: our prefixes, else its targets as sent, else its host.
fn whereabouts(alert: &Alert, prefixes: &[Prefix]) -> Option<Line> {
    if !prefixes.is_empty() {
        return Some(named(prefixes));
    }
    if !alert.targets.is_empty() {
        return Some(named(&alert.targets));
    }
    Words::present(alert.hostname.as_deref(), limit::NAME).map(|host| Line::new().code(host))
}

fn alert_line(alert: &Alert, prefixes: &[Prefix]) -> Line {
    let mut details = Details::of(alert);
    let place = whereabouts(alert, prefixes);
    match &alert.kind {
        kind if kind.is_attack() => {
            let what = match Words::present(alert.vector.as_deref(), limit::NAME) {
                Some(vector) => Line::new().code(vector),
                None => Line::from(alert.kind.title().to_owned()),
            };
            let place = place.map_or_else(
                || Line::from(", prefix not named"),
                |place| Line::from(" on ").then(place),
            );
            what.then(place).text(match alert.phase {
                Phase::Start => ": attack began",
                Phase::Update => ": attack goes on",
                Phase::End => ": attack ended",
            })
        }
        AlertKind::AutoAdvertisement => auto_advertisement(alert, place),
        AlertKind::TunnelHealth => {
            let tunnel = details.words(&["tunnel_name", "tunnel_id", "name"]);
            let line = tunnel.map_or_else(|| Line::from("A tunnel"), |tunnel| Line::from("Tunnel ").code(tunnel));
            match details.take(&["new_status", "tunnel_status", "status"]) {
                Some(status) => line
                    .text(": ")
                    .code(Words::outside(&word(status, "MAGIC_TUNNEL_STATUS_"), limit::NAME)),
                None => line.text(": health changed"),
            }
        }
        AlertKind::ProviderIncident => {
            let line = titled("Cloudflare incident", details.words(&["incident_name", "name"]));
            with_word(line, details.take(&["incident_status", "status"]), "INCIDENT_STATUS_")
        }
        AlertKind::HealthCheck => {
            let line = titled("Health check", details.words(&["health_check_name", "name"]));
            with_word(line, details.take(&["new_health_status", "new_status", "status"]), "")
        }
        AlertKind::BgpHijack => {
            let line = match (details.words(&["prefix_hijacked"]), place) {
                (Some(hijacked), _) => Line::from("BGP hijack of ").code(hijacked),
                (None, Some(place)) => Line::from("BGP hijack of ").then(place),
                (None, None) => Line::from("BGP hijack, prefix not named"),
            };
            let line = match details.words(&["hijack_as"]) {
                Some(origin) => line.text(" by AS ").code(origin),
                None => line,
            };
            if alert.phase == Phase::End {
                line.text(": ended")
            } else {
                line
            }
        }
        AlertKind::Maintenance => {
            let line = titled("Cloudflare maintenance", details.words(&["airport_code", "cni_id"]));
            with_word(line, details.take(&["event_type"]), "MAINTENANCE_EVENT_TYPE_")
        }
        AlertKind::Verification => "Cloudflare tests the destination".into(),
        _ => {
            let line = Line::from("Cloudflare: ").then(name(&alert.kind.name().replace('_', " ")));
            let line = place.map_or_else(|| line.clone(), |place| line.clone().text(" on ").then(place));
            if alert.phase == Phase::End {
                line.text(": ended")
            } else {
                line
            }
        }
    }
}

fn titled(what: &'static str, title: Option<Words>) -> Line {
    match title {
        Some(title) => Line::from(what).text(" ").code(title),
        None => Line::from(what),
    }
}

fn with_word(line: Line, status: Option<&str>, prefix: &str) -> Line {
    match status {
        Some(status) => line.text(": ").code(Words::outside(&word(status, prefix), limit::NAME)),
        None => line,
    }
}

/// What Cloudflare reports; whether it is so is looked up and shown below.
fn auto_advertisement(alert: &Alert, place: Option<Line>) -> Line {
    let results = &alert.advertise;
    let what = if results.iter().any(|result| result.status.needs_a_person()) {
        "Auto-advertisement FAILED"
    } else if results.is_empty() {
        "Auto-advertisement without a result"
    } else if results.iter().all(|result| result.status.is_advertised()) {
        "Cloudflare reports auto-advertisement"
    } else {
        "Auto-advertisement delayed"
    };
    let written = || {
        let names = results
            .iter()
            .take(MOST_NAMED)
            .map(|result| Words::outside(&result.written, limit::NAME));
        (!results.is_empty()).then(|| Line::new().codes(names))
    };
    match place.or_else(written) {
        Some(place) => Line::from(what).text(": ").then(place),
        None => Line::from(what),
    }
}

fn mitigation(vectors: &[String], targets: &[String], bits: u64, events: u64) -> Line {
    let mut line = match vectors
        .first()
        .and_then(|vector| Words::present(Some(vector), limit::NAME))
    {
        Some(vector) => Line::new().code(vector),
        None => Line::from("Attack traffic"),
    };
    if vectors.len() > 1 {
        line = line.text(format!(" and {} more", vectors.len() - 1));
    }
    if let Some(target) = targets
        .first()
        .and_then(|target| Words::present(Some(target), limit::NAME))
    {
        line = line.text(" on ").code(target);
        if targets.len() > 1 {
            line = line.text(format!(" and {} more", targets.len() - 1));
        }
    }
    let rows = if events == 1 {
        "1 event".to_owned()
    } else {
        format!("{} events", grouped(events))
    };
    line.text(format!(": {} dropped in {rows}", Bits(bits)))
}
