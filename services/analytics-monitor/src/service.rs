//! The service: parts from settings, loops into the frame, READY when the first poll is possible.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use daemon::shutdown::StopReason;
use daemon::{Frame, HttpLimits, PreboundListener};
use db::Db;
use geoip::names::DnsResolver;
use settings::Settings;

use crate::catch_up::CatchUp;
use crate::catch_up::watch::{self, Watch};
use crate::command::geoip_of;
use crate::cron_watchdog::Asked;
use crate::policy::Policy;
use crate::poll::Parts;
use crate::poll_loop::{LOOP_LIMIT, PollLoop};
use crate::{announce, cron_watchdog, hostnames, rules};

/// How long the stop message may take: it is written, not sent, before the process ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs the service until shutdown. `listener` serves health and metrics.
///
/// # Errors
/// What prevented the start, or a part that ended by itself.
pub async fn run(frame: Frame, settings: Settings, listener: PreboundListener) -> anyhow::Result<()> {
    let db = assembly::parts::database(&settings).await?;
    let transport = assembly::parts::transport();
    let owner = assembly::parts::owner(&frame);
    let clock = frame.clock().clone();
    let api = assembly::parts::cloudflare(&settings, &transport, &db, &owner, &clock)?;
    let policy = Policy::of(&settings);
    let geoip = Arc::new(geoip_of(&settings));
    let reading = Arc::clone(&geoip);
    tokio::task::spawn_blocking(move || reading.refresh())
        .await
        .context("the GeoIP databases could not be looked for")?;
    let parts = Parts {
        db: db.clone(),
        api: api.clone(),
        clock: clock.clone(),
        geoip: Arc::clone(&geoip),
        policy: policy.clone(),
    };

    let lines = announce::of_start(&db, &policy, &geoip, clock.now()).await;
    assembly::life::announce_start(&frame, &db, lines).await?;
    let asked = Asked::default();
    let routes = asked.counting(daemon::health::routes(&frame));
    daemon::http::serve(&frame, "health", listener, routes, HttpLimits::default());
    assembly::outbox::start(&frame, &db, &settings, &transport, &owner)?;
    assembly::life::start(&frame, &db);
    cron_watchdog::watch(&frame, db.clone(), asked);
    let polls = PollLoop::new(&frame, &policy);
    frame.spawn_loop("poll", LOOP_LIMIT, |turn| polls.run(parts, turn));
    let catch_up = CatchUp::new(db.clone(), api.clone(), clock, policy.settle, policy.own.clone());
    let watch = Watch::new(&frame, policy.poll_interval);
    frame.spawn_loop("alert_history", watch::LOOP_LIMIT, |turn| watch.run(catch_up, turn));
    if settings.analytics.reverse_dns {
        // Names are decoration: a host without name servers polls all the same.
        match DnsResolver::new(settings.analytics.dns_server) {
            Ok(resolver) => hostnames::look_up_names(&frame, db.clone(), Arc::new(resolver)),
            Err(error) => tracing::warn!(event = "hostnames.no_resolver", error = %error),
        }
    }
    rules::keep_fresh(&frame, api, db.clone(), policy.own.clone());
    frame.status("started; the first poll runs");
    frame.ready();
    let reason = frame.shutdown().triggered().await;
    if matches!(reason, StopReason::Terminate | StopReason::Interrupt) {
        announce_stop(&frame, &db).await;
    }
    assembly::life::farewell(&frame, &db).await;
    Ok(())
}

async fn announce_stop(frame: &Frame, db: &Db) {
    let said = announce::stopped(db, frame.clock().now());
    match tokio::time::timeout(LAST_WORDS, said).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(event = "process.stop.not_announced", error = %error),
        Err(_) => tracing::warn!(event = "process.stop.not_announced", error = "not stored in time"),
    }
}
