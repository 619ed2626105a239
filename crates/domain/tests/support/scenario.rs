//! Scenario files: what happens on the network, at Cloudflare and among people, line by line, and
//! after a line `---` the transcript of what the decision says to it.
//!
//! ```text
//! prefix 203.0.113.0/24 [carries NET ...] [silent]    a managed prefix and the subnets of its rows
//! set calm_period 15m                                 any key of the policy
//! cycle 60s / delay 2m / executor waits 3m / end 01:30
//! 00:00:20      advertise PREFIX                      also: withdraw PREFIX
//! 00:03..00:20  dropped NET packets=N bits=N [interval=N] [late=2m]    in every minute
//! 00:30..00:50  fault KIND [N]                        see [`fault`]
//! 00:30         hold PREFIX|all [until=01:00] by=WHO why=WORD
//! 00:40         release PREFIX|all
//! 00:10         alert PREFIX|unresolved event=12      ended by: alert-end event=12
//! 00:20..00:25  down                                  the daemon is stopped, its state is a file
//! 00:30         clock +10m                            from here on our clock is wrong by this
//! ```
//! Times are hours and minutes (and seconds) of the true clock. Traffic passes every minute to
//! every prefix that is not `silent`, and to the rest of the account. What is sent to a prefix
//! while it is not advertised goes there directly and shows in no row.

use std::collections::BTreeMap;

use domain::decision::{Mode, Policy};
use domain::prefix::Prefix;

use super::dataset::{Flaw, Row};
use super::{MIN, p, policy};

/// A network of the account that is always at Cloudflare.
pub const ACCOUNT: &str = "192.0.2.0/24";

/// A file, read.
pub struct Scenario {
    pub policy: Policy,
    pub prefixes: Vec<Prefix>,
    pub cycle_s: i64,
    pub delay_s: i64,
    pub executor_waits_s: i64,
    pub end_s: i64,
    pub rows: Vec<Row>,
    pub acts: Vec<(i64, Act)>,
    pub faults: Vec<(i64, i64, Fault)>,
    pub downs: Vec<(i64, i64)>,
}

/// Something done at an instant.
#[derive(Debug, Clone)]
pub enum Act {
    Advertise(Prefix),
    Withdraw(Prefix),
    Hold {
        prefix: Option<Prefix>,
        until: Option<i64>,
        by: String,
        why: String,
    },
    Release(Option<Prefix>),
    Alert {
        prefix: Option<Prefix>,
        event: i64,
    },
    AlertEnd(i64),
    Clock(i64),
}

/// Something that cannot be read for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    Traffic,
    Bgp,
    Alerts,
    Flaw(Flaw),
}

/// Seconds of `HH:MM` or `HH:MM:SS`.
pub fn clock_time(text: &str) -> i64 {
    text.split(':')
        .zip([3_600, 60, 1])
        .map(|(part, unit)| part.parse::<i64>().unwrap() * unit)
        .sum()
}

pub fn seconds(text: &str) -> i64 {
    domain::duration::parse(text).unwrap().as_secs() as i64
}

fn fault(words: &[&str], begin: i64) -> Fault {
    let number = || words[1].parse().unwrap();
    match words[0] {
        "traffic-unavailable" => Fault::Traffic,
        "bgp-unavailable" => Fault::Bgp,
        "alerts-unavailable" => Fault::Alerts,
        "empty" => Fault::Flaw(Flaw::Empty),
        "frozen" => Fault::Flaw(Flaw::FrozenAt(begin)),
        "truncated" => Fault::Flaw(Flaw::Truncated(number() as usize)),
        "coarse" => Fault::Flaw(Flaw::Coarse(number())),
        "future" => Fault::Flaw(Flaw::Future(seconds(words[1]))),
        other => panic!("no fault is called {other}"),
    }
}

pub fn set(policy: &mut Policy, key: &str, value: &str) {
    let duration = || domain::duration::parse(value).unwrap();
    match key {
        "calm_period" => policy.calm_period = duration(),
        "lookback" => policy.traffic.lookback = duration(),
        "settle" => policy.traffic.settle = duration(),
        "propagation" => policy.traffic.propagation = duration(),
        "min_advertised" => policy.min_advertised = duration(),
        "open_alert_veto" => policy.open_alert_veto = duration(),
        "unknown_alert_after" => policy.unknown_alert_after = duration(),
        "overdue_after" => policy.overdue_after = duration(),
        "min_packets" => policy.traffic.min_packets.0 = value.parse().unwrap(),
        "max_reading_age" => policy.max_reading_age = duration(),
        "min_samples" => policy.traffic.min_samples = value.parse().unwrap(),
        "max_withdrawals_per_hour" => policy.max_withdrawals_per_hour = value.parse().unwrap(),
        "carries_no_traffic" => policy.traffic.carries_no_traffic = value.parse().unwrap(),
        "mode" => {
            policy.mode = [Mode::Act, Mode::DryRun, Mode::Paused]
                .into_iter()
                .find(|mode| mode.as_str() == value)
                .unwrap();
        }
        other => panic!("no setting is called {other}"),
    }
}

