//! Files put in their place: whole or not at all, for the right owner, and folders that vanish.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// The user that the services run as.
const SERVICE: &str = "cloudflare-mt";

/// What SQLite keeps beside a file that was not closed.
const COMPANIONS: [&str; 2] = ["-journal", "-wal"];

/// Whom a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    /// User id.
    pub(super) user: u32,
    /// Group id.
    pub(super) group: u32,
}

impl Owner {
    /// The services' user, where the package made one.
    pub(super) fn of_the_service() -> Option<Self> {
        Self::in_passwd(&fs::read_to_string("/etc/passwd").ok()?)
    }

    fn in_passwd(text: &str) -> Option<Self> {
        text.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == SERVICE)
                .then(|| {
                    Some(Self {
                        user: fields.nth(1)?.parse().ok()?,
                        group: fields.next()?.parse().ok()?,
                    })
                })
                .flatten()
        })
    }

    /// Whether this process may give files away.
    pub(super) fn can_give() -> bool {
        rustix::process::geteuid().is_root()
    }

    fn give(self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.user), Some(self.group))
    }
}

/// A folder that only we can read, removed when dropped: it holds secrets.
#[derive(Debug)]
pub(super) struct TempFolder(PathBuf);

impl TempFolder {
    pub(super) fn new() -> io::Result<Self> {
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).map_err(|_| io::Error::other("no randomness"))?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = std::env::temp_dir().join(format!("cloudflare-mt-import-{name}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        // What cannot be removed is readable by us alone.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a file under another name, gives it away, and only then gives it its name.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32, owner: Option<Owner>) -> io::Result<()> {
    let ready = with_ending(path, ".new");
    let _ = fs::remove_file(&ready);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&ready)?;
    let done = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::set_permissions(&ready, fs::Permissions::from_mode(mode)))
        .and_then(|()| owner.map_or(Ok(()), |owner| owner.give(&ready)))
        .and_then(|()| fs::rename(&ready, path));
    if done.is_err() {
        let _ = fs::remove_file(&ready);
    }
    done
}

/// Copies a database and what it was not closed without to `to`, where there is none. Returns its size. A file that
/// changes meanwhile is still being written to and is refused.
pub(super) fn copy_database(from: &Path, to: &Path, durable: bool) -> io::Result<u64> {
    let state = |path: &Path| {
        fs::metadata(path)
            .and_then(|file| Ok((file.len(), file.modified()?)))
            .ok()
    };
    let before = state(from);
    let ready = with_ending(to, ".importing");
    let bytes = fs::copy(from, &ready)?;
    fs::set_permissions(&ready, fs::Permissions::from_mode(0o660))?;
    for companion in COMPANIONS {
        let source = with_ending(from, companion);
        if state(&source).is_some_and(|(size, _)| size > 0) {
            fs::copy(&source, with_ending(to, companion))?;
        }
    }
    if state(from) != before {
        let _ = fs::remove_file(&ready);
        for companion in COMPANIONS {
            let _ = fs::remove_file(with_ending(to, companion));
        }
        return Err(io::Error::other(
            "it was written to meanwhile; stop the old services first",
        ));
    }
    if durable {
        File::open(&ready)?.sync_all()?;
    }
    fs::rename(&ready, to)?;
    Ok(bytes)
}

/// Takes what could not be used out of the place, without deleting it.
pub(super) fn put_aside(path: &Path) {
    for companion in ["", "-journal", "-wal", "-shm"] {
        let file = with_ending(path, companion);
        if file.exists() {
            let _ = fs::rename(&file, with_ending(&file, ".not-imported"));
        }
    }
}

/// Gives the database and what lies beside it to the services' user.
pub(super) fn give_database(path: &Path, owner: Owner) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&name) {
            owner.give(&entry.path())?;
        }
    }
    Ok(())
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_user_is_found() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\ncloudflare-mt:x:990:991::/nonexistent:/bin/false\n";
        assert_eq!(Owner::in_passwd(passwd), Some(Owner { user: 990, group: 991 }));
        assert_eq!(Owner::in_passwd("cloudflare-mt-x:x:1:2:\n"), None);
    }

    #[test]
    fn a_folder_of_secrets_is_ours_alone_and_vanishes() {
        let folder = TempFolder::new().unwrap();
        let path = folder.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        write(&path.join("a"), b"x", 0o640, None).unwrap();
        assert_eq!(
            fs::metadata(path.join("a")).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_database_comes_with_what_was_not_finished() {
        let folder = TempFolder::new().unwrap();
        let (from, to) = (folder.path().join("old.db"), folder.path().join("new.db"));
        fs::write(&from, "rows").unwrap();
        fs::write(with_ending(&from, "-journal"), "unfinished").unwrap();
        assert_eq!(copy_database(&from, &to, true).unwrap(), 4);
        assert_eq!(fs::read(with_ending(&to, "-journal")).unwrap(), b"unfinished");
        put_aside(&to);
        assert!(!to.exists() && with_ending(&to, ".not-imported").exists());
    }
}
