//! What every part of a running process shares: clock, stop signal, health, metrics, progress, the way to systemd.
//!
//! A [`Frame`] is a cheap handle. Nothing in it touches the process as a whole, so a test makes as many as it likes, each
//! with its own clock and stop signal, and runs a service under [`crate::supervise::supervise`]. Environment, signals and logging
//! are claimed by [`crate::service`] alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::clock::{SharedClock, SystemClock};
use crate::health::HealthRegistry;
use crate::metrics::Metrics;
use crate::progress::{LoopHandle, Progress};
use crate::readiness::Notifier;
use crate::shutdown::Shutdown;
use crate::tasks::{Kind, Tasks};

/// How long the end may take. systemd's `TimeoutStopSec=` must be longer.
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(8);

/// The shared parts of a process. Clones are the same frame.
#[derive(Debug, Clone)]
pub struct Frame {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    service: &'static str,
    clock: SharedClock,
    started_at: Timestamp,
    started: Duration,
    notifier: Notifier,
    watchdog: Option<Duration>,
    drain: Duration,
    progress: Progress,
    health: HealthRegistry,
    metrics: Metrics,
    shutdown: Shutdown,
    forced: Shutdown,
    reloads: watch::Sender<u64>,
    tasks: Tasks,
    ready: AtomicBool,
    status: Mutex<String>,
}

/// Makes a [`Frame`] with other parts than the usual ones.
#[derive(Debug)]
pub struct FrameBuilder {
    service: &'static str,
    clock: SharedClock,
    notifier: Notifier,
    watchdog: Option<Duration>,
    drain: Duration,
}

impl FrameBuilder {
    /// Uses this clock instead of the machine's.
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = clock;
        self
    }

    /// Tells this service manager instead of nobody.
    pub fn notifier(mut self, notifier: Notifier) -> Self {
        self.notifier = notifier;
        self
    }

    /// The interval within which the service manager wants a sign of progress.
    pub fn watchdog(mut self, limit: Option<Duration>) -> Self {
        self.watchdog = limit;
        self
    }

    /// How long the end may take, instead of [`DEFAULT_DRAIN`].
    pub fn drain(mut self, limit: Duration) -> Self {
        self.drain = limit;
        self
    }

    /// The frame.
    pub fn build(self) -> Frame {
        let clock = self.clock;
        let progress = Progress::new(Arc::clone(&clock));
        let health = HealthRegistry::new(Arc::clone(&clock), progress.clone());
        let metrics = Metrics::new(self.service, Arc::clone(&clock), progress.clone(), health.clone());
        let shutdown = Shutdown::new();
        Frame {
            inner: Arc::new(Inner {
                service: self.service,
                started_at: clock.now(),
                started: clock.monotonic(),
                clock,
                notifier: self.notifier,
                watchdog: self.watchdog,
                drain: self.drain,
                progress,
                health,
                metrics,
                forced: Shutdown::new(),
                reloads: watch::Sender::new(0),
                tasks: Tasks::new(shutdown.clone()),
                shutdown,
                ready: AtomicBool::new(false),
                status: Mutex::new("starting".to_owned()),
            }),
        }
    }
}

impl Frame {
    /// Starts with the machine's clock and no service manager. `service` is the program's name.
    pub fn builder(service: &'static str) -> FrameBuilder {
        FrameBuilder {
            service,
            clock: SystemClock::shared(),
            notifier: Notifier::disabled(),
            watchdog: None,
            drain: DEFAULT_DRAIN,
        }
    }

    /// The program's name, for example `cloudflare-webhook`.
    pub fn service(&self) -> &'static str {
        self.inner.service
    }

    /// The clock of the process.
    pub fn clock(&self) -> &SharedClock {
        &self.inner.clock
    }

    /// When the process started, by the wall clock of that moment.
    pub fn started_at(&self) -> Timestamp {
        self.inner.started_at
    }

    /// How long the process has run.
    pub fn uptime(&self) -> Duration {
        self.inner.clock.monotonic().saturating_sub(self.inner.started)
    }

    /// The signal to finish.
    pub fn shutdown(&self) -> &Shutdown {
        &self.inner.shutdown
    }

    /// What the parts say about themselves.
    pub fn health(&self) -> &HealthRegistry {
        &self.inner.health
    }

    /// The numbers for Prometheus.
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// The loops and when each last made progress.
    pub fn progress(&self) -> &Progress {
        &self.inner.progress
    }

    /// A counter that moves with every SIGHUP. The value at the time of the call counts as seen.
    pub fn reloads(&self) -> watch::Receiver<u64> {
        self.inner.reloads.subscribe()
    }

    /// Asks everybody who listens on [`Self::reloads`] to read their files again, as SIGHUP does.
    /// Returns how many listen.
    pub fn request_reload(&self) -> usize {
        self.inner.reloads.send_modify(|count| *count += 1);
        self.inner.reloads.receiver_count()
    }

    /// Starts a loop that runs until shutdown and promises progress at least every `limit` by [`LoopHandle::tick`].
    ///
    /// `work` gets its handle and must itself watch [`Self::shutdown`]. If it returns before that, well or with an
    /// error, or panics, the process ends with a failure that names it. Must be called within a tokio runtime.
    pub fn spawn_loop<W, F>(&self, name: &str, limit: Duration, work: W)
    where
        W: FnOnce(LoopHandle) -> F,
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let registration = self.inner.progress.register(name, limit);
        let work = work(registration.handle());
        self.inner.tasks.spawn(name, Kind::Endless, Some(registration), work);
    }

    /// Starts a piece of work that comes to an end by itself and may take `limit` at most, counted as one step of
    /// progress. An error or a panic ends the process with a failure that names it.
    pub fn spawn_once<F>(&self, name: &str, limit: Duration, work: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let registration = self.inner.progress.register(name, limit);
        self.inner.tasks.spawn(name, Kind::Finite, Some(registration), work);
    }

    /// Declares the start complete: database checked, sockets bound, first cycle possible. Tells the service manager.
    /// Further calls do nothing.
    pub fn ready(&self) {
        if self.inner.ready.swap(true, Ordering::AcqRel) {
            return;
        }
        self.inner.notifier.ready();
        let start_ms = u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(event = "process.ready", start_ms);
    }

    /// Whether [`Self::ready`] has been called.
    pub fn is_ready(&self) -> bool {
        self.inner.ready.load(Ordering::Acquire)
    }

    /// Says in plain words what the process is doing, for `systemctl status`, `/health` and the heartbeat.
    pub fn status(&self, text: impl Into<String>) {
        let text = text.into();
        self.inner.notifier.status(&text);
        *self.inner.status.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// The last text given to [`Self::status`].
    pub fn current_status(&self) -> String {
        self.inner.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn notifier(&self) -> &Notifier {
        &self.inner.notifier
    }

    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.inner.watchdog
    }

    pub(crate) fn drain(&self) -> Duration {
        self.inner.drain
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.inner.tasks
    }

    /// The demand to end at once, without waiting for anybody.
    pub(crate) fn forced(&self) -> &Shutdown {
        &self.inner.forced
    }
}
