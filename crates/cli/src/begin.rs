//! The begin of a command line: what every one of them is asked, and the ways it can end before there is work.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use daemon::args::CommonArgs;
use daemon::cli::Interrupts;
use settings::{Loaded, Need};

use crate::command::Generate;
use crate::frame::{self, Out};
use crate::trouble::Trouble;

/// Arguments of all command lines.
#[derive(Debug, Clone, Args)]
pub struct OfAll {
    /// Arguments of all programs.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub json: bool,
}

/// A command line whose arguments were read.
#[derive(Debug, Clone)]
pub struct Begun {
    program: &'static str,
    /// Where its words go.
    pub out: Out,
    /// Arguments of all programs.
    pub common: CommonArgs,
    /// Only the configuration is asked for: `--check-config`, `--print-config`.
    pub about_configuration: bool,
}

impl OfAll {
    /// Begins.
    pub fn begin(self, program: &'static str) -> Begun {
        Begun {
            program,
            out: Out::new(self.json),
            about_configuration: self.common.check_config || self.common.print_config,
            common: self.common,
        }
    }
}

impl Begun {
    /// Called bare with nobody there to choose from a menu: scripts get the usage.
    pub fn has_no_reader(&self) -> bool {
        !self.about_configuration && (self.out.is_json() || !crate::ask::possible())
    }

    /// What packaging asks for.
    pub fn generate<P: CommandFactory>(&self, asked: Generate) -> ExitCode {
        self.conclude(asked.run::<P>())
    }

    /// The exit code of work that needs no frame.
    pub fn conclude(&self, outcome: Result<u8, Trouble>) -> ExitCode {
        ExitCode::from(frame::conclude(self.program, self.out, outcome))
    }

    /// As [`frame::settings`].
    ///
    /// # Errors
    /// When there is nothing to run.
    pub fn settings(&self, needs: &[Need]) -> Result<Loaded, ExitCode> {
        frame::settings(&self.common, needs)
    }

    /// As [`frame::run`].
    pub fn run<W, F>(self, work: W) -> ExitCode
    where
        W: FnOnce(Interrupts) -> F,
        F: Future<Output = Result<u8, Trouble>> + Send + 'static,
    {
        frame::run(self.program, &self.common, self.out, work)
    }
}
