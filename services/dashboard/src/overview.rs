//! The situation as people and programs are shown it: the picture of the database, judged at this moment.
//!
//! Pure: picture, settings and clock come in. Pages, `/api/overview` and the live stream all show this one value, so
//! they cannot differ. Must hold: what is not known is counted and named as unknown, never as none.
//!
//! | Module | Holds |
//! |---|---|
//! | [`state`] | the words |
//! | [`sign`] | which services are there |
//! | [`prefix`], [`why`] | one prefix: state, reasons, next action |
//! | [`current`] | what is happening now |
//! | [`automation`], [`messages`], [`log`], [`rules`], [`sources`], [`tunnels`] | the other parts of the page |

pub(crate) mod automation;
pub(crate) mod current;
pub(crate) mod log;
pub(crate) mod messages;
pub(crate) mod prefix;
pub(crate) mod rules;
pub(crate) mod sign;
pub(crate) mod sources;
pub(crate) mod state;
pub(crate) mod tunnels;
pub(crate) mod why;

use std::collections::BTreeMap;

use db::decisions::Now;
use db::incidents::Incident;
use db::inventory::Entry;
use domain::alert::OpenAlert;
use domain::hold::Hold;
use domain::prefix::Prefix;
use domain::time::since;
use jiff::Timestamp;
use serde::Serialize;
use settings::Settings;

use automation::Automation;
use current::Current;
use log::LogRow;
use messages::Messages;
use prefix::{Known, PrefixView, Sight};
use rules::Coverage;
use sign::{AUTOWITHDRAW, Life, Service};
use sources::{Quota, Source};
use state::{State, Tone};
use tunnels::Tunnels;

use crate::picture::{Part, Picture};

/// After this time without a sign, while others give one, a prefix that is not configured has left the account.
const GONE_AFTER: std::time::Duration = std::time::Duration::from_secs(86_400);

/// A minute is read when it is over.
const LEAST_MINUTE: std::time::Duration = std::time::Duration::from_secs(120);

/// Everything the main page shows.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Overview {
    /// Grows with every change.
    pub(crate) version: u64,
    /// Now, by the server's clock.
    pub(crate) at: Timestamp,
    pub(crate) status: Status,
    pub(crate) automation: Automation,
    pub(crate) now: Vec<Current>,
    pub(crate) prefixes: Vec<PrefixView>,
    pub(crate) incidents: Vec<Incident>,
    pub(crate) log: Vec<LogRow>,
    pub(crate) services: Vec<Service>,
    /// `None` when the outbox could not be read; why is in `troubles`.
    pub(crate) messages: Option<Messages>,
    pub(crate) last_delivery_at: Option<Timestamp>,
    pub(crate) coverage: Coverage,
    pub(crate) tunnels: Tunnels,
    /// How fresh the page's sources are.
    pub(crate) sources: Vec<Source>,
    pub(crate) quotas: Vec<Quota>,
    /// Parts that could not be read, with why.
    pub(crate) troubles: Vec<Trouble>,
}

/// A part that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Trouble {
    pub(crate) part: &'static str,
    pub(crate) text: String,
}

/// The status line in numbers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Status {
    /// Prefixes in all.
    pub(crate) prefixes: usize,
    /// Known to be advertised.
    pub(crate) protected: usize,
    /// Not known whether they are.
    pub(crate) unknown: usize,
    /// Known to be attacked.
    pub(crate) under_attack: usize,
    /// Of which it is not known.
    pub(crate) attack_uncertain: usize,
    /// An alert is open and the traffic is not scrubbed.
    pub(crate) exposed: usize,
    /// An alert is open and nothing can be said about the traffic.
    pub(crate) alerted_blindly: usize,
    /// The oldest answer of the automation; `None` when there is none. A prefix without any is unknown, and counted so.
    pub(crate) data_at: Option<Timestamp>,
    /// What the title and the icon show.
    pub(crate) worst: Worst,
    pub(crate) title: String,
}

/// The icon of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Worst {
    /// An attack, or an alert on a prefix that is not protected or of which nothing is known.
    Attack,
    /// Something is not known that should be.
    Unknown,
    /// A person should look, but traffic is not in danger.
    Warn,
    /// At least one prefix is advertised.
    Protected,
    /// All are direct, all is known.
    Direct,
}

impl Worst {
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Attack => "attack",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Protected => "protected",
            Self::Direct => "direct",
        }
    }
}

