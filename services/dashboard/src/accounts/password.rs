//! Hashing and verifying passwords: argon2id for ours, bcrypt as the predecessor left it.
//!
//! Must hold: the work for a name that does not exist is the work for one that does; at most [`AT_ONCE`] hashes run at
//! the same time and at most [`MOST_WAITING`] wait, so a flood of logins costs neither the machine nor the pages; the
//! memory of a hash goes back to the system.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::{Output, ParamsString, PasswordHash, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::token::{self, NoRandomness};

/// Memory of one hash in KiB. With [`PASSES`] one of the equivalent choices of OWASP's password storage cheat sheet.
const MEMORY_KIB: u32 = 19 * 1024;

/// Passes over that memory.
const PASSES: u32 = 2;

/// Bytes of hash.
const HASH_BYTES: usize = 32;

/// Two processors are common; a third hash would only take them from the pages.
const AT_ONCE: usize = 2;

/// Logins that may wait for their turn; at half a second each that is a wait of some seconds.
const MOST_WAITING: usize = 16;

/// Longest password that is looked at, in bytes. Hashing time grows with it.
pub(crate) const LONGEST: usize = 512;

/// glibc maps allocations above 32 MiB on their own, always, and unmaps them when freed (`M_MMAP_THRESHOLD`, mallopt(3)).
/// A smaller one would after its first use come from the heap, and the process would keep its 19 MiB for good. Only the
/// pages that are written to become memory, so asking for more costs nothing.
const MAPPED_BYTES: usize = 33 * 1024 * 1024;

/// Why a password could not be hashed or compared. None of it is the person's fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// Too many logins at once.
    #[error("too many logins are waiting")]
    Busy,
    /// No random bytes for a salt.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The hashing library refused parameters or a stored hash.
    #[error("cannot hash: {0}")]
    Library(String),
    /// The work panicked or the runtime is going down.
    #[error("the hashing work did not end")]
    Lost,
}

impl From<argon2::Error> for HashError {
    fn from(error: argon2::Error) -> Self {
        Self::Library(error.to_string())
    }
}

impl From<argon2::password_hash::Error> for HashError {
    fn from(error: argon2::password_hash::Error) -> Self {
        Self::Library(error.to_string())
    }
}

/// What a comparison said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The password is the account's.
    pub(crate) matches: bool,
    /// The stored hash is older or weaker than what we make now.
    pub(crate) rehash: bool,
}

/// What a login is compared with.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// The account's hash; `None` when there is no such account.
    pub(crate) hash: Option<String>,
    /// The bcrypt cost in use by any account. As long as there is one, every login does the work of both kinds, so that
    /// its duration tells nothing about the name.
    pub(crate) bcrypt_cost: Option<u32>,
}

/// The place where hashes are made. Clones share its limits.
#[derive(Debug, Clone)]
pub(crate) struct Hasher {
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Hasher {
    pub(crate) fn new() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// A turn for one login. Throttles are looked at while it is held: so at most [`AT_ONCE`] guesses are ever ahead of
    /// the record of the ones before.
    pub(crate) async fn turn(&self) -> Result<Turn, HashError> {
        let _place = Place::take(&self.waiting)?;
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|_| HashError::Lost)?;
        Ok(Turn { slot: Arc::new(slot) })
    }
}

/// See [`Hasher::turn`].
#[derive(Debug)]
pub(crate) struct Turn {
    /// Shared with the blocking work, which may outlive a caller that went away.
    slot: Arc<OwnedSemaphorePermit>,
}

impl Turn {
    /// Compares a password with what is stored.
    pub(crate) async fn verify(&self, password: SecretString, stored: Stored) -> Result<Verdict, HashError> {
        self.work(move || verify(password.expose_secret(), &stored)).await
    }

    /// A new hash in its text form.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String, HashError> {
        self.work(move || hash(password.expose_secret())).await
    }

    async fn work<T, F>(&self, work: F) -> Result<T, HashError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, HashError> + Send + 'static,
    {
        let slot = Arc::clone(&self.slot);
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(slot);
            result
        });
        done.await.unwrap_or(Err(HashError::Lost))
    }
}

fn verify(password: &str, stored: &Stored) -> Result<Verdict, HashError> {
    let bcrypt = stored.hash.as_deref().filter(|hash| is_bcrypt(hash));
    let argon = stored.hash.as_deref().filter(|hash| !is_bcrypt(hash));
    // Both kinds of work are done whether or not there is a hash of that kind; only the comparison differs.
    let bcrypt_matches = match (bcrypt, stored.bcrypt_cost) {
        (Some(hash), _) => bcrypt::verify(password, hash).unwrap_or(false),
        (None, Some(cost)) => {
            let _ = bcrypt::hash_with_salt(password, cost, [0; 16]);
            false
        }
        (None, None) => false,
    };
    let (argon_matches, outdated) = match argon {
        Some(hash) => compare(password, hash)?,
        None => {
            let _ = derive(password, &[0; 16], &ours()?)?;
            (false, false)
        }
    };
    Ok(Verdict {
        matches: bcrypt_matches || argon_matches,
        rehash: bcrypt.is_some() || outdated,
    })
}

