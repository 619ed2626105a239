//! What will happen next and why, and the brake over all prefixes of a cycle.

use super::*;

/// Why automation leaves the prefix alone: it is not listed, or Cloudflare would refuse.
pub(super) fn not_managed_because(inputs: &Inputs) -> String {
    let refusal = inputs.bgp.value().and_then(BgpState::refuses_control);
    match (&inputs.managed, refusal) {
        (Managed::NotListed, _) => "automation does not manage it: it is not listed".into(),
        (Managed::Yes, Some(why)) => format!("automation does not manage it: {}", why.explain()),
        (Managed::Yes, None) => "automation does not manage it".into(),
    }
}

/// Why the verdict is what it is, with everything that holds the prefix.
pub(super) fn reason_for(verdict: &Verdict, decision: &Decision, not_managed: &str) -> String {
    let with_blocks = |reason: String| {
        let blocks = decision.blocks.iter().map(Block::explain);
        std::iter::once(reason).chain(blocks).collect::<Vec<_>>().join("; ")
    };
    match verdict {
        Verdict::Direct => "it is not advertised".into(),
        Verdict::NotManaged => not_managed.to_owned(),
        Verdict::Unknown { because, .. } => because.explain(),
        Verdict::Propagating { .. } => "the announcement still spreads".into(),
        Verdict::Attack => "the attack goes on".into(),
        Verdict::Calm { since: calm_since, .. } => with_blocks(format!(
            "calm since {}, {} of {} proven",
            for_people(*calm_since),
            human(decision.state.calm.as_ref().map_or(Duration::ZERO, CalmTrack::proven)),
            human(decision.calm_period),
        )),
        Verdict::Blocked { by } => by.iter().map(Block::explain).collect::<Vec<_>>().join("; "),
        Verdict::Withdraw => "calm is proven".into(),
    }
}

pub(super) fn next_action(verdict: &Verdict, decision: &Decision, not_managed: &str) -> NextAction {
    let blocks_until = decision.blocks.iter().filter_map(Block::until).max();
    let open_ended = decision.blocks.iter().any(|block| block.until().is_none());
    let (action, not_before): (&str, Option<Timestamp>) = match verdict {
        Verdict::Direct | Verdict::NotManaged => ("nothing", None),
        Verdict::Unknown { .. } | Verdict::Attack => ("hold the advertisement", None),
        Verdict::Propagating { until } => ("start the calm clock", Some(*until)),
        Verdict::Calm { .. } | Verdict::Blocked { .. } if open_ended => ("hold the advertisement", None),
        Verdict::Calm { due, .. } => ("withdraw", Some(blocks_until.map_or(*due, |until| until.max(*due)))),
        Verdict::Blocked { .. } => ("withdraw", blocks_until),
        Verdict::Withdraw => ("withdraw", Some(decision.decided_at)),
    };
    NextAction {
        action: action.to_owned(),
        not_before,
        because: reason_for(verdict, decision, not_managed),
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
        let mut next = next_action(&decision.verdict, decision, "");
        next.because = format!(
            "several prefixes turned calm at once after analytics were blind, so calm starts anew; {}",
            next.because
        );
        decision.next = next;
    }
    restarted
}
