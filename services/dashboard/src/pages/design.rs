//! `/design`: every component in every state, for those who work on the pages. Nothing on it is real.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use db::lists::vectors::{Dropped, Vector};
use db::series::Point;
use db::users::Role;
use domain::time::{minus, plus};
use jiff::Timestamp;

use super::{Shell, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::overview::prefix::Deadline;
use crate::overview::state::{State as PrefixState, Tone};
use crate::plot::{Plot, Quantity};

const STATES: [PrefixState; 8] = [
    PrefixState::Direct,
    PrefixState::Protected,
    PrefixState::Propagating,
    PrefixState::UnderAttack,
    PrefixState::Calm,
    PrefixState::Held,
    PrefixState::Unknown,
    PrefixState::NotManaged,
];

const TONES: [Tone; 5] = [Tone::Plain, Tone::Good, Tone::Warn, Tone::Unknown, Tone::Attack];

const SIZES: [(&str, &str); 5] = [
    ("size-13", "13 px, tables and facts"),
    ("size-15", "15 px, text"),
    ("size-18", "18 px, what is read first"),
    ("size-24", "24 px, titles"),
    ("size-32", "32 px, clocks"),
];

#[derive(Template)]
#[template(path = "design.html")]
struct Page {
    shell: Shell,
    states: [PrefixState; 8],
    tones: [Tone; 5],
    sizes: [(&'static str, &'static str); 5],
    /// An attack with a hole in it, a night without drops, and nothing read.
    plots: Vec<(&'static str, Vec<Plot>)>,
    running: Deadline,
    stopped: Deadline,
    due: Deadline,
}

/// `GET /design`
pub(crate) async fn page(State(app): State<App>, member: Member) -> Result<Response, Failure> {
    member.needs(Role::Admin)?;
    let now = app.now();
    let deadline = |seconds: u64, stands: Option<&str>| Deadline {
        at: plus(now, Duration::from_secs(seconds)),
        what: "withdrawal",
        runs_until: stands.is_none().then(|| plus(now, Duration::from_secs(86_400))),
        stands_because: stands.map(str::to_owned),
    };
    let plots = [
        ("an attack, and a time nobody read", attack as fn(u64) -> Option<u64>),
        ("nothing dropped", |_| Some(0)),
        ("nothing read", |_| None),
    ];
    Ok(rendered(&Page {
        shell: Shell::bare(&app, &member, "Design", "design"),
        states: STATES,
        tones: TONES,
        sizes: SIZES,
        plots: plots
            .into_iter()
            .map(|(name, rate)| (name, drawn(&points(rate, now), now)))
            .collect(),
        running: deadline(491, None),
        stopped: deadline(491, Some("cloudflare-autowithdraw was last seen 4 min ago")),
        due: deadline(0, None),
    }))
}

/// Packets per second in a minute.
fn attack(minute: u64) -> Option<u64> {
    match minute {
        0..40 => Some(0),
        40..90 => Some(400_000 + 4_000 * (minute % 11)),
        90..105 => None,
        _ => Some(30),
    }
}

fn points(rate: fn(u64) -> Option<u64>, now: Timestamp) -> Vec<Point> {
    let point = |minute: u64| {
        let read = u64::from(rate(minute).is_some());
        let packets = rate(minute).unwrap_or(0) * 60;
        Point {
            at: minus(now, Duration::from_secs((120 - minute) * 60)),
            step_s: 60,
            minutes_read: read,
            minutes_complete: read,
            packets,
            bits: packets * 6_000,
            samples: packets / 10_000,
            most_packets: packets,
            most_bits: packets * 6_000,
        }
    };
    (0..120).map(point).collect()
}

fn drawn(points: &[Point], now: Timestamp) -> Vec<Plot> {
    let vectors: Vec<Vector> = [("UDP flood", 10, 8), ("DNS amplification", 10, 2)]
        .into_iter()
        .map(|(name, of, part)| Vector {
            name: name.to_owned(),
            minutes: points
                .iter()
                .filter(|point| point.packets > 10_000)
                .map(|point| {
                    let dropped = Dropped {
                        packets: point.packets * part / of,
                        bits: point.bits * part / of,
                    };
                    (point.at, dropped)
                })
                .collect(),
            packets: part,
        })
        .filter(|vector| !vector.minutes.is_empty())
        .collect();
    let happened = [(minus(now, Duration::from_secs(80 * 60)), "start", "alert".to_owned())];
    let bits = Plot::of(points, &vectors, Quantity::Bits, 33_333.0, &happened, now);
    let packets = Plot::of(points, &vectors, Quantity::Packets, 16.7, &happened, now);
    bits.into_iter().chain(packets).collect()
}
