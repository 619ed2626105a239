//! Events of the webhook receiver (`webhook`), sorted by name.

use super::EventDef;

pub(super) const EVENTS: &[EventDef] = &[
    EventDef::warn(
        "networks.refresh_failed",
        "The discovered prefixes could not be read again; alerts are tied to those known before.",
        "Check the database: free space, permissions, locks.",
    ),
    EventDef::error(
        "webhook.not_stored",
        "An authenticated delivery could not be stored and was answered 503: this alert is lost here unless it is fetched from Cloudflare's history.",
        "Check the database: free space, permissions, locks.",
    ),
    EventDef::warn(
        "webhook.refused",
        "A request without the right secret, or from a source that may not post, was turned away; logged at powers of two.",
        "If Cloudflare itself is refused, compare cloudflare.webhook_secret with the notification destination.",
    ),
    EventDef::error(
        "webhook.reload_refused",
        "The changed configuration cannot be used; secrets and sources stay as they were.",
        "Read `report`, mend the file, `systemctl reload cloudflare-webhook`.",
    ),
    EventDef::info(
        "webhook.reloaded",
        "Secrets, allowed sources and trusted proxies were read again.",
    ),
    EventDef::info(
        "webhook.stored",
        "A delivery is read and durable; `duplicate` says whether it was known, `waited` that it came in a crowd and was answered before it was read.",
    ),
    EventDef::error(
        "webhook.unread",
        "Deliveries that are stored and answered cannot be read; they stay where they are, veto every withdrawal, and are tried again.",
        "Check the database: free space, permissions, locks.",
    ),
];
