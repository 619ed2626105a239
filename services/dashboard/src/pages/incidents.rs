//! `/incidents`: all attacks, newest first, with filters, a page at a time. The same rows as `/api/incidents`.

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use jiff::Timestamp;

use super::filters::Filters;
use super::{Shell, main, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::api::incidents::{Incident, Incidents};
use crate::api::listing;
use crate::app::App;
use crate::words;

#[derive(Template)]
#[template(path = "incidents.html")]
struct Page {
    shell: Shell,
    incidents: Vec<Incident>,
    filters: Filters,
    /// Nothing is known yet of what is older: so far was looked.
    searched_to: Option<Timestamp>,
}

/// `GET /incidents`
pub(crate) async fn page(State(app): State<App>, member: Member, uri: Uri) -> Result<Response, Failure> {
    let overview = main::situation(&app).await?;
    let found = listing::pages::<Incidents>(&app, &member, &uri).await?;
    Ok(rendered(&Page {
        shell: Shell::over(&app, &member, &overview, "Incidents", "incidents"),
        filters: Filters::of::<Incidents>("/incidents", &uri, found.next),
        incidents: found.rows,
        searched_to: found.searched_to,
    }))
}

impl Page {
    fn title(&self, incident: &Incident) -> String {
        words::outside_up_to(incident.vector.as_deref().unwrap_or(&incident.title), 120)
    }

    fn short(&self, text: &str) -> String {
        words::outside_up_to(text, 60)
    }

    fn peak(&self, incident: &Incident) -> Option<String> {
        words::rates(incident.peak_bps, incident.peak_pps)
    }
}
