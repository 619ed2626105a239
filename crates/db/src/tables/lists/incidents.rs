//! Incidents as a list, by their first sign; those of one prefix by their numbers.

use domain::ids::IncidentId;
use domain::prefix::Prefix;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::{Condition, Listed, Page, Query, Records, Shape, Written};
use crate::error::DbError;
use crate::tables::column::at;
use crate::tables::incidents::{self, Incident};
use crate::tx::ReadTx;

const SHAPE: Shape = Shape {
    table: "incidents",
    columns: incidents::COLUMNS,
    time: "began_at",
    written: Written::Ours,
};

const TEXT: &str = "concat_ws(char(10), title, vector, acknowledged_by, note) LIKE ? ESCAPE '\\'";

pub(crate) fn query(filter: &Records, page: Page) -> Query {
    Query {
        shape: SHAPE,
        lead: None,
        rest: std::iter::once(Condition::plain("merged_into IS NULL"))
            .chain(filter.text.iter().map(|text| Condition::contains(TEXT, text)))
            .collect(),
        span: filter.span,
        page,
    }
}

/// A page of the incidents, newest first.
///
/// # Errors
/// Those of the database.
pub fn list(tx: &ReadTx<'_>, filter: &Records, page: Page) -> Result<Listed<Incident>, DbError> {
    let Some(prefix) = filter.prefix else {
        return query(filter, page).read(tx, incidents::read, |row| row.id.0);
    };
    // The few conditions besides are looked for among all incidents of the prefix: a prefix has thousands in years.
    let mut sql = format!(
        "SELECT {} FROM incidents WHERE id IN (SELECT incident_id FROM incident_prefixes WHERE prefix = ?
           AND incident_id < ? ORDER BY incident_id DESC LIMIT {}) AND merged_into IS NULL",
        incidents::COLUMNS,
        super::WINDOW,
    );
    let before = page.before.unwrap_or(i64::MAX);
    let mut values = vec![Value::Text(prefix.to_string()), Value::Integer(before)];
    for (condition, instant) in [
        ("began_at >= ?", filter.span.since),
        ("began_at < ?", filter.span.until),
    ] {
        if let Some(instant) = instant {
            sql.push_str(&format!(" AND {condition}"));
            values.push(Value::Text(at(instant)));
        }
    }
    if let Some(text) = &filter.text {
        let condition = Condition::contains(TEXT, text);
        sql.push_str(&format!(" AND {}", condition.sql));
        values.extend(condition.value);
    }
    sql.push_str(&format!(" ORDER BY id DESC LIMIT {}", u64::from(page.limit) + 1));
    let mut rows: Vec<Incident> = tx
        .conn()
        .prepare_cached(&sql)?
        .query_and_then(params_from_iter(&values), incidents::read)?
        .collect::<Result<_, _>>()?;
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    if rows.len() > limit {
        rows.truncate(limit);
        let next = rows.last().map(|row| row.id.0);
        return Ok(Listed {
            rows,
            next,
            searched_to: None,
        });
    }
    let end = behind_window(tx, prefix, before)?;
    let searched_to = match end {
        Some(id) => incidents::began_at(tx, id)?,
        None => None,
    };
    Ok(Listed {
        rows,
        next: end.map(|id| id.0),
        searched_to,
    })
}

/// The last incident that was looked at, if the prefix has more.
fn behind_window(tx: &ReadTx<'_>, prefix: Prefix, before: i64) -> Result<Option<IncidentId>, DbError> {
    let mut statement = tx.conn().prepare_cached(
        "SELECT incident_id FROM incident_prefixes WHERE prefix = ?1 AND incident_id < ?2
         ORDER BY incident_id DESC LIMIT 1 OFFSET ?3",
    )?;
    let mut found = statement.query_map(
        rusqlite::params![prefix.to_string(), before, super::WINDOW - 1],
        |row| row.get(0).map(IncidentId),
    )?;
    Ok(found.next().transpose()?)
}
