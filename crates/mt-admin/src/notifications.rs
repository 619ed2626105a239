//! `notifications`: the outbox as people ask about it: what was sent, what was not and why, once more, a test.

mod channels;

use std::time::Duration;

use cli::words::{self, age, clock, stamp};
use cli::{Ink, Table, Trouble, ink};
use daemon::exit;
use db::Db;
use db::outbox::{Attempt, Channel, Copy, Depth, Notification};
use domain::ids::NotificationId;
use domain::notice::{Facts, Notice};
use domain::time::plus;
use jiff::Timestamp;
use notify::context;
use notify::{Frame, Renderer};
use serde::Serialize;
use serde_json::json;
use settings::Settings;

use crate::args::{NotificationState, NotificationsCommand};
use crate::desk::{Desk, audit};

pub use channels::copy_words;

/// Tries shown of one message.
const MOST_ATTEMPTS: u32 = 100;

/// How often a message that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Runs a command about messages.
///
/// # Errors
/// What prevented it.
pub async fn run(desk: &Desk, command: NotificationsCommand) -> Result<u8, Trouble> {
    match command {
        NotificationsCommand::List { state, limit } => list(desk, state, limit).await,
        NotificationsCommand::Show { id } => show(desk, id).await,
        NotificationsCommand::Retry { id } => retry(desk, id).await,
        NotificationsCommand::Test { note, timeout } => test(desk, note, timeout).await,
    }
}

#[derive(Debug, Serialize)]
struct List {
    schema: &'static str,
    at: Timestamp,
    #[serde(flatten)]
    depth: Depth,
    /// What holds up everything, if something does.
    channel: Option<Channel>,
    /// Since when nothing reaches the chat, if that was announced.
    stuck_since: Option<Timestamp>,
    /// The other channels that are in trouble.
    others: Vec<Other>,
    notifications: Vec<Notification>,
}

/// A channel beside the chat.
#[derive(Debug, Serialize)]
struct Other {
    name: &'static str,
    #[serde(flatten)]
    state: Channel,
}

async fn list(desk: &Desk, state: Option<NotificationState>, limit: u32) -> Result<u8, Trouble> {
    let chat = chat_of(&desk.settings);
    let found = desk.read("the messages cannot be listed", move |tx| {
        let channel = chat.map(|chat| db::outbox::channel(tx, &chat)).transpose()?;
        let rows = db::outbox::newest(tx, state.map(NotificationState::as_str), limit)?;
        let mut others = Vec::new();
        for name in channels::NAMES {
            let state = db::outbox::channel(tx, name)?;
            if state.failing_since.is_some() {
                others.push(Other { name, state });
            }
        }
        let stuck_since = db::outbox::stuck_since(tx)?;
        Ok((rows, db::outbox::depth(tx)?, channel, stuck_since, others))
    });
    let (notifications, depth, channel, stuck_since, others) = found.await?;
    let list = List {
        schema: "cloudflare-mt/notifications/1",
        at: desk.now(),
        depth,
        channel: channel.filter(|channel| *channel != Channel::default()),
        stuck_since,
        others,
        notifications,
    };
    if desk.out.is_json() {
        desk.out.document(&list)?;
        return Ok(exit::DONE);
    }
    let mut text = table(&list.notifications, desk);
    if list.notifications.is_empty() {
        text.push_str("none\n");
    }
    let depth = &list.depth;
    text.push_str(&format!(
        "\n{} waiting, {} failed, {} expired\n",
        depth.queued, depth.failed, depth.expired
    ));
    if let Some(trouble) = list
        .channel
        .as_ref()
        .and_then(|channel| channel_trouble(channel, list.at))
    {
        text.push_str(&ink(Ink::Warn, &trouble));
        text.push('\n');
    }
    if let Some(since) = list.stuck_since {
        let words = format!("nothing has reached the chat since {}", clock(since, list.at));
        text.push_str(&format!("{}\n", ink(Ink::Warn, &words)));
    }
    for other in &list.others {
        if let Some(trouble) = channel_trouble(&other.state, list.at) {
            text.push_str(&format!("{}\n", ink(Ink::Warn, &format!("{}: {trouble}", other.name))));
        }
    }
    if desk.settings.telegram.is_none() {
        text.push_str(&ink(
            Ink::Warn,
            "no chat is configured: nothing is sent (telegram.bot_token, telegram.chat_id)",
        ));
        text.push('\n');
    }
    desk.out.text(&text)?;
    Ok(exit::DONE)
}

