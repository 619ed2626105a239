//! The fields of an alert beyond the normal form: taken by name where a layout knows them, listed where none does.

use domain::alert::Alert;
use jiff::Timestamp;

use super::limit;
use crate::document::{Document, Line};
use crate::words::Words;

/// Most fields listed without a layout of their own.
const MOST_LISTED: usize = 25;

/// Longest label made from a field's name.
const LABEL: usize = 40;

pub(super) struct Details<'a> {
    alert: &'a Alert,
    used: Vec<bool>,
}

impl<'a> Details<'a> {
    pub(super) fn of(alert: &'a Alert) -> Self {
        Self {
            alert,
            used: vec![false; alert.details.len()],
        }
    }

    /// The first of these fields that has a value; it will not be listed again.
    pub(super) fn take(&mut self, names: &[&str]) -> Option<&'a str> {
        for name in names {
            let found = self
                .alert
                .details
                .iter()
                .position(|(key, value)| key.eq_ignore_ascii_case(name) && !blank(value));
            if let Some(index) = found {
                if let Some(used) = self.used.get_mut(index) {
                    *used = true;
                }
                return self.alert.details.get(index).map(|(_, value)| value.as_str());
            }
        }
        None
    }

    /// [`Details::take`], ready to be shown.
    pub(super) fn words(&mut self, names: &[&str]) -> Option<Words> {
        Words::present(self.take(names), limit::VALUE)
    }

    /// [`Details::take`] of a time: in our form where it can be read, else as sent.
    pub(super) fn time(&mut self, names: &[&str]) -> Option<Words> {
        self.take(names)
            .map(|text| instant(text).map_or_else(|| Words::outside(text, limit::VALUE), Words::from))
    }

    /// Everything not taken, one line each.
    pub(super) fn list_rest(self, document: &mut Document) {
        let rest: Vec<&(String, String)> = self
            .alert
            .details
            .iter()
            .zip(&self.used)
            .filter(|((_, value), used)| !**used && !blank(value))
            .map(|(field, _)| field)
            .collect();
        for (key, value) in rest.iter().take(MOST_LISTED) {
            let label = Words::outside(&sentence(key), LABEL);
            let plain = label
                .as_str()
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == ' ' || c == '-');
            let line = if plain {
                Line::new().text(label)
            } else {
                Line::new().code(label)
            };
            let value = instant(value).map_or_else(|| Words::outside(value, limit::VALUE), Words::from);
            document.push(line.text(": ").code(value));
        }
        if rest.len() > MOST_LISTED {
            document.push(format!("and {} more fields in the log", rest.len() - MOST_LISTED));
        }
    }
}

/// `account_name` as a label: `Account name`
fn sentence(key: &str) -> String {
    let words = key.replace('_', " ");
    let mut chars = words.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A text that is certainly an instant: a date with a time, or seconds since 1970 as alerts write them.
fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit()) {
        return text
            .parse()
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok());
    }
    let dated = text.len() >= 16 && text.get(4..5) == Some("-") && text.get(13..14) == Some(":");
    dated.then(|| domain::time::from_text(text)).flatten()
}

/// What Cloudflare writes where it has nothing to say.
fn blank(value: &str) -> bool {
    let value = value.trim();
    value.is_empty()
        || ["n/a", "null", "none", "unknown", "{}", "[]"]
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word))
}

/// `MAGIC_TUNNEL_STATUS_DOWN` read as `down`: without what all words of its kind begin with.
pub(super) fn word(text: &str, prefix: &str) -> String {
    let bare = text.trim();
    let bare = match bare.get(..prefix.len()) {
        Some(head) if head.eq_ignore_ascii_case(prefix) => &bare[prefix.len()..],
        _ => bare,
    };
    bare.replace('_', " ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_recognised_and_nothing_else() {
        for text in [
            "2026-03-27T03:10:00Z",
            "2026-03-27 03:10:00 +0000 UTC",
            "1774581000",
            "2026-03-27T04:10:00+01:00",
        ] {
            assert_eq!(instant(text), domain::time::from_text("2026-03-27 03:10:00"), "{text}");
        }
        for text in [
            "",
            "64511",
            "99.9",
            "2026",
            "203.0.113.0/24",
            "2026-03-27",
            "12345678901",
            "äöüäöüäöüäöü",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn constants_become_words() {
        assert_eq!(word("MAGIC_TUNNEL_STATUS_DOWN", "MAGIC_TUNNEL_STATUS_"), "down");
        assert_eq!(word("Healthy", "X_"), "healthy");
        assert_eq!(word("ÄÖÜ", "INCIDENT_STATUS_"), "äöü");
        assert_eq!(word("NO_DATA", ""), "no data");
    }
}
