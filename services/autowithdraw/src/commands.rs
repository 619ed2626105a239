//! The commands beside the daemon: `status`, `check`, `test`, `explain` only look; `advertise` and `withdraw` hand over
//! to the prefix manager.
//!
//! Without a command, or with `daemon`, the program is the daemon, and nothing of this runs. Must hold: `check` decides
//! with the daemon's own code on fresh readings and stores nothing.

mod by_hand;
mod test;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use cli::elsewhere::{self, Elsewhere, in_place};
use cli::explain::{describe, links_table};
use cli::life::Service;
use cli::picture::Picture;
use cli::standing::{HoldView, Standing, State, judge};
use cli::{Ink, Out, Table, Trouble, ink, report, words};
use daemon::args::CommonArgs;
use daemon::{SharedClock, SystemClock, exit};
use domain::decision::{DirectRoute, Verdict};
use domain::prefix::Prefix;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use settings::{Loaded, Need, Settings};

use crate::actor::LEASE;
use crate::cycle::{Cycle, Gatherer};
use crate::inventory::Inventory;
use crate::ledger::Spans;
use crate::policy::mode;
use crate::routes::RouteChecks;
use crate::service::hold_end_notice;
use by_hand::{Options, hand_over};

/// The program's name.
pub const PROGRAM: &str = "cloudflare-autowithdraw";

/// What it is for.
pub const ABOUT: &str = "Withdraws prefixes from Cloudflare when calm is proven, and only then.";

/// Rounds of list calls that `check` waits for at most, so that all prefixes of a large account are read.
const MOST_ROUNDS: u32 = 10;

/// How long `check` waits for the first checks of direct routes.
const ROUTES_WITHIN: Duration = Duration::from_secs(10);

/// Withdraws prefixes from Cloudflare when calm is proven, and only then. Without a command it is the daemon.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "cloudflare-autowithdraw",
    disable_help_subcommand = true,
    after_help = concat!(
        "Examples:\n",
        "  cloudflare-autowithdraw\n",
        "  cloudflare-autowithdraw status\n",
        "  cloudflare-autowithdraw check --json\n",
        "  cloudflare-autowithdraw explain 203.0.113.0/24\n",
        "  cloudflare-autowithdraw withdraw 203.0.113.0/24\n",
        "\n",
        "Exit codes: 0 done, 1 failed, or something is unknown or the daemon is not there, 2 wrong arguments, ",
        "78 bad configuration, 130 interrupted\n",
        "Holds and pauses are set with cloudflare-prefix-manager.\n",
        "Configuration: --config-dir, else $CLOUDFLARE_MT_CONFIG_DIR, else /etc/cloudflare-mt",
    )
)]
struct Cli {
    #[command(flatten)]
    common: CommonArgs,

    /// Print one JSON document instead of text (commands)
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Option<Task>,
}

#[derive(Debug, Clone, Subcommand)]
enum Task {
    /// Run the daemon (the default)
    Daemon,
    /// What the daemon last said about every prefix, and whether it is there
    #[command(after_help = "\
JSON: cloudflare-mt/autowithdraw-status/1 {at, daemon{}, actor, mode, holds[], changed_elsewhere[], prefixes[]}; prefixes as in \
cloudflare-mt/prefix-status/1")]
    Status,
    /// Evaluate once, with fresh readings, and store nothing
    #[command(after_help = "\
Shows what the daemon would decide now; it withdraws nothing and starts no clock.
JSON: cloudflare-mt/autowithdraw-check/1 {at, mode, prefixes[{prefix, managed, verdict, decision{}, inputs{}}], missing[], \
traffic_error, discovery_error}")]
    Check,
    /// Withdraw a prefix by hand, or all that the operator listed: as cloudflare-prefix-manager withdraw
    Withdraw {
        /// The prefix; all listed ones when it is left out
        #[arg(value_name = "CIDR", value_parser = prefix)]
        prefix: Option<Prefix>,
        #[command(flatten)]
        options: Options,
    },
    /// Advertise a prefix by hand: as cloudflare-prefix-manager advertise
    Advertise {
        /// The prefix
        #[arg(value_name = "CIDR", value_parser = prefix)]
        prefix: Prefix,
        #[command(flatten)]
        options: Options,
    },
    /// Whether Cloudflare answers what the daemon needs, and what was dropped in the last hour
    #[command(after_help = "\
JSON: cloudflare-mt/autowithdraw-test/1 {at, works, prefixes, prefixes_error, newest_row, truncated, dropped[{subnet, \
system, packets, bits, mean_mbps}], traffic_error}")]
    Test,
    /// Why the next action for a prefix is what it is
    #[command(after_help = "\
JSON: cloudflare-mt/explain-prefix/1 {at, standing{}, changed_elsewhere, daemon{}, evidence[], changes[], acts[], incident{}}")]
    Explain {
        /// The prefix
        #[arg(value_name = "CIDR", value_parser = prefix)]
        prefix: Prefix,
    },
}

