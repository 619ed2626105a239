//! One database file in memory, read anew when it is replaced.
//!
//! The file is read whole and never mapped: a mapped file that is truncated while in use kills
//! the process. A new file that cannot be used leaves the old one in use, is told once, and is not
//! tried again until it changes.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;
use maxminddb::{MaxMindDbError, Reader, WithinOptions};

use crate::place::{Place, read_location, read_system};

/// Larger files are refused. The largest commercial city databases have a fifth of this.
const LARGEST: u64 = 1 << 30;

/// Records looked at before a new file is put to use: enough to meet a damaged data section or
/// a database of another kind, few enough to take no time.
const PROBED: usize = 256;

/// Under which terms a database is sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Licence {
    /// MaxMind's GeoIP2 products.
    Commercial,
    /// GeoLite2 and all others.
    Free,
}

impl Licence {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commercial => "commercial",
            Self::Free => "free",
        }
    }
}

/// Which database is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// Its file.
    pub path: PathBuf,
    /// What it calls itself: `GeoLite2-City`, ...
    pub database_type: String,
    /// Under which terms.
    pub licence: Licence,
    /// When it was built, by its own words.
    pub built: Timestamp,
}

/// What a database is expected to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    City,
    Asn,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::City => "city",
            Self::Asn => "asn",
        }
    }
}

/// A database in use.
pub(crate) struct Loaded {
    pub(crate) reader: Reader<Vec<u8>>,
    pub(crate) edition: Edition,
    identity: Identity,
}

