//! Events of the withdraw daemon (`autowithdraw`), sorted by name.

use super::EventDef;

pub(super) const EVENTS: &[EventDef] = &[
    EventDef::warn(
        "advertise.asserted_again",
        "A person's advertise was read as withdrawn within 15 minutes; it is asserted again.",
        "Find out who withdraws it: another tool, another person, or Cloudflare.",
    ),
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
    EventDef::warn(
        "cycle.dropped",
        "Another process is the actor: what this cycle found was not stored and nothing follows from it.",
        "Nothing, unless two daemons take the lease from each other all the time.",
    ),
    EventDef::error(
        "cycle.failed",
        "A cycle could not be completed or stored: nothing is decided, advertised prefixes stay advertised.",
        "Read `code` and `because`; check free space, permissions and locks of the database, and the way to Cloudflare.",
    ),
    EventDef::warn(
        "cycle.reading.failed",
        "Prefixes or traffic could not be read (`what`, `error`). What was not read is unknown and holds the advertisement.",
        "If it lasts, a notice says that automation is blind; check the token's permissions and Cloudflare's status.",
    ),
    EventDef::info(
        "cycle.reading.recovered",
        "Readings are back; `failures` says how many cycles failed.",
    ),
    EventDef::info(
        "cycle.recovered",
        "Cycles complete again; `failures` says how many did not.",
    ),
    EventDef::error(
        "cycle.too_slow",
        "A cycle did not end within its limit and was abandoned; nothing was decided in it.",
        "Check the way to Cloudflare; if it repeats, restart the service.",
    ),
    EventDef::info(
        "decision.changed",
        "The answer for a prefix changed; `verdict` and `because` say to what and why.",
    ),
    EventDef::warn(
        "direct_route.not_proven",
        "The check of a prefix's own route failed: it is not withdrawn until a check succeeds.",
        "Look at `reason` and at your routers; mend the route or the check.",
    ),
    EventDef::warn(
        "emergency.file.odd",
        "A file of an act that somebody did with --emergency (`file`) cannot be taken into the record (`because`). Said once; the cycles go on.",
        "Read the file: it says who did what and why. Mend its folder's rights, or move it away; `cloudflare-mt import spool` tries again.",
    ),
    EventDef::warn(
        "emergency.not_taken",
        "Acts that people did with --emergency wait for the record, which could not be written (`code`, `error`). The next cycle tries again.",
        "Check the database: free space, permissions, locks.",
    ),
    EventDef::info(
        "emergency.taken",
        "What somebody did with --emergency while the database could not be written is in the record now, with who and why.",
    ),
    EventDef::warn(
        "feed.notice.not_stored",
        "A notice about a failing source could not be stored; it is said again in the next cycle.",
        "Check the database: free space, permissions, locks.",
    ),
    EventDef::info("intent.closed", "An open intent reached its last state."),
    EventDef::info(
        "intent.overtaken",
        "An intent was changed by another process meanwhile; that one goes on with it.",
    ),
    EventDef::error(
        "intents.given_up",
        "Work on open intents did not end within its limit. They are read back by the next step, never repeated blindly.",
        "If it repeats, check the way to Cloudflare.",
    ),
    EventDef::warn(
        "lease.not_released",
        "The lease could not be given back at the end; a successor waits 20 seconds longer.",
        "Nothing, unless a second daemon stands by and does not take over.",
    ),
    EventDef::warn(
        "prefix.bindings_changed",
        "The service bindings of an onboarded prefix (`parent`) changed, which no act of ours does; people are told.",
        "Look at the message or the operator's log for what changed, and find out who did it in Cloudflare's audit log.",
    ),
    EventDef::warn(
        "prefix.bindings_not_compared",
        "What was stored of an onboarded prefix's (`parent`) service bindings cannot be read any more (`error`): a change since then goes unnoticed. What was read now is stored in its place.",
        "Look at the bindings in Cloudflare once; the next change will be noticed. If it comes again, check the database.",
    ),
    EventDef::warn(
        "prefix.foreign_change",
        "The advertisement, lock or prepend of a prefix changed and no intent of ours explains it; people are told.",
        "Find out who did it; `cloudflare-prefix-manager advertise` takes it back.",
    ),
    EventDef::warn(
        "recording.failed",
        "What the last cycle looked at could not be recorded (`file`, `because`); decisions go on without it.",
        "Check free space and permissions of the folder, or switch `autowithdraw.record_inputs` off.",
    ),
    EventDef::info(
        "recording.recovered",
        "Cycles are recorded again; `failures` says how many are missing.",
    ),
    EventDef::info(
        "withdraw.intent.created",
        "Calm is proven and nothing forbids acting: an intent to withdraw was filed.",
    ),
    EventDef::error(
        "withdraw.reattack",
        "An attack was seen within 20 minutes after our own withdrawal.",
        "Make sure that it is advertised again; `cloudflare-prefix-manager advertise` does it now.",
    ),
];
