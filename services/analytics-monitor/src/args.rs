//! The command line: the flags of every service, and those for a single poll.

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser};
use daemon::ServiceSpec;
use daemon::args::{CommonArgs, help_tail, version};
use settings::{Need, Settings};

/// Name of program and unit.
pub const NAME: &str = "cloudflare-analytics-monitor";

const ABOUT: &str = "Polls Cloudflare's attack analytics, stores every row and announces what concerns own prefixes.";

/// Minutes of a day: the longest look-back of the configuration as well.
const MOST_MINUTES: u32 = 1_440;

/// The arguments.
#[derive(Debug, Clone, Parser)]
#[command(name = NAME, about = ABOUT, version = version())]
pub struct Args {
    /// Flags of every program.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Poll once, store and announce what is new, and exit; no messages about start and stop
    #[arg(long, short = '1', conflicts_with = "test")]
    pub once: bool,

    /// Query and print what a first poll would read; store and send nothing
    #[arg(long, short = 't')]
    pub test: bool,

    /// With --once or --test: print JSON
    #[arg(long)]
    pub json: bool,

    /// Look back this many minutes instead of analytics.lookback
    #[arg(long, short = 'l', value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_MINUTES)))]
    pub lookback: Option<u32>,
}

/// The command line as clap knows it, also for the generated reference.
pub fn command() -> clap::Command {
    Args::command().after_help(help_tail(
        NAME,
        &[
            "cloudflare-analytics-monitor",
            "cloudflare-analytics-monitor --test --lookback 60",
            "cloudflare-analytics-monitor --once --json",
        ],
    ))
}

/// Reads the arguments of the process. `Err` is the exit code after help, version or an error was
/// printed.
///
/// # Errors
/// When there is nothing to run.
pub fn parse() -> Result<Args, ExitCode> {
    let args = daemon::args::parse::<Args>()?;
    if args.json && !args.once && !args.test {
        daemon::output::complain("--json goes with --once or --test\n");
        return Err(ExitCode::from(daemon::exit::USAGE));
    }
    Ok(args)
}

/// What the service says about itself.
pub fn spec() -> ServiceSpec {
    ServiceSpec {
        needs: &[Need::CloudflareApi],
        ..ServiceSpec::new(NAME, ABOUT)
    }
}

impl Args {
    /// Puts `--lookback` in the place of the configured value.
    ///
    /// # Errors
    /// When it is not longer than `analytics.settle`: a poll's window would be empty.
    pub fn apply(&self, settings: &mut Settings) -> anyhow::Result<()> {
        let Some(minutes) = self.lookback else {
            return Ok(());
        };
        let lookback = Duration::from_secs(60 * u64::from(minutes));
        let settle = settings.analytics.settle;
        anyhow::ensure!(
            lookback > settle,
            "--lookback {minutes} is not longer than analytics.settle ({}), so nothing would be read; give more minutes",
            domain::duration::format(settle),
        );
        settings.analytics.lookback = lookback;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&NAME).chain(arguments))
    }

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
        let help = command().render_help().to_string();
        for part in [
            "--once",
            "--test",
            "--json",
            "--lookback <MINUTES>",
            "--config-dir",
            "Exit codes",
            "--check-config",
        ] {
            assert!(help.contains(part), "{part}\n{help}");
        }
    }

    #[test]
    fn flags_of_the_predecessor_are_read() {
        assert!(read(&["-1"]).unwrap().once);
        let args = read(&["--test", "-l", "60", "--json", "--config-dir", "/tmp/x"]).unwrap();
        assert!(args.test && args.json && !args.once);
        assert_eq!(
            (args.lookback, args.common.config_dir.to_str()),
            (Some(60), Some("/tmp/x"))
        );
        for bad in [
            &["--once", "--test"][..],
            &["--lookback", "0"],
            &["--lookback", "1441"],
            &["-l", "15m"],
            &["status"],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
