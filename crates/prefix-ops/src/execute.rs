//! One step of an open intent. Each step does at most one outside call and leaves the journal in
//! a state from which anybody can go on, so a crash between any two lines loses nothing.

use std::fmt;
use std::time::Duration;

use cf_api::rest::prefixes::AdvertisePermit;
use cf_api::{CfError, CloudflareClient};
use db::intents::{Change, Intent};
use db::{Db, DbError, WriteTx};
use domain::bgp::BgpPrefix;
use domain::decision::Mode;
use domain::ids::IntentId;
use domain::intent::{Act, IntentState};
use domain::time::{minus, plus, since};
use jiff::Timestamp;

use crate::record;

/// The spans that bound an execution. The defaults are rule 11's and 13's; a demonstration that
/// runs in fast motion shortens them with everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a claim lasts. Longer than the call's deadline and its read-back together.
    pub lease: Duration,
    /// Oldest evidence an automatic call may rest on.
    pub evidence_age: Duration,
    /// Oldest bump of the actor's lease when a call starts.
    pub bump_age: Duration,
    /// Pause between two read-backs.
    pub read_back_every: Duration,
    /// When an unanswered call is given up as unresolved.
    pub unresolved_after: Duration,
    /// First pause after a refusal that may pass by itself; doubles up to sixteen times that.
    pub retry_after: Duration,
    /// Longest time an open alert blocks; the ledger is asked again right before the call.
    pub open_alert_veto: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            evidence_age: Duration::from_secs(30),
            bump_age: Duration::from_secs(5),
            read_back_every: Duration::from_secs(5),
            unresolved_after: Duration::from_secs(15 * 60),
            retry_after: Duration::from_secs(30),
            open_alert_veto: Duration::from_secs(3_600),
        }
    }
}

/// Proof that the caller is the one automatic actor, asked for right before the call.
pub trait Actor: Send + Sync {
    /// Name of the lease.
    fn lease_name(&self) -> &str;
    /// Owner as stored in the lease.
    fn lease_owner(&self) -> &str;
    /// Time since our progressing loop last bumped it, on our own monotonic clock.
    fn since_bump(&self) -> Duration;
    /// The mode automation runs in.
    fn mode(&self) -> Mode;
}

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

/// What the final transaction found.
enum Gate {
    Open,
    Shut { because: String },
    Wait { because: String },
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
    /// automatic intents and only there.
    ///
    /// # Errors
    /// [`DbError`]: the journal could not be read or written. What was marked before stays marked
    /// and is picked up by the next step.
    pub async fn step(
        &self,
        id: IntentId,
        actor: Option<&dyn Actor>,
        clock: &(dyn Fn() -> Timestamp + Send + Sync),
    ) -> Result<Step, DbError> {
        let (owner, lease, now) = (self.owner.clone(), self.limits.lease, clock());
        let claimed = self
            .db
            .write("intent.claim", move |tx| db::intents::claim(tx, id, &owner, lease, now))
            .await?;
        let Some(intent) = claimed else {
            return Ok(Step::NotOurs);
        };
        if intent.origin.is_automatic() && actor.is_none() {
            return self
                .rest(
                    &intent,
                    plus(now, self.limits.read_back_every),
                    "only the daemon executes it",
                )
                .await;
        }
        match intent.state {
            IntentState::Planned => self.start(intent, actor, clock).await,
            IntentState::Sending => self.recover(intent, clock).await,
            IntentState::Verifying => self.read_back(intent, clock).await,
            _ => Ok(Step::NotOurs),
        }
    }

