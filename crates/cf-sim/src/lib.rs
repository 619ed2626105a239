//! A simulated Cloudflare and Telegram, written from their documentation alone.
//!
//! It shares no type with the product's own client, so that one misreading of the API cannot hide in both.
//! One port serves everything: Cloudflare's REST API and GraphQL API under `/client/v4`, the Telegram Bot API
//! under `/telegram/bot<TOKEN>/<method>`, and the simulator's own control API under `/_sim`.
//!
//! All timestamps are wall clock. [`SimConfig::factor`] divides scenario durations and the simulator's delays
//! (ingest delay, propagation, cool-down, quota windows); it never changes code paths. Telegram's limits stay in real time.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use cf_sim::{FaultKind, FaultSpec, Scenario, Sim, SimConfig, Target};
//!
//! let sim = Sim::start(SimConfig { factor: 60.0, ..SimConfig::default() }).await?;
//! let api = sim.api_base_url(); // http://127.0.0.1:PORT/client/v4
//! let tg = sim.telegram_url(); // http://127.0.0.1:PORT/telegram
//! sim.set_webhook_target("http://127.0.0.1:8080/webhook/cloudflare", Some("secret"));
//! sim.set_fault(FaultSpec::new(Target::Graphql, FaultKind::Status { status: 503, body: None }).times(2));
//! sim.run_scenario(Scenario::named("demo")?)?;
//! sim.wait_for(std::time::Duration::from_secs(30), |s| s.prefixes.iter().any(|p| p.advertised)).await;
//! sim.shutdown().await;
//! # let _ = (api, tg);
//! # Ok(())
//! # }
//! ```
//!
//! Rows need no scenario: [`Sim::add_rows`] (or `POST /_sim/traffic`) puts any [`RowSpec`] at any time into the analytics.
//!
//! # Control API (`/_sim`, JSON, never faulted, never logged)
//!
//! | Call | What it does |
//! |---|---|
//! | `GET health` | `{"ok":true}` |
//! | `GET state` | [`StateView`]: prefixes with propagation, scenario, row counts, quotas, webhook target |
//! | `POST scenario` | `{"name":"demo"}` or `{"toml":"..."}`, optional `"factor"` (from then on for all delays too): starts it (replaces a running one) |
//! | `GET scenario`, `DELETE scenario` | [`ScenarioStatus`] or null; stop it. `GET scenarios`: the embedded names |
//! | `GET scenario/journal` | [`JournalEntry`] list: what happened in this round |
//! | `POST scenario/pause`, `scenario/resume`, `scenario/step`, `scenario/speed` | stand still, go on, go on for `{"seconds":N}` of scenario time, go at `{"factor":N}` |
//! | `GET assert`, `POST assert` | [`Finding`] list: whether what the scenario expects of itself holds so far, or an array of [`Expectation`] |
//! | `POST faults` | a [`FaultSpec`]; answers `{"id":...}` |
//! | `GET faults`, `DELETE faults`, `DELETE faults/{id}` | list (with use counts), clear all, clear one |
//! | `GET requests?since=N` | [`RequestEntry`] list with `seq` > N; bounded ring. `DELETE requests` empties it |
//! | `GET telegram/messages` | [`SentMessage`] list with every edit. `POST telegram/update`: queues an update for getUpdates |
//! | `GET deliveries` | [`Delivery`] list: every webhook sent, with its outcome |
//! | `POST webhook` | `{"body":{...}}`, `{"raw":"any text"}` or `{"template":"l4_start","data":{...},"envelope":{...}}`; waits for the outcome |
//! | `POST history` | an entry of the notification history as the API gives it; what is missing is filled in |
//! | `POST webhook_target` | `{"url":"...","secret":"..."}`, or `{"url":null}` |
//! | `POST prefixes/{cidr}` | [`PrefixChange`]: a change made by somebody else (`/` of the CIDR as is or as `%2F`) |
//! | `POST bindings` | a [`BindingSpec`]: somebody else binds a network to a service, or ends that with `"service":null` |
//! | `POST interconnects/{name}` | `{"state":"Down","reason":"..."}`: what the status of a physical interconnect says from now on |
//! | `POST tunnels/{name}/bgp` | `{"state":"BGP_DOWN"}`: the session of a GRE tunnel that has one |
//! | `GET overrides/{rule}?ip.dst=192.0.2.1&...` | action and sensitivity with which a rule of the `ddos_l4` managed ruleset meets such a packet, and the root rule that decided |
//! | `POST traffic` | `{"rows":[RowSpec,...]}` |
//! | `GET rows?node=NAME&limit=N` | newest raw rows of one analytics node, visible or not |
//!
//! # Faults
//!
//! ```json
//! {"target":"rest","method":"PATCH","path":"/accounts/.*/bgp/prefixes/","kind":"hang","after_apply":true,"count":1}
//! {"target":"graphql","kind":"graphql_errors","messages":["unable to execute query, please try again later"]}
//! {"target":"telegram","kind":"telegram","code":403,"description":"Forbidden: bot was blocked by the user"}
//! ```
//! See [`FaultKind`] for all kinds. `path` is a regular expression searched in the request path (for GraphQL also in the
//! document, for webhooks in the alert type). `after_apply` lets the request take effect and only then spoils the answer.

mod bindings;
mod cli;
mod config;
mod control;
mod faults;
mod graphql;
mod ids;
mod prefixes;
mod quota;
mod request_log;
mod rest;
mod scenario;
mod server;
mod sim;
mod telegram;
mod traffic;
mod webhooks;
mod wire;
mod world;

pub use bindings::BindingSpec;
pub use cli::run as run_cli;
pub use config::{
    BgpPrefixConfig, Cooldown, GlobalKey, HistoryBody, NodeLimits, Permissions, PrefixConfig, QuotaHeaders, SimConfig,
    TelegramLimits, TokenConfig, TokenStatus, WebhookTarget,
};
pub use faults::{FaultKind, FaultSpec, FaultStatus, Target};
pub use prefixes::{PrefixChange, PrefixState, Propagation};
pub use request_log::RequestEntry;
pub use scenario::attack::{Attack, AutoAdvertise, Crowd, Origin, Pulse, Source};
pub use scenario::expect::{Expectation, Finding};
pub use scenario::file::{Background, Detection, Event, EventKind, InitialPrefix, Scenario, ScenarioError};
pub use scenario::rehearsal::{Rehearsal, finest_factor, rehearsal_config, rehearse};
pub use scenario::run::{AttackPhase, JournalEntry, ScenarioStatus};
pub use scenario::tunnels::{Tunnel, TunnelState};
pub use sim::{Sim, SimError};
pub use telegram::chats::{MessageVersion, SentMessage};
pub use traffic::RowSpec;
pub use webhooks::{Delivery, Outcome};
pub use world::{QuotaView, StateView};
