//! The reference page for operators, made from the table.

use std::fmt::Write as _;

use super::{EventDef, all};

/// The text of `docs/50-log-events.md`.
pub fn page() -> String {
    let mut text = String::from(
        "# Log events\n\n\
         <!-- Made from crates/daemon/src/events/table/*.rs. Do not edit; run `UPDATE_GENERATED=1 cargo test -p daemon`. -->\n\n\
         Every line of the log begins with the name of its event; alerts and searches should use these names.\n\
         Under systemd each field is a field of the journal as well:\n\n\
         ```\n\
         journalctl -u 'cloudflare-*' -p warning\n\
         journalctl -u 'cloudflare-*' EVENT=process.failed\n\
         journalctl -u 'cloudflare-*' PREFIX=203.0.113.0/24 -o verbose\n\
         ```\n\n\
         Outside systemd a line on standard error looks like this:\n\n\
         ```\n\
         2026-01-01T00:00:00.000Z INFO event=process.ready start_ms=12\n\
         ```\n\n\
         Values that are not plainly one word are quoted; control characters in them are written as escapes, so a line\n\
         never holds more than one event. Units are part of the field names: `_s` seconds, `_ms` milliseconds, `_bps` bits\n\
         per second, `_pkts` packets. Levels: error = protection or alarming is impaired; warn = degraded but coping;\n\
         info = a decision or a change of state; debug = every tick. A failure that repeats is logged at its first, second,\n\
         fourth, eighth ... time with `failures=`, and once when it is over.\n\n\
         `--log-level` (or `CLOUDFLARE_MT_LOG`) takes a level, or levels per part: `info,hyper=debug`.\n",
    );
    let mut area = "";
    let mut events: Vec<&EventDef> = all().collect();
    events.sort_unstable_by_key(|event| event.name);
    for event in events {
        let of_event = event.name.split('.').next().unwrap_or_default();
        if of_event != area {
            area = of_event;
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n## {area}\n\n| Event | Level | Meaning | What to do |\n|---|---|---|---|\n"
            );
        }
        text.push_str(&row(event));
    }
    text
}

fn row(event: &EventDef) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    format!(
        "| `{}` | {} | {} | {} |\n",
        event.name,
        event.level.as_str(),
        cell(event.meaning),
        cell(event.action)
    )
}
