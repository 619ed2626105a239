//! What changes while pages are open: one task watches the database for all of them.
//!
//! Must hold: a commit of any process is told to every open page well within a second; however many pages are open, the
//! file is polled once and the situation judged once; a page that reads slowly skips versions and holds up nobody (each
//! stream only ever has the newest one waiting); all streams end at shutdown and with their session; while no page is
//! open nothing is polled; a page that follows right after it was sent is told of nothing that it shows already.
//!
//! The stream says *that* something changed, with what the title needs. The page then fetches itself and takes over
//! what differs: so there is one way to draw a page, the templates.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use daemon::{LoopHandle, Streak};
use db::{ChangeWatch, DbError, ReadTx, sessions, tokens};
use domain::time::minus;
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{Notify, watch};

use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::overview::{Overview, Status};

/// How often the file is looked at. The look is a read of one number in shared memory.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often the situation is judged without a commit: a silence, a hold's end and a deadline need none.
const JUDGE_EVERY: Duration = Duration::from_secs(5);

/// A stream says something at least this often, so that a page can tell a quiet night from a dead line.
const TICK_EVERY: Duration = Duration::from_secs(10);

/// Open streams at most. Further pages ask every few seconds instead.
const MOST_STREAMS: usize = 200;

/// Longest time one turn of the watching loop may take: the busy limit of a recovering database, and a read.
pub(crate) const LOOP_LIMIT: Duration = Duration::from_secs(30);

/// Whoever was shown a page follows within this time, or does not.
const EXPECTED_FOR: Duration = Duration::from_secs(30);

/// No page waits longer for the watch to begin; without it the page only fetches itself once more than it had to.
const BEGINS_WITHIN: Duration = Duration::from_millis(100);

/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// The open streams.
#[derive(Debug)]
pub(crate) struct Live {
    newest: watch::Sender<Option<Arc<Told>>>,
    open: AtomicUsize,
    joined: Notify,
    /// Until when somebody is expected, in milliseconds of the monotonic clock.
    expected_until_ms: AtomicU64,
    /// Whether commits are noticed. A watch that begins cannot know what was committed before it, so all that was shown
    /// before counts as changed.
    watching: watch::Sender<bool>,
}

/// What a stream says.
#[derive(Debug)]
struct Told {
    event: &'static str,
    data: String,
}

/// The situation in short.
#[derive(Debug, Serialize)]
struct Headline<'a> {
    version: u64,
    at: Timestamp,
    status: &'a Status,
    automation: &'a str,
    messages: &'a str,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            newest: watch::Sender::new(None),
            open: AtomicUsize::new(0),
            joined: Notify::new(),
            expected_until_ms: AtomicU64::new(0),
            watching: watch::Sender::new(false),
        }
    }

    /// A page is about to be sent: commits are noticed from now on, so that the page which then follows is told of a
    /// change when there was one since, and only then.
    pub(crate) async fn expect(&self, app: &App) {
        let until = app.frame().clock().monotonic().saturating_add(EXPECTED_FOR);
        let until_ms = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.expected_until_ms.fetch_max(until_ms, Ordering::AcqRel);
        let mut watching = self.watching.subscribe();
        if *watching.borrow_and_update() {
            return;
        }
        self.joined.notify_one();
        let begun = watching.wait_for(|watching| *watching);
        // Not begun in time: the database is in trouble, and the page will say so.
        let _ = tokio::time::timeout(BEGINS_WITHIN, begun).await;
    }

    /// Whether somebody listens or is about to.
    fn is_wanted(&self, now: Duration) -> bool {
        self.open() > 0 || now.as_millis() < u128::from(self.expected_until_ms.load(Ordering::Acquire))
    }

    /// How many pages listen.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    fn tell(&self, event: &'static str, data: String) {
        self.newest.send_replace(Some(Arc::new(Told { event, data })));
    }
}

