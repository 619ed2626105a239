//! An attack soon after our own withdrawal is a critical notice (rule 12), once per withdrawal:
//! whether the traffic of a new advertisement shows it, or an alert while the prefix is not
//! advertised and analytics see nothing of it.

use db::{DbError, WriteTx};
use domain::decision::{Inputs, REATTACK_WINDOW};
use domain::ids::IncidentId;
use domain::notice::{Facts, Notice};
use domain::prefix::Prefix;
use domain::time::since;
use jiff::Timestamp;

/// The own withdrawal after which an open alert began, soon enough to matter.
pub(crate) fn alerted_after(inputs: &Inputs) -> Option<Timestamp> {
    let withdrawn_at = inputs.own_withdrawals.iter().max().copied()?;
    let alerts = inputs.alerts.value()?;
    alerts
        .iter()
        // One that names no prefix of ours says nothing about this one.
        .filter(|alert| !alert.unresolved && alert.concerns(inputs.prefix))
        .any(|alert| alert.since >= withdrawn_at && since(alert.since, withdrawn_at) <= REATTACK_WINDOW)
        .then_some(withdrawn_at)
}

/// Tells people, unless they were told of this withdrawal.
///
/// # Errors
/// Those of the database.
pub(crate) fn tell(
    tx: &WriteTx<'_>,
    prefix: Prefix,
    withdrawn_at: Timestamp,
    incident: Option<IncidentId>,
    now: Timestamp,
) -> Result<(), DbError> {
    let (mark, text) = (format!("reattack:{prefix}"), withdrawn_at.to_string());
    if db::leases::cursor(tx, &mark)?.as_deref() == Some(text.as_str()) {
        return Ok(());
    }
    db::leases::set_cursor(tx, &mark, &text, now)?;
    tracing::error!(event = "withdraw.reattack", prefix = %prefix, withdrawn_at = %withdrawn_at);
    let notice = Notice {
        facts: Facts::Reattack { prefix, withdrawn_at },
        event: None,
        incident,
        group: None,
    };
    db::outbox::enqueue(tx, &notice, now).map(drop)
}
