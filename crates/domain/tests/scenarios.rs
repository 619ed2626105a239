//! Timelines with their expected transcripts: `scenarios/*.txt`, one file a story, to be read by
//! people. The format is described in `support/scenario.rs`. A file whose first word is `simulation`
//! is a schedule of the simulation of decision and journal, as its failures print them (format in
//! `support/sim/schedule.rs`); it must keep every invariant besides.
//!
//! `DOMAIN_SCENARIOS_BLESS=1` writes the transcripts as they are now; read the diff before it is
//! committed.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "support/sim/mod.rs"]
mod sim;
mod support;

use std::path::{Path, PathBuf};

use sim::schedule::{FIRST_WORD, Schedule};
use support::scenario::Scenario;

const LINE: &str = "\n---\n";

/// The transcript of a story, or the invariant that it breaks.
fn play(story: &str) -> Result<String, String> {
    if story.split_whitespace().next() != Some(FIRST_WORD) {
        return Ok(support::transcript::play(Scenario::read(story)));
    }
    let schedule = Schedule::read(story);
    let outcome = sim::stage::play(&schedule, true);
    match outcome.violation {
        Some(violation) => Err(format!("{violation:?}\n{}", outcome.transcript)),
        None => Ok(outcome.transcript),
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_scenario_goes_as_its_transcript_says() {
    let files = files();
    assert!(files.len() >= 12, "the scenarios are gone");
    let bless = std::env::var_os("DOMAIN_SCENARIOS_BLESS").is_some();
    let mut failures = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let (story, expected) = text.split_once(LINE).unwrap_or((&text, ""));
        let transcript = play(story).unwrap_or_else(|broken| {
            failures.push(format!("== {}\n{broken}", path.display()));
            expected.to_owned()
        });
        if bless {
            std::fs::write(&path, format!("{}{LINE}{transcript}", story.trim_end())).unwrap();
        } else if transcript != expected {
            failures.push(format!("== {}\n{}", path.display(), difference(expected, &transcript)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Lines from the first that differs, expected and found.
fn difference(expected: &str, found: &str) -> String {
    let same = expected
        .lines()
        .zip(found.lines())
        .take_while(|(left, right)| left == right)
        .count();
    let rest = |text: &str, mark: &str| {
        text.lines()
            .skip(same)
            .take(5)
            .map(|line| format!("{mark} {line}\n"))
            .collect::<String>()
    };
    format!("after {same} lines:\n{}{}", rest(expected, "-"), rest(found, "+"))
}

#[test]
fn a_scenario_is_the_same_every_time() {
    for path in files().into_iter().rev().take(3) {
        let text = std::fs::read_to_string(path).unwrap();
        let story = text.split_once(LINE).map_or(text.as_str(), |(story, _)| story);
        assert_eq!(play(story), play(story));
    }
}
