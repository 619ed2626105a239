//! Whether messages reach people: what waits, what was lost, and the state of the way to the chat.

use std::time::Duration;

use domain::time::since;
use jiff::Timestamp;
use serde::Serialize;

use super::state::Tone;
use crate::picture::Outbox;
use crate::words;

/// A message that waits longer is late: sending takes seconds, a storm's digest a minute.
const LATE_AFTER: Duration = Duration::from_secs(120);

/// A message given up within this time is still news.
const LOST_WITHIN: Duration = Duration::from_secs(86_400);

/// The outbox in a word and in numbers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Messages {
    /// `ok`, `late`, `failing`, `lost`, `no chat`, `none sent yet`.
    pub(crate) word: &'static str,
    pub(crate) tone: Tone,
    pub(crate) detail: String,
    pub(crate) queued: u64,
    pub(crate) oldest_queued_at: Option<Timestamp>,
    pub(crate) failed: u64,
    pub(crate) expired: u64,
    pub(crate) last_sent_at: Option<Timestamp>,
    pub(crate) failing_since: Option<Timestamp>,
    pub(crate) blocked_until: Option<Timestamp>,
    /// Why the last one that failed did.
    pub(crate) last_failure: Option<String>,
}

impl Messages {
    pub(crate) fn of(outbox: &Outbox, now: Timestamp) -> Self {
        let depth = &outbox.depth;
        let channel = outbox.channel.as_ref();
        let failing_since = channel.and_then(|channel| channel.failing_since);
        let blocked_until = channel
            .and_then(|channel| channel.blocked_until)
            .filter(|until| *until > now);
        let last_sent_at = outbox.last_sent.as_ref().and_then(|sent| sent.sent_at);
        let failure = outbox.last_failed.as_ref();
        let lost = failure.filter(|failure| since(now, failure.created_at) < LOST_WITHIN);
        let late = depth.oldest_queued_at.filter(|oldest| since(now, *oldest) > LATE_AFTER);
        let (word, tone, detail) = match (channel, failing_since, late, lost, last_sent_at) {
            (None, ..) => (
                "no chat",
                Tone::Warn,
                "No chat is configured: nobody is told of anything.".to_owned(),
            ),
            (_, Some(since), ..) => {
                let text = format!(
                    "Sending fails since {}; nothing is lost, it is tried again.",
                    words::said(since, now)
                );
                ("failing", Tone::Warn, text)
            }
            (_, _, Some(oldest), ..) => {
                let text = format!("The oldest message waits for {}.", words::age_at(oldest, now));
                ("late", Tone::Warn, text)
            }
            (.., Some(lost), _) => {
                let text = format!("A message of {} was given up.", words::said(lost.created_at, now));
                ("lost", Tone::Warn, text)
            }
            (.., None, None) => (
                "none sent yet",
                Tone::Unknown,
                "No message was ever sent; the way is not proven.".to_owned(),
            ),
            (.., Some(at)) => ("ok", Tone::Good, format!("Last sent {} ago.", words::age_at(at, now))),
        };
        Self {
            word,
            tone,
            detail,
            queued: depth.queued,
            oldest_queued_at: depth.oldest_queued_at,
            failed: depth.failed,
            expired: depth.expired,
            last_sent_at,
            failing_since,
            blocked_until,
            last_failure: failure
                .and_then(|failure| failure.reason.as_deref())
                .map(words::outside),
        }
    }
}
