//! Arguments about rules files.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Sure;

/// Form of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A rules file
    Toml,
    /// A rules file
    Yaml,
    /// Monitoring rules alone, as 'list --json' prints them
    Json,
}

/// A rules file.
#[derive(Debug, Clone, Args)]
pub struct FileArgs {
    /// A rules file (TOML or YAML), or saved JSON of monitoring rules; - for standard input
    pub file: PathBuf,
    /// toml, yaml or json, where the name does not say it (.yaml and .yml are YAML)
    #[arg(long, hide_possible_values = true)]
    pub format: Option<Form>,
    /// Take rules that are there already into the care of the file
    #[arg(long)]
    pub adopt: bool,
}

/// What would be done.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// Which file.
    #[command(flatten)]
    pub file: FileArgs,
    /// Exit with 5 when something differs
    #[arg(long)]
    pub exit_code: bool,
}

/// Doing it.
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
    /// Which file.
    #[command(flatten)]
    pub file: FileArgs,
    /// How sure.
    #[command(flatten)]
    pub sure: Sure,
}

/// Saving rules.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Where to, or - for standard output; must not exist
    pub file: PathBuf,
    /// Replace the file if it exists
    #[arg(long, short)]
    pub force: bool,
    /// toml or yaml: a rules file; json: monitoring rules alone. Where the name does not say it
    #[arg(long, hide_possible_values = true)]
    pub format: Option<Form>,
}
