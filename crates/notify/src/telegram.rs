//! One request to the Telegram Bot API. What its answer means is [`classify`]'s.
//!
//! What must hold: a request ends within its deadline; no text that leaves here holds the bot's token; nothing is tried
//! twice here, because every further request needs its place in the chat's pace.

pub mod classify;
mod wire;

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use teloxide::payloads::{
    EditMessageText, EditMessageTextSetters, GetUpdates, GetUpdatesSetters, SendMessage, SendMessageSetters,
};
use teloxide::requests::Payload;
use teloxide::types::{
    AllowedUpdate, ChatId as BotChatId, LinkPreviewOptions, MessageId, ParseMode, Recipient, ReplyParameters, ThreadId,
};

pub use classify::Delivery;
use classify::{Secret, classify};

/// How long one request may take, from the first byte to the whole answer.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// A chat as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatId {
    /// Users are positive, groups negative, supergroups and channels `-100…`.
    Number(i64),
    /// Public name of a group or channel, with its at sign.
    Name(String),
}

impl ChatId {
    /// Whether Telegram's limit for groups applies. What hides behind a name is a group or channel.
    pub fn is_group(&self) -> bool {
        match self {
            Self::Number(number) => *number < 0,
            Self::Name(_) => true,
        }
    }
}

impl fmt::Display for ChatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl FromStr for ChatId {
    type Err = SenderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Ok(number) = text.parse() {
            return Ok(Self::Number(number));
        }
        if text.len() > 1 && text.starts_with('@') {
            return Ok(Self::Name(text.to_owned()));
        }
        Err(SenderError::Chat)
    }
}

/// Where messages go and as whom.
#[derive(Debug, Clone)]
pub struct TelegramConfig {
    /// The bot's token.
    pub bot_token: SecretString,
    /// The chat.
    pub chat: ChatId,
    /// Topic of a forum group.
    pub thread: Option<i32>,
    /// Base address of the Bot API.
    pub api_url: String,
    /// How long one request may take; [`DEADLINE`] in production.
    pub deadline: Duration,
}

/// Why there is no sender.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// The API's address is not a usable URL.
    #[error("the address of the Telegram API is not a usable http:// or https:// URL")]
    Address,
    /// The chat is neither a number nor a name.
    #[error("the chat is neither a number nor an @name")]
    Chat,
}

type MakeClient = Box<dyn Fn() -> Result<reqwest::Client, String> + Send + Sync>;

/// Sends messages as one bot.
pub struct TelegramSender {
    config: TelegramConfig,
    address: reqwest::Url,
    secret: Secret,
    make_client: MakeClient,
    client: OnceLock<reqwest::Client>,
}

/// Without the token and the address: the one is a secret, and the other may hold one.
impl fmt::Debug for TelegramSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelegramSender")
            .field("chat", &self.config.chat)
            .finish_non_exhaustive()
    }
}

/// Longest answer with updates that is read, in bytes: a hundred of the longest messages.
const LONGEST_UPDATES: usize = 4 * 1024 * 1024;

/// What a question for updates brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Updates {
    /// These, oldest first; none is one kind of some.
    Some(Vec<serde_json::Value>),
    /// Flood control.
    Wait(Duration),
    /// Nothing.
    Failed {
        /// Why.
        words: String,
    },
}

/// Where this one message goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The chat's id where it differs from the configured one, because the chat moved.
    pub moved_to: Option<i64>,
    /// Leave the configured topic out.
    pub without_thread: bool,
    /// The message it answers; sent all the same when that one is gone.
    pub reply_to: Option<i64>,
    /// The message whose text it replaces; no new message then.
    pub edit: Option<i64>,
    /// Without sound.
    pub silent: bool,
}

impl TelegramSender {
    /// A sender over the process's shared HTTP client.
    ///
    /// # Errors
    /// [`SenderError::Address`].
    pub fn new(config: TelegramConfig, client: reqwest::Client) -> Result<Self, SenderError> {
        Self::lazy(config, move || Ok(client.clone()))
    }

    /// A sender that asks for the HTTP client when the first message is sent: its trust store is the largest piece of
    /// memory of a service that may never send anything. A failure to make it counts as a failed try.
    ///
    /// # Errors
    /// [`SenderError::Address`].
    pub fn lazy(
        config: TelegramConfig,
        make_client: impl Fn() -> Result<reqwest::Client, String> + Send + Sync + 'static,
    ) -> Result<Self, SenderError> {
        let address = reqwest::Url::parse(config.api_url.trim_end_matches('/')).map_err(|_| SenderError::Address)?;
        if !matches!(address.scheme(), "http" | "https") || address.cannot_be_a_base() {
            return Err(SenderError::Address);
        }
        let secret = Secret::new(&config.bot_token);
        Ok(Self {
            config,
            address,
            secret,
            make_client: Box::new(make_client),
            client: OnceLock::new(),
        })
    }

    /// The chat as configured.
    pub fn chat(&self) -> &ChatId {
        &self.config.chat
    }

    /// The bot's public number: the part of the token before the colon.
    pub fn bot_number(&self) -> Option<u64> {
        let token = self.config.bot_token.expose_secret();
        token.split_once(':')?.0.parse().ok()
    }

    /// Whether a topic is configured.
    pub fn has_thread(&self) -> bool {
        self.config.thread.is_some()
    }

