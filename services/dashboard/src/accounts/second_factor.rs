//! The second factor: six digits from a telephone (RFC 6238), and codes on paper for whoever lost it.
//!
//! Must hold: a code works once; guesses are counted before the next one is compared, because check and record are one
//! transaction of the one writer; whoever has only a session can neither enrol nor remove a factor (that wants the
//! password, or a code).
//!
//! | Module | Holds |
//! |---|---|
//! | [`code`] | secrets and codes |
//! | [`login`] | giving it after the password |
//! | [`enrol`] | setting it up, taking it away |

pub(crate) mod code;
pub(crate) mod enrol;
pub(crate) mod login;

use std::time::Duration;

use db::users::{self, User};
use db::{DbError, WriteTx, second_factor};
use domain::time::minus;
use jiff::Timestamp;

use super::throttle;

/// What became of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Right; whether it was one of the codes on paper.
    Right { from_paper: bool },
    /// Wrong, used before, or too old.
    Wrong,
    /// Not looked at: too many were wrong.
    Wait(Duration),
}

/// Under which name wrong codes of an account are counted. No account can have it: names have no spaces.
pub(super) fn counted_as(account: &str) -> String {
    format!("{} second factor", account.to_lowercase())
}

/// Compares a code and remembers what came of it.
///
/// # Errors
/// Those of the database.
pub(crate) fn check(
    tx: &WriteTx<'_>,
    user: &User,
    given: &str,
    origin: &str,
    now: Timestamp,
) -> Result<Outcome, DbError> {
    let name = counted_as(&user.name);
    let (of_account, of_address) = users::failures(tx, &name, origin, minus(now, throttle::MEMORY))?;
    let wait = throttle::wait(throttle::SECOND_FACTOR, of_account, now);
    if let Some(wait) = wait.max(throttle::wait(throttle::ADDRESS, of_address, now)) {
        return Ok(Outcome::Wait(wait));
    }
    let factor = second_factor::get(tx, user.id)?;
    let secret = factor.secret.filter(|_| factor.since.is_some());
    let step = secret.and_then(|secret| code::step_of(&secret, given, now));
    if let Some(step) = step
        && second_factor::use_step(tx, user.id, step)?
    {
        users::forget_failures(tx, &name)?;
        return Ok(Outcome::Right { from_paper: false });
    }
    let on_paper = code::paper_digest(given);
    if let Some(hash) = on_paper
        && second_factor::use_recovery_code(tx, user.id, &hash, now)?
    {
        users::forget_failures(tx, &name)?;
        return Ok(Outcome::Right { from_paper: true });
    }
    users::login_failed(tx, &name, origin, now)?;
    Ok(Outcome::Wrong)
}
