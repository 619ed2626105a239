//! What every handler works with: configuration, database, the shared picture, the live streams.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use daemon::health::CheckHandle;
use daemon::{Frame, Weight};
use db::Db;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use settings::Settings;

use crate::accounts::cookie::CookieStyle;
use crate::accounts::password::Hasher;
use crate::flow::Flow;
use crate::hands::Hands;
use crate::live::Live;
use crate::picture::Pictures;
use crate::situation::Situations;
use crate::traffic::Curves;
use crate::upstream::Upstream;

/// A handle; clones are the same application.
#[derive(Clone)]
pub(crate) struct App {
    inner: Arc<Inner>,
}

struct Inner {
    frame: Frame,
    settings: Settings,
    db: Db,
    cookie: CookieStyle,
    hasher: Hasher,
    pictures: Pictures,
    situations: Situations,
    curves: Curves,
    flow: Flow,
    live: Live,
    hands: Hands,
    upstream: Upstream,
    counters: Counters,
    situation: CheckHandle,
}

impl App {
    pub(crate) fn new(
        frame: Frame,
        settings: Settings,
        db: Db,
        cookie: CookieStyle,
        hasher: Hasher,
        hands: Hands,
        upstream: Upstream,
    ) -> Self {
        let counters = Counters::register(&frame);
        // Reported whenever somebody looks; a quiet night is no fault.
        let situation = frame.health().check("situation", Weight::Supporting, Duration::MAX);
        situation.ok("nobody has asked for it yet");
        let inner = Inner {
            settings,
            db,
            cookie,
            hasher,
            pictures: Pictures::new(frame.started_at()),
            situations: Situations::default(),
            curves: Curves::default(),
            flow: Flow::default(),
            live: Live::new(),
            hands,
            upstream,
            counters,
            situation,
            frame,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Clock, stop signal, health.
    pub(crate) fn frame(&self) -> &Frame {
        &self.inner.frame
    }

    /// Now, by the wall clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.inner.frame.clock().now()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn db(&self) -> &Db {
        &self.inner.db
    }

    /// How the session cookie is written.
    pub(crate) fn cookie(&self) -> CookieStyle {
        self.inner.cookie
    }

    pub(crate) fn hasher(&self) -> &Hasher {
        &self.inner.hasher
    }

    /// What was last read of everything the pages show.
    pub(crate) fn pictures(&self) -> &Pictures {
        &self.inner.pictures
    }

    /// The same, judged.
    pub(crate) fn situations(&self) -> &Situations {
        &self.inner.situations
    }

    /// What was last read of dropped traffic over time.
    pub(crate) fn curves(&self) -> &Curves {
        &self.inner.curves
    }

    /// What the network carried in the last day.
    pub(crate) fn flow(&self) -> &Flow {
        &self.inner.flow
    }

    /// The open streams to browsers.
    pub(crate) fn live(&self) -> &Live {
        &self.inner.live
    }

    /// What carries acts out.
    pub(crate) fn hands(&self) -> &Hands {
        &self.inner.hands
    }

    /// What is read from Cloudflare for pages.
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.inner.upstream
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// Tells `/health` which parts of the situation could not be read.
    pub(crate) fn report_unreadable(&self, parts: &[&str]) {
        if parts.is_empty() {
            self.inner.situation.ok("it can be read and shown");
        } else {
            self.inner
                .situation
                .degraded(format!("cannot be read: {}", parts.join(", ")));
        }
    }

    /// Something was changed through this process: the next page shows it at once.
    pub(crate) fn changed(&self) {
        self.inner.pictures.changed();
    }
}

/// What is counted for Prometheus, besides what every listener counts.
pub(crate) struct Counters {
    /// Clients outside `allowed_networks`.
    pub(crate) refused_clients: Counter<u64, AtomicU64>,
    /// Changes from foreign pages or without the session's secret.
    pub(crate) refused_changes: Counter<u64, AtomicU64>,
    /// Logins with a wrong name or password.
    pub(crate) failed_logins: Counter<u64, AtomicU64>,
    /// Logins that had to wait.
    pub(crate) throttled_logins: Counter<u64, AtomicU64>,
    /// Open live streams.
    pub(crate) streams: Gauge,
}

impl Counters {
    fn register(frame: &Frame) -> Self {
        let counters = Self {
            refused_clients: Counter::default(),
            refused_changes: Counter::default(),
            failed_logins: Counter::default(),
            throttled_logins: Counter::default(),
            streams: Gauge::default(),
        };
        frame.metrics().register(|registry| {
            let own = registry.sub_registry_with_prefix("dashboard");
            own.register(
                "refused_clients",
                "Requests from networks that are not allowed",
                counters.refused_clients.clone(),
            );
            own.register(
                "refused_changes",
                "Changes from foreign pages or without the session's secret",
                counters.refused_changes.clone(),
            );
            own.register(
                "failed_logins",
                "Logins with a wrong name or password",
                counters.failed_logins.clone(),
            );
            own.register(
                "throttled_logins",
                "Logins refused because of earlier failures",
                counters.throttled_logins.clone(),
            );
            own.register("live_streams", "Open streams of live changes", counters.streams.clone());
        });
        counters
    }
}
