//! Which host a database belongs to. A copy that wakes up elsewhere (a restored backup, a standby)
//! starts paused until a person confirms (rule 13): its original may still be acting. Withdrawals
//! that were planned on the other host are not done here, nor is an advertise of long ago.

use db::intents::Change;
use db::{Db, DbError, WriteTx};
use domain::intent::{Act, IntentState};
use domain::time::since;
use jiff::Timestamp;
use std::time::Duration;

/// Name of the stored fact.
const FACT: &str = "host";

/// Who sets the pause.
const ACTOR: &str = "autowithdraw";

/// How old an advertise may be to be still wanted after a move.
const RECENT: Duration = Duration::from_secs(3_600);

/// Why nothing that was planned elsewhere is done here.
const MOVED: &str = "the database was moved to another host before it was sent";

/// What the comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// First start on this file, or the same host as before.
    Same,
    /// The file came from another host; automation was paused.
    Moved {
        /// The host it came from.
        from: String,
    },
}

/// The host's identity: its machine id, else its name.
pub fn of_host() -> String {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let id = id.trim();
    if !id.is_empty() {
        return id.to_owned();
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("name:{}", name.trim())
}

/// Compares the stored host with this one and pauses automation when they differ.
///
/// # Errors
/// Those of the database.
pub async fn check(db: &Db, host: String, now: Timestamp) -> Result<Home, DbError> {
    db.write("identity.check", move |tx| match db::leases::fact(tx, FACT)? {
        Some(known) if known != host => {
            let reason = "the database came from another host, whose daemon may still act; \
                          make sure that it does not, then release this pause";
            db::holds::set(tx, None, ACTOR, reason, None, now)?;
            forget_plans(tx, now)?;
            db::leases::set_fact(tx, FACT, &host, now)?;
            Ok(Home::Moved { from: known })
        }
        Some(_) => Ok(Home::Same),
        None => {
            db::leases::set_fact(tx, FACT, &host, now)?;
            Ok(Home::Same)
        }
    })
    .await
}

/// Unsent withdrawals of the other host, automation's and people's, were done there or are not
/// wanted any more. An advertise that was asked for just before the other host died still protects;
/// one of long ago comes from an old copy.
fn forget_plans(tx: &WriteTx<'_>, now: Timestamp) -> Result<(), DbError> {
    for intent in db::intents::open(tx)? {
        let is_recent = since(now, intent.created_at) <= RECENT && intent.created_at <= now;
        if intent.state != IntentState::Planned || (intent.act == Act::Advertise && is_recent) {
            continue;
        }
        db::intents::cancel_unsent(tx, intent.prefix, false, MOVED, now)?;
        let claimed = db::intents::claim(tx, intent.id, ACTOR, Duration::from_secs(60), now)?;
        let change = Change {
            outcome: Some(("cancelled", MOVED)),
            release: true,
            ..Change::default()
        };
        if claimed.is_some() {
            let step = (IntentState::Planned, IntentState::Cancelled);
            db::intents::transition(tx, intent.id, ACTOR, step, &change, now)?;
        }
    }
    Ok(())
}
