//! The bot and its chat, by `getMe`, `getChat` and `getChatMember`: nothing is posted.
//!
//! Must hold: the token stands in the address, so no error text carries an address.

use std::time::Duration;

use cf_api::Transport;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use settings::{Settings, Telegram};

use super::finding::{Finding, Severity};
use cli::words;

/// Longest answer that is looked at.
const MOST_ANSWER: usize = 64 * 1024;

const SILENT: &str = "nobody is told of attacks by Telegram";

/// What the Bot API said.
enum Answer {
    Good(Value),
    /// Its code and words.
    Refused(u64, String),
    /// No answer that could be read.
    None(String),
}

/// Looks at bot and chat.
pub async fn check(transport: &Transport, settings: &Settings, limit: Duration) -> Vec<Finding> {
    const BOT: &str = "telegram.bot";
    let Some(telegram) = &settings.telegram else {
        let others = settings.alert_webhook.is_some() || settings.mail.is_some();
        let (severity, means) = if others {
            (Severity::Warning, "people are told by the other channels alone")
        } else {
            (Severity::Critical, "nobody is told of anything")
        };
        let remedy = "set telegram.bot_token and telegram.chat_id";
        return vec![Finding::of(
            severity,
            BOT,
            "no Telegram chat is configured",
            means,
            remedy,
        )];
    };
    let everything = async {
        let (me, chat) = tokio::join!(
            call(transport, telegram, "getMe", json!({})),
            call(
                transport,
                telegram,
                "getChat",
                json!({"chat_id": telegram.chat_id.to_string()})
            ),
        );
        let number = match &me {
            Answer::Good(me) => me["id"].as_i64(),
            _ => None,
        };
        let mut findings = vec![bot(&me)];
        findings.extend(of_chat(&me, &chat));
        if let (Some(number), Answer::Good(_)) = (number, &chat) {
            let body = json!({"chat_id": telegram.chat_id.to_string(), "user_id": number});
            let member = call(transport, telegram, "getChatMember", body).await;
            findings.extend(membership(&member));
        }
        findings
    };
    match tokio::time::timeout(limit, everything).await {
        Ok(findings) => findings,
        Err(_) => {
            let text = format!("Telegram did not answer within {}", domain::duration::human(limit));
            vec![Finding::unknown(BOT, text, SILENT)]
        }
    }
}

async fn call(transport: &Transport, telegram: &Telegram, method: &str, body: Value) -> Answer {
    let client = match transport.client() {
        Ok(client) => client,
        Err(error) => return Answer::None(cli::trouble::chain(&error)),
    };
    let token = telegram.bot_token.expose_secret();
    let url = format!("{}/bot{token}/{method}", telegram.api_url);
    let sent = client
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_string())
        .send();
    let mut answer = match sent.await {
        Ok(answer) => answer,
        Err(error) => return Answer::None(clean(&cli::trouble::chain(&error.without_url()), token)),
    };
    let status = answer.status().as_u16();
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        if read.len() + chunk.len() > MOST_ANSWER {
            break;
        }
        read.extend_from_slice(&chunk);
    }
    let read: Value = serde_json::from_slice(&read).unwrap_or_default();
    match read["ok"].as_bool() {
        Some(true) => Answer::Good(read["result"].clone()),
        Some(false) => Answer::Refused(
            read["error_code"].as_u64().unwrap_or_else(|| u64::from(status)),
            clean(read["description"].as_str().unwrap_or_default(), token),
        ),
        None => Answer::None(format!("HTTP {status} without the documented JSON")),
    }
}

/// What Telegram says, without the secret half of the token.
pub(crate) fn clean(text: &str, token: &str) -> String {
    let half = token.split_once(':').map_or(token, |(_, half)| half);
    let masked = if half.is_empty() {
        text.to_owned()
    } else {
        text.replace(half, "***")
    };
    words::outside(&masked, 200)
}

