//! A database in the middle of a bad night: every state a prefix can have, an attack with its messages, services that
//! live and one that does not. Used by the tests, and by `examples/seed.rs` for looking at the pages.

#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeSet;
use std::time::Duration;

use db::decisions::{self, Now};
use db::events::{self, NewEvent};
use db::heartbeats::{self, Heartbeat};
use db::incidents::{self, Line};
use db::{DbError, WriteTx, holds, inventory, ledger, outbox};
use domain::alert::{Affected, Alert, AlertKind, Phase};
use domain::bgp::{BgpPrefix, BgpState, Epoch};
use domain::calm::{CalmTrack, TrafficUnknown, WindowSum};
use domain::decision::{Block, Decision, Mode, NextAction, PrefixState, Unknown, Verdict};
use domain::ids::{BgpPrefixId, EventId, IncidentId, PrefixId};
use domain::intent::{Act, Origin};
use domain::notice::{Facts, Notice};
use domain::prefix::Prefix;
use domain::time::{minus, plus};
use domain::units::{Bits, Packets};
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
    prefixes(tx, words, now)?;
    holds::set(
        tx,
        Some(prefix(HELD)),
        &words.actor,
        &words.reason,
        Some(plus(now, Duration::from_secs(4 * 3_600))),
        ago(33),
    )?;
    past(tx, words, now)?;
    let incident = attack(tx, words, now)?;
    exposed(tx, words, now)?;
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

/// A prefix as read and judged.
struct Seen<'a> {
    cidr: &'a str,
    description: &'a str,
    /// Since when it is advertised or withdrawn, in seconds.
    changed_s: u64,
    advertised: bool,
    verdict: Option<Verdict>,
    blocks: Vec<Block>,
    /// Dropped packets per second and bits per second, and samples.
    dropped: Option<(u64, u64, u64)>,
    /// Proven calm of 15 minutes, in seconds.
    proven_s: Option<u64>,
    managed: bool,
    signalled: bool,
}

impl Default for Seen<'_> {
    fn default() -> Self {
        Self {
            cidr: "",
            description: "",
            changed_s: 47 * MINUTE,
            advertised: true,
            verdict: None,
            blocks: vec![],
            dropped: None,
            proven_s: None,
            managed: true,
            signalled: false,
        }
    }
}

fn prefixes(tx: &WriteTx<'_>, words: &Words, now: Timestamp) -> Result<(), DbError> {
    let ahead = |seconds| plus(now, Duration::from_secs(seconds));
    let behind = |seconds| minus(now, Duration::from_secs(seconds));
    let seen = [
        Seen {
            cidr: ATTACKED,
            description: &words.description,
            verdict: Some(Verdict::Attack),
            dropped: Some((610_000, 4_100_000_000, 812)),
            proven_s: Some(0),
            ..Seen::default()
        },
        Seen {
            cidr: CALM,
            description: "DMZ",
            changed_s: 3 * 3_600,
            verdict: Some(Verdict::Calm {
                since: behind(708),
                due: ahead(491),
            }),
            dropped: Some((0, 0, 0)),
            proven_s: Some(409),
            ..Seen::default()
        },
        Seen {
            cidr: HELD,
            description: "Colocation",
            verdict: Some(Verdict::Calm {
                since: behind(1_500),
                due: ahead(30),
            }),
            blocks: vec![Block::Held {
                by: words.actor.clone(),
                reason: words.reason.clone(),
                until: Some(ahead(4 * 3_600)),
                everywhere: false,
            }],
            dropped: Some((40, 320_000, 3)),
            proven_s: Some(870),
            ..Seen::default()
        },
        Seen {
            cidr: UNKNOWN,
            description: "Mail and DNS",
            changed_s: 6 * 3_600,
            verdict: Some(Verdict::Unknown {
                because: Unknown::Data(TrafficUnknown::Stale { age_s: 1_140 }),
                since: behind(12 * MINUTE),
            }),
            ..Seen::default()
        },
        Seen {
            cidr: PROPAGATING,
            description: "Hosting, IPv6",
            changed_s: 130,
            verdict: Some(Verdict::Propagating { until: ahead(290) }),
            ..Seen::default()
        },
        Seen {
            cidr: PROTECTED,
            description: "Voice",
            changed_s: 5 * 3_600,
            verdict: Some(Verdict::Blocked {
                by: vec![Block::NoDirectRoute {
                    reason: "the last good check is 14 min old".into(),
                }],
            }),
            blocks: vec![Block::NoDirectRoute {
                reason: "the last good check is 14 min old".into(),
            }],
            dropped: Some((0, 0, 0)),
            proven_s: Some(900),
            ..Seen::default()
        },
        Seen {
            cidr: DIRECT,
            description: "Office",
            changed_s: 9 * 86_400,
            advertised: false,
            verdict: Some(Verdict::Direct),
            ..Seen::default()
        },
        Seen {
            cidr: NOT_MANAGED,
            description: "Backbone, by BGP signalling",
            changed_s: 40 * 86_400,
            verdict: Some(Verdict::NotManaged),
            managed: false,
            signalled: true,
            ..Seen::default()
        },
        Seen {
            cidr: EXPOSED,
            description: "Laboratory",
            changed_s: 20 * 86_400,
            advertised: false,
            verdict: Some(Verdict::Direct),
            ..Seen::default()
        },
        Seen {
            cidr: UNREADABLE,
            description: "Archive",
            ..Seen::default()
        },
    ];
    for one in &seen {
        let at = behind(if one.verdict.is_none() { 26 * MINUTE } else { 41 });
        inventory::observed(tx, &bgp_prefix(one, now), one.managed, at)?;
        if let Some(verdict) = &one.verdict {
            decisions::publish(tx, &answer(one, verdict, now), None)?;
        }
    }
    inventory::failed(tx, prefix(UNREADABLE), &words.error, behind(25 * MINUTE))
}

