//! Events of the outbox (`notify`), sorted by name.

use super::EventDef;

pub(super) const EVENTS: &[EventDef] = &[
    EventDef::info(
        "notify.ask.asked",
        "Somebody who may asked the bot something; the answer is on its way.",
    ),
    EventDef::info(
        "notify.ask.elsewhere",
        "Somebody who may asked the bot in another chat than the configured one, and was not answered.",
    ),
    EventDef::warn(
        "notify.ask.failed",
        "Questions to the bot cannot be fetched; messages are not concerned.",
        "Read `words`; a conflict means that another program polls with the same bot or that a webhook is set for it.",
    ),
    EventDef::warn(
        "notify.ask.stranger",
        "Somebody who is not listed gave the bot a command, and was not answered.",
        "Add the number `user` to telegram.operators if this person may ask.",
    ),
    EventDef::warn(
        "notify.ask.too_many",
        "A question to the bot was not answered, because as many answers as `waiting` wait to be sent already.",
        "Ask again when they came; if nobody asked so often, remove the number `user` from telegram.operators.",
    ),
    EventDef::error(
        "notify.channel.broken",
        "No message can reach the chat until a person changes something; `reason` says what. Other services go on trying with their own settings.",
        "Correct the token, the chat or the bot's rights named by `reason`, then restart the service or wait for the next try.",
    ),
    EventDef::info(
        "notify.channel.recovered",
        "Messages reach the chat again after `failed_s` seconds.",
    ),
    EventDef::warn(
        "notify.chat.moved",
        "The group became a supergroup; messages go to its new number, which is remembered.",
        "Put the number in `moved_to` into telegram.chat_id.",
    ),
    EventDef::error(
        "notify.copy.expired",
        "Copies could not be delivered to `channel` for so long that they were given up.",
        "Find out why the channel could not be reached; `cloudflare-mt notifications retry` delivers one all the same.",
    ),
    EventDef::warn(
        "notify.copy.failed",
        "A copy could not be delivered to `channel`; it is tried again. The chat is not concerned.",
        "Nothing, if it recovers; otherwise check the address, the server and the credentials.",
    ),
    EventDef::info(
        "notify.copy.recovered",
        "Copies reach `channel` again after `failed_s` seconds.",
    ),
    EventDef::error(
        "notify.copy.refused",
        "The receiver at `channel` will never take this message; it is kept and shown as failed.",
        "Read `words`; the receiver must take every message in the documented form.",
    ),
    EventDef::info("notify.copy.sent", "Copies were delivered to `channel`."),
    EventDef::warn(
        "notify.db.failed",
        "The outbox could not be read or written; messages wait and are not lost.",
        "Check the database: free space, permissions, locks. `cloudflare-mt db check` helps.",
    ),
    EventDef::info("notify.db.recovered", "The outbox can be read and written again."),
    EventDef::warn(
        "notify.drain.cut_off",
        "The process stopped while a message was on its way; it is sent again, and may then arrive twice under the same number.",
        "Nothing, if it happens once; Telegram or the database was slow.",
    ),
    EventDef::error(
        "notify.expired",
        "Messages were too old to be sent and were given up; a summary tells people how many.",
        "Find out why Telegram could not be reached; read what happened in the dashboard's log.",
    ),
    EventDef::info(
        "notify.expired.summarised",
        "A summary of messages that were given up was entered.",
    ),
    EventDef::warn(
        "notify.lease.lost",
        "Another process took over a message, because this one was too slow; people may see it twice under the same number.",
        "Nothing, if it happens once; otherwise look for what stalls the process (disk, CPU, SIGSTOP).",
    ),
    EventDef::warn(
        "notify.markup.refused",
        "Telegram refused the form of a message; it was sent once more in a barer one.",
        "Report the defect with `words`.",
    ),
    EventDef::error(
        "notify.message.failed",
        "A message will never be taken by Telegram; it is kept and shown as failed.",
        "Read it in the dashboard, report the defect with `words`.",
    ),
    EventDef::error(
        "notify.message.refused",
        "Telegram refuses even the barest form of a message; it is tried again after `again_in_s` seconds.",
        "Read the message in the dashboard, report the defect with `words`.",
    ),
    EventDef::info(
        "notify.message.sent",
        "A message is in the chat; `delay_s` is the time since it was entered.",
    ),
    EventDef::info(
        "notify.message.uneditable",
        "A message that was to be written anew is gone or too old; a new one is sent instead.",
    ),
    EventDef::warn(
        "notify.no_channel",
        "No chat is configured: messages are kept as suppressed and nobody is told anything.",
        "Set telegram.bot_token and telegram.chat_id.",
    ),
    EventDef::error(
        "notify.render.panicked",
        "A defect was hit while a message was put into words; it was announced by kind and number only.",
        "Report it with the event process.panicked that precedes this one.",
    ),
    EventDef::warn(
        "notify.send.failed",
        "A try to send a message failed; it is tried again until it is too old.",
        "Nothing, if it recovers; otherwise check the way to the Telegram API (DNS, firewall, proxy).",
    ),
    EventDef::error(
        "notify.stuck",
        "Nothing has reached the chat for minutes although messages wait; the other channels are told, if there are any.",
        "Tell people by other means; read `reason` and correct the chat, or the way to the Telegram API.",
    ),
    EventDef::warn(
        "notify.suppressed",
        "Messages were ended because no chat is configured; nobody was told.",
        "Set telegram.bot_token and telegram.chat_id; `cloudflare-mt notifications retry` sends them after that.",
    ),
    EventDef::warn(
        "notify.thread.gone",
        "The topic of the group is gone or closed; messages go to the group without it until the next start.",
        "Correct telegram.message_thread_id.",
    ),
    EventDef::warn(
        "notify.told_to_wait",
        "Telegram's flood control asked to wait; all services keep to it.",
        "Nothing; if it repeats, something else writes to the chat with the same bot.",
    ),
    EventDef::error(
        "notify.told_to_wait_long",
        "Telegram's flood control keeps all messages back for minutes; alarms are late.",
        "Look at the dashboard meanwhile; find out what else writes to the chat with the same bot.",
    ),
    EventDef::info(
        "notify.unstuck",
        "Messages reach the chat again after `failed_s` seconds.",
    ),
];
