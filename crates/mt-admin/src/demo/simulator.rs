//! The simulator's control API, as far as the narrator asks it. Its answers are read as JSON: the product shares no type
//! with the simulator.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use settings::Settings;
use tokio::time::Instant;

/// The programs were started together with the narrator.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Everything is on this machine.
const CALL_LIMIT: Duration = Duration::from_secs(10);

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A running simulator.
#[derive(Debug, Clone)]
pub struct Simulator {
    client: reqwest::Client,
    base: String,
}

impl Simulator {
    /// The simulator at `url`.
    pub fn new(client: reqwest::Client, url: &str) -> Self {
        Self {
            client,
            base: format!("{}/_sim", url.trim_end_matches('/')),
        }
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// When there is no readable answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.fetch(&format!("{}/{path}", self.base)).await
    }

    async fn fetch(&self, url: &str) -> anyhow::Result<Value> {
        let answer = self
            .client
            .get(url)
            .timeout(CALL_LIMIT)
            .send()
            .await
            .with_context(|| format!("no answer from {url}"))?;
        answer
            .json()
            .await
            .with_context(|| format!("{url} does not answer in JSON"))
    }

    /// Waits until it listens.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn until_there(&self) -> anyhow::Result<()> {
        let url = format!("{}/health", self.base);
        self.until_answers(&url)
            .await
            .context("the simulator does not come up")
            .map(drop)
    }

    /// Waits until each of the four services says that it works; answers their names and addresses.
    ///
    /// # Errors
    /// Which one does not in time.
    pub async fn until_services_live(&self, settings: &Settings) -> anyhow::Result<Vec<(&'static str, SocketAddr)>> {
        let services = [
            ("webhook receiver", settings.webhook.listen),
            ("analytics monitor", settings.analytics.listen),
            ("automation", settings.autowithdraw.listen),
            ("dashboard", settings.dashboard.listen),
        ];
        for (name, address) in services {
            let url = format!("http://{address}/health");
            let health = self
                .until_answers(&url)
                .await
                .with_context(|| format!("the {name} does not come up"))?;
            if health["status"] == "failing" {
                bail!("the {name} says that it fails: {health}");
            }
        }
        Ok(services.to_vec())
    }

    async fn until_answers(&self, url: &str) -> anyhow::Result<Value> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match self.fetch(url).await {
                Ok(answer) => return Ok(answer),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Starts a scenario; answers how many times faster than life it runs.
    ///
    /// # Errors
    /// When the simulator refuses it.
    pub async fn start(&self, scenario: &str) -> anyhow::Result<f64> {
        let url = format!("{}/scenario", self.base);
        let body = json!({"name": scenario});
        let answer = self
            .client
            .post(&url)
            .timeout(CALL_LIMIT)
            .json(&body)
            .send()
            .await
            .context("no answer from the simulator")?;
        if !answer.status().is_success() {
            bail!(
                "the simulator refuses the scenario {scenario}: {}",
                answer.text().await.unwrap_or_default()
            );
        }
        let state = self.get("state").await?;
        state["factor"]
            .as_f64()
            .context("the simulator does not name its factor")
    }
}