/// Tells one version of a file from the next. The time of the last status change is part of it,
/// so that a file whose permissions were corrected is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("it cannot be read")]
    Unreadable(#[source] std::io::Error),
    #[error("it is no regular file")]
    NoFile,
    #[error("it has {0} bytes, more than a database has")]
    TooLarge(u64),
    #[error("it changed while it was read; it is tried again when it is complete")]
    Changing,
    #[error("it is damaged or no database")]
    Damaged(#[source] MaxMindDbError),
    #[error("it holds no {wanted} data; it calls itself {database_type:?}")]
    OtherKind {
        wanted: &'static str,
        database_type: String,
    },
    #[error("it does not say when it was built")]
    Undated,
}

/// A file that was refused, so that it is told only once.
#[derive(Debug, PartialEq, Eq)]
struct Refused {
    path: PathBuf,
    /// `None` when not even that could be found out.
    identity: Option<Identity>,
    why: String,
}

/// The candidates for one kind, and the one in use.
pub(crate) struct Database {
    kind: Kind,
    candidates: Vec<PathBuf>,
    current: RwLock<Option<Arc<Loaded>>>,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    looked: bool,
    refused: Vec<Refused>,
    gone_told: bool,
}

impl Database {
    pub(crate) fn new(kind: Kind, candidates: Vec<PathBuf>) -> Self {
        Self {
            kind,
            candidates,
            current: RwLock::new(None),
            watched: Mutex::default(),
        }
    }

    /// The database in use. The first call looks for it.
    pub(crate) fn in_use(&self) -> Option<Arc<Loaded>> {
        let looked = self.watched().looked;
        if !looked {
            self.refresh();
        }
        self.current()
    }

    /// Why the preferred file is not the one in use, if so.
    pub(crate) fn problem(&self) -> Option<String> {
        let watched = self.watched();
        let refused = watched.refused.first()?;
        Some(format!("{}: {}", refused.path.display(), refused.why))
    }

    /// Looks whether a file appeared or was replaced, and reads it. Blocks while it reads.
    pub(crate) fn refresh(&self) {
        // Held while reading: two threads must not read the same file at once.
        let mut watched = self.watched();
        watched.looked = true;
        let current = self.current();
        let mut refused = Vec::new();
        for path in &self.candidates {
            let metadata = match fs::metadata(path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.refuse(&mut watched, &mut refused, path, None, &Refusal::Unreadable(error));
                    continue;
                }
            };
            let identity = Identity::of(&metadata);
            let in_use = current.as_ref().filter(|loaded| loaded.edition.path == *path);
            if in_use.is_some_and(|loaded| loaded.identity == identity) {
                watched.gone_told = false;
                watched.refused = refused;
                return;
            }
            let known = watched
                .refused
                .iter()
                .position(|known| known.path == *path && known.identity == Some(identity));
            match known {
                Some(known) => refused.push(watched.refused.swap_remove(known)),
                None => match load(self.kind, path, &metadata) {
                    Ok(loaded) => {
                        let edition = &loaded.edition;
                        tracing::info!(
                            event = "geoip.database.loaded",
                            kind = self.kind.as_str(),
                            path = %path.display(),
                            database_type = edition.database_type,
                            built = %edition.built,
                            bytes = identity.size,
                        );
                        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(loaded));
                        watched.gone_told = false;
                        watched.refused = refused;
                        return;
                    }
                    Err(refusal) => self.refuse(&mut watched, &mut refused, path, Some(identity), &refusal),
                },
            }
            if in_use.is_some() {
                // An older version of this very file is better than a lesser database.
                watched.refused = refused;
                return;
            }
        }
        watched.refused = refused;
        if let Some(loaded) = current
            && !watched.gone_told
        {
            watched.gone_told = true;
            tracing::warn!(
                event = "geoip.database.gone",
                kind = self.kind.as_str(),
                path = %loaded.edition.path.display(),
                "the copy in memory stays in use"
            );
        }
    }

    /// Notes a refusal, and tells it unless that was done for the same version before.
    fn refuse(
        &self,
        watched: &mut Watched,
        refused: &mut Vec<Refused>,
        path: &Path,
        identity: Option<Identity>,
        refusal: &Refusal,
    ) {
        let mut why = refusal.to_string();
        if let Some(cause) = std::error::Error::source(refusal) {
            why = format!("{why}: {cause}");
        }
        let entry = Refused {
            path: path.to_owned(),
            identity,
            why,
        };
        if !watched.refused.contains(&entry) {
            tracing::warn!(
                event = "geoip.database.refused",
                kind = self.kind.as_str(),
                path = %entry.path.display(),
                why = entry.why,
            );
        }
        refused.push(entry);
    }

    fn current(&self) -> Option<Arc<Loaded>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(kind: Kind, path: &Path, metadata: &fs::Metadata) -> Result<Loaded, Refusal> {
    if !metadata.is_file() {
        return Err(Refusal::NoFile);
    }
    if metadata.len() > LARGEST {
        return Err(Refusal::TooLarge(metadata.len()));
    }
    let mut file = File::open(path).map_err(Refusal::Unreadable)?;
    let before = Identity::of(&file.metadata().map_err(Refusal::Unreadable)?);
    let size = usize::try_from(before.size).map_err(|_| Refusal::TooLarge(before.size))?;
    // Exactly the size: growing would for a moment need twice the memory.
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(size)
        .map_err(|_| Refusal::TooLarge(before.size))?;
    (&mut file)
        .take(LARGEST)
        .read_to_end(&mut bytes)
        .map_err(Refusal::Unreadable)?;
    let after = Identity::of(&file.metadata().map_err(Refusal::Unreadable)?);
    if after != before || bytes.len() as u64 != before.size {
        return Err(Refusal::Changing);
    }
    let reader = Reader::from_source(bytes).map_err(Refusal::Damaged)?;
    probe(kind, &reader)?;
    let about = reader.metadata();
    let built = i64::try_from(about.build_epoch)
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok())
        .ok_or(Refusal::Undated)?;
    let named_so = |text: &str| text.contains("GeoIP2-");
    let is_commercial =
        named_so(&about.database_type) || path.file_name().is_some_and(|name| named_so(&name.to_string_lossy()));
    let edition = Edition {
        path: path.to_owned(),
        database_type: about
            .database_type
            .chars()
            .filter(|c| !c.is_control())
            .take(80)
            .collect(),
        licence: if is_commercial {
            Licence::Commercial
        } else {
            Licence::Free
        },
        built,
    };
    Ok(Loaded {
        reader,
        edition,
        identity: before,
    })
}

/// Reads the first records: all must be readable, and at least one must hold what is wanted.
fn probe(kind: Kind, reader: &Reader<Vec<u8>>) -> Result<(), Refusal> {
    let mut useful = false;
    for record in reader
        .networks(WithinOptions::default())
        .map_err(Refusal::Damaged)?
        .take(PROBED)
    {
        let record = record.map_err(Refusal::Damaged)?;
        record.decode::<serde::de::IgnoredAny>().map_err(Refusal::Damaged)?;
        let mut place = Place::default();
        match kind {
            Kind::City => read_location(&record, &mut place),
            Kind::Asn => read_system(&record, &mut place),
        }
        useful |= !place.is_empty();
    }
    if useful {
        return Ok(());
    }
    Err(Refusal::OtherKind {
        wanted: kind.as_str(),
        database_type: reader.metadata().database_type.clone(),
    })
}
