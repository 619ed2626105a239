//! `explain`: an event with its delivery, incident and messages; a prefix with the chain to its next action.

use std::time::Duration;

use db::deliveries::{NewDelivery, Stored};
use db::events::NewEvent;
use db::incidents::Line;
use domain::alert::{Affected, Alert, AlertKind, Phase};
use domain::bgp::BgpState;
use domain::decision::{DirectRoute, Inputs, Managed, Mode, Policy, PrefixState, decide};
use domain::evidence::Observed;
use domain::ids::{EventId, EvidenceId};
use domain::notice::{Facts, Notice};
use domain::time::minus;
use jiff::Timestamp;

use crate::messages::{channels_begin, copied, refused_certificate};
use crate::support::filters;
use crate::world::{beats, database, prefix, run, site};

/// What the receiver stores for one attack alert.
async fn an_alert(db: &db::Db) -> EventId {
    let now = minus(Timestamp::now(), Duration::from_secs(90));
    db.write("test", move |tx| {
        let delivery = NewDelivery {
            received_at: now,
            alert_type: Some("dos_attack_l4".into()),
            event_state: Some("ALERT_STATE_EVENT_START".into()),
            alert_id: Some("attack-17".into()),
            policy_id: None,
            policy_name: Some("DDoS".into()),
            target: Some("203.0.113.10".into()),
            source_ip: "198.51.100.7".into(),
            action_taken: "received",
            payload: Some("{}".into()),
            raw_body: None,
            body_hash: "00".into(),
            headers: "{}".into(),
            event_time: Some(now),
            problem: None,
            is_test: false,
        };
        let affected = Affected {
            prefixes: vec![prefix()],
            unresolved: false,
        };
        let Stored::New(delivery_id) = db::deliveries::store(tx, &delivery, &affected)? else {
            panic!("it is new")
        };
        db::deliveries::store(tx, &delivery, &affected)?;
        let alert = Alert {
            attack_id: Some("attack-17".into()),
            vector: Some("UDP flood".into()),
            packets_per_second: Some(812_500.0),
            bits_per_second: Some(5.12e9),
            ..blank_alert(now)
        };
        let incident = db::incidents::join(tx, &alert, &[prefix()], now)?;
        let event = NewEvent {
            event_type: "START".into(),
            alert_type: "dos_attack_l4".into(),
            attack_id: Some("attack-17".into()),
            prefixes: vec![prefix()],
            target_ip: Some("203.0.113.10".into()),
            target_port: Some(53),
            protocol: Some("UDP".into()),
            attack_vector: Some("UDP flood".into()),
            packets_per_second: Some("812500".into()),
            megabits_per_second: Some("5120.00".into()),
            severity: Some("HIGH".into()),
            action_taken: "mitigating".into(),
            event_time: Some(now),
            delivery: Some(delivery_id),
            incident: Some(incident),
            ..NewEvent::default()
        };
        let event = db::events::append(tx, &event, now)?;
        let line = Line {
            at: now,
            kind: "alert_start".into(),
            text: "L3/4 DDoS attack started: UDP flood, on 203.0.113.0/24".into(),
            source: "cloudflare notification".into(),
            actor: None,
            reference: None,
        };
        db::incidents::note(tx, incident, &line, now)?;
        let notice = Notice {
            facts: Facts::Alert {
                alert: Box::new(alert),
                prefixes: vec![prefix()],
                unresolved: false,
            },
            event: Some(event),
            incident: Some(incident),
            group: None,
        };
        db::outbox::enqueue(tx, &notice, now)?;
        Ok(event)
    })
    .await
    .unwrap()
}

