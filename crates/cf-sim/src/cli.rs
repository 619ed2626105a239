//! The command line of `cloudflare-sim`: serving, and small verbs against one that is running.
//!
//! Exit codes: 0 done, 1 failed or an expectation does not hold, 2 wrong arguments.

mod client;
mod view;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};

use crate::{Scenario, Sim, SimConfig, WebhookTarget, rehearsal_config, rehearse};
use client::{At, ask, finished, follow, print};

/// A simulated Cloudflare and Telegram with scenarios and faults.
#[derive(Debug, Parser)]
#[command(
    name = "cloudflare-sim",
    version,
    after_help = "\
Examples:
  cloudflare-sim serve --scenario demo --factor 20 --webhook-url http://127.0.0.1:8080/webhook/cloudflare
  cloudflare-sim run re-attack --factor 60 --wait   # until it is over; exit code 1 when it did not go as it says
  cloudflare-sim step 5m                            # five minutes of the scenario, then stand still
  cloudflare-sim pause; cloudflare-sim resume
  cloudflare-sim speed 120                          # two minutes of the scenario a second
  cloudflare-sim fault '{\"target\":\"graphql\",\"kind\":\"hang\",\"count\":1}'
  cloudflare-sim log --lines --follow               # requests as they come
  cloudflare-sim assert                             # whether what the scenario says of itself holds so far
  cloudflare-sim assert '{\"that\":\"prefix\",\"cidr\":\"203.0.113.0/24\",\"advertised\":false}'
  cloudflare-sim watch                              # prefixes, attacks, messages, requests on one screen
  cloudflare-sim rehearse carpet-bombing --seed 7   # the whole scenario in no time, without a simulator

Exit codes: 0 done, 1 failed or an expectation does not hold, 2 wrong arguments"
)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve until interrupted (the default).
    Serve(Box<Serve>),
    /// Set a fault (JSON), list faults (nothing), or clear them (`clear`, or `clear ID`).
    Fault {
        #[command(flatten)]
        at: At,
        /// `{"target":"graphql","kind":"hang","count":1}`, `clear`, or nothing.
        words: Vec<String>,
    },
    /// Show requests.
    Log {
        #[command(flatten)]
        at: At,
        /// Only those after this sequence number.
        #[arg(long, default_value_t = 0)]
        since: u64,
        /// A line each instead of JSON.
        #[arg(long)]
        lines: bool,
        /// Go on showing new ones, a line each, until interrupted.
        #[arg(long, short)]
        follow: bool,
    },
    /// Show the state.
    State {
        #[command(flatten)]
        at: At,
    },
    /// Show Telegram messages.
    Messages {
        #[command(flatten)]
        at: At,
    },
    /// Run a scenario: an embedded name or a file.
    Run {
        #[command(flatten)]
        at: At,
        /// Name or path.
        scenario: String,
        /// Divides its durations.
        #[arg(long)]
        factor: Option<f64>,
        /// Wait until it is over, and then ask whether it went as it says.
        #[arg(long)]
        wait: bool,
    },
    /// Let the scenario go on for so much of its own time, and then stand still.
    Step {
        #[command(flatten)]
        at: At,
        /// Scenario time, such as 30s or 5m.
        #[arg(value_parser = crate::config::duration_text::parse)]
        length: std::time::Duration,
    },
    /// Let the scenario stand still. Requests are answered all the same, and waiting times go on.
    Pause {
        #[command(flatten)]
        at: At,
    },
    /// Let the scenario go on.
    Resume {
        #[command(flatten)]
        at: At,
    },
    /// Change how many times faster than life the scenario and the simulator's delays are.
    Speed {
        #[command(flatten)]
        at: At,
        /// 1 is real time.
        factor: f64,
    },
    /// End the scenario; its rows and prefixes stay.
    Stop {
        #[command(flatten)]
        at: At,
    },
    /// Ask whether facts hold: those that the scenario says of itself, or those given in JSON as in scenario files.
    Assert {
        #[command(flatten)]
        at: At,
        /// `{"that":"alerts","type":"fbm_volumetric_attack","exactly":2}`; as many as you like.
        facts: Vec<String>,
    },
    /// Show what is going on, on one screen that is drawn again every second.
    Watch {
        #[command(flatten)]
        at: At,
        /// Draw it once and leave.
        #[arg(long)]
        once: bool,
    },
    /// Run a scenario in no time, without a simulator, and ask whether it goes as it says.
    Rehearse {
        /// Name or path.
        scenario: String,
        /// Seed of ids and chances.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Show everything that happens.
        #[arg(long, short)]
        journal: bool,
    },
    /// List the embedded scenarios.
    Scenarios,
}

