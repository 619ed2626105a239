//! Takes the steps of filed intents until they are closed or the waiting is over, and says what happens meanwhile.
//!
//! Whoever claims an intent next goes on with it, so waiting may end at any time: what was sent is read back by the
//! daemon. Only a withdrawal that nobody would execute is taken back, so that it does not happen hours later.

use std::time::Duration;

use cli::life::AUTOWITHDRAW;
use cli::words::clock;
use cli::{Ink, ink, words};
use daemon::cli::{FinishFirst, Interrupts};
use db::intents::Intent;
use db::{Db, DbError};
use domain::ids::IntentId;
use domain::intent::{Act, IntentState};
use domain::prefix::Prefix;
use domain::time::plus;
use jiff::Timestamp;
use prefix_ops::{PrefixOps, Step};

use super::outcome::{Outcome, Outcomes, Result as ResultWord};
use crate::site::Site;

/// How soon an intent that another process works on is looked at again.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// How soon the journal is tried again when the database was busy.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// A filed intent.
#[derive(Debug, Clone, Copy)]
pub struct Filed {
    /// The prefix.
    pub prefix: Prefix,
    /// The intent.
    pub intent: IntentId,
}

/// What taking steps needs.
#[derive(Debug)]
pub struct Driver<'a> {
    /// Clock and output.
    pub site: &'a Site,
    /// The journal.
    pub db: &'a Db,
    /// The executor.
    pub ops: PrefixOps,
    /// Guards against Ctrl-C in the middle of a step.
    pub interrupts: Interrupts,
    /// Whether the daemon would go on with what is left.
    pub daemon_is_there: bool,
}

struct Open {
    filed: Filed,
    next: Timestamp,
    told: String,
}

/// What one look at an intent led to.
enum Turn {
    Closed(IntentState),
    Later { at: Timestamp, because: String },
    Lost(DbError),
}

