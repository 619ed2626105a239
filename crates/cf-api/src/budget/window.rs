//! The pure rule: a sliding window of five minutes per limit, with reserves and locks.
//!
//! Invariants (property-tested): never more than the limit is granted in any five minutes of a
//! forward-running clock; ordinary calls leave the reserve untouched; nothing is granted under a
//! lock; the wait that a refusal names is enough if nobody else calls meanwhile. The one exception
//! is an advertise: it is counted and never refused, because protection must not wait for our own
//! bookkeeping. Cloudflare's answer decides.
//! A clock that steps back shortens nothing: counts from the "future" are moved to the present.

use std::time::Duration;

use domain::time::{plus, since};
use jiff::Timestamp;

use super::store::Usage;

/// Cloudflare's counting period for both limits.
pub const PERIOD_S: i64 = 300;

/// Width of a counting slot. A slot leaves the window only when its last second has.
pub const SLOT_S: i64 = 5;

/// A lock is never believed for longer: a wrong `retry-after` must not blind us for a day.
const MAX_LOCK: Duration = Duration::from_secs(15 * 60);

/// How long a rate-limit header is believed.
const HINT_FOR: Duration = Duration::from_secs(60);

/// The two limits that Cloudflare counts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Everything but GraphQL.
    Rest,
    /// GraphQL queries.
    Graphql,
}

impl Bucket {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Rest, Self::Graphql];

    /// Stable word for logs and storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Graphql => "graphql",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Rest => 0,
            Self::Graphql => 1,
        }
    }
}

/// What a call is for, which decides how much of the limit it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// Advertises a prefix. Never refused.
    Advertise,
    /// Withdraws a prefix. May use everything.
    Withdraw,
    /// Reads advertisement state for a decision. Leaves a little for changes.
    BgpRead,
    /// Any other REST call. Leaves the reserve.
    Rest,
    /// Analytics that a withdrawal decision rests on. May use everything.
    Evidence,
    /// Other analytics. Leaves the reserve.
    Analytics,
}

impl CallKind {
    /// Which limit it counts against.
    pub fn bucket(self) -> Bucket {
        match self {
            Self::Advertise | Self::Withdraw | Self::BgpRead | Self::Rest => Bucket::Rest,
            Self::Evidence | Self::Analytics => Bucket::Graphql,
        }
    }
}

/// Calls per five minutes, and the parts kept back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// REST calls per five minutes.
    pub rest: u32,
    /// GraphQL queries per five minutes.
    pub graphql: u32,
    /// Percent of each limit that ordinary calls leave free.
    pub reserve_percent: u32,
    /// Percent of the REST limit that reads of BGP state leave to changes.
    pub change_percent: u32,
}

impl Default for Limits {
    /// Cloudflare's documented limits, 20 % reserve, 3 % of it for changes alone.
    fn default() -> Self {
        Self {
            rest: 1_200,
            graphql: 300,
            reserve_percent: 20,
            change_percent: 3,
        }
    }
}

impl Limits {
    fn of(&self, bucket: Bucket) -> u32 {
        match bucket {
            Bucket::Rest => self.rest,
            Bucket::Graphql => self.graphql,
        }
    }

    /// Calls of `limit` that `kind` must leave free.
    fn floor(&self, kind: CallKind, limit: u32) -> u32 {
        let percent = match kind {
            CallKind::Advertise | CallKind::Withdraw | CallKind::Evidence => return 0,
            CallKind::BgpRead => self.change_percent,
            CallKind::Rest | CallKind::Analytics => self.reserve_percent,
        };
        let part = u64::from(limit) * u64::from(percent.min(100));
        u32::try_from(part.div_ceil(100)).unwrap_or(u32::MAX)
    }
}

/// The answer to a request for one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// Send it; it is counted.
    Granted,
    /// Do not send it; asking again earlier is pointless.
    Wait(Duration),
}

/// What a rate-limit header says. It may be about a limit of one endpoint only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// Calls left.
    pub calls: u32,
    /// Out of how many, if told.
    pub of: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Hint {
    remaining: Remaining,
    until: Timestamp,
}

/// Counts of this process and of the others, and what Cloudflare said.
#[derive(Debug, Clone)]
pub struct Window {
    limits: Limits,
    own: Usage,
    others: Usage,
    hints: [Option<Hint>; 2],
}

fn slot_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(SLOT_S) * SLOT_S
}

