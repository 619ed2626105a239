//! The drill as people and programs read it: a line a hop while it runs, then the grade and what to do.

use std::time::Duration;

use cli::{Ink, Table, Trouble, ink};
use daemon::exit;
use domain::ids::IncidentId;
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::Serialize;

use super::Drill;
use super::hop::{Grade, Hop, State};
use crate::desk::Desk;

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    at: Timestamp,
    grade: Grade,
    prefix: Prefix,
    incident: Option<IncidentId>,
    took_ms: u128,
    hops: &'a [Hop],
}

/// What is going to happen.
pub fn begin(desk: &Desk, prefix: Prefix) {
    if !desk.out.is_json() {
        let text = format!("FIRE DRILL with {prefix}, which is nobody's here; nothing of yours is touched\n");
        desk.out.aside(&text);
    }
}

/// A hop, as soon as it is over.
pub fn hop(desk: &Desk, hop: &Hop) {
    if !desk.out.is_json() {
        desk.out.aside(&format!("  {:<16} {}\n", hop.hop, hop.state.word()));
    }
}

/// Table and grade; exit code 0 unless something is broken.
///
/// # Errors
/// When it cannot be written.
pub fn result(drill: &Drill<'_>, at: Timestamp, took: Duration, hops: &[Hop]) -> Result<u8, Trouble> {
    let grade = Grade::of(hops);
    let desk = drill.desk;
    let report = Report {
        schema: "cloudflare-mt/drill/1",
        at,
        grade,
        prefix: drill.prefix,
        incident: drill.incident,
        took_ms: took.as_millis(),
        hops,
    };
    if desk.out.is_json() {
        desk.out.document(&report)?;
    } else {
        desk.out.text(&text(&report, desk))?;
    }
    Ok(if grade == Grade::F { exit::FAILURE } else { exit::DONE })
}

fn text(report: &Report<'_>, desk: &Desk) -> String {
    let mut table = Table::new(&["HOP", "STATE", "TOOK", "WHAT"]);
    for hop in report.hops {
        let word = match hop.state {
            State::Ok => hop.state.word().to_owned(),
            _ => ink(Ink::Warn, hop.state.word()),
        };
        let took = match hop.state {
            State::NotReached | State::NotAsked => "-".to_owned(),
            _ => format!("{} ms", hop.took_ms),
        };
        table.row([hop.hop.to_owned(), word, took, hop.text.clone()]);
    }
    let mut text = table.render(desk.out.screen());
    text.push('\n');
    for hop in report.hops.iter().filter(|hop| hop.state == State::Failed) {
        let remedy = if hop.remedy.is_empty() {
            String::new()
        } else {
            format!("\n  remedy: {}", hop.remedy)
        };
        text.push_str(&ink(Ink::Warn, &format!("BROKEN at {}: {}", hop.hop, hop.text)));
        text.push_str(&remedy);
        text.push('\n');
    }
    let words = match report.grade {
        Grade::A => "every hop works, in time",
        Grade::B => "every hop that was rehearsed works; something was slow or not rehearsed",
        Grade::C => "what was rehearsed works; much was slow or not rehearsed",
        Grade::F => "the chain is broken: an attack tonight would not go as it should",
    };
    text.push_str(&format!(
        "grade {:?} after {} ms: {words}\n",
        report.grade, report.took_ms
    ));
    text
}