impl Overview {
    /// Judges the picture at `now`.
    pub(crate) fn of(picture: &Picture, settings: &Settings, now: Timestamp) -> Self {
        let mut troubles = Troubles(Vec::new());
        let beats = troubles.take("services", &picture.services);
        let services = sign::services(beats, now);
        let entries = troubles.take("prefixes", &picture.inventory);
        let decisions = troubles.take("decisions", &picture.decisions);
        // A hold could have ended since the picture was read.
        let holds: Vec<Hold> = troubles
            .take("holds", &picture.holds)
            .iter()
            .filter(|hold| hold.until.is_none_or(|until| now < until))
            .cloned()
            .collect();
        let alerts = troubles.take("alerts", &picture.alerts);
        let missing = Service::default_of(AUTOWITHDRAW);
        let automation_service = services
            .iter()
            .find(|service| service.name == AUTOWITHDRAW)
            .unwrap_or(&missing);
        let believed_for = prefix::believed_for(&settings.autowithdraw);
        let sight = Sight {
            now,
            automation: automation_service,
            holds: &holds,
            holds_are_known: picture.holds.is_ok(),
            alerts,
            intents: troubles.take("intents", &picture.intents),
            believed_for,
            advertisement_spreads: settings.autowithdraw.propagation,
            settle: settings.autowithdraw.settle,
            unreadable: picture.decisions.as_ref().err().map(|unreadable| unreadable.0.as_str()),
        };
        let prefixes: Vec<PrefixView> = known(entries, decisions, settings)
            .into_iter()
            .map(|known| prefix::judge(known, &sight))
            .collect();
        let pause = holds
            .iter()
            .filter(|hold| hold.prefix.is_none())
            .max_by_key(|hold| hold.until.unwrap_or(Timestamp::MAX));
        let automation = Automation::of(
            automation_service,
            decisions,
            settings.autowithdraw.mode,
            pause,
            believed_for,
            now,
        );
        let ongoing = troubles.take("incidents", &picture.ongoing);
        let messages = troubles
            .note("messages", &picture.outbox)
            .map(|outbox| Messages::of(outbox, now));
        let now_lines = current::lines(ongoing, &prefixes, alerts, now);
        let last_delivery_at = troubles.note("deliveries", &picture.last_delivery).copied().flatten();
        let minute = troubles.note("traffic", &picture.minute).copied().flatten();
        let coverage = Coverage::of(troubles.take("monitoring rules", &picture.rules), &prefixes, now);
        let tunnels = Tunnels::of(troubles.take("tunnels", &picture.tunnels), picture.tunnels.is_ok(), now);
        let quotas = sources::quotas(troubles.take("calls", &picture.calls), now);
        let status = Status::of(
            &prefixes,
            &services,
            &automation,
            messages.as_ref(),
            alerts,
            &troubles.0,
        );
        // A poll may be late by one, and its newest minutes are left to settle.
        let polled = settings.analytics.poll_interval * 2 + settings.analytics.settle + LEAST_MINUTE;
        let read_at = prefixes
            .iter()
            .filter(|view| view.managed)
            .filter_map(|view| view.read_at)
            .min();
        let sources = vec![
            Source::of("BGP state", read_at, Some(believed_for), now),
            Source::of("traffic judged", status.data_at, Some(believed_for), now),
            Source::of("analytics read until", minute, Some(polled), now),
            Source::of(
                "rules read",
                coverage.read_at,
                Some(std::time::Duration::from_secs(86_400)),
                now,
            ),
            Source::of("last notification", last_delivery_at, None, now),
        ];
        Self {
            version: picture.version,
            at: now,
            coverage,
            tunnels,
            sources,
            quotas,
            status,
            automation,
            now: now_lines,
            prefixes,
            incidents: troubles.take("incident list", &picture.recent).to_vec(),
            log: troubles.take("log", &picture.log).iter().map(LogRow::of).collect(),
            services,
            messages,
            last_delivery_at,
            troubles: troubles.0,
        }
    }

    /// Why a part of the page could not be read.
    pub(crate) fn trouble(&self, part: &str) -> Option<&Trouble> {
        self.troubles.iter().find(|trouble| trouble.part == part)
    }

    /// The prefix, if it is known.
    pub(crate) fn prefix(&self, prefix: Prefix) -> Option<&PrefixView> {
        self.prefixes.iter().find(|view| view.prefix == prefix)
    }

    /// Prefixes in the order they need a person.
    pub(crate) fn by_urgency(&self) -> Vec<&PrefixView> {
        let mut views: Vec<&PrefixView> = self.prefixes.iter().collect();
        views.sort_by_key(|view| (!view.is_exposed(), view.state.urgency(), view.prefix));
        views
    }
}

/// Every prefix that is known from anywhere, in network order: read at Cloudflare, judged by the automation, or
/// configured. A configured prefix that was never read is unknown, not absent.
fn known<'a>(entries: &'a [Entry], decisions: &'a [Now], settings: &'a Settings) -> Vec<Known<'a>> {
    let managed = settings.managed_prefixes();
    let mut all: BTreeMap<Prefix, Known<'a>> = BTreeMap::new();
    let blank = |prefix| Known {
        prefix,
        entry: None,
        decided: None,
        managed: managed.contains(&prefix),
        configured: managed.contains(&prefix) || settings.mapped(prefix).is_some(),
        description: settings.mapped(prefix).and_then(|mapped| mapped.description.as_deref()),
    };
    for prefix in &managed {
        all.insert(*prefix, blank(*prefix));
    }
    for mapped in &settings.mapping {
        all.entry(mapped.prefix).or_insert_with(|| blank(mapped.prefix));
    }
    for entry in entries {
        let prefix = entry.prefix.prefix;
        let known = all.entry(prefix).or_insert_with(|| blank(prefix));
        known.entry = Some(entry);
        known.managed |= entry.managed;
    }
    for decided in decisions {
        all.entry(decided.prefix)
            .or_insert_with(|| blank(decided.prefix))
            .decided = Some(decided);
    }
    let newest = all.values().filter_map(Known::last_sign).max();
    all.into_values().filter(|known| !is_gone(known, newest)).collect()
}

