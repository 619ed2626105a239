//! The command line of `cloudflare-sim`: serving, and small verbs against one that is running.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};

use crate::{Scenario, Sim, SimConfig, WebhookTarget};

/// A simulated Cloudflare and Telegram with scenarios and faults.
#[derive(Debug, Parser)]
#[command(name = "cloudflare-sim", version)]
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
    },
    /// List the embedded scenarios.
    Scenarios,
}

#[derive(Debug, Args)]
struct At {
    /// Address of a running simulator.
    #[arg(long, default_value = "http://127.0.0.1:8090", env = "CLOUDFLARE_SIM_URL")]
    url: String,
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
                [] => ask(&at, "GET", "faults", None).await,
                ["clear"] => ask(&at, "DELETE", "faults", None).await,
                ["clear", id] => ask(&at, "DELETE", &format!("faults/{id}"), None).await,
                [text] => {
                    let spec: Value = serde_json::from_str(text).context("the fault is not JSON")?;
                    ask(&at, "POST", "faults", Some(spec)).await
                }
                _ => bail!("give one fault in JSON, `clear`, `clear ID`, or nothing"),
            }
        }
        Some(Verb::Log { at, since }) => ask(&at, "GET", &format!("requests?since={since}"), None).await,
        Some(Verb::State { at }) => ask(&at, "GET", "state", None).await,
        Some(Verb::Messages { at }) => ask(&at, "GET", "telegram/messages", None).await,
        Some(Verb::Run { at, scenario, factor }) => {
            let mut body = if Scenario::names().contains(&scenario.as_str()) {
                json!({"name": scenario})
            } else {
                let text = std::fs::read_to_string(&scenario).with_context(|| format!("cannot read {scenario}"))?;
                json!({"toml": text})
            };
            if let Some(factor) = factor {
                body["factor"] = json!(factor);
            }
            ask(&at, "POST", "scenario", Some(body)).await
        }
        Some(Verb::Scenarios) => {
            for name in Scenario::names() {
                say(&format!("{name}: {}", Scenario::named(name)?.description));
            }
            Ok(())
        }
    }
}

/// A reader that closes the pipe is no error.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

async fn ask(at: &At, method: &str, path: &str, body: Option<Value>) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()?;
    let url = format!("{}/_sim/{path}", at.url.trim_end_matches('/'));
    let mut request = client.request(method.parse()?, &url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request
        .send()
        .await
        .with_context(|| format!("no simulator at {}", at.url))?;
    let status = answer.status();
    let value: Value = answer.json().await.context("the answer is not JSON")?;
    say(&serde_json::to_string_pretty(&value)?);
    if !status.is_success() {
        bail!("the simulator refused it");
    }
    Ok(())
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
    let scenario = match &options.scenario {
        Some(name) if Scenario::names().contains(&name.as_str()) => Some(Scenario::named(name)?),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
            Some(Scenario::parse(&text).with_context(|| format!("{path} cannot be used"))?)
        }
        None => None,
    };
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