fn prefix(text: &str) -> Result<Prefix, String> {
    Prefix::parse_strict(text).map_err(|error| error.to_string())
}

/// What the arguments ask for.
#[derive(Debug)]
pub enum Asked {
    /// The daemon, with these arguments (the first is the program's name).
    Daemon(Vec<OsString>),
    /// A command.
    Command(Box<Command>),
}

/// A command, ready to run.
#[derive(Debug)]
pub struct Command {
    cli: Cli,
    task: Task,
}

/// The command line, for the generated reference and for packaging.
pub fn command_line() -> clap::Command {
    cli::command::alike(Cli::command())
}

/// Reads the arguments. `Err` is the exit code after help, version or an error has been printed.
///
/// # Errors
/// When there is nothing to run.
pub fn asked(arguments: impl IntoIterator<Item = OsString>) -> Result<Asked, ExitCode> {
    let mut line = command_line();
    let read = line
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (mut cli, matches) = read.map_err(|error| cli::command::explain(&error.format(&mut line)))?;
    match cli.command.take() {
        None | Some(Task::Daemon) => Ok(Asked::Daemon(of_the_daemon(cli.common))),
        Some(task) => {
            // A command says what happened in its own words; its log is for those who ask.
            if matches.value_source("log_level") == Some(ValueSource::DefaultValue)
                && let Ok(off) = "off".parse()
            {
                cli.common.log_level = off;
            }
            Ok(Asked::Command(Box::new(Command { cli, task })))
        }
    }
}

/// The daemon's arguments without the word `daemon`. A new common argument must be handed on here to compile.
fn of_the_daemon(common: CommonArgs) -> Vec<OsString> {
    let CommonArgs {
        config_dir,
        check_config,
        print_config,
        log_level,
    } = common;
    let mut arguments: Vec<OsString> = vec![PROGRAM.into(), "--config-dir".into(), config_dir.into()];
    arguments.extend(["--log-level".into(), log_level.to_string().into()]);
    arguments.extend(check_config.then(|| "--check-config".into()));
    arguments.extend(print_config.then(|| "--print-config".into()));
    arguments
}

