//! What answer headers say about limits and the other side's clock. Every header is optional; none is depended on.

use std::time::Duration;

use domain::time::since;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::HeaderMap;

use crate::budget::Remaining;
use crate::outside_text::clean;

/// The silence kept after a 429 that names no time. Cloudflare documents a lock-out of five
/// minutes but also that `retry-after` is sent; asking once a minute costs nothing.
pub(crate) const DEFAULT_WAIT: Duration = Duration::from_secs(60);

/// Longer waits are not believed.
const MAX_WAIT: Duration = Duration::from_secs(3_600);

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// `retry-after-ms`, else `retry-after` in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let wait = if let Some(ms) = text(headers, "retry-after-ms").and_then(|t| t.parse().ok()) {
        Duration::from_millis(ms)
    } else {
        let value = text(headers, "retry-after")?;
        match value.parse::<f64>() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
            Err(_) => since(rfc2822::parse(value).ok()?.timestamp(), now),
        }
    };
    Some(wait.min(MAX_WAIT))
}

/// Calls left: `x-ratelimit-remaining: 17` of `x-ratelimit-limit: 100`, or
/// `Ratelimit: "default";r=17;t=30` of `Ratelimit-Policy: "default";q=100;w=60`.
pub(crate) fn remaining(headers: &HeaderMap) -> Option<Remaining> {
    if let Some(calls) = text(headers, "x-ratelimit-remaining").and_then(|t| t.parse().ok()) {
        let of = text(headers, "x-ratelimit-limit").and_then(|t| t.parse().ok());
        return Some(Remaining { calls, of });
    }
    Some(Remaining {
        calls: parameter(headers, "ratelimit", &["r", "remaining"])?,
        of: parameter(headers, "ratelimit-policy", &["q"]).or_else(|| parameter(headers, "ratelimit", &["limit"])),
    })
}

fn parameter(headers: &HeaderMap, name: &str, keys: &[&str]) -> Option<u32> {
    text(headers, name)?
        .split([';', ','])
        .filter_map(|part| part.trim().split_once('='))
        .find(|(key, _)| keys.contains(&key.trim()))
        .and_then(|(_, value)| value.trim().parse().ok())
}

/// `date`: the other side's clock.
pub(crate) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    rfc2822::parse(text(headers, "date")?).ok().map(|date| date.timestamp())
}

/// `cf-ray`, which names the request to Cloudflare's support.
pub(crate) fn ray(headers: &HeaderMap) -> Option<String> {
    text(headers, "cf-ray")
        .map(clean)
        .filter(|ray| !ray.is_empty() && ray.len() <= 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn waits_in_all_written_forms() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let wait =
            |pairs: &[(&'static str, &'static str)]| retry_after(&headers(pairs), now).map(|wait| wait.as_millis());
        assert_eq!(wait(&[("retry-after", "30")]), Some(30_000));
        assert_eq!(wait(&[("retry-after", "1.5")]), Some(1_500));
        assert_eq!(wait(&[("retry-after-ms", "250"), ("retry-after", "9")]), Some(250));
        assert_eq!(wait(&[("retry-after", "Thu, 01 Jan 2026 00:01:00 GMT")]), Some(60_000));
        assert_eq!(wait(&[("retry-after", "999999999")]), Some(3_600_000));
        for bad in ["", "-5", "soon", "NaN", "inf"] {
            assert_eq!(wait(&[("retry-after", bad)]), None, "{bad}");
        }
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn remaining_in_both_generations() {
        let left =
            |pairs: &[(&'static str, &'static str)]| remaining(&headers(pairs)).map(|left| (left.calls, left.of));
        assert_eq!(left(&[("x-ratelimit-remaining", "17")]), Some((17, None)));
        assert_eq!(
            left(&[("x-ratelimit-remaining", "17"), ("x-ratelimit-limit", "1200")]),
            Some((17, Some(1_200)))
        );
        assert_eq!(
            left(&[
                ("ratelimit", "\"default\";r=50;t=30"),
                ("ratelimit-policy", "\"default\";q=100;w=60")
            ]),
            Some((50, Some(100)))
        );
        assert_eq!(
            left(&[("ratelimit", "limit=100, remaining=5, reset=3")]),
            Some((5, Some(100)))
        );
        assert_eq!(left(&[("ratelimit", "nonsense")]), None);
        assert_eq!(left(&[("x-ratelimit-remaining", "-1")]), None);
    }
}
