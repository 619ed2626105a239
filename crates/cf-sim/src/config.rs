//! What a simulator is started with: account, secrets, prefixes, delays and limits. Every value has a default that
//! suits tests; delays are given as in the real world and divided by `factor` when used.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Settings of one simulator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The only account that exists (32 hex digits).
    pub account_id: String,
    /// The only valid API token.
    pub api_token: String,
    /// A global API key that is accepted as well (`X-Auth-Email` and `X-Auth-Key`).
    pub global_key: Option<GlobalKey>,
    /// What the token may do.
    pub permissions: Permissions,
    /// Further API tokens of the same account, each with rights of its own. All count against one quota, as a user's do.
    pub more_tokens: Vec<TokenConfig>,
    /// The only valid Telegram bot token.
    pub bot_token: String,
    /// The only chat that exists; negative ids are groups.
    pub chat_id: i64,
    /// Forum topics that exist in the chat; any other `message_thread_id` is "message thread not found".
    pub message_threads: Vec<i64>,
    /// Where alerts are sent.
    pub webhook: Option<WebhookTarget>,
    /// Divides scenario durations and simulator delays. 1 is real time.
    pub factor: f64,
    /// Seed of everything that looks random (ids, source addresses, late rows).
    pub seed: u64,
    /// The prefixes of the account.
    pub prefixes: Vec<PrefixConfig>,
    /// Age at which an analytics row can first be seen.
    #[serde(with = "duration_text")]
    pub ingest_delay: Duration,
    /// Rows appear up to this much later than `ingest_delay`, each by its own amount.
    #[serde(with = "duration_text")]
    pub ingest_jitter: Duration,
    /// One packet in this many is sampled; sums are multiples of it.
    pub sample_interval: u32,
    /// Time until all traffic of a newly advertised prefix arrives at Cloudflare (2 to 7 minutes in the documentation).
    #[serde(with = "duration_text")]
    pub advertise_propagation: Duration,
    /// Time until the last network has dropped a withdrawn route (about 15 minutes in the documentation). Shown in the state only.
    #[serde(with = "duration_text")]
    pub withdraw_propagation: Duration,
    /// Undocumented waiting times between opposite changes; off by default.
    pub cooldown: Cooldown,
    /// REST requests per window (1,200 in 5 minutes). 0 switches the quota off.
    pub rest_quota: u32,
    /// Headers about the REST quota.
    pub quota_headers: QuotaHeaders,
    /// GraphQL queries per window (300 in 5 minutes). 0 switches the quota off.
    pub graphql_quota: u32,
    /// Window of both quotas, and the length of the lock-out after it is exceeded.
    #[serde(with = "duration_text")]
    pub quota_window: Duration,
    /// What `settings{node}` reports and what is enforced.
    pub node_limits: NodeLimits,
    /// Analytics nodes that the account's contract does not have: `settings` say so, and a query is refused.
    pub missing_nodes: Vec<String>,
    /// How the notification history gives `alert_body`.
    pub history_body: HistoryBody,
    /// Every alert is dispatched by mail as well: the history has an entry for each mechanism.
    pub history_has_mail: bool,
    /// Most rules of the `ddos_l4` entry point: 10 with the Advanced DDoS add-on, else 1.
    pub override_rules: usize,
    /// Where documentation and observation differ, the API behaves as observed: monitoring rules may have spaces in their
    /// names, no type, and partial changes; addresses of virtual cross-connects are objects.
    pub as_observed: bool,
    /// A PUT of a tunnel, interconnect or route resets what it leaves out to its default. It is not documented which of
    /// the two happens; by default what is left out stays.
    pub tunnel_put_resets: bool,
    /// Telegram's flood control.
    pub telegram_limits: TelegramLimits,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            account_id: "c0ffee00c0ffee00c0ffee00c0ffee00".into(),
            api_token: "simulated-api-token-0123456789-0123456789".into(),
            global_key: None,
            permissions: Permissions::default(),
            more_tokens: Vec::new(),
            bot_token: "123456:simulated-bot-token".into(),
            chat_id: -1_001_234_567_890,
            message_threads: vec![7],
            webhook: None,
            factor: 1.0,
            seed: 1,
            prefixes: PrefixConfig::documentation(),
            ingest_delay: Duration::from_secs(60),
            ingest_jitter: Duration::from_secs(30),
            sample_interval: 10_000,
            advertise_propagation: Duration::from_secs(300),
            withdraw_propagation: Duration::from_secs(900),
            cooldown: Cooldown::default(),
            rest_quota: 1200,
            quota_headers: QuotaHeaders::default(),
            graphql_quota: 300,
            quota_window: Duration::from_secs(300),
            node_limits: NodeLimits::default(),
            missing_nodes: Vec::new(),
            history_body: HistoryBody::default(),
            history_has_mail: false,
            override_rules: 10,
            as_observed: false,
            tunnel_put_resets: false,
            telegram_limits: TelegramLimits::default(),
        }
    }
}

