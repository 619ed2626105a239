//! `cloudflare-mt`: arguments, settings, the command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use daemon::args::CommonArgs;
use mt_admin::demo;

/// Administration of the orchestrator.
#[derive(Debug, Parser)]
#[command(name = "cloudflare-mt", version = daemon::args::version())]
struct Arguments {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell what happens on a demonstration site, and compare what was sent with what was recorded
    Demo(demo::Arguments),
}

fn main() -> ExitCode {
    let arguments = match daemon::args::parse::<Arguments>() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let loaded = match daemon::config::load_or_answer(&arguments.common, &[]) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let Command::Demo(options) = arguments.command;
    daemon::cli::run("cloudflare-mt", &arguments.common.log_level, |_| {
        demo::run(options, loaded.settings)
    })
}
