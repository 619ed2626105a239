//! Events of the frame of every process, sorted by name.

use super::EventDef;

pub(super) const EVENTS: &[EventDef] = &[
    EventDef::warn(
        "config.finding",
        "The configuration can be used but something in it deserves a look, such as an unknown key.",
        "Run the program with --check-config and correct what it names.",
    ),
    EventDef::warn(
        "health.check.degraded",
        "A part works with less, or it is not known whether it works.",
        "Read `detail`; the part named by `check` says what it misses.",
    ),
    EventDef::error(
        "health.check.failing",
        "A part does not work. If it is a vital one, /health answers 503.",
        "Read `detail`; the part named by `check` says what failed.",
    ),
    EventDef::info(
        "health.check.recovered",
        "A part that was degraded or failing works again.",
    ),
    EventDef::warn(
        "heartbeat.failed",
        "The sign of life for the other services could not be stored; after three minutes they announce this one as silent.",
        "Check the database: free space, permissions, locks. `cloudflare-mt db check` helps.",
    ),
    EventDef::info("heartbeat.recovered", "Signs of life are stored again."),
    EventDef::error(
        "http.accept.failed",
        "New connections cannot be accepted, usually for lack of file descriptors; Cloudflare repeats deliveries only a few times.",
        "Raise LimitNOFILE= in the unit, or find out who holds so many connections (`ss -tnp`).",
    ),
    EventDef::info("http.accept.recovered", "Connections are accepted again."),
    EventDef::debug(
        "http.connection.broken",
        "A connection ended before its request or its answer was complete.",
    ),
    EventDef::error(
        "http.connection.panicked",
        "A defect ended one connection. Other connections go on.",
        "Report the defect with the event process.panicked that precedes this one.",
    ),
    EventDef::info("http.connections.freed", "There is room for new connections again."),
    EventDef::warn(
        "http.connections.full",
        "All connection slots of the listener are taken; further peers wait.",
        "See who holds them (`ss -tnp`); silent ones are closed by themselves within seconds.",
    ),
    EventDef::warn(
        "http.drain.expired",
        "Requests were still running when the time for stopping was over, and were cut off.",
        "Nothing, if it happens once; a slow client or a hanging request is behind it.",
    ),
    EventDef::error(
        "http.handler.panicked",
        "A defect ended one request, which was answered 500. Other requests go on.",
        "Report the defect with the event process.panicked that precedes this one.",
    ),
    EventDef::info("http.listening", "The address is claimed and about to be served."),
    EventDef::library(
        "library.message",
        "A library outside the project says something; `library` names it. What it means for protection is in the events around it.",
    ),
    EventDef::warn(
        "metrics.encode.failed",
        "The numbers for Prometheus could not be written; monitoring has a gap.",
        "Report the defect.",
    ),
    EventDef::error(
        "process.failed",
        "The process ends because a part of it failed; systemd starts it again unless the configuration is bad (code 78).",
        "Read `error`: the whole chain of causes is in it. With code 78 correct the configuration first.",
    ),
    EventDef::error(
        "process.panicked",
        "A defect was hit at the place named by `at`. The events that follow say what became of it.",
        "Report it with this line.",
    ),
    EventDef::info(
        "process.ready",
        "Start is complete: database checked, sockets bound, first cycle possible.",
    ),
    EventDef::info(
        "process.reload.requested",
        "SIGHUP: files are read again by the parts that listen for it.",
    ),
    EventDef::info(
        "process.started",
        "A program starts, with its version and where its configuration is.",
    ),
    EventDef::warn(
        "process.stop.forced",
        "A second signal ended the process without waiting for running work; intents and deliveries in the database are picked up at the next start.",
        "Nothing, if that was meant; otherwise raise TimeoutStopSec= in the unit.",
    ),
    EventDef::info("process.stopped", "The process has ended in order."),
    EventDef::info(
        "process.stopping",
        "The process finishes what is running; `waiting_for` names it.",
    ),
    EventDef::warn(
        "readiness.notify.failed",
        "systemd could not be told about the state of the process; it may take it for hanging.",
        "Check that the unit has Type=notify and that its sandbox lets the process reach the notify socket.",
    ),
    EventDef::error(
        "task.failed",
        "A further part failed while the process was already ending.",
        "Read `error`; the first failure is in process.failed.",
    ),
    EventDef::debug("task.finished", "A part of the process came to its end in order."),
    EventDef::debug("task.started", "A part of the process starts."),
    EventDef::warn(
        "watchdog.loop.recovered",
        "A loop that had been silent too long makes progress again.",
        "Look for what held it up around the time of watchdog.loop.stalled.",
    ),
    EventDef::error(
        "watchdog.loop.stalled",
        "A loop has made no progress within its own limit. The watchdog is no longer fed, so systemd restarts the process.",
        "Nothing at once; if it repeats, look for what the loop named by `name` was waiting for.",
    ),
    EventDef::warn(
        "watchdog.nothing_registered",
        "No loop is registered, so nothing proves that work is done and the watchdog is not fed.",
        "Report the defect.",
    ),
];
