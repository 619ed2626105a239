//! The one chat of the simulator: its messages with all their edits, flood control, and updates waiting for the bot.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::{SimConfig, TelegramLimits};
use crate::quota::plus;
use crate::world::push_bounded;

/// Messages kept.
const KEPT: usize = 5_000;
/// Updates waiting.
const WAITING: usize = 1_000;

/// A message and how it came to look as it does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SentMessage {
    /// Id in the chat, from 1.
    pub message_id: i64,
    /// The chat it was sent to.
    pub chat_id: i64,
    /// Forum topic.
    pub message_thread_id: Option<i64>,
    /// The message it answers.
    pub reply_to: Option<i64>,
    /// Sent without sound.
    pub silent: bool,
    /// When it was sent.
    pub at: Timestamp,
    /// What is shown now.
    pub text: String,
    /// Entities of the shown text.
    pub entities: Vec<Value>,
    /// As it came, with markup.
    pub raw: String,
    /// `parse_mode` as given.
    pub parse_mode: Option<String>,
    /// Keyboard.
    pub reply_markup: Option<Value>,
    /// Earlier versions, oldest first.
    pub edits: Vec<MessageVersion>,
    /// Deleted since.
    pub deleted: bool,
}

/// What a message was before an edit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MessageVersion {
    /// When it was replaced.
    pub until: Timestamp,
    /// Its text without markup.
    pub text: String,
}

impl SentMessage {
    /// The Bot API's Message object.
    pub(super) fn object(&self, bot: &Value, chat: &Value) -> Value {
        let mut message = json!({
            "message_id": self.message_id, "date": self.at.as_second(), "chat": chat, "text": self.text,
            "from": {"id": bot["id"], "is_bot": true, "first_name": bot["first_name"], "username": bot["username"]},
        });
        if !self.entities.is_empty() {
            message["entities"] = json!(self.entities);
        }
        if let Some(thread) = self.message_thread_id {
            message["message_thread_id"] = json!(thread);
            message["is_topic_message"] = json!(true);
        }
        if let Some(last) = self.edits.last() {
            message["edit_date"] = json!(last.until.as_second());
        }
        if let Some(markup) = self
            .reply_markup
            .as_ref()
            .filter(|m| m.get("inline_keyboard").is_some())
        {
            message["reply_markup"] = markup.clone();
        }
        message
    }
}

/// A text ready to be sent.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) raw: String,
    pub(super) text: String,
    pub(super) entities: Vec<Value>,
    pub(super) parse_mode: Option<String>,
    pub(super) reply_markup: Option<Value>,
}

/// Why a message was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Flood { seconds: u64 },
    Bad(&'static str),
}

/// The chat.
#[derive(Debug)]
pub(crate) struct Chats {
    id: i64,
    earlier_ids: Vec<i64>,
    threads: Vec<i64>,
    limits: TelegramLimits,
    messages: VecDeque<SentMessage>,
    last_id: i64,
    sent: VecDeque<Timestamp>,
    updates: VecDeque<Value>,
    last_update: i64,
    open_callbacks: VecDeque<String>,
    answers: VecDeque<Value>,
    poll: u64,
}

