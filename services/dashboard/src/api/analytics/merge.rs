//! Two lists as one, newest first: rows of the analytics and alerts.
//!
//! A cursor says for each source behind which row it goes on, so nothing is shown twice and nothing is left out,
//! whatever is added meanwhile.

use std::fmt;

use db::lists::{Listed, Page, attacks, traffic};
use db::{DbError, ReadTx};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{Analytics, Measured};
use crate::answer::Failure;
use crate::api::listing;
use crate::api::params::{Params, invalid};

/// Which sources are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sources {
    Both,
    Traffic,
    Alerts,
}

/// Where each source goes on: `graphql_17.webhook_4`. A source that is not named begins at its newest row; 0 is its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    traffic: Option<i64>,
    alerts: Option<i64>,
}

impl Cursor {
    /// Reads what [`fmt::Display`] wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut cursor = Self::default();
        for part in text.split('.') {
            let (source, number) = part.split_once('_')?;
            let number: i64 = number.parse().ok().filter(|number| *number >= 0)?;
            let place = match source {
                "graphql" => &mut cursor.traffic,
                "webhook" => &mut cursor.alerts,
                _ => return None,
            };
            if place.replace(number).is_some() {
                return None;
            }
        }
        Some(cursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.traffic, self.alerts) {
            (Some(traffic), Some(alerts)) => write!(f, "graphql_{traffic}.webhook_{alerts}"),
            (Some(traffic), None) => write!(f, "graphql_{traffic}"),
            (None, Some(alerts)) => write!(f, "webhook_{alerts}"),
            (None, None) => Ok(()),
        }
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl listing::Cursor for Cursor {
    fn read(params: &Params) -> Result<Option<Self>, Failure> {
        let Some(written) = params.get("before") else {
            return Ok(None);
        };
        let read = Self::parse(written);
        read.map(Some)
            .ok_or_else(|| invalid("before", "the next_before of an earlier answer"))
    }
}

/// One source's share of a page.
struct Share {
    rows: Vec<Measured>,
    before: Option<i64>,
    next: Option<i64>,
    searched_to: Option<Timestamp>,
}

impl Share {
    fn none() -> Self {
        Self {
            rows: Vec::new(),
            before: None,
            next: None,
            searched_to: None,
        }
    }

    fn of(found: Listed<Measured>, before: Option<i64>) -> Self {
        Self {
            rows: found.rows,
            before,
            next: found.next,
            searched_to: found.searched_to,
        }
    }

    /// Where this source goes on after `taken` of its rows, and whether it does.
    fn after(&self, taken: usize) -> (Option<i64>, bool) {
        if taken < self.rows.len() {
            let last = taken.checked_sub(1).map(|last| self.rows[last].row);
            return (last.or(self.before), true);
        }
        match self.next {
            Some(next) => (Some(next), true),
            None => (Some(0), false),
        }
    }
}

/// A page of both.
pub(super) fn read(
    tx: &ReadTx<'_>,
    list: &Analytics,
    cursor: Cursor,
    limit: u32,
) -> Result<Listed<Measured, Cursor>, DbError> {
    let traffic = if list.sources == Sources::Alerts {
        Share::none()
    } else {
        let before = cursor.traffic;
        let found = traffic::list(tx, &list.traffic, Page { before, limit })?;
        Share::of(found.map(Measured::from), before)
    };
    let alerts = if list.sources == Sources::Traffic {
        Share::none()
    } else {
        let before = cursor.alerts;
        let found = attacks::list(tx, &list.alerts, Page { before, limit })?;
        Share::of(found.map(Measured::from), before)
    };
    Ok(merged(traffic, alerts, limit))
}

fn merged(traffic: Share, alerts: Share, limit: u32) -> Listed<Measured, Cursor> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut rows: Vec<Measured> = traffic.rows.iter().chain(&alerts.rows).cloned().collect();
    rows.sort_by(|one, other| other.place().cmp(&one.place()));
    rows.truncate(limit);
    let taken = |source| rows.iter().filter(|row| row.source == source).count();
    let (of_traffic, more_traffic) = traffic.after(taken("graphql"));
    let (of_alerts, more_alerts) = alerts.after(taken("webhook"));
    let next = Cursor {
        traffic: of_traffic,
        alerts: of_alerts,
    };
    // Where one source was looked through less far than the other, only so far is everything known; a full page ends
    // with a row, not with a cut.
    let searched_to = traffic.searched_to.max(alerts.searched_to);
    Listed {
        searched_to: searched_to.filter(|_| rows.len() < limit),
        rows,
        next: (more_traffic || more_alerts).then_some(next),
    }
}

#[cfg(test)]
mod tests {
    use db::analytics::ListRow;
    use db::events::Event;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_768_464_000 + second).unwrap()
    }

    fn traffic(id: i64, second: i64) -> Measured {
        Measured::from(ListRow {
            id,
            event_datetime: Some(at(second).to_string()),
            ..ListRow::default()
        })
    }

    fn alert(id: i64, second: i64) -> Measured {
        Measured::from(Event {
            id,
            created_at: Some(at(second)),
            ..Event::default()
        })
    }

    #[test]
    fn a_cursor_reads_back() {
        for text in ["graphql_17.webhook_4", "graphql_0", "webhook_4"] {
            assert_eq!(Cursor::parse(text).unwrap().to_string(), text);
        }
        for bad in [
            "",
            "17",
            "graphql_",
            "graphql_-1",
            "graphql_1.graphql_2",
            "other_1",
            "graphql_1.",
        ] {
            assert_eq!(Cursor::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_source_goes_on_where_the_page_left_it() {
        let share = |rows: Vec<Measured>, before, next| Share {
            rows,
            before,
            next,
            searched_to: None,
        };
        let page = |limit| {
            merged(
                share(vec![traffic(9, 90), traffic(8, 50), traffic(7, 40)], Some(10), Some(7)),
                share(vec![alert(3, 60), alert(2, 10)], None, None),
                limit,
            )
        };
        let ids = |rows: &[Measured]| rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>();
        let found = page(1);
        assert_eq!(ids(&found.rows), ["graphql_9"]);
        assert_eq!(found.next.unwrap().to_string(), "graphql_9", "no alert was shown yet");
        let found = page(3);
        assert_eq!(ids(&found.rows), ["graphql_9", "webhook_3", "graphql_8"]);
        assert_eq!(found.next.unwrap().to_string(), "graphql_8.webhook_3");
        let found = page(9);
        assert_eq!(found.rows.len(), 5);
        assert_eq!(
            found.next.unwrap().to_string(),
            "graphql_7.webhook_0",
            "the alerts have ended"
        );
        let end = merged(share(vec![traffic(1, 1)], None, None), Share::none(), 9);
        assert_eq!(end.next, None);
    }

    #[test]
    fn a_merged_page_is_searched_as_far_as_the_source_that_was_searched_least() {
        let share = |searched_to, rows| Share {
            rows,
            before: None,
            next: Some(1),
            searched_to,
        };
        let page = |limit| {
            merged(
                share(Some(at(40)), vec![traffic(9, 90)]),
                share(Some(at(70)), vec![]),
                limit,
            )
        };
        assert_eq!(page(5).searched_to, Some(at(70)));
        assert_eq!(page(1).searched_to, None, "a full page is whole as far as it goes");
        assert_eq!(
            merged(share(None, vec![]), share(Some(at(7)), vec![]), 5).searched_to,
            Some(at(7))
        );
    }
}
