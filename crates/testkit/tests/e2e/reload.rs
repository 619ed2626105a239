//! Rotation of the receiver's secret under load: the settings file is replaced, SIGHUP puts it in force, and no delivery is
//! dropped or refused that had a valid secret when it was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use testkit::site::WEBHOOK_SECRET;
use testkit::{Pace, Program, Site, wait};

const SOON: Duration = Duration::from_secs(30);

const NEW_SECRET: &str = "the-secret-after-the-rotation";

/// Deliveries that must have gone through before and after each change.
const SOME: u64 = 50;

async fn status(client: &reqwest::Client, url: &str, secret: &str, number: u64) -> u16 {
    let body = json!({"alert_type": "dos_attack_l4", "ts": 1_774_576_800, "alert_correlation_id": format!("{number:032x}"),
        "data": {"attack_id": format!("reload-{number}"), "target_ip": "203.0.113.10"}});
    let request = client
        .post(url)
        .header("cf-webhook-auth", secret)
        .body(body.to_string());
    request.send().await.map_or(0, |answer| answer.status().as_u16())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_rotate_by_sighup_without_a_dropped_delivery() {
    let mut site = Site::new(Pace::fast()).await;
    site.set("/cloudflare/webhook_secret", json!([WEBHOOK_SECRET]));
    let service = site.start(Program::Webhook).await;
    let url = format!("http://{}/webhook/cloudflare", site.listen(Program::Webhook));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (sent, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (secret, done) = (
        Arc::new(std::sync::Mutex::new(WEBHOOK_SECRET)),
        Arc::new(AtomicBool::new(false)),
    );
    let senders: Vec<_> = (0..4_u64)
        .map(|sender| {
            let (client, url) = (client.clone(), url.clone());
            let (sent, refused) = (Arc::clone(&sent), Arc::clone(&refused));
            let (secret, done) = (Arc::clone(&secret), Arc::clone(&done));
            tokio::spawn(async move {
                let mut number = sender * 1_000_000;
                while !done.load(Ordering::Relaxed) {
                    let with = *secret.lock().unwrap();
                    if status(&client, &url, with, number).await == 200 {
                        sent.fetch_add(1, Ordering::Relaxed);
                    } else {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    number += 1;
                }
            })
        })
        .collect();
    let some_more = || async {
        let before = sent.load(Ordering::Relaxed);
        wait::until("deliveries go through", SOON, || {
            (sent.load(Ordering::Relaxed) >= before + SOME).then_some(())
        })
        .await;
    };
    some_more().await;

    // Both are valid, then Cloudflare is given the new one, then the old one goes.
    site.set("/cloudflare/webhook_secret", json!([WEBHOOK_SECRET, NEW_SECRET]));
    service.signal("HUP");
    let mut probe = 100_000_000;
    while status(&client, &url, NEW_SECRET, probe).await != 200 {
        probe += 1;
        assert!(probe < 100_003_000, "the new secret is never taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    some_more().await;
    *secret.lock().unwrap() = NEW_SECRET;
    some_more().await;
    site.set("/cloudflare/webhook_secret", json!([NEW_SECRET]));
    service.signal("HUP");
    let mut probe = 200_000_000;
    while status(&client, &url, WEBHOOK_SECRET, probe).await != 403 {
        probe += 1;
        assert!(probe < 200_003_000, "the old secret stays valid");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    some_more().await;

    // A file that cannot be used changes nothing.
    site.write("settings.json", "{\"cloudflare\": ");
    service.signal("HUP");
    wait::until("it says so", SOON, || {
        service.log().contains("webhook.reload_refused").then_some(())
    })
    .await;
    some_more().await;

    done.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }
    assert_eq!(
        refused.load(Ordering::Relaxed),
        0,
        "no delivery with a valid secret was refused or dropped"
    );
    let stored = site.db().read_blocking("test", db::deliveries::total).unwrap();
    assert!(stored >= sent.load(Ordering::Relaxed), "{stored} stored");
}
