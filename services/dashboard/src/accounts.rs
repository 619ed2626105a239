//! Who may come in: accounts, passwords, sessions, and the checks that stand in front of every change.
//!
//! Must hold: an unknown account costs as much as a known one; a guess costs the guesser time; a session can be ended
//! from here at any moment; every login, refusal and change leaves an audit row; nothing secret is logged.
//!
//! | Module | Holds |
//! |---|---|
//! | [`password`] | hashing and verifying, on blocking threads, a few at a time |
//! | [`policy`] | what a new password must be |
//! | [`throttle`] | how long a guesser must wait |
//! | [`cookie`] | the session cookie, and when it may travel without TLS |
//! | [`member`] | the signed-in person of a request, and the gate in front of everything |
//! | [`origin`] | changes only from our own pages |
//! | [`login`] | `/login` and `/logout` |
//! | [`change_password`] | `/password` and `/api/change-password` |
//! | [`second_factor`] | codes from a telephone or from paper |
//! | [`bearer`], [`machines`] | tokens of programs: using them, making and revoking them |
//! | [`sessions`] | the list of sessions, ending them |
//! | [`channels`] | mutes, trying the channels |
//! | [`people`] | accounts, as admins keep them |
//! | [`first`] | the first account: imported from the predecessor, or made with a one-time password |
//! | [`token`] | random secrets |

pub(crate) mod bearer;
pub(crate) mod change_password;
pub(crate) mod channels;
pub(crate) mod cookie;
pub(crate) mod first;
pub(crate) mod login;
pub(crate) mod machines;
pub(crate) mod member;
pub(crate) mod origin;
pub(crate) mod password;
pub(crate) mod people;
pub(crate) mod policy;
pub(crate) mod second_factor;
pub(crate) mod sessions;
pub(crate) mod throttle;
pub(crate) mod token;

pub(crate) use member::Member;

use db::audit;
use jiff::Timestamp;

/// The program's name in audit rows.
const VIA: &str = "dashboard";

/// An audit row about an account. `before` and `after` stay empty: neither a password nor its hash belongs there.
pub(crate) fn audit_row(
    at: Timestamp,
    (actor, role): (&str, &str),
    address: &str,
    (action, subject): (&str, &str),
    result: &str,
) -> audit::Entry {
    audit::Entry {
        at,
        actor: actor.to_owned(),
        role: role.to_owned(),
        via: VIA.to_owned(),
        address: Some(address.to_owned()),
        action: action.to_owned(),
        subject: subject.to_owned(),
        before: None,
        after: None,
        reason: None,
        result: result.to_owned(),
    }
}
