//! A curve of dropped traffic as numbers for a drawing: path, scale, threshold, gaps, marks.
//!
//! Pure. Must hold: what was not read is a gap and never a line at zero; the heaviest minute of a step is drawn, so a
//! short peak does not vanish in a long time. The scale is logarithmic: a threshold of some kbps and an attack of some
//! Gbps are both seen on it. All places are percentages of the drawing, so that it fits any width without a script.

use std::fmt::Write as _;
use std::time::Duration;

use db::lists::vectors::{Dropped, Vector};
use db::series::Point;
use domain::time::{ceil_to, plus, since};
use jiff::Timestamp;

use crate::words;

/// Part of the height that the curve has; below it are the times.
const CURVE_HEIGHT: f64 = 86.0;

/// Most times below a curve: more would touch on a phone.
const MOST_TICKS: u64 = 6;

/// Attack vectors that have a line of their own: the heaviest.
pub(crate) const MOST_VECTORS: usize = 3;

/// Distances of the times below a curve, in minutes.
const TICK_STEPS: [u64; 13] = [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720, 1_440, 10_080];

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    Bits,
    Packets,
}

impl Quantity {
    /// Its name with its unit.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bits => "bits per second",
            Self::Packets => "packets per second",
        }
    }

    /// The unit as the script writes it.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Bits => "bps",
            Self::Packets => "pps",
        }
    }

    /// Per second, in the heaviest minute of the point.
    fn rate(self, point: &Point) -> f64 {
        let most = match self {
            Self::Bits => point.most_bits,
            Self::Packets => point.most_packets,
        };
        most as f64 / 60.0
    }

    /// Per second, in a minute of a vector.
    fn rate_of(self, dropped: &Dropped) -> f64 {
        let amount = match self {
            Self::Bits => dropped.bits,
            Self::Packets => dropped.packets,
        };
        amount as f64 / 60.0
    }

    fn words(self, rate: f64) -> String {
        let found = match self {
            Self::Bits => words::rates(Some(rate), None),
            Self::Packets => words::rates(None, Some(rate)),
        };
        found.unwrap_or_else(|| format!("0 {}", self.unit()))
    }
}

/// A height with its words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Level {
    pub(crate) y: String,
    /// How far below that height its words stand, in pixels; negative is above.
    pub(crate) drop: i8,
    pub(crate) words: String,
}

/// A time that nobody has read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gap {
    pub(crate) x: String,
    pub(crate) width: String,
}

/// A time below the curve.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub(crate) x: String,
    pub(crate) at: Timestamp,
    pub(crate) words: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    pub(crate) x: String,
    /// The word of the style sheet.
    pub(crate) class: &'static str,
    pub(crate) words: String,
}

/// What one attack vector dropped.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// In a box of 1000 by 100, broken where the analytics have no row.
    pub(crate) path: String,
    pub(crate) peak: String,
}

/// A drawing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plot {
    pub(crate) quantity: Quantity,
    /// What somebody is told who does not see it.
    pub(crate) words: String,
    /// In a box of 1000 by 100.
    pub(crate) outline: String,
    /// By attack vector, heaviest first.
    pub(crate) lines: Vec<Line>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) levels: Vec<Level>,
    pub(crate) threshold: Level,
    pub(crate) ticks: Vec<Tick>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) peak: Option<String>,
    pub(crate) from_ms: i64,
    pub(crate) step_ms: u64,
    /// Per second, comma separated; empty where unknown.
    pub(crate) values: String,
}

/// A logarithmic scale from `bottom` to `top`.
struct Scale {
    bottom: f64,
    top: f64,
}

impl Scale {
    fn over(peak: f64, threshold: f64) -> Self {
        let least = threshold.max(1.0);
        Self {
            bottom: 10_f64.powf(least.log10().floor() - 1.0),
            top: (peak * 1.5).max(least * 100.0),
        }
    }

    /// From 0 at the top to 1 at the bottom.
    fn depth(&self, rate: f64) -> f64 {
        if rate <= self.bottom {
            return 1.0;
        }
        let part = (rate / self.bottom).log10() / (self.top / self.bottom).log10();
        (1.0 - part).clamp(0.0, 1.0)
    }

