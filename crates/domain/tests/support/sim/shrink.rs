//! The smallest schedule that still breaks the same rule: without whole parts, single events,
//! shorter, and with fewer prefixes.

use super::schedule::Schedule;
use super::stage::play;

/// Shrinks a schedule that breaks the invariant `name`.
pub fn shrink(schedule: &Schedule, name: &str) -> Schedule {
    let fails = |schedule: &Schedule| {
        play(schedule, false)
            .violation
            .is_some_and(|violation| violation.name == name)
    };
    let mut best = schedule.clone();
    if let Some(violation) = play(&best, false).violation {
        let mut shorter = best.clone();
        shorter.end_s = violation.t + 60;
        shorter.items.retain(|item| item.from <= violation.t);
        if fails(&shorter) {
            best = shorter;
        }
    }
    let mut part = best.items.len().div_ceil(2).max(1);
    loop {
        let mut begin = 0;
        while begin < best.items.len() {
            let mut without = best.clone();
            without.items.drain(begin..(begin + part).min(best.items.len()));
            if fails(&without) {
                best = without;
            } else {
                begin += part;
            }
        }
        if part == 1 {
            break;
        }
        part = part.div_ceil(2);
    }
    for index in 0..best.items.len() {
        let mut shorter = best.clone();
        let item = &mut shorter.items[index];
        if item.until > item.from {
            item.until = item.from + (item.until - item.from) / 2;
            if fails(&shorter) {
                best = shorter;
            }
        }
    }
    while best.prefixes.len() > 1 && best.items.iter().all(|item| item.prefix + 1 < best.prefixes.len()) {
        let mut fewer = best.clone();
        fewer.prefixes.pop();
        if !fails(&fewer) {
            break;
        }
        best = fewer;
    }
    best
}
