//! `db backup`, `db restore`, `db prune`: what keeps the file alive over the years. Two of them run from timers.
//!
//! Must hold: an old copy goes only after a new one was made and checked; a restore never happens under a running service
//! and loses nothing; rows go a few at a time, so that no service waits.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cli::{Trouble, ask, words};
use daemon::exit;
use db::{BackupReport, RestoreError, SCHEMA_VERSION};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;
use settings::Keep;

use crate::desk::{Desk, audit};

/// Rows deleted in one write.
const AT_ONCE: u32 = 500;

/// Between two such writes, for those of the services.
const BREATH: Duration = Duration::from_millis(20);

/// Facts of the installation that monitoring reads: when it was last done.
pub(crate) const LAST_BACKUP: &str = "last_backup";
const LAST_PRUNE: &str = "last_prune";

/// What a dated copy is called besides its time.
const ENDING: &str = ".db";

/// How a copy is asked for.
#[derive(Debug)]
pub struct BackupAsked<'a> {
    /// The copy, or the folder of dated copies.
    pub target: &'a Path,
    /// Named by its time.
    pub dated: bool,
    /// How many dated copies stay.
    pub keep: Option<u32>,
}

/// Copies the database and checks the copy.
///
/// # Errors
/// Why there is no copy.
pub async fn backup(desk: &Desk, asked: &BackupAsked<'_>) -> Result<u8, Trouble> {
    let now = desk.now();
    let stem = desk
        .settings
        .database
        .path
        .file_stem()
        .unwrap_or(OsStr::new("database"))
        .to_owned();
    let stem = stem.to_string_lossy();
    let file = match asked.dated {
        true => asked.target.join(dated_name(&stem, now)),
        false => asked.target.to_path_buf(),
    };
    let db = desk.reading()?;
    let made = db.backup(&file).await.map_err(|error| {
        let text = format!("there is no backup: {}", cli::trouble::chain(&error));
        Trouble::failed(error.code(), text)
    })?;
    let removed = match asked.keep {
        Some(keep) => thin_out(asked.target, &stem, keep)?,
        None => Vec::new(),
    };
    if asked.dated {
        remember(desk, LAST_BACKUP, now).await;
    }
    tell_backup(desk, &made, &removed)?;
    Ok(exit::DONE)
}

fn tell_backup(desk: &Desk, made: &BackupReport, removed: &[PathBuf]) -> Result<(), Trouble> {
    if desk.out.is_json() {
        return desk.out.document(&json!({
            "schema": "cloudflare-mt/db-backup/1",
            "at": desk.now(),
            "path": made.path,
            "bytes": made.bytes,
            "schema_version": made.schema_version,
            "removed": removed,
        }));
    }
    let bytes = domain::units::grouped(made.bytes);
    let mut text = format!(
        "{}: {bytes} bytes, checked, schema version {}\n",
        made.path.display(),
        made.schema_version
    );
    for old in removed {
        text.push_str(&format!("{}: removed, newer ones are enough\n", old.display()));
    }
    desk.out.text(&text)
}

fn dated_name(stem: &str, at: Timestamp) -> String {
    let time = at.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ");
    format!("{stem}-{time}{ENDING}")
}

/// Whether the name is one that [`dated_name`] gives; whatever else lies in the folder is not ours to remove.
fn is_dated(name: &str, stem: &str) -> bool {
    let time = name
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(ENDING));
    time.is_some_and(|time| {
        time.len() == 16
            && time.bytes().enumerate().all(|(place, byte)| match place {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            })
    })
}

/// Removes all but the newest `keep` dated copies. The name tells the age.
fn thin_out(folder: &Path, stem: &str, keep: u32) -> Result<Vec<PathBuf>, Trouble> {
    let failed = |error: std::io::Error| {
        let text = format!(
            "the copy was made, but older ones in {} could not be removed: {error}",
            folder.display()
        );
        Trouble::failed("db.backup_io", text)
    };
    let mut names: Vec<String> = fs::read_dir(folder)
        .map_err(failed)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_dated(name, stem))
        .collect();
    names.sort_unstable();
    let surplus = names.len().saturating_sub(keep as usize);
    let mut removed = Vec::new();
    for name in names.drain(..surplus) {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(failed)?;
        removed.push(path);
    }
    Ok(removed)
}

