//! Arguments of what is done once at the beginning, or after an emergency: doctor, setup, import.

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(super) const DOCTOR_HELP: &str = "\
Changes nothing, at Cloudflare, in Telegram or here; takes five seconds at most. Severities, worst first: critical \
(protection or alarming is impaired), unknown (could not be found out), warning, info, ok. Exit code 1 when anything is \
critical or unknown, with --strict also for warnings.
Examples:
  cloudflare-mt doctor
  cloudflare-mt doctor --all
  cloudflare-mt doctor --json | jq '.findings[] | select(.severity == \"critical\")'
JSON: cloudflare-mt/doctor/1 {at, took_ms, worst, counts{critical, unknown, warning, info, ok}, findings[{check, severity, \
text, means, remedy}]}; means and remedy are null where all is as it should be";

/// Arguments of `doctor`.
#[derive(Debug, Clone, Copy, Args)]
pub struct DoctorArgs {
    /// Show what is as it should be, too
    #[arg(long, short)]
    pub all: bool,
    /// End with exit code 1 for warnings, too
    #[arg(long)]
    pub strict: bool,
}

/// What is set up at Cloudflare.
#[derive(Debug, Clone, Subcommand)]
pub enum SetupCommand {
    /// The notification destination and policies that the receiver lives on
    #[command(after_help = "\
Without --apply it only shows what is missing. What is there is left as it is. Cloudflare posts a test message to a new \
destination, so the receiver must run and be reachable there. The API token needs Notifications: Write.
Examples:
  cloudflare-mt setup notifications
  cloudflare-mt setup notifications --url https://mt.example.net/webhook/cloudflare --apply
  cloudflare-mt setup notifications --also incident_alert --apply --yes
JSON: cloudflare-mt/setup-notifications/1 {at, applied, url, items[{what, state, words, id}]}; states are there, missing, \
disabled, not_in_plan, made, refused, unknown")]
    Notifications(SetupNotificationsArgs),
}

/// Arguments of `setup notifications`.
#[derive(Debug, Clone, Args)]
pub struct SetupNotificationsArgs {
    /// Where Cloudflare reaches the receiver; the destination that is there unless given
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// A further type of alert, as Cloudflare names it; may be repeated
    #[arg(long, value_name = "ALERT_TYPE", value_parser = alert_type)]
    pub also: Vec<String>,
    /// Create what is missing
    #[arg(long)]
    pub apply: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

fn alert_type(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if (3..=100).contains(&text.len()) && text.chars().all(fine) {
        Ok(text.to_owned())
    } else {
        Err("types look like incident_alert".to_owned())
    }
}

/// What is taken over.
#[derive(Debug, Clone, Subcommand)]
pub enum ImportCommand {
    /// A whole installation of the Python system: configuration, database, notifications, preferences, account
    #[command(after_help = "\
Without --apply everything is rehearsed on a copy and reported: what would be taken, and what is odd. DIR is only read. \
What is here already is left as it is, so the import may be repeated. Stop the old services before --apply: what they \
write afterwards is not taken. (/usr/lib/cloudflare-mt/take-over does that and replaces the units as well.)
Examples:
  cloudflare-mt import predecessor /opt/Cloudflare_MT_Integration
  cloudflare-mt import predecessor --apply /opt/Cloudflare_MT_Integration
Exit code 1 when a part could not be taken, 78 when its configuration cannot be used.
JSON: cloudflare-mt/import-predecessor/1 {at, directory, applied, items[{what, outcome, text}], odd[{what, text}]}; \
outcomes are would_take, taken, there, absent, failed")]
    Predecessor {
        /// Its folder, with config, db and logs in it
        dir: PathBuf,
        /// Take it over
        #[arg(long)]
        apply: bool,
    },
    /// The notifications that the predecessor kept as files (logs/webhooks/webhook_*.json)
    #[command(after_help = "\
They are recorded with their own time, and nobody is told of them. What is stored already is found again, so the import \
may be repeated. A file that does not say when it was sent counts from its name, which is in this host's time.
Exit code 1 when a file cannot be read; all others are taken all the same.
Example: cloudflare-mt import webhooks --dry-run /opt/Cloudflare_MT_Integration/logs/webhooks
JSON: cloudflare-mt/import-webhooks/1 {at, directory, dry_run, taken, there, odd, files[]}")]
    Webhooks {
        /// The folder, or one of its files
        dir: PathBuf,
        /// Only say what would be taken
        #[arg(long, short = 'n')]
        dry_run: bool,
    },
    /// What 'cloudflare-prefix-manager --emergency' did while the database could not be written
    #[command(after_help = "\
Acts become intents, events and audit rows with their own time, once; the files are kept with the ending .imported. The \
withdraw daemon does this by itself, and so does every command that changes prefixes.
Example: cloudflare-mt import spool
JSON: cloudflare-mt/import-spool/1 {at, taken, there, odd[{file, text}]}")]
    Spool,
}
