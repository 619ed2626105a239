//! The service: parts from settings, loops into the frame, READY when a delivery can be stored.

use std::sync::Arc;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use daemon::{Frame, HttpLimits, PreboundListener, Weight};
use settings::{ConfigReport, Settings};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use crate::gate::Gate;
use crate::inbox::{self, Inbox};
use crate::networks::Networks;
use crate::routes::{BODY_ROOM, Counts, Receiver, router};

/// How often health looks at the writer.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Reading the configuration takes milliseconds.
const RELOAD_LIMIT: Duration = Duration::from_secs(30);

/// Requests at the same time. Cloudflare sends few; a flood waits in the kernel's queue.
const CONNECTIONS: usize = 512;

/// Reads the configuration again. Called on SIGHUP.
pub type Reload = Arc<dyn Fn() -> Result<Settings, ConfigReport> + Send + Sync>;

/// Runs the receiver until shutdown. With `reload`, secrets, sources and proxies follow the
/// configuration without a restart and without a dropped request.
///
/// # Errors
/// What prevented the start, or a part that ended by itself.
pub async fn run(
    frame: Frame,
    settings: Settings,
    listener: PreboundListener,
    reload: Option<Reload>,
) -> anyhow::Result<()> {
    let db = assembly::parts::database(&settings).await?;
    let transport = assembly::parts::transport();
    let owner = assembly::parts::owner(&frame);
    let mut configured = settings.managed_prefixes();
    configured.extend(settings.my_prefixes());
    let networks = Networks::new(configured);
    networks
        .refresh(&db)
        .await
        .context("the known prefixes cannot be read")?;
    let receiver = Arc::new(Receiver {
        db: db.clone(),
        clock: frame.clock().clone(),
        gate: RwLock::new(Arc::new(gate(&settings))),
        networks: networks.clone(),
        max_body: settings.webhook.max_body,
        room: Arc::new(Semaphore::new(BODY_ROOM.max(settings.webhook.max_body))),
        inbox: Inbox::default(),
        counts: Counts::default(),
    });
    assembly::life::announce_start(&frame, &db, Vec::new()).await?;
    networks.keep_fresh(&frame, &db);
    watch_writer(&frame, &receiver);
    let waiting = inbox::start(&frame, &receiver).await;
    waiting.context("what is stored and not read yet cannot be counted")?;
    if let Some(reload) = reload {
        follow_configuration(&frame, &receiver, reload);
    }
    let routes = router(Arc::clone(&receiver))
        .merge(daemon::health::routes(&frame))
        .merge(daemon::health::health_alias(&frame, "/mt-health"));
    let limits = HttpLimits {
        max_connections: CONNECTIONS,
        // Whoever sent a delivery and went away has sent it.
        finish_without_peer: true,
        ..HttpLimits::default()
    };
    daemon::http::serve(&frame, "webhook", listener, routes, limits);
    assembly::outbox::start(&frame, &db, &settings, &transport, &owner)?;
    assembly::life::start(&frame, &db);
    frame.status("receiving");
    frame.ready();
    frame.shutdown().triggered().await;
    assembly::life::farewell(&frame, &db).await;
    Ok(())
}

/// The gate as configured.
pub fn gate(settings: &Settings) -> Gate {
    Gate::new(
        &settings.cloudflare.webhook_secret,
        settings.webhook.allow_without_secret,
        settings.webhook.allowed_sources.clone(),
        settings.webhook.trusted_proxies.clone(),
    )
}

/// Health of what the receiver promises: that the next delivery can be stored.
fn watch_writer(frame: &Frame, receiver: &Arc<Receiver>) {
    let check = frame.health().check("storage", Weight::Vital, LOOK_EVERY * 6);
    let (receiver, inner) = (Arc::clone(receiver), frame.clone());
    let facts = Arc::clone(&receiver);
    frame.health().add_facts(move || {
        let stats = facts.db.writer_stats();
        let count = |counter: &AtomicU64| serde_json::Value::from(counter.load(Ordering::Relaxed));
        let counts = &facts.counts;
        [
            ("database_writable", serde_json::Value::from(stats.failing_streak == 0)),
            ("queue_depth", serde_json::Value::from(stats.queue)),
            ("waiting", serde_json::Value::from(facts.inbox.waiting())),
            ("stored", count(&counts.stored)),
            ("duplicates", count(&counts.duplicates)),
            ("unreadable", count(&counts.unreadable)),
            ("refused", count(&counts.refused)),
            ("failed", count(&counts.failed)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    });
    frame.spawn_loop("storage", LOOK_EVERY * 6, |turn| async move {
        let mut turns = tokio::time::interval(LOOK_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = std::pin::pin!(inner.shutdown().triggered());
        loop {
            tokio::select! {
                _ = &mut stop => return Ok(()),
                _ = turns.tick() => {}
            }
            turn.tick();
            match receiver.db.read("last_delivery", db::deliveries::last_received).await {
                Ok(Some(at)) => {
                    let text = format!("last delivery {}", domain::time::for_people_seconds(at));
                    inner.status(format!("receiving; {text}"));
                    check.ok(text);
                }
                Ok(None) => check.ok("no delivery yet"),
                Err(error) => check.failing(error.to_string()),
            }
        }
    });
}

/// Swaps the gate when the configuration changed. A configuration that cannot be used changes
/// nothing: the secrets in force stay in force, and the report is in the log.
fn follow_configuration(frame: &Frame, receiver: &Arc<Receiver>, reload: Reload) {
    let check = frame.health().check("configuration", Weight::Supporting, Duration::MAX);
    check.ok("as at the start");
    let (receiver, inner) = (Arc::clone(receiver), frame.clone());
    let mut reloads = frame.reloads();
    frame.spawn_loop("configuration", RELOAD_LIMIT, |turn| async move {
        let mut stop = std::pin::pin!(inner.shutdown().triggered());
        loop {
            let changed = tokio::select! {
                _ = &mut stop => return Ok(()),
                changed = turn.idle(reloads.changed()) => changed,
            };
            if changed.is_err() {
                // Nobody can ask any more; that is the end of the process, not of this loop.
                stop.await;
                return Ok(());
            }
            let again = Arc::clone(&reload);
            match tokio::task::spawn_blocking(move || again()).await? {
                Ok(settings) => {
                    let gate = Arc::new(gate(&settings));
                    *receiver.gate.write().unwrap_or_else(std::sync::PoisonError::into_inner) = gate;
                    tracing::info!(
                        event = "webhook.reloaded",
                        secrets = settings.cloudflare.webhook_secret.len()
                    );
                    check.ok("reloaded");
                }
                Err(report) => {
                    tracing::error!(event = "webhook.reload_refused", report = %report);
                    check.degraded("the changed configuration cannot be used; the old one stays in force");
                }
            }
        }
    });
}
