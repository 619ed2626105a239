//! `GET /api/withdrawals`: completed withdrawals.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use db::lists::{Page, Records, withdrawals};
use db::{DbError, ReadTx};
use jiff::Timestamp;
use serde::Serialize;

use super::listing::{self, List, Rows};
use super::params::Params;
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;

/// A completed withdrawal.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Withdrawal {
    id: i64,
    prefix: String,
    attack_id: Option<String>,
    attack_type: Option<String>,
    advertised_at: Option<Timestamp>,
    attack_ended_at: Option<Timestamp>,
    withdrawn_at: Option<Timestamp>,
    attack_duration_seconds: Option<i64>,
    /// How long it was advertised; in rows of the predecessor the calm before the withdrawal
    protection_duration_seconds: Option<i64>,
    /// Proven calm
    calm_seconds: Option<i64>,
    withdraw_method: Option<String>,
    status: Option<String>,
    notes: Option<String>,
    actor: Option<String>,
    incident_id: Option<i64>,
    /// When it was recorded
    timestamp: Option<Timestamp>,
}

impl From<withdrawals::Withdrawal> for Withdrawal {
    fn from(row: withdrawals::Withdrawal) -> Self {
        Self {
            id: row.id,
            prefix: row.prefix,
            attack_id: row.attack_id,
            attack_type: row.attack_type,
            advertised_at: row.advertised_at,
            attack_ended_at: row.attack_ended_at,
            withdrawn_at: row.withdrawn_at,
            attack_duration_seconds: row.attack_duration_seconds,
            protection_duration_seconds: row.protection_duration_seconds,
            calm_seconds: row.calm_seconds,
            withdraw_method: row.withdraw_method,
            status: row.status,
            notes: row.notes,
            actor: row.actor,
            incident_id: row.incident_id,
            timestamp: row.timestamp,
        }
    }
}

/// A page of the withdrawals.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct WithdrawalList {
    success: bool,
    withdrawals: Vec<Withdrawal>,
    next_before: Option<i64>,
    /// Set when the page was cut because enough rows were looked through: what fits and is not older is all here
    searched_back_to: Option<Timestamp>,
}

/// Completed withdrawals, filtered.
#[derive(Debug, Clone)]
pub(crate) struct Withdrawals(Records);

impl List for Withdrawals {
    const NAME: &'static str = "withdrawals";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "timestamp",
        "prefix",
        "advertised_at",
        "attack_ended_at",
        "withdrawn_at",
        "attack_duration_seconds",
        "protection_duration_seconds",
        "calm_seconds",
        "withdraw_method",
        "status",
        "actor",
        "attack_type",
        "attack_id",
        "incident_id",
        "notes",
    ];
    const FILTERS: &'static [&'static str] = &["since", "until", "prefix", "q"];
    type Row = Withdrawal;
    type Cursor = i64;

    fn asked(params: &Params) -> Result<Self, Failure> {
        Ok(Self(params.records()?))
    }

    fn read(&self, tx: &ReadTx<'_>, before: Option<i64>, limit: u32) -> Result<Rows<Self>, DbError> {
        Ok(withdrawals::list(tx, &self.0, Page { before, limit })?.map(Withdrawal::from))
    }
}

/// Completed withdrawals, newest first
#[cfg_attr(test, utoipa::path(
    get, path = "/api/withdrawals", operation_id = "list_withdrawals", tag = "records",
    params(crate::api::document::Span, crate::api::document::Paging, crate::api::document::OfPrefix,
        crate::api::document::Text),
    responses((status = 200, body = WithdrawalList), crate::api::document::ListFailures)
))]
pub(crate) async fn list_all(
    State(app): State<App>,
    member: Member,
    uri: Uri,
) -> Result<Json<WithdrawalList>, Failure> {
    let found = listing::page::<Withdrawals>(&app, &member, &uri).await?;
    Ok(Json(WithdrawalList {
        success: true,
        withdrawals: found.rows,
        next_before: found.next,
        searched_back_to: found.searched_to,
    }))
}
