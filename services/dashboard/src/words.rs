//! Instants, ages, rates and foreign text as people read them on a page.
//!
//! The script in `assets/clock.js` writes ages in the same form, so a page does not change its look when it comes alive.
//! All times are UTC. Text from outside is made safe to *show* here (length, control characters); making it safe to
//! *embed* is the templates' escaping and stays there.

use std::time::Duration;

use domain::time::since;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `12 s`, `4 min`, `2 h 05 min`, `3 d 4 h`: one unit below an hour, because finer digits only flicker.
pub(crate) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// The age at `now` of something that happened at `at`; zero for the future.
pub(crate) fn age_at(at: Timestamp, now: Timestamp) -> String {
    age(since(now, at))
}

/// `8:11`, `1:02:00`: what is left until a deadline, to the second.
pub(crate) fn rest(left: Duration) -> String {
    let seconds = left.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds % 3_600 / 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// `03:42`, with the day in front when it is not the day of `now`, and the year when it is not this one.
pub(crate) fn clock(at: Timestamp, now: Timestamp) -> String {
    let (at, now) = (at.to_zoned(TimeZone::UTC), now.to_zoned(TimeZone::UTC));
    let form = if at.date() == now.date() {
        "%H:%M"
    } else if at.year() == now.year() {
        "%d/%m %H:%M"
    } else {
        "%d/%m/%Y %H:%M"
    };
    at.strftime(form).to_string()
}

/// [`clock`] to the second.
pub(crate) fn clock_seconds(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.to_zoned(TimeZone::UTC).strftime(":%S").to_string();
    clock(at, now) + &seconds
}

/// [`clock`] inside a sentence, where no column says the zone. The script finds these words and can show the reader's own
/// zone instead.
pub(crate) fn said(at: Timestamp, now: Timestamp) -> String {
    clock(at, now) + " UTC"
}

/// [`said`] to the second.
pub(crate) fn said_seconds(at: Timestamp, now: Timestamp) -> String {
    clock_seconds(at, now) + " UTC"
}

/// `22/11/2026 03:42:10 UTC`
pub(crate) fn stamp(at: Timestamp) -> String {
    domain::time::for_people_seconds(at)
}

/// RFC 3339 in UTC to the second, for machines.
pub(crate) fn iso(at: Timestamp) -> String {
    domain::time::rfc3339_seconds(at)
}

/// Longest text of one outside value that a page shows.
pub(crate) const MOST: usize = 300;

/// Text from outside as one bounded line: control characters and runs of white space become one space, characters
/// that hide or reorder text are dropped, a cut is marked with `…`.
pub(crate) fn outside(text: &str) -> String {
    outside_up_to(text, MOST)
}

/// [`outside`] with a limit of its own, in characters.
pub(crate) fn outside_up_to(text: &str, most: usize) -> String {
    let mut line = String::with_capacity(text.len().min(most * 2));
    let mut length = 0;
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = length > 0;
            continue;
        }
        if reorders_or_hides(c) {
            continue;
        }
        let needed = 1 + usize::from(gap);
        if length + needed > most {
            line.push('…');
            break;
        }
        if gap {
            line.push(' ');
            gap = false;
        }
        line.push(c);
        length += needed;
    }
    line
}

