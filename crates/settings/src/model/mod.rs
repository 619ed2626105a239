//! The validated settings: what every program works with after `load` has succeeded.
//!
//! A value of these types has passed every check of `validate`; nobody downstream parses text,
//! applies a default or checks a range again. Secrets are [`SecretString`]: they show nothing in
//! `Debug` and are compared nowhere.

mod automation;
mod channels;
mod services;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use domain::ids::{BgpPrefixId, PrefixId};
use domain::prefix::Prefix;
use secrecy::SecretString;

pub use automation::{AutoWithdraw, DirectRoute, MitigationSystems, Mode};
pub use channels::{AlertWebhook, Mail, Selection};
pub use services::{Analytics, Dashboard, Database, Keep, Retention, Webhook};

use crate::legacy::Legacy;

/// Everything the programs are told by their operator, complete and checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Account and credentials at Cloudflare.
    pub cloudflare: Cloudflare,
    /// Where messages go; `None` when no chat is configured (nothing is sent, rows are kept).
    pub telegram: Option<Telegram>,
    /// Where copies of messages go as JSON.
    pub alert_webhook: Option<AlertWebhook>,
    /// Where copies of messages go by mail.
    pub mail: Option<Mail>,
    /// The SQLite file and how long its rows are kept.
    pub database: Database,
    /// The receiver of Cloudflare's notifications.
    pub webhook: Webhook,
    /// The web dashboard.
    pub dashboard: Dashboard,
    /// The poller of attack analytics.
    pub analytics: Analytics,
    /// The automation that withdraws.
    pub autowithdraw: AutoWithdraw,
    /// The GeoIP databases.
    pub geoip: GeoIp,
    /// How messages and pages name their operator.
    pub organisation: Organisation,
    /// The entries of `prefix_mapping.json` in file order; empty when there is no such file.
    pub mapping: Vec<MappedPrefix>,
    /// What an existing installation of the predecessor left to be imported once.
    pub legacy: Legacy,
}

/// Account and credentials at Cloudflare.
#[derive(Debug, Clone)]
pub struct Cloudflare {
    /// The account id, as it stands in API addresses.
    pub account_id: String,
    /// API token sent as `Authorization: Bearer`; preferred wherever it is present.
    pub api_token: Option<SecretString>,
    /// Secrets accepted in `cf-webhook-auth`: none, one, or two while one replaces the other.
    pub webhook_secret: Vec<SecretString>,
    /// Base address of API v4 without a trailing slash.
    pub api_base_url: String,
    /// The fallback, used only where no token is configured.
    pub global_key: Option<GlobalKey>,
}

/// The account-wide key of a Cloudflare user, sent as `X-Auth-Email` and `X-Auth-Key`.
#[derive(Debug, Clone)]
pub struct GlobalKey {
    /// `cloudflare.auth_email`.
    pub email: String,
    /// `cloudflare.global_api_key`.
    pub key: SecretString,
}

/// Which chat hears about events, and through which server.
#[derive(Debug, Clone)]
pub struct Telegram {
    /// The bot's token, `<number>:<characters>`.
    pub bot_token: SecretString,
    /// The chat that receives messages.
    pub chat_id: ChatId,
    /// Topic of a forum group.
    pub message_thread_id: Option<i32>,
    /// Base address of the Bot API without a trailing slash.
    pub api_url: String,
    /// A message older than this is no longer sent singly; a summary says how many there were.
    pub max_age: Duration,
    /// Numbers of the users whom the bot answers; empty: it listens to nobody.
    pub operators: Vec<u64>,
}

/// A Telegram chat: `chat_id` is a number, or the public name of a channel or group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatId {
    /// Users are positive, groups negative, supergroups and channels `-100…`.
    Number(i64),
    /// `@name`, with its at sign.
    Channel(String),
}

impl fmt::Display for ChatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Channel(name) => name.fmt(f),
        }
    }
}

