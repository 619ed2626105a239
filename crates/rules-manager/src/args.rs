//! The arguments, and what `--help` says.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cli::command::Generate;
use daemon::args::CommonArgs;

/// Monitoring rules, managed rules and overrides at Cloudflare.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "cloudflare-rules-manager",
    disable_help_subcommand = true,
    after_help = concat!(
        "Started bare at a terminal it shows a menu.\n",
        "\n",
        "Examples:\n",
        "  cloudflare-rules-manager list\n",
        "  cloudflare-rules-manager create bps 203.0.113.0/24 --threshold '2.5 Gbps' --duration 5m\n",
        "  cloudflare-rules-manager managed set UDP-0001 --sensitivity low --reason 'VPN at 203.0.113.9'\n",
        "  cloudflare-rules-manager overrides create resolver --template dns --to 203.0.113.53 --rule DNS-0002 --sensitivity low\n",
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
    /// Arguments of all programs.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub json: bool,

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

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// All monitoring rules, and which listed prefixes no rule watches
    #[command(after_help = "\
JSON: cloudflare-mt/mnm-rules/1 {at, account_id, rules[{id, name, type, prefixes[], automatic_advertisement, \
bandwidth_threshold, packet_threshold, duration, prefix_match, zscore_sensitivity, zscore_target}], not_watched[], gaps[]}; \
names and units are Cloudflare's: bit/s and packet/s")]
    List,
    /// One monitoring rule in detail
    #[command(after_help = "JSON: cloudflare-mt/mnm-rule/1 {at, rule{}}")]
    Show {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        rule: String,
    },
    /// Create a monitoring rule for each prefix, or one for all of them
    #[command(after_help = "JSON: cloudflare-mt/rules-changed/1 {changes[{change, what, name}]}")]
    Create(CreateArgs),
    /// Change a monitoring rule; what is not named stays
    Edit(EditArgs),
    /// Delete monitoring rules
    Delete {
        /// Their names or ids
        #[arg(value_name = "NAME|ID", required = true)]
        rules: Vec<String>,
        /// How sure.
        #[command(flatten)]
        sure: Sure,
    },
    /// Cloudflare's DDoS rules: what is in force, and setting it
    Managed {
        /// What to do.
        #[command(subcommand)]
        command: ManagedCommand,
    },
    /// Overrides for a part of the traffic
    Overrides {
        /// What to do.
        #[command(subcommand)]
        command: OverridesCommand,
    },
    /// Say whether an expression is one, and what to think about it
    #[command(after_help = "JSON: cloudflare-mt/expression/1 {expression, valid, column, message, hint, concerns[]}")]
    Check {
        /// The expression
        expression: String,
    },
    /// The services that 'overrides create --template' knows
    Templates,
    /// Show what 'apply' would do
    #[command(
        after_help = "JSON: cloudflare-mt/rules-plan/1 {steps[{what, family, name, differences[{key, now, then}]}], not_owned[], notes[], untouched}"
    )]
    Plan {
        /// A rules file (TOML), or saved JSON of monitoring rules; - for standard input
        file: PathBuf,
        /// Exit with 5 when something differs
        #[arg(long)]
        exit_code: bool,
        /// Take rules that are there already into the care of the file
        #[arg(long)]
        adopt: bool,
    },
    /// Make the rules as a file says
    Apply {
        /// A rules file (TOML), or saved JSON of monitoring rules; - for standard input
        file: PathBuf,
        /// Take rules that are there already into the care of the file
        #[arg(long)]
        adopt: bool,
        /// How sure.
        #[command(flatten)]
        sure: Sure,
    },
    /// Save all rules to a file
    #[command(
        after_help = "A name that ends in .toml gets a rules file for 'plan' and 'apply' (with --json too), any other the document of 'list --json'."
    )]
    Export {
        /// Where to, or - for standard output; must not exist
        file: PathBuf,
        /// Replace the file if it exists
        #[arg(long, short)]
        force: bool,
        /// The form, where the name does not say it
        #[arg(long)]
        format: Option<Format>,
    },
    /// What was changed by this program and the dashboard, newest first
    #[command(after_help = "JSON: cloudflare-mt/rule-changes/1 {changes[]}; before and after are the backups")]
    Changes {
        /// How many
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Take a change back: the last one, or one by number
    Undo {
        /// Its number in 'changes'
        change: Option<i64>,
        /// How sure.
        #[command(flatten)]
        sure: Sure,
    },
    /// For packaging.
    #[command(flatten)]
    Generate(Generate),
}

