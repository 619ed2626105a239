//! From tracing's typed visitor to a [`Record`]: one place that knows how values become text.
//!
//! Recognises `event` (the stable name), `message` (free text) and the fields that the `log` bridge uses for its origin.

use std::error::Error;
use std::fmt;

use tracing::Event;
use tracing::field::{Field, Visit};

use super::tally;
use super::text::Record;

impl Record {
    /// Takes everything out of `event`.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut record = Self::default();
        event.record(&mut record);
        if record.event.is_none() && record.library.is_none() {
            record.library = Some(event.metadata().target().to_owned());
        }
        if let Some(name) = &record.event {
            tally::count(name, *event.metadata().level());
        }
        record
    }

    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "event" => self.event = Some(value),
            "message" => self.message = value,
            // Field names of the bridge that carries records of the `log` crate (tracing-log, `Fields`).
            "log.target" => self.library = Some(value),
            "log.module_path" | "log.file" | "log.line" => {}
            name => self.fields.push((name.strip_prefix("r#").unwrap_or(name), value)),
        }
    }
}

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.to_string());
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.put(field, value.to_string());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field, value.to_string());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.to_string());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, cause_chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

/// An error and all its causes on one line, outermost first, joined by `: `.
pub fn cause_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the table")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_are_joined_outermost_first() {
        let error = Outer(std::io::Error::other("disk is full"));
        assert_eq!(cause_chain(&error), "cannot read the table: disk is full");
    }
}
