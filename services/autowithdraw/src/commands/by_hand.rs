//! `advertise` and `withdraw`: acts by hand are the prefix manager's, with its preview, questions and exit codes. These
//! two words only hand over to it, so that there is one way to act and one place that asks.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use cli::Trouble;
use daemon::args::CommonArgs;
use domain::prefix::Prefix;

/// The program that acts.
const ACTS: &str = "cloudflare-prefix-manager";

/// What both have alike.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Ask nothing
    #[arg(long, short)]
    yes: bool,
    /// Also against our own rules: held, or advertised less than 15 minutes ago
    #[arg(long, short)]
    force: bool,
}

/// Becomes the prefix manager. Returns only when that failed. Without a prefix all that the operator listed are meant.
pub(super) fn hand_over(
    act: &str,
    prefix: Option<Prefix>,
    options: &Options,
    json: bool,
    common: &CommonArgs,
) -> Trouble {
    let program = std::env::current_exe()
        .ok()
        .and_then(|own| beside(&own))
        .unwrap_or_else(|| ACTS.into());
    let error = Command::new(&program)
        .args(arguments(act, prefix, options, json, common))
        .exec();
    Trouble::failed(
        "prefix_manager.missing",
        format!("nothing was done: {} cannot be run: {error}", program.display()),
    )
    .remedy("install it beside this program; Cloudflare's dashboard can advertise and withdraw too, and the daemon notices it")
}

/// Both programs are installed together.
fn beside(own: &Path) -> Option<PathBuf> {
    let program = own.parent()?.join(ACTS);
    program.exists().then_some(program)
}

fn arguments(act: &str, prefix: Option<Prefix>, options: &Options, json: bool, common: &CommonArgs) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![act.into()];
    arguments.push(prefix.map_or_else(|| "--all".into(), |prefix| prefix.to_string().into()));
    if let Some(reason) = &options.reason {
        arguments.extend(["--reason".into(), reason.into()]);
    }
    arguments.extend(options.yes.then(|| "--yes".into()));
    arguments.extend(options.force.then(|| "--force".into()));
    arguments.extend(json.then(|| "--json".into()));
    arguments.extend(["--config-dir".into(), common.config_dir.clone().into()]);
    arguments
}
