//! The service: parts from settings, loops into the frame, READY when the first cycle is possible.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use daemon::{Frame, HttpLimits, PreboundListener, Weight};
use domain::decision::Mode;
use domain::notice::{Facts, Notice};
use prefix_ops::{Limits, PrefixOps};
use settings::Settings;

use crate::actor::LeaseHolder;
use crate::cycle::Gatherer;
use crate::decide_loop::{DecideLoop, LOOP_LIMIT};
use crate::identity::{self, Home};
use crate::inventory::Inventory;
use crate::policy::mode;
use crate::routes::RouteChecks;

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
    let mode = mode(&settings.autowithdraw);

    let home = identity::check(&db, identity::of_host(), clock.now()).await?;
    if let Home::Moved { from } = &home {
        tracing::error!(event = "automation.paused.moved", from, "the database came from another host");
    }
    let remembered = db.read("inventory.all", db::inventory::all).await.context("the known prefixes cannot be read")?;
    let inventory = Inventory::new(api.clone(), clock.clone(), &settings, remembered);
    let holder = Arc::new(LeaseHolder::new(owner.clone(), clock.clone(), mode));
    let limits = Limits {
        open_alert_veto: settings.autowithdraw.open_alert_veto,
        ..Limits::default()
    };
    let check_interval = settings.autowithdraw.check_interval;
    let health = frame.health().check("evidence", Weight::Vital, check_interval * 2 + LOOP_LIMIT);
    health.degraded("no cycle has run yet");
    let decide = DecideLoop {
        frame: frame.clone(),
        db: db.clone(),
        gatherer: Gatherer {
            db: db.clone(),
            api: api.clone(),
            settings: settings.clone(),
            clock: clock.clone(),
            inventory,
            routes: RouteChecks::new(transport.clone(), clock.clone()),
        },
        ops: PrefixOps::new(db.clone(), api, owner.clone(), limits),
        holder,
        mode,
        check_interval,
        health,
        blind_after: settings.autowithdraw.unknown_alert_after,
        unlisted: None,
    };

    announce_start(&db, &frame, &settings, mode).await?;
    daemon::http::serve(&frame, "health", listener, daemon::health::routes(&frame), HttpLimits::default());
    assembly::outbox::start(&frame, &db, &settings, &transport, &owner)?;
    assembly::life::start(&frame, &db);
    frame.spawn_loop("decide", LOOP_LIMIT, |turn| decide.run(turn));
    frame.status("started; the first cycle runs");
    frame.ready();
    frame.shutdown().triggered().await;
    assembly::life::farewell(&frame, &db).await;
    Ok(())
}

async fn announce_start(db: &db::Db, frame: &Frame, settings: &Settings, mode: Mode) -> anyhow::Result<()> {
    let human = domain::duration::human;
    let auto = &settings.autowithdraw;
    let managed = settings.managed_prefixes();
    let undeclared: Vec<String> = managed
        .iter()
        .filter(|prefix| auto.direct_route(**prefix).is_none())
        .map(ToString::to_string)
        .collect();
    let mut lines = vec![
        ("Mode".to_owned(), mode.as_str().to_owned()),
        ("Managed prefixes".to_owned(), managed.len().to_string()),
        ("Calm period".to_owned(), human(auto.calm_period)),
        ("Evaluated every".to_owned(), human(auto.check_interval)),
        ("Look-back".to_owned(), human(auto.attack_lookback)),
        (
            "Attack means more than".to_owned(),
            format!("{} and {} dropped over the look-back", auto.min_dropped_packets, auto.min_dropped_bits),
        ),
    ];
    if managed.is_empty() {
        lines.push(("WARNING".into(), "no prefix is managed: nothing will be withdrawn".into()));
    }
    if !undeclared.is_empty() {
        tracing::warn!(event = "automation.no_direct_route", prefixes = undeclared.join(","));
        lines.push((
            "WARNING".into(),
            format!("no direct route is declared for {}: never withdrawn by itself", undeclared.join(", ")),
        ));
    }
    let facts = Facts::ServiceStarted {
        service: frame.service().to_owned(),
        version: daemon::args::version().to_owned(),
        lines,
    };
    let now = frame.clock().now();
    db.write("service.started", move |tx| {
        db::outbox::enqueue(tx, &Notice::about(facts), now).map(drop)
    })
    .await
    .context("the start could not be recorded")
}

/// How long the end may take: the lease's release and the farewell are two small writes.
pub const DRAIN: Duration = Duration::from_secs(8);
