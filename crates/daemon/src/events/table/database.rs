//! Events of the database engine (`db`), sorted by name.

use super::EventDef;

pub(super) const EVENTS: &[EventDef] = &[
    EventDef::warn(
        "db.adopt.extra_dropped",
        "An index or trigger that somebody had added to the predecessor's table does not fit the migrated one and was left out; no row is affected.",
        "Create it again by hand if it is still wanted; its statement is in `sql` and in the safety copy.",
    ),
    EventDef::warn(
        "db.adopt.leftovers",
        "Rows of the predecessor's table do not fit the migrated one. They are kept in the table predecessor_leftovers.",
        "Look at them with `cloudflare-mt db query`; nothing is lost.",
    ),
    EventDef::warn(
        "db.adopt.unique_index_dropped",
        "A unique index that somebody had added to the predecessor's table was left out, because it would refuse rows that must be stored.",
        "Nothing, unless something of your own relies on it.",
    ),
    EventDef::info("db.file.created", "A new database file was created."),
    EventDef::debug(
        "db.log.not_moved",
        "The write-ahead log could not be moved into the file this time; it grows until the next time.",
    ),
    EventDef::warn(
        "db.orphan_log.kept",
        "Beside a missing database lay the log of one; it was kept under another name and not replayed into the new file.",
        "If the database was removed by mistake, stop the services and restore a backup; the kept log belongs to the lost file.",
    ),
    EventDef::warn(
        "db.owner.unchanged",
        "A file made by root beside the database could not be given to the owner of the directory; the services may not be able to use it.",
        "Give the file named by `path` to the owner of its directory (chown).",
    ),
    EventDef::warn(
        "db.read.connection_failed",
        "A connection for reading could not be opened; pages and checks that need it say so.",
        "Check the limit of open files and the permissions of the database file.",
    ),
    EventDef::warn(
        "db.reopen.failed",
        "After an error the file could not be opened anew; the next write says what is wrong.",
        "Check the disk: free space, mount state, kernel log.",
    ),
    EventDef::info(
        "db.safety_copy.made",
        "A copy of the database was made before its schema is changed.",
    ),
    EventDef::info("db.schema.migrated", "The database has the schema of this version now."),
    EventDef::error(
        "db.write.failed",
        "Writes could not be stored. Callers were told so: deliveries are answered 503 and sent again by Cloudflare, decisions are not made.",
        "Check the disk: free space, permissions, read-only mounts. `cloudflare-mt db check` helps.",
    ),
    EventDef::info("db.write.recovered", "Writes are stored again."),
    EventDef::error(
        "db.write.refused",
        "A single write was refused by the database because of a defect; the others were stored.",
        "Report the defect with this line.",
    ),
];
