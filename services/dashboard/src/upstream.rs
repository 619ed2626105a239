//! What was last read from Cloudflare for the pages about rules, tunnels and readiness: each source with its age and why
//! the latest read failed.
//!
//! Must hold: however many browsers ask, a source is read once in its time, and only while somebody asks; a page never
//! waits longer than [`PATIENCE`] and then shows what was read before, with its age; a failed read never becomes an empty
//! list. The situation and its acts do not depend on anything here.

pub(crate) mod change;
mod source;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cf_api::graphql::tunnel_health::TunnelHealth;
use cf_api::rest::alerting::AlertPolicy;
use cf_api::rest::connectors::{Interconnect, Link, PortStatus};
use cf_api::rest::mnm::MnmRule;
use cf_api::rest::rulesets::{EntryPoint, MANAGED_DDOS_L4, Phase, Ruleset};
use cf_api::rest::tokens::TokenStatus;
use cf_api::rest::tunnels::{Route, Tunnel, TunnelKind};
use cf_api::{CfError, CloudflareClient, Deadlines, Transport};

use crate::app::App;

pub(crate) use source::{Reading, Source};

/// No page waits longer for Cloudflare.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

/// Shorter than the deadline of a request: an act reads, writes and reads again within it.
const DEADLINES: Deadlines = Deadlines {
    change: Duration::from_secs(5),
    read: Duration::from_secs(5),
    query: Duration::from_secs(8),
};

/// Ports whose status is asked for.
const MOST_PORTS: usize = 32;

/// What somebody may be about to edit.
const EDITED: Duration = Duration::from_secs(20);

/// What changes by itself.
const MEASURED: Duration = Duration::from_secs(60);

/// What seldom changes.
const SETTLED: Duration = Duration::from_secs(300);

/// A port with what Cloudflare says of it, or why that is not known.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    pub(crate) interconnect: Interconnect,
    pub(crate) status: Result<PortStatus, String>,
}

/// All sources.
pub(crate) struct Upstream {
    transport: Transport,
    owner: String,
    client: OnceLock<CloudflareClient>,
    gre: Arc<Source<Vec<Tunnel>>>,
    ipsec: Arc<Source<Vec<Tunnel>>>,
    interconnects: Arc<Source<Vec<Tunnel>>>,
    routes: Arc<Source<Vec<Route>>>,
    ports: Arc<Source<Vec<Port>>>,
    links: Arc<Source<Vec<Link>>>,
    health: Arc<Source<TunnelHealth>>,
    policies: Arc<Source<Vec<AlertPolicy>>>,
    token: Arc<Source<TokenStatus>>,
    rules: Arc<Source<Vec<MnmRule>>>,
    managed: Arc<Source<Ruleset>>,
    overrides: Arc<Source<EntryPoint>>,
}

impl Upstream {
    /// Nothing is connected yet. `owner` names this process in the shared budget.
    pub(crate) fn new(transport: Transport, owner: &str) -> Self {
        Self {
            transport,
            // The acts' client counts under the owner itself.
            owner: format!("{owner}/pages"),
            client: OnceLock::new(),
            gre: Source::new("gre tunnels", EDITED),
            ipsec: Source::new("ipsec tunnels", EDITED),
            interconnects: Source::new("interconnect tunnels", EDITED),
            routes: Source::new("routes", SETTLED),
            ports: Source::new("ports", MEASURED),
            links: Source::new("links", EDITED),
            health: Source::new("tunnel health", MEASURED),
            policies: Source::new("notification policies", SETTLED),
            token: Source::new("token", SETTLED),
            rules: Source::new("monitoring rules", EDITED),
            managed: Source::new("managed rules", SETTLED),
            overrides: Source::new("overrides", EDITED),
        }
    }

