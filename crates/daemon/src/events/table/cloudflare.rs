//! Events of the client of the Cloudflare API (`cf-api`), sorted by name.

use super::EventDef;

pub(super) const EVENTS: &[EventDef] = &[
    EventDef::warn(
        "cloudflare.budget.locked",
        "Cloudflare limits our calls; none of this kind but an advertise is made for `wait_s` seconds, and what they would show is unknown until then.",
        "If it repeats, see who else uses the account's API limit, or raise analytics.poll_interval.",
    ),
    EventDef::warn(
        "cloudflare.budget.store.failed",
        "The services cannot tell each other how much of the API limit they use; each counts only its own calls.",
        "Check the database: free space, permissions, locks. `cloudflare-mt db check` helps.",
    ),
    EventDef::info(
        "cloudflare.budget.store.recovered",
        "The services count their API calls together again.",
    ),
    EventDef::debug(
        "transport.race.unavailable",
        "Fewer addresses than usual were tried at once for one connection: the HTTP library gave no further token. Harmless.",
    ),
    EventDef::debug(
        "transport.race.won",
        "A connection was made over another address than the one tried first.",
    ),
];
