//! One prefix judged for people: the state, why, what comes next, and what it rests on.
//!
//! Pure. Must hold: whatever is missing, old or contradicted makes *unknown*, with the reason; a person's hold that is
//! newer than the automation's last answer counts at once; a deadline is named only while the service that would keep
//! it is seen. The decision itself is the automation's; here it is only believed or not.

mod view;

use std::time::Duration;

use db::decisions::Now;
use db::intents::Intent;
use db::inventory::Entry;
use domain::alert::OpenAlert;
use domain::bgp::BgpState;
use domain::calm::{CalmTrack, FUTURE_TOLERANCE};
use domain::decision::{Block, Verdict};
use domain::hold::{self, Hold};
use domain::prefix::Prefix;
use domain::time::{plus, since};
use jiff::Timestamp;
use settings::AutoWithdraw;

pub(crate) use view::{Deadline, Dropped, PrefixView, UnderWay};

use super::sign::Service;
use super::state::State;
use super::why;
use crate::words;

/// How long a withdrawal takes to be seen everywhere. Source: Cloudflare's documentation of dynamic advertisement
/// (withdrawing takes about 15 minutes).
pub(crate) const WITHDRAWAL_SPREADS: Duration = Duration::from_secs(15 * 60);

/// An answer of the automation is believed for at least this long.
const LEAST_BELIEVED: Duration = Duration::from_secs(180);

/// What the judgement of every prefix looks at.
pub(crate) struct Sight<'a> {
    pub(crate) now: Timestamp,
    pub(crate) automation: &'a Service,
    pub(crate) holds: &'a [Hold],
    /// Whether `holds` could be read: only then is a hold that is not among them gone.
    pub(crate) holds_are_known: bool,
    pub(crate) alerts: &'a [OpenAlert],
    /// Acts that are filed and not finished.
    pub(crate) intents: &'a [Intent],
    /// How long a reading and an answer are believed.
    pub(crate) believed_for: Duration,
    /// How long an advertisement takes to be seen everywhere.
    pub(crate) advertisement_spreads: Duration,
    /// Age at which rows count as complete.
    pub(crate) settle: Duration,
    /// Why the automation's answers could not be read, if so.
    pub(crate) unreadable: Option<&'a str>,
}

/// What is said of a prefix that is attacked and not advertised: nobody of ours advertises it.
const EXPOSED: &str =
    "nothing by itself: it is not advertised, so its traffic is not scrubbed; advertise it if it needs protection";

/// Three cycles of the automation: one may be slow, one may fail.
pub(crate) fn believed_for(settings: &AutoWithdraw) -> Duration {
    (settings.check_interval * 3).max(LEAST_BELIEVED)
}

/// What is known of one prefix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) prefix: Prefix,
    pub(crate) entry: Option<&'a Entry>,
    pub(crate) decided: Option<&'a Now>,
    /// Configured as managed; what the automation says of it comes first.
    pub(crate) managed: bool,
    /// Named in the configuration at all.
    pub(crate) configured: bool,
    /// The operator's name for it in the configuration.
    pub(crate) description: Option<&'a str>,
}

impl Known<'_> {
    /// When anything was last read or judged about it.
    pub(crate) fn last_sign(&self) -> Option<Timestamp> {
        let read = self.entry.map(|entry| entry.read_at);
        read.max(self.decided.map(|decided| decided.at))
    }
}

/// What the judgement found.
pub(crate) struct Judged {
    pub(crate) state: State,
    /// Reason, for unknown and for what is not self-evident.
    pub(crate) because: Option<String>,
    pub(crate) unknown_since: Option<Timestamp>,
    pub(crate) deadline: Option<Deadline>,
}

impl Judged {
    fn plain(state: State) -> Self {
        Self {
            state,
            because: None,
            unknown_since: None,
            deadline: None,
        }
    }

    fn unknown(since: Option<Timestamp>, because: String) -> Self {
        Self {
            state: State::Unknown,
            because: Some(because),
            unknown_since: since,
            deadline: None,
        }
    }
}

/// A reading of the live state that can be believed.
#[derive(Debug, Clone, Copy)]
struct Reading<'a> {
    state: &'a BgpState,
    at: Timestamp,
}

