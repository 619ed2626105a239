//! The arguments, and what `--help` says.

mod take_over;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cli::begin::OfAll;
use cli::command::Generate;
use domain::ids::{EventId, NotificationId};
use domain::notice::Priority;
use domain::prefix::Prefix;

use crate::{demo, drill};

pub use take_over::{DoctorArgs, ImportCommand, SetupCommand, SetupNotificationsArgs};

/// Look after the orchestrator: health, database, notifications, accounts, explanations.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "cloudflare-mt",
    disable_help_subcommand = true,
    after_help = concat!(
        "Examples:\n",
        "  cloudflare-mt health\n",
        "  cloudflare-mt doctor\n",
        "  cloudflare-mt explain 203.0.113.0/24\n",
        "  cloudflare-mt explain 1742\n",
        "  cloudflare-mt test-alert\n",
        "  cloudflare-mt drill --chat -1001234567890\n",
        "  cloudflare-mt db backup /var/backups/mt-$(date +%F).db\n",
        "  cloudflare-mt db query 'SELECT prefix, withdrawn_at FROM withdrawal_history ORDER BY id DESC'\n",
        "  cloudflare-mt replay /var/lib/cloudflare-mt/recordings/autowithdraw.jsonl --policy other.json\n",
        "  cloudflare-mt user add ana --role operator\n",
        "\n",
        "Exit codes: 0 done (also when the reader closes the pipe), 1 failed or not healthy, 2 wrong arguments, ",
        "3 blocked by a rule, 4 cancelled at a question, 78 bad configuration, 130 interrupted\n",
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
    /// Whether everything lives: signs of life, waiting messages, last deliveries
    #[command(after_help = "\
Exit code 1 when a service is not there or says that it does not work, or when messages wait for more than 10 minutes.
Example: cloudflare-mt health --json
JSON: cloudflare-mt/health/1 {at, healthy, problems[], services[], actor, outbox{}, last_delivery_at, last_sent_at}")]
    Health,
    /// Everything that protection and alarming rest on, with what is wrong, what it means and what to do
    #[command(after_help = take_over::DOCTOR_HELP)]
    Doctor(DoctorArgs),
    /// Create what is missing at Cloudflare: notifications
    #[command(subcommand, after_help = "Example: cloudflare-mt setup notifications")]
    Setup(SetupCommand),
    /// The database: status, check, backup, restore, query, prune, migrate
    #[command(subcommand, after_help = "Example: cloudflare-mt db status")]
    Db(DbCommand),
    /// Messages to people: list, show, retry, test
    #[command(subcommand, after_help = "Example: cloudflare-mt notifications list --state failed")]
    Notifications(NotificationsCommand),
    /// Accounts of the dashboard: add, passwd, role, list, disable, enable, drop-second-factor
    #[command(subcommand, after_help = "Example: cloudflare-mt user list")]
    User(UserCommand),
    /// What happened at an event and who was told, or why a prefix stands as it does
    #[command(after_help = "\
An event is the number that messages carry (#1742). For a prefix the chain is shown from evidence to next action.
Examples:
  cloudflare-mt explain 1742
  cloudflare-mt explain 203.0.113.0/24
JSON: cloudflare-mt/explain-event/1 {at, event{}, delivery{}, incident{}, timeline[], act{}, notices[]} or \
cloudflare-mt/explain-prefix/1 {at, standing{}, daemon{}, evidence[], changes[], acts[], incident{}}")]
    Explain {
        /// An event number or a prefix
        #[arg(value_name = "EVENT|PREFIX", value_parser = subject)]
        what: Subject,
    },
    /// Post a marked alert through the real receiver and see it reach people
    #[command(after_help = "\
The alert is marked as a test: it is stored, announced as a test, kept out of statistics, and never blocks a withdrawal.
Examples:
  cloudflare-mt test-alert
  cloudflare-mt test-alert --prefix 203.0.113.0/24 --type fbm_volumetric_attack
JSON: cloudflare-mt/test-alert/1 {at, url, delivery, event, notification, state, words}")]
    TestAlert(TestAlertArgs),
    /// Rehearse the whole chain with a marked attack that does not exist, with a stopwatch at every hop
    #[command(after_help = drill::HELP)]
    Drill(drill::DrillArgs),
    /// Messages raised by people and scripts
    #[command(
        subcommand,
        after_help = "Example: cloudflare-mt notice raise --title 'new disks tonight' --priority info"
    )]
    Notice(NoticeCommand),
    /// Decide a recording of the withdraw daemon again, and show what another policy would have done
    #[command(after_help = "\
