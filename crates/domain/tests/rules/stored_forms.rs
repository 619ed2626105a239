//! What is stored or shown as JSON reads back equal, whatever variant it is.

use std::fmt::Debug;

use domain::alert::{AlertKind, Phase};
use domain::bgp::NotControllable;
use domain::calm::TrafficUnknown;
use domain::decision::{Block, Decision, Inputs, PrefixState, Reason, Unknown, Verdict, decide};
use domain::evidence::Observed;
use domain::ids::{EventId, IncidentId};
use domain::intent::{Act, Origin};
use domain::notice::{Facts, KINDS, Notice, RecoveredAlert, RecoveredIncident};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::chaos::{hold, quick_policy, run, steps};
use crate::incidents::alert;
use crate::support::{advertised, at, p, policy, ready, withdrawn};

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap_or_else(|problem| panic!("{value:?}: {problem}"));
    let back: T = serde_json::from_str(&text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
    assert_eq!(&back, value, "{text}");
}

/// Decisions and inputs round-trip too, but for the last bit of a rate.
fn parses_back<T: Serialize + DeserializeOwned>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    let back: T = serde_json::from_str(&text).unwrap();
    assert_eq!(
        serde_json::to_value(&back).unwrap()["verdict"],
        serde_json::to_value(value).unwrap()["verdict"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn every_decision_of_a_run_reads_back(steps in steps()) {
        for cycle in run(&steps, &quick_policy()) {
            parses_back::<Decision>(&cycle.decision);
            parses_back::<Inputs>(&cycle.inputs);
            parses_back::<PrefixState>(&cycle.decision.state);
        }
    }
}

#[test]
fn every_block_and_unknown_reads_back() {
    let when = at(5);
    for block in [
        Block::ModePaused,
        Block::DryRun,
        Block::Held {
            by: "ana".into(),
            reason: "why".into(),
            until: None,
            everywhere: true,
        },
        Block::OpenAlert {
            event: 3,
            until: when,
            unresolved: true,
        },
        Block::TooSoon { until: when },
        Block::HourlyLimit { until: when },
        Block::OneAtATime,
        Block::NoDirectRoute { reason: "gone".into() },
        Block::NotControllable(NotControllable::Locked),
        Block::NotControllable(NotControllable::NotOnDemand),
        Block::NotControllable(NotControllable::BgpSignalled),
    ] {
        assert!(!block.explain().is_empty());
        round_trip(&block);
        round_trip(&Verdict::Blocked { by: vec![block] });
    }
    for because in [
        Unknown::Bgp { reason: "x".into() },
        Unknown::BgpIncomplete,
        Unknown::Traffic { reason: "x".into() },
        Unknown::Data(TrafficUnknown::Truncated),
        Unknown::Data(TrafficUnknown::EmptyDataset),
        Unknown::Data(TrafficUnknown::Stale { age_s: 3 }),
        Unknown::Data(TrafficUnknown::FutureRows { ahead_s: 3 }),
        Unknown::Data(TrafficUnknown::NoRowsForPrefix),
        Unknown::Data(TrafficUnknown::SampledTooCoarsely { interval: 3 }),
        Unknown::Alerts { reason: "x".into() },
    ] {
        round_trip(&Verdict::Unknown { because, since: when });
    }
    for verdict in [
        Verdict::Direct,
        Verdict::NotManaged,
        Verdict::Propagating { until: when },
        Verdict::Attack,
        Verdict::Calm { since: when, due: when },
        Verdict::Withdraw,
    ] {
        round_trip(&verdict);
    }
}

#[test]
fn a_locked_prefix_is_recorded_like_any_other() {
    let mut readings = ready();
    let mut locked = advertised(0);
    locked.locked = true;
    readings.bgp = Observed::known(locked, readings.now);
    readings.hold = Some(hold(None));
    round_trip(&decide(&PrefixState::default(), &readings, &policy()));
    round_trip(&policy());
}

#[test]
fn every_kind_of_notice_reads_back() {
    let (prefix, when) = (p("203.0.113.0/24"), at(5));
    let text = || "text".to_owned();
    let person = || Origin::Person {
        actor: "ana".into(),
        via: "dashboard".into(),
    };
    let all = [
        Facts::Alert {
            alert: Box::new(alert(Phase::Start, 5)),
            prefixes: vec![prefix],
            unresolved: true,
        },
        Facts::UnreadableAlert {
            size: 5,
            head: text(),
            problem: text(),
        },
        Facts::Acted {
            act: Act::Withdraw,
            prefix,
            description: text(),
            origin: Origin::Automatic,
            reason: text(),
            advertised_at: Some(when),
            changed_at: when,
            calm_s: Some(900),
            peak: None,
            systems: vec![text()],
        },
        Facts::ActRefused {
            act: Act::Advertise,
            prefix,
            origin: person(),
            class: text(),
            words: text(),
            retry_at: None,
        },
        Facts::ActUnresolved {
            act: Act::Withdraw,
            prefix,
            origin: person(),
            last_read: text(),
            sent_at: when,
        },
        Facts::AutomationBlind {
            prefix,
            because: text(),
            since: when,
        },
        Facts::AutomationSighted { prefix, since: when },
        Facts::WouldWithdraw { prefix, calm_s: 900 },
        Facts::Overdue {
            prefix,
            since: when,
            because: text(),
        },
        Facts::LimitReached { prefix, until: when },
        Facts::MassCalm { prefixes: vec![prefix] },
        Facts::ForeignChange {
            prefix,
            before: advertised(0),
            after: withdrawn(5),
        },
        Facts::ProviderEvent {
            withdrawn: vec![prefix],
            advertised: vec![],
            changed: vec![prefix],
        },
        Facts::BindingsChanged {
            prefixes: vec![prefix],
            changes: vec![domain::binding::BindingChange {
                network: prefix,
                before: Some(text()),
                after: None,
            }],
        },
        Facts::Reattack {
            prefix,
            withdrawn_at: when,
        },
        Facts::HoldEnding {
            prefix: None,
            actor: text(),
            reason: text(),
            until: when,
        },
        Facts::ServiceStarted {
            service: text(),
            version: text(),
            lines: vec![(text(), text())],
        },
        Facts::ServiceStopped {
            service: text(),
            lines: vec![],
        },
        Facts::ServiceSilent {
            service: text(),
            since: when,
        },
        Facts::ServiceBack {
            service: text(),
            since: when,
        },
        Facts::FeedBlind {
            feed: text(),
            because: text(),
            since: when,
        },
        Facts::FeedRestored {
            feed: text(),
            since: when,
        },
        Facts::DataGap {
            feed: text(),
            from: when,
            to: when,
        },
        Facts::CaughtUp {
            recovered: 3,
            sent: Some((when, when)),
            incidents: vec![RecoveredIncident {
                incident: IncidentId(7),
                alerts: 2,
                events: Some((EventId(1), EventId(2))),
            }],
            others: vec![RecoveredAlert {
                kind: AlertKind::Other(text()),
                phase: Phase::End,
                subject: Some(text()),
                prefixes: vec![prefix],
                happened_at: when,
                event: Some(EventId(3)),
            }],
            more: 4,
            unresolved: 5,
            lost_since: Some(when),
            priority: domain::notice::Priority::Medium,
        },
        Facts::ChatUnreachable {
            since: when,
            waiting: 6,
            because: Some(text()),
        },
        Facts::ChatReachable {
            since: when,
            waiting: 7,
        },
        Facts::MessagesExpired {
            kinds: vec![(text(), 8)],
            urgent: true,
        },
        Facts::Mitigation {
            attack_id: None,
            vectors: vec![],
            events: 1,
            packets: 2,
            bits: 3,
            from: when,
            to: when,
            targets: vec![],
            sources: vec![],
            locations: vec![],
            distinct_sources: 4,
            spoofed_sources: 5,
            sample_interval: 6,
        },
        Facts::SelfTest {
            actor: text(),
            note: text(),
        },
        Facts::Raised {
            title: text(),
            text: text(),
            priority: domain::notice::Priority::High,
        },
    ];
    let mut seen = std::collections::BTreeSet::new();
    for facts in all {
        assert!(
            KINDS.contains(&facts.kind()),
            "{} can be routed and muted",
            facts.kind()
        );
        seen.insert(facts.kind());
        round_trip(&Notice::about(facts));
    }
    let unseen: Vec<&str> = KINDS.into_iter().filter(|kind| !seen.contains(kind)).collect();
    // The other act of two kinds that are here with one.
    assert_eq!(unseen, ["advertised", "withdraw_refused"], "every kind is in this list");
}

#[test]
fn rules_recorded_before_there_were_rates_and_thresholds_for_calm_mean_what_they_did() {
    let policy = crate::support::policy();
    let mut stored = serde_json::to_value(&policy).unwrap();
    let traffic = stored["traffic"].as_object_mut().unwrap();
    for added in ["min_packet_rate", "min_bit_rate", "calm_percent"] {
        assert!(traffic.remove(added).is_some(), "{added}");
    }
    let read: domain::decision::Policy = serde_json::from_value(stored).unwrap();
    assert_eq!(read, policy);
}

/// Lists, metrics and other people's scripts know reasons by these names: they are for ever.
#[test]
fn every_reason_has_its_name() {
    let when = at(60);
    let named = [
        (Reason::NotAdvertised, "not_advertised"),
        (Reason::NotListed, "not_listed"),
        (
            Reason::NotControllable {
                why: NotControllable::Locked,
            },
            "not_controllable",
        ),
        (Reason::NotManaged, "not_managed"),
        (
            Reason::Unknown {
                because: Unknown::BgpIncomplete,
            },
            "unknown:bgp_incomplete",
        ),
        (Reason::Spreads, "spreads"),
        (Reason::AttackGoesOn, "attack"),
        (
            Reason::CalmRuns {
                since: when,
                proven_s: 60,
                needed_s: 900,
            },
            "calm_runs",
        ),
        (Reason::Restless, "restless"),
        (
            Reason::Blocked {
                block: Block::OneAtATime,
            },
            "blocked:one_at_a_time",
        ),
        (Reason::CalmProven, "calm_proven"),
        (Reason::MassCalm, "mass_calm"),
    ];
    for (reason, name) in named {
        assert_eq!(reason.key(), name);
        round_trip(&reason);
    }
}
