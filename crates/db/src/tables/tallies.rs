//! How many rows the big tables have (`tallies`), kept by triggers: counting a million of them takes longer than a page may.
//! Self-tests are not counted.

use rusqlite::OptionalExtension;

use crate::error::DbError;
use crate::tx::ReadTx;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tally {
    /// START rows of the operator's log.
    Attacks,
    /// Rows of dropped traffic.
    Analytics,
    /// Webhook deliveries.
    Deliveries,
    /// Completed withdrawals.
    Withdrawals,
}

impl Tally {
    fn name(self) -> &'static str {
        match self {
            Self::Attacks => "attacks",
            Self::Analytics => "analytics",
            Self::Deliveries => "deliveries",
            Self::Withdrawals => "withdrawals",
        }
    }
}

/// How many rows there are.
///
/// # Errors
/// Those of the database; a tally that is missing is one.
pub(crate) fn get(tx: &ReadTx<'_>, tally: Tally) -> Result<u64, DbError> {
    let rows: Option<u64> = tx
        .conn()
        .prepare_cached("SELECT rows FROM tallies WHERE name = ?1")?
        .query_row([tally.name()], |row| row.get(0))
        .optional()?;
    rows.ok_or_else(|| DbError::bad_row("tallies", tally.name(), "the row is missing"))
}