fn bot(me: &Answer) -> Finding {
    const CHECK: &str = "telegram.bot";
    match me {
        Answer::Good(me) => {
            let name = words::outside(me["username"].as_str().unwrap_or("without a name"), 40);
            Finding::ok(CHECK, format!("the bot @{name} is known to Telegram"))
        }
        Answer::Refused(401 | 404, said) => Finding::of(
            Severity::Critical,
            CHECK,
            format!("Telegram refuses the bot's token: {said}"),
            SILENT,
            "ask @BotFather for the token and set telegram.bot_token",
        ),
        Answer::Refused(code, said) => Finding::unknown(CHECK, format!("Telegram answered {code}: {said}"), SILENT),
        Answer::None(error) => Finding::unknown(CHECK, format!("Telegram does not answer: {error}"), SILENT),
    }
}

fn of_chat(me: &Answer, chat: &Answer) -> Option<Finding> {
    const CHECK: &str = "telegram.chat";
    match chat {
        Answer::Good(chat) => {
            let name = chat["title"].as_str().or_else(|| chat["username"].as_str());
            let name = name.map_or_else(String::new, |name| format!(" '{}'", words::outside(name, 60)));
            let kind = words::outside(chat["type"].as_str().unwrap_or("chat"), 20);
            Some(Finding::ok(CHECK, format!("the {kind}{name} is known to the bot")))
        }
        // The bot itself is the trouble.
        Answer::Refused(401 | 404, _) if !matches!(me, Answer::Good(_)) => None,
        Answer::None(_) if !matches!(me, Answer::Good(_)) => None,
        Answer::Refused(400 | 403, said) => Some(Finding::of(
            Severity::Critical,
            CHECK,
            format!("the bot cannot reach the chat: {said}"),
            SILENT,
            "add the bot to the chat, and compare telegram.chat_id (groups are negative numbers)",
        )),
        Answer::Refused(code, said) => {
            let text = format!("Telegram answered {code} about the chat: {said}");
            Some(Finding::unknown(CHECK, text, SILENT))
        }
        Answer::None(error) => {
            let text = format!("Telegram does not answer about the chat: {error}");
            Some(Finding::unknown(CHECK, text, SILENT))
        }
    }
}

/// Whether the bot may post. Where this cannot be asked, the chat itself has to be enough.
fn membership(member: &Answer) -> Option<Finding> {
    let Answer::Good(member) = member else { return None };
    let status = member["status"].as_str().unwrap_or_default();
    let mute = match status {
        "left" | "kicked" => true,
        "restricted" => member["can_send_messages"] == false,
        _ => false,
    };
    mute.then(|| {
        Finding::of(
            Severity::Critical,
            "telegram.chat",
            format!("the bot may not post to the chat: it is {}", words::outside(status, 20)),
            SILENT,
            "let the bot send messages there, or make it an administrator of the group",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_what_they_mean_for_messages() {
        let refused = |code| Answer::Refused(code, "no".into());
        assert_eq!(bot(&Answer::Good(json!({"username": "x"}))).severity, Severity::Ok);
        assert_eq!(bot(&refused(401)).severity, Severity::Critical);
        assert_eq!(bot(&refused(502)).severity, Severity::Unknown);
        assert_eq!(bot(&Answer::None("x".into())).severity, Severity::Unknown);
        let good = Answer::Good(json!({}));
        let severity = |chat: &Answer| of_chat(&good, chat).map(|finding| finding.severity);
        assert_eq!(severity(&Answer::Good(json!({"type": "group"}))), Some(Severity::Ok));
        assert_eq!(severity(&refused(400)), Some(Severity::Critical));
        assert_eq!(severity(&refused(403)), Some(Severity::Critical));
        assert_eq!(severity(&refused(500)), Some(Severity::Unknown));
        assert_eq!(of_chat(&refused(401), &refused(401)), None, "said once");
        assert!(membership(&Answer::Good(json!({"status": "kicked"}))).is_some());
        assert!(
            membership(&Answer::Good(
                json!({"status": "restricted", "can_send_messages": false})
            ))
            .is_some()
        );
        for fine in [
            json!({"status": "member"}),
            json!({"status": "restricted", "can_send_messages": true}),
        ] {
            assert!(membership(&Answer::Good(fine)).is_none());
        }
    }

    #[test]
    fn the_token_is_in_no_text() {
        let said = clean("Forbidden for 123456:canary-half", "123456:canary-half");
        assert!(!said.contains("canary"), "{said}");
    }
}
