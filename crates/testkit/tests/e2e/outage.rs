//! Telegram is down for long, and the services are killed meanwhile: every event is told afterwards, none twice except
//! one whose answer was lost, and that one is recognisable by its number.
//!
//! The services, their waiting times and the chat's limits are the real ones. The short form is an outage of half a minute
//! with a kill every two seconds. `OUTAGE_SECONDS=3600 cargo test -p testkit --test e2e -- --nocapture outage::` is a whole
//! hour; from five minutes on the outage must also have been announced, and its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, Target};
use serde_json::{Value, json};
use testkit::site::WEBHOOK_SECRET;
use testkit::{Pace, Program, RealService, Site, stories, wait};
use tokio::time::Instant;

use crate::slice::end;
use crate::telling::{account_for, repeats_are_recognisable};

/// Length of the short form.
const SECONDS: u64 = 30;

/// A service is killed every so many seconds, at most [`MOST_KILLS`] times.
const KILL_EVERY: Duration = Duration::from_secs(2);

/// Kills of the long form are spread over it.
const MOST_KILLS: u32 = 100;

/// Attacks that go on side by side.
const ATTACKS: u64 = 4;

/// Every so many, a delivery is about a hijack, which is critical.
const HIJACKS: u64 = 20;

/// An outage of this length is announced: five minutes without a message, and half a minute until it is looked at.
const ANNOUNCED_AFTER: Duration = Duration::from_secs(330);

/// What a killed service had in hand is free after its lease of a minute; then the chat takes twenty messages a minute.
const TOLD_WITHIN: Duration = Duration::from_secs(180);

