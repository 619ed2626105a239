//! Runs a real program as a person or a script does: in a pipe, or on a pseudo-terminal with somebody who answers.
//!
//! Shared by the tests of all command lines (`#[path]`); it is no test by itself.
#![allow(dead_code)] // not every command line asks questions

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Longest wait for anything a command does; far above what it needs.
const LIMIT: Duration = Duration::from_secs(60);

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Everything, as a transcript.
    pub(crate) fn shown(&self) -> String {
        let part = |name: &str, text: &str| {
            if text.is_empty() {
                String::new()
            } else {
                format!("--- {name}\n{text}")
            }
        };
        format!(
            "exit code {}\n{}{}",
            self.code,
            part("stdout", &self.stdout),
            part("stderr", &self.stderr)
        )
    }

    /// The one JSON document on stdout.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}", self.shown()))
    }
}

/// A program with nothing of the test's environment.
pub(crate) fn program(path: &str, config_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("CLOUDFLARE_MT_CONFIG_DIR", config_dir)
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// Runs it to its end without a terminal.
pub(crate) fn run(mut command: Command) -> Run {
    let out = command.output().expect("the program starts");
    Run {
        code: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

/// Runs it with `input` on its standard input.
pub(crate) fn run_with_input(mut command: Command, input: &str) -> Run {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let out = child.wait_with_output().expect("it ends");
    Run {
        code: out.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

/// A program on a terminal of its own.
pub(crate) struct Terminal {
    child: Child,
    master: File,
    said: Arc<Mutex<Vec<u8>>>,
    listener: std::thread::JoinHandle<()>,
}

impl Terminal {
    /// Starts it on a terminal of `columns`.
    pub(crate) fn start(mut command: Command, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("grants");
        unlockpt(&master).expect("unlocks");
        let size = Winsize {
            ws_row: 50,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).expect("sets the size");
        let name = ptsname(&master, Vec::new())
            .expect("a name")
            .into_string()
            .expect("text");
        let slave = || -> OwnedFd {
            File::options()
                .read(true)
                .write(true)
                .open(&name)
                .expect("the other end")
                .into()
        };
        command.env("TERM", "xterm");
        command.stdin(slave()).stdout(slave()).stderr(slave());
        let child = command.spawn().expect("the program starts");
        // The program's own ends must be the last ones, so that its end is seen.
        drop(command);
        let master = File::from(master);
        let said = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, kept) = (master.try_clone().expect("a copy"), Arc::clone(&said));
        let listener = std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            // EIO when nobody has the other end any more.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                kept.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            child,
            master,
            said,
            listener,
        }
    }

    /// What is on the screen so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).replace("\r\n", "\n")
    }

    /// Waits until it has said this.
    pub(crate) fn expect(&self, text: &str) -> &Self {
        let began = Instant::now();
        while !self.said().contains(text) {
            assert!(began.elapsed() < LIMIT, "waited in vain for {text:?}:\n{}", self.said());
            pause();
        }
        self
    }

    /// Types keys.
    pub(crate) fn keys(&self, keys: &str) -> &Self {
        (&self.master)
            .write_all(keys.as_bytes())
            .expect("the terminal takes them");
        self
    }

    /// Sends a signal as kill(1) names it.
    pub(crate) fn signal(&self, signal: &str) -> &Self {
        let line = format!("kill -{signal} {}", self.child.id());
        assert!(
            Command::new("/bin/sh")
                .args(["-c", &line])
                .status()
                .expect("a shell")
                .success()
        );
        self
    }

    /// Waits for its end: exit code and everything it said.
    pub(crate) fn end(mut self) -> (i32, String) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                break status;
            }
            assert!(began.elapsed() < LIMIT, "it does not end:\n{}", self.said());
            pause();
        };
        // What it said last may still be on its way: the listener ends when nobody has the other end any more.
        while !self.listener.is_finished() {
            assert!(began.elapsed() < LIMIT, "somebody keeps the terminal:\n{}", self.said());
            pause();
        }
        (status.code().unwrap_or(-1), self.said())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Between two looks at something that is waited for with a limit.
#[allow(clippy::disallowed_methods)] // a test's thread feeds no watchdog
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

/// What differs from run to run, made alike: `insta` filters.
pub(crate) fn filters() -> Vec<(&'static str, &'static str)> {
    vec![
        (r", after \d+ s", ", after [few] s"),
        (r"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+", "[actor]"),
        (r#""\d{4}-\d\d-\d\dT[0-9:.]+Z""#, r#""[instant]""#),
        (r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d( UTC)?", "[stamp]"),
        (r"(\d\d/\d\d(/\d{4})? )?\d\d:\d\d UTC", "[clock]"),
        (r#""age_s": \d+"#, r#""age_s": [age]"#),
        (r"127\.\d+\.\d+\.\d+:\d+", "[address]"),
        (r"/tmp/[A-Za-z0-9/._-]*mt-site-[A-Za-z0-9]+", "[site]"),
        (r"\b\d+ (s|min) ago\b", "[age] ago"),
        (r"(advertised|withdrawn) \d+ (s|min|h|d)( \d+ (min|h))?\b", "$1 [age]"),
        (r"(?m) +$", ""),
    ]
}