/// Forms of `alert_body`: documented as a text, shown in the documentation's example as an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryBody {
    /// The delivered body as text.
    #[default]
    Text,
    /// The delivered body as an object.
    Object,
    /// Text and object in turn.
    Alternating,
    /// `{"data":{...},"metadata":{...}}` as in the example: nothing of the envelope.
    Example,
}

/// An e-mail address and its global API key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlobalKey {
    /// `X-Auth-Email`.
    pub email: String,
    /// `X-Auth-Key`.
    pub key: String,
}

/// Permissions of the API token; a missing one is answered with 403 and code 10000.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Permissions {
    /// IP Prefixes: Read.
    pub prefixes_read: bool,
    /// IP Prefixes: Write (onboarding, descriptions, delegations, bindings).
    pub prefixes_write: bool,
    /// Advertise and withdraw: any one of IP Prefixes: BGP On Demand Write, IP Prefixes: Write and Magic Transit Write gives it.
    pub bgp_write: bool,
    /// Account Analytics: Read.
    pub analytics: bool,
    /// Magic Network Monitoring Read.
    pub mnm_read: bool,
    /// Magic Network Monitoring Write.
    pub mnm_write: bool,
    /// Magic Transit Read (tunnels).
    pub magic_read: bool,
    /// Magic Transit Write (tunnels and routes).
    pub magic_write: bool,
    /// L3/4 DDoS Managed Ruleset Read, or Account Rulesets Read.
    pub rulesets_read: bool,
    /// L3/4 DDoS Managed Ruleset Write, or Account Rulesets Write.
    pub rulesets_write: bool,
    /// Notifications Read.
    pub notifications: bool,
    /// Notifications Write.
    pub notifications_write: bool,
}

impl Default for Permissions {
    fn default() -> Self {
        Self {
            prefixes_read: true,
            prefixes_write: true,
            bgp_write: true,
            analytics: true,
            mnm_read: true,
            mnm_write: true,
            magic_read: true,
            magic_write: true,
            rulesets_read: true,
            rulesets_write: true,
            notifications: true,
            notifications_write: true,
        }
    }
}

/// An API token. One that begins with `cfat_` belongs to the account: the user's routes do not serve it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// At least 40 characters.
    pub token: String,
    /// What it may do.
    #[serde(default)]
    pub permissions: Permissions,
    /// Any other than active refuses every call but the verification, which says so.
    #[serde(default)]
    pub status: TokenStatus,
    /// Not valid before.
    #[serde(default)]
    pub not_before: Option<jiff::Timestamp>,
    /// Not valid from then on.
    #[serde(default)]
    pub expires_on: Option<jiff::Timestamp>,
}

/// What the verification says about a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenStatus {
    /// Usable.
    #[default]
    Active,
    /// Switched off by its owner.
    Disabled,
    /// Its time is over.
    Expired,
}

/// Which headers tell about the REST quota: documentation and newer deployments differ, and some answers have none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaHeaders {
    /// `x-ratelimit-limit`, `x-ratelimit-remaining`, `x-ratelimit-reset`.
    #[default]
    Documented,
    /// `ratelimit` and `ratelimit-policy`.
    Newer,
    /// Only `retry-after` on a refusal.
    None,
}

/// Where alerts go.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTarget {
    /// Full URL of the receiver.
    pub url: String,
    /// Value of `cf-webhook-auth`; without it the header is left out.
    pub secret: Option<String>,
}

/// Waiting times that users have seen but Cloudflare does not document. `None` is off.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cooldown {
    /// Seconds after a withdrawal before the prefix may be advertised again.
    pub after_withdraw_s: Option<u64>,
    /// Seconds after an advertisement before the prefix may be withdrawn.
    pub after_advertise_s: Option<u64>,
    /// Error code of the refusal (status 429, with `retry-after`).
    pub code: u32,
}

impl Default for Cooldown {
    fn default() -> Self {
        Self {
            after_withdraw_s: None,
            after_advertise_s: None,
            code: 1002,
        }
    }
}

