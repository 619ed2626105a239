//! The frame of every process: what surrounds the work and is the same for all of it.
//!
//! A service calls [`service::run_service`] from `main` and gets a [`Frame`]; its tests run the same code under
//! [`supervise::supervise`]. A command uses [`args`], [`config`] and [`cli`]. Nothing here knows what the work is.
//!
//! | Module | Holds |
//! |---|---|
//! | [`mod@args`] | arguments common to all programs, help and version |
//! | [`mod@cli`] | the frame of a command: Ctrl-C, closed pipes, exit codes |
//! | [`mod@clock`] | time as a value that is passed in |
//! | [`mod@config`] | loading the configuration, `--check-config`, `--print-config` |
//! | [`mod@events`] | every event name with its meaning, and the page made from it |
//! | [`mod@exit`] | exit codes and the report about an end |
//! | [`mod@frame`] | what the parts of a running process share |
//! | [`mod@health`] | checks, `/health` and `/metrics` |
//! | [`mod@heartbeat`] | signs of life for the other services |
//! | [`mod@http`] | listeners and the HTTP accept loop |
//! | [`mod@logging`] | events to the journal or to stderr |
//! | [`mod@metrics`] | numbers for Prometheus |
//! | [`mod@output`] | writing to stdout and stderr outside the log |
//! | [`mod@progress`] | loops and when each last made progress |
//! | [`mod@readiness`] | the way to the service manager |
//! | [`mod@service`] | a service from its command line to its exit code |
//! | [`mod@shutdown`] | the signal to finish |
//! | [`mod@streak`] | when repeated failures are worth a line |
//! | [`mod@supervise`] | running a service within its frame, up to the bounded drain |
//!
//! Inside: `heap` (few for all threads), `signals` (what a signal does), `tasks` (what runs and what failed first), `watchdog` (fed by progress).

#![forbid(unsafe_code)]

pub mod args;
pub mod cli;
pub mod clock;
pub mod config;
pub mod events;
pub mod exit;
pub mod frame;
pub mod health;
pub mod heartbeat;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod output;
pub mod progress;
pub mod readiness;
pub mod service;
pub mod shutdown;
pub mod streak;
pub mod supervise;

mod heap;
mod signals;
mod tasks;
mod watchdog;

pub use clock::{Clock, ManualClock, SharedClock, SystemClock};
pub use exit::ExitReport;
pub use frame::Frame;
pub use health::{Health, Weight};
pub use heartbeat::{HEARTBEAT_EVERY, Heartbeat, HeartbeatSink};
pub use http::{HttpLimits, PeerAddr, PreboundListener};
pub use progress::LoopHandle;
pub use service::{ServiceSpec, run_service};
pub use shutdown::{Shutdown, StopReason};
pub use streak::Streak;
pub use supervise::supervise;
pub use tasks::TaskError;