/// A foreign text of several lines, as it came: what would hide or reorder it is made visible as `\u{FFFD}`.
pub(crate) fn block(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() || reorders_or_hides(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Zero-width and bidirectional controls: with them a line can read as something else than it is.
fn reorders_or_hides(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// `4.1 Gbps`, `610 kpps`, `812 pps`: three digits that count, without idle zeros.
fn rate(per_second: f64, unit: &str) -> String {
    const STEPS: [(&str, f64); 5] = [("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0)];
    let (prefix, factor) = STEPS
        .into_iter()
        .find(|(_, factor)| per_second >= *factor)
        .unwrap_or(("", 1.0));
    let value = per_second / factor;
    let decimals = match value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let digits = format!("{value:.decimals$}");
    let digits = if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        &digits
    };
    format!("{digits} {prefix}{unit}")
}

/// Bits and packets per second, as far as they are known and not zero: `4.1 Gbps / 610 kpps`.
pub(crate) fn rates(bits: Option<f64>, packets: Option<f64>) -> Option<String> {
    let bits = bits.filter(|bits| *bits > 0.0).map(|bits| rate(bits, "bps"));
    let packets = packets
        .filter(|packets| *packets > 0.0)
        .map(|packets| rate(packets, "pps"));
    match (bits, packets) {
        (Some(bits), Some(packets)) => Some(format!("{bits} / {packets}")),
        (one, other) => one.or(other),
    }
}

/// An amount of traffic, as far as it is known: `4.1 Gbit / 610 k packets`. It is no rate.
pub(crate) fn volume(bits: Option<i64>, packets: Option<i64>) -> Option<String> {
    let amount = |number: Option<i64>, unit: &str| {
        let number = number.filter(|number| *number > 0)?;
        Some(rate(number as f64, unit))
    };
    match (amount(bits, "bit"), amount(packets, " packets")) {
        (Some(bits), Some(packets)) => Some(format!("{bits} / {}", spaced(&packets))),
        (bits, packets) => bits.or(packets.map(|packets| spaced(&packets))),
    }
}

/// `812  packets` comes of a number without prefix.
fn spaced(text: &str) -> String {
    text.replace("  ", " ")
}

/// `word`, or `words` with its number: `1 sample`, `812 samples`.
pub(crate) fn counted(number: u64, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {word}{plural}", domain::units::grouped(number))
}

/// A sentence's first letter in upper case.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    #[test]
    fn ages_and_rests() {
        let shown = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 100_000].map(|s| age(Duration::from_secs(s)));
        assert_eq!(
            shown,
            [
                "0 s",
                "59 s",
                "1 min",
                "59 min",
                "1 h 00 min",
                "23 h 59 min",
                "1 d 0 h",
                "1 d 3 h"
            ]
        );
        assert_eq!(
            age_at(at("2026-01-01T00:00:05Z"), at("2026-01-01T00:00:00Z")),
            "0 s",
            "the future has no age"
        );
        assert_eq!(rest(Duration::from_secs(491)), "8:11");
        assert_eq!(rest(Duration::from_secs(3_720)), "1:02:00");
    }

    #[test]
    fn the_day_and_the_year_are_named_when_they_are_not_this_one() {
        let now = at("2026-11-22T03:00:00Z");
        assert_eq!(clock(at("2026-11-22T00:01:59Z"), now), "00:01");
        assert_eq!(clock(at("2026-11-21T23:59:00Z"), now), "21/11 23:59");
        assert_eq!(clock(at("2025-11-22T03:00:00Z"), now), "22/11/2025 03:00");
        assert_eq!(clock_seconds(at("2026-11-22T00:01:59Z"), now), "00:01:59");
    }

    #[test]
    fn outside_text_is_one_bounded_line() {
        assert_eq!(outside("  a\r\n\tb\u{7}c\u{202E} "), "a b c");
        assert_eq!(outside_up_to("abcdef", 3), "abc…");
        assert_eq!(outside_up_to("ab cd", 3), "ab…");
        assert_eq!(outside("<b>"), "<b>", "escaping is not its business");
        assert_eq!(block("a\n\tb\u{202E}\r"), "a\n\tb\u{FFFD}\u{FFFD}");
    }

    #[test]
    fn rates_have_three_digits_that_count() {
        assert_eq!(
            rates(Some(4.1e9), Some(610_000.0)).as_deref(),
            Some("4.1 Gbps / 610 kpps")
        );
        assert_eq!(
            rates(Some(1.234e12), Some(12_345.0)).as_deref(),
            Some("1.23 Tbps / 12.3 kpps")
        );
        assert_eq!(rates(Some(0.0), Some(7.0)).as_deref(), Some("7 pps"));
        assert_eq!(rates(Some(100.0), None).as_deref(), Some("100 bps"));
        assert_eq!(rates(Some(999.6e6), None).as_deref(), Some("1000 Mbps"));
        assert_eq!(rates(None, Some(f64::NAN)), None);
    }

    #[test]
    fn counts() {
        assert_eq!(counted(1, "sample"), "1 sample");
        assert_eq!(counted(12_345, "sample"), "12,345 samples");
        assert_eq!(sentence("it is held"), "It is held");
    }
}
