//! `/`: the situation. What is happening, every prefix with its state and reasons, the log, services and messages.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use domain::prefix::Prefix;

use super::curves::Curves;
use super::flow::FlowCard;
use super::measured::Card;
use super::shares::Rankings;
use super::{Shell, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;
use crate::html;
use crate::overview::Worst;
use crate::overview::current;
use crate::overview::log::LogRow;
use crate::overview::prefix::PrefixView;
use crate::overview::sources::Quota;
use crate::overview::state::State as PrefixState;
use crate::situation::Situation;
use crate::traffic::Asked;

/// Rows of the log that are shown at first: what fits on a screen. The others are one step away.
const LOG_ROWS: usize = 20;

#[derive(Template)]
#[template(path = "main.html")]
struct Page {
    shell: Shell,
    overview: Arc<Situation>,
    curves: Curves,
    top: Rankings,
    /// The time that counts as now in it.
    top_of: String,
    measured: Card,
    flow: FlowCard,
    /// Rows of the log that are written into the page.
    log_rows: usize,
}

/// `GET /`
pub(crate) async fn page(State(app): State<App>, member: Member, asked: Asked) -> Result<Response, Failure> {
    let log_rows = if asked.whole_log() { usize::MAX } else { LOG_ROWS };
    let overview = situation(&app).await?;
    let shell = Shell::over(&app, &member, &overview, "", "situation");
    let curves = Curves::of_situation(&app, &overview, asked).await;
    let measured = Card::of(&app, &member, &overview).await;
    Ok(rendered(&Page {
        shell,
        overview,
        curves,
        top: Rankings::of_now(&app).await,
        top_of: Rankings::of_last(),
        measured,
        flow: FlowCard::of(&app, false).await,
        log_rows,
    }))
}

/// The situation of this moment. Whoever is shown it is likely to follow: from before it is read on, changes are noticed.
pub(crate) async fn situation(app: &App) -> Result<Arc<Situation>, Failure> {
    app.live().expect(app).await;
    Ok(app.situations().current(app).await?)
}

impl Page {
    /// The sentence where no line says what is happening. Calm is said only when everything is known.
    fn nothing(&self) -> &'static str {
        match self.overview.status.worst {
            Worst::Unknown if self.overview.status.prefixes == 0 => {
                "No prefix is known yet: none is configured and none was discovered."
            }
            Worst::Unknown => "No attack is announced, but not everything is known.",
            _ => "No attack is known.",
        }
    }

    /// The rows of the log that are shown.
    fn log(&self) -> &[LogRow] {
        let all = &self.overview.log;
        all.get(..self.log_rows).unwrap_or(all)
    }

    /// The time that the curves show, for links that keep it.
    fn span_query(&self) -> String {
        self.curves
            .window
            .span
            .map_or_else(String::new, |span| format!("span={span}&"))
    }

    /// Length of a quota's bar.
    fn part(&self, quota: &Quota) -> String {
        let part = f64::from(quota.used) / f64::from(quota.of.max(1));
        format!("{:.1}%", part.min(1.0) * 100.0)
    }

    /// Where a link to a prefix leads.
    fn anchor(&self, prefix: &Prefix) -> String {
        super::anchor(*prefix)
    }

    /// Nothing is going on with it: one line is enough.
    fn is_quiet(&self, view: &PrefixView) -> bool {
        let still = matches!(view.state, PrefixState::Direct | PrefixState::NotManaged);
        still && view.hold.is_none() && view.open_alerts.is_empty() && view.error.is_none()
    }

    fn advertised(&self, view: &PrefixView) -> &'static str {
        match view.advertised {
            Some(true) => "advertised",
            Some(false) => "withdrawn",
            None => "advertisement unknown",
        }
    }

    fn rates(&self, view: &PrefixView) -> Option<String> {
        let dropped = view.dropped?;
        crate::words::rates(Some(dropped.bits_per_second), Some(dropped.packets_per_second))
    }

    fn peak(&self, view: &PrefixView) -> Option<String> {
        let peak = view.peak?;
        crate::words::rates(Some(peak.bits_per_second), Some(peak.packets_per_second))
    }

    fn samples(&self, view: &PrefixView) -> Option<String> {
        Some(crate::words::counted(view.dropped?.samples, "sample"))
    }

    /// Proven calm and the period it must reach, in seconds; only while a clock runs.
    fn calm(&self, view: &PrefixView) -> Option<(u64, u64)> {
        let running = matches!(
            view.state,
            PrefixState::Calm | PrefixState::Held | PrefixState::Protected
        );
        view.calm_proven_s.zip(view.calm_period_s).filter(|_| running)
    }

    fn duration(&self, seconds: &u64) -> String {
        html::duration(*seconds)
    }

    fn rate(&self, incident: &db::incidents::Incident) -> Option<String> {
        crate::words::rates(incident.peak_bps, incident.peak_pps)
    }

    fn incident_title(&self, incident: &db::incidents::Incident) -> String {
        current::title(incident)
    }

    fn held_by(&self, hold: &domain::hold::Hold) -> String {
        crate::overview::prefix::held_words(hold, self.shell.now)
    }
}
