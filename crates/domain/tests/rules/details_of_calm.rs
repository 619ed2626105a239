//! Borders of the calm clock: look-backs and epochs off the bucket border, late rows, answers that
//! reach less far back than asked, rows nobody has read yet.

use domain::bgp::Epoch;
use domain::calm::{CalmTrack, TrafficAnswer, read_traffic};
use domain::decision::{PrefixState, Verdict, decide};
use domain::evidence::Observed;

use crate::support::{MIN, add_drop, advertised, at, dur, inputs, policy, quiet, secs};

#[test]
fn a_look_back_that_is_no_multiple_of_the_bucket_covers_whole_buckets_and_no_more() {
    let mut policy = policy();
    policy.traffic.lookback = dur(330);
    // Noise far apart: never two of them within six buckets.
    let mut share = quiet(0, 60 * MIN);
    for minute in (0..60).step_by(7) {
        add_drop(&mut share, minute * MIN, 4_000, 4);
    }
    assert_eq!(
        decide(&PrefixState::default(), &inputs(60 * MIN, share), &policy).verdict,
        Verdict::Withdraw
    );
    // Five and a half minutes that begin and end inside buckets reach into six of them.
    let mut share = quiet(0, 60 * MIN);
    add_drop(&mut share, 54 * MIN, 4_000, 4);
    add_drop(&mut share, 59 * MIN, 4_000, 4);
    assert_eq!(
        decide(&PrefixState::default(), &inputs(60 * MIN, share), &policy).verdict,
        Verdict::Attack
    );
}

#[test]
fn an_attack_across_the_end_of_what_was_read_is_not_cut_in_two_halves() {
    // 3000 packets before the outage, 3000 after it: together an attack, and no single answer
    // holds both when the second begins where the first ended.
    let policy = policy();
    let track = CalmTrack::begin(Epoch(at(0)), &policy.traffic);
    let mut before = quiet(0, 45 * MIN);
    add_drop(&mut before, 39 * MIN, 3_000, 3);
    let first = read_traffic(&before, &track, &policy.traffic, at(45 * MIN));
    assert_eq!(
        first.answer,
        TrafficAnswer::Quiet {
            noise: false,
            restless: false
        }
    );
    assert_eq!(secs(first.track.verified_until), 40 * MIN);
    for from in [37, 38, 39, 40] {
        let mut after = quiet(from * MIN, 80 * MIN);
        add_drop(&mut after, 40 * MIN, 3_000, 3);
        if from <= 39 {
            add_drop(&mut after, 39 * MIN, 3_000, 3);
        }
        let second = read_traffic(&after, &first.track, &policy.traffic, at(80 * MIN));
        let calm_since = secs(second.track.calm_since);
        assert!(
            calm_since >= 44 * MIN,
            "read from {from}: calm since {calm_since} s although a window until 44 min was an attack"
        );
    }
}

#[test]
fn a_bucket_that_the_epoch_begins_in_belongs_to_it() {
    let policy = policy();
    let mut share = quiet(0, 60 * MIN);
    add_drop(&mut share, 20 * MIN, 500_000, 50);
    let mut readings = inputs(60 * MIN, share);
    readings.bgp = Observed::known(advertised(20 * MIN + 40), at(60 * MIN));
    let decision = decide(&PrefixState::default(), &readings, &policy);
    assert!(decision.state.peak.is_some());
    assert_eq!(secs(decision.state.calm.unwrap().calm_since), 27 * MIN + 40);
}

#[test]
fn the_minutes_not_settled_can_show_an_attack_and_never_calm() {
    let policy = policy();
    let mut share = quiet(0, 60 * MIN);
    share.to = at(61 * MIN);
    add_drop(&mut share, 60 * MIN, 500_000, 50);
    let attack = decide(&PrefixState::default(), &inputs(60 * MIN + 30, share), &policy);
    assert_eq!(attack.verdict, Verdict::Attack);
    // Calm up to 21:59 settles with the minute that ends at 22:00, when its five minutes are over.
    for (now, expected) in [(26 * MIN + 59, "calm"), (27 * MIN, "withdraw")] {
        let mut share = quiet(0, now);
        share.newest_row = Some(at(now));
        assert_eq!(
            decide(&PrefixState::default(), &inputs(now, share), &policy)
                .verdict
                .key(),
            expected
        );
    }
}