impl Command {
    /// Runs it to its exit code.
    pub fn run(self) -> ExitCode {
        let out = Out::new(self.cli.json);
        let (common, json) = (&self.cli.common, self.cli.json);
        let trouble = match &self.task {
            Task::Withdraw { prefix, options } => Some(hand_over("withdraw", *prefix, options, json, common)),
            Task::Advertise { prefix, options } => Some(hand_over("advertise", Some(*prefix), options, json, common)),
            _ => None,
        };
        if let Some(trouble) = trouble {
            return ExitCode::from(cli::frame::conclude(PROGRAM, out, Err(trouble)));
        }
        let needs: &[Need] = match self.task {
            Task::Check | Task::Test => &[Need::CloudflareApi],
            _ => &[],
        };
        let loaded: Loaded = match cli::frame::settings(&self.cli.common, needs) {
            Ok(loaded) => loaded,
            Err(code) => return code,
        };
        let task = self.task;
        cli::frame::run(PROGRAM, &self.cli.common, out, move |_interrupts| async move {
            let (settings, clock) = (loaded.settings, SystemClock::shared());
            match task {
                // The daemon and the acts by hand never come here.
                Task::Status | Task::Daemon | Task::Withdraw { .. } | Task::Advertise { .. } => {
                    status(out, &settings, clock.now()).await
                }
                Task::Test => test::run(out, &gatherer(settings, clock.clone()).await?.api, clock.now()).await,
                Task::Check => check(out, settings, clock).await,
                Task::Explain { prefix } => explain(out, &settings, prefix, clock.now()).await,
            }
        })
    }
}

#[derive(Debug, Serialize)]
struct Status {
    schema: &'static str,
    at: Timestamp,
    daemon: Service,
    /// The process that may withdraw by itself.
    actor: Option<String>,
    mode: &'static str,
    holds: Vec<HoldView>,
    changed_elsewhere: Vec<Elsewhere>,
    prefixes: Vec<Standing>,
}

async fn status(out: Out, settings: &Settings, now: Timestamp) -> Result<u8, Trouble> {
    let db = cli::store::reading(&settings.database.path)?;
    let veto = settings.autowithdraw.open_alert_veto;
    let read = db.read("status", move |tx| {
        Ok((Picture::read_in(tx, veto, now)?, db::leases::get(tx, LEASE)?))
    });
    let (picture, lease) = read
        .await
        .map_err(|error| Trouble::database("the status cannot be read", &error))?;
    let daemon = picture.daemon(now);
    let sight = picture.sight(&daemon, settings, now);
    let prefixes: Vec<Standing> = picture
        .known(settings)
        .iter()
        .map(|known| judge(known, &sight))
        .collect();
    let unknown = prefixes.iter().any(|standing| standing.state == State::Unknown);
    let code = if daemon.life.is_there() && !unknown {
        exit::DONE
    } else {
        exit::FAILURE
    };
    let status = Status {
        schema: "cloudflare-mt/autowithdraw-status/1",
        at: now,
        actor: lease.map(|lease| lease.owner),
        mode: mode(&settings.autowithdraw).as_str(),
        holds: picture.holds.iter().map(HoldView::from).collect(),
        changed_elsewhere: in_place(&picture.foreign, &prefixes, now),
        prefixes,
        daemon,
    };
    if out.is_json() {
        out.document(&status)?;
        return Ok(code);
    }
    let screen = out.screen();
    let mut text = report::table(&status.prefixes, now, screen);
    if status.prefixes.is_empty() {
        text.push_str("no prefix is known\n");
    }
    text.push('\n');
    text.push_str(&report::foot(&status.prefixes, &status.daemon, &status.holds, now));
    text.push_str(&elsewhere::lines(&status.changed_elsewhere, now));
    text.push_str(&format!("mode {}\n", status.mode));
    if let Some(actor) = &status.actor {
        text.push_str(&format!("may withdraw: {}\n", words::outside(actor, 120)));
    }
    out.text(&text)?;
    Ok(code)
}

async fn explain(out: Out, settings: &Settings, prefix: Prefix, now: Timestamp) -> Result<u8, Trouble> {
    let db = cli::store::reading(&settings.database.path)?;
    let explanation = cli::explain::prefix(&db, settings, prefix, now).await?;
    if out.is_json() {
        out.document(&explanation)?;
    } else {
        out.text(&explanation.text(out.screen()))?;
    }
    Ok(exit::DONE)
}