    /// Re-check, mark, call.
    async fn start(
        &self,
        intent: Intent,
        actor: Option<&dyn Actor>,
        clock: &(dyn Fn() -> Timestamp + Send + Sync),
    ) -> Result<Step, DbError> {
        let seen = match self.api.get_bgp_prefix(&intent.prefix_id, &intent.bgp_prefix_id).await {
            Ok(seen) => seen,
            Err(error) => {
                return self
                    .refused_for_now(intent, IntentState::Planned, "recheck", &error, clock())
                    .await;
            }
        };
        let read_at = clock();
        if seen.prefix != intent.prefix {
            let words = format!("the ids belong to {}, not to {}", seen.prefix, intent.prefix);
            return self.refuse(intent, "recheck", "id_mismatch", &words, read_at).await;
        }
        let wanted = intent.act.wanted();
        if seen.state.advertised == Some(wanted) {
            return self.close(intent, seen, true, read_at).await;
        }
        if let Some(why) = seen.state.refuses_control() {
            return self
                .refuse(intent, "recheck", "not_controllable", why.explain(), read_at)
                .await;
        }
        if intent.act == Act::Withdraw && seen.state.epoch().is_none() {
            let words = "Cloudflare does not say since when it is advertised";
            return self.refuse(intent, "recheck", "epoch_unknown", words, read_at).await;
        }
        let automatic = intent.origin.is_automatic();
        let identity = match (automatic, actor) {
            (true, Some(actor)) => {
                if actor.mode() != Mode::Act {
                    return self.cancel(intent, "automation does not act", read_at).await;
                }
                Some((actor.lease_name().to_owned(), actor.lease_owner().to_owned()))
            }
            _ => None,
        };
        let (owner, limits, planned, epoch) = (self.owner.clone(), self.limits, intent.clone(), seen.state.epoch());
        // From here to the mark is one transaction: whatever it does not see has not happened yet.
        let gate = self
            .db
            .write("intent.mark_sending", move |tx| {
                let now = read_at;
                let gate = last_check(tx, &planned, identity.as_ref(), epoch, &limits, now)?;
                if let Gate::Open = gate {
                    if let Some(epoch) = epoch {
                        db::intents::set_epoch(tx, planned.id, epoch)?;
                    }
                    let step = (IntentState::Planned, IntentState::Sending);
                    db::intents::transition(tx, planned.id, &owner, step, &Change::default(), now)?;
                    db::intents::attempt(tx, planned.id, &owner, "patch", ("sending", ""), now)?;
                }
                Ok(gate)
            })
            .await?;
        match gate {
            Gate::Open => {}
            Gate::Wait { because } => {
                let at = plus(read_at, self.limits.read_back_every);
                return self.rest(&intent, at, &because).await;
            }
            Gate::Shut { because } => return self.cancel(intent, &because, read_at).await,
        }
        let stalled = automatic && actor.is_none_or(|actor| actor.since_bump() > self.limits.bump_age);
        if stalled {
            // Marked but provably not sent: our loop stood still, somebody else may act already.
            return self
                .unmark(intent, "the decision loop stood still before the call", clock())
                .await;
        }
        self.call(intent, clock).await
    }

    async fn call(&self, intent: Intent, clock: &(dyn Fn() -> Timestamp + Send + Sync)) -> Result<Step, DbError> {
        tracing::info!(
            event = "intent.sending",
            intent = intent.id.0,
            act = intent.act.as_str(),
            prefix = %intent.prefix,
            reason = intent.reason,
        );
        let answer = self
            .api
            .set_advertised(
                AdvertisePermit::issued_by_prefix_ops(),
                &intent.prefix_id,
                &intent.bgp_prefix_id,
                intent.act.wanted(),
            )
            .await;
        let now = clock();
        let intent = Intent {
            state: IntentState::Sending,
            ..intent
        };
        match answer {
            Ok(_) => {
                self.verify(intent, "accepted", "Cloudflare registered the request", clock)
                    .await
            }
            Err(error) if error.outcome_unknown() => {
                tracing::warn!(event = "intent.answer_lost", intent = intent.id.0, prefix = %intent.prefix, error = %error);
                self.verify(intent, "answer_lost", &error.to_string(), clock).await
            }
            Err(error) if may_pass(&error) => {
                self.refused_for_now(intent, IntentState::Sending, "patch", &error, now)
                    .await
            }
            Err(error) => {
                let class = error.class.as_str();
                self.refuse(intent, "patch", class, &error.to_string(), now).await
            }
        }
    }

