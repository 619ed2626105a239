//! Completed withdrawals as a list.

use jiff::Timestamp;
use rusqlite::Row;
use serde::Serialize;

use super::{Condition, Listed, Page, Query, Records, Shape, Written};
use crate::error::DbError;
use crate::tx::ReadTx;

const SHAPE: Shape = Shape {
    table: "withdrawal_history",
    columns:
        "id, prefix, attack_id, attack_type, advertised_at, attack_ended_at, withdrawn_at, attack_duration_seconds,
      protection_duration_seconds, calm_seconds, withdraw_method, status, notes, actor, incident_id, created_at",
    time: "created_at",
    written: Written::Ours,
};

/// A withdrawal. Old rows have gaps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Withdrawal {
    /// Row number.
    pub id: i64,
    /// Prefix.
    pub prefix: String,
    /// Attack id.
    pub attack_id: Option<String>,
    /// Vector of the attack.
    pub attack_type: Option<String>,
    /// Since when it was advertised.
    pub advertised_at: Option<Timestamp>,
    /// End of the last attack window.
    pub attack_ended_at: Option<Timestamp>,
    /// When it was withdrawn.
    pub withdrawn_at: Option<Timestamp>,
    /// How long the attack was, seconds.
    pub attack_duration_seconds: Option<i64>,
    /// How long the prefix was advertised, seconds; in rows of the predecessor the calm before the withdrawal.
    pub protection_duration_seconds: Option<i64>,
    /// Proven calm, seconds.
    pub calm_seconds: Option<i64>,
    /// Who withdrew it: `autowithdraw_daemon`, `prefix_manager_manual`, `dashboard_manual`.
    pub withdraw_method: Option<String>,
    /// `success`; older rows have other words.
    pub status: Option<String>,
    /// One line for people.
    pub notes: Option<String>,
    /// Who.
    pub actor: Option<String>,
    /// Its incident.
    pub incident_id: Option<i64>,
    /// When it was recorded.
    pub timestamp: Option<Timestamp>,
}

fn read(row: &Row<'_>) -> Result<Withdrawal, DbError> {
    let instant = |column| -> Result<Option<Timestamp>, DbError> {
        let text: Option<String> = row.get(column)?;
        Ok(text.as_deref().and_then(domain::time::from_text))
    };
    Ok(Withdrawal {
        id: row.get("id")?,
        prefix: row.get("prefix")?,
        attack_id: row.get("attack_id")?,
        attack_type: row.get("attack_type")?,
        advertised_at: instant("advertised_at")?,
        attack_ended_at: instant("attack_ended_at")?,
        withdrawn_at: instant("withdrawn_at")?,
        attack_duration_seconds: row.get("attack_duration_seconds")?,
        protection_duration_seconds: row.get("protection_duration_seconds")?,
        calm_seconds: row.get("calm_seconds")?,
        withdraw_method: row.get("withdraw_method")?,
        status: row.get("status")?,
        notes: row.get("notes")?,
        actor: row.get("actor")?,
        incident_id: row.get("incident_id")?,
        timestamp: instant("created_at")?,
    })
}

pub(crate) fn query(filter: &Records, page: Page) -> Query {
    let contains = filter.text.as_deref().map(|text| {
        Condition::contains(
            "concat_ws(char(10), prefix, attack_id, attack_type, withdraw_method, status, notes, actor) LIKE ? ESCAPE '\\'",
            text,
        )
    });
    let prefix = filter.prefix.map(|prefix| prefix.to_string());
    Query {
        shape: SHAPE,
        lead: prefix.map(|prefix| Condition::text("prefix = ?", &prefix)),
        rest: contains.into_iter().collect(),
        span: filter.span,
        page,
    }
}

/// A page of the withdrawals, newest first.
///
/// # Errors
/// Those of the database.
pub fn list(tx: &ReadTx<'_>, filter: &Records, page: Page) -> Result<Listed<Withdrawal>, DbError> {
    query(filter, page).read(tx, read, |row| row.id)
}
