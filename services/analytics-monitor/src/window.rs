//! Which spans of time a poll reads.
//!
//! The stored watermark says up to where everything was read. A poll goes from a little before it
//! (rows arrive and grow late) to `settle` ago, in spans that one query may cover. However long
//! the service was away, it continues where it stopped; what is older than Cloudflare keeps is
//! named as lost, never skipped silently.

use std::time::Duration;

use domain::time::{ceil_to, floor_to, minus, plus, since};
use jiff::Timestamp;

use crate::feed::Source;
use crate::policy::Policy;
use crate::reach::Reach;

const SECOND: Duration = Duration::from_secs(1);

/// Longest span of one query: an hour of an attack may be many rows, and a longer span would be
/// sampled more coarsely.
const LONGEST_SPAN: Duration = Duration::from_secs(3_600);

/// Spans that a poll reads beyond those of its overlap. Catching up is cut into rounds so that it
/// neither uses up the query budget nor holds up what else the process has to do.
const SPANS_PER_ROUND: usize = 12;

/// Data about to expire may expire while we ask.
const EXPIRY_MARGIN: Duration = Duration::from_secs(60);

/// From `from` (inclusive) to `to` (exclusive), in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Begin.
    pub from: Timestamp,
    /// End.
    pub to: Timestamp,
}

impl Span {
    /// How long it is.
    pub fn length(self) -> Duration {
        since(self.to, self.from)
    }

    /// The two halves, cut at a multiple of `grain`; `None` where there is none inside.
    pub fn halves(self, grain: Duration) -> Option<(Self, Self)> {
        let middle = floor_to(plus(self.from, self.length() / 2), grain);
        let halves = (
            Self {
                from: self.from,
                to: middle,
            },
            Self {
                from: middle,
                to: self.to,
            },
        );
        (self.from < middle && middle < self.to).then_some(halves)
    }
}

/// Those of the parts that reach beyond what was read before. What lies wholly before the mark was read by an earlier poll,
/// which told if it was not complete.
pub fn beyond(parts: &[Span], mark: Option<Timestamp>) -> Vec<Span> {
    let is_new = |part: &&Span| mark.is_none_or(|mark| part.to > mark);
    parts.iter().filter(is_new).copied().collect()
}

/// What a poll reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Oldest first, without gaps.
    pub spans: Vec<Span>,
    /// Between the watermark and what Cloudflare still has.
    pub lost: Option<Span>,
    /// Whether there is more to read than this poll reads.
    pub is_behind: bool,
    /// Whether the watermark lies in the future: one of two clocks was wrong.
    pub watermark_ahead: bool,
}

impl Plan {
    /// What is odd about the watermark, in the log. Call it once the watermark has moved.
    pub fn tell_oddities(&self, source: &Source, watermark: Option<Timestamp>) {
        let source = source.watermark.as_str();
        if let Some(mark) = watermark.filter(|_| self.watermark_ahead) {
            tracing::warn!(event = "mitigations.watermark.ahead", source, mark = %mark);
        }
        if let Some(lost) = self.lost {
            tracing::error!(event = "mitigations.gap.lost", source, from = %lost.from, to = %lost.to);
        }
    }
}

/// Plans a poll at `now` in whole seconds.
pub fn plan(watermark: Option<Timestamp>, now: Timestamp, policy: &Policy, reach: &Reach) -> Plan {
    plan_in(SECOND, watermark, now, policy, reach)
}

