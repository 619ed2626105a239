//! One thing that is read from Cloudflare now and then: the last good value with its age, and why the latest read failed.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cf_api::{CfError, CloudflareClient, ErrorClass};
use domain::time::since;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{PATIENCE, said};
use crate::app::App;

/// After a failure it is not read again for so long.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// What was last read, and what came of the latest read.
#[derive(Debug)]
pub(crate) struct Reading<T> {
    /// The last good value; `None` when there never was one.
    pub(crate) value: Option<Arc<T>>,
    /// When that was read.
    pub(crate) read_at: Option<Timestamp>,
    /// Why the latest read failed.
    pub(crate) error: Option<String>,
    /// Since when reads fail.
    pub(crate) error_since: Option<Timestamp>,
    /// What kind of failure it was, where Cloudflare was asked.
    pub(crate) class: Option<ErrorClass>,
    tried_at: Option<Timestamp>,
    /// Grows with every end of a read.
    turn: u64,
    /// How often it was forgotten before that read began.
    changes: u64,
}

impl<T> Clone for Reading<T> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            read_at: self.read_at,
            error: self.error.clone(),
            error_since: self.error_since,
            class: self.class,
            tried_at: self.tried_at,
            turn: self.turn,
            changes: self.changes,
        }
    }
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self {
            value: None,
            read_at: None,
            error: None,
            error_since: None,
            class: None,
            tried_at: None,
            turn: 0,
            changes: 0,
        }
    }
}

impl<T> Reading<T> {
    /// As if read at `at`, for tests of what rests on it.
    #[cfg(test)]
    pub(crate) fn good(value: T, at: Timestamp) -> Self {
        Self {
            value: Some(Arc::new(value)),
            read_at: Some(at),
            ..Self::default()
        }
    }

    /// As if never read, for tests of what rests on it.
    #[cfg(test)]
    pub(crate) fn bad(error: &str) -> Self {
        Self {
            error: Some(error.to_owned()),
            ..Self::default()
        }
    }

    /// The value, when the latest read brought one.
    pub(crate) fn current(&self) -> Option<&T> {
        self.value.as_deref().filter(|_| self.error.is_none())
    }

    /// Why there is nothing, or only something old; `None` when the latest read was good.
    pub(crate) fn trouble(&self) -> Option<String> {
        match (&self.error, &self.value) {
            (Some(error), _) => Some(error.clone()),
            (None, None) => Some("Cloudflare has not answered yet".to_owned()),
            (None, Some(_)) => None,
        }
    }
}

/// A source.
#[derive(Debug)]
pub(crate) struct Source<T> {
    name: &'static str,
    fresh_for: Duration,
    latest: watch::Sender<Reading<T>>,
    busy: AtomicBool,
    changes: AtomicU64,
}

impl<T: Send + Sync + 'static> Source<T> {
    pub(crate) fn new(name: &'static str, fresh_for: Duration) -> Arc<Self> {
        Arc::new(Self {
            name,
            fresh_for,
            latest: watch::Sender::new(Reading::default()),
            busy: AtomicBool::new(false),
            changes: AtomicU64::new(0),
        })
    }

    /// What was read before may be out of date: the next look reads anew.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// What is known, read anew if that is due; waits for the read as long as a page may.
    pub(crate) async fn look<F, R>(self: &Arc<Self>, app: &App, read: F) -> Reading<T>
    where
        F: FnOnce(CloudflareClient, Timestamp) -> R,
        R: Future<Output = Result<T, CfError>> + Send + 'static,
    {
        let mut seen = self.latest.subscribe();
        let before = seen.borrow_and_update().clone();
        if !self.is_due(&before, app.now()) {
            return before;
        }
        if !self.busy.swap(true, Ordering::AcqRel) {
            let changes = self.changes.load(Ordering::Acquire);
            match app.upstream().client(app) {
                Ok(client) => self.begin(app, changes, read(client, app.now())),
                Err(error) => self.end(app, changes, Err((format!("{error:#}"), None))),
            }
        }
        let turn = before.turn;
        let waited = tokio::time::timeout(PATIENCE, seen.wait_for(|reading| reading.turn > turn)).await;
        match waited {
            Ok(Ok(reading)) => reading.clone(),
            // Still on its way: what was read before is shown with its age.
            _ => self.latest.borrow().clone(),
        }
    }

    fn is_due(&self, reading: &Reading<T>, now: Timestamp) -> bool {
        let every = if reading.error.is_some() {
            RETRY_AFTER
        } else {
            self.fresh_for
        };
        reading.changes != self.changes.load(Ordering::Acquire)
            || reading.tried_at.is_none_or(|tried| since(now, tried) >= every)
    }

    /// The read goes on when whoever asked goes away: others wait for it, and the next look finds it.
    fn begin(
        self: &Arc<Self>,
        app: &App,
        changes: u64,
        read: impl Future<Output = Result<T, CfError>> + Send + 'static,
    ) {
        let (source, app) = (Arc::clone(self), app.clone());
        tokio::spawn(async move {
            let outcome = read.await;
            if let Err(error) = &outcome {
                let (what, class) = (source.name, error.class.as_str());
                let error: &(dyn std::error::Error + 'static) = error;
                tracing::warn!(event = "dashboard.cloudflare.unreadable", what, class, error);
            }
            source.end(
                &app,
                changes,
                outcome.map_err(|error| (said(&error), Some(error.class))),
            );
        });
    }

    fn end(&self, app: &App, changes: u64, outcome: Result<T, (String, Option<ErrorClass>)>) {
        let now = app.now();
        // Before it is told: who sees the end may begin the next.
        self.busy.store(false, Ordering::Release);
        self.latest.send_modify(|reading| {
            reading.turn += 1;
            reading.tried_at = Some(now);
            reading.changes = changes;
            match outcome {
                Ok(value) => {
                    reading.value = Some(Arc::new(value));
                    reading.read_at = Some(now);
                    (reading.error, reading.error_since, reading.class) = (None, None, None);
                }
                Err((error, class)) => {
                    (reading.error, reading.class) = (Some(error), class);
                    reading.error_since.get_or_insert(now);
                }
            }
        });
    }
}
