//! Network Monitoring as its rules work: what the customer's routers see, held against every rule of the account.
//!
//! - `threshold` (static): bits or packets a second, averaged over ten seconds, at or above the threshold for as long as
//!   the rule's duration. It ends after the same time below.
//! - `zscore` (dynamic): the mean of five minutes, in standard deviations above the mean of the last four hours. Before the
//!   scenario there was ordinary traffic only. How many deviations a sensitivity means is not documented; see [`limit_of`].
//! - `advanced_ddos` (sFlow): flow samples that look like an attack, from 12,000 packets a second over five seconds.
//!
//! Rules are those of the API, as they are at the moment: whoever changes one changes what is detected. All durations are
//! scenario time. A rule never withdraws anything.

// Rates are far below the limit of exact floats.
#![allow(clippy::cast_precision_loss)]

use std::collections::VecDeque;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use super::attack::ALERTED_FROM_PPS;
use super::file::Scenario;
use super::streams::{Seen, Step};
use crate::config::duration_text;
use crate::ids::Dice;

/// Rates are averaged over this before they are compared.
const SMOOTH: Duration = Duration::from_secs(10);
/// The two windows of a dynamic rule.
const SHORT: Duration = Duration::from_secs(300);
const LONG: Duration = Duration::from_secs(4 * 3600);
/// Length of the parts that the long window is made of.
const PART: Duration = Duration::from_secs(60);
/// Flow samples are looked at over this, and an attack is over after so long without them.
const FLOW_MEAN: Duration = Duration::from_secs(5);
const FLOW_OVER: Duration = Duration::from_secs(60);
/// Ordinary traffic of the hours before the scenario goes up and down by this part.
const WOBBLE: f64 = 0.05;

/// What a rule found.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) rule: String,
    pub(super) is_start: bool,
    /// The networks that the rule advertises; empty when it does not.
    pub(super) advertises: Vec<IpNet>,
    /// Rates that were seen.
    pub(super) pps: f64,
    pub(super) bps: f64,
    pub(super) threshold: String,
    pub(super) duration: String,
    pub(super) sensitivity: String,
    /// The attack that flow samples showed; other rules know no targets.
    pub(super) attack: Option<usize>,
    /// Networks of the rule.
    pub(super) prefixes: Vec<IpNet>,
    pub(super) correlation: String,
}

#[derive(Debug, Clone, Copy)]
struct Rate {
    at: Duration,
    seconds: f64,
    packets: f64,
    bits: f64,
}

/// Rates of the last while, newest last.
#[derive(Debug, Default)]
struct Window(VecDeque<Rate>);

impl Window {
    fn push(&mut self, rate: Rate, keep: Duration) {
        self.0.push_back(rate);
        while self.0.front().is_some_and(|old| old.at + keep <= rate.at) {
            self.0.pop_front();
        }
    }

    /// Packets and bits a second over what is in it.
    fn mean(&self) -> (f64, f64) {
        let seconds: f64 = self.0.iter().map(|r| r.seconds).sum();
        if seconds <= 0.0 {
            return (0.0, 0.0);
        }
        let of = |what: fn(&Rate) -> f64| self.0.iter().map(what).sum::<f64>() / seconds;
        (of(|r| r.packets), of(|r| r.bits))
    }
}

/// One rule under watch.
#[derive(Debug)]
struct Watch {
    rule: String,
    smooth: Window,
    /// Since when it is as it is not yet told.
    other_since: Option<Duration>,
    active: Option<String>,
    /// Per attack, for rules that look at flow samples.
    flows: Vec<Flow>,
    /// Means of minutes, for dynamic rules.
    parts: VecDeque<f64>,
    part: Window,
    part_began: Duration,
}

#[derive(Debug, Default)]
struct Flow {
    mean: Window,
    active: Option<String>,
    quiet_since: Option<Duration>,
}

