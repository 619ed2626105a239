//! What is answered: how everything stands, read in the transaction that stores the answer. The only thing a question
//! changes is a mute, which is recorded with who asked for it.

use std::time::Duration;

use db::outbox::{self, ANSWER_GROUP};
use db::{DbError, ReadTx, WriteTx, audit, decisions, heartbeats, incidents, inventory};
use domain::duration::human;
use domain::ids::IncidentId;
use domain::notice::{Facts, KINDS, Mute, Notice, Priority};
use domain::time::{for_people, minus, plus, since};
use jiff::Timestamp;

use crate::context::PrefixNow;
use crate::render::prefix_lines;
use crate::words::Words;

/// Longest mute.
const LONGEST_MUTE: Duration = Duration::from_secs(86_400);

/// Prefixes in one answer.
const MOST_PREFIXES: usize = 25;

/// Lines of an incident's timeline in one answer.
const MOST_LINES: usize = 12;

const HELP: &str = "/status - services, messages, incidents\n/prefixes - how each prefix stands\n\
/incident [NUMBER] - the newest one, or this one\n/mute KIND FOR - silence a kind, such as: /mute mitigation 2h\n\
Critical messages cannot be muted.";

/// Stores the answer to a question.
pub(super) fn answer(tx: &WriteTx<'_>, name: &str, user: u64, text: &str, now: Timestamp) -> Result<(), DbError> {
    let mut words = text.split_whitespace();
    let command = words.next().unwrap_or_default();
    // In groups commands may name the bot.
    let command = command.split('@').next().unwrap_or_default().to_lowercase();
    let arguments: Vec<&str> = words.collect();
    let (title, body) = match (command.as_str(), arguments.as_slice()) {
        ("/status", []) => ("How everything stands".to_owned(), status(tx, now)?),
        ("/prefixes", []) => ("How each prefix stands".to_owned(), prefixes(tx, now)?),
        ("/incident", []) => incident(tx, None, now)?,
        ("/incident", [number]) => match number.trim_start_matches('#').parse() {
            Ok(number) => incident(tx, Some(IncidentId(number)), now)?,
            Err(_) => ("That is no number of an incident".to_owned(), HELP.to_owned()),
        },
        ("/mute", [kind, length]) => mute(tx, name, user, kind, length, now)?,
        _ => ("What can be asked".to_owned(), HELP.to_owned()),
    };
    let notice = Notice {
        group: Some(ANSWER_GROUP.to_owned()),
        ..Notice::about(Facts::Raised {
            title,
            text: body,
            priority: Priority::Info,
        })
    };
    outbox::enqueue(tx, &notice, now).map(drop)
}

fn age(now: Timestamp, at: Timestamp) -> String {
    human(Duration::from_secs(since(now, at).as_secs()))
}

fn status(tx: &ReadTx<'_>, now: Timestamp) -> Result<String, DbError> {
    let mut lines = Vec::new();
    for beat in heartbeats::all(tx)? {
        let silent = beat.state != "stopped" && since(now, beat.beat_at) > heartbeats::SILENT_AFTER;
        let state = if silent { "SILENT" } else { &beat.state };
        let status = Words::outside(&beat.status, 120);
        lines.push(format!(
            "{}: {state}, last sign {} ago{}{}",
            beat.service,
            age(now, beat.beat_at),
            if status.is_empty() { "" } else { ", " },
            status.as_str()
        ));
    }
    if lines.is_empty() {
        lines.push("No service has ever given a sign of life.".to_owned());
    }
    let depth = outbox::depth(tx)?;
    lines.push(format!(
        "Messages: {} waiting, {} failed, {} expired",
        depth.queued, depth.failed, depth.expired
    ));
    if let Some(from) = outbox::stuck_since(tx)? {
        lines.push(format!("Nothing reached the chat from {} on.", for_people(from)));
    }
    let entries = inventory::all(tx)?;
    let advertised = entries
        .iter()
        .filter(|entry| entry.error.is_none() && entry.prefix.state.advertised == Some(true))
        .count();
    let unknown = entries
        .iter()
        .filter(|entry| entry.error.is_some() || entry.prefix.state.advertised.is_none())
        .count();
    lines.push(format!(
        "Prefixes: {} known, {advertised} advertised when last read, {unknown} unknown",
        entries.len()
    ));
    let open = incidents::ongoing(tx, minus(now, Duration::from_secs(86_400)), 20)?;
    lines.push(format!("Incidents that go on: {}", open.len()));
    for incident in open.iter().take(5) {
        lines.push(format!(
            "  {} {} since {}",
            incident.id,
            Words::outside(&incident.title, 80).as_str(),
            for_people(incident.began_at)
        ));
    }
    for mute in outbox::mutes(tx)?.iter().filter(|mute| mute.until > now) {
        lines.push(format!(
            "Muted by {}: {} until {}",
            Words::outside(&mute.actor, 40).as_str(),
            Words::outside(&mute.kind, 40).as_str(),
            for_people(mute.until)
        ));
    }
    Ok(lines.join("\n"))
}