/// Whether a slot still counts at `now`: its last second is less than a period old. Slots of the
/// near future (another host's clock) count, absurd ones do not.
fn counts(slot: i64, now: Timestamp) -> bool {
    let now = now.as_second();
    slot + SLOT_S + PERIOD_S > now && slot <= now + PERIOD_S
}

impl Window {
    /// An empty window.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            own: Usage::default(),
            others: Usage::default(),
            hints: [None; 2],
        }
    }

    /// Grants and counts one call of `kind`, or says how long to wait.
    pub fn admit(&mut self, kind: CallKind, now: Timestamp) -> Admit {
        self.tidy(now);
        if kind != CallKind::Advertise
            && let Some(wait) = self.must_wait(kind, now)
        {
            return Admit::Wait(at_least_a_second(wait));
        }
        let index = kind.bucket().index();
        if let Some(hint) = &mut self.hints[index] {
            hint.remaining.calls = hint.remaining.calls.saturating_sub(1);
        }
        let calls = &mut self.own.slots.entry(slot_of(now)).or_default()[index];
        *calls = calls.saturating_add(1);
        Admit::Granted
    }

    fn must_wait(&self, kind: CallKind, now: Timestamp) -> Option<Duration> {
        let bucket = kind.bucket();
        if let Some(wait) = self.locked_for(bucket, now) {
            return Some(wait);
        }
        let limit = self.limits.of(bucket);
        let allowed = limit.saturating_sub(self.limits.floor(kind, limit));
        if self.used(bucket, now) >= allowed {
            return Some(self.wait_until_below(bucket, allowed, now));
        }
        let hint = self.hints[bucket.index()]?;
        let floor = match kind {
            // An endpoint's own limit is no reason to keep protection waiting before it is reached.
            CallKind::Rest | CallKind::Analytics => self.limits.floor(kind, hint.remaining.of.unwrap_or(limit)),
            _ => 0,
        };
        (hint.remaining.calls <= floor).then(|| since(hint.until, now))
    }

    /// Nothing is granted in `bucket` for `wait` (at most 15 minutes).
    pub fn lock(&mut self, bucket: Bucket, wait: Duration, now: Timestamp) {
        let until = plus(now, wait.min(MAX_LOCK));
        let locked = &mut self.own.locked_until[bucket.index()];
        *locked = (*locked).max(Some(until));
    }

    /// A header said how many calls are left.
    pub fn observe_remaining(&mut self, bucket: Bucket, remaining: Remaining, now: Timestamp) {
        self.hints[bucket.index()] = Some(Hint {
            remaining,
            until: plus(now, HINT_FOR),
        });
    }

    /// Calls of all services that still count.
    pub fn used(&self, bucket: Bucket, now: Timestamp) -> u32 {
        self.counting(bucket, now)
            .fold(0, |sum, (_, calls)| sum.saturating_add(calls))
    }

    /// What this process tells the others.
    pub fn own_usage(&mut self, now: Timestamp) -> Usage {
        self.tidy(now);
        self.own.clone()
    }

    /// What the other services did.
    pub fn set_others(&mut self, others: Usage) {
        self.others = others;
    }

    fn counting(&self, bucket: Bucket, now: Timestamp) -> impl Iterator<Item = (i64, u32)> + '_ {
        let index = bucket.index();
        self.own
            .slots
            .iter()
            .chain(&self.others.slots)
            .map(move |(slot, calls)| (*slot, calls[index]))
            .filter(move |(slot, _)| counts(*slot, now))
    }

    fn locked_for(&self, bucket: Bucket, now: Timestamp) -> Option<Duration> {
        let index = bucket.index();
        let until = self.own.locked_until[index].max(self.others.locked_until[index])?;
        // A lock from a clock that ran ahead is no longer than any other.
        let until = until.min(plus(now, MAX_LOCK));
        (until > now).then(|| since(until, now))
    }

    /// How long until fewer than `allowed` calls count, if none is added.
    fn wait_until_below(&self, bucket: Bucket, allowed: u32, now: Timestamp) -> Duration {
        let mut slots: Vec<(i64, u32)> = self.counting(bucket, now).collect();
        slots.sort_unstable();
        let mut left: u32 = self.used(bucket, now);
        let mut free_at = now.as_second() + PERIOD_S;
        for (slot, calls) in slots {
            left = left.saturating_sub(calls);
            if left < allowed {
                free_at = slot + SLOT_S + PERIOD_S;
                break;
            }
        }
        let free_at = Timestamp::from_second(free_at).unwrap_or(Timestamp::MAX);
        since(free_at, now)
    }

    fn tidy(&mut self, now: Timestamp) {
        let present = slot_of(now);
        // Our own counts from after `now`: the clock was set back. They were made at some moment
        // before this one, so counting them as made now is the safe reading.
        let ahead = self.own.slots.split_off(&(present + SLOT_S));
        for calls in ahead.into_values() {
            let here = self.own.slots.entry(present).or_default();
            for (here, calls) in here.iter_mut().zip(calls) {
                *here = here.saturating_add(calls);
            }
        }
        self.own.slots.retain(|slot, _| counts(*slot, now));
        for locked in &mut self.own.locked_until {
            *locked = locked
                .filter(|until| *until > now)
                .map(|until| until.min(plus(now, MAX_LOCK)));
        }
        for hint in &mut self.hints {
            *hint = hint.filter(|hint| hint.until > now && since(hint.until, now) <= HINT_FOR);
        }
    }
}

