//! `/audit`: every change by anyone, with filters. The same rows as `/api/audit`.

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use jiff::Timestamp;

use super::filters::Filters;
use super::{Shell, main, rendered};
use crate::accounts::Member;
use crate::answer::Failure;
use crate::api::changes::{Change, Changes};
use crate::api::listing;
use crate::app::App;
use crate::words;

#[derive(Template)]
#[template(path = "audit.html")]
struct Page {
    shell: Shell,
    changes: Vec<Change>,
    filters: Filters,
    /// Nothing is known yet of what is older: so far was looked.
    searched_to: Option<Timestamp>,
}

/// `GET /audit`
pub(crate) async fn page(State(app): State<App>, member: Member, uri: Uri) -> Result<Response, Failure> {
    let overview = main::situation(&app).await?;
    let found = listing::pages::<Changes>(&app, &member, &uri).await?;
    Ok(rendered(&Page {
        shell: Shell::over(&app, &member, &overview, "Audit", "audit"),
        filters: Filters::of::<Changes>("/audit", &uri, found.next),
        changes: found.rows,
        searched_to: found.searched_to,
    }))
}

impl Page {
    fn short(&self, text: &str) -> String {
        words::outside_up_to(text, 120)
    }

    fn optional(&self, text: &Option<String>) -> String {
        text.as_deref().map_or_else(|| "–".to_owned(), |text| self.short(text))
    }
}
