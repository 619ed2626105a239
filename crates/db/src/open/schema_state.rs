//! What kind of file it is: ours and current, ours and older, the predecessor's, newer, or somebody else's.

use std::path::Path;

use rusqlite::Connection;

use super::OpenError;
use crate::connection::APPLICATION_ID;
use crate::error::DbError;
use crate::migrate;

/// What the header and the table list say.
#[derive(Debug)]
pub(super) struct SchemaState {
    /// `PRAGMA user_version`; the predecessor left it at 0.
    pub(super) version: i64,
    /// No table at all.
    pub(super) empty: bool,
    /// Already in WAL mode.
    pub(super) wal: bool,
    application: i64,
    /// Tables that are neither SQLite's nor a replication tool's; read only where the version alone does not tell.
    tables: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Current,
    Older,
}

pub(super) fn of(conn: &Connection) -> Result<SchemaState, DbError> {
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let version = number("PRAGMA user_version")?;
    let application = number("PRAGMA application_id")?;
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    let mut tables = Vec::new();
    if version != migrate::LATEST {
        // Litestream keeps two tables of its own in the file that it replicates.
        let mut list = conn.prepare(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             AND name NOT LIKE '\\_litestream\\_%' ESCAPE '\\' ORDER BY name",
        )?;
        tables = list.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    }
    let empty = version == 0 && tables.is_empty();
    Ok(SchemaState {
        version,
        empty,
        wal: mode == "wal",
        application,
        tables,
    })
}

impl SchemaState {
    pub(super) fn judge(&self, path: &Path) -> Result<Verdict, OpenError> {
        let ours = match self.version {
            0 => self.application == 0 && (self.empty || self.tables.iter().any(|t| migrate::is_predecessor_table(t))),
            _ => self.application == i64::from(APPLICATION_ID),
        };
        if !ours {
            let tables = if self.tables.is_empty() {
                "none".into()
            } else {
                self.tables[..self.tables.len().min(5)].join(", ")
            };
            return Err(OpenError::NotOurs {
                path: path.to_path_buf(),
                tables,
            });
        }
        match self.version.cmp(&migrate::LATEST) {
            std::cmp::Ordering::Equal => Ok(Verdict::Current),
            std::cmp::Ordering::Less => Ok(Verdict::Older),
            std::cmp::Ordering::Greater => Err(OpenError::NewerSchema {
                path: path.to_path_buf(),
                found: self.version,
                known: migrate::LATEST,
            }),
        }
    }
}
