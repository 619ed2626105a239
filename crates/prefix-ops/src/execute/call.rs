//! The call itself: at most one per mark, and none that starts late.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use cf_api::CfError;
use cf_api::rest::prefixes::AdvertisePermit;
use db::DbError;
use db::intents::{Change, Intent};
use domain::bgp::BgpPrefix;
use domain::intent::{IntentState, is_too_late};

use super::{Clock, PrefixOps, Step};
use crate::limits::Actor;

impl PrefixOps {
    /// Makes the call of an intent that is marked `sending`. `actor` is the automatic one.
    pub(super) async fn call(
        &self,
        intent: Intent,
        actor: Option<&dyn Actor>,
        clock: Clock<'_>,
    ) -> Result<Step, DbError> {
        tracing::info!(
            event = "intent.sending",
            intent = intent.id.0,
            act = intent.act.as_str(),
            prefix = %intent.prefix,
            reason = intent.reason,
        );
        match self.change(&intent, actor, clock).await {
            Some(Ok(_)) => {
                self.verify(intent, "accepted", "Cloudflare registered the request", clock)
                    .await
            }
            Some(Err(error)) if error.outcome_unknown() => {
                tracing::warn!(event = "intent.answer_lost", intent = intent.id.0, prefix = %intent.prefix, error = %error);
                self.verify(intent, "answer_lost", &error.to_string(), clock).await
            }
            Some(Err(error)) => {
                self.refused_for_now(intent, IntentState::Sending, "patch", &error, clock())
                    .await
            }
            None => {
                tracing::warn!(event = "intent.call_abandoned", intent = intent.id.0, prefix = %intent.prefix);
                let words = "the process stood still during the call; it may have been sent";
                self.verify(intent, "abandoned", words, clock).await
            }
        }
    }

    /// One request. `None` when it was not over in time: a process that was stopped and wakes up
    /// must not send what it was allowed to send long ago.
    pub(super) async fn change(
        &self,
        intent: &Intent,
        actor: Option<&dyn Actor>,
        clock: Clock<'_>,
    ) -> Option<Result<BgpPrefix, CfError>> {
        let begun = clock();
        let too_late = || is_too_late(begun, actor.map(Actor::since_bump), &self.limits, clock());
        let sending = self.api.set_advertised(
            AdvertisePermit::issued_by_prefix_ops(),
            &intent.prefix_id,
            &intent.bgp_prefix_id,
            intent.act.wanted(),
        );
        unless(too_late, sending).await
    }

    async fn verify(&self, intent: Intent, class: &str, words: &str, clock: Clock<'_>) -> Result<Step, DbError> {
        let (owner, id, now) = (self.owner.clone(), intent.id, clock());
        let (class, words, lease) = (class.to_owned(), words.to_owned(), self.limits.lease);
        self.db
            .write("intent.verifying", move |tx| {
                let step = (IntentState::Sending, IntentState::Verifying);
                db::intents::transition(tx, id, &owner, step, &Change::default(), now)?;
                db::intents::attempt(tx, id, &owner, "patch", (&class, &words), now)?;
                db::intents::extend_lease(tx, id, &owner, lease, now)
            })
            .await?;
        let intent = Intent {
            state: IntentState::Verifying,
            ..intent
        };
        self.read_back(intent, clock).await
    }

    /// A crash between mark and answer: whether the call was made is not known. Read, never repeat.
    pub(super) async fn recover(&self, intent: Intent, clock: Clock<'_>) -> Result<Step, DbError> {
        tracing::warn!(event = "intent.recovered", intent = intent.id.0, prefix = %intent.prefix);
        let words = "found marked as sending; nobody recorded an answer";
        self.verify(intent, "recovered", words, clock).await
    }
}

/// Goes on with `work` as long as `too_late` says no, which is asked before every bit of it.
async fn unless<T>(too_late: impl Fn() -> bool, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        if too_late() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn nothing_goes_on_after_its_time() {
        let (late, steps) = (Cell::new(false), Cell::new(0));
        let work = async {
            steps.set(1);
            // As if the process were stopped here.
            late.set(true);
            tokio::task::yield_now().await;
            steps.set(2);
        };
        assert!(unless(|| late.get(), work).await.is_none());
        assert_eq!(steps.get(), 1, "what came after the stop was not done");
        assert_eq!(unless(|| false, async { 7 }).await, Some(7));
    }
}
