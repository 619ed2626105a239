//! A schedule: who is there, and what happens when. Drawn from a seed, shrunk, and written as a
//! scenario file that can be played again:
//!
//! ```text
//! simulation seed=7                            first line: the simulation of decision and journal
//! prefix 203.0.113.0/24 203.0.113.0/24         a managed prefix and the subnets of its rows
//! set calm_period 15m                          any key of the policy
//! delay 120s / cycle 60s / end 06:00:00
//! 00:10:00..00:40:00 attack 203.0.113.0/24 n=20000
//! 00:42:10 crash 203.0.113.0/24 n=30 at=marked    when a daemon next reaches that step
//! ```

use domain::decision::Policy;
use domain::prefix::Prefix;

use super::fault::{Kind, STEPS};
use crate::support::scenario::{clock_time, seconds, set};
use crate::support::{p, policy};

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    pub from: i64,
    /// Exclusive; `from` for what happens at one instant.
    pub until: i64,
    pub kind: Kind,
    /// Index of a prefix; what needs none ignores it.
    pub prefix: usize,
    pub n: i64,
    /// Index into [`STEPS`] of the step at which it happens: the first time that a daemon reaches it
    /// after `from`. `None`: at `from`.
    pub step: Option<usize>,
}

impl Item {
    pub fn is_on(&self, t: i64) -> bool {
        (self.from..self.until).contains(&t)
    }
}

/// A schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub seed: u64,
    pub prefixes: Vec<(Prefix, Vec<Prefix>)>,
    /// Keys of the policy that differ from the default, as text.
    pub settings: Vec<(String, String)>,
    pub policy: Policy,
    /// How long rows take to be readable.
    pub delay_s: i64,
    pub cycle_s: i64,
    /// Pause between two turns of a daemon's loop that has nothing to wait for.
    pub turn_s: i64,
    pub end_s: i64,
    pub items: Vec<Item>,
}

/// First word of a scenario file that is such a schedule.
pub const FIRST_WORD: &str = "simulation";

impl Schedule {
    pub fn new(seed: u64) -> Self {
        let mut schedule = Self {
            seed,
            prefixes: vec![],
            settings: vec![],
            policy: policy(),
            delay_s: 120,
            cycle_s: 60,
            turn_s: super::process::TURN_S,
            end_s: 6 * 3_600,
            items: vec![],
        };
        schedule.set("max_reading_age", "200s");
        schedule
    }

    pub fn set(&mut self, key: &str, value: &str) {
        set(&mut self.policy, key, value);
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    pub fn has(&self, kind: Kind) -> bool {
        self.items.iter().any(|item| item.kind == kind)
    }

    /// As a scenario file.
    pub fn write(&self) -> String {
        let mut text = format!("{FIRST_WORD} seed={}\n", self.seed);
        for (prefix, nets) in &self.prefixes {
            let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
            text += &format!("prefix {prefix} {}\n", nets.join(" "));
        }
        for (key, value) in &self.settings {
            text += &format!("set {key} {value}\n");
        }
        text += &format!(
            "delay {}s\ncycle {}s\nend {}\n",
            self.delay_s,
            self.cycle_s,
            clock(self.end_s)
        );
        for item in &self.items {
            text += &clock(item.from);
            if item.kind.lasts() {
                text += &format!("..{}", clock(item.until));
            }
            text += &format!(" {} {}", item.kind.name(), self.prefixes[item.prefix].0);
            if item.n != 0 {
                text += &format!(" n={}", item.n);
            }
            if let Some(step) = item.step {
                text += &format!(" at={}", STEPS[step]);
            }
            text.push('\n');
        }
        text
    }

    /// Reads a scenario file.
    pub fn read(text: &str) -> Self {
        let mut schedule = Self::new(0);
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let words: Vec<&str> = line.split_whitespace().collect();
            let option = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            match words[..] {
                [FIRST_WORD, ..] => schedule.seed = option("seed").unwrap().parse().unwrap(),
                ["prefix", net, ref nets @ ..] => {
                    schedule
                        .prefixes
                        .push((p(net), nets.iter().map(|net| p(net)).collect()));
                }
                ["set", key, value] => schedule.set(key, value),
                ["delay", length] => schedule.delay_s = seconds(length),
                ["cycle", length] => schedule.cycle_s = seconds(length),
                ["end", when] => schedule.end_s = clock_time(when),
                [when, name, net, ..] => {
                    let (from, until) = when.split_once("..").unwrap_or((when, when));
                    let kind = Kind::from_name(name).unwrap_or_else(|| panic!("unknown kind: {line}"));
                    let prefix = schedule.prefixes.iter().position(|(prefix, _)| *prefix == p(net));
                    schedule.items.push(Item {
                        from: clock_time(from),
                        until: clock_time(until),
                        kind,
                        prefix: prefix.unwrap_or_else(|| panic!("unknown prefix: {line}")),
                        n: option("n").map_or(0, |text| text.parse().unwrap()),
                        step: option("at").map(|text| STEPS.iter().position(|step| *step == text).unwrap()),
                    });
                }
                _ => panic!("not understood: {line}"),
            }
        }
        schedule
    }
}

/// Seconds as `HH:MM:SS`.
pub fn clock(seconds: i64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
