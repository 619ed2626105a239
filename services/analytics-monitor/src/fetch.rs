//! The rows of one span of time, page by page, oldest first, so that only one page is in memory at once.
//!
//! Any failure spoils the whole span: pages before it may be stored, but nothing of the span is announced and the
//! watermark stays before it.

use std::time::Duration;

use cf_api::graphql::mitigations::{MitigationRequest, MitigationRow, Witness};
use cf_api::{CfError, CloudflareClient};
use jiff::Timestamp;

use crate::split::{Judged, Split};
use crate::window::Span;

/// Rows are dated to the second.
const GRAIN: Duration = Duration::from_secs(1);

/// Rows of a part of the span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The part.
    pub span: Span,
    /// Oldest first as far as Cloudflare sorts them.
    pub rows: Vec<MitigationRow>,
    /// Whether rows are missing and cannot be had.
    pub truncated: bool,
}

/// Asks for a span's rows.
#[derive(Debug)]
pub struct Pages<'a> {
    api: &'a CloudflareClient,
    witness: Witness,
    limit: u32,
    now: Timestamp,
    split: Split,
}

impl<'a> Pages<'a> {
    /// Rows of `span` in pages of `limit`.
    pub fn new(api: &'a CloudflareClient, witness: Witness, span: Span, limit: u32, now: Timestamp) -> Self {
        Self {
            api,
            witness,
            limit,
            now,
            split: Split::new(span, GRAIN),
        }
    }

    /// The next page; `None` when the span is read. `progress` is called after each answer.
    ///
    /// # Errors
    /// The first failure of any query; do not ask on.
    pub async fn next(&mut self, progress: &(dyn Fn() + Send + Sync)) -> Result<Option<Page>, CfError> {
        while let Some(span) = self.split.part() {
            let request = MitigationRequest {
                from: span.from,
                to: span.to,
                limit: self.limit,
            };
            let answer = self.api.dropped(self.witness, request, self.now).await?;
            progress();
            let judged = self.split.judge(answer.truncated);
            if judged != Judged::Halved {
                return Ok(Some(Page {
                    span,
                    rows: answer.rows,
                    truncated: judged == Judged::Truncated,
                }));
            }
        }
        Ok(None)
    }

    /// How many queries it took so far.
    pub fn queries(&self) -> u32 {
        self.split.queries()
    }
}
