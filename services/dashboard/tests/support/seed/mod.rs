//! A database in the middle of a bad night: every state a prefix can have, an attack with its messages, services that
//! live and one that does not. Used by the tests, and by `examples/seed.rs` for looking at the pages.

#![allow(dead_code, unreachable_pub)]

mod attacks;
mod prefixes;
mod traffic;

use std::time::Duration;

use db::heartbeats::{self, Heartbeat};
use db::{DbError, WriteTx, holds, outbox};
use domain::ids::IncidentId;
use domain::intent::{Act, Origin};
use domain::notice::{Facts, Notice};
use domain::prefix::Prefix;
use domain::time::{minus, plus};
use jiff::Timestamp;

/// Attacked at 4.1 Gbps.
pub const ATTACKED: &str = "203.0.113.0/24";
/// Calm, withdrawn in about eight minutes.
pub const CALM: &str = "198.51.100.0/24";
/// Calm, and held by a person.
pub const HELD: &str = "192.0.2.0/25";
/// Its analytics stand still.
pub const UNKNOWN: &str = "192.0.2.128/25";
/// Advertised two minutes ago.
pub const PROPAGATING: &str = "2001:db8:10::/48";
/// Calm is proven, an alert blocks.
pub const PROTECTED: &str = "2001:db8:20::/48";
/// Withdrawn, with nothing going on.
pub const DIRECT: &str = "2001:db8:30::/48";
/// Advertised by BGP signalling.
pub const NOT_MANAGED: &str = "2001:db8:40::/48";
/// Withdrawn although an alert is open.
pub const EXPOSED: &str = "2001:db8:50::/48";
/// Its BGP state cannot be read any more.
pub const UNREADABLE: &str = "2001:db8:60::/48";

/// The incident of [`ATTACKED`].
pub const INCIDENT: i64 = 4;

const MINUTE: u64 = 60;

/// Texts that come from outside, so that a test can put markup into every one of them.
#[derive(Debug, Clone)]
pub struct Words {
    pub description: String,
    pub vector: String,
    pub actor: String,
    pub reason: String,
    pub status: String,
    pub policy: String,
    pub error: String,
    pub source: String,
    pub payload: String,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            description: "Customers, site A".into(),
            vector: "UDP flood".into(),
            actor: "ana".into(),
            reason: "carrier maintenance, ticket 4711".into(),
            status: "watching 9 prefixes".into(),
            policy: "Magic Transit L3/4".into(),
            error: "HTTP 503 from api.cloudflare.com".into(),
            source: "cloudflare webhook".into(),
            payload: r#"{"alert_type":"advanced_ddos_attack_l4_alert","data":{"attack_id":"a1","rule_id":"r1","max_rate":"4.1 Gbps"},"text":"Attack started"}"#.into(),
        }
    }
}

impl Words {
    /// Every text is `text`.
    pub fn all(text: &str) -> Self {
        let text = || text.to_owned();
        Self {
            description: text(),
            vector: text(),
            actor: text(),
            reason: text(),
            status: text(),
            policy: text(),
            error: text(),
            source: text(),
            payload: text(),
        }
    }
}

/// Fills an empty database as of `now`.
pub fn fill(tx: &WriteTx<'_>, words: &Words, now: Timestamp) -> Result<(), DbError> {
    let ago = |minutes: u64| minus(now, Duration::from_secs(minutes * MINUTE));
    services(tx, words, now)?;
    prefixes::all(tx, words, now)?;
    holds::set(
        tx,
        Some(prefix(HELD)),
        &words.actor,
        &words.reason,
        Some(plus(now, Duration::from_secs(4 * 3_600))),
        ago(33),
    )?;
    attacks::past(tx, words, now)?;
    let incident = attacks::attack(tx, words, now)?;
    attacks::exposed(tx, words, now)?;
    traffic::all(tx, words, incident, now)?;
    messages(tx, words, incident, now)?;
    analytics(tx, words, now)
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().expect("a network")
}

