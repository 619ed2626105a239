//! One span of time, read completely or not at all.
//!
//! A full page says that rows are missing: the span is halved and both halves are asked anew. The
//! number of queries is bounded; where it is used up, and where a single second fills a page, the
//! rows that came are kept and the part is named as truncated. Any failure spoils the whole span,
//! so that nothing is stored of what cannot be vouched for.

use cf_api::graphql::mitigations::{MitigationRequest, MitigationRow};
use cf_api::{CfError, CloudflareClient};
use jiff::Timestamp;

use crate::window::Span;

/// Queries for one span. With all of them at most eight full pages are in memory.
const QUERIES: u32 = 15;

/// The rows of a span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Oldest first as far as Cloudflare sorts them.
    pub rows: Vec<MitigationRow>,
    /// Parts of which rows are missing, oldest first.
    pub truncated: Vec<Span>,
    /// How many queries it took.
    pub queries: u32,
}

/// Reads `span` in pages of `page` rows. `progress` is called after each answer.
///
/// # Errors
/// The first failure of any query.
pub async fn fetch(
    api: &CloudflareClient,
    span: Span,
    page: u32,
    now: Timestamp,
    progress: &(dyn Fn() + Send + Sync),
) -> Result<Fetched, CfError> {
    let mut fetched = Fetched::default();
    // Each part with the queries it may use, itself included; what it leaves goes to later parts.
    let mut parts = vec![(span, QUERIES)];
    let mut spare = 0;
    while let Some((part, queries)) = parts.pop() {
        let request = MitigationRequest {
            from: part.from,
            to: part.to,
            limit: page,
        };
        let answer = api.mitigations(request, now).await?;
        progress();
        fetched.queries += 1;
        let left = queries - 1 + spare;
        spare = 0;
        match part.halves().filter(|_| answer.truncated && left >= 2) {
            Some((earlier, later)) => {
                parts.push((later, left / 2));
                parts.push((earlier, left - left / 2));
            }
            None => {
                if answer.truncated {
                    fetched.truncated.push(part);
                }
                fetched.rows.extend(answer.rows);
                spare = left;
            }
        }
    }
    Ok(fetched)
}
