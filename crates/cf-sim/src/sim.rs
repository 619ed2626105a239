//! The running simulator and its in-process handles.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::bindings::BindingSpec;
use crate::config::{SimConfig, WebhookTarget};
use crate::faults::{FaultSpec, FaultStatus};
use crate::prefixes::{PrefixChange, PrefixState};
use crate::request_log::RequestEntry;
use crate::scenario::alerts;
use crate::scenario::file::{Scenario, ScenarioError};
use crate::scenario::run::{Due, Running, ScenarioStatus};
use crate::telegram::chats::SentMessage;
use crate::traffic::RowSpec;
use crate::webhooks::{self, Delivery};
use crate::world::{StateView, World};

/// How often the scenario looks at the time.
const TICK: Duration = Duration::from_millis(50);
/// Batches of alerts under way at a time.
const MOST_BATCHES: usize = 256;

/// A simulator could not start or does not accept what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// As asked.
        address: SocketAddr,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The HTTP client of the webhook sender could not be made.
    #[error("no HTTP client")]
    Client(#[from] reqwest::Error),
    /// A value that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A scenario that cannot be used.
    #[error("scenario refused")]
    Scenario(#[from] ScenarioError),
}

struct Listening {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// A running simulator. Dropping it stops it.
pub struct Sim {
    world: Arc<World>,
    addr: SocketAddr,
    listening: Mutex<Option<Listening>>,
    stop: watch::Sender<bool>,
    ticker: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Sim {
    /// Binds and serves.
    ///
    /// # Errors
    /// The address is taken, or the factor is not a positive number.
    pub async fn start(config: SimConfig) -> Result<Self, SimError> {
        if !(config.factor.is_finite() && config.factor > 0.0 && config.factor <= 1e6) {
            return Err(SimError::Invalid(format!(
                "factor must be above 0 and at most a million, not {}",
                config.factor
            )));
        }
        if config.sample_interval == 0 {
            return Err(SimError::Invalid("sample_interval must be at least 1".to_owned()));
        }
        let address = config.listen;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| SimError::Listen { address, source })?;
        let addr = listener
            .local_addr()
            .map_err(|source| SimError::Listen { address, source })?;
        // A proxy from the environment would lead alerts for loopback astray.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let world = Arc::new(World::new(config, http, Timestamp::now()));
        let (stop, stopped) = watch::channel(false);
        let ticker = tokio::spawn(tick(Arc::clone(&world), stopped));
        let sim = Self {
            world,
            addr,
            listening: Mutex::new(None),
            stop,
            ticker: Mutex::new(Some(ticker)),
        };
        sim.listen(listener);
        Ok(sim)
    }

    fn listen(&self, listener: TcpListener) {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(crate::server::serve(listener, Arc::clone(&self.world), stopped));
        *self.listening.lock().unwrap_or_else(PoisonError::into_inner) = Some(Listening { stop, task });
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Base of the REST API; GraphQL is `graphql` below it.
    #[must_use]
    pub fn api_base_url(&self) -> String {
        format!("http://{}/client/v4", self.addr)
    }

    /// The GraphQL endpoint.
    #[must_use]
    pub fn graphql_url(&self) -> String {
        format!("http://{}/client/v4/graphql", self.addr)
    }

    /// Base of the Bot API; calls go to `/bot<TOKEN>/<method>` below it.
    #[must_use]
    pub fn telegram_url(&self) -> String {
        format!("http://{}/telegram", self.addr)
    }

    /// Base of the control API.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}/_sim", self.addr)
    }

    /// What it was started with.
    #[must_use]
    pub fn config(&self) -> &SimConfig {
        &self.world.config
    }

    /// Everything at a glance.
    #[must_use]
    pub fn state(&self) -> StateView {
        self.world.view()
    }

    /// The networks that can be advertised.
    #[must_use]
    pub fn prefixes(&self) -> Vec<PrefixState> {
        self.world.lock().prefixes.views(Timestamp::now())
    }

    /// One network; `None` when it does not exist.
    #[must_use]
    pub fn prefix(&self, cidr: &str) -> Option<PrefixState> {
        let cidr: IpNet = cidr.parse().ok()?;
        self.prefixes().into_iter().find(|p| p.cidr == cidr.trunc())
    }

    /// A change by somebody else. False when the network does not exist.
    pub fn change_prefix(&self, cidr: &str, change: &PrefixChange) -> bool {
        cidr.parse::<IpNet>()
            .is_ok_and(|cidr| self.world.lock().prefixes.change(cidr, change, Timestamp::now()))
    }

    /// Advertises or withdraws from outside, as somebody in the dashboard would. False when the network does not exist.
    pub fn set_advertised(&self, cidr: &str, advertised: bool) -> bool {
        self.change_prefix(
            cidr,
            &PrefixChange {
                advertised: Some(advertised),
                ..PrefixChange::default()
            },
        )
    }

    /// Somebody else binds a network to a service. False when no onboarded prefix contains it.
    pub fn change_binding(&self, spec: &BindingSpec) -> bool {
        self.world.lock().bindings.change(spec)
    }

    /// Sets a fault and answers its id. A bad regular expression in `path` is logged and never matches (empty id).
    pub fn set_fault(&self, fault: FaultSpec) -> String {
        self.try_set_fault(fault).unwrap_or_else(|problem| {
            tracing::warn!(event = "sim.fault.refused", %problem);
            String::new()
        })
    }

    /// Sets a fault and answers its id.
    ///
    /// # Errors
    /// `path` is not a regular expression, or there are too many faults.
    pub fn try_set_fault(&self, fault: FaultSpec) -> Result<String, SimError> {
        self.world
            .lock()
            .faults
            .add(fault, Timestamp::now())
            .map_err(SimError::Invalid)
    }

    /// Clears one fault. False when it does not exist.
    pub fn clear_fault(&self, id: &str) -> bool {
        self.world.lock().faults.remove(id)
    }

    /// Clears all faults. Requests that hang already keep hanging.
    pub fn clear_faults(&self) {
        self.world.lock().faults.clear();
    }

    /// All faults with their use counts.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.world.lock().faults.list(Timestamp::now())
    }

    /// Starts a scenario with the factor in force; a running one is replaced.
    ///
    /// # Errors
    /// The scenario contradicts itself.
    pub fn run_scenario(&self, scenario: Scenario) -> Result<(), SimError> {
        start_scenario(&self.world, scenario, None)
    }

    /// Starts a scenario from TOML text.
    ///
    /// # Errors
    /// The text is no valid scenario.
    pub fn run_scenario_toml(&self, toml: &str) -> Result<(), SimError> {
        self.run_scenario(Scenario::parse(toml)?)
    }

    /// Stops the scenario; its rows and prefixes stay.
    pub fn stop_scenario(&self) {
        if let Some(running) = &mut self.world.lock().scenario {
            running.stop();
        }
    }

    /// The scenario last started.
    #[must_use]
    pub fn scenario(&self) -> Option<ScenarioStatus> {
        self.world.lock().scenario.as_ref().map(|s| s.status(Timestamp::now()))
    }

    /// Puts rows into the analytics.
    pub fn add_rows(&self, rows: impl IntoIterator<Item = RowSpec>) {
        let now = Timestamp::now();
        let mut state = self.world.lock();
        for row in rows {
            state.traffic.insert(row, now);
        }
    }

    /// Sets the ingest delay from now on (real time, not divided).
    pub fn set_ingest_delay(&self, delay: Duration, jitter: Duration) {
        self.world.lock().traffic.set_delays(delay, jitter);
    }

    /// Requests with a sequence number above `seq`.
    #[must_use]
    pub fn requests_since(&self, seq: u64) -> Vec<RequestEntry> {
        self.world.lock().log.since(seq)
    }

    /// All Telegram messages kept, oldest first, with their edits.
    #[must_use]
    pub fn messages(&self) -> Vec<SentMessage> {
        self.world.lock().chats.messages()
    }

    /// Queues an update for getUpdates and answers its id.
    pub fn push_telegram_update(&self, update: Value) -> i64 {
        let id = self.world.lock().chats.push_update(update);
        self.world.wake.notify_waiters();
        id
    }

    /// Callback queries that were answered: `callback_query_id` and `text`.
    #[must_use]
    pub fn callback_answers(&self) -> Vec<Value> {
        self.world.lock().chats.answers()
    }

    /// Alerts go here from now on.
    pub fn set_webhook_target(&self, url: &str, secret: Option<&str>) {
        let target = WebhookTarget {
            url: url.to_owned(),
            secret: secret.map(str::to_owned),
        };
        self.world.lock().webhook = Some(target);
    }

    /// Alerts go nowhere from now on.
    pub fn clear_webhook_target(&self) {
        self.world.lock().webhook = None;
    }

    /// Webhooks sent, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.world.lock().deliveries.iter().cloned().collect()
    }

    /// Sends this body as an alert and waits for the outcome.
    pub async fn send_webhook(&self, body: &Value) -> Delivery {
        webhooks::send(&self.world, body).await
    }

    /// Sends any text (broken JSON, say) and waits for the outcome. It does not enter the notification history.
    pub async fn send_raw_webhook(&self, body: &str) -> Delivery {
        webhooks::send_raw(&self.world, body.to_owned()).await
    }

    /// Adds an entry to the notification history, in the API's form. What it leaves out is as for an alert that was just
    /// sent to the receiver; null is kept.
    pub fn add_history(&self, entry: &Value) {
        webhooks::add_to_history(&mut self.world.lock(), entry);
    }

    /// A body by template name (see [`Sim::alert_templates`]) with fields of `data` and of the envelope replaced; null removes a field.
    ///
    /// # Errors
    /// No such template.
    pub fn alert(&self, template: &str, data: Option<&Value>, envelope: Option<&Value>) -> Result<Value, SimError> {
        alert_body(&self.world, template, data, envelope)
    }

    /// Names of the alert templates.
    #[must_use]
    pub fn alert_templates() -> &'static [&'static str] {
        &alerts::TEMPLATES
    }

    /// Waits until the state is as wanted; false when `limit` passed first.
    pub async fn wait_for(&self, limit: Duration, wanted: impl Fn(&StateView) -> bool) -> bool {
        self.wait_until(limit, || wanted(&self.state())).await
    }

    /// Waits until something holds; false when `limit` passed first.
    pub async fn wait_until(&self, limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            if holds() {
                return true;
            }
            if tokio::time::Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Really closes the port (connections are refused by the system) until [`Sim::resume_listening`].
    pub async fn stop_listening(&self) {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listening) = listening {
            let _ = listening.stop.send(true);
            let _ = listening.task.await;
        }
    }

    /// Listens on the same port again.
    ///
    /// # Errors
    /// Somebody else took the port.
    pub async fn resume_listening(&self) -> Result<(), SimError> {
        self.stop_listening().await;
        let address = self.addr;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| SimError::Listen { address, source })?;
        self.listen(listener);
        Ok(())
    }

    /// Stops everything and waits for it.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        self.stop_listening().await;
        let ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ticker) = ticker {
            let _ = ticker.await;
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(listening) = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = listening.stop.send(true);
        }
    }
}

