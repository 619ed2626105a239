//! Events of what all services do alike (`assembly`), sorted by name.

use super::EventDef;

pub(super) const EVENTS: &[EventDef] = &[
    EventDef::error(
        "db.damaged",
        "The integrity check found damage in the database file; `first` is the first finding.",
        "Stop the services, keep the file, restore the newest backup.",
    ),
    EventDef::warn(
        "process.farewell_failed",
        "The orderly end could not be recorded; the other services will announce a silence of this one.",
        "Nothing, if it was stopped on purpose.",
    ),
    EventDef::warn(
        "vigil.failed",
        "The other services' signs of life could not be read.",
        "Check the database: free space, permissions, locks.",
    ),
    EventDef::error(
        "vigil.service_silent",
        "A service has not given a sign of life for three minutes; people are told.",
        "`systemctl status` of the named service, then `journalctl -u` it.",
    ),
];
