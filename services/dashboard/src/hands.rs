//! Carries out what people filed here, step by step through `prefix-ops`, until each intent is closed.
//!
//! Must hold: an intent that was filed is safe without this room: leases keep actors apart, and whoever claims it next
//! goes on; so everything here may be dropped at any moment. The Cloudflare client is made for the first act: a dashboard
//! that nobody acts through holds none.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cf_api::Transport;
use daemon::{Frame, LoopHandle};
use db::DbError;
use domain::ids::IntentId;
use domain::time::plus;
use jiff::Timestamp;
use prefix_ops::{Limits, PrefixOps, Step};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::app::App;

/// Progress that the loop promises; it is idle most of the time.
pub(crate) const LOOP_LIMIT: Duration = Duration::from_secs(60);

/// How often the loop shows that it lives.
const BEAT: Duration = Duration::from_secs(10);

/// Acts that may wait to be begun. They are durable already: what does not fit is carried out by the daemon.
const WAITING: usize = 64;

/// Intents that are worked on at once.
const AT_ONCE: usize = 8;

/// How soon an intent that another process works on is looked at again.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// How soon the journal is tried again when the database was busy.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// No intent is followed for longer; by then the journal has closed it as unresolved.
const FOLLOWED_FOR: Duration = Duration::from_secs(20 * 60);

/// The way in. Clones lead to the same hands.
#[derive(Clone)]
pub(crate) struct Hands {
    sender: Option<mpsc::Sender<IntentId>>,
}

/// What [`carry_out`] takes from.
pub(crate) struct Wishes(mpsc::Receiver<IntentId>);

impl Hands {
    /// Without a credential there are none.
    pub(crate) fn new(settings: &settings::Settings) -> (Self, Option<Wishes>) {
        if assembly::parts::credentials(settings).is_none() {
            return (Self { sender: None }, None);
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender: Some(sender) }, Some(Wishes(receiver)))
    }

    /// Whether acts are carried out here.
    pub(crate) fn can_act(&self) -> bool {
        self.sender.is_some()
    }

    /// Hands over a filed intent.
    pub(crate) fn carry_out(&self, intent: IntentId) {
        let Some(sender) = &self.sender else { return };
        if sender.try_send(intent).is_err() {
            tracing::warn!(
                event = "dashboard.act.left_to_daemon",
                intent = intent.0,
                because = "too many at once"
            );
        }
    }
}

/// The loop that takes the steps.
///
/// # Errors
/// Never; the signature is the frame's.
pub(crate) async fn carry_out(
    app: App,
    mut wishes: Wishes,
    transport: Transport,
    owner: String,
    turn: LoopHandle,
) -> anyhow::Result<()> {
    let shutdown = app.frame().shutdown().clone();
    let ops: Arc<OnceLock<PrefixOps>> = Arc::default();
    let mut running = JoinSet::new();
    loop {
        turn.tick();
        tokio::select! {
            _ = shutdown.triggered() => return Ok(()),
            Some(intent) = wishes.0.recv(), if running.len() < AT_ONCE => {
                match executor(&ops, &app, &transport, &owner) {
                    Ok(ops) => { running.spawn(follow(app.clone(), ops, intent)); }
                    Err(error) => {
                        let error = format!("{error:#}");
                        tracing::error!(event = "dashboard.act.impossible", intent = intent.0, error);
                    }
                }
            }
            Some(_) = running.join_next() => {}
            () = tokio::time::sleep(BEAT) => {}
        }
    }
}

fn executor(ops: &OnceLock<PrefixOps>, app: &App, transport: &Transport, owner: &str) -> anyhow::Result<PrefixOps> {
    if let Some(ops) = ops.get() {
        return Ok(ops.clone());
    }
    let settings = app.settings();
    let api = assembly::parts::cloudflare(settings, transport, app.db(), owner, app.frame().clock())?;
    let limits = Limits {
        open_alert_veto: settings.autowithdraw.open_alert_veto,
        ..Limits::default()
    };
    Ok(ops
        .get_or_init(|| PrefixOps::new(app.db().clone(), api, owner, limits))
        .clone())
}

/// Takes the steps of one intent until it is closed.
async fn follow(app: App, ops: PrefixOps, intent: IntentId) {
    let until = plus(app.now(), FOLLOWED_FOR);
    let clock = clock_of(app.frame());
    loop {
        let now = app.now();
        if now > until {
            tracing::warn!(
                event = "dashboard.act.left_to_daemon",
                intent = intent.0,
                because = "it takes too long"
            );
            return;
        }
        let next = match ops.step(intent, None, &clock).await {
            Ok(Step::Closed(state)) => {
                app.changed();
                tracing::info!(event = "dashboard.act.closed", intent = intent.0, outcome = %state);
                return;
            }
            Ok(Step::Later { at, .. }) => at,
            Ok(Step::NotOurs) if is_closed(&app, intent).await => {
                app.changed();
                return;
            }
            Ok(Step::NotOurs) | Err(DbError::Conflict { .. }) => plus(now, WATCH_EVERY),
            Err(error) if error.is_outage() => plus(now, RETRY_EVERY),
            Err(error) => {
                let error = error.to_string();
                tracing::error!(event = "dashboard.act.failed", intent = intent.0, error);
                return;
            }
        };
        app.changed();
        let wait = Duration::try_from(next.duration_since(app.now())).unwrap_or_default();
        tokio::time::sleep(wait.clamp(Duration::from_millis(20), Duration::from_secs(60))).await;
    }
}

fn clock_of(frame: &Frame) -> impl Fn() -> Timestamp + Send + Sync + 'static {
    let clock = Arc::clone(frame.clock());
    move || clock.now()
}

async fn is_closed(app: &App, intent: IntentId) -> bool {
    let stored = app.db().read("intent", move |tx| db::intents::get(tx, intent)).await;
    // What cannot be read is looked at again.
    stored.is_ok_and(|found| found.is_none_or(|found| !found.state.is_open()))
}
