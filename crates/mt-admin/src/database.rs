//! `db`: the file and what is in it. The only way besides a backup in which people should touch the live file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cli::{Table, Trouble, words};
use daemon::exit;
use db::{Cell, Db, DbError, OpenError, OpenOptions, ReadTx, Rows, SCHEMA_VERSION};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::args::DbCommand;
use crate::desk::Desk;
use crate::upkeep;

/// Longest time of a person's statement.
const QUERY_LIMIT: Duration = Duration::from_secs(60);

/// Reading a file of some gigabytes takes minutes.
const CHECK_LIMIT: Duration = Duration::from_secs(3_600);

/// Longest cell shown as text; JSON holds all of it.
const MOST_SHOWN: usize = 200;

/// Runs a command about the database.
///
/// # Errors
/// What prevented it.
pub async fn run(desk: &Desk, command: DbCommand) -> Result<u8, Trouble> {
    match command {
        DbCommand::Status => status(desk).await,
        DbCommand::Check => check(desk).await,
        DbCommand::Backup { file, dated, keep } => {
            let asked = upkeep::BackupAsked {
                target: &file,
                dated,
                keep,
            };
            upkeep::backup(desk, &asked).await
        }
        DbCommand::Restore { file, yes } => upkeep::restore(desk, &file, yes).await,
        DbCommand::Prune { dry_run } => upkeep::prune(desk, dry_run).await,
        DbCommand::Query { sql, limit } => query(desk, &sql, limit).await,
        DbCommand::Migrate => migrate(desk),
    }
}

/// How much is in it.
#[derive(Debug, Serialize)]
struct Counts {
    deliveries: u64,
    attacks: u64,
    attacks_24h: u64,
    withdrawals: u64,
    prefixes: usize,
    open_intents: usize,
    holds: usize,
    messages_waiting: u64,
    messages_failed: u64,
    messages_expired: u64,
}

#[derive(Debug, Serialize)]
struct Status {
    schema: &'static str,
    at: Timestamp,
    path: PathBuf,
    bytes: u64,
    /// Size of the write-ahead log beside it.
    wal_bytes: u64,
    schema_version: i64,
    /// Whether this user may write it.
    writable: bool,
    counts: Counts,
}

fn count(tx: &ReadTx<'_>, now: Timestamp) -> Result<Counts, DbError> {
    let totals = db::events::totals(tx, domain::time::minus(now, Duration::from_secs(86_400)))?;
    let depth = db::outbox::depth(tx)?;
    Ok(Counts {
        deliveries: db::deliveries::count(tx)?,
        attacks: totals.attacks,
        attacks_24h: totals.attacks_24h,
        withdrawals: db::history::count(tx)?,
        prefixes: db::inventory::all(tx)?.len(),
        open_intents: db::intents::open(tx)?.len(),
        holds: db::holds::in_force(tx, now)?.len(),
        messages_waiting: depth.queued,
        messages_failed: depth.failed,
        messages_expired: depth.expired,
    })
}

async fn status(desk: &Desk) -> Result<u8, Trouble> {
    let now = desk.now();
    let db = desk.reading()?;
    let counts = db
        .read("the database cannot be read", move |tx| count(tx, now))
        .await
        .map_err(|error| Trouble::database("the database cannot be read", &error))?;
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let mut wal = db.path().as_os_str().to_owned();
    wal.push("-wal");
    let status = Status {
        schema: "cloudflare-mt/db-status/1",
        at: now,
        path: db.path().to_path_buf(),
        bytes: size(db.path()),
        wal_bytes: size(Path::new(&wal)),
        schema_version: SCHEMA_VERSION,
        // It exists in our schema, so opening it for writing changes nothing.
        writable: Db::open(db.path(), OpenOptions::default()).is_ok(),
        counts,
    };
    if desk.out.is_json() {
        desk.out.document(&status)?;
        return Ok(exit::DONE);
    }
    let (screen, counts) = (desk.out.screen(), &status.counts);
    let grouped = domain::units::grouped;
    desk.out.text(&cli::table::fields(
        &[
            ("file", status.path.display().to_string()),
            (
                "size",
                format!(
                    "{} bytes, log {} bytes",
                    grouped(status.bytes),
                    grouped(status.wal_bytes)
                ),
            ),
            (
                "schema",
                format!("version {}, as this program knows it", status.schema_version),
            ),
            (
                "writable",
                if status.writable { "yes" } else { "not for this user" }.to_owned(),
            ),
            (
                "attacks",
                format!(
                    "{}, {} within a day",
                    grouped(counts.attacks),
                    grouped(counts.attacks_24h)
                ),
            ),
            ("deliveries", grouped(counts.deliveries)),
            ("withdrawals", grouped(counts.withdrawals)),
            ("prefixes", counts.prefixes.to_string()),
            ("open intents", counts.open_intents.to_string()),
            ("holds", counts.holds.to_string()),
            (
                "messages",
                format!(
                    "{} waiting, {} failed, {} expired",
                    counts.messages_waiting, counts.messages_failed, counts.messages_expired
                ),
            ),
        ],
        screen,
    ))?;
    Ok(exit::DONE)
}

