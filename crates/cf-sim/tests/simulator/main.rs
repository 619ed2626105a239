//! The simulator over its sockets, as its users meet it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod alerting;
mod connections;
mod control;
mod faults;
mod graphql;
mod library;
mod mnm;
mod onboarding;
mod predecessor;
mod rest;
mod rulesets;
mod scenario;
mod telegram;

use std::time::Duration;

use cf_sim::{Sim, SimConfig};
use serde_json::{Value, json};

/// More than any wait here needs; a wait that comes to it has failed.
const LIMIT: Duration = Duration::from_secs(20);
const PREFIX: &str = "203.0.113.0/24";
const PREFIX_ID: &str = "a0000000000000000000000203000113";
const BGP_ID: &str = "b0000000000000000000000203000113";

/// A simulator and a client with its credentials.
struct Desk {
    sim: Sim,
    http: reqwest::Client,
}

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Desk {
    async fn new() -> Self {
        Self::with(SimConfig::default()).await
    }

    async fn with(config: SimConfig) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
        Self {
            sim: Sim::start(config).await.unwrap(),
            http,
        }
    }

    fn account(&self, path: &str) -> String {
        format!(
            "{}/accounts/{}{path}",
            self.sim.api_base_url(),
            self.sim.config().account_id
        )
    }

    async fn send(&self, method: &str, url: &str, body: Option<Value>) -> reqwest::Result<reqwest::Response> {
        let mut request = self
            .http
            .request(method.parse().unwrap(), url)
            .bearer_auth(&self.sim.config().api_token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await
    }

    async fn rest(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        answer(self.send(method, &self.account(path), body).await.unwrap()).await
    }

    async fn graphql(&self, query: &str, variables: Value) -> Answer {
        let body = json!({"query": query, "variables": variables});
        answer(self.send("POST", &self.sim.graphql_url(), Some(body)).await.unwrap()).await
    }

    async fn bot(&self, method: &str, body: Value) -> Answer {
        let url = format!(
            "{}/bot{}/{method}",
            self.sim.telegram_url(),
            self.sim.config().bot_token
        );
        answer(self.http.post(url).json(&body).send().await.unwrap()).await
    }
}

async fn answer(response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    Answer {
        status,
        headers,
        body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
    }
}
