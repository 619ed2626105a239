//! Thousands of deliveries while the receiver is killed again and again: acknowledged minus stored is 0, and what was
//! sent twice (because no answer came, or for no reason at all) was acted upon once.
//!
//! A short form runs with the tests. `scripts/bench kill` runs the long one: `KILL_DELIVERIES` deliveries, `kill -9`
//! after every `KILL_AFTER` acknowledgements.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cf_sim::{FaultKind, FaultSpec, RequestEntry, Target};
use db::Cell;
use serde_json::{Value, json};
use testkit::site::WEBHOOK_SECRET;
use testkit::{Pace, Program, Site, wait};
use tokio::time::Instant;

/// Deliveries of the short form.
const DELIVERIES: u64 = 2_000;

/// Kills of the short form.
const KILLS: u64 = 6;

/// Senders at the same time.
const SENDERS: usize = 40;

/// Every so many, a delivery is sent once more although it was acknowledged.
const REPEATED: u64 = 7;

/// How long nothing may be acknowledged. A restart takes some hundred milliseconds.
const STANDSTILL: Duration = Duration::from_secs(60);

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[derive(Debug, Default)]
struct Counts {
    acknowledged: AtomicU64,
    /// Sent again because no answer came.
    unanswered: AtomicU64,
    /// Acknowledged before it was read.
    waited: AtomicU64,
}

fn body(number: u64) -> Value {
    let vectors = ["UDP flood", "SYN flood", "DNS amplification"];
    let vector = vectors[usize::try_from(number).unwrap() % vectors.len()];
    json!({
        "alert_type": "dos_attack_l4", "alert_event": "ALERT_STATE_EVENT_START", "ts": 1_774_576_800 + number / 1_000,
        "alert_correlation_id": format!("{number:032x}"),
        "data": {"attack_id": format!("killed-{number}"), "attack_vector": vector, "target_ip": "203.0.113.10"},
    })
}

