//! Spool files: one per act of an emergency, as JSON, left for the journal (`emergency::journal`).
//!
//! Must hold: a file is whole or not there; only files of folders that nobody else can write are believed, because they
//! become history; a file that cannot be taken stays and is named.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use db::{Db, DbError};
use domain::bgp::{BgpPrefix, Epoch};
use domain::intent::Act;
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Order;
use super::journal::{Taken, take};

/// Name and version of the files' shape.
const SCHEMA: &str = "cloudflare-mt/emergency/1";

/// Folder beside the database.
const FOLDER: &str = "emergency";

/// Where a record can still be left when the database's disk takes nothing; gone after a reboot.
const ELSEWHERE: [&str; 2] = ["/run/cloudflare-mt-emergency", "/var/tmp/cloudflare-mt-emergency"];

/// Largest file that is read.
const LARGEST: u64 = 64 * 1024;

/// So many files are read by one import; an emergency leaves a handful.
pub const AT_ONCE: usize = 200;

/// How far an act came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The call was about to be made; whether it was nobody recorded.
    Sending,
    /// Cloudflare took it.
    Accepted,
    /// Its answer was lost.
    Lost,
    /// Cloudflare refused it.
    Refused,
}

/// What one file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    schema: String,
    /// Names the act; the file is named by it.
    pub id: String,
    /// What was wanted, by whom and why; its fields stand in the file beside the others.
    #[serde(flatten)]
    pub order: Order,
    /// Right before the call.
    pub asked_at: Timestamp,
    /// Since when it had been advertised (withdrawals).
    pub epoch: Option<Timestamp>,
    /// How far it came.
    pub fate: Fate,
    /// Stable class of Cloudflare's answer.
    pub class: String,
    /// Cloudflare's answer in words.
    pub words: String,
    /// What a re-read showed, and when.
    pub seen: Option<(BgpPrefix, Timestamp)>,
}

impl Entry {
    pub(super) fn new(order: &Order, epoch: Option<Epoch>, asked_at: Timestamp) -> Self {
        let prefix = order.prefix.to_string().replace(['/', ':'], "_");
        Self {
            schema: SCHEMA.to_owned(),
            id: format!("{}-{}-{prefix}", asked_at.as_microsecond(), order.act),
            order: order.clone(),
            asked_at,
            epoch: epoch.map(|epoch| epoch.0),
            fate: Fate::Sending,
            class: "sending".to_owned(),
            words: "nobody recorded an answer".to_owned(),
            seen: None,
        }
    }
}

/// No folder takes a record.
#[derive(Debug, thiserror::Error)]
#[error("{}", tried.join("; "))]
pub struct SpoolError {
    /// Each folder with what the file system said.
    tried: Vec<String>,
}

/// Where records are left, the best place first.
#[derive(Debug, Clone)]
pub struct Spool {
    folders: Vec<PathBuf>,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    /// Acts that are in the journal now.
    pub taken: Vec<(Prefix, Act)>,
    /// Acts that were there already.
    pub there: usize,
    /// Files and folders that cannot be taken, and why.
    pub odd: Vec<(PathBuf, String)>,
}

impl Spool {
    /// Beside this database; where that is impossible, in memory or on the system's disk.
    pub fn of(database: &Path) -> Self {
        let beside = database.parent().unwrap_or_else(|| Path::new(".")).join(FOLDER);
        let elsewhere = ELSEWHERE.iter().map(PathBuf::from);
        Self {
            folders: std::iter::once(beside).chain(elsewhere).collect(),
        }
    }

    /// Writes an entry durably, in place of an earlier version of it.
    ///
    /// # Errors
    /// [`SpoolError`] when no folder takes it.
    pub fn put(&self, entry: &Entry) -> Result<PathBuf, SpoolError> {
        let mut tried = Vec::new();
        let text = match serde_json::to_vec_pretty(entry) {
            Ok(text) => text,
            Err(error) => {
                return Err(SpoolError {
                    tried: vec![error.to_string()],
                });
            }
        };
        // Later versions belong beside the first one.
        let there = |folder: &&PathBuf| folder.join(format!("{}.json", entry.id)).exists();
        let first = self.folders.iter().find(there);
        for folder in first
            .into_iter()
            .chain(self.folders.iter().filter(|folder| Some(*folder) != first))
        {
            match put_in(folder, &entry.id, &text) {
                Ok(path) => return Ok(path),
                Err(error) => tried.push(format!("{}: {error}", folder.display())),
            }
        }
        Err(SpoolError { tried })
    }

