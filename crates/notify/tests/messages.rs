//! Every kind of message as people get it, in both forms. The snapshots are the review.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fmt::Write;

use db::decisions::Now;
use db::heartbeats::Heartbeat;
use db::incidents::Incident;
use db::inventory::Entry;
use db::outbox::Notification;
use domain::alert::{AdvertiseResult, AdvertiseStatus, Alert, AlertKind, Phase};
use domain::bgp::{BgpPrefix, BgpState};
use domain::calm::WindowSum;
use domain::decision::{Block, Decision, Mode, NextAction, PrefixState, Unknown, Verdict};
use domain::hold::Hold;
use domain::ids::{BgpPrefixId, EventId, HoldId, IncidentId, NotificationId, PrefixId};
use domain::intent::{Act, Origin};
use domain::notice::{Facts, Priority};
use domain::units::{Bits, BitsPerSecond, Packets, PacketsPerSecond};
use notify::Renderer;
use notify::context::{Context, PrefixNow};
use notify::document::Room;
use support::{alert_facts, at, bare, bgp, checker, details, frame, full_l4, now, prefix, row, seconds};

struct Shown(String);

impl Shown {
    fn new() -> Self {
        Self(String::new())
    }

    fn add(&mut self, name: &str, rows: &[Notification], context: &Context) {
        let pieces = Renderer::new(&frame())
            .message(rows, context, now())
            .pieces(Room::default());
        for (index, piece) in pieces.iter().enumerate() {
            let (html, plain) = (piece.html(), piece.plain());
            checker::check(&html, &plain).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            let part = if pieces.len() > 1 {
                format!(" (piece {})", index + 1)
            } else {
                String::new()
            };
            write!(self.0, "######## {name}{part}\n{html}\n-------- plain\n{plain}\n\n").unwrap();
        }
    }

    fn one(&mut self, name: &str, facts: Facts) {
        self.add(name, &[row(facts)], &Context::default());
    }
}

fn entry(advertised: Option<bool>, read_at: &str) -> Entry {
    Entry {
        prefix: BgpPrefix {
            prefix: prefix("203.0.113.0/24"),
            parent_id: PrefixId::new("p"),
            id: BgpPrefixId::new("b"),
            asn: Some(64_500),
            description: "DMZ".into(),
            state: bgp(advertised),
        },
        managed: true,
        read_at: at(read_at),
        error: None,
        error_since: None,
    }
}

fn answer(verdict: Verdict, action: &str, not_before: Option<&str>, because: &str, when: &str) -> Now {
    Now {
        prefix: prefix("203.0.113.0/24"),
        at: at(when),
        decision: Decision {
            verdict,
            state: PrefixState::default(),
            effects: vec![],
            blocks: vec![],
            next: NextAction {
                action: action.into(),
                not_before: not_before.map(at),
                because: because.into(),
            },
            calm_period: seconds(900),
            settled_until: None,
            latest: None,
            noise: false,
            decided_at: at(when),
        },
        bgp: Some(bgp(Some(true))),
        managed: true,
        mode: Mode::Act,
    }
}

fn standing(inventory: Result<Option<Entry>, String>, answer: Result<Option<Now>, String>) -> Context {
    Context {
        prefixes: vec![PrefixNow {
            prefix: prefix("203.0.113.0/24"),
            inventory,
            answer,
        }],
        ..Context::default()
    }
}

fn incident(ended: Option<&str>) -> Incident {
    Incident {
        id: IncidentId(17),
        title: "UDP flood".into(),
        vector: Some("UDP flood".into()),
        prefixes: vec![prefix("203.0.113.0/24")],
        began_at: at("2026-03-27 03:11:00"),
        last_sign_at: at("2026-03-27 03:19:20"),
        ended_at: ended.map(at),
        withdrawn_at: None,
        peak_pps: Some(990_000.0),
        peak_bps: Some(6.2e9),
        is_test: false,
        acknowledged_by: None,
        acknowledged_at: None,
        updated_at: at("2026-03-27 03:19:21"),
    }
}

fn attack_kinds() -> Vec<AlertKind> {
    vec![
        AlertKind::AdvancedL4,
        AlertKind::L4,
        AlertKind::AdvancedL7,
        AlertKind::L7,
        AlertKind::MonitoringDdos,
        AlertKind::MonitoringVolumetric,
    ]
}

