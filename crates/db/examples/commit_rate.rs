//! What SQLite itself can do on the disk of the folder given, with the settings of our writers: durable commits of one
//! row and of 64 rows a second. A limit to compare measurements with; `scripts/bench webhook` runs it.
#![allow(clippy::print_stdout, clippy::expect_used)] // a command whose output is its result

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

/// How long each is measured.
const SPAN: Duration = Duration::from_secs(3);

/// Size of a row, about that of a notification.
const ROW_BYTES: usize = 1_024;

fn main() {
    let folder = std::env::args().nth(1).expect("a folder");
    for rows in [1_u64, 64] {
        let path = Path::new(&folder).join(format!("commit_rate_{rows}.db"));
        let rate = rows_a_second(&path, rows).expect("SQLite works there");
        println!("{rows:>3} rows a commit: {rate:>8.0} rows a second");
        for ending in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
        }
    }
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn rows_a_second(path: &Path, rows: u64) -> rusqlite::Result<f64> {
    let conn = Connection::open(path)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.execute_batch("CREATE TABLE entries (id INTEGER PRIMARY KEY, number INTEGER NOT NULL, body TEXT NOT NULL)")?;
    let body = "x".repeat(ROW_BYTES);
    let began = Instant::now();
    let mut stored = 0_u64;
    while began.elapsed() < SPAN {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..rows {
            conn.prepare_cached("INSERT INTO entries (number, body) VALUES (?1, ?2)")?
                .execute(params![i64::try_from(stored).unwrap_or_default(), body])?;
            stored += 1;
        }
        conn.execute_batch("COMMIT")?;
    }
    Ok(stored as f64 / began.elapsed().as_secs_f64())
}
