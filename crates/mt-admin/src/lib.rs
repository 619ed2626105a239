//! Administration command line: health, database, notifications, users, explain.
//!
//! | Module | Holds |
//! |---|---|
//! | [`args`] | the arguments |
//! | [`desk`] | what a command works with: settings, database, clock, output |
//! | [`health`] | signs of life, outbox, last deliveries |
//! | [`database`] | `db`: status, check, query, migrate |
//! | [`upkeep`] | `db`: backup, restore, prune |
//! | [`notifications`] | the outbox: list, show, retry, test |
//! | [`users`], [`password`] | accounts of the dashboard |
//! | [`explain`] | what happened at an event, who was told, and why |
//! | [`test_alert`] | a marked notification through the real receiver |
//! | [`receiver`] | where that is, what a marked notification looks like, and what it answers |
//! | [`drill`] | a fire drill: the whole chain with a marked attack, and a stopwatch at every hop |
//! | [`notice`] | a message raised by a person or a script |
//! | [`import`] | what the predecessor left: the whole installation, its kept notifications; acts of an emergency |
//! | [`doctor`] | everything that protection and alarming rest on, with remedies |
//! | [`setup`], [`alert_kinds`] | notifications at Cloudflare: which are needed, and making them |
//! | [`replay`] | a recording of the withdraw daemon, decided again |
//! | [`demo`] | the narrator of `scripts/demo` |
//!
//! Nothing here changes BGP.

pub mod alert_kinds;
pub mod args;
pub mod database;
pub mod demo;
pub mod desk;
pub mod doctor;
pub mod drill;
pub mod explain;
pub mod health;
pub mod import;
pub mod notice;
pub mod notifications;
pub mod password;
pub mod receiver;
pub mod replay;
pub mod setup;
pub mod test_alert;
pub mod upkeep;
pub mod users;

use std::process::ExitCode;

use cli::Trouble;
use settings::Need;

pub use args::Cli;
use args::{Command, ImportCommand};
use desk::Desk;

/// The program's name.
pub const PROGRAM: &str = "cloudflare-mt";

/// Runs a parsed command line to its exit code.
pub fn run(arguments: Cli) -> ExitCode {
    let begun = arguments.of_all.begin(PROGRAM);
    let (out, asked) = (begun.out, begun.about_configuration);
    let command = match arguments.command {
        Some(Command::Generate(generate)) => return begun.generate::<Cli>(generate),
        // An incident is looked into anywhere, with or without a configuration.
        Some(Command::Replay(asked)) => return begun.conclude(replay::run(out, &asked)),
        // There may be no configuration yet: it is one of the things that are taken over.
        Some(Command::Import(ImportCommand::Predecessor { dir, apply })) if !asked => {
            let target = begun.common.config_dir.clone();
            return begun
                .run(move |_interrupts| async move { import::predecessor::run(out, &dir, &target, apply).await });
        }
        None if !asked => return cli::command::nothing_asked::<Cli>(),
        command => command,
    };
    let needs: &[Need] = match &command {
        Some(Command::TestAlert(_) | Command::Drill(_)) => &[Need::WebhookSecret],
        Some(Command::Setup(_)) => &[Need::CloudflareApi],
        _ => &[],
    };
    let loaded = match begun.settings(needs) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let Some(command) = command else {
        return cli::command::nothing_asked::<Cli>();
    };
    begun.run(move |_interrupts| async move {
        let desk = Desk::new(out, loaded.settings.clone());
        match command {
            Command::Health => health::run(&desk).await,
            Command::Doctor(asked) => doctor::run(&desk, &loaded, asked).await,
            Command::Setup(command) => setup::run(&desk, command).await,
            Command::Db(command) => database::run(&desk, command).await,
            Command::Notifications(command) => notifications::run(&desk, command).await,
            Command::User(command) => users::run(&desk, command).await,
            Command::Explain { what } => explain::run(&desk, what).await,
            Command::TestAlert(asked) => test_alert::run(&desk, asked).await,
            Command::Drill(asked) => drill::run(&desk, asked).await,
            Command::Notice(command) => notice::run(&desk, command).await,
            Command::Import(command) => import::run(&desk, command).await,
            Command::Demo(options) => demo::run(options, desk.settings)
                .await
                .map_err(|error| Trouble::internal(&error)),
            Command::Replay(asked) => replay::run(out, &asked),
            Command::Generate(generate) => generate.run::<Cli>(),
        }
    })
}
