//! Network flow of the last day: all traffic as routers report it, what the scrubbing let through, what was dropped.
//!
//! What was dropped is in the database; the others are read from Cloudflare. Must hold: however many pages are open, each
//! of them is read once in [`FRESH_FOR`], and only while somebody looks; a page never waits for Cloudflare, it shows what
//! was read last with its age ([`Pace::AtOnce`]); what nobody reported is unknown and not zero.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cf_api::graphql::flow::{FlowHour, NetworkFlow, PassedHours};
use cf_api::{CfError, CloudflareClient};
use db::lists::hours::{self, DroppedHours, HOUR};
use db::series::MINUTE;
use db::{DbError, ReadTx, hostnames};
use domain::time::{floor_to, minus, plus, since};
use futures_util::FutureExt as _;
use jiff::Timestamp;

use crate::app::App;
use crate::kept::Shared;
use crate::upstream::{Reading, Source};

/// A day changes slowly, and each read of it costs a part of the budget.
const FRESH_FOR: Duration = Duration::from_secs(300);

/// A new minute is there once a minute at most.
const DROPPED_FRESH_FOR: Duration = Duration::from_secs(60);

/// Hours that are shown, the one that goes on included.
const HOURS: u32 = 24;

/// Who waits for Cloudflare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Pages: what is there.
    AtOnce,
    /// Programs: what is read now, if that does not take long.
    Patient,
}

/// Time that is shown: whole hours, of which the last may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Day {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Day {
    pub(crate) fn until(now: Timestamp) -> Self {
        Self {
            from: minus(floor_to(now, HOUR), HOUR * (HOURS - 1)),
            to: floor_to(now, MINUTE).max(floor_to(now, HOUR)),
        }
    }

    /// Starts of its hours.
    pub(crate) fn hours(self) -> impl Iterator<Item = Timestamp> {
        (0..HOURS).map(move |number| plus(self.from, HOUR * number))
    }

    /// How much of an hour belongs to it, in seconds.
    pub(crate) fn seconds(self, hour: Timestamp) -> f64 {
        since(self.to.min(plus(hour, HOUR)), hour.max(self.from)).as_secs_f64()
    }
}

/// What is known of a day.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) day: Day,
    pub(crate) routers: Reading<NetworkFlow>,
    pub(crate) passed: Reading<PassedHours>,
    pub(crate) dropped: Result<Arc<DroppedHours>, DbError>,
}

/// A source that a page does not wait for.
#[derive(Debug)]
struct Glanced<T> {
    source: Arc<Source<T>>,
    last: Mutex<Reading<T>>,
}

impl<T: Send + Sync + 'static> Glanced<T> {
    fn new(name: &'static str) -> Self {
        Self {
            source: Source::new(name, FRESH_FOR),
            last: Mutex::default(),
        }
    }

    async fn look<F, R>(&self, app: &App, pace: Pace, read: F) -> Reading<T>
    where
        F: FnOnce(CloudflareClient, Timestamp) -> R,
        R: Future<Output = Result<T, CfError>> + Send + 'static,
    {
        let looking = self.source.look(app, read);
        // A look that would wait has begun its read, which goes on without it; a later look finds the outcome.
        let seen = match pace {
            Pace::Patient => Some(looking.await),
            Pace::AtOnce => looking.now_or_never(),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = seen {
            *last = reading;
        }
        last.clone()
    }
}

/// All of it, shared by all pages.
#[derive(Debug)]
pub(crate) struct Flow {
    routers: Glanced<NetworkFlow>,
    passed: Glanced<PassedHours>,
    dropped: Shared<Timestamp, DroppedHours>,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            routers: Glanced::new("network flow"),
            passed: Glanced::new("passed traffic"),
            dropped: Shared::new(DROPPED_FRESH_FOR, 1),
        }
    }
}