#[test]
fn attack_alerts() {
    let mut shown = Shown::new();
    for phase in [Phase::Start, Phase::Update, Phase::End] {
        let facts = alert_facts(full_l4(phase), &["203.0.113.0/24"]);
        shown.one(&format!("advanced L4, {}", phase.event_type()), facts);
    }
    for kind in attack_kinds() {
        shown.one(
            &format!("{} with nothing but its type", kind.name()),
            alert_facts(bare(kind, Phase::Start), &[]),
        );
    }
    let web = Alert {
        vector: Some("HTTP flood".into()),
        hostname: Some("www.example.com".into()),
        requests_per_second: Some(12_500.0),
        action: Some("managed-challenge".into()),
        rule_name: Some("HTTP requests with unusual headers".into()),
        link: Some("https://evil.example/dash.cloudflare.com".into()),
        ..bare(AlertKind::L7, Phase::Start)
    };
    shown.one("L7", alert_facts(web, &[]));
    let volumetric = Alert {
        rule_name: Some("dmz-bps".into()),
        packets_per_second: Some(20_000.0),
        bits_per_second: Some(6.4e9),
        targets: vec![],
        details: details(&[
            ("rule_threshold", "1 Gb/s"),
            ("rule_duration", "5m"),
            ("auto_advertised", "true"),
        ]),
        ..bare(AlertKind::MonitoringVolumetric, Phase::Start)
    };
    let many = [
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "2001:db8:1::/48",
        "2001:db8:2::/48",
    ];
    shown.one("threshold rule over five prefixes", alert_facts(volumetric, &many));
    let sflow = Alert {
        advertise: vec![AdvertiseResult {
            written: "203.0.113.0/24".into(),
            prefix: Some(prefix("203.0.113.0/24")),
            status: AdvertiseStatus::Advertised,
        }],
        ..Alert {
            kind: AlertKind::MonitoringDdos,
            ..full_l4(Phase::Start)
        }
    };
    shown.one("sFlow rule that advertises", alert_facts(sflow, &["203.0.113.0/24"]));
    let test = Alert {
        is_test: true,
        ..full_l4(Phase::Start)
    };
    shown.one("marked test", alert_facts(test, &["203.0.113.0/24"]));
    let late = Alert {
        sent_at: Some(at("2026-03-27 03:02:00")),
        problems: vec!["packets_per_second: \"many\" is no number".into()],
        ..full_l4(Phase::Start)
    };
    shown.one("late and partly unreadable", alert_facts(late, &["203.0.113.0/24"]));
    insta::assert_snapshot!(shown.0);
}

#[test]
fn auto_advertisements() {
    let mut shown = Shown::new();
    let result = |written: &str, status: AdvertiseStatus| AdvertiseResult {
        written: written.into(),
        prefix: written.parse().ok(),
        status,
    };
    let with = |advertise: Vec<AdvertiseResult>| Alert {
        advertise,
        rule_name: Some("dmz-bps".into()),
        ..bare(AlertKind::AutoAdvertisement, Phase::Start)
    };
    use AdvertiseStatus::{Advertised, AlreadyAdvertised, CouldNot, Delayed, Locked, Other};
    let good = with(vec![
        result("203.0.113.0/24", Advertised),
        result("2001:db8:1::/48", AlreadyAdvertised),
    ]);
    shown.one(
        "all advertised",
        alert_facts(good, &["203.0.113.0/24", "2001:db8:1::/48"]),
    );
    let delayed = with(vec![result("203.0.113.0/24", Delayed)]);
    shown.one("delayed", alert_facts(delayed, &["203.0.113.0/24"]));
    let failed = with(vec![
        result("203.0.113.0/24", CouldNot),
        result("198.51.100.0/24", Locked),
        result("everything", Other("Perhaps".into())),
    ]);
    shown.one("failed", alert_facts(failed, &["198.51.100.0/24", "203.0.113.0/24"]));
    shown.one("without a result", alert_facts(with(vec![]), &[]));
    insta::assert_snapshot!(shown.0);
}

