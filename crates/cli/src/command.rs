//! Arguments of a command line: parsing, exit codes in help, shell completions, man pages.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::frame::Out;
use crate::trouble::Trouble;

/// What packaging asks of every command line. Flatten it into the program's commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Generate {
    /// Print the completion script of a shell
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write man pages, one per command, or print the main one
    #[command(hide = true)]
    Man {
        /// Folder to write them into
        directory: Option<PathBuf>,
    },
}

/// Arguments that mean the same in every program; they stand together at the end of the options.
const OF_ALL_PROGRAMS: [&str; 5] = ["config_dir", "check_config", "print_config", "log_level", "json"];

/// The command with what all command lines have alike: version, and no log unless asked for, because a command says
/// what happened in its own words.
pub fn command<P: CommandFactory>() -> clap::Command {
    alike(P::command()).mut_arg("log_level", |arg| arg.default_value("off"))
}

/// Version, and the arguments of all programs together at the end.
pub fn alike(command: clap::Command) -> clap::Command {
    command.version(daemon::args::version()).mut_args(|arg| {
        if OF_ALL_PROGRAMS.contains(&arg.get_id().as_str()) {
            arg.help_heading("Options of all programs")
        } else {
            arg
        }
    })
}

/// Reads the process's arguments. `Err` is the exit code after help, version or an error has been printed.
///
/// # Errors
/// When there is nothing to run.
pub fn parse<P: Parser>() -> Result<P, ExitCode> {
    let mut command = command::<P>();
    command
        .try_get_matches_from_mut(std::env::args_os())
        .and_then(|matches| P::from_arg_matches(&matches))
        .map_err(|error| explain(&error.format(&mut command)))
}

/// Prints what clap has to say: help and version on stdout with 0, a usage error on stderr with 2.
pub fn explain(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match printed {
            Err(problem) if problem.kind() != std::io::ErrorKind::BrokenPipe => {
                daemon::output::complain(&format!("cannot write: {problem}\n"));
                ExitCode::from(daemon::exit::FAILURE)
            }
            _ => ExitCode::from(daemon::exit::DONE),
        },
        _ => ExitCode::from(daemon::exit::USAGE),
    }
}

/// Called without a command: its help on stderr, as a usage error.
pub fn nothing_asked<P: CommandFactory>() -> ExitCode {
    daemon::output::complain(&command::<P>().render_help().to_string());
    ExitCode::from(daemon::exit::USAGE)
}

impl Generate {
    /// Writes what was asked for.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn run<P: CommandFactory>(self) -> Result<u8, Trouble> {
        let mut command = command::<P>();
        let out = Out::new(false);
        match self {
            Self::Completions { shell } => {
                let name = command.get_name().to_owned();
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut command, name, &mut script);
                out.text(&String::from_utf8_lossy(&script))?;
            }
            Self::Man { directory: None } => {
                let mut page = Vec::new();
                clap_mangen::Man::new(command).render(&mut page).map_err(|error| {
                    Trouble::failed("output.failed", format!("the man page cannot be made: {error}"))
                })?;
                out.text(&String::from_utf8_lossy(&page))?;
            }
            Self::Man {
                directory: Some(directory),
            } => clap_mangen::generate_to(command, &directory).map_err(|error| {
                let text = format!("man pages cannot be written to {}: {error}", directory.display());
                Trouble::failed("output.failed", text)
            })?,
        }
        Ok(daemon::exit::DONE)
    }
}
