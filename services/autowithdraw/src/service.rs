//! The service: parts from settings, loops into the frame, READY when the first cycle is possible.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use daemon::{Frame, HttpLimits, PreboundListener, Weight};
use domain::decision::Mode;
use domain::hold::Hold;
use prefix_ops::{Limits, PrefixOps};
use settings::Settings;

use crate::actor::LeaseHolder;
use crate::bindings::BindingReads;
use crate::commit::Terms;
use crate::cycle::Gatherer;
use crate::decide_loop::{DecideLoop, LOOP_LIMIT};
use crate::identity::{self, Home};
use crate::inventory::Inventory;
use crate::ledger::Spans;
use crate::policy::mode;
use crate::recording::Recorder;
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

    let now = clock.now();
    let home = identity::check(&db, identity::of_host(), now).await?;
    if let Home::Moved { from } = &home {
        tracing::error!(
            event = "automation.paused.moved",
            from,
            "the database came from another host"
        );
    }
    let remembered = db
        .read("inventory.all", db::inventory::all)
        .await
        .context("the known prefixes cannot be read")?;
    let inventory = Inventory::new(api.clone(), clock.clone(), &settings, remembered);
    let holder = Arc::new(LeaseHolder::new(owner.clone(), clock.clone(), mode));
    let auto = &settings.autowithdraw;
    let hold_end_notice = hold_end_notice(auto.calm_period);
    let limits = Limits {
        open_alert_veto: auto.open_alert_veto,
        hold_end_notice,
        shortest: auto.min_advertised,
        ..Limits::default()
    };
    let check_interval = auto.check_interval;
    let health = frame
        .health()
        .check("evidence", Weight::Vital, check_interval * 2 + LOOP_LIMIT);
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
            bindings: Some(BindingReads::new(api.clone(), check_interval)),
            routes: RouteChecks::new(transport.clone(), clock.clone()),
            spans: Spans {
                veto: auto.open_alert_veto,
                hold_end_notice,
                min_advertised: auto.min_advertised,
            },
        },
        ops: PrefixOps::new(db.clone(), api, owner.clone(), limits),
        holder,
        terms: Terms {
            mode,
            owner: owner.clone(),
            hold_end_notice,
            unexplained_for: UNEXPLAINED_FOR.min(check_interval * 2),
        },
        check_interval,
        health,
        blind_after: auto.unknown_alert_after,
        recorder: Recorder::of(&settings),
    };

    let pauses = db
        .read("holds.at_start", move |tx| db::holds::in_force(tx, now))
        .await
        .context("the holds cannot be read")?;
    assembly::life::announce_start(&frame, &db, start_lines(&settings, mode, &home, &pauses)).await?;
    daemon::http::serve(
        &frame,
        "health",
        listener,
        daemon::health::routes(&frame),
        HttpLimits::default(),
    );
    assembly::outbox::start(&frame, &db, &settings, &transport, &owner)?;
    assembly::life::start(&frame, &db);
    frame.spawn_loop("decide", LOOP_LIMIT, |turn| decide.run(turn));
    frame.status("started; the first cycle runs");
    frame.ready();
    frame.shutdown().triggered().await;
    assembly::life::farewell(&frame, &db).await;
    Ok(())
}

/// What is worth knowing about a start, label and text.
fn start_lines(settings: &Settings, mode: Mode, home: &Home, holds: &[Hold]) -> Vec<(String, String)> {
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
            format!(
                "{} and {} dropped over the look-back",
                auto.min_dropped_packets, auto.min_dropped_bits
            ),
        ),
    ];
    if let Some(recorder) = Recorder::of(settings) {
        lines.push(("Recorded in".into(), recorder.file().display().to_string()));
    }
    let mut warn = |text: String| lines.push(("WARNING".into(), text));
    if let Home::Moved { from } = home {
        warn(format!(
            "PAUSED: the database came from another host ({from}), whose daemon may still act; release the pause when it does not"
        ));
    }
    for pause in holds.iter().filter(|hold| hold.prefix.is_none()) {
        warn(format!("all automation is paused by {}: {}", pause.actor, pause.reason));
    }
    if managed.is_empty() {
        warn("no prefix is managed: nothing will be withdrawn".into());
    }
    if !undeclared.is_empty() {
        tracing::warn!(event = "automation.no_direct_route", prefixes = undeclared.join(","));
        warn(format!(
            "no direct route is declared for {}: never withdrawn by itself",
            undeclared.join(", ")
        ));
    }
    lines
}

/// Rule 7's 10 minutes; a demonstration that runs in fast motion shortens them with everything
/// else. Below 5 minutes of calm a configuration is only for tests, and is called so at the start.
pub(crate) fn hold_end_notice(calm_period: Duration) -> Duration {
    Limits::default().hold_end_notice.min(calm_period * 2)
}

/// How long an advertisement that is no act of ours may wait for Cloudflare's notification of it
/// before it is announced as somebody else's.
const UNEXPLAINED_FOR: Duration = Duration::from_secs(90);

/// How long the end may take: the lease's release and the farewell are two small writes.
pub const DRAIN: Duration = Duration::from_secs(8);