impl Flow {
    /// What is known of the day that ends now.
    pub(crate) async fn of(&self, app: &App, pace: Pace) -> Known {
        let day = Day::until(app.now());
        let flow = move |client: CloudflareClient, now| async move { client.network_flow(day.from, day.to, now).await };
        let passed =
            move |client: CloudflareClient, now| async move { client.passed_hours(day.from, day.to, now).await };
        let dropped = move |tx: &ReadTx<'_>| hours::dropped(tx, day.from, day.to);
        let (routers, passed, dropped) = tokio::join!(
            self.routers.look(app, pace, flow),
            self.passed.look(app, pace, passed),
            self.dropped.of(app, "dropped hours", day.from, dropped),
        );
        Known {
            day,
            routers,
            passed,
            dropped,
        }
    }
}

impl Known {
    /// Host names of the addresses that stand first, as far as they were ever looked up.
    pub(crate) async fn names(&self, app: &App) -> BTreeMap<String, String> {
        let Some(flow) = self.routers.value.as_deref() else {
            return BTreeMap::new();
        };
        let first = [&flow.sources, &flow.routers, &flow.destinations];
        let addresses: Vec<String> = first
            .into_iter()
            .flat_map(|shares| shares.first())
            .map(|share| share.name.clone())
            .collect();
        let read = move |tx: &ReadTx<'_>| hostnames::names(tx, addresses.iter().map(String::as_str));
        // A name that cannot be read is a name that is not known.
        app.db().read("host names", read).await.unwrap_or_default()
    }
}

/// Traffic of several hours.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Amount {
    pub(crate) packets: u64,
    pub(crate) bits: u64,
    /// How much time it is the traffic of.
    pub(crate) seconds: f64,
    pub(crate) hours: usize,
}

impl Amount {
    /// The reported hours of a day.
    pub(crate) fn of(hours: &[FlowHour], day: Day) -> Self {
        let mut sum = Self::default();
        for hour in hours {
            sum.packets = sum.packets.saturating_add(hour.packets.0);
            sum.bits = sum.bits.saturating_add(hour.bits.0);
            sum.seconds += day.seconds(hour.at);
            sum.hours += 1;
        }
        sum
    }

    /// Bits per second over the time that was reported.
    pub(crate) fn bit_rate(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.bits as f64 / self.seconds)
    }

    /// Packets per second over the time that was reported.
    pub(crate) fn packet_rate(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.packets as f64 / self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use domain::units::{Bits, Packets};

    use super::*;

    #[test]
    fn a_day_is_24_hours_of_which_the_last_goes_on() {
        let day = Day::until("2026-11-22T03:27:40Z".parse().unwrap());
        assert_eq!(
            (day.from.to_string(), day.to.to_string()),
            ("2026-11-21T04:00:00Z".to_owned(), "2026-11-22T03:27:00Z".to_owned())
        );
        let hours: Vec<Timestamp> = day.hours().collect();
        assert_eq!(hours.len(), 24);
        assert_eq!(hours[23].to_string(), "2026-11-22T03:00:00Z");
        assert_eq!((day.seconds(hours[22]), day.seconds(hours[23])), (3_600.0, 1_620.0));
        let sharp = Day::until("2026-11-22T03:00:00Z".parse().unwrap());
        assert_eq!(sharp.seconds(sharp.hours().last().unwrap()), 0.0);
    }

    #[test]
    fn a_rate_is_over_the_time_that_was_reported() {
        let day = Day::until("2026-11-22T03:30:00Z".parse().unwrap());
        let hour = |at: &str, packets| FlowHour {
            at: at.parse().unwrap(),
            packets: Packets(packets),
            bits: Bits(packets * 1_000),
        };
        let sum = Amount::of(
            &[hour("2026-11-22T02:00:00Z", 3_600), hour("2026-11-22T03:00:00Z", 9_900)],
            day,
        );
        assert_eq!((sum.packets, sum.seconds, sum.hours), (13_500, 5_400.0, 2));
        assert_eq!((sum.packet_rate(), sum.bit_rate()), (Some(2.5), Some(2_500.0)));
        assert_eq!(
            Amount::of(&[], day).bit_rate(),
            None,
            "nobody reported: unknown, not zero"
        );
    }
}
