//! A new database file: built under another name and put in place whole, so that nobody ever meets half of one.
//!
//! Building it without the per-statement durability and syncing once at the end also makes it several times faster.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{OpenError, place};
use crate::error::DbError;
use crate::migrate;

/// Creates the database at `path`, which must not exist. The caller holds the lock file.
pub(super) fn new_file(path: &Path) -> Result<(), OpenError> {
    // The name is fixed: what an earlier crash left behind is found and removed, and the lock keeps others away.
    let building = place::beside(path, ".new");
    for leftover in [
        building.clone(),
        place::beside(&building, "-wal"),
        place::beside(&building, "-shm"),
    ] {
        remove_if_there(&leftover).map_err(|e| OpenError::io(&leftover, &e))?;
    }
    let file = place::create(&building).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => OpenError::DirectoryNotWritable {
            dir: place::dir_of(path).to_path_buf(),
            source,
        },
        _ => OpenError::io(path, &source),
    })?;
    drop(file);
    let built = build(&building)
        .map_err(|e| OpenError::from_sqlite(path, &e))
        .and_then(|()| {
            put_aside_orphans(path)
                .and_then(|()| put_in_place(&building, path))
                .map_err(|e| OpenError::io(path, &e))
        });
    if built.is_err() {
        // Best effort: the next attempt removes it as well.
        let _ = fs::remove_file(&building);
    }
    built
}

fn build(path: &Path) -> Result<(), DbError> {
    let mut conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    let _: String = conn.query_row("PRAGMA journal_mode=MEMORY", [], |row| row.get(0))?;
    migrate::to_latest(&mut conn)?;
    let mode: String = conn.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
    debug_assert_eq!(mode, "wal");
    // Closing the only connection moves the log into the file and removes it.
    conn.close().map_err(|(_, error)| DbError::from(error))
}

fn put_in_place(building: &Path, path: &Path) -> io::Result<()> {
    // No connection of this process has the file open any more, so closing this handle drops nobody's lock.
    fs::File::options().write(true).open(building)?.sync_all()?;
    fs::rename(building, path)?;
    place::sync_directory(path)
}

/// Logs of a database that is gone would be replayed into the new file and damage it. They are kept under another name.
fn put_aside_orphans(path: &Path) -> io::Result<()> {
    for suffix in ["-wal", "-journal", "-shm"] {
        let orphan = place::beside(path, suffix);
        match fs::metadata(&orphan) {
            Ok(meta) if meta.len() == 0 || suffix == "-shm" => remove_if_there(&orphan)?,
            Ok(_) => {
                let kept = crate::backup::free_name(&orphan, "orphan");
                fs::rename(&orphan, &kept)?;
                tracing::warn!(event = "db.orphan_log.kept", path = %kept.display());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
