//! However many pages are open, Cloudflare is asked as often as for one.

use std::time::Duration;

use db::sessions::{self, NewSession};
use db::users::{self, Role};
use db::{Db, OpenOptions, holds};
use domain::time::plus;
use jiff::Timestamp;
use reqwest::{Client, Response};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use testkit::{Pace, Program, Site};

/// Longest a page waits for what it was promised.
const LIMIT: Duration = Duration::from_secs(120);

/// How often everything that is open brings itself up to date.
const REFRESHES: usize = 2;

/// An open page: its stream, and what a reader's browser fetches.
struct Tab {
    client: Client,
    base: String,
    stream: Response,
    heard: String,
}

impl Tab {
    async fn open(client: Client, base: String) -> Self {
        let mut tab = Self {
            stream: get(&client, &format!("{base}/api/live")).await,
            heard: String::new(),
            client,
            base,
        };
        tab.fetch("/traffic").await;
        tab.fetch("/api/network-flow").await;
        tab.fetch("/").await;
        tab
    }

    async fn fetch(&mut self, path: &str) {
        let answer = get(&self.client, &format!("{}{path}", self.base)).await;
        answer.bytes().await.unwrap();
    }

    /// Is told of a version after this one, and fetches the page anew as its script does.
    async fn refresh(mut self, after: u64) -> Self {
        while self.version() <= after {
            let bytes = self.stream.chunk().await.unwrap().expect("the stream goes on");
            self.heard.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        self.fetch("/").await;
        self
    }

    /// The newest version that it was told of.
    fn version(&self) -> u64 {
        let events = self
            .heard
            .split("\n\n")
            .filter(|event| event.contains("event: overview"));
        let data = events.filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")));
        let versions = data.filter_map(|data| serde_json::from_str::<Value>(data).ok()?["version"].as_u64());
        versions.max().unwrap_or_default()
    }
}

async fn get(client: &Client, url: &str) -> Response {
    let answer = client.get(url).header("cookie", format!("magic-transit={}", token()));
    let answer = answer.send().await.unwrap();
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer
}

fn token() -> String {
    hex::encode(Sha256::digest("many tabs"))
}

/// Calls to Cloudflare that a dashboard makes from its start on, with so many open pages and [`REFRESHES`] refreshes.
async fn calls_with(tabs: usize) -> Vec<String> {
    let site = Site::new(Pace::fast()).await;
    let _dashboard = site.start(Program::Dashboard).await;
    let db = Db::open(site.database(), OpenOptions::default()).unwrap();
    let now = Timestamp::now();
    let signed_in = db.write("sign in", move |tx| {
        let user_id = users::add(tx, "ana", "*", Role::Viewer, false, now)?;
        let session = NewSession {
            token_hash: &hex::encode(Sha256::digest(token())),
            user_id,
            csrf: "none",
            expires_at: plus(now, Duration::from_secs(3_600)),
            address: "127.0.0.1",
            agent: "test",
        };
        sessions::open(tx, &session, now)
    });
    signed_in.await.unwrap();
    let base = format!("http://{}", site.listen(Program::Dashboard));
    let client = Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
    let opening: Vec<_> = (0..tabs)
        .map(|_| tokio::spawn(Tab::open(client.clone(), base.clone())))
        .collect();
    let mut open = Vec::with_capacity(tabs);
    for tab in opening {
        open.push(tab.await.unwrap());
    }
    for refresh in 0..REFRESHES {
        let situation: Value = get(&client, &format!("{base}/api/overview"))
            .await
            .json()
            .await
            .unwrap();
        let version = situation["version"].as_u64().unwrap();
        let (now, reason) = (Timestamp::now(), format!("refresh {refresh}"));
        let commit = db.write("commit", move |tx| holds::set(tx, None, "otto", &reason, None, now));
        commit.await.unwrap();
        let refreshing: Vec<_> = open.into_iter().map(|tab| tokio::spawn(tab.refresh(version))).collect();
        open = Vec::with_capacity(tabs);
        for tab in refreshing {
            open.push(tab.await.unwrap());
        }
    }
    let calls = site.sim.requests_since(0);
    calls
        .into_iter()
        .filter(|call| call.surface == "rest" || call.surface == "graphql")
        .map(|call| format!("{} {}", call.method, call.path))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_open_pages_cost_as_many_calls_as_one() {
    let one = calls_with(1).await;
    assert!(!one.is_empty(), "somebody looks at what is read from Cloudflare");
    let many = calls_with(200).await;
    assert_eq!(many, one);
}
