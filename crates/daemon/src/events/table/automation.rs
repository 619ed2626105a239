//! Events of the withdraw daemon (`autowithdraw`), sorted by name.

use super::EventDef;

pub(super) const EVENTS: &[EventDef] = &[
    EventDef::warn(
        "automation.no_direct_route",
        "Nobody has said how these prefixes are reachable once they are withdrawn; automation never withdraws them.",
        "State it in autowithdraw.direct_route, for example {\"*\": \"always_announced\"}.",
    ),
    EventDef::error(
        "automation.paused.moved",
        "The database came from another host, whose daemon may still act. All automatic withdrawals are paused.",
        "Make sure that the other daemon does not run, then `cloudflare-prefix-manager release --all`.",
    ),
    EventDef::error(
        "cycle.database.failed",
        "The database could not be read or written: nothing is decided, advertised prefixes stay advertised.",
        "Check free space, permissions and locks; `cloudflare-mt db check` helps.",
    ),
    EventDef::info("cycle.database.recovered", "Decisions are stored again."),
    EventDef::warn(
        "cycle.reading.failed",
        "Prefixes or traffic could not be read (`what`, `error`). What was not read is unknown and holds the advertisement.",
        "If it lasts, a notice says that automation is blind; check the token's permissions and Cloudflare's status.",
    ),
    EventDef::info(
        "cycle.reading.recovered",
        "Readings are back; `failures` says how many cycles failed.",
    ),
    EventDef::error(
        "cycle.too_slow",
        "A cycle did not end within its limit and was abandoned; nothing was decided in it.",
        "Check the way to Cloudflare; if it repeats, restart the service.",
    ),
    EventDef::debug(
        "cycle.unlisted",
        "The account's prefixes could not be listed; told to people if it lasts.",
    ),
    EventDef::info(
        "decision.changed",
        "The answer for a prefix changed; `verdict` and `because` say to what and why.",
    ),
    EventDef::info("intent.closed", "An open intent reached its last state."),
    EventDef::error(
        "intent.too_slow",
        "A step of an intent did not end within its limit. It is read back by the next step, never repeated blindly.",
        "Nothing at once; intent.done or intent.unresolved follows within 15 minutes.",
    ),
    EventDef::warn(
        "lease.not_released",
        "The lease could not be given back at the end; a successor waits 20 seconds longer.",
        "Nothing, unless a second daemon stands by and does not take over.",
    ),
    EventDef::info(
        "withdraw.intent.created",
        "Calm is proven and nothing forbids acting: an intent to withdraw was filed.",
    ),
];
