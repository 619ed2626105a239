//! What a step of an open intent may do, as pure functions: the live read before the mark, the last
//! check that marks, the moment of the call, the read-back. Whoever keeps the journal (the database,
//! a model of it in a test) gathers the facts in one transaction and asks here.

use std::time::Duration;

use jiff::Timestamp;

use super::{Act, IntentState, Limits};
use crate::alert::OpenAlert;
use crate::bgp::{BgpState, Epoch};
use crate::decision::Mode;
use crate::hold::{self, Hold};
use crate::ids::IntentId;
use crate::prefix::Prefix;
use crate::time::{plus, since};

/// What the rules look at of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Row number.
    pub id: IntentId,
    /// The prefix.
    pub prefix: Prefix,
    /// Advertise or withdraw.
    pub act: Act,
    /// Whether nobody asked for it.
    pub automatic: bool,
    /// Where it stands.
    pub state: IntentState,
    /// The epoch it is meant for.
    pub epoch: Option<Epoch>,
    /// Version of the prefix state it was decided on.
    pub state_version: Option<i64>,
    /// Act although our own rules advise against.
    pub force: bool,
    /// When it was filed.
    pub created_at: Timestamp,
    /// Not before.
    pub not_before: Option<Timestamp>,
    /// When the call was marked.
    pub sending_at: Option<Timestamp>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Who is working on it.
    pub lease_owner: Option<String>,
    /// Until when.
    pub lease_until: Option<Timestamp>,
}

impl Entry {
    /// Whether `owner` may take it to work on it: it is open, its time has come, and nobody else
    /// holds a live lease.
    pub fn may_be_claimed(&self, owner: &str, now: Timestamp) -> bool {
        let free = self.lease_until.is_none_or(|until| until <= now) || self.lease_owner.as_deref() == Some(owner);
        self.state.is_open() && free && self.not_before.is_none_or(|at| at <= now)
    }

    /// Whether its call is on its way to Cloudflare or being read back.
    pub fn is_in_flight(&self) -> bool {
        matches!(self.state, IntentState::Sending | IntentState::Verifying)
    }

    /// Whether it counts for "one at a time" (rule 8): one that was refused and waits for its next
    /// attempt must not keep all others from being withdrawn.
    pub fn is_under_way(&self, now: Timestamp) -> bool {
        let rests = self.state == IntentState::Planned && self.not_before.is_some_and(|at| at > now);
        self.automatic && self.state.is_open() && !rests
    }

    /// Until when a person's advertise keeps the prefix from automation, if it does at `now`: their
    /// choice is not undone a minute later, but only after the shortest time of an advertisement
    /// (rules 7 and 8).
    pub fn keeps_until(&self, shortest: Duration, now: Timestamp) -> Option<Timestamp> {
        let said_at = match self.state {
            _ if self.automatic || self.act != Act::Advertise => return None,
            IntentState::Done => self.closed_at.unwrap_or(self.created_at),
            state if state.is_open() => now,
            _ => return None,
        };
        Some(plus(said_at, shortest)).filter(|until| now < *until)
    }

    /// Whether a person asked for it so long ago that they must be asked again.
    pub fn is_stale(&self, limits: &Limits, now: Timestamp) -> bool {
        !self.automatic && self.act == Act::Withdraw && since(now, self.created_at) > limits.stale_request
    }
}

/// What follows from the live read right before the mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeforeMark {
    /// Nothing forbids going on.
    GoOn,
    /// Not done, and people are told: class and words.
    Refused(&'static str, String),
    /// Automation does not act (any more).
    Cancelled(&'static str),
}

/// Judges the live read `seen` of the ids of `entry`, which belong to `belongs_to`. That the wanted
/// state is there already is the caller's to see first.
pub fn before_mark(entry: &Entry, belongs_to: Prefix, seen: &BgpState, mode: Option<Mode>) -> BeforeMark {
    if belongs_to != entry.prefix {
        let words = format!("the ids belong to {belongs_to}, not to {}", entry.prefix);
        return BeforeMark::Refused("id_mismatch", words);
    }
    if entry.act == Act::Advertise {
        // What a read says of locks may be old or left out: Cloudflare's answer decides (rule 12).
        return BeforeMark::GoOn;
    }
    if let Some(why) = seen.refuses_control() {
        return BeforeMark::Refused("not_controllable", why.explain().into());
    }
    if seen.epoch().is_none() {
        let words = "Cloudflare does not say since when it is advertised";
        return BeforeMark::Refused("epoch_unknown", words.into());
    }
    if entry.automatic && mode.is_some_and(|mode| mode != Mode::Act) {
        return BeforeMark::Cancelled("automation does not act");
    }
    BeforeMark::GoOn
}

/// What the journal says in the transaction of the last check.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The intent as stored now.
    pub stored: Option<&'a Entry>,
    /// All open intents.
    pub open: &'a [Entry],
    /// The newest advertise of the prefix, whatever became of it.
    pub newest_advertise: Option<&'a Entry>,
    /// For automation the holds that bind it, for a person those in force.
    pub holds: &'a [Hold],
    /// Open attack alerts within the veto time.
    pub alerts: &'a [OpenAlert],
    /// Version of the prefix state.
    pub state_version: i64,
    /// When the evidence of the stored intent was asked for.
    pub evidence_at: Option<Timestamp>,
    /// Whether the caller holds the lease of the one automatic actor; `None` for a person.
    pub is_actor: Option<bool>,
}

