//! The history of dispatched alerts.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::failure;
use crate::wire::{Reply, Request};
use crate::world::State;

/// Newest first, between `since` and `before`, in pages.
pub(super) fn page(request: &Request, state: &State) -> Reply {
    let number = |name: &str, default: usize| request.param(name).map_or(Ok(default), |v| v.parse::<usize>());
    let (Ok(page), Ok(per_page)) = (number("page", 1), number("per_page", 25)) else {
        return failure(400, 1001, "invalid page or per_page");
    };
    if page == 0 || !(5..=1000).contains(&per_page) {
        return failure(400, 1001, "page starts at 1 and per_page is 5 to 1000");
    }
    let bound = |name: &str| request.param(name).map(|v| v.parse::<Timestamp>()).transpose();
    let (Ok(since), Ok(before)) = (bound("since"), bound("before")) else {
        return failure(400, 1001, "since and before must be RFC 3339 times");
    };
    let sent = |entry: &Value| {
        entry["sent"]
            .as_str()
            .and_then(|t| t.parse::<Timestamp>().ok())
            .unwrap_or_default()
    };
    let fits = |e: &&Value| since.is_none_or(|s| sent(e) >= s) && before.is_none_or(|b| sent(e) < b);
    let mut all: Vec<&Value> = state.history.iter().rev().filter(fits).collect();
    all.sort_by_key(|entry| std::cmp::Reverse(sent(entry)));
    let items: Vec<&&Value> = all.iter().skip((page - 1) * per_page).take(per_page).collect();
    let info = json!({"page": page, "per_page": per_page, "count": items.len(), "total_count": all.len()});
    Reply::json(
        200,
        &json!({"success": true, "errors": [], "messages": [], "result": items, "result_info": info}),
    )
}