fn bgp_state(one: &Seen<'_>, now: Timestamp) -> BgpState {
    BgpState {
        advertised: Some(one.advertised),
        advertised_modified_at: Some(minus(now, Duration::from_secs(one.changed_s))),
        on_demand_enabled: true,
        locked: false,
        bgp_signalled: one.signalled,
        prepend: None,
        auto_advertise_withdraw: false,
    }
}

fn bgp_prefix(one: &Seen<'_>, now: Timestamp) -> BgpPrefix {
    BgpPrefix {
        prefix: prefix(one.cidr),
        parent_id: PrefixId::new("2af39739cc4e3b5910c918468bb89828"),
        id: BgpPrefixId::new("7009ba364c7a5760798ceb430e603b74"),
        asn: Some(64_500),
        description: one.description.to_owned(),
        state: bgp_state(one, now),
    }
}

/// The automation's answer of 41 seconds ago.
fn answer(one: &Seen<'_>, verdict: &Verdict, now: Timestamp) -> Now {
    let at = minus(now, Duration::from_secs(41));
    let epoch = minus(now, Duration::from_secs(one.changed_s));
    let settled = minus(at, Duration::from_secs(300));
    let lookback = Duration::from_secs(300);
    let latest = one.dropped.map(|(pps, bps, samples)| {
        let (packets, bits) = (Packets(pps * 300), Bits(bps * 300));
        WindowSum {
            ends_at: settled,
            packets,
            bits,
            samples,
            packet_rate: packets.per(lookback),
            bit_rate: bits.per(lookback),
        }
    });
    let calm = one.proven_s.map(|proven| CalmTrack {
        epoch: Epoch(epoch),
        calm_since: minus(settled, Duration::from_secs(proven)),
        verified_until: settled,
        saw_rows: true,
        newest_row: Some(settled),
        rows_from: None,
    });
    let attacked = matches!(verdict, Verdict::Attack);
    Now {
        prefix: prefix(one.cidr),
        at,
        decision: Decision {
            verdict: verdict.clone(),
            state: PrefixState {
                calm,
                peak: latest.filter(|_| attacked),
                systems: if attacked {
                    BTreeSet::from(["dosd".to_owned()])
                } else {
                    BTreeSet::new()
                },
                ..PrefixState::default()
            },
            effects: vec![],
            blocks: one.blocks.clone(),
            next: NextAction {
                action: String::new(),
                not_before: None,
                because: String::new(),
            },
            calm_period: Duration::from_secs(900),
            settled_until: Some(settled),
            latest,
            noise: false,
            decided_at: at,
        },
        bgp: Some(bgp_state(one, now)),
        managed: one.managed,
        mode: Mode::Act,
    }
}

/// An alert with only what the tests look at.
pub fn alert(vector: &str, phase: Phase, at: Timestamp) -> Alert {
    Alert {
        kind: AlertKind::AdvancedL4,
        phase,
        correlation_id: None,
        attack_id: None,
        policy_id: None,
        policy_name: None,
        text: None,
        sent_at: Some(at),
        started_at: Some(at),
        received_at: at,
        targets: vec![],
        hostname: None,
        target_port: None,
        protocol: None,
        vector: Some(vector.to_owned()),
        rule_id: None,
        rule_name: None,
        action: None,
        severity: None,
        packets_per_second: Some(610_000.0),
        bits_per_second: Some(4.1e9),
        requests_per_second: None,
        advertise: vec![],
        link: None,
        details: vec![],
        is_test: false,
        problems: vec![],
    }
}

