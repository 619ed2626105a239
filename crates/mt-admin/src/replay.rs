//! `replay`: decides a recording of the withdraw daemon again, with the daemon's own decision code, and tells it as a
//! transcript; with another policy also what that one would have done.
//!
//! Works from the files alone: no configuration, database or Cloudflare. Must hold: a line that cannot be read is
//! counted and told, never skipped silently.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use cli::words::{outside, stamp};
use cli::{Ink, Out, Table, Trouble, ink};
use daemon::exit;
use domain::duration::human;
use domain::prefix::Prefix;
use domain::recording::{RecordedCycle, VERSION, replay};
use domain::what_if::{Figures, Overlay, WhatIf, Withdrawn};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::args::ReplayArgs;

/// Longest line read: a thousand prefixes with rows for every minute of hours stay far below.
const LONGEST_LINE: u64 = 256 * 1024 * 1024;

/// Differences that are listed one by one.
const MOST_DIFFERENCES: usize = 20;

/// A change of the verdict in the recording.
#[derive(Debug, Serialize)]
struct Turn {
    at: Timestamp,
    prefix: Prefix,
    verdict: String,
    next: String,
    because: String,
}

/// A decision that is not what was recorded.
#[derive(Debug, Serialize)]
struct Difference {
    at: Timestamp,
    prefix: Prefix,
    recorded: String,
    now: String,
}

/// What a policy does in the recording.
#[derive(Debug, Serialize)]
struct World {
    total: Figures,
    prefixes: Vec<(Prefix, Figures)>,
    withdrawals: Vec<Withdrawn>,
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Replay {
    schema: &'static str,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    cycles: u64,
    decisions: u64,
    unreadable_lines: u64,
    /// Decisions that are not what was recorded.
    different: u64,
    differences: Vec<Difference>,
    transcript: Vec<Turn>,
    recorded_policy: World,
    other_policy: Option<World>,
}

/// Replays.
///
/// # Errors
/// When the recording or the policy cannot be read.
pub fn run(out: Out, asked: &ReplayArgs) -> Result<u8, Trouble> {
    let overlay = asked.policy.as_deref().map(overlay_of).transpose()?;
    let mut seen = Replay {
        schema: "cloudflare-mt/replay/1",
        from: None,
        to: None,
        cycles: 0,
        decisions: 0,
        unreadable_lines: 0,
        different: 0,
        differences: Vec::new(),
        transcript: Vec::new(),
        recorded_policy: World::empty(),
        other_policy: None,
    };
    let mut as_recorded = WhatIf::new(Overlay::default());
    let mut other = overlay.map(WhatIf::new);
    for file in &asked.files {
        each_line(file, |line| match serde_json::from_slice::<RecordedCycle>(line) {
            Ok(cycle) if cycle.version == VERSION => {
                as_recorded.cycle(&cycle);
                if let Some(other) = &mut other {
                    other.cycle(&cycle);
                }
                seen.take(&cycle);
            }
            _ => seen.unreadable_lines += 1,
        })?;
    }
    if seen.cycles == 0 {
        let text = format!(
            "no cycle could be read; {} lines were not readable",
            seen.unreadable_lines
        );
        return Err(Trouble::failed("replay.nothing", text)
            .remedy("the daemon writes recordings when autowithdraw.record_inputs is on"));
    }
    seen.recorded_policy = World::of(&as_recorded);
    seen.other_policy = other.as_ref().map(World::of);
    if out.is_json() {
        out.document(&seen)?;
    } else {
        out.text(&seen.text(out))?;
    }
    let sound = seen.different == 0 && seen.unreadable_lines == 0;
    Ok(if sound { exit::DONE } else { exit::FAILURE })
}

fn each_line(file: &Path, mut take: impl FnMut(&[u8])) -> Result<(), Trouble> {
    let trouble = |error: io::Error| {
        let text = format!("the recording {} cannot be read: {error}", file.display());
        Trouble::failed("replay.file", text)
    };
    let mut reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(file).map_err(trouble)?))
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = io::Read::take(&mut reader, LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .map_err(trouble)?;
        if read == 0 {
            return Ok(());
        }
        if !line.trim_ascii().is_empty() {
            take(&line);
        }
    }
}

/// A file with names of `autowithdraw`, or a whole `settings.json`, of which the others are left out.
fn overlay_of(file: &Path) -> Result<Overlay, Trouble> {
    let trouble = |error: &dyn std::fmt::Display| {
        let text = format!("the policy {} cannot be read: {error}", file.display());
        let remedy = format!(
            "write an object with some of: {}, as in the section autowithdraw of settings.json",
            Overlay::KEYS.join(", ")
        );
        Trouble::failed("replay.policy", text).remedy(remedy)
    };
    let text = std::fs::read_to_string(file).map_err(|error| trouble(&error))?;
    let mut value: Value = serde_json::from_str(&text).map_err(|error| trouble(&error))?;
    if let Some(Value::Object(mut section)) = value.get_mut("autowithdraw").map(Value::take) {
        section.retain(|key, _| Overlay::KEYS.contains(&key.as_str()));
        value = Value::Object(section);
    }
    serde_json::from_value(value).map_err(|error| trouble(&error))
}

