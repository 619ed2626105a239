//! How things stand at the moment of sending: looked up, each answer with its age, never asserted.
//!
//! Unknown is never calm: a reading that is missing, failing or old is called unknown, with what it said last.

use std::time::Duration;

use db::decisions::Now;
use db::inventory::Entry;
use domain::alert::{Alert, AlertKind, Phase};
use domain::decision::{Mode, Verdict};
use domain::notice::Facts;
use domain::time::{for_people, since};
use jiff::Timestamp;

use super::{ago, limit};
use crate::context::{Context, PrefixNow};
use crate::document::{Document, Line};
use crate::words::Words;

/// A BGP reading older than this says how it was, not how it is.
const READING_FRESH: Duration = Duration::from_secs(300);

/// The automation answers every cycle (60 s by default); after this it is taken as not answering.
const ANSWER_FRESH: Duration = Duration::from_secs(180);

/// Writes the section "Now", if the notice is about anything that has a state.
pub(super) fn write(document: &mut Document, facts: &Facts, context: &Context, now: Timestamp) {
    let mut lines = Vec::new();
    if let Facts::Alert { alert, .. } = facts {
        lines.extend(ended_meanwhile(alert, context, now));
    }
    if let Some(reason) = &context.unavailable {
        if is_about_prefixes(facts) {
            let reason = Words::outside(reason, limit::VALUE);
            lines.push(
                Line::new()
                    .bold("unknown")
                    .text(": the database could not be read (")
                    .code(reason)
                    .text(")"),
            );
        }
    } else {
        for prefix in &context.prefixes {
            lines.push(advertised(prefix, now));
            lines.extend(next(prefix, now));
        }
        if context.more_prefixes > 0 {
            lines.push(format!("and {} more prefixes: see the dashboard", context.more_prefixes).into());
        }
    }
    if lines.is_empty() {
        return;
    }
    document.gap();
    document.push(Line::new().bold("Now").text(format!(" ({})", for_people(now))));
    for line in lines {
        document.push(line);
    }
}

/// The state of several prefixes in one line each, for digests.
pub(super) fn write_short(document: &mut Document, context: &Context, now: Timestamp) {
    if context.prefixes.is_empty() {
        return;
    }
    document.gap();
    document.push(Line::new().bold("Now").text(format!(" ({})", for_people(now))));
    for prefix in &context.prefixes {
        document.push(advertised(prefix, now));
    }
    if context.more_prefixes > 0 {
        document.push(format!(
            "and {} more prefixes: see the dashboard",
            context.more_prefixes
        ));
    }
}

/// How one prefix stands and what comes next, as plain lines.
pub(crate) fn prefix_lines(prefix: &PrefixNow, now: Timestamp) -> Vec<String> {
    let mut document = Document::new(advertised(prefix, now), "");
    if let Some(next) = next(prefix, now) {
        document.push(Line::from("  ").then(next));
    }
    document.plain().lines().map(str::to_owned).collect()
}

fn is_about_prefixes(facts: &Facts) -> bool {
    match facts {
        Facts::Alert { alert, .. } => alert.kind.is_attack() || alert.kind == AlertKind::AutoAdvertisement,
        Facts::UnreadableAlert { .. }
        | Facts::ServiceStarted { .. }
        | Facts::ServiceStopped { .. }
        | Facts::ServiceSilent { .. }
        | Facts::ServiceBack { .. }
        | Facts::FeedBlind { .. }
        | Facts::FeedRestored { .. }
        | Facts::Mitigation { .. }
        | Facts::SelfTest { .. }
        | Facts::DataGap { .. }
        | Facts::ChatUnreachable { .. }
        | Facts::ChatReachable { .. }
        | Facts::MessagesExpired { .. }
        | Facts::Raised { .. } => false,
        _ => true,
    }
}

/// The attack is over although this message tells of its begin.
fn ended_meanwhile(alert: &Alert, context: &Context, now: Timestamp) -> Option<Line> {
    let incident = context.incident.as_ref()?;
    if !alert.kind.is_attack() || alert.phase == Phase::End {
        return None;
    }
    let ended = incident.ended_at.filter(|ended| *ended >= alert.at())?;
    Some(Line::new().bold("Ended meanwhile").text(format!(
        ": Cloudflare sent END at {} ({})",
        for_people(ended),
        ago(now, ended)
    )))
}

