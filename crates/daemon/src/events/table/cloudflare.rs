//! Events of the client of the Cloudflare API (`cf-api`), sorted by name.

use super::EventDef;

pub(super) const EVENTS: &[EventDef] = &[
    EventDef::warn(
        "cloudflare.budget.locked",
        "Cloudflare limits our calls; none of this kind is made for `wait_s` seconds, and what they would show is unknown until then.",
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
        "Fewer connections than addresses were tried at once, because the API limit left no room for more.",
    ),
    EventDef::debug(
        "transport.race.won",
        "A connection was made over another address than the one tried first.",
    ),
];