/// For monitoring. That it cannot be stored (a full disk, a reader's account) makes the work itself no less done.
async fn remember(desk: &Desk, fact: &'static str, now: Timestamp) {
    let value = domain::time::to_db_text(now);
    let stored = desk
        .write("the time was not stored", move |tx| {
            db::leases::set_fact(tx, fact, &value, now)
        })
        .await;
    if let Err(trouble) = stored {
        desk.out.aside(&format!("note: {trouble}\n"));
    }
}

/// Puts a copy in the place of the database.
///
/// # Errors
/// Why nothing was restored.
pub async fn restore(desk: &Desk, file: &Path, sure: bool) -> Result<u8, Trouble> {
    let target = desk.settings.database.path.clone();
    if !sure {
        if !ask::possible() {
            let text = "a restore needs a confirmation, and there is no terminal to ask at; nothing was done";
            return Err(Trouble::usage("confirmation.impossible", text).remedy("add --yes if you are sure"));
        }
        let question = format!(
            "{} takes the place of {}, which is kept under another name. Go on?",
            file.display(),
            target.display()
        );
        if !ask::yes(desk.out, &question).await? {
            return Err(Trouble::cancelled());
        }
    }
    let (from, now) = (file.to_path_buf(), desk.now());
    let done = tokio::task::spawn_blocking(move || db::restore(&from, &target, now))
        .await
        .map_err(|error| Trouble::failed("internal", format!("the restore was interrupted: {error}")))?
        .map_err(|error| why_not(&error))?;
    if done.schema_version == SCHEMA_VERSION {
        let actor = cli::actor::of_this_process().await;
        let from = file.display().to_string();
        desk.write("the database was restored, but not recorded in its audit", move |tx| {
            audit(tx, &actor, ("db.restore", &from), None, now)
        })
        .await?;
    }
    if desk.out.is_json() {
        desk.out.document(&json!({
            "schema": "cloudflare-mt/db-restore/1",
            "at": now,
            "path": done.path,
            "bytes": done.bytes,
            "schema_version": done.schema_version,
            "replaced": done.replaced,
        }))?;
        return Ok(exit::DONE);
    }
    let kept = done.replaced.map_or_else(String::new, |kept| {
        format!("what was there is now {}\n", kept.display())
    });
    desk.out.text(&format!(
        "{}: {} bytes, checked, schema version {}\n{kept}",
        done.path.display(),
        domain::units::grouped(done.bytes),
        done.schema_version
    ))?;
    desk.out.aside(
        "The automation starts paused: time has passed that the copy knows nothing of. Look at the prefixes, then \
         release the pause (cloudflare-prefix-manager release --all).\n",
    );
    Ok(exit::DONE)
}

fn why_not(error: &RestoreError) -> Trouble {
    let text = format!("nothing was restored: {}", cli::trouble::chain(error));
    let trouble = Trouble::failed(error.code(), text);
    match error {
        RestoreError::InUse { .. } => {
            trouble.remedy("stop the services first: systemctl stop cloudflare-mt.target; end other commands")
        }
        RestoreError::Unusable { source, .. } => trouble.remedy(match source.code() {
            "db.newer_schema" => "restore with the version of the product that made the copy, or a newer one",
            _ => "choose another copy; 'cloudflare-mt db backup' only leaves checked ones",
        }),
        RestoreError::Place { source, .. } => trouble.remedy(source.remedy()),
        _ => trouble.remedy("choose another copy, or make room: the copy is made once more beside the database"),
    }
}

/// What became of one table.
#[derive(Debug, Serialize)]
struct Pruned {
    table: &'static str,
    /// Rows older than this go; absent when they are kept for ever.
    before: Option<Timestamp>,
    rows: u64,
}