pub(crate) fn start_scenario(world: &World, scenario: Scenario, factor: Option<f64>) -> Result<(), SimError> {
    scenario
        .check()
        .map_err(|e| SimError::Scenario(ScenarioError::Invalid(e)))?;
    let other = factor;
    let factor = factor.unwrap_or_else(|| world.lock().factor);
    if !(factor.is_finite() && factor > 0.0 && factor <= 1e6) {
        return Err(SimError::Invalid(format!(
            "factor must be above 0 and at most a million, not {factor}"
        )));
    }
    if let Some(other) = other {
        world.set_factor(other);
    }
    let now = Timestamp::now();
    tracing::info!(event = "sim.scenario.started", name = %scenario.name, factor);
    let mut state = world.lock();
    let running = Running::new(scenario, factor, world.config.seed, &world.config, now);
    running.apply_initial_state(&mut state, now);
    state.scenario = Some(running);
    Ok(())
}

pub(crate) fn alert_body(
    world: &World,
    template: &str,
    data: Option<&Value>,
    envelope: Option<&Value>,
) -> Result<Value, SimError> {
    let body = alerts::template(template, &world.config, &mut world.lock().dice, Timestamp::now());
    match body {
        Some(body) => Ok(alerts::amend(body, data, envelope)),
        None => Err(SimError::Invalid(format!(
            "no template is called {template}; there are {}",
            alerts::TEMPLATES.join(", ")
        ))),
    }
}

/// Drives the scenario and sends what becomes due. Alerts of one tick go out in their order.
async fn tick(world: Arc<World>, mut stop: watch::Receiver<bool>) {
    let mut sending = JoinSet::new();
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = stop.wait_for(|s| *s) => break,
            Some(_) = sending.join_next(), if !sending.is_empty() => {}
            _ = interval.tick() => {
                let due = {
                    let now = Timestamp::now();
                    let mut state = world.lock();
                    match state.scenario.take() {
                        Some(mut running) => {
                            let due = running.tick(&mut state, &world.config, now);
                            state.scenario = Some(running);
                            due
                        }
                        None => Vec::new(),
                    }
                };
                if !due.is_empty() && sending.len() < MOST_BATCHES {
                    sending.spawn(send_all(Arc::clone(&world), due));
                }
            }
        }
    }
    sending.shutdown().await;
}

async fn send_all(world: Arc<World>, due: Vec<Due>) {
    for alert in due {
        tokio::time::sleep(alert.after).await;
        webhooks::send(&world, &alert.body).await;
    }
}