/// Messages as a table.
pub fn table(rows: &[Notification], desk: &Desk) -> String {
    let mut table = Table::new(&["NO", "ENTERED (UTC)", "KIND", "PRIORITY", "STATE", "EVENT", "WHY"]);
    for row in rows {
        let state = match row.state.as_str() {
            "failed" | "expired" => ink(Ink::Warn, &row.state),
            state => words::outside(state, 20),
        };
        table.row([
            row.id.to_string(),
            stamp(row.created_at),
            words::outside(&row.kind, 40),
            row.priority.as_str().to_owned(),
            state,
            row.event.map_or_else(|| "-".to_owned(), |event| format!("#{event}")),
            why(row),
        ]);
    }
    table.render(desk.out.screen())
}

/// Why a message was sent, waits or was kept back.
pub fn why(row: &Notification) -> String {
    let reason = row.reason.as_deref().map(|reason| words::outside(reason, 200));
    match (row.state.as_str(), row.sent_at) {
        ("sent", Some(at)) => format!("sent {}", stamp(at)),
        ("queued", _) => reason.map_or_else(
            || "waits to be sent".to_owned(),
            |reason| format!("waits to be sent: {reason}"),
        ),
        _ => reason.unwrap_or_else(|| "-".to_owned()),
    }
}

/// What holds up everything that goes to the chat.
pub fn channel_trouble(channel: &Channel, now: Timestamp) -> Option<String> {
    let because = channel.blocked_because.as_deref().map_or_else(String::new, |because| {
        format!(": {}", words::outside(because, words::LONG))
    });
    if let Some(until) = channel.blocked_until.filter(|until| *until > now) {
        return Some(format!("nothing is sent before {}{because}", clock(until, now)));
    }
    channel
        .failing_since
        .map(|since| format!("sending fails since {}{because}", clock(since, now)))
}

/// The chat's name in the database.
pub fn chat_of(settings: &Settings) -> Option<String> {
    settings.telegram.as_ref().map(|telegram| telegram.chat_id.to_string())
}

#[derive(Debug, Serialize)]
struct Shown {
    schema: &'static str,
    at: Timestamp,
    notification: Notification,
    /// The message as it would be sent now, without markup.
    text: String,
    attempts: Vec<Attempt>,
    /// What became of it at other channels.
    copies: Vec<Copy>,
}

async fn show(desk: &Desk, id: NotificationId) -> Result<u8, Trouble> {
    let now = desk.now();
    let chat = chat_of(&desk.settings).unwrap_or_default();
    let found = desk.read("the message cannot be shown", move |tx| {
        let Some(row) = db::outbox::get(tx, id)? else {
            return Ok(None);
        };
        let context = context::gather(tx, std::slice::from_ref(&row), &chat, now);
        let attempts = db::outbox::attempts(tx, id, MOST_ATTEMPTS)?;
        let copies = db::outbox::copies(tx, id)?;
        Ok(Some((row, context, attempts, copies)))
    });
    let (notification, context, attempts, copies) = found.await?.ok_or_else(|| unknown(id))?;
    let message = renderer(&desk.settings).message(std::slice::from_ref(&notification), &context, now);
    let shown = Shown {
        schema: "cloudflare-mt/notification/1",
        at: now,
        text: words::outside_lines(&message.plain(), 500, 4_096),
        notification,
        attempts,
        copies,
    };
    if desk.out.is_json() {
        desk.out.document(&shown)?;
        return Ok(exit::DONE);
    }
    let row = &shown.notification;
    let mut fields = vec![
        (
            "message",
            format!(
                "{} ({}, {})",
                row.id,
                words::outside(&row.kind, 40),
                row.priority.as_str()
            ),
        ),
        ("entered", format!("{} UTC", stamp(row.created_at))),
        ("state", words::outside(&row.state, 20)),
        ("why", why(row)),
    ];
    if let Some(event) = row.event {
        fields.push(("event", format!("#{event}")));
    }
    if row.state == "queued" && row.not_before > now {
        fields.push(("not before", clock(row.not_before, now)));
    }
    if let (Some(chat), Some(message)) = (&row.chat_id, row.message_id) {
        fields.push(("in chat", format!("{} as message {message}", words::outside(chat, 60))));
    }
    for copy in &shown.copies {
        let (channel, fate) = copy_words(copy);
        fields.push((if channel == "mail" { "by mail" } else { "by webhook" }, fate));
    }
    let screen = desk.out.screen();
    let mut text = cli::table::fields(&fields, screen);
    text.push_str(&format!(
        "\n{}\n{}\n",
        ink(Ink::Strong, "As it would be sent now"),
        shown.text
    ));
    text.push_str(&format!("\n{}\n", ink(Ink::Strong, "Tries")));
    text.push_str(&attempts_table(&shown.attempts, desk));
    if shown.attempts.is_empty() {
        text.push_str("none\n");
    }
    desk.out.text(&text)?;
    Ok(exit::DONE)
}

