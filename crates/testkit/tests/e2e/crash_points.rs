//! `kill -9` of the automation at the points where an act could be lost or done twice, then a restart.
//!
//! The simulator holds an answer back, which stops the process exactly there. A successor waits until the lease of the
//! dead one has stood still for 20 s, and until its claim on the intent (25 s) is over, so these take half a minute.

use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, RequestEntry, Target};
use domain::intent::IntentState;
use testkit::site::PREFIX;
use testkit::{Pace, Program, RealService, Site, stories, wait};

use crate::slice::{end, told_as_recorded};

/// Path of one BGP prefix: read right before the call and after it.
const ONE_PREFIX: &str = "/bgp/prefixes/[^/]+$";

const SOON: Duration = Duration::from_secs(60);

/// Until the claim of the dead one is over, and the rest of the work.
const TAKEN_OVER: Duration = Duration::from_secs(70);

/// A calm prefix, a receiver, and an automation that is about to withdraw.
async fn about_to_withdraw(fault: FaultSpec) -> (Site, RealService, RealService) {
    let site = Site::new(Pace::fast()).await;
    site.sim.run_scenario_toml(&stories::calm()).unwrap();
    site.sim.set_fault(fault);
    let webhook = site.start(Program::Webhook).await;
    let automation = site.start(Program::AutoWithdraw).await;
    (site, webhook, automation)
}

/// Waits for a request that a fault holds back.
async fn held_back(site: &Site, method: &str, path: fn(&str) -> bool) {
    let wanted = |request: &RequestEntry| {
        request.method == method && path(&request.path) && !request.faults.is_empty() && request.status.is_none()
    };
    wait::until("a request is held back", SOON, || {
        site.sim.requests_since(0).iter().any(wanted).then_some(())
    })
    .await;
}

fn is_one_prefix(path: &str) -> bool {
    path.rsplit_once("/bgp/prefixes/").is_some_and(|(_, id)| !id.is_empty())
}

async fn restart(site: &Site, automation: &mut RealService) {
    automation.kill();
    site.sim.clear_faults();
    *automation = site.start(Program::AutoWithdraw).await;
}

/// The withdrawal happened once, is recorded once with true instants, and was told.
async fn done_once(site: &Site, services: &mut [RealService]) {
    site.until("it is withdrawn and recorded", TAKEN_OVER, |record| {
        record.history.len() == 1
    })
    .await;
    assert_eq!(site.changes_asked().len(), 1, "asked once");
    assert!(!site.is_advertised());
    let record = site.until_told().await;
    assert_eq!(record.events_of("WITHDRAW").count(), 1);
    let row = &record.history[0];
    let (since, until) = (row.advertised_at.unwrap(), row.withdrawn_at.unwrap());
    let changed = site.sim.prefix(PREFIX).unwrap().advertised_modified_at.unwrap();
    assert_eq!(
        until.as_microsecond(),
        changed.as_microsecond(),
        "when Cloudflare says, not when we noticed"
    );
    let read = &record.intents[0].0.epoch.unwrap();
    assert_eq!(since, read.0, "the advertisement that was decided on");
    let protected = i64::try_from(domain::time::since(until, since).as_secs()).unwrap();
    assert_eq!(row.protection_duration_seconds, Some(protected), "{row:?}");
    assert_eq!(
        record.messages_of("foreign_change").count(),
        0,
        "it was ours: {}",
        record.shown()
    );
    told_as_recorded(site);
    end(site, services).await;
}

fn hang() -> FaultSpec {
    FaultSpec::new(Target::Rest, FaultKind::Hang)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_the_intent_and_the_call() {
    let (site, webhook, mut automation) = about_to_withdraw(hang().method("GET").path(ONE_PREFIX)).await;
    held_back(&site, "GET", is_one_prefix).await;
    let planned = site.record().withdrawals(IntentState::Planned).count();
    assert_eq!(planned, 1, "the intent is durable before anything is asked");
    restart(&site, &mut automation).await;
    done_once(&site, &mut [webhook, automation]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_call_took_effect_and_before_its_answer() {
    let (site, webhook, mut automation) = about_to_withdraw(hang().method("PATCH").after_apply().times(1)).await;
    held_back(&site, "PATCH", is_one_prefix).await;
    assert!(!site.is_advertised(), "it took effect");
    assert_eq!(
        site.record().withdrawals(IntentState::Sending).count(),
        1,
        "marked before it was sent"
    );
    restart(&site, &mut automation).await;
    done_once(&site, &mut [webhook, automation]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_the_answer_and_the_record() {
    let mut read_back = hang().method("GET").path(ONE_PREFIX);
    // The first read is the check before the call.
    read_back.skip = 1;
    let (site, webhook, mut automation) = about_to_withdraw(read_back).await;
    held_back(&site, "GET", is_one_prefix).await;
    assert!(!site.is_advertised(), "it took effect");
    assert_eq!(site.record().history.len(), 0, "not recorded yet");
    restart(&site, &mut automation).await;
    done_once(&site, &mut [webhook, automation]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_call_that_never_arrived() {
    let (site, webhook, mut automation) = about_to_withdraw(hang().method("PATCH").times(1)).await;
    held_back(&site, "PATCH", is_one_prefix).await;
    restart(&site, &mut automation).await;
    site.until("the successor reads back", TAKEN_OVER, |record| {
        record.withdrawals(IntentState::Verifying).count() == 1
    })
    .await;
    wait::never(
        "an unanswered call is repeated blindly",
        Duration::from_secs(12),
        || {
            let asked = site.changes_asked().len();
            (asked != 1).then(|| format!("{asked} calls"))
        },
    )
    .await;
    assert!(site.is_advertised());
    // When it is withdrawn after all (the call was only slow), that is taken for ours, once.
    assert!(site.sim.set_advertised(PREFIX, false));
    done_once(&site, &mut [webhook, automation]).await;
}

/// An attack with its true end: killed after the call took effect, the successor records what was, not what it saw.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_attack_the_record_tells_its_true_end() {
    let site = Site::new(Pace::fast()).await;
    site.sim.set_fault(hang().method("PATCH").after_apply().times(1));
    let webhook = site.start(Program::Webhook).await;
    let mut automation = site.start(Program::AutoWithdraw).await;
    let started = jiff::Timestamp::now();
    site.sim.run_scenario_toml(&stories::attack()).unwrap();
    wait::until("it is advertised", SOON, || site.is_advertised().then_some(())).await;
    let advertised = site.sim.prefix(PREFIX).unwrap().advertised_modified_at.unwrap();
    held_back(&site, "PATCH", is_one_prefix).await;
    restart(&site, &mut automation).await;
    site.until("it is withdrawn and recorded", TAKEN_OVER, |record| {
        record.history.len() == 1
    })
    .await;
    let row = site.record().history[0].clone();
    assert_eq!(row.advertised_at.unwrap().as_microsecond(), advertised.as_microsecond());
    // The flood ends 10 s after the start; its last look-back window ends at most 4 s and a bucket later.
    let ended = domain::time::since(row.attack_ended_at.unwrap(), started);
    let window = site.pace.lookback + Duration::from_secs(2);
    let flood = Duration::from_secs(9);
    assert!(
        ended >= flood && ended <= flood + window + Duration::from_secs(2),
        "{ended:?}"
    );
    done_once(&site, &mut [webhook, automation]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_is_read_back_not_repeated() {
    let reset = FaultSpec::new(Target::Rest, FaultKind::Reset);
    let (site, webhook, automation) = about_to_withdraw(reset.method("PATCH").after_apply().times(1)).await;
    done_once(&site, &mut [webhook, automation]).await;
}