/// Whether Cloudflare announces it, as far as that is known.
fn advertised(prefix: &PrefixNow, now: Timestamp) -> Line {
    let line = Line::new().code(prefix.prefix).text(" ");
    let entry = match &prefix.inventory {
        Ok(Some(entry)) => entry,
        Ok(None) => return line.bold("unknown").text(": its state was never read"),
        Err(reason) => {
            let reason = Words::outside(reason, limit::VALUE);
            return line
                .bold("unknown")
                .text(": the stored state cannot be used (")
                .code(reason)
                .text(")");
        }
    };
    let age = ago(now, entry.read_at);
    if let (Some(error), since) = (&entry.error, entry.error_since) {
        let since = since.map_or_else(String::new, |since| format!(" since {}", for_people(since)));
        return line
            .bold("unknown")
            .text(format!("{since}: reading fails ("))
            .code(Words::outside(error, limit::VALUE))
            .text(format!("); {age} it was {}", flag(entry)));
    }
    if since(now, entry.read_at) > READING_FRESH {
        return line
            .bold("unknown")
            .text(format!(": last read {age}, then {}", flag(entry)));
    }
    let changed = match (entry.prefix.state.advertised, entry.prefix.state.advertised_modified_at) {
        (Some(_), Some(at)) => format!(" since {}", for_people(at)),
        _ => String::new(),
    };
    let meaning = match entry.prefix.state.advertised {
        Some(false) => "; its traffic does not pass Cloudflare",
        _ => "",
    };
    let locked = if entry.prefix.state.locked { ", LOCKED" } else { "" };
    line.bold(flag(entry))
        .text(format!("{changed}{locked}{meaning} (read {age})"))
}

fn flag(entry: &Entry) -> &'static str {
    match entry.prefix.state.advertised {
        Some(true) => "advertised",
        Some(false) => "NOT advertised",
        None => "unknown whether advertised",
    }
}

/// What the automation will do next and why.
fn next(prefix: &PrefixNow, now: Timestamp) -> Option<Line> {
    let answer = match &prefix.answer {
        Ok(Some(answer)) => answer,
        // A prefix that automation never looked at has no next step to tell.
        Ok(None) => return None,
        Err(reason) => {
            let reason = Words::outside(reason, limit::VALUE);
            return Some(
                Line::from("Automation: ")
                    .bold("unknown")
                    .text(" (")
                    .code(reason)
                    .text(")"),
            );
        }
    };
    let age = ago(now, answer.at);
    if since(now, answer.at) > ANSWER_FRESH {
        let line = Line::from("Automation: ").bold("no answer");
        return Some(line.text(format!(
            " since {} ({age}); its last word: {}",
            for_people(answer.at),
            verdict(answer)
        )));
    }
    if matches!(answer.decision.verdict, Verdict::Direct) {
        return None;
    }
    let mode = match answer.mode {
        Mode::Act => "",
        Mode::DryRun => ", dry run",
        Mode::Paused => ", paused",
    };
    let mut line = Line::from("Automation: ").bold(verdict(answer));
    if !matches!(answer.decision.verdict, Verdict::NotManaged) {
        line = line
            .text("; next: ")
            .text(Words::outside(answer.decision.next.action(), limit::NAME));
        if let Some(at) = answer.decision.next.not_before {
            line = line.text(format!(" not before {}", for_people(at)));
        }
        let because = Words::outside(&answer.decision.next.because(), limit::VALUE);
        if !because.is_empty() {
            line = line.text(", because ").code(because);
        }
    }
    Some(line.text(format!(" ({age}{mode})")))
}

/// The vocabulary of pages and command lines.
fn verdict(answer: &Now) -> String {
    match &answer.decision.verdict {
        Verdict::Direct => "direct".into(),
        Verdict::NotManaged => "not managed, automation does not touch it".into(),
        Verdict::Unknown { since, .. } => format!("unknown since {}", for_people(*since)),
        Verdict::Propagating { until } => format!("propagating until {}", for_people(*until)),
        Verdict::Attack => "under attack".into(),
        Verdict::Calm { since, due } => format!(
            "calm since {}, proven {} at the earliest",
            for_people(*since),
            for_people(*due)
        ),
        Verdict::Blocked { .. } => "calm proven, withdrawal blocked".into(),
        Verdict::Withdraw => "calm proven".into(),
    }
}
