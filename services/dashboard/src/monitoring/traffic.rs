//! What was dropped of the prefixes of a monitoring rule, beside its thresholds: now, and at the heaviest of the last days.
//!
//! Must hold: a minute counts only where it was read for every prefix of the rule, because a rule sums them; what was not
//! read is unknown and never nothing; figures that rest on a part of the time say so.

use std::time::Duration;

use cf_api::rest::mnm::MnmRule;
use db::series::{self, Point};
use db::{DbError, ReadTx};
use domain::prefix::Prefix;
use domain::time::minus;
use jiff::Timestamp;
use serde::Serialize;

use crate::answer::Failure;
use crate::app::App;
use crate::words;

/// How far back peaks are looked for.
const PEAK_WITHIN: Duration = Duration::from_secs(7 * 86_400);

/// Points of the series of peaks: hours.
const POINTS: u32 = 400;

/// What is older than that is not now. Analytics come some minutes late.
const NOW_WITHIN: Duration = Duration::from_secs(30 * 60);

/// Below this part of the time read, a peak is only known to be at least so high.
const MOSTLY: f64 = 0.95;

/// Bits and packets per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct DroppedRates {
    pub(crate) bits_per_second: f64,
    pub(crate) packets_per_second: f64,
}

/// What was dropped of all prefixes of a rule together.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct DroppedOfRule {
    /// Of the newest minute that was read; null when none of the last half hour was
    pub(crate) now: Option<DroppedRates>,
    /// Begin of that minute
    pub(crate) now_at: Option<Timestamp>,
    /// Of the heaviest minutes of the last seven days; null when none was read. With several prefixes at most this
    pub(crate) peak: Option<DroppedRates>,
    /// Part of the seven days that was read, 0 to 1
    pub(crate) read_share: f64,
}

/// The rules with what was dropped of their prefixes.
///
/// # Errors
/// Those of the database.
pub(crate) async fn measured(app: &App, rules: Vec<MnmRule>) -> Result<Vec<(MnmRule, DroppedOfRule)>, Failure> {
    let now = app.now();
    let read = move |tx: &ReadTx<'_>| {
        let found = rules.into_iter().map(|rule| {
            let measured = of(tx, &rule.prefixes, now)?;
            Ok((rule, measured))
        });
        found.collect::<Result<Vec<_>, DbError>>()
    };
    Ok(app.db().read("traffic of rules", read).await?)
}

fn of(tx: &ReadTx<'_>, prefixes: &[Prefix], now: Timestamp) -> Result<DroppedOfRule, DbError> {
    let summed = |within: Duration| -> Result<Vec<Sum>, DbError> {
        let all = prefixes
            .iter()
            .map(|prefix| series::series(tx, *prefix, minus(now, within), now, POINTS));
        Ok(sums(&all.collect::<Result<Vec<_>, DbError>>()?))
    };
    Ok(judged(&summed(NOW_WITHIN)?, &summed(PEAK_WITHIN)?))
}

/// A step of the time with the traffic of all prefixes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sum {
    at: Timestamp,
    step_s: u64,
    /// Minutes that were read of every prefix, at most.
    minutes_read: u64,
    bits: u64,
    packets: u64,
}

/// One step per point; all series are of the same time.
fn sums(series: &[Vec<Point>]) -> Vec<Sum> {
    let Some((first, others)) = series.split_first() else {
        return Vec::new();
    };
    let steps = first.iter().enumerate().map(|(number, point)| {
        let beside = others.iter().map(|points| points.get(number));
        let mut sum = Sum {
            at: point.at,
            step_s: point.step_s,
            minutes_read: point.minutes_read,
            bits: point.most_bits,
            packets: point.most_packets,
        };
        for other in beside {
            sum.minutes_read = sum.minutes_read.min(other.map_or(0, |other| other.minutes_read));
            sum.bits = sum.bits.saturating_add(other.map_or(0, |other| other.most_bits));
            sum.packets = sum.packets.saturating_add(other.map_or(0, |other| other.most_packets));
        }
        sum
    });
    steps.collect()
}

fn judged(minutes: &[Sum], week: &[Sum]) -> DroppedOfRule {
    #[allow(clippy::cast_precision_loss)] // shown with three digits
    let per_second = |bits: u64, packets: u64| DroppedRates {
        bits_per_second: bits as f64 / 60.0,
        packets_per_second: packets as f64 / 60.0,
    };
    let newest = minutes.iter().rev().find(|sum| sum.minutes_read > 0);
    let known = || week.iter().filter(|sum| sum.minutes_read > 0);
    let most = |of: fn(&Sum) -> u64| known().map(of).max().unwrap_or(0);
    let (read, all) = week.iter().fold((0, 0), |(read, all), sum| {
        (read + sum.minutes_read, all + sum.step_s / 60)
    });
    DroppedOfRule {
        now: newest.map(|sum| per_second(sum.bits, sum.packets)),
        now_at: newest.map(|sum| sum.at),
        peak: known()
            .next()
            .map(|_| per_second(most(|sum| sum.bits), most(|sum| sum.packets))),
        #[allow(clippy::cast_precision_loss)] // minutes of a week
        read_share: if all == 0 { 0.0 } else { read as f64 / all as f64 },
    }
}