fn attack(tx: &WriteTx<'_>, words: &Words, now: Timestamp) -> Result<IncidentId, DbError> {
    let ago = |minutes: u64| minus(now, Duration::from_secs(minutes * MINUTE));
    let start = Alert {
        attack_id: Some("a1".into()),
        ..alert(&words.vector, Phase::Start, ago(16))
    };
    let affected = Affected {
        prefixes: vec![prefix(ATTACKED)],
        unresolved: false,
    };
    let incident = incidents::join(tx, &start, &affected.prefixes, now)?;
    let event = event(tx, words, "START", Some(ATTACKED), incident, ago(16))?;
    ledger::enter(tx, &start, &affected, event)?;
    let lines = [
        (
            16,
            "alert_start",
            format!("{} on {ATTACKED}, 4.10 Gbps", words.vector),
            words.source.as_str(),
            None,
        ),
        (
            15,
            "advertised",
            format!("{ATTACKED} is advertised by Network Monitoring"),
            "cloudflare webhook",
            None,
        ),
        (
            8,
            "attack_seen",
            format!("Drops exceed both thresholds: {}", words.reason),
            "autowithdraw",
            None,
        ),
        (3, "note", words.reason.clone(), "dashboard", Some(words.actor.clone())),
    ];
    for (minutes, kind, text, source, actor) in lines {
        let line = Line {
            at: ago(minutes),
            kind: kind.into(),
            text,
            source: source.into(),
            actor,
            reference: None,
        };
        incidents::note(tx, incident, &line, now)?;
    }
    let new = NewEvent {
        event_type: "ADVERTISE".into(),
        alert_type: "fbm_auto_advertisement".into(),
        prefixes: vec![prefix(ATTACKED)],
        action_taken: "auto_advertised".into(),
        incident: Some(incident),
        created_at: Some(ago(15)),
        ..NewEvent::default()
    };
    events::append(tx, &new, now)?;
    Ok(incident)
}

fn event(
    tx: &WriteTx<'_>,
    words: &Words,
    kind: &str,
    cidr: Option<&str>,
    incident: IncidentId,
    at: Timestamp,
) -> Result<EventId, DbError> {
    let new = NewEvent {
        event_type: kind.into(),
        alert_type: "advanced_ddos_attack_l4_alert".into(),
        attack_id: Some("a1".into()),
        policy_name: Some(words.policy.clone()),
        prefixes: cidr.map(prefix).into_iter().collect(),
        target_ip: Some("203.0.113.10".into()),
        target_port: Some(53),
        protocol: Some("UDP".into()),
        attack_vector: Some(words.vector.clone()),
        packets_per_second: Some("610000".into()),
        megabits_per_second: Some("4100".into()),
        action_taken: "mitigating".into(),
        raw_payload: Some(words.payload.clone()),
        created_at: Some(at),
        incident: Some(incident),
        actor: Some(words.actor.clone()),
        ..NewEvent::default()
    };
    events::append(tx, &new, at)
}

/// Attacks of the days before, withdrawn since.
fn past(tx: &WriteTx<'_>, words: &Words, now: Timestamp) -> Result<(), DbError> {
    for (hours, vector) in [(98, "UDP flood"), (51, "DNS amplification"), (30, "SYN flood")] {
        let began = minus(now, Duration::from_secs(hours * 3_600));
        let ended = plus(began, Duration::from_secs(24 * MINUTE));
        let start = alert(vector, Phase::Start, began);
        let incident = incidents::join(tx, &start, &[prefix(DIRECT)], began)?;
        event(
            tx,
            &Words {
                vector: vector.into(),
                ..words.clone()
            },
            "START",
            Some(DIRECT),
            incident,
            began,
        )?;
        incidents::join(tx, &alert(vector, Phase::End, ended), &[prefix(DIRECT)], ended)?;
        event(
            tx,
            &Words {
                vector: vector.into(),
                ..words.clone()
            },
            "END",
            Some(DIRECT),
            incident,
            ended,
        )?;
        incidents::withdrawn(tx, incident, plus(ended, Duration::from_secs(21 * MINUTE)), now)?;
        incidents::acknowledge(tx, incident, &words.actor, ended)?;
    }
    Ok(())
}

/// An alert on a prefix that is not advertised.
fn exposed(tx: &WriteTx<'_>, words: &Words, now: Timestamp) -> Result<(), DbError> {
    let at = minus(now, Duration::from_secs(4 * MINUTE));
    let start = Alert {
        attack_id: Some("b2".into()),
        packets_per_second: Some(42_000.0),
        bits_per_second: Some(380e6),
        ..alert("TCP reset flood", Phase::Start, at)
    };
    let affected = Affected {
        prefixes: vec![prefix(EXPOSED)],
        unresolved: false,
    };
    let incident = incidents::join(tx, &start, &affected.prefixes, now)?;
    let event = event(
        tx,
        &Words {
            vector: "TCP reset flood".into(),
            ..words.clone()
        },
        "START",
        Some(EXPOSED),
        incident,
        at,
    )?;
    ledger::enter(tx, &start, &affected, event)
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
