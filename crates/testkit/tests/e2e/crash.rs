//! `kill -9` of any service at any time, then a restart: nothing acknowledged is lost, nothing is done twice, and the
//! slice completes.

use std::collections::BTreeSet;
use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, Outcome, RequestEntry, Target};
use serde_json::json;
use testkit::{Pace, Program, Site, stories, wait};

use crate::slice::{end, told_as_recorded};

/// Alerts sent while the receiver is killed again and again.
const ALERTS: usize = 120;

/// Times that each service is killed during the slice.
const ROUNDS: usize = 2;

/// The slice itself, 20 s for each abandoned lease, and a busy machine.
const COMPLETE_WITHIN: Duration = Duration::from_secs(120);

/// Which service is killed after how many 100 ms of the slice: a fixed list that looks random, so that a failure can be
/// repeated.
fn times_of_death() -> Vec<(u64, Program)> {
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let mut deaths = Vec::new();
    for _ in 0..ROUNDS {
        for program in Program::ALL {
            // SplitMix64's step, enough to spread a dozen numbers.
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            deaths.push(((dice >> 33) % 180, program));
        }
    }
    deaths.sort();
    deaths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_dies_during_the_slice_and_the_slice_completes() {
    let site = Site::new(Pace::fast()).await;
    let mut services = site.start_all().await;
    site.sim.run_scenario_toml(&stories::attack()).unwrap();
    let began = tokio::time::Instant::now();
    for (tenths, program) in times_of_death() {
        tokio::time::sleep_until(began + Duration::from_millis(tenths * 100)).await;
        let victim = services.iter_mut().find(|service| service.program == program).unwrap();
        victim.kill();
        *victim = site.start(program).await;
    }
    site.until("it is withdrawn and recorded", COMPLETE_WITHIN, |record| {
        record.history.len() == 1
    })
    .await;
    assert!(!site.is_advertised());
    assert_eq!(
        site.changes_made(),
        2,
        "advertised once by Cloudflare, withdrawn once by us"
    );
    assert_eq!(site.changes_asked().len(), 1, "asked once");
    let record = site.until_told().await;
    assert_eq!(record.events_of("WITHDRAW").count(), 1);
    assert_eq!(record.messages_of("withdrawn").count(), 1);
    told_as_recorded(&site);
    end(&site, &mut services).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_alert_survives_the_death_of_the_receiver() {
    let site = Site::new(Pace::fast()).await;
    let mut receiver = site.start(Program::Webhook).await;
    let ids: Vec<String> = (0..ALERTS).map(|number| format!("{number:032x}")).collect();
    let sending = async {
        for id in &ids {
            let data = json!({"attack_id": id, "target_ip": "203.0.113.10"});
            let envelope = json!({"alert_correlation_id": id});
            let alert = site.sim.alert("l4_start", Some(&data), Some(&envelope)).unwrap();
            site.sim.send_webhook(&alert).await;
        }
    };
    let killing = async {
        // Each time when it has just acknowledged some more; once all are sent nobody is left to kill.
        loop {
            let before = acknowledged(&site);
            let more = wait::within(Duration::from_secs(5), || {
                (acknowledged(&site) >= before + 10).then_some(())
            })
            .await;
            if more.is_none() {
                break;
            }
            receiver.kill();
            receiver = site.start(Program::Webhook).await;
        }
    };
    tokio::join!(sending, killing);
    let answered: BTreeSet<String> = site
        .sim
        .deliveries()
        .iter()
        .filter(|delivery| delivery.outcome == Outcome::Answered(200))
        .map(|delivery| attack_id(&delivery.body))
        .collect();
    let deaths = ALERTS - answered.len();
    assert!(
        answered.len() > 20 && deaths > 0,
        "{} of {ALERTS} were acknowledged",
        answered.len()
    );
    let record = site.record();
    let lost: Vec<&String> = answered
        .iter()
        .filter(|id| !record.attack_ids().contains(*id))
        .collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    for id in &answered {
        let rows = record
            .events
            .iter()
            .filter(|event| event.attack_id.as_ref() == Some(id))
            .count();
        assert_eq!(rows, 1, "{id} is recorded once");
    }
    assert!(site.db().integrity_check_blocking().unwrap().is_empty());
    assert_eq!(receiver.stop().await.code(), Some(0));
}

/// A message is claimed for 60 s; then any service that lives may send it.
const CLAIM_OVER: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_sender_dies_is_sent_by_another_service() {
    let site = Site::new(Pace::fast()).await;
    let hang = FaultSpec::new(Target::Telegram, FaultKind::Hang);
    site.sim.set_fault(hang);
    let mut sender = site.start(Program::Webhook).await;
    wait::until("its message is under way", Duration::from_secs(15), || {
        let under_way = |request: &RequestEntry| request.surface == "telegram" && request.status.is_none();
        site.sim.requests_since(0).iter().any(under_way).then_some(())
    })
    .await;
    sender.kill();
    site.sim.clear_faults();
    let mut other = site.start(Program::AutoWithdraw).await;
    site.until("both starts are told", CLAIM_OVER, |record| {
        let told = record
            .messages_of("service_started")
            .filter(|notice| notice.state == "sent");
        told.count() == 2
    })
    .await;
    told_as_recorded(&site);
    assert_eq!(site.sim.messages().len(), 2, "each once");
    assert_eq!(other.stop().await.code(), Some(0));
}

fn acknowledged(site: &Site) -> usize {
    site.sim
        .deliveries()
        .iter()
        .filter(|delivery| delivery.delivered())
        .count()
}

fn attack_id(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["data"]["attack_id"].as_str().unwrap().to_owned()
}
