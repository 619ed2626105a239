//! Tunnels and interconnects judged for people: health, what probes them, whether anybody would be told.
//!
//! Pure. Must hold: a tunnel without figures has no health, neither good nor bad; figures of a name that is no tunnel are
//! nobody's; a place that is down is not averaged away.

pub(crate) mod edit;
pub(crate) mod send;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cf_api::graphql::tunnel_health::{COURSE, TunnelHealth};
use cf_api::rest::alerting::AlertPolicy;
use cf_api::rest::tunnels::{HealthCheck, Tunnel};
use domain::time::since;
use jiff::Timestamp;
use serde::Serialize;

use crate::overview::state::Tone;
use crate::upstream::Reading;

/// The notification by which Cloudflare tells that a tunnel fails.
pub(crate) const TUNNEL_ALERT: &str = "magic_tunnel_health_check_event";

/// Below this part of passed probes a tunnel is degraded, even when no single place lost it.
const GOOD: f64 = 0.95;

/// Below this part it is down. Source: the predecessor's limit.
const DOWN: f64 = 0.4;

/// A place whose average state is lower has lost the tunnel. Source: Cloudflare's schema, 0 down, 0.5 degraded, 1 healthy.
const PLACE_DOWN: f64 = 0.25;

/// Places that are shown.
const MOST_PLACES: usize = 5;

/// Steps of the course.
const STEPS: usize = 96;

/// Length of a step in seconds.
const STEP_S: u64 = 900;

/// How a tunnel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Health {
    Healthy,
    Degraded,
    Down,
    /// Nothing was read about it.
    NoData,
}

impl Health {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::NoData => "no data",
        }
    }

    pub(crate) fn tone(self) -> Tone {
        match self {
            Self::Healthy => Tone::Good,
            Self::Degraded | Self::Down => Tone::Warn,
            Self::NoData => Tone::Unknown,
        }
    }
}

/// One of Cloudflare's places that probes a tunnel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PlaceView {
    pub(crate) code: String,
    pub(crate) name: String,
    /// Average of 0 down, 0.5 degraded, 1 healthy.
    pub(crate) state: f64,
    pub(crate) checks: u64,
}

/// What is known of a tunnel's probes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Probes {
    pub(crate) health: Health,
    /// Why there is none, or what to look at.
    pub(crate) because: Option<String>,
    /// Percent of the last hour's probes.
    pub(crate) pass_rate: Option<f64>,
    pub(crate) checks: Option<u64>,
    pub(crate) places: Option<usize>,
    /// Worst first, only those that are not healthy.
    pub(crate) worst: Vec<PlaceView>,
    pub(crate) places_down: usize,
    /// No customer traffic within six hours.
    pub(crate) idle: Option<bool>,
    /// Passed part of each quarter of an hour of the last day, oldest first; null was not read.
    pub(crate) course: Vec<Option<f64>>,
}

impl Probes {
    fn none(because: &str) -> Self {
        Self {
            health: Health::NoData,
            because: Some(because.to_owned()),
            pass_rate: None,
            checks: None,
            places: None,
            worst: Vec::new(),
            places_down: 0,
            idle: None,
            course: Vec::new(),
        }
    }

    /// Of the tunnel with this name.
    pub(crate) fn of(name: &str, check: Option<&HealthCheck>, read: &Reading<TunnelHealth>, now: Timestamp) -> Self {
        let off = check.and_then(|check| check.enabled) == Some(false);
        let Some(health) = read.current() else {
            return Self::none("figures cannot be read");
        };
        if health.totals_cut {
            return Self::none("the answer was cut: figures would be too small");
        }
        let (mut all, mut passed, mut active) = (0_u64, 0_u64, false);
        for row in health.totals.iter().filter(|row| row.tunnel == name) {
            all += row.count;
            passed += if row.result == "ok" { row.count } else { 0 };
            active |= row.active;
        }
        if all == 0 {
            return Self::none(if off {
                "its probes are switched off"
            } else {
                "no probe was counted in the last hour"
            });
        }
        let mut places: Vec<PlaceView> = health
            .places
            .iter()
            .filter(|place| place.tunnel == name)
            .map(|place| PlaceView {
                code: crate::words::outside_up_to(&place.code, 8),
                name: crate::words::outside_up_to(&place.name, 40),
                state: place.state,
                checks: place.count,
            })
            .collect();
        places.sort_by(|a, b| a.state.total_cmp(&b.state));
        let count = places.len();
        let places_down = places.iter().filter(|place| place.state < PLACE_DOWN).count();
        let part = passed as f64 / all as f64;
        let (found, because) = if part < DOWN {
            (Health::Down, None)
        } else if places_down > 0 {
            (
                Health::Degraded,
                Some(format!("down as seen from {places_down} of {count} places")),
            )
        } else if part < GOOD {
            (Health::Degraded, None)
        } else {
            (Health::Healthy, None)
        };
        places.retain(|place| place.state < 1.0);
        places.truncate(MOST_PLACES);
        Self {
            health: found,
            because,
            pass_rate: Some(100.0 * part),
            checks: Some(all),
            places: (!health.places_cut).then_some(count),
            worst: places,
            places_down,
            idle: Some(!active),
            course: course(name, health, now),
        }
    }

