"""python-telegram-bot talks to the simulated Bot API: what a sender of alerts needs, and every refusal it must know.

telegram_calls.py BASE TOKEN CHAT CONTROL

The library turns answers into its own classes and refusals into its own exceptions; each is compared with what the
documentation promises.
"""

import asyncio
import datetime
import json
import sys
import urllib.request

import telegram
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions, ReplyParameters, error

base, token, chat, control = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
problems = []


def check(name, condition):
    if not condition:
        problems.append(name)
        print("WRONG:", name)


def tell(path, body=None):
    """The simulator's control interface."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{control}/{path}", data=data, method="GET" if body is None else "POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


async def fails(name, kind, words, call):
    """The call must raise this exception with these words; answers the exception."""
    try:
        await call
    except kind as problem:
        check(f"{name}: {problem}", words.lower() in str(problem).lower())
        return problem
    except Exception as problem:  # noqa: BLE001 - every other exception is the finding
        check(f"{name}: {type(problem).__name__}: {problem}", False)
        return None
    check(f"{name}: no {kind.__name__}", False)
    return None


async def messages(bot):
    check("bot", bot.username and (await bot.get_me()).is_bot)
    there = await bot.get_chat(chat)
    check("chat", there.id == chat and there.type == "supergroup")
    sent = await bot.send_message(chat, "<b>Attack</b> on <code>203.0.113.10</code> &amp; more", parse_mode="HTML",
                                  link_preview_options=LinkPreviewOptions(is_disabled=True))
    check("HTML", sent.text == "Attack on 203.0.113.10 & more" and [e.type for e in sent.entities] == ["bold", "code"])
    check("date", abs(sent.date - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(minutes=5))
    check("as HTML again", sent.text_html == "<b>Attack</b> on <code>203.0.113.10</code> &amp; more")
    v2 = await bot.send_message(chat, r"*bold* and `code`\.", parse_mode="MarkdownV2", message_thread_id=7)
    check("MarkdownV2", v2.text == "bold and code." and v2.message_thread_id == 7)
    old = await bot.send_message(chat, "*bold*", parse_mode="Markdown", reply_parameters=ReplyParameters(sent.message_id))
    check("Markdown", old.entities[0].type == "bold")
    buttons = InlineKeyboardMarkup([[InlineKeyboardButton("Acknowledge", callback_data="token-1")]])
    edited = await bot.edit_message_text("now with a button", chat, sent.message_id, reply_markup=buttons)
    check("edited", edited.text == "now with a button" and edited.edit_date is not None)
    check("button", edited.reply_markup.inline_keyboard[0][0].callback_data == "token-1")
    await fails("the same again", error.BadRequest, "message is not modified",
                bot.edit_message_text("now with a button", chat, sent.message_id, reply_markup=buttons))
    check("deleted", await bot.delete_message(chat, v2.message_id))
    kept = tell("telegram/messages")
    check("kept", [m["message_id"] for m in kept][:1] == [sent.message_id])


async def refusals(bot):
    await fails("open tag", error.BadRequest, "can't parse entities", bot.send_message(chat, "<b>open", parse_mode="HTML"))
    await fails("unknown tag", error.BadRequest, "unsupported start tag", bot.send_message(chat, "<x>y</x>", parse_mode="HTML"))
    await fails("unescaped", error.BadRequest, "is reserved and must be escaped", bot.send_message(chat, "a.b", parse_mode="MarkdownV2"))
    await fails("underscore", error.BadRequest, "can't find end of the entity", bot.send_message(chat, "udp_flood", parse_mode="Markdown"))
    await fails("empty", error.BadRequest, "message text is empty", bot.send_message(chat, " "))
    await fails("too long", error.BadRequest, "message is too long", bot.send_message(chat, "x" * 4097))
    await fails("far too long", error.BadRequest, "text is too long", bot.send_message(chat, "x" * 40000))
    await fails("parse mode", error.BadRequest, "unsupported parse_mode", bot.send_message(chat, "x", parse_mode="BBCode"))
    await fails("other chat", error.BadRequest, "chat not found", bot.send_message(12345, "x"))
    await fails("thread", error.BadRequest, "message thread not found", bot.send_message(chat, "x", message_thread_id=99))
    await fails("message to edit", error.BadRequest, "message to edit not found", bot.edit_message_text("x", chat, 999999))
    await fails("message to delete", error.BadRequest, "message to delete not found", bot.delete_message(chat, 999999))
    await fails("callback", error.BadRequest, "query is too old", bot.answer_callback_query("no-such-query"))
    stranger = Bot("654321:wrong-token", base_url=f"{base}/bot")
    await fails("token", error.InvalidToken, "", stranger.get_me())
    buttons = InlineKeyboardMarkup([[InlineKeyboardButton("x", callback_data="y" * 65)]])
    await fails("long data", error.BadRequest, "button_data_invalid", bot.send_message(chat, "x", reply_markup=buttons))


async def updates(bot):
    person = {"id": 42, "is_bot": False, "first_name": "Ana"}
    message = {"message_id": 1, "date": 1700000000, "chat": {"id": chat, "type": "supergroup", "title": "NOC"}, "text": "x"}
    tell("telegram/update", {"callback_query": {"id": "q1", "from": person, "chat_instance": "1", "data": "token-1", "message": message}})
    tell("telegram/update", {"message": {**message, "message_id": 2, "from": person, "text": "/status"}})
    first = await bot.get_updates(timeout=0, limit=1)
    check("callback query", first[0].callback_query.data == "token-1" and first[0].callback_query.from_user.id == 42)
    check("answered", await bot.answer_callback_query("q1", text="taken", show_alert=True))
    rest = await bot.get_updates(offset=first[0].update_id + 1, timeout=0)
    check("confirmed", [u.message.text for u in rest] == ["/status"])
    check("none left", await bot.get_updates(offset=rest[0].update_id + 1, timeout=0) == ())
    check("webhook", (await bot.get_webhook_info()).url == "" and await bot.delete_webhook())
    # Two pollers: the older one is told.
    older = asyncio.ensure_future(bot.get_updates(timeout=20))
    while not any(e["path"].lower().endswith("getupdates") and e["status"] is None for e in tell("requests")):
        await asyncio.sleep(0.02)
    async with Bot(token, base_url=f"{base}/bot") as second:
        await second.get_updates(timeout=0)
    await fails("two pollers", error.Conflict, "terminated by other getupdates request", older)


async def faults(bot):
    tell("faults", {"target": "telegram", "kind": "rate_limited", "retry_after": 17, "count": 1})
    flood = await fails("flood", error.RetryAfter, "retry in 17", bot.send_message(chat, "x"))
    wait = flood.retry_after if flood else 0
    check("retry after", (wait.total_seconds() if isinstance(wait, datetime.timedelta) else wait) == 17)
    tell("faults", {"target": "telegram", "kind": "telegram", "code": 403, "description": "Forbidden: bot was blocked by the user", "count": 1})
    await fails("blocked", error.Forbidden, "bot was blocked by the user", bot.send_message(chat, "x"))
    tell("faults", {"target": "telegram", "kind": "status", "status": 502, "count": 1})
    await fails("bad gateway", error.NetworkError, "", bot.send_message(chat, "x"))
    # A group takes twenty messages a minute, whoever sends them.
    refused = None
    for _ in range(25):
        try:
            await bot.send_message(chat, "one of many")
        except error.RetryAfter as problem:
            refused = problem
            break
    check("twenty a minute", refused is not None)
    moved = {"target": "telegram", "kind": "telegram", "code": 400, "count": 1, "migrate_to_chat_id": -1009876543210,
             "description": "Bad Request: group chat was upgraded to a supergroup chat"}
    tell("faults", moved)
    gone = await fails("moved", error.ChatMigrated, "-1009876543210", bot.send_message(chat, "x"))
    check("new chat", gone is not None and gone.new_chat_id == -1009876543210)


async def main():
    # Each part begins with an empty minute of its own, so that only the last one meets the limits.
    async with Bot(token, base_url=f"{base}/bot") as bot:
        for part in (messages, refusals, updates, faults):
            try:
                await part(bot)
            except Exception as problem:  # noqa: BLE001 - the other parts are still worth running
                check(f"{part.__name__}: {type(problem).__name__}: {problem}", False)


asyncio.run(main())
print(f"python-telegram-bot {telegram.__version__}, {len(problems)} problems")
sys.exit(1 if problems else 0)
