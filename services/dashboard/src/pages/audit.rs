//! `/audit`: every change by anyone, with filters. The same rows as `/api/audit`.

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

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
    asked: Asked,
    is_first: bool,
    /// The address of the next, older page.
    older: Option<String>,
    /// The filters as a query, for the files.
    filters: String,
}

/// What the fields of the form say.
#[derive(Default)]
struct Asked {
    since: String,
    until: String,
    actor: String,
    action: String,
    q: String,
}

/// `GET /audit`
pub(crate) async fn page(State(app): State<App>, member: Member, uri: Uri) -> Result<Response, Failure> {
    let overview = main::situation(&app).await?;
    let (changes, next) = listing::page::<Changes>(&app, &member, &uri).await?;
    let mut asked = Asked::default();
    let mut filters = url::form_urlencoded::Serializer::new(String::new());
    let mut is_first = true;
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        let field = match name.as_ref() {
            "since" => &mut asked.since,
            "until" => &mut asked.until,
            "actor" => &mut asked.actor,
            "action" => &mut asked.action,
            "q" => &mut asked.q,
            "before" => {
                is_first = value.is_empty();
                continue;
            }
            _ => continue,
        };
        *field = value.clone().into_owned();
        if !value.is_empty() {
            filters.append_pair(&name, &value);
        }
    }
    let filters = filters.finish();
    let older = next.map(|before| {
        let ampersand = if filters.is_empty() { "" } else { "&" };
        format!("/audit?{filters}{ampersand}before={before}")
    });
    let shell = Shell::over(&app, &member, &overview, "Audit", "audit");
    Ok(rendered(&Page {
        shell,
        changes,
        asked,
        is_first,
        older,
        filters,
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
