//! The pacing decision against floods of every sort, in simulated time: one sender that asks whenever something waits.

use proptest::prelude::*;

use super::*;

const FIRST: i64 = 1;

/// A group of Telegram, as in production.
const GROUP: Pace = Pace {
    per_window: 20,
    reserve: 4,
    window: Duration::from_secs(61),
    gap: Duration::from_secs(1),
};

/// A request itself takes this long.
const REQUEST_MS: u64 = 50;

fn at(ms: u64) -> Timestamp {
    plus(Timestamp::UNIX_EPOCH, Duration::from_millis(1_000_000_000 + ms))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

/// A message that was sent: when, for whom, and when what is in it had come.
#[derive(Debug)]
struct Sent {
    ms: u64,
    turn: i64,
    came: Vec<u64>,
}

impl Sent {
    /// The longest wait of what is in it.
    fn waited(&self) -> u64 {
        self.came.iter().map(|came| self.ms - came).max().unwrap_or_default()
    }
}

/// Sends everything that comes, in the order of `super::super::claim::look`. Followers of one kind go together, as edits do.
fn run(pace: &Pace, mut arrivals: Vec<(u64, i64)>) -> Vec<Sent> {
    arrivals.sort();
    arrivals.reverse();
    let mut waiting: [Vec<u64>; 3] = [vec![], vec![], vec![]];
    let turns = [CRITICAL, FIRST, FOLLOWERS];
    let mut starts: Vec<Start> = Vec::new();
    let mut sent = Vec::new();
    let mut now = 0;
    loop {
        while let Some((came, turn)) = arrivals.pop_if(|(came, _)| *came <= now) {
            let class = turns.iter().position(|known| *known == turn).unwrap();
            waiting[class].push(came);
        }
        let storm = true;
        let mut next = arrivals.last().map(|(came, _)| *came);
        let mut went = false;
        for (class, turn) in turns
            .into_iter()
            .enumerate()
            .filter(|(class, _)| !waiting[*class].is_empty())
        {
            let free = pace.free_at(&starts, turn, storm, at(now));
            if free > at(now) {
                let free_ms = now + ms(free.duration_since(at(now)).unsigned_abs());
                next = Some(next.map_or(free_ms, |next| next.min(free_ms)));
                continue;
            }
            let due = u32::try_from(waiting[class].len()).unwrap();
            let many = match turn {
                CRITICAL if due >= 2 && pace.takes_together(&starts, due, at(now)) => 40,
                FOLLOWERS => 100,
                _ => 1,
            };
            let rest = waiting[class].split_off(waiting[class].len().min(many));
            let came = std::mem::replace(&mut waiting[class], rest);
            starts.push(Start { at: at(now), turn });
            starts.retain(|start| plus(start.at, pace.window) > at(now));
            sent.push(Sent { ms: now, turn, came });
            went = true;
            break;
        }
        now = match (went, next) {
            (true, _) => now + REQUEST_MS,
            (false, Some(next)) => next.max(now + 1),
            (false, None) => return sent,
        };
    }
}

/// Instants at least `apart` milliseconds from each other, up to `most` more.
fn spaced(apart: u64, most: u64, count: usize, turn: i64) -> impl Strategy<Value = Vec<(u64, i64)>> {
    prop::collection::vec(0..=most, 0..count).prop_map(move |gaps| {
        let mut now = 0;
        gaps.into_iter()
            .map(|gap| {
                now += apart + gap;
                (now, turn)
            })
            .collect()
    })
}

fn joined(lists: [Vec<(u64, i64)>; 3]) -> Vec<(u64, i64)> {
    lists.into_iter().flatten().collect()
}

fn of(sent: &[Sent], turn: i64) -> impl Iterator<Item = &Sent> {
    sent.iter().filter(move |message| message.turn == turn)
}

/// Nothing but the distance of two messages kept it back, and only these went before it: a wait in the order of turns.
fn had_its_turn(sent: &[Sent], message: &Sent, before_it: impl Fn(&Sent) -> bool) -> bool {
    let came = message.came[0];
    let ahead = sent
        .iter()
        .filter(|other| (came..message.ms).contains(&other.ms) && before_it(other));
    // One more distance for the message that had just gone.
    let turns = 1 + u64::try_from(ahead.count()).unwrap();
    message.waited() <= turns * (ms(GROUP.gap) + REQUEST_MS)
}

/// Whatever comes: the chat's limits, and nothing is left.
fn keeps_the_limits(pace: &Pace, sent: &[Sent], arrivals: usize) -> Result<(), TestCaseError> {
    for pair in sent.windows(2) {
        prop_assert!(pair[1].ms - pair[0].ms >= ms(pace.gap), "{pair:?}");
    }
    for (index, first) in sent.iter().enumerate() {
        let within = sent[index..]
            .iter()
            .take_while(|other| other.ms - first.ms < ms(pace.window));
        prop_assert!(within.count() <= pace.per_window as usize, "from {} on", first.ms);
    }
    prop_assert_eq!(sent.iter().map(|message| message.came.len()).sum::<usize>(), arrivals);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Floods of all three at once.
    #[test]
    fn the_limits_hold_and_critical_ones_go_first(
        critical in spaced(0, 4_000, 80, CRITICAL),
        first in spaced(0, 4_000, 80, FIRST),
        followers in spaced(0, 500, 400, FOLLOWERS),
    ) {
        let arrivals = joined([critical, first, followers]);
        let sent = run(&GROUP, arrivals.clone());
        keeps_the_limits(&GROUP, &sent, arrivals.len())?;
        for message in of(&sent, CRITICAL) {
            let lately = of(&sent, CRITICAL)
                .filter(|other| other.ms < message.ms && other.ms + ms(GROUP.window) > message.came[0]);
            // The first four of a minute wait for nothing but the distance of two messages, one after the other.
            if lately.count() < GROUP.reserve as usize {
                prop_assert!(had_its_turn(&sent, message, |other| other.turn == CRITICAL), "{message:?}");
            }
            // The others wait for each other, and at worst until the chat has room at all.
            prop_assert!(message.waited() <= ms(GROUP.window + GROUP.gap * 2), "{message:?}");
            prop_assert!(message.came.len() <= 40);
        }
    }

    /// What the storm of the issue asks: ten incidents a minute, four critical notices a minute, any number of followers.
    #[test]
    fn ten_incidents_a_minute_have_their_first_message_at_once(
        critical in spaced(20_400, 9_000, 12, CRITICAL),
        first in spaced(6_900, 3_000, 40, FIRST),
        followers in spaced(0, 300, 600, FOLLOWERS),
    ) {
        let arrivals = joined([critical, first, followers]);
        let sent = run(&GROUP, arrivals.clone());
        keeps_the_limits(&GROUP, &sent, arrivals.len())?;
        for message in sent.iter().filter(|message| message.turn < FOLLOWERS) {
            prop_assert!(had_its_turn(&sent, message, |other| other.turn < FOLLOWERS), "{message:?}");
            prop_assert!(message.waited() <= 3_500, "{message:?}");
        }
    }

    /// However many critical notices come, and however many followers: incidents that begin keep a place.
    #[test]
    fn a_flood_of_critical_notices_leaves_room_for_first_messages(
        critical in spaced(0, 2_500, 200, CRITICAL),
        first in spaced(20_500, 9_000, 12, FIRST),
        followers in spaced(0, 300, 600, FOLLOWERS),
    ) {
        let arrivals = joined([critical, first, followers]);
        let sent = run(&GROUP, arrivals.clone());
        keeps_the_limits(&GROUP, &sent, arrivals.len())?;
        for message in of(&sent, FIRST) {
            prop_assert!(had_its_turn(&sent, message, |other| other.turn < FOLLOWERS), "{message:?}");
            // At most ten critical ones go before it, a second each.
            prop_assert!(message.waited() <= 12_000, "{message:?}");
        }
    }
}

#[test]
fn a_burst_of_critical_notices_takes_few_messages() {
    let burst: Vec<(u64, i64)> = (0..50).map(|_| (0, CRITICAL)).collect();
    let sent = run(&GROUP, burst);
    let held: Vec<usize> = sent.iter().map(|message| message.came.len()).collect();
    // More than there are places: together at once, each with its own line.
    assert_eq!(held, [40, 1, 1, 1, 7]);
    // A few go alone, as many as the chat has places for.
    let few: Vec<(u64, i64)> = (0..10).map(|_| (0, CRITICAL)).collect();
    assert!(run(&GROUP, few).iter().all(|message| message.came.len() == 1));
}

#[test]
fn a_chat_without_requests_is_free_and_a_full_one_says_when() {
    for turn in [CRITICAL, FIRST, FOLLOWERS] {
        assert_eq!(GROUP.free_at(&[], turn, true, at(0)), at(0));
    }
    let full: Vec<Start> = (0..20)
        .map(|second| Start {
            at: at(second * 1_000),
            turn: FIRST,
        })
        .collect();
    assert_eq!(GROUP.free_at(&full, CRITICAL, true, at(20_000)), at(61_000));
    // The four places of critical notices must be free before others go.
    assert_eq!(GROUP.free_at(&full, FIRST, true, at(20_000)), at(65_000));
}
