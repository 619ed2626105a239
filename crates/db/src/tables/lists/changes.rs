//! The audit as a list: every change by anyone.

use serde::Serialize;

use super::{Condition, Listed, Page, Query, Shape, Span, Written};
use crate::error::DbError;
use crate::tables::audit::{self, Entry};
use crate::tx::ReadTx;

const SHAPE: Shape = Shape {
    table: "audit",
    columns: audit::COLUMNS,
    time: "at",
    written: Written::Ours,
};

/// Which rows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// When.
    pub span: Span,
    /// By whom, exactly as written.
    pub actor: Option<String>,
    /// What was done, exactly as written.
    pub action: Option<String>,
    /// Anywhere in the row.
    pub text: Option<String>,
}

/// A row with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Row number.
    pub id: i64,
    /// The row.
    #[serde(flatten)]
    pub entry: Entry,
}

impl Filter {
    pub(crate) fn query(&self, page: Page) -> Query {
        let mut rest = Vec::new();
        let lead = match (&self.actor, &self.action) {
            (Some(actor), action) => {
                rest.extend(action.iter().map(|action| Condition::text("+action = ?", action)));
                Some(Condition::text("actor = ?", actor))
            }
            (None, Some(action)) => Some(Condition::text("action = ?", action)),
            (None, None) => None,
        };
        rest.extend(self.text.iter().map(|text| {
            Condition::contains(
                "concat_ws(char(10), actor, role, via, address, action, subject, before, after, reason, result)
                   LIKE ? ESCAPE '\\'",
                text,
            )
        }));
        Query {
            shape: SHAPE,
            lead,
            rest,
            span: self.span,
            page,
        }
    }
}

/// A page of the audit, newest first.
///
/// # Errors
/// Those of the database.
pub fn list(tx: &ReadTx<'_>, filter: &Filter, page: Page) -> Result<Listed<Change>, DbError> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Change {
            id: row.get("id")?,
            entry: audit::read(row)?,
        })
    };
    filter.query(page).read(tx, read, |row| row.id)
}
