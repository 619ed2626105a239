//! How long a guesser must wait: growing with each failure, per account and per address.
//!
//! Pure. A refused attempt is not counted as a failure, so waiting always leads to another try: nobody can keep an
//! operator out for longer than [`ACCOUNT`]'s ceiling by knocking all the time.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use domain::time::{plus, since};
use jiff::Timestamp;

/// Failures older than this are forgiven.
pub(crate) const MEMORY: Duration = Duration::from_secs(3_600);

/// How waiting grows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// Failures without a wait: people mistype.
    free: u32,
    /// Longest wait.
    ceiling: Duration,
}

/// For one account. The ceiling is low because an attacker could otherwise lock its owner out.
pub(crate) const ACCOUNT: Rule = Rule {
    free: 4,
    ceiling: Duration::from_secs(60),
};

/// For one address. Several people may share one, so more is free; beyond that nobody honest is left.
pub(crate) const ADDRESS: Rule = Rule {
    free: 12,
    ceiling: Duration::from_secs(900),
};

/// For codes of a second factor. Whoever gets here has the password already, and there are only a million codes: at one
/// guess in a quarter of an hour finding one of the three that count takes ten years.
pub(crate) const SECOND_FACTOR: Rule = Rule {
    free: 4,
    ceiling: Duration::from_secs(900),
};

/// Under which name failures from an address are counted: an IPv6 customer has at least a /64 to guess from.
pub(crate) fn origin(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from(network))
        }
    }
}

/// What is left to wait at `now` after `failures` within [`MEMORY`], the last of them at `last`; `None` when a try may
/// be made. The wait doubles from two seconds with each failure beyond the free ones.
pub(crate) fn wait(rule: Rule, (failures, last): (u32, Option<Timestamp>), now: Timestamp) -> Option<Duration> {
    let beyond = failures.checked_sub(rule.free).filter(|beyond| *beyond > 0)?;
    let wait = Duration::from_secs(2_u64.saturating_pow(beyond)).min(rule.ceiling);
    // A failure in our future (the clock was stepped back) must not lock anybody out for longer than one wait.
    let last = last?.min(now);
    let left = since(plus(last, wait), now);
    (!left.is_zero()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn waits_double_to_the_ceiling_and_pass() {
        let left = |failures, now| wait(ACCOUNT, (failures, Some(at(0))), at(now)).map(|left| left.as_secs());
        assert_eq!(left(4, 0), None);
        assert_eq!(left(5, 0), Some(2));
        assert_eq!(left(6, 0), Some(4));
        assert_eq!(left(6, 3), Some(1));
        assert_eq!(left(6, 4), None);
        assert_eq!(left(4_000, 0), Some(60));
        assert_eq!(left(4_000, 60), None, "after the ceiling one try is always possible");
    }

    #[test]
    fn an_ipv6_customer_is_one_origin() {
        let of = |text: &str| origin(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::"));
        assert_eq!(of("198.51.100.7"), "198.51.100.7");
    }

    #[test]
    fn a_clock_that_was_stepped_back_locks_nobody_out() {
        assert_eq!(
            wait(ACCOUNT, (40, Some(at(90_000))), at(0)),
            Some(Duration::from_secs(60))
        );
        assert_eq!(wait(ADDRESS, (40, None), at(0)), None);
    }
}
