//! Messages about our own acts and the automation, what is looked up for them, and digests, as people get them. The
//! snapshots are the review.

use crate::support::shown::Shown;
use crate::support::{alert_facts, at, bgp, full_l4, prefix, row, seconds};
use db::decisions::Now;
use db::incidents::Incident;
use db::inventory::Entry;
use domain::alert::Phase;
use domain::bgp::{BgpPrefix, BgpState};
use domain::calm::WindowSum;
use domain::decision::{Block, Decision, Mode, NextAction, NextKind, PrefixState, Reason, Unknown, Verdict};
use domain::hold::Hold;
use domain::ids::{BgpPrefixId, EventId, HoldId, IncidentId, NotificationId, PrefixId};
use domain::intent::{Act, Origin};
use domain::notice::Facts;
use domain::units::{Bits, BitsPerSecond, Packets, PacketsPerSecond};
use notify::context::{Context, PrefixNow};

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

fn answer(verdict: Verdict, kind: NextKind, not_before: Option<&str>, reason: Reason, when: &str) -> Now {
    Now {
        prefix: prefix("203.0.113.0/24"),
        at: at(when),
        decision: Decision {
            verdict,
            state: PrefixState::default(),
            effects: vec![],
            blocks: vec![],
            next: NextAction {
                kind,
                not_before: not_before.map(at),
                reasons: vec![reason],
            },
            calm_period: seconds(900),
            settled_until: None,
            latest: None,
            noise: false,
            restless: false,
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
        "many changed at once",
        Facts::ProviderEvent {
            withdrawn: vec![net, prefix("198.51.100.0/24")],
            advertised: vec![prefix("2001:db8::/32")],
            changed: vec![],
        },
    );
    let change = |network: &str, before: Option<&str>, after: Option<&str>| domain::binding::BindingChange {
        network: prefix(network),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    };
    shown.one(
        "bound to other services",
        Facts::BindingsChanged {
            prefixes: vec![net],
            changes: vec![
                change("203.0.113.0/24", Some("Magic Transit, active"), None),
                change("203.0.113.7/32", None, Some("CDN, provisioning")),
            ],
        },
    );
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
fn what_is_looked_up() {
    let mut shown = Shown::new();
    let start = || row(alert_facts(full_l4(Phase::Start), &["203.0.113.0/24"]));
    let fresh = "2026-03-27 03:19:20";
    let calm = answer(
        Verdict::Calm {
            since: at("2026-03-27 03:14:00"),
            due: at("2026-03-27 03:34:00"),
        },
        NextKind::Withdraw,
        Some("2026-03-27 03:34:00"),
        Reason::CalmRuns {
            since: at("2026-03-27 03:14:00"),
            proven_s: 60,
            needed_s: 900,
        },
        "2026-03-27 03:19:40",
    );
    let attacked = answer(
        Verdict::Attack,
        NextKind::Hold,
        None,
        Reason::AttackGoesOn,
        "2026-03-27 03:19:40",
    );
    let blocked = answer(
        Verdict::Blocked {
            by: vec![Block::OneAtATime],
        },
        NextKind::Hold,
        None,
        Reason::Blocked {
            block: Block::OneAtATime,
        },
        "2026-03-27 03:19:40",
    );
    let unknown = answer(
        Verdict::Unknown {
            because: Unknown::Bgp {
                reason: "HTTP 500".into(),
            },
            since: at("2026-03-27 03:10:00"),
        },
        NextKind::Hold,
        None,
        Reason::Unknown {
            because: Unknown::Bgp {
                reason: "HTTP 500".into(),
            },
        },
        "2026-03-27 03:19:40",
    );
    let unmanaged = answer(
        Verdict::NotManaged,
        NextKind::Nothing,
        None,
        Reason::NotManaged,
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