The daemon records when autowithdraw.record_inputs is on, in the folder recordings beside the database. Exit code 1 when \
a decision is not what was recorded, or a line cannot be read. Figures of another policy: time advertised, automatic \
withdrawals, and time withdrawn while the recording shows an attack.
Examples:
  cloudflare-mt replay /var/lib/cloudflare-mt/recordings/autowithdraw.jsonl
  cloudflare-mt replay autowithdraw.jsonl --policy other.json
JSON: cloudflare-mt/replay/1 {from, to, cycles, decisions, unreadable_lines, different, differences[], transcript[], \
recorded_policy{total{}, prefixes[], withdrawals[]}, other_policy{}}")]
    Replay(ReplayArgs),
    /// Take over what the Python system left, or what an emergency left: predecessor, webhooks, spool
    #[command(
        subcommand,
        after_help = "Example: cloudflare-mt import predecessor /opt/Cloudflare_MT_Integration"
    )]
    Import(ImportCommand),
    /// Tell what happens on a demonstration site, and compare what was sent with what was recorded
    #[command(after_help = "Example: scripts/demo starts everything that it tells of, and then it")]
    Demo(demo::Arguments),
    /// For packaging.
    #[command(flatten)]
    Generate(Generate),
}

/// What to explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A row of the operator's log.
    Event(EventId),
    /// A prefix.
    Prefix(Prefix),
}

fn subject(text: &str) -> Result<Subject, String> {
    let number = text.strip_prefix('#').unwrap_or(text);
    if let Ok(id) = number.parse::<i64>() {
        return Ok(Subject::Event(EventId(id)));
    }
    prefix(text)
        .map(Subject::Prefix)
        .map_err(|error| format!("neither an event number nor a prefix: {error}"))
}

fn prefix(text: &str) -> Result<Prefix, String> {
    Prefix::parse_strict(text).map_err(|error| error.to_string())
}

