//! The frame of every process: what surrounds the work and is the same for all of it.
//!
//! A service calls [`service::run_service`] from `main` and gets a [`Frame`]; its tests run the same code under
//! [`supervise::supervise`]. A command uses [`args`], [`config`] and [`cli`]. Nothing here knows what the work is.

#![forbid(unsafe_code)]

/// Arguments common to all programs, help and version.
pub mod args;
/// The frame of a command: Ctrl-C, closed pipes, exit codes.
pub mod cli;
/// Time as a value that is passed in.
pub mod clock;
/// Loading the configuration, `--check-config`, `--print-config`.
pub mod config;
/// Every event name with its meaning, and the page made from it.
pub mod events;
/// Exit codes and the report about an end.
pub mod exit;
/// What the parts of a running process share.
pub mod frame;
/// Checks, `/health` and `/metrics`.
pub mod health;
/// Signs of life for the other services.
pub mod heartbeat;
/// Listeners and the HTTP accept loop.
pub mod http;
/// Events to the journal or to stderr.
pub mod logging;
/// Numbers for Prometheus.
pub mod metrics;
/// Writing to stdout and stderr outside the log.
pub mod output;
/// Loops and when each last made progress.
pub mod progress;
/// The way to the service manager.
pub mod readiness;
/// A service from its command line to its exit code.
pub mod service;
/// The signal to finish.
pub mod shutdown;
/// When repeated failures are worth a line.
pub mod streak;
/// Running a service within its frame, up to the bounded drain.
pub mod supervise;

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