#[test]
fn other_alerts() {
    let mut shown = Shown::new();
    let alert = |kind: AlertKind, pairs: &[(&str, &str)]| Alert {
        details: details(pairs),
        ..bare(kind, Phase::Start)
    };
    let tunnel = alert(
        AlertKind::TunnelHealth,
        &[
            ("tunnel_name", "gre-fra-1"),
            ("tunnel_id", "c4a7362d577a6c3019a474fd6f485821"),
            ("new_status", "MAGIC_TUNNEL_STATUS_DOWN"),
            ("previous_status", "MAGIC_TUNNEL_STATUS_UP"),
            ("pop_names", "FRA, AMS"),
            ("slo", "99.9"),
            ("observed_slo", "42.1"),
            ("mwan_site_name", "N/A"),
        ],
    );
    shown.one("tunnel down", alert_facts(tunnel, &[]));
    shown.one(
        "tunnel, nothing but its type",
        alert_facts(alert(AlertKind::TunnelHealth, &[]), &[]),
    );
    let outage = alert(
        AlertKind::ProviderIncident,
        &[
            ("incident_name", "Elevated errors in Frankfurt"),
            ("incident_id", "p4x2k9"),
            ("incident_status", "INCIDENT_STATUS_INVESTIGATING"),
            ("incident_impact", "INCIDENT_IMPACT_MAJOR"),
            ("message", "We are looking into it.\n\nMore will follow."),
            ("affected_components", "Magic Transit, Network"),
            ("created_at", "2026-03-27T03:00:00Z"),
        ],
    );
    shown.one("provider incident", alert_facts(outage, &[]));
    let check = alert(
        AlertKind::HealthCheck,
        &[
            ("name", "origin-1"),
            ("status", "Unhealthy"),
            ("reason", "TCP connection failed"),
            ("expected_codes", "[2xx 302]"),
            ("actual_code", "404"),
            ("health_check_id", "023e105f4ecef8ad9ca31a8372d0c353"),
        ],
    );
    shown.one("health check", alert_facts(check, &[]));
    let hijack = Alert {
        targets: vec![prefix("203.0.113.0/25")],
        link: Some("https://dash.cloudflare.com/hijack".into()),
        ..alert(
            AlertKind::BgpHijack,
            &[
                ("prefix_hijacked", "203.0.113.0/25"),
                ("prefix_configured", "203.0.113.0/24"),
                ("hijack_as", "64511"),
                ("ASNs_seen", "64496, 64511"),
                ("alert_start_time", "2026-03-27T03:10:00Z"),
            ],
        )
    };
    shown.one("hijack", alert_facts(hijack, &["203.0.113.0/24"]));
    shown.one(
        "hijack, nothing but its type",
        alert_facts(alert(AlertKind::BgpHijack, &[]), &[]),
    );
    let work = alert(
        AlertKind::Maintenance,
        &[
            ("airport_code", "FRA"),
            ("event_type", "MAINTENANCE_EVENT_TYPE_SCHEDULED"),
            ("scheduled_start", "2026-04-01T22:00:00Z"),
            ("scheduled_end", "2026-04-02T04:00:00Z"),
            ("maintenance_id", "M-7"),
        ],
    );
    shown.one("maintenance", alert_facts(work, &[]));
    let other = Alert {
        policy_name: Some("Billing".into()),
        text: Some("Your usage has passed a threshold.\nSee https://evil.example for more.".into()),
        ..alert(
            AlertKind::Other("billing_usage_alert".into()),
            &[("product", "magic_transit"), ("limit", "10"), ("<b>", "x")],
        )
    };
    shown.one("a type without a layout", alert_facts(other, &[]));
    let unknown = bare(AlertKind::Other("thing_of_tomorrow".into()), Phase::End);
    shown.one("an unknown type with nothing in it", alert_facts(unknown, &[]));
    let verification = Alert {
        text: Some("Hello World!".into()),
        ..bare(AlertKind::Verification, Phase::Start)
    };
    shown.one("verification", alert_facts(verification, &[]));
    insta::assert_snapshot!(shown.0);
}