/// Judges one prefix.
pub(crate) fn judge(known: Known<'_>, sight: &Sight<'_>) -> PrefixView {
    let newest = newest_reading(&known);
    let reading = newest.filter(|reading| sight.believes(reading.at));
    let decided = known.decided.filter(|decided| believable(decided, reading, sight));
    let hold = hold::in_force(sight.holds, known.prefix, sight.now);
    let managed = decided.map_or(known.managed, |decided| decided.managed);
    let judged = match decided {
        Some(decided) => by_decision(decided, reading, hold, sight),
        None => by_reading(&known, reading, newest, hold, managed, sight),
    };
    let attack = decided.and_then(|decided| match &decided.decision.verdict {
        Verdict::Attack => Some(true),
        Verdict::Unknown { .. } | Verdict::NotManaged => None,
        _ => Some(false),
    });
    let calm = decided
        .and_then(|decided| decided.decision.state.calm.as_ref())
        .filter(|_| matches!(judged.state, State::Calm | State::Held | State::Protected) && attack == Some(false));
    let open_alerts = sight
        .alerts
        .iter()
        .filter(|alert| alert.concerns(known.prefix) && !alert.unresolved);
    let open_alerts: Vec<i64> = open_alerts.map(|alert| alert.event).collect();
    let advertised = reading.and_then(|reading| reading.state.advertised);
    let next = if advertised == Some(false) && !open_alerts.is_empty() {
        EXPOSED.to_owned()
    } else {
        why::next(&judged, decided, hold, managed, sight)
    };
    let decision = decided.map(|decided| &decided.decision);
    let description = known
        .entry
        .map(|entry| entry.prefix.description.as_str())
        .filter(|text| !text.is_empty());
    PrefixView {
        prefix: known.prefix,
        description: words::outside_up_to(description.or(known.description).unwrap_or_default(), 80),
        asn: known.entry.and_then(|entry| entry.prefix.asn),
        managed,
        state: judged.state,
        words: badge(&judged, hold, sight.now),
        unknown_since: judged.unknown_since,
        advertised,
        advertised_changed_at: newest.and_then(|reading| reading.state.advertised_modified_at),
        on_demand_enabled: newest.map(|reading| reading.state.on_demand_enabled),
        next,
        why: why::chain(
            &known,
            &judged,
            decided,
            newest.map(|reading| (reading.state, reading.at)),
            hold,
            sight,
        ),
        deadline: judged.deadline,
        hold: hold.cloned(),
        intent: sight
            .intents
            .iter()
            .rev()
            .find(|intent| intent.prefix == known.prefix)
            .map(UnderWay::of),
        open_alerts,
        under_attack: attack,
        dropped: decision.and_then(|decision| decision.latest).map(Dropped::from),
        peak: decision.and_then(|decision| decision.state.peak).map(Dropped::from),
        noise: decision.is_some_and(|decision| decision.noise),
        systems: decision
            .map(|decision| {
                decision
                    .state
                    .systems
                    .iter()
                    .map(|name| words::outside_up_to(name, 40))
                    .collect()
            })
            .unwrap_or_default(),
        calm_since: calm.map(|track| track.calm_since),
        calm_proven_s: calm.map(|track| CalmTrack::proven(track).as_secs()),
        calm_period_s: calm.and(decision).map(|decision| decision.calm_period.as_secs()),
        decided_at: known.decided.map(|decided| decided.at),
        read_at: newest.map(|reading| reading.at),
        error: known.entry.and_then(|entry| entry.error.as_deref()).map(words::outside),
        error_since: known.entry.and_then(|entry| entry.error_since),
        mode: decided.map(|decided| decided.mode),
    }
}