impl Driver<'_> {
    /// Takes the steps. `guard` protects filing and the first step against Ctrl-C.
    pub async fn run(&self, act: Act, filed: Vec<Filed>, limit: Duration, guard: FinishFirst, outcomes: &mut Outcomes) {
        let began = self.site.now();
        let deadline = plus(began, limit);
        for filed in &filed {
            let text = format!(
                "{act} {}: filed as intent {}; Ctrl-C stops waiting, not the act\n",
                filed.prefix, filed.intent
            );
            self.site.out.aside(&text);
        }
        let mut open: Vec<Open> = filed
            .into_iter()
            .map(|filed| Open {
                filed,
                next: began,
                told: String::new(),
            })
            .collect();
        let mut guard = Some(guard);
        while !open.is_empty() {
            let mut still = Vec::new();
            for mut intent in open {
                if intent.next > self.site.now() {
                    still.push(intent);
                    continue;
                }
                match self.look(intent.filed).await {
                    Turn::Closed(state) => outcomes.add(self.closed(act, intent.filed, state).await),
                    Turn::Later { at, because } if at <= deadline => {
                        self.tell(act, &mut intent, &because);
                        intent.next = at;
                        still.push(intent);
                    }
                    Turn::Later { at, because } => {
                        outcomes.add(self.given_up(act, intent.filed, Some(at), &because).await);
                    }
                    Turn::Lost(error) => outcomes.add(self.lost(act, intent.filed, &error)),
                }
            }
            // Every intent has had its first step: from here on an interrupt leaves nothing half done.
            guard.take();
            open = still;
            let Some(next) = open.iter().map(|intent| intent.next).min() else {
                break;
            };
            if self.site.now() >= deadline {
                for intent in open {
                    let waited = format!("still not closed after {}", domain::duration::human(limit));
                    outcomes.add(self.given_up(act, intent.filed, None, &waited).await);
                }
                break;
            }
            let pause = Duration::try_from(next.min(deadline).duration_since(self.site.now())).unwrap_or_default();
            tokio::time::sleep(pause.max(Duration::from_millis(5))).await;
        }
    }

    /// One step, or a look at what another process makes of it.
    async fn look(&self, filed: Filed) -> Turn {
        let clock = || self.site.now();
        let step = {
            let _guard = self.interrupts.finish_first();
            self.ops.step(filed.intent, None, &clock).await
        };
        let now = self.site.now();
        match step {
            Ok(Step::Closed(state)) => Turn::Closed(state),
            Ok(Step::Later { at, because }) => Turn::Later { at, because },
            Ok(Step::NotOurs) => match self.intent(filed.intent).await {
                Ok(Some(intent)) if intent.state.is_open() => {
                    let who = intent
                        .lease_owner
                        .as_deref()
                        .map_or("", |owner| owner.split('/').next().unwrap_or(owner));
                    let because = if who.is_empty() || who == crate::PROGRAM {
                        format!(
                            "{}: {}",
                            intent.state,
                            intent.outcome_words.as_deref().unwrap_or("waiting")
                        )
                    } else {
                        format!("{} is at it ({})", words::outside(who, 60), intent.state)
                    };
                    let resting = intent
                        .not_before
                        .filter(|at| *at > now && intent.state == IntentState::Planned);
                    Turn::Later {
                        at: resting.unwrap_or_else(|| plus(now, WATCH_EVERY)),
                        because,
                    }
                }
                Ok(Some(intent)) => Turn::Closed(intent.state),
                Ok(None) => Turn::Lost(DbError::NotFound),
                Err(error) => Turn::Lost(error),
            },
            Err(error) if error.is_outage() => Turn::Later {
                at: plus(now, RETRY_EVERY),
                because: format!("the journal cannot be written: {error}"),
            },
            // Somebody else moved it first: the next look shows what they made of it.
            Err(DbError::Conflict { .. }) => Turn::Later {
                at: plus(now, WATCH_EVERY),
                because: "another process took it over".to_owned(),
            },
            Err(error) => Turn::Lost(error),
        }
    }

    async fn intent(&self, id: IntentId) -> Result<Option<Intent>, DbError> {
        self.db.read("intent", move |tx| db::intents::get(tx, id)).await
    }

    /// Progress, once per change.
    fn tell(&self, act: Act, intent: &mut Open, because: &str) {
        if intent.told != because {
            because.clone_into(&mut intent.told);
            let because = words::outside(because, words::LONG);
            let now = words::stamp(self.site.now());
            let line = ink(Ink::Faint, &format!("{now}  {act} {}: {because}", intent.filed.prefix));
            self.site.out.aside(&format!("{line}\n"));
        }
    }

    async fn closed(&self, act: Act, filed: Filed, state: IntentState) -> Outcome {
        let Filed { prefix, intent: id } = filed;
        let stored = self.intent(id).await.ok().flatten();
        let class = stored
            .as_ref()
            .and_then(|intent| intent.outcome_class.clone())
            .unwrap_or_default();
        let said = stored.and_then(|intent| intent.outcome_words).unwrap_or_default();
        let past = match act {
            Act::Advertise => "advertised",
            Act::Withdraw => "withdrawn",
        };
        let outcome = match (state, act) {
            (IntentState::Done, _) if class == "already" => Outcome::already(
                prefix,
                &format!("{prefix} was {past} already; nothing was sent (intent {id})"),
            ),
            (IntentState::Done, Act::Advertise) => {
                let text = format!(
                    "{prefix} is advertised, read back from Cloudflare (intent {id}); all traffic comes that way within 2 to 7 minutes"
                );
                Outcome::of(prefix, ResultWord::Done, "done", &text)
            }
            (IntentState::Done, Act::Withdraw) => {
                let text = format!(
                    "{prefix} is withdrawn, read back from Cloudflare (intent {id}); all traffic flows natively within about 15 minutes"
                );
                Outcome::of(prefix, ResultWord::Done, "done", &text)
            }
            (IntentState::Refused, _) => {
                let text = format!("{prefix} was not {past}: {said} (intent {id})");
                let outcome = Outcome::of(prefix, ResultWord::Refused, &class, &text);
                if is_a_rule(&class) {
                    outcome
                } else {
                    outcome.exit(daemon::exit::FAILURE)
                }
            }
            (IntentState::Cancelled, _) => {
                let text = format!("{prefix} was not {past}: intent {id} was cancelled before it was sent: {said}");
                Outcome::of(prefix, ResultWord::Cancelled, "cancelled", &text)
            }
            _ => {
                let text = format!("it is not known whether {prefix} was {past}: {said} (intent {id})");
                Outcome::of(prefix, ResultWord::Unresolved, "unresolved", &text)
                    .remedy("look at it in Cloudflare's dashboard; people were told by a critical message")
            }
        };
        outcome.intent(id)
    }

    /// The waiting is over before the intent is closed.
    async fn given_up(&self, act: Act, filed: Filed, again: Option<Timestamp>, because: &str) -> Outcome {
        let Filed { prefix, intent: id } = filed;
        let now = self.site.now();
        let stored = self.intent(id).await.ok().flatten();
        let class = stored
            .as_ref()
            .and_then(|intent| intent.outcome_class.clone())
            .unwrap_or_default();
        let unsent = stored.is_some_and(|intent| !intent.state.may_have_been_sent());
        let code = if class.is_empty() { "open" } else { &class };
        let exit = if is_a_rule(&class) {
            cli::trouble::BLOCKED
        } else {
            daemon::exit::FAILURE
        };
        if unsent && act == Act::Withdraw && !self.daemon_is_there && self.take_back(prefix).await {
            let text = format!(
                "{prefix} was not withdrawn, and its intent {id} was taken back because nobody would go on with it: {because}"
            );
            return Outcome::of(prefix, ResultWord::Cancelled, code, &text)
                .intent(id)
                .exit(exit);
        }
        let goes_on = match (self.daemon_is_there, again) {
            (true, Some(at)) => format!("{AUTOWITHDRAW} tries it again at {}", clock(at, now)),
            (true, None) => format!("{AUTOWITHDRAW} goes on with it"),
            (false, _) => format!("{AUTOWITHDRAW} goes on with it when it runs again; it does not run now"),
        };
        let text = format!("{act} {prefix} is not done yet: {because}; {goes_on} (intent {id})");
        let remedy = format!("'{} history {prefix}' shows what becomes of it", crate::PROGRAM);
        Outcome::of(prefix, ResultWord::Open, code, &text)
            .intent(id)
            .exit(exit)
            .remedy(&remedy)
    }

    /// Cancels unsent withdrawals of the prefix; whether it worked.
    async fn take_back(&self, prefix: Prefix) -> bool {
        let now = self.site.now();
        let cancelled = self
            .db
            .write("intent.take_back", move |tx| {
                db::intents::cancel_unsent(tx, prefix, false, "taken back: nobody would go on with it", now)
            })
            .await;
        cancelled.is_ok_and(|cancelled| cancelled > 0)
    }

    fn lost(&self, act: Act, filed: Filed, error: &DbError) -> Outcome {
        let text = format!(
            "what became of intent {} ({act} {}) cannot be read: {}",
            filed.intent,
            filed.prefix,
            cli::trouble::chain(error)
        );
        Outcome::of(filed.prefix, ResultWord::Failed, error.code(), &text).intent(filed.intent)
    }
}

/// Whether a refusal of this class is a rule at work (Cloudflare's or ours) and no fault.
fn is_a_rule(class: &str) -> bool {
    matches!(
        class,
        "locked" | "not_controllable" | "rate_limited" | "refused" | "epoch_unknown" | "conflict"
    )
}
