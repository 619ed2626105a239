//! What systemd is told about us: READY, STATUS, WATCHDOG, RELOADING, STOPPING (sd_notify(3)).
//!
//! Outside systemd there is no socket and every call does nothing. A message that cannot be delivered is logged by
//! streak and never stops the work. When to say READY or feed the watchdog is decided elsewhere (`watchdog.rs`).
//!
//! The socket is our own instead of sd-notify's, for abstract addresses (`@name`, which that crate takes for a file), a
//! deadline, and tests that hand in their own; the wording of the messages is the crate's.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::logging::is_unsafe;
use crate::streak::Streak;

/// The manager reads its socket all the time; one that does not within this time must not hold us.
const SEND_LIMIT: Duration = Duration::from_secs(1);

/// Longest status line, in characters: `systemctl status` shows one terminal line.
const MAX_STATUS: usize = 200;

/// The way to the service manager. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Notifier {
    manager: Option<Arc<Manager>>,
}

#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    failures: Mutex<Streak>,
}

impl Notifier {
    /// The manager that started this process, if one did (`NOTIFY_SOCKET`).
    ///
    /// # Errors
    /// When the variable is set but names no usable address.
    pub fn from_env() -> io::Result<Self> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(address) if !address.is_empty() => Self::to_socket(&address),
            _ => Ok(Self::disabled()),
        }
    }

    /// A manager that listens at `address`: a path, or `@name` for an abstract address.
    ///
    /// # Errors
    /// When the address is unusable or no socket can be made.
    pub fn to_socket(address: &OsStr) -> io::Result<Self> {
        let address = match address.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_LIMIT))?;
        Ok(Self {
            manager: Some(Arc::new(Manager {
                socket,
                address,
                failures: Mutex::new(Streak::new()),
            })),
        })
    }

    /// No manager: every message goes nowhere.
    pub fn disabled() -> Self {
        Self::default()
    }

    /// Start-up is complete.
    pub fn ready(&self) {
        self.send(&[NotifyState::Ready]);
    }

    /// What the process is doing, in plain words, for `systemctl status`. Cut to one short line.
    pub fn status(&self, text: &str) {
        self.send(&[NotifyState::Status(&one_line(text))]);
    }

    /// Every part of the process has made progress within its own limit.
    pub fn watchdog(&self) {
        self.send(&[NotifyState::Watchdog]);
    }

    /// The process is finishing.
    pub fn stopping(&self, status: &str) {
        self.send(&[NotifyState::Stopping, NotifyState::Status(&one_line(status))]);
    }

    /// A reload has begun; [`Self::ready`] ends it. systemd 253 and later want the monotonic time with it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            // Without the time a newer systemd would fail the reload and stop the unit, so it is not told at all.
            Err(_) => self.status("reloading"),
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let Some(manager) = &self.manager else {
            return;
        };
        let message: String = states.iter().map(|state| format!("{state}\n")).collect();
        let sent = manager.socket.send_to_addr(message.as_bytes(), &manager.address);
        let mut failures = manager.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match sent {
            // The length of a streak in time adds nothing here, so no clock is asked.
            Ok(_) => {
                failures.recovered(Duration::ZERO);
            }
            Err(error) => {
                if let Some(run) = failures.failed(Duration::ZERO) {
                    let error: &(dyn std::error::Error + 'static) = &error;
                    tracing::warn!(event = "readiness.notify.failed", failures = run.failures, error);
                }
            }
        }
    }
}

/// The watchdog interval the service manager set for this process, if it set one.
pub fn watchdog_limit() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

/// A status text could come to hold a name from outside, and a newline would begin another message to the manager.
fn one_line(text: &str) -> String {
    text.chars()
        .take(MAX_STATUS)
        .map(|c| if is_unsafe(c) { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("sets a limit");
        let length = socket.recv(&mut buffer).expect("a message in time");
        String::from_utf8(buffer[..length].to_vec()).expect("utf-8")
    }

    #[test]
    fn messages_arrive_and_a_status_cannot_smuggle_another() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("binds");
        let notifier = Notifier::to_socket(path.as_os_str()).expect("opens");
        notifier.status("3 prefixes advertised\nREADY=1");
        assert_eq!(next(&socket), "STATUS=3 prefixes advertised READY=1\n");
        notifier.ready();
        assert_eq!(next(&socket), "READY=1\n");
        notifier.watchdog();
        assert_eq!(next(&socket), "WATCHDOG=1\n");
        notifier.reloading();
        let reloading = next(&socket);
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        notifier.stopping("stopping");
        assert_eq!(next(&socket), "STOPPING=1\nSTATUS=stopping\n");
    }

    #[test]
    fn abstract_addresses_work() {
        let name = format!("daemon-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("binds");
        let notifier = Notifier::to_socket(OsStr::new(&format!("@{name}"))).expect("opens");
        notifier.ready();
        assert_eq!(next(&socket), "READY=1\n");
    }

    #[test]
    fn a_manager_that_is_gone_is_survived() {
        let dir = tempfile::tempdir().expect("a directory");
        let notifier = Notifier::to_socket(dir.path().join("none").as_os_str()).expect("opens");
        notifier.ready();
        Notifier::disabled().ready();
    }

    #[test]
    fn a_status_is_short() {
        assert_eq!(one_line(&"\u{e4}".repeat(500)).chars().count(), MAX_STATUS);
    }
}