fn blank_alert(now: Timestamp) -> Alert {
    let decoded =
        cf_api::webhook::decode(br#"{"alert_type":"dos_attack_l4","alert_event":"ALERT_STATE_EVENT_START","data":{}}"#);
    let alert = cf_api::webhook::to_alert(&decoded, now);
    assert_eq!((&alert.kind, &alert.phase), (&AlertKind::L4, &Phase::Start));
    alert
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_everything_that_came_of_it() {
    let site = site().await;
    let event = an_alert(&database(&site)).await;
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("explain-event", run(&site, &["explain", &format!("#{event}")]).shown());
    });
    let json = run(&site, &["explain", &event.to_string(), "--json"]).json();
    assert_eq!(json["delivery"]["duplicates"], 1);
    assert_eq!(json["notices"][0]["notification"]["kind"], "alert");
    assert_eq!(json["incident"]["title"], "UDP flood");
    let unknown = run(&site, &["explain", "4711", "--json"]);
    assert_eq!(
        (unknown.code, unknown.json()["error"]["code"].clone()),
        (1, "event.unknown".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_its_copies_at_other_channels() {
    let site = site().await;
    let db = database(&site);
    channels_begin(&db).await;
    let event = an_alert(&db).await;
    copied(&db, "webhook", db::outbox::CopyOutcome::Sent).await;
    copied(&db, "mail", refused_certificate()).await;
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("explain-event-copies", run(&site, &["explain", &format!("#{event}")]).shown());
    });
    let json = run(&site, &["explain", &event.to_string(), "--json"]).json();
    assert_eq!(json["notices"][0]["copies"].as_array().unwrap().len(), 2);
}

/// What a cycle of the daemon stores for one prefix.
async fn a_cycle(site: &testkit::Site, db: &db::Db) {
    let now = Timestamp::now();
    let state = BgpState {
        advertised: Some(true),
        advertised_modified_at: Some(minus(now, Duration::from_secs(7_000))),
        on_demand_enabled: true,
        locked: false,
        bgp_signalled: false,
        prepend: Some(0),
        auto_advertise_withdraw: false,
    };
    let inputs = Inputs {
        prefix: prefix(),
        managed: Managed::Yes,
        bgp: Observed::known(state.clone(), now),
        traffic: Observed::unavailable("read traffic failed (transient, HTTP 503)"),
        alerts: Observed::known(vec![], now),
        hold: None,
        direct_route: DirectRoute::NotDeclared,
        own_withdrawals: vec![],
        all_withdrawals: vec![],
        other_intent_open: false,
        now,
    };
    let policy: Policy = serde_json::from_value(serde_json::json!({
        "traffic": {"min_packets": 5_000, "min_bits": 10_000_000, "min_samples": 2, "lookback": "5m", "settle": "5m",
            "propagation": "7m", "carries_no_traffic": false},
        "mode": "act", "calm_period": "15m", "min_advertised": "15m", "open_alert_veto": "1h", "unknown_alert_after": "10m",
        "overdue_after": "2h", "max_withdrawals_per_hour": 10, "max_reading_age": "3m",
    }))
    .unwrap();
    let decision = decide(&PrefixState::default(), &inputs, &policy);
    let found = domain::bgp::BgpPrefix {
        prefix: prefix(),
        parent_id: domain::ids::PrefixId::new("a1"),
        id: domain::ids::BgpPrefixId::new("b1"),
        asn: Some(64_500),
        description: "Customer hosting".into(),
        state: state.clone(),
    };
    let record = serde_json::json!({"version": 1, "at": now, "inputs": [inputs]});
    db.write("test", move |tx| {
        db::inventory::observed(tx, &found, true, now)?;
        let evidence: EvidenceId = db::decisions::store_evidence(tx, &record, now)?;
        db::decisions::record(tx, prefix(), &decision, 1, Some(evidence), now)?;
        let published = db::decisions::Now {
            prefix: prefix(),
            at: now,
            decision,
            bgp: Some(state),
            managed: true,
            mode: Mode::Act,
        };
        db::decisions::publish(tx, &published, Some(evidence))
    })
    .await
    .unwrap();
    beats(db, "cloudflare-autowithdraw", 1, "degraded").await;
    assert!(site.database().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_from_evidence_to_next_action() {
    let site = site().await;
    let db = database(&site);
    a_cycle(&site, &db).await;
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!("explain-prefix", run(&site, &["explain", "203.0.113.0/24"]).shown());
    });
    let json = run(&site, &["--json", "explain", "203.0.113.0/24"]).json();
    assert_eq!(json["standing"]["state"], "unknown");
    assert_eq!(
        json["evidence"][1]["text"],
        "traffic not read: read traffic failed (transient, HTTP 503)"
    );
    let unknown = run(&site, &["explain", "198.51.100.0/25"]);
    assert_eq!(unknown.code, 1, "{}", unknown.shown());
}