/// The loop that watches for everybody.
pub(crate) async fn follow(app: App, turn: LoopHandle) -> anyhow::Result<()> {
    let mut stop = pin!(app.frame().shutdown().triggered());
    let mut watcher = Watcher::new(app.clone());
    loop {
        let nobody_listens = !app.live().is_wanted(app.frame().clock().monotonic());
        if nobody_listens {
            watcher.rest();
        }
        let pause = async {
            tokio::select! {
                () = app.live().joined.notified() => true,
                () = tokio::time::sleep(LOOK_EVERY), if !nobody_listens => false,
            }
        };
        let joined = tokio::select! {
            biased;
            _ = &mut stop => return Ok(()),
            joined = turn.idle(pause) => joined,
        };
        watcher.look(joined).await;
    }
}

struct Watcher {
    app: App,
    /// Moves to a blocking thread and back with every look.
    changes: Option<ChangeWatch>,
    judged_at: Duration,
    last: String,
    failures: Streak,
}

impl Watcher {
    fn new(app: App) -> Self {
        Self {
            app,
            changes: None,
            judged_at: Duration::ZERO,
            last: String::new(),
            failures: Streak::new(),
        }
    }

    /// Gives the connection back while nobody listens.
    fn rest(&mut self) {
        if self.changes.take().is_some() {
            self.app.live().watching.send_replace(false);
        }
    }

    /// One look; whoever just came is told the situation in any case.
    async fn look(&mut self, someone_joined: bool) {
        let clock = Arc::clone(self.app.frame().clock());
        let result = match self.poll().await {
            Ok(committed) => {
                let due = clock.monotonic().saturating_sub(self.judged_at) >= JUDGE_EVERY;
                if committed || someone_joined || due {
                    self.judged_at = clock.monotonic();
                    self.judge(committed, someone_joined).await
                } else {
                    return;
                }
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => {
                if let Some(run) = self.failures.recovered(clock.monotonic()) {
                    let lasted_s = run.lasted.as_secs_f64();
                    tracing::info!(event = "dashboard.live.recovered", failures = run.failures, lasted_s);
                }
            }
            Err(error) => {
                if let Some(run) = self.failures.failed(clock.monotonic()) {
                    let (code, error) = (error.code(), &error as &(dyn std::error::Error + 'static));
                    tracing::warn!(event = "dashboard.live.failed", failures = run.failures, code, error);
                    let data = json!({"at": self.app.now(), "code": code});
                    self.app.live().tell("trouble", data.to_string());
                }
            }
        }
    }

    /// Whether anything was committed since the last look. A new watch counts as a commit: it cannot know.
    async fn poll(&mut self) -> Result<bool, DbError> {
        let (watch, db) = (self.changes.take(), self.app.db().clone());
        let look = move || match watch {
            Some(mut watch) => {
                let committed = watch.poll();
                (Some(watch), committed)
            }
            None => match db.changes() {
                Ok(watch) => (Some(watch), Ok(true)),
                Err(error) => (None, Err(error)),
            },
        };
        let done = tokio::task::spawn_blocking(look).await;
        let (watch, committed) = done.unwrap_or((None, Err(DbError::Closed)));
        self.changes = watch;
        committed
    }

    async fn judge(&mut self, committed: bool, someone_joined: bool) -> Result<(), DbError> {
        let app = &self.app;
        if committed {
            app.pictures().changed();
        }
        app.live().watching.send_replace(true);
        let overview = app.situations().current(app).await?;
        let situation = fingerprint(&overview);
        let changed_by_time = !committed && situation != self.last;
        if !committed && !changed_by_time && !someone_joined {
            return Ok(());
        }
        let version = if changed_by_time {
            app.pictures().changed()
        } else {
            overview.version
        };
        let headline = Headline {
            version,
            at: overview.at,
            status: &overview.status,
            automation: overview.automation.word,
            messages: overview.messages.as_ref().map_or("unknown", |messages| messages.word),
        };
        if let Ok(data) = serde_json::to_string(&headline) {
            app.live().tell("overview", data);
        }
        self.last = situation;
        Ok(())
    }
}

/// What can change by the passing of time alone.
fn fingerprint(overview: &Overview) -> String {
    let prefixes: Vec<_> = overview
        .prefixes
        .iter()
        .map(|view| (view.prefix, view.words.as_str(), view.next.as_str()))
        .collect();
    let lives: Vec<_> = overview.services.iter().map(|service| service.life).collect();
    let messages = overview.messages.as_ref().map(|messages| messages.word);
    let lines: Vec<_> = overview
        .now
        .iter()
        .map(|line| (line.incident, line.next.as_str()))
        .collect();
    format!(
        "{:?}",
        (
            &overview.status.title,
            overview.automation.word,
            prefixes,
            lives,
            messages,
            lines
        )
    )
}

/// Says that something changed, as server-sent events
#[cfg_attr(test, utoipa::path(
    get, path = "/api/live", operation_id = "follow_live", tag = "situation",
    responses((status = 200, description = "Events situation, tick and bye; the data is the situation in short", content_type = "text/event-stream"),
        crate::api::document::Failures)
))]
pub(crate) async fn stream(State(app): State<App>, member: Member) -> Result<Response, Failure> {
    let Some(place) = Place::take(&app) else {
        let text = "Too many pages follow live; this one asks every few seconds instead.";
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", text).retry_after(RETRY));
    };
    let listener = Listener {
        newest: app.live().newest.subscribe(),
        stop: Box::pin(app.frame().shutdown().triggered()),
        token_hash: member.session().token_hash.clone(),
        greeted: false,
        place,
    };
    // After the subscription, so that the answer to this call cannot be missed.
    app.live().joined.notify_one();
    let events = stream::unfold(Some(listener), |listener| async {
        let mut listener = listener?;
        let (event, goes_on) = listener.next().await?;
        Some((Ok::<_, Infallible>(event), goes_on.then_some(listener)))
    });
    let mut response = Sse::new(events).into_response();
    // nginx would otherwise collect events before it passes them on.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    response
        .headers_mut()
        .insert(unbuffered, HeaderValue::from_static("no"));
    Ok(response)
}

