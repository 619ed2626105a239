//! Asking name servers: those of this host, or one that the configuration names.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;

use super::{Boxed, Found, Resolver};

/// One attempt; a second one still fits into the deadline of a look-up.
const ATTEMPT: Duration = Duration::from_millis(1_400);

/// Where the zone says nothing about how long there is no name.
const NONE_FOR: Duration = Duration::from_secs(3_600);

/// No resolver could be set up.
#[derive(Debug, thiserror::Error)]
#[error("no name server can be asked: {0}")]
pub struct NoResolver(String);

/// Asks over UDP, and over TCP where an answer does not fit. It remembers nothing itself.
pub struct DnsResolver(TokioResolver);

impl std::fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DnsResolver").finish()
    }
}

impl DnsResolver {
    /// Asks `server`, or without one the name servers of this host (`/etc/resolv.conf`, read now).
    ///
    /// # Errors
    /// [`NoResolver`] when they cannot be found out.
    pub fn new(server: Option<SocketAddr>) -> Result<Self, NoResolver> {
        let failed = |error: hickory_resolver::net::NetError| NoResolver(error.to_string());
        let mut builder = match server {
            None => TokioResolver::builder_tokio().map_err(failed)?,
            Some(server) => {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = server.port();
                }
                let server = NameServerConfig::new(server.ip(), true, connections);
                let config = ResolverConfig::from_name_servers(vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        bound(builder.options_mut());
        builder.build().map(Self).map_err(failed)
    }
}

fn bound(options: &mut ResolverOpts) {
    options.timeout = ATTEMPT;
    options.attempts = 1;
    options.num_concurrent_reqs = 1;
    // Answers are remembered in the database, for all restarts.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
}

impl Resolver for DnsResolver {
    fn name_of(&self, address: IpAddr) -> Boxed<'_, Result<Found, String>> {
        Box::pin(async move {
            match self.0.reverse_lookup(address).await {
                Ok(answer) => {
                    let name = answer.answers().iter().find_map(|record| match &record.data {
                        RData::PTR(name) => Some(name.to_ascii()),
                        _ => None,
                    });
                    let valid_for = answer.valid_until().saturating_duration_since(Instant::now());
                    Ok(Found { name, valid_for })
                }
                Err(error) if error.is_no_records_found() => Ok(Found {
                    name: None,
                    valid_for: NONE_FOR,
                }),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}
