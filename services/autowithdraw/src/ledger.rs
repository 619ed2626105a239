//! What the database says at the begin of a cycle, in one snapshot: remembered states, open alerts,
//! holds, brakes, and what people asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use db::decisions::StateRow;
use db::intents::Intent;
use db::{Db, DbError, ReadTx};
use domain::alert::OpenAlert;
use domain::brakes;
use domain::calm::FUTURE_TOLERANCE;
use domain::evidence::Observed;
use domain::hold::Hold;
use domain::ids::HoldId;
use domain::intent::{IntentState, Origin};
use domain::prefix::Prefix;
use domain::time::{minus, plus, since};
use jiff::Timestamp;
use prefix_ops::execute::entry_of;

/// Name under which the receiver beats.
const RECEIVER: &str = "cloudflare-webhook";

/// How old the receiver's sign of life, or the history cursor, may be for open alerts to be known.
const ALERTS_KNOWN_FOR: Duration = Duration::from_secs(600);

/// Intents looked through for what was done or asked for lately.
const LATEST: u32 = 500;

/// The snapshot.
#[derive(Debug)]
pub struct Ledger {
    /// Remembered states of the prefixes asked about.
    pub states: BTreeMap<Prefix, StateRow>,
    /// Open attack alerts, if somebody would have told us of them (rule 6).
    pub alerts: Observed<Vec<OpenAlert>>,
    /// Holds as automation must see them.
    pub holds: Vec<Hold>,
    /// Automatic withdrawals of the last day.
    pub withdrawals: Vec<(Prefix, Timestamp)>,
    /// Prefixes with an automatic intent that is under way or may be sent at any moment.
    pub under_way: Vec<Prefix>,
}

/// The spans that a snapshot depends on.
#[derive(Debug, Clone, Copy)]
pub struct Spans {
    /// Longest time an open alert blocks.
    pub veto: Duration,
    /// How long before anything may follow a hold its end is announced.
    pub hold_end_notice: Duration,
    /// Shortest time a prefix stays advertised, also after a person said so once more.
    pub min_advertised: Duration,
}

impl Ledger {
    /// Reads the snapshot.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn read(db: &Db, prefixes: Vec<Prefix>, spans: Spans, now: Timestamp) -> Result<Self, DbError> {
        db.read("cycle.ledger", move |tx| {
            let mut holds = prefix_ops::holds::binding(tx, spans.hold_end_notice, now)?;
            let latest = db::intents::newest(tx, None, LATEST)?;
            holds.extend(
                latest
                    .iter()
                    .filter_map(|intent| kept_by_a_person(intent, spans.min_advertised, now)),
            );
            let mut states = BTreeMap::new();
            for prefix in prefixes {
                states.insert(prefix, db::decisions::state(tx, prefix)?);
            }
            Ok(Self {
                states,
                alerts: open_alerts(tx, minus(now, spans.veto), now)?,
                holds,
                withdrawals: db::intents::automatic_withdrawals(tx, minus(now, brakes::FLAP_MEMORY))?,
                under_way: db::intents::open(tx)?
                    .iter()
                    .filter(|intent| entry_of(intent).is_under_way(now))
                    .map(|intent| intent.prefix)
                    .collect(),
            })
        })
        .await
    }

    /// Automatic withdrawals of `prefix`, oldest first.
    pub fn withdrawals_of(&self, prefix: Prefix) -> Vec<Timestamp> {
        self.withdrawals
            .iter()
            .filter(|(of, _)| *of == prefix)
            .map(|(_, at)| *at)
            .collect()
    }
}

/// Prefixes whose state was changed, or is being changed, by an act of ours later than `since` says
/// it was read.
///
/// # Errors
/// Those of the database.
pub async fn changed_by_us(db: &Db, read_at: BTreeMap<Prefix, Option<Timestamp>>) -> Result<Vec<Prefix>, DbError> {
    db.read("cycle.own_acts", move |tx| {
        let latest = db::intents::newest(tx, None, LATEST)?;
        Ok(latest
            .iter()
            .filter(|intent| match intent.state {
                IntentState::Sending | IntentState::Verifying => true,
                IntentState::Done => match read_at.get(&intent.prefix) {
                    Some(Some(read_at)) => intent.closed_at.is_some_and(|closed| closed >= *read_at),
                    _ => false,
                },
                _ => false,
            })
            .map(|intent| intent.prefix)
            .collect())
    })
    .await
}

/// Who advertises a prefix, or says of an advertised one that it shall be, wants it to stay so for a while
/// ([`domain::intent::Entry::keeps_until`]): to automation that is a hold.
fn kept_by_a_person(intent: &Intent, keep: Duration, now: Timestamp) -> Option<Hold> {
    let Origin::Person { actor, .. } = &intent.origin else {
        return None;
    };
    let until = entry_of(intent).keeps_until(keep, now)?;
    Some(Hold {
        id: HoldId(0),
        prefix: Some(intent.prefix),
        actor: actor.clone(),
        reason: format!("asked to advertise it: {}", intent.reason),
        created_at: minus(until, keep),
        until: Some(until),
    })
}

fn open_alerts(tx: &ReadTx<'_>, since_when: Timestamp, now: Timestamp) -> Result<Observed<Vec<OpenAlert>>, DbError> {
    let beat = db::heartbeats::of(tx, RECEIVER)?.map(|beat| beat.beat_at);
    let cursor = db::leases::cursor(tx, db::alert_history::CURSOR)?
        .as_deref()
        .and_then(domain::time::from_text);
    // A sign of life from the future was made before our clock was set back; its age is not known.
    let heard = [beat, cursor]
        .into_iter()
        .flatten()
        .filter(|at| *at <= plus(now, FUTURE_TOLERANCE))
        .max();
    Ok(match heard {
        Some(at) if since(now, at) <= ALERTS_KNOWN_FOR => Observed::known(db::ledger::open(tx, since_when)?, now),
        Some(at) => Observed::unavailable(format!(
            "the webhook receiver was last alive {}",
            domain::time::for_people(at)
        )),
        None => Observed::unavailable("the webhook receiver never ran"),
    })
}
