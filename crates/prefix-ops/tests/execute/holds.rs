//! Rule 7: a hold's end is announced a while before anything may follow, whatever its length.

use std::time::Duration;

use db::{Db, OpenOptions};
use domain::hold::Hold;
use domain::prefix::Prefix;
use domain::time::plus;
use jiff::Timestamp;
use prefix_ops::holds;

const NOTICE: Duration = Duration::from_secs(600);

struct Book {
    db: Db,
    begin: Timestamp,
    _dir: tempfile::TempDir,
}

impl Book {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            db: Db::open(dir.path().join("mt.db"), OpenOptions::default()).unwrap(),
            begin: "2026-01-15T08:00:00Z".parse().unwrap(),
            _dir: dir,
        }
    }

    fn at(&self, minute: u64) -> Timestamp {
        plus(self.begin, Duration::from_secs(minute * 60))
    }

    fn set(&self, from: u64, until: Option<u64>) {
        let (now, until) = (self.at(from), until.map(|minute| self.at(minute)));
        self.db
            .write_blocking("test", move |tx| {
                db::holds::set(tx, Some(prefix()), "ana@noc", "maintenance", until, now)
            })
            .unwrap();
    }

    fn binds(&self, minute: u64) -> bool {
        let now = self.at(minute);
        let binding = self
            .db
            .read_blocking("test", move |tx| holds::binding(tx, NOTICE, now))
            .unwrap();
        domain::hold::in_force(&binding, prefix(), now).is_some()
    }

    /// What a cycle does.
    fn cycle(&self, minute: u64) -> Vec<Hold> {
        let now = self.at(minute);
        self.db
            .write_blocking("test", move |tx| holds::take_ending(tx, NOTICE, now))
            .unwrap()
    }
}

fn prefix() -> Prefix {
    "203.0.113.0/24".parse().unwrap()
}

#[test]
fn a_long_hold_is_announced_ten_minutes_before_its_end_and_once() {
    let book = Book::new();
    book.set(0, Some(60));
    assert!(book.cycle(49).is_empty());
    let told = book.cycle(50);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].until, Some(book.at(60)));
    assert!(book.cycle(51).is_empty(), "once");
    assert!(book.binds(59));
    assert!(!book.binds(60));
}

#[test]
fn a_short_hold_lasts_until_its_end_was_announced_for_long_enough() {
    let book = Book::new();
    book.set(0, Some(3));
    let told = book.cycle(1);
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].until,
        Some(book.at(11)),
        "what is told is when something may follow"
    );
    assert!(book.binds(3));
    assert!(book.binds(10));
    assert!(book.cycle(5).is_empty());
    assert!(!book.binds(11));
}

#[test]
fn a_hold_that_ran_out_while_nobody_was_there_is_announced_first() {
    let book = Book::new();
    book.set(0, Some(30));
    // The daemon was down from minute 10 to 120.
    assert!(book.binds(120));
    assert_eq!(book.cycle(120).len(), 1);
    assert!(book.binds(129));
    assert!(!book.binds(130));
    assert!(book.cycle(131).is_empty());
}

#[test]
fn one_that_a_person_releases_ends_at_once_and_an_open_ended_one_never() {
    let book = Book::new();
    book.set(0, None);
    assert!(book.cycle(100_000).is_empty());
    assert!(book.binds(100_000));
    book.set(0, Some(3));
    book.cycle(1);
    let now = book.at(2);
    book.db
        .write_blocking("test", move |tx| db::holds::release(tx, Some(prefix()), "ana@noc", now))
        .unwrap();
    assert!(!book.binds(2));
}
