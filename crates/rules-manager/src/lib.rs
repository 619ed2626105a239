//! The command line for network monitoring rules: what watches the prefixes and advertises them by itself.
//!
//! | Module | Holds |
//! |---|---|
//! | [`args`] | the arguments |
//! | [`rules`] | rules as the API gives them, and what they cover |
//! | [`list`], [`export`] | showing and saving them |
//!
//! It only reads. Must hold: rules always come from Cloudflare; a list that could not be read is a failure, never empty.

pub mod args;
pub mod export;
pub mod list;
pub mod rules;

use std::process::ExitCode;

use cli::{Out, Trouble};
use settings::Need;

pub use args::Cli;
use args::Command;
use rules::Source;

/// The program's name.
pub const PROGRAM: &str = "cloudflare-rules-manager";

/// Runs a parsed command line to its exit code.
pub fn run(arguments: Cli) -> ExitCode {
    let out = Out::new(arguments.json);
    let common = arguments.common.clone();
    let asked = common.check_config || common.print_config;
    let command = match arguments.command {
        Some(Command::Generate(generate)) => {
            return ExitCode::from(cli::frame::conclude(PROGRAM, out, generate.run::<Cli>()));
        }
        None if !asked => return cli::command::nothing_asked::<Cli>(),
        command => command,
    };
    let loaded = match cli::frame::settings(&common, &[Need::CloudflareApi]) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let Some(command) = command else {
        return cli::command::nothing_asked::<Cli>();
    };
    cli::frame::run(PROGRAM, &common, out, move |_interrupts| async move {
        let source = Source::new(loaded.settings);
        match command {
            Command::List => list::all(&source, out).await,
            Command::Show { rule } => list::one(&source, out, &rule).await,
            Command::Export { file, force } => export::run(&source, out, &file, force).await,
            Command::Generate(generate) => generate.run::<Cli>(),
        }
    })
}

/// A failed call, for people.
fn unavailable(error: &cf_api::CfError) -> Trouble {
    let trouble = Trouble::failed(
        format!("cloudflare.{}", error.class.as_str()),
        format!("the rules could not be read: {error}"),
    );
    match error.class {
        cf_api::ErrorClass::Auth | cf_api::ErrorClass::Permission => {
            trouble.remedy("the token needs the permission 'Magic Network Monitoring Read'")
        }
        _ => trouble,
    }
}