impl Chats {
    pub(crate) fn new(config: &SimConfig) -> Self {
        Self {
            id: config.chat_id,
            earlier_ids: Vec::new(),
            threads: config.message_threads.clone(),
            limits: config.telegram_limits,
            messages: VecDeque::new(),
            last_id: 0,
            sent: VecDeque::new(),
            updates: VecDeque::new(),
            last_update: 0,
            open_callbacks: VecDeque::new(),
            answers: VecDeque::new(),
            poll: 0,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn messages(&self) -> Vec<SentMessage> {
        self.messages.iter().cloned().collect()
    }

    pub(crate) fn answers(&self) -> Vec<Value> {
        self.answers.iter().cloned().collect()
    }

    pub(super) fn id(&self) -> i64 {
        self.id
    }

    pub(super) fn moved_from(&self, id: i64) -> bool {
        self.earlier_ids.contains(&id)
    }

    /// The chat gets a new id; the old one answers where it went.
    pub(crate) fn migrate(&mut self, new: i64) {
        if new != self.id {
            self.earlier_ids.push(self.id);
            self.id = new;
        }
    }

    /// The Bot API's Chat object.
    pub(super) fn chat(&self) -> Value {
        if self.id > 0 {
            return json!({"id": self.id, "type": "private", "first_name": "On call"});
        }
        let kind = if self.id < -1_000_000_000_000 {
            "supergroup"
        } else {
            "group"
        };
        json!({"id": self.id, "type": kind, "title": "Simulated on-call group"})
    }

    /// Seconds to wait when one more message would be too many.
    fn flooded(&mut self, now: Timestamp) -> Option<u64> {
        let minute = Duration::from_secs(60);
        while self.sent.front().is_some_and(|t| plus(*t, minute) <= now) {
            self.sent.pop_front();
        }
        if !self.limits.enabled {
            return None;
        }
        let until = |at: Timestamp| {
            let left = at.duration_since(now).as_millis();
            u64::try_from(left).unwrap_or(0).div_ceil(1000).max(1)
        };
        if self.id < 0 && self.sent.len() >= self.limits.group_per_minute as usize {
            let blocking = self.sent.len() - self.limits.group_per_minute as usize;
            return self.sent.get(blocking).map(|t| until(plus(*t, minute)));
        }
        let second = Duration::from_secs(1);
        let recent = self.sent.iter().filter(|t| plus(**t, second) > now).count();
        (recent >= self.limits.burst_per_second as usize).then_some(1)
    }

    pub(super) fn send(
        &mut self,
        draft: Draft,
        thread: Option<i64>,
        reply_to: Option<i64>,
        lenient: bool,
        silent: bool,
        now: Timestamp,
    ) -> Result<SentMessage, Refused> {
        if thread.is_some_and(|t| !self.threads.contains(&t)) {
            return Err(Refused::Bad("message thread not found"));
        }
        let known = |id: i64| self.messages.iter().any(|m| m.message_id == id && !m.deleted);
        let reply_to = match reply_to {
            Some(id) if !known(id) && lenient => None,
            Some(id) if !known(id) => return Err(Refused::Bad("message to be replied not found")),
            other => other,
        };
        if let Some(seconds) = self.flooded(now) {
            return Err(Refused::Flood { seconds });
        }
        self.sent.push_back(now);
        self.last_id += 1;
        let message = SentMessage {
            message_id: self.last_id,
            chat_id: self.id,
            message_thread_id: thread,
            reply_to,
            silent,
            at: now,
            text: draft.text,
            entities: draft.entities,
            raw: draft.raw,
            parse_mode: draft.parse_mode,
            reply_markup: draft.reply_markup,
            edits: Vec::new(),
            deleted: false,
        };
        push_bounded(&mut self.messages, message.clone(), KEPT);
        Ok(message)
    }

    pub(super) fn edit(&mut self, id: i64, draft: Draft, now: Timestamp) -> Result<SentMessage, Refused> {
        if self.limits.edits_count {
            if let Some(seconds) = self.flooded(now) {
                return Err(Refused::Flood { seconds });
            }
            self.sent.push_back(now);
        }
        let Some(message) = self.messages.iter_mut().find(|m| m.message_id == id && !m.deleted) else {
            return Err(Refused::Bad("message to edit not found"));
        };
        if message.text == draft.text
            && message.entities == draft.entities
            && message.reply_markup == draft.reply_markup
        {
            return Err(Refused::Bad(
                "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message",
            ));
        }
        let before = MessageVersion {
            until: now,
            text: std::mem::replace(&mut message.text, draft.text),
        };
        if message.edits.len() < 1000 {
            message.edits.push(before);
        }
        message.entities = draft.entities;
        message.raw = draft.raw;
        message.parse_mode = draft.parse_mode;
        message.reply_markup = draft.reply_markup;
        Ok(message.clone())
    }

    pub(super) fn delete(&mut self, id: i64) -> bool {
        match self.messages.iter_mut().find(|m| m.message_id == id && !m.deleted) {
            Some(message) => {
                message.deleted = true;
                true
            }
            None => false,
        }
    }

    /// Queues an update; `update_id` is filled in. Returns it.
    pub(crate) fn push_update(&mut self, mut update: Value) -> i64 {
        self.last_update += 1;
        update["update_id"] = json!(self.last_update);
        if let Some(id) = update["callback_query"]["id"].as_str() {
            push_bounded(&mut self.open_callbacks, id.to_owned(), WAITING);
        }
        push_bounded(&mut self.updates, update, WAITING);
        self.last_update
    }

    pub(super) fn answer_callback(&mut self, id: &str, text: Option<String>) -> bool {
        let Some(index) = self.open_callbacks.iter().position(|c| c == id) else {
            return false;
        };
        self.open_callbacks.remove(index);
        push_bounded(
            &mut self.answers,
            json!({"callback_query_id": id, "text": text}),
            WAITING,
        );
        true
    }

    /// A new poller; the one before it is refused from now on.
    pub(super) fn begin_poll(&mut self) -> u64 {
        self.poll += 1;
        self.poll
    }

    pub(super) fn still_polling(&self, poll: u64) -> bool {
        self.poll == poll
    }

    /// Updates from `offset` on; those before it are confirmed and forgotten.
    pub(super) fn updates(&mut self, offset: Option<i64>, limit: usize) -> Vec<Value> {
        let id = |u: &Value| u["update_id"].as_i64().unwrap_or(0);
        if let Some(offset) = offset {
            self.updates.retain(|u| id(u) >= offset);
        }
        self.updates.iter().take(limit).cloned().collect()
    }
}
