//! Network flow of the last day as pages show it: in short on the main page, hour by hour beside the attack traffic.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cf_api::graphql::flow::{FlowHour, FlowShare};
use db::lists::hours::DroppedHours;
use jiff::Timestamp;

use crate::app::App;
use crate::flow::{Amount, Known, Pace};
use crate::words;

/// The card.
pub(crate) struct FlowCard {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// Reported by routers, passed, dropped.
    pub(crate) lines: Vec<Line>,
    pub(crate) tops: Vec<Top>,
    pub(crate) graph: Graph,
    pub(crate) hours: Vec<Hour>,
}

/// One kind of traffic.
pub(crate) struct Line {
    /// The word of the style sheet.
    pub(crate) class: &'static str,
    pub(crate) what: &'static str,
    /// Average over the time that is known, or `none`; `None` is unknown.
    pub(crate) value: Option<String>,
    /// All of it, and of how much of the day that is the traffic, or why there is none.
    pub(crate) about: String,
    pub(crate) read_at: Option<Timestamp>,
    /// Why it is unknown, or old.
    pub(crate) trouble: Option<String>,
}

/// What stands first of a kind.
pub(crate) struct Top {
    pub(crate) what: &'static str,
    pub(crate) name: String,
    /// Host name, where it is known.
    pub(crate) about: String,
    pub(crate) words: String,
}

/// An hour in words; `None` is unknown.
pub(crate) struct Hour {
    pub(crate) at: Timestamp,
    pub(crate) seen: Option<String>,
    pub(crate) passed: Option<String>,
    pub(crate) dropped: Option<String>,
    /// Minutes that were not read, of what was dropped.
    pub(crate) missing: u64,
}

/// The hours in a box of 240 by 100, bits per second on a linear scale.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Graph {
    pub(crate) seen: String,
    pub(crate) passed: String,
    pub(crate) dropped: String,
    /// Left edges of the hours of which nothing is known about drops.
    pub(crate) gaps: Vec<usize>,
    /// What the height is.
    pub(crate) top: Option<String>,
    pub(crate) words: String,
}

impl FlowCard {
    /// In short or in full, whatever is known now.
    pub(crate) async fn of(app: &App, with_names: bool) -> Self {
        let known = app.flow().of(app, Pace::AtOnce).await;
        let names = if with_names {
            known.names(app).await
        } else {
            BTreeMap::new()
        };
        Self::over(&known, &names)
    }

    fn over(known: &Known, names: &BTreeMap<String, String>) -> Self {
        let day = known.day;
        let routers = known.routers.value.as_deref();
        let seen = routers.map(|flow| flow.hours.as_slice());
        let passed = known.passed.value.as_deref().map(|passed| passed.hours.as_slice());
        let dropped = known.dropped.as_deref().ok();
        let whole = day.hours().count();
        let counted = |hours: Option<&[FlowHour]>| hours.map_or(0, <[_]>::len);
        let amount = |hours: Option<&[FlowHour]>| hours.map(|hours| Amount::of(hours, day));
        // Routers that report nothing do not report; Cloudflare that saw nothing was not in the way.
        let of_routers = amount(seen).filter(|amount| amount.hours > 0);
        let lines = vec![
            Line {
                class: "seen",
                what: "seen by our routers",
                value: of_routers.map(|amount| average(&amount)),
                about: match (of_routers, seen) {
                    (Some(amount), _) => in_all(&amount, &format!("reported for {} of {whole} hours", counted(seen))),
                    (None, Some(_)) => "no router reports to Network Flow".to_owned(),
                    (None, None) => String::new(),
                },
                read_at: known.routers.read_at,
                trouble: known.routers.trouble(),
            },
            Line {
                class: "passed",
                what: "passed by Cloudflare",
                value: amount(passed).map(|amount| average(&amount)),
                about: match amount(passed) {
                    Some(amount) if amount.hours > 0 => in_all(
                        &amount,
                        &format!("seen at Cloudflare in {} of {whole} hours", counted(passed)),
                    ),
                    Some(_) => "nothing went through Cloudflare".to_owned(),
                    None => String::new(),
                },
                read_at: known.passed.read_at,
                trouble: known.passed.trouble(),
            },
            dropped_line(known),
        ];
        let tops = routers.map_or_else(Vec::new, |flow| {
            let top = |what, shares: &[FlowShare]| {
                let share = shares.first()?;
                Some(Top {
                    what,
                    name: words::outside_up_to(&share.name, 60),
                    about: names
                        .get(&share.name)
                        .map(|name| words::outside_up_to(name, 80))
                        .unwrap_or_default(),
                    words: volume(share.bits.0, 0),
                })
            };
            let tops = [
                top("top protocol", &flow.protocols),
                top("top source", &flow.sources),
                top("top router", &flow.routers),
                top("top destination", &flow.destinations),
            ];
            tops.into_iter().flatten().collect()
        });
        Self {
            from: day.from,
            to: day.to,
            lines,
            tops,
            graph: Graph::of(known, seen, passed, dropped),
            hours: hours(known, seen, passed, dropped),
        }
    }
}

