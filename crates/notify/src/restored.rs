//! For how long something was not well that a notice calls well again: a tunnel, a health check, an incident at Cloudflare,
//! an attack. Read from the notices before it, because Cloudflare's own messages rarely say it.
//!
//! What must hold: nothing is called restored whose trouble is not recorded; a length is never guessed.

use db::outbox::{self, Notification};
use db::{DbError, ReadTx};
use domain::alert::{Alert, AlertKind, Phase};
use domain::notice::Facts;
use jiff::Timestamp;

/// Notices looked back over.
const LOOK_BACK: u32 = 400;

/// What an alert says about one thing: which, and whether it is well.
struct State<'a> {
    which: &'a str,
    well: bool,
}

/// Since when what this notice calls well was not.
pub(crate) fn since(tx: &ReadTx<'_>, row: &Notification) -> Result<Option<Timestamp>, DbError> {
    let Some(Facts::Alert { alert, .. }) = &row.facts else {
        return Ok(None);
    };
    let Some(state) = state(alert).filter(|state| state.well) else {
        return Ok(None);
    };
    let mut began = None;
    for earlier in outbox::earlier_of_kind(tx, row, LOOK_BACK)? {
        let Some(Facts::Alert { alert: other, .. }) = &earlier.facts else {
            continue;
        };
        match self::state(other).filter(|other_state| other.kind == alert.kind && other_state.which == state.which) {
            Some(State { well: true, .. }) => break,
            Some(_) => began = Some(other.at()),
            None => {}
        }
    }
    Ok(began.filter(|began| *began <= alert.at()))
}

/// When an attack began that this alert ends, as Cloudflare says.
pub(crate) fn attack_began(alert: &Alert) -> Option<Timestamp> {
    let ended = alert.kind.is_attack() && alert.phase == Phase::End;
    alert.started_at.filter(|began| ended && *began <= alert.at())
}

fn state(alert: &Alert) -> Option<State<'_>> {
    let value = |names: &[&str]| {
        names.iter().find_map(|name| {
            alert
                .details
                .iter()
                .find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.trim().is_empty())
                .map(|(_, value)| value.as_str())
        })
    };
    let (which, status, good): (_, _, &[&str]) = match alert.kind {
        AlertKind::TunnelHealth => (
            value(&["tunnel_id", "tunnel_name", "name"]),
            value(&["new_status", "tunnel_status", "status"]),
            &["healthy", "magic_tunnel_status_healthy", "up"],
        ),
        AlertKind::HealthCheck => (
            value(&["health_check_id", "health_check_name", "name"]),
            value(&["new_health_status", "new_status", "status"]),
            &["healthy"],
        ),
        AlertKind::ProviderIncident => (
            value(&["incident_id", "id"]),
            value(&["incident_status", "status"]),
            &["resolved", "incident_status_resolved"],
        ),
        _ => return None,
    };
    let status = status?.trim().to_lowercase();
    Some(State {
        which: which?,
        well: good.contains(&status.as_str()),
    })
}
