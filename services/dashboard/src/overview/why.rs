//! The chain behind a state, link by link with its time and source, and the sentence about what comes next.

use db::decisions::Now;
use domain::bgp::BgpState;
use domain::decision::{Block, Verdict};
use domain::duration::human;
use domain::hold::Hold;
use domain::time::plus;
use jiff::Timestamp;
use serde::Serialize;

use super::prefix::{Judged, Known, Sight, UnderWay};
use super::sign::AUTOWITHDRAW;
use super::state::State;
use crate::words;

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Why {
    /// When it was found so.
    pub(crate) at: Option<Timestamp>,
    /// Who says so.
    pub(crate) source: String,
    pub(crate) text: String,
}

/// Evidence, verdict, what blocks.
pub(crate) fn chain(
    known: &Known<'_>,
    judged: &Judged,
    decided: Option<&Now>,
    reading: Option<(&BgpState, Timestamp)>,
    hold: Option<&Hold>,
    sight: &Sight<'_>,
) -> Vec<Why> {
    let mut links = Vec::new();
    let mut add = |at: Option<Timestamp>, source: &str, text: String| {
        links.push(Why {
            at,
            source: source.to_owned(),
            text,
        });
    };
    match reading {
        Some((state, at)) => add(Some(at), "Cloudflare API", bgp(state, sight.now)),
        None => add(None, "Cloudflare API", "the BGP state was never read".to_owned()),
    }
    if let Some((error, since)) = known
        .entry
        .and_then(|entry| entry.error.as_deref().zip(Some(entry.error_since)))
    {
        add(
            since,
            "Cloudflare API",
            format!("reading fails since then: {}", words::outside(error)),
        );
    }
    if let Some(decided) = decided {
        if let Some(text) = traffic(decided, sight.now) {
            add(Some(decided.at), "Cloudflare analytics", text);
        }
        add(Some(decided.at), AUTOWITHDRAW, verdict(decided, sight.now));
    }
    if let Some(because) = &judged.because {
        add(judged.unknown_since.or(Some(sight.now)), "dashboard", because.clone());
    }
    if let Some(hold) = hold {
        let text = format!(
            "{}: {}",
            super::prefix::held_words(hold, sight.now),
            words::outside(&hold.reason)
        );
        add(Some(hold.created_at), &words::outside_up_to(&hold.actor, 40), text);
    }
    let blocks = decided
        .map(|decided| sight.in_force(&decided.decision.blocks, hold))
        .unwrap_or_default();
    for block in blocks
        .into_iter()
        .filter(|block| hold.is_none() || !matches!(block, Block::Held { .. }))
    {
        let text = format!("no withdrawal: {}", words::outside(&block.explain()));
        add(decided.map(|decided| decided.at), AUTOWITHDRAW, text);
    }
    for intent in sight
        .intents
        .iter()
        .filter(|intent| intent.prefix == known.prefix)
        .map(UnderWay::of)
    {
        let text = format!(
            "{} (intent {}) for {}: {}",
            intent.words(),
            intent.id,
            intent.by,
            intent.reason
        );
        add(
            Some(intent.sent_at.unwrap_or(intent.created_at)),
            "intent journal",
            text,
        );
    }
    links
}

fn bgp(state: &BgpState, now: Timestamp) -> String {
    let since = state.advertised_modified_at.map_or_else(
        || ", since when is not said".to_owned(),
        |at| format!(" since {}", words::said_seconds(at, now)),
    );
    let flag = match state.advertised {
        Some(true) => format!("advertised{since}"),
        Some(false) => format!("withdrawn{since}"),
        None => "whether it is advertised is not said".to_owned(),
    };
    let refuses = state
        .refuses_control()
        .map(|why| format!("; {}", why.explain()))
        .unwrap_or_default();
    flag + &refuses
}

fn traffic(decided: &Now, now: Timestamp) -> Option<String> {
    let decision = &decided.decision;
    let latest = decision.latest?;
    let settled = decision.settled_until.map_or_else(String::new, |at| {
        format!("; rows are complete until {}", words::said(at, now))
    });
    let noise = if decision.noise {
        "; an excess rests on too few samples and counts as noise"
    } else {
        ""
    };
    Some(format!(
        "{} dropped in the window to {}, on {}{settled}{noise}",
        words::rates(Some(latest.bit_rate.0), Some(latest.packet_rate.0)).unwrap_or_else(|| "nothing was".to_owned()),
        words::said(latest.ends_at, now),
        words::counted(latest.samples, "sample"),
    ))
}

fn verdict(decided: &Now, now: Timestamp) -> String {
    let decision = &decided.decision;
    let proven = decision
        .state
        .calm
        .as_ref()
        .map(domain::calm::CalmTrack::proven)
        .unwrap_or_default();
    match &decision.verdict {
        Verdict::Direct => "direct: it is not advertised".to_owned(),
        Verdict::NotManaged => "not managed: automation does not touch it".to_owned(),
        Verdict::Unknown { because, since } => {
            format!(
                "unknown since {}: {}",
                words::said(*since, now),
                words::outside(&because.explain())
            )
        }
        Verdict::Propagating { until } => format!("the announcement spreads until {}", words::said(*until, now)),
        Verdict::Attack => "attack: drops exceed both thresholds".to_owned(),
        Verdict::Calm { since, .. } => format!(
            "calm since {}, {} of {} proven",
            words::said(*since, now),
            human(proven),
            human(decision.calm_period)
        ),
        Verdict::Blocked { .. } | Verdict::Withdraw => format!("calm is proven ({})", human(proven)),
    }
}