#[derive(Debug, Args)]
struct Serve {
    /// Settings in TOML; the options below override it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8090].
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Divides scenario durations and delays.
    #[arg(long)]
    factor: Option<f64>,
    /// Where alerts are sent.
    #[arg(long)]
    webhook_url: Option<String>,
    /// Secret sent with every alert.
    #[arg(long, requires = "webhook_url")]
    webhook_secret: Option<String>,
    /// Scenario to run at once: an embedded name or a file.
    #[arg(long)]
    scenario: Option<String>,
    /// Seed of ids and chances.
    #[arg(long)]
    seed: Option<u64>,
    /// The account.
    #[arg(long)]
    account_id: Option<String>,
    /// The API token.
    #[arg(long)]
    api_token: Option<String>,
    /// The Telegram bot token.
    #[arg(long)]
    bot_token: Option<String>,
    /// The Telegram chat.
    #[arg(long, allow_hyphen_values = true)]
    chat_id: Option<i64>,
}

/// Runs the command line of this process; what kept it from doing what was asked is printed once, as a chain.
pub async fn run() -> ExitCode {
    match obey().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "cloudflare-sim: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

async fn obey() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.verb {
        None => serve(cli.serve).await,
        Some(Verb::Serve(options)) => serve(*options).await,
        Some(Verb::Fault { at, words }) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            match words.as_slice() {
                [] => print(&at, "GET", "faults", None).await,
                ["clear"] => print(&at, "DELETE", "faults", None).await,
                ["clear", id] => print(&at, "DELETE", &format!("faults/{id}"), None).await,
                [text] => {
                    let spec: Value = serde_json::from_str(text).context("the fault is not JSON")?;
                    print(&at, "POST", "faults", Some(spec)).await
                }
                _ => bail!("give one fault in JSON, `clear`, `clear ID`, or nothing"),
            }
        }
        Some(Verb::Log {
            at,
            since,
            lines,
            follow: goes_on,
        }) => {
            if lines || goes_on {
                return follow(&at, since, goes_on).await;
            }
            print(&at, "GET", &format!("requests?since={since}"), None).await
        }
        Some(Verb::State { at }) => print(&at, "GET", "state", None).await,
        Some(Verb::Messages { at }) => print(&at, "GET", "telegram/messages", None).await,
        Some(Verb::Run {
            at,
            scenario,
            factor,
            wait,
        }) => {
            let mut body = if Scenario::names().contains(&scenario.as_str()) {
                json!({"name": scenario})
            } else {
                let text = std::fs::read_to_string(&scenario).with_context(|| format!("cannot read {scenario}"))?;
                json!({"toml": text})
            };
            if let Some(factor) = factor {
                body["factor"] = json!(factor);
            }
            print(&at, "POST", "scenario", Some(body)).await?;
            if wait {
                finished(&at).await?;
                facts(ask(&at, "GET", "assert", None).await?)?;
            }
            Ok(())
        }
        Some(Verb::Step { at, length }) => {
            let body = json!({"seconds": length.as_secs_f64()});
            print(&at, "POST", "scenario/step", Some(body)).await
        }
        Some(Verb::Pause { at }) => print(&at, "POST", "scenario/pause", None).await,
        Some(Verb::Resume { at }) => print(&at, "POST", "scenario/resume", None).await,
        Some(Verb::Speed { at, factor }) => print(&at, "POST", "scenario/speed", Some(json!({"factor": factor}))).await,
        Some(Verb::Stop { at }) => print(&at, "DELETE", "scenario", None).await,
        Some(Verb::Assert { at, facts: given }) => {
            let answer = if given.is_empty() {
                ask(&at, "GET", "assert", None).await?
            } else {
                let all: Result<Vec<Value>, _> = given.iter().map(|fact| serde_json::from_str(fact)).collect();
                let all = all.context("a fact is not JSON")?;
                ask(&at, "POST", "assert", Some(json!(all))).await?
            };
            facts(answer)
        }
        Some(Verb::Watch { at, once }) => view::watch(&at, once).await,
        Some(Verb::Rehearse {
            scenario,
            seed,
            journal,
        }) => {
            let scenario = named_or_file(&scenario)?;
            let config = SimConfig {
                seed,
                ..rehearsal_config(&scenario)
            };
            let run = rehearse(&scenario, config)?;
            if journal {
                for entry in &run.journal {
                    say(&format!("{} {}", view::clock(entry.at_s), entry.text));
                }
            }
            let rows = run.rows.len();
            say(&format!(
                "{}: {} alerts, {rows} rows of analytics, {} entries in the journal",
                scenario.name,
                run.alerts.len(),
                run.journal.len()
            ));
            facts(serde_json::to_value(&run.findings)?)
        }
        Some(Verb::Scenarios) => {
            for name in Scenario::names() {
                say(&format!("{name}: {}", Scenario::named(name)?.description));
            }
            Ok(())
        }
    }
}