/// All rules.
#[derive(Debug, Default)]
pub(super) struct Monitoring {
    watches: Vec<Watch>,
}

/// Standard deviations that make an alert: our assumption, the service does not document them.
fn limit_of(sensitivity: &str) -> f64 {
    match sensitivity {
        "high" => 3.0,
        "low" => 4.0,
        _ => 3.5,
    }
}

fn text<'a>(rule: &'a Value, key: &str) -> &'a str {
    rule[key].as_str().unwrap_or_default()
}

fn prefixes_of(rule: &Value) -> Vec<IpNet> {
    let all = rule["prefixes"].as_array().into_iter().flatten();
    all.filter_map(|p| p.as_str()?.parse().ok()).collect()
}

impl Monitoring {
    /// Looks at one step.
    pub(super) fn judge(
        &mut self,
        rules: &[Value],
        seen: &[Seen],
        scenario: &Scenario,
        step: Step,
        dice: &mut Dice,
    ) -> Vec<Finding> {
        self.watches
            .retain(|watch| rules.iter().any(|rule| text(rule, "name") == watch.rule));
        let mut found = Vec::new();
        for rule in rules {
            let prefixes = prefixes_of(rule);
            let name = text(rule, "name");
            if !self.watches.iter().any(|watch| watch.rule == name) {
                self.watches.push(Watch::new(name, &prefixes, rule, scenario, dice));
            }
            let Some(watch) = self.watches.iter_mut().find(|watch| watch.rule == name) else {
                continue;
            };
            let covered = |s: &&Seen| prefixes.iter().any(|net| net.contains(&s.prefix));
            let sum = |of: fn(&Seen) -> f64| seen.iter().filter(covered).map(of).sum::<f64>();
            let rate = Rate {
                at: step.at,
                seconds: step.seconds,
                packets: sum(|s| s.packets),
                bits: sum(|s| s.bits),
            };
            let base = Finding {
                rule: name.to_owned(),
                is_start: true,
                advertises: if rule["automatic_advertisement"] == true {
                    prefixes.clone()
                } else {
                    Vec::new()
                },
                pps: 0.0,
                bps: 0.0,
                threshold: threshold_text(rule),
                duration: text(rule, "duration").trim_end_matches("0s").to_owned(),
                sensitivity: text(rule, "zscore_sensitivity").to_owned(),
                attack: None,
                prefixes: prefixes.clone(),
                correlation: String::new(),
            };
            match text(rule, "type") {
                "advanced_ddos" => watch.flows(seen, &prefixes, &base, scenario, step, dice, &mut found),
                "zscore" => watch.dynamic(rule, rate, base, dice, &mut found),
                _ => watch.fixed(rule, rate, base, dice, &mut found),
            }
        }
        found
    }
}

impl Watch {
    fn new(name: &str, prefixes: &[IpNet], rule: &Value, scenario: &Scenario, dice: &mut Dice) -> Self {
        let mut parts = VecDeque::new();
        if text(rule, "type") == "zscore" {
            let usual: f64 = scenario
                .background
                .iter()
                .filter(|b| prefixes.iter().any(|net| net.contains(&b.prefix)))
                .map(|b| measured(rule, b.pps as f64, b.mbps as f64 * 1e6))
                .sum();
            let before = (LONG.as_secs() / PART.as_secs()).saturating_sub(1);
            parts.extend((0..before).map(|_| usual * (1.0 + WOBBLE * (2.0 * dice.fraction() - 1.0))));
        }
        Self {
            rule: name.to_owned(),
            smooth: Window::default(),
            other_since: None,
            active: None,
            flows: Vec::new(),
            parts,
            part: Window::default(),
            part_began: Duration::ZERO,
        }
    }

