//! The Bot API: limits, markup and errors.

use cf_sim::{FaultKind, FaultSpec, SimConfig, Target, TelegramLimits};
use serde_json::json;

use crate::{Desk, answer};

fn chat(desk: &Desk) -> i64 {
    desk.sim.config().chat_id
}

async fn unlimited() -> Desk {
    let limits = TelegramLimits {
        enabled: false,
        ..TelegramLimits::default()
    };
    Desk::with(SimConfig {
        telegram_limits: limits,
        ..SimConfig::default()
    })
    .await
}

#[tokio::test]
async fn messages_are_sent_edited_and_kept() {
    let desk = unlimited().await;
    let me = desk.bot("GetMe", json!({})).await;
    assert_eq!(me.body["result"]["is_bot"], true);
    let sent = desk.bot("SendMessage", json!({"chat_id": chat(&desk), "text": "<b>attack</b> &amp; more", "parse_mode": "HTML", "message_thread_id": 7})).await;
    let message = &sent.body["result"];
    assert_eq!(
        (&message["text"], &message["entities"][0]["type"]),
        (&json!("attack & more"), &json!("bold"))
    );
    assert_eq!(
        (&message["chat"]["type"], &message["message_thread_id"]),
        (&json!("supergroup"), &json!(7))
    );
    let edit = json!({"chat_id": chat(&desk), "message_id": message["message_id"], "text": "over"});
    assert_eq!(
        desk.bot("editMessageText", edit.clone()).await.body["result"]["text"],
        "over"
    );
    let same = desk.bot("editMessageText", edit).await;
    assert!(
        same.body["description"]
            .as_str()
            .unwrap()
            .starts_with("Bad Request: message is not modified")
    );
    // python clients send forms.
    let url = format!(
        "{}/bot{}/sendMessage",
        desk.sim.telegram_url(),
        desk.sim.config().bot_token
    );
    let form = format!("chat_id={}&text=form+text%21", chat(&desk));
    let form = desk
        .http
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    assert_eq!(
        answer(form.send().await.unwrap()).await.body["result"]["text"],
        "form text!"
    );
    let kept = desk.sim.messages();
    assert_eq!(
        (kept.len(), kept[0].text.as_str(), kept[0].edits[0].text.as_str()),
        (2, "over", "attack & more")
    );
}

#[tokio::test]
async fn bad_messages_are_refused_in_telegrams_words() {
    let desk = unlimited().await;
    let id = chat(&desk);
    for (body, words) in [
        (
            json!({"chat_id": id, "text": "pps < 5", "parse_mode": "HTML"}),
            "can't parse entities: Unclosed start tag at byte offset 4",
        ),
        (
            json!({"chat_id": id, "text": "udp_flood", "parse_mode": "Markdown"}),
            "can't parse entities: Can't find end of the entity starting at byte offset 3",
        ),
        (
            json!({"chat_id": id, "text": "1.5", "parse_mode": "MarkdownV2"}),
            "can't parse entities: Character '.' is reserved",
        ),
        (
            json!({"chat_id": id, "text": "x", "parse_mode": "rtf"}),
            "unsupported parse_mode",
        ),
        (json!({"chat_id": id, "text": " \n"}), "message text is empty"),
        (json!({"chat_id": id, "text": "x".repeat(4097)}), "message is too long"),
        (json!({"chat_id": id, "text": "x".repeat(40_000)}), "text is too long"),
        (json!({"chat_id": 5, "text": "x"}), "chat not found"),
        (
            json!({"chat_id": id, "text": "x", "message_thread_id": 99}),
            "message thread not found",
        ),
    ] {
        let refused = desk.bot("sendMessage", body).await;
        assert_eq!(
            (refused.status, &refused.body["ok"], &refused.body["error_code"]),
            (400, &json!(false), &json!(400))
        );
        let got = refused.body["description"].as_str().unwrap();
        assert!(got.starts_with(&format!("Bad Request: {words}")), "{got}");
    }
    // Markup does not count: 4096 characters are left after parsing.
    let long = json!({"chat_id": id, "text": format!("<b>{}</b>", "&lt;".repeat(4096)), "parse_mode": "HTML"});
    assert_eq!(desk.bot("sendMessage", long).await.status, 200);
    assert_eq!(desk.sim.messages().len(), 1);
    let url = format!("{}/bot1:wrong/getMe", desk.sim.telegram_url());
    assert_eq!(answer(desk.http.get(url).send().await.unwrap()).await.status, 401);
}

#[tokio::test]
async fn a_group_takes_twenty_messages_a_minute() {
    let limits = TelegramLimits {
        burst_per_second: 1000,
        ..TelegramLimits::default()
    };
    let desk = Desk::with(SimConfig {
        telegram_limits: limits,
        ..SimConfig::default()
    })
    .await;
    let body = || json!({"chat_id": chat(&desk), "text": "x"});
    for _ in 0..20 {
        assert_eq!(desk.bot("sendMessage", body()).await.status, 200);
    }
    let flood = desk.bot("sendMessage", body()).await;
    assert_eq!(flood.status, 429);
    let wait = flood.body["parameters"]["retry_after"].as_u64().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(flood.headers["retry-after"], wait.to_string());
    assert_eq!(
        flood.body["description"],
        format!("Too Many Requests: retry after {wait}")
    );
}

