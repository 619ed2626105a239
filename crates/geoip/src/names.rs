//! Host names of addresses by reverse look-up: bounded, with deadlines, remembered in a cache that the caller brings.
//!
//! Names are decoration. What must hold: nobody waits for them; a zone that never answers costs its deadline and no more;
//! that an address has no name is remembered as well as a name, and a failure shortly, so that nobody is asked twice.

mod dns;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

pub use dns::{DnsResolver, NoResolver};

/// Look-ups at the same time.
const AT_ONCE: usize = 4;

/// Addresses of one call; the rest is left for the next.
const MOST: usize = 64;

/// How long one look-up may take.
const DEADLINE: Duration = Duration::from_secs(3);

/// How long a name is good, whatever its zone says.
const NAME_FOR: (Duration, Duration) = (Duration::from_secs(3_600), Duration::from_secs(7 * 86_400));

/// How long it is good that there is none.
const NONE_FOR: (Duration, Duration) = (Duration::from_secs(1_800), Duration::from_secs(86_400));

/// How long after a failure the address is left alone.
const FAILURE_FOR: Duration = Duration::from_secs(900);

/// The longest name that DNS allows.
const LONGEST: usize = 255;

/// A future in a box, so that both sides can be brought by somebody else.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whatever goes wrong with a cache.
pub type CacheError = Box<dyn std::error::Error + Send + Sync>;

/// An answer of a name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name; `None` when the address has none.
    pub name: Option<String>,
    /// How long that is good, as the zone says.
    pub valid_for: Duration,
}

/// Who is asked.
pub trait Resolver: Send + Sync {
    /// The name of an address. An error is a text for people.
    fn name_of(&self, address: IpAddr) -> Boxed<'_, Result<Found, String>>;
}

/// What is to be remembered of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Address.
    pub address: IpAddr,
    /// Its name; `None` when it has none, or none could be found out.
    pub name: Option<String>,
    /// Why none could be found out.
    pub problem: Option<String>,
    /// How long that is good.
    pub valid_for: Duration,
}

/// Where answers are remembered.
pub trait NameCache: Send + Sync {
    /// Which of the addresses have a valid answer, good or bad.
    fn known(&self, addresses: Vec<IpAddr>) -> Boxed<'_, Result<Vec<IpAddr>, CacheError>>;

    /// Remembers answers; each replaces the one before.
    fn keep(&self, answers: Vec<Remembered>) -> Boxed<'_, Result<(), CacheError>>;
}

/// What a round of look-ups came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Names found.
    pub named: usize,
    /// Addresses that have none.
    pub nameless: usize,
    /// Look-ups that failed or took too long.
    pub failed: usize,
    /// Addresses that were known already.
    pub known: usize,
}

/// Looks names up.
pub struct Names {
    resolver: Arc<dyn Resolver>,
    cache: Arc<dyn NameCache>,
    deadline: Duration,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl Names {
    /// With who is asked and where answers are remembered.
    pub fn new(resolver: Arc<dyn Resolver>, cache: Arc<dyn NameCache>) -> Self {
        Self {
            resolver,
            cache,
            deadline: DEADLINE,
        }
    }

    /// Another time for one look-up.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Looks up the addresses that are not known yet, a few at the same time and a bounded number at all, and remembers
    /// what came of each. Forged addresses are not asked about.
    ///
    /// # Errors
    /// Those of the cache.
    pub async fn look_up(&self, addresses: impl IntoIterator<Item = IpAddr>) -> Result<Round, CacheError> {
        let mut wanted: BTreeMap<IpAddr, ()> = addresses
            .into_iter()
            .filter(|address| crate::bogon(*address).is_none())
            .take(MOST)
            .map(|address| (address, ()))
            .collect();
        let mut round = Round::default();
        if wanted.is_empty() {
            return Ok(round);
        }
        for known in self.cache.known(wanted.keys().copied().collect()).await? {
            round.known += usize::from(wanted.remove(&known).is_some());
        }
        let answers: Vec<Remembered> = stream::iter(wanted.into_keys())
            .map(|address| self.ask(address))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for answer in &answers {
            match (&answer.name, &answer.problem) {
                (Some(_), _) => round.named += 1,
                (None, None) => round.nameless += 1,
                (None, Some(_)) => round.failed += 1,
            }
        }
        if !answers.is_empty() {
            self.cache.keep(answers).await?;
        }
        Ok(round)
    }

    async fn ask(&self, address: IpAddr) -> Remembered {
        let answer = tokio::time::timeout(self.deadline, self.resolver.name_of(address)).await;
        let failed = |problem: String| Remembered {
            address,
            name: None,
            problem: Some(problem),
            valid_for: FAILURE_FOR,
        };
        match answer {
            Err(_) => failed(format!("no answer within {} s", self.deadline.as_secs_f64())),
            Ok(Err(problem)) => failed(problem.chars().take(LONGEST).collect()),
            Ok(Ok(found)) => {
                let name = found.name.and_then(|name| readable(&name));
                let (least, most) = if name.is_some() { NAME_FOR } else { NONE_FOR };
                Remembered {
                    address,
                    name,
                    problem: None,
                    valid_for: found.valid_for.clamp(least, most),
                }
            }
        }
    }
}

/// A name as it may be shown: lower case, without the dot at its end. Whoever runs the zone writes what he likes; a text
/// that is no host name is none.
fn readable(name: &str) -> Option<String> {
    let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
    let is_host_name = !name.is_empty()
        && name.len() <= LONGEST
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'/'));
    is_host_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_host_name_is_none() {
        for (told, shown) in [
            ("A.Example.", Some("a.example")),
            ("x-1_2.example", Some("x-1_2.example")),
            ("0/25.2.0.192.in-addr.arpa", Some("0/25.2.0.192.in-addr.arpa")),
            ("<b>.example", None),
            ("a\u{202e}b", None),
            ("a b", None),
            (".", None),
            ("", None),
        ] {
            assert_eq!(readable(told).as_deref(), shown, "{told:?}");
        }
        assert_eq!(readable(&"a".repeat(256)), None);
    }
}
