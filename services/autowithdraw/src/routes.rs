//! Whether the operator's own route is there to take the traffic (rule 9).

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use cf_api::Transport;
use daemon::SharedClock;
use domain::decision::DirectRoute;
use domain::prefix::Prefix;
use domain::time::since;
use jiff::Timestamp;
use settings::AutoWithdraw;

/// A good check is repeated when it is this old, well before it expires for the decision.
const REPEAT_AFTER: Duration = Duration::from_secs(120);

/// Results of the checks the operator stated.
#[derive(Debug)]
pub struct RouteChecks {
    transport: Transport,
    clock: SharedClock,
    last_good: BTreeMap<Prefix, Timestamp>,
}

impl RouteChecks {
    /// Nothing checked yet.
    pub fn new(transport: Transport, clock: SharedClock) -> Self {
        Self {
            transport,
            clock,
            last_good: BTreeMap::new(),
        }
    }

    /// The route of `prefix` as stated, checked now if the last good check is getting old.
    pub async fn of(&mut self, prefix: Prefix, settings: &AutoWithdraw) -> DirectRoute {
        let stated = match settings.direct_route(prefix) {
            None => return DirectRoute::NotDeclared,
            Some(settings::DirectRoute::AlwaysAnnounced) => return DirectRoute::AlwaysAnnounced,
            Some(stated) => stated,
        };
        let now = self.clock.now();
        if let Some(at) = self.last_good.get(&prefix)
            && since(now, *at) < REPEAT_AFTER
            && *at <= now
        {
            return DirectRoute::Checked { at: *at };
        }
        let outcome = match stated {
            settings::DirectRoute::Url { url, timeout } => self.fetch(url, *timeout).await,
            settings::DirectRoute::Command { argv, timeout } => run(argv, prefix, *timeout).await,
            settings::DirectRoute::AlwaysAnnounced => Ok(()),
        };
        match outcome {
            Ok(()) => {
                let at = self.clock.now();
                self.last_good.insert(prefix, at);
                DirectRoute::Checked { at }
            }
            // A check that failed now outweighs one that was good two minutes ago.
            Err(reason) => {
                self.last_good.remove(&prefix);
                DirectRoute::NotProven { reason }
            }
        }
    }

    async fn fetch(&self, url: &str, timeout: Duration) -> Result<(), String> {
        let client = self.transport.client().map_err(|error| error.to_string())?;
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
}

async fn run(argv: &[String], prefix: Prefix, timeout: Duration) -> Result<(), String> {
    let [program, arguments @ ..] = argv else {
        return Err("its check names no program".into());
    };
    let mut child = tokio::process::Command::new(program)
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
