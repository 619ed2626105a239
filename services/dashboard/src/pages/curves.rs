//! Curves of dropped traffic as the main page and an incident's page show them.

use domain::prefix::Prefix;
use jiff::Timestamp;
use settings::AutoWithdraw;

use crate::app::App;
use crate::overview::Overview;
use crate::overview::state::State;
use crate::plot::{Plot, Quantity};
use crate::traffic::{Asked, SPANS, Traffic, Window};
use crate::words;

/// Prefixes that are drawn: more would push everything else out of sight.
const MOST_DRAWN: usize = 4;

/// Prefixes that are read for it.
const MOST_READ: usize = 8;

/// What happened at the instants of a curve: instant, word of the style sheet, words.
pub(crate) type Happened = Vec<(Timestamp, &'static str, String)>;

/// The card.
pub(crate) struct Curves {
    pub(crate) drawn: Vec<Drawn>,
    /// Prefixes of which nothing was dropped as far as it was read.
    pub(crate) without: Vec<Prefix>,
    pub(crate) read_until: Option<Timestamp>,
    pub(crate) window: Window,
    pub(crate) spans: Vec<(&'static str, bool)>,
    /// Why there is nothing to show.
    pub(crate) trouble: Option<String>,
    /// Over which time both thresholds must be exceeded.
    pub(crate) lookback: String,
}

/// One prefix.
pub(crate) struct Drawn {
    pub(crate) prefix: Prefix,
    pub(crate) plots: Vec<Plot>,
    /// From when on the traffic is told apart by vector, when it is not all the time shown.
    pub(crate) vectors_since: Option<Timestamp>,
}

impl Curves {
    /// For the main page: what is urgent first, then whatever had drops.
    pub(crate) async fn of_situation(app: &App, overview: &Overview, asked: Asked) -> Self {
        let urgent = overview.by_urgency().into_iter().filter(|view| {
            let quiet = matches!(view.state, State::Direct | State::NotManaged);
            !quiet || view.is_exposed()
        });
        let wanted: Vec<Prefix> = urgent.take(MOST_READ / 2).map(|view| view.prefix).collect();
        Self::read(app, wanted, asked.window(app.now()), MOST_READ, &[]).await
    }

    /// For the prefixes of an incident.
    pub(crate) async fn of_incident(app: &App, prefixes: &[Prefix], window: Window, happened: &Happened) -> Self {
        let wanted: Vec<Prefix> = prefixes.iter().take(MOST_DRAWN).copied().collect();
        let most = wanted.len();
        Self::read(app, wanted, window, most, happened).await
    }

    async fn read(
        app: &App,
        wanted: Vec<Prefix>,
        window: Window,
        most: usize,
        happened: &[(Timestamp, &'static str, String)],
    ) -> Self {
        let terms = &app.settings().autowithdraw;
        let mut curves = Self {
            drawn: Vec::new(),
            without: Vec::new(),
            read_until: None,
            window,
            spans: SPANS
                .iter()
                .map(|(name, _)| (*name, window.span == Some(name)))
                .collect(),
            trouble: None,
            lookback: domain::duration::human(terms.attack_lookback),
        };
        curves
            .spans
            .sort_by_key(|(name, _)| SPANS.iter().find(|(of, _)| of == name).map(|(_, seconds)| *seconds));
        match app.curves().of(app, wanted, window, most).await {
            Ok(traffic) => curves.draw(&traffic, terms, happened, app.now()),
            Err(error) => curves.trouble = Some(words::outside(&error.to_string())),
        }
        curves
    }

    fn draw(
        &mut self,
        traffic: &Traffic,
        terms: &AutoWithdraw,
        happened: &[(Timestamp, &'static str, String)],
        now: Timestamp,
    ) {
        self.read_until = traffic.read_until;
        let lookback_s = terms.attack_lookback.as_secs_f64().max(1.0);
        for curve in &traffic.curves {
            if curve.points.iter().all(|point| point.bits == 0 && point.packets == 0) {
                self.without.push(curve.prefix);
                continue;
            }
            if self.drawn.len() == MOST_DRAWN {
                continue;
            }
            let vectors = curve.vectors.as_ref();
            let lines = vectors.map_or(&[][..], |found| found.vectors.as_slice());
            let plot = |quantity, threshold: u64| {
                Plot::of(
                    &curve.points,
                    lines,
                    quantity,
                    threshold as f64 / lookback_s,
                    happened,
                    now,
                )
            };
            let plots = [
                plot(Quantity::Bits, terms.min_dropped_bits.0),
                plot(Quantity::Packets, terms.min_dropped_packets.0),
            ];
            self.drawn.push(Drawn {
                prefix: curve.prefix,
                plots: plots.into_iter().flatten().collect(),
                vectors_since: vectors.and_then(|found| found.since),
            });
        }
    }
}
