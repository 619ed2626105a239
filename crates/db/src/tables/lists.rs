//! Lists for pages, the API and exports: newest first, a page at a time, with filters.
//!
//! Must hold: whatever is asked, a page costs the same. One condition leads, along an index that is in the list's order
//! already (instant, then row number); conditions that no index serves are looked for in a bounded window of rows, and the
//! page says where the next one goes on. So a page may be shorter than asked for without being the last: the list ends
//! where [`Listed::next`] is `None`, and until then [`Listed::searched_to`] says how far back was looked. Rows whose
//! instant is missing stand behind all others and only on the first page.
//!
//! | Module | Lists |
//! |---|---|
//! | [`attacks`] | the operator's log |
//! | [`traffic`] | rows of dropped traffic |
//! | [`deliveries`] | webhook deliveries |
//! | [`withdrawals`] | completed withdrawals |
//! | [`messages`] | the outbox |
//! | [`changes`] | the audit |
//! | [`incidents`] | incidents |
//! | [`hours`] | dropped traffic of all prefixes, hour by hour |
//! | [`tunnels`] | what Cloudflare reported last about each tunnel |
//! | [`vectors`] | dropped traffic by attack vector and minute |

pub mod attacks;
pub mod changes;
pub mod deliveries;
pub mod hours;
pub mod incidents;
pub mod messages;
#[cfg(test)]
mod tests;
pub mod traffic;
pub mod tunnels;
pub mod vectors;
pub mod withdrawals;

use domain::prefix::Prefix;
use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params_from_iter};

use super::column::at;
use crate::error::DbError;
use crate::tx::ReadTx;

/// Rows that are looked through for conditions without an index, for one page.
pub const WINDOW: u32 = 5_000;

/// The same where a text is looked for in all columns of a row: that takes some five times as long a row.
pub const TEXT_WINDOW: u32 = 1_000;

/// From when to when: `since` belongs to it, `until` does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Behind the row with this number; from the newest when `None`.
    pub before: Option<i64>,
    /// Most rows.
    pub limit: u32,
}

/// What lists of what was done to prefixes are asked.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// Recorded, or begun, when.
    pub span: Span,
    /// Of this prefix.
    pub prefix: Option<Prefix>,
    /// Anywhere in what a row says.
    pub text: Option<String>,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T, C = i64> {
    /// Newest first.
    pub rows: Vec<T>,
    /// [`Page::before`] of the next page; `None` when the list ends here.
    pub next: Option<C>,
    /// The page ends here because enough rows were looked through, not because it is full: everything that fits and is
    /// not older was found, and of what is older nothing is known yet.
    pub searched_to: Option<Timestamp>,
}

impl<T, C> Listed<T, C> {
    /// The same page with its rows in another form.
    pub fn map<U>(self, form: impl FnMut(T) -> U) -> Listed<U, C> {
        Listed {
            rows: self.rows.into_iter().map(form).collect(),
            next: self.next,
            searched_to: self.searched_to,
        }
    }
}

/// How instants are written in a column.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Written {
    /// As we write them.
    Ours,
    /// RFC 3339 with Z, as Cloudflare does.
    Rfc3339,
}

/// A table as a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static str,
    /// Column with the instant that orders the list.
    pub(crate) time: &'static str,
    pub(crate) written: Written,
}

impl Shape {
    fn instant(&self, instant: Timestamp) -> Value {
        Value::Text(match self.written {
            Written::Ours => at(instant),
            Written::Rfc3339 => domain::time::rfc3339_seconds(instant),
        })
    }
}

/// A condition with at most one parameter, `?`.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    sql: &'static str,
    value: Option<Value>,
    /// A text is looked for in several columns.
    searches: bool,
}

impl Condition {
    pub(crate) fn text(sql: &'static str, value: &str) -> Self {
        Self {
            sql,
            value: Some(Value::Text(value.to_owned())),
            searches: false,
        }
    }

    pub(crate) fn plain(sql: &'static str) -> Self {
        Self {
            sql,
            value: None,
            searches: false,
        }
    }

    /// `sql` is `... LIKE ? ESCAPE '\'`; the text may stand anywhere in it, without regard to the case of ASCII letters.
    pub(crate) fn contains(sql: &'static str, text: &str) -> Self {
        let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        Self {
            searches: true,
            ..Self::text(sql, &format!("%{escaped}%"))
        }
    }
}

/// What is asked of a list.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) shape: Shape,
    /// The condition along an index.
    pub(crate) lead: Option<Condition>,
    /// The others.
    pub(crate) rest: Vec<Condition>,
    pub(crate) span: Span,
    pub(crate) page: Page,
}

/// A statement under construction: text and parameters in the same order.
#[derive(Debug, Clone, Default)]
struct Statement {
    sql: String,
    values: Vec<Value>,
    has_condition: bool,
}

impl Statement {
    fn push(&mut self, text: &str) -> &mut Self {
        self.sql.push_str(text);
        self
    }

    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(if self.has_condition { " AND " } else { " WHERE " });
        self.has_condition = true;
        self.sql.push_str(condition);
        self.values.extend(values);
    }
}