    /// The client of the pages: its reads leave the reserve to what protection depends on.
    ///
    /// # Errors
    /// No credential, or one that cannot be sent.
    pub(crate) fn client(&self, app: &App) -> anyhow::Result<CloudflareClient> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let made = assembly::parts::cloudflare(
            app.settings(),
            &self.transport,
            app.db(),
            &self.owner,
            app.frame().clock(),
        )?;
        let made = made.for_display().with_deadlines(DEADLINES);
        Ok(self.client.get_or_init(|| made).clone())
    }

    fn of_kind(&self, kind: TunnelKind) -> &Arc<Source<Vec<Tunnel>>> {
        match kind {
            TunnelKind::Gre => &self.gre,
            TunnelKind::Ipsec => &self.ipsec,
            TunnelKind::Interconnect => &self.interconnects,
        }
    }

    /// Tunnels of a kind.
    pub(crate) async fn tunnels(&self, app: &App, kind: TunnelKind) -> Reading<Vec<Tunnel>> {
        let read = move |client: CloudflareClient, _| async move { client.list_tunnels(kind).await };
        self.of_kind(kind).look(app, read).await
    }

    /// Tunnels of every kind, in the order of [`TunnelKind::ALL`].
    pub(crate) async fn all_tunnels(&self, app: &App) -> [Reading<Vec<Tunnel>>; 3] {
        let [gre, ipsec, interconnect] = TunnelKind::ALL.map(|kind| self.tunnels(app, kind));
        let (gre, ipsec, interconnect) = tokio::join!(gre, ipsec, interconnect);
        [gre, ipsec, interconnect]
    }

    /// Something of that kind was changed here.
    pub(crate) fn tunnels_changed(&self, kind: TunnelKind) {
        self.of_kind(kind).forget();
    }

    /// Where traffic is sent after scrubbing.
    pub(crate) async fn routes(&self, app: &App) -> Reading<Vec<Route>> {
        self.routes
            .look(app, |client, _| async move { client.list_routes().await })
            .await
    }

    /// Ports with their status.
    pub(crate) async fn ports(&self, app: &App) -> Reading<Vec<Port>> {
        self.ports.look(app, |client, _| ports(client)).await
    }

    /// Virtual links.
    pub(crate) async fn links(&self, app: &App) -> Reading<Vec<Link>> {
        self.links
            .look(app, |client, _| async move { client.list_links().await })
            .await
    }

    /// A link was changed here.
    pub(crate) fn links_changed(&self) {
        self.links.forget();
    }

    /// Probes of all tunnels.
    pub(crate) async fn health(&self, app: &App) -> Reading<TunnelHealth> {
        self.health
            .look(app, |client, now| async move { client.tunnel_health(now).await })
            .await
    }

    /// What Cloudflare announces, and to whom.
    pub(crate) async fn policies(&self, app: &App) -> Reading<Vec<AlertPolicy>> {
        self.policies
            .look(app, |client, _| async move { client.list_alert_policies().await })
            .await
    }

    /// Whether the token is alive.
    pub(crate) async fn token(&self, app: &App) -> Reading<TokenStatus> {
        self.token
            .look(app, |client, _| async move { client.verify_token().await })
            .await
    }

    /// Network monitoring rules.
    pub(crate) async fn rules(&self, app: &App) -> Reading<Vec<MnmRule>> {
        self.rules
            .look(app, |client, _| async move { client.list_mnm_rules().await })
            .await
    }

    /// Cloudflare's network-layer DDoS rules.
    pub(crate) async fn managed(&self, app: &App) -> Reading<Ruleset> {
        self.managed
            .look(
                app,
                |client, _| async move { client.get_ruleset(MANAGED_DDOS_L4).await },
            )
            .await
    }

    /// The overrides of them.
    pub(crate) async fn overrides(&self, app: &App) -> Reading<EntryPoint> {
        self.overrides
            .look(
                app,
                |client, _| async move { client.get_entry_point(Phase::DDOS_L4).await },
            )
            .await
    }

    /// An override was changed here.
    pub(crate) fn overrides_changed(&self) {
        self.overrides.forget();
    }

    /// A rule was changed here.
    pub(crate) fn rules_changed(&self) {
        self.rules.forget();
    }
}

async fn ports(client: CloudflareClient) -> Result<Vec<Port>, CfError> {
    let found = client.list_interconnects().await?;
    let asked = found.into_iter().enumerate().map(|(number, interconnect)| {
        let client = client.clone();
        async move {
            let status = if number < MOST_PORTS {
                client
                    .port_status(&interconnect.name)
                    .await
                    .map_err(|error| said(&error))
            } else {
                Err("not asked for: too many ports".to_owned())
            };
            Port { interconnect, status }
        }
    });
    Ok(futures_util::future::join_all(asked).await)
}

/// Cloudflare's words, or ours about its silence, on one line.
pub(crate) fn said(error: &CfError) -> String {
    crate::words::outside(&error.to_string())
}
