//! A real program as a child of the test. It never outlives the test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::binaries;
use crate::notify_socket::Manager;
use crate::wait;

/// A start takes tens of milliseconds; this only keeps a defect from hanging the tests on a busy machine.
pub const READY_WITHIN: Duration = Duration::from_secs(20);

/// Longer than a service's own drain limit of 8 s.
pub const STOPPED_WITHIN: Duration = Duration::from_secs(15);

/// The four services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Program {
    /// `cloudflare-webhook`.
    Webhook,
    /// `cloudflare-analytics-monitor`.
    Monitor,
    /// `cloudflare-autowithdraw`.
    AutoWithdraw,
    /// `cloudflare-dashboard`.
    Dashboard,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Webhook, Self::Monitor, Self::AutoWithdraw, Self::Dashboard];

    /// The program's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "cloudflare-webhook",
            Self::Monitor => "cloudflare-analytics-monitor",
            Self::AutoWithdraw => "cloudflare-autowithdraw",
            Self::Dashboard => "cloudflare-dashboard",
        }
    }

    /// The section of settings that holds its address.
    #[must_use]
    pub fn section(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Monitor => "analytics",
            Self::AutoWithdraw => "autowithdraw",
            Self::Dashboard => "dashboard",
        }
    }
}

/// A running service, or one that has ended.
#[derive(Debug)]
pub struct RealService {
    /// Which one.
    pub program: Program,
    manager: Manager,
    child: Child,
    log: PathBuf,
}

impl RealService {
    /// Starts `program` on the configuration in `config_dir`. Log and socket are made in `run_dir` and carry `run`, which
    /// must differ from start to start.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(program: Program, config_dir: &Path, run_dir: &Path, run: u32) -> Self {
        let name = program.name();
        let log = run_dir.join(format!("{name}.{run}.log"));
        let manager = Manager::listen(&run_dir.join(format!("{name}.{run}.notify"))).expect("a socket for the manager");
        let child = command(name)
            .args(["--config-dir".as_ref(), config_dir.as_os_str()])
            .env("NOTIFY_SOCKET", manager.path())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log file"))
            .spawn()
            .expect("the program starts");
        Self {
            program,
            manager,
            child,
            log,
        }
    }

    /// Waits for READY and returns how long it took.
    ///
    /// # Panics
    /// When it ends or [`READY_WITHIN`] passes first.
    pub async fn ready(&mut self) -> Duration {
        let what = format!("READY of {}", self.program.name());
        let found = wait::until(&what, READY_WITHIN, || {
            if let Some(after) = self.manager.heard("READY=1") {
                return Some(Ok(after));
            }
            self.ended().map(Err)
        })
        .await;
        match found {
            Ok(after) => after,
            Err(status) => panic!(
                "{} ended with {status} before it was ready:\n{}",
                self.program.name(),
                self.log()
            ),
        }
    }

    /// Its end, if it has ended.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child can be asked")
    }

    /// `kill -9`, and nothing of it is left when this returns.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and its exit status.
    ///
    /// # Panics
    /// When it does not end within [`STOPPED_WITHIN`].
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.end().await
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within [`STOPPED_WITHIN`].
    pub async fn end(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.program.name());
        wait::until(&what, STOPPED_WITHIN, || self.ended()).await
    }

    /// Sends a signal as kill(1) names it.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, signal: &str) {
        let line = format!("kill -{signal} {}", self.child.id());
        let sent = Command::new("/bin/sh").args(["-c", &line]).status().expect("a shell");
        assert!(sent.success(), "{line}");
    }

    /// Process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it logged.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// What it told its manager.
    #[must_use]
    pub fn manager(&self) -> &Manager {
        &self.manager
    }

    /// Resident memory in KiB by the kernel's name for it: `VmRSS` for all, of it `RssAnon` its own and `RssFile` mapped
    /// from the program file, which other processes of the same file share.
    ///
    /// # Panics
    /// When the process is gone.
    #[must_use]
    pub fn memory_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process lives");
        let mut lines = status.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(of, _)| *of == name).expect("a value of that name");
        value.trim_end_matches("kB").trim().parse().expect("a number")
    }
}

impl Drop for RealService {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A program of ours with nothing of the test's environment.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn command(name: &str) -> Command {
    let mut command = Command::new(binaries::program(name));
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}
