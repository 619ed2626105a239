//! A fuzzer for the decoder of notifications, in process: it mutates real bodies, keeps mutants that make the decoder
//! behave in a new way (which fields were read, which problems were named) and goes on from those.
//!
//! `FUZZ_SECONDS` sets for how long (a few seconds unless told; `scripts/test` asks for a minute, an evening is fine as
//! well), `FUZZ_SEED` repeats a run. What it cannot do: it sees behaviour, not branches, as a coverage-guided fuzzer
//! would; it needs no nightly compiler, no tool to install and no second build for that.
//!
//! When a body breaks an invariant the failure prints it; add it to `corpus.jsonl` beside the mend.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod invariants;
mod mutation;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mutation::Dice;

/// Real bodies of every type, one a line.
const CORPUS: &str = include_str!("corpus.jsonl");

/// Without being told.
const SECONDS: u64 = 3;

/// Mutants kept; further ones replace a random one.
const MOST_KEPT: usize = 4_000;

/// Longest body; the receiver takes 1 MiB, but long bodies are slow and say little more.
const LONGEST: usize = 16 * 1024;

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Fails with the body when the decoder panics or breaks an invariant.
fn examine(body: &[u8], seed: u64) -> u64 {
    match catch_unwind(AssertUnwindSafe(|| invariants::hold(body))) {
        Ok(Ok(behaviour)) => behaviour,
        Ok(Err(broken)) => panic!("{broken}\nseed {seed}, body: {}", body.escape_ascii()),
        Err(_) => panic!("the decoder panicked\nseed {seed}, body: {}", body.escape_ascii()),
    }
}

#[test]
fn no_mutant_of_a_real_body_breaks_the_decoder() {
    let seconds = number_of("FUZZ_SECONDS").unwrap_or(SECONDS);
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number_of("FUZZ_SEED").unwrap_or_else(|| u64::from(clock.unwrap().subsec_nanos()) | 1);
    let mut dice = Dice(seed);
    let mut kept: Vec<Vec<u8>> = CORPUS.lines().map(|line| line.as_bytes().to_vec()).collect();
    let mut seen: HashSet<u64> = kept.iter().map(|body| examine(body, seed)).collect();
    let real = seen.len();
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut tried = 0_u64;
    while Instant::now() < until {
        let mut body = dice.pick(&kept).clone();
        let other = dice.pick(&kept).clone();
        for _ in 0..=dice.below(4) {
            body = mutation::of(&body, &other, &mut dice);
        }
        body.truncate(LONGEST);
        tried += 1;
        if seen.insert(examine(&body, seed)) {
            if kept.len() < MOST_KEPT {
                kept.push(body);
            } else {
                let at = dice.below(kept.len());
                kept[at] = body;
            }
        }
    }
    println!(
        "seed {seed}: {tried} bodies in {seconds} s, {} behaviours beside the {real} of real bodies",
        seen.len() - real
    );
    assert!(seen.len() > real, "mutants behave in new ways");
}
