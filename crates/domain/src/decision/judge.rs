//! The verdict of one prefix in one cycle: every input judged in turn, the first that proves
//! nothing wins. Nothing is remembered here but through [`super::memory`].

use super::memory::{forget_epoch, notice_change, remember_attack, settle_memory};
use super::outlook::{next_action, not_managed_because};
use super::*;

/// How long a block by notifications that are not read yet is said to last: they are read within seconds.
const UNREAD_AGAIN: Duration = Duration::from_secs(60);

/// Decides for one prefix.
pub fn decide(previous: &PrefixState, inputs: &Inputs, policy: &Policy) -> Decision {
    let calm_period = brakes::calm_period(policy.calm_period, &inputs.own_withdrawals, inputs.now);
    let mut decision = Decision {
        verdict: Verdict::Direct,
        state: previous.clone(),
        effects: Vec::new(),
        blocks: Vec::new(),
        next: NextAction::default(),
        calm_period,
        settled_until: None,
        latest: None,
        noise: false,
        restless: false,
        decided_at: inputs.now,
    };
    let mut verdict = judge(&mut decision, inputs, policy);
    if let Verdict::Unknown { since, .. } = &mut verdict {
        *since = previous.unknown_since.unwrap_or(inputs.now).min(inputs.now);
    }
    if !matches!(verdict, Verdict::Withdraw) {
        decision.effects.push(Effect::CancelIntent { because: verdict.key() });
    } else if previous.calm.as_ref().map(|track| track.epoch) != decision.state.calm.as_ref().map(|track| track.epoch) {
        // What was intended for an earlier epoch goes before this one's intent is filed.
        decision.effects.push(Effect::CancelIntent {
            because: "epoch_changed".into(),
        });
    }
    decision.next = next_action(&verdict, &decision, not_managed_because(inputs));
    settle_memory(&mut decision, &verdict, inputs, policy);
    decision.state.last_verdict = verdict.key();
    decision.verdict = verdict;
    decision
}

pub(super) fn judge(decision: &mut Decision, inputs: &Inputs, policy: &Policy) -> Verdict {
    let unknown = |because| Verdict::Unknown {
        because,
        since: inputs.now,
    };
    let bgp = match &inputs.bgp {
        Observed::Unavailable { reason } => {
            return unknown(Unknown::Bgp { reason: reason.clone() });
        }
        Observed::Known { value, at } => match not_current(*at, inputs.now, policy.max_reading_age) {
            Some(age) => {
                let reason = format!("the last reading {age}");
                return unknown(Unknown::Bgp { reason });
            }
            None => value,
        },
    };
    let rows_from = decision
        .state
        .last_bgp
        .as_ref()
        .and_then(|before| gone_since(before, policy));
    notice_change(decision, bgp);
    let epoch = match (bgp.advertised, bgp.epoch()) {
        (Some(false), _) => {
            forget_epoch(&mut decision.state);
            return Verdict::Direct;
        }
        (Some(true), Some(epoch)) => epoch,
        _ if !bgp.on_demand_enabled || bgp.bgp_signalled => return Verdict::NotManaged,
        _ => return unknown(Unknown::BgpIncomplete),
    };
    if epoch.0 > plus(inputs.now, FUTURE_TOLERANCE) {
        return unknown(Unknown::BgpIncomplete);
    }
    if decision.state.calm.as_ref().is_none_or(|track| track.epoch != epoch) {
        forget_epoch(&mut decision.state);
    }
    let track = decision.state.calm.clone().unwrap_or_else(|| CalmTrack {
        rows_from,
        ..CalmTrack::begin(epoch, &policy.traffic)
    });
    decision.state.calm = Some(track.clone());
    decision.blocks = blocks(inputs, policy, bgp, epoch);

    let traffic = match &inputs.traffic {
        Observed::Known { value, at } => match not_current(*at, inputs.now, policy.max_reading_age) {
            Some(age) => {
                let reason = format!("the last reading {age}");
                return managed_or(inputs, bgp, unknown(Unknown::Traffic { reason }));
            }
            None => value,
        },
        Observed::Unavailable { reason } => {
            let reason = reason.clone();
            return managed_or(inputs, bgp, unknown(Unknown::Traffic { reason }));
        }
    };
    let reading = read_traffic(traffic, &track, &policy.traffic, inputs.now);
    remember_attack(decision, &reading, traffic, inputs);
    decision.settled_until = reading.settled_until;
    decision.latest = Some(reading.latest).filter(|window| *window != WindowSum::default());
    decision.state.calm = Some(reading.track.clone());
    let verdict = match reading.answer {
        TrafficAnswer::Attack => Verdict::Attack,
        // The first rows of an advertisement that still spreads come minutes later: no blindness.
        TrafficAnswer::Unknown(TrafficUnknown::NoRowsForPrefix) if inputs.now < propagated(epoch, policy) => {
            Verdict::Propagating {
                until: propagated(epoch, policy),
            }
        }
        TrafficAnswer::Unknown(because) => unknown(Unknown::Data(because)),
        TrafficAnswer::Quiet { noise, restless } => {
            (decision.noise, decision.restless) = (noise, restless);
            let settled = reading.settled_until.unwrap_or(Timestamp::MIN);
            calm_verdict(decision, &reading.track, settled, inputs, policy)
        }
    };
    managed_or(inputs, bgp, verdict)
}

