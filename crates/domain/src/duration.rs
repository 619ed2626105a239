//! Durations as configuration writes them: `90s`, `15m`, `24h`, `500ms`, `1h30m`, `2d`.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is not a duration: {why}; write it as 90s, 15m, 24h, 500ms or 1h30m")]
pub struct DurationError {
    /// What was written.
    pub given: String,
    /// What is wrong with it.
    pub why: &'static str,
}

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads a duration made of whole numbers with units, largest unit first.
///
/// # Errors
/// A [`DurationError`] that says what is wrong: empty, a number without unit, an unknown unit,
/// units out of order, or larger than 100 years.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let fail = |why| DurationError {
        given: text.chars().take(40).collect(),
        why,
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(fail("it is empty"));
    }
    let mut total_ms: u64 = 0;
    let mut last_unit_ms = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits == 0 {
            return Err(fail("a number is expected before each unit"));
        }
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| fail("the number is too large"))?;
        let unit_len = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at(unit_len);
        if unit.is_empty() {
            return Err(fail("a unit (ms, s, m, h, d) is missing"));
        }
        let unit_ms = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, ms)| *ms)
            .ok_or_else(|| fail("the unit is not one of ms, s, m, h, d"))?;
        if unit_ms >= last_unit_ms {
            return Err(fail("units must go from large to small, each once"));
        }
        last_unit_ms = unit_ms;
        total_ms = number
            .checked_mul(unit_ms)
            .and_then(|ms| total_ms.checked_add(ms))
            .filter(|ms| *ms <= 100 * 366 * 86_400_000)
            .ok_or_else(|| fail("it is longer than 100 years"))?;
        rest = after;
    }
    Ok(Duration::from_millis(total_ms))
}

/// Writes a duration so that [`parse`] reads it back equal, to the millisecond: `1h30m`, `0s`.
pub fn format(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, ms) in UNITS.iter().rev().filter(|(unit, _)| *unit != "d") {
        if left >= *ms {
            text.push_str(&format!("{}{unit}", left / ms));
            left %= ms;
        }
    }
    text
}

/// A duration for people: two largest units, spaced (`1 h 5 min`, `15 min`, `42 s`, `0.4 s`).
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (large, large_unit, small, small_unit) = match seconds {
        0 if duration.is_zero() => return "0 s".to_owned(),
        0..10 => {
            let tenths = duration.as_millis() / 100;
            return if tenths.is_multiple_of(10) {
                format!("{} s", tenths / 10)
            } else {
                format!("{}.{} s", tenths / 10, tenths % 10)
            };
        }
        10..60 => return format!("{seconds} s"),
        60..3_600 => (seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => (seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => (seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    };
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// `serde(with = "domain::duration::text")`: a duration as its text form.
pub mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the text form.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&super::format(*duration))
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// A text that is not a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, ms) in [
            ("90s", 90_000),
            ("15m", 900_000),
            ("24h", 86_400_000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
        ] {
            assert_eq!(parse(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        for bad in [
            "",
            "15",
            "m",
            "15x",
            "1m1h",
            "1m1m",
            "-5s",
            "1.5h",
            "99999999999999999999s",
            "5 m",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        for ms in [0, 1, 999, 1_000, 61_000, 5_400_000, 90_061_001] {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse(&format(duration)).unwrap(), duration);
        }
    }

    #[test]
    fn reads_well() {
        let shown = |ms| human(Duration::from_millis(ms));
        assert_eq!(shown(0), "0 s");
        assert_eq!(shown(400), "0.4 s");
        assert_eq!(shown(42_000), "42 s");
        assert_eq!(shown(905_000), "15 min 5 s");
        assert_eq!(shown(7_200_000), "2 h");
        assert_eq!(shown(180_000_000), "2 d 2 h");
    }
}