/// GeoIP databases in MaxMind's format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GeoIp {
    /// City database; `None` means the first of [`CITY_SEARCH_ORDER`] that exists.
    pub city_db: Option<PathBuf>,
    /// ASN database; `None` means the first of [`ASN_SEARCH_ORDER`] that exists.
    pub asn_db: Option<PathBuf>,
}

/// Where a city database is looked for: in each folder the commercial one before the free one.
pub const CITY_SEARCH_ORDER: [&str; 4] = [
    "/usr/share/GeoIP/GeoIP2-City.mmdb",
    "/usr/share/GeoIP/GeoLite2-City.mmdb",
    "/var/lib/GeoIP/GeoIP2-City.mmdb",
    "/var/lib/GeoIP/GeoLite2-City.mmdb",
];

/// Where an ASN database is looked for, in the same order.
pub const ASN_SEARCH_ORDER: [&str; 4] = [
    "/usr/share/GeoIP/GeoIP2-ASN.mmdb",
    "/usr/share/GeoIP/GeoLite2-ASN.mmdb",
    "/var/lib/GeoIP/GeoIP2-ASN.mmdb",
    "/var/lib/GeoIP/GeoLite2-ASN.mmdb",
];

impl GeoIp {
    /// The files to try for cities, in order: the configured one alone, else the search order.
    pub fn city_candidates(&self) -> Vec<PathBuf> {
        candidates(self.city_db.as_ref(), &CITY_SEARCH_ORDER)
    }

    /// The files to try for autonomous systems, in order.
    pub fn asn_candidates(&self) -> Vec<PathBuf> {
        candidates(self.asn_db.as_ref(), &ASN_SEARCH_ORDER)
    }
}

fn candidates(configured: Option<&PathBuf>, search_order: &[&str]) -> Vec<PathBuf> {
    configured.map_or_else(
        || search_order.iter().map(PathBuf::from).collect(),
        |path| vec![path.clone()],
    )
}

/// How messages and pages name their operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// The operator's name; empty when not configured.
    pub name: String,
    /// First line of every message.
    pub brand: String,
    /// Name of this server in messages; by default the host name.
    pub server: String,
}

/// One entry of `prefix_mapping.json`. What it leaves out is discovered from the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedPrefix {
    /// The network.
    pub prefix: Prefix,
    /// Id of the parent prefix (`prefix_id`, `parent_prefix_id` or `id` in the file).
    pub prefix_id: Option<PrefixId>,
    /// Id of the BGP prefix that is advertised and withdrawn.
    pub bgp_prefix_id: Option<BgpPrefixId>,
    /// What the operator calls it.
    pub description: Option<String>,
    /// Origin AS number.
    pub asn: Option<u32>,
    /// Free text.
    pub note: Option<String>,
}

impl Settings {
    /// The prefixes the automation may touch: `autowithdraw.managed`, else those of the mapping.
    /// Sorted, each once. Empty means that it touches none.
    pub fn managed_prefixes(&self) -> Vec<Prefix> {
        self.listed_or_mapped(self.autowithdraw.managed.as_deref())
    }

    /// The networks whose attacks are announced: `analytics.my_prefixes`, else those of the
    /// mapping. Sorted, each once. Empty means that nothing is known to be ours.
    pub fn my_prefixes(&self) -> Vec<Prefix> {
        self.listed_or_mapped(self.analytics.my_prefixes.as_deref())
    }

    /// The mapping's entry for exactly this network.
    pub fn mapped(&self, prefix: Prefix) -> Option<&MappedPrefix> {
        self.mapping.iter().find(|entry| entry.prefix == prefix)
    }

    fn listed_or_mapped(&self, listed: Option<&[Prefix]>) -> Vec<Prefix> {
        let mut prefixes: Vec<Prefix> = match listed {
            Some(listed) => listed.to_vec(),
            None => self.mapping.iter().map(|entry| entry.prefix).collect(),
        };
        prefixes.sort();
        prefixes.dedup();
        prefixes
    }
}
