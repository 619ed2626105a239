//! The arguments, and what `--help` says.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use cli::begin::OfAll;
use cli::command::Generate;
use domain::prefix::Prefix;

use crate::until::{self, Until};

/// Show prefixes, advertise and withdraw them, and hold automation back.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "cloudflare-prefix-manager",
    disable_help_subcommand = true,
    after_help = concat!(
        "Examples:\n",
        "  cloudflare-prefix-manager status\n",
        "  cloudflare-prefix-manager status 203.0.113.0/24 --json\n",
        "  cloudflare-prefix-manager advertise 203.0.113.0/24 --reason 'attack on customer 17'\n",
        "  cloudflare-prefix-manager hold 203.0.113.0/24 --for 2h --reason 'maintenance'\n",
        "  cloudflare-prefix-manager withdraw 203.0.113.0/24\n",
        "  cloudflare-prefix-manager                     # at a terminal: a menu\n",
        "\n",
        "Exit codes: 0 done (also when the reader closes the pipe), 1 failed or something could not be read, ",
        "2 wrong arguments, 3 blocked by a rule, 4 cancelled at a question, 78 bad configuration, 130 interrupted\n",
        "With --json stdout holds one document whose \"schema\" names its shape and version.\n",
        "Configuration: --config-dir, else $CLOUDFLARE_MT_CONFIG_DIR, else /etc/cloudflare-mt",
    )
)]
pub struct Cli {
    /// Arguments of all command lines.
    #[command(flatten)]
    pub of_all: OfAll,

    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// How the prefixes stand: live from Cloudflare, with the daemon's verdict, next action and holds
    #[command(after_help = "\
Live states come from Cloudflare; where that fails, the last reading of the database is shown with its age and the \
reason, and the exit code is 1.
Examples:
  cloudflare-prefix-manager status
  cloudflare-prefix-manager status 203.0.113.0/24 --json
JSON: cloudflare-mt/prefix-status/1 {at, complete, problems[], daemon{}, holds[], changed_elsewhere[{prefix, at, event, \
text, take_back}], prefixes[{prefix, state, state_text, under_attack, cloudflare{advertised, changed_at, source, read_at, age_s, error}, answer{verdict, believed, doubt, \
blocks[], next{}}, next, hold, open_alerts[], unread_notifications}]}; null is unknown")]
    Status {
        /// Only this prefix, in detail
        #[arg(value_name = "CIDR", value_parser = prefix)]
        prefix: Option<Prefix>,
    },
    /// The known prefixes with their names, ids and notes, from the database
    #[command(after_help = "\
Example: cloudflare-prefix-manager list --json
JSON: cloudflare-mt/prefix-list/1 {at, source, prefixes[{prefix, description, asn, managed, direct_route, refuses, \
note, prefix_id, bgp_prefix_id}]}")]
    List,
    /// Advertise a prefix at Cloudflare: protection on
    #[command(after_help = "\
An advertise is never blocked by a rule of ours: it cancels unsent withdrawals, and Cloudflare's answer decides.
Examples:
  cloudflare-prefix-manager advertise 203.0.113.0/24 --reason 'attack on customer 17'
  cloudflare-prefix-manager advertise --all --yes --no-wait
  cloudflare-prefix-manager advertise 203.0.113.0/24 --emergency
JSON: cloudflare-mt/prefix-act/1 {at, act, by, reason, results[{prefix, result, code, text, intent}], exit_code}")]
    Advertise(AdvertiseArgs),
    /// Withdraw a prefix: traffic flows natively again
    #[command(after_help = "\
Shows first what it means: attack, calm, incident, propagation. Under attack, or when that is unknown, the prefix must \
be typed to confirm. Blocked with exit code 3: a hold, less than 15 minutes since it was advertised (both lifted by \
--force), and what Cloudflare would refuse.
Examples:
  cloudflare-prefix-manager withdraw 203.0.113.0/24
  cloudflare-prefix-manager withdraw --all --reason 'the test is over'
JSON: cloudflare-mt/prefix-act/1 {at, act, by, reason, results[{prefix, result, code, text, intent}], exit_code}")]
    Withdraw(WithdrawArgs),
    /// Hold a prefix, or pause everything: automation withdraws nothing until then
    #[command(after_help = "\
Examples:
  cloudflare-prefix-manager hold 203.0.113.0/24 --for 2h --reason 'maintenance'
  cloudflare-prefix-manager hold 203.0.113.0/24 --until '22/11/2026 06:00' --reason 'they asked'
  cloudflare-prefix-manager hold --all --until-released --reason 'new disks'
JSON: cloudflare-mt/prefix-hold/1 {at, hold{}, cancelled, warnings[]}")]
    Hold(HoldArgs),
    /// Release the holds on a prefix, or the pauses of everything
    #[command(after_help = "\
Only holds on exactly this prefix end; one on a larger network stays in force. --all ends the pauses of everything, not the \
holds on prefixes. Where calm is proven already a withdrawal follows at once.
Example: cloudflare-prefix-manager release 203.0.113.0/24
JSON: cloudflare-mt/prefix-release/1 {at, released[], still[]}")]
    Release(ReleaseArgs),
    /// What was done: the journal of acts, and the record of withdrawals
    #[command(after_help = "\
Example: cloudflare-prefix-manager history 203.0.113.0/24 --limit 5
JSON: cloudflare-mt/prefix-history/1 {at, acts[{intent{}, attempts[]}], withdrawals[]}")]
    History {
        /// Only this prefix
        #[arg(value_name = "CIDR", value_parser = prefix)]
        prefix: Option<Prefix>,
        /// How many rows of each at most
        #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// For packaging.
    #[command(flatten)]
    Generate(Generate),
}

/// One prefix, or all.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Target {
    /// The prefix, exactly as onboarded
    #[arg(value_name = "CIDR", value_parser = prefix)]
    pub prefix: Option<Prefix>,
    /// All managed prefixes (autowithdraw.managed, else those of prefix_mapping.json), one by one
    #[arg(long, short)]
    pub all: bool,
}

