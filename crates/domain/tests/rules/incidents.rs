//! Alerts to incidents and prefixes: the order of arrival never matters.

use domain::alert::{Alert, AlertKind, Phase};
use domain::ids::IncidentId;
use domain::incident::{Candidate, Span, extend, join_by_prefix};
use domain::notice::{Facts, Mute, Notice, Plan, Priority, plan};
use domain::prefix::{Prefix, PrefixMap};
use proptest::prelude::*;

use crate::support::{at, p};

pub fn alert(phase: Phase, sent: i64) -> Alert {
    Alert {
        kind: AlertKind::L4,
        phase,
        correlation_id: None,
        attack_id: None,
        policy_id: None,
        policy_name: None,
        text: None,
        sent_at: Some(at(sent)),
        started_at: None,
        received_at: at(1_000_000),
        targets: vec![],
        hostname: None,
        target_port: None,
        protocol: None,
        vector: None,
        rule_id: None,
        rule_name: None,
        action: None,
        severity: None,
        packets_per_second: None,
        bits_per_second: None,
        requests_per_second: None,
        advertise: vec![],
        link: None,
        details: vec![],
        is_test: false,
        problems: vec![],
    }
}

fn any_alert() -> impl Strategy<Value = Alert> {
    let phase = prop::sample::select(vec![Phase::Start, Phase::Update, Phase::End]);
    // Few instants, so that some are equal.
    (phase, 0_i64..8, prop::option::of(0_i64..8)).prop_map(|(phase, sent, started)| Alert {
        started_at: started.map(at),
        ..alert(phase, sent)
    })
}

fn span(alerts: &[Alert]) -> Span {
    alerts
        .iter()
        .fold(None, |span, alert| Some(extend(span, alert)))
        .unwrap()
}

proptest! {
    #[test]
    fn the_span_of_an_incident_does_not_depend_on_the_order_of_arrival(
        (alerts, shuffled) in prop::collection::vec(any_alert(), 1..7).prop_flat_map(|alerts| (Just(alerts.clone()), Just(alerts).prop_shuffle())),
        again in any::<prop::sample::Index>(),
    ) {
        let expected = span(&alerts);
        prop_assert_eq!(span(&shuffled), expected);
        // A delivery that comes twice changes nothing either.
        let mut twice = shuffled;
        let index = again.index(twice.len());
        twice.push(twice[index].clone());
        prop_assert_eq!(span(&twice), expected);
    }

    #[test]
    fn a_late_announcement_neither_continues_nor_ends_an_incident(
        alerts in prop::collection::vec(any_alert(), 1..6), after in any::<prop::sample::Index>(), announced in 0_i64..10,
    ) {
        let mut with = alerts.clone();
        let announcement = Alert { kind: AlertKind::AutoAdvertisement, ..alert(Phase::Start, announced) };
        with.insert(after.index(alerts.len()) + 1, announcement);
        let (with, without) = (span(&with), span(&alerts));
        prop_assert_eq!((with.ended_at, with.last_sign_at), (without.ended_at, without.last_sign_at));
    }

    #[test]
    fn an_incident_has_ended_exactly_when_its_last_sign_is_an_end(alerts in prop::collection::vec(any_alert(), 1..7)) {
        let result = span(&alerts);
        let last = alerts.iter().map(Alert::at).max().unwrap();
        let ended = alerts.iter().any(|alert| alert.at() == last && alert.phase == Phase::End);
        prop_assert_eq!(result.last_sign_at, last);
        prop_assert_eq!(result.ended_at, ended.then_some(last));
        let first = alerts.iter().map(|alert| alert.started_at.unwrap_or(alert.at()).min(alert.at())).min().unwrap();
        prop_assert_eq!(result.began_at, first);
    }

    #[test]
    fn a_muted_kind_is_kept_back_unless_it_is_critical(priority in prop::sample::select(Priority::ALL.to_vec()), until in 0_i64..100, now in 0_i64..100) {
        let notice = Notice::about(Facts::Raised { title: "t".into(), text: "x".into(), priority });
        let mutes = [Mute { kind: "raised".into(), actor: "ana".into(), until: at(until) }];
        let kept_back = priority != Priority::Critical && now < until;
        let is_kept_back = matches!(plan(&notice, &mutes, at(now)), Plan::Suppress { .. });
        prop_assert_eq!(is_kept_back, kept_back);
        prop_assert_eq!(plan(&notice, &[], at(now)), Plan::Send);
    }
}

