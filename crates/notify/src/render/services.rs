//! Bodies of notices about our own services and feeds, about dropped traffic, tests, and what people raise.

use db::outbox::Notification;
use domain::duration::human;
use domain::notice::Facts;
use domain::time::since;
use domain::units::{Bits, Packets, grouped};
use jiff::Timestamp;

use super::{ago, limit, long_text, minutes};
use crate::context::Context;
use crate::document::{Document, Line};
use crate::words::Words;

/// Lines of a start or stop message.
const MOST_LINES: usize = 25;

/// Entries of a list of sources, targets or locations.
const MOST_LISTED: usize = 5;

pub(super) fn body(document: &mut Document, facts: &Facts, row: &Notification, context: &Context, now: Timestamp) {
    match facts {
        Facts::UnreadableAlert { size, head, problem } => {
            document.field("Problem", Words::outside(problem, limit::VALUE));
            document.field("Size", format!("{} bytes", grouped(*size)));
            document.maybe("Begins", Words::present(Some(head), limit::VALUE));
            document.push("It is stored as it came. It may be an attack alert: look at Cloudflare's dashboard.");
        }
        Facts::ServiceStarted { version, lines, .. } => {
            document.maybe("Version", Words::present(Some(version), limit::NAME));
            labelled(document, lines);
        }
        Facts::ServiceStopped { lines, .. } => {
            labelled(document, lines);
            document.push("It was told to stop.");
        }
        Facts::ServiceSilent { service, since: last } => {
            document.field("Last sign of life", *last);
            match context.service.as_ref().filter(|beat| beat.beat_at > *last) {
                Some(beat) => document.push(
                    Line::new()
                        .bold("It is back: ")
                        .text(format!("last sign of life {}", ago(now, beat.beat_at))),
                ),
                None => document.push(silent_means(service)),
            }
            let unit = Words::outside(service, limit::NAME);
            document.push(Line::from("Look: ").code("systemctl status ").code(unit));
        }
        Facts::ServiceBack { since: last, .. } => document.field("Last sign before", *last),
        Facts::FeedBlind {
            because, since: from, ..
        } => {
            document.maybe("Because", Words::present(Some(because), limit::VALUE));
            document.entry(
                "Failing",
                Line::from("since ")
                    .code(*from)
                    .text(format!(", {} so far", minutes(since(row.created_at, *from)))),
            );
            document.push("What it would show is unknown until it is back; unknown never counts as calm.");
        }
        Facts::FeedRestored { since: from, .. } => {
            document.field("Failed from", *from);
            document.push("What was missed is being caught up.");
        }
        Facts::Mitigation { .. } => mitigation(document, facts),
        Facts::SelfTest { actor, note } => {
            document.maybe("Asked for by", Words::present(Some(actor), limit::NAME));
            document.maybe("Note", Words::present(Some(note), limit::VALUE));
            document.push("If you read this, messages arrive.");
        }
        Facts::Raised { text, .. } => {
            long_text(document, text);
            document.field("Raised", row.created_at);
        }
        _ => {}
    }
}

fn labelled(document: &mut Document, lines: &[(String, String)]) {
    for (label, value) in lines.iter().take(MOST_LINES) {
        let label = Words::outside(label, limit::NAME);
        let line = if label.is_empty() {
            Line::new()
        } else {
            Line::new().text(label).text(": ")
        };
        let line = line.code(Words::outside(value, limit::VALUE));
        if !line.is_blank() {
            document.push(line);
        }
    }
    if lines.len() > MOST_LINES {
        document.push(format!("and {} more lines in its log", lines.len() - MOST_LINES));
    }
}

/// What is missing as long as a service is silent.
fn silent_means(service: &str) -> Line {
    let words = if service.contains("webhook") {
        "Alerts of Cloudflare are not received while it is down."
    } else if service.contains("autowithdraw") {
        "Nothing is withdrawn and nothing is decided while it is down; prefixes stay as they are."
    } else if service.contains("analytics") {
        "Attack traffic is not recorded while it is down; it is caught up afterwards."
    } else if service.contains("dashboard") {
        "The dashboard cannot be reached; alerts and automation do not need it."
    } else {
        "It gives no sign of life."
    };
    words.into()
}

fn mitigation(document: &mut Document, facts: &Facts) {
    let Facts::Mitigation {
        attack_id,
        vectors,
        events,
        packets,
        bits,
        from,
        to,
        targets,
        sources,
        locations,
        distinct_sources,
        spoofed_sources,
        sample_interval,
    } = facts
    else {
        return;
    };
    // Volumes over the whole time, not rates.
    document.push(
        Line::from("Dropped: ")
            .bold(Packets(*packets).to_string())
            .text(" · ")
            .bold(Bits(*bits).to_string())
            .text(format!(
                " in {} {}",
                grouped(*events),
                if *events == 1 { "event" } else { "events" }
            )),
    );
    let length = since(*to, *from);
    let time = Line::new().code(*from);
    document.entry(
        "Time",
        if length.is_zero() {
            time
        } else {
            time.text(" to ").code(*to).text(format!(", {}", human(length)))
        },
    );
    if !length.is_zero() {
        let mean = Packets(*packets).per(length);
        document.field("Mean over that time", format!("{mean} · {}", Bits(*bits).per(length)));
    }
    list(document, "Vectors", vectors);
    list(document, "Targets", targets);
    list(document, "Sources", sources);
    if *distinct_sources > 0 {
        let spoofed = if *spoofed_sources > 0 {
            format!(", of these {} cannot be real", grouped(*spoofed_sources))
        } else {
            String::new()
        };
        document.push(format!(
            "{} different sources in the samples{spoofed}",
            grouped(*distinct_sources)
        ));
    }
    list(document, "Cloudflare locations", locations);
    document.maybe("Attack", Words::present(attack_id.as_deref(), 64));
    if *sample_interval > 1 {
        document.push(format!("Estimated from one packet in {}.", grouped(*sample_interval)));
    }
}

fn list(document: &mut Document, label: &'static str, values: &[String]) {
    let shown: Vec<Words> = values
        .iter()
        .filter_map(|value| Words::present(Some(value), limit::NAME))
        .take(MOST_LISTED)
        .collect();
    if shown.is_empty() {
        return;
    }
    let more = values.len().saturating_sub(shown.len());
    let line = Line::new().codes(shown);
    document.entry(
        label,
        if more > 0 {
            line.text(format!(" and {more} more"))
        } else {
            line
        },
    );
}