    fn level(&self, rate: f64, words: String) -> Level {
        let depth = self.depth(rate);
        Level {
            y: percent(depth * CURVE_HEIGHT),
            // At the very top there is no room above.
            drop: if depth < 0.12 { 11 } else { -3 },
            words,
        }
    }

    /// Each thousandfold that lies well inside.
    fn levels(&self) -> impl Iterator<Item = f64> {
        [1.0, 1e3, 1e6, 1e9, 1e12]
            .into_iter()
            .filter(|level| (0.04..0.96).contains(&self.depth(*level)))
    }
}

fn percent(part: f64) -> String {
    format!("{part:.2}%")
}

impl Plot {
    /// Draws `points`, which follow one another without gaps, and the same by attack vector. `threshold` is per second.
    pub(crate) fn of(
        points: &[Point],
        vectors: &[Vector],
        quantity: Quantity,
        threshold: f64,
        happened: &[(Timestamp, &'static str, String)],
        now: Timestamp,
    ) -> Option<Self> {
        let (first, last) = (points.first()?, points.last()?);
        let step = Duration::from_secs(first.step_s);
        let (from, to) = (first.at, plus(last.at, step));
        let place = |at: Timestamp| since(at, from).as_secs_f64() / since(to, from).as_secs_f64() * 100.0;
        let rates: Vec<Option<f64>> = points
            .iter()
            .map(|point| (point.minutes_read > 0 || point.bits > 0).then(|| quantity.rate(point)))
            .collect();
        let peak = rates.iter().flatten().copied().fold(0.0, f64::max);
        let scale = Scale::over(peak, threshold);
        let mut values = String::new();
        for (number, rate) in rates.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let _ = match rate {
                Some(0.0) => write!(values, "{comma}0"),
                Some(rate) => write!(values, "{comma}{rate:.2e}"),
                None => write!(values, "{comma}"),
            };
        }
        let marks = happened
            .iter()
            .filter(|(at, _, _)| (from..to).contains(at))
            .map(|(at, class, words)| Mark {
                x: percent(place(*at)),
                class,
                words: words.clone(),
            });
        Some(Self {
            quantity,
            words: told(points, &rates, quantity, threshold, now),
            outline: outline(&rates, &scale),
            lines: vectors
                .iter()
                .take(MOST_VECTORS)
                .map(|vector| line(vector, quantity, (from, step), rates.len(), &scale))
                .collect(),
            gaps: gaps(points, to, place),
            levels: scale
                .levels()
                .map(|level| scale.level(level, quantity.words(level)))
                .collect(),
            threshold: scale.level(threshold, quantity.words(threshold)),
            ticks: ticks(from, to, place),
            marks: marks.collect(),
            peak: (peak > 0.0).then(|| quantity.words(peak)),
            from_ms: from.as_millisecond(),
            step_ms: first.step_s * 1_000,
            values,
        })
    }
}

/// The outline in a box of 1000 by 100, standing on the ground and broken where nothing is known. A height that stays
/// is written once.
fn outline(rates: &[Option<f64>], scale: &Scale) -> String {
    let mut path = String::new();
    let width = 1_000.0 / rates.len() as f64;
    let mut height: Option<String> = None;
    for (number, rate) in rates.iter().enumerate() {
        let left = number as f64 * width;
        let next = rate.map(|rate| format!("{:.1}", scale.depth(rate) * 100.0));
        if next == height {
            continue;
        }
        let _ = match (&height, &next) {
            (Some(_), Some(y)) => write!(path, "H{left:.1}V{y}"),
            (None, Some(y)) => write!(path, "M{left:.1} 100V{y}"),
            (Some(_), None) => write!(path, "H{left:.1}V100"),
            (None, None) => Ok(()),
        };
        height = next;
    }
    if height.is_some() {
        path.push_str("H1000V100");
    }
    path
}

/// A vector over `steps` steps from an instant on; the heaviest minute of a step counts.
fn line(vector: &Vector, quantity: Quantity, (from, step): (Timestamp, Duration), steps: usize, scale: &Scale) -> Line {
    let mut rates = vec![0.0_f64; steps];
    for (minute, dropped) in &vector.minutes {
        let number = since(*minute, from).as_secs() / step.as_secs().max(1);
        let place = usize::try_from(number).ok().and_then(|number| rates.get_mut(number));
        if let Some(rate) = place.filter(|_| *minute >= from) {
            *rate = rate.max(quantity.rate_of(dropped));
        }
    }
    let width = 1_000.0 / steps.max(1) as f64;
    let mut path = String::new();
    let mut is_drawing = false;
    for (number, rate) in rates.iter().enumerate() {
        if *rate <= 0.0 {
            is_drawing = false;
            continue;
        }
        let (left, y) = (number as f64 * width, scale.depth(*rate) * 100.0);
        let _ = if is_drawing {
            write!(path, "V{y:.1}H{:.1}", left + width)
        } else {
            write!(path, "M{left:.1} {y:.1}H{:.1}", left + width)
        };
        is_drawing = true;
    }
    let peak = rates.iter().copied().fold(0.0, f64::max);
    Line {
        name: words::outside_up_to(&vector.name, 40),
        path,
        peak: quantity.words(peak),
    }
}

/// Runs of points that were not read.
fn gaps(points: &[Point], to: Timestamp, place: impl Fn(Timestamp) -> f64) -> Vec<Gap> {
    let mut found = Vec::new();
    let mut begun = None;
    for point in points {
        match (point.minutes_read == 0, begun) {
            (true, None) => begun = Some(point.at),
            (false, Some(since)) => {
                found.push((since, point.at));
                begun = None;
            }
            _ => {}
        }
    }
    found.extend(begun.map(|since| (since, to)));
    let gap = |(begin, end): (Timestamp, Timestamp)| Gap {
        x: percent(place(begin)),
        width: percent(place(end) - place(begin)),
    };
    found.into_iter().map(gap).collect()
}

fn ticks(from: Timestamp, to: Timestamp, place: impl Fn(Timestamp) -> f64) -> Vec<Tick> {
    let minutes = since(to, from).as_secs() / 60;
    let step = TICK_STEPS.into_iter().find(|step| minutes / step <= MOST_TICKS);
    let step = Duration::from_secs(step.unwrap_or(43_200) * 60);
    let mut ticks = Vec::new();
    let mut at = ceil_to(from, step);
    while at < to {
        let x = place(at);
        // Words at the very edge would be cut.
        if (3.0..97.0).contains(&x) {
            ticks.push(Tick {
                x: percent(x),
                at,
                words: words::clock(at, to),
            });
        }
        at = plus(at, step);
    }
    ticks
}

fn told(points: &[Point], rates: &[Option<f64>], quantity: Quantity, threshold: f64, now: Timestamp) -> String {
    let name = quantity.name();
    let mut known = points
        .iter()
        .zip(rates)
        .filter_map(|(point, rate)| Some((point.at, (*rate)?)));
    let highest = known.clone().max_by(|(_, a), (_, b)| a.total_cmp(b));
    let peak = match highest {
        Some((at, rate)) if rate > 0.0 => format!("peak {} at {}", quantity.words(rate), words::clock(at, now)),
        Some(_) => "nothing was dropped where it was read".to_owned(),
        None => "nothing of it was read".to_owned(),
    };
    let latest = known.next_back().map_or_else(String::new, |(at, rate)| {
        format!(", last {} at {}", quantity.words(rate), words::clock(at, now))
    });
    format!(
        "Dropped {name}: {peak}{latest}, threshold {}",
        quantity.words(threshold)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T03:10:00Z".parse().unwrap()
    }

    /// Minutes from 03:00 on: bits per minute, or not read.
    fn points(bits: &[Option<u64>]) -> Vec<Point> {
        let from: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
        let point = |(number, bits): (usize, &Option<u64>)| Point {
            at: plus(from, Duration::from_secs(60 * number as u64)),
            step_s: 60,
            minutes_read: u64::from(bits.is_some()),
            minutes_complete: u64::from(bits.is_some()),
            packets: bits.unwrap_or(0) / 1_000,
            bits: bits.unwrap_or(0),
            samples: 1,
            most_packets: bits.unwrap_or(0) / 1_000,
            most_bits: bits.unwrap_or(0),
        };
        bits.iter().enumerate().map(point).collect()
    }

    #[test]
    fn what_was_not_read_is_a_gap_and_not_zero() {
        let found = points(&[Some(0), Some(60_000_000_000), None, None, Some(0)]);
        let plot = Plot::of(&found, &[], Quantity::Bits, 33_333.0, &[], now()).unwrap();
        assert_eq!(plot.values, "0,1.00e9,,,0");
        let gap = Gap {
            x: "40.00%".into(),
            width: "40.00%".into(),
        };
        assert_eq!(plot.gaps, [gap]);
        assert_eq!(plot.outline.matches('M').count(), 2, "it is broken: {}", plot.outline);
        assert!(plot.outline.starts_with("M0.0 100V100.0H200.0V"), "{}", plot.outline);
        assert!(
            plot.outline.ends_with("H400.0V100M800.0 100V100.0H1000V100"),
            "{}",
            plot.outline
        );
        assert_eq!(plot.peak.as_deref(), Some("1 Gbps"));
        assert_eq!(
            plot.words,
            "Dropped bits per second: peak 1 Gbps at 03:01, last 0 bps at 03:04, threshold 33.3 kbps"
        );
    }

    #[test]
    fn threshold_and_attack_are_both_on_the_scale() {
        let found = points(&[Some(240_000_000_000)]);
        let plot = Plot::of(&found, &[], Quantity::Bits, 33_333.0, &[], now()).unwrap();
        let y = |text: &str| text.trim_end_matches('%').parse::<f64>().unwrap();
        let levels: Vec<&str> = plot.levels.iter().map(|level| level.words.as_str()).collect();
        assert_eq!(levels, ["1 Mbps", "1 Gbps"]);
        assert!(y(&plot.threshold.y) < CURVE_HEIGHT && y(&plot.threshold.y) > y(&plot.levels[0].y));
        assert!(y(&plot.levels[1].y) > 0.0);
    }

    #[test]
    fn a_vector_has_a_line_where_it_dropped_something_and_none_elsewhere() {
        let at = |minute: &str| format!("2026-11-22T03:0{minute}:00Z").parse::<Timestamp>().unwrap();
        let dropped = |bits| Dropped { packets: 1, bits };
        let vector = Vector {
            name: "UDP flood".into(),
            minutes: [
                (at("0"), dropped(60_000_000)),
                (at("1"), dropped(6_000_000_000)),
                (at("3"), dropped(60_000_000)),
            ]
            .into(),
            packets: 3,
        };
        let found = points(&[Some(60_000_000), Some(6_000_000_000), Some(0), Some(60_000_000)]);
        let plot = Plot::of(&found, &[vector], Quantity::Bits, 33_333.0, &[], now()).unwrap();
        let line = &plot.lines[0];
        assert_eq!((line.name.as_str(), line.peak.as_str()), ("UDP flood", "100 Mbps"));
        assert!(
            line.path.starts_with("M0.0 ") && line.path.contains("H500.0M750.0 "),
            "{}",
            line.path
        );
        assert_eq!(
            line.path.matches('M').count(),
            2,
            "nothing is drawn for the minute without rows"
        );
        let (_, y) = line.path.split_once('V').unwrap();
        let top = plot.outline.split("V").nth(2).unwrap();
        assert_eq!(
            y.split('H').next(),
            top.split('H').next(),
            "alone it is as high as the whole: {}",
            plot.outline
        );
    }

    #[test]
    fn nothing_read_says_so() {
        let plot = Plot::of(&points(&[None, None]), &[], Quantity::Packets, 16.7, &[], now()).unwrap();
        assert!(plot.words.contains("nothing of it was read"), "{}", plot.words);
        assert_eq!((plot.values.as_str(), plot.outline.as_str()), (",", ""));
        assert_eq!(Plot::of(&[], &[], Quantity::Bits, 1.0, &[], now()), None);
    }

    #[test]
    fn what_happened_outside_of_the_time_is_not_drawn() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let happened = [
            (at("2026-11-22T03:01:00Z"), "start", "START".to_owned()),
            (at("2026-11-22T05:00:00Z"), "end", "END".to_owned()),
        ];
        let plot = Plot::of(&points(&[Some(1), Some(1)]), &[], Quantity::Bits, 1.0, &happened, now()).unwrap();
        assert_eq!(plot.marks.len(), 1);
        assert_eq!(plot.marks[0].x, "50.00%");
    }
}
