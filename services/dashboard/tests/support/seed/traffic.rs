//! Dropped traffic over time, the rows it consists of, the rules that watch for it, and the calls that read it.

use std::time::Duration;

use db::analytics::NewRow;
use db::budget::{self, Counts};
use db::inventory::MonitoringRule;
use db::series::{self, Minute};
use db::{DbError, WriteTx};
use domain::ids::IncidentId;
use domain::time::{floor_to, since};

use super::{ATTACKED, CALM, HELD, MINUTE, PROTECTED, Timestamp, Words, minus, plus, prefix};

/// Minutes of the series.
const READ_MINUTES: u64 = 300;

/// The newest minutes are left to settle.
const SETTLE_MINUTES: u64 = 5;

/// Packets per second of the attack, minute by minute from its begin on.
const ATTACK: [u64; 16] = [
    40_000, 210_000, 480_000, 590_000, 610_000, 602_000, 588_000, 610_000, 540_000, 530_000, 570_000, 601_000, 610_000,
    590_000, 580_000, 600_000,
];

pub(super) fn all(tx: &WriteTx<'_>, words: &Words, incident: IncidentId, now: Timestamp) -> Result<(), DbError> {
    minutes(tx, now)?;
    rows(tx, words, incident, now)?;
    rules(tx, words, now)?;
    let counts = Counts {
        slots: [(now.as_second() - 20, [46, 9]), (now.as_second() - 140, [41, 8])].into(),
        locked_until: [None, None],
    };
    budget::exchange(tx, "seed/1", &counts, now).map(|_| ())
}

fn minutes(tx: &WriteTx<'_>, now: Timestamp) -> Result<(), DbError> {
    let to = minus(
        floor_to(now, series::MINUTE),
        Duration::from_secs(SETTLE_MINUTES * MINUTE),
    );
    let from = minus(to, Duration::from_secs(READ_MINUTES * MINUTE));
    let minute = |cidr: &str, at: Timestamp, pps: u64, bits_per_packet: u64| Minute {
        prefix: prefix(cidr),
        at,
        system: "dosd".into(),
        packets: pps * 60,
        bits: pps * 60 * bits_per_packet,
        samples: 1 + pps / 750,
    };
    let mut found = Vec::new();
    for number in 0..READ_MINUTES {
        let at = plus(from, Duration::from_secs(number * MINUTE));
        let ago = since(now, at).as_secs() / MINUTE;
        if let Some(pps) = 16_u64
            .checked_sub(ago)
            .and_then(|into| ATTACK.get(usize::try_from(into).ok()?))
        {
            found.push(minute(ATTACKED, at, *pps, 6_720));
        }
        // An hour ago, on the prefix that is calm now.
        if (60..85).contains(&ago) {
            found.push(minute(CALM, at, 90_000 + 9_000 * (ago % 7), 4_000));
        }
        if number % 37 == 0 {
            found.push(minute(HELD, at, 40, 8_000));
        }
    }
    let known = [ATTACKED, CALM, HELD].map(prefix);
    // Nobody read for a quarter of an hour.
    let unread = |at: Timestamp| (150..165).contains(&(since(now, at).as_secs() / MINUTE));
    let hole = (
        minus(now, Duration::from_secs(165 * MINUTE)),
        minus(now, Duration::from_secs(149 * MINUTE)),
    );
    for (begin, end) in [
        (from, floor_to(hole.0, series::MINUTE)),
        (floor_to(hole.1, series::MINUTE), to),
    ] {
        let part: Vec<Minute> = found
            .iter()
            .filter(|minute| (begin..end).contains(&minute.at) && !unread(minute.at))
            .cloned()
            .collect();
        let difference = series::difference(tx, begin, end, &known, part, |_| true)?;
        series::apply(tx, &difference)?;
    }
    Ok(())
}

fn rows(tx: &WriteTx<'_>, words: &Words, incident: IncidentId, now: Timestamp) -> Result<(), DbError> {
    let sources = [
        ("192.0.2.200", Some("NL"), Some((64_500, "Example Hosting")), 21_400_000),
        ("198.51.100.77", Some("BR"), Some((64_511, "Rede Exemplo")), 9_800_000),
        ("192.0.2.17", Some("US"), Some((64_500, "Example Hosting")), 3_100_000),
        ("203.0.113.250", None, None, 45_000),
    ];
    for (number, (source, country, network, packets)) in sources.into_iter().enumerate() {
        for (vector, part) in [(words.vector.as_str(), 8), ("DNS amplification", 2)] {
            let row = NewRow {
                event_datetime: domain::time::rfc3339_seconds(minus(now, Duration::from_secs(600))),
                attack_id: Some("a1".into()),
                attack_vector: Some(vector.to_owned()),
                source_ip: Some(source.into()),
                source_port: Some(u16::try_from(number).unwrap_or_default()),
                source_country: country.map(str::to_owned),
                source_asn: network.map(|(asn, _)| asn),
                source_asn_name: network.map(|(_, name)| format!("{name} {}", words.policy)),
                destination_ip: Some(if number == 2 { "203.0.113.11" } else { "203.0.113.10" }.into()),
                destination_port: Some(53),
                packets: packets * part / 10,
                bits: packets * part / 10 * 6_720,
                outcome: Some("drop".into()),
                sample_interval: Some(10_000),
                prefix: Some(prefix(ATTACKED)),
                incident: Some(incident),
                ..NewRow::default()
            };
            db::analytics::store(tx, &row, now)?;
        }
    }
    Ok(())
}

fn rules(tx: &WriteTx<'_>, words: &Words, now: Timestamp) -> Result<(), DbError> {
    let rule = |id: &str, cidrs: &[&str], advertises: bool| MonitoringRule {
        id: id.to_owned(),
        name: format!("{} {id}", words.policy),
        prefixes: cidrs.iter().copied().map(prefix).collect(),
        body: format!(
            r#"{{"type":"threshold","automatic_advertisement":{advertises},"bandwidth_threshold":1000000000}}"#
        ),
    };
    let rules = [
        rule("r1", &[ATTACKED, CALM, "192.0.2.0/24"], true),
        rule("r2", &[PROTECTED, "2001:db8:10::/48", "2001:db8:50::/48"], true),
        rule("r3", &["2001:db8:30::/48"], false),
    ];
    db::inventory::replace_rules(tx, &rules, minus(now, Duration::from_secs(40 * MINUTE)))
}
