//! Unknown is never calm: the prefix is calm and advertised for long, so that only the fault stands
//! between it and its withdrawal; every fault lasts longer than the calm period.

use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, Target};
use serde_json::json;
use testkit::site::PREFIX;

use crate::house::{House, WITHDRAWN_WITHIN, map, now, pace, prefix, set};

/// Longer than the calm period and the look-back together.
const BLIND_FOR: Duration = Duration::from_millis(5_200);

fn analytics(kind: FaultKind) -> FaultSpec {
    FaultSpec::new(Target::Graphql, kind)
}

/// One fault after the other without a gap, then none.
async fn blind(faults: Vec<(FaultSpec, &str)>) {
    let house = House::new(pace()).await;
    house.calm();
    house.site.map_ids();
    let mut faults = faults.into_iter();
    let (first, verdict) = faults.next().unwrap();
    let mut current = house.site.sim.set_fault(first);
    let daemon = house.start().await;
    house.until_verdict(verdict).await;
    house.nothing_happens(BLIND_FOR, "unknown:").await;
    for (fault, verdict) in faults {
        let next = house.site.sim.set_fault(fault);
        assert!(house.site.sim.clear_fault(&current));
        current = next;
        house.until_verdict(verdict).await;
        house.nothing_happens(BLIND_FOR, verdict).await;
    }
    let record = house.record();
    assert_eq!(
        record.messages_of("automation_blind").count(),
        1,
        "once\n{}",
        record.shown()
    );
    assert_eq!(record.intents.len(), 0);
    house.site.sim.clear_faults();
    let record = house.until_withdrawn().await;
    assert_eq!(
        record.messages_of("automation_sighted").count(),
        1,
        "{}",
        record.shown()
    );
    assert_eq!(house.changes_asked(), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn analytics_that_fail() {
    blind(vec![
        (
            analytics(FaultKind::Status {
                status: 500,
                body: None,
            }),
            "unknown:traffic_unavailable",
        ),
        (
            analytics(FaultKind::GraphqlErrors {
                messages: vec!["unable to execute query".into()],
            }),
            "unknown:traffic_unavailable",
        ),
        (
            analytics(FaultKind::GraphqlErrorsWithData {
                messages: vec!["partial".into()],
            }),
            "unknown:traffic_unavailable",
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn analytics_that_say_nothing() {
    blind(vec![
        (analytics(FaultKind::Garbage), "unknown:traffic_unavailable"),
        (analytics(FaultKind::EmptyRows), "unknown:traffic_empty"),
        (analytics(FaultKind::StaleRows { seconds: 9 }), "unknown:traffic_stale"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn analytics_that_hang() {
    blind(vec![(analytics(FaultKind::Hang), "unknown:traffic_unavailable")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_list_of_prefixes_fails() {
    let down = FaultKind::Status {
        status: 500,
        body: None,
    };
    let lists = FaultSpec::new(Target::Rest, down).method("GET").path("/bgp/prefixes$");
    blind(vec![(lists, "unknown:bgp_unavailable")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nobody_answers_at_all_and_people_are_told_all_the_same() {
    let house = House::new(pace()).await;
    house.calm();
    house.site.map_ids();
    house.site.sim.set_fault(FaultSpec::new(Target::Rest, FaultKind::Hang));
    house.site.sim.set_fault(analytics(FaultKind::Hang));
    let daemon = house.start().await;
    let record = house
        .until("automation is announced as blind", Duration::from_secs(30), |record| {
            record.messages_of("automation_blind").count() == 1
        })
        .await;
    assert_eq!(record.verdict(PREFIX).as_deref(), Some("unknown:bgp_unavailable"));
    // An orderly end does not wait for answers that never come.
    daemon.stop().await;
    assert_eq!(house.changes_asked(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nobody_listens_for_alerts() {
    let house = House::without_receiver(pace(), |_| {}).await;
    house.calm();
    let daemon = house.start().await;
    house.until_verdict("unknown:alerts_unknown").await;
    house.nothing_happens(BLIND_FOR, "unknown:alerts_unknown").await;
    let record = house.record();
    assert_eq!(record.messages_of("automation_blind").count(), 1, "{}", record.shown());
    // A beat from the future was made by a clock that was wrong: nobody knows when.
    house
        .write(|tx| {
            let beat_at = domain::time::plus(now(), Duration::from_secs(86_400));
            let beat = db::heartbeats::Heartbeat {
                service: "cloudflare-webhook".into(),
                pid: 1,
                host: "test".into(),
                version: "0".into(),
                started_at: beat_at,
                beat_at,
                state: "ok".into(),
                status: String::new(),
            };
            db::heartbeats::beat(tx, &beat).unwrap();
        })
        .await;
    house
        .nothing_happens(Duration::from_secs(2), "unknown:alerts_unknown")
        .await;
    house.beat().await;
    house.until_withdrawn().await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn empty_answers_while_an_alert_is_open_and_the_end_of_its_veto() {
    let mut house = House::new(pace()).await;
    set(&mut house, "open_alert_veto", json!("4s"));
    house.calm();
    house
        .write(|tx| {
            let body = br#"{"alert_type":"fbm_dosd_attack","alert_event":"ALERT_STATE_EVENT_START","data":{"target_ip":"203.0.113.9"}}"#;
            let alert = cf_api::webhook::to_alert(&cf_api::webhook::decode(body), now());
            let networks = [(prefix(), ())].into_iter().collect();
            let affected = alert.affected(&networks, None);
            db::ledger::enter(tx, &alert, &affected, domain::ids::EventId(1)).unwrap();
        })
        .await;
    let fault = house.site.sim.set_fault(analytics(FaultKind::EmptyRows));
    let daemon = house.start().await;
    house.until_verdict("unknown:traffic_empty").await;
    // The veto ends in between, which turns nothing into calm.
    house.nothing_happens(BLIND_FOR, "unknown:traffic_empty").await;
    assert!(house.site.sim.clear_fault(&fault));
    house.until_withdrawn().await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn notifications_that_are_not_read_yet() {
    let mut house = House::new(pace()).await;
    set(&mut house, "open_alert_veto", json!("1s"));
    house.calm();
    house
        .write(|tx| {
            let unread = db::inbox::Unread {
                id: 0,
                received_at: domain::time::minus(now(), Duration::from_secs(86_400)),
                source: "192.0.2.1".into(),
                headers: "{}".into(),
                oversized: None,
                body: b"{}".to_vec(),
            };
            db::inbox::put(tx, &unread).unwrap();
        })
        .await;
    let daemon = house.start().await;
    house.until_verdict("blocked:open_alert").await;
    house.nothing_happens(BLIND_FOR, "blocked:open_alert").await;
    house
        .write(|tx| {
            let unread = db::inbox::oldest(tx, 0, 1, 1).unwrap();
            assert!(db::inbox::take_out(tx, unread[0].id).unwrap());
        })
        .await;
    house.until_withdrawn().await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_cut_at_its_row_limit() {
    let house = House::new(pace()).await;
    house.fresh();
    let daemon = house.start().await;
    house.until_verdict("calm").await;
    // 10,000 rows fill the page: drops far below any threshold, one per system.
    let rows = (0..12_000).map(|number| {
        cf_sim::RowSpec::dropped("203.0.113.7", 1, 1)
            .dim("mitigationSystem", format!("system-{number}"))
            .dim("sampleInterval", 1)
            .at(now())
            .visible()
    });
    house.site.sim.add_rows(rows);
    house.until_verdict("unknown:traffic_truncated").await;
    house.nothing_happens(BLIND_FOR, "unknown:traffic_truncated").await;
    // The full minutes leave the window that is asked for; then calm begins anew.
    house
        .until("it is withdrawn and recorded", WITHDRAWN_WITHIN * 2, |record| {
            record.history.len() == 1
        })
        .await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_managed_prefix_that_cloudflare_does_not_know_is_announced_and_stops_nobody() {
    let house = House::new(pace()).await;
    map(&house, &[PREFIX, "192.0.2.128/25"]);
    house.calm();
    let daemon = house.start().await;
    house.until_withdrawn().await;
    let record = house
        .until("the unknown one is announced", WITHDRAWN_WITHIN, |record| {
            record.messages_of("automation_blind").count() == 1
        })
        .await;
    assert_eq!(
        record.verdict("192.0.2.128/25").as_deref(),
        Some("unknown:bgp_unavailable")
    );
    daemon.stop().await;
}