/// Form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A rules file.
    Toml,
    /// The document of `list --json`.
    Json,
}

/// How a rule recognises an attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// More bit/s than a threshold
    Bps,
    /// More packet/s than a threshold
    Pps,
    /// Unusual traffic
    Zscore,
    /// What Cloudflare's DDoS rules see in sFlow
    AdvancedDdos,
}

/// A rule to create.
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// How it recognises an attack
    pub kind: Kind,
    /// Prefixes; none for all managed ones
    pub prefixes: Vec<String>,
    /// One rule for all prefixes: their traffic is summed, and all are advertised together
    #[arg(long)]
    pub together: bool,
    /// Its name; only for one rule
    #[arg(long)]
    pub name: Option<String>,
    /// bps: 2.5 Gbps; pps: 500 kpps
    #[arg(long)]
    pub threshold: Option<String>,
    /// 1m, 5m, 10m, 15m, 20m, 30m, 45m or 1h
    #[arg(long)]
    pub duration: Option<String>,
    /// Only notify, do not advertise
    #[arg(long)]
    pub no_advertise: bool,
    /// advanced-ddos: exact, subnet or supernet
    #[arg(long = "match", value_name = "HOW")]
    pub prefix_match: Option<String>,
    /// zscore: low, medium or high
    #[arg(long)]
    pub sensitivity: Option<String>,
    /// zscore: bits or packets
    #[arg(long)]
    pub target: Option<String>,
    /// How sure.
    #[command(flatten)]
    pub sure: Sure,
}

/// A rule to change.
#[derive(Debug, Clone, Args)]
pub struct EditArgs {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    pub rule: String,
    /// A new name
    #[arg(long)]
    pub name: Option<String>,
    /// Other prefixes
    #[arg(long, value_delimiter = ',')]
    pub prefixes: Vec<String>,
    /// bit/s: 2.5 Gbps
    #[arg(long)]
    pub bandwidth: Option<String>,
    /// packet/s: 500 kpps
    #[arg(long)]
    pub packets: Option<String>,
    /// 1m, 5m, 10m, 15m, 20m, 30m, 45m or 1h
    #[arg(long)]
    pub duration: Option<String>,
    /// Whether Cloudflare advertises by itself: yes or no
    #[arg(long, value_name = "YES|NO")]
    pub advertise: Option<YesNo>,
    /// advanced-ddos: exact, subnet or supernet
    #[arg(long = "match", value_name = "HOW")]
    pub prefix_match: Option<String>,
    /// zscore: low, medium or high
    #[arg(long)]
    pub sensitivity: Option<String>,
    /// zscore: bits or packets
    #[arg(long)]
    pub target: Option<String>,
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

/// What can be done with managed rules.
#[derive(Debug, Clone, Subcommand)]
pub enum ManagedCommand {
    /// All rules with what is in force in a scope
    #[command(
        after_help = "JSON: cloudflare-mt/managed-rules/1 {version, scope{}, rules[{id, ref, description, categories[], allowed[], action{}, sensitivity{}}]}"
    )]
    List {
        /// Only what has this in its id, short name, description or category
        search: Option<String>,
        /// In the override with this name or id, instead of everywhere else
        #[arg(long = "in", value_name = "OVERRIDE")]
        place: Option<String>,
        /// Only rules that can be changed
        #[arg(long)]
        editable: bool,
    },
    /// One rule with what is in force in every scope
    Show {
        /// Its short name or id
        rule: String,
    },
    /// Set action or sensitivity of exactly one rule, category, or all rules
    Set {
        /// What.
        #[command(flatten)]
        about: AboutArgs,
        /// block or log
        #[arg(long)]
        action: Option<String>,
        /// default (the highest), medium, low or eoff
        #[arg(long)]
        sensitivity: Option<String>,
        /// How sure.
        #[command(flatten)]
        sure: Sure,
    },
    /// Back to what holds without the setting
    Reset {
        /// What.
        #[command(flatten)]
        about: AboutArgs,
        /// How sure.
        #[command(flatten)]
        sure: Sure,
    },
}