    /// Turns when it was otherwise for long enough; answers what is to be told then.
    fn turn(&mut self, is_above: bool, wait: Duration, at: Duration, dice: &mut Dice) -> Option<(bool, String)> {
        if is_above == self.active.is_some() {
            self.other_since = None;
            return None;
        }
        let since = *self.other_since.get_or_insert(at);
        if at.saturating_sub(since) < wait {
            return None;
        }
        self.other_since = None;
        match self.active.take() {
            Some(correlation) => Some((false, correlation)),
            None => {
                let correlation = dice.uuid();
                self.active = Some(correlation.clone());
                Some((true, correlation))
            }
        }
    }

    fn fixed(&mut self, rule: &Value, rate: Rate, base: Finding, dice: &mut Dice, found: &mut Vec<Finding>) {
        self.smooth.push(rate, SMOOTH);
        let (pps, bps) = self.smooth.mean();
        let above = |key: &str, rate: f64| rule[key].as_f64().is_some_and(|threshold| rate >= threshold);
        let is_above = above("packet_threshold", pps) || above("bandwidth_threshold", bps);
        let wait = duration_text::parse(text(rule, "duration")).unwrap_or(PART);
        if let Some((is_start, correlation)) = self.turn(is_above, wait, rate.at, dice) {
            found.push(Finding {
                is_start,
                correlation,
                pps,
                bps,
                ..base
            });
        }
    }

