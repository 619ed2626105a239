//! Tunnels and interconnects for programs, with the predecessor's keys: lists, one, a summary, and changing one.
//!
//! Must hold: what could not be read is null with an error beside it, never an empty list or a zero.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use cf_api::graphql::tunnel_health::TunnelHealth;
use cf_api::rest::alerting::AlertPolicy;
use cf_api::rest::connectors::Link;
use cf_api::rest::tunnels::{Tunnel, TunnelKind};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::answer::Failure;
use crate::app::App;
use crate::asking::{Asking, done};
use crate::connectors::edit::{Editable, LINK, Wanted};
use crate::connectors::send::{self, kind_of};
use crate::connectors::{Health, Probes, unwatched};
use crate::upstream::{Port, Reading};

/// One moment of everything about connectors.
pub(crate) struct Connectors {
    pub(crate) now: Timestamp,
    pub(crate) tunnels: [(TunnelKind, Reading<Vec<Tunnel>>); 3],
    pub(crate) ports: Reading<Vec<Port>>,
    pub(crate) links: Reading<Vec<Link>>,
    pub(crate) health: Reading<TunnelHealth>,
    pub(crate) policies: Reading<Vec<AlertPolicy>>,
}

fn named(tunnels: [Reading<Vec<Tunnel>>; 3]) -> [(TunnelKind, Reading<Vec<Tunnel>>); 3] {
    let [gre, ipsec, interconnect] = tunnels;
    let kinds = TunnelKind::ALL;
    [(kinds[0], gre), (kinds[1], ipsec), (kinds[2], interconnect)]
}

impl Connectors {
    pub(crate) async fn look(app: &App) -> Self {
        let upstream = app.upstream();
        let (tunnels, ports, links, health, policies) = tokio::join!(
            upstream.all_tunnels(app),
            upstream.ports(app),
            upstream.links(app),
            upstream.health(app),
            upstream.policies(app),
        );
        Self {
            now: app.now(),
            tunnels: named(tunnels),
            ports,
            links,
            health,
            policies,
        }
    }

    /// Every tunnel that is known, also from an older read.
    pub(crate) fn known(&self) -> impl Iterator<Item = &Tunnel> {
        let lists = self.tunnels.iter().filter_map(|(_, reading)| reading.value.as_deref());
        lists.flatten()
    }

    pub(crate) fn probes(&self, tunnel: &Tunnel) -> Probes {
        Probes::of(&tunnel.name, tunnel.health_check.as_ref(), &self.health, self.now)
    }

    pub(crate) fn probes_of_link(&self, link: &Link) -> Probes {
        Probes::of(link.name.as_deref().unwrap_or_default(), None, &self.health, self.now)
    }

    /// What could not be read, with why.
    pub(crate) fn troubles(&self) -> Vec<(&'static str, String)> {
        let kinds = self.tunnels.iter().map(|(kind, reading)| {
            let name = match kind {
                TunnelKind::Gre => "GRE tunnels",
                TunnelKind::Ipsec => "IPsec tunnels",
                TunnelKind::Interconnect => "interconnects of Magic Transit",
            };
            (name, reading.trouble())
        });
        let others = [
            ("ports", self.ports.trouble()),
            ("network interconnects", self.links.trouble()),
            ("health of tunnels", self.health.trouble()),
            ("notification policies", self.policies.trouble()),
        ];
        let all = kinds.chain(others);
        all.filter_map(|(name, trouble)| Some((name, trouble?))).collect()
    }

    fn errors(&self) -> BTreeMap<&'static str, String> {
        self.troubles().into_iter().collect()
    }
}

/// A tunnel with what is known of its probes.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct TunnelRow {
    id: String,
    name: String,
    description: String,
    /// gre, ipsec or interconnect
    r#type: &'static str,
    cloudflare_endpoint: Option<String>,
    customer_endpoint: Option<String>,
    interface_address: Option<String>,
    interface_address6: Option<String>,
    mtu: Option<u64>,
    ttl: Option<u64>,
    /// healthy, degraded, down, no_data
    #[cfg_attr(test, schema(value_type = String))]
    health_status: Health,
    health_because: Option<String>,
    /// As Cloudflare gave it
    health_check: Value,
    bgp_status: Value,
    created_on: Value,
    modified_on: Value,
    replay_protection: Value,
    allow_null_cipher: Value,
    /// Percent of the last hour; null is no data
    pass_rate: Option<f64>,
    total_checks: Option<u64>,
    colos_count: Option<usize>,
    colos_down: usize,
    /// No customer traffic for six hours
    idle: Option<bool>,
    /// Why nobody would be told if it failed
    unwatched: Option<String>,
    /// Names this state; a change repeats it
    seen: String,
}

