//! One prefix judged for people: its state, what it rests on, and what comes next.
//!
//! Pure. Must hold: whatever is missing, old or contradicted is unknown, with the reason; the daemon's answer counts only
//! while it is fresh and about the advertisement that was read; a deadline is promised only while the daemon is seen.
//! The decision itself is the daemon's; here it is only believed or not.

mod state;

use std::time::Duration;

use db::decisions::Now;
use domain::alert::OpenAlert;
use domain::bgp::BgpState;
use domain::calm::{FUTURE_TOLERANCE, WindowSum};
use domain::decision::{Block, NextKind, Reason, Verdict};
use domain::hold::{self, Hold};
use domain::prefix::Prefix;
use domain::time::{plus, since};
use jiff::Timestamp;
use serde::Serialize;
use settings::AutoWithdraw;

use crate::life::Service;
use crate::words;

pub use state::State;

/// How long a withdrawal takes to be seen everywhere. Source: Cloudflare's documentation of dynamic advertisement
/// (withdrawing takes about 15 minutes).
pub const WITHDRAWAL_SPREADS: Duration = Duration::from_secs(15 * 60);

/// An answer of the daemon and a stored reading are believed for at least this long.
const LEAST_BELIEVED: Duration = Duration::from_secs(180);

/// Three cycles of the daemon: one may be slow, one may fail.
pub fn believed_for(settings: &AutoWithdraw) -> Duration {
    (settings.check_interval * 3).max(LEAST_BELIEVED)
}

/// The live state of a prefix as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Read from Cloudflare just now.
    Live {
        /// What it said.
        state: BgpState,
        /// When.
        at: Timestamp,
    },
    /// The last one that the database remembers.
    Stored {
        /// What it said.
        state: BgpState,
        /// When.
        at: Timestamp,
        /// Why there is no newer one.
        because: Option<String>,
    },
    /// It was never read.
    Never {
        /// Why.
        because: String,
    },
}

impl Reading {
    fn parts(&self) -> Option<(&BgpState, Timestamp)> {
        match self {
            Self::Live { state, at } | Self::Stored { state, at, .. } => Some((state, *at)),
            Self::Never { .. } => None,
        }
    }

    /// Why it was not read just now.
    pub fn because(&self) -> Option<&str> {
        match self {
            Self::Live { .. } => None,
            Self::Stored { because, .. } => because.as_deref(),
            Self::Never { because } => Some(because),
        }
    }
}

/// What is known of one prefix.
#[derive(Debug, Clone)]
pub struct Known {
    /// The prefix.
    pub prefix: Prefix,
    /// What the operator or Cloudflare calls it.
    pub description: String,
    /// Origin AS.
    pub asn: Option<u32>,
    /// Whether automation may touch it.
    pub managed: bool,
    /// Its live state.
    pub reading: Reading,
}

/// What the judgement of every prefix looks at.
#[derive(Debug, Clone)]
pub struct Sight<'a> {
    /// Now.
    pub now: Timestamp,
    /// The daemon.
    pub daemon: &'a Service,
    /// The daemon's answers.
    pub answers: &'a [Now],
    /// Holds and pauses.
    pub holds: &'a [Hold],
    /// Open attack alerts.
    pub alerts: &'a [OpenAlert],
    /// Why the database could not be read; everything above is then unknown, not empty.
    pub blind: Option<&'a str>,
    /// See [`believed_for`].
    pub believed_for: Duration,
    /// How long an advertisement takes to be seen everywhere.
    pub propagation: Duration,
}

/// Where a reading comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Read from Cloudflare just now.
    Cloudflare,
    /// The last one that the database remembers.
    Database,
    /// Nowhere.
    None,
}

/// The live state as JSON shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AtCloudflare {
    /// `null` is unknown.
    pub advertised: Option<bool>,
    /// When that changed, by Cloudflare's clock.
    pub changed_at: Option<Timestamp>,
    /// Until when the change still spreads.
    pub spreads_until: Option<Timestamp>,
    /// Why Cloudflare would refuse a change.
    pub refuses: Option<String>,
    /// Where this comes from.
    pub source: Source,
    /// When it was read.
    pub read_at: Option<Timestamp>,
    /// Age of the reading in seconds.
    pub age_s: Option<u64>,
    /// Why it was not read just now.
    pub error: Option<String>,
}

/// What forbids acting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockView {
    /// Stable name.
    pub key: String,
    /// One clause.
    pub text: String,
    /// When it lifts by itself.
    pub until: Option<Timestamp>,
}

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextView {
    /// What, as a stable name.
    pub kind: NextKind,
    /// What, in words.
    pub action: String,
    /// Not before.
    pub not_before: Option<Timestamp>,
    /// Why, as stable names.
    pub reasons: Vec<String>,
    /// Why, in words.
    pub because: String,
}

