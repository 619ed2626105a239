//! The one HTTP client of a process: how connections are made, never what is asked.
//!
//! What must hold:
//! - A host whose IPv6 is dead (SYN dropped, or TCP accepted and TLS silent) costs a fraction of a
//!   second, because addresses are raced up to and including the TLS handshake (see `race`).
//! - A request is never sent twice: the race is over before the first byte of a request is written,
//!   and the client's own retries and redirects are off.
//! - Proxies of the environment are ignored; only a configured one is used.
//!
//! The client is built on first use, because loading the trust store is the largest single piece
//! of memory of a small service and some processes never talk to anybody. What is built here also
//! serves Telegram (`teloxide::Bot::with_client`).

mod harvest;
mod lookup;
mod race;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

pub use lookup::{Lookup, LookupFuture, SystemLookup};
pub use race::Family;

use harvest::Harvester;
use lookup::AttemptResolver;
use race::{Families, RaceLayer};

/// How long one connection may take in all: name lookup, TCP and TLS over every address.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// The "Connection Attempt Delay" that RFC 8305 section 5 recommends.
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Margin after which reqwest's own connect time-out would strike, were ours ever not to.
const BACKSTOP: Duration = Duration::from_millis(500);

/// Idle connections are few and short-lived: services poll at intervals far apart, and a reused
/// connection that the other side is just closing turns a safe failure into an unknown outcome.
const POOL_IDLE: Duration = Duration::from_secs(20);
const POOL_IDLE_PER_HOST: usize = 2;

/// How connections are made.
#[derive(Clone)]
pub struct TransportConfig {
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// Deadline of one connection: name lookup, TCP and TLS together.
    pub connect_deadline: Duration,
    /// Head start of one address over the next.
    pub attempt_delay: Duration,
    /// Certificates in PEM trusted in addition to the system's store.
    pub extra_roots_pem: Vec<Vec<u8>>,
    /// `http://` or `https://` proxy. May carry a password, hence secret. With a proxy the
    /// addresses are not raced: the proxy connects.
    pub proxy: Option<SecretString>,
    /// Where names are looked up.
    pub lookup: Arc<dyn Lookup>,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            user_agent: concat!("cloudflare-mt/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_deadline: CONNECT_DEADLINE,
            attempt_delay: ATTEMPT_DELAY,
            extra_roots_pem: Vec::new(),
            proxy: None,
            lookup: Arc::new(SystemLookup),
        }
    }
}

impl fmt::Debug for TransportConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportConfig")
            .field("user_agent", &self.user_agent)
            .field("connect_deadline", &self.connect_deadline)
            .field("attempt_delay", &self.attempt_delay)
            .field("extra_roots", &self.extra_roots_pem.len())
            .field("proxy", &self.proxy.is_some())
            .finish_non_exhaustive()
    }
}

/// The HTTP client could not be built. The text says which part of the configuration is wrong.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A configured proxy is not a usable URL.
    #[error("the configured proxy is not a usable http:// or https:// URL")]
    Proxy,
    /// A certificate given in addition to the system's store cannot be read.
    #[error("an additional trusted certificate is not readable PEM")]
    ExtraRoot,
    /// Everything else, mostly the system's trust store.
    #[error("no HTTP client can be built; is the package ca-certificates installed?")]
    Build(#[source] reqwest::Error),
}

/// The shared HTTP client of a process. Clones share one pool.
#[derive(Clone)]
pub struct Transport {
    shared: Arc<Shared>,
}

struct Shared {
    config: TransportConfig,
    client: OnceLock<reqwest::Client>,
    families: Arc<Families>,
}

impl Transport {
    /// Remembers `config`; nothing is loaded or connected yet.
    pub fn new(config: TransportConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                client: OnceLock::new(),
                families: Arc::new(Families::default()),
            }),
        }
    }

    /// The client, built on the first call.
    ///
    /// # Errors
    /// [`TransportError`] when the trust store, a given certificate or the proxy is unusable.
    pub fn client(&self) -> Result<&reqwest::Client, TransportError> {
        if let Some(client) = self.shared.client.get() {
            return Ok(client);
        }
        let built = self.build()?;
        // Two first users at once build twice and keep one.
        Ok(self.shared.client.get_or_init(|| built))
    }

    /// The address family that last won for `host`, for diagnosis.
    pub fn last_family(&self, host: &str) -> Option<Family> {
        self.shared.families.get(host)
    }

    fn build(&self) -> Result<reqwest::Client, TransportError> {
        let config = &self.shared.config;
        let mut builder = reqwest::Client::builder()
            .user_agent(config.user_agent.clone())
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(config.connect_deadline + BACKSTOP)
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_IDLE_PER_HOST)
            .tcp_keepalive(Duration::from_secs(15));
        for pem in &config.extra_roots_pem {
            let root = reqwest::Certificate::from_pem(pem).map_err(|_error| TransportError::ExtraRoot)?;
            builder = builder.add_root_certificate(root);
        }
        builder = match &config.proxy {
            Some(proxy) => {
                let proxy = reqwest::Proxy::all(proxy.expose_secret()).map_err(|_error| TransportError::Proxy)?;
                builder.proxy(proxy)
            }
            None => builder
                .dns_resolver(Arc::new(AttemptResolver::new(Arc::clone(&config.lookup))))
                .connector_layer(RaceLayer {
                    lookup: Arc::clone(&config.lookup),
                    families: Arc::clone(&self.shared.families),
                    harvester: Harvester::new().map_err(TransportError::Build)?,
                    attempt_delay: config.attempt_delay,
                    deadline: config.connect_deadline,
                }),
        };
        builder.build().map_err(TransportError::Build)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("config", &self.shared.config)
            .field("built", &self.shared.client.get().is_some())
            .finish()
    }
}