fn services(tx: &WriteTx<'_>, words: &Words, now: Timestamp) -> Result<(), DbError> {
    let rows = [
        ("cloudflare-webhook", 6, "ok", "receiving; last delivery 16 minutes ago"),
        (
            "cloudflare-analytics-monitor",
            9,
            "degraded",
            "polling; the last answer was cut at its row limit",
        ),
        ("cloudflare-autowithdraw", 11, "ok", words.status.as_str()),
    ];
    for (service, age, state, status) in rows {
        let beat = Heartbeat {
            service: service.into(),
            pid: 4_242,
            host: "edge1".into(),
            version: "0.1.0".into(),
            started_at: minus(now, Duration::from_secs(93_000)),
            beat_at: minus(now, Duration::from_secs(age)),
            state: state.into(),
            status: status.into(),
        };
        heartbeats::beat(tx, &beat)?;
    }
    Ok(())
}

fn messages(tx: &WriteTx<'_>, words: &Words, incident: IncidentId, now: Timestamp) -> Result<(), DbError> {
    let about = |facts| Notice {
        incident: Some(incident),
        ..Notice::about(facts)
    };
    let acted = Facts::Acted {
        act: Act::Advertise,
        prefix: prefix(ATTACKED),
        description: words.description.clone(),
        origin: Origin::Automatic,
        reason: words.reason.clone(),
        advertised_at: None,
        changed_at: now,
        calm_s: None,
        peak: None,
        systems: vec![],
    };
    let terms = outbox::Terms {
        owner: "seed".into(),
        chat_id: CHAT.into(),
        pace: outbox::Pace {
            per_window: 100,
            reserve: 0,
            window: Duration::from_secs(60),
            gap: Duration::ZERO,
        },
        lease: Duration::from_secs(30),
        grouping: outbox::Grouping {
            same_group: 100,
            storm: 100,
            most: 100,
        },
    };
    let at = minus(now, Duration::from_secs(900));
    let sent = outbox::enqueue(tx, &about(acted), at)?;
    outbox::claim(tx, &terms, None, at)?;
    let outcome = outbox::Outcome::Sent {
        message_id: Some(17),
        words: String::new(),
    };
    outbox::record(tx, &terms, &[sent], &outcome, plus(at, Duration::from_secs(1)))?;
    let refused = Facts::AutomationBlind {
        prefix: prefix(UNKNOWN),
        because: "analytics stand still".into(),
        since: at,
    };
    let later = minus(now, Duration::from_secs(120));
    let failed = outbox::enqueue(tx, &about(refused), later)?;
    outbox::claim(tx, &terms, None, later)?;
    let outcome = outbox::Outcome::Failed {
        words: words.error.clone(),
    };
    outbox::record(tx, &terms, &[failed], &outcome, plus(later, Duration::from_secs(1)))?;
    let waiting = Facts::SelfTest {
        actor: words.actor.clone(),
        note: words.reason.clone(),
    };
    outbox::enqueue(tx, &about(waiting), minus(now, Duration::from_secs(4)))?;
    Ok(())
}

/// The chat of the seeded messages.
pub const CHAT: &str = "-1001234567890";

fn analytics(tx: &WriteTx<'_>, words: &Words, now: Timestamp) -> Result<(), DbError> {
    for number in 0..3_u16 {
        let row = db::analytics::NewRow {
            event_datetime: domain::time::rfc3339_seconds(now),
            attack_id: Some("a1".into()),
            attack_vector: Some(words.vector.clone()),
            source_ip: Some("192.0.2.200".into()),
            source_port: Some(number),
            source_country: Some("NL".into()),
            destination_ip: Some("203.0.113.10".into()),
            destination_port: Some(53),
            packets: 1_000,
            bits: 8_000_000,
            outcome: Some("drop".into()),
            sample_interval: Some(10_000),
            ..db::analytics::NewRow::default()
        };
        db::analytics::store(tx, &row, now)?;
    }
    Ok(())
}
