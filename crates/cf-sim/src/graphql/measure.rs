//! What is computed over the rows of a group: sums, averages, rates, counts, and how far a sampled sum can be trusted.
//!
//! A rate is a sum divided by the seconds of its bucket, whatever the group spans: that is what Cloudflare computes, and
//! why a rate means something only beside the time dimension of the same length.

// Sums of samples are estimates: far from the limits of a float, and rounded on purpose.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

use serde_json::{Value, json};

use super::node::BUCKETS;
use crate::traffic::Row;

/// The rows that share all requested dimensions.
pub(super) struct Group<'r> {
    pub(super) first: &'r Row,
    rows: Vec<&'r Row>,
    packets: u64,
    bits: u64,
}

impl<'r> Group<'r> {
    pub(super) fn of(row: &'r Row) -> Self {
        Self {
            first: row,
            rows: vec![row],
            packets: row.packets,
            bits: row.bits,
        }
    }

    pub(super) fn add(&mut self, row: &'r Row) {
        self.rows.push(row);
        self.packets = self.packets.saturating_add(row.packets);
        self.bits = self.bits.saturating_add(row.bits);
    }

    /// What the rows stand for: one each, or as many as a row says.
    pub(super) fn count(&self) -> u64 {
        let of = |row: &&Row| row.dims.get("count").and_then(Value::as_u64).unwrap_or(1);
        self.rows.iter().map(of).sum()
    }

    /// A field of `sum` or `avg`; `kind` is its declared type.
    pub(super) fn measure(&self, part: &str, name: &str, kind: &str) -> Value {
        if part == "sum" {
            return match name {
                "packets" => json!(self.packets),
                "bits" => json!(self.bits),
                other => json!(self.given(other).map(|(v, n)| v * n).sum::<f64>().max(0.0) as u64),
            };
        }
        let whole = kind.starts_with("uint") || kind.starts_with("int");
        let per = |total: u64, suffix: &str| {
            let seconds = BUCKETS.iter().find(|(s, _)| *s == suffix).map_or(1, |(_, s)| *s);
            if whole {
                json!(total / seconds.unsigned_abs())
            } else {
                json!(total as f64 / seconds as f64)
            }
        };
        if let Some(suffix) = name.strip_prefix("bitRate") {
            return per(self.bits, suffix);
        }
        if let Some(suffix) = name.strip_prefix("packetRate") {
            return per(self.packets, suffix);
        }
        let (sum, weight) = self
            .given(name)
            .fold((0.0, 0.0), |(sum, weight), (v, n)| (sum + v * n, weight + n));
        match (name, weight > 0.0) {
            (_, true) => json!(sum / weight),
            // What was never sampled down stands for itself.
            ("sampleInterval", false) => json!(1.0),
            _ => json!(0.0),
        }
    }

    /// A number that the rows carry beside their dimensions, with the weight of each row.
    fn given<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (f64, f64)> + 'a {
        self.rows.iter().filter_map(move |row| {
            let value = row.dims.get(name).and_then(Value::as_f64)?;
            let weight = match name {
                // Totals of the row itself, not values of each check that it stands for.
                "total" | "failures" | "egressBits" | "egressPackets" => 1.0,
                _ => row.dims.get("count").and_then(Value::as_f64).unwrap_or(1.0),
            };
            Some((value, weight))
        })
    }

    /// Estimate, bounds and sample size of a sum at this level. Samples come at random, so their number scatters like a
    /// Poisson count: a sum of n samples of weight w has the standard error w times the root of n.
    pub(super) fn confidence(&self, name: &str, level: f64) -> (f64, f64, f64, u64) {
        let (mut estimate, mut variance, mut samples) = (0.0, 0.0, 0_u64);
        for row in &self.rows {
            let interval = row
                .dims
                .get("sampleInterval")
                .and_then(Value::as_u64)
                .unwrap_or(1)
                .max(1);
            let n = row.packets / interval;
            let total = if name == "bits" { row.bits } else { row.packets } as f64;
            estimate += total;
            samples += n;
            if n > 0 && interval > 1 {
                variance += total * total / n as f64;
            }
        }
        let reach = normal_quantile(0.5 + level / 2.0) * variance.sqrt();
        (estimate, (estimate - reach).max(0.0), estimate + reach, samples)
    }
}

/// Quantile of the standard normal distribution for 0.5 up to 1 (Abramowitz and Stegun 26.2.23, error below 0.00045).
fn normal_quantile(p: f64) -> f64 {
    let upper = (1.0 - p).clamp(1e-12, 0.5);
    let t = (-2.0 * upper.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    (t - above / below).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (level, z) in [(0.5, 0.674_5), (0.95, 1.960_0), (0.99, 2.575_8)] {
            let got = normal_quantile(0.5 + level / 2.0);
            assert!((got - z).abs() < 1e-3, "{level}: {got}");
        }
    }
}
