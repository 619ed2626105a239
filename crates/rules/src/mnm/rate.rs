//! Thresholds as people write them: `2.5 Gbps`, `500 kpps`, `4000000000`.
//!
//! Must hold: what is shown reads back to the same number; nothing is rounded.

/// Why a text is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is no threshold: {why}")]
pub struct RateError {
    given: String,
    why: String,
}

const BITS: [(&str, u64); 5] = [
    ("tbps", 1_000_000_000_000),
    ("gbps", 1_000_000_000),
    ("mbps", 1_000_000),
    ("kbps", 1_000),
    ("bps", 1),
];
const PACKETS: [(&str, u64); 4] = [
    ("gpps", 1_000_000_000),
    ("mpps", 1_000_000),
    ("kpps", 1_000),
    ("pps", 1),
];

/// Reads bit/s; a bare number is bit/s.
///
/// # Errors
/// What is wrong with it.
pub fn bits_per_second(text: &str) -> Result<u64, RateError> {
    read(text, &BITS, "bps, kbps, Mbps, Gbps or Tbps")
}

/// Reads packet/s; a bare number is packet/s.
///
/// # Errors
/// What is wrong with it.
pub fn packets_per_second(text: &str) -> Result<u64, RateError> {
    read(text, &PACKETS, "pps, kpps, Mpps or Gpps")
}

fn read(text: &str, units: &[(&str, u64)], names: &str) -> Result<u64, RateError> {
    let fail = |why: &str| RateError {
        given: text.chars().take(40).collect(),
        why: why.to_owned(),
    };
    let clean: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let cut = clean.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(clean.len());
    let (number, unit) = clean.split_at(cut);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        unit => units
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor)
            .ok_or_else(|| fail(&format!("its unit is not one of {names}")))?,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || (number.contains('.') && !digits(fraction)) {
        return Err(fail(&format!("write a number and a unit ({names})")));
    }
    let too_large = || fail("it is too large");
    let mut total = whole
        .parse::<u64>()
        .ok()
        .and_then(|whole| whole.checked_mul(factor))
        .ok_or_else(too_large)?;
    let mut place = factor;
    for digit in fraction.bytes() {
        let digit = u64::from(digit - b'0');
        if !place.is_multiple_of(10) {
            if digit != 0 {
                return Err(fail("it is finer than one per second"));
            }
            continue;
        }
        place /= 10;
        total = total.checked_add(digit * place).ok_or_else(too_large)?;
    }
    if total == 0 {
        return Err(fail("a threshold is at least 1"));
    }
    Ok(total)
}

/// A threshold with the largest unit in which it is exact with at most three decimals: `2.5 Gbps`, `500 kpps`.
/// `unit` is `bps` or `pps`.
pub fn rate_text(value: u64, unit: &str) -> String {
    for (letter, factor) in [
        ("T", 1_000_000_000_000),
        ("G", 1_000_000_000),
        ("M", 1_000_000),
        ("k", 1_000),
    ] {
        let skips = unit == "pps" && letter == "T";
        if value < factor || !value.is_multiple_of(factor / 1_000) || skips {
            continue;
        }
        let (whole, thousandths) = (value / factor, value % factor / (factor / 1_000));
        if thousandths == 0 {
            return format!("{whole} {letter}{unit}");
        }
        let fraction = format!("{thousandths:03}");
        return format!("{whole}.{} {letter}{unit}", fraction.trim_end_matches('0'));
    }
    format!("{value} {unit}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_as_people_write_them() {
        for (text, value) in [
            ("2.5 Gbps", 2_500_000_000),
            ("0.5gbps", 500_000_000),
            ("4000000000", 4_000_000_000),
            ("1 bps", 1),
            ("1.000 kbps", 1_000),
            ("1.0000 kbps", 1_000),
        ] {
            assert_eq!(bits_per_second(text), Ok(value), "{text}");
        }
        assert_eq!(packets_per_second("500 kpps"), Ok(500_000));
        for text in [
            "",
            "0",
            "-1 Gbps",
            "1.2.3 Gbps",
            "1 kpps",
            "1e9",
            "1.0001 kbps",
            "99999999999999999999 Gbps",
            ".5 Gbps",
            "1. Gbps",
            "NaN",
        ] {
            assert!(bits_per_second(text).is_err(), "{text}");
        }
        assert_eq!(rate_text(999, "bps"), "999 bps");
        assert_eq!(rate_text(1_500_000, "pps"), "1.5 Mpps");
        assert_eq!(rate_text(1_234_567, "bps"), "1234.567 kbps");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(value in 1..u64::MAX) {
            prop_assert_eq!(bits_per_second(&rate_text(value, "bps")), Ok(value));
            prop_assert_eq!(packets_per_second(&rate_text(value, "pps")), Ok(value));
        }
    }
}
