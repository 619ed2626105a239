//! `health`: whether everything lives, from what all services leave in the database.
//!
//! Must hold: a service that was never seen, stopped or fell silent is not healthy; a database that cannot be read is not
//! healthy; nothing is inferred from the absence of complaints.

use std::time::Duration;

use cli::life::{Life, Service, UNITS};
use cli::words::age;
use cli::{Ink, Table, Trouble, ink};
use daemon::exit;
use db::heartbeats::Heartbeat;
use db::leases::Lease;
use db::outbox::Depth;
use db::{DbError, ReadTx};
use domain::time::since;
use jiff::Timestamp;
use serde::Serialize;

use crate::desk::Desk;

/// Name of the lease of the automation's one actor.
const ACTOR: &str = "autowithdraw";

/// A message that waits for longer has nobody who sends it.
pub(crate) const WAITS_TOO_LONG: Duration = Duration::from_secs(600);

/// The document of `--json`.
#[derive(Debug, Serialize)]
pub struct Health {
    schema: &'static str,
    at: Timestamp,
    healthy: bool,
    problems: Vec<String>,
    services: Vec<Service>,
    /// The process that may withdraw by itself.
    actor: Option<String>,
    outbox: Depth,
    last_delivery_at: Option<Timestamp>,
    last_sent_at: Option<Timestamp>,
}

/// What the services left in the database.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) beats: Vec<Heartbeat>,
    actor: Option<Lease>,
    pub(crate) outbox: Depth,
    pub(crate) last_delivery_at: Option<Timestamp>,
    pub(crate) last_sent_at: Option<Timestamp>,
}

/// Reads it.
///
/// # Errors
/// Those of the database.
pub(crate) fn find(tx: &ReadTx<'_>) -> Result<Found, DbError> {
    let last_sent = db::outbox::newest(tx, Some("sent"), 1)?.into_iter().next();
    Ok(Found {
        beats: db::heartbeats::all(tx)?,
        actor: db::leases::get(tx, ACTOR)?,
        outbox: db::outbox::depth(tx)?,
        last_delivery_at: db::deliveries::last_received(tx)?,
        last_sent_at: last_sent.and_then(|row| row.sent_at),
    })
}

/// Shows it; exit code 1 when something is wrong.
///
/// # Errors
/// When the database cannot be read.
pub async fn run(desk: &Desk) -> Result<u8, Trouble> {
    let found = desk.read("health cannot be told", find).await?;
    let now = desk.now();
    let services = services(&found.beats, now);
    let problems = problems(&services, &found, now);
    let health = Health {
        schema: "cloudflare-mt/health/1",
        at: now,
        healthy: problems.is_empty(),
        problems,
        services,
        actor: found.actor.map(|lease| lease.owner),
        outbox: found.outbox,
        last_delivery_at: found.last_delivery_at,
        last_sent_at: found.last_sent_at,
    };
    if desk.out.is_json() {
        desk.out.document(&health)?;
    } else {
        desk.out.text(&text(&health, desk))?;
    }
    Ok(if health.healthy { exit::DONE } else { exit::FAILURE })
}

/// The units of every installation, and whatever else beats.
pub(crate) fn services(beats: &[Heartbeat], now: Timestamp) -> Vec<Service> {
    let of = |name: &str| Service::of(name, beats.iter().find(|beat| beat.service == name), now);
    let others = beats
        .iter()
        .map(|beat| beat.service.as_str())
        .filter(|name| !UNITS.contains(name));
    UNITS.into_iter().chain(others).map(of).collect()
}

fn problems(services: &[Service], found: &Found, now: Timestamp) -> Vec<String> {
    let mut problems = Vec::new();
    for service in services {
        if !service.life.is_there() {
            problems.push(service.absence(now));
        } else if service.life == Life::Failing {
            problems.push(format!(
                "{} says that it does not work: {}",
                service.service, service.doing
            ));
        }
    }
    if let Some(oldest) = found.outbox.oldest_queued_at
        && since(now, oldest) > WAITS_TOO_LONG
    {
        problems.push(format!("a message waits since {} to be sent", age(oldest, now)));
    }
    problems
}

fn text(health: &Health, desk: &Desk) -> String {
    let (screen, now) = (desk.out.screen(), health.at);
    let mut table = Table::new(&["SERVICE", "STATE", "SEEN", "DOING"]);
    for service in &health.services {
        let word = match service.life {
            Life::Running => service.life.word().to_owned(),
            life => ink(Ink::Warn, life.word()),
        };
        let seen = service
            .seen_at
            .map_or_else(|| "never".to_owned(), |at| format!("{} ago", age(at, now)));
        table.row([service.service.clone(), word, seen, service.doing.clone()]);
    }
    let ago = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", age(at, now)));
    let outbox = &health.outbox;
    let oldest = outbox
        .oldest_queued_at
        .map_or_else(String::new, |at| format!(", the oldest since {}", age(at, now)));
    let mut text = table.render(screen);
    text.push('\n');
    text.push_str(&cli::table::fields(
        &[
            (
                "may withdraw",
                health
                    .actor
                    .clone()
                    .unwrap_or_else(|| "nobody at the moment".to_owned()),
            ),
            ("last delivery", ago(health.last_delivery_at)),
            ("last message", ago(health.last_sent_at)),
            (
                "messages",
                format!(
                    "{} waiting{oldest}; {} failed, {} expired",
                    outbox.queued, outbox.failed, outbox.expired
                ),
            ),
        ],
        screen,
    ));
    for problem in &health.problems {
        text.push_str(&ink(Ink::Warn, &format!("NOT HEALTHY: {problem}")));
        text.push('\n');
    }
    if health.healthy {
        text.push_str("healthy\n");
    }
    text
}
