//! Holds as automation must see them: the end of a hold is announced a while before anything may
//! follow (rule 7). One that was set for less than that, or that ran out while nobody was there to
//! announce it, goes on until it has been announced for that long. A hold that a person releases
//! ends at once.

use std::time::Duration;

use db::{DbError, ReadTx, WriteTx};
use domain::hold::Hold;
use domain::ids::HoldId;
use domain::time::{minus, plus};
use jiff::Timestamp;

/// How long ago a hold may have run out and still be waited for: longer than any outage in which
/// a hold is remembered by those who set it.
const RAN_OUT_WITHIN: Duration = Duration::from_secs(7 * 86_400);

/// The holds that bind automation at `now`; `until` of each is when it really may act again.
///
/// # Errors
/// Those of the database.
pub fn binding(tx: &ReadTx<'_>, notice: Duration, now: Timestamp) -> Result<Vec<Hold>, DbError> {
    let mut binding = Vec::new();
    for mut hold in db::holds::in_force(tx, minus(now, RAN_OUT_WITHIN))? {
        if let Some(until) = hold.until {
            let Some(ends) = domain::hold::binds_until(until, announced_at(tx, hold.id)?, notice, now) else {
                continue;
            };
            hold.until = Some(ends);
        }
        binding.push(hold);
    }
    Ok(binding)
}

/// Holds whose end must be announced now; each is returned once, with the instant from which
/// automation may act again.
///
/// # Errors
/// Those of the database.
pub fn take_ending(tx: &WriteTx<'_>, notice: Duration, now: Timestamp) -> Result<Vec<Hold>, DbError> {
    let horizon = plus(now, notice);
    let mut ending = Vec::new();
    for mut hold in db::holds::in_force(tx, minus(now, RAN_OUT_WITHIN))? {
        let Some(until) = hold.until.filter(|until| *until <= horizon) else {
            continue;
        };
        if announced_at(tx, hold.id)?.is_some() {
            continue;
        }
        db::leases::set_cursor(tx, &mark(hold.id), &now.to_string(), now)?;
        hold.until = Some(until.max(horizon));
        ending.push(hold);
    }
    // The table says so too, for those who read it.
    db::holds::take_ending(tx, now, horizon)?;
    Ok(ending)
}

fn announced_at(tx: &ReadTx<'_>, hold: HoldId) -> Result<Option<Timestamp>, DbError> {
    let text = db::leases::cursor(tx, &mark(hold))?;
    Ok(text.as_deref().and_then(domain::time::from_text))
}

fn mark(hold: HoldId) -> String {
    format!("hold_end:{hold}")
}
