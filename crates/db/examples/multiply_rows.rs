//! Makes a database with some rows in each event table into one with as many as told, for measurements:
//! `multiply_rows FILE ROWS`. The rows keep the shape that the services gave them; only numbers, keys and instants differ.
//!
//! Nobody else may use the file meanwhile. It is filled without sync and without indexes, which are made anew at the end:
//! a million rows in five tables with two dozen indexes, several of them over random keys, take an hour when each row
//! goes its ordinary way, and minutes like this. Nothing here is for a database that anybody needs.
#![allow(clippy::print_stderr, clippy::expect_used)] // a command for measurements

use rusqlite::{Connection, params};

/// An event table: its instants, and what must differ between copies of a row.
struct Table {
    name: &'static str,
    /// Columns with an instant as we write it.
    instants: &'static [&'static str],
    /// Columns with an instant as Cloudflare writes it.
    foreign_instants: &'static [&'static str],
    /// Columns with another value for each row: SQL in which `base` is the copied row, `id` its new number, `?1` the copy.
    keys: &'static [(&'static str, &'static str)],
}

const TABLES: [Table; 5] = [
    Table {
        name: "attack_events",
        instants: &["created_at"],
        foreign_instants: &[],
        keys: &[("attack_id", "base.attack_id || '-' || ?1")],
    },
    Table {
        name: "network_analytics_events",
        instants: &["notified_at", "updated_at"],
        foreign_instants: &["event_datetime"],
        keys: &[
            ("attack_id", "base.attack_id || '-' || ?1"),
            ("event_hash", "lower(hex(randomblob(16)))"),
            ("group_key", "lower(hex(randomblob(32)))"),
        ],
    },
    Table {
        name: "webhook_events",
        instants: &["received_at", "event_time"],
        foreign_instants: &[],
        keys: &[
            ("alert_id", "base.alert_id || '-' || ?1"),
            ("body_hash", "lower(hex(randomblob(32)))"),
        ],
    },
    Table {
        name: "withdrawal_history",
        instants: &["created_at", "withdrawn_at", "advertised_at"],
        foreign_instants: &[],
        keys: &[("intent_id", "base.id + ?2")],
    },
    Table {
        name: "audit",
        instants: &["at"],
        foreign_instants: &[],
        keys: &[],
    },
];

/// Rows between two instants that are that far apart, as the filled rows lie.
const SECONDS_A_ROW: i64 = 30;

fn main() {
    let mut args = std::env::args().skip(1);
    let (file, rows) = (args.next().expect("a file"), args.next().expect("a number of rows"));
    let rows: i64 = rows.parse().expect("a number of rows");
    let conn = Connection::open(file).expect("the file opens");
    multiply(&conn, rows).expect("SQLite stores them");
}

fn multiply(conn: &Connection, rows: i64) -> rusqlite::Result<()> {
    conn.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -1000000; PRAGMA foreign_keys = OFF",
    )?;
    for table in &TABLES {
        let began = std::time::Instant::now();
        let put_aside = put_aside(conn, table.name)?;
        fill(conn, table, rows)?;
        conn.execute_batch(&put_aside)?;
        eprintln!("  {}: {:.0} s", table.name, began.elapsed().as_secs_f64());
    }
    // As the migration counts them, because the triggers were away.
    conn.execute_batch(
        "UPDATE tallies SET rows = CASE name
           WHEN 'attacks' THEN (SELECT count(*) FROM attack_events WHERE event_type = 'START' AND is_test = 0)
           WHEN 'analytics' THEN (SELECT count(*) FROM network_analytics_events)
           WHEN 'deliveries' THEN (SELECT count(*) FROM webhook_events WHERE is_test = 0)
           WHEN 'withdrawals' THEN (SELECT count(*) FROM withdrawal_history)
           ELSE rows END",
    )
}

/// Drops indexes and triggers of a table; the statements that make them again.
fn put_aside(conn: &Connection, table: &str) -> rusqlite::Result<String> {
    let found: Vec<(String, String, String)> = conn
        .prepare("SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ?1 AND type IN ('index', 'trigger') AND sql IS NOT NULL")?
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut again = String::new();
    for (kind, name, sql) in found {
        conn.execute_batch(&format!("DROP {kind} {name}"))?;
        again.push_str(&sql);
        again.push_str(";\n");
    }
    Ok(again)
}

/// Replaces the rows of a table by copies of them, oldest copy first, so that numbers and instants grow together.
fn fill(conn: &Connection, table: &Table, rows: i64) -> rusqlite::Result<()> {
    let name = table.name;
    conn.execute_batch(&format!(
        "CREATE TEMP TABLE base AS SELECT * FROM {name} ORDER BY id; DELETE FROM {name}"
    ))?;
    let (least, made): (i64, i64) = conn.query_row("SELECT min(id), count(*) FROM base", [], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let columns: Vec<String> = conn
        .prepare(&format!("SELECT name FROM pragma_table_info('{name}')"))?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let earlier = |form: &str, column: &str| format!("strftime('{form}', base.{column}, ?3)");
    let values: Vec<String> = columns
        .iter()
        .map(|column| {
            let key = table.keys.iter().find(|(of, _)| of == column);
            if column == "id" {
                "base.id + ?2".to_owned()
            } else if let Some((_, key)) = key {
                (*key).to_owned()
            } else if table.instants.contains(&column.as_str()) {
                earlier("%Y-%m-%d %H:%M:%S", column)
            } else if table.foreign_instants.contains(&column.as_str()) {
                earlier("%Y-%m-%dT%H:%M:%SZ", column)
            } else {
                format!("base.{column}")
            }
        })
        .collect();
    let sql = format!(
        "INSERT INTO {name} ({}) SELECT {} FROM base WHERE coalesce(?1, 0) >= 0 ORDER BY base.id",
        columns.join(", "),
        values.join(", ")
    );
    let copies = (rows / made.max(1)).max(1);
    let mut insert = conn.prepare(&sql)?;
    for copy in 0..copies {
        let shift = copy * made - least + 1;
        let age = (copies - 1 - copy) * made * SECONDS_A_ROW;
        insert.execute(params![copies - 1 - copy, shift, format!("-{age} seconds")])?;
    }
    drop(insert);
    conn.execute_batch("DROP TABLE base")
}
