//! Takes over a file of the predecessor: same tables, same ids, every row.
//!
//! Predecessor files differ from each other (tables that nobody created, columns and indexes added by hand) and one of their
//! constraints swallowed deliveries, which SQLite cannot drop in place. So there is one way for all of them: each old table is
//! set aside, the tables of `0001_predecessor_tables.sql` are created, the rows are moved over with their ids, and what the
//! new table refuses goes to `predecessor_leftovers`. What must hold: rows before = rows after + leftovers, or nothing happens.
//! Columns and plain indexes that somebody added by hand are kept.

use rusqlite::{Connection, OptionalExtension, Transaction};
use rusqlite_migration::HookError;

use crate::connection::APPLICATION_ID;

const SQL: &str = include_str!("../../migrations/0001_predecessor_tables.sql");

/// The tables of the predecessor.
const TABLES: [&str; 6] = [
    "attack_events",
    "withdrawal_history",
    "pending_withdrawals",
    "webhook_events",
    "network_analytics_events",
    "prefix_calm_status",
];

/// Names under which old tables wait until their rows are moved.
const ASIDE: &str = "being_adopted_";

pub(crate) fn is_predecessor_table(name: &str) -> bool {
    TABLES.iter().any(|table| table.eq_ignore_ascii_case(name))
}

/// The whole of migration 1, for new files and for the predecessor's.
pub(super) fn adopt(tx: &Transaction<'_>) -> Result<(), HookError> {
    // Renaming must not follow references in views and triggers: they mean the table of that name, which will be the new one.
    tx.pragma_update(None, "legacy_alter_table", true)?;
    let mut old = Vec::new();
    for table in TABLES {
        if let Some(found) = OldTable::set_aside(tx, table)? {
            old.push(found);
        }
    }
    tx.execute_batch(SQL)?;
    for table in &old {
        table.move_rows(tx)?;
    }
    for table in &old {
        table.restore_extras(tx)?;
    }
    tx.pragma_update(None, "legacy_alter_table", false)?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(())
}

struct OldTable {
    name: &'static str,
    columns: Vec<Column>,
    /// How a row's id is read: its own `id`, else the rowid; `None` for a table without either.
    id: Option<&'static str>,
    rows: i64,
    /// The highest id ever given out: ids must not be given out twice even if rows were deleted.
    sequence: i64,
    /// `CREATE INDEX` and `CREATE TRIGGER` statements of the old table, as stored.
    extras: Vec<Extra>,
}

struct Column {
    name: String,
    declared: String,
    default: Option<String>,
}

struct Extra {
    name: String,
    sql: String,
    unique: bool,
}

impl OldTable {
    /// Renames the table out of the way and drops its indexes and triggers. `None` if there is no such table.
    fn set_aside(tx: &Connection, name: &'static str) -> Result<Option<Self>, HookError> {
        let found: Option<String> = tx
            .query_row(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
                [name],
                |row| row.get(0),
            )
            .optional()?;
        let Some(real_name) = found else { return Ok(None) };
        let columns = columns(tx, &real_name)?;
        let rowid: bool = tx.query_row(
            "SELECT NOT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1",
            [&real_name],
            |r| r.get(0),
        )?;
        let id = if usable_id(tx, &real_name, &columns)? {
            Some("\"id\"")
        } else {
            rowid.then_some("rowid")
        };
        let rows = count(tx, &real_name)?;
        let extras = extras(tx, &real_name)?;
        for extra in &extras {
            let kind = if extra.sql.to_ascii_uppercase().starts_with("CREATE TRIGGER") {
                "TRIGGER"
            } else {
                "INDEX"
            };
            tx.execute_batch(&format!("DROP {kind} {}", quoted(&extra.name)))?;
        }
        tx.execute_batch(&format!("ALTER TABLE {} RENAME TO {ASIDE}{name}", quoted(&real_name)))?;
        let sequence = sequence(tx, &format!("{ASIDE}{name}"))?.unwrap_or(0);
        Ok(Some(Self {
            name,
            columns,
            id,
            rows,
            sequence,
            extras,
        }))
    }

