//! Instants in the forms the product writes and meets. Always UTC; no clock is read here.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The one text form of an instant in the database: `YYYY-MM-DD HH:MM:SS[.ffffff]`, UTC.
///
/// Fixed width up to the seconds, so text order is time order within one precision; microseconds
/// are written only when there are any.
pub fn to_db_text(at: Timestamp) -> String {
    let zoned = at.to_zoned(TimeZone::UTC);
    let whole = zoned.strftime("%Y-%m-%d %H:%M:%S").to_string();
    match at.subsec_nanosecond().rem_euclid(1_000_000_000) / 1_000 {
        0 => whole,
        micros => format!("{whole}.{micros:06}"),
    }
}

/// Reads every form that the predecessor's and our own tables hold: the database form above,
/// RFC 3339 with `T` and `Z` or an offset, with any number of fractional digits.
/// Text without a zone is UTC. `None` when it is no instant.
pub fn from_text(text: &str) -> Option<Timestamp> {
    let text = text.trim();
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
