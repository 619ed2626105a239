//! Which alerts and acts belong to one attack.
//!
//! An incident is found by its strongest key first: correlation id, then attack id, then prefix
//! and vector within a time span. Deliveries come late, twice and out of order; the keys and the
//! alert's own instant decide, never the order of arrival.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertKind, Phase};
use crate::ids::IncidentId;
use crate::prefix::Prefix;
use crate::time::{minus, plus};

/// How far apart two alerts without common ids may lie and still be one attack. Cloudflare does
/// not alert twice for one attack within an hour, so a longer silence is a new one.
pub const JOIN_WITHIN: Duration = Duration::from_secs(3_600);

/// A name under which an incident can be found again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IncidentKey {
    /// `correlation`, `attack` or `epoch`.
    pub kind: String,
    /// The normalised id.
    pub key: String,
}

/// The keys an alert brings, strongest first.
pub fn keys_of(alert: &Alert) -> Vec<IncidentKey> {
    let key = |kind: &str, value: &Option<String>| {
        value.as_ref().filter(|text| !text.is_empty()).map(|text| IncidentKey {
            kind: kind.to_owned(),
            key: text.clone(),
        })
    };
    [
        key("correlation", &alert.correlation_id),
        key("attack", &alert.attack_id),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// An incident as far as joining needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Row number.
    pub id: IncidentId,
    /// Our prefixes in it.
    pub prefixes: Vec<Prefix>,
    /// Attack vector.
    pub vector: Option<String>,
    /// First sign.
    pub began_at: Timestamp,
    /// Last sign so far.
    pub last_sign_at: Timestamp,
    /// Whether it is a self-test.
    pub is_test: bool,
}

/// The candidate that an alert without known keys belongs to: same prefix, compatible vector,
/// signs at most [`JOIN_WITHIN`] apart. The nearest in time wins. Self-tests never join real ones.
pub fn join_by_prefix(alert: &Alert, prefixes: &[Prefix], candidates: &[Candidate]) -> Option<IncidentId> {
    let at = alert.at();
    candidates
        .iter()
        .filter(|known| known.is_test == alert.is_test)
        .filter(|known| prefixes.iter().any(|prefix| known.prefixes.contains(prefix)))
        .filter(|known| compatible(alert.vector.as_deref(), known.vector.as_deref()))
        .filter(|known| at >= minus(known.began_at, JOIN_WITHIN) && at <= plus(known.last_sign_at, JOIN_WITHIN))
        .min_by_key(|known| distance(at, known))
        .map(|known| known.id)
}

fn compatible(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.trim().eq_ignore_ascii_case(b.trim()),
        _ => true,
    }
}

fn distance(at: Timestamp, known: &Candidate) -> Duration {
    crate::time::since(at, known.last_sign_at).max(crate::time::since(known.began_at, at))
}

/// What an alert changes on its incident, independent of the order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// First sign.
    pub began_at: Timestamp,
    /// END, if one was received and no later START.
    pub ended_at: Option<Timestamp>,
    /// Last sign.
    pub last_sign_at: Timestamp,
}

/// Extends `span` (of the incident so far) by an alert. An END that arrives before its START, a
/// START that is older than a known END, an END that is older than a known START and repeated
/// deliveries all lead to the same span.
///
/// Cloudflare's announcement of a prefix may come late and is no sign of traffic: it can open an
/// incident, but neither continues nor ends one.
pub fn extend(span: Option<Span>, alert: &Alert) -> Span {
    let at = alert.at();
    let start = alert.started_at.map_or(at, |started| started.min(at));
    let is_known = span.is_some();
    let mut span = span.unwrap_or(Span {
        began_at: start,
        ended_at: None,
        last_sign_at: at,
    });
    span.began_at = span.began_at.min(start);
    if is_known && alert.kind == AlertKind::AutoAdvertisement {
        return span;
    }
    // The attack has ended when its last sign is an END, whatever arrived first; of two signs of
    // the same instant the END is the later one.
    match alert.phase {
        Phase::End if at >= span.last_sign_at => span.ended_at = Some(at),
        Phase::Start | Phase::Update if at > span.last_sign_at => span.ended_at = None,
        _ => {}
    }
    span.last_sign_at = span.last_sign_at.max(at);
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    // Spans and joins are tested by permutation in `tests/rules/incidents.rs`.

    #[test]
    fn vectors_are_compatible_when_equal_or_unknown() {
        assert!(compatible(Some("SYN Flood"), Some(" syn flood")));
        assert!(compatible(None, Some("SYN Flood")) && compatible(None, None));
        assert!(!compatible(Some("UDP"), Some("SYN Flood")));
    }

    #[test]
    fn the_distance_to_an_incident_is_zero_within_its_span() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let known = Candidate {
            id: IncidentId(1),
            prefixes: vec![],
            vector: None,
            began_at: at(100),
            last_sign_at: at(200),
            is_test: false,
        };
        let distances = [90, 100, 150, 200, 230].map(|seconds| distance(at(seconds), &known).as_secs());
        assert_eq!(distances, [10, 0, 0, 0, 30]);
    }
}