    /// How long one request may take.
    pub fn deadline(&self) -> Duration {
        self.config.deadline
    }

    /// Makes one request and says what came of it.
    pub async fn send(&self, text: String, html: bool, target: &Target) -> Delivery {
        match target.edit.and_then(|id| i32::try_from(id).ok()) {
            Some(id) => self.call(&self.edit(id, text, html, target)).await,
            None => self.call(&self.message(text, html, target)).await,
        }
    }

    /// Asks for updates from `offset` on, waiting up to `wait` for one.
    pub async fn updates(&self, offset: i64, wait: Duration) -> Updates {
        let failed = |words: &str| Updates::Failed {
            words: self.secret.redact(words),
        };
        let client = match self.client() {
            Ok(client) => client,
            Err(reason) => return failed(&reason),
        };
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(0);
        let request = GetUpdates::new()
            .offset(i32::try_from(offset).unwrap_or(0))
            .timeout(seconds)
            .allowed_updates([AllowedUpdate::Message]);
        let token = &self.config.bot_token;
        let call = wire::call(client, &self.address, token, &request, LONGEST_UPDATES);
        match tokio::time::timeout(wait + self.config.deadline, call).await {
            Ok(Ok(answer)) => classify::updates(&answer, &self.secret),
            Ok(Err(error)) => match classify::without_answer(&error, &self.secret) {
                Delivery::Transient { words } => Updates::Failed { words },
                other => failed(&format!("{other:?}")),
            },
            Err(_) => failed("no answer in time"),
        }
    }

    fn recipient(&self, target: &Target) -> Recipient {
        match (target.moved_to, &self.config.chat) {
            (Some(moved), _) => Recipient::Id(BotChatId(moved)),
            (None, ChatId::Number(number)) => Recipient::Id(BotChatId(*number)),
            (None, ChatId::Name(name)) => Recipient::ChannelUsername(name.clone()),
        }
    }

    fn edit(&self, id: i32, text: String, html: bool, target: &Target) -> EditMessageText {
        let request =
            EditMessageText::new(self.recipient(target), MessageId(id), text).link_preview_options(NO_PREVIEW);
        if html {
            request.parse_mode(ParseMode::Html)
        } else {
            request
        }
    }

    fn message(&self, text: String, html: bool, target: &Target) -> SendMessage {
        let mut request = SendMessage::new(self.recipient(target), text).link_preview_options(NO_PREVIEW);
        if html {
            request = request.parse_mode(ParseMode::Html);
        }
        if target.silent {
            request = request.disable_notification(true);
        }
        if let Some(thread) = self.config.thread.filter(|_| !target.without_thread) {
            request = request.message_thread_id(ThreadId(MessageId(thread)));
        }
        if let Some(id) = target.reply_to.and_then(|id| i32::try_from(id).ok()) {
            request = request.reply_parameters(ReplyParameters::new(MessageId(id)).allow_sending_without_reply());
        }
        request
    }

    async fn call<P: Payload + Serialize>(&self, payload: &P) -> Delivery {
        let client = match self.client() {
            Ok(client) => client,
            Err(reason) => {
                return Delivery::Transient {
                    words: self.secret.redact(&reason),
                };
            }
        };
        let token = &self.config.bot_token;
        let call = wire::call(client, &self.address, token, payload, wire::LONGEST_RECEIPT);
        match tokio::time::timeout(self.config.deadline, call).await {
            Ok(Ok(answer)) => classify(&answer, &self.secret),
            Ok(Err(error)) => classify::without_answer(&error, &self.secret),
            Err(_) => Delivery::Transient {
                words: format!(
                    "no answer within {}; it may have arrived",
                    domain::duration::human(self.config.deadline)
                ),
            },
        }
    }

    fn client(&self) -> Result<&reqwest::Client, String> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = (self.make_client)()?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// Nothing named in a message is fetched by Telegram.
const NO_PREVIEW: LinkPreviewOptions = LinkPreviewOptions {
    is_disabled: true,
    url: None,
    prefer_small_media: false,
    prefer_large_media: false,
    show_above_text: false,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_are_numbers_or_names() {
        for (text, group) in [("-1001234567890", true), ("42", false), ("@noc_alarms", true)] {
            let chat: ChatId = text.parse().unwrap();
            assert_eq!(chat.to_string(), text);
            assert_eq!(chat.is_group(), group, "{text}");
        }
        for bad in ["", "@", "noc", "1.5"] {
            assert!(bad.parse::<ChatId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_sender_shows_neither_token_nor_address() {
        let config = TelegramConfig {
            bot_token: SecretString::from("123456:canary-canary-canary"),
            chat: ChatId::Number(-5),
            thread: None,
            api_url: "https://user:canary@api.example/".into(),
            deadline: DEADLINE,
        };
        assert!(!format!("{config:?}").contains("canary-canary"), "{config:?}");
        let sender = TelegramSender::lazy(config.clone(), || Err("none".into())).unwrap();
        assert!(!format!("{sender:?}").contains("canary"), "{sender:?}");
        for bad in ["", "api.telegram.org", "ftp://x/", "mailto:a@b"] {
            let config = TelegramConfig {
                api_url: bad.into(),
                ..config.clone()
            };
            assert!(TelegramSender::lazy(config, || Err("none".into())).is_err(), "{bad}");
        }
    }
}