impl TunnelRow {
    fn of(tunnel: &Tunnel, all: &Connectors) -> Self {
        let probes = all.probes(tunnel);
        let raw = |name: &str| tunnel.raw.get(name).cloned().unwrap_or_default();
        Self {
            id: tunnel.id.clone(),
            name: tunnel.name.clone(),
            description: tunnel.description.clone(),
            r#type: tunnel.kind.as_str(),
            cloudflare_endpoint: tunnel.cloudflare_endpoint.clone(),
            customer_endpoint: tunnel.customer_endpoint.clone(),
            interface_address: tunnel.interface_address.clone(),
            interface_address6: tunnel.interface_address6.clone(),
            mtu: tunnel.mtu,
            ttl: tunnel.ttl,
            health_status: probes.health,
            health_because: probes.because.clone(),
            health_check: raw("health_check"),
            bgp_status: raw("bgp_status"),
            created_on: raw("created_on"),
            modified_on: raw("modified_on"),
            replay_protection: raw("replay_protection"),
            allow_null_cipher: raw("allow_null_cipher"),
            pass_rate: probes.pass_rate,
            total_checks: probes.checks,
            colos_count: probes.places,
            colos_down: probes.places_down,
            idle: probes.idle,
            unwatched: unwatched(tunnel, &probes, &all.policies),
            seen: Editable::of_tunnel(tunnel).seen,
        }
    }
}

/// The tunnels.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Tunnels {
    success: bool,
    /// All that are known; null when none could ever be read
    tunnels: Option<Vec<TunnelRow>>,
    gre_count: Option<usize>,
    ipsec_count: Option<usize>,
    interconnect_count: Option<usize>,
    total: Option<usize>,
    /// When the oldest of the lists was read
    read_at: Option<Timestamp>,
    /// What could not be read, with why
    #[cfg_attr(test, schema(value_type = Value))]
    errors: BTreeMap<&'static str, String>,
}

/// Tunnels of Magic Transit with the health of their probes
#[cfg_attr(test, utoipa::path(
    get, path = "/api/connectors/tunnels", operation_id = "list_tunnels", tag = "connectors",
    responses((status = 200, body = Tunnels), crate::api::document::Failures)
))]
pub(crate) async fn tunnels(State(app): State<App>) -> Json<Tunnels> {
    let all = Connectors::look(&app).await;
    let count = |wanted: TunnelKind| {
        let (_, reading) = all.tunnels.iter().find(|(kind, _)| *kind == wanted)?;
        reading.value.as_ref().map(|list| list.len())
    };
    let counts = TunnelKind::ALL.map(count);
    let known = counts.iter().flatten().count() > 0;
    let read_at = all.tunnels.iter().map(|(_, reading)| reading.read_at).min().flatten();
    Json(Tunnels {
        success: true,
        tunnels: known.then(|| all.known().map(|tunnel| TunnelRow::of(tunnel, &all)).collect()),
        gre_count: counts[0],
        ipsec_count: counts[1],
        interconnect_count: counts[2],
        // A sum of what is not all known is no total.
        total: counts.iter().copied().sum::<Option<usize>>(),
        read_at,
        errors: all.errors(),
    })
}

/// A port or a link over one.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct InterconnectRow {
    /// Of the link; of a port without one its name
    id: String,
    name: String,
    description: String,
    facility: Option<String>,
    speed: Option<String>,
    site: Option<String>,
    r#type: Option<String>,
    /// Name of the port
    interconnect: Option<String>,
    /// healthy, down, unhealthy, pending, unknown
    status: String,
    status_reason: Option<String>,
    p2p_cloudflare: Option<String>,
    p2p_customer: Option<String>,
    mtu: Option<u64>,
    customer_asn: Option<u64>,
    /// healthy, degraded, down, no_data
    #[cfg_attr(test, schema(value_type = Option<String>))]
    health_status: Option<Health>,
    pass_rate: Option<f64>,
    total_checks: Option<u64>,
    colos_count: Option<usize>,
    /// Names this state; a change repeats it
    seen: Option<String>,
}