/// One open stream.
struct Listener {
    newest: watch::Receiver<Option<Arc<Told>>>,
    stop: Pin<Box<dyn Future<Output = daemon::StopReason> + Send>>,
    token_hash: String,
    greeted: bool,
    place: Place,
}

impl Listener {
    /// The next event, and whether there will be another. `None` ends the stream.
    async fn next(&mut self) -> Option<(Event, bool)> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some((self.tick().retry(RETRY), true));
        }
        tokio::select! {
            biased;
            _ = &mut self.stop => None,
            changed = self.newest.changed() => {
                changed.ok()?;
                let told = self.newest.borrow_and_update().clone()?;
                Some((Event::default().event(told.event).data(&told.data), true))
            }
            () = tokio::time::sleep(TICK_EVERY) => {
                if session_lives(&self.place.app, self.token_hash.clone()).await {
                    Some((self.tick(), true))
                } else {
                    Some((Event::default().event("ended").data("{}"), false))
                }
            }
        }
    }

    fn tick(&self) -> Event {
        let data = json!({"at": self.place.app.now()});
        Event::default().event("tick").data(data.to_string())
    }
}

/// Whether the session, or a program's token, still opens anything. A database that cannot be read ends nobody's.
async fn session_lives(app: &App, token_hash: String) -> bool {
    let now = app.now();
    let idle_since = minus(now, app.settings().dashboard.session_idle);
    let read = move |tx: &ReadTx<'_>| {
        let of_person = sessions::find(tx, &token_hash, idle_since, now)?.is_some();
        Ok(of_person || tokens::find(tx, &token_hash, now)?.is_some())
    };
    app.db().read("session", read).await.unwrap_or(true)
}

/// A place among the open streams.
struct Place {
    app: App,
}

impl Place {
    fn take(app: &App) -> Option<Self> {
        let before = app.live().open.fetch_add(1, Ordering::AcqRel);
        app.counters().streams.inc();
        let place = Self { app: app.clone() };
        (before < MOST_STREAMS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.live().open.fetch_sub(1, Ordering::AcqRel);
        self.app.counters().streams.dec();
    }
}
