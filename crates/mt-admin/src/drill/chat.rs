//! The chat for tests: is the bot who it should be, does the chat take a message, and what time is it at Telegram.
//!
//! Must hold: the token stands in the address, so no text that is shown or stored carries an address.

use std::time::Duration;

use cf_api::{Transport, TransportConfig};
use cli::words;
use domain::time::since;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use settings::Telegram;

use super::Drill;
use super::hop::Outcome;
use crate::doctor::telegram::clean;

/// Longest answer that is looked at.
const MOST_ANSWER: usize = 64 * 1024;

/// How far the clocks may be apart before deadlines, calm and signatures go wrong.
pub const MOST_SKEW: Duration = Duration::from_secs(30);

/// A chat as Telegram takes it: a number or an @name.
///
/// # Errors
/// In words.
pub fn chat_id(text: &str) -> Result<String, String> {
    let is_number = text.parse::<i64>().is_ok();
    let is_name = text.len() > 1 && text.starts_with('@');
    if is_number || is_name {
        Ok(text.to_owned())
    } else {
        Err("a chat is a number such as -1001234567890, or @name".to_owned())
    }
}

/// What the Bot API answered, and when that was by its clock.
#[derive(Debug)]
struct Answer {
    result: Result<Value, String>,
    date: Option<Timestamp>,
}

async fn call(telegram: &Telegram, method: &str, body: Value, limit: Duration) -> Answer {
    let failed = |why: String| Answer {
        result: Err(why),
        date: None,
    };
    let token = telegram.bot_token.expose_secret();
    let transport = Transport::new(TransportConfig::default());
    let client = match transport.client() {
        Ok(client) => client,
        Err(error) => return failed(cli::trouble::chain(&error)),
    };
    let sent = client
        .post(format!("{}/bot{token}/{method}", telegram.api_url))
        .timeout(limit)
        .header("content-type", "application/json")
        .body(body.to_string())
        .send();
    let mut answer = match tokio::time::timeout(limit, sent).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return failed(clean(&cli::trouble::chain(&error.without_url()), token)),
        Err(_) => return failed(format!("no answer within {}", domain::duration::human(limit))),
    };
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
    let date = date
        .and_then(|date| rfc2822::parse(date).ok())
        .map(|date| date.timestamp());
    let status = answer.status().as_u16();
    let mut read = Vec::new();
    while let Ok(Ok(Some(chunk))) = tokio::time::timeout(limit, answer.chunk()).await {
        read.extend_from_slice(&chunk);
        if read.len() > MOST_ANSWER {
            break;
        }
    }
    let read: Value = serde_json::from_slice(&read).unwrap_or_default();
    let result = match read["ok"].as_bool() {
        Some(true) => Ok(read["result"].clone()),
        Some(false) => {
            let said = clean(read["description"].as_str().unwrap_or_default(), token);
            Err(format!(
                "Telegram refuses it with {}: {said}",
                read["error_code"].as_u64().unwrap_or(u64::from(status))
            ))
        }
        None => Err(format!("HTTP {status} without the documented JSON")),
    };
    Answer { result, date }
}

/// The bot answers, and its clock and ours agree.
pub async fn bot(drill: &mut Drill<'_>) -> Outcome {
    let Some(telegram) = &drill.desk.settings.telegram else {
        let remedy = "set telegram.bot_token and telegram.chat_id";
        return Outcome::Broken(
            "no chat is configured, so nobody is told by Telegram".to_owned(),
            remedy.to_owned(),
        );
    };
    let me = call(telegram, "getMe", json!({}), drill.asked.timeout).await;
    let now = drill.desk.now();
    let bot = match me.result {
        Ok(bot) => words::outside(bot["username"].as_str().unwrap_or_default(), 60),
        Err(why) => {
            let remedy = "check telegram.bot_token, and whether this host reaches api.telegram.org";
            return Outcome::Broken(format!("the bot does not answer: {why}"), remedy.to_owned());
        }
    };
    if let Some(date) = me.date {
        let apart = since(now, date).max(since(date, now));
        if apart > MOST_SKEW {
            let text = format!(
                "this host's clock and Telegram's are {} apart; calm, deadlines and alerts are judged by it",
                domain::duration::human(apart)
            );
            return Outcome::Broken(text, "synchronise the clock: timedatectl, chronyc tracking".to_owned());
        }
    }
    let chat = call(
        telegram,
        "getChat",
        json!({"chat_id": telegram.chat_id.to_string()}),
        drill.asked.timeout,
    )
    .await;
    match chat.result {
        Ok(_) => Outcome::Good(format!("@{bot} answers, and knows the chat that people read")),
        Err(why) => {
            let remedy = "check telegram.chat_id, and whether the bot is a member of the chat";
            Outcome::Broken(
                format!("the bot does not know telegram.chat_id: {why}"),
                remedy.to_owned(),
            )
        }
    }
}

/// A message of the drill's own to the chat for tests.
pub async fn message(drill: &mut Drill<'_>) -> Outcome {
    let Some(chat) = &drill.asked.chat else {
        return Outcome::Nothing("no chat for tests was named (--chat)".to_owned());
    };
    let Some(telegram) = &drill.desk.settings.telegram else {
        return Outcome::Broken("no bot is configured".to_owned(), "set telegram.bot_token".to_owned());
    };
    let text = format!(
        "FIRE DRILL, nothing is under attack. {} rehearses its chain with {}. {} UTC",
        drill.desk.settings.organisation.server,
        drill.prefix,
        words::stamp(drill.desk.now()),
    );
    let body = json!({"chat_id": chat, "text": text, "disable_notification": true});
    match call(telegram, "sendMessage", body, drill.asked.timeout).await.result {
        Ok(sent) => Outcome::Good(format!("message {} is in the chat for tests", sent["message_id"])),
        Err(why) => {
            let remedy = "is the bot a member of that chat, and may it write there?";
            Outcome::Broken(format!("the chat for tests does not take it: {why}"), remedy.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_are_numbers_or_names() {
        assert!(chat_id("-1001234567890").is_ok() && chat_id("@drill").is_ok());
        assert!(chat_id("drill").is_err() && chat_id("@").is_err() && chat_id("").is_err());
    }

    #[test]
    fn nothing_that_is_shown_has_the_token() {
        assert_eq!(clean("bot 123:secret said no", "123:secret"), "bot 123:*** said no");
    }
}