/// The daemon's answer as JSON shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Stable name of the verdict.
    pub verdict: String,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Its age in seconds.
    pub age_s: u64,
    /// Whether it is fresh, about this advertisement, and the daemon is seen.
    pub believed: bool,
    /// Why not.
    pub doubt: Option<String>,
    /// Calm since, in data time.
    pub calm_since: Option<Timestamp>,
    /// Proven calm, seconds.
    pub calm_proven_s: Option<u64>,
    /// Calm that must be proven, seconds.
    pub calm_period_s: u64,
    /// Dropped traffic of the newest look-back window.
    pub latest: Option<WindowSum>,
    /// Largest attack window of this advertisement.
    pub peak: Option<WindowSum>,
    /// What forbids acting.
    pub blocks: Vec<BlockView>,
    /// What the daemon will do.
    pub next: NextView,
    /// Mode of automation.
    pub mode: String,
}

/// A hold as JSON shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HoldView {
    /// Number.
    pub id: i64,
    /// The prefix; `null` is a pause of everything.
    pub prefix: Option<Prefix>,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `null` is until released.
    pub until: Option<Timestamp>,
}

impl From<&Hold> for HoldView {
    fn from(hold: &Hold) -> Self {
        Self {
            id: hold.id.0,
            prefix: hold.prefix,
            actor: words::outside(&hold.actor, 80),
            reason: words::outside(&hold.reason, 200),
            since: hold.created_at,
            until: hold.until,
        }
    }
}

impl HoldView {
    /// `held by ana@noc until 03:42 UTC: reason (hold 3)`.
    pub fn clause(&self, now: Timestamp) -> String {
        let what = if self.prefix.is_some() {
            "held"
        } else {
            "everything is paused"
        };
        format!(
            "{what} by {} {}: {} (hold {})",
            self.actor,
            self.end(now),
            self.reason,
            self.id
        )
    }

    /// `203.0.113.0/24 is held by ana@noc until 03:42 UTC: reason`.
    pub fn sentence(&self, now: Timestamp) -> String {
        let what = match self.prefix {
            Some(prefix) => format!("{prefix} is held"),
            None => "all automation is paused".to_owned(),
        };
        format!("{what} by {} {}: {}", self.actor, self.end(now), self.reason)
    }

    /// `until 03:42 UTC` or `until released`.
    pub fn end(&self, now: Timestamp) -> String {
        self.until.map_or_else(
            || "until released".to_owned(),
            |until| format!("until {}", words::clock(until, now)),
        )
    }
}

/// A prefix as text and JSON show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// The prefix.
    pub prefix: Prefix,
    /// What it is called.
    pub description: String,
    /// Origin AS.
    pub asn: Option<u32>,
    /// Whether automation may touch it.
    pub managed: bool,
    /// The state.
    pub state: State,
    /// The state in words, with reason, person or deadline.
    pub state_text: String,
    /// Whether drops exceed the thresholds now; `null` is unknown.
    pub under_attack: Option<bool>,
    /// Its live state.
    pub cloudflare: AtCloudflare,
    /// The daemon's answer; `null` when there is none.
    pub answer: Option<Answer>,
    /// What happens next and why, in one sentence.
    pub next: String,
    /// The hold that wins.
    pub hold: Option<HoldView>,
    /// Event numbers of open attack alerts about it.
    pub open_alerts: Vec<i64>,
    /// Whether notifications are received and not read yet: one of them may be an alert about it.
    pub unread_notifications: bool,
}

/// Judges one prefix.
pub fn judge(known: &Known, sight: &Sight<'_>) -> Standing {
    let now = sight.now;
    let cloudflare = at_cloudflare(known, sight);
    let hold = hold::in_force(sight.holds, known.prefix, now);
    let answer = sight.answers.iter().find(|answer| answer.prefix == known.prefix);
    let doubt = answer.map(|answer| doubt(answer, known, &cloudflare, sight));
    let believed = answer.filter(|_| matches!(doubt, Some(None)));
    let managed = believed.map_or(known.managed, |answer| answer.managed);
    let (state, state_text) = state_of(known, managed, &cloudflare, believed, hold, sight);
    let under_attack = match believed.map(|answer| &answer.decision.verdict) {
        Some(Verdict::Attack) => Some(true),
        None | Some(Verdict::Unknown { .. } | Verdict::NotManaged) => None,
        Some(_) => Some(false),
    };
    // What is withdrawn is not scrubbed, and drops at Cloudflare say nothing about it.
    let under_attack = under_attack.filter(|_| cloudflare.advertised == Some(true));
    let next = next_sentence(state, managed, &cloudflare, believed, hold, sight);
    Standing {
        prefix: known.prefix,
        description: words::outside(&known.description, 60),
        asn: known.asn,
        managed,
        state,
        state_text,
        under_attack,
        next,
        answer: answer.map(|answer| answer_view(answer, doubt.flatten(), now)),
        hold: hold.map(HoldView::from),
        open_alerts: sight
            .alerts
            .iter()
            .filter(|alert| alert.concerns(known.prefix) && !alert.is_unread())
            .map(|alert| alert.event)
            .collect(),
        unread_notifications: sight.alerts.iter().any(OpenAlert::is_unread),
        cloudflare,
    }
}

