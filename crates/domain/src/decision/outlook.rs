//! What will happen next and why, and the brake over all prefixes of a cycle.

use super::*;

/// Why automation leaves the prefix alone: it is not listed, or Cloudflare would refuse.
pub(super) fn not_managed_because(inputs: &Inputs) -> Reason {
    let refusal = inputs.bgp.value().and_then(BgpState::refuses_control);
    match (&inputs.managed, refusal) {
        (Managed::NotListed, _) => Reason::NotListed,
        (Managed::Yes, Some(why)) => Reason::NotControllable { why },
        (Managed::Yes, None) => Reason::NotManaged,
    }
}

/// Why the verdict is what it is, with everything that holds the prefix.
fn reasons_for(verdict: &Verdict, decision: &Decision, not_managed: Reason) -> Vec<Reason> {
    let blocked = |by: &[Block]| -> Vec<Reason> {
        let block = |block: &Block| Reason::Blocked { block: block.clone() };
        by.iter().map(block).collect()
    };
    match verdict {
        Verdict::Direct => vec![Reason::NotAdvertised],
        Verdict::NotManaged => vec![not_managed],
        Verdict::Unknown { because, .. } => vec![Reason::Unknown {
            because: because.clone(),
        }],
        Verdict::Propagating { .. } => vec![Reason::Spreads],
        Verdict::Attack => vec![Reason::AttackGoesOn],
        Verdict::Calm { since: calm_since, .. } => {
            let proven = decision.state.calm.as_ref().map_or(Duration::ZERO, CalmTrack::proven);
            let mut reasons = vec![Reason::CalmRuns {
                since: *calm_since,
                proven_s: proven.as_secs(),
                needed_s: decision.calm_period.as_secs(),
            }];
            if decision.restless {
                reasons.insert(0, Reason::Restless);
            }
            reasons.extend(blocked(&decision.blocks));
            reasons
        }
        Verdict::Blocked { by } => blocked(by),
        Verdict::Withdraw => vec![Reason::CalmProven],
    }
}

pub(super) fn next_action(verdict: &Verdict, decision: &Decision, not_managed: Reason) -> NextAction {
    let blocks_until = decision.blocks.iter().filter_map(Block::until).max();
    let open_ended = decision.blocks.iter().any(|block| block.until().is_none());
    let (kind, not_before) = match verdict {
        Verdict::Direct | Verdict::NotManaged => (NextKind::Nothing, None),
        Verdict::Unknown { .. } | Verdict::Attack => (NextKind::Hold, None),
        Verdict::Propagating { until } => (NextKind::StartCalmClock, Some(*until)),
        Verdict::Calm { .. } | Verdict::Blocked { .. } if open_ended => (NextKind::Hold, None),
        Verdict::Calm { due, .. } => (
            NextKind::Withdraw,
            Some(blocks_until.map_or(*due, |until| until.max(*due))),
        ),
        Verdict::Blocked { .. } => (NextKind::Withdraw, blocks_until),
        Verdict::Withdraw => (NextKind::Withdraw, Some(decision.decided_at)),
    };
    NextAction {
        kind,
        not_before,
        reasons: reasons_for(verdict, decision, not_managed),
    }
}

/// Applies the mass-calm brake (rule 8) to the decisions of one cycle: calm of the named prefixes
/// starts anew at the settled end of the data, and whatever they intended is cancelled.
pub fn apply_mass_calm_brake(decisions: &mut [(Prefix, bool, Decision)]) -> Vec<Prefix> {
    let turns: Vec<brakes::CalmTurn> = decisions
        .iter()
        .map(|(prefix, was_ready, decision)| brakes::CalmTurn {
            prefix: *prefix,
            turned_ready: decision.state.was_ready && !was_ready,
            after_blindness: decision.state.after_blindness,
        })
        .collect();
    let restarted = brakes::mass_calm_restarts(&turns);
    for (prefix, _, decision) in decisions.iter_mut() {
        if !restarted.contains(prefix) {
            continue;
        }
        decision.effects.retain(|effect| {
            !matches!(
                effect,
                Effect::IntendWithdrawal { .. } | Effect::AnnounceWouldWithdraw { .. } | Effect::AnnounceLimit { .. }
            )
        });
        decision.effects.push(Effect::CancelIntent {
            because: "mass_calm_after_blindness".into(),
        });
        let state = &mut decision.state;
        state.after_blindness = false;
        state.was_ready = false;
        state.dry_run_announced = false;
        state.limit_announced = false;
        if let Some(track) = &mut state.calm {
            track.calm_since = track.calm_since.max(track.verified_until);
            decision.verdict = Verdict::Calm {
                since: track.calm_since,
                // The data lags behind our clock now as it will then.
                due: plus(decision.decided_at, decision.calm_period),
            };
        }
        state.last_verdict = decision.verdict.key();
        let mut next = next_action(&decision.verdict, decision, Reason::NotManaged);
        next.reasons.insert(0, Reason::MassCalm);
        decision.next = next;
    }
    restarted
}
