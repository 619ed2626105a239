//! The spans that bound an execution (rules 7, 11, 12 and 13).

use std::time::Duration;

/// The spans that bound an execution. The defaults are rule 7's, 11's and 13's; a demonstration
/// that runs in fast motion shortens them with everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a claim lasts; renewed before the call and before the read-back, so longer than the
    /// longest of the three. What a dead process left behind waits for no longer than this.
    pub lease: Duration,
    /// Oldest evidence and oldest live read that a call may rest on.
    pub evidence_age: Duration,
    /// Oldest bump of the actor's lease when a call starts.
    pub bump_age: Duration,
    /// When a call that was allowed to start must be over: `bump_age` and the call's own deadline.
    /// A process that was stopped in between and wakes up later does not send any more.
    pub call_within: Duration,
    /// Pause between two read-backs.
    pub read_back_every: Duration,
    /// When an unanswered call is given up as unresolved.
    pub unresolved_after: Duration,
    /// First pause after a refusal that may pass by itself; doubles up to sixteen times that, for
    /// an advertise up to twice that.
    pub retry_after: Duration,
    /// Longest time an open alert blocks; the ledger is asked again right before the call.
    pub open_alert_veto: Duration,
    /// How long before anything may follow a hold its end is announced (rule 7).
    pub hold_end_notice: Duration,
    /// How long an own withdrawal that was sent may still reach Cloudflare: an advertise that
    /// follows it is not done before.
    pub overtaken_for: Duration,
    /// Pause after which an advertise that a read shows withdrawn is asserted again (rule 12).
    pub assert_every: Duration,
    /// Shortest time of an advertisement, also after a person said so once more: until then
    /// automation does not undo it (rules 7 and 8).
    pub shortest: Duration,
    /// A person's withdrawal that could not be sent for so long is not what they want any more.
    pub stale_request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(25),
            evidence_age: Duration::from_secs(30),
            bump_age: Duration::from_secs(5),
            call_within: Duration::from_secs(15),
            read_back_every: Duration::from_secs(5),
            unresolved_after: Duration::from_secs(15 * 60),
            retry_after: Duration::from_secs(30),
            open_alert_veto: Duration::from_secs(3_600),
            hold_end_notice: Duration::from_secs(600),
            overtaken_for: Duration::from_secs(30),
            assert_every: Duration::from_secs(30),
            shortest: Duration::from_secs(900),
            stale_request: Duration::from_secs(3_600),
        }
    }
}
