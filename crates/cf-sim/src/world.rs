//! Everything one simulator knows, behind one lock that is never held across an await.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bindings::BindingTable;
use crate::config::{SimConfig, WebhookTarget};
use crate::faults::FaultRegistry;
use crate::ids::Dice;
use crate::prefixes::{PrefixState, PrefixTable};
use crate::quota::Quota;
use crate::request_log::RequestLog;
use crate::rest::AlertingTable;
use crate::rest::cni::CniTable;
use crate::rest::magic::MagicTable;
use crate::rest::mnm::RuleTable;
use crate::rest::onboarding::OnboardingTable;
use crate::rest::rulesets::RulesetTable;
use crate::scenario::run::{Running, ScenarioStatus};
use crate::telegram::chats::Chats;
use crate::traffic::Traffic;
use crate::webhooks::Delivery;

/// Shared by all connections and tasks.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: SimConfig,
    pub(crate) http: reqwest::Client,
    pub(crate) wake: tokio::sync::Notify,
    state: Mutex<State>,
}

/// What changes while it runs.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) prefixes: PrefixTable,
    pub(crate) bindings: BindingTable,
    pub(crate) faults: FaultRegistry,
    pub(crate) log: RequestLog,
    pub(crate) rest_quota: Quota,
    pub(crate) graphql_quota: Quota,
    pub(crate) chats: Chats,
    pub(crate) traffic: Traffic,
    pub(crate) rules: RuleTable,
    pub(crate) rulesets: RulesetTable,
    pub(crate) magic: MagicTable,
    pub(crate) cni: CniTable,
    pub(crate) alerting: AlertingTable,
    pub(crate) onboarding: OnboardingTable,
    pub(crate) scenario: Option<Running>,
    pub(crate) deliveries: VecDeque<Delivery>,
    pub(crate) last_delivery: u64,
    /// Dispatched notifications in the API's form, oldest first.
    pub(crate) history: VecDeque<Value>,
    pub(crate) webhook: Option<WebhookTarget>,
    pub(crate) dice: Dice,
    /// Divides delays; starting a scenario with another factor changes it.
    pub(crate) factor: f64,
}

/// A quota as seen from outside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QuotaView {
    /// Requests a window; 0 is unlimited.
    pub limit: u32,
    /// Requests in the window.
    pub used: usize,
    /// Everything is refused until then.
    pub locked_until: Option<Timestamp>,
}

/// The state of the simulator at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateView {
    /// The moment.
    pub now: Timestamp,
    /// Factor in force.
    pub factor: f64,
    /// The account's id.
    pub account_id: String,
    /// Networks that can be advertised.
    pub prefixes: Vec<PrefixState>,
    /// The scenario last started.
    pub scenario: Option<ScenarioStatus>,
    /// Analytics rows per node: name, stored, visible now.
    pub rows: Vec<(String, usize, usize)>,
    /// REST quota.
    pub rest_quota: QuotaView,
    /// GraphQL quota.
    pub graphql_quota: QuotaView,
    /// Where alerts go.
    pub webhook_url: Option<String>,
    /// Webhooks sent so far.
    pub deliveries: u64,
    /// Telegram messages in the chat.
    pub messages: usize,
    /// Sequence number of the newest logged request.
    pub last_request: u64,
    /// Faults that are set.
    pub faults: usize,
}

impl World {
    pub(crate) fn new(config: SimConfig, http: reqwest::Client, now: Timestamp) -> Self {
        let scaled = |d: Duration| d.div_f64(config.factor);
        let propagation = (
            scaled(config.advertise_propagation),
            scaled(config.withdraw_propagation),
        );
        let mut dice = Dice::new(config.seed);
        let state = State {
            prefixes: PrefixTable::new(&config.prefixes, propagation, config.cooldown, config.factor, now),
            bindings: BindingTable::new(&config.prefixes, config.seed),
            faults: FaultRegistry::default(),
            log: RequestLog::default(),
            rest_quota: Quota::new(config.rest_quota, scaled(config.quota_window)),
            graphql_quota: Quota::new(config.graphql_quota, scaled(config.quota_window)),
            chats: Chats::new(&config),
            traffic: Traffic::new(config.seed, scaled(config.ingest_delay), scaled(config.ingest_jitter)),
            rules: RuleTable::new(&config.prefixes, &mut dice),
            rulesets: RulesetTable::new(config.seed, config.override_rules),
            magic: MagicTable::new(&config.prefixes, config.seed),
            cni: CniTable::new(&config.account_id, config.seed),
            alerting: AlertingTable::new(config.seed),
            onboarding: OnboardingTable::new(config.seed),
            scenario: None,
            deliveries: VecDeque::new(),
            last_delivery: 0,
            history: VecDeque::new(),
            webhook: config.webhook.clone(),
            dice,
            factor: config.factor,
        };
        Self {
            config,
            http,
            wake: tokio::sync::Notify::new(),
            state: Mutex::new(state),
        }
    }

    /// A panic elsewhere does not stop the simulator: the state is plain data.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another factor from now on: delays, propagation, cool-down and quota windows follow it.
    pub(crate) fn set_factor(&self, factor: f64) {
        let scaled = |d: Duration| d.div_f64(factor);
        let mut state = self.lock();
        state.factor = factor;
        let propagation = (
            scaled(self.config.advertise_propagation),
            scaled(self.config.withdraw_propagation),
        );
        state.prefixes.set_times(propagation, factor);
        state
            .traffic
            .set_delays(scaled(self.config.ingest_delay), scaled(self.config.ingest_jitter));
        state.rest_quota.set_window(scaled(self.config.quota_window));
        state.graphql_quota.set_window(scaled(self.config.quota_window));
        if let Some(running) = &mut state.scenario {
            running.set_factor(factor);
        }
    }

    pub(crate) fn view(&self) -> StateView {
        let now = Timestamp::now();
        let state = self.lock();
        let quota = |q: &Quota| {
            let (limit, used, locked_until) = q.view();
            QuotaView {
                limit,
                used,
                locked_until,
            }
        };
        StateView {
            now,
            factor: state.factor,
            account_id: self.config.account_id.clone(),
            prefixes: state.prefixes.views(now),
            scenario: state.scenario.as_ref().map(|s| s.status(now)),
            rows: state.traffic.counts(now),
            rest_quota: quota(&state.rest_quota),
            graphql_quota: quota(&state.graphql_quota),
            webhook_url: state.webhook.as_ref().map(|w| w.url.clone()),
            deliveries: state.last_delivery,
            messages: state.chats.count(),
            last_request: state.log.last(),
            faults: state.faults.list(now).len(),
        }
    }
}

/// Appends and drops the oldest beyond `most`.
pub(crate) fn push_bounded<T>(ring: &mut VecDeque<T>, item: T, most: usize) {
    ring.push_back(item);
    while ring.len() > most {
        ring.pop_front();
    }
}
