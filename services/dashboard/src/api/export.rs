//! `GET /api/export/{file}`: a whole list as CSV or JSON, with the filters of the list.
//!
//! Must hold: it is read a page at a time and written while it is read, so a million rows cost the memory of one page and
//! no reader of the database waits; a cell never begins with what a spreadsheet takes for a formula (what attackers put
//! into a host name ends up in these cells); a file that was cut says so in its last line.

mod csv;

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Serialize as _;
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::analytics::Analytics;
use super::attacks::Attacks;
use super::changes::Changes;
use super::deliveries::Deliveries;
use super::incidents::Incidents;
use super::listing::List;
use super::messages::Messages;
use super::params::Params;
use super::withdrawals::Withdrawals;
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;

/// Rows of one file at most; a page more would be read for a reader that is long gone.
const MOST_ROWS: usize = 200_000;

/// Rows read at once.
const ROWS_AT_ONCE: u32 = 500;

/// Time for one page of the file.
const PAGE_WITHIN: Duration = Duration::from_secs(10);

/// Files that are written at the same time; more would take the database from the pages.
static WRITING: Semaphore = Semaphore::const_new(2);

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Json,
}

/// A whole list as a file
///
/// The lists are attacks, analytics, incidents, withdrawals, deliveries, messages and audit; each takes its own filters
/// as query parameters. At most 200,000 rows; a file that was cut says so at its end.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/export/{file}", operation_id = "export_list", tag = "records",
    params(("file" = String, Path, description = "NAME.csv or NAME.json", example = "attacks.json"),
        crate::api::document::Span),
    responses((status = 200, description = "The file", content((String = "text/csv"), (serde_json::Value = "application/json"))),
        crate::api::document::ListFailures)
))]
pub(crate) async fn file(
    State(app): State<App>,
    member: Member,
    Path(file): Path<String>,
    uri: Uri,
) -> Result<Response, Failure> {
    let (name, form) = match file.rsplit_once('.') {
        Some((name, "csv")) => (name, Form::Csv),
        Some((name, "json")) => (name, Form::Json),
        _ => return Err(Failure::not_found("An export ends in .csv or .json.")),
    };
    match name {
        "attacks" => export::<Attacks>(app, &member, &uri, form),
        "analytics" => export::<Analytics>(app, &member, &uri, form),
        "incidents" => export::<Incidents>(app, &member, &uri, form),
        "withdrawals" => export::<Withdrawals>(app, &member, &uri, form),
        "deliveries" => export::<Deliveries>(app, &member, &uri, form),
        "messages" => export::<Messages>(app, &member, &uri, form),
        "audit" => export::<Changes>(app, &member, &uri, form),
        _ => Err(Failure::not_found("There is no such list.")),
    }
}

fn export<L: List>(app: App, member: &Member, uri: &Uri, form: Form) -> Result<Response, Failure> {
    member.needs(L::NEEDS)?;
    let list = L::asked(&Params::read(uri.query(), L::FILTERS)?)?;
    let Ok(place) = WRITING.try_acquire() else {
        let text = "Two files are being written already. Try again in a few seconds.";
        let busy = Failure::new(StatusCode::SERVICE_UNAVAILABLE, "export_busy", text);
        return Err(busy.retry_after(Duration::from_secs(5)));
    };
    let (kind, ending) = match form {
        Form::Csv => ("text/csv; charset=utf-8", "csv"),
        Form::Json => ("application/json", "json"),
    };
    let day = crate::words::iso(app.now());
    let name = format!(
        "attachment; filename=\"{}-{}.{ending}\"",
        L::NAME,
        day.get(..10).unwrap_or_default()
    );
    let file = File {
        app,
        list,
        form,
        rows: 0,
        at: Some(None),
        begun: false,
        _place: place,
    };
    let body = stream::unfold(Some(file), |file| async move { file?.next().await });
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// A file that is being written.
struct File<L: List> {
    app: App,
    list: L,
    form: Form,
    rows: usize,
    /// Where the next page begins; `None` when all is read.
    at: Option<Option<L::Cursor>>,
    begun: bool,
    _place: SemaphorePermit<'static>,
}

/// Part of a file, or why there is none: the connection is then cut, which no reader takes for an end.
type Chunk = Result<Bytes, std::io::Error>;

impl<L: List> File<L> {
    /// The next part, and what is left to do.
    async fn next(mut self) -> Option<(Chunk, Option<Self>)> {
        let mut text = String::new();
        if !self.begun {
            self.begun = true;
            self.begin(&mut text);
        }
        let before = self.at.take()?;
        let list = self.list.clone();
        let read = move |tx: &db::ReadTx<'_>| list.read(tx, before, ROWS_AT_ONCE);
        let (rows, next) = match self.app.db().read_within("export", PAGE_WITHIN, read).await {
            Ok(page) => (page.rows, page.next),
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(
                    event = "dashboard.export.broken",
                    list = L::NAME,
                    rows = self.rows,
                    error
                );
                return Some((
                    Err(std::io::Error::other("the list could not be read any further")),
                    None,
                ));
            }
        };
        for row in &rows {
            self.write(row, &mut text);
        }
        let cut = next.is_some() && self.rows >= MOST_ROWS;
        if cut || next.is_none() {
            self.end(cut, &mut text);
            return Some((Ok(Bytes::from(text)), None));
        }
        self.at = Some(next);
        Some((Ok(Bytes::from(text)), Some(self)))
    }

    fn begin(&self, text: &mut String) {
        match self.form {
            Form::Csv => csv::line(L::COLUMNS.iter().map(|name| csv::cell(&Value::from(*name))), text),
            Form::Json => text.push_str(&format!("{{\"success\":true,\"{}\":[", L::NAME)),
        }
    }

    fn write(&mut self, row: &L::Row, text: &mut String) {
        // Our own rows always have a form.
        let value = row.serialize(serde_json::value::Serializer).unwrap_or_default();
        match self.form {
            Form::Csv => {
                let cells = L::COLUMNS.iter().map(|name| csv::cell(&value[*name]));
                csv::line(cells, text);
            }
            Form::Json => {
                text.push_str(if self.rows > 0 { ",\n" } else { "\n" });
                text.push_str(&value.to_string());
            }
        }
        self.rows += 1;
    }

    fn end(&self, cut: bool, text: &mut String) {
        match self.form {
            Form::Csv if cut => {
                let note = format!("cut after {MOST_ROWS} rows: narrow it with since and until");
                csv::line(std::iter::once(csv::cell(&Value::from(note))), text);
            }
            Form::Csv => {}
            Form::Json => text.push_str(&format!("\n],\"complete\":{}}}\n", !cut)),
        }
    }
}