/// What advertise and withdraw have alike.
#[derive(Debug, Clone, Args)]
pub struct ActOptions {
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "by command line", value_parser = reason)]
    pub reason: String,
    /// Ask nothing, also when it is under attack
    #[arg(long, short)]
    pub yes: bool,
    /// Do it here and wait for the outcome (default on a terminal, and where no daemon runs)
    #[arg(long, overrides_with = "no_wait")]
    pub wait: bool,
    /// Only file it; the daemon does it within seconds
    #[arg(long)]
    pub no_wait: bool,
    /// If the database cannot be written, act on Cloudflare directly and leave a file that is taken into the record later
    #[arg(long, conflicts_with = "no_wait")]
    pub emergency: bool,
    /// How long to wait for the outcome
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = domain::duration::parse)]
    pub timeout: Duration,
}

/// As when nothing is said.
impl Default for ActOptions {
    fn default() -> Self {
        Self {
            reason: "by command line".to_owned(),
            yes: false,
            wait: false,
            no_wait: false,
            emergency: false,
            timeout: Duration::from_secs(90),
        }
    }
}

/// Arguments of `advertise`.
#[derive(Debug, Clone, Args)]
pub struct AdvertiseArgs {
    /// What.
    #[command(flatten)]
    pub target: Target,
    /// How.
    #[command(flatten)]
    pub options: ActOptions,
    /// As --yes; there is nothing to force, because no rule of ours blocks it
    #[arg(long, short)]
    pub force: bool,
}

/// Arguments of `withdraw`.
#[derive(Debug, Clone, Args)]
pub struct WithdrawArgs {
    /// What.
    #[command(flatten)]
    pub target: Target,
    /// How.
    #[command(flatten)]
    pub options: ActOptions,
    /// Withdraw although it is held, or was advertised less than 15 minutes ago
    #[arg(long, short)]
    pub force: bool,
}

/// Advertise or withdraw, asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What.
    pub target: Target,
    /// How.
    pub options: ActOptions,
    /// Against our own rules.
    pub force: bool,
    /// Without the journal, if that cannot be written.
    pub emergency: bool,
}

