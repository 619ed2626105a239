//! For tests with several processes: the test binary starts itself again in another role.
#![allow(dead_code, unreachable_pub)]

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};

use db::{Db, DbError, preferences};
use jiff::Timestamp;

/// A file as the predecessor makes it, with rows.
pub const PREDECESSOR: &str = include_str!("../fixtures/predecessor/base.sql");

/// Stores something small durably.
pub fn put(db: &Db, key: u64, value: &str) -> Result<(), DbError> {
    let value = value.to_owned();
    db.write_blocking("put", move |tx| {
        preferences::set(tx, &format!("test.{key}"), &value, "test", Timestamp::UNIX_EPOCH)
    })
}

/// Reads what [`put`] stored.
pub fn get(db: &Db, key: u64) -> Result<Option<String>, DbError> {
    db.read_blocking("get", |tx| preferences::get(tx, &format!("test.{key}")))
}

/// In the child: the path it is to work on, if it was started in this role.
pub fn role(role: &str) -> Option<PathBuf> {
    let path = std::env::var_os("DB_TEST_PATH")?;
    (std::env::var("DB_TEST_ROLE").ok()? == role).then(|| path.into())
}

/// In the child: waits for the parent's sign.
pub fn wait_for_go() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

/// In the child: tells the parent something, at once and even if the process dies right after.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "said {text}").unwrap();
    out.flush().unwrap();
}

/// A process to be started.
pub struct Child {
    command: Command,
}

impl Child {
    /// `test` is the ignored test function that plays the role.
    pub fn new(test: &str, role: &str, path: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
        command.env("DB_TEST_ROLE", role).env("DB_TEST_PATH", path);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Self { command }
    }

    pub fn env(&mut self, key: &str, value: &str) {
        self.command.env(key, value);
    }

    /// Runs it as nobody where we are root. The binary is copied to `dir`, because nobody may not enter everybody's home.
    pub fn as_nobody(&mut self, dir: &Path) {
        const NOBODY: u32 = 65534;
        let we = std::fs::metadata("/proc/self")
            .map(|m| std::os::unix::fs::MetadataExt::uid(&m))
            .unwrap();
        if we != 0 {
            return;
        }
        let copy = dir.join("test-binary");
        if !copy.exists() {
            std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        }
        let mut command = Command::new(copy);
        command.args(self.command.get_args().map(OsString::from));
        command.envs(
            self.command
                .get_envs()
                .filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))),
        );
        command.current_dir(dir).uid(NOBODY).gid(NOBODY);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        self.command = command;
    }

    pub fn start(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Running { child, out }
    }
}

/// A started process; killed when dropped.
pub struct Running {
    child: std::process::Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    pub fn go(&mut self) {
        self.child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }

    /// The next thing it says; `None` once it has ended.
    pub fn next(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.out.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // libtest writes its own "test name ... " before the first line without a line break. A line cut off by the
            // death of the process was never said.
            if let (Some(at), Some(line)) = (line.find("said "), line.strip_suffix('\n')) {
                return Some(line[at + 5..].to_owned());
            }
        }
    }

    /// Everything that it says until it ends.
    pub fn said(mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// SIGKILL, and everything that it had said before.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        std::iter::from_fn(|| self.next()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
