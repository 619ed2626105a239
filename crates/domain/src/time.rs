//! Instants in the forms the product writes and meets. Always UTC; no clock is read here.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// The one text form of an instant in the database: `YYYY-MM-DD HH:MM:SS[.ffffff]`, UTC.
///
/// Fixed width up to the seconds, so text order is time order within one precision; microseconds
/// are written only when there are any.
///
/// Written by hand because every stored alert holds two dozen instants; `strftime` is five times slower.
pub fn to_db_text(at: Timestamp) -> String {
    let civil = Offset::UTC.to_datetime(at);
    let micros = at.subsec_nanosecond().rem_euclid(1_000_000_000) / 1_000;
    let Ok(year) = u32::try_from(civil.year()) else {
        // Before year 0: nothing of ours, and the digits below know no sign.
        return at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string();
    };
    let mut text = String::with_capacity(26);
    let mut put = |separator: Option<char>, value: u32, digits: u32| {
        text.extend(separator);
        for place in (0..digits).rev() {
            text.extend(char::from_digit(value / 10_u32.pow(place) % 10, 10));
        }
    };
    let part = |value: i8| u32::from(value.unsigned_abs());
    put(None, year, 4);
    put(Some('-'), part(civil.month()), 2);
    put(Some('-'), part(civil.day()), 2);
    put(Some(' '), part(civil.hour()), 2);
    put(Some(':'), part(civil.minute()), 2);
    put(Some(':'), part(civil.second()), 2);
    if micros > 0 {
        put(Some('.'), micros.unsigned_abs(), 6);
    }
    text
}

/// Reads every form that the predecessor's and our own tables hold: the database form above,
/// RFC 3339 with `T` and `Z` or an offset, with any number of fractional digits.
/// Text without a zone is UTC. `None` when it is no instant.
pub fn from_text(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    // Our own form first, because it is the one that is read all the time: it has a space and no zone.
    if text.len() >= 19
        && text.as_bytes()[10] == b' '
        && !text.as_bytes()[19..]
            .iter()
            .any(|byte| matches!(byte, b' ' | b'+' | b'-' | b'Z'))
        && let Ok(civil) = text.parse::<DateTime>()
    {
        return civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    // Go prints "2026-01-01 00:00:00 +0000 UTC".
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    if let Some((civil, offset)) = text.rsplit_once(' ')
        && (offset.starts_with('+') || offset.starts_with('-'))
    {
        return format!("{}{offset}", civil.replacen(' ', "T", 1)).parse().ok();
    }
    let civil: DateTime = text.parse().ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// For people: `DD/MM/YYYY HH:MM UTC`.
pub fn for_people(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%d/%m/%Y %H:%M UTC").to_string()
}

/// For people, to the second: `DD/MM/YYYY HH:MM:SS UTC`.
pub fn for_people_seconds(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%d/%m/%Y %H:%M:%S UTC").to_string()
}

/// RFC 3339 in UTC to the second, as Cloudflare's filters take it.
pub fn rfc3339_seconds(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `later - earlier`, zero when `later` is not later.
pub fn since(later: Timestamp, earlier: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or(Duration::ZERO)
}

/// `at + by`, clamped at the end of representable time.
pub fn plus(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `at - by`, clamped at the beginning of representable time.
pub fn minus(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// The latest multiple of `step` (since the Unix epoch) that is not after `at`.
/// A zero step returns `at`.
pub fn floor_to(at: Timestamp, step: Duration) -> Timestamp {
    let step = i128::try_from(step.as_nanos()).unwrap_or(i128::MAX);
    if step == 0 {
        return at;
    }
    let nanos = at.as_nanosecond();
    Timestamp::from_nanosecond(nanos - nanos.rem_euclid(step)).unwrap_or(Timestamp::MIN)
}

/// The earliest multiple of `step` that is not before `at`.
pub fn ceil_to(at: Timestamp, step: Duration) -> Timestamp {
    let floor = floor_to(at, step);
    if floor == at { at } else { plus(floor, step) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_text_round_trips_and_sorts() {
        for text in [
            "2026-03-27 02:30:00",
            "2026-03-27 02:30:00.000125",
            "1969-12-31 23:59:59.500000",
        ] {
            assert_eq!(to_db_text(from_text(text).unwrap()), text);
        }
    }

    #[test]
    fn database_text_is_what_strftime_would_write() {
        for second in [-62_135_596_800_i64, -1, 0, 951_782_399, 1_774_000_000, 253_402_207_200] {
            for nano in [0, 1_000, 999_999_999] {
                let at = Timestamp::new(second, nano).unwrap();
                let zoned = at.to_zoned(TimeZone::UTC);
                let whole = zoned.strftime("%Y-%m-%d %H:%M:%S").to_string();
                let text = to_db_text(at);
                assert!(
                    text == whole || text == zoned.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string(),
                    "{text}"
                );
                assert_eq!(text.len() > 19, at.subsec_nanosecond() != 0, "{text}");
            }
        }
    }

    #[test]
    fn texts_cut_anywhere_are_no_instants_and_no_panics() {
        for text in [
            "2026-03-27 02:30:0\u{e9}",
            "2026-03-27 02:30:00\u{e9}",
            "\u{20ac}\u{20ac}\u{20ac}\u{20ac} \u{20ac}\u{20ac}\u{20ac}",
        ] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }

    #[test]
    fn reads_all_known_forms_as_the_same_instant() {
        let expected = from_text("2024-01-01 05:20:00").unwrap();
        for text in [
            "2024-01-01T05:20:00Z",
            "2024-01-01T05:20:00.000Z",
            "2024-01-01T06:20:00+01:00",
            "2024-01-01T05:20:00",
            "2024-01-01 05:20:00 +0000 UTC",
        ] {
            assert_eq!(from_text(text), Some(expected), "{text}");
        }
        assert_eq!(from_text("yesterday"), None);
        assert_eq!(from_text(""), None);
    }

    #[test]
    fn steps() {
        let at = from_text("2026-01-01 00:00:59.5").unwrap();
        let minute = Duration::from_secs(60);
        assert_eq!(to_db_text(floor_to(at, minute)), "2026-01-01 00:00:00");
        assert_eq!(to_db_text(ceil_to(at, minute)), "2026-01-01 00:01:00");
        assert_eq!(ceil_to(floor_to(at, minute), minute), floor_to(at, minute));
    }
}
