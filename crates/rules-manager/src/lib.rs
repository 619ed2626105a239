//! The command line for rules at Cloudflare: what watches the prefixes and advertises them by itself, and what the DDoS
//! rules do.
//!
//! | Module | Holds |
//! |---|---|
//! | [`args`] | the arguments |
//! | [`source`] | what a command works with |
//! | [`list`], [`export`] | showing and saving rules |
//! | [`monitoring`] | monitoring rules: create, edit, delete |
//! | [`managed`], [`overrides`] | Cloudflare's DDoS rules and the overrides |
//! | [`planning`] | plan and apply of a rules file |
//! | [`history`] | what was changed, and undo |
//! | [`check`] | expressions and services |
//! | [`menu`] | all of it for people at a terminal |
//!
//! Must hold: rules always come from Cloudflare; a list that could not be read is a failure, never empty; every change is
//! shown and confirmed, goes through the desk of the crate `rules`, and has a backup.

pub mod args;
pub mod check;
pub mod export;
pub mod history;
pub mod list;
pub mod managed;
pub mod menu;
pub mod monitoring;
pub mod overrides;
pub mod planning;
pub mod source;

use std::process::ExitCode;

use cli::{Out, Trouble};
use settings::Need;

pub use args::Cli;
use args::Command;
use source::Source;

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
        // These ask nobody.
        Some(Command::Check { expression }) if !asked => {
            return ExitCode::from(cli::frame::conclude(PROGRAM, out, check::expression(out, &expression)));
        }
        Some(Command::Templates) if !asked => {
            return ExitCode::from(cli::frame::conclude(PROGRAM, out, check::templates(out)));
        }
        // Scripts get the usage; people at a terminal get the menu.
        None if !asked && (arguments.json || !cli::ask::possible()) => return cli::command::nothing_asked::<Cli>(),
        command => command,
    };
    let loaded = match cli::frame::settings(&common, &[Need::CloudflareApi]) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    cli::frame::run(PROGRAM, &common, out, move |_interrupts| async move {
        let source = Source::new(loaded.settings);
        match command {
            None => menu::run(&source, out).await,
            Some(command) => carry_out(&source, out, command).await,
        }
    })
}

async fn carry_out(source: &Source, out: Out, command: Command) -> Result<u8, Trouble> {
    match command {
        Command::List => list::all(source, out).await,
        Command::Show { rule } => list::one(source, out, &rule).await,
        Command::Create(asked) => monitoring::create(source, out, asked).await,
        Command::Edit(asked) => monitoring::edit(source, out, asked).await,
        Command::Delete { rules, sure } => monitoring::delete(source, out, &rules, &sure).await,
        Command::Managed { command } => managed::run(source, out, command).await,
        Command::Overrides { command } => overrides::run(source, out, command).await,
        Command::Check { expression } => check::expression(out, &expression),
        Command::Templates => check::templates(out),
        Command::Plan { file, exit_code, adopt } => planning::plan(source, out, &file, adopt, exit_code).await,
        Command::Apply { file, adopt, sure } => planning::apply(source, out, &file, adopt, &sure).await,
        Command::Export { file, force, format } => export::run(source, out, &file, force, format).await,
        Command::Changes { limit } => history::list(source, out, limit).await,
        Command::Undo { change, sure } => history::undo(source, out, change, &sure).await,
        Command::Generate(generate) => generate.run::<Cli>(),
    }
}

/// A failed call, for people.
fn unavailable(error: &cf_api::CfError) -> Trouble {
    let trouble = Trouble::failed(
        format!("cloudflare.{}", error.class.as_str()),
        format!("the rules could not be read: {error}"),
    );
    match error.class {
        cf_api::ErrorClass::Auth | cf_api::ErrorClass::Permission => trouble.remedy(
            "the token needs the permission 'Magic Network Monitoring Read', and 'L3/4 DDoS Managed Ruleset Read' for DDoS \
             rules",
        ),
        _ => trouble,
    }
}