    /// A crash between mark and answer: whether the call was made is not known. Read, never repeat.
    async fn recover(&self, intent: Intent, clock: &(dyn Fn() -> Timestamp + Send + Sync)) -> Result<Step, DbError> {
        tracing::warn!(event = "intent.recovered", intent = intent.id.0, prefix = %intent.prefix);
        self.verify(
            intent,
            "recovered",
            "found marked as sending; nobody recorded an answer",
            clock,
        )
        .await
    }

    async fn verify(
        &self,
        intent: Intent,
        class: &str,
        words: &str,
        clock: &(dyn Fn() -> Timestamp + Send + Sync),
    ) -> Result<Step, DbError> {
        let (owner, id, now) = (self.owner.clone(), intent.id, clock());
        let (class, words) = (class.to_owned(), words.to_owned());
        self.db
            .write("intent.verifying", move |tx| {
                let step = (IntentState::Sending, IntentState::Verifying);
                db::intents::transition(tx, id, &owner, step, &Change::default(), now)?;
                db::intents::attempt(tx, id, &owner, "patch", (&class, &words), now)
            })
            .await?;
        let intent = Intent {
            state: IntentState::Verifying,
            ..intent
        };
        self.read_back(intent, clock).await
    }

    async fn read_back(&self, intent: Intent, clock: &(dyn Fn() -> Timestamp + Send + Sync)) -> Result<Step, DbError> {
        let read = self.api.get_bgp_prefix(&intent.prefix_id, &intent.bgp_prefix_id).await;
        let now = clock();
        let shown = match read {
            Ok(seen) if shows(&seen, &intent) => return self.close(intent, seen, false, now).await,
            Ok(seen) => match seen.state.advertised {
                Some(true) => "it is still advertised".to_owned(),
                Some(false) => "it is still withdrawn".to_owned(),
                None => "Cloudflare does not say whether it is advertised".to_owned(),
            },
            Err(error) => format!("it could not be read: {error}"),
        };
        let sent_at = intent.sending_at.unwrap_or(intent.created_at);
        if since(now, sent_at) < self.limits.unresolved_after {
            return self.rest(&intent, plus(now, self.limits.read_back_every), &shown).await;
        }
        tracing::error!(
            event = "intent.unresolved",
            intent = intent.id.0,
            prefix = %intent.prefix,
            act = intent.act.as_str(),
            last_read = shown,
        );
        let owner = self.owner.clone();
        self.db
            .write("intent.unresolved", move |tx| {
                let change = Change {
                    outcome: Some(("unresolved", &shown)),
                    release: true,
                    ..Change::default()
                };
                let step = (intent.state, IntentState::Unresolved);
                db::intents::transition(tx, intent.id, &owner, step, &change, now)?;
                record::announce_unresolved(tx, &intent, &shown, now)
            })
            .await?;
        Ok(Step::Closed(IntentState::Unresolved))
    }

    async fn close(&self, intent: Intent, seen: BgpPrefix, was_there: bool, now: Timestamp) -> Result<Step, DbError> {
        tracing::info!(
            event = "intent.done",
            intent = intent.id.0,
            act = intent.act.as_str(),
            prefix = %intent.prefix,
            already = was_there,
        );
        let owner = self.owner.clone();
        self.db
            .write("intent.done", move |tx| {
                record::done(tx, &intent, &owner, &seen, was_there, now)
            })
            .await?;
        Ok(Step::Closed(IntentState::Done))
    }

