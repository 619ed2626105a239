//! Small pieces of markup that templates use: instants, ages and countdowns that the page's script keeps moving.
//!
//! These write their own markup and are marked safe, so nothing but numbers and instants may go into them.

use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;
use domain::time::since;
use jiff::Timestamp;

use crate::overview::prefix::Deadline;
use crate::words;

/// An instant however a template comes by it: templates hand over references of any depth.
pub(crate) trait Instant {
    fn instant(&self) -> Timestamp;
}

impl Instant for Timestamp {
    fn instant(&self) -> Timestamp {
        *self
    }
}

impl<T: Instant> Instant for &T {
    fn instant(&self) -> Timestamp {
        (**self).instant()
    }
}

/// An instant in one of several looks, as `<time>`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    at: Timestamp,
    now: Timestamp,
    look: Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Age,
    Clock,
    Seconds,
}

impl Moment {
    /// `4 min`, kept moving by the script.
    pub(crate) fn age(at: impl Instant, now: Timestamp) -> Self {
        Self::new(at.instant(), now, Look::Age)
    }

    /// `03:42`
    pub(crate) fn clock(at: impl Instant, now: Timestamp) -> Self {
        Self::new(at.instant(), now, Look::Clock)
    }

    /// `03:42:10`
    pub(crate) fn seconds(at: impl Instant, now: Timestamp) -> Self {
        Self::new(at.instant(), now, Look::Seconds)
    }

    fn new(at: Timestamp, now: Timestamp, look: Look) -> Self {
        Self { at, now, look }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, now) = (self.at, self.now);
        let text = match self.look {
            Look::Age => words::age_at(at, now),
            Look::Clock => words::clock(at, now),
            Look::Seconds => words::clock_seconds(at, now),
        };
        let marker = match self.look {
            Look::Age => " data-age",
            Look::Clock => " data-look=\"clock\"",
            Look::Seconds => " data-look=\"seconds\"",
        };
        write!(
            f,
            r#"<time datetime="{}" title="{}"{marker}>{text}</time>"#,
            words::iso(at),
            words::stamp(at)
        )
    }
}

impl HtmlSafe for Moment {}

/// What is left until a deadline. It runs in the page from the server's clock, and only as long as the service that
/// would keep the deadline has vouched for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Countdown {
    at: Timestamp,
    runs_until: Option<Timestamp>,
    now: Timestamp,
}

impl Countdown {
    pub(crate) fn to(deadline: &Deadline, now: Timestamp) -> Self {
        Self {
            at: deadline.at,
            runs_until: deadline.runs_until,
            now,
        }
    }
}

impl fmt::Display for Countdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = since(self.at, self.now);
        let text = if left.is_zero() {
            "now".to_owned()
        } else {
            words::rest(left)
        };
        match self.runs_until {
            Some(until) => write!(
                f,
                r#"<span class="countdown" role="timer" data-deadline="{}" data-runs-until="{}">{text}</span>"#,
                self.at.as_millisecond(),
                until.as_millisecond(),
            ),
            None => write!(f, r#"<span class="countdown stands">stopped</span>"#),
        }
    }
}

impl HtmlSafe for Countdown {}

/// A drawing of the sprite in `templates/parts/icons.html`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Icon(pub(crate) &'static str);

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            r##"<svg class="icon" aria-hidden="true" focusable="false"><use href="#i-{}"/></svg>"##,
            self.0
        )
    }
}

impl HtmlSafe for Icon {}

/// Seconds as a duration of two units, for a calm clock.
pub(crate) fn duration(seconds: u64) -> String {
    domain::duration::human(Duration::from_secs(seconds))
}