    fn move_rows(&self, tx: &Connection) -> Result<(), HookError> {
        let (new, aside) = (self.name, format!("{ASIDE}{}", self.name));
        let known = columns(tx, new)?;
        let (mut into, mut from) = (Vec::new(), Vec::new());
        if let Some(id) = self.id {
            into.push(quoted("id"));
            from.push(id.to_owned());
        }
        let (ours, by_hand): (Vec<_>, Vec<_>) = self
            .columns
            .iter()
            .filter(|c| c.name != "id")
            .partition(|c| known.iter().any(|k| k.name == c.name));
        for column in ours {
            into.push(quoted(&column.name));
            from.push(quoted(&column.name));
        }
        // Columns that somebody added by hand come along as they are declared, out of the way of later migrations.
        let taken = if by_hand.is_empty() {
            Vec::new()
        } else {
            super::newest_columns(new)?
        };
        for column in by_hand {
            let name = if taken.contains(&column.name) {
                format!("{}_by_hand", column.name)
            } else {
                column.name.clone()
            };
            tx.execute_batch(&format!(
                "ALTER TABLE {new} ADD COLUMN {} {}",
                quoted(&name),
                column.declared
            ))?;
            into.push(quoted(&name));
            from.push(quoted(&column.name));
        }
        // A time that the old table did not have is unknown; the default would put today's in.
        let missing_times = known
            .iter()
            .filter(|k| k.default.as_deref() == Some("CURRENT_TIMESTAMP"));
        for column in missing_times.filter(|k| !self.columns.iter().any(|c| c.name == k.name)) {
            into.push(quoted(&column.name));
            from.push("NULL".to_owned());
        }
        // Of two rows with one unique key the newest must win where a row is a state; elsewhere the first is the record.
        let order = match (self.id, self.name) {
            (Some(id), "prefix_calm_status") => format!(" ORDER BY {id} DESC"),
            (Some(id), _) => format!(" ORDER BY {id}"),
            (None, _) => String::new(),
        };
        let moved = tx.execute(
            &format!(
                "INSERT OR IGNORE INTO {new} ({}) SELECT {} FROM {aside}{order}",
                into.join(", "),
                from.join(", ")
            ),
            [],
        )?;
        let left = self.keep_leftovers(tx, &aside)?;
        let arrived = count(tx, new)?.saturating_add(i64::try_from(left).unwrap_or(i64::MAX));
        if arrived != self.rows {
            let text = format!(
                "table {new} holds {} rows, but {moved} were moved and {left} kept aside",
                self.rows
            );
            return Err(HookError::Hook(text));
        }
        if left > 0 {
            tracing::warn!(event = "db.adopt.leftovers", table = new, rows = left);
        }
        keep_sequence(tx, new, self.sequence)?;
        tx.execute_batch(&format!("DROP TABLE {aside}"))?;
        Ok(())
    }

    /// Rows that the new table refused, as JSON.
    fn keep_leftovers(&self, tx: &Connection, aside: &str) -> Result<usize, HookError> {
        let Some(id) = self.id else { return Ok(0) };
        let mut pairs = Vec::new();
        for column in &self.columns {
            let (text, value) = (column.name.replace('\'', "''"), quoted(&column.name));
            pairs.push(format!(
                "'{text}', CASE typeof({value}) WHEN 'blob' THEN hex({value}) ELSE {value} END"
            ));
        }
        let sql = format!(
            "INSERT INTO predecessor_leftovers (table_name, row_id, row_json) SELECT ?1, {id}, json_object({}) FROM {aside} \
             WHERE {id} NOT IN (SELECT id FROM {})",
            pairs.join(", "),
            self.name
        );
        Ok(tx.execute(&sql, [self.name])?)
    }

