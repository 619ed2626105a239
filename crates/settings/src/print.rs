//! Settings back to text: what `--print-config` shows.
//!
//! The printed file reads back to equal settings, apart from secrets: those are replaced by a mask
//! that the loader knows and refuses, so that a printed configuration can never be installed as if
//! it were complete.

use std::collections::BTreeMap;

use std::time::Duration;

use domain::prefix::Prefix;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use crate::Loaded;
use crate::keys::KEYS;
use crate::model::{ChatId, DirectRoute, Keep, MitigationSystems, Settings};
use crate::values::{ALWAYS_ANNOUNCED, EVERY_OTHER, MASK};

/// A duration as the file would have it: days where they come out even, as `400d` reads better
/// than `9600h`.
pub(crate) fn format(duration: Duration) -> String {
    const DAY_S: u64 = 86_400;
    let seconds = duration.as_secs();
    if duration.subsec_nanos() == 0 && seconds >= 2 * DAY_S && seconds.is_multiple_of(DAY_S) {
        format!("{}d", seconds / DAY_S)
    } else {
        domain::duration::format(duration)
    }
}

/// `settings.json` with every key and its value in effect, secrets masked, in the order of the
/// reference. What is not set is `null`.
pub fn print_config(settings: &Settings) -> String {
    let tree = Tree::of(KEYS.iter().map(|key| {
        let value = value_of(settings, key.path).unwrap_or(Value::Null);
        (key.path, value)
    }));
    pretty(&tree)
}

/// `prefix_mapping.json` in the shape we write, with what is known of each prefix.
pub fn print_mapping(settings: &Settings) -> String {
    let entries: Vec<(String, Entry)> = settings
        .mapping
        .iter()
        .map(|mapped| {
            let members = [
                ("prefix_id", mapped.prefix_id.as_ref().map(|id| json!(id.as_str()))),
                (
                    "bgp_prefix_id",
                    mapped.bgp_prefix_id.as_ref().map(|id| json!(id.as_str())),
                ),
                ("description", mapped.description.as_ref().map(|text| json!(text))),
                ("asn", mapped.asn.map(|asn| json!(asn))),
                ("note", mapped.note.as_ref().map(|text| json!(text))),
            ];
            let members = members
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), Entry::Leaf(value?))))
                .collect();
            (mapped.prefix.to_string(), Entry::Branch(Tree(members)))
        })
        .collect();
    pretty(&Tree(vec![("prefixes".to_owned(), Entry::Branch(Tree(entries)))]))
}

/// One line for each key: its value in effect and where that came from.
pub fn print_provenance(loaded: &Loaded) -> String {
    let rows: Vec<(&str, String, String)> = KEYS
        .iter()
        .map(|key| {
            let value = value_of(&loaded.settings, key.path).unwrap_or(Value::Null);
            let origin = loaded
                .provenance
                .of(key.path)
                .map_or_else(String::new, ToString::to_string);
            (key.path, crate::site::cut(&value.to_string()), origin)
        })
        .collect();
    let keys = rows.iter().map(|(key, ..)| key.chars().count()).max();
    let origins = rows.iter().map(|(.., origin)| origin.chars().count()).max();
    let (keys, origins) = (keys.unwrap_or(0), origins.unwrap_or(0));
    rows.into_iter()
        .map(|(key, value, origin)| format!("{key:<keys$}  {origin:<origins$}  {value}\n"))
        .collect()
}

fn pretty(tree: &Tree) -> String {
    let mut text = serde_json::to_string_pretty(tree).unwrap_or_default();
    text.push('\n');
    text
}

/// The value of one key as the file would have it; `None` for a path that is no key.
fn value_of(settings: &Settings, path: &str) -> Option<Value> {
    let (section, name) = path.split_once('.')?;
    match section {
        "cloudflare" => cloudflare(settings, name),
        "telegram" => telegram(settings, name),
        "alert_webhook" => alert_webhook(settings, name),
        "mail" => mail(settings, name),
        "database" => database(settings, name),
        "webhook" => webhook(settings, name),
        "dashboard" => dashboard(settings, name),
        "analytics" => analytics(settings, name),
        "autowithdraw" => autowithdraw(settings, name),
        "geoip" => match name {
            "city_db" => Some(json!(settings.geoip.city_db)),
            "asn_db" => Some(json!(settings.geoip.asn_db)),
            _ => None,
        },
        "organisation" => match name {
            "name" => Some(json!(settings.organisation.name)),
            "brand" => Some(json!(settings.organisation.brand)),
            "server" => Some(json!(settings.organisation.server)),
            _ => None,
        },
        _ => None,
    }
}