/// Tries as a table.
pub fn attempts_table(attempts: &[Attempt], desk: &Desk) -> String {
    let mut table = Table::new(&["WHEN (UTC)", "BY", "OUTCOME", "WORDS"]);
    for attempt in attempts {
        let by = attempt.owner.split('/').next().unwrap_or_default();
        table.row([
            stamp(attempt.at),
            words::outside(by, 40),
            words::outside(&attempt.outcome, 20),
            words::outside(&attempt.words, words::LONG),
        ]);
    }
    table.render(desk.out.screen())
}

fn unknown(id: NotificationId) -> Trouble {
    let remedy = "'cloudflare-mt notifications list' shows them";
    Trouble::failed("notification.unknown", format!("there is no message {id}")).remedy(remedy)
}

/// The renderer that the services use.
fn renderer(settings: &Settings) -> Renderer {
    Renderer::new(&Frame {
        brand: settings.organisation.brand.clone(),
        organisation: settings.organisation.name.clone(),
        server: settings.organisation.server.clone(),
        public_url: settings.dashboard.public_url.clone(),
    })
}

async fn retry(desk: &Desk, id: NotificationId) -> Result<u8, Trouble> {
    let now = desk.now();
    let actor = cli::actor::of_this_process().await;
    let before = desk
        .write("the message was not put back into the queue", move |tx| {
            let before = db::outbox::get(tx, id)?;
            let again = before
                .as_ref()
                .is_some_and(|row| matches!(row.state.as_str(), "failed" | "expired" | "suppressed"));
            let copies = db::outbox::retry_copies(tx, id, now)?;
            if again {
                db::outbox::retry(tx, id, now)?;
            }
            if again || copies > 0 {
                audit(tx, &actor, ("notification.retry", &id.to_string()), None, now)?;
            }
            Ok((before, copies))
        })
        .await?;
    let (before, copies) = (before.0.ok_or_else(|| unknown(id))?, before.1);
    match before.state.as_str() {
        "sent" | "queued" if copies > 0 => {
            if desk.out.is_json() {
                desk.out.document(
                    &json!({"schema": "cloudflare-mt/notification-retry/1", "at": now, "notification": id, "copies": copies}),
                )?;
            } else {
                desk.out.text(&format!(
                    "message {id} waits to be sent again by other channels than the chat\n"
                ))?;
            }
            Ok(exit::DONE)
        }
        "sent" => Err(Trouble::blocked(
            "notification.sent",
            format!("message {id} was sent already; nothing was changed"),
        )),
        "queued" => Err(Trouble::blocked(
            "notification.queued",
            format!("message {id} waits to be sent already"),
        )),
        _ if desk.out.is_json() => {
            desk.out
                .document(&json!({"schema": "cloudflare-mt/notification-retry/1", "at": now, "notification": id}))?;
            Ok(exit::DONE)
        }
        state => {
            desk.out
                .text(&format!("message {id} was {state} and waits to be sent again\n"))?;
            Ok(exit::DONE)
        }
    }
}