/// Ports and links.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Interconnects {
    success: bool,
    /// Links with their ports, and ports without a link; null when they could never be read
    interconnects: Option<Vec<InterconnectRow>>,
    total: Option<usize>,
    /// What could not be read, with why
    #[cfg_attr(test, schema(value_type = Value))]
    errors: BTreeMap<&'static str, String>,
}

/// What Cloudflare says of a port, in a word.
pub(crate) fn port_words(port: Option<&Port>) -> (String, Option<String>) {
    match port.map(|port| &port.status) {
        Some(Ok(status)) => (
            crate::words::outside_up_to(&status.state, 20).to_lowercase(),
            status.reason.clone(),
        ),
        Some(Err(why)) => ("unknown".to_owned(), Some(why.clone())),
        None => ("unknown".to_owned(), Some("its port was not read".to_owned())),
    }
}

/// Ports and virtual links with the status that Cloudflare gives
#[cfg_attr(test, utoipa::path(
    get, path = "/api/connectors/interconnects", operation_id = "list_interconnects", tag = "connectors",
    responses((status = 200, body = Interconnects), crate::api::document::Failures)
))]
pub(crate) async fn interconnects(State(app): State<App>) -> Json<Interconnects> {
    let all = Connectors::look(&app).await;
    let known = all.links.value.is_some() || all.ports.value.is_some();
    let rows: Vec<InterconnectRow> = rows(&all);
    let complete = all.links.value.is_some() && all.ports.value.is_some();
    Json(Interconnects {
        success: true,
        total: complete.then_some(rows.len()),
        interconnects: known.then_some(rows),
        errors: all.errors(),
    })
}

fn rows(all: &Connectors) -> Vec<InterconnectRow> {
    let none = Vec::new();
    let ports = all.ports.value.as_deref().unwrap_or(&none);
    let no_links = Vec::new();
    let links = all.links.value.as_deref().unwrap_or(&no_links);
    let of_port = |name: Option<&str>| ports.iter().find(|port| Some(port.interconnect.name.as_str()) == name);
    let row = |port: Option<&Port>, link: Option<&Link>| {
        let (status, status_reason) = port_words(port);
        let probes = link.map(|link| all.probes_of_link(link));
        let of_port = |field: fn(&Port) -> Option<String>| port.and_then(field);
        let id = link
            .map(|link| link.id.clone())
            .or(port.map(|port| port.interconnect.name.clone()));
        let name = link.and_then(|link| link.name.clone()).or(id.clone());
        InterconnectRow {
            id: id.unwrap_or_default(),
            name: name.unwrap_or_default(),
            description: link.map(|link| link.description.clone()).unwrap_or_default(),
            facility: of_port(|port| port.interconnect.facility.clone()),
            speed: of_port(|port| port.interconnect.speed.clone()),
            site: of_port(|port| port.interconnect.site.clone()),
            r#type: of_port(|port| port.interconnect.kind.clone()),
            interconnect: port
                .map(|port| port.interconnect.name.clone())
                .or(link.and_then(|link| link.interconnect.clone())),
            status,
            status_reason,
            p2p_cloudflare: link.and_then(|link| link.cloudflare_ip.clone()),
            p2p_customer: link.and_then(|link| link.customer_ip.clone()),
            mtu: link.and_then(|link| link.mtu),
            customer_asn: link.and_then(|link| link.customer_asn),
            health_status: probes.as_ref().map(|probes| probes.health),
            pass_rate: probes.as_ref().and_then(|probes| probes.pass_rate),
            total_checks: probes.as_ref().and_then(|probes| probes.checks),
            colos_count: probes.as_ref().and_then(|probes| probes.places),
            seen: link.map(|link| Editable::of_link(link).seen),
        }
    };
    let with_link = links
        .iter()
        .map(|link| row(of_port(link.interconnect.as_deref()), Some(link)));
    let bare = ports.iter().filter(|port| {
        !links
            .iter()
            .any(|link| link.interconnect.as_deref() == Some(&port.interconnect.name))
    });
    with_link.chain(bare.map(|port| row(Some(port), None))).collect()
}