/// No longer among the account's prefixes: not configured, and not seen for a day in which others were. While nothing
/// at all is read nobody is gone, only unknown.
fn is_gone(known: &Known<'_>, newest: Option<Timestamp>) -> bool {
    let failing = known.entry.is_some_and(|entry| entry.error.is_some());
    let left_behind = known
        .last_sign()
        .zip(newest)
        .is_some_and(|(last, newest)| since(newest, last) > GONE_AFTER);
    !known.configured && !failing && left_behind
}

impl Status {
    fn of(
        prefixes: &[PrefixView],
        services: &[Service],
        automation: &Automation,
        messages: Option<&Messages>,
        alerts: &[OpenAlert],
        troubles: &[Trouble],
    ) -> Self {
        let count = |test: &dyn Fn(&PrefixView) -> bool| prefixes.iter().filter(|view| test(view)).count();
        let mut status = Self {
            prefixes: prefixes.len(),
            protected: count(&|view| view.advertised == Some(true)),
            unknown: count(&|view| view.state == State::Unknown),
            under_attack: count(&|view| view.state == State::UnderAttack),
            attack_uncertain: count(&|view| view.attack_is_uncertain()),
            exposed: count(&PrefixView::is_exposed),
            alerted_blindly: count(&PrefixView::is_alerted_blindly),
            data_at: prefixes.iter().filter_map(|view| view.decided_at).min(),
            worst: Worst::Direct,
            title: String::new(),
        };
        let silent = services
            .iter()
            .any(|service| matches!(service.life, Life::Silent | Life::NeverSeen));
        let blind =
            !troubles.is_empty() || status.unknown > 0 || status.prefixes == 0 || automation.tone == Tone::Unknown;
        let warned = messages.is_none_or(|messages| messages.tone != Tone::Good)
            || automation.tone == Tone::Warn
            || silent
            || alerts.iter().any(OpenAlert::is_unread);
        status.worst = if status.under_attack + status.exposed + status.alerted_blindly > 0 {
            Worst::Attack
        } else if blind {
            Worst::Unknown
        } else if warned {
            Worst::Warn
        } else if status.protected > 0 {
            Worst::Protected
        } else {
            Worst::Direct
        };
        status.title = status.title_words(automation);
        status
    }

    /// `UNDER ATTACK 1`, `UNKNOWN 2`, `Protected 2 of 5`: what a tab shows.
    fn title_words(&self, automation: &Automation) -> String {
        let protected = format!("Protected {} of {}", self.protected_words(), self.prefixes);
        match self.worst {
            Worst::Attack if self.under_attack > 0 => format!("({}) UNDER ATTACK", self.under_attack),
            Worst::Attack if self.exposed > 0 => format!("({}) NOT PROTECTED", self.exposed),
            Worst::Attack => format!("({}) ALERT OPEN, state unknown", self.alerted_blindly),
            Worst::Unknown if self.unknown > 0 => format!("(?) {} unknown", self.unknown),
            Worst::Unknown if automation.tone == Tone::Unknown => format!("(?) automation {}", automation.word),
            Worst::Unknown => "(?) not everything is known".to_owned(),
            Worst::Warn | Worst::Protected | Worst::Direct => protected,
        }
    }

    /// The number of protected prefixes, `?` when none of them is known.
    pub(crate) fn protected_words(&self) -> String {
        if self.unknown > 0 && self.unknown == self.prefixes {
            "?".to_owned()
        } else {
            self.protected.to_string()
        }
    }

    /// The number of attacked prefixes: `?` when none is known to be and some are not known, `1+` when there may be more.
    pub(crate) fn attack_words(&self) -> String {
        match (self.under_attack, self.attack_uncertain, self.prefixes) {
            (0, 0, 0) | (0, 1.., _) => "?".to_owned(),
            (known, 0, _) => known.to_string(),
            (known, _, _) => format!("{known}+"),
        }
    }

    /// How old the data is that everything rests on.
    pub(crate) fn data_is_old(&self, believed_for: std::time::Duration, now: Timestamp) -> bool {
        self.data_at.is_none_or(|at| since(now, at) > believed_for)
    }
}

/// Collects what could not be read.
struct Troubles(Vec<Trouble>);

impl Troubles {
    fn note<'a, T>(&mut self, part: &'static str, value: &'a Part<T>) -> Option<&'a T> {
        value
            .as_ref()
            .map_err(|unreadable| {
                let text = unreadable.0.clone();
                self.0.push(Trouble { part, text });
            })
            .ok()
    }

    fn take<'a, T>(&mut self, part: &'static str, value: &'a Part<Vec<T>>) -> &'a [T] {
        self.note(part, value).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
pub(crate) mod tests;