#[test]
fn an_expired_mute_does_not_hide_a_running_one() {
    let notice = Notice::about(Facts::SelfTest {
        actor: "ana".into(),
        note: String::new(),
    });
    let mute = |until| Mute {
        kind: "self_test".into(),
        actor: "ana".into(),
        until: at(until),
    };
    assert!(matches!(
        plan(&notice, &[mute(5), mute(50)], at(10)),
        Plan::Suppress { .. }
    ));
}

#[test]
fn an_alert_is_tied_to_our_prefixes_or_says_that_it_is_not() {
    let inventory: PrefixMap<()> = ["198.51.100.0/22", "198.51.101.0/24", "2001:db8:1::/48"]
        .into_iter()
        .map(|net| (p(net), ()))
        .collect();
    let affected = |targets: &[&str], rule: Option<&[Prefix]>| {
        let alert = Alert {
            targets: targets.iter().map(|net| p(net)).collect(),
            ..alert(Phase::Start, 0)
        };
        let affected = alert.affected(&inventory, rule);
        (
            affected
                .prefixes
                .iter()
                .map(Prefix::to_string)
                .collect::<Vec<_>>()
                .join(" "),
            affected.unresolved,
        )
    };
    assert_eq!(affected(&["198.51.101.9"], None), ("198.51.101.0/24".into(), false));
    assert_eq!(
        affected(&["198.51.100.9", "2001:db8:1::5"], None),
        ("198.51.100.0/22 2001:db8:1::/48".into(), false)
    );
    // A target wider than a prefix of ours means each inside it, and the one around it.
    assert_eq!(
        affected(&["198.51.100.0/23"], None),
        ("198.51.100.0/22 198.51.101.0/24".into(), false)
    );
    assert_eq!(affected(&["192.0.2.1"], None), (String::new(), true));
    assert_eq!(
        affected(&["192.0.2.1", "198.51.101.9"], None),
        ("198.51.101.0/24".into(), true)
    );
    assert_eq!(affected(&[], None), (String::new(), true));
    assert_eq!(affected(&[], Some(&[])), (String::new(), true));
    assert_eq!(
        affected(&[], Some(&[p("198.51.102.0/24")])),
        ("198.51.100.0/22".into(), false)
    );
}

#[test]
fn an_alert_without_ids_joins_the_nearest_incident_of_its_prefix_and_vector() {
    let prefix = p("203.0.113.0/24");
    let known = |id, began: i64, last: i64, vector: Option<&str>| Candidate {
        id: IncidentId(id),
        prefixes: vec![prefix],
        vector: vector.map(str::to_owned),
        began_at: at(began),
        last_sign_at: at(last),
        is_test: false,
    };
    let candidates = [
        known(1, 0, 600, None),
        known(2, 5_000, 6_000, Some("SYN Flood")),
        known(3, 5_000, 6_500, Some("UDP")),
    ];
    let join = |sent: i64, vector: Option<&str>, is_test| {
        let alert = Alert {
            vector: vector.map(str::to_owned),
            is_test,
            ..alert(Phase::Start, sent)
        };
        join_by_prefix(&alert, &[prefix], &candidates).map(|id| id.0)
    };
    assert_eq!(join(700, None, false), Some(1));
    assert_eq!(join(6_100, Some("syn flood "), false), Some(2));
    assert_eq!(join(6_100, Some("DNS"), false), None);
    assert_eq!(join(6_500 + 3_601, None, false), None);
    assert_eq!(join(700, None, true), None, "a self-test never joins a real one");
}