    /// Puts back what somebody had added by hand: triggers, and indexes that are not the same as one of ours.
    fn restore_extras(&self, tx: &Connection) -> Result<(), HookError> {
        let ours = extras(tx, self.name)?;
        for extra in &self.extras {
            let same = ours
                .iter()
                .any(|o| o.name.eq_ignore_ascii_case(&extra.name) || essence(&o.sql) == essence(&extra.sql));
            if same {
                continue;
            }
            if extra.unique {
                // It would refuse rows that this product must be able to store.
                tracing::warn!(
                    event = "db.adopt.unique_index_dropped",
                    table = self.name,
                    index = extra.name
                );
                continue;
            }
            // Not worth stopping the migration for: the statement stays readable in the safety copy and in the log.
            if let Err(error) = tx.execute_batch(&extra.sql) {
                tracing::warn!(event = "db.adopt.extra_dropped", table = self.name, name = extra.name, sql = extra.sql, error = %error);
            }
        }
        Ok(())
    }
}

/// True if the old `id` can go on being the id: a whole number in every row, each once.
fn usable_id(tx: &Connection, table: &str, columns: &[Column]) -> Result<bool, HookError> {
    if !columns.iter().any(|c| c.name == "id") {
        return Ok(false);
    }
    let sql = format!(
        "SELECT count(*) = count(DISTINCT CASE typeof(id) WHEN 'integer' THEN id END) FROM {}",
        quoted(table)
    );
    Ok(tx.query_row(&sql, [], |row| row.get(0))?)
}

/// The stored columns, without generated ones. Names in lower case: SQLite does not tell them apart by case.
fn columns(tx: &Connection, table: &str) -> Result<Vec<Column>, HookError> {
    let mut list =
        tx.prepare("SELECT lower(name), type, dflt_value FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid")?;
    let rows = list.query_map([table], |row| {
        Ok(Column {
            name: row.get(0)?,
            declared: row.get(1)?,
            default: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn extras(tx: &Connection, table: &str) -> Result<Vec<Extra>, HookError> {
    let mut list = tx.prepare(
        "SELECT m.name, m.sql, COALESCE(i.\"unique\", 0) FROM sqlite_master m LEFT JOIN pragma_index_list(?1) i ON i.name = m.name \
         WHERE m.tbl_name = ?1 COLLATE NOCASE AND m.type IN ('index', 'trigger') AND m.sql IS NOT NULL ORDER BY m.type, m.name",
    )?;
    let rows = list.query_map([table], |row| {
        Ok(Extra {
            name: row.get(0)?,
            sql: row.get(1)?,
            unique: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What an index covers: the part of its statement after ON, without spaces, quotes and case.
fn essence(sql: &str) -> String {
    let lower = sql.to_ascii_lowercase();
    let covers = lower.split_once(" on ").map_or(lower.as_str(), |(_, rest)| rest);
    covers
        .chars()
        .filter(|c| !c.is_whitespace() && !"\"`[]".contains(*c))
        .collect()
}

fn count(tx: &Connection, table: &str) -> Result<i64, HookError> {
    Ok(tx.query_row(&format!("SELECT count(*) FROM {}", quoted(table)), [], |row| row.get(0))?)
}

fn sequence(tx: &Connection, table: &str) -> Result<Option<i64>, HookError> {
    let there: bool = tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence')",
        [],
        |row| row.get(0),
    )?;
    if !there {
        return Ok(None);
    }
    Ok(
        tx.query_row("SELECT max(seq) FROM sqlite_sequence WHERE name = ?1", [table], |row| {
            row.get(0)
        })?,
    )
}

fn keep_sequence(tx: &Connection, table: &str, least: i64) -> Result<(), HookError> {
    match sequence(tx, table)? {
        Some(now) if now >= least => {}
        Some(_) => drop(tx.execute("UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1", (table, least))?),
        None if least > 0 => drop(tx.execute(
            "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)",
            (table, least),
        )?),
        None => {}
    }
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