#[test]
fn acts() {
    let mut shown = Shown::new();
    let person = Origin::Person {
        actor: "ana@noc1".into(),
        via: "prefix_manager".into(),
    };
    let peak = WindowSum {
        ends_at: at("2026-03-27 02:31:00"),
        packets: Packets(183_000_000),
        bits: Bits(1_230_000_000_000),
        samples: 812,
        packet_rate: PacketsPerSecond(610_000.0),
        bit_rate: BitsPerSecond(4.1e9),
    };
    let acted = |act, origin, full: bool| Facts::Acted {
        act,
        prefix: prefix("203.0.113.0/24"),
        description: if full { "DMZ".into() } else { String::new() },
        origin,
        reason: if full { "calm for 15 min".into() } else { String::new() },
        advertised_at: full.then(|| at("2026-03-27 02:03:00")),
        changed_at: at("2026-03-27 03:19:10"),
        calm_s: full.then_some(905),
        peak: full.then_some(peak),
        systems: if full {
            vec!["dosd".into(), "flowtrackd".into()]
        } else {
            vec![]
        },
    };
    shown.one("withdrawn by automation", acted(Act::Withdraw, Origin::Automatic, true));
    shown.one(
        "withdrawn, nothing known",
        acted(Act::Withdraw, Origin::Automatic, false),
    );
    shown.one("advertised by a person", acted(Act::Advertise, person.clone(), true));
    let refused = |act, retry_at| Facts::ActRefused {
        act,
        prefix: prefix("203.0.113.0/24"),
        origin: Origin::Automatic,
        class: "rate_limited".into(),
        words: "Advertisement status can be changed once every 15 minutes".into(),
        retry_at,
    };
    shown.one(
        "withdrawal refused for now",
        refused(Act::Withdraw, Some(at("2026-03-27 03:34:00"))),
    );
    shown.one("advertisement refused", refused(Act::Advertise, None));
    for act in [Act::Withdraw, Act::Advertise] {
        let facts = Facts::ActUnresolved {
            act,
            prefix: prefix("203.0.113.0/24"),
            origin: person.clone(),
            last_read: "advertised since 27/03/2026 02:03 UTC".into(),
            sent_at: at("2026-03-27 03:04:00"),
        };
        shown.one(&format!("{act} unresolved"), facts);
    }
    insta::assert_snapshot!(shown.0);
}

#[test]
fn automation() {
    let mut shown = Shown::new();
    let net = prefix("203.0.113.0/24");
    let began = at("2026-03-27 03:05:00");
    let because = "analytics stand still, the newest row is 14 min old".to_owned();
    shown.one(
        "blind",
        Facts::AutomationBlind {
            prefix: net,
            because: because.clone(),
            since: began,
        },
    );
    shown.one(
        "sighted",
        Facts::AutomationSighted {
            prefix: net,
            since: began,
        },
    );
    shown.one(
        "would withdraw",
        Facts::WouldWithdraw {
            prefix: net,
            calm_s: 905,
        },
    );
    shown.one(
        "overdue",
        Facts::Overdue {
            prefix: net,
            since: at("2026-03-27 01:10:00"),
            because,
        },
    );
    shown.one(
        "limit",
        Facts::LimitReached {
            prefix: net,
            until: at("2026-03-27 03:50:00"),
        },
    );
    let several = vec![
        net,
        prefix("198.51.100.0/24"),
        prefix("192.0.2.0/24"),
        prefix("2001:db8::/32"),
    ];
    shown.one("mass calm", Facts::MassCalm { prefixes: several });
    let changes: [(&str, BgpState, BgpState); 4] = [
        ("withdrawn by somebody", bgp(Some(true)), bgp(Some(false))),
        ("advertised by somebody", bgp(None), bgp(Some(true))),
        (
            "locked",
            bgp(Some(true)),
            BgpState {
                locked: true,
                prepend: None,
                ..bgp(Some(true))
            },
        ),
        (
            "steering changed",
            bgp(Some(true)),
            BgpState {
                bgp_signalled: true,
                ..bgp(Some(true))
            },
        ),
    ];
    for (name, before, after) in changes {
        shown.one(
            name,
            Facts::ForeignChange {
                prefix: net,
                before,
                after,
            },
        );
    }
    shown.one(
        "attacked again",
        Facts::Reattack {
            prefix: net,
            withdrawn_at: at("2026-03-27 03:07:00"),
        },
    );
    let ending = |prefix, until| Facts::HoldEnding {
        prefix,
        actor: "ana@noc1".into(),
        reason: "maintenance in FRA".into(),
        until: at(until),
    };
    let hold = |until: &str| Hold {
        id: HoldId(3),
        prefix: Some(net),
        actor: "ana@noc1".into(),
        reason: "maintenance in FRA".into(),
        created_at: began,
        until: Some(at(until)),
    };
    let held = |holds: Vec<Hold>| Context {
        holds: Some(holds),
        ..Context::default()
    };
    let facts = ending(Some(net), "2026-03-27 03:29:00");
    shown.add(
        "hold ends",
        &[row(facts.clone())],
        &held(vec![hold("2026-03-27 03:29:00")]),
    );
    shown.add("hold was released meanwhile", &[row(facts)], &held(vec![]));
    shown.one("hold has ended", ending(Some(net), "2026-03-27 03:15:00"));
    shown.one("pause ends", ending(None, "2026-03-27 03:29:00"));
    insta::assert_snapshot!(shown.0);
}

