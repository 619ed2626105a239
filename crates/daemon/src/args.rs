//! The arguments every program of ours takes, and what is answered without starting.
//!
//! `--config-dir`, `--check-config`, `--print-config`, `--log-level`, `--version` and `--help` mean the same everywhere.
//! Reading the configuration itself is in [`crate::config`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Command, FromArgMatches as _, Parser};

use crate::exit;
use crate::logging::LogFilter;
use crate::output;

/// The arguments common to all programs. Flatten them into a program's own.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// Directory with settings.json and the files beside it
    #[arg(
        long,
        value_name = "DIR",
        env = settings::CONFIG_DIR_VARIABLE,
        default_value = settings::DEFAULT_CONFIG_DIR,
        global = true
    )]
    pub config_dir: PathBuf,

    /// Read the configuration, report every problem, and exit: 0 good, 78 bad
    #[arg(long, global = true)]
    pub check_config: bool,

    /// Print the configuration in effect with secrets masked, and exit
    #[arg(long, global = true, conflicts_with = "check_config")]
    pub print_config: bool,

    /// What is logged: off, error, warn, info, debug or trace, alone or as TARGET=LEVEL, joined by commas
    #[arg(
        long,
        value_name = "FILTER",
        env = "CLOUDFLARE_MT_LOG",
        default_value = "info",
        global = true
    )]
    pub log_level: LogFilter,
}

/// Version of this build, with the commit when the build was told it (`CLOUDFLARE_MT_COMMIT`, set by the packaging).
pub fn version() -> &'static str {
    const WITH_COMMIT: Option<&str> = option_env!("CLOUDFLARE_MT_COMMIT");
    static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    TEXT.get_or_init(|| match WITH_COMMIT {
        Some(commit) if !commit.is_empty() => format!("{} ({commit})", env!("CARGO_PKG_VERSION")),
        _ => env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// The command line of a service: only the common arguments. `examples` is shown at the end of `--help`, one per line.
pub fn service_command(name: &'static str, about: &'static str, examples: &[&str]) -> Command {
    CommonArgs::augment_args(Command::new(name))
        .about(about)
        .version(version())
        .after_help(help_tail(name, examples))
}

/// The end of `--help`: examples and exit codes. Programs with arguments of their own use it as their `after_help`.
pub fn help_tail(name: &str, examples: &[&str]) -> String {
    let mut text = String::from("Examples:\n");
    for example in examples {
        text.push_str(&format!("  {example}\n"));
    }
    text.push_str(&format!(
        "  {name} --check-config\n  \
           {name} --config-dir ./config --print-config\n  \
           CLOUDFLARE_MT_LOG=info,hyper=debug {name}\n\n\
         Exit codes: 0 done, 1 failed, 2 wrong arguments, 78 bad configuration"
    ));
    text
}

/// Reads a service's arguments. `Err` is the exit code after help, version or an error has been printed.
///
/// # Errors
/// When there is nothing to run.
pub fn parse_service<I, T>(command: Command, argv: I) -> Result<CommonArgs, ExitCode>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    command
        .try_get_matches_from(argv)
        .and_then(|matches| CommonArgs::from_arg_matches(&matches))
        .map_err(|error| explain(&error))
}

/// Reads the arguments of any program. `Err` is the exit code after help, version or an error has been printed.
///
/// # Errors
/// When there is nothing to run.
pub fn parse<P: Parser>() -> Result<P, ExitCode> {
    P::try_parse().map_err(|error| explain(&error))
}

/// Prints what clap has to say: help and version on stdout with 0, a usage error on stderr with 2.
fn explain(error: &clap::Error) -> ExitCode {
    // A closed pipe while printing help is the reader's wish.
    let printed = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match printed {
            Err(problem) if problem.kind() != std::io::ErrorKind::BrokenPipe => {
                output::complain(&format!("cannot write: {problem}\n"));
                ExitCode::from(exit::FAILURE)
            }
            _ => ExitCode::from(exit::DONE),
        },
        _ => ExitCode::from(exit::USAGE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        service_command("cloudflare-test", "Does nothing.", &["cloudflare-test"])
    }

    fn parse_ok(arguments: &[&str]) -> CommonArgs {
        let argv = std::iter::once(&"cloudflare-test").chain(arguments);
        parse_service(command(), argv).expect("understood")
    }

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn arguments_are_read() {
        let args = parse_ok(&[
            "--config-dir",
            "/tmp/x",
            "--check-config",
            "--log-level",
            "debug,hyper=warn",
        ]);
        assert_eq!(args.config_dir, PathBuf::from("/tmp/x"));
        assert!(args.check_config);
        assert!(!args.print_config);
        assert_eq!(args.log_level.to_string(), "debug,hyper=warn");
    }

    #[test]
    fn help_names_every_common_argument_with_examples_and_exit_codes() {
        let help = command().render_help().to_string();
        for part in [
            "--config-dir <DIR>",
            "--check-config",
            "--print-config",
            "--log-level <FILTER>",
            "--version",
            "CLOUDFLARE_MT_CONFIG_DIR",
            "CLOUDFLARE_MT_LOG",
            "/etc/cloudflare-mt",
            "Examples:",
            "cloudflare-test --check-config",
            "78 bad configuration",
        ] {
            assert!(help.contains(part), "{part}\n{help}");
        }
    }

    #[test]
    fn the_version_begins_with_the_package_version() {
        assert!(version().starts_with(env!("CARGO_PKG_VERSION")));
    }
}
