//! Many notices in one message, new or written into one that is there: a storm must not push what matters out of sight,
//! and still every event is counted.

use db::outbox::{Notification, Told};
use domain::notice::Facts;
use domain::time::since;
use jiff::Timestamp;

use super::tally::{MOST_LINES, Tally};
use super::{LATE, Renderer, headline, limit, minutes, reference, state};
use crate::context::Context;
use crate::document::{Document, Line};
use crate::words::Words;

/// Longer ago than this, an hour alone is ambiguous.
const TODAY: std::time::Duration = std::time::Duration::from_secs(12 * 3_600);

/// Lines about what followed a notice, at the end of its own message.
const MOST_FOLLOWED: usize = 8;

impl Renderer {
    /// The message as it is after `rows` were written into it.
    pub(super) fn edited(&self, told: &Told, rows: &[Notification], context: &Context, now: Timestamp) -> Document {
        // What this version cannot put into words has no text that could stay.
        if told.began_as_digest || told.first.facts.is_none() {
            return self.digest(rows, Some(told), context, now);
        }
        let tally = Tally::of(rows).and_told(told);
        let total = tally.total();
        let more = if total == 1 {
            "1 notice"
        } else {
            &format!("{total} notices")
        };
        let mut followed = Vec::new();
        // That of the first one is said by itself.
        if told.first.attempts <= 1 && rows.iter().any(|row| row.attempts > 1) {
            followed.push(Line::from("Some may be a repeat: an earlier try was not confirmed."));
        }
        followed.extend([
            Line::new()
                .bold("Since then")
                .text(format!(": {more}, last written {}", domain::time::for_people(now))),
            tally.line(),
        ]);
        let newest = newest(rows, Some(told), MOST_FOLLOWED);
        followed.extend(left_out(total, newest.len()));
        followed.extend(newest.into_iter().map(|row| short(row, context, now)));
        self.single(&told.first, &followed, context, now)
    }

    /// One line per notice, most urgent first, after a count by kind. With `told` it is the message that holds those
    /// already, and the newest come last.
    pub(super) fn digest(
        &self,
        rows: &[Notification],
        told: Option<&Told>,
        context: &Context,
        now: Timestamp,
    ) -> Document {
        let Some(first) = told.map(|told| &told.first).or(rows.first()) else {
            return self.without_facts(rows);
        };
        let mut tally = Tally::of(rows);
        if let Some(told) = told {
            tally = tally.and_told(told).and(&told.first);
        }
        let total = tally.total();
        let mut title = Line::from(format!("{total} notices"));
        if let Some(incident) = &context.incident {
            title = title
                .text(" of one incident: ")
                .code(Words::outside(&incident.title, limit::NAME));
            if !incident.prefixes.is_empty() {
                title = title.text(" on ").then(headline::named(&incident.prefixes));
            }
        } else {
            title = title.text(" that waited, in one message");
        }
        // The head stands for all: the most urgent decides sign and word.
        let mut head = first.clone();
        head.event = None;
        head.incident = first
            .incident
            .filter(|id| rows.iter().all(|row| row.incident == Some(*id)));
        head.is_test = first.is_test && rows.iter().all(|row| row.is_test);
        let mut document = self.begin(&head, title);
        if let Some(oldest) = rows.iter().map(|row| row.created_at).min()
            && since(now, oldest) > LATE
        {
            document.push(Line::new().bold(format!("The oldest waited for {}", minutes(since(now, oldest)))));
        }
        if rows.iter().any(|row| row.attempts > 1) {
            document.push("Some may be a repeat: an earlier try was not confirmed.");
        }
        document.push(tally.line());
        document.gap();
        let lines: Vec<&Notification> = match told {
            Some(_) => newest(rows, told, MOST_LINES),
            None => rows.iter().take(MOST_LINES).collect(),
        };
        let left = left_out(total, lines.len());
        if told.is_some() {
            left.iter().cloned().for_each(|line| document.push(line));
        }
        for row in lines {
            document.push(short(row, context, now));
        }
        if told.is_none() {
            left.into_iter().for_each(|line| document.push(line));
        }
        state::write_short(&mut document, context, now);
        if let Some(url) = context
            .incident
            .as_ref()
            .and_then(|incident| self.links.own_page(&format!("incidents/{}", incident.id)))
        {
            document.gap();
            document.push(Line::new().link("Incident", url));
        }
        self.end(&mut document);
        document
    }
}

/// The newest notices, oldest of them first: those in hand, and if there are few the ones told before them.
fn newest<'a>(rows: &'a [Notification], told: Option<&'a Told>, most: usize) -> Vec<&'a Notification> {
    let told = told.map(|told| told.newest.as_slice()).unwrap_or_default();
    let mut all: Vec<&Notification> = told.iter().chain(rows).collect();
    all.sort_by_key(|row| row.id);
    all.split_off(all.len().saturating_sub(most))
}

fn left_out(total: u64, shown: usize) -> Option<Line> {
    let left = total.saturating_sub(u64::try_from(shown).unwrap_or(u64::MAX));
    (left > 0).then(|| format!("… and {left} more, counted above; each is in the dashboard's log").into())
}

/// `03:11 #123 UDP flood on 203.0.113.0/24: attack began`
fn short(row: &Notification, context: &Context, now: Timestamp) -> Line {
    // A digest of one incident names it in the title; each line then keeps to its own facts.
    let own = Context {
        incident: None,
        ..context.clone()
    };
    let line = Line::new()
        .text(clock(at(row), now))
        .text(" ")
        .text(reference(row))
        .text(" ");
    let line = if row.is_test { line.text("TEST ") } else { line };
    line.then(match &row.facts {
        Some(facts) => headline::of(facts, &own, row.created_at),
        None => headline::of_kind(&row.kind),
    })
}

/// The instant the event speaks of.
fn at(row: &Notification) -> Timestamp {
    match &row.facts {
        Some(Facts::Alert { alert, .. }) => alert.at(),
        Some(Facts::Acted { changed_at, .. }) => *changed_at,
        Some(Facts::Mitigation { to, .. }) => *to,
        _ => row.created_at,
    }
}

/// `HH:MM`, with the day where it may be another one.
fn clock(at: Timestamp, now: Timestamp) -> String {
    let whole = domain::time::for_people(at);
    if since(now, at) > TODAY {
        return whole;
    }
    whole.get(11..16).unwrap_or_default().to_owned()
}
