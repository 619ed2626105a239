//! Messages about the passage of messages and data: recovered alerts, a chat that could not be reached, messages that were
//! given up, gaps.

use std::collections::BTreeMap;

use crate::support::shown::Shown;
use crate::support::{at, prefix, row};
use db::incidents::Incident;
use domain::alert::{AlertKind, Phase};
use domain::ids::{EventId, IncidentId};
use domain::notice::{ALERT_HISTORY, Facts, Priority, RecoveredAlert, RecoveredIncident};
use notify::context::Context;

fn incident(id: i64, ended: Option<&str>) -> Incident {
    Incident {
        id: IncidentId(id),
        title: "udp_flood*[x](y)<b>&".into(),
        vector: None,
        prefixes: vec![prefix("203.0.113.0/24"), prefix("198.51.100.0/24")],
        began_at: at("2026-03-27 02:00:00"),
        last_sign_at: at("2026-03-27 02:10:00"),
        ended_at: ended.map(at),
        withdrawn_at: None,
        peak_pps: None,
        peak_bps: None,
        is_test: false,
        acknowledged_by: None,
        acknowledged_at: None,
        updated_at: at("2026-03-27 02:30:00"),
    }
}

fn caught_up() -> Facts {
    let recovered = |id: i64, events| RecoveredIncident {
        incident: IncidentId(id),
        alerts: 2,
        events,
    };
    Facts::CaughtUp {
        recovered: 40,
        sent: Some((at("2026-03-27 02:00:05"), at("2026-03-27 02:10:00"))),
        incidents: vec![
            recovered(7, Some((EventId(10), EventId(11)))),
            recovered(8, Some((EventId(12), EventId(12)))),
            recovered(9, None),
        ],
        others: vec![RecoveredAlert {
            kind: AlertKind::Other("some_new_alert<b>".into()),
            phase: Phase::End,
            subject: Some("gre-tunnel \u{202E}1\nsecond line".into()),
            prefixes: vec![prefix("203.0.113.0/24")],
            happened_at: at("2026-03-27 02:05:00"),
            event: Some(EventId(13)),
        }],
        more: 30,
        unresolved: 1,
        lost_since: Some(at("2026-02-20 00:00:00")),
        priority: Priority::High,
    }
}

#[test]
fn recovered_alerts_are_told_with_how_their_incidents_stand_now() {
    let mut shown = Shown::new();
    let context = Context {
        incidents: BTreeMap::from([
            (IncidentId(7), incident(7, Some("2026-03-27 02:10:00"))),
            (IncidentId(8), incident(8, None)),
        ]),
        ..Context::default()
    };
    shown.add("one over, one open, one unreadable", &[row(caught_up())], &context);
    shown.one(
        "only a doubt",
        Facts::CaughtUp {
            recovered: 0,
            sent: None,
            incidents: vec![],
            others: vec![],
            more: 0,
            unresolved: 0,
            lost_since: Some(at("2026-02-20 00:00:00")),
            priority: Priority::High,
        },
    );
    shown.one(
        "one, and nothing known of it",
        Facts::CaughtUp {
            recovered: 1,
            sent: None,
            incidents: vec![],
            others: vec![],
            more: 1,
            unresolved: 0,
            lost_since: None,
            priority: Priority::Medium,
        },
    );
    insta::assert_snapshot!("caught_up", shown.0);
}

#[test]
fn what_becomes_of_messages_and_data_is_told() {
    let since = at("2026-03-27 02:00:00");
    let mut shown = Shown::new();
    let unreachable = |because: Option<&str>| Facts::ChatUnreachable {
        since,
        waiting: 1,
        because: because.map(str::to_owned),
    };
    shown.one(
        "unreachable",
        unreachable(Some("the bot was removed from the chat (Forbidden: <x>)")),
    );
    shown.one("unreachable, nobody knows why", unreachable(None));
    shown.one("reachable", Facts::ChatReachable { since, waiting: 1_234 });
    let kinds = vec![("automation_blind".to_owned(), 2), ("alert".to_owned(), 40)];
    shown.one("expired", Facts::MessagesExpired { kinds, urgent: true });
    let kinds = vec![("service_started".to_owned(), 1)];
    shown.one("one expired", Facts::MessagesExpired { kinds, urgent: false });
    let feed = "attack analytics".to_owned();
    let (from, to) = (since, at("2026-03-27 03:10:00"));
    shown.one("gap", Facts::DataGap { feed, from, to });
    shown.one(
        "alert history",
        Facts::FeedBlind {
            feed: ALERT_HISTORY.into(),
            because: "alerts that the receiver does not get are not recovered: HTTP 403".into(),
            since,
        },
    );
    insta::assert_snapshot!("passage", shown.0);
}

#[test]
fn the_barest_form_holds_nothing_from_outside() {
    let renderer = notify::Renderer::new(&notify::Frame {
        brand: "*brand*".into(),
        organisation: "<b>".into(),
        ..crate::support::frame()
    });
    let mut strange = row(caught_up());
    strange.kind = "kind_of_tomorrow<b>*".into();
    let one = renderer.bare(std::slice::from_ref(&strange)).plain();
    let three = renderer.bare(&[row(caught_up()), strange.clone(), strange]).plain();
    insta::assert_snapshot!("bare", format!("{one}\n--------\n{three}"));
}