/// Plans a poll at `now` in whole multiples of `grain`.
pub fn plan_in(grain: Duration, watermark: Option<Timestamp>, now: Timestamp, policy: &Policy, reach: &Reach) -> Plan {
    let to = floor_to(minus(now, policy.settle), grain);
    let overlap = policy.overlap().max(grain);
    let wanted = match watermark {
        None => minus(now, policy.lookback),
        Some(mark) => minus(mark.min(to), overlap),
    };
    let mut from = floor_to(wanted, grain);
    let mut lost = None;
    if let Some(kept) = reach.not_older_than {
        let oldest = ceil_to(minus(now, kept.saturating_sub(EXPIRY_MARGIN)), grain).min(to);
        if from < oldest {
            lost = watermark
                .filter(|mark| *mark < oldest)
                .map(|mark| Span { from: mark, to: oldest });
            from = oldest;
        }
    }
    let step = floor_length(LONGEST_SPAN.min(reach.max_duration), grain);
    // The overlap alone may be longer than a round: without room beyond it a poll would never get
    // past its watermark.
    let of_overlap = overlap.as_secs().div_ceil(step.as_secs());
    let most = SPANS_PER_ROUND + usize::try_from(of_overlap).unwrap_or(usize::MAX - SPANS_PER_ROUND);
    let mut spans = Vec::new();
    while from < to && spans.len() < most {
        let end = plus(from, step).min(to);
        spans.push(Span { from, to: end });
        from = end;
    }
    Plan {
        spans,
        lost,
        is_behind: from < to,
        watermark_ahead: watermark.is_some_and(|mark| mark > now),
    }
}

