//! Everything a test asks the database, read in one snapshot.

use std::collections::BTreeSet;

use db::decisions::Now;
use db::events::Event;
use db::heartbeats::Heartbeat;
use db::history::HistoryRow;
use db::incidents::Incident;
use db::intents::{Attempt, Intent};
use db::leases::Lease;
use db::outbox::Notification;
use db::{Db, DbError};
use domain::intent::{Act, IntentState};

/// Rows read of each table; tests stay far below.
const MOST: u32 = 5_000;

/// Name of the lease of the automation's one actor.
const ACTOR_LEASE: &str = "autowithdraw";

/// The database at one moment. Lists are oldest first.
#[derive(Debug, Default)]
pub struct Record {
    /// Notifications of Cloudflare stored, duplicates not counted.
    pub deliveries: u64,
    /// The operator's log.
    pub events: Vec<Event>,
    /// Withdrawals.
    pub history: Vec<HistoryRow>,
    /// The intent journal, with its attempts.
    pub intents: Vec<(Intent, Vec<Attempt>)>,
    /// Incidents.
    pub incidents: Vec<Incident>,
    /// The outbox, sent ones included.
    pub notifications: Vec<Notification>,
    /// Current answers.
    pub now: Vec<Now>,
    /// Services.
    pub heartbeats: Vec<Heartbeat>,
    /// Who may act.
    pub actor: Option<Lease>,
}

impl Record {
    /// Reads it. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn read(db: &Db) -> Result<Self, DbError> {
        db.read_blocking("testkit.record", |tx| {
            let mut record = Self {
                deliveries: db::deliveries::count(tx)?,
                events: db::events::newest(tx, None, MOST)?,
                history: db::history::newest(tx, None, MOST)?,
                incidents: db::incidents::newest(tx, None, MOST)?,
                notifications: db::outbox::newest(tx, None, MOST)?,
                now: db::decisions::current(tx)?,
                heartbeats: db::heartbeats::all(tx)?,
                actor: db::leases::get(tx, ACTOR_LEASE)?,
                ..Self::default()
            };
            for intent in db::intents::newest(tx, None, MOST)? {
                let attempts = db::intents::attempts(tx, intent.id)?;
                record.intents.push((intent, attempts));
            }
            record.events.reverse();
            record.history.reverse();
            record.intents.reverse();
            record.incidents.reverse();
            record.notifications.reverse();
            Ok(record)
        })
    }

    /// Rows of the operator's log of one type, such as `START` or `WITHDRAW`.
    pub fn events_of<'a>(&'a self, event_type: &'a str) -> impl Iterator<Item = &'a Event> {
        self.events.iter().filter(move |event| event.event_type == event_type)
    }

    /// Messages of one kind, such as `withdrawn`.
    pub fn messages_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Notification> {
        self.notifications
            .iter()
            .filter(move |notification| notification.kind == kind)
    }

    /// Withdrawals in one state.
    pub fn withdrawals(&self, state: IntentState) -> impl Iterator<Item = &Intent> {
        let intents = self.intents.iter().map(|(intent, _)| intent);
        intents.filter(move |intent| intent.act == Act::Withdraw && intent.state == state)
    }

    /// The verdict about a prefix, as its stable name.
    #[must_use]
    pub fn verdict(&self, prefix: &str) -> Option<String> {
        let now = self.now.iter().find(|now| now.prefix.to_string() == prefix)?;
        Some(now.decision.verdict.key())
    }

    /// Attack ids in the operator's log.
    #[must_use]
    pub fn attack_ids(&self) -> BTreeSet<String> {
        self.events.iter().filter_map(|event| event.attack_id.clone()).collect()
    }

    /// For the text of a failed test.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut lines = vec![format!("{} deliveries, actor {:?}", self.deliveries, self.actor)];
        for now in &self.now {
            lines.push(format!(
                "now {}: {}; next: {} because {}",
                now.prefix,
                now.decision.verdict.key(),
                now.decision.next.action(),
                now.decision.next.because()
            ));
        }
        for event in &self.events {
            let prefix = event.prefix.as_deref().unwrap_or("-");
            let kind = event.alert_type.as_deref().unwrap_or("-");
            lines.push(format!("event {}: {} {kind} {prefix}", event.id, event.event_type));
        }
        for (intent, attempts) in &self.intents {
            lines.push(format!(
                "intent {}: {} {} {}",
                intent.id, intent.act, intent.prefix, intent.state
            ));
            let attempts = attempts
                .iter()
                .map(|attempt| format!("  {} {}: {}", attempt.step, attempt.class, attempt.words));
            lines.extend(attempts);
        }
        for row in &self.history {
            lines.push(format!(
                "withdrawn {}: {}",
                row.prefix,
                row.notes.as_deref().unwrap_or("-")
            ));
        }
        for notification in &self.notifications {
            let reason = notification.reason.as_deref().unwrap_or_default();
            lines.push(format!(
                "notice {}: {} {} {reason}",
                notification.id, notification.kind, notification.state
            ));
        }
        for beat in &self.heartbeats {
            lines.push(format!("beat of {}: {} {}", beat.service, beat.state, beat.status));
        }
        lines.join("\n")
    }
}
