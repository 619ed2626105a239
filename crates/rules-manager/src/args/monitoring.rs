//! Arguments about monitoring rules.

use clap::{Args, ValueEnum};

use super::{Sure, YesNo};

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

/// What rules of all kinds have, and what only some have.
#[derive(Debug, Clone, Default, Args)]
pub struct KindArgs {
    /// How long an attack must last: 1m, 5m, 10m, 15m, 20m, 30m, 45m or 1h
    #[arg(long)]
    pub duration: Option<String>,
    /// advanced-ddos: exact, subnet or supernet
    #[arg(long = "match", value_name = "HOW")]
    pub prefix_match: Option<String>,
    /// zscore: low, medium or high
    #[arg(long)]
    pub sensitivity: Option<String>,
    /// zscore: bits or packets
    #[arg(long)]
    pub target: Option<String>,
}

/// A rule to create.
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// How it recognises an attack
    pub kind: Kind,
    /// Prefixes; none for all managed ones
    #[arg(value_name = "CIDR")]
    pub prefixes: Vec<String>,
    /// One rule for all prefixes: their traffic is summed, and all are advertised together
    #[arg(long)]
    pub together: bool,
    /// Its name; only for one rule
    #[arg(long)]
    pub name: Option<String>,
    /// bps: 2.5 Gbps; pps: 500 kpps
    #[arg(long, value_name = "RATE")]
    pub threshold: Option<String>,
    /// What rules have by kind.
    #[command(flatten)]
    pub of_kind: KindArgs,
    /// Only notify, do not advertise
    #[arg(long)]
    pub no_advertise: bool,
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
    /// Other prefixes, with commas between them
    #[arg(long, value_delimiter = ',', value_name = "CIDR")]
    pub prefixes: Vec<String>,
    /// bit/s: 2.5 Gbps
    #[arg(long, value_name = "RATE")]
    pub bandwidth: Option<String>,
    /// packet/s: 500 kpps
    #[arg(long, value_name = "RATE")]
    pub packets: Option<String>,
    /// What rules have by kind.
    #[command(flatten)]
    pub of_kind: KindArgs,
    /// Whether Cloudflare advertises by itself: yes or no
    #[arg(long, value_name = "YES|NO", hide_possible_values = true)]
    pub advertise: Option<YesNo>,
    /// How sure.
    #[command(flatten)]
    pub sure: Sure,
}
