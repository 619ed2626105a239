//! Many notices in one message: a storm must not push what matters out of sight, and still every event is counted.

use db::outbox::Notification;
use domain::notice::Facts;
use domain::time::since;
use jiff::Timestamp;

use super::{LATE, Renderer, headline, limit, minutes, reference, state};
use crate::context::Context;
use crate::document::{Document, Line};
use crate::words::Words;

/// Longer ago than this, an hour alone is ambiguous.
const TODAY: std::time::Duration = std::time::Duration::from_secs(12 * 3_600);

impl Renderer {
    /// One line per notice, most urgent first, after a count by kind.
    pub(super) fn digest(&self, rows: &[Notification], context: &Context, now: Timestamp) -> Document {
        let Some(first) = rows.first() else {
            return self.without_facts(rows);
        };
        let mut title = Line::from(format!("{} notices", rows.len()));
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
        head.is_test = rows.iter().all(|row| row.is_test);
        let mut document = self.begin(&head, title);
        if let Some(oldest) = rows.iter().map(|row| row.created_at).min()
            && since(now, oldest) > LATE
        {
            document.push(Line::new().bold(format!("The oldest waited for {}", minutes(since(now, oldest)))));
        }
        if rows.iter().any(|row| row.attempts > 1) {
            document.push("Some may be a repeat: an earlier try was not confirmed.");
        }
        document.push(counts(rows));
        document.gap();
        for row in rows {
            document.push(short(row, context, now));
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

/// `4 alert, 2 mitigation`
fn counts(rows: &[Notification]) -> Line {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for row in rows {
        match kinds.iter_mut().find(|(kind, _)| *kind == row.kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((&row.kind, 1)),
        }
    }
    let list: Vec<String> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} x {}", kind.replace('_', " ")))
        .collect();
    Line::from(list.join(", "))
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
