//! The operator's log as a list. Payloads are left out: up to a megabyte each, and no list shows them.

use domain::prefix::Prefix;

use super::{Condition, Listed, Page, Query, Shape, Span, Written};
use crate::error::DbError;
use crate::tables::events::{self, Event};
use crate::tx::ReadTx;

const SHAPE: Shape = Shape {
    table: "attack_events",
    columns: events::LIST_COLUMNS,
    time: "created_at",
    written: Written::Ours,
};

/// Which rows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Recorded when.
    pub span: Span,
    /// The first prefix of a row; a row that concerns several is found by the others through its incident.
    pub prefix: Option<Prefix>,
    /// START, END, ADVERTISE, ...
    pub event_type: Option<String>,
    /// Type of alert, or origin of an act.
    pub alert_type: Option<String>,
    /// Of any prefix at all.
    pub own: bool,
    /// Of this attack.
    pub attack_id: Option<String>,
    /// Anywhere in what a row says.
    pub text: Option<String>,
}

impl Filter {
    pub(crate) fn query(&self, page: Page) -> Query {
        let mut lead = None;
        let mut rest = Vec::new();
        let mut add = |leading: Condition, following: Condition| {
            if lead.is_none() {
                lead = Some(leading);
            } else {
                rest.push(following);
            }
        };
        if let Some(prefix) = self.prefix {
            let prefix = prefix.to_string();
            add(
                Condition::text("prefix = ?", &prefix),
                Condition::text("+prefix = ?", &prefix),
            );
        }
        if let Some(kind) = &self.alert_type {
            add(
                Condition::text("alert_type = ?", kind),
                Condition::text("+alert_type = ?", kind),
            );
        }
        if let Some(kind) = &self.event_type {
            add(
                Condition::text("event_type = ?", kind),
                Condition::text("+event_type = ?", kind),
            );
        }
        if let Some(id) = &self.attack_id {
            rest.push(Condition::text("+attack_id = ?", id));
        }
        if self.own && self.prefix.is_none() {
            // What the predecessor wrote where a row concerned none.
            rest.push(Condition::plain("coalesce(prefix, '') NOT IN ('', 'N/A')"));
        }
        if let Some(text) = &self.text {
            rest.push(Condition::contains(
                "concat_ws(char(10), prefix, attack_id, alert_type, attack_vector, target_ip, policy_name, policy_id,
                   protocol, severity, action_taken, actor) LIKE ? ESCAPE '\\'",
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

/// A page of the log, newest first.
///
/// # Errors
/// Those of the database.
pub fn list(tx: &ReadTx<'_>, filter: &Filter, page: Page) -> Result<Listed<Event>, DbError> {
    filter.query(page).read(tx, events::read, |event| event.id)
}