    /// `99.58 %`; a part of one is never rounded to all.
    pub(crate) fn rate_words(&self) -> Option<String> {
        self.pass_rate.map(|rate| {
            let cut = (rate * 100.0).floor() / 100.0;
            format!("{cut:.2} %")
        })
    }

    /// The course as a path in a box of 96 by 20: a line where it is known, nothing where it is not.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        let mut drawn = false;
        for (number, value) in self.course.iter().enumerate() {
            match value {
                Some(part) => {
                    let y = 20.0 - part * 20.0;
                    let word = if drawn { 'L' } else { 'M' };
                    let _ = write!(path, "{word}{number} {y:.1}h1");
                    drawn = true;
                }
                None => drawn = false,
            }
        }
        path
    }

    /// The worst quarter of an hour of the day, percent.
    pub(crate) fn lowest(&self) -> Option<f64> {
        let known = self.course.iter().flatten().copied();
        known.min_by(f64::total_cmp).map(|part| 100.0 * part)
    }
}

fn course(name: &str, health: &TunnelHealth, now: Timestamp) -> Vec<Option<f64>> {
    let mut steps: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    for row in health.course.iter().filter(|row| row.tunnel == name) {
        let age = since(now, row.at);
        if age > COURSE {
            continue;
        }
        let back = usize::try_from(age.as_secs() / STEP_S).unwrap_or(STEPS);
        let Some(step) = STEPS.checked_sub(back + 1) else {
            continue;
        };
        let sums = steps.entry(step).or_default();
        sums.0 += row.count;
        sums.1 += if row.passed { row.count } else { 0 };
    }
    (0..STEPS)
        .map(|step| {
            steps
                .get(&step)
                .map(|(all, passed)| *passed as f64 / (*all).max(1) as f64)
        })
        .collect()
}

/// Why nobody would be told if this tunnel failed; `None` when somebody would, or when that is not known.
pub(crate) fn unwatched(tunnel: &Tunnel, probes: &Probes, policies: &Reading<Vec<AlertPolicy>>) -> Option<String> {
    let policies = policies.current()?;
    let watching = policies
        .iter()
        .filter(|policy| policy.enabled && policy.alert_type == TUNNEL_ALERT)
        .filter(|policy| covers(policy, tunnel));
    if watching.count() == 0 {
        return Some("no notification policy of Cloudflare watches it".to_owned());
    }
    if tunnel.health_check.as_ref().and_then(|check| check.enabled) == Some(false) {
        return Some("its probes are switched off, so nothing can tell that it fails".to_owned());
    }
    (probes.idle == Some(true)).then(|| {
        "it had no customer traffic for six hours: Cloudflare's alerts do not watch it until it has".to_owned()
    })
}