#[test]
fn a_row_that_comes_after_it_should_have_settled_still_ends_the_calm_before_it() {
    let policy = policy();
    let first = decide(&PrefixState::default(), &inputs(26 * MIN, quiet(0, 26 * MIN)), &policy);
    assert_eq!(first.verdict.key(), "calm");
    let from = first
        .state
        .calm
        .as_ref()
        .unwrap()
        .read_from(&policy.traffic, policy.calm_period, at(27 * MIN));
    let mut share = quiet(secs(from), 27 * MIN);
    add_drop(&mut share, 12 * MIN, 500_000, 50);
    let second = decide(&first.state, &inputs(27 * MIN, share), &policy);
    assert_eq!(second.verdict.key(), "calm");
    assert_eq!(secs(second.state.calm.unwrap().calm_since), 17 * MIN);
    assert_eq!(second.state.attack_since, Some(at(13 * MIN)));
}

#[test]
fn the_question_reaches_back_over_the_whole_calm_period_even_when_the_newest_row_lags() {
    // The newest row may stand still for twice `settle` before it counts as stale; the calm period
    // is measured from it, so the answer must begin a look-back before that.
    let policy = policy();
    let track = CalmTrack {
        epoch: Epoch(at(0)),
        calm_since: at(7 * MIN),
        verified_until: at(200 * MIN),
        saw_rows: true,
        newest_row: None,
        rows_from: None,
        attacked: false,
    };
    for lag in 0..=10 {
        let now = 205 * MIN;
        let settled = now - 5 * MIN - lag * MIN;
        let from = secs(track.read_from(&policy.traffic, policy.calm_period, at(now)));
        assert!(from <= settled - 15 * MIN - 5 * MIN, "lag {lag} min: reads from {from}");
    }
}

#[test]
fn the_question_never_begins_before_the_epoch_nor_without_bound() {
    let policy = policy();
    let track = CalmTrack::begin(Epoch(at(100 * MIN + 17)), &policy.traffic);
    assert_eq!(
        track.read_from(&policy.traffic, policy.calm_period, at(103 * MIN)),
        at(100 * MIN)
    );
    let old = CalmTrack::begin(Epoch(at(-1_000_000)), &policy.traffic);
    let from = old.read_from(&policy.traffic, policy.calm_period, at(0));
    assert!(
        secs(from) >= -45 * MIN,
        "an hour of minutes for a calm period of 15 min: {}",
        secs(from)
    );
}

#[test]
fn broken_counters_neither_wrap_nor_panic() {
    let policy = policy();
    let mut share = quiet(0, 60 * MIN);
    for minute in 0..60 {
        add_drop(&mut share, minute * MIN, u64::MAX, u64::MAX / 2);
    }
    assert_eq!(
        decide(&PrefixState::default(), &inputs(60 * MIN, share), &policy).verdict,
        Verdict::Attack
    );
}

#[test]
fn ten_second_buckets_for_short_look_backs() {
    let mut policy = policy();
    policy.traffic.lookback = dur(60);
    assert_eq!(policy.traffic.bucket(), dur(10));
    let mut share = quiet(0, 60 * MIN);
    share.bucket = dur(10);
    add_drop(&mut share, 40 * MIN + 10, 500_000, 50);
    let decision = decide(&PrefixState::default(), &inputs(60 * MIN, share), &policy);
    assert_eq!(secs(decision.state.calm.unwrap().calm_since), 41 * MIN + 10);
}

#[test]
fn before_any_window_there_is_no_newest_window_to_show() {
    let policy = policy();
    let mut readings = inputs(60 * MIN, quiet(60 * MIN, 60 * MIN));
    readings.bgp = Observed::known(advertised(60 * MIN), at(60 * MIN));
    assert_eq!(decide(&PrefixState::default(), &readings, &policy).latest, None);
    let mut share = quiet(0, 60 * MIN);
    add_drop(&mut share, 57 * MIN, 3_000, 3);
    let latest = decide(&PrefixState::default(), &inputs(60 * MIN, share), &policy)
        .latest
        .unwrap();
    assert_eq!((secs(latest.ends_at), latest.packets.0), (60 * MIN, 3_000));
}

#[test]
fn the_limits_of_clocks_and_sampling_are_themselves_still_good() {
    let policy = policy();
    let verdict = |share| {
        decide(&PrefixState::default(), &inputs(60 * MIN, share), &policy)
            .verdict
            .key()
    };
    for (ahead_s, expected) in [(120, "withdraw"), (121, "unknown:traffic_in_future")] {
        let mut share = quiet(0, 60 * MIN);
        share.newest_row = Some(at(60 * MIN + ahead_s));
        assert_eq!(verdict(share), expected, "{ahead_s} s ahead");
    }
    for (interval, expected) in [(100_000, "withdraw"), (100_001, "unknown:traffic_too_coarse")] {
        let mut share = quiet(0, 60 * MIN);
        share.max_sample_interval = interval;
        assert_eq!(verdict(share), expected, "one packet in {interval}");
    }
}
