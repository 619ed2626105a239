//! Names to addresses, and how one connection attempt is confined to the addresses meant for it.
//!
//! reqwest's connector looks a host up by itself. [`AttemptResolver`] answers that lookup with the
//! addresses that the race assigned to the attempt, which it reads from a task-local value: the
//! connector resolves inside the future that the race polls, so the value is always its own.

use std::future::{Future, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Result of a [`Lookup`].
pub type LookupFuture = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Looks names up. A seam for tests; in production [`SystemLookup`].
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of `host`, the preferred first (RFC 6724).
    ///
    /// # Errors
    /// Those of the resolver; an unknown name is an error, not an empty list.
    fn lookup(&self, host: &str) -> LookupFuture;
}

/// `getaddrinfo` on a blocking thread: honours `/etc/hosts`, `gai.conf` and `resolv.conf`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str) -> LookupFuture {
        let host = host.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

tokio::task_local! {
    /// The addresses that the connection attempt in this task may use.
    static ATTEMPT: Arc<[IpAddr]>;
}

/// Runs `connecting` so that it can reach nothing but `addresses`.
pub(super) async fn confined<F: Future>(addresses: Arc<[IpAddr]>, connecting: F) -> F::Output {
    ATTEMPT.scope(addresses, connecting).await
}

pub(super) struct AttemptResolver {
    lookup: Arc<dyn Lookup>,
}

impl AttemptResolver {
    pub(super) fn new(lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup }
    }
}

/// Port 0 asks the connector to put in the URL's port.
fn without_port(addresses: Vec<IpAddr>) -> Addrs {
    Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)))
}

impl Resolve for AttemptResolver {
    fn resolve(&self, name: Name) -> Resolving {
        if let Ok(addresses) = ATTEMPT.try_with(|addresses| addresses.to_vec()) {
            return Box::pin(ready(Ok(without_port(addresses))));
        }
        let looking_up = self.lookup.lookup(name.as_str());
        Box::pin(async move { Ok(without_port(looking_up.await?)) })
    }
}