/// A whole multiple of `grain`, at least one.
fn floor_length(length: Duration, grain: Duration) -> Duration {
    let grain_s = grain.as_secs().max(1);
    Duration::from_secs((length.as_secs() / grain_s).max(1) * grain_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    fn policy() -> Policy {
        Policy {
            poll_interval: minutes(5),
            lookback: minutes(15),
            settle: minutes(1),
            min_packets: 1,
            own: Vec::new(),
            anycast: Vec::new(),
            witnesses: Vec::new(),
            announced: Vec::new(),
            attacks: false,
            series: false,
        }
    }

    fn reach() -> Reach {
        Reach {
            page: 10_000,
            max_duration: Duration::from_secs(259_200),
            not_older_than: Some(Duration::from_secs(2_678_400)),
        }
    }

    fn span(from: &str, to: &str) -> Span {
        Span {
            from: at(from),
            to: at(to),
        }
    }

    fn spans(watermark: Option<&str>, now: &str) -> Vec<Span> {
        plan(watermark.map(at), at(now), &policy(), &reach()).spans
    }

    #[test]
    fn the_first_poll_looks_back_and_later_ones_overlap() {
        assert_eq!(
            spans(None, "2026-01-01T12:00:00.7Z"),
            [span("2026-01-01T11:45:00Z", "2026-01-01T11:59:00Z")]
        );
        assert_eq!(
            spans(Some("2026-01-01T11:59:00Z"), "2026-01-01T12:05:00Z"),
            [span("2026-01-01T11:45:00Z", "2026-01-01T12:04:00Z")]
        );
    }

    #[test]
    fn every_row_is_read_again_at_the_age_of_the_look_back() {
        let (policy, reach) = (policy(), reach());
        let mut now = at("2026-01-01T12:00:00Z");
        let mut mark = None;
        let mut reads: Vec<(Timestamp, Vec<Span>)> = Vec::new();
        // Polls are late by odd amounts, and there is an outage of three hours.
        for pause_s in [300, 301, 407, 300, 10_800, 300, 299, 300, 300, 300] {
            let plan = plan(mark, now, &policy, &reach);
            mark = plan.spans.last().map(|span| span.to);
            reads.push((now, plan.spans));
            now = plus(now, Duration::from_secs(pause_s));
        }
        let mut row = at("2026-01-01T11:50:00Z");
        let end = minus(reads.last().unwrap().0, minutes(16));
        while row < end {
            let read_late = reads.iter().any(|(when, spans)| {
                since(*when, row) >= policy.lookback && spans.iter().any(|span| span.from <= row && row < span.to)
            });
            assert!(read_late, "{row}");
            row = plus(row, SECOND);
        }
    }

    #[test]
    fn an_outage_is_caught_up_in_rounds_without_gaps() {
        let (policy, reach) = (policy(), reach());
        let now = at("2026-01-03T12:00:00Z");
        let mut mark = at("2026-01-01T12:00:00Z");
        let mut rounds = 0;
        loop {
            let plan = plan(Some(mark), now, &policy, &reach);
            assert_eq!(plan.lost, None);
            assert!(plan.spans[0].from < mark, "the overlap is read again");
            for pair in plan.spans.windows(2) {
                assert_eq!(pair[0].to, pair[1].from);
            }
            assert!(plan.spans.iter().all(|span| span.length() <= LONGEST_SPAN));
            mark = plan.spans.last().unwrap().to;
            rounds += 1;
            if !plan.is_behind {
                break;
            }
        }
        assert_eq!((mark, rounds), (at("2026-01-03T11:59:00Z"), 4));
    }

    #[test]
    fn a_long_overlap_cannot_keep_a_poll_from_moving_on() {
        let policy = Policy {
            lookback: minutes(24 * 60),
            ..policy()
        };
        let reach = Reach {
            max_duration: minutes(10),
            ..reach()
        };
        let mark = at("2026-01-01T12:00:00Z");
        let plan = plan(Some(mark), at("2026-01-09T12:00:00Z"), &policy, &reach);
        assert!(plan.spans.last().unwrap().to > mark);
    }

    #[test]
    fn what_cloudflare_no_longer_has_is_named() {
        let reach = Reach {
            not_older_than: Some(minutes(60)),
            ..reach()
        };
        let mark = at("2026-01-01T09:00:00Z");
        let now = at("2026-01-01T12:00:00Z");
        let plan = plan(Some(mark), now, &policy(), &reach);
        assert_eq!(plan.lost, Some(span("2026-01-01T09:00:00Z", "2026-01-01T11:01:00Z")));
        assert_eq!(plan.spans[0].from, at("2026-01-01T11:01:00Z"));
        // Only the overlap is too old: nothing is lost.
        let recent = super::plan(Some(at("2026-01-01T11:05:00Z")), now, &policy(), &reach);
        assert_eq!((recent.lost, recent.spans[0].from), (None, at("2026-01-01T11:01:00Z")));
        // Nothing was ever read: nothing is lost either.
        let first = Policy {
            lookback: minutes(240),
            ..policy()
        };
        assert_eq!(super::plan(None, now, &first, &reach).lost, None);
    }

    #[test]
    fn a_watermark_of_the_future_is_told_and_does_not_stop_polling() {
        let now = at("2026-01-01T12:00:00Z");
        let plan = plan(Some(at("2026-01-02T12:00:00Z")), now, &policy(), &reach());
        assert!(plan.watermark_ahead);
        assert_eq!(plan.spans, [span("2026-01-01T11:45:00Z", "2026-01-01T11:59:00Z")]);
    }

    #[test]
    fn whole_minutes_stay_whole_minutes() {
        let now = at("2026-01-01T12:00:31Z");
        let minute = minutes(1);
        let plan = plan_in(minute, Some(at("2026-01-01T08:00:00Z")), now, &policy(), &reach());
        assert_eq!(plan.spans.last().unwrap().to, at("2026-01-01T11:59:00Z"));
        assert_eq!(plan.spans[0].from, at("2026-01-01T07:46:00Z"));
        let narrow = Reach {
            max_duration: Duration::from_secs(150),
            ..reach()
        };
        let plan = plan_in(minute, None, now, &policy(), &narrow);
        assert!(
            plan.spans
                .iter()
                .all(|span| span.length().as_secs() % 60 == 0 && span.length().as_secs() <= 120)
        );
    }

    #[test]
    fn halves_are_whole_seconds_and_a_second_has_none() {
        let whole = span("2026-01-01T12:00:00Z", "2026-01-01T12:00:03Z");
        let (left, right) = whole.halves(SECOND).unwrap();
        assert_eq!((left.to, right.to), (at("2026-01-01T12:00:01Z"), whole.to));
        assert_eq!(left.halves(SECOND), None);
        assert!(right.halves(SECOND).is_some());
    }
}