/// About the database file.
#[derive(Debug, Clone, Subcommand)]
pub enum DbCommand {
    /// Path, size, schema, and how much is in it
    #[command(after_help = "Example: cloudflare-mt db status\n\
JSON: cloudflare-mt/db-status/1 {at, path, bytes, wal_bytes, schema_version, writable, counts{}}")]
    Status,
    /// Read the whole file and look for damage; exit code 1 when there is any
    #[command(after_help = "Example: cloudflare-mt db check\n\
JSON: cloudflare-mt/db-check/1 {at, path, sound, problems[]}")]
    Check,
    /// Copy the file as it is at this moment, and check the copy; nothing is overwritten
    #[command(after_help = "Example: cloudflare-mt db backup --dated --keep 14 /srv/copies\n\
JSON: cloudflare-mt/db-backup/1 {at, path, bytes, schema_version, removed[]}")]
    Backup {
        /// Where to; must not exist. With --dated the folder
        file: PathBuf,
        /// Name the copy by its time and put it into the folder FILE
        #[arg(long)]
        dated: bool,
        /// Then remove all but the newest N dated copies of the folder
        #[arg(long, requires = "dated", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        keep: Option<u32>,
    },
    /// Put a copy in the place of the database; the services must be stopped, and what is there is kept
    #[command(after_help = "\
The copy is checked first. The automation then starts paused until a person releases the pause.
Example: cloudflare-mt db restore /srv/copies/magic_transit-20261122T024007Z.db\n\
JSON: cloudflare-mt/db-restore/1 {at, path, bytes, schema_version, replaced}")]
    Restore {
        /// The copy
        file: PathBuf,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Delete rows that are older than database.retention says
    #[command(after_help = "\
What is still open is never deleted. A timer runs this every night.
Example: cloudflare-mt db prune --dry-run\n\
JSON: cloudflare-mt/db-prune/1 {at, dry_run, tables[{table, before, rows}]}")]
    Prune {
        /// Only say how many
        #[arg(long, short = 'n')]
        dry_run: bool,
    },
    /// Run one statement that only reads
    #[command(after_help = "\
Reads the live file safely, which an old sqlite3 of the system might damage. \
'SELECT sql FROM sqlite_schema' shows the tables.
Example: cloudflare-mt db query 'SELECT id, event_type, prefix FROM attack_events LIMIT 5'\n\
JSON: cloudflare-mt/db-query/1 {at, columns[], rows[[]], more}")]
    Query {
        /// The statement, or - to read it from standard input
        sql: String,
        /// Most rows shown
        #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
    },
    /// Create the file or bring it up to date, as every service does at its start
    #[command(after_help = "Example: cloudflare-mt db migrate\n\
JSON: cloudflare-mt/db-migrate/1 {at, path, before, schema_version}")]
    Migrate,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NotificationState {
    /// Waiting to be sent
    Queued,
    /// Sent
    Sent,
    /// Kept back, with a reason
    Suppressed,
    /// Given up, with a reason
    Failed,
    /// Too old to be sent singly
    Expired,
}

impl NotificationState {
    /// The database's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Suppressed => "suppressed",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

/// About messages.
#[derive(Debug, Clone, Subcommand)]
pub enum NotificationsCommand {
    /// The newest messages, with why they were not sent
    #[command(after_help = "Example: cloudflare-mt notifications list --state failed --limit 50\n\
JSON: cloudflare-mt/notifications/1 {at, notifications[], queued, failed, expired}")]
    List {
        /// Only those in this state
        #[arg(long, value_enum)]
        state: Option<NotificationState>,
        /// How many at most
        #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// One message as it would be sent now, and every try
    #[command(after_help = "Example: cloudflare-mt notifications show 812\n\
JSON: cloudflare-mt/notification/1 {at, notification{}, text, attempts[]}")]
    Show {
        /// Its number
        #[arg(value_parser = notification)]
        id: NotificationId,
    },
    /// Put a failed, expired or suppressed message back into the queue
    #[command(after_help = "Example: cloudflare-mt notifications retry 812\n\
JSON: cloudflare-mt/notification-retry/1 {at, notification}")]
    Retry {
        /// Its number
        #[arg(value_parser = notification)]
        id: NotificationId,
    },
    /// Send a test message the way all messages go, and wait for the outcome
    #[command(
        after_help = "Example: cloudflare-mt notifications test --note 'a test by the night shift'\n\
JSON: cloudflare-mt/notification-test/1 {at, notification, state, words}"
    )]
    Test {
        /// Words in the message
        #[arg(long, value_name = "TEXT", default_value = "a test of the messages")]
        note: String,
        /// How long to wait for the outcome
        #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = domain::duration::parse)]
        timeout: Duration,
    },
}

fn notification(text: &str) -> Result<NotificationId, String> {
    text.strip_prefix('#')
        .unwrap_or(text)
        .parse()
        .map(NotificationId)
        .map_err(|_| "a number is expected; 'cloudflare-mt notifications list' shows them".to_owned())
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Read
    Viewer,
    /// Read, acknowledge, hold, advertise, withdraw
    Operator,
    /// Everything
    Admin,
}

/// About accounts.
#[derive(Debug, Clone, Subcommand)]
pub enum UserCommand {
    /// Add an account; its password is asked for without being shown
    #[command(after_help = "Example: cloudflare-mt user add ana --role operator\n\
JSON: cloudflare-mt/user/1 {at, user{}}")]
    Add {
        /// Its name
        #[arg(value_parser = account)]
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value = "viewer")]
        role: RoleArg,
        /// How the password comes.
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Set the password of an account and end its sessions
    #[command(after_help = "Example: cloudflare-mt user passwd ana\n\
JSON: cloudflare-mt/user/1 {at, user{}}")]
    Passwd {
        /// Its name
        #[arg(value_parser = account)]
        name: String,
        /// How the password comes.
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Give an account another role; its sessions go on with it at their next request
    #[command(after_help = "\
Example: cloudflare-mt user role ana operator
JSON: cloudflare-mt/user/1 {at, user{}}")]
    Role {
        /// Its name
        #[arg(value_parser = account)]
        name: String,
        /// What it may do from now on
        #[arg(value_enum)]
        role: RoleArg,
        /// Also when it is the last administrator
        #[arg(long, short)]
        force: bool,
    },
    /// Take the second factor of an account away, whose device or codes are lost, and end its sessions
    #[command(after_help = "\
Make sure first that it is really that person who asks. Afterwards the password alone is enough until a new second \
factor is set up in the dashboard.
Example: cloudflare-mt user drop-second-factor ana --reason 'lost the phone, asked in person'
JSON: cloudflare-mt/user/1 {at, user{}}")]
    DropSecondFactor {
        /// Its name
        #[arg(value_parser = account)]
        name: String,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT", value_parser = title)]
        reason: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// All accounts
    #[command(after_help = "Example: cloudflare-mt user list\n\
JSON: cloudflare-mt/users/1 {at, users[{name, role, disabled, must_change, second_factor, \
created_at, password_changed_at, last_login_at, bcrypt}]}")]
    List,
    /// Shut an account out and end its sessions
    #[command(after_help = "Example: cloudflare-mt user disable ana\n\
JSON: cloudflare-mt/user/1 {at, user{}}")]
    Disable {
        /// Its name
        #[arg(value_parser = account)]
        name: String,
        /// Also when it is the last administrator
        #[arg(long, short)]
        force: bool,
    },
    /// Let a disabled account in again
    #[command(after_help = "Example: cloudflare-mt user enable ana\n\
JSON: cloudflare-mt/user/1 {at, user{}}")]
    Enable {
        /// Its name
        #[arg(value_parser = account)]
        name: String,
    },
}

/// How a new password comes.
#[derive(Debug, Clone, Args)]
pub struct PasswordArgs {
    /// Read the password from the first line of standard input instead of asking
    #[arg(long)]
    pub password_stdin: bool,
    /// The person must set another one at the next login
    #[arg(long)]
    pub must_change: bool,
}

fn account(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
    let count = text.chars().count();
    if (1..=64).contains(&count) && text.chars().all(fine) {
        Ok(text.to_owned())
    } else {
        Err("a name has 1 to 64 letters, digits or . _ - @ +".to_owned())
    }
}

/// Arguments of `test-alert`.
#[derive(Debug, Clone, Args)]
pub struct TestAlertArgs {
    /// The prefix the alert is about; the first listed one unless given
    #[arg(long, value_name = "CIDR", value_parser = prefix)]
    pub prefix: Option<Prefix>,
    /// Cloudflare's name of the kind of alert
    #[arg(long = "type", value_name = "ALERT_TYPE", default_value = "dos_attack_l4")]
    pub kind: String,
    /// Where to post; the receiver of this host unless given
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// How long to wait until people are told
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = domain::duration::parse)]
    pub timeout: Duration,
}

/// Arguments of `replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// Recordings, oldest first; - reads standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Another policy: a file with some of the keys of autowithdraw, or a whole settings.json
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
}