    fn dynamic(&mut self, rule: &Value, rate: Rate, base: Finding, dice: &mut Dice, found: &mut Vec<Finding>) {
        self.smooth.push(rate, SHORT);
        self.part.push(rate, PART);
        if rate.at >= self.part_began + PART {
            self.part_began = rate.at;
            let (pps, bps) = self.part.mean();
            self.parts.push_back(measured(rule, pps, bps));
            while self.parts.len() as u64 > LONG.as_secs() / PART.as_secs() {
                self.parts.pop_front();
            }
        }
        // Five minutes have to pass before there is a mean of five minutes.
        if rate.at < SHORT {
            return;
        }
        let (pps, bps) = self.smooth.mean();
        let n = self.parts.len().max(1) as f64;
        let mean = self.parts.iter().sum::<f64>() / n;
        let deviation = (self.parts.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        let z = if deviation > 0.0 {
            (measured(rule, pps, bps) - mean) / deviation
        } else {
            0.0
        };
        let is_above = z >= limit_of(text(rule, "zscore_sensitivity"));
        if let Some((is_start, correlation)) = self.turn(is_above, Duration::ZERO, rate.at, dice) {
            found.push(Finding {
                is_start,
                correlation,
                pps,
                bps,
                ..base
            });
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn flows(
        &mut self,
        seen: &[Seen],
        prefixes: &[IpNet],
        base: &Finding,
        scenario: &Scenario,
        step: Step,
        dice: &mut Dice,
        found: &mut Vec<Finding>,
    ) {
        self.flows.resize_with(scenario.attack.len(), Flow::default);
        for (index, attack) in scenario.attack.iter().enumerate() {
            let nets: Vec<IpNet> = prefixes
                .iter()
                .copied()
                .filter(|n| n.contains(&attack.target_ip))
                .collect();
            if nets.is_empty() {
                continue;
            }
            let flow = &mut self.flows[index];
            let of = seen.iter().filter(|s| s.attack == Some(index));
            let (packets, bits) = of.fold((0.0, 0.0), |(p, b), s| (p + s.packets, b + s.bits));
            let rate = Rate {
                at: step.at,
                seconds: step.seconds,
                packets,
                bits,
            };
            flow.mean.push(rate, FLOW_MEAN);
            let (pps, bps) = flow.mean.mean();
            let told = |is_start: bool, correlation: String| Finding {
                is_start,
                correlation,
                pps,
                bps,
                attack: Some(index),
                advertises: base.advertises.iter().copied().filter(|n| nets.contains(n)).collect(),
                ..base.clone()
            };
            if pps >= ALERTED_FROM_PPS as f64 {
                flow.quiet_since = None;
                if flow.active.is_none() {
                    let correlation = dice.uuid();
                    flow.active = Some(correlation.clone());
                    found.push(told(true, correlation));
                }
            } else if flow.active.is_some() {
                let since = *flow.quiet_since.get_or_insert(step.at);
                if step.at.saturating_sub(since) >= FLOW_OVER
                    && let Some(correlation) = flow.active.take()
                {
                    flow.quiet_since = None;
                    found.push(told(false, correlation));
                }
            }
        }
    }
}

/// What a dynamic rule looks at.
fn measured(rule: &Value, pps: f64, bps: f64) -> f64 {
    if text(rule, "zscore_target") == "packets" {
        pps
    } else {
        bps
    }
}

/// The threshold as alerts write it.
fn threshold_text(rule: &Value) -> String {
    let number = |key: &str| rule[key].as_f64().filter(|n| *n > 0.0);
    match (number("bandwidth_threshold"), number("packet_threshold")) {
        (Some(bits), _) if bits >= 1e9 => format!("{} Gbps", bits / 1e9),
        (Some(bits), _) => format!("{} Mbps", bits / 1e6),
        (None, Some(packets)) => format!("{packets} pps"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scenario() -> Scenario {
        Scenario::parse(
            "name = \"x\"\nduration = \"1h\"\n[[background]]\nprefix = \"203.0.113.0/24\"\npps = 100000\nmbps = 500\n",
        )
        .unwrap()
    }

    /// Seconds at which a rule turned, with the traffic of every second.
    fn turns(rule: &Value, until: u64, pps: impl Fn(u64) -> f64) -> Vec<(u64, bool)> {
        let (scenario, mut dice, mut monitoring) = (scenario(), Dice::new(1), Monitoring::default());
        let mut all = Vec::new();
        for second in 1..=until {
            let step = Step {
                at: Duration::from_secs(second),
                now: jiff::Timestamp::UNIX_EPOCH,
                seconds: 1.0,
            };
            let seen = [Seen {
                prefix: "203.0.113.0/24".parse().unwrap(),
                attack: None,
                packets: pps(second),
                bits: pps(second) * 5000.0,
            }];
            let found = monitoring.judge(std::slice::from_ref(rule), &seen, &scenario, step, &mut dice);
            all.extend(found.iter().map(|f| (second, f.is_start)));
        }
        all
    }

    fn threshold(duration: &str) -> Value {
        json!({"name": "r", "type": "threshold", "prefixes": ["203.0.113.0/24"], "packet_threshold": 200_000,
            "bandwidth_threshold": null, "duration": duration, "automatic_advertisement": true})
    }

    #[test]
    fn a_static_rule_waits_for_its_duration_both_ways() {
        let attack = |s: u64| if (100..400).contains(&s) { 900_000.0 } else { 100_000.0 };
        let found = turns(&threshold("1m0s"), 600, attack);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!((160..175).contains(&found[0].0) && found[0].1, "{found:?}");
        assert!((460..475).contains(&found[1].0) && !found[1].1, "{found:?}");
        // Pulses shorter than the duration stay below a static rule.
        let pulses = |s: u64| if s % 60 < 20 { 900_000.0 } else { 1_000.0 };
        assert_eq!(turns(&threshold("1m0s"), 600, pulses), []);
    }

    #[test]
    fn a_dynamic_rule_finds_what_is_unusual_and_not_what_is_usual() {
        let rule = json!({"name": "z", "type": "zscore", "prefixes": ["203.0.113.0/24"], "zscore_target": "packets",
            "zscore_sensitivity": "high", "automatic_advertisement": false});
        assert_eq!(turns(&rule, 900, |_| 100_000.0), []);
        let found = turns(&rule, 900, |s| if s >= 400 { 140_000.0 } else { 100_000.0 });
        assert!(
            found.first().is_some_and(|(at, start)| *start && *at > 400),
            "{found:?}"
        );
    }
}