/// Per second, over the time that is known.
fn average(amount: &Amount) -> String {
    words::rates(amount.bit_rate(), amount.packet_rate()).unwrap_or_else(|| "none".to_owned())
}

fn in_all(amount: &Amount, known: &str) -> String {
    format!("on average; {} in all, {known}", volume(amount.bits, amount.packets))
}

fn dropped_line(known: &Known) -> Line {
    let (class, what) = ("dropped", "dropped by Cloudflare");
    let blank = Line {
        class,
        what,
        value: None,
        about: String::new(),
        read_at: None,
        trouble: None,
    };
    let dropped = match &known.dropped {
        Ok(dropped) => dropped,
        Err(error) => {
            return Line {
                trouble: Some(words::outside(&error.to_string())),
                ..blank
            };
        }
    };
    let sum = |of: fn(&db::lists::hours::DroppedHour) -> u64| dropped.hours.iter().map(of).fold(0, u64::saturating_add);
    let (read, complete) = (sum(|hour| hour.minutes_read), sum(|hour| hour.minutes_complete));
    if read == 0 {
        return Line {
            about: "no minute of this time was read".to_owned(),
            read_at: dropped.read_until,
            ..blank
        };
    }
    let amount = Amount {
        packets: sum(|hour| hour.packets),
        bits: sum(|hour| hour.bits),
        seconds: (read * 60) as f64,
        hours: dropped.hours.len(),
    };
    let least = if complete < read { "at least; " } else { "" };
    let all = since_minutes(known);
    Line {
        value: Some(average(&amount)),
        about: in_all(
            &amount,
            &format!("{least}read {} of {} minutes", grouped(read), grouped(all)),
        ),
        read_at: dropped.read_until,
        ..blank
    }
}

fn since_minutes(known: &Known) -> u64 {
    domain::time::since(known.day.to, known.day.from).as_secs() / 60
}

fn grouped(number: u64) -> String {
    domain::units::grouped(number).to_string()
}

/// `4.1 Gbit / 610 k packets`, or `none`.
fn volume(bits: u64, packets: u64) -> String {
    let signed = |number| Some(i64::try_from(number).unwrap_or(i64::MAX));
    words::volume(signed(bits), signed(packets)).unwrap_or_else(|| "none".to_owned())
}

/// Bits per second of each hour of the day; `None` where nobody reported.
fn rates(known: &Known, hours: Option<&[FlowHour]>) -> Vec<Option<f64>> {
    let day = known.day;
    let rate = |start: Timestamp| {
        let hour = hours?.iter().find(|hour| hour.at == start)?;
        let seconds = day.seconds(start);
        (seconds > 0.0).then(|| hour.bits.0 as f64 / seconds)
    };
    day.hours().map(rate).collect()
}

