//! A real process of the frame with a service manager that the test owns.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// Nothing here takes a second; this only keeps a defect from hanging the tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where cargo put the example. It is built with all tests of the package, but not with a single one (`--test process`),
/// so an old one is refused instead of tested.
pub fn probe_binary() -> PathBuf {
    let test = std::env::current_exe().expect("our own path");
    let profile = test.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST");
    let binary = profile.join("examples/frame_probe");
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = newest(&package.join("src")).max(newest(&package.join("examples")));
    assert!(
        changed(&binary) >= sources,
        "run `cargo test -p daemon` without choosing a test: it builds {} anew",
        binary.display()
    );
    binary
}

/// When the newest file in `dir` was changed, files of unit tests apart: the example is not built of them.
fn newest(dir: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(dir).expect("a readable directory");
    let built = entries
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.file_name() != "tests.rs");
    let times = built.map(|entry| match entry.file_type().expect("a type").is_dir() {
        true => newest(&entry.path()),
        false => entry.metadata().and_then(|metadata| metadata.modified()).ok(),
    });
    times.max().flatten()
}

/// A directory with a configuration, a notify socket and the process's stderr.
pub struct Site {
    dir: tempfile::TempDir,
    manager: UnixDatagram,
}

impl Site {
    /// `listen` is the address the process listens on.
    pub fn new(listen: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let settings = format!(
            r#"{{"cloudflare": {{"account_id": "00112233445566778899aabbccddeeff"}},
                "database": {{"path": "{}"}}, "webhook": {{"listen": "{listen}"}}}}"#,
            dir.path().join("probe.db").display()
        );
        fs::write(dir.path().join("settings.json"), settings).expect("writes");
        let manager = UnixDatagram::bind(dir.path().join("notify")).expect("binds");
        Self { dir, manager }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The process with these settings; stderr goes to a file.
    pub fn command(&self, mode: &str) -> Command {
        let stderr = fs::File::create(self.path().join("stderr")).expect("creates");
        let mut command = Command::new(probe_binary());
        command
            .env_clear()
            .env("PROBE_MODE", mode)
            .env("NOTIFY_SOCKET", self.path().join("notify"))
            .env("WATCHDOG_USEC", "150000")
            .args(["--config-dir".as_ref(), self.path().as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        command
    }

    pub fn start(&self, mode: &str) -> Process {
        Process::of(&mut self.command(mode))
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.path().join("stderr")).expect("readable")
    }

    /// The next message to the manager, within the test's patience.
    pub fn next_message(&self) -> String {
        self.message_within(PATIENCE).expect("a message in time")
    }

    pub fn message_within(&self, limit: Duration) -> Option<String> {
        let mut buffer = [0; 4096];
        self.manager.set_read_timeout(Some(limit)).expect("sets");
        let length = self.manager.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).expect("utf-8"))
    }

    /// Reads messages until one contains `part`; returns all of them.
    pub fn messages_until(&self, part: &str) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while Instant::now() < deadline {
            let message = self.next_message();
            let last = message.contains(part);
            seen.push(message);
            if last {
                return seen;
            }
        }
        panic!("no {part} in {seen:?}");
    }

    /// Everything that has been sent and not read yet.
    pub fn messages_left(&self) -> Vec<String> {
        std::iter::from_fn(|| self.message_within(Duration::from_millis(1))).collect()
    }
}

/// Lets a moment pass between two looks at something that is coming.
pub fn pause() {
    std::thread::park_timeout(Duration::from_millis(5));
}

/// A child that does not outlive its test.
pub struct Process {
    pub child: Child,
}

impl Process {
    pub fn of(command: &mut Command) -> Self {
        Self {
            child: command.spawn().expect("starts"),
        }
    }

    /// `signal` as kill(1) names it.
    pub fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().expect("runs sh");
        assert!(sent.success(), "{kill}");
    }

    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return status;
            }
            pause();
        }
        panic!("the process does not end");
    }

    /// Its exit code at its end.
    pub fn code(&mut self) -> Option<i32> {
        self.end().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