#[tokio::test]
async fn a_chat_can_move_and_a_user_can_block() {
    let desk = unlimited().await;
    let old = chat(&desk);
    let kind = FaultKind::Telegram {
        code: 400,
        description: "Bad Request: group chat was upgraded to a supergroup chat".into(),
        retry_after: None,
        migrate_to_chat_id: Some(-1009),
    };
    desk.sim.set_fault(FaultSpec::new(Target::Telegram, kind).times(1));
    for _ in 0..2 {
        let moved = desk.bot("sendMessage", json!({"chat_id": old, "text": "x"})).await;
        assert_eq!(
            (moved.status, &moved.body["parameters"]["migrate_to_chat_id"]),
            (400, &json!(-1009))
        );
    }
    assert_eq!(
        desk.bot("sendMessage", json!({"chat_id": -1009, "text": "x"}))
            .await
            .status,
        200
    );
    let blocked = FaultKind::Telegram {
        code: 403,
        description: "Forbidden: bot was blocked by the user".into(),
        retry_after: None,
        migrate_to_chat_id: None,
    };
    desk.sim.set_fault(FaultSpec::new(Target::Telegram, blocked));
    assert_eq!(
        desk.bot("sendMessage", json!({"chat_id": -1009, "text": "x"}))
            .await
            .status,
        403
    );
    assert_eq!(desk.sim.messages().len(), 1);
}

#[tokio::test]
async fn updates_are_confirmed_and_only_one_poller_lives() {
    let desk = unlimited().await;
    desk.sim
        .push_telegram_update(json!({"callback_query": {"id": "q1", "from": {"id": 5}, "data": "token"}}));
    let got = desk.bot("getUpdates", json!({"timeout": 0})).await;
    assert_eq!(got.body["result"][0]["update_id"], 1);
    assert_eq!(
        desk.bot(
            "answerCallbackQuery",
            json!({"callback_query_id": "q1", "text": "done"})
        )
        .await
        .body["result"],
        true
    );
    assert_eq!(
        desk.bot("answerCallbackQuery", json!({"callback_query_id": "q1"}))
            .await
            .status,
        400
    );
    assert_eq!(
        desk.bot("getUpdates", json!({"offset": 2})).await.body["result"],
        json!([])
    );
    let first = desk.bot("getUpdates", json!({"offset": 2, "timeout": 15}));
    let second = async {
        assert!(
            desk.sim
                .wait_until(crate::LIMIT, || desk
                    .sim
                    .requests_since(0)
                    .iter()
                    .any(|r| r.status.is_none()))
                .await
        );
        desk.bot("getUpdates", json!({"offset": 2, "timeout": 0})).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status, second.status), (409, 200));
    assert!(
        first.body["description"]
            .as_str()
            .unwrap()
            .starts_with("Conflict: terminated by other getUpdates request")
    );
}

#[tokio::test]
async fn the_usual_client_library_understands_the_answers() {
    use teloxide::payloads::SendMessageSetters;
    use teloxide::prelude::{Bot, Requester};
    use teloxide::types::{ChatId, LinkPreviewOptions, MessageId, ParseMode, ReplyParameters, ThreadId};
    use teloxide::{ApiError, RequestError};

    let desk = unlimited().await;
    let bot = Bot::new(&desk.sim.config().bot_token).set_api_url(desk.sim.telegram_url().parse().unwrap());
    assert!(bot.get_me().await.unwrap().user.is_bot);
    let chat = ChatId(chat(&desk));
    let quiet = LinkPreviewOptions {
        is_disabled: true,
        url: None,
        prefer_small_media: false,
        prefer_large_media: false,
        show_above_text: false,
    };
    let thread = ThreadId(MessageId(7));
    let sent = bot
        .send_message(chat, "<b>attack</b> on <code>203.0.113.10</code>")
        .parse_mode(ParseMode::Html)
        .message_thread_id(thread)
        .link_preview_options(quiet)
        .await
        .unwrap();
    assert_eq!(
        (sent.text(), sent.chat.id, sent.entities().unwrap().len()),
        (Some("attack on 203.0.113.10"), chat, 2)
    );
    let answer = bot
        .send_message(chat, "more")
        .reply_parameters(ReplyParameters::new(sent.id))
        .await
        .unwrap();
    assert_eq!(desk.sim.messages()[1].reply_to, Some(i64::from(sent.id.0)));
    let edited = bot.edit_message_text(chat, answer.id, "done").await.unwrap();
    assert_eq!(edited.text(), Some("done"));
    let same = bot.edit_message_text(chat, answer.id, "done").await.unwrap_err();
    assert!(
        matches!(same, RequestError::Api(ApiError::MessageNotModified)),
        "{same:?}"
    );
    let broken = bot
        .send_message(chat, "<b>x")
        .parse_mode(ParseMode::Html)
        .await
        .unwrap_err();
    assert!(
        matches!(broken, RequestError::Api(ApiError::CantParseEntities(_))),
        "{broken:?}"
    );
    desk.sim
        .set_fault(FaultSpec::new(Target::Telegram, FaultKind::RateLimited { retry_after: Some(17) }).times(1));
    let flood = bot.send_message(chat, "x").await.unwrap_err();
    assert!(
        matches!(flood, RequestError::RetryAfter(s) if s.seconds() == 17),
        "{flood:?}"
    );
    desk.sim
        .set_fault(FaultSpec::new(Target::Telegram, FaultKind::Garbage).times(1));
    assert!(matches!(
        bot.send_message(chat, "x").await.unwrap_err(),
        RequestError::InvalidJson { .. }
    ));
}
