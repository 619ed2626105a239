//! The database file: whether it opens, is sound, has room, and is looked after.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use db::{Db, DbError, OpenOptions};
use domain::time::minus;
use jiff::Timestamp;

use super::finding::{Finding, Severity};
use cli::words::age;

/// Less room than this and writes fail soon.
const ROOM_CRITICAL: u64 = 256 * 1024 * 1024;

/// Less room than this and somebody should look.
const ROOM_WARNING: u64 = 2 * 1024 * 1024 * 1024;

/// Copies older than this are not made any more.
const BACKUP_OLD: Duration = Duration::from_secs(3 * 86_400);

const NOTHING_RECORDED: &str = "nothing can be recorded: no alert is taken, nothing is withdrawn, no message is sent";

/// Opens it for reading. What that says is the finding.
pub fn open(path: &Path) -> (Option<Db>, Finding) {
    const CHECK: &str = "database.file";
    match Db::open(path, OpenOptions::read_only()) {
        Ok(db) => {
            let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
            let bytes = domain::units::grouped(size(path));
            let text = format!("{} opens, {bytes} bytes, schema {}", path.display(), db::SCHEMA_VERSION);
            (Some(db), Finding::ok(CHECK, text))
        }
        Err(error) => {
            let finding = Finding::of(
                Severity::Critical,
                CHECK,
                cli::trouble::chain(&error),
                NOTHING_RECORDED,
                error.remedy(),
            );
            (None, finding)
        }
    }
}

/// Reads every page, as far as the time goes.
pub async fn integrity(db: &Db, limit: Duration) -> Finding {
    const CHECK: &str = "database.integrity";
    match db.integrity_check(limit).await {
        Ok(problems) if problems.is_empty() => Finding::ok(CHECK, "the database is sound"),
        Ok(problems) => {
            let first = cli::words::outside(problems.first().map_or("", String::as_str), 200);
            let text = format!("the database is DAMAGED: {first}");
            let remedy =
                "docs/40-runbooks.md, \"The database is damaged\": stop the services, restore the newest good copy";
            Finding::of(Severity::Critical, CHECK, text, "records are lost or wrong", remedy)
        }
        Err(DbError::Deadline { .. }) => Finding::of(
            Severity::Info,
            CHECK,
            "the database is too large to be read within the doctor's time",
            "whether it is sound was last checked when a service started",
            "cloudflare-mt db check reads all of it",
        ),
        Err(error) => Finding::of(
            Severity::Critical,
            CHECK,
            format!("the database cannot be checked: {}", cli::trouble::chain(&error)),
            NOTHING_RECORDED,
            "cloudflare-mt db check",
        ),
    }
}

/// Room on its disk.
pub fn room(path: &Path) -> Finding {
    const CHECK: &str = "database.room";
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    match rustix::fs::statvfs(folder) {
        Ok(found) => judge_room(found.f_bavail.saturating_mul(found.f_frsize), found.f_favail, size),
        Err(error) => Finding::unknown(
            CHECK,
            format!("the room on the disk of {} is not known: {error}", folder.display()),
            "a full disk stops all records",
        ),
    }
}

fn judge_room(free: u64, inodes: u64, size: u64) -> Finding {
    const CHECK: &str = "database.room";
    let mib = domain::units::grouped(free / (1024 * 1024));
    let text = format!("{mib} MiB are free on the disk of the database");
    let remedy = "make room: cloudflare-mt db prune, old copies, the journal (journalctl --vacuum-size=500M)";
    if free < ROOM_CRITICAL || inodes == 0 {
        let means = format!("when it is full, {NOTHING_RECORDED}");
        return Finding::of(Severity::Critical, CHECK, text, means, remedy);
    }
    if free < ROOM_WARNING || free < size {
        let means = "a backup or a migration needs as much again as the database has";
        return Finding::of(Severity::Warning, CHECK, text, means, remedy);
    }
    Finding::ok(CHECK, text)
}

/// Who else can read or write it.
pub fn permissions(path: &Path) -> Option<Finding> {
    const CHECK: &str = "files.permissions";
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    if mode & 0o006 == 0 {
        return None;
    }
    let (severity, what, means) = if mode & 0o002 != 0 {
        let means = "everybody on this host can change what the machine believes, and with it what it does";
        (Severity::Critical, "written", means)
    } else {
        let means = "everybody on this host can read alerts and password hashes";
        (Severity::Warning, "read", means)
    };
    Some(Finding::of(
        severity,
        CHECK,
        format!("{} can be {what} by everybody (mode {mode:o})", path.display()),
        means,
        format!("chmod 660 {}", path.display()),
    ))
}

/// When the last copy was made. `last` is what the nightly backup remembered.
pub fn backup(last: Option<Timestamp>, now: Timestamp) -> Finding {
    const CHECK: &str = "database.backup";
    match last {
        Some(at) if at >= minus(now, BACKUP_OLD) => {
            Finding::ok(CHECK, format!("the last dated copy is {} old", age(at, now)))
        }
        last => {
            let text = last.map_or_else(
                || "no dated copy was ever made".to_owned(),
                |at| format!("the last dated copy is {} old", age(at, now)),
            );
            let means = "if the disk is lost, so is the record of attacks and acts; protection is not touched";
            let remedy =
                "systemctl status cloudflare-mt-backup.timer, or cloudflare-mt db backup --dated --keep 14 DIR";
            Finding::of(Severity::Warning, CHECK, text, means, remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_judged_by_what_a_full_disk_would_stop() {
        const GIB: u64 = 1024 * 1024 * 1024;
        assert_eq!(judge_room(50 * GIB, 9, GIB).severity, Severity::Ok);
        assert_eq!(judge_room(3 * GIB, 9, 4 * GIB).severity, Severity::Warning);
        assert_eq!(judge_room(GIB, 9, 1).severity, Severity::Warning);
        assert_eq!(judge_room(GIB / 8, 9, 1).severity, Severity::Critical);
        assert_eq!(judge_room(50 * GIB, 0, 1).severity, Severity::Critical);
    }

    #[test]
    fn copies_grow_old() {
        let now: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
        let ago = |days: u64| Some(minus(now, Duration::from_secs(days * 86_400)));
        assert_eq!(backup(ago(1), now).severity, Severity::Ok);
        assert_eq!(backup(ago(9), now).severity, Severity::Warning);
        assert_eq!(backup(None, now).severity, Severity::Warning);
    }

    #[test]
    fn a_file_for_everybody_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        std::fs::write(&path, "").unwrap();
        for (mode, severity) in [
            (0o660, None),
            (0o664, Some(Severity::Warning)),
            (0o666, Some(Severity::Critical)),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(permissions(&path).map(|finding| finding.severity), severity, "{mode:o}");
        }
    }
}