#[test]
fn services_and_feeds() {
    let mut shown = Shown::new();
    let service = "cloudflare-autowithdraw".to_owned();
    let lines = vec![
        ("Mode".to_owned(), "act".to_owned()),
        ("Calm period".to_owned(), "15 min".to_owned()),
        (String::new(), "no label".to_owned()),
        ("Empty".to_owned(), String::new()),
    ];
    shown.one(
        "started",
        Facts::ServiceStarted {
            service: service.clone(),
            version: "1.2.3".into(),
            lines: lines.clone(),
        },
    );
    shown.one(
        "stopped",
        Facts::ServiceStopped {
            service: service.clone(),
            lines,
        },
    );
    let last = at("2026-03-27 03:15:00");
    for name in ["webhook", "analytics-monitor", "autowithdraw", "dashboard"] {
        shown.one(
            name,
            Facts::ServiceSilent {
                service: format!("cloudflare-{name}"),
                since: last,
            },
        );
    }
    let beat = Heartbeat {
        service: service.clone(),
        pid: 7,
        host: "mt1".into(),
        version: "1.2.3".into(),
        started_at: last,
        beat_at: at("2026-03-27 03:19:50"),
        state: "ok".into(),
        status: "works".into(),
    };
    let back = Context {
        service: Some(beat),
        ..Context::default()
    };
    shown.add(
        "silent, but back meanwhile",
        &[row(Facts::ServiceSilent {
            service: service.clone(),
            since: last,
        })],
        &back,
    );
    shown.one("back", Facts::ServiceBack { service, since: last });
    let feed = "attack analytics".to_owned();
    shown.one(
        "feed blind",
        Facts::FeedBlind {
            feed: feed.clone(),
            because: "HTTP 503 (4 times)".into(),
            since: last,
        },
    );
    shown.one("feed restored", Facts::FeedRestored { feed, since: last });
    let unreadable = Facts::UnreadableAlert {
        size: 1_048_577,
        head: "{\"alert_type\": <b>oops</b>".into(),
        problem: "expected value at line 1 column 16".into(),
    };
    shown.one("unreadable delivery", unreadable);
    shown.one(
        "self-test",
        Facts::SelfTest {
            actor: "ana@noc1".into(),
            note: "after the move".into(),
        },
    );
    shown.one(
        "raised",
        Facts::Raised {
            title: "2 units restarted".into(),
            text: "cloudflare-webhook: restarted\ncloudflare-dashboard: FAILED".into(),
            priority: Priority::Critical,
        },
    );
    shown.one(
        "raised, empty",
        Facts::Raised {
            title: String::new(),
            text: String::new(),
            priority: Priority::Info,
        },
    );
    insta::assert_snapshot!(shown.0);
}

#[test]
fn mitigations() {
    let mut shown = Shown::new();
    let text = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let full = Facts::Mitigation {
        attack_id: Some("d6b8fa7b4a2e4b0f".into()),
        vectors: text(&["UDP flood", "DNS amplification"]),
        events: 1_284,
        packets: 183_000_000,
        bits: 1_230_000_000_000,
        from: at("2026-03-27 03:05:00"),
        to: at("2026-03-27 03:18:00"),
        targets: text(&["203.0.113.10:53", "203.0.113.11:53"]),
        sources: text(&[
            "192.0.2.7 (DE, AS64500 Example)",
            "2001:db8::7",
            "a",
            "b",
            "c",
            "d",
            "e",
        ]),
        locations: text(&["Frankfurt, Germany (FRA)"]),
        distinct_sources: 4_211,
        spoofed_sources: 17,
        sample_interval: 10_000,
    };
    shown.one("aggregated", full);
    let single = Facts::Mitigation {
        attack_id: None,
        vectors: vec![],
        events: 1,
        packets: 10,
        bits: 8_000,
        from: at("2026-03-27 03:18:00"),
        to: at("2026-03-27 03:18:00"),
        targets: vec![],
        sources: vec![],
        locations: vec![],
        distinct_sources: 0,
        spoofed_sources: 0,
        sample_interval: 1,
    };
    shown.one("single, nothing known", single);
    insta::assert_snapshot!(shown.0);
}

