//! A sample of the schedules of `domain`'s simulation of decision and journal, played against the
//! real SQLite file: every statement of the model is one of the database here, and both must tell
//! the same story line by line. What the schedules are is in `docs/82-decision-simulation.md`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod sqlite;

#[path = "../../../domain/tests/support/sim/mod.rs"]
mod sim;
#[path = "../../../domain/tests/support/mod.rs"]
mod support;

use db::{Db, OpenOptions};
use sim::draw::draw;
use sim::fault::{Group, Kind};
use sim::schedule::Schedule;
use sim::stage::{play, play_on};

use sqlite::Sqlite;

/// Hours of each schedule that are played: enough for an attack and its end.
const LENGTH_S: i64 = 2 * 3_600;

fn schedule(seed: u64) -> Schedule {
    let mut schedule = draw(seed);
    schedule.end_s = LENGTH_S;
    // Every turn is a durable transaction here.
    schedule.turn_s = 10;
    // The ledger of alerts is filled by the receiver, whose tests it has.
    schedule
        .items
        .retain(|item| item.from < LENGTH_S && item.kind.group() != Group::Alerts);
    schedule
}

/// The first schedules in which processes race, each of another kind.
fn sample() -> Vec<u64> {
    const WANTED: [Kind; 6] = [
        Kind::Crash,
        Kind::Stop,
        Kind::SecondDaemon,
        Kind::CommitUnanswered,
        Kind::CallLostAfter,
        Kind::Advertise,
    ];
    WANTED
        .iter()
        .map(|kind| {
            (1..)
                .find(|seed| schedule(*seed).has(*kind) && play(&schedule(*seed), false).met.withdrawals > 0)
                .unwrap()
        })
        .collect()
}

#[test]
fn the_database_tells_the_same_story_as_the_model() {
    let mut withdrawals = 0;
    for seed in sample() {
        let schedule = schedule(seed);
        let expected = play(&schedule, true);
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(folder.path().join("mt.db"), OpenOptions::default()).unwrap();
        let found = play_on(&schedule, Box::new(Sqlite::new(db.clone())), true);
        assert_eq!(found.violation, None, "seed {seed}\n{}", schedule.write());
        let same = expected.transcript.lines().zip(found.transcript.lines());
        let differs = same.clone().find(|(model, file)| model != file);
        assert_eq!(
            differs,
            None,
            "seed {seed}: (the model says, the database says)\n{}",
            schedule.write()
        );
        assert_eq!(
            expected.transcript.lines().count(),
            found.transcript.lines().count(),
            "seed {seed}"
        );
        // What the story calls done is what the history of withdrawals holds.
        let history = db
            .read_blocking("test", |tx| db::history::newest(tx, None, 1_000))
            .unwrap();
        assert_eq!(history.len() as u64, found.met.records, "seed {seed}");
        withdrawals += found.met.withdrawals;
    }
    assert!(withdrawals >= 6, "{withdrawals} withdrawals were played");
}