/// What happens next, and why: one sentence without its full stop.
pub(crate) fn next(
    judged: &Judged,
    decided: Option<&Now>,
    hold: Option<&Hold>,
    managed: bool,
    sight: &Sight<'_>,
) -> String {
    let now = sight.now;
    let because = || judged.because.clone().unwrap_or_default();
    let automation_is_there = sight.automation.life.is_there();
    match (judged.state, &judged.deadline) {
        (State::Propagating, Some(deadline)) if deadline.what == "withdrawn" => {
            format!(
                "nothing; the withdrawal is seen everywhere by about {}",
                words::said(deadline.at, now)
            )
        }
        (State::Propagating, Some(deadline)) => {
            format!(
                "the calm clock starts at {}, when the announcement has spread",
                words::said(deadline.at, now)
            )
        }
        (State::Direct, _) => "nothing; it is not advertised".to_owned(),
        (State::NotManaged, _) => "nothing; automation does not touch it".to_owned(),
        (State::Held, _) => match hold.and_then(|hold| hold.until) {
            Some(until) => format!(
                "nothing before {}, when the hold ends, unless it is released",
                words::said(until, now)
            ),
            None => "nothing until the hold is released".to_owned(),
        },
        (State::Calm, Some(deadline)) => match &deadline.stands_because {
            Some(because) => format!("nothing is certain: {because}"),
            None => format!(
                "withdraw not before {}, because {}",
                words::said(deadline.at, now),
                calm_words(decided, now)
            ),
        },
        (State::Unknown, _) if managed => format!("the advertisement stays as it is, because {}", because()),
        (State::Unknown, _) => format!("nothing; {}", because()),
        (State::UnderAttack, _) if !managed => "nothing; automation does not touch it".to_owned(),
        (State::UnderAttack, _) if !automation_is_there => {
            format!("the advertisement stays; {}", sight.automation.absence(now))
        }
        (State::UnderAttack, _) => after_attack(decided, hold, sight),
        (State::Protected | State::Calm | State::Propagating, _) => match (decided, &judged.because) {
            (_, Some(because)) => format!("the advertisement stays, because {because}"),
            (Some(decided), None) => format!("the advertisement stays, because {}", stays(decided, hold, sight)),
            (None, None) => "the advertisement stays".to_owned(),
        },
    }
}

fn calm_words(decided: Option<&Now>, now: Timestamp) -> String {
    let decision = decided.map(|decided| &decided.decision);
    let track = decision.and_then(|decision| decision.state.calm.as_ref());
    match (track, decision) {
        (Some(track), Some(decision)) if track.proven() < decision.calm_period => format!(
            "calm since {}, {} of {} are proven",
            words::said(track.calm_since, now),
            human(track.proven()),
            human(decision.calm_period)
        ),
        _ => "calm is proven".to_owned(),
    }
}

/// During an attack: the earliest withdrawal there could be, or what forbids any.
fn after_attack(decided: Option<&Now>, hold: Option<&Hold>, sight: &Sight<'_>) -> String {
    if let Some(hold) = hold {
        return format!(
            "the advertisement stays; after the attack it is {}",
            super::prefix::held_words(hold, sight.now)
        );
    }
    let decision = decided.map(|decided| &decided.decision);
    let forbidden = decision.and_then(|decision| {
        let blocks = sight.in_force(&decision.blocks, hold);
        blocks
            .into_iter()
            .find(|block| block.until().is_none())
            .map(Block::explain)
    });
    if let Some(forbidden) = forbidden {
        return format!(
            "the advertisement stays, also after the attack, because {}",
            words::outside(&forbidden)
        );
    }
    let Some(decision) = decision else {
        return "the advertisement stays until calm is proven".to_owned();
    };
    let period = human(decision.calm_period);
    let earliest = decision.state.calm.as_ref().map(|track| {
        let proven = plus(plus(track.calm_since, decision.calm_period), sight.settle);
        let blocks = sight.in_force(&decision.blocks, hold);
        blocks.into_iter().filter_map(Block::until).fold(proven, Timestamp::max)
    });
    match earliest.filter(|earliest| *earliest > sight.now) {
        Some(at) => format!(
            "the advertisement stays until {period} of calm are proven; then it is withdrawn, not before {}",
            words::said(at, sight.now)
        ),
        None => format!("the advertisement stays until {period} of calm are proven; then it is withdrawn"),
    }
}

fn stays(decided: &Now, hold: Option<&Hold>, sight: &Sight<'_>) -> String {
    let blocks = sight.in_force(&decided.decision.blocks, hold);
    let reasons: Vec<String> = blocks
        .into_iter()
        .map(|block| words::outside(&block.explain()))
        .collect();
    if reasons.is_empty() {
        "the automation looks again soon".to_owned()
    } else {
        reasons.join("; ")
    }
}
