//! Attack traffic as it was measured: the page `/traffic`, and the card of the main page with its newest rows, which is a
//! summary while everything is withdrawn, unless the reader wants the rows.

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use db::ReadTx;
use jiff::Timestamp;

use super::filters::Filters;
use super::flow::FlowCard;
use super::{Shell, main, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::api::analytics::summary::{self, Summary};
use crate::api::analytics::{Analytics, Measured};
use crate::api::listing::{self, List as _};
use crate::api::preferences::{self, DisplayMode};
use crate::app::App;
use crate::overview::Overview;
use crate::words;

#[derive(Template)]
#[template(path = "measured.html")]
struct Page {
    shell: Shell,
    rows: Vec<Row>,
    filters: Filters,
    /// Nothing is known yet of what is older: so far was looked.
    searched_to: Option<Timestamp>,
    flow: FlowCard,
}

/// A row in words. Amounts are estimates from samples; rates are what alerts say.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) at: Option<Timestamp>,
    pub(crate) is_alert: bool,
    pub(crate) vector: String,
    pub(crate) rule: Option<String>,
    pub(crate) source: Option<String>,
    /// Host name, country, network, or why the source cannot be real.
    pub(crate) origin: Vec<String>,
    pub(crate) target: String,
    pub(crate) protocol: Option<String>,
    pub(crate) prefix: Option<String>,
    pub(crate) amount: Option<String>,
    pub(crate) samples: Option<String>,
    pub(crate) rate: Option<String>,
    pub(crate) dropped_by: Option<String>,
}

impl From<Measured> for Row {
    fn from(row: Measured) -> Self {
        let short = |text: Option<String>, most| text.as_deref().map(|text| words::outside_up_to(text, most));
        let network = row.source_asn.map(|asn| {
            let name = short(row.source_asn_name, 40).unwrap_or_default();
            format!("AS{asn} {name}").trim_end().to_owned()
        });
        let bogon = short(row.source_bogon, 60).map(|why| format!("cannot be real: {why}"));
        let origin = [
            short(row.source_hostname, 60),
            short(row.source_country, 20),
            network,
            bogon,
        ];
        let port = row.dest_port.map(|port| format!(" port {port}")).unwrap_or_default();
        let target = short(row.dest_ip, 60).unwrap_or_default();
        let system = short(row.mitigation_system, 40);
        let outcome = short(row.outcome, 20);
        Self {
            is_alert: row.source == "webhook",
            at: row.event_datetime,
            vector: short(row.attack_vector, 60).unwrap_or_else(|| "not named".to_owned()),
            rule: short(row.rule_name, 60),
            source: short(row.source_ip, 60),
            origin: origin.into_iter().flatten().collect(),
            protocol: short(row.protocol, 20),
            prefix: short(row.prefix, 60).filter(|prefix| *prefix != target),
            target: format!("{target}{port}"),
            amount: words::volume(row.bits_dropped, row.packets_dropped),
            samples: row
                .samples
                .and_then(|samples| u64::try_from(samples).ok())
                .map(|samples| words::counted(samples, "sample")),
            rate: words::rates(row.bits_per_second, row.packets_per_second),
            dropped_by: match (system, outcome) {
                (Some(system), Some(outcome)) => Some(format!("{system}, {outcome}")),
                (system, outcome) => system.or(outcome),
            },
            id: row.id,
        }
    }
}

/// `GET /traffic`
pub(crate) async fn page(State(app): State<App>, member: Member, uri: Uri) -> Result<Response, Failure> {
    let overview = main::situation(&app).await?;
    let found = listing::pages::<Analytics>(&app, &member, &uri).await?;
    Ok(rendered(&Page {
        shell: Shell::over(&app, &member, &overview, "Attack traffic", "traffic"),
        filters: Filters::of::<Analytics>("/traffic", &uri, found.next),
        rows: found.rows.into_iter().map(Row::from).collect(),
        searched_to: found.searched_to,
        flow: FlowCard::of(&app, true).await,
    }))
}

/// The card of the main page.
pub(crate) struct Card {
    pub(crate) rows: Vec<Row>,
    /// Instead of the rows.
    pub(crate) summary: Option<Summary>,
    /// Only what concerns our prefixes.
    pub(crate) own: bool,
    /// Why there is nothing to show.
    pub(crate) trouble: Option<String>,
}

impl Card {
    /// As this account wants it. Collapsed only while every prefix is known to be withdrawn: what is not known is no calm.
    pub(crate) async fn of(app: &App, member: &Member, overview: &Overview) -> Self {
        let is_quiet = !overview.prefixes.is_empty()
            && overview.now.is_empty()
            && overview.prefixes.iter().all(|view| view.advertised == Some(false));
        let (user, now) = (member.session().user_id, app.now());
        let read = move |tx: &ReadTx<'_>| {
            let display = preferences::display(tx, user)?;
            let own = display.analytics_display_mode == DisplayMode::WhenProtected;
            let collapses =
                display.analytics_auto_collapse || display.analytics_display_mode == DisplayMode::AutoCollapse;
            if is_quiet && collapses {
                return Ok((Vec::new(), Some(summary::read(tx, now)?), own));
            }
            let limit = u32::try_from(display.analytics_show_count).unwrap_or(20);
            let found = Analytics::newest(own).read(tx, None, limit)?;
            Ok((found.rows, None, own))
        };
        match app.db().read("attack traffic", read).await {
            Ok((rows, summary, own)) => Self {
                rows: rows.into_iter().map(Row::from).collect(),
                summary,
                own,
                trouble: None,
            },
            Err(error) => Self {
                rows: Vec::new(),
                summary: None,
                own: false,
                trouble: Some(words::outside(&error.to_string())),
            },
        }
    }
}
