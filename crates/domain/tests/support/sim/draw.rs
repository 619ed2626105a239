//! Schedules from seeds: attacks, and what goes wrong around them.

use super::fault::{Group, Kind, STEPS, TABLE};
use super::schedule::{Item, Schedule};
use crate::support::p;
use crate::support::rng::Rng;

/// Draws a schedule. Every fifth has no fault at all: then everything must happen in time.
pub fn draw(seed: u64) -> Schedule {
    let mut rng = Rng::new(seed.wrapping_mul(0x9e37_79b9) ^ 0xdec1);
    let mut schedule = Schedule::new(seed);
    let nets: [(&str, &[&str]); 3] = [
        ("203.0.113.0/24", &["203.0.113.0/24"]),
        ("2001:db8:1::/48", &["2001:db8:1::/64", "2001:db8:1:7::/64"]),
        ("198.51.100.0/22", &["198.51.100.0/24", "198.51.102.0/24"]),
    ];
    let count = rng.range(1, 3) as usize;
    for (prefix, of) in &nets[..count] {
        schedule
            .prefixes
            .push((p(prefix), of.iter().map(|net| p(net)).collect()));
    }
    if rng.chance(500) {
        schedule.set("lookback", rng.pick::<&str>(&["5m", "10m", "330s"]));
        schedule.set("calm_period", rng.pick::<&str>(&["5m", "10m", "15m", "20m"]));
        schedule.set("max_withdrawals_per_hour", rng.pick::<&str>(&["1", "2", "10"]));
        schedule.set("min_advertised", rng.pick::<&str>(&["0s", "15m", "30m"]));
    }
    schedule.cycle_s = *rng.pick(&[30, 60, 60, 60, 120]);
    schedule.delay_s = rng.range(1, 11) * 15;
    schedule.end_s = rng.range(5, 12) * 3_600;
    draw_attacks(&mut rng, &mut schedule);
    if !rng.chance(200) {
        let most = *rng.pick(&[2, 4, 8, 16]);
        for _ in 0..rng.range(1, most) {
            draw_fault(&mut rng, &mut schedule);
        }
        if rng.chance(200) {
            draw_second_thought(&mut rng, &mut schedule);
        }
    }
    forbid_what_no_rule_covers(&mut schedule);
    schedule.items.sort_by_key(|item| (item.from, item.until));
    schedule
}

fn item(kind: Kind, from: i64, until: i64, prefix: usize, n: i64) -> Item {
    Item {
        from,
        until: if kind.lasts() { until } else { from },
        kind,
        prefix,
        n,
        step: None,
    }
}

/// Attacks, and who advertises because of them.
fn draw_attacks(rng: &mut Rng, schedule: &mut Schedule) {
    let mut t = rng.range(60, 1_800);
    while t < schedule.end_s - 3_600 {
        let prefix = rng.range(0, schedule.prefixes.len() as i64 - 1) as usize;
        let length = *rng.pick(&[1, 3, 10, 30, 90, 180]) * 60 + rng.range(0, 600);
        // From a third of the threshold over a look-back of five minutes to twenty times of it.
        let n = *rng.pick(&[300, 800, 1_100, 2_000, 5_000, 20_000]);
        schedule.items.push(item(Kind::Attack, t, t + length, prefix, n));
        let by = *rng.pick(&[Kind::ForeignAdvertise, Kind::ForeignAdvertise, Kind::Advertise]);
        let reaction = rng.range(0, 300);
        let own_hands = rng.range(0, 1);
        schedule.items.push(item(by, t + reaction, 0, prefix, own_hands));
        if rng.chance(300) {
            schedule
                .items
                .push(item(Kind::AlertOpen, t + 30, t + length + 120, prefix, 0));
        }
        t += *rng.pick(&[0, 600, length, length + 1_200, 7_200]) + rng.range(60, 1_800);
    }
}

/// A person withdraws, Cloudflare says not now, and the person thinks better of it.
fn draw_second_thought(rng: &mut Rng, schedule: &mut Schedule) {
    let prefix = rng.range(0, schedule.prefixes.len() as i64 - 1) as usize;
    let from = rng.range(600, schedule.end_s - 3_600);
    let no = *rng.pick(&[Kind::CallRefusedForNow, Kind::CallTooMany]);
    schedule
        .items
        .push(item(Kind::ForeignAdvertise, from - 120, 0, prefix, 0));
    schedule
        .items
        .push(item(no, from - 5, from + rng.range(5, 200), prefix, 60));
    schedule.items.push(item(Kind::Force, from, 0, prefix, rng.range(0, 1)));
    schedule.items.push(item(
        Kind::Advertise,
        from + rng.range(1, 60),
        0,
        prefix,
        rng.range(0, 1),
    ));
}

