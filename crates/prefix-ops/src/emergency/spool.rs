//! Spool files: one per act of an emergency, as JSON, and their way into the journal.
//!
//! Must hold: a file is whole or not there; only files of folders that nobody else can write are believed, because they
//! become history; an entry is taken once, also when the process dies between the commit and the renaming.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use db::intents::{Change, Intent, NewIntent};
use db::{Db, DbError, WriteTx};
use domain::bgp::{BgpPrefix, Epoch};
use domain::ids::{BgpPrefixId, PrefixId};
use domain::intent::{Act, IntentState, Origin};
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Order;
use crate::record;

/// Name and version of the files' shape.
const SCHEMA: &str = "cloudflare-mt/emergency/1";

/// Folder beside the database.
const FOLDER: &str = "emergency";

/// Where a record can still be left when the database's disk takes nothing; gone after a reboot.
const ELSEWHERE: [&str; 2] = ["/run/cloudflare-mt-emergency", "/var/tmp/cloudflare-mt-emergency"];

/// An entry is closed within its lease.
const LEASE: Duration = Duration::from_secs(86_400);

/// Largest file that is read.
const LARGEST: u64 = 64 * 1024;

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
    /// The prefix.
    pub prefix: Prefix,
    /// Advertise or withdraw.
    pub act: Act,
    /// Cloudflare's ids.
    pub prefix_id: PrefixId,
    /// Cloudflare's ids.
    pub bgp_prefix_id: BgpPrefixId,
    /// What it is called.
    pub description: String,
    /// Who.
    pub actor: String,
    /// By which program.
    pub via: String,
    /// Why.
    pub reason: String,
    /// Against our own rules.
    pub force: bool,
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
            prefix: order.prefix,
            act: order.act,
            prefix_id: order.prefix_id.clone(),
            bgp_prefix_id: order.bgp_prefix_id.clone(),
            description: order.description.clone(),
            actor: order.actor.clone(),
            via: order.via.clone(),
            reason: order.reason.clone(),
            force: order.force,
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
    /// Files that cannot be taken, and why.
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
        let mut files: Vec<PathBuf> = self
            .folders
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
        files
    }

    /// Takes all of them into the journal. A file that cannot be taken is named and left.
    ///
    /// # Errors
    /// Those of the database; what was taken before stays taken.
    pub async fn import(&self, db: &Db, now: Timestamp) -> Result<Imported, DbError> {
        let mut done = Imported::default();
        for path in self.waiting() {
            let entry = match read(&path, db.path()) {
                Ok(entry) => entry,
                Err(why) => {
                    done.odd.push((path, why));
                    continue;
                }
            };
            let (prefix, act) = (entry.prefix, entry.act);
            let taken = db.write("emergency.import", move |tx| take(tx, &entry, now)).await?;
            if taken {
                done.taken.push((prefix, act));
            } else {
                done.there += 1;
            }
            let mut kept = path.clone().into_os_string();
            kept.push(".imported");
            if let Err(error) = fs::rename(&path, kept) {
                done.odd
                    .push((path, format!("it is taken, but cannot be renamed: {error}")));
            }
        }
        Ok(done)
    }
}

