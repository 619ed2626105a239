//! `GET /api/audit`: every change by anyone. It names people and where they were, so it needs the role of an operator.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use db::lists::Page;
use db::lists::changes::{self, Filter};
use db::users::Role;
use db::{DbError, ReadTx};
use jiff::Timestamp;
use serde::Serialize;

use super::listing::{self, List, Rows};
use super::params::Params;
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;

/// One change, or the refusal of one.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Change {
    pub(crate) id: i64,
    /// When
    pub(crate) at: Timestamp,
    /// Account, user@host, token:NAME, or a program
    pub(crate) actor: String,
    /// viewer, operator, admin, shell, service, none
    pub(crate) role: String,
    /// Program
    pub(crate) via: String,
    /// From where, when it came over the network
    pub(crate) address: Option<String>,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) reason: Option<String>,
    /// ok, or refused and failed with why
    pub(crate) result: String,
}

impl From<changes::Change> for Change {
    fn from(row: changes::Change) -> Self {
        let entry = row.entry;
        Self {
            id: row.id,
            at: entry.at,
            actor: entry.actor,
            role: entry.role,
            via: entry.via,
            address: entry.address,
            action: entry.action,
            subject: entry.subject,
            before: entry.before,
            after: entry.after,
            reason: entry.reason,
            result: entry.result,
        }
    }
}

/// A page of the audit.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct ChangeList {
    success: bool,
    audit: Vec<Change>,
    next_before: Option<i64>,
    /// Set when the page was cut because enough rows were looked through: what fits and is not older is all here
    searched_back_to: Option<Timestamp>,
}

/// The audit, filtered.
#[derive(Debug, Clone)]
pub(crate) struct Changes(Filter);

impl List for Changes {
    const NAME: &'static str = "audit";
    const COLUMNS: &'static [&'static str] = &[
        "id", "at", "actor", "role", "via", "address", "action", "subject", "before", "after", "reason", "result",
    ];
    const FILTERS: &'static [&'static str] = &["since", "until", "actor", "action", "q"];
    const NEEDS: Role = Role::Operator;
    type Row = Change;
    type Cursor = i64;

    fn asked(params: &Params) -> Result<Self, Failure> {
        Ok(Self(Filter {
            span: params.span()?,
            actor: params.text("actor")?,
            action: params.text("action")?,
            text: params.text("q")?,
        }))
    }

    fn read(&self, tx: &ReadTx<'_>, before: Option<i64>, limit: u32) -> Result<Rows<Self>, DbError> {
        Ok(changes::list(tx, &self.0, Page { before, limit })?.map(Change::from))
    }
}

/// Every change by anyone, newest first
#[cfg_attr(test, utoipa::path(
    get, path = "/api/audit", operation_id = "list_audit", tag = "records",
    params(crate::api::document::Span, crate::api::document::Paging,
        ("actor" = Option<String>, Query, description = "Exactly this actor", example = "ana"),
        ("action" = Option<String>, Query, description = "Exactly this action", example = "hold.set"),
        crate::api::document::Text),
    responses((status = 200, body = ChangeList), crate::api::document::ListFailures)
))]
pub(crate) async fn list_all(State(app): State<App>, member: Member, uri: Uri) -> Result<Json<ChangeList>, Failure> {
    let found = listing::page::<Changes>(&app, &member, &uri).await?;
    Ok(Json(ChangeList {
        success: true,
        audit: found.rows,
        next_before: found.next,
        searched_back_to: found.searched_to,
    }))
}