    /// Files that wait to be imported, oldest first.
    pub fn waiting(&self) -> Vec<PathBuf> {
        self.listed().0
    }

    /// Those, and folders that are there and cannot be looked into.
    fn listed(&self) -> (Vec<PathBuf>, Vec<(PathBuf, String)>) {
        let (mut files, mut odd) = (Vec::new(), Vec::new());
        for folder in &self.folders {
            match fs::read_dir(folder) {
                Ok(entries) => files.extend(
                    entries
                        .filter_map(|entry| Some(entry.ok()?.path()))
                        .filter(|path| path.extension().is_some_and(|extension| extension == "json")),
                ),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => odd.push((folder.clone(), format!("it cannot be looked into: {error}"))),
            }
        }
        files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        (files, odd)
    }

    /// Takes them into the journal, the oldest [`AT_ONCE`]. A file that cannot be taken is named and left. Nothing but a
    /// look at folders when there is none.
    ///
    /// # Errors
    /// Those of the database; what was taken before stays taken.
    pub async fn import(&self, db: &Db, now: Timestamp) -> Result<Imported, DbError> {
        let (spool, database) = (self.clone(), db.path().to_owned());
        // A disk that hangs must not stop who asks.
        let found = off_thread(move || {
            let (files, odd) = spool.listed();
            let read = files.into_iter().take(AT_ONCE).map(|path| {
                let entry = read(&path, &database);
                (path, entry)
            });
            (read.collect::<Vec<_>>(), odd)
        });
        let (files, odd) = found.await.unwrap_or_default();
        let mut done = Imported {
            odd,
            ..Imported::default()
        };
        for (path, entry) in files {
            let entry = match entry {
                Ok(entry) => entry,
                Err(why) => {
                    done.odd.push((path, why));
                    continue;
                }
            };
            let (prefix, act) = (entry.order.prefix, entry.order.act);
            match db.write("emergency.import", move |tx| take(tx, &entry, now)).await {
                Ok(Taken::New) => done.taken.push((prefix, act)),
                Ok(Taken::Known) => done.there += 1,
                // It stays, and is looked at the next time.
                Ok(Taken::Busy) => continue,
                // About this one, not about the database.
                Err(error @ (DbError::Conflict { .. } | DbError::NotFound)) => {
                    done.odd.push((path, format!("the journal does not take it: {error}")));
                    continue;
                }
                Err(error) => return Err(error),
            }
            let mut kept = path.clone().into_os_string();
            kept.push(".imported");
            let from = path.clone();
            match off_thread(move || fs::rename(from, kept)).await {
                // Somebody else has imported it as well, or its writer puts a later version there.
                Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                    let why = format!("it is taken, but cannot be renamed: {error}");
                    done.odd.push((path, why));
                }
                _ => {}
            }
        }
        Ok(done)
    }
}

/// Work on files. `None` when the process ends meanwhile.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