fn put_in(folder: &Path, id: &str, text: &[u8]) -> io::Result<PathBuf> {
    let beside_the_database = folder.file_name().is_some_and(|name| name == FOLDER);
    // The services share the database's folder by its group.
    let (of_folder, of_file) = if beside_the_database {
        (0o770, 0o660)
    } else {
        (0o700, 0o600)
    };
    match DirBuilder::new().mode(of_folder).create(folder) {
        Ok(()) => fs::set_permissions(folder, fs::Permissions::from_mode(of_folder | setgid(folder)))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    is_trusted(folder, folder.parent()).map_err(io::Error::other)?;
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

/// Whether nobody but root, ourselves and the owner of the folder above can have put something there.
fn is_trusted(folder: &Path, above: Option<&Path>) -> Result<(), String> {
    let found = fs::symlink_metadata(folder).map_err(|error| error.to_string())?;
    if !found.is_dir() {
        return Err(format!("{} is no folder", folder.display()));
    }
    let ours = fs::metadata("/proc/self").map_or(0, |own| own.uid());
    // A folder that everybody can write (/var/tmp) says nothing by its owner.
    let above = above
        .and_then(|above| fs::metadata(above).ok())
        .filter(|above| above.permissions().mode() & 0o002 == 0)
        .map(|above| above.uid());
    if found.uid() != 0 && found.uid() != ours && Some(found.uid()) != above {
        return Err(format!("{} belongs to somebody else", folder.display()));
    }
    if found.permissions().mode() & 0o002 != 0 {
        return Err(format!("everybody can write to {}", folder.display()));
    }
    Ok(())
}

fn read(path: &Path, database: &Path) -> Result<Entry, String> {
    let folder = path.parent().unwrap_or(database);
    is_trusted(folder, folder.parent())?;
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

/// One transaction: intent, attempts, and where a re-read showed it everything that belongs to a done act. False when it
/// was taken before.
fn take(tx: &WriteTx<'_>, entry: &Entry, now: Timestamp) -> Result<bool, DbError> {
    let mark = format!("emergency:{}", entry.id);
    if db::leases::fact(tx, &mark)?.is_some() {
        return Ok(false);
    }
    db::leases::set_fact(tx, &mark, &entry.act.to_string(), now)?;
    let at = entry.asked_at;
    if entry.act == Act::Advertise {
        let because = format!("{} advertised in an emergency", entry.actor);
        db::intents::cancel_unsent(tx, entry.prefix, false, &because, now)?;
    }
    let owner = format!("emergency/{}", entry.id);
    let id = db::intents::file(tx, &new_intent(tx, entry)?, at)?;
    db::audit::append(tx, &audit_of(entry, id))?;
    let claimed = db::intents::claim(tx, id, &owner, LEASE, at)?;
    let intent = claimed.ok_or(DbError::NotFound)?;
    let go = |from, to, change: &Change<'_>, when| db::intents::transition(tx, id, &owner, (from, to), change, when);
    go(IntentState::Planned, IntentState::Sending, &Change::default(), at)?;
    db::intents::attempt(tx, id, &owner, "patch", ("sending", ""), at)?;
    if entry.fate == Fate::Refused {
        db::intents::attempt(tx, id, &owner, "patch", (&entry.class, &entry.words), at)?;
        let change = Change {
            outcome: Some((&entry.class, &entry.words)),
            release: true,
            ..Change::default()
        };
        go(IntentState::Sending, IntentState::Refused, &change, at)?;
        return Ok(true);
    }
    go(IntentState::Sending, IntentState::Verifying, &Change::default(), at)?;
    db::intents::attempt(tx, id, &owner, "patch", (&entry.class, &entry.words), at)?;
    let Some((seen, seen_at)) = &entry.seen else {
        // Whoever comes next reads it back.
        db::intents::rest(tx, id, &owner, now)?;
        return Ok(true);
    };
    let newer = db::inventory::get(tx, entry.prefix)?.filter(|known| known.read_at > *seen_at);
    let intent = Intent {
        state: IntentState::Verifying,
        sending_at: Some(at),
        ..intent
    };
    record::done(tx, &intent, &owner, seen, false, *seen_at)?;
    if let Some(newer) = newer {
        // Closing it stored what was seen then; what was read since is nearer to the truth.
        db::inventory::observed(tx, &newer.prefix, newer.managed, newer.read_at)?;
    }
    Ok(true)
}

fn new_intent(tx: &WriteTx<'_>, entry: &Entry) -> Result<NewIntent, DbError> {
    Ok(NewIntent {
        prefix: entry.prefix,
        act: entry.act,
        origin: Origin::Person {
            actor: entry.actor.clone(),
            via: entry.via.clone(),
        },
        reason: format!("{} (emergency, without the database)", entry.reason),
        prefix_id: entry.prefix_id.clone(),
        bgp_prefix_id: entry.bgp_prefix_id.clone(),
        epoch: entry.epoch.map(Epoch),
        state_version: None,
        evidence: None,
        incident: db::incidents::current(tx, entry.prefix)?,
        calm_s: None,
        peak: None,
        systems: Vec::new(),
        attack_began_at: None,
        attack_ended_at: None,
        force: entry.force,
    })
}

fn audit_of(entry: &Entry, intent: domain::ids::IntentId) -> db::audit::Entry {
    db::audit::Entry {
        at: entry.asked_at,
        actor: entry.actor.clone(),
        role: "operator".into(),
        via: entry.via.clone(),
        address: None,
        action: format!("prefix.{}", entry.act),
        subject: entry.prefix.to_string(),
        before: None,
        after: Some(format!("intent {intent}")),
        reason: Some(entry.reason.clone()),
        result: format!("emergency: {}", entry.class),
    }
}

#[cfg(test)]
mod tests {
    use db::OpenOptions;
    use domain::bgp::BgpState;

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
        assert_eq!(done.taken, [(entry.prefix, Act::Withdraw)], "{done:?}");
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
}