impl World {
    fn empty() -> Self {
        Self {
            total: Figures::default(),
            prefixes: Vec::new(),
            withdrawals: Vec::new(),
        }
    }

    fn of(world: &WhatIf) -> Self {
        Self {
            total: world.total(),
            prefixes: world.figures().into_iter().collect(),
            withdrawals: world.withdrawals().to_vec(),
        }
    }
}

impl Replay {
    fn take(&mut self, cycle: &RecordedCycle) {
        self.from.get_or_insert(cycle.at);
        self.to = Some(cycle.at);
        self.cycles += 1;
        for again in replay(cycle) {
            self.decisions += 1;
            let verdict = again.decision.verdict.key();
            if !again.agrees() {
                self.different += 1;
                if self.differences.len() < MOST_DIFFERENCES {
                    self.differences.push(Difference {
                        at: cycle.at,
                        prefix: again.prefix,
                        recorded: outside(&again.recorded, 80),
                        now: verdict.clone(),
                    });
                }
            }
            if again.before != verdict {
                self.transcript.push(Turn {
                    at: cycle.at,
                    prefix: again.prefix,
                    verdict,
                    next: again.decision.next.action().to_owned(),
                    because: outside(&again.decision.next.because(), 300),
                });
            }
        }
    }

    fn text(&self, out: Out) -> String {
        let screen = out.screen();
        let mut text = String::new();
        let mut table = Table::new(&["WHEN (UTC)", "PREFIX", "VERDICT", "NEXT"]);
        for turn in &self.transcript {
            table.row([
                stamp(turn.at),
                turn.prefix.to_string(),
                turn.verdict.clone(),
                format!("{}: {}", turn.next, turn.because),
            ]);
        }
        text.push_str(&table.render(screen));
        text.push('\n');
        for difference in &self.differences {
            let line = format!(
                "DIFFERENT: {} {} was {}, is {}",
                stamp(difference.at),
                difference.prefix,
                difference.recorded,
                difference.now
            );
            text.push_str(&ink(Ink::Warn, &line));
            text.push('\n');
        }
        let span = match (self.from, self.to) {
            (Some(from), Some(to)) => format!("{} to {}", stamp(from), stamp(to)),
            _ => String::new(),
        };
        let verdict = match self.different {
            0 => "all decided as they were recorded".to_owned(),
            different => format!("{different} decided otherwise than recorded"),
        };
        text.push_str(&format!(
            "{span}: {} cycles, {} decisions, {verdict}\n",
            self.cycles, self.decisions
        ));
        if self.unreadable_lines > 0 {
            let line = format!("NOT COMPLETE: {} lines could not be read", self.unreadable_lines);
            text.push_str(&ink(Ink::Warn, &line));
            text.push('\n');
        }
        if let Some(other) = &self.other_policy {
            text.push_str(&self.compared(other, out));
        }
        text
    }

    fn compared(&self, other: &World, out: Out) -> String {
        let mut table = Table::new(&["PREFIX", "POLICY", "ADVERTISED", "WITHDRAWALS", "ATTACKED UNPROTECTED"]);
        let mut rows = |name: &str, recorded: Figures, other: Figures| {
            for (policy, figures) in [("recorded", recorded), ("other", other)] {
                table.row([
                    name.to_owned(),
                    policy.to_owned(),
                    human(figures.advertised),
                    figures.withdrawals.to_string(),
                    human(figures.unprotected),
                ]);
            }
        };
        for (prefix, recorded) in &self.recorded_policy.prefixes {
            let figures = other.prefixes.iter().find(|(of, _)| of == prefix);
            let figures = figures.map_or_else(Figures::default, |(_, figures)| *figures);
            // One that was never advertised says nothing.
            if *recorded != Figures::default() || figures != Figures::default() {
                rows(&prefix.to_string(), *recorded, figures);
            }
        }
        rows("all", self.recorded_policy.total, other.total);
        let mut text = format!("\n{}\n", ink(Ink::Strong, "What another policy would have done"));
        text.push_str(&table.render(out.screen()));
        for withdrawn in &other.withdrawals {
            text.push_str(&format!(
                "{} it would have withdrawn {}\n",
                stamp(withdrawn.at),
                withdrawn.prefix
            ));
        }
        text.push_str(
            "withdrawn earlier than recorded, a prefix stays so until the next recorded advertisement; withdrawn later, \
             calm is taken to have gone on\n",
        );
        text
    }
}
