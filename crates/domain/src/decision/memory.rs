//! What is remembered between cycles, and the announcements that follow from streaks.

use super::*;
use crate::units::{BitsPerSecond, PacketsPerSecond};

pub(super) fn forget_epoch(state: &mut PrefixState) {
    state.calm = None;
    state.peak = None;
    state.systems.clear();
    state.attack_since = None;
    state.last_attack_end = None;
    state.after_blindness = false;
    state.was_ready = false;
    state.overdue_announced_at = None;
    state.dry_run_announced = false;
    state.limit_announced = false;
}

pub(super) fn notice_change(decision: &mut Decision, now: &BgpState) {
    let before = decision.state.last_bgp.replace(now.clone());
    if before.as_ref() != Some(now) {
        decision.effects.push(Effect::BgpChanged {
            before,
            after: now.clone(),
        });
    }
}

pub(super) fn remember_attack(
    decision: &mut Decision,
    reading: &crate::calm::TrafficReading,
    traffic: &PrefixTraffic,
    inputs: &Inputs,
) {
    let state = &mut decision.state;
    let Some(peak) = reading.peak else {
        return;
    };
    let began = reading.first_attack_end.unwrap_or(peak.ends_at);
    if state.attack_since.is_none()
        && let Some(withdrawn_at) = inputs.own_withdrawals.iter().max()
        // In the time of the data: how late we get to see the attack does not matter.
        && since(began, *withdrawn_at) <= REATTACK_WINDOW
    {
        decision.effects.push(Effect::AnnounceReattack {
            withdrawn_at: *withdrawn_at,
        });
    }
    // Rows that come late can show that it began earlier.
    state.attack_since = Some(state.attack_since.map_or(began, |known| known.min(began)));
    state.last_attack_end = state.last_attack_end.max(reading.last_attack_end);
    state.systems.extend(traffic.systems.iter().cloned());
    state.peak = Some(match state.peak {
        Some(known) => WindowSum {
            ends_at: if peak.bits > known.bits {
                peak.ends_at
            } else {
                known.ends_at
            },
            packets: known.packets.max(peak.packets),
            bits: known.bits.max(peak.bits),
            samples: known.samples.max(peak.samples),
            packet_rate: PacketsPerSecond(known.packet_rate.0.max(peak.packet_rate.0)),
            bit_rate: BitsPerSecond(known.bit_rate.0.max(peak.bit_rate.0)),
        },
        None => peak,
    });
}

/// Streaks, announcements and the intent that follow from the verdict.
pub(super) fn settle_memory(decision: &mut Decision, verdict: &Verdict, inputs: &Inputs, policy: &Policy) {
    let now = inputs.now;
    let state = &mut decision.state;
    let managed = inputs.managed == Managed::Yes;
    if let Verdict::Unknown { because, .. } = verdict {
        let since_when = *state.unknown_since.get_or_insert(now);
        state.unknown_cycles = state.unknown_cycles.saturating_add(1);
        if state.unknown_cycles >= brakes::BLIND_CYCLES {
            state.after_blindness = true;
        }
        if managed && !state.blind_announced && since(now, since_when) >= policy.unknown_alert_after {
            state.blind_announced = true;
            decision.effects.push(Effect::AnnounceBlind {
                because: because.explain(),
                since: since_when,
            });
        }
    } else {
        if state.blind_announced {
            decision.effects.push(Effect::AnnounceSighted {
                since: state.unknown_since.unwrap_or(now),
            });
        }
        state.unknown_since = None;
        state.unknown_cycles = 0;
        state.blind_announced = false;
    }
    if matches!(verdict, Verdict::Attack) {
        state.after_blindness = false;
    }
    if !decision
        .blocks
        .iter()
        .any(|block| matches!(block, Block::HourlyLimit { .. }))
    {
        state.limit_announced = false;
    }
    let calm_s = state.calm.as_ref().map_or(0, |track| track.proven().as_secs());
    match verdict {
        Verdict::Withdraw => {
            if let Some(track) = &state.calm {
                decision.effects.push(Effect::IntendWithdrawal {
                    epoch: track.epoch,
                    calm_s,
                });
            }
        }
        Verdict::Blocked { by } => {
            if by.contains(&Block::DryRun) && by.len() == 1 && !state.dry_run_announced {
                state.dry_run_announced = true;
                decision.effects.push(Effect::AnnounceWouldWithdraw { calm_s });
            }
            let limit = by.iter().find_map(|block| match block {
                Block::HourlyLimit { until } => Some(*until),
                _ => None,
            });
            if let Some(until) = limit
                && !state.limit_announced
            {
                state.limit_announced = true;
                decision.effects.push(Effect::AnnounceLimit { until });
            }
        }
        _ => {}
    }
    state.was_ready = matches!(verdict, Verdict::Withdraw | Verdict::Blocked { .. });
    announce_overdue(decision, verdict, inputs, policy);
}

pub(super) fn announce_overdue(decision: &mut Decision, verdict: &Verdict, inputs: &Inputs, policy: &Policy) {
    let now = inputs.now;
    let state = &mut decision.state;
    let Some(epoch) = state.calm.as_ref().map(|track| track.epoch) else {
        return;
    };
    let due = match state.overdue_announced_at {
        Some(last) => since(now, last) >= OVERDUE_REPEAT,
        None => since(now, epoch.0) >= policy.overdue_after,
    };
    if due && inputs.managed == Managed::Yes && !matches!(verdict, Verdict::Direct) {
        state.overdue_announced_at = Some(now);
        let because = decision.next.because();
        decision.effects.push(Effect::AnnounceOverdue {
            since: epoch.0,
            because,
        });
    }
}