impl Sight<'_> {
    /// The blocks of the last answer, without a hold that was released since.
    pub(crate) fn in_force<'b>(&self, blocks: &'b [Block], hold: Option<&Hold>) -> Vec<&'b Block> {
        let released = hold.is_none() && self.holds_are_known;
        blocks
            .iter()
            .filter(|block| !released || !matches!(block, Block::Held { .. }))
            .collect()
    }

    /// Neither too old nor from the future.
    fn believes(&self, at: Timestamp) -> bool {
        since(self.now, at) <= self.believed_for && at <= plus(self.now, FUTURE_TOLERANCE)
    }

    fn deadline(&self, at: Timestamp, what: &'static str) -> Deadline {
        let runs_until = self.automation.vouches_until();
        let stands_because = runs_until.is_none().then(|| self.automation.absence(self.now));
        Deadline {
            at,
            what,
            runs_until,
            stands_because,
        }
    }

    /// Cloudflare spreads a change whether or not anybody of ours lives.
    fn spreading(&self, at: Timestamp, what: &'static str) -> Deadline {
        Deadline {
            at,
            what,
            runs_until: Some(at),
            stands_because: None,
        }
    }
}

fn newest_reading<'a>(known: &Known<'a>) -> Option<Reading<'a>> {
    let stored = known.entry.map(|entry| Reading {
        state: &entry.prefix.state,
        at: entry.read_at,
    });
    let seen = known.decided.and_then(|decided| {
        let state = decided.bgp.as_ref()?;
        Some(Reading { state, at: decided.at })
    });
    stored.into_iter().chain(seen).max_by_key(|reading| reading.at)
}

/// The automation's answer counts while it is fresh and no newer reading contradicts it.
fn believable(decided: &Now, reading: Option<Reading<'_>>, sight: &Sight<'_>) -> bool {
    let same_world = |reading: Reading<'_>| {
        let seen = decided.bgp.as_ref();
        reading.at <= decided.at
            || seen.is_some_and(|seen| {
                (seen.advertised, seen.advertised_modified_at)
                    == (reading.state.advertised, reading.state.advertised_modified_at)
            })
    };
    sight.believes(decided.at) && reading.is_none_or(same_world)
}

fn by_decision(decided: &Now, reading: Option<Reading<'_>>, hold: Option<&Hold>, sight: &Sight<'_>) -> Judged {
    let decision = &decided.decision;
    let spreading = reading.and_then(|reading| spreading(reading.state, sight));
    match &decision.verdict {
        Verdict::Attack => Judged::plain(State::UnderAttack),
        Verdict::Unknown { because, since } => Judged::unknown(Some(*since), words::outside(&because.explain())),
        Verdict::NotManaged => Judged::plain(State::NotManaged),
        Verdict::Direct => spreading.unwrap_or_else(|| Judged::plain(State::Direct)),
        Verdict::Propagating { until } => Judged {
            deadline: Some(sight.spreading(*until, "advertised")),
            ..Judged::plain(State::Propagating)
        },
        Verdict::Calm { .. } | Verdict::Blocked { .. } | Verdict::Withdraw if hold.is_some() => {
            Judged::plain(State::Held)
        }
        verdict @ (Verdict::Calm { .. } | Verdict::Blocked { .. } | Verdict::Withdraw) => {
            let blocks = sight.in_force(&decision.blocks, hold);
            match due(verdict, &blocks, sight.now) {
                Some(at) => Judged {
                    deadline: Some(sight.deadline(at, "withdrawal")),
                    ..Judged::plain(State::Calm)
                },
                None => Judged::plain(State::Protected),
            }
        }
    }
}

/// When the automation would withdraw; `None` when something without an end forbids it.
fn due(verdict: &Verdict, blocks: &[&Block], now: Timestamp) -> Option<Timestamp> {
    let proven = match verdict {
        Verdict::Calm { due, .. } => *due,
        _ => now,
    };
    let mut at = proven;
    for block in blocks {
        at = at.max(block.until()?);
    }
    Some(at)
}

