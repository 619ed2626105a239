//! An analytics dataset with ingest delay: what really happened, and what a query sees of it at a
//! given moment. It answers in the shape of the analytics query, never in the shape of a verdict.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::evidence::{DropRow, PassedRow, TrafficWindow};
use domain::prefix::Prefix;
use domain::units::{Bits, Packets};
use jiff::Timestamp;

use super::{at, secs};

/// Something the network edge saw, and when it becomes readable.
#[derive(Debug, Clone)]
pub struct Row {
    pub at: i64,
    pub visible_at: i64,
    pub subnet: Prefix,
    pub dropped: bool,
    pub system: &'static str,
    pub sample_interval: u64,
    pub packets: u64,
    pub bits: u64,
}

/// How an answer goes wrong although it is an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The dataset stopped being fed at this instant.
    FrozenAt(i64),
    /// Only this many of the largest dropped rows fit.
    Truncated(usize),
    /// No row at all.
    Empty,
    /// Rows carry this sample interval.
    Coarse(u64),
    /// One row lies this many seconds in the future.
    Future(i64),
}

/// All rows, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Dataset {
    rows: Vec<Row>,
}

impl Dataset {
    pub fn new(mut rows: Vec<Row>) -> Self {
        rows.sort_by_key(|row| row.at);
        Self { rows }
    }

    /// Adds a row; rows are added oldest first.
    pub fn push(&mut self, row: Row) {
        assert!(
            self.rows.last().is_none_or(|last| last.at <= row.at),
            "rows come in order"
        );
        self.rows.push(row);
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What a query for `[from, to)` gets when it is asked at the true time `asked_at`.
    pub fn answer(
        &self,
        from: Timestamp,
        to: Timestamp,
        bucket: Duration,
        asked_at: i64,
        flaw: Option<Flaw>,
    ) -> TrafficWindow {
        let seen_at = match flaw {
            Some(Flaw::FrozenAt(frozen)) => asked_at.min(frozen),
            _ => asked_at,
        };
        let step = bucket.as_secs() as i64;
        let visible = |row: &&Row| row.visible_at <= seen_at;
        let (first, last) = (secs(from), secs(to));
        let begin = self.rows.partition_point(|row| row.at < first);
        let end = self.rows.partition_point(|row| row.at < last);
        let known = self.rows.partition_point(|row| row.at <= seen_at);
        let mut window = TrafficWindow {
            from,
            to,
            bucket,
            newest_row: self.rows[..known].iter().rev().find(visible).map(|row| at(row.at)),
            drops: vec![],
            drops_truncated: false,
            passed: vec![],
            passed_truncated: false,
        };
        if flaw == Some(Flaw::Empty) {
            window.newest_row = None;
            return window;
        }
        let mut passed: BTreeMap<Prefix, PassedRow> = BTreeMap::new();
        for row in self.rows[begin..end.max(begin)].iter().filter(visible) {
            let sample_interval = match flaw {
                Some(Flaw::Coarse(interval)) => interval,
                _ => row.sample_interval,
            };
            let (packets, bits) = (Packets(row.packets), Bits(row.bits));
            if row.dropped {
                window.drops.push(DropRow {
                    at: at(row.at.div_euclid(step) * step),
                    subnet: row.subnet,
                    system: row.system.to_owned(),
                    sample_interval,
                    packets,
                    bits,
                });
            } else {
                let sum = passed.entry(row.subnet).or_insert(PassedRow {
                    subnet: row.subnet,
                    sample_interval,
                    packets: Packets(0),
                    bits: Bits(0),
                });
                sum.packets += packets;
                sum.bits += bits;
            }
        }
        window.passed = passed.into_values().collect();
        match flaw {
            Some(Flaw::Truncated(limit)) => {
                window.drops.sort_by_key(|row| std::cmp::Reverse(row.packets));
                window.drops.truncate(limit);
                window.drops_truncated = true;
            }
            Some(Flaw::Future(ahead)) => window.newest_row = Some(at(asked_at + ahead)),
            _ => {}
        }
        window
    }
}