/// How old a reading made at `at` is, if it is too old or of no known age to say anything about
/// `now`; `None` when it is current. One from the future was made before our clock was set back.
pub(super) fn not_current(at: Timestamp, now: Timestamp, max_age: Duration) -> Option<String> {
    if at > plus(now, FUTURE_TOLERANCE) {
        Some(format!("lies {} in the future; check the clock", human(since(at, now))))
    } else if since(now, at) > max_age {
        Some(format!("is {} old", human(since(now, at))))
    } else {
        None
    }
}

/// Since when a withdrawn prefix has drawn no traffic to Cloudflare any more, if it was not
/// advertised in between without our seeing it.
pub(super) fn gone_since(state: &BgpState, policy: &Policy) -> Option<Timestamp> {
    let withdrawn_at = state
        .advertised_modified_at
        .filter(|_| state.advertised == Some(false))?;
    Some(plus(withdrawn_at, policy.traffic.propagation))
}

/// End of the time in which the epoch's announcement still spreads.
pub(super) fn propagated(epoch: Epoch, policy: &Policy) -> Timestamp {
    plus(epoch.0, policy.traffic.propagation)
}

/// Automation does not touch what is not listed or cannot be controlled, but an attack on it is
/// an attack all the same.
pub(super) fn managed_or(inputs: &Inputs, bgp: &BgpState, verdict: Verdict) -> Verdict {
    let ours = inputs.managed == Managed::Yes && bgp.refuses_control().is_none();
    if ours || verdict == Verdict::Attack {
        verdict
    } else {
        Verdict::NotManaged
    }
}

/// `settled_until` is this cycle's: data that is gone again (a clock set back, a dataset that lost
/// rows) proves nothing, although it was verified once.
pub(super) fn calm_verdict(
    decision: &mut Decision,
    track: &CalmTrack,
    settled_until: Timestamp,
    inputs: &Inputs,
    policy: &Policy,
) -> Verdict {
    let propagated = propagated(track.epoch, policy);
    if inputs.now < propagated {
        return Verdict::Propagating { until: propagated };
    }
    if track.proven().min(since(settled_until, track.calm_since)) < decision.calm_period {
        let due = plus(plus(track.calm_since, decision.calm_period), policy.traffic.settle);
        return Verdict::Calm {
            since: track.calm_since,
            due: due.max(inputs.now),
        };
    }
    // An unread ledger could hide an open alert; calm is proven, but nothing may follow from it.
    let alerts_unknown = match &inputs.alerts {
        Observed::Unavailable { reason } => Some(reason.clone()),
        Observed::Known { at, .. } => {
            not_current(*at, inputs.now, policy.max_reading_age).map(|age| format!("the last reading {age}"))
        }
    };
    if let Some(reason) = alerts_unknown {
        return Verdict::Unknown {
            because: Unknown::Alerts { reason },
            since: inputs.now,
        };
    }
    if decision.blocks.is_empty() {
        Verdict::Withdraw
    } else {
        Verdict::Blocked {
            by: decision.blocks.clone(),
        }
    }
}

pub(super) fn blocks(inputs: &Inputs, policy: &Policy, bgp: &BgpState, epoch: Epoch) -> Vec<Block> {
    let now = inputs.now;
    let mut blocks = Vec::new();
    if let Some(hold) = &inputs.hold {
        blocks.push(Block::Held {
            by: hold.actor.clone(),
            reason: hold.reason.clone(),
            until: hold.until,
            everywhere: hold.prefix.is_none(),
        });
    }
    match policy.mode {
        Mode::Act => {}
        Mode::DryRun => blocks.push(Block::DryRun),
        Mode::Paused => blocks.push(Block::ModePaused),
    }
    if let Some(why) = bgp.refuses_control() {
        blocks.push(Block::NotControllable(why));
    }
    let vetoes = inputs
        .alerts
        .value()
        .into_iter()
        .flatten()
        .filter(|alert| alert.concerns(inputs.prefix));
    for alert in vetoes {
        let until = match alert.is_unread() {
            // It is an alert or not as soon as it is read, and blocks until then, however long that takes.
            true => plus(now, UNREAD_AGAIN),
            false => plus(alert.since, policy.open_alert_veto),
        };
        if now < until {
            blocks.push(Block::OpenAlert {
                event: alert.event,
                until,
                unresolved: alert.unresolved,
            });
        }
    }
    let stay_until = plus(epoch.0, policy.min_advertised);
    if now < stay_until {
        blocks.push(Block::TooSoon { until: stay_until });
    }
    match &inputs.direct_route {
        DirectRoute::AlwaysAnnounced => {}
        DirectRoute::Checked { at } => {
            if let Some(age) = not_current(*at, now, ROUTE_CHECK_AGE) {
                let reason = format!("the last good check {age}");
                blocks.push(Block::NoDirectRoute { reason });
            }
        }
        DirectRoute::NotDeclared => blocks.push(Block::NoDirectRoute {
            reason: "nobody has stated one; set autowithdraw.direct_route".into(),
        }),
        DirectRoute::NotProven { reason } => blocks.push(Block::NoDirectRoute { reason: reason.clone() }),
    }
    if let Some(until) = brakes::hourly_limit(&inputs.all_withdrawals, policy.max_withdrawals_per_hour, now) {
        blocks.push(Block::HourlyLimit { until });
    }
    if inputs.other_intent_open {
        blocks.push(Block::OneAtATime);
    }
    blocks
}