/// Tunnels by health.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct ConnectorSummary {
    success: bool,
    /// down, degraded, unknown or healthy: the worst that is known, and healthy only when all is
    overall_status: &'static str,
    /// null when not all lists could be read
    total: Option<usize>,
    healthy: usize,
    degraded: usize,
    down: usize,
    /// Tunnels of which nothing is known
    no_data: usize,
    #[cfg_attr(test, schema(value_type = Value))]
    errors: BTreeMap<&'static str, String>,
}

/// How the tunnels are, counted
#[cfg_attr(test, utoipa::path(
    get, path = "/api/connectors/health-summary", operation_id = "get_connectors_summary", tag = "connectors",
    responses((status = 200, body = ConnectorSummary), crate::api::document::Failures)
))]
pub(crate) async fn summary(State(app): State<App>) -> Json<ConnectorSummary> {
    let all = Connectors::look(&app).await;
    let found: Vec<Health> = all.known().map(|tunnel| all.probes(tunnel).health).collect();
    let count = |wanted: Health| found.iter().filter(|health| **health == wanted).count();
    let complete = all.tunnels.iter().all(|(_, reading)| reading.current().is_some());
    let (healthy, degraded, down, no_data) = (
        count(Health::Healthy),
        count(Health::Degraded),
        count(Health::Down),
        count(Health::NoData),
    );
    let overall_status = match (down, degraded, no_data, complete, healthy) {
        (1.., ..) => "down",
        (0, 1.., ..) => "degraded",
        (0, 0, 0, true, 1..) => "healthy",
        _ => "unknown",
    };
    Json(ConnectorSummary {
        success: true,
        overall_status,
        total: complete.then_some(found.len()),
        healthy,
        degraded,
        down,
        no_data,
        errors: all.errors(),
    })
}

/// What is to be changed; what is absent stays.
#[cfg(test)]
#[derive(utoipa::ToSchema)]
#[allow(dead_code)]
pub(crate) struct ConnectorWanted {
    description: Option<String>,
    /// IPv4 or IPv6; asks for `confirm`
    customer_endpoint: Option<String>,
    mtu: Option<u64>,
    probe_enabled: Option<bool>,
    /// low, mid, high
    probe_rate: Option<String>,
    /// reply, request
    probe_kind: Option<String>,
    /// unidirectional, bidirectional
    probe_direction: Option<String>,
    /// Empty lets Cloudflare take the customer's end
    probe_target: Option<String>,
    /// As the list gave it
    seen: String,
    /// The name, when the endpoint changes
    confirm: Option<String>,
    reason: String,
}

/// Changes a tunnel
///
/// Everything that is not named stays. Refused when it is not as `seen` says. Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/connectors/tunnel/{id}/update", operation_id = "change_tunnel", tag = "connectors",
    params(("id" = String, Path, description = "Of any kind of tunnel", example = "c0000000000000000000000000000001")),
    request_body = ConnectorWanted,
    responses((status = 200, body = crate::api::document::ChangeDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn change_tunnel(Path(id): Path<String>, asking: Asking<Wanted>) -> Result<Response, Failure> {
    let word = kind_of(&asking.app, &id).await?;
    done(send::send(asking, (word, &id)).await?.told)
}

/// Changes a network interconnect
///
/// Everything that is not named stays. Refused when it is not as `seen` says. Needs the role of an operator.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/connectors/cni/{id}/update", operation_id = "change_interconnect", tag = "connectors",
    params(("id" = String, Path, description = "Of a link", example = "c0000000000000000000000000000001")),
    request_body = ConnectorWanted,
    responses((status = 200, body = crate::api::document::ChangeDone), crate::api::document::ChangeFailures)
))]
pub(crate) async fn change_link(Path(id): Path<String>, asking: Asking<Wanted>) -> Result<Response, Failure> {
    done(send::send(asking, (LINK, &id)).await?.told)
}
