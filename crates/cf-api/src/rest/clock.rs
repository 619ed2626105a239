//! Cloudflare's clock, by the `Date` header of any answer.

use std::time::Duration;

use jiff::Timestamp;

use crate::budget::CallKind;
use crate::client::CloudflareClient;
use crate::error::{CfError, ErrorClass};

/// What Cloudflare's clock said, and what ours said before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// `Date` of the answer: whole seconds, cut off.
    pub date: Timestamp,
    /// Our clock right before the request.
    pub asked_at: Timestamp,
    /// Our clock when the answer began.
    pub answered_at: Timestamp,
}

impl ClockReading {
    /// How far our clock is off at least, in seconds: positive when it is ahead. Zero as long as the reading is
    /// explained by the time on the way and by the seconds that the header cuts off.
    pub fn off_by_s(&self) -> f64 {
        let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64();
        // The header was true at some instant between the two, less up to one second.
        let ahead = seconds(self.date, self.asked_at) - 1.0;
        let behind = seconds(self.answered_at, self.date);
        if ahead > 0.0 {
            ahead
        } else if behind > 0.0 {
            -behind
        } else {
            0.0
        }
    }
}

impl CloudflareClient {
    /// Reads Cloudflare's clock. Which answer brings it does not matter, nor whether it is an error.
    ///
    /// # Errors
    /// [`CfError`] when no answer came, or one without a date.
    pub async fn read_clock(&self, deadline: Duration) -> Result<ClockReading, CfError> {
        let call = "read Cloudflare's clock";
        let mut outgoing = self.read(call, CallKind::Rest, self.account_path("/tokens/verify"));
        outgoing.deadline = outgoing.deadline.min(deadline);
        let asked_at = self.budget().now();
        let incoming = self.send(outgoing).await?;
        let Some(date) = incoming.date else {
            return Err(incoming.error(ErrorClass::Malformed, "the answer has no Date header"));
        };
        Ok(ClockReading {
            date,
            asked_at,
            answered_at: incoming.answered_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_way_cannot_explain_is_a_difference() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let off = |date: &str, asked: &str, answered: &str| {
            ClockReading {
                date: at(date),
                asked_at: at(asked),
                answered_at: at(answered),
            }
            .off_by_s()
        };
        let date = "2026-11-22T03:00:00Z";
        assert_eq!(off(date, "2026-11-22T03:00:00.900Z", "2026-11-22T03:00:00.950Z"), 0.0);
        assert_eq!(off(date, "2026-11-22T02:59:58Z", "2026-11-22T03:00:02Z"), 0.0, "slow");
        assert_eq!(off(date, "2026-11-22T03:00:31Z", "2026-11-22T03:00:32Z"), 30.0);
        assert_eq!(off(date, "2026-11-22T02:59:00Z", "2026-11-22T02:59:15Z"), -45.0);
    }
}