impl Scenario {
    /// Reads the part of a file before `---`.
    pub fn read(text: &str) -> Self {
        let mut scenario = Self {
            policy: policy(),
            prefixes: vec![],
            cycle_s: MIN,
            delay_s: 2 * MIN,
            executor_waits_s: 0,
            end_s: 0,
            rows: vec![],
            acts: vec![],
            faults: vec![],
            downs: vec![],
        };
        let mut carries = vec![p(ACCOUNT)];
        let mut drops = vec![];
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["prefix", net, "silent"] => scenario.prefixes.push(p(net)),
                ["prefix", net] => {
                    scenario.prefixes.push(p(net));
                    carries.push(p(net));
                }
                ["prefix", net, "carries", ref nets @ ..] => {
                    scenario.prefixes.push(p(net));
                    carries.extend(nets.iter().map(|net| p(net)));
                }
                ["set", key, value] => set(&mut scenario.policy, key, value),
                ["cycle", length] => scenario.cycle_s = seconds(length),
                ["delay", length] => scenario.delay_s = seconds(length),
                ["executor", "waits", length] => scenario.executor_waits_s = seconds(length),
                ["end", when] => scenario.end_s = clock_time(when),
                [when, "dropped", ref rest @ ..] => drops.push((when.to_owned(), owned(rest))),
                [when, ref rest @ ..] => scenario.timed(when, rest),
                [] => {}
            }
        }
        scenario.acts.sort_by_key(|(when, _)| *when);
        for net in carries {
            for start in (-3_600..scenario.end_s).step_by(60) {
                scenario.rows.push(row(net, start, scenario.delay_s, None));
            }
        }
        for (when, rest) in drops {
            let (begin, end) = span(&when);
            let words: Vec<&str> = rest.iter().map(String::as_str).collect();
            let options = options(&words[1..]);
            let late = options.get("late").map_or(0, |text| seconds(text));
            for start in (begin..end).step_by(60) {
                scenario
                    .rows
                    .push(row(p(words[0]), start, scenario.delay_s + late, Some(&options)));
            }
        }
        scenario.rows.sort_by_key(|row| row.at);
        scenario
    }

    fn timed(&mut self, when: &str, words: &[&str]) {
        if when.contains("..") {
            let (begin, end) = span(when);
            match words {
                ["down"] => self.downs.push((begin, end)),
                ["fault", rest @ ..] => self.faults.push((begin, end, fault(rest, begin))),
                _ => panic!("not understood: {when} {words:?}"),
            }
            return;
        }
        let options = options(&words[1..]);
        let option = |key: &str| options.get(key).map(|text| (*text).to_owned());
        let prefix_or = |all: &str, word: &str| if word == all { None } else { Some(p(word)) };
        let act = match words {
            ["advertise", net] => Act::Advertise(p(net)),
            ["withdraw", net] => Act::Withdraw(p(net)),
            ["hold", net, ..] => Act::Hold {
                prefix: prefix_or("all", net),
                until: option("until").map(|text| clock_time(&text)),
                by: option("by").unwrap(),
                why: option("why").unwrap(),
            },
            ["release", net] => Act::Release(prefix_or("all", net)),
            ["alert", net, ..] => Act::Alert {
                prefix: prefix_or("unresolved", net),
                event: option("event").unwrap().parse().unwrap(),
            },
            ["alert-end", ..] => Act::AlertEnd(option("event").unwrap().parse().unwrap()),
            ["clock", by] => {
                let sign = if by.starts_with('-') { -1 } else { 1 };
                Act::Clock(sign * seconds(&by[1..]))
            }
            _ => panic!("not understood: {when} {words:?}"),
        };
        self.acts.push((clock_time(when), act));
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn span(text: &str) -> (i64, i64) {
    let (begin, end) = text.split_once("..").unwrap();
    (clock_time(begin), clock_time(end))
}

fn options<'a>(words: &[&'a str]) -> BTreeMap<&'a str, &'a str> {
    words.iter().filter_map(|word| word.split_once('=')).collect()
}

fn row(net: Prefix, start: i64, delay_s: i64, dropped: Option<&BTreeMap<&str, &str>>) -> Row {
    let number = |key: &str, default: u64| {
        dropped
            .and_then(|options| options.get(key))
            .map_or(default, |text| text.replace('_', "").parse().unwrap())
    };
    Row {
        at: start,
        visible_at: start + MIN + delay_s,
        subnet: net,
        dropped: dropped.is_some(),
        system: if dropped.is_some() { "dosd" } else { "" },
        sample_interval: number("interval", 10_000),
        packets: number("packets", 10_000),
        bits: number("bits", 80_000_000),
    }
}