fn outage() -> Duration {
    let seconds = std::env::var("OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(SECONDS))
}

/// Delivery number `number`: no two are alike.
fn body(site: &Site, number: u64) -> Value {
    let ts = 1_774_576_800 + number;
    if number % HIJACKS == HIJACKS - 1 {
        let mut hijack = site.sim.alert("bgp_hijack", None, None).expect("a template");
        hijack["ts"] = json!(ts);
        hijack["alert_correlation_id"] = json!(format!("{number:032x}"));
        return hijack;
    }
    let attack = number % ATTACKS;
    let state = if number < ATTACKS { "START" } else { "UPDATE" };
    json!({
        "alert_type": "dos_attack_l4", "alert_event": format!("ALERT_STATE_EVENT_{state}"), "ts": ts,
        "alert_correlation_id": format!("{attack:032x}"),
        "data": {
            "attack_id": format!("outage-{attack}"), "attack_vector": "UDP flood", "target_ip": format!("203.0.113.{attack}"),
            "packets_per_second": (100_000 + number).to_string(),
        },
    })
}

/// Sends one delivery until it is acknowledged, as Cloudflare does.
async fn deliver(client: &reqwest::Client, url: &str, body: &Value) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let request = client.post(url).header("cf-webhook-auth", WEBHOOK_SECRET);
        let answer = request.body(body.to_string()).send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) {
            return;
        }
        assert!(Instant::now() < deadline, "nobody acknowledges {body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One after another: nothing arrives, in every way in which nothing can arrive.
fn ways_to_be_down() -> [FaultKind; 4] {
    let status = FaultKind::Status {
        status: 502,
        body: None,
    };
    [FaultKind::Refuse, status, FaultKind::Reset, FaultKind::Hang]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_telegram_with_kills_loses_nothing() {
    let outage = outage();
    let site = Arc::new(Site::new(Pace::fast()).await);
    site.sim.run_scenario_toml(&stories::quiet()).unwrap();
    let mut services = site.start_all().await;
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let url = format!("http://{}/webhook/cloudflare", site.listen(Program::Webhook));

    // Telegram takes a message, and whoever sent it is killed before it hears so.
    let lost = FaultSpec::new(Target::Telegram, FaultKind::Hang).path("(?i)sendmessage");
    let lost = site.sim.set_fault(lost.after_apply().times(1));
    let used = |id: &str| site.sim.faults().iter().any(|fault| fault.id == id && fault.used > 0);
    deliver(&client, &url, &body(&site, 0)).await;
    wait::until("an answer is lost", Duration::from_secs(30), || {
        (used(&lost) && !site.sim.messages().is_empty()).then_some(())
    })
    .await;
    let mut down = site.sim.set_fault(FaultSpec::new(Target::Telegram, FaultKind::Refuse));
    services.iter_mut().for_each(RealService::kill);
    let before = site.sim.messages().len();
    let began = Instant::now();
    for service in &mut services {
        *service = site.start(service.program).await;
    }

    // Deliveries come all the time; one service after another is killed in the middle of whatever it does.
    let over = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicU64::new(1));
    let every = (outage / 60).clamp(Duration::from_millis(250), Duration::from_secs(20));
    let sending = tokio::spawn({
        let (site, over, acknowledged) = (Arc::clone(&site), Arc::clone(&over), Arc::clone(&acknowledged));
        async move {
            while !over.load(Ordering::Relaxed) {
                deliver(&client, &url, &body(&site, acknowledged.load(Ordering::Relaxed))).await;
                acknowledged.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(every).await;
            }
        }
    });
    let mut kills = 0usize;
    let pause = KILL_EVERY.max(outage / MOST_KILLS);
    while began.elapsed() < outage {
        let ways = ways_to_be_down();
        let next = FaultSpec::new(Target::Telegram, ways[kills % ways.len()].clone());
        let next = site.sim.set_fault(next);
        assert!(site.sim.clear_fault(&std::mem::replace(&mut down, next)));
        tokio::time::sleep(pause).await;
        let victim = &mut services[kills % Program::ALL.len()];
        victim.kill();
        *victim = site.start(victim.program).await;
        kills += 1;
    }
    over.store(true, Ordering::Relaxed);
    sending.await.unwrap();
    assert_eq!(site.sim.messages().len(), before, "nothing arrived meanwhile");
    let lasted = began.elapsed();
    site.sim.clear_faults();

    let acknowledged = acknowledged.load(Ordering::Relaxed);
    let settled = |state: &str| matches!(state, "sent" | "suppressed");
    let record = site
        .until("every notice is told", TOLD_WITHIN, |record| {
            record.notifications.iter().all(|row| settled(&row.state))
                && record.messages_of("alert").count() as u64 == acknowledged
        })
        .await;
    let unrecorded = account_for(&site, &record);
    println!(
        "{lasted:?} without Telegram, {kills} kills, {acknowledged} events: {} messages for {} notices, {} of them repeats",
        site.sim.messages().len(),
        record.notifications.len(),
        unrecorded.len(),
    );
    assert!(acknowledged >= 40 && kills >= 5, "{acknowledged} events, {kills} kills");
    let alerts: Vec<_> = record.messages_of("alert").collect();
    assert!(alerts.iter().all(|row| row.state == "sent"), "{}", record.shown());
    let mut events: Vec<_> = alerts.iter().filter_map(|row| row.event).collect();
    events.sort();
    events.dedup();
    assert_eq!(events.len() as u64, acknowledged, "each event has a number of its own");
    // The one whose answer was lost is in the chat twice, and nothing else is.
    assert_eq!(unrecorded.len(), 1, "{unrecorded:#?}");
    repeats_are_recognisable(&site, &record, &unrecorded);
    for row in alerts
        .iter()
        .filter(|row| row.priority == domain::notice::Priority::Critical)
    {
        let together = record
            .notifications
            .iter()
            .filter(|other| other.message_id == row.message_id);
        let lowest = together.map(|other| other.priority).max();
        assert_eq!(lowest, Some(row.priority), "a critical notice is not among others");
    }
    if outage >= ANNOUNCED_AFTER {
        let once = |kind: &str| record.messages_of(kind).count();
        assert_eq!(
            (once("chat_unreachable"), once("chat_reachable")),
            (1, 1),
            "{}",
            record.shown()
        );
    }
    end(&site, &mut services).await;
}
