//! What keeps a proven calm from becoming a withdrawal, and what is said about it.

use std::time::Duration;

use domain::intent::IntentState;
use serde_json::json;
use testkit::site::PREFIX;
use testkit::wait;

use crate::house::{House, WITHDRAWN_WITHIN, now, pace, prefix, set};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_dry_run_says_once_what_it_would_do_and_overdue_is_told_once() {
    let mut house = House::new(pace()).await;
    set(&mut house, "mode", json!("dry_run"));
    set(&mut house, "overdue_after", json!("2s"));
    house.calm();
    let daemon = house.start().await;
    house.until_verdict("blocked:dry_run").await;
    house.nothing_happens(Duration::from_secs(4), "blocked:dry_run").await;
    let record = house.record();
    for kind in ["would_withdraw", "overdue"] {
        assert_eq!(record.messages_of(kind).count(), 1, "{kind}\n{}", record.shown());
    }
    assert_eq!(record.intents.len(), 0, "{}", record.shown());
    daemon.stop().await;
    // A restart remembers what was said.
    let daemon = house.start().await;
    wait::until("a cycle", WITHDRAWN_WITHIN, || {
        daemon.frame.current_status().contains("advertised").then_some(())
    })
    .await;
    house.nothing_happens(Duration::from_secs(2), "blocked:dry_run").await;
    assert_eq!(house.record().messages_of("would_withdraw").count(), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn paused_by_configuration_it_only_watches() {
    let mut house = House::new(pace()).await;
    set(&mut house, "mode", json!("paused"));
    house.calm();
    let daemon = house.start().await;
    house.until_verdict("blocked:mode_paused").await;
    house
        .nothing_happens(Duration::from_secs(3), "blocked:mode_paused")
        .await;
    let record = house.record();
    assert_eq!(record.intents.len(), 0);
    assert_eq!(record.messages_of("would_withdraw").count(), 0);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hold_is_kept_its_end_is_told_once_and_nothing_follows_sooner() {
    let house = House::new(pace()).await;
    house.calm();
    // In fast motion the notice is twice the calm period: 6 s.
    let until = domain::time::plus(now(), Duration::from_secs(8));
    house
        .write(move |tx| db::holds::set(tx, Some(prefix()), "ana@noc", "maintenance", Some(until), now()).unwrap())
        .await;
    let daemon = house.start().await;
    house.until_verdict("blocked:held").await;
    let record = house
        .until("its end is told", WITHDRAWN_WITHIN, |record| {
            record.messages_of("hold_ending").count() == 1
        })
        .await;
    assert_eq!(house.changes_asked(), 0);
    let told_at = record.messages_of("hold_ending").next().unwrap().created_at;
    let record = house.until_withdrawn().await;
    let sent_at = record
        .withdrawals(IntentState::Done)
        .next()
        .unwrap()
        .sending_at
        .unwrap();
    assert!(sent_at >= until, "{sent_at} {until}");
    assert!(domain::time::since(sent_at, told_at) >= Duration::from_secs(6));
    assert_eq!(record.messages_of("hold_ending").count(), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pause_of_everything_holds_until_it_is_released() {
    let house = House::new(pace()).await;
    house.calm();
    house
        .write(|tx| db::holds::set(tx, None, "ana@noc", "maintenance", None, now()).unwrap())
        .await;
    let daemon = house.start().await;
    house.until_verdict("blocked:held").await;
    house.nothing_happens(Duration::from_secs(2), "blocked:held").await;
    house
        .write(|tx| db::holds::release(tx, None, "ana@noc", now()).unwrap())
        .await;
    house.until_withdrawn().await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_direct_route_that_no_check_proves_blocks_and_stalls_nothing() {
    let mut house = House::new(pace()).await;
    let proof = house.site.path().join("route-is-there");
    set(
        &mut house,
        "direct_route",
        json!({"*": {"command": ["/usr/bin/test", "-e", proof], "timeout": "2s"}}),
    );
    house.calm();
    let daemon = house.start().await;
    house.until_verdict("blocked:no_direct_route").await;
    house
        .nothing_happens(Duration::from_secs(2), "blocked:no_direct_route")
        .await;
    std::fs::write(&proof, "").unwrap();
    house.until_withdrawn().await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_route_check_that_hangs_keeps_nobody_from_deciding() {
    let mut house = House::new(pace()).await;
    set(
        &mut house,
        "direct_route",
        json!({"*": {"command": ["/bin/sleep", "50"], "timeout": "1m"}}),
    );
    house.calm();
    let daemon = house.start().await;
    house.until_verdict("blocked:no_direct_route").await;
    let first = house.record().now[0].at;
    let cycles_go_on = || {
        let is = house.record();
        let at = is.now.iter().find(|now| now.prefix.to_string() == PREFIX)?.at;
        (domain::time::since(at, first) > Duration::from_secs(1)).then_some(())
    };
    wait::until("cycles go on", WITHDRAWN_WITHIN, cycles_go_on).await;
    house
        .nothing_happens(Duration::from_secs(1), "blocked:no_direct_route")
        .await;
    daemon.stop().await;
}