/// Whether the password matches an argon2 hash, and whether that hash is weaker than ours.
fn compare(password: &str, stored: &str) -> Result<(bool, bool), HashError> {
    let parsed = PasswordHash::new(stored)?;
    let (Some(salt), Some(expected)) = (parsed.salt, parsed.hash) else {
        return Err(HashError::Library("the stored hash has no salt or no hash".into()));
    };
    let params = Params::try_from(&parsed)?;
    let mut bytes = [0_u8; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut bytes)?;
    let argon = Argon2::new(
        Algorithm::try_from(parsed.algorithm)?,
        parsed.version.map_or(Ok(Version::default()), Version::try_from)?,
        params.clone(),
    );
    let length = expected.as_bytes().len();
    let computed = derive_with(&argon, password, salt, length)?;
    let weaker = params.m_cost() < MEMORY_KIB || params.t_cost() < PASSES;
    // `Output` compares in constant time.
    Ok((Output::new(&computed)? == expected, weaker))
}

fn hash(password: &str) -> Result<String, HashError> {
    let mut bytes = [0_u8; 16];
    token::fill(&mut bytes)?;
    let params = ours()?;
    let salt = SaltString::encode_b64(&bytes)?;
    let hash = derive(password, &bytes, &params)?;
    let text = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params)?,
        salt: Some(salt.as_salt()),
        hash: Some(Output::new(&hash)?),
    };
    Ok(text.to_string())
}

fn ours() -> Result<Params, HashError> {
    Ok(Params::new(MEMORY_KIB, PASSES, 1, Some(HASH_BYTES))?)
}

fn derive(password: &str, salt: &[u8], params: &Params) -> Result<Vec<u8>, HashError> {
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    derive_with(&argon, password, salt, HASH_BYTES)
}

fn derive_with(argon: &Argon2<'_>, password: &str, salt: &[u8], length: usize) -> Result<Vec<u8>, HashError> {
    let needed = argon.params().block_count();
    let mut memory: Vec<Block> = Vec::with_capacity(needed.max(MAPPED_BYTES / Block::SIZE));
    memory.resize(needed, Block::default());
    let mut out = vec![0; length];
    argon.hash_password_into_with_memory(password.as_bytes(), salt, &mut out, &mut memory)?;
    Ok(out)
}

/// `$2a$`, `$2b$`, `$2y$`: what bcrypt has been written as.
pub(crate) fn is_bcrypt(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix))
}

/// The cost in a bcrypt hash's text, `$2b$12$...`.
pub(crate) fn bcrypt_cost(hash: &str) -> Option<u32> {
    hash.split('$').nth(2).filter(|_| is_bcrypt(hash))?.parse().ok()
}

/// A place among those who wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Result<Self, HashError> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            return Err(HashError::Busy);
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(hash: &str) -> Stored {
        Stored {
            hash: Some(hash.to_owned()),
            bcrypt_cost: None,
        }
    }

    #[test]
    fn our_hash_is_argon2id_and_reads_back() {
        let text = hash("correct horse").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let good = verify("correct horse", &stored(&text)).unwrap();
        assert_eq!((good.matches, good.rehash), (true, false));
        assert!(!verify("correct hors", &stored(&text)).unwrap().matches);
    }

    #[test]
    fn every_spelling_of_bcrypt_is_accepted_and_to_be_rehashed() {
        let parts = bcrypt::hash_with_salt("admin", 4, [7; 16]).unwrap();
        for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB, bcrypt::Version::TwoY] {
            let text = parts.format_for_version(version);
            let good = verify("admin", &stored(&text)).unwrap();
            assert_eq!((good.matches, good.rehash), (true, true), "{text}");
            assert!(!verify("Admin", &stored(&text)).unwrap().matches);
            assert_eq!(bcrypt_cost(&text), Some(4));
        }
        assert_eq!(bcrypt_cost("$argon2id$v=19$m=8"), None);
    }

    #[test]
    fn a_weaker_argon2_hash_is_to_be_rehashed() {
        let params = Params::new(64, 1, 1, Some(HASH_BYTES)).unwrap();
        let bytes = derive("p", &[1; 16], &params).unwrap();
        let salt = SaltString::encode_b64(&[1; 16]).unwrap();
        let text = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params).unwrap(),
            salt: Some(salt.as_salt()),
            hash: Some(Output::new(&bytes).unwrap()),
        };
        let verdict = verify("p", &stored(&text.to_string())).unwrap();
        assert_eq!((verdict.matches, verdict.rehash), (true, true));
    }

    #[tokio::test]
    async fn a_flood_of_logins_is_refused_and_not_queued_without_end() {
        let hasher = Hasher::new();
        let held = [hasher.turn().await.unwrap(), hasher.turn().await.unwrap()];
        let waiting: Vec<_> = (0..MOST_WAITING)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { hasher.turn().await.is_ok() })
            })
            .collect();
        while hasher.waiting.load(Ordering::Relaxed) < MOST_WAITING {
            tokio::task::yield_now().await;
        }
        assert!(matches!(hasher.turn().await, Err(HashError::Busy)));
        drop(held);
        for turn in waiting {
            assert!(turn.await.unwrap());
        }
    }
}