    async fn refuse(
        &self,
        intent: Intent,
        step: &'static str,
        class: &str,
        words: &str,
        now: Timestamp,
    ) -> Result<Step, DbError> {
        tracing::error!(
            event = "intent.refused",
            intent = intent.id.0,
            act = intent.act.as_str(),
            prefix = %intent.prefix,
            class,
            words,
        );
        let (owner, class, words) = (self.owner.clone(), class.to_owned(), words.to_owned());
        // Automation goes on wanting it as long as calm holds; it just does not hammer.
        let retry_at = intent
            .origin
            .is_automatic()
            .then(|| plus(now, self.limits.retry_after * 16));
        let state = intent.state;
        self.db
            .write("intent.refused", move |tx| {
                db::intents::attempt(tx, intent.id, &owner, step, (&class, &words), now)?;
                record::announce_refusal(tx, &intent, &class, &words, retry_at, now)?;
                match retry_at {
                    Some(at) => put_back(tx, &intent, &owner, at, (&class, &words), now),
                    None => {
                        let change = Change {
                            outcome: Some((&class, &words)),
                            release: true,
                            ..Change::default()
                        };
                        db::intents::transition(tx, intent.id, &owner, (state, IntentState::Refused), &change, now)
                    }
                }
            })
            .await?;
        Ok(match retry_at {
            Some(at) => Step::Later {
                at,
                because: "refused; it is tried again later".into(),
            },
            None => Step::Closed(IntentState::Refused),
        })
    }

    /// A failure that may pass by itself: back to planned, with growing pauses.
    async fn refused_for_now(
        &self,
        intent: Intent,
        from: IntentState,
        step: &'static str,
        error: &CfError,
        now: Timestamp,
    ) -> Result<Step, DbError> {
        if !may_pass(error) {
            return self
                .refuse(intent, step, error.class.as_str(), &error.to_string(), now)
                .await;
        }
        tracing::warn!(event = "intent.postponed", intent = intent.id.0, prefix = %intent.prefix, step, error = %error);
        let (owner, class, words) = (self.owner.clone(), error.class.as_str().to_owned(), error.to_string());
        let (told, first) = (error.retry_after, self.limits.retry_after);
        let intent = Intent { state: from, ..intent };
        let at = self
            .db
            .write("intent.postponed", move |tx| {
                let failures = db::intents::attempts(tx, intent.id)?
                    .iter()
                    .filter(|attempt| attempt.class != "sending")
                    .count();
                let pause = first * 2u32.pow(u32::try_from(failures).unwrap_or(u32::MAX).min(4));
                let at = plus(now, told.map_or(pause, |told| told.max(first)));
                db::intents::attempt(tx, intent.id, &owner, step, (&class, &words), now)?;
                if step == "patch" {
                    record::announce_refusal(tx, &intent, &class, &words, Some(at), now)?;
                }
                put_back(tx, &intent, &owner, at, (&class, &words), now)?;
                Ok(at)
            })
            .await?;
        Ok(Step::Later {
            at,
            because: error.to_string(),
        })
    }

    async fn unmark(&self, intent: Intent, because: &str, now: Timestamp) -> Result<Step, DbError> {
        let (owner, words, at) = (
            self.owner.clone(),
            because.to_owned(),
            plus(now, self.limits.read_back_every),
        );
        let intent = Intent {
            state: IntentState::Sending,
            ..intent
        };
        self.db
            .write("intent.unmark", move |tx| {
                db::intents::attempt(tx, intent.id, &owner, "patch", ("not_sent", &words), now)?;
                put_back(tx, &intent, &owner, at, ("not_sent", &words), now)
            })
            .await?;
        Ok(Step::Later {
            at,
            because: because.to_owned(),
        })
    }

    async fn cancel(&self, intent: Intent, because: &str, now: Timestamp) -> Result<Step, DbError> {
        tracing::info!(event = "intent.cancelled", intent = intent.id.0, prefix = %intent.prefix, because);
        let (owner, words) = (self.owner.clone(), because.to_owned());
        self.db
            .write("intent.cancel", move |tx| {
                let change = Change {
                    outcome: Some(("cancelled", &words)),
                    release: true,
                    ..Change::default()
                };
                let step = (IntentState::Planned, IntentState::Cancelled);
                db::intents::transition(tx, intent.id, &owner, step, &change, now)
            })
            .await?;
        Ok(Step::Closed(IntentState::Cancelled))
    }

    async fn rest(&self, intent: &Intent, at: Timestamp, because: &str) -> Result<Step, DbError> {
        let (owner, id) = (self.owner.clone(), intent.id);
        self.db
            .write("intent.rest", move |tx| db::intents::rest(tx, id, &owner, at))
            .await?;
        Ok(Step::Later {
            at,
            because: because.to_owned(),
        })
    }
}