fn put_in(folder: &Path, id: &str, text: &[u8]) -> io::Result<PathBuf> {
    let beside_the_database = folder.file_name().is_some_and(|name| name == FOLDER);
    // The services share the database's folder by its group.
    let of_folder = if beside_the_database { 0o770 } else { 0o700 };
    match DirBuilder::new().mode(of_folder).create(folder) {
        Ok(()) => fs::set_permissions(folder, fs::Permissions::from_mode(of_folder | setgid(folder)))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    is_trusted(folder).map_err(io::Error::other)?;
    // A folder that the installation made for the group is for the services, too.
    let shared = fs::metadata(folder)?.permissions().mode() & 0o020 != 0;
    let of_file = if shared { 0o660 } else { 0o600 };
    let (path, ready) = (folder.join(format!("{id}.json")), folder.join(format!("{id}.new")));
    let _ = fs::remove_file(&ready);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(of_file)
        .open(&ready)?;
    file.write_all(text)?;
    file.set_permissions(fs::Permissions::from_mode(of_file))?;
    file.sync_all()?;
    fs::rename(&ready, &path)?;
    File::open(folder)?.sync_all()?;
    Ok(path)
}

/// The bit by which files inherit the folder's group, where the parent has it.
fn setgid(folder: &Path) -> u32 {
    folder
        .parent()
        .and_then(|parent| fs::metadata(parent).ok())
        .map_or(0, |parent| parent.permissions().mode() & 0o2000)
}

/// Whether nobody can have put something there who may not write the database anyway: who may write to the folder above
/// may replace the database, too. In one that everybody can write (/var/tmp) only root's folders and our own count.
fn is_trusted(folder: &Path) -> Result<(), String> {
    let found = fs::symlink_metadata(folder).map_err(|error| error.to_string())?;
    if !found.is_dir() {
        return Err(format!("{} is no folder", folder.display()));
    }
    if found.permissions().mode() & 0o002 != 0 {
        return Err(format!("everybody can write to {}", folder.display()));
    }
    let ours = fs::metadata("/proc/self").map_or(0, |own| own.uid());
    let above = folder.parent().and_then(|above| fs::metadata(above).ok());
    let is_open = above.is_none_or(|above| above.permissions().mode() & 0o002 != 0);
    if is_open && found.uid() != 0 && found.uid() != ours {
        return Err(format!("{} belongs to somebody else", folder.display()));
    }
    Ok(())
}

fn read(path: &Path, database: &Path) -> Result<Entry, String> {
    let folder = path.parent().unwrap_or(database);
    is_trusted(folder)?;
    let size = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
    if !size.is_file() || size.len() > LARGEST {
        return Err("it is no spool file".to_owned());
    }
    let text = fs::read(path).map_err(|error| format!("it cannot be read: {error}"))?;
    let entry: Entry = serde_json::from_slice(&text).map_err(|error| format!("it is no spool file: {error}"))?;
    if entry.schema != SCHEMA {
        return Err("it is of another version".to_owned());
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use db::OpenOptions;
    use domain::bgp::BgpState;
    use domain::ids::{BgpPrefixId, PrefixId};
    use domain::intent::IntentState;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn entry(act: Act, seen: bool) -> Entry {
        let asked_at = at("2026-11-22T03:00:00Z");
        let order = Order {
            prefix: "203.0.113.0/24".parse().unwrap(),
            act,
            prefix_id: PrefixId::new("aa"),
            bgp_prefix_id: BgpPrefixId::new("bb"),
            description: "Customer hosting".into(),
            actor: "ana@mt1".into(),
            via: "prefix_manager".into(),
            reason: "the disk is full".into(),
            force: false,
        };
        let state = BgpState {
            advertised: Some(act.wanted()),
            advertised_modified_at: Some(at("2026-11-22T03:00:01Z")),
            on_demand_enabled: true,
            locked: false,
            bgp_signalled: false,
            prepend: None,
            auto_advertise_withdraw: false,
        };
        let shown = BgpPrefix {
            prefix: order.prefix,
            parent_id: order.prefix_id.clone(),
            id: order.bgp_prefix_id.clone(),
            asn: None,
            description: String::new(),
            state,
        };
        Entry {
            fate: Fate::Accepted,
            class: "accepted".into(),
            seen: seen.then(|| (shown, at("2026-11-22T03:00:02Z"))),
            ..Entry::new(&order, Some(Epoch(at("2026-11-21T03:00:00Z"))), asked_at)
        }
    }

    fn site() -> (tempfile::TempDir, Db, Spool) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("magic_transit.db");
        let db = Db::open(&path, OpenOptions::default()).unwrap();
        let spool = Spool {
            folders: vec![dir.path().join(FOLDER)],
        };
        (dir, db, spool)
    }

    #[tokio::test]
    async fn an_act_becomes_history_once() {
        let (_dir, db, spool) = site();
        let entry = entry(Act::Withdraw, true);
        let path = spool.put(&entry).unwrap();
        assert_eq!(spool.put(&entry).unwrap(), path, "a later version takes its place");
        let now = at("2026-11-22T09:00:00Z");
        let done = spool.import(&db, now).await.unwrap();
        assert_eq!(done.taken, [(entry.order.prefix, Act::Withdraw)], "{done:?}");
        assert!(spool.waiting().is_empty());
        let read = |tx: &db::ReadTx<'_>| {
            let intents = db::intents::newest(tx, None, 9)?;
            let history = db::history::newest(tx, None, 9)?;
            Ok((intents, history, db::audit::newest(tx, 9)?))
        };
        let (intents, history, audit) = db.read("test", read).await.unwrap();
        assert_eq!(intents.len(), 1);
        assert_eq!(intents[0].state, IntentState::Done);
        assert_eq!(intents[0].created_at, entry.asked_at, "its own time");
        assert_eq!(history.len(), 1);
        assert_eq!(history[0].withdrawn_at, Some(at("2026-11-22T03:00:01Z")));
        assert_eq!(audit[0].result, "emergency: accepted");
        // The process died between the commit and the renaming.
        spool.put(&entry).unwrap();
        let again = spool.import(&db, now).await.unwrap();
        assert_eq!((again.taken.len(), again.there), (0, 1));
        let (intents, history, _) = db.read("test", read).await.unwrap();
        assert_eq!((intents.len(), history.len()), (1, 1));
    }

    #[tokio::test]
    async fn what_was_not_seen_is_read_back_by_whoever_comes_next() {
        let (_dir, db, spool) = site();
        spool.put(&entry(Act::Advertise, false)).unwrap();
        let now = at("2026-11-22T09:00:00Z");
        assert_eq!(spool.import(&db, now).await.unwrap().taken.len(), 1);
        let open = db.read("test", db::intents::open).await.unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].state, &open[0].lease_owner), (IntentState::Verifying, &None));
    }

    #[tokio::test]
    async fn what_its_writer_adds_later_closes_what_was_taken_before() {
        let (_dir, db, spool) = site();
        let now = at("2026-11-22T03:00:05Z");
        for (late, state) in [
            (Fate::Refused, IntentState::Refused),
            (Fate::Accepted, IntentState::Done),
        ] {
            let mut later = entry(Act::Withdraw, late == Fate::Accepted);
            later.id = format!("{}-{late:?}", later.id);
            let first = Entry {
                fate: Fate::Sending,
                seen: None,
                ..later.clone()
            };
            spool.put(&first).unwrap();
            assert_eq!(spool.import(&db, now).await.unwrap().taken.len(), 1);
            let newest = |tx: &db::ReadTx<'_>| Ok(db::intents::newest(tx, None, 1)?.remove(0));
            let open = db.read("test", newest).await.unwrap();
            assert_eq!(open.state, IntentState::Verifying);
            // Somebody reads it back just now: the file waits, and nothing is lost.
            let (id, minute) = (open.id, std::time::Duration::from_secs(60));
            let claimed = db
                .write("test", move |tx| db::intents::claim(tx, id, "daemon", minute, now))
                .await
                .unwrap();
            assert!(claimed.is_some());
            later.fate = late;
            spool.put(&later).unwrap();
            let busy = spool.import(&db, now).await.unwrap();
            assert_eq!(busy, Imported::default());
            assert_eq!(spool.waiting().len(), 1);
            let rests_until = at("2026-11-22T03:00:30Z");
            db.write("test", move |tx| db::intents::rest(tx, id, "daemon", rests_until))
                .await
                .unwrap();
            let known = spool.import(&db, now).await.unwrap();
            assert_eq!((known.taken.len(), known.there), (0, 1), "{known:?}");
            assert!(spool.waiting().is_empty());
            assert_eq!(db.read("test", newest).await.unwrap().state, state);
        }
    }

    #[tokio::test]
    async fn only_files_of_a_trusted_folder_are_believed() {
        let (_dir, db, spool) = site();
        let path = spool.put(&entry(Act::Advertise, true)).unwrap();
        let folder = path.parent().unwrap().to_owned();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let refused = spool.import(&db, at("2026-11-22T09:00:00Z")).await.unwrap();
        assert!(
            refused.taken.is_empty() && refused.odd[0].1.contains("everybody can write"),
            "{refused:?}"
        );
        assert!(
            spool.put(&entry(Act::Withdraw, true)).is_err(),
            "nothing is written there either"
        );
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).unwrap();
        fs::write(folder.join("x.json"), "{\"schema\": 1}").unwrap();
        let odd = spool.import(&db, at("2026-11-22T09:00:00Z")).await.unwrap();
        assert_eq!((odd.taken.len(), odd.odd.len()), (1, 1), "{odd:?}");
    }
    #[tokio::test]
    async fn a_folder_that_cannot_be_looked_into_is_named_and_a_full_one_is_taken_in_parts() {
        let (dir, db, mut spool) = site();
        let now = at("2026-11-22T09:00:00Z");
        assert_eq!(
            spool.import(&db, now).await.unwrap(),
            Imported::default(),
            "nothing there"
        );
        let file = dir.path().join("no-folder");
        fs::write(&file, "").unwrap();
        spool.folders.push(file.clone());
        let odd = spool.import(&db, now).await.unwrap().odd;
        assert_eq!(odd[0].0, file, "{odd:?}");
        spool.folders.pop();
        for number in 0..=AT_ONCE {
            let mut one = entry(Act::Advertise, true);
            one.id = format!("{number:05}");
            spool.put(&one).unwrap();
        }
        assert_eq!(spool.import(&db, now).await.unwrap().taken.len(), AT_ONCE);
        assert_eq!(spool.import(&db, now).await.unwrap().taken.len(), 1);
    }
}