fn at_cloudflare(known: &Known, sight: &Sight<'_>) -> AtCloudflare {
    let parts = known.reading.parts();
    let state = parts.map(|(state, _)| state);
    let is_live = matches!(known.reading, Reading::Live { .. });
    // A stored flag may have been changed by anybody since it was read.
    let trusted = parts.is_some_and(|(_, at)| is_live || is_fresh(at, sight));
    let changed_at = state.and_then(|state| state.advertised_modified_at);
    AtCloudflare {
        advertised: state.and_then(|state| state.advertised).filter(|_| trusted),
        changed_at,
        spreads_until: state.and_then(|state| spreads_until(state, sight)).filter(|_| trusted),
        refuses: state
            .and_then(BgpState::refuses_control)
            .map(|why| why.explain().to_owned()),
        source: match &known.reading {
            Reading::Live { .. } => Source::Cloudflare,
            Reading::Stored { .. } => Source::Database,
            Reading::Never { .. } => Source::None,
        },
        read_at: parts.map(|(_, at)| at),
        age_s: parts.map(|(_, at)| since(sight.now, at).as_secs()),
        error: known.reading.because().map(|text| words::outside(text, words::LONG)),
    }
}

fn is_fresh(at: Timestamp, sight: &Sight<'_>) -> bool {
    since(sight.now, at) <= sight.believed_for && at <= plus(sight.now, FUTURE_TOLERANCE)
}

fn spreads_until(state: &BgpState, sight: &Sight<'_>) -> Option<Timestamp> {
    let changed = state.advertised_modified_at?;
    let window = if state.advertised? {
        sight.propagation
    } else {
        WITHDRAWAL_SPREADS
    };
    let until = plus(changed, window);
    (sight.now < until && changed <= plus(sight.now, FUTURE_TOLERANCE)).then_some(until)
}

/// Why the daemon's answer does not count now.
fn doubt(answer: &Now, known: &Known, cloudflare: &AtCloudflare, sight: &Sight<'_>) -> Option<String> {
    if !sight.daemon.life.is_there() {
        return Some(sight.daemon.absence(sight.now));
    }
    if !is_fresh(answer.at, sight) {
        return Some(format!(
            "the daemon last judged it {} ago",
            words::age(answer.at, sight.now)
        ));
    }
    let flag = |state: &BgpState| (state.advertised, state.advertised_modified_at);
    let newer = cloudflare.read_at.is_some_and(|at| at > answer.at);
    let seen = answer.bgp.as_ref().map(flag);
    if newer && known.reading.parts().map(|(state, _)| flag(state)) != seen {
        return Some("it changed since the daemon last looked".to_owned());
    }
    None
}

fn answer_view(answer: &Now, doubt: Option<String>, now: Timestamp) -> Answer {
    let decision = &answer.decision;
    let calm = decision.state.calm.as_ref().filter(|_| {
        matches!(
            decision.verdict,
            Verdict::Calm { .. } | Verdict::Blocked { .. } | Verdict::Withdraw
        )
    });
    Answer {
        verdict: decision.verdict.key(),
        decided_at: answer.at,
        age_s: since(now, answer.at).as_secs(),
        believed: doubt.is_none(),
        doubt,
        calm_since: calm.map(|track| track.calm_since),
        calm_proven_s: calm.map(|track| track.proven().as_secs()),
        calm_period_s: decision.calm_period.as_secs(),
        latest: decision.latest,
        peak: decision.state.peak,
        blocks: decision.blocks.iter().map(block_view).collect(),
        next: NextView {
            kind: decision.next.kind,
            action: decision.next.action().to_owned(),
            not_before: decision.next.not_before,
            reasons: decision.next.reasons.iter().map(Reason::key).collect(),
            because: words::outside(&decision.next.because(), words::LONG),
        },
        mode: answer.mode.as_str().to_owned(),
    }
}

