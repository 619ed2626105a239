//! Bodies of notices about the passage of messages and data themselves: a chat that cannot be reached, messages that were
//! given up, alerts that were recovered, time that nobody read.

use db::incidents::Incident;
use domain::ids::EventId;
use domain::notice::{Facts, RecoveredAlert, RecoveredIncident};
use domain::time::{for_people, for_people_seconds, since};

use super::{limit, minutes};
use crate::context::Context;
use crate::document::{Document, Line};
use crate::words::Words;

/// Incidents and other alerts that are listed one by one.
pub(crate) const MOST_LISTED: usize = 12;

/// Prefixes named with one of them.
const MOST_NAMED: usize = 6;

pub(super) fn body(document: &mut Document, facts: &Facts, context: &Context) {
    match facts {
        Facts::ChatUnreachable {
            since: from,
            waiting,
            because,
        } => {
            document.push(
                Line::from("Nothing has reached the chat since ")
                    .code(*from)
                    .text("; waiting when this was written: ")
                    .text(*waiting)
                    .text("."),
            );
            match Words::present(because.as_deref(), limit::VALUE) {
                Some(because) => document.field("Reason", because),
                None => document.push("No service says why."),
            }
            document.push("Until it is over read what happens in the dashboard.");
        }
        Facts::ChatReachable { since: from, waiting } => {
            document.push(
                Line::from("None came through from ")
                    .code(*from)
                    .text(" on. ")
                    .text(*waiting)
                    .text(" waited when this was written; what still waits follows now."),
            );
        }
        Facts::MessagesExpired { kinds, .. } => {
            let list: Vec<String> = kinds
                .iter()
                .map(|(kind, count)| format!("{count} x {}", kind.replace('_', " ")))
                .collect();
            document.push(
                Line::from("They waited for Telegram until they were too old and were given up: ")
                    .text(Words::outside(&list.join(", "), limit::TEXT))
                    .text("."),
            );
            document.push(
                "Nothing of it is lost: read what happened in the dashboard's log, or list them with \
                 `cloudflare-mt notifications list`.",
            );
        }
        Facts::DataGap { from, to, .. } => {
            document.push(
                Line::from(format!("Nothing was read for {}, from ", minutes(since(*to, *from))))
                    .code(*from)
                    .text(" to ")
                    .code(*to)
                    .text(", and Cloudflare no longer has that time. What happened then is not in the record."),
            );
        }
        Facts::CaughtUp { .. } => caught_up(document, facts, context),
        _ => {}
    }
}

fn caught_up(document: &mut Document, facts: &Facts, context: &Context) {
    let Facts::CaughtUp {
        recovered,
        sent,
        incidents,
        others,
        more,
        unresolved,
        lost_since,
        ..
    } = facts
    else {
        return;
    };
    if let Some((first, last)) = sent {
        document.push(format!(
            "Cloudflare sent them between {} and {}; they never came in. They were read from its notification history \
             and are in the record now, with their own times.",
            for_people_seconds(*first),
            for_people_seconds(*last),
        ));
    }
    let count = incidents.len() + others.len();
    let lines = incidents
        .iter()
        .map(|recovery| of_incident(recovery, context))
        .chain(others.iter().map(of_other));
    lines.take(MOST_LISTED).for_each(|line| document.push(line));
    let beyond = more.saturating_add(u64::try_from(count.saturating_sub(MOST_LISTED)).unwrap_or(u64::MAX));
    if beyond > 0 {
        document.push(format!("and {beyond} more in the record"));
    }
    if *unresolved > 0 {
        document.push(format!(
            "{unresolved} of them could not be tied to a prefix of yours; such an open attack alert holds every \
             withdrawal."
        ));
    }
    if let Some(since) = lost_since {
        document.push(format!(
            "Nothing was compared since {}, and Cloudflare keeps its history for 30 days (Enterprise: 90). Alerts of the \
             time before may be missing.",
            for_people(*since)
        ));
    }
    if *recovered > 0 {
        document.push(
            "Find out why the receiver did not get them: journalctl -u cloudflare-webhook, and the destination's last \
             failure under Notifications at Cloudflare.",
        );
    }
}

/// As it stands now.
fn of_incident(recovery: &RecoveredIncident, context: &Context) -> Line {
    let line = Line::from(format!("• Incident {}: ", recovery.incident));
    let line = match context.incidents.get(&recovery.incident) {
        Some(incident) => line
            .code(Words::outside(&incident.title, limit::NAME))
            .text(", ")
            .then(places(incident))
            .text(format!(
                ", began {}, {}",
                for_people_seconds(incident.began_at),
                end(incident)
            )),
        None => line.bold("unknown").text(", its record could not be read"),
    };
    line.text(format!(
        " ({} recovered, {})",
        recovery.alerts,
        numbers(recovery.events)
    ))
}

fn places(incident: &Incident) -> Line {
    let mut prefixes = incident.prefixes.clone();
    prefixes.sort();
    if prefixes.is_empty() {
        return "no prefix known".into();
    }
    let more = prefixes.len().saturating_sub(MOST_NAMED);
    let line = Line::new().codes(prefixes.into_iter().take(MOST_NAMED));
    if more > 0 {
        line.text(format!(" and {more} more"))
    } else {
        line
    }
}

fn end(incident: &Incident) -> String {
    match (incident.ended_at, incident.withdrawn_at) {
        (Some(ended), _) => format!("ended {}", for_people_seconds(ended)),
        (None, Some(withdrawn)) => format!("withdrawn {}", for_people_seconds(withdrawn)),
        (None, None) => "STILL OPEN: no END was sent".to_owned(),
    }
}

fn numbers(events: Option<(EventId, EventId)>) -> String {
    match events {
        Some((first, last)) if first != last => format!("#{first} to #{last}"),
        Some((first, _)) => format!("#{first}"),
        None => "no number".to_owned(),
    }
}

fn of_other(alert: &RecoveredAlert) -> Line {
    use domain::alert::Phase;
    let word = match alert.phase {
        Phase::Start => "reported",
        Phase::Update => "changed",
        Phase::End => "over",
    };
    // A kind that we do not know has the name that came in.
    let mut line = Line::from("• ")
        .code(Words::outside(alert.kind.title(), limit::NAME))
        .text(format!(": {word}"));
    if let Some(subject) = Words::present(alert.subject.as_deref(), limit::NAME) {
        line = line.text(", ").code(subject);
    }
    if !alert.prefixes.is_empty() {
        line = line.text(", ").codes(alert.prefixes.iter().take(MOST_NAMED).copied());
    }
    line = line.text(format!(", {}", for_people_seconds(alert.happened_at)));
    match alert.event {
        Some(event) => line.text(format!(", #{event}")),
        None => line,
    }
}
