//! Health checks of tunnels: one row for each tunnel, location and minute of the scenario, as long as it names tunnels.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::traffic::{Dims, TUNNEL_HEALTH};
use crate::world::State;

/// Time between two rows of the same tunnel and location.
const EVERY: Duration = Duration::from_secs(60);
/// Checks that a row stands for: one a second.
const CHECKS: u64 = 60;

/// How a tunnel is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelState {
    /// Every check passes.
    #[default]
    Up,
    /// Half of them do.
    Degraded,
    /// None does.
    Down,
}

impl TunnelState {
    /// The word in alerts.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Up => "MAGIC_TUNNEL_STATUS_UP",
            Self::Degraded => "MAGIC_TUNNEL_STATUS_DEGRADED",
            Self::Down => "MAGIC_TUNNEL_STATUS_DOWN",
        }
    }

    /// As the analytics have it: 0 down, 0.5 degraded, 1 healthy.
    fn number(self) -> f64 {
        match self {
            Self::Up => 1.0,
            Self::Degraded => 0.5,
            Self::Down => 0.0,
        }
    }
}

/// A tunnel from Cloudflare to the customer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tunnel {
    /// Its name.
    pub name: String,
    /// The customer's end.
    pub remote: Ipv4Addr,
    /// Locations that check it.
    #[serde(default = "locations")]
    pub colos: Vec<String>,
    /// How it is at the beginning.
    #[serde(default)]
    pub state: TunnelState,
}

fn locations() -> Vec<String> {
    ["FRA", "AMS", "IAD"].map(str::to_owned).into()
}

/// All tunnels of a run.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    tunnels: Vec<Tunnel>,
    next: Duration,
}

impl Tunnels {
    pub(super) fn new(tunnels: &[Tunnel]) -> Self {
        Self {
            tunnels: tunnels.to_vec(),
            next: Duration::ZERO,
        }
    }

    /// Changes one; answers its former state, or `None` when there is no such tunnel or nothing changed.
    pub(super) fn set(&mut self, name: &str, state: TunnelState) -> Option<TunnelState> {
        let tunnel = self.tunnels.iter_mut().find(|tunnel| tunnel.name == name)?;
        let before = std::mem::replace(&mut tunnel.state, state);
        (before != state).then_some(before)
    }

    /// Rows that are due.
    pub(super) fn feed(&mut self, state: &mut State, at: Duration, now: Timestamp) {
        if self.tunnels.is_empty() || at < self.next {
            return;
        }
        self.next = at + EVERY;
        for (index, tunnel) in self.tunnels.iter().enumerate() {
            for (place, colo) in tunnel.colos.iter().enumerate() {
                let passed = match tunnel.state {
                    TunnelState::Up => CHECKS,
                    TunnelState::Degraded => CHECKS / 2,
                    TunnelState::Down => 0,
                };
                for (result, count) in [("ok", passed), ("timeout", CHECKS - passed)] {
                    if count == 0 {
                        continue;
                    }
                    let dims: Dims = [
                        ("tunnelName", json!(tunnel.name)),
                        ("edgeColoName", json!(colo.to_ascii_lowercase())),
                        ("edgeColoCode", json!(colo)),
                        ("edgePopName", json!(colo)),
                        ("remoteTunnelIPv4", json!(tunnel.remote.to_string())),
                        ("resultStatus", json!(result)),
                        ("active", json!(1)),
                        ("tunnelState", json!(tunnel.state.number())),
                        ("sampleInterval", json!(1.0)),
                        ("count", json!(count)),
                    ]
                    .into_iter()
                    .map(|(k, v)| (k.to_owned(), v))
                    .collect();
                    let key = 0x7475_0000_u64 | ((index as u64) << 8) | place as u64;
                    state
                        .traffic
                        .put(key, TUNNEL_HEALTH, now.as_second(), Arc::new(dims), 0, 0);
                }
            }
        }
    }
}