fn at_least_a_second(wait: Duration) -> Duration {
    wait.max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn fill(window: &mut Window, kind: CallKind, now: Timestamp) -> u32 {
        let mut granted = 0;
        while window.admit(kind, now) == Admit::Granted {
            granted += 1;
        }
        granted
    }

    #[test]
    fn ordinary_calls_leave_the_reserve_to_reads_and_changes() {
        let mut window = Window::new(Limits::default());
        assert_eq!(fill(&mut window, CallKind::Rest, at(0)), 960);
        assert_eq!(fill(&mut window, CallKind::BgpRead, at(1)), 204);
        assert_eq!(fill(&mut window, CallKind::Withdraw, at(2)), 36);
        for _ in 0..10 {
            assert_eq!(window.admit(CallKind::Advertise, at(2)), Admit::Granted);
        }
        assert_eq!(fill(&mut window, CallKind::Analytics, at(2)), 240);
        assert_eq!(fill(&mut window, CallKind::Evidence, at(2)), 60);
    }

    #[test]
    fn the_calls_of_others_count() {
        let mut mine = Window::new(Limits::default());
        let mut theirs = Window::new(Limits::default());
        fill(&mut theirs, CallKind::Rest, at(0));
        theirs.lock(Bucket::Graphql, Duration::from_secs(30), at(0));
        mine.set_others(theirs.own_usage(at(0)));
        assert!(matches!(mine.admit(CallKind::Rest, at(1)), Admit::Wait(_)));
        assert_eq!(mine.admit(CallKind::BgpRead, at(1)), Admit::Granted);
        assert_eq!(
            mine.admit(CallKind::Evidence, at(10)),
            Admit::Wait(Duration::from_secs(20))
        );
        assert_eq!(mine.admit(CallKind::Evidence, at(31)), Admit::Granted);
    }

    #[test]
    fn a_header_that_says_less_is_left_is_believed_for_a_minute() {
        let mut window = Window::new(Limits::default());
        let waits = |window: &mut Window, kind, second| window.admit(kind, at(second)) != Admit::Granted;
        let two_left = Remaining { calls: 2, of: None };
        window.observe_remaining(Bucket::Rest, two_left, at(0));
        assert!(waits(&mut window, CallKind::Rest, 0));
        assert!(!waits(&mut window, CallKind::BgpRead, 0));
        assert!(!waits(&mut window, CallKind::Withdraw, 0));
        assert!(waits(&mut window, CallKind::BgpRead, 0));
        assert!(waits(&mut window, CallKind::Withdraw, 0));
        assert!(!waits(&mut window, CallKind::Advertise, 0));
        assert!(!waits(&mut window, CallKind::Rest, 61));

        // 30 of 100 is plenty, 30 of 1,200 is not.
        for (of, ordinary_waits) in [(Some(100), false), (Some(1_200), true), (None, true)] {
            window.observe_remaining(Bucket::Rest, Remaining { calls: 30, of }, at(70));
            assert_eq!(waits(&mut window, CallKind::Rest, 70), ordinary_waits, "{of:?}");
        }
    }

    #[test]
    fn an_absurd_lock_is_shortened() {
        let mut window = Window::new(Limits::default());
        window.lock(Bucket::Rest, Duration::from_secs(86_400), at(0));
        assert_eq!(window.admit(CallKind::Withdraw, at(0)), Admit::Wait(MAX_LOCK));
        // Even when the clock is set back by a day.
        assert_eq!(window.admit(CallKind::Withdraw, at(-86_400)), Admit::Wait(MAX_LOCK));
        assert_eq!(window.admit(CallKind::Withdraw, at(-86_400 + 901)), Admit::Granted);
    }
}
