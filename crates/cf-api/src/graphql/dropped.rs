//! The rows of one answer, made into values a part at a time: as values, ten thousand rows take several times the memory of
//! their text, and whoever stores them needs a few hundred at once.
//!
//! The envelope was judged when the answer came: JSON, no errors, our account. A row that cannot be read is an error when its
//! turn comes, so whoever takes rows must treat the rows before it as parts of an answer that failed.

use std::fmt;
use std::ops::Range;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::QueryCost;
use super::mitigations::{MitigationRequest, MitigationRow, Witness, read_row};
use crate::client::{CloudflareClient, Incoming};
use crate::error::CfError;

/// Rows that one system dropped, oldest first.
pub struct DroppedRows {
    /// Start of the window asked for.
    pub from: Timestamp,
    /// End of the window asked for (exclusive).
    pub to: Timestamp,
    /// Whether the row limit was reached: the end of the window is missing; split it.
    pub truncated: bool,
    /// What the query cost.
    pub cost: QueryCost,
    client: CloudflareClient,
    witness: Witness,
    incoming: Incoming,
    /// Where each row lies in the text.
    places: Vec<Range<usize>>,
    taken: usize,
    now: Timestamp,
}

#[derive(Deserialize)]
struct Data<'a> {
    cost: Option<u64>,
    #[serde(borrow)]
    viewer: Option<Viewer<'a>>,
}

#[derive(Deserialize)]
struct Viewer<'a> {
    budget: Option<u64>,
    #[serde(borrow)]
    accounts: Vec<Account<'a>>,
}

#[derive(Deserialize)]
struct Account<'a> {
    #[serde(borrow)]
    rows: Vec<&'a RawValue>,
}

impl DroppedRows {
    /// Finds the rows in an answer whose envelope is good.
    pub(super) fn of(
        client: &CloudflareClient,
        witness: Witness,
        request: MitigationRequest,
        incoming: Incoming,
        now: Timestamp,
    ) -> Result<Self, CfError> {
        let data: Data<'_> = client.data(&incoming)?;
        let viewer = incoming.present("viewer", data.viewer)?;
        let account = incoming.only_account(viewer.accounts)?;
        let begin = incoming.body.as_ptr().addr();
        let place = |row: &&RawValue| {
            let from = row.get().as_ptr().addr() - begin;
            from..from + row.get().len()
        };
        let places: Vec<Range<usize>> = account.rows.iter().map(place).collect();
        let cost = QueryCost {
            cost: data.cost,
            budget: viewer.budget,
        };
        Ok(Self {
            from: request.from,
            to: request.to,
            truncated: places.len() >= request.limit as usize,
            cost,
            client: client.clone(),
            witness,
            places,
            taken: 0,
            now,
            incoming,
        })
    }

    /// How many rows have not been taken yet.
    pub fn left(&self) -> usize {
        self.places.len() - self.taken
    }

    /// The next rows, at most so many; none when all are taken.
    ///
    /// # Errors
    /// [`CfError`] when one of them cannot be read or lies in the future. Then the answer is none; do not take more.
    pub fn take(&mut self, most: usize) -> Result<Vec<MitigationRow>, CfError> {
        let end = self.taken.saturating_add(most).min(self.places.len());
        let mut rows = Vec::with_capacity(end - self.taken);
        for number in self.taken..end {
            let text = self
                .places
                .get(number)
                .and_then(|place| self.incoming.body.get(place.clone()))
                .unwrap_or_default();
            let row = read_row(self.witness, &self.incoming, number, text, self.now);
            rows.push(row.map_err(|mut error| {
                error.detail = self.client.redact(&error.detail);
                error
            })?);
        }
        self.taken = end;
        if self.left() == 0 {
            self.incoming.body = Vec::new();
        }
        Ok(rows)
    }
}

impl fmt::Debug for DroppedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DroppedRows")
            .field("witness", &self.witness)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("rows", &self.places.len())
            .field("taken", &self.taken)
            .field("truncated", &self.truncated)
            .finish_non_exhaustive()
    }
}
