//! Messages about start and stop: how the monitor is set up and what the record holds.
//!
//! Everything is looked up, nothing asserted: what is not known says so, with its age.

use std::time::Duration;

use db::events::Event;
use db::heartbeats::{Heartbeat, SILENT_AFTER};
use db::inventory::Entry;
use db::{Db, DbError};
use domain::duration::human;
use domain::notice::{Facts, Notice};
use domain::time::{for_people, since};
use domain::units::{BitsPerSecond, grouped};
use geoip::{Edition, GeoIp};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::args::NAME;
use crate::keep::watermark;
use crate::policy::Policy;

/// Label and text of each line.
pub type Lines = Vec<(String, String)>;

/// What the record holds.
#[derive(Debug, Clone)]
pub struct Record {
    attacks: u64,
    attacks_this_month: u64,
    mitigations: u64,
    last_attack: Option<Event>,
    prefixes: Vec<Entry>,
    services: Vec<Heartbeat>,
    watermark: Option<Timestamp>,
}

/// Reads it.
///
/// # Errors
/// Those of the database.
pub async fn record(db: &Db, now: Timestamp) -> Result<Record, DbError> {
    db.read("announce.record", move |tx| {
        let totals = db::events::totals(tx, month_of(now))?;
        Ok(Record {
            attacks: totals.attacks,
            attacks_this_month: totals.attacks_24h,
            mitigations: db::analytics::counts(tx, now)?.0,
            last_attack: db::events::last_start(tx)?,
            prefixes: db::inventory::all(tx)?,
            services: db::heartbeats::all(tx)?,
            watermark: watermark(tx)?,
        })
    })
    .await
}

/// The lines of the start message. A record that cannot be read in time is said to be unknown: it
/// must not keep the service from starting.
pub async fn of_start(db: &Db, policy: &Policy, geoip: &GeoIp, now: Timestamp) -> Lines {
    match record(db, now).await {
        Ok(record) => start_lines(policy, geoip, &record, now),
        Err(error) => vec![
            line("Poll interval", human(policy.poll_interval)),
            line("Look-back", human(policy.lookback)),
            line("GeoIP", geography(geoip)),
            line("Record", format!("unknown: {error}")),
        ],
    }
}

/// Queues the stop message.
///
/// # Errors
/// Those of the database.
pub async fn stopped(db: &Db, now: Timestamp) -> Result<(), DbError> {
    let record = record(db, now).await?;
    let facts = Facts::ServiceStopped {
        service: NAME.to_owned(),
        lines: stop_lines(&record, now),
    };
    db.write("service.stopped", move |tx| {
        db::outbox::enqueue(tx, &Notice::about(facts), now).map(drop)
    })
    .await
}

fn start_lines(policy: &Policy, geoip: &GeoIp, record: &Record, now: Timestamp) -> Lines {
    let mut lines = vec![
        line("Poll interval", human(policy.poll_interval)),
        line("Look-back", human(policy.lookback)),
        line("GeoIP", geography(geoip)),
        line("Prefixes advertised", advertised(&record.prefixes, now)),
        line("Attacks", attacks(record)),
        line("Mitigations", format!("{} in the record", grouped(record.mitigations))),
        line("Last attack", last_attack(record.last_attack.as_ref())),
    ];
    if let Some(behind) = catching_up(policy, record.watermark, now) {
        lines.push(line("Catching up", behind));
    }
    if let Some(services) = services(&record.services, now) {
        lines.push(line("Other services", services));
    }
    if policy.own.is_empty() && record.prefixes.is_empty() {
        let text = "no own prefix is known: set analytics.my_prefixes; until then everything is announced";
        lines.push(line("WARNING", text.to_owned()));
    }
    lines
}

fn stop_lines(record: &Record, now: Timestamp) -> Lines {
    vec![
        line("Attacks", attacks(record)),
        line("Mitigations", format!("{} in the record", grouped(record.mitigations))),
        line(
            "Read up to",
            record.watermark.map_or_else(|| "nothing yet".to_owned(), for_people),
        ),
        line("Stopped at", domain::time::for_people_seconds(now)),
    ]
}

fn line(label: &str, text: String) -> (String, String) {
    (label.to_owned(), text)
}

fn month_of(now: Timestamp) -> Timestamp {
    let first = now.to_zoned(TimeZone::UTC).date().first_of_month();
    first.to_zoned(TimeZone::UTC).map_or(now, |zoned| zoned.timestamp())
}

fn geography(geoip: &GeoIp) -> String {
    let dated = |edition: &Edition| {
        let built = edition.built.to_zoned(TimeZone::UTC).strftime("%d/%m/%Y");
        format!("{} of {built}", edition.database_type)
    };
    match (geoip.city(), geoip.asn()) {
        (None, None) => "none: countries and AS only as Cloudflare names them".to_owned(),
        (Some(city), None) => format!("{}, {}", city.licence.as_str(), dated(&city)),
        (None, Some(asn)) => format!("no city database; {}", dated(&asn)),
        (Some(city), Some(asn)) => format!("{}, {}; {}", city.licence.as_str(), dated(&city), dated(&asn)),
    }
}

fn advertised(prefixes: &[Entry], now: Timestamp) -> String {
    let Some(oldest) = prefixes.iter().map(|entry| entry.read_at).min() else {
        return "unknown: no prefix was read yet".to_owned();
    };
    let count = |wanted| {
        prefixes
            .iter()
            .filter(|entry| entry.prefix.state.advertised == wanted)
            .count()
    };
    let mut text = format!(
        "{} of {}, read {} ago",
        count(Some(true)),
        prefixes.len(),
        human(since(now, oldest)),
    );
    let unknown = count(None);
    if unknown > 0 {
        text.push_str(&format!(", {unknown} unknown"));
    }
    let unread = prefixes.iter().filter(|entry| entry.error.is_some()).count();
    if unread > 0 {
        text.push_str(&format!(", {unread} cannot be read at present"));
    }
    text
}

