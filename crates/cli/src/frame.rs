//! A command from its arguments to its exit code: output as text or JSON, one report about trouble.
//!
//! Results go to stdout; questions, progress and complaints to stderr. With `--json` stdout holds exactly one document,
//! also when something went wrong: `{"schema": "cloudflare-mt/error/1", "error": {...}}`.

use std::process::ExitCode;

use daemon::args::CommonArgs;
use daemon::cli::Interrupts;
use daemon::exit;
use serde::Serialize;
use serde_json::json;
use settings::{Loaded, Need};

use crate::screen::Screen;
use crate::trouble::Trouble;
use crate::words;

/// Where a command's words go.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    json: bool,
    screen: Screen,
    aside: Screen,
}

impl Out {
    /// Output as text, or as one JSON document.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            screen: Screen::stdout(),
            aside: Screen::stderr(),
        }
    }

    /// Whether one JSON document is wanted.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Where results go.
    pub fn screen(self) -> Screen {
        self.screen
    }

    /// Where questions and progress go.
    pub fn aside_screen(self) -> Screen {
        self.aside
    }

    /// Prints a result. A closed pipe is no failure.
    ///
    /// # Errors
    /// When it cannot be written for another reason.
    pub fn text(self, text: &str) -> Result<(), Trouble> {
        daemon::output::print(&self.screen.fit(text))
            .map_err(|error| Trouble::failed("output.failed", format!("the result cannot be written: {error}")))
    }

    /// Prints a document.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn document<T: Serialize>(self, document: &T) -> Result<(), Trouble> {
        let text = serde_json::to_string_pretty(document)
            .map_err(|error| Trouble::failed("output.failed", format!("the result has no JSON form: {error}")))?;
        self.text(&format!("{text}\n"))
    }

    /// Says something beside the result.
    pub fn aside(self, text: &str) {
        daemon::output::complain(&self.aside.fit(text));
    }
}

/// Loads the configuration, answering `--check-config` and `--print-config`. `Err` is the exit code when that was all.
///
/// # Errors
/// When there is nothing to run.
pub fn settings(common: &CommonArgs, needs: &[Need]) -> Result<Loaded, ExitCode> {
    daemon::config::load_or_answer(common, needs)
}

/// Runs a command's work under the frame of Ctrl-C and exit codes.
pub fn run<W, F>(program: &'static str, common: &CommonArgs, out: Out, work: W) -> ExitCode
where
    W: FnOnce(Interrupts) -> F,
    F: Future<Output = Result<u8, Trouble>> + Send + 'static,
{
    daemon::cli::run(program, &common.log_level, |interrupts| {
        let work = work(interrupts);
        async move { Ok(conclude(program, out, work.await)) }
    })
}

/// The exit code of an outcome; trouble is told, once.
pub fn conclude(program: &str, out: Out, outcome: Result<u8, Trouble>) -> u8 {
    let trouble = match outcome {
        Ok(code) => return code,
        Err(trouble) => trouble,
    };
    if out.is_json() {
        let told = out.document(&json!({
            "schema": "cloudflare-mt/error/1",
            "error": {
                "code": trouble.code,
                "text": trouble.text,
                "remedy": trouble.remedy,
                "exit_code": trouble.exit,
            },
        }));
        if told.is_err() {
            return exit::FAILURE;
        }
    }
    let mut text = format!("{program}: {}\n", words::outside_lines(&trouble.text, 20, 2_000));
    if let Some(remedy) = &trouble.remedy {
        text.push_str(&format!("  what to do: {}\n", words::outside_lines(remedy, 20, 2_000)));
    }
    out.aside(&text);
    trouble.exit
}
