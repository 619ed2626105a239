//! Settings to the policy that the decision takes. Nothing is decided here.

use std::time::Duration;

use assembly::evidence;
use domain::decision::{Mode, Policy};
use domain::prefix::Prefix;
use settings::AutoWithdraw;

use crate::cycle::TRAFFIC_WITHIN;
use crate::inventory::REFRESH_WITHIN;

/// The mode automation runs in.
pub fn mode(settings: &AutoWithdraw) -> Mode {
    match settings.mode {
        settings::Mode::Act => Mode::Act,
        settings::Mode::DryRun => Mode::DryRun,
        settings::Mode::Paused => Mode::Paused,
    }
}

/// The policy for one prefix. `rotation` is how long one round of list calls takes: a reading may
/// be that old, and a little older when one call fails or a cycle waits for its answers.
pub fn policy(settings: &AutoWithdraw, prefix: Prefix, rotation: Duration) -> Policy {
    Policy {
        traffic: evidence::traffic_policy(settings, prefix),
        mode: mode(settings),
        calm_period: settings.calm_period,
        min_advertised: settings.min_advertised,
        open_alert_veto: settings.open_alert_veto,
        unknown_alert_after: settings.unknown_alert_after,
        overdue_after: settings.overdue_after,
        max_withdrawals_per_hour: settings.max_withdrawals_per_hour,
        max_reading_age: settings.check_interval * 2 + rotation + REFRESH_WITHIN + TRAFFIC_WITHIN,
    }
}