fn attacks(record: &Record) -> String {
    format!(
        "{}, {} this month",
        grouped(record.attacks),
        grouped(record.attacks_this_month)
    )
}

fn last_attack(event: Option<&Event>) -> String {
    let Some(event) = event else {
        return "none in the record".to_owned();
    };
    let mut parts = vec![
        event
            .created_at
            .map_or_else(|| "at an unknown time".to_owned(), for_people),
    ];
    parts.extend(event.attack_vector.clone().filter(|vector| !vector.is_empty()));
    let rate: Option<f64> = event
        .megabits_per_second
        .as_deref()
        .and_then(|text| text.trim().parse().ok());
    parts.extend(
        rate.filter(|rate| *rate > 0.0)
            .map(|rate| BitsPerSecond(rate * 1e6).to_string()),
    );
    let target = event.target_ip.as_deref().or(event.prefix.as_deref());
    parts.extend(target.map(|text| text.split('/').next().unwrap_or(text).to_owned()));
    parts.join(", ")
}

fn catching_up(policy: &Policy, watermark: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let behind = since(now, watermark?);
    let usual = policy.poll_interval * 2 + policy.settle;
    (behind > usual.max(Duration::from_secs(60)))
        .then(|| format!("from {}, {} ago", for_people(watermark.unwrap_or(now)), human(behind)))
}

fn services(beats: &[Heartbeat], now: Timestamp) -> Option<String> {
    let said: Vec<String> = beats
        .iter()
        .filter(|beat| beat.service != NAME)
        .map(|beat| {
            let age = since(now, beat.beat_at);
            if beat.state != "stopped" && age > SILENT_AFTER {
                format!("{} SILENT for {}", beat.service, human(age))
            } else {
                format!("{} {}", beat.service, beat.state)
            }
        })
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-27T02:30:00Z".parse().unwrap()
    }

    fn empty() -> Record {
        Record {
            attacks: 0,
            attacks_this_month: 0,
            mitigations: 0,
            last_attack: None,
            prefixes: Vec::new(),
            services: Vec::new(),
            watermark: None,
        }
    }

    fn policy() -> Policy {
        Policy {
            poll_interval: Duration::from_secs(300),
            lookback: Duration::from_secs(900),
            settle: Duration::from_secs(60),
            min_packets: 1,
            own: vec!["203.0.113.0/24".parse().unwrap()],
            anycast: Vec::new(),
            witnesses: Vec::new(),
            announced: Vec::new(),
            attacks: false,
            series: false,
        }
    }

    fn text(lines: &Lines, label: &str) -> String {
        let found = lines.iter().find(|(name, _)| name == label);
        found.map(|(_, text)| text.clone()).unwrap_or_default()
    }

    #[test]
    fn what_is_not_known_says_so() {
        let lines = start_lines(&policy(), &GeoIp::none(), &empty(), now());
        assert_eq!(text(&lines, "Poll interval"), "5 min");
        assert_eq!(text(&lines, "Look-back"), "15 min");
        assert!(text(&lines, "GeoIP").starts_with("none"));
        assert_eq!(text(&lines, "Prefixes advertised"), "unknown: no prefix was read yet");
        assert_eq!(text(&lines, "Last attack"), "none in the record");
        assert_eq!(text(&lines, "WARNING"), "");
        let policy = Policy {
            own: Vec::new(),
            ..policy()
        };
        assert!(
            text(&start_lines(&policy, &GeoIp::none(), &empty(), now()), "WARNING").contains("everything is announced")
        );
    }

    #[test]
    fn the_record_is_told_with_its_age() {
        let beat = |service: &str, state: &str, age: u64| Heartbeat {
            service: service.into(),
            pid: 1,
            host: "host".into(),
            version: "1".into(),
            started_at: now(),
            beat_at: domain::time::minus(now(), Duration::from_secs(age)),
            state: state.into(),
            status: String::new(),
        };
        let record = Record {
            attacks: 1_234,
            attacks_this_month: 7,
            mitigations: 98_765,
            watermark: Some(domain::time::minus(now(), Duration::from_secs(7_200))),
            services: vec![
                beat("cloudflare-webhook", "ok", 20),
                beat("cloudflare-autowithdraw", "ok", 600),
                beat("cloudflare-dashboard", "stopped", 600),
                beat(NAME, "stopped", 600),
            ],
            ..empty()
        };
        let lines = start_lines(&policy(), &GeoIp::none(), &record, now());
        assert_eq!(text(&lines, "Attacks"), "1,234, 7 this month");
        assert_eq!(text(&lines, "Mitigations"), "98,765 in the record");
        assert_eq!(text(&lines, "Catching up"), "from 27/03/2026 00:30 UTC, 2 h ago");
        assert_eq!(
            text(&lines, "Other services"),
            "cloudflare-webhook ok, cloudflare-autowithdraw SILENT for 10 min, cloudflare-dashboard stopped"
        );
        assert_eq!(text(&stop_lines(&record, now()), "Read up to"), "27/03/2026 00:30 UTC");
    }

    #[test]
    fn months_begin_at_their_first_day() {
        assert_eq!(month_of(now()).to_string(), "2026-03-01T00:00:00Z");
    }
}
