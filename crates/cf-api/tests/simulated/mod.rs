//! A client of a simulated Cloudflare in this process.
#![allow(dead_code, unreachable_pub)]

use std::sync::Arc;
use std::time::Duration;

use cf_api::budget::{Clock, RateBudget};
use cf_api::{CfError, CloudflareClient, Credentials, Deadlines, Transport, TransportConfig};
use cf_sim::{FaultKind, FaultSpec, Sim, SimConfig, Target};
use domain::bgp::BgpPrefix;
use domain::ids::PrefixId;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Long enough for a busy machine, short enough for a test of what never answers.
pub const SHORT: Deadlines = Deadlines {
    change: Duration::from_secs(2),
    read: Duration::from_secs(2),
    query: Duration::from_secs(2),
};

pub fn clock() -> Clock {
    Arc::new(Timestamp::now)
}

pub async fn sim() -> Sim {
    Sim::start(SimConfig::default()).await.unwrap()
}

pub fn client_of(sim: &Sim) -> CloudflareClient {
    client_at(&sim.api_base_url(), sim)
}

pub fn client_at(base: &str, sim: &Sim) -> CloudflareClient {
    client_with(base, sim, &sim.config().api_token)
}

pub fn client_with(base: &str, sim: &Sim, token: &str) -> CloudflareClient {
    CloudflareClient::new(
        Transport::new(TransportConfig::default()),
        base,
        &sim.config().account_id,
        Credentials::Token(token.to_owned().into()),
        RateBudget::alone(clock()),
    )
    .unwrap()
    .with_deadlines(SHORT)
}

/// The first parent with its first BGP prefix.
pub async fn first_prefix(client: &CloudflareClient) -> (PrefixId, BgpPrefix) {
    let parent = client.list_prefixes().await.unwrap().remove(0);
    let bgp = client.list_bgp_prefixes(&parent.id, &parent.description).await;
    (parent.id, bgp.unwrap().remove(0))
}

/// The next REST answer is this.
pub fn answer_rest(sim: &Sim, status: u16, body: Value) {
    let kind = FaultKind::Status {
        status,
        body: Some(body),
    };
    sim.set_fault(FaultSpec::new(Target::Rest, kind).times(1));
}

/// The next GraphQL answer is this, under HTTP 200.
pub fn answer_graphql(sim: &Sim, body: Value) {
    let kind = FaultKind::Status {
        status: 200,
        body: Some(body),
    };
    sim.set_fault(FaultSpec::new(Target::Graphql, kind).times(1));
}

pub fn enveloped(result: Value) -> Value {
    json!({"success": true, "errors": [], "messages": [], "result": result})
}

pub fn fault_once(sim: &Sim, target: Target, kind: FaultKind) {
    sim.set_fault(FaultSpec::new(target, kind).times(1));
}

/// Requests that arrived with `method`.
pub fn arrived(sim: &Sim, method: &str) -> usize {
    let all = sim.requests_since(0);
    all.iter().filter(|request| request.method == method).count()
}

pub fn failure<T: std::fmt::Debug>(outcome: Result<T, CfError>) -> CfError {
    outcome.expect_err("it must fail")
}
