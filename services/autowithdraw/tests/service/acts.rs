//! From attack to record, and what happens around an own act.

use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, Target};
use domain::intent::{Act, IntentState};
use prefix_ops::{Request, request};
use serde_json::json;
use testkit::site::PREFIX;
use testkit::wait;

use crate::house::{CALM, House, WITHDRAWN_WITHIN, map, now, pace, prefix};

const ATTACK: &str = r#"
[[attack]]
name = "udp-flood"
prefix = "203.0.113.0/24"
target_ip = "203.0.113.10"
target_port = 53
vector = "UDP flood"
protocol = "UDP"
start = "0s"
duration = "4s"
pps = 812500
mbps = 5120
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn from_an_attack_to_the_record_of_its_withdrawal() {
    let house = House::new(pace()).await;
    house.site.sim.run_scenario_toml(&format!("{CALM}{ATTACK}")).unwrap();
    let daemon = house.start().await;
    house.until_verdict("attack").await;
    assert_eq!(house.changes_asked(), 0);
    house.until_verdict("calm").await;
    let record = house.until_withdrawn().await;
    assert_eq!(house.changes_asked(), 1);
    let row = &record.history[0];
    let (ended, withdrawn) = (row.attack_ended_at.unwrap(), row.withdrawn_at.unwrap());
    assert!(
        domain::time::since(withdrawn, ended) >= house.site.pace.calm_period,
        "{ended} {withdrawn}"
    );
    let verdicts: Vec<String> = house
        .db
        .read("test", |tx| db::decisions::newest(tx, prefix(), 50))
        .await
        .unwrap()
        .into_iter()
        .rev()
        .map(|decision| decision.verdict)
        .collect();
    let place = |verdict: &str| verdicts.iter().position(|is| is == verdict);
    assert!(
        place("attack").unwrap() < place("calm").unwrap() && place("calm").unwrap() < place("withdraw").unwrap(),
        "{verdicts:?}"
    );
    // The result is looked at in the cycle that follows at once.
    let record = house.until_verdict("direct").await;
    assert_eq!(record.messages_of("withdrawn").count(), 1);
    for kind in ["foreign_change", "automation_blind", "act_unresolved"] {
        assert_eq!(record.messages_of(kind).count(), 0, "{kind}\n{}", record.shown());
    }
    assert_eq!(record.withdrawals(IntentState::Done).count(), 1);
    assert_eq!(record.intents.len(), 1, "{}", record.shown());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_we_changed_is_read_at_once_however_long_the_rotation_is() {
    let house = House::without_receiver(pace(), |config| {
        for third in 0..12u8 {
            let cidr = format!("198.18.{third}.0/24").parse().unwrap();
            let mut other = cf_sim::PrefixConfig::simple(cidr, 800 + u32::from(third), "other");
            other.bgp[0].advertised = true;
            config.prefixes.push(other);
        }
    })
    .await;
    house.beat().await;
    house.calm();
    let daemon = house.start().await;
    // Thirteen advertised parents, every second list call is for one of them: a round takes 8 s.
    let record = house
        .until("it is withdrawn and recorded", WITHDRAWN_WITHIN * 2, |record| {
            record.history.len() == 1
        })
        .await;
    let closed = record.withdrawals(IntentState::Done).next().unwrap().closed_at.unwrap();
    house.until_verdict("direct").await;
    let took = domain::time::since(now(), closed);
    assert!(
        took < Duration::from_millis(2_500),
        "{took:?} until the own act was seen"
    );
    let entry = house
        .db
        .read("test", |tx| db::inventory::get(tx, prefix()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        entry.prefix.state.advertised,
        Some(false),
        "an older reading did not come back"
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_prefix_that_cloudflare_refuses_does_not_keep_the_others() {
    // The first in order, so that it is tried first.
    let other = "198.51.100.0/24";
    let house = House::new(pace()).await;
    map(&house, &[PREFIX, other]);
    let scenario = format!("{CALM}\n[[prefix]]\ncidr = \"{other}\"\nadvertised = true\n");
    house.site.sim.run_scenario_toml(&scenario).unwrap();
    let refused = house.site.sim.prefix(other).unwrap().bgp_prefix_id;
    let denied = FaultKind::Status {
        status: 403,
        body: Some(
            json!({"success": false, "errors": [{"code": 10000, "message": "no"}], "messages": [], "result": null}),
        ),
    };
    house
        .site
        .sim
        .set_fault(FaultSpec::new(Target::Rest, denied).method("PATCH").path(&refused));
    let daemon = house.start().await;
    let record = house.until_withdrawn().await;
    assert_eq!(record.history[0].prefix, PREFIX);
    let record = house
        .until("the refusal is told", WITHDRAWN_WITHIN, |record| {
            record.messages_of("withdraw_refused").count() == 1
        })
        .await;
    assert_eq!(
        record.withdrawals(IntentState::Planned).count(),
        1,
        "it is still wanted"
    );
    assert!(house.site.sim.prefix(other).unwrap().advertised);
    daemon.stop().await;
}

fn advertise() -> Request {
    Request {
        prefix: prefix(),
        act: Act::Advertise,
        actor: "ana@noc".into(),
        via: "dashboard".into(),
        address: None,
        reason: "customer calls".into(),
        force: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_advertise_after_our_withdrawal_is_asserted_again_when_the_withdrawal_comes_late() {
    let mut pace = pace();
    pace.min_advertised = Duration::from_secs(120);
    let house = House::new(pace).await;
    house.calm();
    // Advertised for longer than the shortest time.
    let long = cf_sim::PrefixChange {
        modified_ago_s: Some(600),
        ..cf_sim::PrefixChange::default()
    };
    assert!(house.site.sim.change_prefix(PREFIX, &long));
    let daemon = house.start().await;
    house.until_withdrawn().await;
    request::file(&house.db, advertise(), now()).await.unwrap();
    let record = house
        .until("the daemon advertises", WITHDRAWN_WITHIN, |record| {
            record.messages_of("advertised").count() == 1
        })
        .await;
    assert!(house.site.is_advertised(), "{}", record.shown());
    house
        .until("it is seen", WITHDRAWN_WITHIN, |record| {
            !matches!(record.verdict(PREFIX).as_deref(), None | Some("direct"))
        })
        .await;
    // Cloudflare carries out the older withdrawal after all.
    assert!(house.site.sim.set_advertised(PREFIX, false));
    let record = house
        .until("it is advertised again", WITHDRAWN_WITHIN, |record| {
            record.messages_of("advertised").count() == 2
        })
        .await;
    assert!(house.site.is_advertised());
    let again = record.intents.last().unwrap();
    assert!(again.0.reason.starts_with("asserted again"), "{}", record.shown());
    assert_eq!(
        record.messages_of("foreign_change").count(),
        1,
        "and nobody is left in the dark"
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_says_that_an_advertised_prefix_shall_be_is_not_contradicted_a_moment_later() {
    let mut pace = pace();
    pace.min_advertised = Duration::from_secs(6);
    let house = House::new(pace).await;
    house.fresh();
    let daemon = house.start().await;
    house.until_verdict("calm").await;
    let asked_at = now();
    request::file(&house.db, advertise(), asked_at).await.unwrap();
    house.until_verdict("blocked:held").await;
    let record = house.until_withdrawn().await;
    let withdrawn = record
        .withdrawals(IntentState::Done)
        .next()
        .unwrap()
        .sending_at
        .unwrap();
    assert!(
        domain::time::since(withdrawn, asked_at) >= Duration::from_secs(6),
        "{}",
        record.shown()
    );
    // A withdrawal that was decided on later is meant: nothing is asserted against it.
    house.until_verdict("direct").await;
    wait::never("the automation quarrels with itself", Duration::from_secs(2), || {
        (house.changes_asked() != 1).then(|| house.record().shown())
    })
    .await;
    daemon.stop().await;
}