async fn test(desk: &Desk, note: String, timeout: Duration) -> Result<u8, Trouble> {
    let now = desk.now();
    let actor = cli::actor::of_this_process().await;
    let facts = Facts::SelfTest {
        actor: actor.clone(),
        note: words::outside(&note, 300),
    };
    let db = desk.acting()?;
    let id = db
        .write("notification.test", move |tx| {
            let id = db::outbox::enqueue(tx, &Notice::about(facts), now)?;
            audit(tx, &actor, ("notification.test", &id.to_string()), None, now)?;
            Ok(id)
        })
        .await
        .map_err(|error| Trouble::database("the message was not stored", &error))?;
    if !desk.out.is_json() {
        desk.out
            .aside(&format!("message {id} is stored; waiting for a service to send it\n"));
    }
    let deadline = plus(now, timeout);
    let others = channels::configured(&desk.settings);
    // Without a chat the other channels are what is tested.
    let chat = if desk.settings.telegram.is_some() || others.is_empty() {
        Some(wait_for(desk, &db, id, timeout).await?)
    } else {
        None
    };
    let copies = channels::wait_for(desk, &db, id, &others, deadline).await?;
    let mut failures = Vec::new();
    failures.extend(
        chat.iter()
            .filter(|fate| !fate.is_sent())
            .map(|fate| fate.not_sent(&format!("message {id}"))),
    );
    failures.extend(
        copies
            .iter()
            .filter(|fate| !fate.is_sent)
            .map(|fate| fate.words.clone()),
    );
    if desk.out.is_json() {
        desk.out.document(&json!({
            "schema": "cloudflare-mt/notification-test/1",
            "at": now,
            "notification": id,
            "state": chat.as_ref().map(|fate| &fate.state),
            "words": chat.as_ref().map(|fate| &fate.words),
            "copies": copies,
        }))?;
        return Ok(if failures.is_empty() { exit::DONE } else { exit::FAILURE });
    }
    for fate in chat.iter().filter(|fate| fate.is_sent()) {
        desk.out.text(&format!("message {id} was sent: {}\n", fate.words))?;
    }
    for fate in copies.iter().filter(|fate| fate.is_sent) {
        desk.out.text(&format!("{}\n", fate.words))?;
    }
    if failures.is_empty() {
        return Ok(exit::DONE);
    }
    Err(Trouble::failed("notification.not_sent", failures.join("; ")).remedy(SHOWS_SERVICES))
}

const SHOWS_SERVICES: &str = "'cloudflare-mt health' shows whether a service runs";

/// What became of a message that was waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// Its state.
    pub state: String,
    /// In words.
    pub words: String,
}

impl Fate {
    /// Whether it arrived.
    pub fn is_sent(&self) -> bool {
        self.state == "sent"
    }

    fn not_sent(&self, what: &str) -> String {
        format!("{what} was not sent, it is {}: {}", self.state, self.words)
    }

    /// Sent is success, everything else is not.
    pub fn exit(&self) -> u8 {
        if self.is_sent() { exit::DONE } else { exit::FAILURE }
    }

    /// Says it: success on stdout, trouble as such.
    ///
    /// # Errors
    /// The trouble.
    pub fn tell(&self, desk: &Desk, what: &str) -> Result<u8, Trouble> {
        if self.is_sent() {
            desk.out.text(&format!("{what} was sent: {}\n", self.words))?;
            return Ok(exit::DONE);
        }
        Err(Trouble::failed("notification.not_sent", self.not_sent(what)).remedy(SHOWS_SERVICES))
    }
}

/// Looks at a message until it is closed or `limit` has passed.
///
/// # Errors
/// Those of the database.
pub async fn wait_for(desk: &Desk, db: &Db, id: NotificationId, limit: Duration) -> Result<Fate, Trouble> {
    let deadline = plus(desk.now(), limit);
    let chat = chat_of(&desk.settings);
    loop {
        let chat = chat.clone();
        let look = db.read("notification", move |tx| {
            let channel = chat.map(|chat| db::outbox::channel(tx, &chat)).transpose()?;
            Ok((
                db::outbox::get(tx, id)?,
                channel,
                db::outbox::attempts(tx, id, MOST_ATTEMPTS)?,
            ))
        });
        let (row, channel, attempts) = look
            .await
            .map_err(|error| Trouble::database("the message cannot be read", &error))?;
        let row = row.ok_or_else(|| unknown(id))?;
        let now = desk.now();
        if row.state != "queued" {
            let words = match (row.sent_at, row.message_id, &row.chat_id) {
                (Some(at), Some(message), Some(chat)) => {
                    let took = age(row.created_at, at);
                    format!(
                        "as message {message} in chat {}, after {took}",
                        words::outside(chat, 60)
                    )
                }
                _ => why(&row),
            };
            return Ok(Fate {
                state: row.state,
                words,
            });
        }
        if now >= deadline {
            let tried = attempts
                .last()
                .map(|attempt| format!("{} {}", attempt.outcome, words::outside(&attempt.words, 200)));
            let words = channel
                .and_then(|channel| channel_trouble(&channel, now))
                .or(tried)
                .unwrap_or_else(|| "no service has taken it".to_owned());
            return Ok(Fate {
                state: row.state,
                words,
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