impl From<AdvertiseArgs> for Asked {
    fn from(args: AdvertiseArgs) -> Self {
        let mut options = args.options;
        options.yes |= args.force;
        Self {
            target: args.target,
            emergency: options.emergency,
            options,
            force: args.force,
        }
    }
}

impl From<WithdrawArgs> for Asked {
    fn from(args: WithdrawArgs) -> Self {
        Self {
            target: args.target,
            emergency: args.options.emergency,
            options: args.options,
            force: args.force,
        }
    }
}

/// Arguments of `hold`.
#[derive(Debug, Clone, Args)]
pub struct HoldArgs {
    /// The prefix, or everything.
    #[command(flatten)]
    pub target: HoldTarget,
    /// How long.
    #[command(flatten)]
    pub end: HoldEnd,
    /// Why, for everybody who wonders
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

/// Arguments of `release`.
#[derive(Debug, Clone, Args)]
pub struct ReleaseArgs {
    /// The prefix, or everything.
    #[command(flatten)]
    pub target: HoldTarget,
}

/// One prefix, or everything.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct HoldTarget {
    /// A prefix; what overlaps with it is held too
    #[arg(value_name = "CIDR", value_parser = prefix)]
    pub prefix: Option<Prefix>,
    /// Everything: the pause of all automation
    #[arg(long, short)]
    pub all: bool,
}

/// When a hold ends.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct HoldEnd {
    /// For this long: 30m, 2h, 1h30m, 2d
    #[arg(long = "for", value_name = "DURATION", value_parser = domain::duration::parse)]
    pub lasting: Option<Duration>,
    /// Until then, UTC: 06:00, '22/11/2026 06:00', 2026-11-22T06:00:00Z
    #[arg(long, value_name = "TIME", value_parser = until::parse)]
    pub until: Option<Until>,
    /// Until somebody releases it
    #[arg(long)]
    pub until_released: bool,
}

fn prefix(text: &str) -> Result<Prefix, String> {
    Prefix::parse_strict(text).map_err(|error| error.to_string())
}

/// Reasons are shown in messages and tables: one bounded line.
fn reason(text: &str) -> Result<String, String> {
    let line = cli::words::outside(text, 300);
    if line.is_empty() {
        Err("say why in a few words".to_owned())
    } else {
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Cli, clap::error::ErrorKind> {
        let argv = std::iter::once("cloudflare-prefix-manager").chain(arguments.iter().copied());
        Cli::try_parse_from(argv).map_err(|error| error.kind())
    }

    #[test]
    fn the_command_is_consistent() {
        cli::command::command::<Cli>().debug_assert();
    }

    #[test]
    fn a_target_is_one_prefix_or_all() {
        use clap::error::ErrorKind;
        assert!(parsed(&["withdraw", "203.0.113.0/24"]).is_ok());
        assert!(parsed(&["withdraw", "--all", "--force"]).is_ok());
        assert_eq!(parsed(&["withdraw"]).unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert_eq!(
            parsed(&["withdraw", "203.0.113.0/24", "--all"]).unwrap_err(),
            ErrorKind::ArgumentConflict
        );
        assert_eq!(
            parsed(&["withdraw", "203.0.113.5/24"]).unwrap_err(),
            ErrorKind::ValueValidation
        );
        let hold = ["hold", "203.0.113.0/24", "--reason", "x"];
        assert_eq!(parsed(&hold).unwrap_err(), ErrorKind::MissingRequiredArgument);
        assert!(parsed(&[&hold[..], &["--for", "2h"]].concat()).is_ok());
        assert_eq!(
            parsed(&[&hold[..], &["--for", "2h", "--until-released"]].concat()).unwrap_err(),
            ErrorKind::ArgumentConflict
        );
    }

    #[test]
    fn forcing_an_advertise_is_a_yes() {
        let Some(Command::Advertise(args)) = parsed(&["advertise", "-a", "-f"]).unwrap().command else {
            panic!("not an advertise");
        };
        assert!(Asked::from(args).options.yes);
    }
}
