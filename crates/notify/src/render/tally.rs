//! Many notices counted: how many of which kind, which event numbers, and as many single lines as a message bears.
//!
//! What must hold: every notice is in the count, whether it has a line or not.

use db::outbox::{Notification, Told};

use super::limit;
use crate::document::Line;
use crate::words::Words;

/// Single lines in one message; further notices are only counted.
pub(super) const MOST_LINES: usize = 40;

/// Kinds named in the count; the rest is counted as others.
const MOST_KINDS: usize = 12;

/// Notices in numbers.
#[derive(Debug, Default)]
pub(super) struct Tally {
    kinds: Vec<(String, u64)>,
    events: Option<(i64, i64)>,
}

impl Tally {
    /// Of notices in hand.
    pub(super) fn of(rows: &[Notification]) -> Self {
        let mut tally = Self::default();
        for row in rows {
            tally.add(&row.kind, 1);
            if let Some(event) = row.event {
                tally.reach(event.0, event.0);
            }
        }
        tally
    }

    /// With those that a message holds already beside its first one.
    pub(super) fn and_told(mut self, told: &Told) -> Self {
        for (kind, count) in &told.kinds {
            self.add(kind, *count);
        }
        if let Some((least, most)) = told.events {
            self.reach(least.0, most.0);
        }
        self
    }

    /// With one more.
    pub(super) fn and(mut self, row: &Notification) -> Self {
        self.add(&row.kind, 1);
        if let Some(event) = row.event {
            self.reach(event.0, event.0);
        }
        self
    }

    fn add(&mut self, kind: &str, count: u64) {
        match self.kinds.iter_mut().find(|(known, _)| known == kind) {
            Some((_, sum)) => *sum += count,
            None => self.kinds.push((kind.to_owned(), count)),
        }
    }

    fn reach(&mut self, least: i64, most: i64) {
        let (low, high) = self.events.unwrap_or((least, most));
        self.events = Some((low.min(least), high.max(most)));
    }

    /// How many.
    pub(super) fn total(&self) -> u64 {
        self.kinds.iter().map(|(_, count)| count).sum()
    }

    /// `4 x alert, 2 x mitigation; #123 to #160`
    pub(super) fn line(&self) -> Line {
        let mut list: Vec<String> = self
            .kinds
            .iter()
            .take(MOST_KINDS)
            .map(|(kind, count)| {
                let kind = Words::outside(&kind.replace('_', " "), limit::NAME);
                format!("{count} x {}", kind.as_str())
            })
            .collect();
        let others: u64 = self.kinds.iter().skip(MOST_KINDS).map(|(_, count)| count).sum();
        if others > 0 {
            list.push(format!("{others} others"));
        }
        let line = Line::from(list.join(", "));
        match self.events {
            Some((least, most)) if least != most => line.text(format!("; #{least} to #{most}")),
            _ => line,
        }
    }
}
