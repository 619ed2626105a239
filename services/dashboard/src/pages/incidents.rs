//! `/incidents`: all attacks, newest first, a page at a time.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use db::incidents::{self, Incident};
use domain::ids::IncidentId;

use super::{Shell, main, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::api::paging::Paging;
use crate::app::App;
use crate::overview::current;

/// Rows of a page.
const ROWS: u32 = 50;

#[derive(Template)]
#[template(path = "incidents.html")]
struct Page {
    shell: Shell,
    incidents: Vec<Incident>,
    /// Where the next, older page begins.
    older: Option<i64>,
    is_first: bool,
}

/// `GET /incidents`
pub(crate) async fn page(State(app): State<App>, member: Member, paging: Paging<ROWS>) -> Result<Response, Failure> {
    let overview = main::situation(&app).await?;
    let (before, limit) = (paging.before.map(IncidentId), paging.limit);
    let incidents = app
        .db()
        .read("incidents", move |tx| incidents::newest(tx, before, limit))
        .await?;
    let older = paging.next(incidents.last().map(|incident| incident.id.0), incidents.len());
    let shell = Shell::over(&app, &member, &overview, "Incidents", "incidents");
    let is_first = before.is_none();
    Ok(rendered(&Page {
        shell,
        incidents,
        older,
        is_first,
    }))
}

impl Page {
    fn title(&self, incident: &Incident) -> String {
        current::title(incident)
    }

    fn short(&self, text: &str) -> String {
        crate::words::outside_up_to(text, 60)
    }

    fn peak(&self, incident: &Incident) -> Option<String> {
        crate::words::rates(incident.peak_bps, incident.peak_pps)
    }
}
