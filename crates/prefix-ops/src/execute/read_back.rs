//! Success is what a re-read shows. A withdrawal is never repeated; an advertise that a read shows
//! withdrawn is asserted again (rule 12): advertising twice harms nobody, not being advertised may.

use db::DbError;
use db::intents::{Change, Intent};
use domain::intent::{Act, IntentState, gives_up, may_assert_again, shows, shows_another};
use domain::time::{minus, plus};
use jiff::Timestamp;

use super::outcome::Closing;
use super::{Clock, PrefixOps, Step, entry_of};
use crate::record;

impl PrefixOps {
    pub(super) async fn read_back(&self, intent: Intent, clock: Clock<'_>) -> Result<Step, DbError> {
        let read = self.api.get_bgp_prefix(&intent.prefix_id, &intent.bgp_prefix_id).await;
        let now = clock();
        let shown = match read {
            Ok(seen) if seen.prefix == intent.prefix && shows(&seen.state, &entry_of(&intent)) => {
                let closing = Closing::ReadBack {
                    overtaken_since: minus(now, self.limits.overtaken_for),
                };
                match self.close(intent.clone(), seen, closing, now).await? {
                    Some(step) => return Ok(step),
                    None => "it is advertised, and a withdrawal of ours may still arrive".to_owned(),
                }
            }
            Ok(seen) if seen.prefix != intent.prefix => {
                format!("the ids belong to {} now", seen.prefix)
            }
            Ok(seen) => match seen.state.advertised {
                Some(true) if shows_another(&seen.state, &entry_of(&intent)) => {
                    "it is advertised anew; whether the withdrawal took effect in between nobody can tell".to_owned()
                }
                Some(true) => "it is still advertised".to_owned(),
                Some(false) => {
                    if intent.act == Act::Advertise {
                        self.assert_again(&intent, clock).await?;
                    }
                    "it is still withdrawn".to_owned()
                }
                None => "Cloudflare does not say whether it is advertised".to_owned(),
            },
            Err(error) => format!("it could not be read: {error}"),
        };
        if !gives_up(&entry_of(&intent), &self.limits, now) {
            return self.rest(&intent, plus(now, self.limits.read_back_every), &shown).await;
        }
        self.give_up(intent, shown, now).await
    }

    /// Sends an advertise once more, when the last time is long enough ago and it is still wanted.
    async fn assert_again(&self, intent: &Intent, clock: Clock<'_>) -> Result<(), DbError> {
        let (owner, id, prefix, now) = (self.owner.clone(), intent.id, intent.prefix, clock());
        let (entry, limits) = (entry_of(intent), self.limits);
        if gives_up(&entry, &limits, now) {
            return Ok(());
        }
        let due = self
            .db
            .write("intent.assert", move |tx| {
                let attempts = db::intents::attempts(tx, id)?;
                let last = attempts.iter().rev().find(|attempt| attempt.step == "patch");
                // Whoever asked for something after it wants that.
                let newest = db::intents::newest(tx, Some(prefix), 1)?;
                let newest = newest.first().map(|newest| newest.id);
                if !may_assert_again(&entry, newest, last.map(|last| last.at), &limits, now) {
                    return Ok(false);
                }
                db::intents::extend_lease(tx, id, &owner, limits.lease, now)?;
                db::intents::attempt(tx, id, &owner, "patch", ("asserting_again", ""), now)?;
                Ok(true)
            })
            .await?;
        if !due {
            return Ok(());
        }
        tracing::warn!(event = "intent.asserted_again", intent = id.0, prefix = %intent.prefix);
        let (class, words) = match self.change(intent, None, clock).await {
            Some(Ok(_)) => ("accepted", "Cloudflare registered the request".to_owned()),
            Some(Err(error)) => (error.class.as_str(), error.to_string()),
            None => ("abandoned", "the process stood still during the call".to_owned()),
        };
        let (owner, now) = (self.owner.clone(), clock());
        self.db
            .write("intent.asserted", move |tx| {
                db::intents::attempt(tx, id, &owner, "patch", (class, &words), now)
            })
            .await
    }

    async fn give_up(&self, intent: Intent, shown: String, now: Timestamp) -> Result<Step, DbError> {
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
}
