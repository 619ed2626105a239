//! Dropped traffic over time: which time a page asks for, the series of prefixes in it, and what the traffic consists of.
//!
//! Must hold: [`read`] is the only place that knows where the series come from; what was not read stays unknown; however
//! many pages are open, a series is read once in [`FRESH_FOR`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use db::incidents;
use db::lists::vectors::{self, Vectors};
use db::series::{self, Point};
use db::{DbError, ReadTx, hostnames, shares};
use domain::ids::IncidentId;
use domain::prefix::Prefix;
use domain::time::{ceil_to, minus, since};
use jiff::Timestamp;

use crate::answer::Failure;
use crate::app::App;
use crate::kept::Shared;

/// Points of a curve: a plot has about that many pixels.
const MOST_POINTS: u32 = 400;

/// A new minute is there once a minute at most.
const FRESH_FOR: Duration = Duration::from_secs(15);

/// Windows that are kept; open pages show few different ones.
const MOST_KEPT: usize = 8;

/// Time that counts as now for what attacks consist of: analytics come some minutes late.
pub(crate) const TOP_OF: Duration = Duration::from_secs(3_600);

/// Rows of each ranking of the main page.
const MOST_TOP: u32 = 5;

/// Rows of each ranking of an incident.
const MOST_PARTS: u32 = 10;

/// Rows that the curves of one prefix's vectors are made of at most: the newest.
const MOST_VECTOR_ROWS: u32 = 4_000;

/// Prefixes whose traffic is told apart by vector.
const MOST_WITH_VECTORS: usize = 4;

/// Longest time that can be asked for.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// What a page offers, with its length in seconds. The first is shown without being asked for.
pub(crate) const SPANS: [(&str, u64); 4] = [("6h", 21_600), ("1h", 3_600), ("24h", 86_400), ("7d", 604_800)];

/// The series of one prefix.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    pub(crate) prefix: Prefix,
    /// Without gaps, oldest first.
    pub(crate) points: Vec<Point>,
    /// The same traffic by attack vector, as far as the analytics tell it.
    pub(crate) vectors: Option<Vectors>,
}

/// The series of several prefixes.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    pub(crate) curves: Vec<Curve>,
    /// Start of the newest minute that was read, of whatever prefix.
    pub(crate) read_until: Option<Timestamp>,
}

/// The time of a plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// The offered span, `None` for a time of the reader's own.
    pub(crate) span: Option<&'static str>,
}

/// What a request asks for, before it is known what time it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    span: Option<usize>,
    between: Option<(Timestamp, Timestamp)>,
    whole_log: bool,
}

impl Asked {
    /// `span=6h`, or `from` and `to` as RFC 3339; `log=all`.
    fn read(query: &str) -> Result<Self, Failure> {
        let (mut span, mut from, mut to, mut whole_log) = (None, None, None, false);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let instant = || {
                let text = "from and to must be instants such as 2026-11-22T03:00:00Z.";
                let instant: Result<Timestamp, _> = value.parse();
                instant.map_err(|_| Failure::bad_request("invalid_time", text))
            };
            match name.as_ref() {
                "span" => {
                    let found = SPANS.iter().position(|(name, _)| *name == value);
                    let text = "span must be one of 1h, 6h, 24h, 7d.";
                    span = Some(found.ok_or_else(|| Failure::bad_request("invalid_span", text))?);
                }
                "from" => from = Some(instant()?),
                "to" => to = Some(instant()?),
                "log" => whole_log = value == "all",
                _ => {}
            }
        }
        let between = from.zip(to);
        if between.is_some_and(|(from, to)| to <= from || since(to, from) > LONGEST) {
            let text = "to must be after from, by at most 31 days.";
            return Err(Failure::bad_request("invalid_time", text));
        }
        Ok(Self {
            span,
            between,
            whole_log,
        })
    }

    /// All rows of the log, and not only the newest.
    pub(crate) fn whole_log(self) -> bool {
        self.whole_log
    }

    /// The window that the reader chose, if they did.
    pub(crate) fn own(self, now: Timestamp) -> Option<Window> {
        (self.between.is_some() || self.span.is_some()).then(|| self.window(now))
    }

    /// The window at `now`. It ends with a full minute, so that it stays the same for a while.
    pub(crate) fn window(self, now: Timestamp) -> Window {
        if let Some((from, to)) = self.between {
            return Window { from, to, span: None };
        }
        let (name, seconds) = SPANS[self.span.unwrap_or(0)];
        let to = ceil_to(now, series::MINUTE);
        Window {
            from: minus(to, Duration::from_secs(seconds)),
            to,
            span: Some(name),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Self::read(parts.uri.query().unwrap_or_default())
    }
}

