//! The rows of one span of time, page by page, oldest first, so that only one page is in memory at once.
//!
//! Any failure spoils the whole span: pages before it may be stored, but nothing of the span is announced and the
//! watermark stays before it.

use std::time::Duration;

use cf_api::CfError;
use cf_api::graphql::dropped::DroppedRows;
use cf_api::graphql::mitigations::{MitigationRequest, Witness};

use crate::reading::Ask;
use crate::split::{Judged, Split};
use crate::window::Span;

/// Rows are dated to the second.
const GRAIN: Duration = Duration::from_secs(1);

/// Rows of a part of the span.
#[derive(Debug)]
pub struct Page {
    /// The part.
    pub span: Span,
    /// Oldest first as far as Cloudflare sorts them.
    pub rows: DroppedRows,
    /// Whether rows are missing and cannot be had.
    pub truncated: bool,
}

/// Asks for a span's rows.
pub struct Pages<'a> {
    ask: &'a Ask,
    witness: Witness,
    split: Split,
}

impl<'a> Pages<'a> {
    /// Rows of `span`.
    pub fn new(ask: &'a Ask, witness: Witness, span: Span) -> Self {
        Self {
            ask,
            witness,
            split: Split::new(span, GRAIN),
        }
    }

    /// The next page; `None` when the span is read.
    ///
    /// # Errors
    /// The first failure of any query; do not ask on.
    pub async fn next(&mut self) -> Result<Option<Page>, CfError> {
        while let Some(span) = self.split.part() {
            let request = MitigationRequest {
                from: span.from,
                to: span.to,
                limit: self.ask.reach.page,
            };
            let rows = self.ask.api.dropped(self.witness, request, self.ask.now).await?;
            (self.ask.progress)();
            let judged = self.split.judge(rows.truncated);
            if judged == Judged::Truncated {
                tell_truncated(self.witness.system(), span, self.ask.reach.page);
            }
            if judged != Judged::Halved {
                return Ok(Some(Page {
                    span,
                    rows,
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

/// Says in the log that a part cannot be had completely.
pub fn tell_truncated(source: &'static str, span: Span, page: u32) {
    tracing::warn!(
        event = "mitigations.page.truncated",
        system = source,
        from = %span.from,
        to = %span.to,
        page,
    );
}