/// Sends one delivery until it is acknowledged.
async fn deliver(client: &reqwest::Client, url: &str, number: u64, counts: &Counts) {
    let text = body(number).to_string();
    let deadline = Instant::now() + STANDSTILL;
    let mut wanted = if number.is_multiple_of(REPEATED) { 2 } else { 1 };
    let mut answered = false;
    while wanted > 0 {
        let request = client.post(url).header("cf-webhook-auth", WEBHOOK_SECRET);
        let status = match request.body(text.clone()).send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                // An answer that breaks off after its head has acknowledged nothing we could read.
                let said = answer.json::<Value>().await.ok();
                said.filter(|_| status == 200)
            }
            Err(_) => None,
        };
        if let Some(said) = status {
            wanted -= 1;
            if !answered {
                counts.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            answered = true;
            if said["waiting"] == true {
                counts.waited.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            counts.unanswered.fetch_add(1, Ordering::Relaxed);
            assert!(Instant::now() < deadline, "nobody acknowledges delivery {number}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// One number out of the database.
async fn asked(site: &Site, sql: &str) -> i64 {
    let limit = Duration::from_secs(60);
    let rows = site.db().query_readonly(sql, 1, limit).await.unwrap();
    match rows.rows[0][0] {
        Cell::Integer(number) => number,
        ref other => panic!("{sql}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_is_done_twice() {
    let deliveries = number_of("KILL_DELIVERIES").unwrap_or(DELIVERIES);
    let kill_after = number_of("KILL_AFTER").unwrap_or(deliveries / (KILLS + 1));
    let site = Site::new(Pace::fast()).await;
    let mut receiver = site.start(Program::Webhook).await;
    let counts = Arc::new(Counts::default());
    let next = Arc::new(AtomicU64::new(0));
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap();
    let url = format!("http://{}/webhook/cloudflare", site.listen(Program::Webhook));
    let began = Instant::now();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..SENDERS {
        let (counts, next, client, url) = (Arc::clone(&counts), Arc::clone(&next), client.clone(), url.clone());
        senders.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= deliveries {
                    return;
                }
                deliver(&client, &url, number, &counts).await;
            }
        });
    }
    let mut kills = 0;
    loop {
        let so_far = counts.acknowledged.load(Ordering::Relaxed);
        let until = (so_far + kill_after).min(deliveries);
        wait::until("more is acknowledged", STANDSTILL * 4, || {
            (counts.acknowledged.load(Ordering::Relaxed) >= until).then_some(())
        })
        .await;
        if counts.acknowledged.load(Ordering::Relaxed) >= deliveries {
            break;
        }
        receiver.kill();
        kills += 1;
        receiver = site.start(Program::Webhook).await;
    }
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
    let took = began.elapsed();
    wait::until("everything that was acknowledged is read", STANDSTILL * 4, || {
        let backlog = site.db().read_blocking("test", db::inbox::backlog).unwrap();
        (backlog.deliveries == 0).then_some(())
    })
    .await;
    assert_eq!(receiver.stop().await.code(), Some(0));

    let found = BTreeMap::from([
        ("stored", asked(&site, "SELECT count(*) FROM webhook_events").await),
        (
            "attacks",
            asked(
                &site,
                "SELECT count(DISTINCT attack_id) FROM attack_events WHERE attack_id LIKE 'killed%'",
            )
            .await,
        ),
        (
            "events",
            asked(
                &site,
                "SELECT count(*) FROM attack_events WHERE alert_type = 'dos_attack_l4'",
            )
            .await,
        ),
        (
            "notices",
            asked(&site, "SELECT count(*) FROM notifications WHERE kind = 'alert'").await,
        ),
        (
            "told",
            asked(
                &site,
                "SELECT count(DISTINCT event_id) FROM notifications WHERE kind = 'alert'",
            )
            .await,
        ),
        ("vetoes", asked(&site, "SELECT count(*) FROM alert_ledger").await),
        (
            "lines",
            asked(
                &site,
                "SELECT count(*) FROM incident_timeline WHERE kind = 'alert_start'",
            )
            .await,
        ),
    ]);
    let repetitions = asked(&site, "SELECT sum(duplicates) FROM webhook_events").await;
    let acknowledged = i64::try_from(counts.acknowledged.load(Ordering::Relaxed)).unwrap();
    println!(
        "{acknowledged} acknowledged in {:.1} s, {kills} times killed, {} sent again without an answer, {} acknowledged \
         before they were read, {repetitions} recognised as repetitions; in the database: {found:?}",
        took.as_secs_f64(),
        counts.unanswered.load(Ordering::Relaxed),
        counts.waited.load(Ordering::Relaxed),
    );
    for (what, number) in &found {
        assert_eq!(
            *number, acknowledged,
            "{what}: each delivery exactly once, in {found:?}"
        );
    }
    let repeated = deliveries.div_ceil(REPEATED);
    assert!(kills >= 3, "killed {kills} times");
    assert!(
        u64::try_from(repetitions).unwrap() >= repeated,
        "what was sent twice was recognised"
    );
    assert!(
        counts.waited.load(Ordering::Relaxed) > 0,
        "some were acknowledged before they were read"
    );
    assert!(counts.unanswered.load(Ordering::Relaxed) > 0, "some died unanswered");
    assert!(site.db().integrity_check_blocking().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_do_not_wait_for_telegram() {
    let site = Site::new(Pace::fast()).await;
    site.sim.set_fault(FaultSpec::new(Target::Telegram, FaultKind::Hang));
    let mut receiver = site.start(Program::Webhook).await;
    wait::until("a message hangs", Duration::from_secs(30), || {
        let hangs = |request: &RequestEntry| request.surface == "telegram" && request.status.is_none();
        site.sim.requests_since(0).iter().any(hangs).then_some(())
    })
    .await;
    for number in 0..50 {
        site.sim.send_webhook(&body(number)).await;
    }
    let answered = site.sim.deliveries();
    assert!(answered.iter().all(|delivery| delivery.delivered()), "{answered:?}");
    assert_eq!(site.record().deliveries, 50);
    assert!(site.sim.messages().is_empty(), "nothing got through meanwhile");
    receiver.kill();
}
