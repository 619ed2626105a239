//! How much of the predecessor's record is in the file: rows of its tables, what could not be moved, what it left undone.

use crate::error::DbError;
use crate::tx::ReadTx;

/// The predecessor's tables that hold a record, with what people call their rows.
const TABLES: [(&str, &str); 4] = [
    ("attack_events", "events"),
    ("webhook_events", "notifications"),
    ("network_analytics_events", "mitigations"),
    ("withdrawal_history", "withdrawals"),
];

/// What is in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// What people call the rows, and how many there are.
    pub rows: Vec<(&'static str, u64)>,
    /// Rows that no table could take: the table and how many. They are kept as JSON in `predecessor_leftovers`.
    pub leftovers: Vec<(String, u64)>,
    /// Withdrawals that the predecessor had scheduled and not done. Nothing carries them out.
    pub pending: u64,
}

/// Counts it.
///
/// # Errors
/// Those of the database.
pub fn count(tx: &ReadTx<'_>) -> Result<Adopted, DbError> {
    let number = |sql: &str| -> Result<u64, DbError> { Ok(tx.conn().query_row(sql, [], |row| row.get(0))?) };
    let rows = TABLES
        .iter()
        .map(|(table, word)| Ok((*word, number(&format!("SELECT count(*) FROM {table}"))?)))
        .collect::<Result<_, DbError>>()?;
    let leftovers = tx
        .conn()
        .prepare("SELECT table_name, count(*) FROM predecessor_leftovers GROUP BY table_name ORDER BY table_name")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(Adopted {
        rows,
        leftovers,
        pending: number("SELECT count(*) FROM pending_withdrawals WHERE status = 'pending'")?,
    })
}