/// Whether a policy's filters let this tunnel through.
fn covers(policy: &AlertPolicy, tunnel: &Tunnel) -> bool {
    let named = |key: &str, value: &str| {
        let list = policy.filters.get(key);
        list.is_none_or(|list| list.iter().any(|named| named == value))
    };
    named("tunnel_id", &tunnel.id) && named("tunnel_name", &tunnel.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cf_api::graphql::tunnel_health::{Counted, Place, Stretch};
    use cf_api::rest::tunnels::TunnelKind;
    use domain::time::minus;
    use serde_json::json;
    use std::time::Duration;

    fn now() -> Timestamp {
        "2026-11-22T03:27:00Z".parse().unwrap()
    }

    fn counted(tunnel: &str, result: &str, count: u64, active: bool) -> Counted {
        Counted {
            tunnel: tunnel.into(),
            result: result.into(),
            active,
            count,
        }
    }

    fn read(totals: Vec<Counted>, places: &[(&str, f64)]) -> TunnelHealth {
        let place = |(code, state): &(&str, f64)| Place {
            tunnel: "edge".into(),
            code: (*code).into(),
            name: (*code).into(),
            state: *state,
            count: 10,
        };
        TunnelHealth {
            to: now(),
            totals,
            places: places.iter().map(place).collect(),
            course: vec![Stretch {
                at: minus(now(), Duration::from_secs(1_900)),
                tunnel: "edge".into(),
                passed: true,
                count: 4,
            }],
            totals_cut: false,
            places_cut: false,
            course_cut: false,
        }
    }

    fn probes(health: TunnelHealth) -> Probes {
        Probes::of("edge", None, &Reading::good(health, now()), now())
    }

    #[test]
    fn no_figures_are_no_health() {
        let none = probes(read(vec![counted("other", "ok", 5, true)], &[]));
        assert_eq!((none.health, none.pass_rate, none.idle), (Health::NoData, None, None));
        let failed = Probes::of("edge", None, &Reading::bad("HTTP 429"), now());
        assert_eq!(failed.health, Health::NoData);
        let mut cut = read(vec![counted("edge", "ok", 5, true)], &[]);
        cut.totals_cut = true;
        assert_eq!(probes(cut).health, Health::NoData);
    }

    #[test]
    fn a_place_that_is_down_is_not_averaged_away() {
        let good = [("AMS", 1.0), ("FRA", 1.0)];
        let rows = || vec![counted("edge", "ok", 990, true), counted("edge", "timeout", 10, true)];
        assert_eq!(probes(read(rows(), &good)).health, Health::Healthy);
        let one = probes(read(rows(), &[("AMS", 0.0), ("FRA", 1.0)]));
        assert_eq!((one.health, one.places_down), (Health::Degraded, 1));
        assert_eq!(one.worst.len(), 1, "only what is not well is named");
        let few = vec![counted("edge", "ok", 3, true), counted("edge", "timeout", 97, true)];
        let down = probes(read(few, &[("AMS", 0.0)]));
        assert_eq!(
            (down.health, down.rate_words().as_deref()),
            (Health::Down, Some("3.00 %"))
        );
        let nearly = vec![counted("edge", "ok", 99_999, true), counted("edge", "timeout", 1, true)];
        assert_eq!(probes(read(nearly, &good)).rate_words().as_deref(), Some("99.99 %"));
    }

    #[test]
    fn the_course_has_gaps_where_nothing_was_read() {
        let probes = probes(read(vec![counted("edge", "ok", 5, false)], &[]));
        assert_eq!(probes.course.len(), STEPS);
        assert_eq!(probes.course.iter().flatten().count(), 1);
        assert_eq!(probes.path(), "M93 0.0h1");
        assert_eq!(probes.idle, Some(true));
    }

    #[test]
    fn who_would_be_told() {
        let raw = json!({"id": "c1", "name": "edge", "health_check": {"enabled": true}});
        let tunnel = Tunnel::read(TunnelKind::Gre, raw.as_object().cloned().unwrap()).unwrap();
        let policy = |filters: &[(&str, &str)]| AlertPolicy {
            id: "p".into(),
            name: "tunnels".into(),
            alert_type: TUNNEL_ALERT.into(),
            enabled: true,
            webhooks: vec!["w".into()],
            filters: filters
                .iter()
                .map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()]))
                .collect(),
        };
        let busy = probes(read(vec![counted("edge", "ok", 5, true)], &[]));
        let idle = probes(read(vec![counted("edge", "ok", 5, false)], &[]));
        let told = |probes: &Probes, policies| unwatched(&tunnel, probes, &Reading::good(policies, now()));
        assert_eq!(told(&busy, vec![policy(&[])]), None);
        assert!(told(&idle, vec![policy(&[])]).is_some(), "idle tunnels are not watched");
        assert!(told(&busy, vec![policy(&[("tunnel_name", "other")])]).is_some());
        assert!(told(&busy, vec![]).is_some());
        assert_eq!(
            unwatched(&tunnel, &idle, &Reading::bad("x")),
            None,
            "what is not known is not claimed"
        );
    }
}