fn cloudflare(settings: &Settings, name: &str) -> Option<Value> {
    let cloudflare = &settings.cloudflare;
    let key = cloudflare.global_key.as_ref();
    Some(match name {
        "account_id" => json!(cloudflare.account_id),
        "api_token" => masked(cloudflare.api_token.is_some()),
        "webhook_secret" => match cloudflare.webhook_secret.len() {
            0 => Value::Null,
            1 => json!(MASK),
            several => vec![MASK; several].into(),
        },
        "api_base_url" => json!(cloudflare.api_base_url),
        "auth_email" => json!(key.map(|key| &key.email)),
        "global_api_key" => masked(key.is_some()),
        _ => return None,
    })
}

fn masked(present: bool) -> Value {
    if present { json!(MASK) } else { Value::Null }
}

fn telegram(settings: &Settings, name: &str) -> Option<Value> {
    let Some(telegram) = &settings.telegram else {
        return Some(Value::Null);
    };
    Some(match name {
        "bot_token" => json!(MASK),
        "chat_id" => match &telegram.chat_id {
            ChatId::Number(number) => json!(number),
            ChatId::Channel(name) => json!(name),
        },
        "message_thread_id" => json!(telegram.message_thread_id),
        "api_url" => json!(telegram.api_url),
        "max_age" => json!(format(telegram.max_age)),
        "operators" if telegram.operators.is_empty() => Value::Null,
        "operators" => {
            let numbers: Vec<String> = telegram.operators.iter().map(u64::to_string).collect();
            json!(numbers.join(","))
        }
        _ => return None,
    })
}

fn alert_webhook(settings: &Settings, name: &str) -> Option<Value> {
    let Some(webhook) = &settings.alert_webhook else {
        return Some(Value::Null);
    };
    Some(match name {
        "url" => json!(webhook.url),
        "secret" => json!(MASK),
        "send" => selection(&webhook.send),
        _ => return None,
    })
}

fn mail(settings: &Settings, name: &str) -> Option<Value> {
    let Some(mail) = &settings.mail else {
        return Some(Value::Null);
    };
    Some(match name {
        "host" => json!(mail.host),
        "port" => json!(mail.port),
        "user" => json!(mail.login.as_ref().map(|(user, _)| user)),
        "password" => masked(mail.login.is_some()),
        "from" => json!(mail.from),
        "to" => json!(mail.to),
        "send" => selection(&mail.send),
        _ => return None,
    })
}

fn selection(systems: &MitigationSystems) -> Value {
    match systems {
        MitigationSystems::All => json!("all"),
        MitigationSystems::Only(names) => json!(names),
    }
}

fn database(settings: &Settings, name: &str) -> Option<Value> {
    if name == "path" {
        return Some(json!(settings.database.path));
    }
    let table = name.strip_prefix("retention.")?;
    Some(match settings.database.retention.of(table) {
        Keep::Forever => json!("forever"),
        Keep::For(duration) => json!(format(duration)),
    })
}

fn webhook(settings: &Settings, name: &str) -> Option<Value> {
    let webhook = &settings.webhook;
    Some(match name {
        "listen" => json!(webhook.listen),
        "trusted_proxies" => networks(&webhook.trusted_proxies),
        "allowed_sources" => networks(&webhook.allowed_sources),
        "max_body" => json!(webhook.max_body),
        "allow_without_secret" => json!(webhook.allow_without_secret),
        _ => return None,
    })
}

fn dashboard(settings: &Settings, name: &str) -> Option<Value> {
    let dashboard = &settings.dashboard;
    Some(match name {
        "listen" => json!(dashboard.listen),
        "allowed_networks" => networks(&dashboard.allowed_networks),
        "trusted_proxies" => networks(&dashboard.trusted_proxies),
        "public_url" => json!(dashboard.public_url),
        "session_idle" => json!(format(dashboard.session_idle)),
        "session_max" => json!(format(dashboard.session_max)),
        _ => return None,
    })
}