fn prefixes(tx: &ReadTx<'_>, now: Timestamp) -> Result<String, DbError> {
    let entries = inventory::all(tx)?;
    let more = entries.len().saturating_sub(MOST_PREFIXES);
    let mut lines = Vec::new();
    for entry in entries.into_iter().take(MOST_PREFIXES) {
        let prefix = entry.prefix.prefix;
        let answer = decisions::current_of(tx, prefix).map_err(|error| error.to_string());
        lines.extend(prefix_lines(
            &PrefixNow {
                prefix,
                inventory: Ok(Some(entry)),
                answer,
            },
            now,
        ));
    }
    if lines.is_empty() {
        lines.push("No prefix was ever read at Cloudflare: their state is unknown.".to_owned());
    }
    if more > 0 {
        lines.push(format!("and {more} more: see the dashboard"));
    }
    Ok(lines.join("\n"))
}

fn incident(tx: &ReadTx<'_>, id: Option<IncidentId>, now: Timestamp) -> Result<(String, String), DbError> {
    let found = match id {
        Some(id) => incidents::get(tx, id)?,
        None => incidents::newest(tx, None, 1)?.pop(),
    };
    let Some(incident) = found else {
        return Ok(("There is no such incident".to_owned(), HELP.to_owned()));
    };
    let mut lines = vec![format!("Began {}", for_people(incident.began_at))];
    match incident.ended_at {
        Some(ended) => lines.push(format!(
            "Ended {}, after {}",
            for_people(ended),
            age(ended, incident.began_at)
        )),
        None => lines.push(format!("No END yet; last sign {} ago", age(now, incident.last_sign_at))),
    }
    if let Some(withdrawn) = incident.withdrawn_at {
        lines.push(format!("Withdrawn {}", for_people(withdrawn)));
    }
    let prefixes: Vec<String> = incident.prefixes.iter().take(10).map(ToString::to_string).collect();
    if !prefixes.is_empty() {
        lines.push(format!("Prefixes {}", prefixes.join(", ")));
    }
    match &incident.acknowledged_by {
        Some(actor) => lines.push(format!("Acknowledged by {}", Words::outside(actor, 40).as_str())),
        None => lines.push("Not acknowledged".to_owned()),
    }
    let timeline = incidents::timeline(tx, incident.id, 500)?;
    for line in timeline.iter().skip(timeline.len().saturating_sub(MOST_LINES)) {
        lines.push(format!(
            "{} {}",
            for_people(line.at),
            Words::outside(&line.text, 200).as_str()
        ));
    }
    let title = format!(
        "Incident {}: {}",
        incident.id,
        Words::outside(&incident.title, 80).as_str()
    );
    Ok((title, lines.join("\n")))
}

fn mute(
    tx: &WriteTx<'_>,
    name: &str,
    user: u64,
    kind: &str,
    length: &str,
    now: Timestamp,
) -> Result<(String, String), DbError> {
    let refused = |why: String| Ok((format!("Not muted: {why}"), HELP.to_owned()));
    if !KINDS.contains(&kind) {
        return refused(format!("the kinds are {}", KINDS.join(", ")));
    }
    let Ok(length) = domain::duration::parse(length) else {
        return refused("a length is written such as 30m or 2h".to_owned());
    };
    if length.is_zero() || length > LONGEST_MUTE {
        return refused(format!("at most {}", human(LONGEST_MUTE)));
    }
    let actor = format!("telegram:{name} ({user})");
    let until = plus(now, length);
    outbox::mute(
        tx,
        &Mute {
            kind: kind.to_owned(),
            actor: actor.clone(),
            until,
        },
        now,
    )?;
    audit::append(
        tx,
        &audit::Entry {
            at: now,
            actor,
            role: "operator".into(),
            via: "telegram".into(),
            address: None,
            action: "notification.mute".into(),
            subject: kind.to_owned(),
            before: None,
            after: Some(format!("until {}", for_people(until))),
            reason: None,
            result: "ok".into(),
        },
    )?;
    Ok((
        format!("Muted: {kind} until {}", for_people(until)),
        "Critical messages of this kind come all the same.".to_owned(),
    ))
}