impl Query {
    /// `SELECT what FROM table` with everything that an index serves.
    fn along_the_index(&self, what: &str, cursor: Option<&(Value, i64)>) -> Statement {
        let Shape { table, time, .. } = self.shape;
        let mut statement = Statement::default();
        statement.push(&format!("SELECT {what} FROM {table}"));
        if let Some(lead) = &self.lead {
            statement.and(lead.sql, lead.value.clone());
        }
        if let Some(since) = self.span.since {
            statement.and(&format!("{time} >= ?"), [self.shape.instant(since)]);
        }
        if let Some(until) = self.span.until {
            statement.and(&format!("{time} < ?"), [self.shape.instant(until)]);
        }
        if let Some((instant, id)) = cursor {
            let behind = format!("({time}, id) < (?, ?)");
            statement.and(&behind, [instant.clone(), Value::Integer(*id)]);
        }
        statement
    }

    fn in_order(&self) -> String {
        format!(" ORDER BY {} DESC, id DESC", self.shape.time)
    }

    /// Instant and number of the row behind which the page begins. A row that is gone (retention) is replaced by the
    /// one that was entered before it.
    fn cursor(&self, tx: &ReadTx<'_>) -> Result<Option<(Value, i64)>, DbError> {
        let Some(before) = self.page.before else {
            return Ok(None);
        };
        let Shape { table, time, .. } = self.shape;
        let found = tx
            .conn()
            .prepare_cached(&format!(
                "SELECT {time}, id FROM {table} WHERE id <= ?1 AND {time} IS NOT NULL ORDER BY id DESC LIMIT 1"
            ))?
            .query_row([before], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        // Nothing was entered before it: the list ends there.
        Ok(Some(found.unwrap_or((Value::Text(String::new()), 0))))
    }

    /// How many rows are looked through.
    fn window(&self) -> u32 {
        if self.rest.iter().any(|condition| condition.searches) {
            TEXT_WINDOW
        } else {
            WINDOW
        }
    }

    /// The last row of the window, if rows follow it.
    fn window_end(&self, tx: &ReadTx<'_>, cursor: Option<&(Value, i64)>) -> Result<Option<(Value, i64)>, DbError> {
        let mut statement = self.along_the_index(&format!("{}, id", self.shape.time), cursor);
        statement
            .push(&self.in_order())
            .push(&format!(" LIMIT 1 OFFSET {}", self.window() - 1));
        Ok(tx
            .conn()
            .prepare_cached(&statement.sql)?
            .query_row(params_from_iter(&statement.values), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?)
    }

    /// The statement that reads the rows; one more than the page holds, which tells whether there is a next one.
    fn statement(&self, cursor: Option<&(Value, i64)>, end: Option<&(Value, i64)>) -> Statement {
        let mut statement = self.along_the_index(self.shape.columns, cursor);
        if let Some((instant, id)) = end {
            let within = format!("({}, id) >= (?, ?)", self.shape.time);
            statement.and(&within, [instant.clone(), Value::Integer(*id)]);
        }
        for condition in &self.rest {
            statement.and(condition.sql, condition.value.clone());
        }
        statement
            .push(&self.in_order())
            .push(&format!(" LIMIT {}", u64::from(self.page.limit) + 1));
        statement
    }

    /// Reads the page; `id` names a row's number.
    pub(crate) fn read<T>(
        &self,
        tx: &ReadTx<'_>,
        read: impl Fn(&Row<'_>) -> Result<T, DbError>,
        id: impl Fn(&T) -> i64,
    ) -> Result<Listed<T>, DbError> {
        let cursor = self.cursor(tx)?;
        let end = if self.rest.is_empty() {
            None
        } else {
            self.window_end(tx, cursor.as_ref())?
        };
        let statement = self.statement(cursor.as_ref(), end.as_ref());
        let mut rows: Vec<T> = tx
            .conn()
            .prepare_cached(&statement.sql)?
            .query_and_then(params_from_iter(&statement.values), read)?
            .collect::<Result<_, _>>()?;
        let limit = usize::try_from(self.page.limit).unwrap_or(usize::MAX);
        if rows.len() > limit {
            rows.truncate(limit);
            let next = rows.last().map(id);
            return Ok(Listed {
                rows,
                next,
                searched_to: None,
            });
        }
        let searched_to = end.as_ref().and_then(|(instant, _)| match instant {
            Value::Text(text) => domain::time::from_text(text),
            _ => None,
        });
        Ok(Listed {
            rows,
            next: end.map(|(_, id)| id),
            searched_to,
        })
    }

    /// How the database would go about a page in the middle of the list, for tests.
    #[cfg(test)]
    pub(crate) fn plan(&self, tx: &ReadTx<'_>) -> Result<Vec<String>, DbError> {
        let somewhere = (self.shape.instant(Timestamp::UNIX_EPOCH), 1);
        let mut window = self.along_the_index(&format!("{}, id", self.shape.time), Some(&somewhere));
        window.push(&self.in_order()).push(" LIMIT 1 OFFSET 9");
        let statements = [
            self.statement(None, None),
            self.statement(Some(&somewhere), Some(&somewhere)),
            window,
        ];
        let mut steps = Vec::new();
        for statement in statements {
            let mut explain = tx.conn().prepare(&format!("EXPLAIN QUERY PLAN {}", statement.sql))?;
            let found = explain.query_map(params_from_iter(&statement.values), |row| row.get::<_, String>(3))?;
            steps.extend(found.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(steps)
    }
}
