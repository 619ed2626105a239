//! Amounts with their unit in the type. Volumes and rates are never the same type.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! amount {
    ($(#[$doc:meta])* $name:ident, $rate:ident, $(#[$rate_doc:meta])*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        $(#[$rate_doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $rate(pub f64);

        impl $rate {
            /// The rate as a threshold from a setting, in which 0 stands for none.
            #[allow(clippy::cast_precision_loss)]
            pub fn threshold(limit: u64) -> Option<Self> {
                (limit > 0).then_some(Self(limit as f64))
            }
        }
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }
        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }
        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                iter.fold(Self(0), Add::add)
            }
        }
        impl $name {
            /// The mean rate of this amount over `window`; zero for an empty window.
            #[allow(clippy::cast_precision_loss)]
            pub fn per(self, window: Duration) -> $rate {
                if window.is_zero() {
                    $rate(0.0)
                } else {
                    $rate(self.0 as f64 / window.as_secs_f64())
                }
            }
        }
    };
}

amount!(
    /// A number of packets.
    Packets, PacketsPerSecond,
    /// Packets per second.
);
amount!(
    /// A number of bits.
    Bits, BitsPerSecond,
    /// Bits per second.
);

fn scaled(f: &mut fmt::Formatter<'_>, value: f64, steps: [(&str, f64); 4], base: &str) -> fmt::Result {
    for (unit, factor) in steps {
        if value >= factor {
            return write!(f, "{:.2} {unit}", value / factor);
        }
    }
    write!(f, "{value:.0} {base}")
}

impl fmt::Display for BitsPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(
            f,
            self.0,
            [("Tbps", 1e12), ("Gbps", 1e9), ("Mbps", 1e6), ("kbps", 1e3)],
            "bps",
        )
    }
}

impl fmt::Display for PacketsPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(
            f,
            self.0,
            [("Gpps", 1e9), ("Mpps", 1e6), ("Mpps", 1e6), ("kpps", 1e3)],
            "pps",
        )
    }
}

impl fmt::Display for Bits {
    #[allow(clippy::cast_precision_loss)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(
            f,
            self.0 as f64,
            [("Tbit", 1e12), ("Gbit", 1e9), ("Mbit", 1e6), ("kbit", 1e3)],
            "bit",
        )
    }
}

impl fmt::Display for Packets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets", grouped(self.0))
    }
}

/// A whole number with thousands separators: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_with_unit() {
        assert_eq!(Bits(9_000_000_000).per(Duration::from_secs(3)).to_string(), "3.00 Gbps");
        assert_eq!(PacketsPerSecond(812_500.0).to_string(), "812.50 kpps");
        assert_eq!(Packets(1_234_567).to_string(), "1,234,567 packets");
        assert_eq!(Bits(0).per(Duration::ZERO).to_string(), "0 bps");
    }

    #[test]
    fn sums_saturate_instead_of_wrapping() {
        assert_eq!(Packets(u64::MAX) + Packets(1), Packets(u64::MAX));
    }
}