/// Limits of the analytics nodes, as `settings` reports them; seconds are real seconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeLimits {
    /// Largest accepted `limit`.
    pub max_page_size: u64,
    /// Most dimensions and measures in one query of a node.
    pub max_number_of_fields: u64,
    /// Oldest data, seconds before now.
    pub not_older_than_s: i64,
    /// Widest time range in seconds.
    pub max_duration_s: i64,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            max_page_size: 10_000,
            max_number_of_fields: 30,
            not_older_than_s: 2_678_400,
            max_duration_s: 259_200,
        }
    }
}

/// Telegram's flood control, in real time whatever the factor.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelegramLimits {
    /// Off means nothing is ever refused.
    pub enabled: bool,
    /// Messages a minute in one group, supergroup or channel.
    pub group_per_minute: u32,
    /// Messages in one second and one chat before it is refused; about 1 with short bursts tolerated.
    pub burst_per_second: u32,
    /// Whether edits count like messages (users' experience, not documented).
    pub edits_count: bool,
}

impl Default for TelegramLimits {
    fn default() -> Self {
        Self {
            enabled: true,
            group_per_minute: 20,
            burst_per_second: 3,
            edits_count: false,
        }
    }
}

/// A prefix as onboarded: the parent, and what can be advertised of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefixConfig {
    /// Id of the parent (32 hex digits).
    pub id: String,
    /// The onboarded network.
    pub cidr: IpNet,
    /// Origin AS, absent when Cloudflare's is used.
    #[serde(default)]
    pub asn: Option<u32>,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// Not approved prefixes ("P") refuse changes.
    #[serde(default = "yes")]
    pub approved: bool,
    /// The networks that can be advertised.
    pub bgp: Vec<BgpPrefixConfig>,
}

/// One network that can be advertised and withdrawn.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BgpPrefixConfig {
    /// Id of the BGP prefix (32 hex digits).
    pub id: String,
    /// The network, equal to or inside the parent.
    pub cidr: IpNet,
    /// Advertised when the simulator starts (since long ago, so fully propagated).
    #[serde(default)]
    pub advertised: bool,
    /// `on_demand_enabled`.
    #[serde(default = "yes")]
    pub on_demand_enabled: bool,
    /// `on_demand_locked`.
    #[serde(default)]
    pub on_demand_locked: bool,
    /// Steered by BGP signalling: API changes are refused.
    #[serde(default)]
    pub bgp_signalled: bool,
    /// 0 to 3.
    #[serde(default)]
    pub asn_prepend_count: u8,
}

fn yes() -> bool {
    true
}

impl PrefixConfig {
    /// A parent with one BGP prefix of the same network. `tag` makes the ids: `a...tag` and `b...tag`, 32 digits each.
    #[must_use]
    pub fn simple(cidr: IpNet, tag: u32, description: &str) -> Self {
        Self {
            id: format!("a{tag:031}"),
            cidr,
            asn: Some(64_500),
            description: description.to_owned(),
            approved: true,
            bgp: vec![BgpPrefixConfig::simple(cidr, tag)],
        }
    }

    /// The documentation networks: three IPv4 /24, and 2001:db8::/32 of which 2001:db8:1::/48 can be advertised. All withdrawn.
    #[must_use]
    pub fn documentation() -> Vec<Self> {
        use std::net::{Ipv4Addr, Ipv6Addr};
        let v4 = |a, b, c| ipnet::Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), 24).into();
        let v6 =
            |third, len| ipnet::Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, third, 0, 0, 0, 0, 0), len).into();
        let mut six = Self::simple(v6(0, 32), 20_010_000, "IPv6 allocation");
        six.bgp = vec![BgpPrefixConfig::simple(v6(1, 48), 20_010_001)];
        vec![
            Self::simple(v4(203, 0, 113), 203_000_113, "Customer hosting"),
            Self::simple(v4(198, 51, 100), 198_051_100, "Game servers"),
            Self::simple(v4(192, 0, 2), 192_000_002, "Office and mail"),
            six,
        ]
    }
}

impl BgpPrefixConfig {
    /// A withdrawn, unlocked, on-demand network.
    #[must_use]
    pub fn simple(cidr: IpNet, tag: u32) -> Self {
        Self {
            id: format!("b{tag:031}"),
            cidr,
            advertised: false,
            on_demand_enabled: true,
            on_demand_locked: false,
            bgp_signalled: false,
            asn_prepend_count: 0,
        }
    }
}

/// Durations in files: text such as `90s`, `5m`, `1m 30s`.
pub(crate) mod duration_text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn parse(text: &str) -> Result<Duration, String> {
        let signed: jiff::SignedDuration = text
            .parse()
            .map_err(|e| format!("not a duration such as 90s or 5m: {e}"))?;
        Duration::try_from(signed).map_err(|_| "a duration cannot be negative".to_owned())
    }

    pub(crate) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{}ms", value.as_millis()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}
