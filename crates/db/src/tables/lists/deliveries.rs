//! Webhook deliveries as a list, without their bodies.

use domain::prefix::Prefix;
use jiff::Timestamp;
use rusqlite::Row;
use serde::Serialize;

use super::{Condition, Listed, Page, Query, Shape, Span, Written};
use crate::error::DbError;
use crate::tx::ReadTx;

const SHAPE: Shape = Shape {
    table: "webhook_events",
    columns: "id, received_at, alert_type, event_state, alert_id, policy_id, policy_name, target_ip, target_prefix,
      source_ip, action_taken, event_time, problem, is_test, duplicates",
    time: "received_at",
    written: Written::Ours,
};

/// Which deliveries.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Received when.
    pub span: Span,
    /// The first prefix of a delivery.
    pub prefix: Option<Prefix>,
    /// Cloudflare's `alert_type`.
    pub alert_type: Option<String>,
    /// Anywhere in what a row says.
    pub text: Option<String>,
}

/// A delivery. Old rows have gaps: texts stay texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Row number.
    pub id: i64,
    /// When it came in; `None` for a row whose text is no instant.
    pub received_at: Option<Timestamp>,
    /// Cloudflare's `alert_type`.
    pub alert_type: Option<String>,
    /// Cloudflare's `alert_event`.
    pub event_state: Option<String>,
    /// Attack id, or whatever else ties it to others.
    pub alert_id: Option<String>,
    /// Policy id.
    pub policy_id: Option<String>,
    /// Policy name.
    pub policy_name: Option<String>,
    /// Target address or host name.
    pub target_ip: Option<String>,
    /// Our prefix.
    pub prefix: Option<String>,
    /// Who sent it.
    pub source_ip: Option<String>,
    /// `received`, `imported`, `recovered`; older rows have other words.
    pub action_taken: Option<String>,
    /// The sender's instant.
    pub event_time: Option<Timestamp>,
    /// What could not be read.
    pub problem: Option<String>,
    /// Self-test.
    pub is_test: bool,
    /// How often the same body came again.
    pub duplicates: i64,
}

fn read(row: &Row<'_>) -> Result<Delivery, DbError> {
    let instant = |column| -> Result<Option<Timestamp>, DbError> {
        let text: Option<String> = row.get(column)?;
        Ok(text.as_deref().and_then(domain::time::from_text))
    };
    Ok(Delivery {
        id: row.get("id")?,
        received_at: instant("received_at")?,
        alert_type: row.get("alert_type")?,
        event_state: row.get("event_state")?,
        alert_id: row.get("alert_id")?,
        policy_id: row.get("policy_id")?,
        policy_name: row.get("policy_name")?,
        target_ip: row.get("target_ip")?,
        prefix: row.get("target_prefix")?,
        source_ip: row.get("source_ip")?,
        action_taken: row.get("action_taken")?,
        event_time: instant("event_time")?,
        problem: row.get("problem")?,
        is_test: row.get("is_test")?,
        duplicates: row.get("duplicates")?,
    })
}

impl Filter {
    pub(crate) fn query(&self, page: Page) -> Query {
        let mut rest = Vec::new();
        let lead = match (self.prefix, &self.alert_type) {
            (Some(prefix), kind) => {
                rest.extend(kind.iter().map(|kind| Condition::text("+alert_type = ?", kind)));
                Some(Condition::text("target_prefix = ?", &prefix.to_string()))
            }
            (None, Some(kind)) => Some(Condition::text("alert_type = ?", kind)),
            (None, None) => None,
        };
        if let Some(text) = &self.text {
            rest.push(Condition::contains(
                "concat_ws(char(10), alert_type, event_state, alert_id, policy_id, policy_name, target_ip, target_prefix,
                   source_ip, action_taken, problem) LIKE ? ESCAPE '\\'",
                text,
            ));
        }
        Query {
            shape: SHAPE,
            lead,
            rest,
            span: self.span,
            page,
        }
    }
}

/// A page of the deliveries, newest first.
///
/// # Errors
/// Those of the database.
pub fn list(tx: &ReadTx<'_>, filter: &Filter, page: Page) -> Result<Listed<Delivery>, DbError> {
    filter.query(page).read(tx, read, |row| row.id)
}
