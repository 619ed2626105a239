//! Facts and what was looked up, to a message: the frame that all messages share.
//!
//! ```text
//! 🟠 HIGH · UDP flood on 203.0.113.0/24: attack began      what and where, in the first line
//! Cloudflare Magic Transit · #123 · incident 17            brand, numbers
//! Delayed by 14 min ...                                    only when it is late
//!                                                          facts of the notice
//! Now                                                      looked up at this moment, each with its age
//! Organisation · server
//! ```
//!
//! Nothing here says that something is so because a notice said it was: how a prefix stands is looked up, and what could
//! not be looked up is called unknown.

mod acts;
mod alert;
mod automation;
mod details;
mod digest;
mod headline;
mod passage;
mod services;
mod state;
mod tally;

pub(crate) use passage::MOST_LISTED as MOST_RECOVERED;
pub(crate) use state::prefix_lines;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use db::outbox::Notification;
use domain::alert::Alert;
use domain::duration::human;
use domain::notice::{Facts, Priority};
use domain::time::since;
use jiff::Timestamp;

use crate::context::Context;
use crate::document::{Document, Line};
use crate::links::Links;
use crate::restored;
use crate::words::Words;

/// A notice that is sent later than this after it was entered says so.
const LATE: Duration = Duration::from_secs(120);

/// Limits of texts from outside, in characters.
mod limit {
    /// A name of a rule, service, vector or person.
    pub(super) const NAME: usize = 80;
    /// A value or a reason of one line.
    pub(super) const VALUE: usize = 300;
    /// A text that people wrote.
    pub(super) const TEXT: usize = 6_000;
}

/// What the operator configured about the look of messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Name of the product in the second line.
    pub brand: String,
    /// The operator's name; may be empty.
    pub organisation: String,
    /// This server.
    pub server: String,
    /// Where people reach the dashboard; `None` leaves links to it out.
    pub public_url: Option<String>,
}

/// Makes messages.
#[derive(Debug, Clone)]
pub struct Renderer {
    brand: Words,
    organisation: Words,
    server: Words,
    links: Links,
}

impl Renderer {
    /// A renderer for this operator.
    pub fn new(frame: &Frame) -> Self {
        Self {
            brand: Words::outside(&frame.brand, limit::NAME),
            organisation: Words::outside(&frame.organisation, limit::NAME),
            server: Words::outside(&frame.server, limit::NAME),
            links: Links::new(frame.public_url.as_deref()),
        }
    }

    /// The message for one notification, or for several that are sent as one. Never panics: what cannot be rendered is
    /// announced by kind and number.
    pub fn message(&self, rows: &[Notification], context: &Context, now: Timestamp) -> Document {
        let made = catch_unwind(AssertUnwindSafe(|| match (&context.told, rows) {
            (Some(told), rows) => self.edited(told, rows, context, now),
            (None, [row]) => self.single(row, &[], context, now),
            (None, rows) => self.digest(rows, None, context, now),
        }));
        made.unwrap_or_else(|_| {
            tracing::error!(event = "notify.render.panicked", notices = rows.len());
            self.without_facts(rows)
        })
    }

    /// When Telegram takes no fuller text of it: what it is about in our own words alone, and where to read it.
    pub fn bare(&self, rows: &[Notification]) -> Document {
        let Some(row) = rows.first() else {
            return Document::new(Line::from("A notice without content"), "#?");
        };
        let own = |kind: &str| -> String {
            let kept = kind.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_');
            kept.collect::<String>().replace('_', " ")
        };
        let urgency = row.priority.as_str().to_uppercase();
        let what = match rows {
            [row] => own(&row.kind),
            rows => format!("{} notices that waited, in one message", rows.len()),
        };
        let mut document = Document::new(
            Line::from(format!("{urgency}: {what}, ")).text(reference(row)),
            reference(row),
        );
        for row in rows.iter().skip(1).take(tally::MOST_LINES) {
            document.push(Line::from(format!("{}, ", own(&row.kind))).text(reference(row)));
        }
        document.push(format!(
            "Telegram takes no fuller text of it. Read it in the dashboard, or with: cloudflare-mt notifications show {}",
            row.id
        ));
        document
    }

