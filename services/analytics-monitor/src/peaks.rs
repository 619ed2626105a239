//! The heaviest minute of each attack, for the incident's record.
//!
//! A minute's mean is the shortest span for which packet samples are worth a rate. A minute that a span cuts counts with
//! the part that was read: a peak can only rise, and the next poll reads the minute whole.

use std::collections::BTreeMap;

use db::{DbError, WriteTx};
use domain::ids::IncidentId;
use jiff::Timestamp;

/// Seconds of a minute.
const MINUTE_S: i64 = 60;

/// Packets and bits by attack and minute.
#[derive(Debug, Default)]
pub struct Peaks {
    minutes: BTreeMap<String, BTreeMap<i64, (u64, u64)>>,
}

impl Peaks {
    /// Takes a row in.
    pub fn add(&mut self, attack: &str, at: Timestamp, packets: u64, bits: u64) {
        if !self.minutes.contains_key(attack) {
            self.minutes.insert(attack.to_owned(), BTreeMap::new());
        }
        if let Some(minutes) = self.minutes.get_mut(attack) {
            let sum = minutes.entry(at.as_second().div_euclid(MINUTE_S)).or_default();
            sum.0 = sum.0.saturating_add(packets);
            sum.1 = sum.1.saturating_add(bits);
        }
    }

    /// Packets and bits a second of the attack's heaviest minutes.
    pub fn of(&self, attack: &str) -> Option<(f64, f64)> {
        let minutes = self.minutes.get(attack)?;
        let packets = minutes.values().map(|sum| sum.0).max()?;
        let bits = minutes.values().map(|sum| sum.1).max()?;
        Some((a_second(packets), a_second(bits)))
    }

    /// Raises the peak of the attack's incident.
    ///
    /// # Errors
    /// Those of the database.
    pub fn raise(&self, tx: &WriteTx<'_>, attack: &str, incident: IncidentId, now: Timestamp) -> Result<(), DbError> {
        match self.of(attack) {
            Some((packets, bits)) => db::incidents::raise_peak(tx, incident, packets, bits, now),
            None => Ok(()),
        }
    }
}

/// Mean rate of an amount of one minute.
#[allow(clippy::cast_precision_loss)] // estimates
pub fn a_second(of_minute: u64) -> f64 {
    of_minute as f64 / MINUTE_S as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_minute_counts_for_each_attack_alone() {
        let at = |second: i64| Timestamp::from_second(1_767_225_600 + second).unwrap();
        let mut peaks = Peaks::default();
        for (attack, second, packets) in [("a", 0, 600), ("a", 59, 600), ("a", 60, 900), ("b", 59, 60)] {
            peaks.add(attack, at(second), packets, packets * 10);
        }
        assert_eq!(peaks.of("a"), Some((20.0, 200.0)));
        assert_eq!(peaks.of("b"), Some((1.0, 10.0)));
        assert_eq!(peaks.of("c"), None);
    }
}
