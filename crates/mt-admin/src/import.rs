//! `import`: what the predecessor left ([`predecessor`]), what an emergency left ([`spool`]), and here the notifications
//! that the predecessor kept as files, one each, in its folder `logs/webhooks`.
//!
//! They are recorded with their own time and tell nobody; repeating the import changes nothing. What a file does not say
//! is not made up: what cannot be read is named and left alone.

mod place;
pub mod predecessor;
pub mod spool;

use std::path::{Path, PathBuf};
use std::time::Duration;

use assembly::intake::imported::{OldFile, Taken};
use cf_api::webhook::{Decoded, decode};
use cli::{Trouble, words};
use daemon::exit;
use db::Db;
use domain::prefix::PrefixMap;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;

use crate::args::ImportCommand;
use crate::desk::{Desk, audit};

/// Largest file taken. Notifications have a few kilobytes; the receiver takes no larger ones either.
const LARGEST: u64 = 1024 * 1024;

/// Odd files listed as text; JSON lists all.
const MOST_LISTED: usize = 50;

/// One file in the report.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) file: String,
    /// `taken`, `there`, `odd`; in a dry run `would_take` in place of the first.
    pub(crate) outcome: &'static str,
    /// When the notification came.
    at: Option<Timestamp>,
    delivery: Option<i64>,
    alert_type: Option<String>,
    /// What is odd about it.
    pub(crate) odd: Option<String>,
}

/// Imports.
///
/// # Errors
/// When the folder cannot be read or nothing can be stored.
pub async fn run(desk: &Desk, command: ImportCommand) -> Result<u8, Trouble> {
    match command {
        ImportCommand::Webhooks { dir, dry_run } => webhooks(desk, &dir, dry_run).await,
        ImportCommand::Spool => spool::run(desk).await,
        // It is run without settings, unless only these are asked for.
        ImportCommand::Predecessor { .. } => Err(Trouble::usage(
            "arguments",
            "--check-config and --print-config answer alone",
        )),
    }
}

/// Takes the files of a folder, or says what would be taken.
///
/// # Errors
/// When the folder cannot be read or nothing can be stored.
pub(crate) async fn take(desk: &Desk, db: &Db, dir: &Path, dry_run: bool) -> Result<Vec<Line>, Trouble> {
    let files = files_of(dir)?;
    let networks = networks(desk, db).await?;
    let mut lines = Vec::new();
    for path in files {
        lines.push(one(desk, db, &networks, &path, dry_run).await?);
    }
    Ok(lines)
}

async fn webhooks(desk: &Desk, dir: &Path, dry_run: bool) -> Result<u8, Trouble> {
    // A wrong folder is told before the database is touched.
    files_of(dir)?;
    let db = if dry_run { desk.reading()? } else { desk.acting()? };
    let lines = take(desk, &db, dir, dry_run).await?;
    let count = |outcome: &str| lines.iter().filter(|line| line.outcome == outcome).count();
    let taken = count("taken") + count("would_take");
    let (there, odd) = (count("there"), count("odd"));
    let now = desk.now();
    if taken > 0 && !dry_run {
        let actor = cli::actor::of_this_process().await;
        let subject = dir.display().to_string();
        let after = json!({"taken": taken, "there": there, "odd": odd}).to_string();
        db.write("import.audit", move |tx| {
            audit(tx, &actor, ("import.webhooks", &subject), Some(after), now)
        })
        .await
        .map_err(|error| Trouble::database("the import was stored but not entered in the audit", &error))?;
    }
    if desk.out.is_json() {
        desk.out.document(&json!({
            "schema": "cloudflare-mt/import-webhooks/1",
            "at": now,
            "directory": dir,
            "dry_run": dry_run,
            "taken": taken,
            "there": there,
            "odd": odd,
            "files": lines,
        }))?;
    } else {
        desk.out.text(&told(&lines, (taken, there, odd), dry_run))?;
    }
    Ok(if lines.iter().any(|line| line.outcome == "odd") {
        exit::FAILURE
    } else {
        exit::DONE
    })
}

fn told(lines: &[Line], (taken, there, odd): (usize, usize, usize), dry_run: bool) -> String {
    let mut text = String::new();
    let odd_lines = lines.iter().filter(|line| line.odd.is_some());
    for line in odd_lines.clone().take(MOST_LISTED) {
        let mark = if line.outcome == "odd" { "left alone" } else { "taken" };
        text.push_str(&format!(
            "{}: {mark}: {}\n",
            words::outside(&line.file, 100),
            words::outside(line.odd.as_deref().unwrap_or_default(), 200)
        ));
    }
    if let more @ 1.. = odd_lines.count().saturating_sub(MOST_LISTED) {
        text.push_str(&format!("and {more} more that are odd; --json lists them\n"));
    }
    let done = if dry_run { "would be taken" } else { "taken" };
    text.push_str(&format!(
        "{} files: {taken} {done}, {there} were stored already, {odd} cannot be read\n",
        lines.len()
    ));
    text
}