    /// One notice; `followed` are lines about what followed it.
    fn single(&self, row: &Notification, followed: &[Line], context: &Context, now: Timestamp) -> Document {
        let Some(facts) = &row.facts else {
            return self.without_facts(std::slice::from_ref(row));
        };
        let mut document = self.begin(row, headline::of(facts, context, row.created_at));
        // A message that is written anew was not late because of that.
        if let Some(late) = late(row, row.sent_at.unwrap_or(now)) {
            document.push(Line::new().bold(late));
        }
        if row.attempts > 1 {
            document.push("May be a repeat: an earlier try was not confirmed.");
        }
        document.gap();
        self.body(&mut document, facts, row, context, now);
        if let Facts::Alert { alert, .. } = facts {
            lasted(&mut document, alert, context);
        }
        document.gap();
        for line in followed {
            document.push(line.clone());
        }
        document.gap();
        state::write(&mut document, facts, context, now);
        self.links(&mut document, facts, context);
        self.end(&mut document);
        document
    }

    fn body(&self, document: &mut Document, facts: &Facts, row: &Notification, context: &Context, now: Timestamp) {
        match facts {
            Facts::Alert {
                alert,
                prefixes,
                unresolved,
            } => {
                alert::body(document, alert, prefixes, *unresolved, context, &self.links, now);
            }
            Facts::UnreadableAlert { .. }
            | Facts::ServiceStarted { .. }
            | Facts::ServiceStopped { .. }
            | Facts::ServiceSilent { .. }
            | Facts::ServiceBack { .. }
            | Facts::FeedBlind { .. }
            | Facts::FeedRestored { .. }
            | Facts::Mitigation { .. }
            | Facts::SelfTest { .. }
            | Facts::Raised { .. } => services::body(document, facts, row, context, now),
            Facts::ChatUnreachable { .. }
            | Facts::ChatReachable { .. }
            | Facts::MessagesExpired { .. }
            | Facts::DataGap { .. }
            | Facts::CaughtUp { .. } => passage::body(document, facts, context),
            Facts::Acted { .. } | Facts::ActRefused { .. } | Facts::ActUnresolved { .. } => {
                acts::body(document, facts);
            }
            Facts::AutomationBlind { .. }
            | Facts::AutomationSighted { .. }
            | Facts::WouldWithdraw { .. }
            | Facts::Overdue { .. }
            | Facts::LimitReached { .. }
            | Facts::MassCalm { .. }
            | Facts::ForeignChange { .. }
            | Facts::ProviderEvent { .. }
            | Facts::BindingsChanged { .. }
            | Facts::Reattack { .. }
            | Facts::HoldEnding { .. } => automation::body(document, facts, row, context, now),
        }
    }

    /// Title and brand line.
    fn begin(&self, row: &Notification, headline: Line) -> Document {
        let mut title = Line::new().bold(mark(row.priority));
        if row.is_test {
            title = title.bold("TEST · ");
        }
        let mut document = Document::new(title.then(headline.emphasised()), reference(row));
        let mut line = Line::new();
        if !self.brand.is_empty() {
            line = line.text(self.brand.clone()).text(" · ");
        }
        line = line.text(reference(row));
        if let Some(incident) = row.incident {
            line = line.text(format!(" · incident {incident}"));
        }
        document.push(line);
        document
    }

