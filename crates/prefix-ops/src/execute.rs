//! One step of an open intent. Each step does at most one change at Cloudflare and leaves the
//! journal in a state from which anybody can go on, so a crash between any two lines loses nothing.

mod call;
mod last_check;
mod outcome;
mod read_back;

use std::fmt;
use std::time::Duration;

use cf_api::CloudflareClient;
use db::intents::{Change, Intent};
use db::{Db, DbError};
use domain::ids::IntentId;
use domain::intent::{BeforeMark, Gate, IntentState, before_mark, may_begin};
use domain::time::{plus, since};
use jiff::Timestamp;

use crate::limits::{Actor, Limits};
pub use last_check::entry_of;
use last_check::{Identity, last_check};
use outcome::Closing;

/// The wall clock, read where an instant must be fresh.
type Clock<'a> = &'a (dyn Fn() -> Timestamp + Send + Sync);

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Closed: this is its last state.
    Closed(IntentState),
    /// Open; look again not before then.
    Later {
        /// When.
        at: Timestamp,
        /// Why, for people.
        because: String,
    },
    /// Somebody else is working on it, its time has not come, or it is closed.
    NotOurs,
}

/// Executes intents.
#[derive(Clone)]
pub struct PrefixOps {
    db: Db,
    api: CloudflareClient,
    owner: String,
    limits: Limits,
}

impl fmt::Debug for PrefixOps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrefixOps")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl PrefixOps {
    /// `owner` must be unique per process start.
    pub fn new(db: Db, api: CloudflareClient, owner: impl Into<String>, limits: Limits) -> Self {
        Self {
            db,
            api,
            owner: owner.into(),
            limits,
        }
    }

    /// Takes one step. `clock` is read where an instant must be fresh; `actor` is needed for
    /// automatic intents and only there: without one they are left alone.
    ///
    /// # Errors
    /// [`DbError`]: the journal could not be read or written. What was marked before stays marked
    /// and is picked up by the next step.
    pub async fn step(&self, id: IntentId, actor: Option<&dyn Actor>, clock: Clock<'_>) -> Result<Step, DbError> {
        let (owner, lease, now) = (self.owner.clone(), self.limits.lease, clock());
        let is_actor = actor.is_some();
        let claimed = self
            .db
            .write("intent.claim", move |tx| {
                let for_us = |intent: &Intent| is_actor || !intent.origin.is_automatic();
                if !db::intents::get(tx, id)?.as_ref().is_some_and(for_us) {
                    return Ok(None);
                }
                db::intents::claim(tx, id, &owner, lease, now)
            })
            .await?;
        let Some(intent) = claimed else {
            return Ok(Step::NotOurs);
        };
        match intent.state {
            IntentState::Planned => self.start(intent, actor, clock).await,
            IntentState::Sending => self.recover(intent, clock).await,
            IntentState::Verifying => self.read_back(intent, clock).await,
            _ => Ok(Step::NotOurs),
        }
    }

    /// Re-check, mark, call.
    async fn start(&self, intent: Intent, actor: Option<&dyn Actor>, clock: Clock<'_>) -> Result<Step, DbError> {
        // The age of what is read counts from here: a process that stops while it waits for the
        // answer must not take it for fresh when it wakes up.
        let asked_at = clock();
        let by_person = !intent.origin.is_automatic();
        if entry_of(&intent).is_stale(&self.limits, asked_at) {
            let words = format!(
                "it was asked for {} ago and could not be sent since; ask again if it is still wanted",
                domain::duration::human(since(asked_at, intent.created_at))
            );
            return self.refuse(intent, "recheck", "expired", &words, asked_at).await;
        }
        let seen = match self.api.get_bgp_prefix(&intent.prefix_id, &intent.bgp_prefix_id).await {
            Ok(seen) => seen,
            Err(error) => {
                return self
                    .refused_for_now(intent, IntentState::Planned, "recheck", &error, clock())
                    .await;
            }
        };
        let read_at = clock();
        if seen.prefix == intent.prefix && seen.state.advertised == Some(intent.act.wanted()) {
            // A withdrawal of ours that is under way would undo what the read shows: then the
            // advertise is sent although it looks done (rule 12).
            match self
                .close(intent.clone(), seen.clone(), Closing::Already, read_at)
                .await?
            {
                Some(step) => return Ok(step),
                None => tracing::info!(
                    event = "intent.follows_withdrawal",
                    intent = intent.id.0,
                    prefix = %intent.prefix,
                ),
            }
        }
        match before_mark(&entry_of(&intent), seen.prefix, &seen.state, actor.map(Actor::mode)) {
            BeforeMark::GoOn => {}
            BeforeMark::Refused(class, words) => return self.refuse(intent, "recheck", class, &words, read_at).await,
            BeforeMark::Cancelled(because) => return self.cancel(intent, because, read_at).await,
        }
        let epoch = seen.state.epoch();
        let identity = match (by_person, actor) {
            (false, Some(actor)) => Some(Identity {
                lease: actor.lease_name().to_owned(),
                owner: actor.lease_owner().to_owned(),
            }),
            _ => None,
        };
        let (owner, limits, planned) = (self.owner.clone(), self.limits, intent.clone());
        // From here to the mark is one transaction: whatever it does not see has not happened yet.
        let gate = self
            .db
            .write("intent.mark_sending", move |tx| {
                let gate = last_check(tx, &planned, identity.as_ref(), epoch, &limits, read_at)?;
                if let Gate::Open { .. } = gate {
                    if let Some(epoch) = epoch {
                        db::intents::set_epoch(tx, planned.id, epoch)?;
                    }
                    let step = (IntentState::Planned, IntentState::Sending);
                    db::intents::transition(tx, planned.id, &owner, step, &Change::default(), read_at)?;
                    db::intents::attempt(tx, planned.id, &owner, "patch", ("sending", ""), read_at)?;
                    db::intents::extend_lease(tx, planned.id, &owner, limits.lease, read_at)?;
                }
                Ok(gate)
            })
            .await?;
        let evidence_at = match gate {
            Gate::Open { evidence_at } => evidence_at,
            Gate::Wait { because } => {
                let at = plus(read_at, self.limits.read_back_every);
                return self.rest(&intent, at, &because).await;
            }
            Gate::Shut { because } => return self.cancel(intent, &because, read_at).await,
            Gate::Refused { class, because } => {
                return self.refuse(intent, "recheck", class, &because, read_at).await;
            }
            Gate::Gone => return Ok(Step::NotOurs),
        };
        let intent = Intent {
            epoch: intent.epoch.or(epoch),
            sending_at: Some(read_at),
            state: IntentState::Sending,
            ..intent
        };
        // The mark may have waited for the database; what it rests on has grown older meanwhile.
        let marked_at = clock();
        let since_bump = (!by_person).then(|| actor.map_or(Duration::MAX, Actor::since_bump));
        if !may_begin(asked_at, evidence_at, since_bump, &self.limits, marked_at) {
            // Marked but provably not sent: we stood still, somebody else may act already.
            return self
                .unmark(intent, "too much time passed before the call", marked_at)
                .await;
        }
        self.call(intent, actor.filter(|_| !by_person), clock).await
    }
}
