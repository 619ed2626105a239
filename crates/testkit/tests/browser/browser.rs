//! A browser of its own for each scenario: node runs the script, which drives Chromium; the test does what the script
//! asks for.
//!
//! Must hold: neither outlives the test; a machine without the tools is told what is missing and skips.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Longer than any scenario takes on a busy machine, shorter than what ends the test from outside.
const LIMIT: Duration = Duration::from_secs(220);

/// Where Debian and others put the browser.
const PROGRAMS: [&str; 3] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
];

/// A running scenario.
pub(crate) struct Scenario {
    name: &'static str,
    child: Child,
    words: Lines<BufReader<ChildStdout>>,
    answers: ChildStdin,
}

/// What the tests need and where it is.
struct Tools {
    program: &'static str,
    node: PathBuf,
    modules: PathBuf,
}

impl Tools {
    fn find() -> Result<Self, String> {
        let program = PROGRAMS.into_iter().find(|path| Path::new(path).exists());
        let program = program.ok_or("no Chromium is installed")?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let node = std::env::split_paths(&path)
            .map(|folder| folder.join("node"))
            .find(|node| node.exists());
        let node = node.ok_or("node is not installed")?;
        let modules = target().join("browser");
        if !modules.join("node_modules/playwright-core").exists() || !modules.join("node_modules/axe-core").exists() {
            return Err("playwright-core is not installed; scripts/test does that".to_owned());
        }
        Ok(Self { program, node, modules })
    }
}

/// The build folder: `target/PROFILE/deps/TEST` is where this runs from.
pub(crate) fn target() -> PathBuf {
    let test = std::env::current_exe().expect("our own path");
    test.ancestors().nth(3).expect("a build folder").to_owned()
}

impl Scenario {
    /// Starts `scripts/NAME.mjs` against a dashboard; `None` where this machine has no browser to do it with.
    pub(crate) fn start(name: &'static str, base: &str, environment: &[(&str, &str)]) -> Option<Self> {
        let tools = match Tools::find() {
            Ok(tools) => tools,
            Err(reason) => {
                eprintln!("SKIPPED: browser tests: {reason}");
                return None;
            }
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/browser/scripts/{name}.mjs"));
        let mut child = Command::new(tools.node)
            .arg(script)
            .env("BROWSER_TOOLS", tools.modules)
            .env("BROWSER_PROGRAM", tools.program)
            .env("BROWSER_BASE", base)
            .env("BROWSER_PICTURES", target().join("screenshots"))
            .env("BROWSER_SCENARIO", name)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts");
        let words = BufReader::new(child.stdout.take().expect("its output")).lines();
        let answers = child.stdin.take().expect("its input");
        Some(Self {
            name,
            child,
            words,
            answers,
        })
    }

    /// What the script asks for next; `None` when it has ended well.
    ///
    /// # Panics
    /// When it ended with problems, or takes too long.
    pub(crate) async fn asks(&mut self) -> Option<String> {
        let Ok(asked) = tokio::time::timeout(LIMIT, self.listen()).await else {
            panic!("{}: nothing more within {LIMIT:?}", self.name);
        };
        asked
    }

    async fn listen(&mut self) -> Option<String> {
        while let Some(line) = self.words.next_line().await.expect("its output can be read") {
            match line.strip_prefix("ASK ") {
                Some(asked) => return Some(asked.to_owned()),
                None => println!("{}: {line}", self.name),
            }
        }
        let mut problems = String::new();
        let mut stderr = self.child.stderr.take().expect("its problems");
        stderr
            .read_to_string(&mut problems)
            .await
            .expect("its problems can be read");
        let status = self.child.wait().await.expect("it ends");
        assert!(status.success(), "{} ended with {status}:\n{problems}", self.name);
        None
    }

    /// Answers what was asked for.
    pub(crate) async fn answer(&mut self, words: &str) {
        let line = format!("{words}\n");
        self.answers.write_all(line.as_bytes()).await.expect("it listens");
        self.answers.flush().await.expect("it listens");
    }

    /// Lets a script run that asks for nothing.
    pub(crate) async fn through(mut self) {
        if let Some(asked) = self.asks().await {
            panic!("{} asks for {asked}, which nobody offers", self.name);
        }
    }
}
