//! How long Cloudflare wants between two opposite changes of a prefix. It documents nothing, so this is learnt from what
//! the journal of acts remembers: how long after the last change it refused one, and how long after it took one. Advice
//! only: Cloudflare's answer decides.

use std::time::Duration;

use db::{DbError, ReadTx};
use domain::duration::human;
use domain::intent::Act;
use domain::time::since;
use jiff::Timestamp;
use serde::Serialize;

/// Acts looked through.
const MOST: u32 = 200;

/// Withdrawals looked through for the change before an advertise.
const MOST_WITHDRAWALS: u32 = 1_000;

/// What was learnt of one kind of change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Learnt {
    /// The longest time after the last change at which Cloudflare refused for its rate, seconds.
    pub refused_after_s: Option<u64>,
    /// The shortest time after the last change at which it took the next, seconds.
    pub taken_after_s: Option<u64>,
}

impl Learnt {
    fn take(&mut self, elapsed: Duration, refused: bool) {
        let elapsed = elapsed.as_secs();
        if refused {
            self.refused_after_s = Some(self.refused_after_s.map_or(elapsed, |known| known.max(elapsed)));
        } else {
            self.taken_after_s = Some(self.taken_after_s.map_or(elapsed, |known| known.min(elapsed)));
        }
    }

    /// One clause about a change `elapsed` after the last one; `None` when nothing is known that speaks against it.
    pub fn advice(&self, elapsed: Duration) -> Option<String> {
        let refused = Duration::from_secs(self.refused_after_s?);
        if elapsed > refused {
            return None;
        }
        let taken = self.taken_after_s.map_or_else(String::new, |after| {
            format!(", and took one {} after it", human(Duration::from_secs(after)))
        });
        Some(format!(
            "Cloudflare has refused such a change {} after the last one{taken}; it may refuse this one too",
            human(refused)
        ))
    }
}

/// What was learnt of both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CoolDowns {
    /// Advertising after a withdrawal.
    pub advertise: Learnt,
    /// Withdrawing after an advertisement.
    pub withdraw: Learnt,
}

impl CoolDowns {
    /// That of `act`.
    pub fn of(&self, act: Act) -> Learnt {
        match act {
            Act::Advertise => self.advertise,
            Act::Withdraw => self.withdraw,
        }
    }

    /// Learns from the journal.
    ///
    /// # Errors
    /// Those of the database.
    pub fn learn(tx: &ReadTx<'_>) -> Result<Self, DbError> {
        let withdrawals = db::history::newest(tx, None, MOST_WITHDRAWALS)?;
        let mut learnt = Self::default();
        for intent in db::intents::newest(tx, None, MOST)? {
            let name = intent.prefix.to_string();
            for attempt in db::intents::attempts(tx, intent.id)? {
                let refused = match (attempt.step.as_str(), attempt.class.as_str()) {
                    ("patch", "rate_limited") => true,
                    ("patch", "accepted") => false,
                    _ => continue,
                };
                let before = match intent.act {
                    Act::Withdraw => intent.epoch.map(|epoch| epoch.0),
                    Act::Advertise => last_withdrawn(&withdrawals, &name, attempt.at),
                };
                let Some(before) = before.filter(|before| *before <= attempt.at) else {
                    continue;
                };
                let of = match intent.act {
                    Act::Advertise => &mut learnt.advertise,
                    Act::Withdraw => &mut learnt.withdraw,
                };
                of.take(since(attempt.at, before), refused);
            }
        }
        Ok(learnt)
    }
}

fn last_withdrawn(rows: &[db::history::HistoryRow], prefix: &str, before: Timestamp) -> Option<Timestamp> {
    let of_it = rows.iter().filter(|row| row.prefix == prefix);
    of_it
        .filter_map(|row| row.withdrawn_at)
        .filter(|at| *at <= before)
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_follows_what_cloudflare_answered() {
        let seconds = Duration::from_secs;
        let mut learnt = Learnt::default();
        assert_eq!(learnt.advice(seconds(1)), None, "nothing is known");
        learnt.take(seconds(1_200), false);
        assert_eq!(learnt.advice(seconds(1)), None, "it never refused");
        learnt.take(seconds(300), true);
        learnt.take(seconds(600), true);
        learnt.take(seconds(960), false);
        assert_eq!((learnt.refused_after_s, learnt.taken_after_s), (Some(600), Some(960)));
        let advice = learnt.advice(seconds(60)).unwrap();
        assert!(advice.contains("10 min") && advice.contains("16 min"), "{advice}");
        assert_eq!(learnt.advice(seconds(601)), None);
    }
}