#[test]
fn what_is_looked_up() {
    let mut shown = Shown::new();
    let start = || row(alert_facts(full_l4(Phase::Start), &["203.0.113.0/24"]));
    let fresh = "2026-03-27 03:19:20";
    let calm = answer(
        Verdict::Calm {
            since: at("2026-03-27 03:14:00"),
            due: at("2026-03-27 03:34:00"),
        },
        "withdraw",
        Some("2026-03-27 03:34:00"),
        "calm since 27/03/2026 03:14 UTC, 1 min of 15 min proven",
        "2026-03-27 03:19:40",
    );
    let attacked = answer(
        Verdict::Attack,
        "hold the advertisement",
        None,
        "the attack goes on",
        "2026-03-27 03:19:40",
    );
    let blocked = answer(
        Verdict::Blocked {
            by: vec![Block::OneAtATime],
        },
        "hold the advertisement",
        None,
        "another automatic withdrawal is under way",
        "2026-03-27 03:19:40",
    );
    let unknown = answer(
        Verdict::Unknown {
            because: Unknown::Bgp {
                reason: "HTTP 500".into(),
            },
            since: at("2026-03-27 03:10:00"),
        },
        "hold the advertisement",
        None,
        "its BGP state could not be read: HTTP 500",
        "2026-03-27 03:19:40",
    );
    let unmanaged = answer(
        Verdict::NotManaged,
        "nothing",
        None,
        "automation does not manage it",
        "2026-03-27 03:19:40",
    );
    let dry = Now {
        mode: Mode::DryRun,
        ..calm.clone()
    };
    let old = Now {
        at: at("2026-03-27 03:05:00"),
        ..calm.clone()
    };
    let failing = Entry {
        error: Some("HTTP 500 <b>".into()),
        error_since: Some(at("2026-03-27 03:08:00")),
        ..entry(Some(true), "2026-03-27 03:07:00")
    };
    let states: Vec<(&str, Context)> = vec![
        (
            "advertised, under attack",
            standing(Ok(Some(entry(Some(true), fresh))), Ok(Some(attacked))),
        ),
        ("calm", standing(Ok(Some(entry(Some(true), fresh))), Ok(Some(calm)))),
        (
            "calm in a dry run",
            standing(Ok(Some(entry(Some(true), fresh))), Ok(Some(dry))),
        ),
        (
            "blocked",
            standing(Ok(Some(entry(Some(true), fresh))), Ok(Some(blocked))),
        ),
        (
            "automation does not know",
            standing(Ok(Some(entry(Some(true), fresh))), Ok(Some(unknown))),
        ),
        (
            "not managed",
            standing(Ok(Some(entry(Some(true), fresh))), Ok(Some(unmanaged))),
        ),
        (
            "automation silent",
            standing(Ok(Some(entry(Some(true), fresh))), Ok(Some(old))),
        ),
        (
            "not advertised",
            standing(Ok(Some(entry(Some(false), fresh))), Ok(None)),
        ),
        ("flag left out", standing(Ok(Some(entry(None, fresh))), Ok(None))),
        (
            "reading is old",
            standing(Ok(Some(entry(Some(true), "2026-03-27 03:06:00"))), Ok(None)),
        ),
        ("reading fails", standing(Ok(Some(failing)), Ok(None))),
        ("never read", standing(Ok(None), Ok(None))),
        (
            "rows cannot be read",
            standing(Err("row x".into()), Err("row y".into())),
        ),
        (
            "database gone",
            Context::unavailable("the database stayed busy for too long"),
        ),
    ];
    for (name, context) in states {
        shown.add(name, &[start()], &context);
    }
    let ended = Context {
        incident: Some(incident(Some("2026-03-27 03:19:25"))),
        more_prefixes: 2,
        ..Context::default()
    };
    let mut late = start();
    late.created_at = at("2026-03-27 03:05:10");
    late.incident = Some(IncidentId(17));
    late.attempts = 3;
    shown.add("late, repeated, ended meanwhile", &[late], &ended);
    let over = Context {
        incident: Some(incident(Some("2026-03-27 03:19:20"))),
        ..Context::default()
    };
    let mut end = row(alert_facts(full_l4(Phase::End), &["203.0.113.0/24"]));
    end.incident = Some(IncidentId(17));
    shown.add("end of an incident", &[end], &over);
    let mut unreadable = start();
    unreadable.facts = None;
    unreadable.kind = "kind_of_tomorrow".into();
    unreadable.event = None;
    shown.add("facts of a newer version", &[unreadable], &Context::default());
    insta::assert_snapshot!(shown.0);
}

