//! Events of carrying out an intent to advertise or withdraw (`prefix-ops`), sorted by name.

use super::EventDef;

pub(super) const EVENTS: &[EventDef] = &[
    EventDef::warn(
        "intent.answer_lost",
        "Cloudflare's answer to a change of advertisement did not arrive. The prefix is read until its state is known; the call is not repeated blindly.",
        "Nothing at once; intent.done or intent.unresolved follows within 15 minutes.",
    ),
    EventDef::warn(
        "intent.asserted_again",
        "An advertise that was read as withdrawn within 15 minutes is sent again.",
        "Find out who withdraws it.",
    ),
    EventDef::warn(
        "intent.call_abandoned",
        "A call did not end within its deadline and was given up; whether it took effect is read back.",
        "Nothing at once; intent.done or intent.unresolved follows within 15 minutes.",
    ),
    EventDef::info(
        "intent.cancelled",
        "An intent that had not been sent was given up; `because` says why.",
    ),
    EventDef::info(
        "intent.done",
        "A prefix was read back in the wanted state: the change is complete.",
    ),
    EventDef::info(
        "intent.follows_withdrawal",
        "An advertise follows a withdrawal that was sent already, without waiting for its end.",
    ),
    EventDef::warn(
        "intent.postponed",
        "A change of advertisement failed for a reason that may pass; it is tried again after a pause. A prefix to be withdrawn stays advertised and protected meanwhile.",
        "If it repeats, read `error`: limits and outages at Cloudflare pass, permissions do not.",
    ),
    EventDef::warn(
        "intent.recovered",
        "A service found a change that was being sent when its process ended. The prefix is read until its state is known.",
        "Nothing at once; intent.done or intent.unresolved follows within 15 minutes.",
    ),
    EventDef::error(
        "intent.refused",
        "Cloudflare refused a change of advertisement. A prefix to be advertised is NOT protected by this intent.",
        "Read `class` and `words`; for an advertisement that is needed now, use the Cloudflare dashboard.",
    ),
    EventDef::info(
        "intent.sending",
        "The one call that changes the advertisement of a prefix is about to be made.",
    ),
    EventDef::error(
        "intent.unresolved",
        "Fifteen minutes after a change was sent, the prefix does not show it. Whether it is protected is not known from our side.",
        "Look at the prefix in the Cloudflare dashboard and with `cloudflare-prefix-manager status`, then act by hand.",
    ),
];