fn by_reading(
    known: &Known<'_>,
    reading: Option<Reading<'_>>,
    newest: Option<Reading<'_>>,
    hold: Option<&Hold>,
    managed: bool,
    sight: &Sight<'_>,
) -> Judged {
    let Some(reading) = reading else {
        let since = newest.map(|reading| reading.at);
        return Judged::unknown(since, no_reading(known, newest, sight));
    };
    match reading.state.advertised {
        None if !reading.state.on_demand_enabled || reading.state.bgp_signalled => Judged::plain(State::NotManaged),
        None => {
            let because = "Cloudflare does not say whether it is advertised";
            Judged::unknown(Some(reading.at), because.to_owned())
        }
        Some(advertised) => {
            if let Some(spreading) = spreading(reading.state, sight) {
                return spreading;
            }
            let state = match (advertised, managed, hold) {
                (false, _, _) => State::Direct,
                (true, false, _) => State::NotManaged,
                (true, true, Some(_)) => State::Held,
                (true, true, None) => State::Protected,
            };
            Judged {
                because: Some(nobody_judged(known, sight)),
                ..Judged::plain(state)
            }
        }
    }
}

fn no_reading(known: &Known<'_>, newest: Option<Reading<'_>>, sight: &Sight<'_>) -> String {
    let last = newest.map_or_else(
        || "its BGP state was never read".to_owned(),
        |reading| {
            let flag = match reading.state.advertised {
                Some(true) => "advertised",
                Some(false) => "withdrawn",
                None => "not said",
            };
            format!("last known: {flag}, {} ago", words::age_at(reading.at, sight.now))
        },
    );
    let cause = match known.entry.and_then(|entry| entry.error.as_deref()) {
        Some(error) => Some(words::outside(error)),
        None if !sight.automation.life.is_there() => Some(sight.automation.absence(sight.now)),
        None => None,
    };
    cause.map_or_else(|| last.clone(), |cause| format!("{cause}; {last}"))
}

/// Why there is no answer of the automation although the BGP state is known.
fn nobody_judged(known: &Known<'_>, sight: &Sight<'_>) -> String {
    if let Some(problem) = sight.unreadable {
        return format!("the automation's answer cannot be read: {problem}");
    }
    if !sight.automation.life.is_there() {
        return format!("its traffic is not judged: {}", sight.automation.absence(sight.now));
    }
    match known.decided {
        Some(decided) if sight.believes(decided.at) => "it changed since the automation last looked".to_owned(),
        Some(decided) => format!(
            "its traffic was last judged {} ago",
            words::age_at(decided.at, sight.now)
        ),
        None => "its traffic was never judged".to_owned(),
    }
}

/// A change that Cloudflare accepted and that is still inside the documented window.
fn spreading(state: &BgpState, sight: &Sight<'_>) -> Option<Judged> {
    let changed = state.advertised_modified_at?;
    let (window, what) = match state.advertised? {
        true => (sight.advertisement_spreads, "advertised"),
        false => (WITHDRAWAL_SPREADS, "withdrawn"),
    };
    let until = plus(changed, window);
    (sight.now < until && changed <= plus(sight.now, FUTURE_TOLERANCE)).then(|| Judged {
        deadline: Some(sight.spreading(until, what)),
        ..Judged::plain(State::Propagating)
    })
}

fn badge(judged: &Judged, hold: Option<&Hold>, now: Timestamp) -> String {
    match (judged.state, &judged.deadline, hold) {
        (State::Calm, Some(deadline), _) if deadline.stands_because.is_some() => "calm, clock stopped".to_owned(),
        (State::Calm, Some(deadline), _) if deadline.at <= now => "calm, withdrawing now".to_owned(),
        (State::Calm, Some(deadline), _) => format!("calm, withdrawing at {}", words::said(deadline.at, now)),
        (State::Held, _, Some(hold)) => held_words(hold, now),
        (State::Propagating, Some(deadline), _) if deadline.what == "withdrawn" => "propagating, withdrawn".to_owned(),
        (State::Propagating, Some(_), _) => "propagating, advertised".to_owned(),
        (state, _, _) => state.word().to_owned(),
    }
}

/// `held by ana until 04:00`
pub(crate) fn held_words(hold: &Hold, now: Timestamp) -> String {
    let what = if hold.prefix.is_none() { "paused" } else { "held" };
    let who = words::outside_up_to(&hold.actor, 40);
    match hold.until {
        Some(until) => format!("{what} by {who} until {}", words::said(until, now)),
        None => format!("{what} by {who} until released"),
    }
}

#[cfg(test)]
mod tests;
