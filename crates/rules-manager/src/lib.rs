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
//! | [`expire`] | overrides whose time is over |
//! | [`planning`], [`form`] | plan and apply of a rules file; TOML and YAML |
//! | [`history`] | what was changed, and undo |
//! | [`check`] | expressions and services |
//! | [`menu`] | all of it for people at a terminal |
//!
//! Must hold: rules always come from Cloudflare; a list that could not be read is a failure, never empty; every change is
//! shown and confirmed, goes through the desk of the crate `rules`, and has a backup.

pub mod args;
pub mod check;
pub mod expire;
pub mod export;
pub mod form;
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
    let begun = arguments.of_all.begin(PROGRAM);
    let (out, asked) = (begun.out, begun.about_configuration);
    let command = match arguments.command {
        Some(Command::Generate(generate)) => return begun.generate::<Cli>(generate),
        // These ask nobody.
        Some(Command::Check { expression }) if !asked => return begun.conclude(check::expression(out, &expression)),
        Some(Command::Templates) if !asked => return begun.conclude(check::templates(out)),
        // People at a terminal get the menu.
        None if begun.has_no_reader() => return cli::command::nothing_asked::<Cli>(),
        command => command,
    };
    let loaded = match begun.settings(&[Need::CloudflareApi]) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    begun.run(move |_interrupts| async move {
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
        Command::Plan(asked) => planning::plan(source, out, &asked).await,
        Command::Apply(asked) => planning::apply(source, out, &asked).await,
        Command::Export(asked) => export::run(source, out, &asked).await,
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
