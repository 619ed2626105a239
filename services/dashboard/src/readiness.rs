//! Whether diversion would work if it began now: per prefix the rule that would notice, the lock, the way back; for the
//! account the token, the notifications, the people who would hear of it.
//!
//! Pure: everything that was read comes in. Must hold: what was not read, or not lately, is unknown and never fine; each
//! finding that is not fine says what to do. Nothing is changed or tried out here.

mod account;
mod network;

use std::time::Duration;

use cf_api::graphql::tunnel_health::TunnelHealth;
use cf_api::rest::alerting::AlertPolicy;
use cf_api::rest::tokens::TokenStatus;
use cf_api::rest::tunnels::{Route, Tunnel};
use db::inventory::{Entry, MonitoringRule};
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::Serialize;
use settings::Settings;

use crate::overview::Overview;
use crate::overview::state::Tone;
use crate::picture::Part;
use crate::upstream::Reading;

/// Rules change seldom, and are read again at least every few hours.
const RULES_BELIEVED_FOR: Duration = Duration::from_secs(86_400);

/// What a finding means for the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// As it should be.
    Fine,
    /// It would work, but somebody should look.
    Doubt,
    /// It is not known.
    Unknown,
    /// It would not work.
    Stops,
}

impl Answer {
    pub(crate) fn tone(self) -> Tone {
        match self {
            Self::Fine => Tone::Good,
            Self::Doubt | Self::Stops => Tone::Warn,
            Self::Unknown => Tone::Unknown,
        }
    }

    /// For one finding.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Doubt => "look at it",
            Self::Unknown => "unknown",
            Self::Stops => "stops it",
        }
    }

    /// For everything about a prefix.
    pub(crate) fn verdict(self) -> &'static str {
        match self {
            Self::Fine => "would work",
            Self::Doubt => "would work, but",
            Self::Unknown => "not known",
            Self::Stops => "would not work",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) what: &'static str,
    pub(crate) answer: Answer,
    /// What was found, one sentence.
    pub(crate) found: String,
    /// What to do about it; empty when nothing.
    pub(crate) remedy: String,
}

impl Check {
    fn new(what: &'static str, answer: Answer, found: impl Into<String>, remedy: &str) -> Self {
        Self {
            what,
            answer,
            found: found.into(),
            remedy: if answer == Answer::Fine {
                String::new()
            } else {
                remedy.to_owned()
            },
        }
    }
}

/// The answer for one prefix.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Ready {
    pub(crate) prefix: Prefix,
    pub(crate) description: String,
    /// The worst of its own findings; a doubt when only something of the account is amiss.
    pub(crate) answer: Answer,
    pub(crate) verdict: &'static str,
    pub(crate) checks: Vec<Check>,
}

/// The answer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Readiness {
    pub(crate) at: Timestamp,
    pub(crate) prefixes: Vec<Ready>,
    /// Findings that concern every prefix.
    pub(crate) account: Vec<Check>,
}

/// Everything that was read.
pub(crate) struct Facts<'a> {
    pub(crate) now: Timestamp,
    pub(crate) settings: &'a Settings,
    pub(crate) overview: &'a Overview,
    pub(crate) inventory: &'a Part<Vec<Entry>>,
    pub(crate) rules: &'a Part<Vec<(MonitoringRule, Timestamp)>>,
    /// Of every kind.
    pub(crate) tunnels: [Reading<Vec<Tunnel>>; 3],
    pub(crate) routes: Reading<Vec<Route>>,
    pub(crate) health: Reading<TunnelHealth>,
    pub(crate) policies: Reading<Vec<AlertPolicy>>,
    pub(crate) token: Reading<TokenStatus>,
}

impl Readiness {
    pub(crate) fn of(facts: &Facts<'_>) -> Self {
        let account = account::checks(facts);
        let shared = account.iter().map(|check| check.answer).max().unwrap_or(Answer::Fine);
        let prefixes = facts
            .overview
            .prefixes
            .iter()
            .map(|view| {
                let checks = network::checks(view, facts);
                let own = checks.iter().map(|check| check.answer).max().unwrap_or(Answer::Unknown);
                // Cloudflare's own rules advertise without anything of ours, so what is amiss here is a doubt and no more.
                let answer = own.max(shared.min(Answer::Doubt));
                Ready {
                    prefix: view.prefix,
                    description: view.description.clone(),
                    answer,
                    verdict: answer.verdict(),
                    checks,
                }
            })
            .collect();
        Self {
            at: facts.now,
            prefixes,
            account,
        }
    }

    /// Prefixes with this answer.
    pub(crate) fn count(&self, answer: Answer) -> usize {
        self.prefixes.iter().filter(|ready| ready.answer == answer).count()
    }
}

impl Facts<'_> {
    /// Every tunnel that was read; `None` when a kind could not be.
    fn all_tunnels(&self) -> Option<Vec<&Tunnel>> {
        let lists: Option<Vec<&Vec<Tunnel>>> = self.tunnels.iter().map(Reading::current).collect();
        Some(lists?.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests;