/// Which threshold something is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Bits,
    Packets,
}

impl Unit {
    fn of(self, rates: DroppedRates) -> f64 {
        match self {
            Self::Bits => rates.bits_per_second,
            Self::Packets => rates.packets_per_second,
        }
    }

    fn words(self, rate: f64) -> String {
        let (bits, packets, zero) = match self {
            Self::Bits => (Some(rate), None, "0 bps"),
            Self::Packets => (None, Some(rate), "0 pps"),
        };
        words::rates(bits, packets)
            .filter(|_| rate > 0.0)
            .unwrap_or_else(|| zero.to_owned())
    }
}

impl DroppedOfRule {
    /// What is dropped now, and how far that is from a threshold.
    pub(crate) fn now_words(&self, unit: Unit, threshold: f64, now: Timestamp) -> String {
        match self.now.zip(self.now_at) {
            None => "not known".to_owned(),
            Some((rates, at)) => format!(
                "{}, {} ago",
                beside(unit, unit.of(rates), threshold),
                words::age_at(at, now)
            ),
        }
    }

    /// The heaviest of the last seven days, and how far that is from a threshold.
    pub(crate) fn peak_words(&self, unit: Unit, threshold: f64) -> String {
        let Some(peak) = self.peak else {
            return "not known".to_owned();
        };
        let words = beside(unit, unit.of(peak), threshold);
        if self.read_share < MOSTLY {
            return format!(
                "at least {words}; {:.0} % of the time was read",
                self.read_share * 100.0
            );
        }
        words
    }
}

/// `1.2 Gbps, 48 % of it, 1.3 Gbps below`
fn beside(unit: Unit, rate: f64, threshold: f64) -> String {
    let words = unit.words(rate);
    if threshold <= 0.0 {
        return words;
    }
    let distance = unit.words((threshold - rate).abs());
    let side = if rate >= threshold { "above" } else { "below" };
    format!("{words}, {:.0} % of it, {distance} {side}", 100.0 * rate / threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_s: i64, minutes_read: u64, bits: u64, packets: u64) -> Point {
        Point {
            at: Timestamp::from_second(at_s).unwrap(),
            step_s: 60,
            minutes_read,
            minutes_complete: minutes_read,
            packets,
            bits,
            samples: 1,
            most_packets: packets,
            most_bits: bits,
        }
    }

    #[test]
    fn prefixes_are_summed_and_a_minute_that_one_misses_does_not_count() {
        let one = vec![point(0, 1, 60, 6), point(60, 1, 600, 60), point(120, 1, 6_000, 600)];
        let other = vec![point(0, 1, 60, 6), point(60, 1, 600, 60), point(120, 0, 0, 0)];
        let steps = sums(&[one, other]);
        let found = judged(&steps, &steps);
        let rates = DroppedRates {
            bits_per_second: 20.0,
            packets_per_second: 2.0,
        };
        assert_eq!((found.now, found.peak), (Some(rates), Some(rates)));
        assert_eq!(found.now_at, Timestamp::from_second(60).ok());
        assert!((found.read_share - 2.0 / 3.0).abs() < 0.001);
        assert!(
            found
                .peak_words(Unit::Bits, 40.0)
                .starts_with("at least 20 bps, 50 % of it, 20 bps below")
        );
        assert!(sums(&[]).is_empty());
    }

    #[test]
    fn what_was_not_read_is_not_known_and_nothing_is_nothing() {
        let unread = judged(&[], &sums(&[vec![point(0, 0, 0, 0)]]));
        let now = Timestamp::from_second(360).unwrap();
        assert_eq!((unread.now, unread.peak), (None, None));
        assert_eq!(unread.now_words(Unit::Bits, 10.0, now), "not known");
        assert_eq!(unread.peak_words(Unit::Packets, 10.0), "not known");
        let quiet = sums(&[vec![point(0, 1, 0, 0)]]);
        let quiet = judged(&quiet, &quiet);
        assert_eq!(quiet.peak_words(Unit::Packets, 10.0), "0 pps, 0 % of it, 10 pps below");
        assert!(
            quiet
                .now_words(Unit::Bits, 10.0, now)
                .starts_with("0 bps, 0 % of it, 10 bps below, ")
        );
        let loud = sums(&[vec![point(0, 1, 6_000_000_000, 0)]]);
        let loud = judged(&loud, &loud);
        assert_eq!(
            loud.peak_words(Unit::Bits, 80_000_000.0),
            "100 Mbps, 125 % of it, 20 Mbps above"
        );
    }
}
