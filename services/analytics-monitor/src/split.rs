//! Halving a span of time until its answers are complete, with a bound on the queries (pure).
//!
//! A full page says that rows are missing: the span is halved and both halves are asked anew. Where the queries are used
//! up, and where the shortest span fills a page, what came is kept and the part is named as truncated.

use std::time::Duration;

use crate::window::Span;

/// Queries for one span.
const QUERIES: u32 = 31;

/// The parts of one span that are still to be asked for, oldest first.
#[derive(Debug, Clone)]
pub struct Split {
    /// Each part with the queries it may use, itself included; what it leaves goes to later parts.
    parts: Vec<(Span, u32)>,
    spare: u32,
    grain: Duration,
    queries: u32,
}

/// What an answer means for its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// It is asked for again in halves.
    Halved,
    /// It is complete.
    Complete,
    /// Rows are missing, and that is how it stays.
    Truncated,
}

impl Split {
    /// A span, cut no finer than `grain`.
    pub fn new(span: Span, grain: Duration) -> Self {
        Self {
            parts: vec![(span, QUERIES)],
            spare: 0,
            grain,
            queries: 0,
        }
    }

    /// The next part to ask for; [`Self::judge`] wants its answer.
    pub fn part(&self) -> Option<Span> {
        self.parts.last().map(|(part, _)| *part)
    }

    /// An answer about that part came; `full` says that its page was full.
    pub fn judge(&mut self, full: bool) -> Judged {
        let Some((part, queries)) = self.parts.pop() else {
            return Judged::Complete;
        };
        self.queries += 1;
        let left = queries - 1 + self.spare;
        self.spare = 0;
        match part.halves(self.grain).filter(|_| full && left >= 2) {
            Some((earlier, later)) => {
                self.parts.push((later, left / 2));
                self.parts.push((earlier, left - left / 2));
                Judged::Halved
            }
            None => {
                self.spare = left;
                if full { Judged::Truncated } else { Judged::Complete }
            }
        }
    }

    /// How many queries it took so far.
    pub fn queries(&self) -> u32 {
        self.queries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour() -> Span {
        Span {
            from: "2026-01-01T12:00:00Z".parse().unwrap(),
            to: "2026-01-01T13:00:00Z".parse().unwrap(),
        }
    }

    /// Asks for everything; `full` decides by the part. Returns the parts kept, in order, and those truncated.
    fn all(grain: Duration, full: impl Fn(Span) -> bool) -> (Vec<Span>, usize, u32) {
        let mut split = Split::new(hour(), grain);
        let (mut kept, mut truncated) = (Vec::new(), 0);
        while let Some(part) = split.part() {
            match split.judge(full(part)) {
                Judged::Halved => {}
                Judged::Complete => kept.push(part),
                Judged::Truncated => {
                    kept.push(part);
                    truncated += 1;
                }
            }
        }
        (kept, truncated, split.queries())
    }

    #[test]
    fn parts_cover_the_span_without_gap_or_overlap_whatever_is_full() {
        let second = Duration::from_secs(1);
        for longest_s in [1, 60, 200, 230, 500, 1_000, 2_000, 3_600] {
            let (kept, truncated, queries) = all(second, |part| part.length().as_secs() > longest_s);
            assert_eq!((kept[0].from, kept[kept.len() - 1].to), (hour().from, hour().to));
            assert!(kept.windows(2).all(|pair| pair[0].to == pair[1].from), "{kept:?}");
            assert!(queries <= QUERIES, "{queries}");
            assert_eq!(truncated == 0, longest_s >= 230, "{longest_s}");
        }
    }

    #[test]
    fn the_grain_is_never_cut() {
        let (kept, _, _) = all(Duration::from_secs(60), |part| part.from == hour().from);
        assert!(
            kept.iter()
                .all(|part| part.from.as_second() % 60 == 0 && part.to.as_second() % 60 == 0)
        );
    }
}
