//! A service from the command line to its exit code. What `main` of every service calls.
//!
//! Claims what exists once per process: arguments, logging, signals, the runtime, the way to systemd. Everything after
//! that is [`crate::supervise::supervise`], which tests use without any of this.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use settings::{Loaded, Need};
use tokio::runtime::Runtime;

use crate::args::{self, CommonArgs};
use crate::clock::{SharedClock, SystemClock};
use crate::config;
use crate::exit::{self, ExitReport};
use crate::frame::{DEFAULT_DRAIN, Frame};
use crate::heap;
use crate::logging;
use crate::output;
use crate::readiness::{self, Notifier};
use crate::signals::Signals;
use crate::supervise::supervise;

/// Reads of the database, password checks, files, and name lookups, which may hang while a name server is away: threads are
/// made when needed and end when idle.
const MAX_BLOCKING: usize = 16;

/// Idle blocking threads give their memory back after this.
const BLOCKING_IDLE: Duration = Duration::from_secs(10);

/// Half of tokio's default; nothing here recurses without a bound.
const STACK: usize = 1024 * 1024;

/// What a service says about itself before it runs.
#[derive(Debug)]
pub struct ServiceSpec {
    /// The program's name, for example `cloudflare-webhook`.
    pub name: &'static str,
    /// One sentence for `--help`.
    pub about: &'static str,
    /// Example command lines for `--help`, besides those all programs have.
    pub examples: &'static [&'static str],
    /// What the service cannot work without although other programs can.
    pub needs: &'static [Need],
    /// How long the end may take; [`DEFAULT_DRAIN`] unless there is a reason.
    pub drain: Duration,
    /// Heaps of the process: one, unless several threads work at the same time and would wait for each other.
    pub heaps: u8,
}

impl ServiceSpec {
    /// A service that needs nothing in particular, with the usual drain limit.
    pub fn new(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            examples: &[],
            needs: &[],
            drain: DEFAULT_DRAIN,
            heaps: 1,
        }
    }

    /// The command line, for the generated reference.
    pub fn command(&self) -> clap::Command {
        args::service_command(self.name, self.about, self.examples)
    }
}

/// Runs a service of this process's arguments to its end and returns the exit code for `main`.
///
/// `run` gets the frame and the settings; see [`supervise`] for what it has to do.
pub fn run_service<R, F>(spec: &ServiceSpec, run: R) -> ExitCode
where
    R: FnOnce(Frame, Loaded) -> F,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    run_service_from(spec, std::env::args_os(), run)
}

/// [`run_service`] with other arguments than the process's own; the first is the program's name.
pub fn run_service_from<R, F, I, T>(spec: &ServiceSpec, argv: I, run: R) -> ExitCode
where
    R: FnOnce(Frame, Loaded) -> F,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    match args::parse_service(spec.command(), argv) {
        Ok(args) => run_service_with(spec, &args, run),
        Err(code) => code,
    }
}

/// [`run_service`] for a program with arguments of its own: it has parsed them together with the common ones.
pub fn run_service_with<R, F>(spec: &ServiceSpec, args: &CommonArgs, run: R) -> ExitCode
where
    R: FnOnce(Frame, Loaded) -> F,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    heap::keep_to(spec.heaps);
    let clock = SystemClock::shared();
    let config = match config::load_or_answer(args, spec.needs) {
        Ok(config) => config,
        Err(code) => return code,
    };
    if let Err(error) = logging::init(spec.name, &args.log_level, Arc::clone(&clock)) {
        output::complain(&format!("{}\n", logging::cause_chain(&error)));
        return ExitCode::from(exit::FAILURE);
    }
    log_start(spec.name, args, &config);
    let report = match runtime() {
        Ok(runtime) => {
            let report = runtime.block_on(start(spec, Arc::clone(&clock), config, run));
            // Work on blocking threads that outlived the drain has been named; the process does not wait for it.
            runtime.shutdown_background();
            report
        }
        Err(error) => Err(error),
    };
    report
        .unwrap_or_else(|error| ExitReport::not_started(error, clock.monotonic()))
        .conclude()
}

/// `Err` when the process could not even begin.
async fn start<R, F>(spec: &ServiceSpec, clock: SharedClock, config: Loaded, run: R) -> anyhow::Result<ExitReport>
where
    R: FnOnce(Frame, Loaded) -> F,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let notifier = Notifier::from_env().context("NOTIFY_SOCKET does not name a socket")?;
    let frame = Frame::builder(spec.name)
        .clock(clock)
        .notifier(notifier)
        .watchdog(readiness::watchdog_limit())
        .drain(spec.drain)
        .build();
    let signals = Signals::install().context("cannot install signal handlers")?;
    let forwarding = tokio::spawn(signals.forward(frame.clone()));
    let report = supervise(&frame, run(frame.clone(), config)).await;
    forwarding.abort();
    Ok(report)
}

/// One thread for all that waits on sockets and timers: what takes longer runs on blocking threads, the database writes on
/// a thread of its own, and every further thread costs a stack and a heap of its own in memory.
fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(MAX_BLOCKING)
        .thread_keep_alive(BLOCKING_IDLE)
        .thread_stack_size(STACK)
        .thread_name("worker")
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

fn log_start(name: &str, args: &CommonArgs, config: &Loaded) {
    tracing::info!(
        event = "process.started",
        service = name,
        version = args::version(),
        pid = std::process::id(),
        config_dir = %config.directory.display(),
        log_filter = %args.log_level,
    );
    for problem in &config.warnings {
        let finding = problem.one_line(&config.directory);
        tracing::warn!(event = "config.finding", code = problem.code.as_str(), finding);
    }
}