/// A line for each fact; an error when one does not hold.
fn facts(findings: Value) -> anyhow::Result<()> {
    let all = findings.as_array().cloned().unwrap_or_default();
    let wrong = all.iter().filter(|finding| finding["holds"] != true).count();
    for finding in &all {
        let word = if finding["holds"] == true { "ok   " } else { "WRONG" };
        say(&format!("{word} {}", finding["text"].as_str().unwrap_or_default()));
    }
    match (all.len(), wrong) {
        (0, _) => bail!("there is nothing to ask: no scenario has run, or it says nothing of itself"),
        (_, 0) => Ok(()),
        (all, wrong) => bail!("{wrong} of {all} do not hold"),
    }
}

/// A reader that closes the pipe is no error.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn named_or_file(name: &str) -> anyhow::Result<Scenario> {
    if Scenario::names().contains(&name) {
        return Ok(Scenario::named(name)?);
    }
    let text = std::fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?;
    Scenario::parse(&text).with_context(|| format!("{name} cannot be used"))
}

async fn serve(options: Serve) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_max_level(tracing::Level::INFO)
        .init();
    let mut config = match &options.config {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            toml::from_str(&text).with_context(|| format!("{} is not a configuration", path.display()))?
        }
        None => SimConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 8090)),
            ..SimConfig::default()
        },
    };
    config.listen = options.listen.unwrap_or(config.listen);
    config.factor = options.factor.unwrap_or(config.factor);
    config.seed = options.seed.unwrap_or(config.seed);
    config.account_id = options.account_id.unwrap_or(config.account_id);
    config.api_token = options.api_token.unwrap_or(config.api_token);
    config.bot_token = options.bot_token.unwrap_or(config.bot_token);
    config.chat_id = options.chat_id.unwrap_or(config.chat_id);
    if let Some(url) = options.webhook_url {
        config.webhook = Some(WebhookTarget {
            url,
            secret: options.webhook_secret,
        });
    }
    let scenario = options.scenario.as_deref().map(named_or_file).transpose()?;
    let sim = Sim::start(config).await?;
    say(&format!(
        "cloudflare-sim ready api={} telegram={} control={} factor={}",
        sim.api_base_url(),
        sim.telegram_url(),
        sim.control_url(),
        sim.config().factor
    ));
    if let Some(scenario) = scenario {
        sim.run_scenario(scenario)?;
    }
    interrupted().await?;
    sim.shutdown().await;
    Ok(())
}

/// Ctrl-C or SIGTERM.
async fn interrupted() -> std::io::Result<()> {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = term.recv() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_is_consistent_and_shows_every_verb_by_example() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        let help = command.render_long_help().to_string();
        for verb in [
            "run", "step", "pause", "resume", "speed", "fault", "log", "assert", "watch", "rehearse",
        ] {
            assert!(help.contains(&format!("cloudflare-sim {verb}")), "{verb}\n{help}");
        }
    }

    #[test]
    fn facts_that_do_not_hold_are_a_failure() {
        let fact = |holds: bool| json!({"holds": holds, "text": "x: 1 (wanted: 2)"});
        assert!(facts(json!([fact(true)])).is_ok());
        assert!(facts(json!([fact(true), fact(false)])).is_err());
        assert!(facts(json!([])).is_err(), "nothing asked is nothing known");
    }
}
