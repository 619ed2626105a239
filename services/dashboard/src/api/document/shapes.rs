//! Shapes of what handlers hand on from the judgement of the situation, and of what they read: the keys that stay.

#![allow(dead_code)]

use jiff::Timestamp;
use serde_json::Value;
use utoipa::ToSchema;

/// The situation.
#[derive(ToSchema)]
pub(crate) struct OverviewShape {
    /// Grows with every change
    version: u64,
    /// Now, by the server's clock
    at: Timestamp,
    /// The status line in numbers
    status: Value,
    /// What the automation does, and whether it is there
    automation: Value,
    /// What is happening
    now: Vec<Value>,
    prefixes: Vec<PrefixShape>,
    incidents: Vec<Value>,
    log: Vec<Value>,
    services: Vec<ServiceShape>,
    /// The outbox; null when it could not be read
    messages: Option<Value>,
    last_delivery_at: Option<Timestamp>,
    /// Parts that could not be read, with why
    troubles: Vec<Value>,
}

/// A prefix as it is judged. Null is unknown.
#[derive(ToSchema)]
pub(crate) struct PrefixShape {
    /// CIDR
    prefix: String,
    description: String,
    asn: Option<u32>,
    /// Whether automation may withdraw it
    managed: bool,
    state: String,
    /// The state in words
    words: String,
    unknown_since: Option<Timestamp>,
    advertised: Option<bool>,
    advertised_changed_at: Option<Timestamp>,
    on_demand_enabled: Option<bool>,
    /// What is waited for: at, what, runs_until, stands_because
    deadline: Option<Value>,
    /// What happens next and why
    next: String,
    hold: Option<HoldShape>,
    /// An act that is filed and not finished
    intent: Option<Value>,
    /// Event numbers
    open_alerts: Vec<i64>,
    /// Whether drops exceed the thresholds
    under_attack: Option<bool>,
    dropped: Option<DroppedShape>,
    peak: Option<DroppedShape>,
    /// An excess rests on too few samples
    noise: bool,
    systems: Vec<String>,
    calm_since: Option<Timestamp>,
    calm_proven_s: Option<u64>,
    calm_period_s: Option<u64>,
    decided_at: Option<Timestamp>,
    read_at: Option<Timestamp>,
    error: Option<String>,
    error_since: Option<Timestamp>,
    mode: Option<String>,
    why: Vec<Value>,
}

/// Dropped traffic of one look-back window, estimated from samples.
#[derive(ToSchema)]
pub(crate) struct DroppedShape {
    packets: u64,
    bits: u64,
    packets_per_second: f64,
    bits_per_second: f64,
    samples: u64,
    ends_at: Timestamp,
}

/// A service by its own signs of life.
#[derive(ToSchema)]
pub(crate) struct ServiceShape {
    name: String,
    description: String,
    /// running, degraded, failing, late, silent, stopped, never_seen
    life: String,
    /// What it says it is doing
    doing: String,
    seen_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    version: Option<String>,
    host: Option<String>,
    pid: Option<u32>,
}

/// A hold.
#[derive(ToSchema)]
pub(crate) struct HoldShape {
    id: i64,
    /// CIDR; null pauses everything
    prefix: Option<String>,
    actor: String,
    reason: String,
    created_at: Timestamp,
    /// Null is until released
    until: Option<Timestamp>,
}

/// What is to be held. Either `prefix` or `everywhere`; either `for` or `until`.
#[derive(ToSchema)]
pub(crate) struct HoldWanted {
    #[schema(example = "203.0.113.0/24")]
    prefix: Option<String>,
    everywhere: Option<bool>,
    #[schema(example = "carrier maintenance")]
    reason: String,
    /// A duration like 4h, or open for until released
    #[schema(rename = "for", example = "4h")]
    r#for: Option<String>,
    until: Option<Timestamp>,
}

/// What is to be released. Either `prefix` or `everywhere`.
#[derive(ToSchema)]
pub(crate) struct ReleaseWanted {
    #[schema(example = "203.0.113.0/24")]
    prefix: Option<String>,
    everywhere: Option<bool>,
}

#[derive(ToSchema)]
pub(crate) struct HoldDone {
    success: bool,
    message: String,
    hold: HoldShape,
    cancelled_withdrawals: u64,
}

#[derive(ToSchema)]
pub(crate) struct ReleaseDone {
    success: bool,
    message: String,
    released: u64,
    still_held_by: Option<HoldShape>,
}

/// What is to be done to a prefix.
#[derive(ToSchema)]
pub(crate) struct ActWanted {
    /// Not where the address names it
    #[schema(example = "203.0.113.0/24")]
    prefix: Option<String>,
    #[schema(example = "attack seen at the edge")]
    reason: String,
    /// The prefix once more; for a withdrawal
    confirm: Option<String>,
    /// Withdraw although it is held
    force: Option<bool>,
}

#[derive(ToSchema)]
pub(crate) struct ActFiled {
    success: bool,
    /// Who carries it out
    message: String,
    cidr: String,
    /// advertise or withdraw
    act: String,
    /// Its number in the journal
    intent: i64,
    cancelled_withdrawals: u64,
}

/// A new password.
#[derive(ToSchema)]
pub(crate) struct PasswordChange {
    current_password: String,
    /// At least 12 characters
    new_password: String,
    confirm_password: String,
}

#[derive(ToSchema)]
pub(crate) struct Done {
    success: bool,
    message: String,
}

/// An empty object.
#[derive(ToSchema)]
pub(crate) struct Nothing {}

/// The judgement.
#[derive(ToSchema)]
pub(crate) struct ReadinessShape {
    at: Timestamp,
    prefixes: Vec<ReadyShape>,
    /// What concerns every prefix
    account: Vec<FindingShape>,
}

/// A prefix with its findings.
#[derive(ToSchema)]
pub(crate) struct ReadyShape {
    /// CIDR
    prefix: String,
    description: String,
    /// fine, doubt, unknown, stops
    answer: String,
    /// The same in words
    verdict: String,
    checks: Vec<FindingShape>,
}

/// One finding.
#[derive(ToSchema)]
pub(crate) struct FindingShape {
    what: String,
    /// fine, doubt, unknown, stops
    answer: String,
    found: String,
    /// What to do; empty when nothing
    remedy: String,
}

/// A change that was made.
#[derive(ToSchema)]
pub(crate) struct ChangeDone {
    success: bool,
    /// One sentence
    message: String,
}
