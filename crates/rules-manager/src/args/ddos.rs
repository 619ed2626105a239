//! Arguments about managed rules and overrides.

use clap::{Args, Subcommand};

use super::{NamedArgs, Sure};

/// What a rule does, and from when on.
#[derive(Debug, Clone, Default, Args)]
pub struct SettingArgs {
    /// block or log
    #[arg(long)]
    pub action: Option<String>,
    /// default (the highest), medium, low or eoff (essentially off)
    #[arg(long)]
    pub sensitivity: Option<String>,
}

/// What can be done with managed rules.
#[derive(Debug, Clone, Subcommand)]
pub enum ManagedCommand {
    /// All rules with what is in force in a scope
    #[command(after_help = "\
Examples:
  cloudflare-rules-manager managed list
  cloudflare-rules-manager managed list udp --editable
  cloudflare-rules-manager managed list --in resolver
JSON: cloudflare-mt/managed-rules/1 {at, version, scope{}, rules[{id, ref, description, categories[], read_only, allowed[], \
action{value, source}, sensitivity{value, source}}]}")]
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
    #[command(after_help = "\
Example: cloudflare-rules-manager managed show UDP-0001
JSON: cloudflare-mt/managed-rule/1 {at, id, ref, description, categories[], read_only, allowed[], scopes[{id, name, \
expression, muted, action{}, sensitivity{}}]}")]
    Show {
        /// Its short name or id
        rule: String,
    },
    /// Set action or sensitivity of exactly one rule, category, or all rules
    #[command(after_help = "\
Examples:
  cloudflare-rules-manager managed set UDP-0001 --sensitivity low --reason 'VPN at 203.0.113.9'
  cloudflare-rules-manager managed set --category gre --action log
  cloudflare-rules-manager managed set UDP-0001 --sensitivity medium --in resolver
JSON: cloudflare-mt/rules-changed/1 {changes[{change, what, name, only_ours}]}; change is the number for 'undo'")]
    Set {
        /// What.
        #[command(flatten)]
        about: AboutArgs,
        /// To what.
        #[command(flatten)]
        setting: SettingArgs,
        /// How sure.
        #[command(flatten)]
        sure: Sure,
    },
    /// Back to what holds without the setting
    #[command(after_help = "\
Example: cloudflare-rules-manager managed reset UDP-0001
JSON: cloudflare-mt/rules-changed/1, as 'managed set'")]
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
    #[command(after_help = "\
Example: cloudflare-rules-manager overrides list
JSON: cloudflare-mt/overrides/1 {at, version, overrides[{id, name, expression, enabled, everything, overrides{}, expires_at, \
muted}]}")]
    List,
    /// Add an override
    #[command(after_help = "\
Examples:
  cloudflare-rules-manager overrides create dns --template dns --to 203.0.113.53 --sensitivity low
  cloudflare-rules-manager overrides create vpn --expression 'ip.dst eq 203.0.113.9' --action log
  cloudflare-rules-manager overrides edit vpn --expires 2026-12-01T00:00:00Z
'templates' shows the services, 'check' says whether an expression is one. What is over its end is deleted within minutes \
(cloudflare-mt-expire.timer).
JSON: cloudflare-mt/rules-changed/1 {changes[{change, what, name, only_ours}]}; change is the number for 'undo'")]
    Create(OverrideArgs),
    /// Change an override; what is not named stays
    #[command(after_help = "\
Examples:
  cloudflare-rules-manager overrides edit resolver --sensitivity medium
  cloudflare-rules-manager overrides edit vpn --expires never
JSON: cloudflare-mt/rules-changed/1, as 'overrides create'")]
    Edit(OverrideArgs),
    /// Delete an override
    #[command(after_help = "\
Example: cloudflare-rules-manager overrides delete resolver
JSON: cloudflare-mt/rules-changed/1, as 'overrides create'")]
    Delete(NamedArgs),
    /// Move an override: the first that applies decides
    #[command(after_help = "\
Example: cloudflare-rules-manager overrides move resolver --before global
JSON: cloudflare-mt/rules-changed/1, as 'overrides create'")]
    Move {
        /// Which.
        #[command(flatten)]
        which: NamedArgs,
        /// Where to.
        #[command(flatten)]
        to: PlaceArgs,
    },
    /// Switch an override on
    #[command(after_help = "\
Example: cloudflare-rules-manager overrides enable resolver
JSON: cloudflare-mt/rules-changed/1, as 'overrides create'")]
    Enable(NamedArgs),
    /// Switch an override off; it stays in its place
    #[command(after_help = "\
Example: cloudflare-rules-manager overrides disable resolver
JSON: cloudflare-mt/rules-changed/1, as 'overrides create'")]
    Disable(NamedArgs),
    /// Delete the overrides whose time is over
    #[command(after_help = "\
Called every few minutes by cloudflare-mt-expire.timer. Where nothing is over its time Cloudflare is not asked. People are told \
of what is deleted, and of what could not be deleted for half an hour.
Example: cloudflare-rules-manager overrides expire --yes
JSON: cloudflare-mt/rules-changed/1, as 'overrides create'")]
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
    #[arg(long, value_name = "SERVICE")]
    pub template: Option<String>,
    /// Addresses and networks of the service, with commas between them
    #[arg(long, value_delimiter = ',', value_name = "ADDRESS")]
    pub to: Vec<String>,
    /// Only for this managed rule (short name or id); without it for all
    #[arg(long)]
    pub rule: Option<String>,
    /// What it does.
    #[command(flatten)]
    pub setting: SettingArgs,
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
