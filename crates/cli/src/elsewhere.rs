//! Changes that no act of ours explains and that are still in place, with the command that takes them back.

use std::time::Duration;

use db::events::{Event, ForeignChange};
use domain::prefix::Prefix;
use domain::time::minus;
use jiff::Timestamp;
use serde::Serialize;

use crate::screen::{Ink, ink};
use crate::standing::Standing;
use crate::words::clock;

/// How far back changes are looked for.
pub const LOOKED_BACK: Duration = Duration::from_secs(7 * 86_400);

/// How long a change of something else than the advertisement is shown: whether it is still in place nobody says.
const OTHER_SHOWN_FOR: Duration = Duration::from_secs(86_400);

/// Most rows looked through.
pub const MOST: u32 = 1_000;

/// A change that is still in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Elsewhere {
    /// The prefix.
    pub prefix: Prefix,
    /// When it changed, or was seen changed.
    pub at: Timestamp,
    /// Number of its row in the operator's log.
    pub event: i64,
    /// What changed, as a clause: `was withdrawn, not by us`.
    pub text: String,
    /// The command that takes it back, where that is a matter of one.
    pub take_back: Option<String>,
}

/// Those of `rows`, newest first, that are still in place as far as `standings` know.
pub fn in_place(rows: &[(Event, ForeignChange)], standings: &[Standing], now: Timestamp) -> Vec<Elsewhere> {
    standings
        .iter()
        .filter_map(|standing| {
            let name = standing.prefix.to_string();
            let (event, change) = rows.iter().find(|(event, _)| event.prefix.as_deref() == Some(&name))?;
            of(event, change, standing, now)
        })
        .collect()
}

fn of(event: &Event, change: &ForeignChange, standing: &Standing, now: Timestamp) -> Option<Elsewhere> {
    let seen_at = event.created_at?;
    let (before, after) = (&change.before, &change.after);
    let moved = before.advertised != after.advertised;
    let still = standing.cloudflare.changed_at == after.advertised_modified_at;
    let text = match after.advertised {
        Some(false) if moved => "was withdrawn, not by us",
        Some(true) if moved => "was advertised, not by us",
        _ if after.locked && !before.locked => "was locked at Cloudflare, not by us",
        _ => "was changed at Cloudflare, not by us",
    };
    let shown = if moved {
        still
    } else {
        seen_at >= minus(now, OTHER_SHOWN_FOR)
    };
    let gone = moved && after.advertised == Some(false) && standing.cloudflare.advertised != Some(true);
    shown.then(|| Elsewhere {
        prefix: standing.prefix,
        at: event.event_time.unwrap_or(seen_at),
        event: event.id,
        text: text.to_owned(),
        take_back: gone.then(|| format!("cloudflare-prefix-manager advertise {}", standing.prefix)),
    })
}

impl Elsewhere {
    /// `203.0.113.0/24 was withdrawn, not by us, 12:05 UTC (event #12); advertise again: cloudflare-prefix-manager ...`
    pub fn sentence(&self, now: Timestamp) -> String {
        let offer = self
            .take_back
            .as_ref()
            .map_or_else(String::new, |command| format!("; advertise again: {command}"));
        format!(
            "{} {}, {} (event #{}){offer}",
            self.prefix,
            self.text,
            clock(self.at, now),
            self.event
        )
    }
}

/// One line each, for below a table.
pub fn lines(changes: &[Elsewhere], now: Timestamp) -> String {
    changes
        .iter()
        .map(|change| ink(Ink::Warn, &change.sentence(now)) + "\n")
        .collect()
}