/// Deletes rows older than `database.retention` says, or only counts them.
///
/// # Errors
/// Why not all of them could be deleted; those that were are gone.
pub async fn prune(desk: &Desk, dry_run: bool) -> Result<u8, Trouble> {
    let now = desk.now();
    let db = if dry_run { desk.reading()? } else { desk.acting()? };
    let failed = |error: &db::DbError| Trouble::database("old rows could not be deleted", error);
    let mut tables = Vec::new();
    for (table, keep) in desk.settings.database.retention.iter() {
        let Keep::For(age) = keep else {
            tables.push(Pruned {
                table,
                before: None,
                rows: 0,
            });
            continue;
        };
        let before = domain::time::minus(now, age);
        let rows = db
            .read_within("prune.count", Duration::from_secs(60), move |tx| {
                db::retention::count(tx, table, before)
            })
            .await
            .map_err(|error| failed(&error))?;
        if !dry_run {
            delete_old(&db, table, before).await.map_err(|error| failed(&error))?;
        }
        tables.push(Pruned {
            table,
            before: Some(before),
            rows,
        });
    }
    if !dry_run {
        drop(db);
        remember(desk, LAST_PRUNE, now).await;
    }
    if desk.out.is_json() {
        desk.out.document(&json!({
            "schema": "cloudflare-mt/db-prune/1",
            "at": now,
            "dry_run": dry_run,
            "tables": tables,
        }))?;
        return Ok(exit::DONE);
    }
    let mut shown = cli::Table::new(&["TABLE", "OLDER THAN", if dry_run { "WOULD GO" } else { "GONE" }]);
    for row in &tables {
        let before = row
            .before
            .map_or_else(|| "kept for ever".to_owned(), domain::time::for_people);
        shown.row([row.table.to_owned(), before, domain::units::grouped(row.rows)]);
    }
    desk.out.text(&shown.render(desk.out.screen()))?;
    let total: u64 = tables.iter().map(|row| row.rows).sum();
    let count = words::counted(usize::try_from(total).unwrap_or(usize::MAX), "row", "rows");
    desk.out
        .aside(&format!("{count}{}\n", if dry_run { " would go" } else { " deleted" }));
    Ok(exit::DONE)
}

/// Deletes until nothing old is left, and lets the services write in between.
async fn delete_old(db: &db::Db, table: &'static str, before: Timestamp) -> Result<(), db::DbError> {
    loop {
        let gone = db
            .write("prune", move |tx| db::retention::prune(tx, table, before, AT_ONCE))
            .await?;
        if gone == 0 {
            return Ok(());
        }
        tokio::time::sleep(BREATH).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dated_copies_of_this_database_are_ours_to_remove() {
        let at: Timestamp = "2026-11-22T02:40:07.5Z".parse().unwrap();
        let name = dated_name("magic_transit", at);
        assert_eq!(name, "magic_transit-20261122T024007Z.db");
        assert!(is_dated(&name, "magic_transit"));
        for other in [
            "magic_transit.db",
            "magic_transit-20261122T024007Z.db-wal",
            "magic_transit-2026112XT024007Z.db",
            "magic_transit-20261122-024007Z.db",
            "other-20261122T024007Z.db",
            "magic_transit-before-the-move.db",
        ] {
            assert!(!is_dated(other, "magic_transit"), "{other}");
        }
    }

    #[test]
    fn the_newest_stay() {
        let dir = tempfile::tempdir().unwrap();
        for day in 10..16 {
            fs::write(dir.path().join(format!("a-202611{day}T000000Z.db")), "").unwrap();
        }
        fs::write(dir.path().join("a-mine.db"), "").unwrap();
        let removed = thin_out(dir.path(), "a", 2).unwrap();
        assert_eq!(removed.len(), 4);
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["a-20261114T000000Z.db", "a-20261115T000000Z.db", "a-mine.db"]);
    }

    #[test]
    fn every_retention_key_has_a_rule_and_the_other_way_round() {
        let document = json!({"cloudflare": {"account_id": "00112233445566778899aabbccddeeff"}});
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("settings.json"), document.to_string()).unwrap();
        let options = settings::LoadOptions {
            config_dir: Some(dir.path().to_owned()),
            ..settings::LoadOptions::default()
        };
        let retention = settings::load(&options).unwrap().settings.database.retention;
        let mut keys: Vec<&str> = retention.iter().map(|(table, _)| table).collect();
        let mut rules: Vec<&str> = db::retention::tables().collect();
        keys.sort_unstable();
        rules.sort_unstable();
        assert_eq!(keys, rules);
    }
}
