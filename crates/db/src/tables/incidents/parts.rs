//! What an incident consists of, read from the rows that joined it. Nothing is kept twice: the operator's log and the
//! attack analytics hold it, each row with its incident.

use domain::ids::IncidentId;

use crate::error::DbError;
pub use crate::tables::shares::{Parts, Share, Source};
use crate::tx::ReadTx;

/// Reads them, at most `most` of each.
///
/// # Errors
/// Those of the database.
pub fn parts(tx: &ReadTx<'_>, incident: IncidentId, most: u32) -> Result<Parts, DbError> {
    crate::tables::shares::of_incident(tx, incident.0, most)
}