/// About raised messages.
#[derive(Debug, Clone, Subcommand)]
pub enum NoticeCommand {
    /// Send people a message
    #[command(
        after_help = "Example: cloudflare-mt notice raise --title 'new disks tonight' --priority info\n\
JSON: cloudflare-mt/notice/1 {at, notification}"
    )]
    Raise {
        /// One line
        #[arg(long, value_name = "TEXT", value_parser = title)]
        title: String,
        /// What it is about, or - to read it from standard input
        #[arg(long, value_name = "TEXT", default_value = "")]
        text: String,
        /// How urgent: a critical one waits behind nothing
        #[arg(long, value_enum, default_value = "medium")]
        priority: PriorityArg,
    },
}

fn title(text: &str) -> Result<String, String> {
    let line = cli::words::outside(text, 200);
    if line.is_empty() {
        Err("the title is empty".to_owned())
    } else {
        Ok(line)
    }
}

/// How urgent a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PriorityArg {
    /// Protection or alarming is impaired
    Critical,
    /// An attack, or an act on BGP
    High,
    /// Worth knowing soon
    Medium,
    /// For the record
    Info,
}

impl From<PriorityArg> for Priority {
    fn from(priority: PriorityArg) -> Self {
        match priority {
            PriorityArg::Critical => Self::Critical,
            PriorityArg::High => Self::High,
            PriorityArg::Medium => Self::Medium,
            PriorityArg::Info => Self::Info,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_consistent() {
        cli::command::command::<Cli>().debug_assert();
    }

    #[test]
    fn events_and_prefixes_are_told_apart() {
        assert_eq!(subject("1742"), Ok(Subject::Event(EventId(1742))));
        assert_eq!(subject("#1742"), Ok(Subject::Event(EventId(1742))));
        assert_eq!(
            subject("2001:db8::/32"),
            Ok(Subject::Prefix("2001:db8::/32".parse().unwrap()))
        );
        assert!(subject("203.0.113.5/24").is_err());
        assert!(account("ana").is_ok() && account("").is_err() && account("a b").is_err());
    }
}