fn draw_fault(rng: &mut Rng, schedule: &mut Schedule) {
    let row = loop {
        let row = rng.pick(TABLE);
        // Races between processes and people are where a journal breaks: they come more often.
        let racing = matches!(row.1, Group::Process | Group::Calling) || !row.0.lasts();
        if row.0 != Kind::Attack && (racing || rng.chance(500)) {
            break row;
        }
    };
    let kind = row.0;
    let from = rng.range(0, schedule.end_s - 1_800);
    let length = *rng.pick(&[20, 90, 300, 900, 3_600]) + rng.range(0, 120);
    let prefix = rng.range(0, schedule.prefixes.len() as i64 - 1) as usize;
    let n = match kind {
        Kind::AnalyticsTruncated => rng.range(0, 3),
        Kind::AnalyticsTooLate => rng.range(1, 20) * 60,
        Kind::AnalyticsSlow => rng.range(2, 25),
        Kind::AnalyticsOldAnswer => rng.range(1, 20) * 60,
        Kind::AnalyticsFuture => rng.range(130, 7_200),
        Kind::AnalyticsCoarse => 1_000_000,
        Kind::ReadSlow => rng.range(2, 10),
        Kind::ReadOld => rng.range(5, 240),
        Kind::SinceInFuture => rng.range(130, 7_200),
        Kind::CallSlow => rng.range(2, 9),
        Kind::CallTooMany => rng.range(10, 300),
        Kind::CallDoneLate => rng.range(5, 600),
        Kind::PrependChanged => rng.range(1, 3),
        Kind::AlertOldTs => *rng.pick(&[60, 1_800, 7_200, 86_400 * 400]),
        Kind::Crash => rng.range(1, 120),
        Kind::Stop => *rng.pick(&[3, 8, 16, 25, 60, 600]),
        Kind::ClockStep => *rng.pick(&[-7_200, -600, -90, 45, 290, 600, 7_200]),
        Kind::CloudflareClock => *rng.pick(&[-60, 60]),
        Kind::ConfigCalm => rng.range(5, 40) * 60,
        Kind::ConfigThresholds => rng.range(2, 20) * 1_000,
        Kind::HoldUntil => *rng.pick(&[60, 300, 900, 3_600]),
        Kind::Advertise | Kind::Withdraw | Kind::Force => rng.range(0, 1),
        _ => 0,
    };
    let mut drawn = item(kind, from, from + length, prefix, n);
    let step = rng.range(0, STEPS.len() as i64 - 1) as usize;
    if matches!(kind, Kind::Crash | Kind::Stop) || (!kind.lasts() && rng.chance(600)) {
        drawn.step = Some(step);
    }
    if row.1 == Group::Configuration && rng.chance(700) {
        // Shorter than a calm period nothing would come of it.
        drawn.until = (drawn.from + 10_800).min(schedule.end_s);
    }
    if row.1 == Group::Calling && rng.chance(700) {
        // Calls are few: let it last until there is one.
        drawn.until = (drawn.from + 7_200).min(schedule.end_s);
    }
    schedule.items.push(drawn);
}

/// Rows that come late although within the settle time cannot be told from rows that never come,
/// when the rest of the feed is old too: that the data is delayed no more than stated is given.
fn forbid_what_no_rule_covers(schedule: &mut Schedule) {
    let lags = [
        Kind::AnalyticsFrozen,
        Kind::AnalyticsOldAnswer,
        Kind::ClockStep,
        Kind::CloudflareClock,
    ];
    if lags.iter().any(|kind| schedule.has(*kind)) {
        schedule.items.retain(|item| item.kind != Kind::AnalyticsLate);
    }
    // A row from the future is not to be recognised by a clock that lies in the same future.
    if schedule.has(Kind::ClockStep) {
        schedule.items.retain(|item| item.kind != Kind::AnalyticsFuture);
    }
    // One fault of a kind at a time is enough, and shrinks better.
    let mut seen = Vec::new();
    schedule.items.retain(|item| {
        let story = item.kind.group() == Group::Story || !item.kind.lasts() || item.kind.group() == Group::Alerts;
        let overlaps = |other: &Item| other.kind == item.kind && other.from < item.until && item.from < other.until;
        let keep = story || !seen.iter().any(overlaps);
        if keep {
            seen.push(*item);
        }
        keep
    });
    // Holds on one prefix are released together; one after the other is what a release means here.
    let mut holds: Vec<Item> = Vec::new();
    schedule.items.retain(|item| {
        if !matches!(item.kind, Kind::Hold | Kind::Pause | Kind::HoldUntil) {
            return true;
        }
        let first = !holds
            .iter()
            .any(|other| other.prefix == item.prefix || item.kind == Kind::Pause);
        holds.push(*item);
        first
    });
}