#[test]
fn digests() {
    let mut shown = Shown::new();
    let mut rows = vec![
        row(alert_facts(full_l4(Phase::Start), &["203.0.113.0/24"])),
        row(alert_facts(full_l4(Phase::Update), &["203.0.113.0/24"])),
        row(Facts::WouldWithdraw {
            prefix: prefix("203.0.113.0/24"),
            calm_s: 905,
        }),
        row(alert_facts(full_l4(Phase::End), &["203.0.113.0/24"])),
    ];
    for (index, row) in (0i64..).zip(&mut rows) {
        row.id = NotificationId(45 + index);
        row.event = (index != 2).then_some(EventId(123 + index));
        row.incident = Some(IncidentId(17));
    }
    let context = Context {
        incident: Some(incident(None)),
        ..standing(Ok(Some(entry(Some(true), "2026-03-27 03:19:20"))), Ok(None))
    };
    shown.add("one incident", &rows, &context);
    for row in &mut rows {
        row.created_at = at("2026-03-26 11:05:10");
    }
    rows[0].incident = None;
    rows[1].facts = None;
    shown.add(
        "a storm of several, a day old",
        &rows,
        &Context {
            more_prefixes: 3,
            ..context_of_two()
        },
    );
    insta::assert_snapshot!(shown.0);
}

fn context_of_two() -> Context {
    let one = standing(Ok(Some(entry(Some(true), "2026-03-27 03:19:20"))), Ok(None));
    let two = PrefixNow {
        prefix: prefix("2001:db8::/32"),
        inventory: Ok(None),
        answer: Ok(None),
    };
    Context {
        prefixes: one.prefixes.into_iter().chain([two]).collect(),
        ..Context::default()
    }
}

#[test]
fn hostile_texts() {
    let mut shown = Shown::new();
    let nasty = "udp_flood*[x](y)<b>&\"</code><a href=\"https://evil.example\">z</a>";
    let hostile = Alert {
        vector: Some(nasty.into()),
        rule_name: Some("rule \u{202E}gpj.exe\u{202C} of שלום 123".into()),
        protocol: Some("👨‍👩‍👧 UDP ☠️".into()),
        action: Some("block\n\u{2028}Prefix: withdrawn\r\n\tby nobody".into()),
        attack_id: Some("javascript:alert(1)".into()),
        link: Some("https://dash.cloudflare.com@evil.example/".into()),
        details: details(&[
            ("</code>key", nasty),
            ("مفتاح", "قيمة 42"),
            ("empty", "  "),
            ("na", "N/A"),
        ]),
        ..bare(AlertKind::L4, Phase::Start)
    };
    shown.one("names", alert_facts(hostile, &["203.0.113.0/24"]));
    let long = Alert {
        vector: Some("v".repeat(10_000)),
        rule_name: Some("r ".repeat(5_000)),
        text: Some("word ".repeat(2_000)),
        details: vec![("x".repeat(10_000), "y".repeat(10_000)); 30],
        ..bare(AlertKind::Other("k".repeat(10_000)), Phase::Start)
    };
    shown.one("10,000 characters everywhere", alert_facts(long, &[]));
    insta::assert_snapshot!(shown.0);
}

#[test]
fn an_operator_without_names_or_address_gets_a_message_all_the_same() {
    let renderer = Renderer::new(&notify::Frame::default());
    let document = renderer.message(
        &[row(Facts::SelfTest {
            actor: String::new(),
            note: String::new(),
        })],
        &Context::default(),
        now(),
    );
    checker::check(&document.html(), &document.plain()).unwrap();
    insta::assert_snapshot!(document.plain());
}