    fn links(&self, document: &mut Document, facts: &Facts, context: &Context) {
        let mut line = Line::new();
        let mut count = 0;
        let mut add = |line: Line, words: &'static str, url: Option<String>| match url {
            Some(url) => {
                count += 1;
                let line = if count > 1 { line.text(" · ") } else { line };
                line.link(words, url)
            }
            None => line,
        };
        if let Some(incident) = &context.incident {
            line = add(
                line,
                "Incident",
                self.links.own_page(&format!("incidents/{}", incident.id)),
            );
        }
        if let Facts::Alert { alert, .. } = facts {
            let given = alert.link.as_deref();
            line = add(
                line,
                "Cloudflare dashboard",
                given.and_then(|url| self.links.allow(url)),
            );
            line = add(line, "Cloudflare status", alert::status_page(alert, &self.links));
        }
        if count > 0 {
            document.gap();
            document.push(line);
        }
    }

    fn end(&self, document: &mut Document) {
        document.gap();
        let mut line = Line::new();
        for words in [&self.organisation, &self.server] {
            if !words.is_empty() {
                line = if line.is_blank() { line } else { line.text(" · ") };
                line = line.text(words.clone());
            }
        }
        document.push(line);
    }

    /// When a newer version wrote facts that this one cannot read, or rendering failed.
    fn without_facts(&self, rows: &[Notification]) -> Document {
        let Some(row) = rows.first() else {
            return Document::new(Line::new().bold("A notice without content"), "#?");
        };
        let what = if rows.len() > 1 {
            "notices that cannot be shown"
        } else {
            "a notice that cannot be shown"
        };
        let mut document = self.begin(row, Line::from(what));
        document.gap();
        for row in rows {
            let kind = Words::outside(&row.kind.replace('_', " "), limit::NAME);
            document.push(
                Line::new()
                    .code(kind)
                    .text(", ")
                    .text(reference(row))
                    .text(", ")
                    .text(row.created_at),
            );
        }
        document.push("This version cannot put it into words. The dashboard's log and `cloudflare-mt notifications show` hold the facts.");
        self.end(&mut document);
        document
    }
}

/// A text that people wrote, line by line; what does not fit is named.
fn long_text(document: &mut Document, text: &str) {
    for line in Words::paragraphs(text, limit::TEXT) {
        document.push(Line::new().code(line));
    }
    if text.chars().count() > limit::TEXT {
        document.push("The text is longer; all of it is in the dashboard's log.");
    }
}

/// For how long it was not well, where that is over and its beginning is known.
fn lasted(document: &mut Document, alert: &Alert, context: &Context) {
    if let Some(from) = context.restored {
        document.push(
            Line::new()
                .bold(format!("Restored after {}", minutes(since(alert.at(), from))))
                .text(format!(": not well since {}", domain::time::for_people(from))),
        );
    } else if let Some(from) = restored::attack_began(alert) {
        document.push(Line::from("Lasted ").bold(minutes(since(alert.at(), from))));
    }
}

/// One sign and one word per urgency, the same everywhere.
fn mark(priority: Priority) -> &'static str {
    match priority {
        Priority::Critical => "🚨 CRITICAL · ",
        Priority::High => "🟠 HIGH · ",
        Priority::Medium => "🟡 MEDIUM · ",
        Priority::Info => "🔵 INFO · ",
    }
}

/// By what people find it again: the event's number, else the notice's own.
fn reference(row: &Notification) -> Words {
    match row.event {
        Some(event) => Words::from(format!("#{event}")),
        None => Words::from(format!("notice {}", row.id)),
    }
}

fn late(row: &Notification, now: Timestamp) -> Option<String> {
    let delay = since(now, row.created_at);
    (delay > LATE).then(|| {
        format!(
            "Delayed by {}: written {}",
            minutes(delay),
            domain::time::for_people(row.created_at)
        )
    })
}

/// Whole minutes, for lengths of which nobody needs the seconds.
fn minutes(duration: Duration) -> String {
    let seconds = duration.as_secs();
    human(Duration::from_secs(if seconds < 60 {
        seconds
    } else {
        seconds - seconds % 60
    }))
}

/// `40 s ago`
fn ago(now: Timestamp, at: Timestamp) -> String {
    format!("{} ago", minutes(Duration::from_secs(since(now, at).as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_shown_in_whole_minutes() {
        for (seconds, wanted) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (899, "14 min"),
            (7_500, "2 h 5 min"),
        ] {
            assert_eq!(minutes(Duration::from_secs(seconds)), wanted);
        }
    }
}
