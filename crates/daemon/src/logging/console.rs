//! Lines on stderr: `2026-01-01T00:00:00.000Z INFO event=... key=value`.
//!
//! One write per line, so lines of several threads never mix. Colour only on a terminal.

use std::io::Write as _;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::text::Record;
use crate::clock::SharedClock;

/// Takes finished lines, each with its newline.
pub(super) type LineSink = Box<dyn Fn(&str) + Send + Sync>;

/// Writes every event as one line.
pub(super) struct ConsoleLayer {
    clock: SharedClock,
    colour: bool,
    sink: LineSink,
}

impl ConsoleLayer {
    pub(super) fn new(clock: SharedClock, colour: bool, sink: LineSink) -> Self {
        Self { clock, colour, sink }
    }

    /// Lines on the process's stderr.
    pub(super) fn on_stderr(clock: SharedClock, colour: bool) -> Self {
        Self::new(clock, colour, Box::new(write_stderr))
    }

    fn line(&self, level: Level, record: &Record) -> String {
        let now = self.clock.now();
        let body = record.line();
        if self.colour {
            format!("{now:.3} {}{level}\u{1b}[0m {body}\n", colour_of(level))
        } else {
            format!("{now:.3} {level} {body}\n")
        }
    }
}

impl<S: Subscriber> Layer<S> for ConsoleLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let line = self.line(*event.metadata().level(), &Record::of(event));
        (self.sink)(&line);
    }
}

/// A stderr that cannot take the line has nobody left to tell; the process goes on.
pub(super) fn write_stderr(line: &str) {
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[1;31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        Level::DEBUG | Level::TRACE => "\u{1b}[2m",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::prelude::*;

    use super::*;
    use crate::clock::ManualClock;

    fn lines_of(colour: bool, act: impl FnOnce()) -> String {
        let written = Arc::new(Mutex::new(String::new()));
        let copy = Arc::clone(&written);
        let clock = ManualClock::at("2026-01-01T00:00:00Z".parse().expect("a valid instant"));
        let sink = Box::new(move |line: &str| copy.lock().expect("not poisoned").push_str(line));
        let layer = ConsoleLayer::new(Arc::new(clock), colour, sink);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
        written.lock().expect("not poisoned").clone()
    }

    #[test]
    fn snapshot_of_lines() {
        let text = lines_of(false, || {
            tracing::info!(
                prefix = "203.0.113.0/24",
                intent = 42,
                calm_s = 905,
                event = "test.intent.created"
            );
            let source = std::io::Error::other("refused\nby peer");
            let error: &(dyn std::error::Error + 'static) = &source;
            tracing::error!(
                event = "test.call.failed",
                error,
                share = 0.5,
                ok = false,
                "a short note"
            );
            tracing::warn!(event = "test.debug", list = ?["a", "b c"], r#type = "x");
            tracing::debug!("a library speaks");
        });
        let expected = [
            "2026-01-01T00:00:00.000Z INFO event=test.intent.created prefix=203.0.113.0/24 intent=42 calm_s=905\n",
            "2026-01-01T00:00:00.000Z ERROR event=test.call.failed error=\"refused\\nby peer\" share=0.5 ok=false \
             msg=\"a short note\"\n",
            "2026-01-01T00:00:00.000Z WARN event=test.debug list=\"[\\\"a\\\", \\\"b c\\\"]\" type=x\n",
            "2026-01-01T00:00:00.000Z DEBUG event=library.message library=daemon::logging::console::tests \
             msg=\"a library speaks\"\n",
        ];
        assert_eq!(text, expected.concat());
    }

    #[test]
    fn colour_touches_only_the_level() {
        let text = lines_of(true, || tracing::error!(event = "test.a.b", x = "\u{1b}[0m"));
        assert_eq!(
            text,
            "2026-01-01T00:00:00.000Z \u{1b}[1;31mERROR\u{1b}[0m event=test.a.b x=\"\\u{1b}[0m\"\n"
        );
    }
}