async fn check(desk: &Desk) -> Result<u8, Trouble> {
    let db = desk.reading()?;
    let problems = db
        .integrity_check(CHECK_LIMIT)
        .await
        .map_err(|error| Trouble::database("the file could not be checked", &error))?;
    let sound = problems.is_empty();
    if desk.out.is_json() {
        desk.out.document(&json!({
            "schema": "cloudflare-mt/db-check/1",
            "at": desk.now(),
            "path": db.path(),
            "sound": sound,
            "problems": problems,
        }))?;
    } else if sound {
        desk.out.text(&format!("{} is sound\n", db.path().display()))?;
    } else {
        let lines: Vec<String> = problems
            .iter()
            .map(|problem| words::outside(problem, words::LONG))
            .collect();
        desk.out
            .text(&format!("{} is DAMAGED:\n{}\n", db.path().display(), lines.join("\n")))?;
        desk.out.aside(
            "Stop the services (systemctl stop cloudflare-mt.target), then put the newest good copy in its place: \
             cloudflare-mt db restore FILE. The damaged file is kept.\n",
        );
    }
    Ok(if sound { exit::DONE } else { exit::FAILURE })
}

async fn query(desk: &Desk, sql: &str, limit: u32) -> Result<u8, Trouble> {
    let sql = if sql == "-" {
        std::io::read_to_string(std::io::stdin())
            .map_err(|error| Trouble::failed("input.failed", format!("the statement could not be read: {error}")))?
    } else {
        sql.to_owned()
    };
    let db = desk.reading()?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let rows = db
        .query_readonly(&sql, most, QUERY_LIMIT)
        .await
        .map_err(|error| match &error {
            DbError::Sql(_) => Trouble::usage("db.query", cli::trouble::chain(&error)),
            error => Trouble::database("the statement could not be run", error),
        })?;
    if desk.out.is_json() {
        desk.out.document(&json!({
            "schema": "cloudflare-mt/db-query/1",
            "at": desk.now(),
            "columns": rows.columns,
            "rows": rows.rows,
            "more": rows.more,
        }))?;
        return Ok(exit::DONE);
    }
    desk.out.text(&rows_table(&rows, desk))?;
    let count = words::counted(rows.rows.len(), "row", "rows");
    let more = if rows.more { ", and more; see --limit" } else { "" };
    desk.out.aside(&format!("{count}{more}\n"));
    Ok(exit::DONE)
}

fn rows_table(rows: &Rows, desk: &Desk) -> String {
    let columns: Vec<&str> = rows.columns.iter().map(String::as_str).collect();
    let mut table = Table::new(&columns);
    for row in &rows.rows {
        table.row(row.iter().map(|cell| match cell {
            Cell::Null => "NULL".to_owned(),
            Cell::Integer(number) => number.to_string(),
            Cell::Real(number) => number.to_string(),
            Cell::Text(text) => words::outside(text, MOST_SHOWN),
            Cell::Bytes { bytes } => format!("({bytes} bytes)"),
        }));
    }
    table.render(desk.out.screen())
}

fn migrate(desk: &Desk) -> Result<u8, Trouble> {
    let path = &desk.settings.database.path;
    let before = match Db::open(path, OpenOptions::read_only()) {
        Ok(_) => Some(SCHEMA_VERSION),
        Err(OpenError::MigrationNeeded { found, .. }) => Some(found),
        Err(OpenError::FileMissing { .. }) => None,
        // Whatever it is, opening for writing says it better.
        Err(_) => None,
    };
    let db = desk.acting()?;
    if desk.out.is_json() {
        desk.out.document(&json!({
            "schema": "cloudflare-mt/db-migrate/1",
            "at": desk.now(),
            "path": db.path(),
            "before": before,
            "schema_version": SCHEMA_VERSION,
        }))?;
        return Ok(exit::DONE);
    }
    let path = db.path().display();
    desk.out.text(&match before {
        Some(SCHEMA_VERSION) => format!("{path} has schema version {SCHEMA_VERSION} already\n"),
        Some(before) => format!(
            "{path} was migrated from schema version {before} to {SCHEMA_VERSION}; a copy from before lies beside it\n"
        ),
        None => format!("{path} was created with schema version {SCHEMA_VERSION}\n"),
    })?;
    Ok(exit::DONE)
}
