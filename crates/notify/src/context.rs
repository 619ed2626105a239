//! What is looked up at the moment of sending: a notice may be minutes or hours old, and nothing in it says how things
//! stand now.
//!
//! A look-up that fails makes its answer unknown, with the reason; it never keeps a message from being sent.

use std::collections::BTreeMap;
use std::fmt::Display;

use db::decisions::{self, Now};
use db::heartbeats::{self, Heartbeat};
use db::incidents::{self, Incident};
use db::inventory::{self, Entry};
use db::outbox::{self, Notification, Told};
use db::{DbError, ReadTx, holds};
use domain::hold::Hold;
use domain::ids::IncidentId;
use domain::notice::Facts;
use domain::prefix::Prefix;

use crate::render::MOST_RECOVERED;

/// Prefixes whose state is looked up for one message; more are only named.
pub const MOST_PREFIXES: usize = 5;

/// Something looked up: a value, none, or why it is not known.
pub type Lookup<T> = Result<Option<T>, String>;

/// How one prefix stands.
#[derive(Debug, Clone, PartialEq)]
pub struct PrefixNow {
    /// The prefix.
    pub prefix: Prefix,
    /// The last live state read at Cloudflare, with its age.
    pub inventory: Lookup<Entry>,
    /// What the automation said last, with its age.
    pub answer: Lookup<Now>,
}

/// What is known beside the notice itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Context {
    /// The prefixes it is about, at most [`MOST_PREFIXES`].
    pub prefixes: Vec<PrefixNow>,
    /// Prefixes it is about beyond those.
    pub more_prefixes: usize,
    /// Its incident.
    pub incident: Option<Incident>,
    /// The last sign of life of the service it is about.
    pub service: Option<Heartbeat>,
    /// Incidents of which alerts were recovered, as far as they could be read.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// Holds and pauses in force; only for notices about one.
    pub holds: Option<Vec<Hold>>,
    /// The incident's first message in the chat.
    pub answers: Option<i64>,
    /// Since when what it calls well again was not.
    pub restored: Option<jiff::Timestamp>,
    /// What the message holds already that these are written into.
    pub told: Option<Told>,
    /// Why nothing could be looked up.
    pub unavailable: Option<String>,
}

impl Context {
    /// When the database could not be read at all.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self {
            unavailable: Some(reason.into()),
            ..Self::default()
        }
    }
}

/// Looks everything up for notifications that are sent as one message. Never fails: what cannot be read is unknown.
pub fn gather(tx: &ReadTx<'_>, rows: &[Notification], chat_id: &str, now: jiff::Timestamp) -> Context {
    let mut context = Context::default();
    let Some(first) = rows.first() else {
        return context;
    };
    let incident = first
        .incident
        .filter(|id| rows.iter().all(|row| row.incident == Some(*id)));
    if let Some(id) = incident {
        context.incident = incidents::get(tx, id).ok().flatten();
        context.answers = outbox::first_message(tx, id, chat_id).ok().flatten();
    }
    if let [row] = rows
        && let Some(Facts::CaughtUp { incidents, .. }) = &row.facts
    {
        let listed = incidents.iter().take(MOST_RECOVERED).map(|recovery| recovery.incident);
        context.incidents = listed
            .filter_map(|id| Some((id, incidents::get(tx, id).ok().flatten()?)))
            .collect();
    }
    let mut prefixes: Vec<Prefix> = rows
        .iter()
        .filter_map(|row| row.facts.as_ref())
        .flat_map(prefixes_of)
        .chain(
            context
                .incidents
                .values()
                .flat_map(|incident| incident.prefixes.clone()),
        )
        .collect();
    if prefixes.is_empty() {
        prefixes = context
            .incident
            .as_ref()
            .map(|incident| incident.prefixes.clone())
            .unwrap_or_default();
    }
    let mut seen = std::collections::BTreeSet::new();
    prefixes.retain(|prefix| seen.insert(*prefix));
    context.more_prefixes = prefixes.len().saturating_sub(MOST_PREFIXES);
    context.prefixes = prefixes
        .into_iter()
        .take(MOST_PREFIXES)
        .map(|prefix| prefix_now(tx, prefix))
        .collect();
    if let [row] = rows {
        context.restored = crate::restored::since(tx, row).ok().flatten();
        match &row.facts {
            Some(Facts::ServiceSilent { service, .. }) => context.service = heartbeats::of(tx, service).ok().flatten(),
            Some(Facts::HoldEnding { .. }) => context.holds = holds::in_force(tx, now).ok(),
            _ => {}
        }
    }
    context
}

fn prefix_now(tx: &ReadTx<'_>, prefix: Prefix) -> PrefixNow {
    PrefixNow {
        prefix,
        inventory: reason(inventory::get(tx, prefix)),
        answer: reason(decisions::current_of(tx, prefix)),
    }
}

fn reason<T>(result: Result<Option<T>, DbError>) -> Lookup<T> {
    result.map_err(|error| words(&error))
}

fn words(error: &dyn Display) -> String {
    error.to_string()
}

/// The prefixes of ours that a notice is about.
fn prefixes_of(facts: &Facts) -> Vec<Prefix> {
    match facts {
        Facts::Alert { prefixes, .. } | Facts::MassCalm { prefixes } => prefixes.clone(),
        Facts::Acted { prefix, .. }
        | Facts::ActRefused { prefix, .. }
        | Facts::ActUnresolved { prefix, .. }
        | Facts::AutomationBlind { prefix, .. }
        | Facts::AutomationSighted { prefix, .. }
        | Facts::WouldWithdraw { prefix, .. }
        | Facts::Overdue { prefix, .. }
        | Facts::LimitReached { prefix, .. }
        | Facts::ForeignChange { prefix, .. }
        | Facts::Reattack { prefix, .. } => vec![*prefix],
        Facts::ProviderEvent {
            withdrawn,
            advertised,
            changed,
        } => [withdrawn, advertised, changed]
            .into_iter()
            .flatten()
            .copied()
            .collect(),
        Facts::BindingsChanged { prefixes, .. } => prefixes.clone(),
        Facts::HoldEnding { prefix, .. } => prefix.iter().copied().collect(),
        Facts::UnreadableAlert { .. }
        | Facts::ServiceStarted { .. }
        | Facts::ServiceStopped { .. }
        | Facts::ServiceSilent { .. }
        | Facts::ServiceBack { .. }
        | Facts::FeedBlind { .. }
        | Facts::FeedRestored { .. }
        | Facts::Mitigation { .. }
        | Facts::DataGap { .. }
        | Facts::ChatUnreachable { .. }
        | Facts::ChatReachable { .. }
        | Facts::MessagesExpired { .. }
        | Facts::SelfTest { .. }
        | Facts::Raised { .. } => Vec::new(),
        Facts::CaughtUp { others, .. } => others.iter().flat_map(|alert| alert.prefixes.clone()).collect(),
    }
}
