//! Whether the operator's own route is there to take the traffic (rule 9).
//!
//! Checks run beside the cycles, which never wait for them: a cycle takes the last result, and what
//! no check has proven is not proven.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use cf_api::Transport;
use daemon::SharedClock;
use domain::decision::DirectRoute;
use domain::prefix::Prefix;
use domain::time::since;
use futures_util::FutureExt;
use jiff::Timestamp;
use settings::AutoWithdraw;
use tokio::task::JoinHandle;

/// A good check is repeated when it is this old, well before it expires for the decision.
const REPEAT_AFTER: Duration = Duration::from_secs(120);

/// Checks at the same time.
const CONCURRENT: usize = 8;

/// What our service manager tells us is not for the programs of a check.
const NOT_FOR_CHILDREN: [&str; 4] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "CREDENTIALS_DIRECTORY",
];

/// A check that was begun at an instant, and how it went.
type Outcome = (Timestamp, Result<(), String>);

/// Results of the checks the operator stated.
#[derive(Debug)]
pub struct RouteChecks {
    transport: Transport,
    clock: SharedClock,
    last_good: BTreeMap<Prefix, Timestamp>,
    last_bad: BTreeMap<Prefix, String>,
    running: BTreeMap<Prefix, JoinHandle<Outcome>>,
}

impl RouteChecks {
    /// Nothing checked yet.
    pub fn new(transport: Transport, clock: SharedClock) -> Self {
        Self {
            transport,
            clock,
            last_good: BTreeMap::new(),
            last_bad: BTreeMap::new(),
            running: BTreeMap::new(),
        }
    }

    /// The route of `prefix` as stated; begins its check when the last good one is getting old.
    pub fn of(&mut self, prefix: Prefix, settings: &AutoWithdraw) -> DirectRoute {
        let stated = match settings.direct_route(prefix) {
            None => return DirectRoute::NotDeclared,
            Some(settings::DirectRoute::AlwaysAnnounced) => return DirectRoute::AlwaysAnnounced,
            Some(stated) => stated,
        };
        self.take_finished();
        let now = self.clock.now();
        let good = self.last_good.get(&prefix).copied();
        let is_fresh = good.is_some_and(|at| at <= now && since(now, at) < REPEAT_AFTER);
        if !is_fresh && !self.running.contains_key(&prefix) && self.running.len() < CONCURRENT {
            let check = check(self.transport.clone(), stated.clone(), prefix);
            let begun = async move { (now, check.await) };
            self.running.insert(prefix, tokio::spawn(begun));
        }
        match (good, self.last_bad.get(&prefix)) {
            (Some(at), _) => DirectRoute::Checked { at },
            (None, Some(reason)) => DirectRoute::NotProven { reason: reason.clone() },
            (None, None) => DirectRoute::NotProven {
                reason: "its first check is under way".into(),
            },
        }
    }

    fn take_finished(&mut self) {
        let finished: Vec<Prefix> = self
            .running
            .iter()
            .filter(|(_, task)| task.is_finished())
            .map(|(prefix, _)| *prefix)
            .collect();
        for prefix in finished {
            let Some(task) = self.running.remove(&prefix) else {
                continue;
            };
            match task.now_or_never() {
                Some(Ok((begun_at, Ok(())))) => {
                    self.last_good.insert(prefix, begun_at);
                    self.last_bad.remove(&prefix);
                }
                // A check that failed now outweighs one that was good two minutes ago.
                Some(Ok((_, Err(reason)))) => self.failed(prefix, reason),
                Some(Err(error)) => self.failed(prefix, format!("its check broke down: {error}")),
                None => self.failed(prefix, "its check was lost".into()),
            }
        }
    }

    fn failed(&mut self, prefix: Prefix, reason: String) {
        if self.last_bad.get(&prefix) != Some(&reason) {
            tracing::warn!(event = "direct_route.not_proven", prefix = %prefix, reason);
        }
        self.last_good.remove(&prefix);
        self.last_bad.insert(prefix, reason);
    }
}

impl Drop for RouteChecks {
    fn drop(&mut self) {
        for task in self.running.values() {
            task.abort();
        }
    }
}

async fn check(transport: Transport, stated: settings::DirectRoute, prefix: Prefix) -> Result<(), String> {
    match stated {
        settings::DirectRoute::Url { url, timeout } => fetch(&transport, &url, timeout).await,
        settings::DirectRoute::Command { argv, timeout } => run(&argv, prefix, timeout).await,
        settings::DirectRoute::AlwaysAnnounced => Ok(()),
    }
}

async fn fetch(transport: &Transport, url: &str, timeout: Duration) -> Result<(), String> {
    let client = transport.client().map_err(|error| error.to_string())?;
    let answer = client
        .get(url)
        .timeout(timeout)
        .send()
        .await
        .map_err(|error| format!("its check could not be fetched: {}", error.without_url()))?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(format!("its check answered HTTP {}", answer.status().as_u16()))
    }
}

async fn run(argv: &[String], prefix: Prefix, timeout: Duration) -> Result<(), String> {
    let [program, arguments @ ..] = argv else {
        return Err("its check names no program".into());
    };
    let mut command = tokio::process::Command::new(program);
    for name in NOT_FOR_CHILDREN {
        command.env_remove(name);
    }
    let mut child = command
        .args(arguments)
        .env("PREFIX", prefix.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("its check could not be started: {error}"))?;
    match tokio::time::timeout(timeout, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("its check ended with {status}")),
        Ok(Err(error)) => Err(format!("its check could not be awaited: {error}")),
        Err(_) => Err(format!("its check took longer than {} s", timeout.as_secs_f64())),
    }
}
