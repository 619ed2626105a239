//! The Telegram Bot API as a sender of alerts and a reader of buttons needs it.
//!
//! Arguments come as JSON, form or query string; method names are case-insensitive; every message is kept.

pub(crate) mod chats;
mod html;
mod markdown;
mod markup;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::wire::{Reply, Request, form_pairs};
use crate::world::World;
use chats::{Draft, Refused};

/// Longest wait of one getUpdates.
const LONGEST_POLL: Duration = Duration::from_secs(50);

/// `ok: false`.
pub(crate) fn error(code: u16, description: &str) -> Reply {
    error_with(code, description, None, None)
}

/// `ok: false` with what a flood or a moved chat adds.
pub(crate) fn error_with(code: u16, description: &str, retry_after: Option<u64>, migrate_to: Option<i64>) -> Reply {
    let mut body = json!({"ok": false, "error_code": code, "description": description});
    if let Some(seconds) = retry_after {
        body["parameters"]["retry_after"] = json!(seconds);
    }
    if let Some(id) = migrate_to {
        body["parameters"]["migrate_to_chat_id"] = json!(id);
    }
    let reply = Reply::json(code, &body);
    match retry_after {
        Some(seconds) => reply.header("retry-after", seconds),
        None => reply,
    }
}

/// 429 in parameter and header.
pub(crate) fn flood(seconds: u64) -> Reply {
    error_with(
        429,
        &format!("Too Many Requests: retry after {seconds}"),
        Some(seconds),
        None,
    )
}

fn good(result: &Value) -> Reply {
    Reply::json(200, &json!({"ok": true, "result": result}))
}

/// A path with the token of a bot replaced.
pub(crate) fn mask_token(path: &str) -> String {
    let mut segments = path.split('/').map(|s| {
        if s.starts_with("bot") && s.contains(':') {
            "bot***"
        } else {
            s
        }
    });
    let first = segments.next().unwrap_or_default().to_owned();
    segments.fold(first, |all, s| all + "/" + s)
}

/// Answers one call.
pub(crate) async fn handle(request: &Request, world: &Arc<World>) -> Reply {
    let segments = request.segments("/telegram");
    let [bot, method] = segments.as_slice() else {
        return error(404, "Not Found");
    };
    let Some(token) = bot.strip_prefix("bot") else {
        return error(404, "Not Found");
    };
    if !token.contains(':') {
        return error(404, "Not Found");
    }
    if token != world.config.bot_token {
        return error(401, "Unauthorized");
    }
    let arguments = match arguments(request) {
        Ok(arguments) => arguments,
        Err(description) => return error(400, &description),
    };
    let args = Arguments(&arguments);
    match method.to_ascii_lowercase().as_str() {
        "getme" => good(&bot_user(world)),
        "sendmessage" => send(&args, world),
        "editmessagetext" => edit(&args, world),
        "deletemessage" => delete(&args, world),
        "getupdates" => updates(&args, world).await,
        "getchat" => match args.chat(world) {
            Ok(_) => {
                // More than in a message: these two are always there.
                let mut full = world.lock().chats.chat();
                full["accent_color_id"] = json!(0);
                full["max_reaction_count"] = json!(11);
                full["accepted_gift_types"] = json!({"unlimited_gifts": false, "limited_gifts": false, "unique_gifts": false,
                    "premium_subscription": false, "gifts_from_channels": false});
                good(&full)
            }
            Err(reply) => *reply,
        },
        "answercallbackquery" => answer_callback(&args, world),
        "getwebhookinfo" => good(&json!({"url": "", "has_custom_certificate": false, "pending_update_count": 0})),
        "deletewebhook" | "setmycommands" | "sendchataction" | "close" | "logout" => good(&json!(true)),
        _ => error(404, "Not Found: method not found"),
    }
}

fn bot_user(world: &World) -> Value {
    let id: i64 = world
        .config
        .bot_token
        .split(':')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    json!({
        "id": id, "is_bot": true, "first_name": "Simulated bot", "username": "simulated_alert_bot", "can_join_groups": true,
        "can_read_all_group_messages": false, "supports_inline_queries": false, "can_connect_to_business": false, "has_main_web_app": false,
    })
}

fn arguments(request: &Request) -> Result<Map<String, Value>, String> {
    let mut all: Map<String, Value> = request
        .params()
        .into_iter()
        .map(|(k, v)| (k, Value::String(v)))
        .collect();
    let kind = request.header("content-type").unwrap_or_default().to_ascii_lowercase();
    if request.body.is_empty() {
        return Ok(all);
    }
    if kind.starts_with("application/json") {
        match request.json() {
            Ok(Value::Object(body)) => all.extend(body),
            _ => return Err("Bad Request: can't parse JSON object".to_owned()),
        }
    } else if kind.starts_with("application/x-www-form-urlencoded") {
        let text = String::from_utf8_lossy(&request.body);
        all.extend(form_pairs(&text).into_iter().map(|(k, v)| (k, Value::String(v))));
    } else {
        return Err("Bad Request: this simulator reads JSON and forms only".to_owned());
    }
    Ok(all)
}

/// Arguments whose values may be typed (JSON) or text (form).
struct Arguments<'a>(&'a Map<String, Value>);

