//! The request budget under arbitrary sequences of calls.

use std::time::Duration;

use cf_api::budget::{Admit, Bucket, CallKind, Limits, Window};
use jiff::Timestamp;
use proptest::prelude::*;

fn kind() -> impl Strategy<Value = CallKind> {
    prop_oneof![
        Just(CallKind::Advertise),
        Just(CallKind::Withdraw),
        Just(CallKind::BgpRead),
        Just(CallKind::Rest),
        Just(CallKind::Evidence),
        Just(CallKind::Analytics),
    ]
}

/// Bursts, pauses, and gaps of nearly the whole period, where the edges of the window are.
fn gap_ms() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0_u64..50,
        2 => 0_u64..40_000,
        1 => 290_000_u64..310_000,
    ]
}

/// Small limits, so that short sequences reach them.
const LIMITS: Limits = Limits {
    rest: 20,
    graphql: 10,
    reserve_percent: 20,
    change_percent: 5,
};

fn is_ordinary(kind: CallKind) -> bool {
    matches!(kind, CallKind::Rest | CallKind::Analytics)
}

fn later(now: Timestamp, ms: u64) -> Timestamp {
    now + Duration::from_millis(ms)
}

proptest! {
    #[test]
    fn no_five_minutes_hold_more_than_the_limit(
        start_ms in 0_i64..10_000,
        steps in prop::collection::vec((kind(), gap_ms()), 1..400),
    ) {
        let mut window = Window::new(LIMITS);
        let mut now = Timestamp::from_millisecond(1_800_000_000_000 + start_ms).unwrap();
        let mut granted: Vec<(Timestamp, CallKind)> = Vec::new();
        for (kind, gap_ms) in steps {
            now = later(now, gap_ms);
            match window.admit(kind, now) {
                Admit::Granted => granted.push((now, kind)),
                Admit::Wait(wait) => {
                    prop_assert!(wait <= Duration::from_secs(305), "{wait:?}");
                    let mut alone = window.clone();
                    prop_assert_eq!(alone.admit(kind, now + wait), Admit::Granted);
                }
            }
        }
        for (end, _) in &granted {
            let recent = |bucket: Bucket| {
                granted.iter().filter(move |(at, kind)| {
                    *kind != CallKind::Advertise && kind.bucket() == bucket && at <= end && end.duration_since(*at).as_millis() < 300_000
                })
            };
            prop_assert!(recent(Bucket::Rest).count() <= 20);
            prop_assert!(recent(Bucket::Graphql).count() <= 10);
        }
    }

    #[test]
    fn ordinary_calls_never_starve_the_others(
        steps in prop::collection::vec((kind(), gap_ms()), 1..200),
    ) {
        let mut window = Window::new(LIMITS);
        let mut now = Timestamp::from_second(1_800_000_000).unwrap();
        for (kind, gap_ms) in steps {
            now = later(now, gap_ms);
            if is_ordinary(kind) {
                window.admit(kind, now);
            }
        }
        // Whatever the ordinary calls did, the reserve is there.
        for _ in 0..3 {
            prop_assert_eq!(window.admit(CallKind::BgpRead, now), Admit::Granted);
        }
        prop_assert_eq!(window.admit(CallKind::Withdraw, now), Admit::Granted);
        prop_assert_eq!(window.admit(CallKind::Evidence, now), Admit::Granted);
        prop_assert_eq!(window.admit(CallKind::Evidence, now), Admit::Granted);
    }

    #[test]
    fn nothing_passes_a_lock_and_a_clock_set_back_frees_nothing(
        lock_s in 1_u64..2_000,
        kind in kind(),
        asked_after_s in 0_u64..2_000,
        set_back_s in 0_i64..100_000,
    ) {
        let mut window = Window::new(LIMITS);
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        window.lock(kind.bucket(), Duration::from_secs(lock_s), now);
        let asked = later(now, asked_after_s * 1_000);
        let effective = lock_s.min(900);
        let passes = kind == CallKind::Advertise || asked_after_s >= effective;
        prop_assert_eq!(window.admit(kind, asked) == Admit::Granted, passes);

        prop_assume!(kind != CallKind::Advertise);
        let mut full = Window::new(LIMITS);
        while full.admit(kind, now) == Admit::Granted {}
        let before = now - Duration::from_secs(set_back_s.unsigned_abs());
        prop_assert!(matches!(full.admit(kind, before), Admit::Wait(_)));
    }
}