/// What the last check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Nothing forbids it.
    Open {
        /// How old the evidence is, where there must be some.
        evidence_at: Option<Timestamp>,
    },
    /// Automation does not want it any more; if calm holds it is intended anew.
    Shut {
        /// Why, for people.
        because: String,
    },
    /// What a person asked for is not done; they are told.
    Refused {
        /// Stable class.
        class: &'static str,
        /// Why, for people.
        because: String,
    },
    /// Not now.
    Wait {
        /// Why, for people.
        because: String,
    },
    /// Somebody closed it or works on it.
    Gone,
}

/// Rule 11: everything that could forbid a call. `claimed` is the intent as claimed, `epoch` the one
/// that the live read showed.
pub fn last_check(claimed: &Entry, facts: &Facts<'_>, epoch: Option<Epoch>, limits: &Limits, now: Timestamp) -> Gate {
    let Some(stored) = facts.stored else {
        return Gate::Gone;
    };
    if stored.state != IntentState::Planned || stored.lease_owner != claimed.lease_owner {
        return Gate::Gone;
    }
    // A withdrawal that was marked when the advertise was asked for could not be cancelled then; put
    // back because it was not sent or refused, it must not come after what was asked for later.
    let newest = facts.newest_advertise;
    let overtaken = newest
        .filter(|advertise| advertise.id > claimed.id)
        .map(|advertise| advertise.id);
    match (claimed.act, facts.is_actor) {
        // Never blocked; it follows a sent withdrawal at once (rule 12).
        (Act::Advertise, _) => Gate::Open { evidence_at: None },
        (Act::Withdraw, is_actor) if overtaken.is_some() => {
            let because = format!(
                "intent {} advertises it, and was asked for later",
                overtaken.unwrap_or(claimed.id)
            );
            match is_actor {
                Some(_) => Gate::Shut { because },
                None => Gate::Refused {
                    class: "overtaken",
                    because,
                },
            }
        }
        (Act::Withdraw, None) => by_person(claimed, facts, now),
        (Act::Withdraw, Some(is_actor)) => automatic(stored, is_actor, facts, epoch, limits, now),
    }
}

fn by_person(claimed: &Entry, facts: &Facts<'_>, now: Timestamp) -> Gate {
    let same = |other: &&Entry| other.prefix == claimed.prefix && other.id != claimed.id && other.is_in_flight();
    if let Some(other) = facts.open.iter().rfind(same) {
        return Gate::Wait {
            because: format!("intent {} on the same prefix is under way", other.id),
        };
    }
    // One set since it was asked for (a cool-down may lie between) is somebody's newer word.
    match hold::in_force(facts.holds, claimed.prefix, now) {
        Some(hold) if !claimed.force => Gate::Refused {
            class: "held",
            because: format!("held by {}: {}", hold.actor, hold.reason),
        },
        _ => Gate::Open { evidence_at: None },
    }
}

fn automatic(
    stored: &Entry,
    is_actor: bool,
    facts: &Facts<'_>,
    epoch: Option<Epoch>,
    limits: &Limits,
    now: Timestamp,
) -> Gate {
    let shut = |because: String| Gate::Shut { because };
    let wait = |because: String| Gate::Wait { because };
    if !is_actor {
        // It is the other one's intent now; nothing of it is ours to close.
        return wait("another process is the actor".into());
    }
    if stored.epoch.is_none() || stored.epoch != epoch {
        return shut("the advertisement is not the one that was decided on".into());
    }
    for other in facts.open.iter().filter(|other| other.id != stored.id) {
        if other.prefix == stored.prefix && other.act == Act::Advertise {
            return shut(format!("intent {} advertises it", other.id));
        }
        if other.is_in_flight() && other.prefix == stored.prefix {
            return wait(format!("intent {} on the same prefix is under way", other.id));
        }
        if other.is_in_flight() && other.automatic {
            return wait(format!("intent {} is under way, one at a time", other.id));
        }
    }
    // The cycle that wanted it may have looked before the person spoke, and filed it afterwards.
    if let Some(advertise) = facts.newest_advertise
        && advertise.keeps_until(limits.shortest, now).is_some()
    {
        return shut(format!("intent {} of a person advertises it", advertise.id));
    }
    if let Some(hold) = hold::in_force(facts.holds, stored.prefix, now) {
        return shut(format!("held by {}: {}", hold.actor, hold.reason));
    }
    if let Some(alert) = facts.alerts.iter().find(|alert| alert.concerns(stored.prefix)) {
        return shut(if alert.is_unread() {
            "notifications of Cloudflare are received and not read yet".into()
        } else {
            format!("attack alert #{} is open", alert.event)
        });
    }
    if Some(facts.state_version) != stored.state_version {
        return wait("the decision was renewed meanwhile".into());
    }
    match facts.evidence_at {
        Some(at) if since(now, at) <= limits.evidence_age && at <= now => Gate::Open { evidence_at: Some(at) },
        _ => wait("the evidence is too old; waiting for the next cycle".into()),
    }
}