impl Arguments<'_> {
    fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|t| t.eq_ignore_ascii_case("true") || t == "1")
    }

    /// An object or list, given as such or as JSON text.
    fn structure(&self, name: &str) -> Option<Value> {
        match self.0.get(name)? {
            Value::String(text) => serde_json::from_str(text).ok(),
            Value::Null => None,
            other => Some(other.clone()),
        }
    }

    fn chat(&self, world: &World) -> Result<i64, Box<Reply>> {
        let Some(id) = self.text("chat_id") else {
            return Err(Box::new(error(400, "Bad Request: chat_id is empty")));
        };
        let state = world.lock();
        match id.parse::<i64>() {
            Ok(id) if id == state.chats.id() => Ok(id),
            Ok(id) if state.chats.moved_from(id) => {
                let new = state.chats.id();
                let text = "Bad Request: group chat was upgraded to a supergroup chat";
                Err(Box::new(error_with(400, text, None, Some(new))))
            }
            _ => Err(Box::new(error(400, "Bad Request: chat not found"))),
        }
    }

    /// Text with its markup worked out.
    fn draft(&self) -> Result<Draft, Box<Reply>> {
        let bad = |text: &str| Box::new(error(400, text));
        let raw = self.text("text").unwrap_or_default();
        if raw.len() > 32_768 {
            return Err(bad("Bad Request: text is too long"));
        }
        let mode = self.text("parse_mode").filter(|m| !m.is_empty());
        let parsed = markup::parse(&raw, mode.as_deref()).map_err(|e| bad(&format!("Bad Request: {e}")))?;
        if parsed.text.trim().is_empty() {
            return Err(bad("Bad Request: message text is empty"));
        }
        if parsed.text.encode_utf16().count() > 4096 {
            return Err(bad("Bad Request: message is too long"));
        }
        let markup = self.structure("reply_markup");
        let buttons = markup
            .iter()
            .filter_map(|m| m["inline_keyboard"].as_array())
            .flatten()
            .filter_map(Value::as_array)
            .flatten();
        for data in buttons.filter_map(|b| b["callback_data"].as_str()) {
            if data.is_empty() || data.len() > 64 {
                return Err(bad("Bad Request: BUTTON_DATA_INVALID"));
            }
        }
        Ok(Draft {
            raw,
            text: parsed.text,
            entities: parsed.entities,
            parse_mode: mode,
            reply_markup: markup,
        })
    }
}

fn refusal(refused: &Refused) -> Reply {
    match refused {
        Refused::Flood { seconds } => flood(*seconds),
        Refused::Bad(text) => error(400, &format!("Bad Request: {text}")),
    }
}

fn send(args: &Arguments<'_>, world: &World) -> Reply {
    if let Err(reply) = args.chat(world) {
        return *reply;
    }
    let draft = match args.draft() {
        Ok(draft) => draft,
        Err(reply) => return *reply,
    };
    let thread = args.number("message_thread_id");
    let reply_to = args
        .structure("reply_parameters")
        .and_then(|p| p["message_id"].as_i64())
        .or_else(|| args.number("reply_to_message_id"));
    let lenient = args
        .structure("reply_parameters")
        .is_some_and(|p| p["allow_sending_without_reply"] == json!(true));
    let silent = args.flag("disable_notification");
    let bot = bot_user(world);
    let sent = world
        .lock()
        .chats
        .send(draft, thread, reply_to, lenient, silent, Timestamp::now());
    match sent {
        Ok(message) => good(&message.object(&bot, &world.lock().chats.chat())),
        Err(refused) => refusal(&refused),
    }
}

fn edit(args: &Arguments<'_>, world: &World) -> Reply {
    if let Err(reply) = args.chat(world) {
        return *reply;
    }
    let Some(id) = args.number("message_id") else {
        return error(400, "Bad Request: message identifier is not specified");
    };
    let draft = match args.draft() {
        Ok(draft) => draft,
        Err(reply) => return *reply,
    };
    let bot = bot_user(world);
    let edited = world.lock().chats.edit(id, draft, Timestamp::now());
    match edited {
        Ok(message) => good(&message.object(&bot, &world.lock().chats.chat())),
        Err(refused) => refusal(&refused),
    }
}

fn delete(args: &Arguments<'_>, world: &World) -> Reply {
    if let Err(reply) = args.chat(world) {
        return *reply;
    }
    match args.number("message_id") {
        Some(id) if world.lock().chats.delete(id) => good(&json!(true)),
        _ => error(400, "Bad Request: message to delete not found"),
    }
}

fn answer_callback(args: &Arguments<'_>, world: &World) -> Reply {
    if args.text("text").is_some_and(|t| t.encode_utf16().count() > 200) {
        return error(400, "Bad Request: MESSAGE_TOO_LONG");
    }
    match args.text("callback_query_id") {
        Some(id) if world.lock().chats.answer_callback(&id, args.text("text")) => good(&json!(true)),
        _ => error(
            400,
            "Bad Request: query is too old and response timeout expired or query ID is invalid",
        ),
    }
}

async fn updates(args: &Arguments<'_>, world: &Arc<World>) -> Reply {
    let offset = args.number("offset");
    let limit = usize::try_from(args.number("limit").unwrap_or(100).clamp(1, 100)).unwrap_or(100);
    let wait = Duration::from_secs(u64::try_from(args.number("timeout").unwrap_or(0)).unwrap_or(0)).min(LONGEST_POLL);
    let deadline = tokio::time::Instant::now() + wait;
    let mine = world.lock().chats.begin_poll();
    loop {
        let notified = world.wake.notified();
        {
            let mut state = world.lock();
            if !state.chats.still_polling(mine) {
                let text =
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
                return error(409, text);
            }
            let found = state.chats.updates(offset, limit);
            if !found.is_empty() || tokio::time::Instant::now() >= deadline {
                return good(&Value::Array(found));
            }
        }
        // The timeout also notices a second poller, which does not wake this one.
        let step = deadline.min(tokio::time::Instant::now() + Duration::from_millis(100));
        let _ = tokio::time::timeout_at(step, notified).await;
    }
}
