//! Instants as people type them. Always UTC, because everything shown is.

use domain::time::from_text;
use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;

/// An end as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// A day and a time.
    At(Timestamp),
    /// A time: the next one.
    Next(Time),
}

impl Until {
    /// The instant that is meant at `now`.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Next(time) => {
                let today = now.to_zoned(TimeZone::UTC).date();
                let at =
                    |date: jiff::civil::Date| date.to_datetime(time).to_zoned(TimeZone::UTC).map(|at| at.timestamp());
                let today_at = at(today).unwrap_or(now);
                if today_at > now {
                    return today_at;
                }
                today.tomorrow().and_then(at).unwrap_or(Timestamp::MAX)
            }
        }
    }
}

/// Reads `06:00`, `22/11/2026 06:00`, `2026-11-22 06:00` and RFC 3339.
///
/// # Errors
/// What is accepted.
pub fn parse(text: &str) -> Result<Until, String> {
    let text = text.trim();
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    if let Ok(time) = Time::strptime("%H:%M", text) {
        return Ok(Until::Next(time));
    }
    if let Ok(civil) = DateTime::strptime("%d/%m/%Y %H:%M", text)
        && let Ok(at) = civil.to_zoned(TimeZone::UTC)
    {
        return Ok(Until::At(at.timestamp()));
    }
    from_text(text)
        .map(Until::At)
        .ok_or_else(|| "write it as 06:00, '22/11/2026 06:00' or 2026-11-22T06:00:00Z; all are UTC".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> String {
        let now: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
        parse(text).unwrap().resolve(now).to_string()
    }

    #[test]
    fn times_mean_the_next_one() {
        assert_eq!(resolved("06:00"), "2026-11-22T06:00:00Z");
        assert_eq!(resolved("02:59"), "2026-11-23T02:59:00Z");
        assert_eq!(resolved("03:00 UTC"), "2026-11-23T03:00:00Z");
        for text in [
            "24/11/2026 06:00",
            "2026-11-24 06:00",
            "2026-11-24T06:00:00Z",
            "2026-11-24T07:00:00+01:00",
        ] {
            assert_eq!(resolved(text), "2026-11-24T06:00:00Z", "{text}");
        }
        for bad in ["tomorrow", "6", "25:00", "32/01/2026 06:00", ""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