fn block_view(block: &Block) -> BlockView {
    BlockView {
        key: block.key().to_owned(),
        text: words::outside(&block.explain(), words::LONG),
        until: block.until(),
    }
}

/// The state and its words.
fn state_of(
    known: &Known,
    managed: bool,
    cloudflare: &AtCloudflare,
    believed: Option<&Now>,
    hold: Option<&Hold>,
    sight: &Sight<'_>,
) -> (State, String) {
    let now = sight.now;
    let plain = |state: State| (state, state.word().to_owned());
    match cloudflare.advertised {
        None => return (State::Unknown, unknown_reading(known, cloudflare, now)),
        Some(false) => {
            return match cloudflare.spreads_until {
                Some(until) => (
                    State::Propagating,
                    format!(
                        "propagating, withdrawn everywhere by about {}",
                        words::clock(until, now)
                    ),
                ),
                None => plain(State::Direct),
            };
        }
        Some(true) => {}
    }
    let verdict = believed.map(|answer| &answer.decision.verdict);
    if verdict == Some(&Verdict::Attack) {
        return plain(State::UnderAttack);
    }
    if let Some(Verdict::Unknown { because, since }) = verdict {
        let because = words::outside(&because.explain(), words::LONG);
        return (
            State::Unknown,
            format!("unknown since {}: {because}", words::clock(*since, now)),
        );
    }
    if let Some(until) = cloudflare.spreads_until {
        let text = format!("propagating, seen everywhere by about {}", words::clock(until, now));
        return (State::Propagating, text);
    }
    if !managed || verdict == Some(&Verdict::NotManaged) {
        return plain(State::NotManaged);
    }
    if let Some(hold) = hold {
        let hold = HoldView::from(hold);
        return (State::Held, format!("held by {} {}", hold.actor, hold.end(now)));
    }
    match believed {
        None => (State::Protected, "protected, attack state unknown".to_owned()),
        Some(answer) => match withdrawal_due(answer, now) {
            Some(due) => (State::Calm, format!("calm, withdrawing at {}", words::clock(due, now))),
            None => plain(State::Protected),
        },
    }
}

fn unknown_reading(known: &Known, cloudflare: &AtCloudflare, now: Timestamp) -> String {
    let last = match known.reading.parts() {
        Some((state, at)) if cloudflare.source == Source::Database => {
            let flag = match state.advertised {
                Some(true) => "advertised",
                Some(false) => "withdrawn",
                None => "not said",
            };
            return format!("unknown since {}, last known {flag}", words::age(at, now));
        }
        Some(_) => "Cloudflare does not say whether it is advertised",
        None => "it was never read",
    };
    format!("unknown: {last}")
}

/// When the daemon would withdraw; `None` when it will not by itself.
fn withdrawal_due(answer: &Now, now: Timestamp) -> Option<Timestamp> {
    let decision = &answer.decision;
    let mut due = match &decision.verdict {
        Verdict::Calm { due, .. } => *due,
        Verdict::Blocked { .. } | Verdict::Withdraw => now,
        _ => return None,
    };
    for block in &decision.blocks {
        due = due.max(block.until()?);
    }
    Some(due.max(now))
}

fn next_sentence(
    state: State,
    managed: bool,
    cloudflare: &AtCloudflare,
    believed: Option<&Now>,
    hold: Option<&Hold>,
    sight: &Sight<'_>,
) -> String {
    let now = sight.now;
    let nobody = || match sight.blind {
        Some(blind) => format!(
            "what the daemon will do is not known: {}",
            words::outside(blind, words::LONG)
        ),
        None if !sight.daemon.life.is_there() => format!("nothing happens by itself: {}", sight.daemon.absence(now)),
        None => "the daemon has not judged it yet".to_owned(),
    };
    let says = believed.map(|answer| &answer.decision.next);
    match (state, says) {
        (State::Direct, _) => "nothing; it is not advertised".to_owned(),
        (State::NotManaged, _) if !managed => "nothing; automation does not touch it".to_owned(),
        (State::Propagating, _) if cloudflare.advertised == Some(false) => "nothing; it is withdrawn".to_owned(),
        (_, None) => nobody(),
        (State::Held, _) if hold.is_some() => "nothing until the hold ends or is released".to_owned(),
        (_, Some(next)) => {
            let when = next
                .not_before
                .map_or_else(String::new, |at| format!(" not before {}", words::clock(at, now)));
            let because = words::outside(&next.because(), words::LONG);
            format!("{}{when}, because {because}", next.action())
        }
    }
}

#[cfg(test)]
mod tests;
