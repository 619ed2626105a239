//! The outbox as a list: what was to be told, and what became of it.

use super::{Condition, Listed, Page, Query, Shape, Span, Written};
use crate::error::DbError;
use crate::tables::outbox::{self, Notification};
use crate::tx::ReadTx;

const SHAPE: Shape = Shape {
    table: "notifications",
    columns: "*",
    time: "created_at",
    written: Written::Ours,
};

/// Which messages.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Entered when.
    pub span: Span,
    /// `queued`, `sent`, `suppressed`, `failed`, `expired`.
    pub state: Option<String>,
    /// Kind of message.
    pub kind: Option<String>,
    /// Anywhere in its facts and its fate.
    pub text: Option<String>,
}

impl Filter {
    pub(crate) fn query(&self, page: Page) -> Query {
        let mut rest = Vec::new();
        rest.extend(self.kind.iter().map(|kind| Condition::text("kind = ?", kind)));
        rest.extend(
            self.text
                .iter()
                .map(|text| Condition::contains("concat_ws(char(10), kind, facts, reason) LIKE ? ESCAPE '\\'", text)),
        );
        Query {
            shape: SHAPE,
            lead: self.state.as_deref().map(|state| Condition::text("state = ?", state)),
            rest,
            span: self.span,
            page,
        }
    }
}

/// A page of the messages, newest first.
///
/// # Errors
/// Those of the database.
pub fn list(tx: &ReadTx<'_>, filter: &Filter, page: Page) -> Result<Listed<Notification>, DbError> {
    filter.query(page).read(tx, outbox::read, |row| row.id.0)
}
