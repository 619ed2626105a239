//! Durations: with limits, without, and how long rows are kept.

use std::time::Duration;

use domain::duration;

use super::wrong_type;
use crate::json::{Data, Node};
use crate::keys::{Key, Kind};
use crate::model::Keep;
use crate::report::Code;
use crate::site::{Problems, Site};

/// A duration without regard to limits. Also used for the deadline of a check.
pub(super) fn read(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<Duration> {
    let Data::Text(written) = &node.data else {
        return wrong_type(key, node, site, problems);
    };
    match duration::parse(written) {
        Ok(duration) => Some(duration),
        Err(error) => {
            let what = if written.trim_start().starts_with('-') {
                "a duration cannot be negative".to_owned()
            } else if written.contains(['.', ',']) {
                "a duration has no fractions: 1.5h is written \"1h30m\"".to_owned()
            } else if written.trim().contains(char::is_whitespace) {
                "a duration has no blanks: 5 min is written \"5m\"".to_owned()
            } else {
                format!("this is not a duration: {}", error.why)
            };
            let forever = if key.kind == Kind::Keep { ", or \"forever\"" } else { "" };
            problems.error(
                Code::InvalidValue,
                site,
                what,
                format!("write whole numbers with units, such as \"90s\", \"15m\", \"24h\", \"500ms\", \"1h30m\" or \"7d\"{forever}"),
            );
            None
        }
    }
}

/// Reports a duration outside of its inclusive limits.
pub(super) fn in_range(
    value: Duration,
    (min, max): (&'static str, &'static str),
    site: &Site,
    problems: &mut Problems,
) -> Option<Duration> {
    let limit = |text| duration::parse(text).unwrap_or_default();
    if (limit(min)..=limit(max)).contains(&value) {
        return Some(value);
    }
    problems.error(
        Code::OutOfRange,
        site,
        format!("the duration must lie between {min} and {max}"),
        if value < limit(min) {
            format!("write at least \"{min}\"")
        } else {
            format!("write at most \"{max}\"")
        },
    );
    None
}

/// A duration of at least a day, or `forever`.
pub(super) fn keep(key: &Key, node: &Node, site: &Site, problems: &mut Problems) -> Option<Keep> {
    if let Data::Text(text) = &node.data
        && text.trim() == "forever"
    {
        return Some(Keep::Forever);
    }
    let duration = read(key, node, site, problems)?;
    // Below a day the retention job could remove what a running incident still refers to.
    in_range(duration, ("1d", "36500d"), site, problems).map(Keep::For)
}