/// The predecessor's files, oldest first.
fn files_of(dir: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let failed = |error: std::io::Error| {
        let text = format!("the folder {} cannot be read: {error}", dir.display());
        Trouble::failed("import.folder", text).remedy("name the predecessor's folder logs/webhooks")
    };
    if dir.is_file() {
        return Ok(vec![dir.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("webhook_") && path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        let text = format!("there is no webhook_*.json in {}", dir.display());
        return Err(Trouble::failed("import.nothing", text).remedy("name the predecessor's folder logs/webhooks"));
    }
    Ok(files)
}

/// Our networks, as the receiver knows them.
async fn networks(desk: &Desk, db: &Db) -> Result<PrefixMap<()>, Trouble> {
    let known = db
        .read("import.networks", db::inventory::all)
        .await
        .map_err(|error| Trouble::database("the known prefixes cannot be read", &error))?;
    let settings = &desk.settings;
    Ok(settings
        .managed_prefixes()
        .into_iter()
        .chain(settings.my_prefixes())
        .chain(known.into_iter().map(|entry| entry.prefix.prefix))
        .map(|prefix| (prefix, ()))
        .collect())
}

async fn one(desk: &Desk, db: &Db, networks: &PrefixMap<()>, path: &Path, dry_run: bool) -> Result<Line, Trouble> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut line = Line {
        file: name.clone(),
        outcome: "odd",
        at: None,
        delivery: None,
        alert_type: None,
        odd: None,
    };
    let body = match read(path) {
        Ok(body) => body,
        Err(why) => {
            line.odd = Some(why);
            return Ok(line);
        }
    };
    let notification = match decode(&body) {
        Decoded::Notification(notification) if body.trim_ascii_start().starts_with(b"{") => notification,
        Decoded::Notification(_) => {
            line.odd = Some("it is JSON, but no object".to_owned());
            return Ok(line);
        }
        Decoded::NotJson(not_json) => {
            line.odd = Some(format!("it is not JSON: {}", not_json.why));
            return Ok(line);
        }
    };
    line.alert_type.clone_from(&notification.alert_type);
    let at = match notification.sent_at {
        Some(sent_at) => sent_at.min(desk.now()),
        None => {
            let Some(at) = instant_of(path, &name) else {
                line.odd = Some("neither it nor its name says when it came".to_owned());
                return Ok(line);
            };
            line.odd = Some("it does not say when it was sent; the time of its file counts".to_owned());
            at
        }
    };
    if line.odd.is_none() && !notification.problems.is_empty() {
        line.odd = Some(notification.problems.join("; "));
    }
    line.at = Some(at);
    let old = OldFile::read(&name, body, at);
    let failed = |error| Trouble::database(&format!("{name} was not imported"), &error);
    if dry_run {
        let stored = db.read("import.look", move |tx| old.stored(tx)).await.map_err(failed)?;
        line.delivery = stored.map(|id| id.0);
        line.outcome = if stored.is_some() { "there" } else { "would_take" };
        return Ok(line);
    }
    let (networks, now) = (networks.clone(), desk.now());
    let taken = db
        .write("import.file", move |tx| old.keep(tx, &networks, now))
        .await
        .map_err(failed)?;
    (line.outcome, line.delivery) = match taken {
        Taken::There(id) => ("there", Some(id.0)),
        Taken::Now(kept) => ("taken", Some(kept.delivery.0)),
    };
    Ok(line)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let size = std::fs::metadata(path)
        .map_err(|error| format!("it cannot be read: {error}"))?
        .len();
    if size > LARGEST {
        return Err(format!("it has {size} bytes, more than any notification"));
    }
    std::fs::read(path).map_err(|error| format!("it cannot be read: {error}"))
}

/// When a file without an instant of its own came: its name in the time of this host, as the predecessor wrote it, else
/// its last change.
fn instant_of(path: &Path, name: &str) -> Option<Timestamp> {
    named(name, &TimeZone::system()).or_else(|| {
        let changed = std::fs::metadata(path).and_then(|file| file.modified()).ok()?;
        let since: Duration = changed.duration_since(std::time::UNIX_EPOCH).ok()?;
        Timestamp::from_second(i64::try_from(since.as_secs()).ok()?).ok()
    })
}

/// `webhook_YYYYMMDD_HHMMSS.json`.
fn named(name: &str, zone: &TimeZone) -> Option<Timestamp> {
    let written = name.strip_prefix("webhook_")?.strip_suffix(".json")?;
    let civil = DateTime::strptime("%Y%m%d_%H%M%S", written).ok()?;
    civil.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_hosts_time() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let at = |name: &str| named(name, &zone).map(domain::time::to_db_text);
        assert_eq!(
            at("webhook_20260327_023000.json").as_deref(),
            Some("2026-03-27 00:30:00")
        );
        for bad in [
            "webhook_20260327.json",
            "webhook_20261327_023000.json",
            "other_20260327_023000.json",
            "webhook_.json",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
