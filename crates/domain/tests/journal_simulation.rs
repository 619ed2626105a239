//! Decision and journal together, held against the truth: drawn schedules of attacks, faults,
//! crashes, second daemons and people, in virtual time. What must hold is in
//! `support/sim/invariants.rs`; how to run it is in `docs/82-decision-simulation.md`.
//!
//! `DOMAIN_JOURNAL_HOURS` is the number of attack-hours (default 1,000), `DOMAIN_JOURNAL_SEED` the
//! first seed. A failure names its seed and prints the shrunk schedule as a scenario file.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

#[path = "support/sim/mod.rs"]
mod sim;
mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sim::draw::draw;
use sim::fault::{TABLE, markdown};
use sim::invariants::{INVARIANTS, Met};
use sim::schedule::Schedule;
use sim::shrink::shrink;
use sim::stage::play;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// What a failure says: the broken rule, the seed, and a file that breaks it again.
fn report(seed: u64, schedule: &Schedule) -> String {
    let Some(found) = play(schedule, false).violation else {
        return format!("seed {seed}: the failure did not come again");
    };
    let small = shrink(schedule, found.name);
    let again = play(&small, true);
    let meaning = INVARIANTS
        .iter()
        .find(|known| known.0 == found.name)
        .map_or("", |known| known.1);
    let last: Vec<&str> = again.transcript.lines().rev().take(40).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    format!(
        "seed {seed} breaks {}: {meaning}\n{:?}\n== as a scenario file\n{}== its end\n{}",
        found.name,
        again.violation,
        small.write(),
        last.join("\n")
    )
}

#[test]
fn whatever_happens_decision_and_journal_keep_the_rules() {
    let hours = number("DOMAIN_JOURNAL_HOURS", 1_000);
    let first = number("DOMAIN_JOURNAL_SEED", 1);
    let (next, done) = (AtomicU64::new(first), AtomicBool::new(false));
    let met = Mutex::new((Met::default(), 0_u64));
    let failure = Mutex::new(None);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let schedule = draw(seed);
                    let outcome = play(&schedule, false);
                    if outcome.violation.is_some() {
                        done.store(true, Ordering::Relaxed);
                        failure.lock().unwrap().get_or_insert((seed, schedule));
                        return;
                    }
                    let mut sum = met.lock().unwrap();
                    sum.0.add(&outcome.met);
                    sum.1 += 1;
                    if sum.0.attack_minutes >= hours as i64 * 60 {
                        done.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    if let Some((seed, schedule)) = failure.into_inner().unwrap() {
        panic!("{}", report(seed, &schedule));
    }
    let (met, schedules) = met.into_inner().unwrap();
    println!(
        "{schedules} schedules from seed {first}: {} hours, {} of them under attack; {met:?}",
        met.seconds / 3_600,
        met.attack_minutes / 60
    );
    if hours >= 100 {
        assert!(
            met.withdrawals > 100 && met.records > 50 && met.by_people > 50,
            "{met:?}"
        );
        assert!(
            met.unknown > 100 && met.interruptions > 20 && met.unresolved > 0,
            "{met:?}"
        );
        assert!(met.overdue > 10 && met.blind > 5, "{met:?}");
    }
}

const PAGE: &str = "../../docs/82-decision-simulation.md";

/// A table of the page: everything between its two marks.
fn replaced(page: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: generated -->\n"), format!("<!-- {name}: end -->"));
    let (head, rest) = page
        .split_once(&begin)
        .unwrap_or_else(|| panic!("the page has no mark {begin}"));
    let (_, tail) = rest
        .split_once(&end)
        .unwrap_or_else(|| panic!("the page has no mark {end}"));
    format!("{head}{begin}{table}{end}{tail}")
}

#[test]
fn the_page_lists_every_fault_and_every_invariant() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let mut invariants = String::from("| Invariant | What must hold |\n|---|---|\n");
    for (name, meaning) in INVARIANTS {
        invariants += &format!("| `{name}` | {meaning} |\n");
    }
    let faults = markdown();
    assert!(faults.lines().count() >= 42, "at least forty kinds of faults");
    let fresh = replaced(&replaced(&page, "faults", &faults), "invariants", &invariants);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, fresh).unwrap();
    } else {
        assert!(
            page == fresh,
            "{PAGE} is out of date: UPDATE_GENERATED=1 cargo test -p domain --test journal_simulation"
        );
    }
}

#[test]
fn a_schedule_survives_being_written_as_a_file() {
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 1..400 {
        let schedule = draw(seed);
        let again = Schedule::read(&schedule.write());
        assert_eq!(again.items, schedule.items);
        assert_eq!(
            (again.policy.clone(), again.prefixes.clone()),
            (schedule.policy.clone(), schedule.prefixes.clone())
        );
        kinds.extend(schedule.items.iter().map(|item| item.kind));
        if seed < 4 {
            assert_eq!(play(&again, true).transcript, play(&schedule, true).transcript);
        }
    }
    // Every kind is drawn, not only listed.
    assert_eq!(kinds.len(), TABLE.len(), "{kinds:?}");
}
