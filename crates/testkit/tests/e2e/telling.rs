//! Accounting for the chat: where every notice of the database is, and that each message says how many it holds.

use std::collections::BTreeMap;

use cf_sim::SentMessage;
use db::outbox::Notification;
use testkit::{Record, Site};

/// How many notices a message says it holds.
pub(crate) fn counted(text: &str) -> u64 {
    let number = |before: &str, after: &str| {
        text.lines().find_map(|line| {
            let rest = &line[line.find(before)? + before.len()..];
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            rest[digits.len()..]
                .starts_with(after)
                .then(|| digits.parse::<u64>().ok())?
        })
    };
    if let Some(followers) = number("Since then: ", " notice") {
        return 1 + followers;
    }
    let title = text.lines().next().unwrap_or_default();
    title
        .split_once(" notices")
        .and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok())
        .unwrap_or(1)
}

/// By what people find a notice again.
pub(crate) fn reference(row: &Notification) -> String {
    row.event
        .map_or_else(|| format!("notice {}", row.id), |event| format!("#{event}"))
}

/// Whether a text names this reference and not only a longer number that begins like it.
pub(crate) fn names(text: &str, reference: &str) -> bool {
    text.match_indices(reference)
        .any(|(at, _)| !text[at + reference.len()..].starts_with(|c: char| c.is_ascii_digit()))
}

/// Checks that every notice recorded as sent is in exactly one recorded message of the chat, and that each message holds
/// as many as it says and names the only one it holds. Returns the messages that no notice is recorded with: repeats.
///
/// # Panics
/// With what does not fit.
pub(crate) fn account_for(site: &Site, record: &Record) -> Vec<SentMessage> {
    let mut held: BTreeMap<i64, Vec<&Notification>> = BTreeMap::new();
    for row in record.notifications.iter().filter(|row| row.state == "sent") {
        let message = row.message_id.expect("a sent notice knows its message");
        held.entry(message).or_default().push(row);
    }
    let mut unrecorded = Vec::new();
    for message in site.sim.messages() {
        let Some(rows) = held.remove(&message.message_id) else {
            unrecorded.push(message);
            continue;
        };
        assert_eq!(counted(&message.text), rows.len() as u64, "{}", message.text);
        if let [row] = rows.as_slice() {
            assert!(names(&message.text, &reference(row)), "{}: {}", row.id, message.text);
        }
    }
    assert!(held.is_empty(), "recorded as sent, but not in the chat: {held:?}");
    unrecorded
}

/// Every message without a record repeats a notice that is told elsewhere, and there it says that it may be a repeat.
///
/// # Panics
/// With the message that does not.
pub(crate) fn repeats_are_recognisable(site: &Site, record: &Record, unrecorded: &[SentMessage]) {
    let messages = site.sim.messages();
    let text_of = |row: &Notification| {
        let found = messages
            .iter()
            .find(|message| Some(message.message_id) == row.message_id);
        found.map(|message| message.text.as_str()).unwrap_or_default()
    };
    for lost in unrecorded {
        let told = record.notifications.iter().find(|row| {
            row.state == "sent" && row.attempts > 1 && names(&lost.text, &reference(row)) && text_of(row) != lost.text
        });
        let Some(row) = told else {
            panic!("nobody knows of {}", lost.text);
        };
        let text = text_of(row);
        assert!(
            text.contains("may be a repeat") || text.contains("May be a repeat"),
            "{text}"
        );
    }
}
