//! How a step ends: closed with its record, put back, or left open for later.

use cf_api::CfError;
use db::intents::{Change, Intent};
use db::{DbError, WriteTx};
use domain::bgp::BgpPrefix;
use domain::intent::{Act, Entry, IntentState, pause, withdrawal_may_arrive};
use domain::time::plus;
use jiff::Timestamp;

use super::{PrefixOps, Step, entry_of};
use crate::record;

/// What a read showed that closes an intent as done.
#[derive(Debug, Clone, Copy)]
pub(super) enum Closing {
    /// It was so before any call.
    Already,
    /// It is so after the call. A withdrawal sent after `overtaken_since` may still arrive.
    ReadBack { overtaken_since: Timestamp },
}

impl PrefixOps {
    /// Closes an intent as done. `None` when it is an advertise and a withdrawal of ours that was
    /// sent may yet undo what the read shows.
    pub(super) async fn close(
        &self,
        intent: Intent,
        seen: BgpPrefix,
        closing: Closing,
        now: Timestamp,
    ) -> Result<Option<Step>, DbError> {
        let (owner, id, act, prefix) = (self.owner.clone(), intent.id, intent.act, intent.prefix);
        let closed = self
            .db
            .write("intent.done", move |tx| {
                let since = match closing {
                    Closing::Already => Timestamp::MIN,
                    Closing::ReadBack { overtaken_since } => overtaken_since,
                };
                if intent.act == Act::Advertise {
                    let open: Vec<Entry> = db::intents::open(tx)?.iter().map(entry_of).collect();
                    if withdrawal_may_arrive(&open, intent.prefix, since) {
                        return Ok(false);
                    }
                }
                let was_there = matches!(closing, Closing::Already);
                record::done(tx, &intent, &owner, &seen, was_there, now)?;
                Ok(true)
            })
            .await?;
        if !closed {
            return Ok(None);
        }
        tracing::info!(
            event = "intent.done",
            intent = id.0,
            act = act.as_str(),
            prefix = %prefix,
            already = matches!(closing, Closing::Already),
        );
        Ok(Some(Step::Closed(IntentState::Done)))
    }

    /// A refusal that will not pass by itself. A person gets an answer; automation goes on wanting
    /// it as long as calm holds, it just does not hammer.
    pub(super) async fn refuse(
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
        let retry_at = intent
            .origin
            .is_automatic()
            .then(|| plus(now, self.limits.retry_after.saturating_mul(16)));
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
    pub(super) async fn refused_for_now(
        &self,
        intent: Intent,
        from: IntentState,
        step: &'static str,
        error: &CfError,
        now: Timestamp,
    ) -> Result<Step, DbError> {
        let intent = Intent { state: from, ..intent };
        if !error.class.is_passing() {
            let class = error.class.as_str();
            return self.refuse(intent, step, class, &error.to_string(), now).await;
        }
        tracing::warn!(event = "intent.postponed", intent = intent.id.0, prefix = %intent.prefix, step, error = %error);
        let (owner, class, words) = (self.owner.clone(), error.class.as_str().to_owned(), error.to_string());
        let (told, limits) = (error.retry_after, self.limits);
        let at = self
            .db
            .write("intent.postponed", move |tx| {
                let failures = db::intents::attempts(tx, intent.id)?
                    .iter()
                    .filter(|attempt| attempt.class != "sending")
                    .count();
                let at = plus(now, pause(intent.act, failures, told, &limits));
                db::intents::attempt(tx, intent.id, &owner, step, (&class, &words), now)?;
                // Automation that cannot read is announced as blind; a person waits for this one.
                if step == "patch" || !intent.origin.is_automatic() {
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

    /// Takes back the mark of a call that was provably not made.
    pub(super) async fn unmark(&self, intent: Intent, because: &str, now: Timestamp) -> Result<Step, DbError> {
        let (owner, words) = (self.owner.clone(), because.to_owned());
        let at = plus(now, self.limits.read_back_every);
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

    pub(super) async fn cancel(&self, intent: Intent, because: &str, now: Timestamp) -> Result<Step, DbError> {
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

    pub(super) async fn rest(&self, intent: &Intent, at: Timestamp, because: &str) -> Result<Step, DbError> {
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