/// The series of `wanted` prefixes and of others with dropped traffic in that time, at most `most` in all.
///
/// # Errors
/// Those of the database.
pub(crate) fn read(tx: &ReadTx<'_>, wanted: &[Prefix], window: Window, most: usize) -> Result<Traffic, DbError> {
    let limit = u32::try_from(most).unwrap_or(u32::MAX);
    let mut prefixes = wanted.to_vec();
    for other in series::prefixes(tx, window.from, window.to, limit)? {
        if !prefixes.contains(&other) {
            prefixes.push(other);
        }
    }
    prefixes.truncate(most);
    let mut curves = Vec::with_capacity(prefixes.len());
    let mut with_vectors = 0;
    for prefix in prefixes {
        let points = series::series(tx, prefix, window.from, window.to, MOST_POINTS)?;
        let is_quiet = points.iter().all(|point| point.bits == 0 && point.packets == 0);
        let vectors = if is_quiet || with_vectors == MOST_WITH_VECTORS {
            None
        } else {
            with_vectors += 1;
            Some(vectors::vectors(tx, prefix, window.from, window.to, MOST_VECTOR_ROWS)?)
        };
        curves.push(Curve {
            prefix,
            points,
            vectors,
        });
    }
    Ok(Traffic {
        curves,
        read_until: series::newest_minute(tx)?,
    })
}

/// What traffic consists of, with the host names of its sources as far as they were looked up.
#[derive(Debug)]
pub(crate) struct Ranked {
    pub(crate) parts: shares::Parts,
    pub(crate) names: BTreeMap<String, String>,
}

impl Ranked {
    fn of(tx: &ReadTx<'_>, parts: shares::Parts) -> Result<Self, DbError> {
        let names = hostnames::names(tx, parts.sources.iter().map(|source| source.address.as_str()))?;
        Ok(Self { parts, names })
    }
}

/// What of the traffic open pages show.
#[derive(Debug)]
pub(crate) struct Curves {
    traffic: Shared<(Vec<Prefix>, Window), Traffic>,
    top: Shared<(), Ranked>,
    of_incidents: Shared<IncidentId, Ranked>,
}

impl Default for Curves {
    fn default() -> Self {
        Self {
            traffic: Shared::new(FRESH_FOR, MOST_KEPT),
            top: Shared::new(FRESH_FOR, 1),
            of_incidents: Shared::new(FRESH_FOR, MOST_KEPT),
        }
    }
}

impl Curves {
    /// The curves of `prefixes`, and of others with dropped traffic, in `window`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) async fn of(
        &self,
        app: &App,
        prefixes: Vec<Prefix>,
        window: Window,
        most: usize,
    ) -> Result<Arc<Traffic>, DbError> {
        let wanted = prefixes.clone();
        let read = move |tx: &ReadTx<'_>| read(tx, &wanted, window, most);
        self.traffic.of(app, "traffic", (prefixes, window), read).await
    }

    /// What the traffic to our prefixes consists of now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn top(&self, app: &App) -> Result<Arc<Ranked>, DbError> {
        let since = minus(app.now(), TOP_OF);
        let read = move |tx: &ReadTx<'_>| Ranked::of(tx, shares::top(tx, since, MOST_TOP)?);
        self.top.of(app, "top", (), read).await
    }

    /// What an incident consists of.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn of_incident(&self, app: &App, incident: IncidentId) -> Result<Arc<Ranked>, DbError> {
        let read = move |tx: &ReadTx<'_>| Ranked::of(tx, incidents::parts(tx, incident, MOST_PARTS)?);
        self.of_incidents.of(app, "incident parts", incident, read).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_span_or_two_instants() {
        let now: Timestamp = "2026-11-22T03:27:10Z".parse().unwrap();
        let window = |query| Asked::read(query).unwrap().window(now);
        assert_eq!(window("").span, Some("6h"));
        assert_eq!(window("").to.to_string(), "2026-11-22T03:28:00Z");
        assert_eq!(window("span=1h").from.to_string(), "2026-11-22T02:28:00Z");
        let own = window("from=2026-11-22T01:00:00Z&to=2026-11-22T02:00:00Z&span=1h");
        assert_eq!((own.span, own.to.to_string().as_str()), (None, "2026-11-22T02:00:00Z"));
        for query in [
            "span=2h",
            "from=yesterday",
            "from=2026-11-22T03:00:00Z&to=2026-11-22T03:00:00Z",
        ] {
            assert!(Asked::read(query).is_err(), "{query}");
        }
    }
}
