//! Host names of attacking addresses: found for rows that polls stored, remembered in the database, asked for once.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::*;
use analytics_monitor::hostnames::round;
use daemon::SharedClock;
use geoip::names::{Boxed, Found, Resolver};

/// Knows one name, and counts who asks.
#[derive(Default)]
struct Zone(AtomicUsize);

impl Resolver for Zone {
    fn name_of(&self, address: IpAddr) -> Boxed<'_, Result<Found, String>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            match address.to_string().as_str() {
                "8.8.8.8" => Ok(Found {
                    name: Some("dns.example.".to_owned()),
                    valid_for: Duration::from_secs(7_200),
                }),
                "8.8.4.4" => Ok(Found {
                    name: None,
                    valid_for: Duration::from_secs(3_600),
                }),
                _ => Err("refused".to_owned()),
            }
        })
    }
}

#[tokio::test]
async fn names_of_attackers_are_looked_up_after_the_poll_and_remembered() {
    let site = Site::new().await;
    let at = site.ago(600);
    site.add([
        row(at, "a", "8.8.8.8", 10_000),
        row(at, "a", "8.8.4.4", 10_000),
        row(at, "a", "2606:4700:0::1", 10_000),
        row(at, "a", "10.0.0.1", 10_000),
        row_to("192.0.2.1", at, "a", "9.9.9.9", 10_000),
    ]);
    site.poll().await.unwrap();
    let zone = Arc::new(Zone::default());
    let resolver: Arc<dyn Resolver> = zone.clone();
    let clock: SharedClock = site.clock.clone();
    let first = round(&site.db, &clock, &resolver).await.unwrap();
    assert_eq!((first.named, first.nameless, first.failed), (1, 1, 1));
    let names = site
        .read(|tx| db::hostnames::names(tx, ["8.8.8.8", "8.8.4.4", "10.0.0.1", "9.9.9.9"]))
        .await;
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        [("8.8.8.8".into(), "dns.example".into())]
    );
    // As Cloudflare writes it, so that rows and names meet.
    let failed = site.read(|tx| db::hostnames::get(tx, "2606:4700:0::1")).await.unwrap();
    assert_eq!(failed.problem.as_deref(), Some("refused"));
    assert_eq!(round(&site.db, &clock, &resolver).await.unwrap(), Default::default());
    assert_eq!(
        zone.0.load(Ordering::SeqCst),
        3,
        "neither good nor bad answers are asked for again"
    );
    site.clock.advance(20 * MINUTE);
    assert_eq!(
        round(&site.db, &clock, &resolver).await.unwrap().failed,
        1,
        "a failure is tried again"
    );
    site.clock.advance(120 * MINUTE);
    assert_eq!(
        round(&site.db, &clock, &resolver).await.unwrap().named,
        1,
        "a name expires as its zone says"
    );
}