fn analytics(settings: &Settings, name: &str) -> Option<Value> {
    let analytics = &settings.analytics;
    Some(match name {
        "listen" => json!(analytics.listen),
        "poll_interval" => json!(format(analytics.poll_interval)),
        "lookback" => json!(format(analytics.lookback)),
        "settle" => json!(format(analytics.settle)),
        "min_packets" => json!(analytics.min_packets),
        "my_prefixes" => json!(analytics.my_prefixes),
        "anycast_prefixes" => networks(&analytics.anycast_prefixes),
        "witnesses" => selection(&analytics.witnesses),
        "announced_witnesses" => selection(&analytics.announced_witnesses),
        "reverse_dns" => json!(analytics.reverse_dns),
        "dns_server" => json!(analytics.dns_server),
        _ => return None,
    })
}

fn autowithdraw(settings: &Settings, name: &str) -> Option<Value> {
    let automation = &settings.autowithdraw;
    Some(match name {
        "listen" => json!(automation.listen),
        "mode" => json!(automation.mode.as_str()),
        "managed" => json!(automation.managed),
        "check_interval" => json!(format(automation.check_interval)),
        "calm_period" => json!(format(automation.calm_period)),
        "attack_lookback" => json!(format(automation.attack_lookback)),
        "settle" => json!(format(automation.settle)),
        "propagation" => json!(format(automation.propagation)),
        "min_samples" => json!(automation.min_samples),
        "min_dropped_packets" => json!(automation.min_dropped_packets.0),
        "min_dropped_bits" => json!(automation.min_dropped_bits.0),
        "min_dropped_pps" => json!(automation.min_dropped_pps),
        "min_dropped_bps" => json!(automation.min_dropped_bps),
        "calm_threshold_percent" => json!(automation.calm_threshold_percent),
        "mitigation_systems" => selection(&automation.mitigation_systems),
        "no_traffic" => networks(&automation.no_traffic),
        "min_advertised" => json!(format(automation.min_advertised)),
        "max_withdrawals_per_hour" => json!(automation.max_withdrawals_per_hour),
        "open_alert_veto" => json!(format(automation.open_alert_veto)),
        "unknown_alert_after" => json!(format(automation.unknown_alert_after)),
        "overdue_after" => json!(format(automation.overdue_after)),
        "record_inputs" => json!(automation.record_inputs),
        "record_limit_mb" => json!(automation.record_limit_mb),
        "direct_route" => routes(&automation.direct_routes, automation.direct_route_default.as_ref()),
        _ => return None,
    })
}

fn networks(list: &[Prefix]) -> Value {
    json!(list)
}

fn routes(by_prefix: &BTreeMap<Prefix, DirectRoute>, every_other: Option<&DirectRoute>) -> Value {
    let one = |route: &DirectRoute| match route {
        DirectRoute::AlwaysAnnounced => json!(ALWAYS_ANNOUNCED),
        DirectRoute::Url { url, timeout } => json!({"url": url, "timeout": format(*timeout)}),
        DirectRoute::Command { argv, timeout } => {
            json!({"command": argv, "timeout": format(*timeout)})
        }
    };
    let members: serde_json::Map<String, Value> = by_prefix
        .iter()
        .map(|(prefix, route)| (prefix.to_string(), one(route)))
        .chain(every_other.map(|route| (EVERY_OTHER.to_owned(), one(route))))
        .collect();
    Value::Object(members)
}

/// An object whose members keep their order.
struct Tree(Vec<(String, Entry)>);

enum Entry {
    Leaf(Value),
    Branch(Tree),
}

impl Tree {
    fn of<'a>(values: impl Iterator<Item = (&'a str, Value)>) -> Self {
        let mut root = Self(Vec::new());
        for (path, value) in values {
            root.put(path, value);
        }
        root
    }

    fn put(&mut self, path: &str, value: Value) {
        let Some((section, rest)) = path.split_once('.') else {
            self.0.push((path.to_owned(), Entry::Leaf(value)));
            return;
        };
        // Keys of one section follow each other in the table.
        match self.0.last_mut() {
            Some((name, Entry::Branch(branch))) if name == section => branch.put(rest, value),
            _ => {
                let mut branch = Self(Vec::new());
                branch.put(rest, value);
                self.0.push((section.to_owned(), Entry::Branch(branch)));
            }
        }
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, entry) in &self.0 {
            match entry {
                Entry::Leaf(value) => map.serialize_entry(name, value)?,
                Entry::Branch(tree) => map.serialize_entry(name, tree)?,
            }
        }
        map.end()
    }
}
