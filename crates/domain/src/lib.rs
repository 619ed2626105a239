//! Words and rules of the product: what a prefix is, what counts as evidence, when calm is proven.
//!
//! Nothing here does I/O, reads a clock, draws randomness or logs. Everything that matters for
//! protection is decided here from values that are passed in, so that it can be tested by property
//! and by simulation.
//!
//! | Module | Holds |
//! |---|---|
//! | [`prefix`] | networks with host bits cleared, and sets of them with longest match |
//! | [`time`], [`duration`] | the one text form of instants and of configured durations |
//! | [`units`] | packets, bits and their rates, and how people read them |
//! | [`ids`] | row numbers and Cloudflare's identifiers, each its own type |
//! | [`bgp`] | the live advertisement state of a prefix and its epoch |
//! | [`binding`] | which service of Cloudflare takes a network's traffic, and what changed |
//! | [`evidence`] | what was read about a prefix in one cycle, or why it was not |
//! | [`calm`] | traffic rows to "attack, calm or unknown", in data time |
//! | [`decision`] | state + evidence + policy + now to verdict, next state and effects |
//! | [`recording`] | a cycle's inputs as a line, and the same decision from it |
//! | [`what_if`] | what another policy would have done in a recording |
//! | [`brakes`] | rule 8: flapping, hourly limit, mass calm after blindness |
//! | [`intent`] | the journal of acts: kinds, states and allowed transitions |
//! | [`hold`] | holds and pauses set by people |
//! | [`alert`] | one notification of Cloudflare in normal form |
//! | [`urgency`] | how urgent a notification is, by type and content |
//! | [`incident`] | which alerts and acts belong to one attack |
//! | [`notice`] | kinds of messages to people, their priority and grouping |

pub mod alert;
pub mod bgp;
pub mod binding;
pub mod brakes;
pub mod calm;
pub mod decision;
pub mod duration;
pub mod evidence;
pub mod hold;
pub mod ids;
pub mod incident;
pub mod intent;
pub mod notice;
pub mod prefix;
pub mod recording;
pub mod time;
pub mod units;
pub mod urgency;
pub mod what_if;