/// The same of what was dropped, over the minutes that were read.
fn dropped_rates(known: &Known, dropped: Option<&DroppedHours>) -> Vec<Option<f64>> {
    let rate = |start: Timestamp| {
        let hour = dropped?.hours.iter().find(|hour| hour.at == start)?;
        (hour.minutes_read > 0).then(|| hour.bits as f64 / (hour.minutes_read * 60) as f64)
    };
    known.day.hours().map(rate).collect()
}

fn hours(
    known: &Known,
    seen: Option<&[FlowHour]>,
    passed: Option<&[FlowHour]>,
    dropped: Option<&DroppedHours>,
) -> Vec<Hour> {
    let words =
        |rate: Option<f64>| rate.map(|rate| words::rates(Some(rate), None).unwrap_or_else(|| "none".to_owned()));
    let (seen, passed, rates) = (rates(known, seen), rates(known, passed), dropped_rates(known, dropped));
    let one = |(number, at): (usize, Timestamp)| {
        let of = |rates: &[Option<f64>]| words(rates.get(number).copied().flatten());
        let minutes = (known.day.seconds(at) / 60.0) as u64;
        let read = dropped.and_then(|dropped| dropped.hours.iter().find(|hour| hour.at == at));
        Hour {
            at,
            seen: of(&seen),
            passed: of(&passed),
            dropped: of(&rates),
            missing: minutes.saturating_sub(read.map_or(0, |hour| hour.minutes_complete)),
        }
    };
    // Newest first, as every list.
    let mut hours: Vec<Hour> = known.day.hours().enumerate().map(one).collect();
    hours.reverse();
    hours
}

impl Graph {
    fn of(
        known: &Known,
        seen: Option<&[FlowHour]>,
        passed: Option<&[FlowHour]>,
        dropped: Option<&DroppedHours>,
    ) -> Self {
        let (seen, passed, dropped) = (rates(known, seen), rates(known, passed), dropped_rates(known, dropped));
        let stacked = passed
            .iter()
            .zip(&dropped)
            .map(|(passed, dropped)| passed.unwrap_or(0.0) + dropped.unwrap_or(0.0));
        let most = seen.iter().flatten().copied().chain(stacked).fold(0.0, f64::max);
        let gaps = dropped
            .iter()
            .enumerate()
            .filter(|(_, rate)| rate.is_none())
            .map(|(number, _)| number * 10);
        let mut graph = Self {
            gaps: gaps.collect(),
            words: format!(
                "Network flow of {} hours: known from routers for {}, passed by Cloudflare in {}, drops read for {}.",
                seen.len(),
                seen.iter().flatten().count(),
                passed.iter().flatten().count(),
                dropped.iter().flatten().count(),
            ),
            ..Self::default()
        };
        if most <= 0.0 {
            return graph;
        }
        graph.top = words::rates(Some(most), None);
        let height = |rate: f64| rate / most * 100.0;
        let mut line_goes_on = false;
        for (number, ((seen, passed), dropped)) in seen.iter().zip(&passed).zip(&dropped).enumerate() {
            let left = number * 10;
            let low = height(passed.unwrap_or(0.0));
            let bar = |path: &mut String, from: f64, by: f64| {
                if by > 0.0 {
                    let _ = write!(path, "M{} {:.1}h8v-{by:.1}h-8z", left + 1, 100.0 - from);
                }
            };
            bar(&mut graph.passed, 0.0, low);
            bar(&mut graph.dropped, low, height(dropped.unwrap_or(0.0)));
            if let Some(rate) = seen {
                let y = 100.0 - height(*rate);
                let _ = if line_goes_on {
                    write!(graph.seen, "V{y:.1}h10")
                } else {
                    write!(graph.seen, "M{left} {y:.1}h10")
                };
            }
            line_goes_on = seen.is_some();
        }
        graph
    }
}
