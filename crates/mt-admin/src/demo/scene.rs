//! One look at both sides: what the simulated Cloudflare and Telegram saw, and what the database says.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use db::decisions::Now;
use db::events::Event;
use db::history::HistoryRow;
use db::intents::Intent;
use db::outbox::Notification;
use db::{Db, DbError, ReadTx};
use domain::prefix::Prefix;
use serde_json::Value;

use super::simulator::Simulator;

/// Rows read of each table; a demonstration makes a few dozen.
const MOST: u32 = 1_000;

/// What the simulator saw.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Whether Cloudflare advertises the prefix.
    pub advertised: bool,
    /// How often that changed, by anybody.
    pub changes: u64,
    /// How far the attack is: `waiting`, `running`, `detected`, `mitigated`, `over`, `ended`.
    pub phase: String,
    /// `alert_event` (or nothing) and `alert_type` of each notification that was acknowledged with 200.
    pub acknowledged: Vec<(String, String)>,
    /// Notifications that were not acknowledged.
    pub unacknowledged: usize,
    /// Withdrawals that Cloudflare was asked for, with the status of the answer.
    pub withdrawals_asked: Vec<Option<u64>>,
    /// Messages in the chat, by id.
    pub messages: BTreeMap<i64, String>,
}

/// What the database says. Lists are newest first.
#[derive(Debug, Clone, Default)]
pub struct Inside {
    /// Notifications of Cloudflare stored.
    pub deliveries: u64,
    /// The operator's log.
    pub events: Vec<Event>,
    /// Withdrawals recorded.
    pub history: Vec<HistoryRow>,
    /// The intent journal.
    pub intents: Vec<Intent>,
    /// The outbox, sent ones included.
    pub notifications: Vec<Notification>,
    /// The automation's current answer for the prefix.
    pub now: Option<Now>,
}

/// Both.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// The simulator's side.
    pub outside: Outside,
    /// The database's side.
    pub inside: Inside,
}

impl Scene {
    /// Looks at both, the simulator first: what it saw must be found in the database, which is read later.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub async fn look(simulator: &Simulator, db: &Db, prefix: Prefix) -> anyhow::Result<Self> {
        let state = simulator.get("state").await?;
        let requests = simulator.get("requests").await?;
        let messages = simulator.get("telegram/messages").await?;
        let deliveries = simulator.get("deliveries").await?;
        let outside = outside(prefix, &state, &requests, &messages, &deliveries);
        let inside = db
            .read("demo.look", move |tx| inside(tx, prefix))
            .await
            .context("the database cannot be read")?;
        Ok(Self { outside, inside })
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn outside(prefix: Prefix, state: &Value, requests: &Value, messages: &Value, deliveries: &Value) -> Outside {
    let cidr = prefix.to_string();
    let ours = list(&state["prefixes"])
        .find(|known| known["cidr"] == cidr.as_str())
        .cloned()
        .unwrap_or_default();
    let id = text(&ours["bgp_prefix_id"]);
    let is_withdrawal = |request: &&Value| {
        let body: Value = serde_json::from_str(&text(&request["body"])).unwrap_or_default();
        request["method"] == "PATCH"
            && !id.is_empty()
            && text(&request["path"]).ends_with(&id)
            && asks_to_withdraw(&body)
    };
    let (acknowledged, others): (Vec<&Value>, Vec<&Value>) =
        list(deliveries).partition(|delivery| delivery["outcome"]["answered"] == 200);
    Outside {
        advertised: ours["advertised"] == true,
        changes: ours["changes"].as_u64().unwrap_or_default(),
        phase: text(&state["scenario"]["attacks"][0][1]),
        acknowledged: acknowledged
            .iter()
            .map(|of| (text(&of["alert_event"]), text(&of["alert_type"])))
            .collect(),
        unacknowledged: others.len(),
        withdrawals_asked: list(requests)
            .filter(is_withdrawal)
            .map(|request| request["status"].as_u64())
            .collect(),
        messages: list(messages)
            .filter_map(|message| Some((message["message_id"].as_i64()?, text(&message["text"]))))
            .collect(),
    }
}

/// `{"on_demand": {"advertised": false}}`
fn asks_to_withdraw(body: &Value) -> bool {
    body["on_demand"]["advertised"] == false || body["advertised"] == false
}

fn inside(tx: &ReadTx<'_>, prefix: Prefix) -> Result<Inside, DbError> {
    Ok(Inside {
        deliveries: db::deliveries::count(tx)?,
        events: db::events::newest(tx, None, MOST)?,
        history: db::history::newest(tx, Some(prefix), MOST)?,
        intents: db::intents::newest(tx, Some(prefix), MOST)?,
        notifications: db::outbox::newest(tx, None, MOST)?,
        now: db::decisions::current_of(tx, prefix)?,
    })
}

impl Inside {
    /// Rows of the operator's log of one type.
    pub fn events_of<'a>(&'a self, event_type: &'a str) -> impl Iterator<Item = &'a Event> {
        self.events.iter().filter(move |event| event.event_type == event_type)
    }

    /// Ids of the messages that count as sent.
    pub fn messages(&self) -> BTreeSet<i64> {
        let sent = self
            .notifications
            .iter()
            .filter(|notification| notification.state == "sent");
        sent.filter_map(|notification| notification.message_id).collect()
    }

    /// Whether no message waits any more.
    pub fn all_told(&self) -> bool {
        self.notifications
            .iter()
            .all(|notification| matches!(notification.state.as_str(), "sent" | "suppressed"))
    }
}
