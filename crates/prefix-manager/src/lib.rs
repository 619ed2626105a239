//! The command line for prefixes.
//!
//! | Module | Holds |
//! |---|---|
//! | [`args`] | the arguments |
//! | [`site`] | what a command works with: settings, database, Cloudflare, clock |
//! | [`live`] | live states from Cloudflare, and what they add to the inventory |
//! | [`status`], [`list`], [`history`] | looking |
//! | [`hold`], [`until`] | holds and pauses |
//! | [`menu`] | all of it for people, when the program is started bare |
//! | [`act`] | advertise and withdraw, from preview to read-back |
//!
//! Must hold: nothing is changed that was not filed in the intent journal before; a withdrawal shows its consequences
//! and asks, or was told not to; what could not be read is shown as unknown.

pub mod act;
pub mod args;
pub mod history;
pub mod hold;
pub mod list;
pub mod live;
pub mod menu;
pub mod site;
pub mod status;
pub mod until;

use std::process::ExitCode;

use daemon::cli::Interrupts;
use domain::intent::Act;
use settings::Need;

pub use args::Cli;
use args::Command;
use site::Site;

/// The program's name.
pub const PROGRAM: &str = "cloudflare-prefix-manager";

/// Runs a parsed command line to its exit code.
pub fn run(arguments: Cli) -> ExitCode {
    let begun = arguments.of_all.begin(PROGRAM);
    let (out, asked) = (begun.out, begun.about_configuration);
    let command = match arguments.command {
        Some(Command::Generate(generate)) => return begun.generate::<Cli>(generate),
        // People at a terminal get the menu.
        None if begun.has_no_reader() => return cli::command::nothing_asked::<Cli>(),
        command => command,
    };
    // Holds and history need no Cloudflare, and a status without it is better than none.
    let needs: &[Need] = match &command {
        Some(Command::Advertise(_) | Command::Withdraw(_)) => &[Need::CloudflareApi],
        None if asked => &[Need::CloudflareApi],
        None | Some(_) => &[],
    };
    let loaded = match begun.settings(needs) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    begun.run(move |interrupts: Interrupts| async move {
        let site = Site::new(out, loaded.settings);
        let Some(command) = command else {
            return menu::run(&site, interrupts).await;
        };
        match command {
            Command::Status { prefix } => status::run(&site, prefix).await,
            Command::List => list::run(&site).await,
            Command::History { prefix, limit } => history::run(&site, prefix, limit).await,
            Command::Hold(asked) => hold::hold(&site, asked).await,
            Command::Release(asked) => hold::release(&site, asked).await,
            Command::Advertise(asked) => act::run(&site, Act::Advertise, asked.into(), interrupts).await,
            Command::Withdraw(asked) => act::run(&site, Act::Withdraw, asked.into(), interrupts).await,
            Command::Generate(generate) => generate.run::<Cli>(),
        }
    })
}
