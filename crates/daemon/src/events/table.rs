//! The tables, one per part of the project, each sorted by name.

mod analytics;
mod automation;
mod cloudflare;
mod dashboard;
mod database;
mod frame;
mod intent;
mod life;
mod outbox;
mod receiver;
mod simulator;

use super::EventDef;

/// All tables. A part that begins to log gets its own file here.
const TABLES: [&[EventDef]; 11] = [
    analytics::EVENTS,
    automation::EVENTS,
    cloudflare::EVENTS,
    dashboard::EVENTS,
    database::EVENTS,
    frame::EVENTS,
    intent::EVENTS,
    life::EVENTS,
    outbox::EVENTS,
    receiver::EVENTS,
    simulator::EVENTS,
];

/// Every event name of the project, table by table.
pub fn all() -> impl Iterator<Item = &'static EventDef> {
    TABLES.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        for pair in TABLES.into_iter().flat_map(|table| table.windows(2)) {
            assert!(pair[0].name < pair[1].name, "{} before {}", pair[1].name, pair[0].name);
        }
    }
}
