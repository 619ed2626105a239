//! The control API as the command line asks it.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use super::say;

/// A running simulator answers at once; anything slower is none.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often something that is waited for is looked at.
const EVERY: Duration = Duration::from_millis(300);

/// Which simulator.
#[derive(Debug, Args)]
pub(super) struct At {
    /// Address of a running simulator.
    #[arg(long, default_value = "http://127.0.0.1:8090", env = "CLOUDFLARE_SIM_URL")]
    pub(super) url: String,
}

/// The answer; an error with what the simulator says when it refuses.
pub(super) async fn ask(at: &At, method: &str, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
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
    if !status.is_success() {
        let why = value["error"].as_str().unwrap_or("it does not say why").to_owned();
        bail!("the simulator refuses it: {why}");
    }
    Ok(value)
}

/// Shows the answer.
pub(super) async fn print(at: &At, method: &str, path: &str, body: Option<Value>) -> anyhow::Result<()> {
    let value = ask(at, method, path, body).await?;
    say(&serde_json::to_string_pretty(&value)?);
    Ok(())
}

/// Waits until the scenario is over.
pub(super) async fn finished(at: &At) -> anyhow::Result<()> {
    loop {
        let status = ask(at, "GET", "scenario", None).await?;
        if status.is_null() {
            bail!("no scenario runs");
        }
        if status["finished"] == true {
            return Ok(());
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Requests, a line each; new ones too until interrupted.
pub(super) async fn follow(at: &At, mut since: u64, goes_on: bool) -> anyhow::Result<()> {
    loop {
        let entries = ask(at, "GET", &format!("requests?since={since}"), None).await?;
        for entry in entries.as_array().into_iter().flatten() {
            // One that is under way is shown once it is answered.
            if goes_on && entry["status"].is_null() && entry["faults"].as_array().is_none_or(Vec::is_empty) {
                break;
            }
            since = entry["seq"].as_u64().unwrap_or(since);
            say(&line(entry));
        }
        if !goes_on {
            return Ok(());
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// A request in one line.
pub(super) fn line(entry: &Value) -> String {
    let text = |key: &str| entry[key].as_str().unwrap_or_default();
    let status = entry["status"]
        .as_u64()
        .map_or_else(|| "-".to_owned(), |status| status.to_string());
    let faults: Vec<&str> = entry["faults"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let faults = if faults.is_empty() {
        String::new()
    } else {
        format!(" fault {}", faults.join(","))
    };
    let time = text("at")
        .split(['T', '.'])
        .nth(1)
        .unwrap_or_default()
        .trim_end_matches('Z');
    format!(
        "{:>6} {time} {status:>3} {:<6} {}{faults}",
        entry["seq"],
        text("method"),
        text("path")
    )
}
