//! The lock file beside the database: of several processes that start at once, one creates or migrates, the others wait.
//!
//! It guards nothing else: normal work relies on SQLite's own locks. The file stays; removing lock files invites races.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{OpenError, place};
use crate::error::Cause;

/// Held until dropped, also by a crash.
pub(crate) struct FileLock {
    _file: File,
}

/// Between two tries. `flock` could wait by itself, but not with a limit.
const POLL: Duration = Duration::from_millis(2);

/// Takes the lock for the database at `path`, waiting up to `limit`.
pub(crate) fn take(path: &Path, limit: Duration) -> Result<FileLock, OpenError> {
    let name = place::beside(path, ".lock");
    let file = open(&name).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => OpenError::DirectoryNotWritable {
            dir: place::dir_of(path).to_path_buf(),
            source,
        },
        _ => OpenError::io(&name, &source),
    })?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(FileLock { _file: file }),
            Err(TryLockError::WouldBlock) if began.elapsed() < limit => crate::connection::pause(POLL),
            Err(TryLockError::WouldBlock) => {
                let source = Cause::text("another process creates or migrates the database, or hangs while doing so");
                return Err(OpenError::Locked {
                    path: name,
                    waited: limit,
                    source,
                });
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::io(&name, &error)),
        }
    }
}

fn open(name: &Path) -> io::Result<File> {
    match place::create(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            match File::options().read(true).write(true).open(name) {
                // A lock needs no write permission, and another user of the group may have made the file.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(name),
                other => other,
            }
        }
        other => other,
    }
}
