//! Where the file lies: directory, links, permissions, owner. And what the directory says when SQLite only says "cannot".

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::OpenError;
use crate::error::DbError;

/// Owner and group may read and write, others nothing: the file holds session tokens and everything about the network.
pub(crate) const MODE: u32 = 0o660;

/// The absolute path with links resolved, so that two processes which come by different names meet at the same lock.
pub(crate) fn find(path: &Path) -> Result<PathBuf, OpenError> {
    let absolute = std::path::absolute(path).map_err(|e| OpenError::io(path, &e))?;
    match fs::canonicalize(&absolute) {
        Ok(real) if real.is_dir() => Err(OpenError::io(&real, &io::Error::from(io::ErrorKind::IsADirectory))),
        Ok(real) => Ok(real),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (Some(dir), Some(name)) = (absolute.parent(), absolute.file_name()) else {
                return Err(OpenError::io(&absolute, &error));
            };
            let real = fs::canonicalize(dir).map_err(|source| OpenError::DirectoryMissing {
                dir: dir.to_path_buf(),
                source,
            })?;
            Ok(real.join(name))
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            let dir = absolute.parent().unwrap_or(&absolute).to_path_buf();
            Err(OpenError::DirectoryMissing { dir, source: error })
        }
        Err(_) => Err(OpenError::FileNotWritable {
            path: absolute,
            reading: true,
        }),
    }
}

/// The directory of a path that [`find`] returned.
pub(crate) fn dir_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// `path` with something appended to its file name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Creates a file that must not exist yet, with [`MODE`] whatever the umask says.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    give_to_owner_of_directory(path, &file);
    Ok(file)
}

/// A command run by root must not leave files behind that lock the services' user out.
fn give_to_owner_of_directory(path: &Path, file: &File) {
    let (Ok(made), Ok(dir)) = (file.metadata(), fs::metadata(dir_of(path))) else {
        return;
    };
    if made.uid() == 0
        && dir.uid() != 0
        && let Err(error) = std::os::unix::fs::fchown(file, Some(dir.uid()), Some(dir.gid()))
    {
        tracing::warn!(event = "db.owner.unchanged", path = %path.display(), error = %error);
    }
}

/// Makes a created or renamed file survive a power cut.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(dir_of(path))?.sync_all()
}

/// Finds a better word than SQLite's "unable to open" or "readonly": tries to write in the directory, then looks at the file.
pub(super) fn explain(path: &Path, error: &DbError) -> Option<OpenError> {
    let dir = dir_of(path);
    match probe(path) {
        Ok(()) => {}
        Err(source) if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            return Some(OpenError::io(path, &source));
        }
        Err(source)
            if matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            return Some(OpenError::DirectoryNotWritable {
                dir: dir.to_path_buf(),
                source,
            });
        }
        Err(_) => return None,
    }
    match error {
        DbError::ReadOnly(_) => Some(OpenError::FileNotWritable {
            path: path.to_path_buf(),
            reading: false,
        }),
        DbError::Io(cause)
            if cause
                .sqlite_code()
                .is_some_and(|code| code & 0xff == rusqlite::ffi::SQLITE_CANTOPEN) =>
        {
            Some(OpenError::FileNotWritable {
                path: path.to_path_buf(),
                reading: true,
            })
        }
        _ => None,
    }
}

fn probe(path: &Path) -> io::Result<()> {
    let probe = beside(path, &format!(".probe-{}", std::process::id()));
    let written = create(&probe).and_then(|mut file| file.write_all(&[0; 4096]).and_then(|()| file.sync_all()));
    let removed = fs::remove_file(&probe);
    written.and(removed)
}
