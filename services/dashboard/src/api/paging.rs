//! Reading a list in pages: `limit` rows older than row `before`.
//!
//! Row numbers only grow, so a page stays the page it was however much is added meanwhile.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::answer::Failure;

/// Most rows of one page.
const MOST: u32 = 500;

/// `before` and `limit` of a request; `DEFAULT` rows when no limit is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paging<const DEFAULT: u32> {
    pub(crate) before: Option<i64>,
    pub(crate) limit: u32,
}

impl<const DEFAULT: u32> Paging<DEFAULT> {
    fn read(query: &str) -> Result<Self, Failure> {
        let mut paging = Self {
            before: None,
            limit: DEFAULT,
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "before" => paging.before = Some(number(&value, 1..=i64::MAX, "before", "a row number")?),
                "limit" => {
                    let limit = number(&value, 1..=i64::from(MOST), "limit", "a number from 1 to 500")?;
                    paging.limit = u32::try_from(limit).unwrap_or(MOST);
                }
                _ => {}
            }
        }
        Ok(paging)
    }

    /// Where the next page begins: after the `last` row, if this page was full.
    pub(crate) fn next(&self, last: Option<i64>, rows: usize) -> Option<i64> {
        last.filter(|last| rows >= self.limit as usize && *last > 1)
    }
}

fn number(
    text: &str,
    range: std::ops::RangeInclusive<i64>,
    name: &'static str,
    wanted: &'static str,
) -> Result<i64, Failure> {
    let code = if name == "limit" {
        "invalid_limit"
    } else {
        "invalid_before"
    };
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| Failure::bad_request(code, format!("{name} must be {wanted}.")))
}

impl<S: Sync, const DEFAULT: u32> FromRequestParts<S> for Paging<DEFAULT> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Self::read(parts.uri.query().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked_and_never_lifted() {
        let read = |query| {
            Paging::<50>::read(query)
                .ok()
                .map(|paging| (paging.before, paging.limit))
        };
        assert_eq!(read(""), Some((None, 50)));
        assert_eq!(read("limit=500&before=7"), Some((Some(7), 500)));
        for bad in [
            "limit=0",
            "limit=-1",
            "limit=501",
            "limit=abc",
            "limit=5.5",
            "limit=",
            "before=0",
            "before=x",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_full_page_has_a_next_one() {
        let paging = Paging::<2>::read("").unwrap();
        assert_eq!(paging.next(Some(9), 2), Some(9));
        assert_eq!(paging.next(Some(9), 1), None);
        assert_eq!(paging.next(None, 0), None);
    }
}