async fn check(out: Out, settings: Settings, clock: SharedClock) -> Result<u8, Trouble> {
    let mut gatherer = gatherer(settings, clock).await?;
    let settings = gatherer.settings.clone();
    // One cycle reads a share of a large account; a person wants to see all of it.
    let interval = settings.autowithdraw.check_interval.max(Duration::from_millis(1));
    gatherer.inventory.refresh().await;
    let rounds = gatherer.inventory.rotation().as_nanos().div_ceil(interval.as_nanos());
    for _ in 1..u32::try_from(rounds).unwrap_or(MOST_ROUNDS).min(MOST_ROUNDS) {
        gatherer.inventory.refresh().await;
    }
    first_route_checks(&mut gatherer).await;
    let cycle = gatherer
        .run()
        .await
        .map_err(|error| Trouble::database("nothing can be decided", &error))?;
    let blind = cycle
        .answers
        .iter()
        .any(|answer| matches!(answer.decision.verdict, Verdict::Unknown { .. }));
    let complete = !blind && cycle.missing.is_empty() && cycle.discovery_error.is_none();
    let mode = mode(&settings.autowithdraw).as_str();
    if out.is_json() {
        out.document(&document(&cycle, mode))?;
    } else {
        out.text(&text(&cycle, mode, out))?;
    }
    Ok(if complete { exit::DONE } else { exit::FAILURE })
}

async fn gatherer(settings: Settings, clock: SharedClock) -> Result<Gatherer, Trouble> {
    let db = cli::store::counting(&settings.database.path)?;
    let transport = assembly::parts::transport();
    let owner = assembly::parts::owner_of(PROGRAM, clock.now());
    let api = assembly::parts::cloudflare(&settings, &transport, &db, &owner, &clock)
        .map_err(|error| Trouble::failed("cloudflare.setup", cli::trouble::chain(error.as_ref())))?
        .for_display();
    let remembered = db
        .read("inventory.all", db::inventory::all)
        .await
        .map_err(|error| Trouble::database("the known prefixes cannot be read", &error))?;
    let auto = &settings.autowithdraw;
    Ok(Gatherer {
        inventory: Inventory::new(api.clone(), clock.clone(), &settings, remembered),
        // One look has nothing to compare them with.
        bindings: None,
        routes: RouteChecks::new(transport, clock.clone()),
        spans: Spans {
            veto: auto.open_alert_veto,
            hold_end_notice: hold_end_notice(auto.calm_period),
            min_advertised: auto.min_advertised,
        },
        db,
        api,
        settings,
        clock,
    })
}

