//! The arguments, and what `--help` says.

mod ddos;
mod file;
mod monitoring;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cli::begin::OfAll;
use cli::command::Generate;

pub use ddos::{AboutArgs, ManagedCommand, OverrideArgs, OverridesCommand, PlaceArgs, SettingArgs};
pub use file::{ApplyArgs, ExportArgs, FileArgs, Form, PlanArgs};
pub use monitoring::{CreateArgs, EditArgs, Kind, KindArgs};

/// Monitoring rules, managed rules and overrides at Cloudflare.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "cloudflare-rules-manager",
    disable_help_subcommand = true,
    after_help = concat!(
        "Monitoring rules notice an attack and may advertise the prefix. Cloudflare's managed DDoS rules then filter it. ",
        "Overrides change what managed rules do, for a part of the traffic or for everything.\n",
        "Every change is shown and confirmed, and kept as a backup that 'undo' brings back.\n",
        "Started bare at a terminal it shows a menu.\n",
        "\n",
        "Examples:\n",
        "  cloudflare-rules-manager list\n",
        "  cloudflare-rules-manager create bps 203.0.113.0/24 --threshold '2.5 Gbps' --duration 5m\n",
        "  cloudflare-rules-manager managed set UDP-0001 --sensitivity low --reason 'VPN at 203.0.113.9'\n",
        "  cloudflare-rules-manager overrides create dns --template dns --to 203.0.113.53 --sensitivity low\n",
        "  cloudflare-rules-manager export rules.toml && cloudflare-rules-manager plan rules.toml\n",
        "  cloudflare-rules-manager undo\n",
        "\n",
        "Exit codes: 0 done (also when the reader closes the pipe), 1 failed, 2 wrong arguments, 3 blocked by a rule, 4 cancelled, ",
        "5 'plan --exit-code' found differences, 78 bad configuration, 130 interrupted\n",
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

/// What every change asks.
#[derive(Debug, Clone, Default, Args)]
pub struct Sure {
    /// Do it without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// One thing by name, and how sure.
#[derive(Debug, Clone, Args)]
pub struct NamedArgs {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    pub name: String,
    /// How sure.
    #[command(flatten)]
    pub sure: Sure,
}

/// A switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum YesNo {
    /// On.
    Yes,
    /// Off.
    No,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// All monitoring rules, and which listed prefixes no rule watches
    #[command(after_help = "\
Example: cloudflare-rules-manager list
JSON: cloudflare-mt/mnm-rules/1 {at, account_id, rules[{id, name, type, prefixes[], automatic_advertisement, \
bandwidth_threshold, packet_threshold, duration, prefix_match, zscore_sensitivity, zscore_target}], not_watched[], gaps[]}; \
names and units are Cloudflare's: bit/s and packet/s")]
    List,
    /// One monitoring rule in detail
    #[command(after_help = "\
Example: cloudflare-rules-manager show net-203.0.113.0_24
JSON: cloudflare-mt/mnm-rule/1 {at, rule{}}")]
    Show {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        rule: String,
    },
    /// Create a monitoring rule for each prefix, or one for all of them
    #[command(after_help = "\
Examples:
  cloudflare-rules-manager create bps 203.0.113.0/24 --threshold '2.5 Gbps' --duration 5m
  cloudflare-rules-manager create pps --threshold '500 kpps' --no-advertise
  cloudflare-rules-manager create zscore 203.0.113.0/24 --sensitivity low --target packets
  cloudflare-rules-manager create advanced-ddos 203.0.113.0/24 192.0.2.0/24 --together
JSON: cloudflare-mt/rules-changed/1 {changes[{change, what, name, only_ours}]}; change is the number for 'undo'")]
    Create(CreateArgs),
    /// Change a monitoring rule; what is not named stays
    #[command(after_help = "\
Examples:
  cloudflare-rules-manager edit bps-203.0.113.0_24 --bandwidth '4 Gbps' --reason 'a larger customer'
  cloudflare-rules-manager edit bps-203.0.113.0_24 --advertise no
JSON: cloudflare-mt/rules-changed/1, as 'create'")]
    Edit(EditArgs),
    /// Delete monitoring rules
    #[command(after_help = "\
An attack that only these rules would notice is not noticed any more, and nothing is advertised for it.
Example: cloudflare-rules-manager delete bps-203.0.113.0_24
JSON: cloudflare-mt/rules-changed/1, as 'create'")]
    Delete {
        /// Their names or ids
        #[arg(value_name = "NAME|ID", required = true)]
        rules: Vec<String>,
        /// How sure.
        #[command(flatten)]
        sure: Sure,
    },
    /// Cloudflare's DDoS rules: what is in force, and setting it
    #[command(after_help = "Example: cloudflare-rules-manager managed list udp")]
    Managed {
        /// What to do.
        #[command(subcommand)]
        command: ManagedCommand,
    },
    /// Overrides for a part of the traffic
    #[command(after_help = "Example: cloudflare-rules-manager overrides list")]
    Overrides {
        /// What to do.
        #[command(subcommand)]
        command: OverridesCommand,
    },
    /// Say whether an expression of an override is one, and what to think about it
    #[command(after_help = "\
Example: cloudflare-rules-manager check 'ip.dst in {203.0.113.0/24} and udp.dstport eq 53'
Exit code 1 when it is none. Nobody is asked; for files there is 'plan'.
JSON: cloudflare-mt/expression/1 {expression, valid, column, message, hint, concerns[{kind, text}]}")]
    Check {
        /// The expression
        expression: String,
    },
    /// The services that 'overrides create --template' knows
    #[command(after_help = "\
Example: cloudflare-rules-manager templates
JSON: cloudflare-mt/templates/1 {templates[{id, group, label, condition, rule}]}")]
    Templates,
    /// Show what 'apply' would do; nothing is changed
    #[command(after_help = "\
Examples:
  cloudflare-rules-manager plan rules.toml
  cloudflare-rules-manager plan rules.yaml --exit-code
JSON: cloudflare-mt/rules-plan/1 {steps[{what, family, name, differences[{key, now, then}]}], not_owned[], notes[], untouched}")]
    Plan(PlanArgs),
    /// Make the rules as a file says
    #[command(after_help = "\
Rules that are there already and that no file looks after are never touched without --adopt. A second run goes on where a \
failure ended the first.
Examples:
  cloudflare-rules-manager apply rules.toml
  cloudflare-rules-manager apply rules.toml --adopt --reason 'kept in a repository from now on'
JSON: cloudflare-mt/rules-applied/1 {steps[{what, family, name, differences[]}]}")]
    Apply(ApplyArgs),
    /// Save all rules to a file
    #[command(after_help = "\
A name that ends in .toml, .yaml or .yml gets a rules file for 'plan' and 'apply' (with --json too), any other the document \
of 'list --json', which holds monitoring rules alone.
Examples:
  cloudflare-rules-manager export rules.toml
  cloudflare-rules-manager export --format yaml -
JSON: cloudflare-mt/rules-export/1 {at, path, rules, left_out[]}, of monitoring rules alone cloudflare-mt/mnm-export/1 \
{at, path, rules}")]
    Export(ExportArgs),
    /// What was changed by this program and the dashboard, newest first
    #[command(after_help = "\
Example: cloudflare-rules-manager changes --limit 5
JSON: cloudflare-mt/rule-changes/1 {changes[{id, at, actor, via, reason, family, what, subject, before, wanted, after, state, \
result, closed_at, undoes, undone_by}]}; before and after are the backups")]
    Changes {
        /// How many
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u32,
    },
    /// Take a change back: the last one, or one by number
    #[command(after_help = "\
Examples:
  cloudflare-rules-manager undo
  cloudflare-rules-manager undo 17 --reason 'it was the wrong rule'
JSON: cloudflare-mt/rules-changed/1, as 'create'")]
    Undo {
        /// Its number in 'changes'
        #[arg(value_name = "NUMBER")]
        change: Option<i64>,
        /// How sure.
        #[command(flatten)]
        sure: Sure,
    },
    /// For packaging.
    #[command(flatten)]
    Generate(Generate),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_consistent() {
        cli::command::command::<Cli>().debug_assert();
    }
}
