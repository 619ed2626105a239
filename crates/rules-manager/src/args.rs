//! The arguments, and what `--help` says.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use cli::command::Generate;
use daemon::args::CommonArgs;

/// Show and save the network monitoring rules.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "cloudflare-rules-manager",
    disable_help_subcommand = true,
    after_help = concat!(
        "Examples:\n",
        "  cloudflare-rules-manager list\n",
        "  cloudflare-rules-manager show net-203.0.113.0_24\n",
        "  cloudflare-rules-manager export rules-$(date +%F).json\n",
        "\n",
        "Exit codes: 0 done (also when the reader closes the pipe), 1 failed, 2 wrong arguments, 3 blocked by a rule, ",
        "78 bad configuration, 130 interrupted\n",
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

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// All rules, and which listed prefixes no rule watches
    #[command(after_help = "\
JSON: cloudflare-mt/mnm-rules/1 {at, account_id, rules[{id, name, type, prefixes[], automatic_advertisement, \
bandwidth_threshold, packet_threshold, duration, prefix_match, zscore_sensitivity, zscore_target}], not_watched[]}; \
names and units are Cloudflare's: bit/s and packet/s")]
    List,
    /// One rule in detail
    #[command(after_help = "JSON: cloudflare-mt/mnm-rule/1 {at, rule{}}")]
    Show {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        rule: String,
    },
    /// Save all rules to a file
    #[command(after_help = "The file holds the document of 'list --json'.")]
    Export {
        /// Where to, or - for standard output; must not exist
        file: PathBuf,
        /// Replace the file if it exists
        #[arg(long, short)]
        force: bool,
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