/// The daemon never waits for them; a single look does, or it would say that none has ended yet.
async fn first_route_checks(gatherer: &mut Gatherer) {
    let prefixes: Vec<Prefix> = gatherer
        .inventory
        .known()
        .filter(|known| known.managed && known.is_advertised())
        .map(|known| known.prefix.prefix)
        .collect();
    let settings = gatherer.settings.autowithdraw.clone();
    let mut of = |prefix: &Prefix| gatherer.routes.of(*prefix, &settings);
    let first: Vec<DirectRoute> = prefixes.iter().map(&mut of).collect();
    let waits = |route: &DirectRoute| matches!(route, DirectRoute::NotProven { .. });
    let deadline = tokio::time::Instant::now() + ROUTES_WITHIN;
    while tokio::time::Instant::now() < deadline {
        let unchanged = prefixes.iter().zip(&first).filter(|(_, first)| waits(first));
        if !unchanged.into_iter().any(|(prefix, first)| of(prefix) == *first) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn document(cycle: &Cycle, mode: &str) -> serde_json::Value {
    let prefixes: Vec<serde_json::Value> = cycle
        .answers
        .iter()
        .map(|answer| {
            json!({
                "prefix": answer.inputs.prefix,
                "managed": answer.known.managed,
                "verdict": answer.decision.verdict.key(),
                "decision": answer.decision,
                "inputs": answer.inputs,
            })
        })
        .collect();
    json!({
        "schema": "cloudflare-mt/autowithdraw-check/1",
        "at": cycle.at,
        "mode": mode,
        "prefixes": prefixes,
        "missing": cycle.missing,
        "traffic_error": cycle.traffic_error,
        "discovery_error": cycle.discovery_error,
    })
}

fn text(cycle: &Cycle, mode: &str, out: Out) -> String {
    let (screen, now) = (out.screen(), cycle.at);
    let mut table = Table::new(&["PREFIX", "NAME", "VERDICT", "NEXT"]);
    for answer in &cycle.answers {
        let decision = &answer.decision;
        let when = decision
            .next
            .not_before
            .map_or_else(String::new, |at| format!(" not before {}", words::clock(at, now)));
        let because = words::outside(&decision.next.because(), words::LONG);
        let verdict = match &decision.verdict {
            Verdict::Attack => ink(Ink::Attack, "attack"),
            Verdict::Unknown { .. } => ink(Ink::Warn, &decision.verdict.key()),
            verdict => verdict.key(),
        };
        table.row([
            answer.inputs.prefix.to_string(),
            words::outside(&answer.known.prefix.description, 24),
            verdict,
            format!("{}{when}, because {because}", decision.next.action()),
        ]);
    }
    let mut text = table.render(screen);
    for answer in cycle.answers.iter().filter(|answer| answer.known.is_advertised()) {
        let heading = ink(Ink::Strong, &format!("Evidence for {}", answer.inputs.prefix));
        text.push_str(&format!("\n{heading}\n"));
        text.push_str(&links_table(&describe(&answer.inputs, now), screen));
    }
    text.push_str(&format!(
        "\nmode {mode}; nothing was stored and nothing was sent; times are UTC\n"
    ));
    let mut warn = |line: String| {
        text.push_str(&ink(Ink::Warn, &words::outside(&line, words::LONG)));
        text.push('\n');
    };
    if !cycle.missing.is_empty() {
        let missing: Vec<String> = cycle.missing.iter().map(ToString::to_string).collect();
        warn(format!(
            "listed as managed, but not known to Cloudflare: {}",
            missing.join(", ")
        ));
    }
    if let Some(error) = &cycle.discovery_error {
        warn(format!("the account's prefixes could not be listed: {error}"));
    }
    if let Some(error) = &cycle.traffic_error {
        warn(format!("the traffic could not be read: {error}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon_of(arguments: &[&str]) -> Vec<String> {
        let all = std::iter::once(PROGRAM)
            .chain(arguments.iter().copied())
            .map(OsString::from);
        match asked(all).unwrap() {
            Asked::Daemon(arguments) => arguments.into_iter().map(|one| one.into_string().unwrap()).collect(),
            Asked::Command(command) => panic!("{command:?}"),
        }
    }

    #[test]
    fn the_daemon_is_the_default_and_keeps_its_arguments() {
        command_line().debug_assert();
        let plain = daemon_of(&["--config-dir", "daemon", "--log-level", "debug,hyper=warn"]);
        assert_eq!(
            plain[1..],
            ["--config-dir", "daemon", "--log-level", "debug,hyper=warn"]
        );
        let named = daemon_of(&["--config-dir", "daemon", "daemon", "--log-level", "debug,hyper=warn"]);
        assert_eq!(plain, named);
        assert!(daemon_of(&["--check-config"]).contains(&"--check-config".to_owned()));
        let read = daemon::args::parse_service(daemon::args::service_command(PROGRAM, ABOUT, &[]), plain).unwrap();
        assert_eq!(read.log_level.to_string(), "debug,hyper=warn");
    }

    #[test]
    fn a_command_does_not_log_unless_told() {
        let level = |arguments: &[&str]| {
            let all = std::iter::once(PROGRAM)
                .chain(arguments.iter().copied())
                .map(OsString::from);
            match asked(all).unwrap() {
                Asked::Command(command) => command.cli.common.log_level.to_string(),
                Asked::Daemon(arguments) => panic!("{arguments:?}"),
            }
        };
        assert_eq!(level(&["status"]), "off");
        assert_eq!(level(&["status", "--log-level", "info"]), "info");
    }
}