/// Whether a call that was just marked may begin: the mark may have waited for the journal, and
/// what it rests on (the live read asked for at `asked_at`, the evidence) has grown older meanwhile.
/// `since_bump` is how long ago the automatic actor's loop bumped its lease; `None` for a person.
pub fn may_begin(
    asked_at: Timestamp,
    evidence_at: Option<Timestamp>,
    since_bump: Option<Duration>,
    limits: &Limits,
    now: Timestamp,
) -> bool {
    let oldest = evidence_at.map_or(asked_at, |at| at.min(asked_at));
    since_bump.is_none_or(|age| age <= limits.bump_age) && since(now, oldest) <= limits.evidence_age
}

/// Whether a call that began at `begun` must not go on: a process that was stopped and wakes up
/// must not send what it was allowed to send long ago.
pub fn is_too_late(begun: Timestamp, since_bump: Option<Duration>, limits: &Limits, now: Timestamp) -> bool {
    since(now, begun) > limits.call_within || since_bump.is_some_and(|age| age > limits.call_within)
}

/// Whether a re-read shows the wanted state: by the flag alone. A newer advertisement after our
/// withdrawal may have followed it, or may be one that the call, still on its way, is going to end.
pub fn shows(seen: &BgpState, entry: &Entry) -> bool {
    seen.advertised == Some(entry.act.wanted())
}

/// Whether a re-read after a withdrawal shows another advertisement than the one it was to end:
/// whether it took effect in between nobody can tell.
pub fn shows_another(seen: &BgpState, entry: &Entry) -> bool {
    entry.act == Act::Withdraw && seen.epoch().is_some() && entry.epoch.is_some() && seen.epoch() != entry.epoch
}

/// Whether a withdrawal of ours that was marked since `since` may still reach Cloudflare: an
/// advertise that a read shows done is not done while that is so.
pub fn withdrawal_may_arrive(open: &[Entry], prefix: Prefix, since: Timestamp) -> bool {
    open.iter().any(|other| {
        other.prefix == prefix
            && other.act == Act::Withdraw
            && other.is_in_flight()
            && other.sending_at.is_none_or(|sent| sent >= since)
    })
}

/// Whether an advertise that a read shows withdrawn is asserted again (rule 12): the last call is
/// long enough ago, it is not given up, and nobody asked for something else since.
pub fn may_assert_again(
    entry: &Entry,
    newest: Option<IntentId>,
    last_call: Option<Timestamp>,
    limits: &Limits,
    now: Timestamp,
) -> bool {
    let rested = last_call.is_none_or(|last| since(now, last) >= limits.assert_every);
    entry.act == Act::Advertise && !gives_up(entry, limits, now) && rested && newest == Some(entry.id)
}

/// Whether a call that no re-read has shown is given up as unresolved.
pub fn gives_up(entry: &Entry, limits: &Limits, now: Timestamp) -> bool {
    since(now, entry.sending_at.unwrap_or(entry.created_at)) >= limits.unresolved_after
}

/// How long to wait after the `failures`-th failure. What Cloudflare told counts, but an advertise
/// never waits long by itself: somebody is under attack.
pub fn pause(act: Act, failures: usize, told: Option<Duration>, limits: &Limits) -> Duration {
    let most = match act {
        Act::Advertise => 1,
        Act::Withdraw => 4,
    };
    let doublings = u32::try_from(failures).unwrap_or(u32::MAX).min(most);
    match told {
        Some(told) => told.max(limits.retry_after),
        None => limits.retry_after.saturating_mul(2u32.pow(doublings)),
    }
}

/// What must change to count as alive (rule 13): the counter of a lease as an observer last saw it,
/// with the instant of the observer's own monotonic clock since when it looked like that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch<T> {
    seen: Option<(T, Duration)>,
}

/// How long a lease's counter must stand still before its owner counts as dead.
pub const DEAD_AFTER: Duration = Duration::from_secs(20);

impl<T: PartialEq> Watch<T> {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self { seen: None }
    }

    /// What was last seen, if it has stood still for so long that its owner is dead.
    pub fn dead(&self, monotonic: Duration) -> Option<&T> {
        let (seen, since) = self.seen.as_ref()?;
        (monotonic.saturating_sub(*since) >= DEAD_AFTER).then_some(seen)
    }

    /// It looks like this now.
    pub fn saw(&mut self, it: T, monotonic: Duration) {
        if self.seen.as_ref().is_none_or(|(known, _)| *known != it) {
            self.seen = Some((it, monotonic));
        }
    }

    /// It is ours, or nobody's.
    pub fn forget(&mut self) {
        self.seen = None;
    }
}