/// What a setting is about.
#[derive(Debug, Clone, Args)]
pub struct AboutArgs {
    /// Short name or id of a rule
    #[arg(required_unless_present_any = ["category", "all"])]
    pub rule: Option<String>,
    /// A category instead of a rule
    #[arg(long, conflicts_with_all = ["rule", "all"])]
    pub category: Option<String>,
    /// All rules
    #[arg(long, conflicts_with = "rule")]
    pub all: bool,
    /// In the override with this name or id, instead of for everything
    #[arg(long = "in", value_name = "OVERRIDE")]
    pub place: Option<String>,
}

/// What can be done with overrides.
#[derive(Debug, Clone, Subcommand)]
pub enum OverridesCommand {
    /// All overrides in order, and which never apply
    #[command(
        after_help = "JSON: cloudflare-mt/overrides/1 {version, overrides[{id, name, expression, enabled, everything, overrides{}, expires_at, muted}]}"
    )]
    List,
    /// Add an override
    Create(OverrideArgs),
    /// Change an override; what is not named stays
    Edit(OverrideArgs),
    /// Delete an override
    Delete {
        /// Its name or id
        name: String,
        /// How sure.
        #[command(flatten)]
        sure: Sure,
    },
    /// Move an override
    Move {
        /// Its name or id
        name: String,
        /// Where to.
        #[command(flatten)]
        to: PlaceArgs,
        /// How sure.
        #[command(flatten)]
        sure: Sure,
    },
    /// Switch an override on
    Enable {
        /// Its name or id
        name: String,
        /// How sure.
        #[command(flatten)]
        sure: Sure,
    },
    /// Switch an override off
    Disable {
        /// Its name or id
        name: String,
        /// How sure.
        #[command(flatten)]
        sure: Sure,
    },
    /// Delete the overrides whose time is over
    Expire {
        /// How sure.
        #[command(flatten)]
        sure: Sure,
    },
}

/// A place among overrides.
#[derive(Debug, Clone, Default, Args)]
#[group(multiple = false)]
pub struct PlaceArgs {
    /// Before all others
    #[arg(long)]
    pub first: bool,
    /// After all others
    #[arg(long)]
    pub last: bool,
    /// Before this one
    #[arg(long, value_name = "OVERRIDE")]
    pub before: Option<String>,
    /// After this one
    #[arg(long, value_name = "OVERRIDE")]
    pub after: Option<String>,
}

/// An override to create or change.
#[derive(Debug, Clone, Args)]
pub struct OverrideArgs {
    /// Its name (to change: or id)
    pub name: String,
    /// What it applies to
    #[arg(long, conflicts_with_all = ["template", "to"])]
    pub expression: Option<String>,
    /// A service of 'templates' instead of an expression
    #[arg(long)]
    pub template: Option<String>,
    /// Addresses and networks of the service
    #[arg(long, value_delimiter = ',', value_name = "ADDRESS")]
    pub to: Vec<String>,
    /// Only for this managed rule (short name or id); without it for all
    #[arg(long)]
    pub rule: Option<String>,
    /// block or log
    #[arg(long)]
    pub action: Option<String>,
    /// default (the highest), medium, low or eoff
    #[arg(long)]
    pub sensitivity: Option<String>,
    /// Until when it is meant to stand: 2026-12-01T00:00:00Z, or 'never'
    #[arg(long, value_name = "INSTANT")]
    pub expires: Option<String>,
    /// Where; without it before the one for everything.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// How sure.
    #[command(flatten)]
    pub sure: Sure,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_consistent() {
        cli::command::command::<Cli>().debug_assert();
    }
}