fn put_back(
    tx: &WriteTx<'_>,
    intent: &Intent,
    owner: &str,
    at: Timestamp,
    outcome: (&str, &str),
    now: Timestamp,
) -> Result<(), DbError> {
    if intent.state == IntentState::Planned {
        return db::intents::rest(tx, intent.id, owner, at);
    }
    let change = Change {
        outcome: Some(outcome),
        not_before: Some(at),
        release: true,
    };
    let step = (intent.state, IntentState::Planned);
    db::intents::transition(tx, intent.id, owner, step, &change, now)
}

/// Whether a re-read shows the wanted state. A withdrawal is shown by the flag alone: a new epoch
/// that began after our call would show as advertised and is a new advertisement.
fn shows(seen: &BgpPrefix, intent: &Intent) -> bool {
    if seen.prefix != intent.prefix {
        return false;
    }
    match (intent.act, seen.state.advertised) {
        (Act::Advertise, Some(true)) | (Act::Withdraw, Some(false)) => true,
        // Withdrawn by us and advertised anew by somebody since: the withdrawal did happen.
        (Act::Withdraw, Some(true)) => matches!(
            (seen.state.epoch(), intent.epoch, intent.sending_at),
            (Some(now), Some(meant), Some(sent)) if now != meant && now.0 > sent
        ),
        _ => false,
    }
}

/// Whether waiting may help although nobody does anything.
fn may_pass(error: &CfError) -> bool {
    error.class.is_passing() && !error.outcome_unknown()
}

/// Rule 11: everything that could forbid the call, in the transaction that marks it.
fn last_check(
    tx: &WriteTx<'_>,
    intent: &Intent,
    identity: Option<&(String, String)>,
    epoch: Option<domain::bgp::Epoch>,
    limits: &Limits,
    now: Timestamp,
) -> Result<Gate, DbError> {
    let cancelled = |because: String| Ok(Gate::Shut { because });
    let stored = db::intents::get(tx, intent.id)?;
    if stored.is_none_or(|stored| stored.state != IntentState::Planned) {
        return cancelled("it was closed meanwhile".into());
    }
    if let Some(other) = db::intents::in_flight(tx, intent.prefix, intent.id)? {
        // An advertise follows a sent withdrawal at once (rule 12): no waiting for its read-back.
        if intent.act == Act::Withdraw {
            return Ok(Gate::Wait {
                because: format!("intent {other} on the same prefix is under way"),
            });
        }
    }
    let Some((lease, owner)) = identity else {
        return Ok(Gate::Open);
    };
    if db::leases::get(tx, lease)?.is_none_or(|lease| lease.owner != *owner) {
        return cancelled("another process is the actor".into());
    }
    if intent.epoch.is_none() || intent.epoch != epoch {
        return cancelled("the advertisement is not the one that was decided on".into());
    }
    let holds = db::holds::in_force(tx, now)?;
    if let Some(hold) = domain::hold::in_force(&holds, intent.prefix, now) {
        return cancelled(format!("held by {}: {}", hold.actor, hold.reason));
    }
    let alerts = db::ledger::open(tx, minus(now, limits.open_alert_veto))?;
    if let Some(alert) = alerts.iter().find(|alert| alert.concerns(intent.prefix)) {
        return cancelled(format!("attack alert #{} is open", alert.event));
    }
    if Some(db::decisions::state(tx, intent.prefix)?.version) != intent.state_version {
        return Ok(Gate::Wait {
            because: "the decision was renewed meanwhile".into(),
        });
    }
    let evidence = match intent.evidence {
        Some(id) => db::decisions::evidence_at(tx, id)?,
        None => None,
    };
    match evidence {
        Some(at) if since(now, at) <= limits.evidence_age && at <= now => Ok(Gate::Open),
        _ => Ok(Gate::Wait {
            because: "the evidence is too old; waiting for the next cycle".into(),
        }),
    }
}
